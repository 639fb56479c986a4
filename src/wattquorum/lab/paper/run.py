"""The run: plays everything over processes and writes what came out.

In the output folder: report.html, tables/ and figures/ with a CSV file of every table and figure, figures also as SVG,
and lab.md, the documentation's page. Files other than those of `scale` are the same to the byte for the same seeds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from joblib import delayed

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.drawing import Picture
from wattquorum.lab.outcome import outcome
from wattquorum.lab.paper.agreement import Case, Elected
from wattquorum.lab.paper.figures import figures_of, rows_of
from wattquorum.lab.paper.scale import SIZES, Took, took
from wattquorum.lab.paper.study import Found, done, found_of, tasks
from wattquorum.lab.paper.tables import File, claim_file, files_of
from wattquorum.lab.paper.told import TITLE, page_of, parts_of
from wattquorum.lab.paper.verdicts import Verdict, verdicts_of
from wattquorum.lab.parts import as_html, as_markdown, picture_file
from wattquorum.lab.report.shell import write_page
from wattquorum.lab.sweeps.running import Where, check_code, on, results

REPORT: Final = "report.html"
PAGE: Final = "lab.md"
TABLES: Final = "tables"
FIGURES: Final = "figures"
SCALE: Final = "scale.csv"
PREFIX: Final = "lab-"  # of the pictures' files beside the documentation's page
COMMAND: Final = "wattquorum lab reproduce --docs docs"
FOOTER: Final = (
    "Made by WattQuorum (wattquorum lab reproduce). Every table and figure stands beside this file as CSV, figures "
    "also as SVG."
)
Progress = Callable[[str, int, int], None]  # (what is done, how much of it, of how much)


class Options(NamedTuple):
    """What a run was asked for."""

    out: Path
    seeds: int
    where: Where = Where()
    largest: int = SIZES[-1]  # nodes of the largest course that is timed
    docs: Path | None = None  # a folder that gets the page and its pictures, too


class Written(NamedTuple):
    """What a run wrote, and what it found."""

    report: Path
    tables: Path
    figures: Path
    verdicts: tuple[Verdict, ...]


def run(options: Options, progress: Progress) -> Written:
    """Plays everything and writes it. Refused as `outcome` says, and for a folder of pages that is not there."""
    _check(options)
    out = options.out
    with outcome(out) as coming:
        verdicts = _played_and_written(options._replace(out=coming), progress)
    return Written(out / REPORT, out / TABLES, out / FIGURES, tuple(verdicts))


def _played_and_written(options: Options, progress: Progress) -> list[Verdict]:
    found = _played(options, progress)
    sizes = [nodes for nodes in SIZES if nodes < options.largest] + [options.largest]
    times = []
    for place, nodes in enumerate(sizes):
        progress("timing", place, len(sizes))
        times.append(took(nodes))
    return _written(options, found, times)


def _played(options: Options, progress: Progress) -> Found:
    asked = tasks(options.seeds)
    order = sorted(range(len(asked)), key=lambda place: -asked[place].weight)  # the longest first
    total = sum(task.weight for task in asked)
    outcomes: list[list[Any]] = [[] for _ in asked]
    so_far = 0
    with on(options.where) as workers:
        progress("playing", so_far, total)
        these = [delayed(done)(place, asked[place]) for place in order]
        for each in results(these, options.where, min(workers, len(these))):
            check_code(each.code, options.where)
            outcomes[each.place] = each.outcome
            so_far += asked[each.place].weight
            progress("playing", so_far, total)
    return found_of(options.seeds, asked, outcomes)


# Files --------------------------------------------------------------------------------------------------------------


def _check(options: Options) -> None:
    """Refuses a folder for the documentation that is not there."""
    if options.docs is not None and not options.docs.is_dir():
        remedy = "Name the folder of the pages."
        raise Refused("file_unreadable", "docs", f"{options.docs}: not a folder", remedy)


def _written(options: Options, found: Found, times: Sequence[Took]) -> list[Verdict]:
    out = options.out
    verdicts, figures = verdicts_of(found.chosen, found.drawn), figures_of(found.chosen)
    parts = parts_of(found, verdicts, figures, times)
    tables, drawings = out / TABLES, out / FIGURES
    for folder in (tables, drawings):
        folder.mkdir(exist_ok=True)
    for file in files(found, verdicts, times):
        write_page(tables / file.name, csv_of(file.headings, file.rows))
    for figure in figures:
        write_page(drawings / f"{figure.name}.csv", csv_of(*rows_of(figure)))
    pictures = [item for part in parts for item in part.items if isinstance(item, Picture)]
    for picture in pictures:
        write_page(drawings / picture_file(picture, ""), picture.svg)
    remark = f"Written by `{COMMAND}`; change lab/paper/told."
    brief = page_of(parts)
    shown = [item for part in brief for item in part.items if isinstance(item, Picture)]
    if options.docs is not None:
        write_page(options.docs / PAGE, as_markdown(TITLE, remark, brief, PREFIX))
        for picture in shown:
            write_page(options.docs / picture_file(picture, PREFIX), picture.svg)
    write_page(out / PAGE, as_markdown(TITLE, remark, brief, f"{FIGURES}/"))
    facts = (("Seeds", f"{found.seeds}, from 0"), ("Inputs", "chosen, and drawn for each seed"))
    write_page(out / REPORT, as_html(TITLE, facts, parts, FOOTER))
    return verdicts


def files(found: Found, verdicts: Sequence[Verdict], times: Sequence[Took]) -> list[File]:
    """Every table as a file."""
    variants = [(each.name, each.seed, *each.led, *map(repr, each.saved)) for each in found.variants]
    heads = ("inputs", "seed", "led_1", "led_2", "led_5", "saved_1", "saved_2", "saved_5")
    return [
        *files_of(found.chosen, found.drawn),
        claim_file(verdicts),
        File("variants.csv", heads, variants),
        File("engines.csv", Case._fields, found.cases),
        File("plain-elections.csv", Elected._fields, found.plain),
        File(SCALE, Took._fields, times),
    ]


def csv_of(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return text.getvalue()
