"""Closing the day of a large community: pages, the day itself, and the end of it."""

from __future__ import annotations

from collections import Counter
from time import perf_counter
from typing import Final

from benchmarks.measuring import Line, Section
from benchmarks.town import Town
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import Moved
from wattquorum.ledger.transactions import CloseDay, ClosePage, CommitReadings, SealDay
from wattquorum.node.verification import threads

MEMBERS, CONTRACTS, FEEDERS = 10_000, 20_000, 50
DEFAULT_EVERY: Final = 20


def measured() -> Section:
    """Seconds of each step that the grid operator and the meter operator take, and what a transfer of it costs."""
    town = Town(MEMBERS, CONTRACTS, FEEDERS, DEFAULT_EVERY)
    ledger = Ledger(town.genesis)
    taken: dict[type, float] = {}
    moved: Counter[type] = Counter()
    with threads() as verify:
        for step in (*town.opening(), *town.trading()):
            ledger.execute(step.entry, verify)
        for step in town.closing():
            begun = perf_counter()
            executed = ledger.execute(step.entry, verify)
            taken[step.kind] = perf_counter() - begun
            moved[step.kind] = sum(isinstance(fact, Moved) for facts in executed.facts for fact in facts)
    closing = taken[ClosePage] + taken[CloseDay]
    transfers = f"{moved[CloseDay]:,} transfers, {taken[CloseDay] / max(1, moved[CloseDay]) * MILLION:.0f} us each"
    return Section(
        f"Closing a day of {MEMBERS:,} members and {CONTRACTS:,} contracts on {FEEDERS} feeders",
        [
            Line("readings committed", taken[CommitReadings], "s", f"{MEMBERS:,} meters"),
            Line("pages", taken[ClosePage], "s", f"{taken[ClosePage] / FEEDERS * 1_000:.0f} ms a page"),
            Line("day closed", taken[CloseDay], "s", f"one member in {DEFAULT_EVERY:,} in default: {transfers}"),
            Line("pages and day", closing, "s", f"{closing / CONTRACTS * MILLION:.0f} us a contract"),
            Line("day sealed", taken[SealDay], "s"),
        ],
    )
