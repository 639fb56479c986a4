"""The forecast service: what a member can expect of tomorrow, and how sure that is.

It stands apart because it is the one place on this floor that sees what will really be metered: the lab hands the
actual profiles to it and to nobody else, and members get a forecast with its uncertainty. The data set holds no
forecasts, so that these are a model: the actual profile with a day-ahead error whose size, growth with output and
memory over the day are stated for each technology in `ERRORS`, with their sources. Three kinds: `weather` (the model),
`history` (from the member's own readings so far; sees no actuals), `perfect` (the actual profile, as a bound).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, MS_PER_HOUR, Millis, Power, energy_of
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.traders.streams import stream

Floats = npt.NDArray[np.float64]
Actuals = Callable[[str, Window], Int64s]  # meter id and window to metered energy [Wh per interval]

RATIO_MOST: Final = 40.0  # far beyond what an interval can hold, far below what overflows
_NORMAL: Final = NormalDist()


class Kind(StrEnum):
    """Where a forecast comes from."""

    WEATHER = "weather"
    HISTORY = "history"
    PERFECT = "perfect"


class ForecastError(NamedTuple):
    """The day-ahead error of one technology: a row of `ERRORS`.

    With output x as a share of capacity, the error's standard deviation is `size * x ** shape` of capacity.
    """

    technologies: tuple[str, ...]
    size: float  # standard deviation at full output [share of capacity]
    shape: float  # 0: the same at every output; 1: in proportion to output
    memory_h: float  # after so many hours the error's correlation has fallen to 1/e [h]
    zero_known: bool  # whether an interval without output is foreseen for certain
    figure: str  # the figure that `size` was set to meet
    source: str


ERRORS: Final = (
    ForecastError(
        ("wind",),
        0.24,
        2 / 3,
        7.0,
        False,
        "RMSE 12 % of capacity over a year, one site",
        "10-20 % for single sites, 5-7 % for regions: Focken, Lange, Moennich, Waldl, Beyer, Luig 2002; Giebel, "
        "Brownsword, Kariniotakis 2003; Lange and Focken 2008. Shape: an even error in wind speed on a cubic power "
        "curve, Lange 2005. Memory: Pinson and Girard 2012; Olauson, Bladh, Loennberg, Bergkvist 2016",
    ),
    ForecastError(
        ("pv", "lv-feeder-pv"),
        0.18,
        1 / 2,
        3.0,
        True,
        "RMSE 8 % of capacity over a year's hours of daylight, one site",
        "10.3-14.0 % of nameplate for single plants: Larson, Nonnenmacher, Coimbra 2016; 5.4-10.2 %: Narynbaev 2025; "
        "32 plants compared: Gigoni et al. 2018; smaller for regions: Lorenz, Hurka, Heinemann, Beyer 2009. "
        "Shape and memory: chosen",
    ),
    ForecastError(
        ("hydro",),
        0.135,
        1.0,
        12.0,
        True,
        "RMSE 3 % of capacity over a year",
        "run of river, inflow changes slowly: Monteiro, Ramirez-Rosado, Fernandez-Jimenez 2013; Drakaki et al. 2022. "
        "Size, shape and memory: chosen",
    ),
    ForecastError(
        ("biomass",),
        0.075,
        1.0,
        12.0,
        True,
        "RMSE 3 % of capacity over a year",
        "follows a schedule, off it by outages and gas quality; no published figure found. All chosen",
    ),
    ForecastError(
        ("mv-customer", "village", "load"),
        0.06,
        1.0,
        3.0,
        True,
        "RMSE 6 % of the load",
        "falls with aggregation to a few percent: Sevlian and Rajagopal 2018; low-voltage feeders: Haben, Giasemidis, "
        "Ziel, Arora 2019. Shape and memory: chosen",
    ),
)

ERROR_OF: Final[Mapping[str, ForecastError]] = {name: row for row in ERRORS for name in row.technologies}


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What a member is told about a window: central values and their uncertainty.

    `mean` and `sigma` are int64 [Wh per interval]; `shape` says how the uncertainty grows with output (see
    `ForecastError`) and with it how the values lie around the mean: 0 evenly, 1 as ratios.
    """

    mean: Int64s
    sigma: Int64s
    shape: float

    def quantile(self, level: float | Floats) -> Int64s:
        """The energy [Wh per interval] that is not reached with probability `level`, in 0..1 GWh.

        `level` is in (0, 1), one for all intervals or one for each. With r = 1 - shape, mean**r is taken as normal:
        the quantile is mean * (1 + z * r * sigma / mean) ** (1 / r), its limit mean * exp(z * sigma / mean) for r = 0,
        and mean + z * sigma for r = 1.
        """
        z = normal_quantile(level)
        root = 1.0 - self.shape
        if root == 1.0:
            values = self.mean + z * self.sigma
        else:
            mean = np.maximum(self.mean, 1)
            ratio = z * self.sigma / mean
            growth = (
                np.exp(np.minimum(ratio, RATIO_MOST))
                if root == 0.0
                else np.maximum(1.0 + root * ratio, 0.0) ** (1.0 / root)
            )
            values = self.mean * growth
        return np.rint(np.clip(values, 0.0, ENERGY_PER_INTERVAL_MAX)).astype(np.int64)


def normal_quantile(level: float | Floats) -> Floats:
    """The standard normal quantile of levels in (0, 1), one or many."""
    levels = np.atleast_1d(np.asarray(level, dtype=np.float64))
    distinct, place = np.unique(levels, return_inverse=True)
    return np.array([_NORMAL.inv_cdf(each) for each in distinct.tolist()])[place]


def together(forecasts: Sequence[Forecast]) -> Forecast:
    """One forecast for a member's meters of one side: means add up, independent errors add up as squares.

    The shape is that of the meter with the most energy. Raises Refused("meter_unknown") for no forecasts at all.
    """
    if not forecasts:
        raise Refused("meter_unknown", "forecasts", "none")
    if len(forecasts) == 1:
        return forecasts[0]
    mean: Int64s = np.sum([each.mean for each in forecasts], axis=0)
    variance: Floats = np.sum([each.sigma.astype(np.float64) ** 2 for each in forecasts], axis=0)
    main = max(forecasts, key=lambda each: int(each.mean.sum()))
    return Forecast(mean, np.rint(np.sqrt(variance)).astype(np.int64), main.shape)


class Metered(NamedTuple):
    """What the service knows of a meter beside its readings."""

    technology: str
    limit_w: int  # capacity or connection limit [W]


class ForecastService:
    """Day-ahead forecasts by meter. The same meter and window always get the same forecast, whoever asks and when."""

    __slots__ = ("_actuals", "_kind", "_meters", "_seed")

    def __init__(self, kind: Kind, meters: Mapping[str, Metered], actuals: Actuals, seed: int) -> None:
        """`actuals` is asked for `weather` and `perfect` alone. Each meter and window has a stream of its own.

        Raises Refused("technology_unknown") where `weather` has no error for a meter's technology.
        """
        if kind is Kind.WEATHER:
            for meter, metered in meters.items():
                if metered.technology not in ERROR_OF:
                    known = ", ".join(sorted(ERROR_OF))
                    raise Refused("technology_unknown", meter, metered.technology, f"Choose one of {known}.")
        self._kind = kind
        self._meters = dict(meters)
        self._actuals = actuals
        self._seed = seed

    def day_ahead(self, meter: str, window: Window, history: Int64s) -> Forecast:
        """The forecast of a meter for a window.

        `history` are the meter's readings so far, int64 [past days, intervals] in Wh, oldest first; `history`
        forecasts are made from it and from nothing else. Raises Refused("meter_unknown").
        """
        metered = self._meters.get(meter)
        if metered is None:
            raise Refused("meter_unknown", "meter", meter)
        if self._kind is Kind.HISTORY:
            return from_history(history, window.intervals)
        actual = self._actuals(meter, window)
        if self._kind is Kind.PERFECT:
            return Forecast(actual, np.zeros_like(actual), 0.0)
        noise = correlated(
            stream(self._seed, "forecast", meter, str(window.start_ms)),
            window.intervals,
            ERROR_OF[metered.technology].memory_h * MS_PER_HOUR / window.length_ms,
        )
        capacity = energy_of(Power(metered.limit_w), Millis(window.length_ms))
        return disturbed(actual, capacity, ERROR_OF[metered.technology], noise)


def from_history(history: Int64s, intervals: int) -> Forecast:
    """Mean and spread of the same interval over the days in `history` [past days, intervals]; no days, no energy.

    A single day has no spread; its own size is taken for it.
    """
    if len(history) == 0:
        return Forecast(np.zeros(intervals, dtype=np.int64), np.zeros(intervals, dtype=np.int64), 0.0)
    mean = np.rint(history.mean(axis=0)).astype(np.int64)
    spread = history.std(axis=0, ddof=1) if len(history) > 1 else history[0]
    return Forecast(mean, np.rint(spread).astype(np.int64), 0.0)


def correlated(random: np.random.Generator, intervals: int, memory: float) -> Floats:
    """Standard normal errors, AR(1) over `intervals`; the correlation falls to 1/e after `memory` intervals."""
    kept = float(np.exp(-1.0 / memory))
    fresh = float(np.sqrt(1.0 - kept * kept))
    steps = random.standard_normal(intervals)
    errors = np.empty(intervals)
    last = steps[0]
    errors[0] = last
    for index in range(1, intervals):
        last = kept * last + fresh * steps[index]
        errors[index] = last
    return errors


def disturbed(actual: Int64s, capacity: int, error: ForecastError, noise: Floats) -> Forecast:
    """A forecast whose error against `actual` [Wh per interval] is `noise` standard deviations of `error`.

    The error is added to output ** (1 - shape), where its size is the same at every output, so that what is told
    (mean, sigma, shape) describes how the actual profile lies around the forecast. Never outside 0..capacity.
    """
    root = 1.0 - error.shape
    output = np.minimum(actual / capacity, 1.0)
    if root == 0.0:
        foreseen = output * np.exp(error.size * noise)
    else:
        foreseen = np.maximum(output**root + root * error.size * noise, 0.0) ** (1.0 / root)
    if error.zero_known:
        foreseen = np.where(actual == 0, 0.0, foreseen)
    foreseen = np.minimum(foreseen, 1.0)
    sigma = error.size * foreseen**error.shape
    return Forecast(
        np.rint(foreseen * capacity).astype(np.int64), np.rint(sigma * capacity).astype(np.int64), error.shape
    )
