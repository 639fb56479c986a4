"""The band of a negotiated price (L-6)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import PAPER_TERMS, Market, markets, rows
from wattquorum.foundation.quantities import Price
from wattquorum.foundation.refusals import Refused
from wattquorum.market.terms import TermRows, check_band

FEE = Price(1_000)  # .001 a kWh for each side


@pytest.mark.parametrize("price", [401_001, 500_000, 708_999])
def test_a_price_inside_the_band_passes(price: int) -> None:
    # ps + fee = .400 + .001 = .401 and pb - po - fee = .750 - .040 - .001 = .709, both excluded.
    check_band(rows(PAPER_TERMS._replace(price=Price(price)), 96), FEE)


@pytest.mark.parametrize("price", [-100_000, 401_000, 709_000, 900_000])
def test_a_price_on_or_outside_the_edges_is_refused_with_the_prices_that_would_do(price: int) -> None:
    with pytest.raises(Refused) as refusal:
        check_band(rows(PAPER_TERMS._replace(price=Price(price))), FEE)
    assert (refusal.value.code, refusal.value.field, refusal.value.value) == ("band_violated", "price", str(price))
    assert "above 401000 and below 709000 millionths per kWh in interval 0" in refusal.value.remedy


def test_one_bad_interval_is_enough_and_the_worst_one_is_named() -> None:
    terms = rows(PAPER_TERMS, 4)
    terms.price[:] = [500_000, 709_500, 390_000, 401_000]  # beyond the edge by .0005, .011 and 0
    with pytest.raises(Refused) as refusal:
        check_band(terms, FEE)
    assert refusal.value.value == "390000"
    assert refusal.value.remedy.endswith("in interval 2.")


def test_a_negative_price_is_legal_where_the_grid_takes_even_more() -> None:
    check_band(TermRows(np.array([-50_000]), np.array([-80_000]), np.array([10_000]), np.array([40_000])), FEE)


def test_a_tariff_without_room_says_that_no_price_will_do() -> None:
    terms = TermRows(np.array([500_000]), np.array([500_000]), np.array([541_000]), np.array([40_000]))
    with pytest.raises(Refused) as refusal:
        check_band(terms, Price(0))  # above .500 and below .501, where .500001 to .500999 would do
    assert "above 500000 and below 501000" in refusal.value.remedy
    with pytest.raises(Refused) as refusal:
        check_band(terms, FEE)
    assert "no room" in refusal.value.remedy


def test_prices_without_intervals_are_checked_too() -> None:
    with pytest.raises(Refused) as refusal:
        check_band(TermRows(*(np.array(price) for price in (1, 2, 5, 0))), Price(0))
    assert refusal.value.value == "1"
    assert refusal.value.remedy == "Choose a price above 2 and below 5 millionths per kWh in every interval."


@given(markets(), st.integers(0, 5_000).map(Price))
def test_a_price_is_refused_exactly_when_some_interval_misses_the_band(market: Market, fee: Price) -> None:
    every = [market.interval_terms(i, j) for i, j in np.ndindex(market.promised.shape)]
    if all(
        each.feed_in < each.price - fee and each.price + each.over_grid_fee + fee < each.grid_price for each in every
    ):
        check_band(market.terms, fee)
        return
    with pytest.raises(Refused) as refusal:
        check_band(market.terms, fee)
    excess = [
        max(each.feed_in + fee - each.price, each.price + each.over_grid_fee + fee - each.grid_price) for each in every
    ]
    worst = {each.price for each, beyond in zip(every, excess, strict=True) if beyond == max(excess)}
    assert int(refusal.value.value) in worst
