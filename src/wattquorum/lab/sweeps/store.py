"""The store: cells of a sweep as they are done, so that one that was ended can be gone on with.

The first line of the journal says of which plan its cells are and which code played them; every other line is a cell.
Cells are appended and synced task by task, in whatever order they come. A line that an end of the process cut short is
cut off; anything else that is wrong is told, with its line. One process writes at a time.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.sweeps.experiments import Number
from wattquorum.lab.sweeps.plan import Plan

JOURNAL: Final = "cells.jsonl"
FORMAT: Final = 1
BEGINS: Final = b'{"cells": '  # a journal
OTHER: Final = "Name another folder, or remove this one to begin anew."
TELLING: Final = (
    *("api/", "cli/", "lab/report/", "lab/drawing.py", "lab/parts.py", "lab/sweeps/telling.py", "lab/sweeps/run.py"),
    *("lab/beyond/run.py", "lab/beyond/studies.py", "lab/cgpbft/told/", "lab/paper/told.py"),
)
Done = tuple[int, list[Number]]  # a cell's number and what was measured


@cache
def code_digest() -> str:
    """What WattQuorum's own code is, in short: cells of one sweep are all played by the same one.

    Left out is what only tells of cells that are done, so that a better sentence or picture needs no new ones.
    """
    root = Path(str(files("wattquorum")))
    total = sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(TELLING):
            total.update(f"{name}\n".encode())
            total.update(sha256(path.read_bytes()).digest())
    return total.hexdigest()


class Journal:
    """The cells that are done. Use it with `with`: it is locked meanwhile.

    Raises Refused("sweep_changed") when another plan's or another code's cells are there, Refused("folder_in_use")
    when another process is at it, and Refused("file_unreadable") when it is no journal.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self.plan = plan
        self.done: dict[int, list[Number]] = {}
        self._file = path.open("a+b")
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise

    def _begin(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("folder_in_use", "out", self.path.parent) from None
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and not data.startswith(BEGINS[: len(data)]):
            raise self._unreadable(1)
        if len(whole) < len(data):
            self._file.truncate(len(whole))
        lines = whole.splitlines()
        if lines:
            self._check(lines[0])
            for number, line in enumerate(lines[1:], 2):
                self._take(number, line)
        else:
            self._append([json.dumps(self._head(), sort_keys=True)])

    def _head(self) -> dict[str, int | str]:
        return {"format": FORMAT, "plan": self.plan.digest, "cells": self.plan.size, "code": code_digest()}

    def _check(self, line: bytes) -> None:
        head = _read(line)
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise self._unreadable(1)
        wanted = self._head()
        if head.get("plan") != wanted["plan"]:
            found = f"cells of another sweep than this file asks for, in {self.path.parent}"
            remedy = f"The file has changed since, or is another one. {OTHER}"
            raise Refused("sweep_changed", "out", found, remedy)
        if head.get("code") != wanted["code"]:
            found = f"cells that another version of WattQuorum played, in {self.path.parent}"
            remedy = f"Go on with the version that began, so that all cells are of one. {OTHER}"
            raise Refused("sweep_changed", "out", found, remedy)

    def _take(self, number: int, line: bytes) -> None:
        found = _read(line)
        width = len(self.plan.experiment.measures)
        if not isinstance(found, list) or len(found) != width + 1 or type(found[0]) is not int:
            raise self._unreadable(number)
        cell, *row = found
        if not 0 <= cell < self.plan.size or cell in self.done:
            raise self._unreadable(number)
        for measure, value in zip(self.plan.experiment.measures, row, strict=True):
            if value is not None and (type(value) is not (int if measure.whole else float) or not isfinite(value)):
                raise self._unreadable(number)
        self.done[cell] = row

    def _unreadable(self, number: int) -> Refused:
        return Refused("file_unreadable", "out", f"{self.path}, line {number}", OTHER)

    def add(self, cells: Iterable[Done]) -> None:
        """Keeps cells that were done; when this returns they survive a loss of power."""
        lines = []
        for number, row in cells:
            self.done[number] = row
            lines.append(json.dumps([number, *row]))
        self._append(lines)

    def _append(self, lines: Sequence[str]) -> None:
        try:
            self._file.write("".join(f"{line}\n" for line in lines).encode())
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError as fault:
            code = "disk_full" if fault.errno == errno.ENOSPC else "file_unreadable"
            raise Refused(code, "out", self.path, f"The system says: {fault.strerror}.") from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _fault: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()


def _read(line: bytes) -> object:
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found
