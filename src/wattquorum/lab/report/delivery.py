"""Delivery: what was promised and what came, member by member and quarter-hour by quarter-hour (L-4)."""

from __future__ import annotations

from sqlalchemy import func, select

from wattquorum.foundation.quantities import Energy, format_energy
from wattquorum.lab.report.markup import Section, behind, chart, chooser, panel, table
from wattquorum.lab.report.week import SIDES, Week
from wattquorum.records import tables as t


def delivery(week: Week) -> Section:
    """A map of all members and days, and one member closely."""
    body = (
        chart("delivery-map", "Share of each member's promise that was delivered, day by day", height=560)
        + behind("The table behind it", _table(week))
        + '<h3>One member closely</h3><div class="choosers">'
        + chooser("delivery-member", "Member", [(member.number, member.name) for member in week.members])
        + chooser("delivery-day", "Day", [(day.number, day.label) for day in week.days])
        + "</div>"
        + chart("delivery-days", "Promised, delivered and metered energy of the member, day by day", height=320)
        + chart("delivery-hours", "Promised and metered energy of the member in each interval of the day", height=320)
        + panel("delivery-says")
    )
    lead = (
        "Of what a member promised in intervals that count, how much came. Surplus in one quarter-hour does not make "
        "good a shortfall in another. A cross marks a default: less than the tolerance allows. Nothing was promised "
        "where a field is empty."
    )
    return Section(
        "delivery", "Delivery", "Contracted and delivered", lead, body, {"judged": _judged(week), "sums": _sums(week)}
    )


def _judged(week: Week) -> list[list[int]]:
    """[day, member, 0 sell or 1 buy, promised in tested intervals, delivered of it, defaulted] in force [Wh]."""
    query = select(t.credit).where(t.credit.c.event == "day", t.credit.c.superseded_height.is_(None))
    found = []
    for row in week.rows(query.order_by(t.credit.c.day_start_ms, t.credit.c.member, t.credit.c.side.desc())):
        key = [week.day_number[row.day_start_ms], week.number_of[row.member], SIDES[row.side]]
        found.append([*key, row.promised_wh, row.delivered_wh, row.defaulted])
    return found


def _sums(week: Week) -> list[list[int]]:
    """[day, member, 0 sell or 1 buy, promised in all intervals, metered] [Wh]."""
    settled, made = t.settlements, t.contracts
    promised: dict[tuple[int, str, str], int] = {}
    for side, member in (("sell", made.c.seller), ("buy", made.c.buyer)):
        query = (
            select(settled.c.day_start_ms, member.label("member"), func.sum(settled.c.promised_wh).label("wh"))
            .join_from(settled, made, made.c.contract == settled.c.contract)
            .where(settled.c.superseded_height.is_(None))
            .group_by(settled.c.day_start_ms, member)
        )
        promised.update({(row.day_start_ms, row.member, side): int(row.wh) for row in week.rows(query)})
    found = []
    in_force = select(t.positions).where(t.positions.c.superseded_height.is_(None))
    for row in week.rows(
        in_force.order_by(t.positions.c.day_start_ms, t.positions.c.member, t.positions.c.side.desc())
    ):
        key = [week.day_number[row.day_start_ms], week.number_of[row.member], SIDES[row.side]]
        found.append([*key, promised.get((row.day_start_ms, row.member, row.side), 0), row.metered_wh])
    return found


def _table(week: Week) -> str:
    rows = []
    for day, member, side, promised, delivered, defaulted in _judged(week):
        share = f"{delivered * 1000 // promised / 10:.1f} %" if promised else ""
        rows.append(
            [
                week.names[member],
                "sells" if side == 0 else "buys",
                week.days[day].label,
                format_energy(Energy(promised)),
                format_energy(Energy(delivered)),
                share,
                "default" if defaulted else "",
            ]
        )
    headings = ["member", "side", "day", "promised", "delivered", "share", ""]
    return table("Promised in tested intervals, and what of it was delivered", headings, rows, sides="lllrrrl")
