"""Committees: who agrees on a chain whose replicas may lie, and in which order (B-4, B-6, B-8, PROTOCOLS 3).

Every member has one vote; the order says who proposes first, and who next when that one fails. In PBFT it is everybody
who votes, by address, and another committee as soon as that changes. In CGPBFT it is one agent for each group, and a
new version at every end of an epoch, though the same agents stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import changed
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreement import key_of
from wattquorum.ledger.blocks import NextCommittee
from wattquorum.ledger.context import Context
from wattquorum.ledger.facts import VectorMade
from wattquorum.ledger.parameters import Consensus, Parameters
from wattquorum.ledger.seats import Seat, Validator, Vector
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.validators import seats_of, vector_of, version_place


def seat_everybody(state: State, height: int, digest: bytes) -> VectorMade | None:
    """PBFT: a new committee where who votes or learns has changed; `digest` is of the state before the block."""
    newest = vector_of(state, seats_of(state).newest)
    assert newest is not None
    voting, learning = with_seat(state, Seat.VOTER), with_seat(state, Seat.LEARNER)
    if voting == [voter.replica for voter in newest.voters] and learning == list(newest.learners):
        return None
    return seat(state, voting, height, digest)


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


def need_agents(context: Context) -> Parameters:
    """The parameters; Refused("consensus_other") on a chain that no agents run."""
    parameters = context.parameters()
    if parameters.consensus != Consensus.CGPBFT:
        name = Consensus(parameters.consensus).name.lower()
        raise Refused("consensus_other", "consensus", name, "Agents are elected where the consensus is cgpbft.")
    return parameters
