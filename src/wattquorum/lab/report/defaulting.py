"""Defaults: who fell short, what it cost, and who got it (A-18, A-19, L-3)."""

from __future__ import annotations

from sqlalchemy import func, literal, select

from wattquorum.foundation.quantities import Energy, Points, format_energy, format_points
from wattquorum.lab.report.markup import Section, behind, chooser, flow_chart, table
from wattquorum.lab.report.week import Week
from wattquorum.records import tables as t
from wattquorum.records.views import penalties, shares


def defaulting(week: Week) -> Section:
    """The flow of penalties and their list."""
    body = (
        '<div class="choosers">'
        + chooser("default-day", "Day", [("", "all days"), *((day.number, day.label) for day in week.days)])
        + "</div>"
        + flow_chart("default-flow", "Penalties from those who fell short to those who were paid", height=520)
        + '<p id="default-closing" class="closing" aria-live="polite"></p>'
        + table(f"Defaults, money in {week.currency}", DEFAULT_HEADINGS, default_rows(week), sides=DEFAULT_SIDES)
        + behind("Who was fined, and who got the shares", _shared(week))
        + behind("Every penalty, contract by contract", _table(week))
    )
    lead = (
        "A side that falls short makes its partner whole (compensation). Beyond the tolerance it also pays a fine, "
        "which goes to the members that traded and performed that day, in proportion to their credit."
    )
    return Section(
        "defaults", "Penalties", "Who fell short, and who was paid for it", lead, body, {"flows": _flows(week)}
    )


def _flows(week: Week) -> dict[str, list[list[int]]]:
    """Compensation, fines and shares as [day, who pays, who is paid, amount]; fines are shared out of one account."""
    compensation = (
        select(
            penalties.c.day_start_ms,
            penalties.c.payer,
            penalties.c.partner.label("receiver"),
            func.sum(penalties.c.compensation_millionths).label("amount"),
        )
        .where(penalties.c.compensation_millionths != 0)
        .group_by(penalties.c.day_start_ms, penalties.c.payer, penalties.c.partner)
        .order_by(penalties.c.day_start_ms, penalties.c.payer, penalties.c.partner)
    )
    (fines,) = (address for address, name in week.name_of.items() if name == "fines")
    pool = literal(fines)
    fined = (
        select(
            penalties.c.day_start_ms,
            penalties.c.payer,
            pool.label("receiver"),
            func.sum(penalties.c.fine_millionths).label("amount"),
        )
        .group_by(penalties.c.day_start_ms, penalties.c.payer)
        .order_by(penalties.c.day_start_ms, penalties.c.payer)
    )
    shared = (
        select(
            shares.c.day_start_ms,
            pool.label("payer"),
            shares.c.receiver,
            func.sum(shares.c.amount_millionths).label("amount"),
        )
        .group_by(shares.c.day_start_ms, shares.c.receiver)
        .order_by(shares.c.day_start_ms, shares.c.receiver)
    )
    found: dict[str, list[list[int]]] = {}
    for name, query in (("compensation", compensation), ("fines", fined), ("shares", shared)):
        found[name] = [
            [
                week.day_number[row.day_start_ms],
                week.number_of[row.payer],
                week.number_of[row.receiver],
                int(row.amount),
            ]
            for row in week.rows(query)
            if row.amount
        ]
    return found


def _table(week: Week) -> str:
    query = select(penalties).order_by(penalties.c.day_start_ms, penalties.c.payer, penalties.c.contract)
    rows = [
        [
            week.days[week.day_number[row.day_start_ms]].label,
            week.name_of[row.payer],
            "sold" if row.side == "sell" else "bought",
            week.name_of[row.partner],
            row.contract[:8],
            format_energy(Energy(row.promised_wh)),
            format_energy(Energy(row.shortfall_wh)),
            week.amount(row.compensation_millionths),
            week.amount(row.fine_millionths),
        ]
        for row in week.rows(query)
    ]
    headings = ["day", "fell short", "side", "partner", "contract", "promised", "missed", "compensation", "fine"]
    return table(f"Compensation and fines in force, in {week.currency}", headings, rows, sides="lllllrrrr")


DEFAULT_HEADINGS = ("day", "member", "side", "promised", "delivered", "compensation", "fine", "credit", "after")
DEFAULT_SIDES = "lllrrrrrr"


def default_rows(week: Week) -> list[list[str]]:
    """Each default as people read it, with what it cost; terminal and report show the same."""
    columns = penalties.c
    query = select(
        columns.day_start_ms,
        columns.payer,
        columns.side,
        func.sum(columns.compensation_millionths).label("compensation"),
        func.sum(columns.fine_millionths).label("fine"),
    ).group_by(columns.day_start_ms, columns.payer, columns.side)
    cost = {(row.day_start_ms, row.payer, row.side): (int(row.compensation), int(row.fine)) for row in week.rows(query)}
    judged = select(t.credit).where(
        t.credit.c.event == "day", t.credit.c.superseded_height.is_(None), t.credit.c.defaulted == 1
    )
    found = sorted(week.rows(judged), key=lambda row: (row.day_start_ms, week.number_of[row.member], row.side))
    return [
        [
            week.days[week.day_number[row.day_start_ms]].label,
            week.name_of[row.member],
            "sells" if row.side == "sell" else "buys",
            format_energy(Energy(row.promised_wh)),
            format_energy(Energy(row.delivered_wh)),
            *map(week.amount, cost.get((row.day_start_ms, row.member, row.side), (0, 0))),
            format_points(Points(row.credit_before_points_millionths)),
            format_points(Points(row.credit_after_points_millionths)),
        ]
        for row in found
    ]


def _shared(week: Week) -> str:
    columns = t.credit.c
    judged = select(columns.member, func.sum(columns.defaulted).label("days")).where(
        columns.event == "day", columns.superseded_height.is_(None)
    )
    defaults = {row.member: int(row.days) for row in week.rows(judged.group_by(columns.member))}
    sums: dict[str, list[int]] = {}
    for place, (view, who, amount) in enumerate(
        (
            (penalties, penalties.c.payer, penalties.c.compensation_millionths),
            (penalties, penalties.c.partner, penalties.c.compensation_millionths),
            (penalties, penalties.c.payer, penalties.c.fine_millionths),
            (shares, shares.c.receiver, shares.c.amount_millionths),
        )
    ):
        for row in week.rows(
            select(who.label("who"), func.sum(amount).label("amount")).select_from(view).group_by(who)
        ):
            sums.setdefault(row.who, [0, 0, 0, 0])[place] += int(row.amount)
    rows = []
    for address in sorted(sums, key=lambda each: week.number_of[each]):
        paid, got, fined, shared = sums[address]
        amounts = map(week.amount, (paid, fined, got, shared, got + shared - paid - fined))
        rows.append([week.name_of[address], defaults.get(address, 0), *amounts])
    headings = ["account", "defaults", "compensation paid", "fines paid", "compensation got", "shares got", "in sum"]
    return table(f"Penalties by account in {week.currency}", headings, rows, sides="lrrrrrr")
