"""Telling: a sweep as a page, with a picture of each measure and a table of medians and bands."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Final

from wattquorum.lab.drawing import LETTER, Panel, Picture, Scale, even_scale, log_scale, named_scale
from wattquorum.lab.parts import Part, Sheet, as_html
from wattquorum.lab.sweeps.experiments import COMMON, Measure, Value
from wattquorum.lab.sweeps.plan import Plan
from wattquorum.lab.sweeps.results import Band, Results

ROWS_MAX: Final = 200  # of a table on the page; all of them are in summary.csv
COLOURS: Final = ("c1", "c3", "c4", "c6", "c2", "c7", "c5")
STEPS: Final = (1.0, 2.0, 5.0, 10.0)
TICKS: Final = 6
SPREAD, SPREAD_MAX = 50, 1e9  # from the least to the most: times at which a scale is logarithmic
LEAST: Final = 1e-9  # what differs by less is the same to the eye
MARGIN: Final = 0.04
ROOM: Final = 120  # beside what stands under a panel
WIDE, NARROW = 640, 400  # of a panel alone, and of one among others


def nice(value: float) -> str:
    """A number for people, in four digits."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def scale_of(values: Sequence[float], *, margin: float = 0.0) -> Scale:
    """A scale with a place for all of these: even ticks, or powers of ten for what is 1 or more and differs much."""
    low, high = min(values), max(values)
    if low >= 1 and SPREAD <= high / low <= SPREAD_MAX:
        return log_scale(values)
    if high - low < LEAST:
        half = max(abs(low) / 2, 1.0)
        low, high = low - half, high + half
    room = (high - low) * margin
    low, high = low - room if low < 0 else max(low - room, 0.0), high + room
    wide = (high - low) / TICKS
    power = 10.0 ** floor(log10(wide))
    step = next(each for each in STEPS if each * power >= wide * 0.999) * power
    first, last = floor(low / step), -floor(-high / step)
    return even_scale(first * step, last * step, step, nice)


def panel_of(results: Results, measure: Measure, title: str, width: int) -> Panel:
    """A measure along one parameter, with a line for each value of another; bands hold nine tenths of the seeds."""
    plan = results.plan
    along, by, _ = plan.drawn
    bands = results.bands(measure.name, _drawn_by(plan))
    ends = [end for each in bands.values() for end in (each.low, each.high) if end is not None] or [0.0]
    steps = list(dict(plan.axes)[along]) if along is not None else ["all"]
    worded = any(isinstance(each, str) for each in steps)
    places = {each: float(place) if isinstance(each, str) else float(each) for place, each in enumerate(steps)}
    x = named_scale([str(each) for each in steps]) if worded else scale_of(list(places.values()))
    panel = Panel(title, x, scale_of(ends, margin=MARGIN), _titled(plan, along, width), width=width, left=74)
    lines: dict[Value, list[tuple[float, Band]]] = {}
    for key, found in bands.items():
        if found.middle is not None:
            at = places[key[0]] if along is not None else 0.0
            lines.setdefault(key[1] if by is not None else "", []).append((at, found))
    for place, (value, points) in enumerate(lines.items()):
        shift = (place - (len(lines) - 1) / 2) * 0.08 if worded else 0.0
        name = "" if by is None else f"{by} {value if isinstance(value, str) else nice(value)}"
        _draw(panel, [(at + shift, found) for at, found in points], COLOURS[place % len(COLOURS)], name, worded=worded)
    return panel


def _drawn_by(plan: Plan) -> list[str]:
    return [name for name in (plan.drawn.x, plan.drawn.by) if name is not None]


def united(measure: Measure, text: str) -> str:
    """With the measure's unit."""
    return f"{text} [{measure.unit}]" if measure.unit else text


def picture_of(results: Results, measure: Measure) -> Picture:
    """A measure alone."""
    title = united(measure, measure.what)
    return Picture(measure.name, _label(results.plan, title), (panel_of(results, measure, title, WIDE),))


def row_of(results: Results, name: str, measures: Sequence[Measure]) -> Picture:
    """Several measures beside each other, each under its name."""
    panels = (panel_of(results, each, united(each, each.name.replace("_", " ")), NARROW) for each in measures)
    return Picture(name, _label(results.plan, " and ".join(each.what for each in measures)), tuple(panels))


def _label(plan: Plan, what: str) -> str:
    drawn = _drawn_by(plan)
    others = [each for each in plan.varied if each not in drawn]
    over = " and ".join(("seeds", *others))
    return f"{what}, by {' and '.join(drawn) or 'nothing'}: median and middle nine tenths over {over}"


def _draw(panel: Panel, points: Sequence[tuple[float, Band]], colour: str, name: str, *, worded: bool) -> None:
    low = [(at, found.low or 0.0) for at, found in points]
    middle = [(at, found.middle or 0.0) for at, found in points]
    high = [(at, found.high or 0.0) for at, found in points]
    tips = [
        f"{name}: {nice(found.middle or 0)} ({nice(found.low or 0)} to {nice(found.high or 0)})" for _, found in points
    ]
    if worded or len(points) == 1:
        for ends in zip(low, high, strict=True):
            panel.line(ends, colour)
        panel.dots(middle, colour, name, tips=tips)
        return
    panel.band(low, high, colour)
    panel.line(middle, colour, name)
    if len(points) <= 40:
        panel.dots(middle, colour, tips=tips, radius=3)


def _titled(plan: Plan, along: str | None, width: int) -> str:
    parameter = plan.experiment.parameter(along) if along is not None else None
    if parameter is None:
        return ""
    said = parameter.what if len(parameter.what) * LETTER < width - ROOM else parameter.name
    return f"{said} [{parameter.unit}]" if parameter.unit else said


def sheet_of(results: Results, measures: Sequence[Measure]) -> Sheet:
    """Medians and bands by everything that was varied."""
    varied = results.plan.varied
    found = [results.bands(measure.name, varied) for measure in measures]
    keys = list(found[0])[:ROWS_MAX]
    rows = [
        (*(each if isinstance(each, str) else f"{each:g}" for each in key), *(_cell(bands[key]) for bands in found))
        for key in keys
    ]
    more = "" if len(keys) == len(found[0]) else f": the first {ROWS_MAX} of {len(found[0]):,}"
    seeds = len(results.plan.seeds)
    what = f"Median (5 % to 95 %) over {seeds} seeds" if seeds > 1 else "One seed"
    headings = (*varied, *(f"{each.name}{f' [{each.unit}]' if each.unit else ''}" for each in measures))
    return Sheet(f"{what}{more}", headings, tuple(rows), "l" * len(varied) + "r" * len(measures))


def _cell(found: Band) -> str:
    if found.middle is None or found.low is None or found.high is None:
        return "none"
    if found.low == found.high:
        return nice(found.middle)
    return f"{nice(found.middle)} ({nice(found.low)} to {nice(found.high)})"


def shown(plan: Plan) -> list[Measure]:
    """The measures that pictures show."""
    return [each for each in plan.experiment.measures if each.name in plan.drawn.measures]


def pictures_of(results: Results) -> list[Picture]:
    """A picture of each measure that is to be shown and was found anywhere."""
    return [
        picture_of(results, measure)
        for measure in shown(results.plan)
        if any(value is not None for value in results.column(measure.name))
    ]


def page(results: Results) -> str:
    """The sweep as one HTML file that asks no network."""
    plan, experiment = results.plan, results.plan.experiment
    pictures = pictures_of(results)
    means = tuple((each.name, each.unit, each.what) for each in experiment.measures)
    axes = dict(plan.axes)
    taken = tuple(
        (each.name, each.unit, each.what, _values(axes[each.name]), each.admits) for each in experiment.parameters
    )
    luck = "its seed alone" if plan.draws == COMMON else "its experiment, parameters and seed"
    parts = (
        Part("pictures", "Pictures", "What was found", experiment.what, tuple(pictures)),
        Part("table", "Table", "By everything that was varied", "", (sheet_of(results, shown(plan)),)),
        Part(
            "plan",
            "Plan",
            "What was tried",
            f"{plan.size:,} cells; the luck of each is drawn from {luck}.",
            (
                Sheet("Parameters", ("parameter", "unit", "what", "tried", "admitted"), taken, "llttt"),
                Sheet("Measures", ("measure", "unit", "what"), means, "llt"),
            ),
        ),
    )
    facts = (("Experiment", experiment.name), ("Cells", f"{plan.size:,}"), ("Seeds", f"{len(plan.seeds):,}"))
    footer = "Made by WattQuorum (wattquorum lab sweep). Cells and summary stand beside this file as Parquet and CSV."
    return as_html(plan.title, facts, parts, footer)


def _values(values: Sequence[Value]) -> str:
    told = [each if isinstance(each, str) else f"{each:g}" for each in values]
    return ", ".join(told) if len(told) <= 12 else f"{told[0]}, {told[1]}, ... {told[-1]} ({len(told)} values)"
