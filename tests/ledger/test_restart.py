"""A committee that lost too many goes on by an act of governors: on the chain for ever, and by no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ledger.committee_world import CGPBFT, PBFT, CommitteeWorld
from tests.ledger.world import key_of
from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.agreed import (
    RESTART_PURPOSE,
    Approval,
    Restart,
    Restarted,
    Sealed,
    entry_digest,
    restart_digest,
    restart_in,
    restart_message,
    sealed_in,
)
from wattquorum.ledger.audit import audit
from wattquorum.ledger.light import LightClient, Steps
from wattquorum.ledger.restart import Act
from wattquorum.ledger.seats import Seat


class GovernedWorld(CommitteeWorld):
    """Two of three governors have to agree."""

    GOVERNORS = ("operator", "second", "third")
    APPROVALS_NEEDED = 2


def stuck(consensus: int) -> CommitteeWorld:
    """Six replicas, of which four are gone after some epochs."""
    world = GovernedWorld(6, consensus=consensus, members=0)
    world.member("nobody", Side.BUY, money=0)
    for _ in range(2):
        world.block()
        world.end_epoch()
    world.block()
    return world


def survivors(world: CommitteeWorld) -> list[bytes]:
    return [world.r(1), world.r(4)]


def act_of(world: CommitteeWorld, names: tuple[str, ...] = ("operator", "third"), version: int = 0) -> Act:
    """The act by which the survivors go on, approved by these."""
    keys = tuple(world.replica_keys[replica].public for replica in survivors(world))
    ledger = world.ledger
    restart = Restart(ledger.chain_id, ledger.height, ledger.tip_hash, version or world.version + 1, keys)
    return approved(world, restart, names)


def approved(world: CommitteeWorld, restart: Restart, names: tuple[str, ...] = ("operator", "third")) -> Act:
    approvals = [
        Approval(world.address(name), key_of(name).sign(RESTART_PURPOSE, restart_message(restart))) for name in names
    ]
    return Act(restart, tuple(sorted(approvals, key=lambda each: each.governor)))


def evidence_by(world: CommitteeWorld, act: Act) -> bytes:
    certificate = world.certificate()
    assert certificate is not None
    return encode(Restarted(Sealed(certificate, entry_digest(world.entries[-1])), act.restart, act.approvals))


def go_on(world: CommitteeWorld, act: Act) -> None:
    """The first block after the restart, and an epoch of those who went on."""
    first = survivors(world)[0]
    world.view = 0
    world.block(evidence=evidence_by(world, act), by=first, version=act.restart.version)
    world.block()
    world.end_epoch()
    world.block()


@pytest.mark.parametrize("consensus", [PBFT, CGPBFT], ids=["pbft", "cgpbft"])
def test_the_chain_goes_on_with_those_that_governors_name_and_says_so_for_ever(consensus: int) -> None:
    world = stuck(consensus)
    height, before = world.ledger.height, world.order
    act = act_of(world)
    expected = world.ledger.restarted_by(act.restart)
    go_on(world, act)
    assert expected.new == tuple(Voter(replica, 1) for replica in survivors(world))
    assert (expected.version, expected.basis_index) == (act.restart.version, height)
    assert sorted(world.order) == survivors(world), "and elections do not bring back who is gone"
    assert all(world.validator(each).seat is Seat.LEARNER for each in before if each not in survivors(world))
    first = world.executed[height].block.header
    found = restart_in(first.evidence)
    assert found is not None
    assert Act(found.restart, found.approvals) == act
    assert sealed_in(first.evidence) == found.sealed
    assert first.round.new == act.restart.version
    blocks = [each.data for each in world.executed]
    audited = audit(world.genesis_bytes, blocks, lambda _: None, {}, verify_each)
    assert audited.tip_hash == world.ledger.tip_hash


@pytest.mark.parametrize("consensus", [PBFT, CGPBFT], ids=["pbft", "cgpbft"])
def test_a_light_client_goes_on_there_only_by_the_act_that_it_trusts(consensus: int) -> None:
    world = stuck(consensus)
    height, act = world.ledger.height, act_of(world)
    go_on(world, act)
    headers = [each.block.header for each in world.executed]
    digest = restart_digest(act.restart)
    steps = Steps()
    for header in headers:
        steps.note(header)
    for trusted in ((), (bytes(32),)):
        client = LightClient(world.genesis_bytes, verify_each, trusted)
        for header in headers[:height]:
            client.take(header)
        with pytest.raises(Refused) as refused:
            client.take(headers[height])
        assert (refused.value.code, refused.value.value) == ("chain_restarted", digest.hex())
        assert client.checkpoint.height == height
        stepping = LightClient(world.genesis_bytes, verify_each, trusted)
        *before, last = [step for step in steps.between(0, len(headers)) if step.header.height <= height]
        for step in before:
            stepping.step(step)
        with pytest.raises(Refused) as refused:
            stepping.step(last)
        assert refused.value.code == "chain_restarted"
    client = LightClient(world.genesis_bytes, verify_each, (digest,))
    for header in headers:
        client.take(header)
    assert client.checkpoint.height == len(headers) - 1
    stepping = LightClient(world.genesis_bytes, verify_each, (digest,))
    for step in steps.between(0, len(headers)):
        stepping.step(step)
    led = LightClient(world.genesis_bytes, verify_each)
    steps.lead(led)
    assert stepping.committee.members == client.committee.members == led.committee.members
    going_on = LightClient(world.genesis_bytes, verify_each)  # who was given a checkpoint from beyond it needs no more
    going_on.begin_at(client.checkpoint, client.checkpoint.time_ms)
    sealed = sealed_in(world.evidence())
    assert sealed is not None
    going_on.take(headers[-1])
    going_on.prove(sealed)
    assert going_on.checkpoint.height == len(headers)


def other_block(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, block=bytes(32)))


def other_height(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, height=act.restart.height - 1))


def other_chain(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, chain=bytes(32)))


def same_version(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, version=world.version))


def far_version(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, version=world.version + 1_001))


def stranger(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, keys=(act.restart.keys[0], key_of("stranger").public)))


def twice(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, keys=act.restart.keys[:1] * 2))


def nobody(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, keys=()))


def one_approval(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, act.restart, ("operator",))


def one_twice(_: CommitteeWorld, act: Act) -> Act:
    return act._replace(approvals=act.approvals[:1] * 2)


def no_governor(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, act.restart, ("operator", "nobody"))


def forged(_: CommitteeWorld, act: Act) -> Act:
    return act._replace(approvals=(act.approvals[0], changed(act.approvals[1], signature=bytes(64))))


def of_another_act(world: CommitteeWorld, act: Act) -> Act:
    return act._replace(approvals=approved(world, changed(act.restart, version=act.restart.version + 1)).approvals)


def backwards(world: CommitteeWorld, act: Act) -> Act:
    return approved(world, changed(act.restart, keys=act.restart.keys[::-1]))


@pytest.mark.parametrize(
    ("alter", "code"),
    [
        (other_block, "evidence_wrong"),
        (other_height, "evidence_wrong"),
        (other_chain, "evidence_wrong"),
        (same_version, "out_of_range"),
        (far_version, "out_of_range"),
        (stranger, "validator_unknown"),
        (twice, "validator_unknown"),
        (nobody, "validator_unknown"),
        (one_approval, "approvals_missing"),
        (one_twice, "approvals_missing"),
        (no_governor, "role_missing"),
        (forged, "signature_forged"),
        (of_another_act, "signature_forged"),
        (backwards, "out_of_range"),
    ],
)
def test_what_governors_did_not_approve_of_this_block_changes_nothing(
    alter: Callable[[CommitteeWorld, Act], Act], code: str
) -> None:
    world = stuck(PBFT)
    act = alter(world, act_of(world))
    before = world.ledger.digest, world.ledger.state.root(), world.ledger.state.mark()
    with pytest.raises(Refused) as refused:
        world.block(evidence=evidence_by(world, act), by=survivors(world)[0], version=act.restart.version)
    assert refused.value.code == code
    assert (world.ledger.digest, world.ledger.state.root(), world.ledger.state.mark()) == before
    go_on(world, act_of(world))


def test_a_good_act_in_a_block_that_is_none_changes_nothing() -> None:
    """Whose turn it is in the new committee proposes, and the block before has its certificate, as everywhere."""
    world = stuck(PBFT)
    act = act_of(world)
    before = world.ledger.digest, world.ledger.state.root(), world.ledger.state.mark()
    certificate = world.certificate([0, 1, 2])
    assert certificate is not None
    few = encode(Restarted(Sealed(certificate, entry_digest(world.entries[-1])), act.restart, act.approvals))
    for place, evidence, code in ((1, evidence_by(world, act), "role_missing"), (0, few, "signers_wrong")):
        with pytest.raises(Refused) as refused:
            world.block(evidence=evidence, by=survivors(world)[place], version=act.restart.version)
        assert refused.value.code == code
        assert (world.ledger.digest, world.ledger.state.root(), world.ledger.state.mark()) == before
    go_on(world, act)


def test_without_an_act_the_old_committee_is_the_only_one() -> None:
    world = stuck(PBFT)
    with pytest.raises(Refused) as refused:
        world.block(by=survivors(world)[0], version=world.version + 1)
    assert refused.value.code == "out_of_range"
