"""Overview: what this week is, what of it is measured and what modelled, and its key figures."""

from __future__ import annotations

from html import escape
from typing import Final

from sqlalchemy import ColumnElement, case, func, select

from wattquorum.foundation.quantities import Energy, Money, Price, format_energy, format_money, format_price
from wattquorum.lab.report.markup import Section, behind, paragraph, table
from wattquorum.lab.report.week import Week
from wattquorum.records import tables as t
from wattquorum.records.views import energy_balance, member_days, penalties

NOTES: Final = (
    ("data", "Readings"),
    ("forecast", "Forecasts"),
    ("tariff", "Tariffs and prices"),
    ("grid", "Grid"),
    ("consensus", "Consensus"),
)
SHOWN_ELSEWHERE: Final = {"title", "time_zone", *(name for name, _ in NOTES)}


def title_of(week: Week) -> str:
    """The report's title: as annotated, or by its days."""
    if "title" in week.run:
        return str(week.run["title"])
    if not week.days:
        return f"{week.chain.name}: no delivery day yet"
    first, last = week.days[0].date, week.days[-1].date
    return f"{week.chain.name}: {first}" if first == last else f"{week.chain.name}: {first} to {last}"


def masthead(week: Week) -> str:
    """The top of the page: title, identity of the chain, and honest notes."""
    chain = week.chain
    sellers = sum("sell" in member.sides for member in week.members)
    buyers = sum("buy" in member.sides for member in week.members)
    demo = '<strong class="demo">demo chain: keys and salts derive from a seed</strong>' if chain.demo else ""
    facts = [
        ("Members", f"{sellers} generators, {buyers} consumers"),
        ("Delivery days", _span(week)),
        ("Chain", f"{chain.name}, {chain.chain_id}"),
        ("Blocks", f"{chain.height:,} with {week.count(t.transactions):,} transactions"),
        ("State digest", chain.state_digest or "none yet"),
    ]
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    notes = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(week.run[key])}</dd></div>" for key, name in NOTES if key in week.run
    )
    honest = f'<dl class="notes" aria-label="What is measured and what is modelled">{notes}</dl>' if notes else ""
    return (
        f'<p class="product">WattQuorum {demo}</p><h1>{escape(title_of(week))}</h1>'
        f'<dl class="facts">{listed}</dl>{honest}'
    )


def _span(week: Week) -> str:
    """How many days, and from when to when."""
    if not week.days:
        return "none"
    first, last = week.days[0].date, week.days[-1].date
    return f"1: {first}" if first == last else f"{len(week.days)}: {first} to {last}"


def overview(week: Week) -> Section:
    """Key figures of all delivery days."""
    energy = week.rows(
        select(
            func.sum(energy_balance.c.injected_wh).label("injected"),
            func.sum(energy_balance.c.withdrawn_wh).label("withdrawn"),
            func.sum(energy_balance.c.matched_wh).label("matched"),
            func.sum(energy_balance.c.promised_wh).label("promised"),
        )
    )[0]
    defaults = week.rows(
        select(func.count().label("judged"), func.coalesce(func.sum(t.credit.c.defaulted), 0).label("defaults")).where(
            t.credit.c.event == "day", t.credit.c.superseded_height.is_(None), t.credit.c.promised_wh > 0
        )
    )[0]
    fined = week.rows(
        select(
            func.coalesce(func.sum(penalties.c.compensation_millionths), 0).label("compensation"),
            func.coalesce(func.sum(_of_side("sell")), 0).label("by_sellers"),
            func.coalesce(func.sum(_of_side("buy")), 0).label("by_buyers"),
            func.coalesce(func.sum(penalties.c.fine_millionths), 0).label("fine"),
        )
    )[0]
    gain = week.rows(select(func.coalesce(func.sum(member_days.c.gain_millionths), 0)))[0][0]
    paid = week.rows(
        select(func.coalesce(func.sum(t.settlements.c.energy_millionths), 0)).where(
            t.settlements.c.superseded_height.is_(None)
        )
    )[0][0]
    matched, injected, withdrawn = energy.matched or 0, energy.injected or 0, energy.withdrawn or 0
    mean = Price(paid * 1_000 // matched) if matched else Price(0)
    by_side = f"{week.amount(fined.by_sellers)} by sellers, {week.amount(fined.by_buyers)} by buyers"
    figures = [
        ("Traded between members", format_energy(Energy(matched)), _shares(matched, injected, withdrawn)),
        ("Contracts", f"{len(week.contracts):,}", f"promising {format_energy(Energy(energy.promised or 0))}"),
        (
            "Mean price paid",
            format_price(mean, week.currency),
            f"{_money(week, paid)} for the energy traded, rounded down",
        ),
        (
            "Gained by trading",
            _money(week, gain),
            "all members together, against the grid alone, after fees and penalties",
        ),
        (
            "Defaults",
            f"{defaults.defaults} of {defaults.judged}",
            "member-days with a promise that was missed beyond the tolerance",
        ),
        (
            "Penalties",
            _money(week, fined.compensation + fined.fine),
            f"{_money(week, fined.compensation)} compensation ({by_side}), {_money(week, fined.fine)} fines",
        ),
    ]
    cards = "".join(
        f'<div class="figure"><dt>{escape(name)}</dt><dd><b>{escape(value)}</b><span>{escape(says)}</span></dd></div>'
        for name, value, says in figures
    )
    others = [(name, value) for name, value in week.run.items() if name not in SHOWN_ELSEWHERE]
    body = f'<dl class="figures">{cards}</dl>'
    if others:
        body += behind("How this was made", table("Annotations of the run", ["name", "value"], others))
    if not week.run:
        body += paragraph("These records carry no annotations: the chain does not say where its readings come from.")
    return Section("overview", "Overview", "The days in figures", "", body, {})


def _of_side(side: str) -> ColumnElement[int]:
    return case((penalties.c.side == side, penalties.c.compensation_millionths), else_=0)


def _money(week: Week, amount: int) -> str:
    return format_money(Money(amount), week.currency)


def _shares(matched: int, injected: int, withdrawn: int) -> str:
    if not injected or not withdrawn:
        return "nothing was metered"
    return (
        f"{matched * 1000 // injected / 10:.1f} % of what was injected, {matched * 1000 // withdrawn / 10:.1f} % of use"
    )
