"""Standing: what every member's weight is made of, and what it would be worth in a vote (A-7, A-8, L-12).

Where one sequencer orders there is no quorum and participation is 0; the page says so. Voting powers are those that a
committee of all legal owners would have, each with its best account (L-17), at every tolerance.
"""

from __future__ import annotations

from sqlalchemy import func, select

from wattquorum.foundation.quantities import Energy, Points, format_energy, format_points, format_share
from wattquorum.lab.report.markup import Section, behind, chart, chooser, paragraph, table
from wattquorum.lab.report.week import SIDES, Week
from wattquorum.ledger.accounts import legal_owner
from wattquorum.records import tables as t
from wattquorum.records.measured_tables import replicas_measured
from wattquorum.standing.groups import GROUPS_DEFAULT, GROUPS_MIN, divided
from wattquorum.standing.power import project, quorum_sizes, tolerance_default, tolerance_max
from wattquorum.standing.voters import Member, OneSide, voters

COMPONENTS = ("credit", "volume", "participation", "certificates", "carbon", "line")


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
        + "<h3>Voting power, by how many voters may be lost</h3>"
        + chart(
            "standing-power", "Voting power of every owner's vote at lowest, default and highest tolerance", height=620
        )
        + table("How many voters decide, by tolerance", POWER_HEADINGS, _sizes(week), sides="rrrrl")
        + behind("Components and weight of every side", _table(week))
        + "<h3>Groups</h3>"
        + _groups(week)
    )
    lead = (
        "A member's weight adds up what it earned: credit, volume, participation, certificates, carbon and, for "
        "generators, faults of its line, 0 to 100 points each, times coefficients that add up to one. "
        + _taking_part(week)
        + " Whole certificates count as a share of all, by the time that each "
        "was held; carbon is a neutral 50 for members without a closed period. Voting power is a projection of weights "
        "that keeps any few voters from deciding or from stopping everything. " + _one_vote(week)
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


def members(week: Week) -> list[Member]:
    """Each account with a side after the last closed day, by address: weight, N, T and whose it is."""
    columns, credit = t.weights.c, t.credit.c
    last = week.rows(select(func.max(columns.day_start_ms)))[0][0]
    query = select(credit.member, credit.side, credit.traded_wh, credit.trust_now_points_millionths)
    judged = {(row[0], row[1]): (row[2], row[3]) for row in week.rows(query.order_by(credit.height, credit.sequence))}
    initial = select(t.parameters.c.value).where(t.parameters.c.name == "initial_trust")
    unjudged = 0, week.rows(initial.order_by(t.parameters.c.version.desc()))[0][0]
    sides: dict[str, dict[str, OneSide]] = {}
    for row in week.rows(select(t.weights).where(columns.day_start_ms == last).order_by(columns.member)):
        traded, trust = judged.get((row.member, row.side), unjudged)
        one = OneSide(Points(row.weight_points_millionths), Energy(traded), Points(trust))
        sides.setdefault(row.member, {})[row.side] = one
    owners = {member.address: legal_owner(member.owner) for member in week.members}
    return [
        Member(bytes.fromhex(address), owners[address], own.get("sell"), own.get("buy"))
        for address, own in sides.items()
    ]


def _taking_part(week: Week) -> str:
    if week.count(replicas_measured):
        return "Participation is what a member's replica earned by completing quorums, and 0 without a replica."
    return "One sequencer orders, so there is no quorum and participation is 0 for all."


def _one_vote(week: Week) -> str:
    """Who carries whose vote, where that is not plain (L-17)."""
    every = members(week)
    carriers = {voter.owner: voter.address for voter in voters(every)}
    spare = [
        f"{week.name_of[each.address.hex()]} ({week.name_of[carriers[each.owner].hex()]} carries its owner's)"
        for each in every
        if each.address != carriers[each.owner]
    ]
    says = "Each legal owner has one vote, which its account of most weight carries, under that account's name."
    return f"{says} Without a vote: {', '.join(spare)}." if spare else says


def _power(week: Week) -> list[list[int]]:
    """[member, weight, power at tolerance 0, 1, ...] of who carries a vote after the last closed day, by weight."""
    own = voters(members(week))
    weights, addresses = [each.weight for each in own], [each.address for each in own]
    powers = [project(weights, addresses, tolerance) for tolerance in range(tolerance_max(len(own)) + 1)]
    rows = [
        [week.number_of[each.address.hex()], each.weight, *(at_tolerance[i] for at_tolerance in powers)]
        for i, each in enumerate(own)
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _sizes(week: Week) -> list[list[str | int]]:
    own = voters(members(week))
    weights, addresses = [each.weight for each in own], [each.address for each in own]
    rows: list[list[str | int]] = []
    for tolerance in range(tolerance_max(len(own)) + 1 if own else 0):
        sizes = quorum_sizes(project(weights, addresses, tolerance))
        says = "the default" if tolerance == tolerance_default(len(own)) else ""
        rows.append([tolerance, f"any {tolerance} of {len(own)}", sizes.fewest, sizes.most, says])
    return rows


def _groups(week: Week) -> str:
    """Into which groups B-3 would divide the voters by traded energy N and trust T, and how even they are."""
    own = voters(members(week))
    if len(own) < GROUPS_MIN:
        return paragraph(f"There are too few voters for groups, which needs {GROUPS_MIN}.")
    division = divided(own, bytes.fromhex(week.chain.chain_id), 0, GROUPS_DEFAULT)
    traded, trust = format_share(division.traded_differ), format_share(division.trust_differ)
    says = (
        f"{len(division.groups)} groups of voters with equal traded energy N and equal trust T (B-3). Sums differ by "
        f"at most {traded} of their mean in N and {trust} in T. Agents are elected inside groups when there is a "
        "committee."
    )
    rows: list[list[str | int]] = [
        [
            number,
            ", ".join(week.name_of[each.address.hex()] for each in group.members),
            format_energy(group.traded),
            format_points(group.trust),
        ]
        for number, group in enumerate(division.groups, 1)
    ]
    return paragraph(says) + table("Groups", ("group", "voters", "N", "T [points]"), rows, sides="rtrr")


def _table(week: Week) -> str:
    rows = []
    for row in week.rows(select(t.weights).order_by(t.weights.c.day_start_ms, t.weights.c.sequence)):
        cells = [format_points(Points(getattr(row, f"{name}_points_millionths"))) for name in (*COMPONENTS, "weight")]
        day = week.days[week.day_number[row.day_start_ms]].label
        rows.append([day, week.name_of[row.member], "sells" if row.side == "sell" else "buys", *cells])
    headings = ["day", "member", "side", *COMPONENTS, "weight"]
    return table("Components and weight after each closed day [points]", headings, rows, sides="lll" + "r" * 7)
