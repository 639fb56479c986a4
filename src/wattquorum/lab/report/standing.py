"""Standing: what every member's weight is made of, and what it would be worth in a vote (A-7, A-8, L-12).

There is no quorum yet, so participation is 0; the page says so. Voting powers are those that a committee of all members
would have, at every tolerance.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from wattquorum.foundation.quantities import MILLION, Energy, Points, Ppm, format_energy, format_points, format_share
from wattquorum.lab.report.markup import Section, behind, chart, chooser, paragraph, table
from wattquorum.lab.report.week import SIDES, Week
from wattquorum.records import tables as t
from wattquorum.records.database import AnyRow
from wattquorum.standing.election import tie
from wattquorum.standing.groups import GROUPS_MIN, Candidate, group_count, grouped, spread
from wattquorum.standing.power import project, quorum_sizes, tolerance_default, tolerance_max
from wattquorum.standing.weight import prosumer_weight

GROUPS = 5  # of a community of this size
TAU = Ppm(20_000)  # by how much groups may differ of their mean (B-3)
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
        + '<div class="choosers">'
        + chooser("standing-member", "Over the days", [(member.number, member.name) for member in week.members])
        + "</div>"
        + chart("standing-time", "A member's weight by component over the days", height=340)
        + "<h3>Voting power, by how many members may be lost</h3>"
        + chart("standing-power", "Voting power of every member at lowest, default and highest tolerance", height=620)
        + table("How many members decide, by tolerance", POWER_HEADINGS, _sizes(week), sides="rrrrl")
        + behind("Components and weight of every side", _table(week))
        + "<h3>Groups</h3>"
        + _groups(week)
    )
    lead = (
        "A member's weight adds up what it earned: credit, volume, participation, certificates, carbon and, for "
        "generators, faults of its line, 0 to 100 points each, times coefficients that add up to one. There is no "
        "quorum yet, so participation is 0 for all. Whole certificates count as a share of all, by the time that each "
        "was held; carbon is a neutral 50 for members without a closed period. Voting power is a projection of weights "
        "that keeps any few members from deciding or from stopping everything."
    )
    power = _power(week)
    data = {
        "weights": _weights(week),
        "coefficients": _coefficients(week),
        "power": power,
        "tolerance": tolerance_default(len(power)),
    }
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


def _groups(week: Week) -> str:
    """Into which groups B-3 would divide the members by traded energy N and trust T, and how even they are."""
    latest: dict[str, dict[str, AnyRow]] = {}
    for row in week.rows(select(t.credit).order_by(t.credit.c.height, t.credit.c.sequence)):
        latest.setdefault(row.member, {})[row.side] = row
    if len(latest) < GROUPS_MIN:
        return paragraph(f"There are too few members for groups, which needs {GROUPS_MIN}.")
    addresses = sorted(latest)
    chain_id = bytes.fromhex(week.chain.chain_id)
    candidates = [
        Candidate(
            Energy(sum(row.traded_wh for row in latest[each].values())),
            Points(sum(row.trust_now_points_millionths for row in latest[each].values()) // len(latest[each])),
            tie(chain_id, 0, bytes.fromhex(each)),
        )
        for each in addresses
    ]
    groups = grouped(candidates, group_count(GROUPS, len(candidates)), TAU, TAU)
    differ = spread(candidates, groups)
    traded, trust = (sum(each.traded for each in candidates), sum(each.trust for each in candidates))
    says = (
        f"{len(groups)} groups of members with equal traded energy N and equal trust T (B-3). Sums differ by at most "
        f"{format_share(Ppm(differ.traded * len(groups) * MILLION // max(traded, 1)))} of their mean in N and "
        f"{format_share(Ppm(differ.trust * len(groups) * MILLION // max(trust, 1)))} in T. Agents are "
        "elected inside groups when there is a committee."
    )
    rows: list[list[str | int]] = [
        [
            number,
            ", ".join(week.name_of[addresses[place]] for place in members),
            format_energy(Energy(sum(candidates[place].traded for place in members))),
            format_points(Points(sum(candidates[place].trust for place in members))),
        ]
        for number, members in enumerate(groups, 1)
    ]
    return paragraph(says) + table("Groups", ("group", "members", "N", "T [points]"), rows, sides="rtrr")


def _table(week: Week) -> str:
    rows = []
    for row in week.rows(select(t.weights).order_by(t.weights.c.day_start_ms, t.weights.c.sequence)):
        cells = [format_points(Points(getattr(row, f"{name}_points_millionths"))) for name in (*COMPONENTS, "weight")]
        day = week.days[week.day_number[row.day_start_ms]].label
        rows.append([day, week.name_of[row.member], "sells" if row.side == "sell" else "buys", *cells])
    headings = ["day", "member", "side", *COMPONENTS, "weight"]
    return table("Components and weight after each closed day [points]", headings, rows, sides="lll" + "r" * 7)
