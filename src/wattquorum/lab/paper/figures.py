"""Figures: the paper's figures 1 to 10, with its numbering, axes and units, as data and as pictures.

Each shows the first seed's course, as the paper shows its one, and beside it the median and the 5-95 % band over all
seeds. The first seed is seed 0, whatever it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import MILLION
from wattquorum.lab.drawing import Panel, Picture, Scale, even_scale
from wattquorum.lab.paper.claims import FIGURE_7, FIGURE_9, FIGURE_10, Floats
from wattquorum.lab.paper.inputs import LEADERS
from wattquorum.lab.paper.study import Run, Traces

LOW, MIDDLE, HIGH = 5, 50, 95  # percentiles
COLOURS: Final = ("c1", "c3", "c4", "c7")
PLAIN, WEIGHTED = "plain", "c1"
X_TITLE: Final = "number of consensus rounds"
US_PER_MS: Final = 1_000
US_PER_S: Final = MILLION


class Series(NamedTuple):
    """One line over the rounds."""

    name: str
    first: Floats  # of the first seed
    low: Floats
    middle: Floats
    high: Floats


class Figure(NamedTuple):
    """A figure's data."""

    number: int
    title: str
    y_title: str
    series: tuple[Series, ...]
    caption: str

    @property
    def name(self) -> str:
        """Of its files."""
        return f"figure-{self.number:02}"


def series(name: str, values: Floats) -> Series:
    """A line of [seeds, rounds]."""
    low, middle, high = np.percentile(values, (LOW, MIDDLE, HIGH), axis=0)
    return Series(name, values[0], low, middle, high)


def figures_of(runs: Sequence[Run]) -> list[Figure]:
    """All ten, in their order."""
    traces = [run.traces for run in runs if run.traces is not None]
    return [
        *(_single(traces, scenario) for scenario in range(3)),
        *(_total(traces, scenario) for scenario in range(3)),
        _nodes(
            7,
            "Credit weight of nodes",
            "credit weight [points]",
            FIGURE_7,
            traces,
            lambda t: t.credit,
            "17 defaults on 60 % of its days, the others on 1 % (node 1) or 3 %. Every tenth round credit decays.",
        ),
        _figure_8(traces),
        _nodes(
            9,
            "Green-certificate weight of nodes",
            "certificate weight [points]",
            FIGURE_9,
            traces,
            lambda t: t.certificates,
            "Every 15 rounds 1 sells to 16, and 3 to 25.",
        ),
        _nodes(
            10,
            "Total weight of nodes",
            "weight [points]",
            FIGURE_10,
            traces,
            lambda t: t.weights,
            "Scenario 1. The peak of node 1 is its first certificates, while hardly anybody else has any.",
        ),
    ]


def _stacked(traces: Sequence[Traces], of: Callable[[Traces], np.ndarray], unit: int) -> Floats:
    found: Floats = np.stack([of(each) for each in traces]) / unit
    return found


def _single(traces: Sequence[Traces], scenario: int) -> Figure:
    plain = _stacked(traces, lambda t: t.plain_us[scenario], US_PER_MS)
    weighted = _stacked(traces, lambda t: t.weighted_us[scenario], US_PER_MS)
    return Figure(
        1 + scenario,
        f"Time of each consensus, scenario {1 + scenario}: node {LEADERS[scenario]} leads",
        "consensus time [ms]",
        (series("plain Raft", plain), series("weighted Raft", weighted)),
        "With equal votes and links that do not change the same follower always completes the quorum.",
    )


def _total(traces: Sequence[Traces], scenario: int) -> Figure:
    plain = _stacked(traces, lambda t: t.plain_us[scenario].cumsum(), US_PER_S)
    weighted = _stacked(traces, lambda t: t.weighted_us[scenario].cumsum(), US_PER_S)
    return Figure(
        4 + scenario,
        f"Total consensus time, scenario {1 + scenario}: node {LEADERS[scenario]} leads",
        "total consensus time [s]",
        (series("plain Raft", plain), series("weighted Raft", weighted)),
        f"Its numbers at every 25th round are table {5 + scenario}.",
    )


def _nodes(
    number: int,
    title: str,
    y_title: str,
    nodes: Sequence[int],
    traces: Sequence[Traces],
    of: Callable[[Traces], np.ndarray],
    caption: str,
) -> Figure:
    values = _stacked(traces, of, MILLION)
    own = tuple(series(f"node {node}", values[:, :, place]) for place, node in enumerate(nodes))
    return Figure(number, title, y_title, own, caption)


def _figure_8(traces: Sequence[Traces]) -> Figure:
    values = _stacked(traces, lambda t: t.pair, MILLION)
    return Figure(
        8,
        "Credit weight of nodes A and B",
        "credit weight [points]",
        (series("A, always performs", values[:, 0]), series("B, always defaults", values[:, 1])),
        "A begins with 0 and promises what node 11 does, B begins with 100 and promises what node 27 does.",
    )


def rows_of(figure: Figure) -> tuple[list[str], list[list[str]]]:
    """A figure's data as a table: headings and rows, one for each round."""
    names = ("first seed", "5 %", "median", "95 %")
    heads = ["consensus", *(f"{each.name}: {name}" for each in figure.series for name in names)]
    columns = [column for each in figure.series for column in each[1:]]
    rows = [
        [str(place + 1), *(f"{value:.6f}" for value in row)] for place, row in enumerate(zip(*columns, strict=True))
    ]
    return heads, rows


# Pictures -----------------------------------------------------------------------------------------------------------


def picture_of(figure: Figure) -> Picture:
    """A figure as two panels on one scale: one seed's course, and all seeds."""
    rounds = len(figure.series[0].first)
    y = _scale(
        [value for each in figure.series for line in (each.first, each.low, each.high) for value in line], figure
    )
    x = even_scale(0, _up(rounds, 50), 50 if rounds > 100 else 25)
    colours = (PLAIN, WEIGHTED) if figure.number <= 6 else COLOURS
    panels = []
    for title, banded in (("Seed 0", False), ("All seeds: median, 5-95 %", True)):
        panel = Panel(f"{title} - {figure.y_title}" if not banded else title, x, y, X_TITLE, width=470, height=340)
        for colour, each in zip(colours, figure.series, strict=False):
            if banded:
                panel.band(_points(each.low), _points(each.high), colour)
            panel.line(_points(each.middle if banded else each.first), colour, each.name)
        panels.append(panel)
    label = f"Figure {figure.number}: {figure.title}; one seed, and the band of all seeds"
    return Picture(figure.name, label, tuple(panels))


def _points(values: Floats) -> list[tuple[float, float]]:
    return [(float(place), float(value)) for place, value in enumerate(values, start=1)]


def _up(value: float, step: int) -> int:
    return int(-(-value // step) * step)


def _scale(values: Sequence[float], figure: Figure) -> Scale:
    """Round steps around the values; it begins at 0 but for times of single rounds, whose differences are small."""
    high = max(values)
    low = min(values) if figure.number <= 3 else 0.0
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 25, 50) if (high - low) / step <= 8)
    return even_scale(float(low // step * step), float(-(-high // step) * step), step)
