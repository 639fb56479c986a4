"""The history of a run: every operation of every client and every fault, as JSON lines, written as they happen.

    {"at": 12, "what": "run", "seed": 7, ...}                                  how it was asked for
    {"at": 15, "what": "called", "id": 3, "account": "ab..", "added": 5, "transaction": "cd.."}
    {"at": 19, "what": "answered", "id": 3, "height": 17}                      a write; "told": 40 for a read
    {"at": 21, "what": "fault", "kind": "kill", ...}, {"what": "kill", ...}    what was done to the nodes

`at` is in nanoseconds of one monotonic clock. A call without an answer was not answered. A history can be read after
whatever ended the run; a last line that is not whole is passed over.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from torture.linearizability import NEVER, Operation

HISTORY: Final = "history.jsonl"


class History:
    """Written by the threads of a run."""

    def __init__(self, folder: Path) -> None:
        """A new one in this folder."""
        self._file = (folder / HISTORY).open("x", encoding="utf-8", buffering=1)  # by lines
        self._guard = threading.Lock()
        self._ids = count()
        self._closed = False

    def note(self, what: str, **circumstances: object) -> int:
        """Something happened; its time is now."""
        with self._guard:
            at = time.monotonic_ns()
            if not self._closed:
                self._file.write(json.dumps({"at": at, "what": what, **circumstances}) + "\n")
            return at

    def called(self, account: bytes, added: int | None, transaction: str = "") -> int:
        """A client calls; the number by which its answer is told."""
        number = next(self._ids)
        if added is None:
            self.note("called", id=number, account=account.hex())
        else:
            self.note("called", id=number, account=account.hex(), added=added, transaction=transaction)
        return number

    def answered(self, number: int, **answer: int) -> None:
        """It was answered: `height` for a write, `told` for a read."""
        self.note("answered", id=number, **answer)

    def close(self) -> None:
        """Writes what there is; later notes are lost."""
        with self._guard:
            self._closed = True
            self._file.close()


class Write(NamedTuple):
    """A write of a client's; height 0: it was not acknowledged."""

    transaction: str
    account: str
    added: int
    called: int
    answered: int
    height: int


class Seen(NamedTuple):
    """What clients saw, by account, and what was written."""

    operations: dict[str, list[Operation]]
    writes: list[Write]
    notes: list[dict[str, Any]]  # all that is no operation


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a history."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def seen(folder: Path) -> Seen:
    """A history as it is judged."""
    called: dict[int, dict[str, Any]] = {}
    answered: dict[int, dict[str, Any]] = {}
    notes = []
    for line in lines(folder / HISTORY):
        if line["what"] == "called":
            called[line["id"]] = line
        elif line["what"] == "answered":
            answered[line["id"]] = line
        else:
            notes.append(line)
    operations: dict[str, list[Operation]] = {}
    writes = []
    for number, call in called.items():
        answer = answered.get(number, {})
        at, added = answer.get("at", NEVER), call.get("added")
        operations.setdefault(call["account"], []).append(Operation(call["at"], at, added, answer.get("told")))
        if added is not None:
            height = answer.get("height", 0)
            writes.append(Write(call["transaction"], call["account"], added, call["at"], at, height))
    return Seen(operations, writes, notes)
