"""Conduct: who comes to be an agent over epochs when some members cannot be relied on (B-3, B-4, B-5, B-7).

The product's own rules, epoch after epoch: groups by traded energy and trust, ballots weighed by trust, agents, and
what office earned or cost them and their voters. Nearly a third of all members are faulty: in office they fail now and
then, and they vote for each other. The others fail seldom, and vote for whom they trust most. Compared are the stakes
of the ledger, where misconduct costs a multiple of what conduct brings (B-5), and stakes where it costs the same.
Manners are chosen, each is stated, and nothing in them is fitted to anybody's result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from wattquorum.consensus.bft.committee import tolerated
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import MILLION, Energy, Points, Ppm
from wattquorum.standing.election import (
    Ballot,
    Elector,
    Stakes,
    after_idleness,
    after_office,
    after_voting,
    elect,
    tie,
)
from wattquorum.standing.groups import TAU, Candidate, grouped

CHAIN: Final = b"conduct"
TRUST: Final = Points(50 * MILLION)  # at entry (B-1)
KAPPA: Final = Ppm(980_000)  # B-7
ASYMMETRIC: Final = Stakes(Points(MILLION), Points(5 * MILLION), Points(MILLION // 2), Points(2 * MILLION))
SYMMETRIC: Final = Stakes(Points(MILLION), Points(MILLION), Points(MILLION // 2), Points(MILLION // 2))
STAKES: Final = {"asymmetric": ASYMMETRIC, "symmetric": SYMMETRIC}
KWH: Final = 1_000  # Wh


class Manners(NamedTuple):
    """How members behave, in parts per million of cases."""

    faulty: Ppm = Ppm(300_000)  # of all members
    fails: Ppm = Ppm(500_000)  # a faulty agent, in an epoch
    slips: Ppm = Ppm(20_000)  # any other agent
    idle: Ppm = Ppm(50_000)  # a member that does not vote in an epoch


class Setting(NamedTuple):
    """How many there are, for how long."""

    members: int = 100
    groups: int = 10
    epochs: int = 60


class Epoch(NamedTuple):
    """What an election came to, before its agents were paid."""

    faulty_agents: int
    failed_agents: int  # in that epoch
    agents: int
    faulty_primary: bool
    trust_faulty: int  # the mean [millionths of a point]
    trust_others: int

    @property
    def beyond(self) -> bool:
        """Whether more agents failed than agreement tolerates."""
        return self.failed_agents > tolerated(self.agents)


class _Member:
    """One member's numbers."""

    __slots__ = ("address", "faulty", "size", "traded", "trust")

    def __init__(self, number: int, size: int) -> None:
        self.address = number.to_bytes(20, "big")
        self.faulty = False
        self.size = size
        self.traded = Energy(0)
        self.trust = TRUST


def course(seed: int, stakes: Stakes, manners: Manners = Manners(), setting: Setting = Setting()) -> list[Epoch]:  # noqa: B008 - both are values
    """Elections over epochs. Seeds draw the same members and the same luck for all stakes."""
    chance = Chance(seed).stream("conduct")
    members = [_Member(number, chance.between(50, 250) * KWH) for number in range(setting.members)]
    chosen = list(range(setting.members))
    chance.shuffle(chosen)
    for number in chosen[: setting.members * manners.faulty // MILLION]:
        members[number].faulty = True
    return [
        _epoch(number, chance.stream(f"epoch {number}"), members, stakes, manners, setting)
        for number in range(setting.epochs)
    ]


def _epoch(
    number: int, chance: Chance, members: Sequence[_Member], stakes: Stakes, manners: Manners, setting: Setting
) -> Epoch:
    votes = [not chance.happens(manners.idle) for _ in members]
    fails = [chance.happens(manners.fails if each.faulty else manners.slips) for each in members]
    for each in members:
        each.traded = Energy(each.traded + chance.between(each.size * 9 // 10, each.size * 11 // 10))
    ties = [tie(CHAIN, number, each.address) for each in members]
    candidates = [Candidate(each.traded, each.trust, key) for each, key in zip(members, ties, strict=True)]
    groups = grouped(candidates, setting.groups, TAU, TAU)
    electors = [Elector(each.trust, each.traded, key, stands=True) for each, key in zip(members, ties, strict=True)]
    ballots = [
        Ballot(voter, favourite(members, electors, group, voter)) for group in groups for voter in group if votes[voter]
    ]
    outcome = elect(electors, groups, ballots)
    agents = [seat.agent for seat in outcome.seats if seat.agent is not None]
    primary = outcome.seats[outcome.order[0]].agent
    told = Epoch(
        sum(members[agent].faulty for agent in agents),
        sum(fails[agent] for agent in agents),
        len(agents),
        primary is not None and members[primary].faulty,
        _mean([each.trust for each in members if each.faulty]),
        _mean([each.trust for each in members if not each.faulty]),
    )
    for agent in agents:
        members[agent].trust = after_office(members[agent].trust, stakes, behaved=not fails[agent])
    for voter, candidate in ballots:
        if candidate in agents and candidate != voter:
            members[voter].trust = after_voting(members[voter].trust, stakes, behaved=not fails[candidate])
    for place, each in enumerate(members):
        if not votes[place] and place not in agents:
            each.trust = after_idleness(each.trust, KAPPA)
    return told


def favourite(members: Sequence[_Member], electors: Sequence[Elector], group: Sequence[int], voter: int) -> int:
    """Whom a member votes for: the most trusted of its group; a faulty one the most trusted of its kind."""
    kind = [place for place in group if members[place].faulty] if members[voter].faulty else group
    return min(kind, key=lambda place: (-electors[place].trust, -electors[place].traded, electors[place].tie))


def _mean(values: Sequence[int]) -> int:
    return sum(values) // max(len(values), 1)


class Band(NamedTuple):
    """A share over seeds: its mean, and the bounds of a 95 % interval of the mean."""

    mean: float
    low: float
    high: float


def band(values: Sequence[float]) -> Band:
    """The mean and 1.96 standard errors around it, in 0..1."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return Band(mean, 0.0, 1.0)
    variance = sum((each - mean) ** 2 for each in values) / (count - 1)
    reach: float = 1.96 * (variance / count) ** 0.5
    return Band(mean, max(mean - reach, 0.0), min(mean + reach, 1.0))
