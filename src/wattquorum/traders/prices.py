"""Prices as positions in the band: 0 where the seller gains nothing over the grid, 1 where the buyer does not (L-6).

It stands apart because both sides haggle over one number per contract while a price may differ from interval to
interval: a position gives the price of every interval, and an offer's prices give back its position. Which side
keeps what share of the band is the same question seen from two ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.accounts import Side
from wattquorum.traders.situation import Situation


class Band(NamedTuple):
    """The open interval of prices in which both sides gain: int64 [millionths per kWh], one entry per interval."""

    low: Int64s  # feed_in + fee
    high: Int64s  # grid_price - over_grid_fee - fee

    @property
    def has_room(self) -> bool:
        """Whether every interval admits a price."""
        return bool((self.high - self.low >= 2).all())

    def keeping(self, share: float, side: Side) -> Int64s:
        """The prices that keep a share in 0..1 of the band for a side, always strictly inside it.

        As round as the band allows, and rounded in the side's favour.
        """
        width = self.high - self.low
        tick = 10 ** max(len(str(int(width.min()))) - 3, 0)
        wanted = self.low + np.rint(width * kept(share, side)).astype(np.int64)
        rounded = -(-wanted // tick) * tick if side is Side.SELL else wanted // tick * tick
        return self.inside(rounded)

    def inside(self, price: Int64s) -> Int64s:
        """The prices, and where they are not strictly inside the band, the nearest that are."""
        nearest: Int64s = np.clip(price, self.low + 1, self.high - 1)
        return nearest

    def position(self, price: Int64s, energy: Int64s) -> float:
        """Where prices lie in the band, weighted by energy; outside 0..1 when they are outside the band."""
        weights = energy.astype(np.float64)
        whole = float((weights * (self.high - self.low)).sum())
        return float((weights * (price - self.low)).sum()) / whole if whole else 0.0


def band_of(situation: Situation) -> Band:
    """The band of a day's tariffs, fee included (L-6)."""
    fee = situation.parameters.fee
    return Band(situation.feed_in + fee, situation.grid_price - situation.over_grid_fee - fee)


def kept(position: float, side: Side) -> float:
    """The share of the band that a side keeps at a position; applied twice it gives the position back."""
    return position if side is Side.SELL else 1.0 - position
