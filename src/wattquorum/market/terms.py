"""Terms: the prices under which one contract is settled, and the band that a negotiated price must keep (L-6).

They stand apart because settlement, collateral and the negotiation's band read the same four prices. Tariffs are
pinned at acceptance (L-6); these are plain numbers that no longer know where they came from. The band is deduced from
A-17 (both sides better off than with the grid alone) with room for the handling fee of A-20 on either side.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.quantities import Price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s, lowest


class Policy(IntEnum):
    """What a side that falls short owes for it (A-18, L-3)."""

    TRUE_LOSS = 1  # the partner's true loss, and the fine
    PAPER = 2  # A-18 as published: the k-term, and the fine
    OFF = 3  # neither compensation nor fine: shadow mode, or a regulator that waives penalties


class Terms(NamedTuple):
    """The prices of one contract in one interval [millionths per kWh]; any of them may be negative."""

    price: Price  # p: consumer to generator, negotiated
    feed_in: Price  # ps: at which the grid buys
    grid_price: Price  # pb: at which the grid sells
    over_grid_fee: Price  # po: consumer to grid, on what the partners exchange


class TermRows(NamedTuple):
    """The prices of many contracts [millionths per kWh]: arrays that broadcast to [contracts, intervals].

    For a single contract they broadcast to [intervals].
    """

    price: Int64s
    feed_in: Int64s
    grid_price: Int64s
    over_grid_fee: Int64s


def check_band(terms: TermRows, fee: Price) -> None:
    """Refuses a price that does not leave both sides better off than the grid alone, fee included, in every interval.

    L-6: `feed_in < price - fee` and `price + over_grid_fee + fee < grid_price`, `fee` being what each side pays per
    kWh (A-20). Raises Refused("band_violated", "price", the price of the interval that misses the band by most), whose
    remedy states the open interval of prices that this interval admits.
    """
    gained = np.minimum(terms.price - terms.feed_in, terms.grid_price - terms.over_grid_fee - terms.price)
    if lowest(gained) > fee:
        return
    shape = gained.shape
    worst = np.unravel_index(int(gained.argmin()), shape)
    price, feed_in, grid_price, over_grid_fee = (int(np.broadcast_to(prices, shape)[worst]) for prices in terms)
    low, high = feed_in + fee, grid_price - over_grid_fee - fee
    where = f"in interval {int(worst[-1])}" if shape else "in every interval"
    if low + 1 < high:
        remedy = f"Choose a price above {low} and below {high} millionths per kWh {where}."
    else:
        remedy = f"The tariff leaves no room for a price {where}: it would have to lie above {low} and below {high}."
    raise Refused("band_violated", "price", price, remedy)
