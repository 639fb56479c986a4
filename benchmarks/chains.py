"""Chains to measure on: the shipped trading week, and a town's day; both as ordered entries, executed once before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import Signed, verify_each
from wattquorum.lab.offices import PROPOSER
from wattquorum.lab.run import RunOptions, plan_of
from wattquorum.lab.week import Week
from wattquorum.ledger.blocks import ordered_of
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.node.lone import LoneNode


class Recorded(NamedTuple):
    """A chain: how it begins, what was ordered, what became of it, and every signature that executing it checks."""

    genesis: bytes
    entries: tuple[bytes, ...]
    blocks: tuple[bytes, ...]
    rows: dict[bytes, bytes]
    checks: tuple[Signed, ...]
    transactions: int
    digest: bytes


def shipped_week() -> Recorded:
    """The trading week on the shipped readings, traded anew by the shipped members."""
    done: list[Executed] = []
    with TemporaryDirectory() as folder:
        plan = plan_of(RunOptions(out=Path(folder)))
        with LoneNode.create(Path(folder) / "chain", plan.genesis(), plan.secrets.key(PROPOSER), verify_each) as node:
            for _ in Week(plan, node, done.append).run():
                pass
            node.close()
    return recorded(plan.genesis(), [encode(ordered_of(each.block, each.rows)) for each in done])


def recorded(genesis: bytes, entries: Iterable[bytes]) -> Recorded:
    """Executes ordered entries with every check and keeps what measuring needs."""
    ledger, kept = Ledger(genesis), tuple(entries)
    blocks: list[bytes] = []
    rows: dict[bytes, bytes] = {}
    checks: list[Signed] = []
    transactions = 0

    def verify(asked: Sequence[Signed]) -> list[bool]:
        checks.extend(asked)
        return verify_each(asked)

    for entry in kept:
        executed = ledger.execute(entry, verify)
        blocks.append(executed.data)
        rows.update((root_of_rows(decode_rows(data)), data) for data in executed.rows)
        transactions += len(executed.block.transactions)
    return Recorded(genesis, kept, tuple(blocks), rows, tuple(checks), transactions, ledger.digest)
