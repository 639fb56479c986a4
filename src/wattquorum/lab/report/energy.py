"""Energy: who fed whom. Every flow of the picture is metered energy, and its sums close (L-2, L-9)."""

from __future__ import annotations

from sqlalchemy import func, select

from wattquorum.foundation.quantities import Energy, format_energy
from wattquorum.lab.report.markup import Section, behind, chart, chooser, flow_chart, table
from wattquorum.lab.report.week import SIDES, Week
from wattquorum.records import tables as t
from wattquorum.records.views import energy_balance


def energy(week: Week) -> Section:
    """Flows by member and day, and the quarter-hours of the whole week."""
    body = (
        '<div class="choosers">'
        + chooser("energy-day", "Day", [("", "all days"), *((day.number, day.label) for day in week.days)])
        + chooser("energy-group", "Show", [("technology", "technologies"), ("member", "members")])
        + "</div>"
        + flow_chart("energy-flow", "Energy flows from generators over market and grid to consumers", height=520)
        + '<p id="energy-closing" class="closing" aria-live="polite"></p>'
        + behind("The sums behind it, day by day", _balance(week))
        + "<h3>Every quarter-hour</h3>"
        + chart("energy-time", "Injected, withdrawn and traded energy over time", height=340)
    )
    lead = (
        "Metered energy from generators to consumers: traded on contracts, or exchanged with the grid. The bar of the "
        "grid closes with what the grid operator took in or supplied in sum; line losses are its own, outside of this."
    )
    return Section(
        "energy", "Energy", "Where the energy went", lead, body, {"flows": _flows(week), "time": _over_time(week)}
    )


def _balance(week: Week) -> str:
    rows = []
    for row in week.rows(select(energy_balance).order_by(energy_balance.c.day_start_ms)):
        label = week.days[week.day_number[row.day_start_ms]].label
        rows.append([label, *(format_energy(Energy(value)) for value in tuple(row)[2:])])
    headings = ["day", "injected", "withdrawn", "traded", "to the grid", "from the grid", "gap in", "gap out"]
    return table(
        "Injected = traded + to the grid; withdrawn = traded + from the grid", headings, rows, sides="lrrrrrrr"
    )


def _flows(week: Week) -> list[list[int]]:
    """[day, member, 0 sell or 1 buy, metered, traded, with the grid on contracts, with the grid beyond them] in Wh."""
    settled, made, position = t.settlements, t.contracts, t.positions
    on_contracts: dict[tuple[int, str, str], tuple[int, int]] = {}
    for side, member, delivered in (
        ("sell", made.c.seller, settled.c.generated_wh),
        ("buy", made.c.buyer, settled.c.consumed_wh),
    ):
        query = (
            select(
                settled.c.day_start_ms,
                member.label("member"),
                func.sum(settled.c.matched_wh).label("matched"),
                func.sum(delivered - settled.c.matched_wh).label("grid"),
            )
            .join_from(settled, made, made.c.contract == settled.c.contract)
            .where(settled.c.superseded_height.is_(None))
            .group_by(settled.c.day_start_ms, member)
        )
        for row in week.rows(query):
            on_contracts[row.day_start_ms, row.member, side] = (int(row.matched), int(row.grid))
    found = []
    in_force = select(position).where(position.c.superseded_height.is_(None))
    for row in week.rows(in_force.order_by(position.c.day_start_ms, position.c.side.desc(), position.c.member)):
        matched, grid = on_contracts.get((row.day_start_ms, row.member, row.side), (0, 0))
        key = [week.day_number[row.day_start_ms], week.number_of[row.member], SIDES[row.side]]
        found.append([*key, row.metered_wh, matched, grid, row.residual_wh])
    return found


def _over_time(week: Week) -> list[dict[str, list[int]]]:
    """For every day what was injected, withdrawn and traded in each interval [Wh]."""
    days = [
        {name: [0] * len(day.stamps) for name in ("injected", "withdrawn", "traded", "promised")} for day in week.days
    ]
    spread, position, settled, traded = t.position_intervals, t.positions, t.settlements, t.intervals
    metered = (
        select(spread.c.day_start_ms, spread.c.side, spread.c.interval, func.sum(spread.c.metered_wh).label("wh"))
        .join_from(
            spread,
            position,
            (position.c.day_start_ms == spread.c.day_start_ms)
            & (position.c.member == spread.c.member)
            & (position.c.side == spread.c.side)
            & (position.c.revision == spread.c.revision),
        )
        .where(position.c.superseded_height.is_(None))
        .group_by(spread.c.day_start_ms, spread.c.side, spread.c.interval)
    )
    for row in week.rows(metered):
        name = "injected" if row.side == "sell" else "withdrawn"
        days[week.day_number[row.day_start_ms]][name][row.interval] = int(row.wh)
    matched = (
        select(
            settled.c.day_start_ms,
            traded.c.interval,
            func.sum(traded.c.matched_wh).label("matched"),
            func.sum(traded.c.promised_wh).label("promised"),
        )
        .join_from(
            traded, settled, (settled.c.contract == traded.c.contract) & (settled.c.revision == traded.c.revision)
        )
        .where(settled.c.superseded_height.is_(None))
        .group_by(settled.c.day_start_ms, traded.c.interval)
    )
    for row in week.rows(matched):
        day = days[week.day_number[row.day_start_ms]]
        day["traded"][row.interval] = int(row.matched)
        day["promised"][row.interval] = int(row.promised)
    return days
