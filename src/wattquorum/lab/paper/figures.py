"""Figures: the paper's figures 1 to 10, with its numbering, axes and units, as data and as pictures.

Each shows the first seed's course, as the paper shows its one, dashed that of the median seed (`study.middle_of`), and
beside them the median and the 5-95 % band over all seeds. The first seed is seed 0, whatever it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import MILLION
from wattquorum.lab.drawing import Panel, Picture, Scale, even_scale
from wattquorum.lab.paper.claims import FIGURE_7, FIGURE_9, FIGURE_10, Floats
from wattquorum.lab.paper.extremes import credit_peak
from wattquorum.lab.paper.inputs import LEADERS, PAPER
from wattquorum.lab.paper.study import Run, Traces, middle_of

LOW, MIDDLE, HIGH = 5, 50, 95  # percentiles
COLOURS: Final = ("c1", "c3", "c4", "c7")
PLAIN, WEIGHTED = "plain", "c1"
X_TITLE: Final = "number of consensus rounds"
WIDTH, HEIGHT = 470, 340  # of a panel
US_PER_MS: Final = 1_000
US_PER_S: Final = MILLION


class Series(NamedTuple):
    """One line over the rounds."""

    name: str
    first: Floats  # of the first seed
    typical: Floats  # of the median one
    low: Floats
    middle: Floats
    high: Floats


class Courses(NamedTuple):
    """What seeds traced."""

    traces: Sequence[Traces]
    middle: int  # the median seed's place
    seeds: tuple[int, int]  # numbers of the first and of the median one


class Figure(NamedTuple):
    """A figure's data."""

    number: int
    title: str
    y_title: str
    series: tuple[Series, ...]
    caption: str
    seeds: tuple[int, int]
    against: tuple[Series, ...] = ()  # what all seeds are compared by, where their own levels differ: weighted of plain
    against_title: str = ""

    @property
    def name(self) -> str:
        """Of its files."""
        return f"figure-{self.number:02}"


def series(name: str, values: Floats, typical: int) -> Series:
    """A line of [seeds, rounds]; `typical` is the median seed's place."""
    low, middle, high = np.percentile(values, (LOW, MIDDLE, HIGH), axis=0)
    return Series(name, values[0], values[typical], low, middle, high)


def figures_of(runs: Sequence[Run]) -> list[Figure]:
    """All ten, in their order."""
    middle = middle_of(runs)
    traces = [run.traces for run in runs if run.traces is not None]
    own = Courses(traces, middle, (runs[0].seed, runs[middle].seed))
    return [
        *(_single(own, scenario) for scenario in range(3)),
        *(_total(own, scenario) for scenario in range(3)),
        _nodes(
            7,
            "Credit weight of nodes",
            "credit weight [points]",
            FIGURE_7,
            own,
            lambda t: t.credit,
            "17 defaults on 60 % of its days, the others on 1 % (node 1) or 3 %. Every tenth round credit decays.",
        ),
        _figure_8(own),
        _nodes(
            9,
            "Green-certificate weight of nodes",
            "certificate weight [points]",
            FIGURE_9,
            own,
            lambda t: t.certificates,
            "Every 15 rounds 1 sells to 16, and 3 to 25.",
        ),
        _nodes(
            10,
            "Total weight of nodes",
            "weight [points]",
            FIGURE_10,
            own,
            lambda t: t.weights,
            "Scenario 1. The peak of node 1 is its first certificates, while hardly anybody else has any.",
        ),
    ]


def _stacked(courses: Courses, of: Callable[[Traces], np.ndarray], unit: int) -> Floats:
    found: Floats = np.stack([of(each) for each in courses.traces]) / unit
    return found


def _single(courses: Courses, scenario: int) -> Figure:
    plain = _stacked(courses, lambda t: t.plain_us[scenario], US_PER_MS)
    weighted = _stacked(courses, lambda t: t.weighted_us[scenario], US_PER_MS)
    return Figure(
        1 + scenario,
        f"Time of each consensus, scenario {1 + scenario}: node {LEADERS[scenario]} leads",
        "consensus time [ms]",
        (series("plain Raft", plain, courses.middle), series("weighted Raft", weighted, courses.middle)),
        "With equal votes and links that do not change the same follower always completes the quorum.",
        courses.seeds,
        (series("of plain Raft's time", 100 * weighted / plain, courses.middle),),
        "weighted against plain [%]",
    )


def _total(courses: Courses, scenario: int) -> Figure:
    plain = _stacked(courses, lambda t: t.plain_us[scenario].cumsum(), US_PER_S)
    weighted = _stacked(courses, lambda t: t.weighted_us[scenario].cumsum(), US_PER_S)
    return Figure(
        4 + scenario,
        f"Total consensus time, scenario {1 + scenario}: node {LEADERS[scenario]} leads",
        "total consensus time [s]",
        (series("plain Raft", plain, courses.middle), series("weighted Raft", weighted, courses.middle)),
        f"Its numbers at every 25th round are table {5 + scenario}.",
        courses.seeds,
        (series("saved so far", 100 * (1 - weighted / plain), courses.middle),),
        "total time saved so far [%]",
    )


def _nodes(
    number: int,
    title: str,
    y_title: str,
    nodes: Sequence[int],
    courses: Courses,
    of: Callable[[Traces], np.ndarray],
    caption: str,
) -> Figure:
    values = _stacked(courses, of, MILLION)
    own = tuple(series(f"node {node}", values[:, :, place], courses.middle) for place, node in enumerate(nodes))
    return Figure(number, title, y_title, own, caption, courses.seeds)


def _figure_8(courses: Courses) -> Figure:
    values = _stacked(courses, lambda t: t.pair, MILLION)
    peak = credit_peak(Fraction(1, PAPER.pairs), Fraction(PAPER.eta, MILLION), PAPER.decay_every)
    return Figure(
        8,
        "Credit weight of nodes A and B",
        "credit weight [points]",
        (
            series("A, always performs", values[:, 0], courses.middle),
            series("B, always defaults", values[:, 1], courses.middle),
        ),
        "A begins with 0 and promises what node 11 does, B begins with 100 and promises what node 27 does. With "
        f"an even share of 1/{PAPER.pairs} A's peaks before each decay tend to {float(peak):.1f} points, in closed "
        "form.",
        courses.seeds,
    )


def rows_of(figure: Figure) -> tuple[list[str], list[list[str]]]:
    """A figure's data as a table: headings and rows, one for each round."""
    names = ("first seed", "median seed", "5 %", "median", "95 %")
    lines = (*figure.series, *figure.against)
    heads = ["consensus", *(f"{each.name}: {name}" for each in lines for name in names)]
    columns = [column for each in lines for column in each[1:]]
    rows = [
        [str(place + 1), *(f"{value:.6f}" for value in row)] for place, row in enumerate(zip(*columns, strict=True))
    ]
    return heads, rows


# Pictures -----------------------------------------------------------------------------------------------------------


def picture_of(figure: Figure) -> Picture:
    """A figure as two panels: the first seed's course with the median one's, and all seeds."""
    beside = figure.against or figure.series
    alone = [value for each in figure.series for line in (each.first, each.typical) for value in line]
    banded = [value for each in beside for line in (each.low, each.high) for value in line]
    if figure.against:
        y_alone, y_banded = _scale(alone, from_zero=figure.number > 3), _scale(banded, from_zero=figure.number > 3)
    else:
        y_alone = y_banded = _scale(alone + banded, from_zero=True)
    rounds = len(figure.series[0].first)
    x = even_scale(0, _up(rounds, 50), 50)
    colours = (PLAIN, WEIGHTED) if figure.against else COLOURS
    first, middle = figure.seeds
    one = Panel(f"Figure {figure.number}, seed {first}: {figure.y_title}", x, y_alone, X_TITLE, WIDTH, HEIGHT)
    for colour, each in zip(colours, figure.series, strict=False):
        one.line(_points(each.first), colour, each.name)
    for place, (colour, each) in enumerate(zip(colours, figure.series, strict=False)):
        one.line(_points(each.typical), colour, f"dashed: seed {middle}" * (not place), dashed=True)
    all_ = Panel(f"All seeds: {figure.against_title or figure.y_title}", x, y_banded, X_TITLE, WIDTH, HEIGHT)
    for colour, each in zip((WEIGHTED,) if figure.against else colours, beside, strict=False):
        all_.band(_points(each.low), _points(each.high), colour)
        all_.line(_points(each.middle), colour, f"{each.name}, median and 5-95 %" if figure.against else each.name)
    if figure.against:
        level = 100 if figure.number <= 3 else 0
        all_.rule(level, "plain Raft")
    label = f"Figure {figure.number}: {figure.title}; two seeds, and median and 5-95 % band of all seeds"
    return Picture(figure.name, label, (one, all_))


def _points(values: Floats) -> list[tuple[float, float]]:
    return [(float(place), float(value)) for place, value in enumerate(values, start=1)]


def _up(value: float, step: int) -> int:
    return int(-(-value // step) * step)


def _scale(values: Sequence[float], *, from_zero: bool) -> Scale:
    """Round steps around the values, and zero where differences from it are what is shown."""
    low, high = min(values), max(values)
    if from_zero:
        low = min(low, 0.0)
    step = next(step for step in (0.2, 0.5, 1, 2, 5, 10, 20, 25, 50, 100) if (high - low) / step <= 8)
    first, last = low // step * step, -(-high // step) * step
    return even_scale(first, last if last > first else first + step, step)
