"""Voting power: what a member's weight is worth in a vote, safe whatever the weights are.

Weights make bad votes as they are: all are zero at the start, and later one member may hold more than half, so that a
commit would lie on one disk. Voting power is a projection of them: integers, in the order of the weights, and blended
toward equality just so far that any `tolerance` members can be lost. It is computed once when standing changes, and
consensus knows nothing of where it comes from. Everything here is chosen; neither document says what to do with a
weight of zero or of more than half.

The promise, for n members and tolerance t: without any t of them there is still a quorum, every quorum has more than t
members, and more weight never means less power.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from wattquorum.foundation.quantities import MILLION, Points, VotingPower, apportion
from wattquorum.foundation.refusals import Refused

FLOOR: Final = Points(MILLION)  # 1 point: nobody is powerless
EQUAL_UP_TO: Final = 2  # members among whom no weight can count: either loss stops the ledger


def tolerance_default(members: int) -> int:
    """How many members may be lost if nothing else is said: a third of them, but one out of three already."""
    return 0 if members <= EQUAL_UP_TO else max(1, (members - 1) // 3)


def tolerance_max(members: int) -> int:
    """The most members that may be lost: beyond it no majority is left. At it, and n odd, weights decide nothing."""
    return max(0, (members - 1) // 2)


def total_power(members: int) -> int:
    """The sum of all powers: parts per million, finer where many members would be rounded together."""
    return max(MILLION, 4 * members * members)


def project(
    weights: Sequence[Points], addresses: Sequence[bytes], tolerance: int, floor: Points = FLOOR
) -> list[VotingPower]:
    """The voting powers of members with these weights, in the order given; their sum is `total_power`.

    With u = weight + floor, S the sum of u and T the sum of its t largest, powers are in proportion to u while T stays
    below S / 2 by a margin of S / 4n, and else to the blend of u with equality that makes it so. Split by largest
    remainder, ties by address. Raises Refused("out_of_range") for a tolerance outside 0..`tolerance_max`, a negative
    weight, or a floor that leaves all without power.
    """
    count = len(weights)
    if not 0 <= tolerance <= tolerance_max(count):
        raise Refused("out_of_range", "tolerance", tolerance, f"Choose from 0 to {tolerance_max(count)}.")
    if count and min(weights) < 0:
        raise Refused("out_of_range", "weights", min(weights), "Weights are zero or more.")
    if floor < 1:
        raise Refused("out_of_range", "floor", floor, "Choose a floor above zero.")
    raised = [1 if count <= EQUAL_UP_TO else weight + floor for weight in weights]
    top = sum(sorted(raised, reverse=True)[:tolerance])
    excess = 4 * count * top - (2 * count - 1) * sum(raised)
    if excess > 0:
        scale = (2 * count - 1 - 4 * tolerance) * count
        raised = [scale * each + excess for each in raised]
    powers = [VotingPower(power) for power in apportion(total_power(count), raised, addresses)] if count else []
    lost = sum(sorted(powers, reverse=True)[:tolerance])
    if count and 2 * lost >= total_power(count):
        raise AssertionError(f"{tolerance} of {count} members hold {lost} of {total_power(count)}")
    return powers


def ranked(powers: Sequence[VotingPower], addresses: Sequence[bytes]) -> list[int]:
    """The places of members by rank: more power first, ties by address."""
    return sorted(range(len(powers)), key=lambda i: (-powers[i], addresses[i]))


class QuorumSizes(NamedTuple):
    """How many members a quorum has: the fewest that can decide, and the fewest of which any choice decides."""

    fewest: int
    most: int


def quorum_sizes(powers: Sequence[VotingPower]) -> QuorumSizes:
    """The sizes of quorums, both 0 without members. A quorum holds more than half of all power."""
    total = sum(powers)
    ascending = sorted(powers)
    return QuorumSizes(_needed(reversed(ascending), total), _needed(ascending, total))


def _needed(powers: Iterable[int], total: int) -> int:
    held = 0
    for count, power in enumerate(powers, start=1):
        held += power
        if 2 * held > total:
            return count
    return 0
