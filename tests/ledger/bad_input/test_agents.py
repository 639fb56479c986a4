"""Bad votes, stands, attestations and accusations: each refused with its code, and nothing but a nonce changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest

from tests.ledger.bad_input.attempts import NOBODY
from tests.ledger.committee_world import PBFT, CommitteeWorld
from tests.ledger.watched import snapshot_of
from wattquorum.consensus.bft.committee import Committee
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import shown
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import Accuse, Attest, OwnCommit, Payload, SetStatus, Stand, Vote


class Attempt(NamedTuple):
    """A transaction that must be refused, and the value that its receipt must show."""

    sender: str
    payload: Payload
    value: object


Make = Callable[[CommitteeWorld], Attempt]


class Case(NamedTuple):
    code: str
    field: str
    make: Make


CASES: list[Case] = []


def refused(code: str, field: str) -> Callable[[Make], Make]:
    def note(make: Make) -> Make:
        CASES.append(Case(code, field, make))
        return make

    return note


def lived_in() -> CommitteeWorld:
    """Six members run replicas, three only trade; groups are formed, and the first committee is in office again."""
    world = CommitteeWorld(6)
    for number in range(3):
        world.member(f"l{number}", Side.BUY, money=0)
    world.end_epoch()
    world.blocks(2)
    return world


def others(world: CommitteeWorld, name: str) -> list[str]:
    """Who runs a replica and is in another group."""
    own = world.group_of(name)
    return [each for each in (f"m{n}" for n in range(6)) if world.address(each) not in own]


def mates(world: CommitteeWorld, name: str) -> list[str]:
    return [world.name_of(address) for address in world.group_of(name) if address != world.address(name)]


def voter_with_a_replica_beside(world: CommitteeWorld) -> tuple[str, str]:
    for name in ("l0", "l1", "l2", *(f"m{n}" for n in range(6))):
        found = [mate for mate in mates(world, name) if mate.startswith("m")]
        if found:
            return name, found[0]
    raise AssertionError


# Votes


@refused("vote_outside", "candidate")
def voting_for_another_groups_member(world: CommitteeWorld) -> Attempt:
    candidate = world.address(others(world, "l0")[0])
    return Attempt("l0", Vote(candidate), candidate)


@refused("vote_outside", "candidate")
def voting_for_nobody(_: CommitteeWorld) -> Attempt:
    return Attempt("l0", Vote(NOBODY), NOBODY)


@refused("vote_outside", "candidate")
def voting_for_the_grid(world: CommitteeWorld) -> Attempt:
    grid = world.ledger._reserved.grid
    return Attempt("l0", Vote(grid), grid)


@refused("vote_second", "sender")
def voting_twice(world: CommitteeWorld) -> Attempt:
    voter, candidate = voter_with_a_replica_beside(world)
    world.vote(voter, candidate)
    return Attempt(voter, Vote(world.address(candidate)), voter)


@refused("vote_second", "sender")
def voting_for_another_one_afterwards(world: CommitteeWorld) -> Attempt:
    voter, candidate = voter_with_a_replica_beside(world)
    world.vote(voter, candidate)
    return Attempt(voter, Vote(NOBODY), voter)


@refused("candidate_unseated", "candidate")
def voting_for_one_that_runs_no_replica(world: CommitteeWorld) -> Attempt:
    return Attempt("l1", Vote(world.address("l1")), world.address("l1"))


@refused("candidate_unseated", "candidate")
def voting_for_one_whose_replica_was_removed(world: CommitteeWorld) -> Attempt:
    voter, candidate = voter_with_a_replica_beside(world)
    world.remove(world.replica_of(candidate))
    return Attempt(voter, Vote(world.address(candidate)), world.address(candidate))


@refused("voter_unknown", "sender")
def voting_without_a_meter(_: CommitteeWorld) -> Attempt:
    return Attempt("operator", Vote(NOBODY), "operator")


@refused("voter_unknown", "sender")
def voting_in_an_epoch_that_had_begun_before_one_came(world: CommitteeWorld) -> Attempt:
    world.member("late", Side.BUY, money=0)
    return Attempt("late", Vote(world.address("m0")), "late")


@refused("voter_unknown", "sender")
def voting_with_a_second_account(world: CommitteeWorld) -> Attempt:
    world.member("l0b", Side.BUY, money=0, owner="l0")
    world.end_epoch()
    carrier, other = ("l0", "l0b") if world.address("l0") in world.electors() else ("l0b", "l0")
    assert world.address(carrier) in world.electors()
    return Attempt(other, Vote(world.address(carrier)), other)


@refused("account_inactive", "sender")
def voting_while_suspended(world: CommitteeWorld) -> Attempt:
    world.done("operator", SetStatus(world.address("l0"), Status.SUSPENDED, "late papers"))
    return Attempt("l0", Vote(world.address("l0")), "l0 is suspended")


# Standing


@refused("stand_early", "height")
def standing_before_the_epoch_closes(world: CommitteeWorld) -> Attempt:
    return Attempt("m0", Stand(), world.ledger.height + 1)


@refused("stand_early", "height")
def standing_in_the_block_that_announces_the_end(world: CommitteeWorld) -> Attempt:
    world.now = world.chain.epoch_started_ms + world.ledger.parameters.epoch_ms
    return Attempt("m0", Stand(), world.ledger.height + 1)


@refused("stand_outsider", "sender")
def standing_without_a_replica(world: CommitteeWorld) -> Attempt:
    world.announce()
    return Attempt("l0", Stand(), "l0")


@refused("stand_outsider", "sender")
def standing_with_a_replica_that_only_learns(world: CommitteeWorld) -> Attempt:
    world.admit("l0", "box")
    world.announce()
    return Attempt("l0", Stand(), "l0")


@refused("stand_outsider", "sender")
def standing_with_a_replica_that_was_removed(world: CommitteeWorld) -> Attempt:
    world.remove(world.replica_of("m1"))
    world.announce()
    return Attempt("m1", Stand(), "m1")


@refused("stand_second", "sender")
def standing_twice(world: CommitteeWorld) -> Attempt:
    world.announce()
    world.done("m0", Stand())
    return Attempt("m0", Stand(), "m0")


@refused("voter_unknown", "sender")
def standing_where_one_is_in_no_group(world: CommitteeWorld) -> Attempt:
    world.member("late", Side.BUY, money=0)
    world.ready("late", world.admit("late", "box"))
    world.announce()
    return Attempt("late", Stand(), "late")


# Attesting


def left_out(world: CommitteeWorld) -> tuple[str, int, OwnCommit]:
    """A member of the committee that the last embedded certificate leaves out, its height, and what it signed."""
    committee, digest = world.committee(), world.tip_digest()
    height = world.ledger.height
    world.block()
    place = committee.quorum
    commit = OwnCommit(height, 0, world.committed(committee, place, height, 0, digest))
    return world.member_of(committee.members[place]), height, commit


@refused("out_of_range", "commits")
def attesting_nothing(world: CommitteeWorld) -> Attempt:
    return Attempt(left_out(world)[0], Attest(()), "none")


@refused("attest_height", "height")
def attesting_a_height_that_did_not_exist(world: CommitteeWorld) -> Attempt:
    member, _, commit = left_out(world)
    return Attempt(member, Attest((changed(commit, height=1_000),)), 1_000)


@refused("attest_height", "height")
def attesting_a_height_whose_certificate_does_not_stand_yet(world: CommitteeWorld) -> Attempt:
    member, _, commit = left_out(world)
    return Attempt(member, Attest((changed(commit, height=world.ledger.height + 1),)), world.ledger.height + 1)


@refused("attest_height", "height")
def attesting_too_late(world: CommitteeWorld) -> Attempt:
    member, height, commit = left_out(world)
    world.blocks(height + 64 - world.ledger.height)
    return Attempt(member, Attest((commit,)), height)


@refused("attest_known", "height")
def attesting_twice(world: CommitteeWorld) -> Attempt:
    member, height, commit = left_out(world)
    world.done(member, Attest((commit,)))
    return Attempt(member, Attest((commit,)), height)


@refused("attest_known", "height")
def attesting_twice_at_once(world: CommitteeWorld) -> Attempt:
    member, height, commit = left_out(world)
    return Attempt(member, Attest((commit, commit)), height)


@refused("attest_known", "height")
def attesting_what_a_certificate_names(world: CommitteeWorld) -> Attempt:
    _, height, commit = left_out(world)
    return Attempt(world.member_of(world.order[0]), Attest((commit,)), height)


@refused("attest_outsider", "sender")
def attesting_without_a_replica(world: CommitteeWorld) -> Attempt:
    return Attempt("l0", Attest((left_out(world)[2],)), "l0")


@refused("attest_outsider", "height")
def attesting_where_one_was_not_in_office(world: CommitteeWorld) -> Attempt:
    _, height, commit = left_out(world)
    return Attempt(world.member_of(world.newest.learners[0]), Attest((commit,)), height)


@refused("seal_forged", "signature")
def attesting_with_what_one_did_not_sign(world: CommitteeWorld) -> Attempt:
    member, _, commit = left_out(world)
    return Attempt(member, Attest((changed(commit, signature=bytes(64)),)), bytes(64))


@refused("seal_forged", "signature")
def attesting_a_commit_of_another_view(world: CommitteeWorld) -> Attempt:
    member, _, commit = left_out(world)
    return Attempt(member, Attest((changed(commit, view=1),)), commit.signature)


@refused("seal_forged", "signature")
def attesting_what_one_signed_for_another_block(world: CommitteeWorld) -> Attempt:
    member, height, _ = left_out(world)
    committee = world.committee()
    signature = world.committed(committee, committee.quorum, height, 0, bytes(32))
    return Attempt(member, Attest((OwnCommit(height, 0, signature),)), signature)


@refused("seal_forged", "signature")
def one_bad_height_spoils_all(world: CommitteeWorld) -> Attempt:
    committee = world.committee()
    first = left_out(world)
    member, _, second = left_out(world)
    assert member == first[0]
    assert isinstance(committee, Committee)
    return Attempt(member, Attest((first[2], changed(second, signature=bytes(64)))), bytes(64))


# Accusing


@refused("evidence_outsider", "epoch")
def accusing_in_a_version_to_come(world: CommitteeWorld) -> Attempt:
    version = world.version + 1
    return Attempt("l0", Accuse(changed(world.lie(world.order[1]), epoch=version)), version)


@refused("evidence_outsider", "epoch")
def accusing_in_a_version_of_long_ago(world: CommitteeWorld) -> Attempt:
    lie = world.lie(world.order[1])
    world.end_epoch()
    world.blocks(66)
    return Attempt("l0", Accuse(lie), lie.epoch)


@refused("evidence_outsider", "member")
def accusing_a_learner(world: CommitteeWorld) -> Attempt:
    learner = world.newest.learners[0]
    return Attempt("l0", Accuse(world.lie(learner)), learner)


@refused("evidence_outsider", "member")
def accusing_nobody(world: CommitteeWorld) -> Attempt:
    return Attempt("l0", Accuse(changed(world.lie(world.order[0]), member=NOBODY)), NOBODY)


@refused("evidence_unproven", "digests")
def accusing_with_the_same_statement_twice(world: CommitteeWorld) -> Attempt:
    lie = world.lie(world.order[1])
    digest = lie.digests[0]
    same = changed(lie, digests=(digest, digest), signatures=(lie.signatures[0], lie.signatures[0]))
    return Attempt("l0", Accuse(same), digest)


@refused("evidence_unproven", "signatures")
def accusing_with_what_nobody_signed(world: CommitteeWorld) -> Attempt:
    lie = world.lie(world.order[1])
    return Attempt("l0", Accuse(changed(lie, signatures=(lie.signatures[0], bytes(64)))), bytes(64))


@refused("evidence_unproven", "signatures")
def accusing_with_what_another_signed(world: CommitteeWorld) -> Attempt:
    lie = world.lie(world.order[1])
    return Attempt("l0", Accuse(changed(lie, member=world.order[2])), lie.signatures[0])


@refused("evidence_unproven", "signatures")
def accusing_in_another_phase(world: CommitteeWorld) -> Attempt:
    lie = world.lie(world.order[1], phase=3)
    return Attempt("l0", Accuse(changed(lie, phase=2)), lie.signatures[0])


@refused("evidence_known", "member")
def accusing_of_what_is_proven(world: CommitteeWorld) -> Attempt:
    lie = world.lie(world.order[1])
    world.done("l0", Accuse(lie))
    return Attempt("l1", Accuse(lie), lie.member)


@refused("account_inactive", "sender")
def accusing_while_suspended(world: CommitteeWorld) -> Attempt:
    world.done("operator", SetStatus(world.address("l0"), Status.SUSPENDED, "late papers"))
    return Attempt("l0", Accuse(world.lie(world.order[0])), "l0 is suspended")


# Where nobody is elected


@cache
def pbft_payloads() -> tuple[Payload, ...]:
    world = CommitteeWorld(4, consensus=PBFT)
    return Vote(NOBODY), Stand(), Attest((OwnCommit(1, 0, bytes(64)),)), Accuse(world.lie(world.order[0]))


for number in range(4):

    @refused("consensus_other", "consensus")
    def on_a_chain_without_agents(world: CommitteeWorld, number: int = number) -> Attempt:
        world.__init__(4, consensus=PBFT)  # type: ignore[misc]
        return Attempt("m0", pbft_payloads()[number], "pbft")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)
def test_bad_votes_stands_attestations_and_accusations_leave_no_trace(case: Case) -> None:
    world = lived_in()
    attempt = case.make(world)
    account, expected = world.account(attempt.sender), after_an_empty_block(world)
    receipt = world.do(attempt.sender, attempt.payload)
    found = (receipt.outcome, receipt.code, receipt.field, receipt.value)
    assert found == (Outcome.REFUSED, case.code, case.field, shown(attempt.value))
    assert world.account(attempt.sender) == changed(account, nonce=account.nonce + 1)
    place = (Table.ACCOUNT, world.address(attempt.sender))
    assert {**snapshot_of(world.ledger.state), place: b""} == {**expected, place: b""}


def after_an_empty_block(world: CommitteeWorld) -> dict[tuple[int, bytes], bytes]:
    """What the state will be if the next block has no transaction."""
    found = snapshot_of(world.ledger.state)
    world.now += 1
    entry = world.entry()
    world.now -= 1
    world.ledger.try_out(entry, verify_each)
    for table, key, record in world.ledger._trials[entry].changes:
        if record is None:
            found.pop((table, key), None)
        else:
            found[table, key] = encode(record)
    return found
