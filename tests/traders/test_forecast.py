"""The forecast service: errors as stated, uncertainty as told, and nothing but it sees actuals."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.world import QUARTER, START
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MS_PER_HOUR
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.shipped import END, TRADED_START, shipped_members, shipped_week
from wattquorum.traders.forecast import (
    ERROR_OF,
    ERRORS,
    Forecast,
    ForecastService,
    Kind,
    Metered,
    correlated,
    disturbed,
    from_history,
    normal_quantile,
    together,
)
from wattquorum.traders.streams import stream

DAY = Window(START, START + 96 * QUARTER, QUARTER)
NO_HISTORY = np.zeros((0, 96), dtype=np.int64)
SEEDS = 40


def shipped(technology: str) -> list[tuple[int, Int64s]]:
    """Capacity [Wh] and profile of every traded day of the shipped members of a technology."""
    week = shipped_week()
    found = []
    for member in shipped_members():
        for meter in member.meters:
            if meter.technology == technology:
                energy = week.energy(meter.meter_id, meter.direction, TRADED_START, END)
                found += [(meter.limit // 4, row) for row in energy.reshape(-1, 96)]
    return found


@cache
def drawn(technology: str) -> tuple[Int64s, Int64s, list[Forecast]]:
    """Many seeds of forecasts of the shipped week: capacities, actual profiles and forecasts."""
    error = ERROR_OF[technology]
    capacities, actuals, forecasts = [], [], []
    for number, (capacity, actual) in enumerate(shipped(technology)):
        for seed in range(SEEDS):
            noise = correlated(stream(seed, "test", str(number)), 96, error.memory_h * 4)
            capacities.append(capacity)
            actuals.append(actual)
            forecasts.append(disturbed(actual, capacity, error, noise))
    return np.array(capacities), np.array(actuals), forecasts


@pytest.mark.parametrize("technology", sorted(ERROR_OF.keys() - {"load"}))
def test_errors_on_the_shipped_week_are_as_large_as_the_table_says(technology: str) -> None:
    error = ERROR_OF[technology]
    capacities, actuals, forecasts = drawn(technology)
    foreseen = np.array([each.mean for each in forecasts]) / capacities[:, None]
    output = np.minimum(actuals / capacities[:, None], 1.0)
    stated = float(np.sqrt(np.mean((error.size * output**error.shape) ** 2)))
    found = float(np.sqrt(np.mean((foreseen - output) ** 2)))
    # Where the error grows with output it is a little larger than to first order; capping makes it smaller.
    assert stated * 0.95 < found < stated * 1.12


@pytest.mark.parametrize("technology", sorted(ERROR_OF.keys() - {"load"}))
def test_errors_are_smaller_near_zero_output(technology: str) -> None:
    capacities, actuals, forecasts = drawn(technology)
    output = actuals / capacities[:, None]
    error = np.array([each.mean for each in forecasts]) / capacities[:, None] - output
    running = output > 0
    low, high = np.quantile(output[running], [0.25, 0.75])
    small, large = error[running & (output <= low)], error[output >= high]
    assert np.sqrt(np.mean(small**2)) < 0.8 * np.sqrt(np.mean(large**2))


@pytest.mark.parametrize("technology", sorted(ERROR_OF.keys() - {"load"}))
@pytest.mark.parametrize("level", [0.05, 0.25, 0.5])
def test_the_uncertainty_told_is_the_uncertainty_there_is(technology: str, level: float) -> None:
    _, actuals, forecasts = drawn(technology)
    promised = np.array([each.quantile(level) for each in forecasts])
    running = (actuals > 0) & (promised > 0)
    missed = float(np.mean(actuals[running] < promised[running]))
    assert missed == pytest.approx(level, abs=0.015 + 0.05 * level)


@pytest.mark.parametrize("technology", ["pv", "lv-feeder-pv"])
def test_nights_are_foreseen_exactly(technology: str) -> None:
    _, actuals, forecasts = drawn(technology)
    dark = actuals == 0
    assert dark.any()
    for name in ("mean", "sigma"):
        assert not np.array([getattr(each, name) for each in forecasts])[dark].any()


@given(
    st.sampled_from(ERRORS),
    st.integers(1, 1_000_000),
    st.lists(st.floats(0.0, 1.4), min_size=8, max_size=8),
    st.integers(0, 2**32),
)
def test_forecasts_stay_between_zero_and_capacity(error: object, capacity: int, shares: list[float], seed: int) -> None:
    actual = np.array([int(share * capacity) for share in shares], dtype=np.int64)
    noise = 3.0 * correlated(stream(seed, "test"), 8, 4.0)
    forecast = disturbed(actual, capacity, error, noise)  # type: ignore[arg-type]
    assert forecast.mean.dtype == forecast.sigma.dtype == np.int64
    assert forecast.mean.min() >= 0
    assert forecast.mean.max() <= capacity
    assert forecast.sigma.min() >= 0


@pytest.mark.parametrize("memory_h", [3.0, 7.0, 12.0])
def test_errors_fade_from_hour_to_hour_as_stated(memory_h: float) -> None:
    noise = np.array([correlated(stream(seed, "test"), 96, memory_h * 4) for seed in range(2_000)])
    assert float(noise.std()) == pytest.approx(1.0, abs=0.03)
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.05)
    for lag in (1, 4, 12, 40):
        found = float(np.mean(noise[:, :-lag] * noise[:, lag:]))
        assert found == pytest.approx(math.exp(-lag / (memory_h * 4)), abs=0.05)


def service(kind: Kind, actual: Int64s, seed: int = 1, meters: tuple[str, ...] = ("w", "v")) -> ForecastService:
    return ForecastService(kind, {meter: Metered("wind", 2_000_000) for meter in meters}, lambda _m, _w: actual, seed)


HILL = (np.abs(np.arange(96) - 48)[::-1] * 5_000).astype(np.int64)


def test_a_forecast_is_the_same_whenever_and_in_whatever_order_it_is_asked_for() -> None:
    one, two = service(Kind.WEATHER, HILL), service(Kind.WEATHER, HILL)
    first = one.day_ahead("w", DAY, NO_HISTORY)
    other = two.day_ahead("v", DAY, NO_HISTORY)
    again = two.day_ahead("w", DAY, NO_HISTORY)
    assert (first.mean == again.mean).all()
    assert (first.mean != other.mean).any()
    assert (one.day_ahead("w", DAY, NO_HISTORY).mean == first.mean).all()
    assert (service(Kind.WEATHER, HILL, seed=2).day_ahead("w", DAY, NO_HISTORY).mean != first.mean).any()


def test_a_perfect_forecast_is_the_actual_profile_without_doubt() -> None:
    forecast = service(Kind.PERFECT, HILL).day_ahead("w", DAY, NO_HISTORY)
    assert (forecast.mean == HILL).all()
    assert not forecast.sigma.any()
    assert (forecast.quantile(0.01) == HILL).all()


def test_forecasts_from_history_see_no_actuals() -> None:
    def forbidden(meter: str, window: Window) -> Int64s:
        raise AssertionError(f"asked for the actuals of {meter}")

    blind = ForecastService(Kind.HISTORY, {"w": Metered("anything", 1_000)}, forbidden, 1)
    forecast = blind.day_ahead("w", DAY, np.array([HILL, HILL * 3]))
    assert (forecast.mean == HILL * 2).all()
    assert forecast.sigma.tolist() == np.rint(HILL * math.sqrt(2)).astype(int).tolist()


def test_history_of_no_days_promises_nothing_and_of_one_day_is_unsure() -> None:
    assert not from_history(NO_HISTORY, 96).quantile(0.5).any()
    single = from_history(np.array([HILL]), 96)
    assert (single.sigma == HILL).all()
    assert not single.quantile(0.1).any()


def test_an_unknown_technology_or_meter_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        ForecastService(Kind.WEATHER, {"m": Metered("tidal", 1)}, lambda _m, _w: HILL, 1)
    assert (refused.value.code, refused.value.field) == ("technology_unknown", "m")
    with pytest.raises(Refused) as refused:
        service(Kind.WEATHER, HILL).day_ahead("x", DAY, NO_HISTORY)
    assert refused.value.code == "meter_unknown"


def test_intervals_of_another_length_keep_the_memory_in_hours() -> None:
    hours = Window(START, START + 24 * MS_PER_HOUR, MS_PER_HOUR)
    actual = np.full(24, 1_000_000, dtype=np.int64)
    hourly = ForecastService(Kind.WEATHER, {"w": Metered("wind", 2_000_000)}, lambda _m, _w: actual, 1)
    errors = []
    for day in range(400):
        window = Window(hours.start_ms + day, hours.end_ms + day, MS_PER_HOUR)
        errors.append(np.cbrt(hourly.day_ahead("w", window, np.zeros((0, 24), dtype=np.int64)).mean / 2_000_000))
    noise = (np.array(errors) - np.cbrt(0.5)) * 3 / ERROR_OF["wind"].size
    kept = float(np.mean(noise[:, :-1] * noise[:, 1:])) / float(np.mean(noise**2))
    assert kept == pytest.approx(math.exp(-1 / 7), abs=0.05)


def test_forecasts_of_several_meters_add_up() -> None:
    one = Forecast(np.array([100, 0]), np.array([30, 0]), 0.5)
    two = Forecast(np.array([300, 10]), np.array([40, 5]), 1.0)
    both = together([one, two])
    assert both.mean.tolist() == [400, 10]
    assert both.sigma.tolist() == [50, 5]
    assert both.shape == 1.0
    assert together([one]) is one
    with pytest.raises(Refused):
        together([])


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=6))
def test_the_normal_quantile_turns_the_distribution_round(levels: list[float]) -> None:
    found = normal_quantile(np.array(levels))
    back = [0.5 * (1 + math.erf(z / math.sqrt(2))) for z in found.tolist()]
    assert back == pytest.approx(levels, abs=1e-9)


@given(st.sampled_from([0.0, 0.5, 2 / 3, 1.0]), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_higher_level_never_promises_less(shape: float, mean: int, sigma: int) -> None:
    forecast = Forecast(np.array([mean]), np.array([sigma]), shape)
    promised = [int(forecast.quantile(level)[0]) for level in (0.01, 0.1, 0.3, 0.5)]
    assert promised == sorted(promised)
    assert promised[0] >= 0
    assert promised[-1] == mean


def test_every_row_of_the_table_says_where_it_comes_from() -> None:
    for row in ERRORS:
        assert row.source
        assert row.figure
        assert 0.0 < row.size < 1.0
        assert 0.0 <= row.shape <= 1.0
        assert row.memory_h > 0.0
