"""Naive strategies: they promise what was or what is forecast, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.traders.cases import flat, situation
from wattquorum.traders.naive import AsForecast, History

PRICE = flat(550_000)
PAST = np.array([[1, 2, 3, 4], [3, 2, 1, 8]], dtype=np.int64) * 1_000


def test_the_forecast_is_promised_as_it_is() -> None:
    assert AsForecast().promise(situation(mean=5_000, sigma=4_000), PRICE).tolist() == [5_000] * 4


def test_history_promises_the_last_known_day_or_the_mean() -> None:
    here = situation(history=PAST)
    assert History().promise(here, PRICE).tolist() == [3_000, 2_000, 1_000, 8_000]
    assert History(of="mean").promise(here, PRICE).tolist() == [2_000, 2_000, 2_000, 6_000]


def test_without_history_nothing_is_promised() -> None:
    assert not History().promise(situation(), PRICE).any()


def test_history_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="of is"):
        History(of="tomorrow")
