"""Voting: for whom a member votes in its group (B-4). A member may put any other policy in the place of this one.

A policy is a pure function of the ballot paper, which everybody can make from the chain; it sees nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wattquorum.foundation.quantities import Energy, Points
from wattquorum.ledger.elections import elector_of, running
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.offices import Elector
from wattquorum.ledger.state import Table
from wattquorum.ledger.trust import owner_of
from wattquorum.ledger.weighing import members
from wattquorum.standing.election import tie
from wattquorum.standing.voters import voters


class Choice(NamedTuple):
    """One for whom a member may vote: somebody of its group who runs a replica that votes."""

    member: bytes
    trust: Points
    traded: Energy
    tie: bytes
    stands: bool  # by now


class Paper(NamedTuple):
    """What a member that votes chooses among, by address."""

    voter: bytes
    choices: tuple[Choice, ...]


VotePolicy = Callable[[Paper], bytes | None]  # None: it does not vote


def most_trusted(paper: Paper) -> bytes | None:
    """The one of most trust among those who stand, or among all where nobody does yet.

    Ties go to more traded energy, then to the smaller tie. Never the voter itself, unless there is nobody else.
    """
    others = [each for each in paper.choices if each.member != paper.voter]
    standing = [each for each in others if each.stands]
    found = standing or others or list(paper.choices)
    if not found:
        return None
    return min(found, key=lambda each: (-each.trust, -each.traded, each.tie)).member


def paper_of(ledger: Ledger, voter: bytes) -> Paper | None:
    """A member's ballot paper as the chain stands; None for who carries no vote now or has voted."""
    state = ledger.state
    own = elector_of(state, voter)
    if own is None or own.candidate:
        return None
    chain: Chain = state.get(Table.CHAIN, b"")
    people = {each.owner: each for each in voters(members(state, ledger.parameters))}
    replicas, choices = running(state), []
    electors: list[tuple[bytes, Elector]] = list(state.items(Table.ELECTOR))
    for address, each in electors:
        owner = owner_of(state, address)
        if each.group == own.group and owner in replicas:
            trust, traded = people[owner].trust, people[owner].traded
            choices.append(Choice(address, trust, traded, tie(ledger.chain_id, chain.epoch, address), each.stood))
    return Paper(voter, tuple(choices))
