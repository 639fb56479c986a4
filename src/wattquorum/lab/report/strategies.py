"""Strategies: which technology and which way of promising defaulted how often, traded how much, and earned what."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from wattquorum.foundation.quantities import Energy, format_energy
from wattquorum.lab.report.markup import Section, behind, chart, table
from wattquorum.lab.report.week import Member, Week
from wattquorum.records import tables as t
from wattquorum.records.views import member_days


class Sums(NamedTuple):
    """What one member, or several, did over all days."""

    promised_days: int  # days and sides on which something was promised
    defaults: int
    promised: int  # in tested intervals [Wh]
    delivered: int  # of it [Wh]
    traded: int  # [Wh]
    metered: int  # [Wh]
    result: int  # [millionths]
    alone: int  # with the grid alone [millionths]

    @property
    def gain(self) -> int:
        """What trading was worth [millionths]."""
        return self.result - self.alone

    @property
    def default_rate(self) -> str:
        """Defaults as a percentage of the days with a promise."""
        return f"{self.defaults * 1000 // self.promised_days / 10:.1f} %" if self.promised_days else ""

    @property
    def traded_share(self) -> str:
        """Traded energy as a percentage of what was metered."""
        return f"{self.traded * 1000 // self.metered / 10:.1f} %" if self.metered else ""


class Group(NamedTuple):
    """Members of one technology and strategy."""

    technology: str
    strategy: str
    members: int
    sums: Sums


def sums_of_members(week: Week) -> dict[str, Sums]:
    """Each member's sums, by address, in the members' order."""
    judged = _judged(week)
    traded, metered, money = _traded(week), _metered(week), _money(week)
    return {
        each.address: Sums(
            *judged.get(each.address, (0, 0, 0, 0)),
            traded.get(each.address, 0),
            metered.get(each.address, 0),
            *money.get(each.address, (0, 0)),
        )
        for each in week.members
    }


def groups(week: Week) -> list[Group]:
    """The members by technology and strategy, in the members' order."""
    of_members = sums_of_members(week)
    grouped: dict[tuple[str, str], list[Member]] = {}
    for member in week.members:
        grouped.setdefault((member.technology, member.strategy), []).append(member)
    return [
        Group(*key, len(own), Sums(*map(sum, zip(*(of_members[each.address] for each in own), strict=True))))
        for key, own in grouped.items()
    ]


def _judged(week: Week) -> dict[str, tuple[int, int, int, int]]:
    columns = t.credit.c
    query = (
        select(
            columns.member,
            func.count().label("days"),
            func.sum(columns.defaulted).label("defaults"),
            func.sum(columns.promised_wh).label("promised"),
            func.sum(columns.delivered_wh).label("delivered"),
        )
        .where(columns.event == "day", columns.superseded_height.is_(None), columns.promised_wh > 0)
        .group_by(columns.member)
    )
    return {
        row.member: (int(row.days), int(row.defaults), int(row.promised), int(row.delivered))
        for row in week.rows(query)
    }


def _traded(week: Week) -> dict[str, int]:
    settled, made = t.settlements, t.contracts
    sums: dict[str, int] = {}
    for member in (made.c.seller, made.c.buyer):
        query = (
            select(member.label("member"), func.sum(settled.c.matched_wh).label("wh"))
            .join_from(settled, made, made.c.contract == settled.c.contract)
            .where(settled.c.superseded_height.is_(None))
            .group_by(member)
        )
        for row in week.rows(query):
            sums[row.member] = sums.get(row.member, 0) + int(row.wh)
    return sums


def _metered(week: Week) -> dict[str, int]:
    query = select(t.positions.c.member, func.sum(t.positions.c.metered_wh).label("wh"))
    in_force = query.where(t.positions.c.superseded_height.is_(None)).group_by(t.positions.c.member)
    return {row.member: int(row.wh) for row in week.rows(in_force)}


def _money(week: Week) -> dict[str, tuple[int, int]]:
    columns = member_days.c
    query = select(
        columns.member,
        func.sum(columns.result_millionths).label("result"),
        func.sum(columns.grid_alone_millionths).label("alone"),
    ).group_by(columns.member)
    return {row.member: (int(row.result), int(row.alone)) for row in week.rows(query)}


def _measures(week: Week, sums: Sums) -> list[str | int]:
    return [
        f"{sums.defaults} of {sums.promised_days}",
        sums.default_rate,
        format_energy(Energy(sums.promised)),
        format_energy(Energy(sums.traded)),
        sums.traded_share,
        week.amount(sums.result),
        week.amount(sums.gain),
    ]


MEASURES = ("defaults", "rate", "promised", "traded", "of metered", "result", "gain")
GROUP_HEADINGS = ("technology", "strategy", "members", *MEASURES)
GROUP_SIDES = "llrrrrrrrr"
MEMBER_HEADINGS = ("member", "technology", "strategy", *MEASURES, "status")
MEMBER_SIDES = "lllrrrrrrrl"


def group_rows(week: Week) -> list[list[str | int]]:
    """Each group as people read it; terminal and report show the same."""
    return [
        [group.technology, group.strategy or "not said", group.members, *_measures(week, group.sums)]
        for group in groups(week)
    ]


def member_rows(week: Week) -> list[list[str | int]]:
    """Each member as people read it; terminal and report show the same."""
    of_members = sums_of_members(week)
    return [
        [each.name, each.technology, each.strategy, *_measures(week, of_members[each.address]), each.status]
        for each in week.members
    ]


def strategies(week: Week) -> Section:
    """Default rate, energy traded and money made by technology and strategy."""
    data = {
        "groups": [
            [
                group.technology,
                group.strategy,
                group.sums.promised_days,
                group.sums.defaults,
                group.sums.traded,
                group.sums.metered,
                group.sums.gain,
            ]
            for group in groups(week)
        ]
    }
    caption = f"By technology and strategy, money in {week.currency}"
    each = table(f"Member by member, money in {week.currency}", MEMBER_HEADINGS, member_rows(week), sides=MEMBER_SIDES)
    body = (
        chart("strategy-chart", "Default rate, share traded and gain by technology and strategy", height=420)
        + table(caption, GROUP_HEADINGS, group_rows(week), sides=GROUP_SIDES)
        + behind("Member by member", each)
    )
    lead = (
        "What a promise is worth depends on how well it is kept. Gain is what the delivery days brought, debts counted "
        "when they arose, less what the same metered energy would have brought or cost with the grid alone."
    )
    return Section("strategies", "Strategies", "What paid off", lead, body, data)
