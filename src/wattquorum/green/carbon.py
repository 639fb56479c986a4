"""Carbon allowances: an obliged member's account over a period and what it settles to (A-14, L-19).

`S = quota + bought - sold - emitted`, and what was overdrawn before comes off. What is left at the period's close
lapses; a deficit carries over (chosen). All amounts are grams of CO2.
"""

from __future__ import annotations

from typing import NamedTuple

from wattquorum.foundation.quantities import Carbon


class Period(NamedTuple):
    """A member's account in one period [g]; `carried` is zero or the deficit of the periods before, below zero."""

    carried: Carbon
    quota: Carbon
    bought: Carbon
    sold: Carbon
    emitted: Carbon  # as verified so far
    reported: bool  # whether anything was verified in this period


def settlement(period: Period) -> Carbon:
    """S of A-14 [g]."""
    return Carbon(period.carried + period.quota + period.bought - period.sold - period.emitted)


def transferable(period: Period) -> Carbon:
    """What can be moved to others [g]: nobody sells what its own emissions and deficits need.

    As long as the period's emissions are not verified that is not known, and nothing can be moved: or a member that
    will be short anyway would give away all it was granted and lose nothing by it [chosen].
    """
    return Carbon(max(settlement(period), 0) if period.reported else 0)


def carried_over(period: Period) -> Carbon:
    """What the next period begins with [g]: a deficit; surplus lapses."""
    return Carbon(min(settlement(period), 0))
