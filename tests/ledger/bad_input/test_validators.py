"""Bad admissions, removals and readiness of replicas: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import NOBODY, Attempt, Case, check_case, name_of, refusals, suspended
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import key_of
from wattquorum.foundation.identities import address_of
from wattquorum.ledger.transactions import AddValidator, Leave, Propose, ReadyValidator, RemoveValidator, SetParameters

CASES: list[Case] = []
refused = refusals(CASES)


def replica(world: WatchedWorld, name: str) -> bytes:
    return address_of(world.ledger.chain_id, key_of(name).public)


def admit(world: WatchedWorld, member: str, key: str) -> bytes:
    world.done("operator", Propose(AddValidator(world.address(member), key_of(key).public)))
    return replica(world, key)


def adding(world: WatchedWorld, member: str, key: str, value: object) -> Attempt:
    return Attempt("operator", Propose(AddValidator(world.address(member), key_of(key).public)), value)


@refused("account_unknown", "member")
def admitting_a_replica_of_nobody(_: WatchedWorld) -> Attempt:
    return Attempt("operator", Propose(AddValidator(NOBODY, key_of("box").public)), NOBODY)


@refused("out_of_range", "member")
def admitting_a_replica_of_the_grid(world: WatchedWorld) -> Attempt:
    grid = world.ledger._reserved.grid
    return Attempt("operator", Propose(AddValidator(grid, key_of("box").public)), "grid")


@refused("account_inactive", "member")
def admitting_a_replica_of_a_suspended_member(world: WatchedWorld) -> Attempt:
    suspended(world, "c")
    return adding(world, "c", "box", "c is suspended")


@refused("account_inactive", "member")
def admitting_a_replica_of_a_member_that_leaves(world: WatchedWorld) -> Attempt:
    world.done("c", Leave())
    return adding(world, "c", "box", "c is leaving")


@refused("validator_exists", "key")
def admitting_a_key_twice(world: WatchedWorld) -> Attempt:
    admit(world, "c", "box")
    return adding(world, "p", "box", key_of("box").public)


@refused("validator_exists", "key")
def giving_away_a_founding_replica_that_is_somebodys(world: WatchedWorld) -> Attempt:
    admit(world, "c", "proposer")
    return adding(world, "p", "proposer", key_of("proposer").public)


@refused("validator_exists", "key")
def admitting_a_key_that_was_removed(world: WatchedWorld) -> Attempt:
    world.done("operator", Propose(RemoveValidator(admit(world, "c", "box"))))
    return adding(world, "c", "box", key_of("box").public)


@refused("validator_exists", "member")
def admitting_two_replicas_of_a_member(world: WatchedWorld) -> Attempt:
    admit(world, "c", "box")
    return adding(world, "c", "another box", "c")


@refused("validator_exists", "member")
def admitting_two_replicas_of_a_legal_owner(world: WatchedWorld) -> Attempt:
    admit(world, "g", "box")
    return adding(world, "x", "another box", "x")


@refused("validator_exists", "member")
def giving_a_founding_replica_to_an_owner_that_runs_one(world: WatchedWorld) -> Attempt:
    admit(world, "g", "box")
    return adding(world, "x", "proposer", "x")


@refused("validators_too_many", "key")
def one_more_than_there_are_seats(world: WatchedWorld) -> Attempt:
    admit(world, "c", "box")
    ahead = 8
    world.done("operator", Propose(SetParameters((("validators_max", 2),), world.ledger.height + ahead)))
    for _ in range(ahead):
        world.block(())
    return adding(world, "g", "crate", key_of("crate").public)


@refused("validator_unknown", "replica")
def removing_a_stranger(_: WatchedWorld) -> Attempt:
    return Attempt("operator", Propose(RemoveValidator(NOBODY)), NOBODY)


@refused("validator_unknown", "replica")
def removing_a_replica_twice(world: WatchedWorld) -> Attempt:
    box = admit(world, "c", "box")
    world.done("operator", Propose(RemoveValidator(box)))
    return Attempt("operator", Propose(RemoveValidator(box)), box)


@refused("validators_too_few", "replica")
def removing_the_last_that_votes(world: WatchedWorld) -> Attempt:
    admit(world, "c", "box")
    proposer = replica(world, "proposer")
    return Attempt("operator", Propose(RemoveValidator(proposer)), proposer)


@refused("validator_unknown", "replica")
def a_stranger_is_ready(_: WatchedWorld) -> Attempt:
    return Attempt("c", ReadyValidator(NOBODY), NOBODY)


@refused("validator_unknown", "replica")
def somebody_elses_replica_is_ready(world: WatchedWorld) -> Attempt:
    box = admit(world, "c", "box")
    return Attempt("p", ReadyValidator(box), box)


@refused("validator_unknown", "replica")
def a_voter_is_ready_again(world: WatchedWorld) -> Attempt:
    proposer = admit(world, "c", "proposer")
    return Attempt("c", ReadyValidator(proposer), proposer)


@refused("validator_unknown", "replica")
def a_removed_replica_is_ready(world: WatchedWorld) -> Attempt:
    box = admit(world, "c", "box")
    world.done("operator", Propose(RemoveValidator(box)))
    return Attempt("c", ReadyValidator(box), box)


@refused("account_inactive", "sender")
def a_suspended_members_replica_is_ready(world: WatchedWorld) -> Attempt:
    box = admit(world, "c", "box")
    suspended(world, "c")
    return Attempt("c", ReadyValidator(box), "c is suspended")


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_validators_are_refused_and_leave_no_trace(case: Case) -> None:
    check_case(case)
