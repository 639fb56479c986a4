"""Funding: what a member of a demo keeps on its account.

A cashier only credits money that arrived; here a member's bank order keeps its free balance at one and a half times
the collateral that an average day of its own needs at a price in the middle of the band, for the day that is traded,
while yesterday's still stands locked. Buyers also keep what their use beyond all contracts would cost.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from wattquorum.foundation.quantities import MILLION, Money, Points
from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.context import DayTariff
from wattquorum.ledger.parameters import Parameters
from wattquorum.market.collateral import at_stake, collateral
from wattquorum.market.terms import Policy

LEAST: Final = Money(10 * MILLION)


def wanted_balance(side: Side, mean_day: Int64s, tariff: DayTariff, parameters: Parameters) -> Money:
    """The free balance that a member wants before trading [millionths], in whole units of the currency.

    `mean_day` is its average day so far [Wh per interval], all of which it might promise.
    """
    middle = (tariff.feed_in + tariff.grid_price - tariff.over_grid_fee) // 2
    points = at_stake(
        Points(parameters.initial_credit), Points(parameters.collateral_loss), Points(parameters.minimum_credit_loss)
    )
    locks = collateral(mean_day, tariff.terms(middle), parameters.mu, points, points, Policy(parameters.policy))
    need = locks.seller if side is Side.SELL else locks.buyer
    if side is Side.BUY:
        need = Money(need + int(np.maximum(mean_day * tariff.grid_price // 1_000, 0).sum()))
    return Money(max(LEAST, -(-3 * need // (2 * MILLION)) * MILLION))
