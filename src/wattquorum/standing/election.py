"""Election: each group votes for its agent, agents are put in order, and conduct in office is paid in trust.

Every member votes inside its group, and its vote weighs its trust T (B-4): order and first tie are stated, the weighing
is deduced. The agents form the committee of CGPBFT; the one with most votes is the primary, the next its backup. What
office earns or costs (B-5), who replaces a faulty agent (B-6) and what idleness costs (B-7) are rules on the same
numbers; their sizes are chosen. Ties go to the larger N, then to the smaller hash of chain, epoch and address, so that
nobody can choose an address that always wins them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import POINTS_MAX, Energy, Points, Ppm, portion
from wattquorum.foundation.refusals import Refused

EPOCH_BYTES: Final = 8


def tie(chain_id: bytes, epoch: int, address: bytes) -> bytes:
    """The key by which equals are ordered in an epoch (B-4)."""
    return tagged_hash("tie", chain_id, epoch.to_bytes(EPOCH_BYTES, "big"), address)


class Elector(NamedTuple):
    """A member of a group: T weighs its vote, N and the tie decide between equals; `stands` makes it eligible."""

    trust: Points
    traded: Energy
    tie: bytes
    stands: bool


class Ballot(NamedTuple):
    """A vote: places of the voter and of its candidate among the electors."""

    voter: int
    candidate: int


class Seat(NamedTuple):
    """What a group's vote came to: its agent, who comes next, and the agent's votes [millionths of a point].

    `agent` is None where nobody stands: such a group keeps the agent that it has. `runner_up` is the next that stands.
    """

    agent: int | None
    runner_up: int | None
    votes: int


class Outcome(NamedTuple):
    """An election: the seat of each group, and the groups by falling votes of their agents, seats without one last."""

    seats: list[Seat]
    order: list[int]


def elect(electors: Sequence[Elector], groups: Sequence[Sequence[int]], ballots: Iterable[Ballot]) -> Outcome:
    """Counts the ballots (B-4): V of a candidate is the sum of T over those that voted for it.

    `groups` hold places among the electors. Raises Refused("vote_invalid") for a second ballot of a voter, or a
    candidate of another group.
    """
    group_of = {place: number for number, members in enumerate(groups) for place in members}
    voted: dict[int, None] = {}
    counted: list[Ballot] = []
    for voter, candidate in ballots:
        if voter in voted:
            raise Refused("vote_invalid", "voter", voter)
        if voter not in group_of or group_of[voter] != group_of.get(candidate):
            raise Refused("vote_invalid", "candidate", candidate)
        voted[voter] = None
        counted.append(Ballot(voter, candidate))
    votes = votes_of(electors, counted)

    def rank(place: int) -> tuple[int, int, bytes]:
        return (-votes[place], -electors[place].traded, electors[place].tie)

    seats = []
    for members in groups:
        standing = sorted((place for place in members if electors[place].stands), key=rank)
        agent = standing[0] if standing else None
        runner_up = standing[1] if len(standing) > 1 else None
        seats.append(Seat(agent, runner_up, 0 if agent is None else votes[agent]))
    seated = [number for number, seat in enumerate(seats) if seat.agent is not None]
    vacant = [number for number, seat in enumerate(seats) if seat.agent is None]
    order = sorted(seated, key=lambda number: rank(seats[number].agent or 0))
    return Outcome(seats, [*order, *vacant])


def votes_of(electors: Sequence[Elector], ballots: Iterable[Ballot]) -> list[int]:
    """V of every elector: the sum of T over those who voted for it [millionths of a point] (B-4)."""
    votes = [0] * len(electors)
    for voter, candidate in ballots:
        votes[candidate] += electors[voter].trust
    return votes


class Stakes(NamedTuple):
    """What office brings and costs [millionths of a point] (B-5, chosen): the agent's, and each of its voters'."""

    alpha: Points  # an agent that behaved
    beta: Points  # one that did not
    delta: Points  # who voted for one that behaved
    gamma: Points  # who voted for one that did not


def check_stakes(stakes: Stakes) -> None:
    """Refuses stakes unless misconduct costs more than conduct brings: 0 < alpha < beta, 0 < delta < gamma (B-5)."""
    for gain, loss in (("alpha", "beta"), ("delta", "gamma")):
        low, high = getattr(stakes, gain), getattr(stakes, loss)
        if not 0 < low < high:
            raise Refused("parameter_out_of_range", gain, low, f"Choose {gain} above zero and below {loss}, {high}.")


def after_office(trust: Points, stakes: Stakes, *, behaved: bool) -> Points:
    """T of an agent at the end of its term: +alpha or -beta, in 0..100 points (B-5)."""
    return moved(trust, stakes.alpha if behaved else -stakes.beta)


def after_voting(trust: Points, stakes: Stakes, *, behaved: bool) -> Points:
    """T of who voted for an agent that behaved, +delta, or did not, -gamma, in 0..100 points (B-5)."""
    return moved(trust, stakes.delta if behaved else -stakes.gamma)


def after_idleness(trust: Points, kappa: Ppm) -> Points:
    """T of who neither voted nor took part in an epoch: `kappa * T` (B-7: purpose stated, form chosen)."""
    return Points(portion(trust, kappa))


def moved(trust: Points, change: int) -> Points:
    """T after a change, in 0..100 points."""
    return Points(min(max(trust + change, 0), POINTS_MAX))
