"""Transactions executed a second with every signature checked, beside what PyNaCl alone verifies on all cores.

Three times make up the picture: verifying alone, over all cores; executing alone, in the one thread that Python gives
it; and both, as a ledger does them. If executing cost nothing to overlap, the rate would be
1 / max(verifying on all cores, executing): the ceiling. The week's mix is the shipped trading week, replayed as a node
that starts does: processes check ahead while the thread executes. Its blocks hold some 25 transactions, so that one by
one they leave cores idle. The rates by type come from blocks of one type each, of a town's day, each checked by threads
and then executed.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Container, Sequence
from functools import partial
from statistics import median
from typing import Final, NamedTuple

from benchmarks.chains import Recorded
from benchmarks.measuring import Line, Section, seconds
from benchmarks.town import Step, Town
from wattquorum.foundation.identities import Signed, Verifier, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.blocks import decode_ordered
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.replay import replayed
from wattquorum.ledger.transactions import PAYLOAD_TYPES
from wattquorum.node.verification import processes, threads

ROUNDS: Final = 7
TYPE_ROUNDS: Final = 3
MEMBERS, CONTRACTS, FEEDERS = 1_000, 4_000, 10
TRANSACTIONS_MIN: Final = 100  # of a type in one block, for its rate to be one of transactions
TARGET, STRETCH = 30, 60  # per cent
BUSY: Final = 0.75  # of the cores: if verifying gains less from them, something else used them


class Round(NamedTuple):
    """One round: verifying a signature over all cores, executing a transaction alone, and both [s]."""

    floor: float
    executing: float
    ours: float


class Rate(NamedTuple):
    """What rounds come to: the time of a transaction [s], and its share and the ceiling's of PyNaCl alone [%]."""

    ours: float
    share: float
    ceiling: float


def rate_of(rounds: Sequence[Round]) -> Rate:
    """The middle one of each, over rounds: what else the machine does hits the parts of a round alike."""
    return Rate(
        median(each.ours for each in rounds),
        100 * median(each.floor / each.ours for each in rounds),
        100 * median(each.floor / max(each.floor, each.executing) for each in rounds),
    )


def measured(week: Recorded) -> list[Section]:
    """The week's mix, then each type."""
    gc.collect()
    gc.freeze()  # a full collection would walk through everything that was imported to make the week
    with threads() as verify, processes() as ahead:
        return [_mix(week, verify, ahead), _types(verify)]


def _mix(week: Recorded, verify: Verifier, ahead: Verifier) -> Section:
    _replay(week, ahead)
    rounds = [_mixed_round(week, verify, ahead) for _ in range(ROUNDS)]
    rate = rate_of([each.together for each in rounds])
    single = rate_of([each.together._replace(ours=each.block_by_block) for each in rounds])
    alone, cores = median(each.one_core for each in rounds), os.cpu_count() or 1
    floor = median(each.together.floor for each in rounds)
    executing = median(each.together.executing for each in rounds)
    note = f"{alone / floor:.1f} times as fast as one"
    if alone / floor < BUSY * cores:
        note += ": the machine was busy, and the shares below are not to be trusted"
    return Section(
        f"Throughput on the week's own mix: {week.transactions:,} transactions in {len(week.entries)} blocks",
        [
            Line("PyNaCl alone, one core", alone * MILLION, "us"),
            Line(f"PyNaCl alone, all {cores} cores", floor * MILLION, "us", note),
            Line("executing alone, one thread", executing * MILLION, "us"),
            Line("transactions with signature checks", rate.ours * MILLION, "us", f"{1 / rate.ours:,.0f} a second"),
            Line("of PyNaCl on all cores", rate.share, "%", f"target {TARGET} %, stretch {STRETCH} %"),
            Line("   block by block", single.share, "%", f"{1 / single.ours:,.0f} a second"),
            Line("ceiling, were both to overlap", rate.ceiling, "%", "1 / max(verifying on all cores, executing)"),
        ],
    )


class MixedRound(NamedTuple):
    """A round on the week: a signature on one core, the round, and a transaction when blocks are checked alone [s]."""

    one_core: float
    together: Round
    block_by_block: float


def _mixed_round(week: Recorded, verify: Verifier, ahead: Verifier) -> MixedRound:
    together = Round(
        seconds(partial(verify, week.checks)) / len(week.checks),
        seconds(partial(_replay, week, _known)) / week.transactions,
        seconds(partial(_replay, week, ahead)) / week.transactions,
    )
    ledger = Ledger(week.genesis)
    block_by_block = sum(seconds(partial(ledger.execute, entry, verify)) for entry in week.entries)
    one_core = seconds(partial(verify_each, week.checks))
    return MixedRound(one_core / len(week.checks), together, block_by_block / week.transactions)


def _replay(week: Recorded, verify: Verifier) -> None:
    ledger = Ledger(week.genesis)
    for _ in replayed(ledger, map(decode_ordered, week.entries), verify):
        pass
    if ledger.digest != week.digest:
        raise AssertionError("the replay has another digest")


def _known(checks: Sequence[Signed]) -> list[bool]:
    """Verdicts of signatures that were checked when the chain was recorded."""
    return [True] * len(checks)


class Measured(NamedTuple):
    """A block of one type: how many transactions it holds, and a round on it."""

    transactions: int
    round: Round


def _types(verify: Verifier) -> Section:
    """Each type in blocks of its own, on a fresh ledger in each round."""
    town = Town(MEMBERS, CONTRACTS, FEEDERS)
    steps = list(town.steps())
    blocks: dict[str, list[Measured]] = {}
    for _ in range(TYPE_ROUNDS):
        ledger, twin = Ledger(town.genesis), Ledger(town.genesis)
        for step in steps:
            found = Measured(step.transactions, _round_of(step, ledger, twin, verify))
            blocks.setdefault(step.kind.__name__, []).append(found)
    title = f"Throughput by type, of PyNaCl on all cores: a town of {MEMBERS:,} members"
    return Section(title, [*(_of_type(name, each) for name, each in blocks.items()), unmeasured(blocks)])


def _of_type(name: str, blocks: Sequence[Measured]) -> Line:
    """A type's rate over its large blocks; where it has none, over its largest ones, and the line says so."""
    most = max(each.transactions for each in blocks)
    rate = rate_of([each.round for each in blocks if each.transactions >= min(most, TRANSACTIONS_MIN)])
    few = "" if most >= TRANSACTIONS_MIN else f"; only {most} in a block"
    return Line(name, rate.share, "%", f"{1 / rate.ours:>8,.0f} a second, ceiling {rate.ceiling:.0f} %{few}")


def unmeasured(measured_types: Container[str]) -> Line:
    """The transaction types that do not occur in the town's day, by name."""
    left = [kind.__name__ for kind in PAYLOAD_TYPES if kind.__name__ not in measured_types]
    return Line("types that are not measured", len(left), f"of {len(PAYLOAD_TYPES)}", ", ".join(left))


def _round_of(step: Step, ledger: Ledger, twin: Ledger, verify: Verifier) -> Round:
    """A block on two ledgers: the twin executes it with its verdicts known and tells what there is to verify."""
    checks: list[Signed] = []

    def keep(asked: Sequence[Signed]) -> list[bool]:
        checks.extend(asked)
        return _known(asked)

    executing = seconds(partial(twin.execute, step.entry, keep))
    floor = seconds(partial(verify, checks))
    ours = seconds(partial(ledger.execute, step.entry, verify))
    return Round(floor / len(checks), executing / step.transactions, ours / step.transactions)
