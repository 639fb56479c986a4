"""Collateral: what each side of a contract must have locked from acceptance to settlement (L-7).

It stands apart from settlement because it answers the opposite question: not what a side pays, but what it can at most
have to pay on this contract, whatever the meters show. The lock covers the worst compensation, the fine for the credit
at stake, and every transfer that can go against the side (for a buyer, normally, all of the promise at the grid's
price; for a seller only what negative prices take). L-7 is chosen, and so is the generalisation to negative prices.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import MILLION, WH_PER_KWH, Money, Points, away_from_zero
from wattquorum.foundation.vectors import Int64s
from wattquorum.market.terms import Policy, TermRows

ROUNDING_PER_INTERVAL: Final = 4  # units; `collateral` says why


class Locks(NamedTuple):
    """What each side locks for one contract [millionths]."""

    seller: Money
    buyer: Money


def at_stake(credit: Points, collateral_loss: Points, minimum_credit_loss: Points) -> Points:
    """The credit points whose fine a side locks: `min(credit, collateral_loss)`, at least the minimum loss (L-7).

    Locking for all of the credit would charge the most trusted most [chosen].
    """
    return max(min(credit, collateral_loss), minimum_credit_loss)


def collateral(
    promised: Int64s, terms: TermRows, mu: int, seller_points: Points, buyer_points: Points, policy: Policy
) -> Locks:
    """What seller and buyer lock for a contract that promises `promised` [intervals, Wh].

    `mu` is the penalty coefficient [millionths per kWh and point], the points are those of `at_stake`. `terms`
    broadcast to [intervals]. Energies lie in 0..1 GWh and prices within 1,000 per kWh, as packed vectors do.

    The lock is never below what the side has to pay: for all allotted energies 0 <= g, c <= promised, the sum of the
    transfers that it pays (incomes not set off), its compensation under `policy` and the fine for its points. Per
    interval the payments are linear in m and c, so that the worst lies in a corner: all exchanged, or all from the
    grid. Compensation is at most `grid_price - price - over_grid_fee` or `price - feed_in` per Wh missed, or nothing
    under OFF, which waives the fine as well. Transfers are rounded toward zero and so never exceed their product, but a
    loss is a difference of up to three rounded transfers on each side and may exceed its product by less than 3 units;
    the division below drops less than 1 more: ROUNDING_PER_INTERVAL.
    """
    price, feed_in, grid_price, over_grid_fee = terms
    seller_rate = -np.minimum(np.minimum(price, feed_in), 0)
    buyer_rate = np.maximum(np.maximum(price, 0) + np.maximum(over_grid_fee, 0), grid_price)
    buyer_rate = np.maximum(buyer_rate, 0)
    if policy is not Policy.OFF:
        seller_rate = seller_rate + np.maximum(grid_price - price - over_grid_fee, 0)
        buyer_rate = buyer_rate + np.maximum(price - feed_in, 0)
    slack = ROUNDING_PER_INTERVAL * int(np.count_nonzero(promised))
    seller = int((promised * seller_rate // WH_PER_KWH).sum()) + slack
    buyer = int((promised * buyer_rate // WH_PER_KWH).sum()) + slack
    if policy is not Policy.OFF:
        worst_fine = mu * int(promised.sum())
        seller += away_from_zero(worst_fine * seller_points, MILLION * WH_PER_KWH)
        buyer += away_from_zero(worst_fine * buyer_points, MILLION * WH_PER_KWH)
    return Locks(Money(seller), Money(buyer))
