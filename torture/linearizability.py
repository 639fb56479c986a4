"""Linearizability: whether what clients saw could have happened one operation after the other.

Each operation took effect at one moment between its call and its answer; one without an answer at some moment after its
call, or never. The search is that of Wing and Gong with Lowe's memory: it tries every operation that may come next,
and never again the same set of done operations with the same state. The object is a counter: `add` raises it, `read`
tells it; histories of independent counters are judged one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

NEVER = 1 << 62


class Operation(NamedTuple):
    """What a client did: added so much, or read (`added` None) and was told a value. Times in any unit."""

    called: int
    answered: int  # NEVER: it was not
    added: int | None
    told: int | None = None


def is_linearizable(history: Sequence[Operation], start: int = 0) -> bool:
    """Whether there is an order that explains all that was told."""
    kept = [each for each in history if each.added is not None or each.answered != NEVER]  # a lost read says nothing
    order = sorted(range(len(kept)), key=lambda number: kept[number].called)
    operations = [kept[number] for number in order]
    seen: dict[tuple[int, int], None] = {}
    stack = [(0, start, 0)]  # done as bits from `base` on, state, base: all below it are done
    while stack:
        done, state, base = stack.pop()
        while done & 1:
            done, base = done >> 1, base + 1
        if _finished(operations, done, base):
            return True
        key = (done << 24 | base, state)
        if key in seen:
            continue
        seen[key] = None
        for number in _next(operations, done, base):
            operation = operations[number]
            if operation.added is None:
                if operation.told == state:
                    stack.append((done | 1 << (number - base), state, base))
            else:
                stack.append((done | 1 << (number - base), state + operation.added, base))
    return False


def _finished(operations: Sequence[Operation], done: int, base: int) -> bool:
    """Whether only such are left as were never answered."""
    return all(
        done >> (number - base) & 1 or operations[number].answered == NEVER for number in range(base, len(operations))
    )


def _next(operations: Sequence[Operation], done: int, base: int) -> list[int]:
    """Those that may come next: called before the first answer among all that are not done."""
    first_answer = NEVER + 1
    found: list[int] = []
    for number in range(base, len(operations)):
        operation = operations[number]
        if operation.called > first_answer:
            break
        if not done >> (number - base) & 1:
            found.append(number)
            first_answer = min(first_answer, operation.answered)
    reads = [number for number in found if operations[number].added is None]
    adds = [number for number in found if operations[number].added is not None]
    # What is last here is tried first: reads, since they change nothing.
    return [number for number in (*adds, *reads) if operations[number].called <= first_answer]
