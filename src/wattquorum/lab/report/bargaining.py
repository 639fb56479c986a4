"""Bargaining: offers, counter-offers and what became of them, and what the ledger refused."""

from __future__ import annotations

from sqlalchemy import select

from wattquorum.foundation.refusals import CODES, sentence
from wattquorum.lab.report.markup import Section, behind, chart, table
from wattquorum.lab.report.week import Week
from wattquorum.records import tables as t

FATES = ("accepted", "countered", "withdrawn", "open")


def bargaining(week: Week) -> Section:
    """How negotiation went, and why transactions were refused."""
    rounds = [0] * (max((row.round for row in week.contracts), default=0) + 1)
    for row in week.contracts:
        rounds[row.round] += 1
    headings = ["day", "offer", "accepted", "countered", "withdrawn", "unanswered"]
    body = (
        chart("bargain-days", "Offers of each day by what became of them", height=340)
        + chart("bargain-rounds", "Contracts by the number of answers before agreement", height=260)
        + behind(
            "The tables behind it",
            table("What became of offers", headings, _rows(week), sides="llrrrr")
            + table(
                "Contracts by answers before agreement", ["answers", "contracts"], list(enumerate(rounds)), sides="rr"
            ),
        )
        + "<h3>What the ledger refused</h3>"
        + table(
            "Refused transactions by code",
            ["code", "transactions", "types", "how it reads, the first of them"],
            _refusals(week),
            sides="lrtt",
        )
    )
    lead = (
        "All of the negotiation is on the ledger: first offers, the counter-offers that answer them, and acceptance by "
        "the second signature."
    )
    return Section(
        "negotiation", "Negotiation", "How they came to terms", lead, body, {"fates": _fates(week), "rounds": rounds}
    )


def _fates(week: Week) -> dict[str, list[list[int]]]:
    """For first offers and for answers: [day][fate] counts, fates in the order of FATES.

    A public offer stays open for others when somebody counters it; here it counts as countered.
    """
    answered = {row.answers for row in week.rows(select(t.offers.c.answers).distinct())}
    found = {kind: [[0] * len(FATES) for _ in week.days] for kind in ("first", "answers")}
    for row in week.rows(select(t.offers.c.offer, t.offers.c.day_start_ms, t.offers.c.round, t.offers.c.status)):
        fate = "countered" if row.status == "open" and row.offer in answered else row.status
        kind = "answers" if row.round else "first"
        found[kind][week.day_number[row.day_start_ms]][FATES.index(fate)] += 1
    return found


def _rows(week: Week) -> list[list[str | int]]:
    fates = _fates(week)
    rows: list[list[str | int]] = []
    for day in week.days:
        for kind, name in (("first", "first offers"), ("answers", "counter-offers")):
            rows.append([day.label, name, *fates[kind][day.number]])
    return rows


def _refusals(week: Week) -> list[list[str | int]]:
    """Refused and inadmissible transactions by code, the most frequent first."""
    columns = t.transactions.c
    query = select(t.transactions).where(columns.outcome != "done").order_by(columns.height, columns.place)
    by_code: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for row in week.rows(query):
        by_code.setdefault(row.code, []).append(row.type)
        # A code of another version is shown as it is.
        reads = sentence(row.code, row.field, row.value) if row.code in CODES else f"{row.field}: {row.value}"
        first.setdefault(row.code, reads)
    order = sorted(by_code, key=lambda code: (-len(by_code[code]), code))
    return [
        [code, len(by_code[code]), ", ".join(sorted(dict.fromkeys(by_code[code]))).replace("_", " "), first[code]]
        for code in order
    ]
