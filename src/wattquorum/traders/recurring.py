"""Recurring offers: a rule that a member leaves once, from which its own agent makes the day's offers (L-15).

Households do not negotiate by hand. The rule says which share of the forecast to trade, the price below which it will
not sell or above which it will not buy, and with whom; the agent posts offers of its own, answers what comes, and never
goes beyond the rule. The rule is the member's, not the ledger's: what reaches the chain are ordinary offers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.accounts import Side
from wattquorum.traders.negotiation import Manner, draw_manner, negotiate
from wattquorum.traders.prices import band_of, kept
from wattquorum.traders.situation import Situation
from wattquorum.traders.strategy import Step


class Recurring:
    """Trades by a rule."""

    name = "recurring"

    def __init__(
        self,
        *,
        share_of_forecast: int = MILLION,
        price_min: int | None = None,
        price_max: int | None = None,
        partners: Sequence[str] = (),
    ) -> None:
        """`share_of_forecast` [ppm]; price limits [millionths per kWh], None for any inside the band; partners by name.

        A seller heeds `price_min`, a buyer `price_max`; no partners means anybody.
        """
        if not 0 < share_of_forecast <= MILLION:
            raise ValueError(f"share_of_forecast is {share_of_forecast} ppm; give 1 to {MILLION}")
        if isinstance(partners, str):
            raise ValueError("partners is a text; give a list of names")
        self._share = share_of_forecast
        self._limits = {Side.SELL: price_min, Side.BUY: price_max}
        self._partners = tuple(partners)
        self._manners: dict[int, Manner | None] = {}

    def promise(self, situation: Situation, price: Int64s) -> Int64s:
        """The rule's share of the forecast [Wh per interval]; nothing beyond the price limit in any interval."""
        limit = self._limits[situation.side]
        if limit is not None:
            beyond = price < limit if situation.side is Side.SELL else price > limit
            if bool(beyond.any()):
                return np.zeros_like(situation.forecast.mean)
        return situation.forecast.mean * self._share // MILLION

    def decide(self, situation: Situation, random: np.random.Generator) -> Sequence[Step]:
        """This round's offers and answers within the rule."""
        if situation.day not in self._manners:
            self._manners[situation.day] = self._manner_of(situation, random)
        manner = self._manners[situation.day]
        if manner is None:
            return ()
        return negotiate(situation, random, self.promise, manner, partners=self._partners, posts=True)

    def _manner_of(self, situation: Situation, random: np.random.Generator) -> Manner | None:
        """Ends at the rule's limit where it has one; none when no price of the band is within the limit."""
        drawn = draw_manner(random, None, None, None)
        limit = self._limits[situation.side]
        if limit is None:
            return drawn
        band = band_of(situation)
        if not band.has_room:
            return None
        positions = (limit - band.low) / (band.high - band.low)
        reserve = max(0.0, *(kept(position, situation.side) for position in positions.tolist()))
        if reserve >= 1.0:
            return None
        return drawn._replace(reserve=reserve, opening=max(drawn.opening, reserve))
