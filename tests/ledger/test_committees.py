"""Who agrees where replicas may lie, in which order, and that nothing but certified blocks are carried on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.committee_world import CGPBFT, PBFT, CommitteeWorld
from tests.ledger.watched import snapshot_of
from wattquorum.consensus.bft.certificates import CommitCertificate, Seal
from wattquorum.consensus.bft.committee import Committee, committee_of, installed, quorum_of
from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import Signed, verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.agreed import Sealed, sealed_in
from wattquorum.ledger.audit import AuditFault, audit
from wattquorum.ledger.blocks import decode_committee
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import VectorMade
from wattquorum.ledger.genesis import decode_genesis, encode_genesis, founding_voters
from wattquorum.ledger.seats import Seat
from wattquorum.ledger.transactions import Leave, Propose, RemoveValidator, SetParameters
from wattquorum.standing.election import tie

BOTH = pytest.mark.parametrize("consensus", [PBFT, CGPBFT], ids=["pbft", "cgpbft"])


def refusal(world: CommitteeWorld, **entry: object) -> tuple[str, str]:
    """What a block is refused for; the ledger is as it was then."""
    before, height, now = snapshot_of(world.ledger.state), world.ledger.height, world.now
    with pytest.raises(Refused) as refused:
        world.block(**entry)  # type: ignore[arg-type]
    assert (snapshot_of(world.ledger.state), world.ledger.height) == (before, height)
    world.now = now
    return refused.value.code, refused.value.field


# The first committee


def test_in_pbft_everybody_agrees_from_the_start_by_address() -> None:
    world = CommitteeWorld(5, consensus=PBFT, members=0)
    assert world.newest.voters == tuple(Voter(world.r(number), 1) for number in range(5))
    assert world.newest.learners == ()


@given(st.integers(4, 12), st.integers(4, 9))
@settings(max_examples=20)
def test_the_first_agents_are_drawn_from_the_genesis_alone(replicas: int, groups: int) -> None:
    world = CommitteeWorld(replicas, members=0, groups=groups)
    chain_id = world.ledger.chain_id
    everybody = [world.r(number) for number in range(replicas)]
    drawn = sorted(everybody, key=lambda replica: tie(chain_id, 0, replica))[: min(groups, replicas)]
    assert world.order == drawn == list(founding_voters(decode_genesis(world.genesis_bytes), chain_id))
    assert world.newest.learners == tuple(each for each in everybody if each not in drawn)
    assert VectorMade(0, world.newest.voters, world.newest.learners) in world.ledger.founding_facts


def test_a_chain_that_agents_run_has_four_proposers_at_least() -> None:
    with pytest.raises(Refused) as refused:
        CommitteeWorld(3, members=0)
    assert (refused.value.code, refused.value.field) == ("validators_too_few", "genesis.proposers")
    assert len(CommitteeWorld(3, consensus=PBFT, members=0).order) == 3


@BOTH
def test_an_engine_counts_heads_in_the_order_of_the_version(consensus: int) -> None:
    world = CommitteeWorld(6, consensus=consensus)
    world.end_epoch()
    committee = committee_of(installed(world.ledger.configuration, world.ledger.key_of))
    assert (committee.epoch, list(committee.members)) == (world.version, world.order)
    assert committee.keys == tuple(world.replica_keys[member].public for member in committee.members)
    assert committee.first == world.newest.height + 1


# The next ones


def test_in_pbft_a_committee_follows_as_soon_as_somebody_comes_or_goes() -> None:
    world = CommitteeWorld(5, consensus=PBFT)
    assert world.version == 0
    world.member("late", Side.BUY, money=0)
    box = world.admit("late", "box")
    assert (world.version, world.newest.learners, box in world.order) == (1, (box,), False)
    world.ready("late", box)
    assert (world.version, world.newest.learners) == (2, ())
    assert world.order == sorted([*(world.r(number) for number in range(5)), box])
    world.remove(world.r(0))
    assert (world.version, world.r(0) in world.order) == (3, False)
    version = world.version
    world.end_epoch()
    assert world.version == version  # nobody's standing moves anything


def test_agents_get_a_version_at_every_end_of_an_epoch_and_at_no_other_block() -> None:
    world = CommitteeWorld(6)
    world.end_epoch()
    begun = world.version
    for version in (begun + 1, begun + 2, begun + 3):
        world.block()
        assert world.version == version - 1
        executed = world.end_epoch()
        assert (world.version, world.newest.height) == (version, executed.block.header.height)
        assert any(isinstance(fact, VectorMade) for fact in executed.told)


def test_a_validator_that_comes_learns_from_the_next_epoch_on() -> None:
    world = CommitteeWorld(5)
    world.member("late", Side.BUY, money=0)
    box = world.admit("late", "box")
    world.ready("late", box)
    assert box not in world.newest.learners
    world.end_epoch()
    assert box in world.newest.learners
    assert sorted([*world.order, *world.newest.learners]) == sorted([*(world.r(n) for n in range(5)), box])


@BOTH
def test_headers_alone_tell_every_committee(consensus: int) -> None:
    world = CommitteeWorld(6, consensus=consensus)
    world.remove(world.r(1))
    world.end_epoch()
    world.member("late", Side.BUY, money=0)
    world.ready("late", world.admit("late", "box"))
    world.end_epoch()
    known = founding_voters(decode_genesis(world.genesis_bytes), world.ledger.chain_id)
    keys, version = [world.replica_keys[replica].public for replica in known], 0
    for executed in world.executed:
        header = executed.block.header
        assert header.round.new == version
        assert header.proposer == keys[header.round.term % len(keys)]
        if header.committee:
            told = decode_committee(header.committee)
            assert told.version == version + 1
            keys, version = list(told.keys), told.version
    assert version == world.version > 1
    assert keys == [world.replica_keys[replica].public for replica in world.order]


@BOTH
def test_a_removal_that_leaves_fewer_than_four_is_refused(consensus: int) -> None:
    world = CommitteeWorld(5, consensus=consensus)
    world.remove(world.r(0))
    receipt = world.do("operator", Propose(RemoveValidator(world.r(1))))
    assert (receipt.code, receipt.field) == ("validators_too_few", "replica")
    world.done("m1", Leave())
    assert world.validator(world.r(1)).seat is Seat.VOTER


def test_how_a_chain_agrees_is_fixed_by_its_genesis() -> None:
    world = CommitteeWorld(4)
    for value in (1, 2, 3):
        action = SetParameters((("kappa", 1), ("consensus", value)), world.ledger.height + 1)
        receipt = world.do("operator", Propose(action))
        assert (receipt.code, receipt.field, receipt.value) == ("parameter_fixed", "consensus", str(value))


# Whose turn it is


@BOTH
def test_who_proposes_is_whose_turn_it_is_in_the_view(consensus: int) -> None:
    world = CommitteeWorld(4, consensus=consensus)
    for view in (1, 2, 3, 4, 9):
        executed = world.block(view=view)
        assert executed.block.header.proposer == world.replica_keys[world.order[view % 4]].public
    for view, place in ((0, 1), (1, 0), (5, 2)):
        assert refusal(world, view=view, by=world.order[place]) == ("role_missing", "proposer")


def test_a_learner_does_not_propose() -> None:
    world = CommitteeWorld(6)
    assert refusal(world, by=world.newest.learners[0]) == ("role_missing", "proposer")


def test_a_view_that_a_liar_names_too_high_stops_nobody() -> None:
    world = CommitteeWorld(4)
    world.block(view=4_000_000_000)
    world.block(view=1)


@BOTH
def test_every_block_is_ordered_under_the_newest_version(consensus: int) -> None:
    world = CommitteeWorld(5, consensus=consensus)
    world.remove(world.r(4))
    world.end_epoch()
    assert world.version > 0
    assert refusal(world, version=world.version - 1) == ("out_of_range", "round")
    assert refusal(world, version=world.version + 1) == ("out_of_range", "round")


def test_views_begin_again_with_a_version() -> None:
    world = CommitteeWorld(4)
    world.view = 7
    world.block()
    world.end_epoch()
    world.block(view=0)


# The certificate of the block before


Bad = Callable[[CommitteeWorld, CommitCertificate], CommitCertificate]


def swapped(_: CommitteeWorld, good: CommitCertificate) -> CommitCertificate:
    first, second, *others = good.seals
    return changed(good, seals=(second, first, *others))


def foreign(world: CommitteeWorld, good: CommitCertificate) -> CommitCertificate:
    """The seal of one that is no member in a member's place."""
    committee = world.committee()
    stranger = next(key for replica, key in world.replica_keys.items() if replica not in committee.members)
    assert isinstance(committee, Committee)
    forged = world.stated(committee, stranger, good.height, good.view, 3, good.digest)  # type: ignore[arg-type]
    return changed(good, seals=(Seal(0, forged), *good.seals[1:]))


def own_at_anothers(world: CommitteeWorld, good: CommitCertificate) -> CommitCertificate:
    return changed(good, seals=(*good.seals[:-1], Seal(3, good.seals[-1].signature)))


def earlier_view(_: CommitteeWorld, good: CommitCertificate) -> CommitCertificate:
    return changed(good, view=good.view + 1)


WRONG: dict[str, tuple[str, Bad]] = {
    "too few": ("signers_wrong", lambda _, good: changed(good, seals=good.seals[:-1])),
    "nobody": ("signers_wrong", lambda _, good: changed(good, seals=())),
    "twice the same": ("signers_wrong", lambda _, good: changed(good, seals=(good.seals[0], *good.seals[:-1]))),
    "out of order": ("signers_wrong", swapped),
    "a place that is none": (
        "signers_wrong",
        lambda _, good: changed(good, seals=(*good.seals[:-1], Seal(4, good.seals[0].signature))),
    ),
    "a stranger's": ("seal_forged", foreign),
    "a member's in another's place": ("seal_forged", own_at_anothers),
    "of another view": ("seal_forged", earlier_view),
    "of another height": ("evidence_wrong", lambda _, good: changed(good, height=good.height + 1)),
    "of another block": ("evidence_wrong", lambda _, good: changed(good, digest=bytes(32))),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_block_without_a_good_certificate_of_the_one_before_is_refused(case: str) -> None:
    code, bad = WRONG[case]
    world = CommitteeWorld(6)
    good = world.certificate()
    sealed = sealed_in(world.evidence())
    assert good is not None
    assert sealed is not None
    assert refusal(world, evidence=encode(Sealed(bad(world, good), sealed.entry))) == (code, "evidence")
    world.block(evidence=encode(Sealed(good, sealed.entry)))


def test_a_certificate_with_more_seals_than_it_takes_is_refused() -> None:
    world = CommitteeWorld(4)
    assert refusal(world, evidence=world.evidence(range(4))) == ("signers_wrong", "evidence")


def test_evidence_names_the_entry_to_the_byte() -> None:
    world = CommitteeWorld(4)
    good = world.certificate()
    assert good is not None
    assert refusal(world, evidence=encode(Sealed(good, bytes(32)))) == ("evidence_wrong", "evidence")


def test_the_first_block_has_no_evidence_and_every_other_has_some() -> None:
    world = CommitteeWorld(4, members=0)
    some = encode(Sealed(CommitCertificate(0, 0, bytes(32), ()), bytes(32)))
    assert refusal(world, evidence=some) == ("evidence_wrong", "evidence")
    world.block()
    assert refusal(world, evidence=b"") == ("evidence_wrong", "evidence")
    assert refusal(world, evidence=b"\x01") == ("encoding_unreadable", "evidence")


def test_the_first_block_of_a_version_has_the_certificate_of_the_committee_before() -> None:
    """Of another size, in another order: only that of the old one counts."""
    world = CommitteeWorld(5, consensus=PBFT)
    world.remove(world.r(2))
    old = world.committee(world.version - 1)
    assert len(old.members) == 5
    new = world.committee()
    digest, height = world.tip_digest(), world.ledger.height
    seals = tuple(Seal(place, world.committed(new, place, height, 0, digest)) for place in range(new.quorum))
    entry = sealed_in(world.evidence())
    assert entry is not None
    of_new = CommitCertificate(height, 0, digest, seals)
    assert refusal(world, evidence=encode(Sealed(of_new, entry.entry))) == ("signers_wrong", "evidence")
    world.block()
    assert world.ledger.tip is not None
    found = sealed_in(world.ledger.tip.evidence)
    assert found is not None
    assert len(found.certificate.seals) == quorum_of(5)


@BOTH
def test_any_quorum_in_any_view_will_do(consensus: int) -> None:
    world = CommitteeWorld(7, consensus=consensus, groups=7)
    for number, places in enumerate(((0, 1, 2, 3, 4), (2, 3, 4, 5, 6), (0, 2, 3, 5, 6))):
        world.block(evidence=world.evidence(places, view=number))


# The same everywhere


def whole() -> CommitteeWorld:
    world = CommitteeWorld(6)
    world.remove(world.order[0])
    world.end_epoch()
    world.block()
    world.end_epoch()
    world.block()
    return world


def test_an_audit_and_a_snapshot_come_to_the_same_committees() -> None:
    world = whole()
    world.end_epoch()
    blocks = [executed.data for executed in world.executed]
    assert audit(world.genesis_bytes, blocks, lambda _: None, {}, verify_each).digest == world.ledger.digest
    again = snapshots.restore(world.genesis_bytes, snapshots.take(world.ledger))
    assert again.configuration == world.ledger.configuration
    following = world.block().block
    assert again.execute(world.entries[-1], verify_each).block == following


def test_an_audit_finds_a_committee_and_a_certificate_that_are_not_so() -> None:
    world = whole()
    blocks = [executed.block for executed in world.executed]
    place = next(i for i, block in enumerate(blocks) if block.header.committee)
    told = decode_committee(blocks[place].header.committee)
    lie = encode(changed(told, keys=(*told.keys[1:], told.keys[0])))
    forged = changed(blocks[place], header=changed(blocks[place].header, committee=lie))
    data = [encode(block) for block in (*blocks[:place], forged)]
    with pytest.raises(AuditFault) as fault:
        audit(world.genesis_bytes, data, lambda _: None, {}, verify_each)
    assert (fault.value.reason.code, fault.value.reason.field) == ("chain_altered", "committee")


def test_signatures_that_were_checked_ahead_are_not_checked_again_and_others_are() -> None:
    world = CommitteeWorld(4)
    world.end_epoch()
    asked: list[Signed] = []

    def verify(checks: Sequence[Signed]) -> list[bool]:
        asked.extend(checks)
        return verify_each(list(asked))

    ledger = snapshots.restore(world.genesis_bytes, snapshots.take(world.ledger))
    world.now += 1
    entry = world.entry()
    ledger.execute(entry, verify)
    assert len(asked) == 1 + world.committee().quorum


def test_a_genesis_says_how_its_replicas_agree() -> None:
    world = CommitteeWorld(4, members=0)
    genesis = decode_genesis(world.genesis_bytes)
    raft = Ledger(encode_genesis(changed(genesis, parameters={})))
    assert (raft.by_committee, world.ledger.by_committee) == (False, True)
