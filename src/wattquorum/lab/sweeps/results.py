"""Results: the cells of a sweep as tables, the same bytes whoever played them and in whatever order.

One row for each cell in the order of the plan: every parameter, those with one value too, the seed, and what was
measured. The summary has one row for each combination of parameters that were varied, with the median and the 5th and
95th percentile over seeds of every measure.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import floor
from typing import Any, Final, NamedTuple

import polars as pl

from wattquorum.lab.sweeps.experiments import Number, Value
from wattquorum.lab.sweeps.plan import Plan

LOW, MIDDLE, HIGH = 0.05, 0.5, 0.95
KINDS: Final[dict[type, Any]] = {int: pl.Int64, float: pl.Float64, str: pl.String}


class Band(NamedTuple):
    """What a measure is over seeds; all none where nothing was measured."""

    low: float | None
    middle: float | None
    high: float | None
    found: int  # in how many cells


def quantile(ascending: Sequence[float], share: float) -> float:
    """The value below which a share lies, between neighbours in proportion; of at least one value."""
    place = share * (len(ascending) - 1)
    below = floor(place)
    above = min(below + 1, len(ascending) - 1)
    low, high = ascending[below], ascending[above]
    return low if low == high else low + (high - low) * (place - below)


def band(values: Sequence[Number]) -> Band:
    """The median and the middle nine tenths of what was measured."""
    found = sorted(float(each) for each in values if each is not None)
    if not found:
        return Band(None, None, None, 0)
    return Band(quantile(found, LOW), quantile(found, MIDDLE), quantile(found, HIGH), len(found))


class Results:
    """All cells of a plan, done."""

    def __init__(self, plan: Plan, done: Mapping[int, Sequence[Number]]) -> None:
        self.plan = plan
        self.cells = list(plan.cells())
        self.rows = [tuple(done[cell.number]) for cell in self.cells]
        self._columns = {
            measure.name: [row[place] for row in self.rows] for place, measure in enumerate(plan.experiment.measures)
        }

    def column(self, name: str) -> list[Any]:
        """A measure, a parameter or the seed, cell by cell."""
        if name in self._columns:
            return self._columns[name]
        if name == "seed":
            return [cell.seed for cell in self.cells]
        place = [each for each, _ in self.plan.axes].index(name)
        return [cell.values[place] for cell in self.cells]

    def where(self, measure: str, **values: Value) -> Band:
        """A measure over all cells in which parameters have these values."""
        held = [self.column(name) for name in values]
        wanted = tuple(values.values())
        return band([found for found, *own in zip(self.column(measure), *held, strict=True) if tuple(own) == wanted])

    def grouped(self, measure: str, by: Sequence[str]) -> dict[tuple[Value, ...], list[Number]]:
        """What was measured, by the values of these parameters, in the order of the plan."""
        keys = zip(*(self.column(name) for name in by), strict=True) if by else ((),) * len(self.cells)
        found: dict[tuple[Value, ...], list[Number]] = {}
        for key, value in zip(keys, self.column(measure), strict=True):
            found.setdefault(tuple(key), []).append(value)
        return found

    def bands(self, measure: str, by: Sequence[str]) -> dict[tuple[Value, ...], Band]:
        """As `grouped`, each as a band."""
        return {key: band(values) for key, values in self.grouped(measure, by).items()}

    @property
    def frame(self) -> pl.DataFrame:
        """Every cell as a row."""
        experiment = self.plan.experiment
        schema: dict[str, Any] = {each.name: KINDS[type(each.default)] for each in experiment.parameters}
        schema["seed"] = pl.Int64
        schema |= {each.name: pl.Int64 if each.whole else pl.Float64 for each in experiment.measures}
        return pl.DataFrame({name: pl.Series(name, self.column(name), kind) for name, kind in schema.items()})

    @property
    def summary(self) -> pl.DataFrame:
        """Every combination of what was varied as a row."""
        varied = self.plan.varied
        kinds = {each.name: KINDS[type(each.default)] for each in self.plan.experiment.parameters}
        found = {each.name: self.bands(each.name, varied) for each in self.plan.experiment.measures}
        keys = list(next(iter(found.values())))
        columns = [pl.Series(name, [key[place] for key in keys], kinds[name]) for place, name in enumerate(varied)]
        columns.append(pl.Series("seeds", [len(self.plan.seeds)] * len(keys), pl.Int64))
        for name, bands in found.items():
            for end, place in (("p5", 0), ("median", 1), ("p95", 2)):
                columns.append(pl.Series(f"{name}_{end}", [each[place] for each in bands.values()], pl.Float64))
        return pl.DataFrame(columns)


def as_csv(frame: pl.DataFrame) -> bytes:
    """A table as CSV."""
    out = io.BytesIO()
    frame.write_csv(out)
    return out.getvalue()


def as_parquet(frame: pl.DataFrame) -> bytes:
    """A table as Parquet."""
    out = io.BytesIO()
    frame.write_parquet(out, compression="zstd", statistics=True)
    return out.getvalue()
