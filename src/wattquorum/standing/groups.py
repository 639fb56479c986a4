"""Groups: members divided so that energy and trust are balanced between groups (B-3).

Rule 1: the groups' sums of traded energy N differ by at most tau_N of their mean. Rule 2, subject to rule 1: their sums
of trust T differ by at most tau_T. Groups differ by at most one member in size. Both rules are stated, the procedure is
chosen: members by falling N into the lightest group that has room, then exchanges of two members between the groups
that differ most, first until rule 1 holds, then, while it holds, until rule 2 does. Every step is a function of the
members' numbers and of the order of their ties, so that all replicas form the same groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.quantities import MILLION, Energy, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.standing.election import tie
from wattquorum.standing.voters import Member

GROUPS_DEFAULT: Final = 5  # of a community as large as the shipped one
TAU: Final = Ppm(20_000)  # tau_N and tau_T: by how much sums may differ, of their mean
GROUPS_MIN: Final = 4  # agents that agree although one of them is bad (PBFT with f = 1)
EXCHANGES_MAX: Final = 20  # per group: far more than balance ever took
SUM_MAX: Final = 2**61  # of N over all members: every sum and difference of an exchange stays inside 64 bits


class Candidate(NamedTuple):
    """A member to place: traded energy N [Wh], trust T, and the key by which ties are decided."""

    traded: Energy
    trust: Points
    tie: bytes


class Spread(NamedTuple):
    """By how much the groups' sums differ at most: energy [Wh] and trust [millionths of a point]."""

    traded: int
    trust: int


def group_count(configured: int, members: int) -> int:
    """How many groups there are: as configured, at least four, at most one for each member.

    Raises Refused("out_of_range") for fewer than four members.
    """
    if members < GROUPS_MIN:
        raise Refused("out_of_range", "members", members, f"Agreement among groups needs {GROUPS_MIN} members.")
    return min(max(configured, GROUPS_MIN), members)


def grouped(candidates: Sequence[Candidate], count: int, tau_traded: Ppm, tau_trust: Ppm) -> list[list[int]]:
    """The places of members by group; groups by their first member, members of a group ascending (B-3).

    `tau_traded` and `tau_trust` are what sums may differ by, of their mean [ppm]. Where no division is found that keeps
    a rule, the most balanced one that was met stands. Raises Refused("overflow") when all energy together leaves 61
    bits, Refused("out_of_range") for fewer members than groups.
    """
    if not 1 <= count <= len(candidates):
        raise Refused("out_of_range", "groups", count, f"Form from 1 to {len(candidates)} groups.")
    if sum(each.traded for each in candidates) >= SUM_MAX:
        raise Refused("overflow", "traded", sum(each.traded for each in candidates))
    order = sorted(range(len(candidates)), key=lambda i: (-candidates[i].traded, candidates[i].tie))
    traded = np.array([candidates[i].traded for i in order], dtype=np.int64)
    trust = np.array([candidates[i].trust for i in order], dtype=np.int64)
    groups = _Groups(traded, trust, _dealt(traded.tolist(), count))
    groups.balance(allowed(sum(traded.tolist()), count, tau_traded), allowed(sum(trust.tolist()), count, tau_trust))
    return sorted(sorted(order[place] for place in members.tolist()) for members in groups.members)


class Group(NamedTuple):
    """Members of one group, and their sums of N [Wh] and T."""

    members: tuple[Member, ...]
    traded: Energy
    trust: Points


class Division(NamedTuple):
    """Groups, and by how much their sums of N and T differ at most, of their mean [ppm]."""

    groups: tuple[Group, ...]
    traded_differ: Ppm
    trust_differ: Ppm


def divided(voters: Sequence[Member], chain_id: bytes, epoch: int, configured: int) -> Division:
    """The voters of an epoch by group, with what B-3 looks at; Refused("out_of_range") for fewer than four."""
    candidates = [Candidate(each.traded, each.trust, tie(chain_id, epoch, each.address)) for each in voters]
    count = group_count(configured, len(voters))
    places = grouped(candidates, count, TAU, TAU)
    groups = []
    for own in places:
        traded, trust = sum(candidates[i].traded for i in own), sum(candidates[i].trust for i in own)
        groups.append(Group(tuple(voters[i] for i in own), Energy(traded), Points(trust)))
    differ = spread(candidates, places)
    return Division(
        tuple(groups),
        _of_mean(differ.traded, count, sum(each.traded for each in groups)),
        _of_mean(differ.trust, count, sum(each.trust for each in groups)),
    )


def _of_mean(differ: int, count: int, total: int) -> Ppm:
    return Ppm(differ * count * MILLION // max(total, 1))


def allowed(total: int, count: int, tau: Ppm) -> int:
    """By how much the sums of `count` groups may differ: `tau` of their mean, rounded down."""
    return total * tau // (count * MILLION)


def spread(candidates: Sequence[Candidate], groups: Sequence[Sequence[int]]) -> Spread:
    """The spreads of a division."""
    traded = [sum(candidates[i].traded for i in members) for members in groups]
    trust = [sum(candidates[i].trust for i in members) for members in groups]
    return Spread(max(traded) - min(traded), max(trust) - min(trust))


def _dealt(traded: Sequence[int], count: int) -> list[list[int]]:
    """Places by group: each in turn into the group with the least energy that has room, ties by number."""
    large, rest = divmod(len(traded), count)
    room_left = rest  # groups that may still take one member more than the others
    heap = [(0, number) for number in range(count)]
    heapify(heap)
    groups: list[list[int]] = [[] for _ in range(count)]
    for place, energy in enumerate(traded):
        held, number = heappop(heap)
        while len(groups[number]) >= large + (1 if room_left else 0):
            held, number = heappop(heap)
        groups[number].append(place)
        if len(groups[number]) > large:
            room_left -= 1
        heappush(heap, (held + energy, number))
    return groups


class _Groups:
    """Groups under exchange, with their sums."""

    __slots__ = ("members", "traded", "traded_sums", "trust", "trust_sums")

    def __init__(self, traded: Int64s, trust: Int64s, places: Sequence[Sequence[int]]) -> None:
        self.traded, self.trust = traded, trust
        self.members = [np.array(each, dtype=np.int64) for each in places]
        self.traded_sums = [int(traded[each].sum()) for each in self.members]
        self.trust_sums = [int(trust[each].sum()) for each in self.members]

    def balance(self, traded_allowed: int, trust_allowed: int) -> None:
        """Exchanges members until both rules hold or nothing helps; rule 1 goes before rule 2."""
        left = EXCHANGES_MAX * len(self.members)
        while left and _differ(self.traded_sums) > traded_allowed and self._exchange_for_energy():
            left -= 1
        kept = max(traded_allowed, _differ(self.traded_sums))
        while left and _differ(self.trust_sums) > trust_allowed and self._exchange_for_trust(kept):
            left -= 1

    def _exchange_for_energy(self) -> bool:
        """The exchange between the richest and the poorest group that leaves them closest; False if none helps."""
        rich, poor = _ends(self.traded_sums)
        gap = self.traded_sums[rich] - self.traded_sums[poor]
        moved = self._moved(self.traded, rich, poor)
        left = np.abs(gap - 2 * moved)
        best = int(left.argmin())
        return int(left.flat[best]) < gap and self._swap(rich, poor, best)

    def _exchange_for_trust(self, traded_allowed: int) -> bool:
        """The exchange that brings the ends in trust closest and keeps rule 1; False if none helps."""
        sums = self.trust_sums
        ascending = sorted(range(len(sums)), key=lambda i: (sums[i], i))
        # Where the two ends have nothing to exchange, an end and another group may.
        pairs = [(ascending[-1], low) for low in ascending[:-1]] + [(high, ascending[0]) for high in ascending[-2:0:-1]]
        return any(self._exchange_between(rich, poor, traded_allowed) for rich, poor in pairs)

    def _exchange_between(self, rich: int, poor: int, traded_allowed: int) -> bool:
        gap = self.trust_sums[rich] - self.trust_sums[poor]
        if gap <= 0:
            return False
        left = np.abs(gap - 2 * self._moved(self.trust, rich, poor))
        energy = self._moved(self.traded, rich, poor)
        others = [each for i, each in enumerate(self.traded_sums) if i not in (rich, poor)]
        rich_then, poor_then = self.traded_sums[rich] - energy, self.traded_sums[poor] + energy
        high, low = np.maximum(rich_then, poor_then), np.minimum(rich_then, poor_then)
        if others:
            np.maximum(high, max(others), out=high)
            np.minimum(low, min(others), out=low)
        left[high - low > traded_allowed] = gap
        best = int(left.argmin())
        return int(left.flat[best]) < gap and self._swap(rich, poor, best)

    def _moved(self, values: Int64s, giver: int, taker: int) -> npt.NDArray[np.int64]:
        """[giver's members, taker's members]: how much leaves the giver when two are exchanged."""
        moved: npt.NDArray[np.int64] = values[self.members[giver]][:, None] - values[self.members[taker]]
        return moved

    def _swap(self, giver: int, taker: int, pair: int) -> bool:
        i, j = divmod(pair, len(self.members[taker]))
        given, taken = int(self.members[giver][i]), int(self.members[taker][j])
        self.members[giver][i], self.members[taker][j] = taken, given
        for values, sums in ((self.traded, self.traded_sums), (self.trust, self.trust_sums)):
            moved = int(values[given]) - int(values[taken])
            sums[giver] -= moved
            sums[taker] += moved
        return True


def _differ(sums: Sequence[int]) -> int:
    return max(sums) - min(sums)


def _ends(sums: Sequence[int]) -> tuple[int, int]:
    """The group with the largest sum and the one with the smallest, ties by number."""
    return max(range(len(sums)), key=lambda i: (sums[i], -i)), min(range(len(sums)), key=lambda i: (sums[i], i))
