"""Faults in users' files: everything that is wrong with one file, as data, found in one reading.

A person who mends a file wants to see all of it at once, with the rows as an editor counts them. So a reader collects
faults and raises them together; each has the code, the field, the value and the remedy of a refusal, and the row.
This stands apart from `Refused`, which is one refusal and ends what it meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wattquorum.foundation.refusals import CODES, sentence, shown

PRINTED_MAX: Final = 20
HELD_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class FileFault:
    """One fault: `row` is the line in a CSV file, the data row (from 1) in a Parquet file, none for the whole file."""

    code: str
    field: str
    value: str
    remedy: str
    row: int | None = None

    def __str__(self) -> str:
        place = "" if self.row is None else f"row {self.row}: "
        return f"{place}{self.code}: {sentence(self.code, self.field, self.value, self.remedy)}"


def file_fault(code: str, field: str, value: object, remedy: str = "", row: int | None = None) -> FileFault:
    """A fault with its value shortened for people and, unless one is given, the code's general remedy."""
    return FileFault(code, field, shown(value), remedy or CODES[code][1], row)


class FileFaults(Exception):
    """A file that was not read, and why: nothing of it was used.

    `faults` holds the first 10,000 in the order of their rows, `count` says how many there are in all; as text the
    first 20 are listed.
    """

    def __init__(self, path: str | Path, faults: Sequence[FileFault], count: int | None = None) -> None:
        self.path = str(path)
        self.faults = tuple(faults[:HELD_MAX])
        self.count = len(faults) if count is None else count
        super().__init__(self.path, self.faults, self.count)

    def __str__(self) -> str:
        noun = "fault" if self.count == 1 else "faults"
        lines = [f"{self.path}: {self.count:,} {noun}", *(f"  {fault}" for fault in self.faults[:PRINTED_MAX])]
        if self.count > PRINTED_MAX:
            lines.append(f"  and {self.count - PRINTED_MAX:,} more")
        return "\n".join(lines)
