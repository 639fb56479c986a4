"""A day's tariffs as arrays: decoded once, and a band that is the band of every interval."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.codec import changed
from wattquorum.foundation.intervals import QUARTER_HOUR, Window
from wattquorum.foundation.quantities import PRICE_MAX, Price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import pack_prices
from wattquorum.ledger.context import DayTariff, Tariffs
from wattquorum.ledger.entities import Day, DayStatus
from wattquorum.market.terms import check_band

INTERVALS = 3
some_prices = st.one_of(st.integers(-5, 12), st.integers(-PRICE_MAX, PRICE_MAX))
vectors = st.one_of(
    st.lists(some_prices, min_size=1, max_size=1), st.lists(some_prices, min_size=INTERVALS, max_size=INTERVALS)
)


def day_with(feed_in: list[int], grid_price: list[int], over_grid_fee: list[int]) -> Day:
    ps, pb, po = (pack_prices(each) for each in (feed_in, grid_price, over_grid_fee))
    window = Window(0, INTERVALS * QUARTER_HOUR, QUARTER_HOUR)
    return Day(window, ("f1",), ps, pb, po, 0, 0, 0, 0, 0, 0, DayStatus.OPEN, ())


def refusal(tariff: DayTariff, price: list[int], fee: int, *, interval_by_interval: bool) -> tuple[str, ...]:
    asked = np.array(price, dtype=np.int64)
    try:
        if interval_by_interval:
            check_band(tariff.terms(asked), Price(fee))
        else:
            tariff.check_band(asked, Price(fee))
    except Refused as refused:
        return refused.code, refused.field, refused.value, refused.remedy
    return ()


@given(vectors, vectors, vectors, vectors, st.integers(0, 3))
def test_the_band_of_a_day_refuses_what_the_band_of_an_interval_refuses(
    feed_in: list[int], grid_price: list[int], over_grid_fee: list[int], price: list[int], fee: int
) -> None:
    tariff = Tariffs().of(day_with(feed_in, grid_price, over_grid_fee))
    expected = refusal(tariff, price, fee, interval_by_interval=True)
    assert refusal(tariff, price, fee, interval_by_interval=False) == expected


def test_a_price_may_be_inside_each_intervals_band_and_in_no_band_of_the_whole_day() -> None:
    # Bands of .40 to .71 and of .72 to .90: a price for each interval keeps both, one price for the day keeps neither.
    tariff = Tariffs().of(day_with([400_000, 720_000, 400_000], [750_000, 940_000, 750_000], [40_000]))
    assert refusal(tariff, [500_000, 800_000, 500_000], 0, interval_by_interval=False) == ()
    assert refusal(tariff, [500_000], 0, interval_by_interval=False)[:2] == ("band_violated", "price")


def test_a_day_that_is_published_anew_has_its_own_tariffs() -> None:
    tariffs, day = Tariffs(), day_with([1], [2], [3])
    assert tariffs.of(day) is tariffs.of(day)
    other = changed(day, feed_in=pack_prices([7, 8, 9]))
    assert tariffs.of(other).feed_in.tolist() == [7, 8, 9]
    tariffs.forget(day.window.start_ms)
    assert tariffs.of(day).feed_in.tolist() == [1, 1, 1]
