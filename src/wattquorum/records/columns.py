"""What tables of records are declared with: columns that state their unit, and the metadata that gathers them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, MetaData, String, Table
from sqlalchemy.util import OrderedSet

metadata: Final = MetaData()

# A unit is told by the end of a column's name, the longest that fits.
UNITS: Final = {
    "_wh": "Wh",
    "_w": "W",
    "_ms": "ms UTC",
    "_world_ms": "ms of the simulated world",
    "_us": "microseconds",
    "_millionths": "millionths of the currency",
    "_millionths_per_kwh": "millionths of the currency per kWh",
    "_points_millionths": "millionths of a point",
    "_ppm": "parts per million",
    "_bytes": "bytes",
    "_g": "grams of CO2",
    "_microdegrees": "millionths of a degree",
}


def unit_of(column: str) -> str:
    """The unit of a column by its name; empty for words and counts."""
    fitting = [suffix for suffix in UNITS if column.endswith(suffix)]
    return UNITS[max(fitting, key=len)] if fitting else ""


def whole(name: str, says: str, *, key: bool = False, maybe: bool = False) -> Column[int]:
    """A column of integers."""
    return Column(name, BigInteger, primary_key=key, nullable=maybe, comment=says, autoincrement=False)


def word(name: str, says: str, *, key: bool = False, maybe: bool = False) -> Column[str]:
    """A column of words: names, ids in hexadecimal, kinds."""
    return Column(name, String, primary_key=key, nullable=maybe, comment=says)


def table(name: str, says: str, *columns: Column[int] | Column[str]) -> Table:
    """A table of the records."""
    made = Table(name, metadata, *columns, comment=says, sqlite_with_rowid=False)
    made.indexes = OrderedSet()  # created as declared: in the order of a plain set, a file's bytes would differ by run
    return made


SUPERSEDED: Final = "superseded_height"


def superseded() -> Column[int]:
    """When a later row replaced this one."""
    return whole(SUPERSEDED, "block of the row that replaced this one; empty while it is in force", maybe=True)
