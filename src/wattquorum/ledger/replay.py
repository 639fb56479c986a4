"""Replaying: many entries executed one after the other, their signatures checked together and ahead of them.

Blocks of a small community hold a few transactions each, too few to keep the cores of a machine busy with checking.
Whoever has many entries at hand, such as a node that starts, prepares some of them ahead and has all their signatures
checked at once; a verifier that checks elsewhere goes on with the next ones while these are executed. Where a sender
was not known yet, its block is checked when its turn comes, and keys that change on the way are checked again, so that
nothing comes out differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import compress, islice
from typing import Final, NamedTuple

from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Ordered
from wattquorum.ledger.execution import Executed, Ledger, Prepared

TOGETHER: Final = 128  # signatures to gather before they are checked


def replayed(ledger: Ledger, entries: Iterable[Ordered], verify: Verifier) -> Iterator[Executed]:
    """Executes entries in order and yields what each did, as `Ledger.execute_ordered` does for one.

    Entries are read ahead of the one that is executed; a Refused in reading one is raised at its turn.
    """
    for prepared, verdicts in checked_ahead(ledger.prepare, entries, verify):
        yield ledger.execute_prepared(prepared, verdicts)


def checked_ahead(
    prepare: Callable[[Ordered], Prepared], entries: Iterable[Ordered], verify: Verifier
) -> Iterator[tuple[Prepared, Iterable[bool]]]:
    """Prepares entries and yields each with the verdicts of its checks, to be executed before the next one is taken.

    Entries are read ahead of the one that is yielded; a Refused in reading one is raised at its turn.
    """
    source = iter(entries)
    batch = _gathered(prepare, source, verify)
    while batch.prepared:
        following = _gathered(prepare, source, verify) if batch.fault is None else None
        for prepared, known in zip(batch.prepared, batch.known, strict=True):
            if known:
                yield prepared, list(islice(batch.verdicts, len(prepared.checks)))
            else:
                again = prepare(prepared.ordered)
                yield again, verify(again.checks)
        if following is None:
            break
        batch = following
    if batch.fault is not None:
        raise batch.fault


class _Batch(NamedTuple):
    """The next entries, prepared; whose senders were all known; the verdicts of these; what kept from reading on."""

    prepared: list[Prepared]
    known: list[bool]
    verdicts: Iterator[bool]
    fault: Refused | None


def _gathered(prepare: Callable[[Ordered], Prepared], source: Iterator[Ordered], verify: Verifier) -> _Batch:
    gathered: list[Prepared] = []
    signatures, fault = 0, None
    try:
        for ordered in source:
            gathered.append(prepare(ordered))
            signatures += 1 + len(ordered.transactions)
            if signatures >= TOGETHER:
                break
    except Refused as refused:
        fault = refused
    known = [all(prepared.keys) for prepared in gathered]
    verdicts = iter(verify([check for prepared in compress(gathered, known) for check in prepared.checks]))
    return _Batch(gathered, known, verdicts, fault)
