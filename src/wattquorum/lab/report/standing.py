"""Standing: what every member's weight is made of, and what it would be worth in a vote (A-7, A-8, L-12).

There is no quorum yet, so participation is 0, and there are no certificates and carbon accounts yet; the page says so.
Voting powers are those that a committee of all members would have, at every tolerance.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from wattquorum.foundation.quantities import Energy, Points, format_points
from wattquorum.lab.report.markup import Section, behind, chart, chooser, table
from wattquorum.lab.report.week import SIDES, Week
from wattquorum.records import tables as t
from wattquorum.standing.power import project, quorum_sizes, tolerance_default, tolerance_max
from wattquorum.standing.weight import prosumer_weight

COMPONENTS = ("credit", "volume", "participation", "certificates", "carbon", "line")


class Standing(NamedTuple):
    """A member's weight after the last closed day."""

    member: int
    address: bytes
    weight: Points


def standing(week: Week) -> Section:
    """Weights by component over the days, and voting power by tolerance."""
    days = [(day.number, day.label) for day in week.days]
    body = (
        '<div class="choosers">'
        + chooser("standing-day", "After", list(reversed(days)))
        + "</div>"
        + chart("standing-weights", "Every side's weight by component", height=560)
        + chart("standing-power", "Voting power of every member at each tolerance", height=420)
        + table("How many members decide, by tolerance", POWER_HEADINGS, _sizes(week), sides="rrrrl")
        + behind("Components and weight of every side", _table(week))
    )
    lead = (
        "A member's weight adds up what it earned: credit, volume, participation, certificates, carbon and, for "
        "generators, faults of its line, 0 to 100 points each, times coefficients that add up to one. There is no "
        "quorum yet, so participation is 0 for all; there are no certificates, and nobody has a carbon account, which "
        "counts as a neutral 50. Voting power is a projection of weights that keeps any few members from deciding or "
        "from stopping everything."
    )
    data = {"weights": _weights(week), "coefficients": _coefficients(week), "power": _power(week)}
    return Section("standing", "Standing", "Who would carry which vote", lead, body, data)


POWER_HEADINGS = ("tolerance", "may be lost", "fewest that decide", "any so many decide", "")


def _weights(week: Week) -> list[list[int]]:
    """[day, member, 0 sell or 1 buy, six components, weight] of every side after every closed day."""
    rows = week.rows(select(t.weights).order_by(t.weights.c.height, t.weights.c.sequence))
    return [
        [
            week.day_number[row.day_start_ms],
            week.number_of[row.member],
            SIDES[row.side],
            *(getattr(row, f"{name}_points_millionths") for name in COMPONENTS),
            row.weight_points_millionths,
        ]
        for row in rows
    ]


def _coefficients(week: Week) -> list[list[list[int]]]:
    """[day][0 sell or 1 buy][component]: the coefficients under which a day was traded [ppm]; no line for buyers."""
    query = select(t.days.c.day_start_ms, t.parameters.c.name, t.parameters.c.value).join_from(
        t.days, t.parameters, t.parameters.c.version == t.days.c.parameters_version
    )
    values = {(row.day_start_ms, row.name): row.value for row in week.rows(query)}
    return [
        [[values.get((day.start_ms, f"{letter}_{name}"), 0) for name in COMPONENTS] for letter in ("a", "b")]
        for day in week.days
    ]


def standings(week: Week) -> list[Standing]:
    """Each member's weight after the last closed day, both sides of a prosumer averaged by what they traded (L-12)."""
    columns = t.weights.c
    last = week.rows(select(func.max(columns.day_start_ms)))[0][0]
    if last is None:
        return []
    traded: dict[tuple[str, str], int] = {}
    credit = t.credit.c
    for row in week.rows(select(credit.member, credit.side, credit.traded_wh).order_by(credit.height, credit.sequence)):
        traded[row.member, row.side] = row.traded_wh
    sides: dict[str, dict[str, int]] = {}
    for row in week.rows(select(t.weights).where(columns.day_start_ms == last)):
        sides.setdefault(row.member, {})[row.side] = row.weight_points_millionths
    found = []
    for address in sorted(sides):
        own = sides[address]
        if len(own) == 1:
            (points,) = own.values()
        else:
            sold, bought = (Energy(traded.get((address, side), 0)) for side in ("sell", "buy"))
            points = prosumer_weight(Points(own["sell"]), sold, Points(own["buy"]), bought)
        found.append(Standing(week.number_of[address], bytes.fromhex(address), Points(points)))
    return found


def _power(week: Week) -> list[list[int]]:
    """[member, weight, power at tolerance 0, 1, ...] after the last closed day, by falling weight."""
    members = standings(week)
    weights, addresses = [each.weight for each in members], [each.address for each in members]
    powers = [project(weights, addresses, tolerance) for tolerance in range(tolerance_max(len(members)) + 1)]
    rows = [[each.member, each.weight, *(at_tolerance[i] for at_tolerance in powers)] for i, each in enumerate(members)]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _sizes(week: Week) -> list[list[str | int]]:
    members = standings(week)
    weights, addresses = [each.weight for each in members], [each.address for each in members]
    rows: list[list[str | int]] = []
    for tolerance in range(tolerance_max(len(members)) + 1 if members else 0):
        sizes = quorum_sizes(project(weights, addresses, tolerance))
        says = "the default" if tolerance == tolerance_default(len(members)) else ""
        rows.append([tolerance, f"any {tolerance} of {len(members)}", sizes.fewest, sizes.most, says])
    return rows


def _table(week: Week) -> str:
    rows = []
    for row in week.rows(select(t.weights).order_by(t.weights.c.day_start_ms, t.weights.c.sequence)):
        cells = [format_points(Points(getattr(row, f"{name}_points_millionths"))) for name in (*COMPONENTS, "weight")]
        day = week.days[week.day_number[row.day_start_ms]].label
        rows.append([day, week.name_of[row.member], "sells" if row.side == "sell" else "buys", *cells])
    headings = ["day", "member", "side", *COMPONENTS, "weight"]
    return table("Components and weight after each closed day [points]", headings, rows, sides="lll" + "r" * 7)
