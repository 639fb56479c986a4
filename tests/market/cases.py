"""Random markets for the tests beside this file: energies and prices small, odd and at their bounds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, PRICE_MAX, Energy, Price
from wattquorum.foundation.vectors import Int64s
from wattquorum.market.terms import TermRows, Terms

# What documents A's tables use [millionths per kWh].
FEED_IN, GRID_PRICE, OVER_GRID_FEE = Price(400_000), Price(750_000), Price(40_000)
PAPER_TERMS = Terms(Price(500_000), FEED_IN, GRID_PRICE, OVER_GRID_FEE)
KWH = 1_000
MWH = 1_000_000
CNY = 1_000_000

energies = st.one_of(st.integers(0, 5), st.integers(0, 60_000), st.integers(0, ENERGY_PER_INTERVAL_MAX)).map(Energy)
prices = st.one_of(st.integers(-5, 5), st.integers(-2_000_000, 2_000_000), st.integers(-PRICE_MAX, PRICE_MAX)).map(
    Price
)
any_terms = st.builds(Terms, prices, prices, prices, prices)


@st.composite
def terms_in_band(draw: st.DrawFn) -> Terms:
    """Terms with feed_in < price < grid_price - over_grid_fee; tariffs need not be positive."""
    feed_in = draw(st.integers(-1_000_000, 1_000_000))
    price = feed_in + draw(st.integers(1, 500_000))
    over_grid_fee = draw(st.integers(0, 100_000))
    grid_price = price + over_grid_fee + draw(st.integers(1, 500_000))
    return Terms(Price(price), Price(feed_in), Price(grid_price), Price(over_grid_fee))


def rows(terms: Terms, intervals: int = 1) -> TermRows:
    """The same terms in every interval of one contract."""
    return TermRows(*(np.full(intervals, price, dtype=np.int64) for price in terms))


class Market(NamedTuple):
    """Contracts with what was promised, allotted and agreed; energies are [contracts, intervals]."""

    promised: Int64s
    generated: Int64s
    consumed: Int64s
    terms: TermRows

    def interval_terms(self, contract: int, interval: int) -> Terms:
        """The terms of one contract in one interval."""
        shape = self.promised.shape
        return Terms(*(Price(int(np.broadcast_to(each, shape)[contract, interval])) for each in self.terms))


def energy_array(shape: tuple[int, ...]) -> st.SearchStrategy[Int64s]:
    """Energies of a random magnitude [Wh]."""
    magnitude = st.sampled_from([3, 100, 50_000, ENERGY_PER_INTERVAL_MAX])
    return magnitude.flatmap(lambda most: arrays(np.int64, shape, elements=st.integers(0, most)))


def price_array(shape: tuple[int, ...]) -> st.SearchStrategy[Int64s]:
    """Prices of a random magnitude, of either sign or none below zero [millionths per kWh]."""
    span = st.sampled_from([(-3, 3), (0, 800_000), (-800_000, 800_000), (-PRICE_MAX, PRICE_MAX)])
    return span.flatmap(lambda bounds: arrays(np.int64, shape, elements=st.integers(*bounds)))


@st.composite
def markets(draw: st.DrawFn) -> Market:
    """A few contracts over a few intervals whose prices come in every shape that broadcasts."""
    contracts, intervals = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    shape = (contracts, intervals)
    shapes = st.sampled_from([shape, (intervals,), (1, intervals), (contracts, 1), (1,), ()])
    promised, generated, consumed = (draw(energy_array(shape)) for _ in range(3))
    return Market(promised, generated, consumed, TermRows(*(draw(shapes.flatmap(price_array)) for _ in range(4))))
