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


def share_fine(amount: Money, performers: Sequence[tuple[bytes, Points]]) -> list[tuple[bytes, Money]]:
    """A fine shared among the nodes that traded and performed: (address, amount) in the order given (A-19).

    `performers` are (address, credit after the day's update), without the two sides of the contract. In proportion to
    credit, largest remainder first, ties by address; equally when all credits are zero. Nobody to share with gives an
    empty list, and the fine goes to the community.
    """
    if not performers:
        return []
    addresses = [address for address, _ in performers]
    parts = apportion(amount, [credit for _, credit in performers], addresses)
    return [(address, Money(part)) for address, part in zip(addresses, parts, strict=True)]
