"""Tables for the terminal: the days in short, made from the records like the report.

They show the columns of the report's tables that fit into 80 characters; the report and the records have the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wattquorum.lab.report.books import SUM_HEADINGS, SUM_SIDES, sum_rows
from wattquorum.lab.report.defaulting import DEFAULT_HEADINGS, DEFAULT_SIDES, default_rows
from wattquorum.lab.report.grid import (
    BEYOND_HEADINGS,
    BEYOND_SIDES,
    CURTAILMENT_HEADINGS,
    CURTAILMENT_SIDES,
    beyond_limits,
    curtailment_rows,
)
from wattquorum.lab.report.overview import title_of
from wattquorum.lab.report.strategies import (
    GROUP_HEADINGS,
    GROUP_SIDES,
    MEMBER_HEADINGS,
    MEMBER_SIDES,
    group_rows,
    member_rows,
)
from wattquorum.lab.report.week import Week
from wattquorum.records.database import opened

Rows = Sequence[Sequence[str | int]]


def print_tables(place: str | Path, console: Console) -> None:
    """Prints results by technology and strategy and by member, defaults, and the sums that must close.

    `place` is a SQLite file or a database URL; Refused("file_unreadable") when there are no records.
    """
    with opened(place) as engine:
        week = Week(engine)
        console.print(Text(f"{title_of(week)}, money in {week.currency}", style="bold"))
        shown: tuple[str, ...] = ("technology", "strategy", "defaults", "traded", "of metered", "gain")
        _print(console, "By technology and strategy", GROUP_HEADINGS, GROUP_SIDES, shown, group_rows(week))
        shown = ("member", "defaults", "traded", "result", "gain", "status")
        _print(console, "Members", MEMBER_HEADINGS, MEMBER_SIDES, shown, member_rows(week))
        shown = ("day", "member", "promised", "delivered", "compensation", "fine")
        _print(console, "Defaults", DEFAULT_HEADINGS, DEFAULT_SIDES, shown, default_rows(week))
        if curtailed := curtailment_rows(week):
            shown = ("day", "seller", "buyer", "cut", "reason")
            _print(console, "Curtailed by the grid operator", CURTAILMENT_HEADINGS, CURTAILMENT_SIDES, shown, curtailed)
        if (beyond := beyond_limits(week)) and beyond.rows:
            shown = ("flow", "limit", "allowed", "intervals", "worst")
            _print(console, "Beyond the grid's limits", BEYOND_HEADINGS, BEYOND_SIDES, shown, beyond.rows)
            for line in beyond.says:
                console.print(Text(line))
        shown = ("check", "one way", "closes")
        _print(console, "Sums that must close", SUM_HEADINGS, SUM_SIDES, shown, sum_rows(week))


def _print(console: Console, title: str, headings: Sequence[str], sides: str, shown: Sequence[str], rows: Rows) -> None:
    """Prints some columns of a table under a title."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    places = [headings.index(name) for name in shown]
    for place in places:
        table.add_column(headings[place], justify="right" if sides[place] == "r" else "left")
    for row in rows or [["none"] + [""] * (len(headings) - 1)]:
        table.add_row(*(Text(str(row[place])) for place in places))
    console.print()
    console.print(table)
