"""Replaying: many entries executed one after the other, their signatures checked together.

Blocks of a small community hold a few transactions each, too few to keep the cores of a machine busy with checking.
Whoever has many entries at hand, such as a node that starts, prepares some of them ahead, has all their signatures
checked at once, and executes them then. Where a sender was not known yet, its block is checked when its turn comes, and
keys that change on the way are checked again, so that nothing comes out differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress, islice
from typing import Final

from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Ordered
from wattquorum.ledger.execution import Executed, Ledger, Prepared

TOGETHER: Final = 512  # transactions to gather before their signatures are checked


def replayed(ledger: Ledger, entries: Iterable[Ordered], verify: Verifier) -> Iterator[Executed]:
    """Executes entries in order and yields what each did, as `Ledger.execute_ordered` does for one.

    Entries are read ahead of the one that is executed; a Refused in reading one is raised at its turn.
    """
    source, fault = iter(entries), None
    while fault is None:
        gathered, fault = _gathered(ledger, source)
        if not gathered:
            break
        known = [all(prepared.keys) for prepared in gathered]
        verdicts = iter(verify([check for prepared in compress(gathered, known) for check in prepared.checks]))
        for prepared, senders_known in zip(gathered, known, strict=True):
            if senders_known:
                yield ledger.execute_prepared(prepared, list(islice(verdicts, len(prepared.checks))))
            else:
                yield ledger.execute_ordered(prepared.ordered, verify)
    if fault is not None:
        raise fault


def _gathered(ledger: Ledger, source: Iterator[Ordered]) -> tuple[list[Prepared], Refused | None]:
    """The next entries, prepared, and what kept from reading on."""
    gathered: list[Prepared] = []
    transactions = 0
    try:
        for ordered in source:
            gathered.append(ledger.prepare(ordered))
            transactions += len(ordered.transactions)
            if transactions >= TOGETHER:
                break
    except Refused as refused:
        return gathered, refused
    return gathered, None
