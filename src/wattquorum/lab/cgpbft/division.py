"""Division: how even the groups of B-3 are, and how long it takes to form them, beside two simpler ways.

Traded energy is skewed, as energy is: a few members trade many times what most do. Trust lies around its value at
entry. The simple ways are a deal in random order, and the snake deal of sports teams: by falling energy, back and
forth. Neither looks at trust.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import exp, isqrt
from typing import Final, NamedTuple

from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Energy, Points
from wattquorum.standing.election import tie
from wattquorum.standing.groups import TAU, Candidate, grouped, spread

CHAIN: Final = b"division"
NODES: Final = (100, 300, 1_000, 3_000, 10_000)
GROUPS_MOST: Final = 40
DRAWS: Final = 12  # uniform ones that add up to something like a normal one


class Even(NamedTuple):
    """How far groups' sums differ, of their mean [ppm], and how long it took [ns]."""

    way: str
    nodes: int
    groups: int
    traded_ppm: int
    trust_ppm: int
    bound_ppm: int  # no groups whose sizes differ by at most one differ by less in traded energy
    took_ns: int  # processor time


def groups_of(nodes: int) -> int:
    """As many groups as members in each, up to 40."""
    return min(isqrt(nodes), GROUPS_MOST)


def community(seed: int, nodes: int) -> list[Candidate]:
    """Members whose energy is skewed and whose trust lies around 50 points."""
    chance = Chance(seed).stream(f"community of {nodes}")
    return [_member(chance, seed, number) for number in range(nodes)]


def _member(chance: Chance, seed: int, number: int) -> Candidate:
    traded = Energy(int(1_000_000 * exp(0.8 * _normal(chance))))
    trust = Points(min(max(int((50 + 15 * _normal(chance)) * MILLION), 0), POINTS_MAX))
    return Candidate(traded, trust, tie(CHAIN, seed, number.to_bytes(20, "big")))


def _normal(chance: Chance) -> float:
    return sum(chance.below(MILLION) for _ in range(DRAWS)) / MILLION - DRAWS / 2


def by_rules(candidates: Sequence[Candidate], count: int) -> list[list[int]]:
    """Groups by B-3."""
    return grouped(candidates, count, TAU, TAU)


def at_random(candidates: Sequence[Candidate], count: int) -> list[list[int]]:
    """Dealt in the order of the ties, which is nobody's."""
    order = sorted(range(len(candidates)), key=lambda i: candidates[i].tie)
    return [order[number::count] for number in range(count)]


def by_snake(candidates: Sequence[Candidate], count: int) -> list[list[int]]:
    """Dealt by falling energy, back and forth."""
    order = sorted(range(len(candidates)), key=lambda i: (-candidates[i].traded, candidates[i].tie))
    groups: list[list[int]] = [[] for _ in range(count)]
    for place, member in enumerate(order):
        turn, number = divmod(place, count)
        groups[count - 1 - number if turn % 2 else number].append(member)
    return groups


WAYS: Final[dict[str, Callable[[Sequence[Candidate], int], list[list[int]]]]] = {
    "B-3": by_rules,
    "snake": by_snake,
    "random": at_random,
}


def divided(way: str, seed: int, nodes: int) -> Even:
    """Divides a community, once."""
    candidates, count = community(seed, nodes), groups_of(nodes)
    begun = time.thread_time_ns()
    groups = WAYS[way](candidates, count)
    took = time.thread_time_ns() - begun
    differ = spread(candidates, groups)
    traded, trust = sum(each.traded for each in candidates), sum(each.trust for each in candidates)
    return Even(
        way,
        nodes,
        count,
        differ.traded * count * MILLION // traded,
        differ.trust * count * MILLION // trust,
        max(bound(candidates, count) * count * MILLION // traded, 0),
        took,
    )


def bound(candidates: Sequence[Candidate], count: int) -> int:
    """By how much sums of traded energy must differ at least, because of the member that trades most [Wh].

    Its group has at least this member and the smallest others, and the mean of all other groups is what is left.
    """
    traded = sorted(each.traded for each in candidates)
    least = traded[-1] + sum(traded[: len(traded) // count - 1])
    return least - (sum(traded) - least) // max(count - 1, 1) if count > 1 else 0
