"""Under which votes blocks are ordered, and what evidence of rounds counts (A-12, A-16, L-16)."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.voting_world import VotingWorld
from tests.ledger.watched import snapshot_of
from tests.ledger.world import key_of
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.audit import AuditFault, audit
from wattquorum.ledger.blocks import Applied, Round, order
from wattquorum.ledger.facts import EpochCounted, RoundCounted
from wattquorum.ledger.rounds import LATE_MAX, evidence_of
from wattquorum.ledger.state import Table


def refusal(world: VotingWorld, *, by: int = 0, old: int | None = None, new: int | None = None) -> tuple[str, str]:
    """What a block is refused for; the ledger is as it was then."""
    before, height = snapshot_of(world.ledger.state), world.ledger.height
    with pytest.raises(Refused) as refused:
        world.block(by=by, old=old, new=new)
    assert (snapshot_of(world.ledger.state), world.ledger.height) == (before, height)
    return refused.value.code, refused.value.field


def moved() -> VotingWorld:
    """Versions 0 to 2, of which 1 is in force."""
    world = VotingWorld()
    world.member("late", Side.BUY, money=0)
    box = world.admit("late", "box")
    world.install()
    world.ready("late", box)
    return world


# Rounds


def test_a_round_of_versions_that_nobody_made_is_refused() -> None:
    world = moved()
    assert refusal(world, new=3) == ("out_of_range", "round")
    assert refusal(world, old=3, new=3) == ("out_of_range", "round")


def test_versions_do_not_fall_once_they_were_in_force() -> None:
    world = moved()
    assert refusal(world, old=0, new=1) == ("out_of_range", "round")
    assert refusal(world, old=0, new=0) == ("out_of_range", "round")
    world.block(old=1, new=2)
    assert refusal(world, old=1, new=1) == ("out_of_range", "round")
    world.block(old=2, new=2)
    assert refusal(world, old=1, new=2) == ("out_of_range", "round")


def test_the_old_version_of_a_round_is_not_above_the_new_one() -> None:
    assert refusal(moved(), old=2, new=1) == ("out_of_range", "round")


def test_a_version_may_be_passed_over() -> None:
    world = VotingWorld()
    world.member("late", Side.BUY, money=0)
    world.ready("late", world.admit("late", "box"))
    world.block(old=0, new=2)
    assert (world.seats.old, world.seats.new) == (0, 2)


def test_a_learner_does_not_order_blocks_and_a_stranger_does_not() -> None:
    world = moved()
    for name in ("box", "nobody"):
        world.replicas.append(key_of(name))
    for by in (4, 5):
        assert refusal(world, by=by) == ("role_missing", "proposer")
    world.block(by=4, old=1, new=2)  # in version 2 the box votes


def test_a_removed_replica_orders_blocks_only_as_long_as_a_version_of_the_round_has_it() -> None:
    world = VotingWorld()
    world.remove(world.r(3))
    world.block(by=3)
    world.block(by=3, old=0, new=1)
    assert refusal(world, by=3, old=1, new=1) == ("role_missing", "proposer")


# Evidence


def test_evidence_counts_for_the_followers_and_not_for_the_leader() -> None:
    world = VotingWorld()
    executed = world.round(1, 2)
    assert (world.replies(), world.seats.rounds) == ([0, 1, 1, 0], 1)
    followers = (world.r(1), world.r(2))
    assert executed.told == (RoundCounted(world.ledger.height - 1, 1, 0, 0, world.r(0), followers),)


def test_evidence_counts_once_for_a_height_and_heights_rise() -> None:
    world = VotingWorld()
    world.block()
    world.block()
    world.block(evidence=world.evidence(1, 2))
    for back in (1, 2):  # the same height again, and the one before it
        executed = world.block(evidence=world.evidence(1, 2, back=back))
        assert executed.told == ()
    assert (world.replies(), world.seats.rounds) == ([0, 1, 1, 0], 1)


@pytest.mark.parametrize("height", [0, 1, 1_000_000], ids=["the genesis", "below evidence", "to come"])
def test_evidence_of_a_block_that_is_not_there_counts_as_none(height: int) -> None:
    world = VotingWorld()
    world.round(1, 2)
    executed = world.block(evidence=evidence_of(height, (world.r(1), world.r(2))))
    assert (executed.told, world.seats.rounds) == ((), 1)


def test_evidence_of_the_block_that_brings_it_counts_as_none() -> None:
    world = VotingWorld()
    world.block(evidence=world.evidence(1, 2, back=-1))
    assert world.seats.rounds == 0


def test_evidence_counts_for_64_blocks_and_no_longer() -> None:
    for wait, counted in ((LATE_MAX - 1, 1), (LATE_MAX, 0)):
        world = VotingWorld()
        world.block()
        evidence = world.evidence(1, 2)
        for _ in range(wait):
            world.block()
        world.block(evidence=evidence)
        assert world.seats.rounds == counted, wait
        assert len(list(world.ledger.state.items(Table.ROUND))) <= LATE_MAX


def test_evidence_counts_from_the_same_leader_and_term_alone() -> None:
    for by, term in ((1, 1), (0, 2), (1, 2)):
        world = VotingWorld()
        world.block()
        world.block(by=by, term=term, evidence=world.evidence(2, 3))
        assert (world.seats.rounds, world.replies()) == (0, [0] * 4), (by, term)


@pytest.mark.parametrize(
    "followers",
    [(), (1,), (1, 2, 3), (1, 1), (0, 1), (1, 0), (1, 9)],
    ids=["nobody", "too few", "one too many", "one twice", "the leader", "the leader last", "a stranger"],
)
def test_a_list_of_the_wrong_shape_counts_as_none_and_its_block_is_good(followers: tuple[int, ...]) -> None:
    world = VotingWorld()
    world.block()
    replicas = tuple(bytes(20) if number == 9 else world.r(number) for number in followers)
    executed = world.block(evidence=evidence_of(world.ledger.height, replicas))
    assert (executed.told, world.seats.rounds, world.replies()) == ((), 0, [0] * 4)
    assert world.seats.evidenced == 0  # so good evidence of that height can still come
    world.block(evidence=world.evidence(1, 2, back=1))
    assert world.seats.rounds == 1


@pytest.mark.parametrize("data", [b"nonsense", b"\x92\x01", encode([1, [b"short"]]), encode([1])])
def test_bytes_that_are_no_evidence_count_as_none(data: bytes) -> None:
    world = VotingWorld()
    world.block()
    world.block(evidence=data)
    assert world.seats.rounds == 0


def test_evidence_of_a_joint_round_needs_a_quorum_of_both_versions() -> None:
    """Four voters of 1; then a fifth, all with 200,000: with the leader three of four, and three of five."""
    world = moved()
    world.block(old=1, new=2)
    box = world.address_of_key("box")
    for followers, counted in (((world.r(1), box), 0), ((world.r(1), box, world.r(2)), 1)):
        world.block(old=1, new=2, evidence=evidence_of(world.ledger.height, followers))
        assert world.seats.rounds == counted
    assert world.validator(box).replies == 1


def test_a_learner_in_evidence_makes_it_count_as_none() -> None:
    world = moved()
    world.block()
    box = world.address_of_key("box")
    world.block(evidence=evidence_of(world.ledger.height, (world.r(1), box)))
    assert world.seats.rounds == 0


def test_evidence_after_its_version_was_left_is_judged_by_that_version() -> None:
    world = moved()
    world.block(old=1, new=1)
    evidence = world.evidence(1, 2)
    world.block(old=1, new=2)
    world.block(old=2, new=2)
    world.block(evidence=evidence)
    assert world.seats.rounds == 1


def test_whoever_orders_alone_keeps_no_rounds() -> None:
    world = VotingWorld(1)
    world.block(evidence=world.evidence())
    world.end_epoch()
    assert list(world.ledger.state.items(Table.ROUND)) == []
    assert (world.seats.rounds, world.seats.epochs) == (0, 0)


# Participation


def test_participation_is_the_share_of_an_epochs_rounds() -> None:
    """Of four rounds r1 helped in four, r2 in three, r3 in one: with rho 1 that is 1, 0.75 and 0.25 points."""
    world = VotingWorld(voting=2)
    for followers in ((1, 2), (1, 2), (2, 1), (1, 3)):
        world.round(*followers)
    executed = world.end_epoch()
    assert world.points() == [0, 1_000_000, 750_000, 250_000]
    assert (world.replies(), world.seats.rounds, world.seats.epochs) == ([0] * 4, 0, 1)
    told = {fact.replica: fact for fact in executed.told if isinstance(fact, EpochCounted)}
    assert told[world.r(2)] == EpochCounted(world.r(2), world.address("m2"), 3, 4, 0, 750_000, False)
    assert (told[world.r(0)].replies, told[world.r(0)].after) == (0, 0)  # the leader earns nothing


def test_participation_is_rounded_down_and_does_not_pass_100_points() -> None:
    world = VotingWorld(voting=2, rho=100 * MILLION, participation_epochs=10_000)
    for followers in ((1, 2), (1, 2), (1, 3)):
        world.round(*followers)
    world.end_epoch()
    assert world.points() == [0, 100_000_000, 66_666_666, 33_333_333]
    world.round(1, 2)
    world.end_epoch()
    assert world.points() == [0, 100_000_000, 100_000_000, 33_333_333]


def test_participation_decays_after_the_epochs_replies_were_counted() -> None:
    """Two epochs with all replies are 2 points; the second ends with a decay: 1.8. The fourth: (1.8 + 0 + 1) * .9."""
    world = VotingWorld(voting=2, participation_epochs=2)
    for _ in range(2):
        world.round(1, 2)
        world.end_epoch()
    assert world.points() == [0, 1_800_000, 1_800_000, 0]
    world.end_epoch()
    assert world.points()[1] == 1_800_000  # without rounds nothing is earned
    world.round(1, 3)
    world.end_epoch()
    assert world.points() == [0, 2_520_000, 1_620_000, 900_000]


def test_a_removed_replica_earns_nothing_more() -> None:
    world = VotingWorld(voting=2)
    world.round(3, 1)
    world.remove(world.r(3))
    world.end_epoch()
    assert world.points() == [0, 1_000_000, 0, 0]


# Histories

STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),  # proposer
        st.integers(1, 2),  # term
        st.integers(-1, 3),  # old version, above that of the last round
        st.integers(-1, 3),  # new version, likewise
        st.integers(-1, 5),  # evidence of how many blocks back; -1: none
        st.permutations(range(4)).flatmap(lambda order: st.integers(0, 4).map(lambda count: order[:count])),
        st.booleans(),  # whether the epoch ends
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_in_any_history_versions_never_fall_evidence_counts_once_and_what_is_needed_is_kept(
    steps: list[tuple[int, int, int, int, int, list[int], bool]],
) -> None:
    world = VotingWorld()
    counted: list[int] = []
    term = 1
    for by, rise, old, new, back, followers, ends in steps:
        term += rise - 1 if rise > 1 else 0
        seats = world.seats
        evidence = world.evidence(*followers, back=back) if 0 <= back < world.ledger.height else b""
        at = None
        if ends:
            at = world.ledger.state.get(Table.CHAIN, b"").epoch_started_ms + world.ledger.parameters.epoch_ms
        versions = max(0, seats.old + old), max(0, seats.new + new)
        possible = seats.old <= versions[0] <= versions[1] <= seats.newest and seats.new <= versions[1]
        block = partial(world.block, by=by, term=term, old=versions[0], new=versions[1], evidence=evidence, at=at)
        if not possible:
            with pytest.raises(Refused, match="round"):
                block()
            continue
        executed = block()
        assert world.seats.old >= seats.old
        assert world.seats.new >= seats.new
        counted += [fact.height for fact in executed.told if isinstance(fact, RoundCounted)]
        kept = [each for _, each in world.ledger.state.items(Table.ROUND)]
        needed = {world.seats.old, world.seats.new, world.seats.newest}
        needed |= {version for each in kept for version in (each.old, each.new)}
        assert all(world.has_vector(version) for version in needed)
    assert counted == sorted(set(counted))
    told = [fact for executed in world.executed for fact in executed.told if isinstance(fact, RoundCounted)]
    assert sum(len(fact.followers) for fact in told) == sum(world.replies()) + sum(
        fact.replies for executed in world.executed for fact in executed.told if isinstance(fact, EpochCounted)
    )
    assert [executed.data for executed in world.executed] == replayed(world)


def replayed(world: VotingWorld) -> list[bytes]:
    again = VotingWorld(members=False).ledger
    return [again.execute(entry, verify_each).data for entry in world.entries]


# Audits


def audited(world: VotingWorld, blocks: list[bytes]) -> int:
    return audit(world.genesis_bytes, blocks, lambda _: None, {}, verify_each).height


def test_an_audit_recomputes_rounds_and_participation() -> None:
    world = moved()
    world.round(1, 2)
    world.end_epoch()
    assert audited(world, [executed.data for executed in world.executed]) == world.ledger.height


@pytest.mark.parametrize(
    ("field", "value"),
    [("round", Round(2, 1, 1)), ("round", Round(1, 0, 1)), ("round", Round(1, 2, 2)), ("evidence", b"more")],
)
def test_an_audit_finds_a_round_or_evidence_that_was_altered(field: str, value: object) -> None:
    world = moved()
    world.round(1, 2)
    *before, last = world.executed
    forged = changed(last.block, header=changed(last.block.header, **{field: value}))
    with pytest.raises(AuditFault):
        audited(world, [*(each.data for each in before), encode(forged)])


def test_an_audit_refuses_a_block_that_no_voter_ordered() -> None:
    world = moved()
    stranger = key_of("stranger")
    world.now += 1
    entry = order(stranger, world.ledger.chain_id, world.now, world.ledger.applied, (), (), Round(1, 1, 1))
    with pytest.raises(Refused, match="role"):
        world.ledger.execute(entry, verify_each)
    good = world.block().block
    forged = changed(good, header=changed(good.header, proposer=stranger.public))
    with pytest.raises(AuditFault):
        audited(world, [*(each.data for each in world.executed[:-1]), encode(forged)])
    assert world.ledger.applied != Applied(0, bytes(32))


def test_a_block_of_an_earlier_term_than_the_one_before_it_cannot_be() -> None:
    world = VotingWorld()
    world.block(term=3)
    before = world.ledger.digest
    with pytest.raises(Refused) as refused:
        world.block(term=2)
    assert (refused.value.code, refused.value.field, world.ledger.digest) == ("out_of_range", "round.term", before)
