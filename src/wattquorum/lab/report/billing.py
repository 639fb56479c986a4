"""Bills: each member's money, line by line, and from every line back to the meters (L-27)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from wattquorum.lab.report.markup import Section, behind, chart, chooser, panel, table
from wattquorum.lab.report.week import SIDES, Week
from wattquorum.records import tables as t
from wattquorum.records.views import balances


def billing(week: Week) -> Section:
    """The bill of a chosen member, for the week or a day."""
    body = (
        '<div class="choosers">'
        + chooser("bill-member", "Member", [(member.number, member.name) for member in week.members])
        + chooser("bill-day", "Day", [("", "all days"), *((day.number, day.label) for day in week.days)])
        + chooser("bill-kind", "Lines", [("", "of every kind")])
        + "</div>"
        + chart("bill-waterfall", "The bill of the member as a waterfall from kind to kind to its total", height=400)
        + panel("bill-says")
        + '<div id="bill-lines" class="scroll tall" tabindex="0" role="region" aria-label="Bill lines"></div>'
        + panel("bill-trail")
        + behind("Every account's money", _balances(week))
    )
    lead = (
        "A bill is the list of transfers that its account took part in, nothing else; so it adds up to the change of "
        "the account's balance. Follow a line's trail to its contract, its intervals, and the readings."
    )
    data = {
        "transfers": _transfers(week),
        "settlements": _settlements(week),
        "positions": _positions(week),
        "sets": _reading_sets(week),
        "judged": _judged(week),
    }
    return Section("bills", "Bills", "Bills", lead, body, data)


def _transfers(week: Week) -> dict[str, Any]:
    """Kinds, and [kind, payer, payee, amount, day or -1, contract or -1, height, sequence, place] of transfers."""
    kinds: list[str] = []
    rows = []
    for row in week.rows(select(t.transfers).order_by(t.transfers.c.height, t.transfers.c.sequence)):
        if row.kind not in kinds:
            kinds.append(row.kind)
        rows.append(
            [
                kinds.index(row.kind),
                week.number_of[row.payer],
                week.number_of[row.payee],
                row.amount_millionths,
                -1 if row.day_start_ms is None else week.day_number[row.day_start_ms],
                week.contract_number.get(row.contract, -1),
                row.height,
                row.sequence,
                row.place,
            ]
        )
    return {"kinds": kinds, "rows": rows}


def _settlements(week: Week) -> list[list[int]]:
    """[contract, revision, height, place] of every settlement."""
    query = select(t.settlements).order_by(t.settlements.c.contract, t.settlements.c.revision)
    return [[week.contract_number[row.contract], row.revision, row.height, row.place] for row in week.rows(query)]


def _positions(week: Week) -> list[list[int]]:
    """[day, member, 0 sell or 1 buy, revision, height, place] of every grid position."""
    columns = t.positions.c
    query = select(t.positions).order_by(columns.day_start_ms, columns.member, columns.side, columns.revision)
    return [
        [
            week.day_number[row.day_start_ms],
            week.number_of[row.member],
            SIDES[row.side],
            row.revision,
            row.height,
            row.place,
        ]
        for row in week.rows(query)
    ]


def _reading_sets(week: Week) -> list[list[int | str]]:
    """[day, meter, version, member, 0 sell or 1 buy, not measured, root, position, height, place] of readings."""
    query = select(t.reading_sets)
    columns = t.reading_sets.c
    return [
        [
            week.day_number[row.day_start_ms],
            week.meter_number[row.meter],
            row.version,
            week.number_of[row.member],
            SIDES[row.side],
            row.not_measured,
            row.root,
            row.position,
            row.height,
            row.place,
        ]
        for row in week.rows(query.order_by(columns.day_start_ms, columns.meter, columns.version))
    ]


def _judged(week: Week) -> list[list[int]]:
    """[day, member, 0 sell or 1 buy, promised, 1 if defaulted, credit after, height] of every judgement of a day."""
    columns = t.credit.c
    query = select(t.credit).where(columns.event == "day").order_by(columns.height, columns.sequence)
    return [
        [
            week.day_number[row.day_start_ms],
            week.number_of[row.member],
            SIDES[row.side],
            row.promised_wh,
            row.defaulted,
            row.credit_after_points_millionths,
            row.height,
        ]
        for row in week.rows(query)
    ]


def _balances(week: Week) -> str:
    found = sorted(week.rows(select(balances)), key=lambda row: week.number_of[row.account])
    rows = [[row.name, *map(week.amount, tuple(row)[2:])] for row in found]
    total = [sum(column) for column in zip(*(tuple(row)[2:] for row in found), strict=True)]
    rows.append(["all together", *map(week.amount, total)])
    headings = ["account", "deposited", "withdrawn", "traded", "balance", "owed"]
    caption = f"Balances in {week.currency}, locked collateral included; all together they are zero"
    return table(caption, headings, rows, sides="lrrrrr")
