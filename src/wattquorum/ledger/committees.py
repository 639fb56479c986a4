"""Committees: who agrees on a chain whose replicas may lie, and in which order (B-4, B-6, B-8, PROTOCOLS 3).

Every member has one vote; the order says who proposes first, and who next when that one fails. In PBFT it is everybody
who votes, by address, and another committee as soon as that changes. In CGPBFT it is one agent for each group, and a
new version at every end of an epoch, though the same agents stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import changed
from wattquorum.ledger.agreement import key_of
from wattquorum.ledger.blocks import NextCommittee
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.facts import VectorMade
from wattquorum.ledger.seats import Seat, Validator, Vector
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.validators import seats_of, vector_of, version_place
from wattquorum.standing.election import tie


def seat_everybody(state: State, height: int, digest: bytes) -> VectorMade | None:
    """PBFT: a new committee where who votes or learns has changed; `digest` is of the state before the block."""
    newest = vector_of(state, seats_of(state).newest)
    assert newest is not None
    voting, learning = with_seat(state, Seat.VOTER), with_seat(state, Seat.LEARNER)
    if voting == [voter.replica for voter in newest.voters] and learning == list(newest.learners):
        return None
    return seat(state, voting, height, digest)


def seat_agents(state: State, chain_id: bytes, height: int, digest: bytes) -> VectorMade:
    """CGPBFT: the next committee at an epoch's end: the agents that there are, without those that were removed.

    In the place of one that was removed comes, last, another that votes, by its tie, so that there are never too few.
    """
    seats = seats_of(state)
    present = vector_of(state, seats.newest)
    assert present is not None
    voting = with_seat(state, Seat.VOTER)
    members = [voter.replica for voter in present.voters if voter.replica in voting]
    chain: Chain = state.get(Table.CHAIN, b"")
    drawn = sorted(voting, key=lambda replica: tie(chain_id, chain.epoch, replica))
    others = [replica for replica in drawn if replica not in members]
    return seat(state, [*members, *others[: len(present.voters) - len(members)]], height, digest)


def with_seat(state: State, seat: Seat) -> list[bytes]:
    """The replicas that have a seat of a kind, by address."""
    found: list[tuple[bytes, Validator]] = list(state.items(Table.VALIDATOR))
    return [replica for replica, each in found if each.seat is seat]


def seat(state: State, members: Sequence[bytes], height: int, digest: bytes) -> VectorMade:
    """Makes a version of these members, in this order; all others that were not removed learn."""
    seats = seats_of(state)
    version, seated = seats.newest + 1, dict.fromkeys(members)
    voters = tuple(Voter(replica, 1) for replica in members)
    others = sorted((*with_seat(state, Seat.VOTER), *with_seat(state, Seat.LEARNER)))
    learners = tuple(replica for replica in others if replica not in seated)
    state.put(Table.VECTOR, version_place(version), Vector(voters, learners, height, digest))
    state.put(Table.SEATS, b"", changed(seats, newest=version))
    return VectorMade(version, voters, learners)


def named(state: State, made: VectorMade) -> NextCommittee:
    """A committee as the header of the block that makes it names it."""
    return NextCommittee(made.version, tuple(key_of(state, voter.replica) for voter in made.voters))
