"""The books: every sum that must close, the cashier's days, the parameters, and where the chain ends."""

from __future__ import annotations

from sqlalchemy import select

from wattquorum.foundation.intervals import format_moment
from wattquorum.foundation.quantities import Carbon, Energy, Money, format_carbon, format_energy, format_money
from wattquorum.lab.report.markup import Section, behind, table
from wattquorum.lab.report.week import Week
from wattquorum.records import tables as t
from wattquorum.records.sums import Sum, sums
from wattquorum.records.views import cashier_days


def amount_of(each: Sum, value: int, currency: str) -> str:
    """One side of a check in its unit."""
    match each.unit:
        case "Wh":
            return format_energy(Energy(value))
        case "g":
            return format_carbon(Carbon(value))
    return format_money(Money(value), currency)


def sum_rows(week: Week) -> list[list[str]]:
    """Every check as people read it; terminal and report show the same."""
    return [
        [
            each.name,
            f"{each.left_name}: {amount_of(each, each.left, week.currency)}",
            f"{each.right_name}: {amount_of(each, each.right, week.currency)}",
            "yes" if each.difference == 0 else f"NO, BY {amount_of(each, each.difference, week.currency)}",
        ]
        for each in sums(week.engine)
    ]


SUM_HEADINGS = ("check", "one way", "the other way", "closes")
SUM_SIDES = "lrrl"


def books(week: Week) -> Section:
    """Checks, cashier, parameters, chain."""
    cashier = [
        [format_moment(row.posted_day_ms)[:10], row.deposits, *map(week.amount, tuple(row)[2:])]
        for row in week.rows(select(cashier_days).order_by(cashier_days.c.posted_day_ms))
    ]
    headings = ["UTC day", "deposits", "signed", "posted", "difference", "set aside", "paid out"]
    values = [
        [row.version, row.name, f"{row.value:,}", row.unit, row.meaning]
        for row in week.rows(select(t.parameters).order_by(t.parameters.c.version, t.parameters.c.name))
    ]
    chain = week.chain
    tip = [
        ["chain id", chain.chain_id],
        ["genesis", chain.genesis_hash],
        ["last block", f"{chain.height}, {week.moment(chain.time_ms)} ({week.zone})"],
        ["its hash", chain.block_hash],
        ["state digest", chain.state_digest],
    ]
    body = (
        table("Sums that must close", SUM_HEADINGS, sum_rows(week), sides=SUM_SIDES)
        + table(
            f"The cashier's deposits against what was posted, in {week.currency}", headings, cashier, sides="lrrrrrr"
        )
        + behind(
            "Parameters",
            table("Parameters by version", ["version", "name", "value", "unit", "meaning"], values, sides="rlrlt"),
        )
        + table("Where the chain ends", ["what", "value"], tip)
    )
    lead = (
        "Money and energy are whole numbers of millionths and watt-hours, so that sums close exactly or not at all. "
        "Whoever holds the chain can recompute every number here."
    )
    return Section("books", "Books", "Do the books close?", lead, body, {})
