"""The quantile strategy, shipped as the default: promise what is best for the tariff, given what is uncertain.

Promising is a newsvendor problem. Let a seller promise q in an interval in which a will be generated. Against selling
everything to the grid, each kWh that is kept gains `p - ps`, each promised kWh costs the handling fee, and each kWh
missed costs compensation (`pb - po - p`, L-3) and, on a day of default, a fine and credit. With F the distribution of
a, promising a little more is worth

    (1 - F(q)) (p - ps) - fee - F(q) (pb - po - p + loss)

and the best promise is where this is zero: the quantile

    F(q) = (p - ps - fee) / (pb - ps - po + loss)                                   the critical ratio

because `p - ps` and `pb - po - p` add up to `pb - ps - po`. For a buyer the two change places, and a is what it uses.

`loss` per missed kWh follows from A-10 and A-18: a default on P with S missed takes C*S/P points of credit, fined with
mu*P each, hence mu*C per missed kWh; and the credit itself is worth something to the member. Its price is a stated
preference: a kept promise of a day earns at most (100 - C) * max_share points (A-9, L-5), and a member with
`standing` = 1 holds what a day's trade earns in credit as dear as what it earns in money. A point is then worth
standing * P * (p - ps - fee) / ((100 - C) * max_share), and the credit lost per missed kWh C times that, without P:

    loss = C * (mu + standing * (p - ps - fee) / ((100 - C) * max_share))

The more credit a member has, the more careful it is. Three things are left out, all on the careful side: the tolerance
(a shortfall of up to 5 % of a day costs compensation alone), that a partner who needs less is owed less, and the cap of
the fine by collateral. A member below the credit of a newcomer acts like one, since with nothing to lose it would never
rise again. Errors of neighbouring intervals hang together, so that a day goes wrong as a whole: the chance of default
on a day is larger than the ratio for wind, and smaller where errors are small against the tolerance; docs/traders.md
has what was measured, and `standing` was set by it.

Rules: A-9, A-10, A-18, L-3, L-4, L-5. The shape follows from them; `standing` and its default are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.accounts import Side
from wattquorum.market.terms import Policy
from wattquorum.traders.forecast import Floats
from wattquorum.traders.negotiation import Haggler
from wattquorum.traders.situation import Situation
from wattquorum.traders.strategy import Step

STANDING: Final = 1.25
LEVEL_LEAST: Final = 1e-6
LEVEL_MOST: Final = 0.999


def critical_ratio(situation: Situation, price: Int64s, standing: float = STANDING) -> Floats:
    """The probability of falling short that is worth running at `price` [millionths per kWh], per interval.

    Zero where the price gains nothing; see the module's text for the formula.
    """
    parameters = situation.parameters
    seller_margin = (price - situation.feed_in).astype(np.float64)
    buyer_margin = (situation.grid_price - situation.over_grid_fee - price).astype(np.float64)
    own, partners = (seller_margin, buyer_margin) if situation.side is Side.SELL else (buyer_margin, seller_margin)
    gain = np.maximum(own - parameters.fee, 0.0)
    credit = max(situation.credit, parameters.initial_credit) / MILLION
    to_earn = max(POINTS_MAX / MILLION - credit, 1.0) * parameters.max_share / MILLION
    loss = credit * standing * gain / to_earn
    if parameters.policy != Policy.OFF:
        loss = loss + np.maximum(partners, 0.0) + credit * parameters.mu
    whole = np.maximum(own, 0.0) + loss
    return np.divide(gain, whole, out=np.zeros_like(gain), where=whole > 0.0)


class Quantile:
    """Promises the quantile of the forecast that the critical ratio names, and haggles over the price."""

    name = "quantile"

    def __init__(
        self,
        *,
        standing: float = STANDING,
        opening: float | None = None,
        reserve: float | None = None,
        haste: float | None = None,
    ) -> None:
        """`standing`: how dear credit is against money (see the module); the others as for `Haggler`."""
        if not standing >= 0.0:
            raise ValueError(f"standing is {standing}; give zero or more")
        self._standing = standing
        self._haggler = Haggler(opening, reserve, haste)

    def promise(self, situation: Situation, price: Int64s) -> Int64s:
        """What is worth promising for the day at `price`: int64 [Wh per interval]."""
        ratio = critical_ratio(situation, price, self._standing)
        level = np.clip(ratio, LEVEL_LEAST, LEVEL_MOST)
        return np.where(ratio > 0.0, situation.forecast.quantile(level), 0)

    def decide(self, situation: Situation, random: np.random.Generator) -> Sequence[Step]:
        """This round's offers and answers."""
        return self._haggler.decide(situation, random, self.promise)
