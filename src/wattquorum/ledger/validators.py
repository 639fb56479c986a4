"""Validators: who runs a replica that votes, and with how much power (L-17, PROTOCOLS parts 1 and 2).

Governors admit a validator for a member, as a learner; the member says when its replica has caught up, and from the
next vector on it votes. A block that changes who votes makes a new vector at once; the last block of an epoch makes
one when powers by standing differ enough from those in force (hysteresis: otherwise every day would cost a change).
Standing is that of `standing list`, as the state has it after the block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import address_of
from wattquorum.foundation.quantities import MILLION, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account, check_active
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.facts import ValidatorChanged, VectorMade
from wattquorum.ledger.parameters import Parameters, Voting
from wattquorum.ledger.seats import VERSION_KEY_BYTES, KeptRound, Seat, Seats, Validator, Vector
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.transactions import AddValidator, ReadyValidator, RemoveValidator
from wattquorum.ledger.weighing import members
from wattquorum.standing.groups import GROUPS_MIN
from wattquorum.standing.power import project, tolerance_default, tolerance_max
from wattquorum.standing.voters import voters

WEIGHTLESS: Final = Points(0)


def version_place(version: int) -> bytes:
    """The key of a vector."""
    return version.to_bytes(VERSION_KEY_BYTES, "big")


def seats_of(state: State) -> Seats:
    """The one record of seats."""
    found: Seats = state.get(Table.SEATS, b"")
    return found


def vector_of(state: State, version: int) -> Vector | None:
    """A vector, if the state still has it."""
    found: Vector | None = state.get(Table.VECTOR, version_place(version))
    return found


def configuration_of(state: State, version: int) -> Configuration:
    """A vector as an engine is told it."""
    vector = vector_of(state, version)
    assert vector is not None
    return Configuration(version, None, vector.voters, vector.learners, vector.height, vector.digest)


# Who runs a replica


def add_validator(context: Context, action: AddValidator) -> None:
    """Governors admit a replica for a member, one for each legal owner; a founding one is given to its member."""
    account = context.account(action.member, "member")
    if not account.key:
        raise Refused("out_of_range", "member", account.name, "Reserved accounts run no replica.")
    check_active(account, "member")
    replica = address_of(context.chain_id, action.key)
    before: Validator | None = context.state.get(Table.VALIDATOR, replica)
    if before is not None and (before.member or before.seat is Seat.REMOVED):
        raise Refused("validator_exists", "key", action.key, "Give the replica a key of its own.")
    for _, other in context.state.items(Table.VALIDATOR):
        if other.member and other.seat is not Seat.REMOVED:
            owner = context.account(other.member).legal_owner
            if owner == account.legal_owner:
                raise Refused("validator_exists", "member", account.name, "A legal owner runs one replica (L-17).")
    days = context.chain().days_closed
    if before is None:
        seated = sum(each.seat is not Seat.REMOVED for _, each in context.state.items(Table.VALIDATOR))
        if seated >= context.parameters().validators_max:
            raise Refused("validators_too_many", "key", action.key)
        _put(context, replica, Validator(action.key, action.member, Seat.LEARNER, 0, 0, days))
    else:
        _put(context, replica, changed(before, member=action.member, days_closed=days))


def ready_validator(context: Context, payload: ReadyValidator) -> None:
    """A member says that its replica has caught up: it votes from the next vector on."""
    validator: Validator | None = context.state.get(Table.VALIDATOR, payload.replica)
    if validator is None or validator.member != context.sender:
        raise Refused("validator_unknown", "replica", payload.replica)
    if validator.seat is not Seat.LEARNER:
        raise Refused("validator_unknown", "replica", payload.replica, "It is no learner any more.")
    check_active(context.account(context.sender), "sender")
    _put(context, payload.replica, changed(validator, seat=Seat.VOTER))


def remove_validator(context: Context, action: RemoveValidator) -> None:
    """Governors take a seat away."""
    validator: Validator | None = context.state.get(Table.VALIDATOR, action.replica)
    if validator is None or validator.seat is Seat.REMOVED:
        raise Refused("validator_unknown", "replica", action.replica)
    if not _remove(context, action.replica, validator):
        raise Refused("validators_too_few", "replica", action.replica)


def dismiss(context: Context, member: bytes) -> None:
    """A member leaves: its seat goes at once (L-24), unless too few others would vote."""
    for replica, validator in list(context.state.items(Table.VALIDATOR)):
        if validator.member == member and validator.seat is not Seat.REMOVED:
            _remove(context, replica, validator)


def _remove(context: Context, replica: bytes, validator: Validator) -> bool:
    """Takes a seat away, unless nobody would vote, or fewer than can bear that one of them lies."""
    voting = sum(each.seat is Seat.VOTER for _, each in context.state.items(Table.VALIDATOR))
    least = GROUPS_MIN if context.parameters().by_committee else 1
    if validator.seat is Seat.VOTER and voting <= least:
        return False
    _put(context, replica, changed(validator, seat=Seat.REMOVED))
    return True


def _put(context: Context, replica: bytes, validator: Validator) -> None:
    context.state.put(Table.VALIDATOR, replica, validator)
    context.tell(ValidatorChanged(replica, validator.key, validator.member, validator.seat))


# Who votes with how much power


def seat_voters(
    state: State, parameters: Parameters, height: int, digest: bytes, *, epoch_ends: bool
) -> VectorMade | None:
    """The vector that a block makes at its end, if it makes one; `digest` is that of the state before the block."""
    seats = seats_of(state)
    newest = vector_of(state, seats.newest)
    assert newest is not None
    voting = [replica for replica, each in state.items(Table.VALIDATOR) if each.seat is Seat.VOTER]
    learners = tuple(replica for replica, each in state.items(Table.VALIDATOR) if each.seat is Seat.LEARNER)
    same_voters = voting == [voter.replica for voter in newest.voters]
    moved = not same_voters or learners != newest.learners
    if not moved and not epoch_ends:
        return None
    # A learner alone changes no power: the change needs no joint configuration then.
    voters = newest.voters if same_voters and not epoch_ends else _powers(state, parameters, voting)
    if not moved:
        in_force = vector_of(state, seats.old)
        assert in_force is not None
        if voters == newest.voters or distance(voters, in_force.voters) < max(parameters.hysteresis, 1):
            return None
    version = seats.newest + 1
    state.put(Table.VECTOR, version_place(version), Vector(voters, learners, height, digest))
    state.put(Table.SEATS, b"", changed(seats, newest=version))
    return VectorMade(version, voters, learners)


def _powers(state: State, parameters: Parameters, voting: Sequence[bytes]) -> tuple[Voter, ...]:
    if parameters.voting == Voting.EQUAL:
        return tuple(Voter(replica, 1) for replica in voting)
    chain: Chain = state.get(Table.CHAIN, b"")
    weights = {voter.owner: voter.weight for voter in voters(members(state, parameters))}
    standing = []
    for replica in voting:
        validator: Validator = state.get(Table.VALIDATOR, replica)
        proved = chain.days_closed - validator.days_closed >= parameters.probation_days
        account: Account | None = state.get(Table.ACCOUNT, validator.member)
        known = account is not None and proved
        standing.append(weights.get(account.legal_owner, WEIGHTLESS) if account is not None and known else WEIGHTLESS)
    most = tolerance_max(len(voting))
    lost = min(parameters.voters_lost, most) if parameters.voters_lost else tolerance_default(len(voting))
    return tuple(map(Voter, voting, project(standing, voting, lost)))


def distance(one: Sequence[Voter], other: Sequence[Voter]) -> Ppm:
    """Total variation: half the sum of how much the shares of all power differ, replica by replica [ppm]."""
    first = {voter.replica: voter.power for voter in one}
    second = {voter.replica: voter.power for voter in other}
    total, others = sum(first.values()), sum(second.values())
    differ = sum(
        abs(first.get(replica, 0) * others - second.get(replica, 0) * total)
        for replica in dict.fromkeys((*first, *second))
    )
    return Ppm(differ * MILLION // (2 * total * others))


def prune(state: State) -> None:
    """Drops the vectors that no block and no evidence can refer to any more."""
    kept: list[KeptRound] = [each for _, each in state.items(Table.ROUND)]
    prune_below(state, min([seats_of(state).old, *(each.old for each in kept)]))


def prune_below(state: State, oldest: int) -> None:
    """Drops the vectors below a version."""
    for key, _ in list(state.items(Table.VECTOR)):
        if int.from_bytes(key, "big") < oldest:
            state.drop(Table.VECTOR, key)
