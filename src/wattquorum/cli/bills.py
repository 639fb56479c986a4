"""`wattquorum bill`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wattquorum.cli.files import database
from wattquorum.foundation.intervals import format_moment, parse_moment
from wattquorum.foundation.quantities import Money, format_money
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.places import RECORDS

if TYPE_CHECKING:
    from wattquorum.records.bills import Bill

BETWEEN: Final = 3  # characters between two columns
FOLDED: Final = 9  # a column of names is not folded below this width, nor below its heading's


class Column(NamedTuple):
    """A column of a printed bill; only one of names may be folded."""

    heading: str
    right: bool = False
    folds: bool = False


def bill(
    member: Annotated[str, typer.Argument(help="A member's name or address.")],
    day: Annotated[
        str | None, typer.Option(help="Only one delivery day: its date, 2016-06-13, or when it begins.")
    ] = None,
    records: Annotated[str, typer.Option(help="The records: a SQLite file or a database URL.")] = f"out/week/{RECORDS}",
    lines: Annotated[bool, typer.Option(help="Every line instead of one sum for each kind.")] = False,
) -> None:
    """Print a member's bill: every transfer, in sums that add up to its balance.

    Dates are those of the records' time zone. Nothing is cut: on a terminal long names are folded, and elsewhere lines
    are as long as they need to be.
    """
    from sqlalchemy import select

    from wattquorum.records.annotations import day_dates
    from wattquorum.records.bills import bill_of, words_of
    from wattquorum.records.database import opened, rows_of
    from wattquorum.records.tables import accounts, chain

    with database(records), opened(records) as engine:
        currency = str(rows_of(engine, select(chain.c.currency))[0][0])
        known = rows_of(engine, select(accounts.c.account, accounts.c.name))
        address = next((each.account for each in known if member in (each.name, each.account)), None)
        if address is None:
            raise Refused("account_unknown", "member", member, "Name an account of these records.")
        dates = day_dates(engine)
        start = _start(day, dates) if day is not None else None
        found = bill_of(engine, address, start)
    title = f"Bill of {member}" + (f", day {dates[start]}" if start is not None else "")
    if lines:
        _print(title, LINE_COLUMNS, _lines(found, dates, currency), found, currency)
    else:
        kinds = [(words_of(kind), format_money(Money(amount), currency)) for kind, amount in found.by_kind().items()]
        _print(title, KIND_COLUMNS, kinds, found, currency)


def _start(wanted: str, dates: Mapping[int, date]) -> int:
    """The day that is called so, by its date or by when it begins; Refused when there is not exactly one."""
    named = [start for start, day in dates.items() if wanted.strip() == day.isoformat()]
    if len(named) > 1:
        remedy = f"Name it by when it begins: {', '.join(map(format_moment, named))}."
        raise Refused("time_ambiguous", "day", wanted, remedy)
    start = named[0] if named else -1
    if not named and not _is_date(wanted):
        start = _moment(wanted)
    if start not in dates:
        listed = ", ".join(dict.fromkeys(day.isoformat() for day in dates.values()))
        raise Refused("day_unknown", "day", wanted, f"Choose a day of these records: {listed or 'they have none'}.")
    return start


def _moment(text: str) -> int:
    try:
        return int(parse_moment(text, "day"))
    except Refused as refused:
        if refused.code != "time_unreadable":
            raise
        remedy = "Write a date such as 2016-06-13, or when the day begins, such as 2016-06-12T22:00:00Z."
        raise Refused("time_unreadable", "day", text, remedy) from None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return False
    return True


KIND_COLUMNS: Final = (Column("what for", folds=True), Column("amount", right=True))
LINE_COLUMNS: Final = (
    Column("block", right=True),
    Column("day"),
    Column("what for", folds=True),
    Column("with", folds=True),
    Column("contract"),
    Column("amount", right=True),
)


def _lines(found: Bill, dates: Mapping[int, date], currency: str) -> list[Sequence[str]]:
    from wattquorum.records.bills import words_of

    return [
        (
            str(line.height),
            dates[line.day_start_ms].isoformat() if line.day_start_ms is not None else "",
            words_of(line.kind),
            line.counterparty_name,
            line.contract[:8],
            format_money(Money(line.amount_millionths), currency),
        )
        for line in found.lines
    ]


def _print(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], found: Bill, currency: str) -> None:
    """Prints a bill and its sum under a title; names fold where a terminal is too narrow, amounts and dates never."""
    total = ("sum", *[""] * (len(columns) - 2), format_money(Money(found.total_millionths), currency))
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    full, folded = [], []
    for place, column in enumerate(columns):
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            overflow="fold",
        )
        widths = [cell_len(row[place]) for row in (*rows, total)]
        full.append(max(cell_len(column.heading), *widths))
        least = max(cell_len(column.heading), FOLDED)
        folded.append(min(full[-1], least) if column.folds else full[-1])
    for row in rows:
        table.add_row(*map(Text, row))
    table.add_section()
    table.add_row(*map(Text, total))
    between = BETWEEN * (len(columns) - 1)
    width = sum(full) + between
    if sys.stdout.isatty():
        width = min(width, max(Console().width, sum(folded) + between))
    typer.echo(title)
    Console(highlight=False, width=width).print(table)
