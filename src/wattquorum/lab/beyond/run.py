"""The run: plays every study's sweeps, goes on with those that were ended, and writes a page of what was found.

In the output folder: a folder for each sweep, as `lab sweep` writes it, report.html, and beyond.md with its pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.beyond.studies import STUDIES, Study, plan_named
from wattquorum.lab.drawing import Picture
from wattquorum.lab.outcome import outcome
from wattquorum.lab.parts import Part, Sheet, as_html, as_markdown, picture_file
from wattquorum.lab.report.shell import write_page
from wattquorum.lab.sweeps.experiments import Measure
from wattquorum.lab.sweeps.results import Results
from wattquorum.lab.sweeps.run import check
from wattquorum.lab.sweeps.run import run as sweep
from wattquorum.lab.sweeps.running import Where
from wattquorum.lab.sweeps.telling import row_of, sheet_of, united

REPORT: Final = "report.html"
PAGE: Final = "beyond.md"
PREFIX: Final = "beyond-"
TITLE: Final = "Beyond the paper"
COMMAND: Final = "wattquorum lab beyond --docs docs"
PANELS_MAX: Final = 3
NAMES_MAX: Final = 4  # words along which a narrow panel can be drawn
LEAD: Final = (
    "Document A simulates one scenario under one rule. Here is what it leaves open: whether its rule is safe, what a "
    "safe one costs, what the saving depends on, who gains by what, and who leads in the long run. All with the "
    "product's own rules; each study is a sweep whose file can be changed and run again (wattquorum lab sweep). "
    "Numbers are medians over seeds, with the middle nine tenths in brackets."
)
Progress = Callable[[str, int, int], None]


class Options(NamedTuple):
    """What a run was asked for."""

    out: Path
    where: Where
    seeds: int | None = None  # in place of those that the sweeps say
    docs: Path | None = None  # a folder that gets the page and its pictures, too
    studies: tuple[Study, ...] = STUDIES


class Written(NamedTuple):
    """What a run wrote."""

    report: Path
    page: Path
    cells: int


def run(options: Options, progress: Progress) -> Written:
    """Plays what is missing and writes everything. Refused as a sweep is, and as `outcome` says."""
    out, studies = options.out, options.studies
    names = [name for study in studies for name in study.shows]
    if options.docs is not None and not options.docs.is_dir():
        raise Refused("file_unreadable", "docs", f"{options.docs}: not a folder", "Name the folder of the pages.")
    with outcome(out, kept=names) as coming:
        for name in names:
            check(out / name)
        cells = _played_and_written(options, coming, progress)
    return Written(out / REPORT, out / PAGE, cells)


def _played_and_written(options: Options, coming: Path, progress: Progress) -> int:
    out, studies = options.out, options.studies
    found: dict[str, Results] = {}
    for study in studies:
        for name in study.shows:

            def told(_doing: str, done: int, total: int, name: str = name) -> None:
                progress(name, done, total)

            found[name] = sweep(plan_named(name, options.seeds), out / name, options.where, told).results
    parts = [Part("about", "About", "What this is", LEAD, ()), *(part_of(study, found) for study in studies)]
    pictures = [item for part in parts for item in part.items if isinstance(item, Picture)]
    for place in (coming, options.docs) if options.docs is not None else (coming,):
        for picture in pictures:
            write_page(place / picture_file(picture, PREFIX), picture.svg)
        remark = f"Written by `{COMMAND}`; change lab/beyond/studies."
        write_page(place / PAGE, as_markdown(TITLE, remark, parts, PREFIX))
    cells = sum(results.plan.size for results in found.values())
    facts = (("Studies", f"{len(studies)}"), ("Sweeps", f"{len(found)}"), ("Cells", f"{cells:,}"))
    footer = "Made by WattQuorum (wattquorum lab beyond). Cells stand beside this file, a folder for each sweep."
    write_page(coming / REPORT, as_html(TITLE, facts, parts, footer))
    return cells


def part_of(study: Study, found: dict[str, Results]) -> Part:
    """A study as a section: what is asked, what was found, pictures and tables."""
    items: list[str | Sheet | Picture] = [*study.finds(found).split("\n\n")]
    for name, shown in study.shows.items():
        results = found[name]
        measures = [each for each in results.plan.experiment.measures if each.name in shown]
        if _drawable(results):
            items.append(row_of(results, name, measures[:PANELS_MAX]))
        sheet = sheet_of(results, measures)
        items += [_means(measures), sheet._replace(caption=f"{results.plan.title}: {sheet.caption.lower()}")]
    return Part(study.name, study.name.capitalize(), study.title, study.asks, tuple(items))


def _drawable(results: Results) -> bool:
    along = results.plan.drawn.x
    values = dict(results.plan.axes)[along] if along is not None else ()
    return bool(values) and (not isinstance(values[0], str) or len(values) <= NAMES_MAX)


def _means(measures: Sequence[Measure]) -> str:
    return f"{'; '.join(united(each, f'{each.name}: {each.what}') for each in measures)}."
