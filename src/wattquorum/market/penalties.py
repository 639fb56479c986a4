"""Penalties: who defaulted, what the fine is, and who receives it (A-18, A-19, L-3 to L-5).

They stand apart from settlement because they look at a whole day, and from credit because they only need to know how
much credit was lost; compensation, the part of A-18 that makes the partner whole, is settled with the interval. The
fine of a day is computed once on a node's sums per role, `mu * dC * P`, capped once by what the collateral of all its
contracts leaves, and then divided among its contracts by shortfall, so that splitting a contract into ten changes
nothing. The shape of A-18 is deduced; the tolerance, the minimum loss of credit, the cap and the division are chosen;
that performing nodes share the fine is stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.quantities import (
    MILLION,
    WH_PER_KWH,
    Energy,
    Money,
    Points,
    Ppm,
    apportion,
    toward_zero,
)
from wattquorum.foundation.vectors import Int64s

RATE_BITS: Final = 96  # of a rate's fraction: what is cut off stays far below a millionth, whatever the day


def shortfall_rows(promised: Int64s, allotted: Int64s, tested: npt.NDArray[np.bool_]) -> Int64s:
    """How much each contract fell short over its tested intervals, [contracts] in Wh (L-4).

    `promised` and `allotted` are [contracts, intervals] in Wh; `tested` broadcasts to them and is false where the
    default test is waived: a recorded line fault (L-8), a reading that was estimated or substituted (L-11). Surplus in
    one interval does not offset shortfall in another.
    """
    short = promised - allotted
    np.maximum(short, 0, out=short)
    np.multiply(short, tested, out=short)
    shortfalls: Int64s = short.sum(axis=1)
    return shortfalls


def defaults(promised: Energy, shortfall: Energy, tolerance: Ppm) -> bool:
    """Whether a shortfall on what was promised lies beyond the tolerance (L-4).

    Both are sums over the tested intervals [Wh]. Default iff delivered < promised * (1 - tolerance), compared without
    a rounding; who promised nothing cannot default.
    """
    return (promised - shortfall) * MILLION < promised * (MILLION - tolerance)


def fine_points(credit_loss: Points, minimum_credit_loss: Points) -> Points:
    """The points that the fine counts: the credit lost, at least the minimum, so that default is never free (A-18)."""
    return max(credit_loss, minimum_credit_loss)


def fine(mu: int, points: Points, promised: Energy) -> Money:
    """The fine on a node's day and role: `mu * points * promised`, rounded once toward zero (A-18, L-5).

    `mu` is in millionths per kWh and point, `promised` the sum that the default test looked at [Wh].
    """
    return Money(toward_zero(mu * points * promised, MILLION * WH_PER_KWH))


def apportion_fine(
    total: Money, shortfalls: Sequence[Energy], caps: Sequence[Money], contract_ids: Sequence[bytes]
) -> list[Money]:
    """A day's fine divided among the node's contracts (L-5, L-7).

    By shortfall, largest remainder first, ties by id. `caps` are what each contract's collateral leaves, at least 0:
    what exceeds one goes to the others by ascending id, up to theirs, and only what exceeds them all is dropped. So the
    sum is min(total, sum of caps), however a promise was cut into contracts.
    """
    parts = [min(part, cap) for part, cap in zip(apportion(total, shortfalls, contract_ids), caps, strict=True)]
    over = total - sum(parts)
    for i in sorted(range(len(parts)), key=contract_ids.__getitem__):
        more = min(over, caps[i] - parts[i])
        parts[i] += more
        over -= more
    return [Money(part) for part in parts]


class Fine(NamedTuple):
    """A fine [millionths], and the places among the performers of those that get none of it."""

    amount: Money
    excluded: tuple[int, ...]


class SharedFines(NamedTuple):
    """A day's fines [millionths]: each performer's share, in the order given, and what nobody could be given."""

    shares: list[Money]
    rest: Money


def share_fines(fines: Sequence[Fine], performers: Sequence[tuple[bytes, Points]]) -> SharedFines:
    """A day's fines shared among the nodes that traded and performed (A-19).

    `performers` are (address, credit after the day's update). Every fine goes to those that it does not exclude, in
    proportion to credit; equally when all their credits are zero; to nobody when there are none [stated; the last two
    chosen]. A performer gets the sum over all fines, rounded once: largest remainder first, ties by address, so that
    shares and rest add up to the fines. It takes time linear in fines and performers [chosen: pooled by day].
    """
    earned = [credit for _, credit in performers]
    whole, rest, pooled = sum(earned), 0, 0
    per_point, per_head = 0, 0  # what all fines bring a point of credit, or a performer where no credit counts
    missed_per_point, missed_per_head = [0] * len(earned), [0] * len(earned)
    for amount, excluded in fines:
        eligible = len(earned) - len(excluded)
        if not eligible:
            rest += amount
            continue
        pooled += amount
        points = whole - sum(earned[i] for i in excluded)
        rate = (amount << RATE_BITS) // (points or eligible)
        if points:
            per_point += rate
        else:
            per_head += rate
        missed = missed_per_point if points else missed_per_head
        for i in excluded:
            missed[i] += rate
    weights = [
        credit * (per_point - missed_per_point[i]) + per_head - missed_per_head[i] for i, credit in enumerate(earned)
    ]
    parts = apportion(pooled, weights, [address for address, _ in performers])
    return SharedFines([Money(part) for part in parts], Money(rest))
