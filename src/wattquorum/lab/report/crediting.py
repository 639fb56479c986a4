"""Credit: how each member's standing moved with every day it kept or broke (A-9, A-10, A-16, L-5)."""

from __future__ import annotations

from sqlalchemy import select

from wattquorum.foundation.quantities import Points, format_points
from wattquorum.lab.report.markup import Section, behind, chart, chooser, table
from wattquorum.lab.report.week import SIDES, Week
from wattquorum.records import tables as t


def crediting(week: Week) -> Section:
    """Credit C of every member and side over time."""
    sides = [
        (f"{member.number}:{side}", member.name if len(member.sides) == 1 else f"{member.name} ({side})")
        for member in week.members
        for side in member.sides
    ]
    body = (
        '<div class="choosers">'
        + chooser("credit-member", "Bring forward", [("", "everybody"), *sides])
        + "</div>"
        + chart("credit-chart", "Credit of every member over time", height=460)
        + behind("The table behind it", _table(week))
    )
    lead = (
        "Credit C runs from 0 to 100 points. A day that was kept raises it by a share of what is missing to 100; a "
        "default lowers it in proportion to what was missed. Crosses mark defaults. It moves when a day is closed or "
        "corrected. Named are those that defaulted; of all others, in grey, the list below brings one forward."
    )
    return Section("credit", "Credit", "Credit over the days", lead, body, {"events": _events(week)})


def _events(week: Week) -> list[list[int]]:
    """[member, 0 sell or 1 buy, block time, credit from then on, day or -1, defaulted, 1 corrected or 2 decayed]."""
    times = week.block_times()
    return [
        [
            week.number_of[row.member],
            SIDES[row.side],
            times[row.height],
            row.credit_now_points_millionths,
            -1 if row.day_start_ms is None else week.day_number[row.day_start_ms],
            row.defaulted,
            2 if row.event == "decay" else row.corrected,
        ]
        for row in week.rows(select(t.credit).order_by(t.credit.c.height, t.credit.c.sequence))
    ]


def _table(week: Week) -> str:
    """Credit after each day, as it stood when the next was closed."""
    standing: dict[tuple[int, str], dict[int, int]] = {}
    entry: dict[tuple[int, str], int] = {}
    for row in week.rows(select(t.credit).order_by(t.credit.c.height, t.credit.c.sequence)):
        key = (week.number_of[row.member], row.side)
        if row.day_start_ms is None:
            entry[key] = row.credit_now_points_millionths
        else:
            standing.setdefault(key, {})[week.day_number[row.day_start_ms]] = row.credit_now_points_millionths
    rows = []
    for key in sorted(entry, key=lambda each: (each[0], each[1] != "sell")):
        points = entry[key]
        cells = [format_points(Points(points))]
        for day in week.days:
            points = standing.get(key, {}).get(day.number, points)
            cells.append(format_points(Points(points)))
        rows.append([week.names[key[0]], "sells" if key[1] == "sell" else "buys", *cells])
    headings = ["member", "side", "at entry", *(day.label for day in week.days)]
    return table(
        "Credit after each day, its corrections included [points]",
        headings,
        rows,
        sides="ll" + "r" * (1 + len(week.days)),
    )
