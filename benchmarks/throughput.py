"""Transactions executed a second with every signature checked, beside what PyNaCl alone verifies on all cores.

Three times make up the picture: verifying alone, over all cores; executing alone, in the one thread that Python gives
it; and both, as a ledger does them. If nothing stood in the way they would overlap completely, and the rate would be
1 / max(verifying / cores, executing): the ceiling. The week's mix is the shipped trading week; the rates by type come
from blocks of one type, with the day of a town.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Final, NamedTuple

from benchmarks.chains import Recorded
from benchmarks.measuring import Line, Section, of_pairs, seconds
from benchmarks.town import Step, Town
from wattquorum.foundation.identities import Signed, Verifier, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.execution import Ledger
from wattquorum.node.verification import threads

ROUNDS: Final = 7
TYPE_ROUNDS: Final = 3
MEMBERS, CONTRACTS, FEEDERS = 1_000, 4_000, 10
TRANSACTIONS_MIN: Final = 100  # of a type in one block, for its rate to be one of transactions
TARGET, STRETCH = 30, 60  # per cent


class Times(NamedTuple):
    """One round [s]: PyNaCl on one core and on all, executing with the verdicts known, and executing with checks."""

    verifying: float
    floor: float
    executing: float
    ours: float


def measured(week: Recorded) -> list[Section]:
    """The week's mix, then each type."""
    cores = os.cpu_count() or 1
    with threads() as verify:
        rounds = [_round(week, verify) for _ in range(ROUNDS + 1)][1:]
        types = _types(verify)
    signatures, transactions = len(week.checks), week.transactions
    floor = median(each.floor for each in rounds) / signatures
    executing = median(each.executing for each in rounds) / transactions
    share = 100 / of_pairs([(each.floor / signatures, each.ours / transactions) for each in rounds]).times
    ceiling = (
        100
        / of_pairs(
            [(each.floor / signatures, max(each.floor / signatures, each.executing / transactions)) for each in rounds]
        ).times
    )
    ours = median(each.ours for each in rounds) / transactions
    mix = Section(
        f"Throughput on the week's own mix: {transactions:,} transactions in {len(week.entries)} blocks, {cores} cores",
        [
            Line("PyNaCl alone, one core", median(each.verifying for each in rounds) / signatures * MILLION, "us"),
            Line("PyNaCl alone, all cores", floor * MILLION, "us"),
            Line("executing alone, one thread", executing * MILLION, "us"),
            Line("transactions with signature checks", ours * MILLION, "us", f"{1 / ours:,.0f} a second"),
            Line("of PyNaCl on all cores", share, "%", f"target {TARGET} %, stretch {STRETCH} %"),
            Line("ceiling, were both to overlap", ceiling, "%", "1 / max(verifying on all cores, executing)"),
        ],
    )
    return [mix, types]


def _round(week: Recorded, verify: Verifier) -> Times:
    """All four, one after the other, so that what the machine does beside hits them alike."""
    return Times(
        seconds(lambda: verify_each(week.checks)),
        seconds(lambda: verify(week.checks)),
        seconds(lambda: _replay(week, _known)),
        seconds(lambda: _replay(week, verify)),
    )


def _replay(week: Recorded, verify: Verifier) -> None:
    ledger = Ledger(week.genesis)
    for entry in week.entries:
        ledger.execute(entry, verify)
    if ledger.digest != week.digest:
        raise AssertionError("the replay has another digest")


def _known(checks: Sequence[Signed]) -> list[bool]:
    """Verdicts of signatures that were checked when the chain was recorded."""
    return [True] * len(checks)


def _types(verify: Verifier) -> Section:
    """Each type in blocks of its own: floor and ours for every block, a fresh ledger each round."""
    town = Town(MEMBERS, CONTRACTS, FEEDERS)
    steps = [step for step in (*town.opening(), *town.trading()) if step.transactions]
    pairs: dict[str, list[tuple[float, float]]] = {}
    executing: dict[str, list[float]] = {}
    for _ in range(TYPE_ROUNDS):
        ledger, twin = Ledger(town.genesis), Ledger(town.genesis)
        for step in steps:
            checks = _checks_of(twin, step, executing)
            floor = seconds(partial(verify, checks))
            ours = seconds(partial(ledger.execute, step.entry, verify))
            if step.transactions >= TRANSACTIONS_MIN:
                pairs.setdefault(step.kind.__name__, []).append((floor / len(checks), ours / step.transactions))
    lines = []
    for name, measured_pairs in pairs.items():
        found = of_pairs(measured_pairs)
        alone = median(executing[name])
        note = f"{1 / found.ours:>8,.0f} a second; ceiling {100 * found.floor / max(found.floor, alone):.0f} %"
        lines.append(Line(name, 100 / found.times, "%", note))
    return Section(f"Throughput by type, of PyNaCl on all cores: a town of {MEMBERS:,} members", lines)


def _checks_of(twin: Ledger, step: Step, executing: dict[str, list[float]]) -> list[Signed]:
    """The signatures of a block, from executing it on a twin of the ledger, whose time is that of executing alone."""
    checks: list[Signed] = []

    def keep(asked: Sequence[Signed]) -> list[bool]:
        checks.extend(asked)
        return [True] * len(asked)

    taken = seconds(lambda: twin.execute(step.entry, keep))
    executing.setdefault(step.kind.__name__, []).append(taken / step.transactions)
    return checks
