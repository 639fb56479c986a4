"""`wattquorum bill`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from wattquorum.cli.files import database
from wattquorum.foundation.intervals import format_moment, parse_moment
from wattquorum.foundation.quantities import Money, format_money
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.places import RECORDS

if TYPE_CHECKING:
    from wattquorum.records.bills import Bill


def bill(
    member: Annotated[str, typer.Argument(help="A member's name or address.")],
    day: Annotated[
        str | None, typer.Option(help="Only the delivery day that begins then: 2016-06-12T22:00:00Z.")
    ] = None,
    records: Annotated[str, typer.Option(help="The records: a SQLite file or a database URL.")] = f"out/week/{RECORDS}",
    lines: Annotated[bool, typer.Option(help="Every line instead of one sum for each kind.")] = False,
) -> None:
    """Print a member's bill: every transfer, in sums that add up to its balance."""
    from sqlalchemy import select

    from wattquorum.records.bills import bill_of
    from wattquorum.records.database import opened, rows_of
    from wattquorum.records.tables import accounts, chain, days

    start = int(parse_moment(day, "day")) if day is not None else None
    with database(records), opened(records) as engine:
        currency = str(rows_of(engine, select(chain.c.currency))[0][0])
        known = rows_of(engine, select(accounts.c.account, accounts.c.name))
        address = next((each.account for each in known if member in (each.name, each.account)), None)
        if address is None:
            raise Refused("account_unknown", "member", member, "Name an account of these records.")
        if start is not None and not rows_of(engine, select(days.c.day_start_ms).where(days.c.day_start_ms == start)):
            known_days = [format_moment(each[0]) for each in rows_of(engine, select(days.c.day_start_ms))]
            remedy = f"Choose a day of these records: {', '.join(known_days) or 'they have none'}."
            raise Refused("day_unknown", "day", day, remedy)
        found = bill_of(engine, address, start)
    _print(Console(highlight=False), member, found, currency, lines=lines)


def _print(console: Console, member: str, found: Bill, currency: str, *, lines: bool) -> None:
    title = f"Bill of {member}" + (f", day {format_moment(found.day_start_ms)}" if found.day_start_ms else "")
    table = Table(title=title, title_justify="left")
    if lines:
        for heading in ("block", "day", "what for", "with", "contract"):
            table.add_column(heading, no_wrap=True)
        table.add_column("amount", justify="right", no_wrap=True)
        for line in found.lines:
            table.add_row(
                str(line.height),
                format_moment(line.day_start_ms)[:13] if line.day_start_ms else "",
                line.kind.replace("_", " "),
                line.counterparty_name,
                line.contract[:8],
                format_money(Money(line.amount_millionths), currency),
            )
    else:
        table.add_column("what for")
        table.add_column("amount", justify="right")
        for kind, amount in found.by_kind().items():
            table.add_row(kind.replace("_", " "), format_money(Money(amount), currency))
    table.add_section()
    table.add_row("sum", *[""] * (len(table.columns) - 2), format_money(Money(found.total_millionths), currency))
    console.print(table)
