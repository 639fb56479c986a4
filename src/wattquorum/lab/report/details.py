"""Details: every settled interval and every reading, packed, so that a bill line can be followed to the meters.

They are most of the report's data and are needed for one line at a time, so they travel compressed and are opened by
the page when somebody asks.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from sqlalchemy import select

from wattquorum.lab.report.week import SIDES, Week
from wattquorum.records import tables as t
from wattquorum.records.database import AnyRow

QUALITY = {"measured": 0, "estimated": 1, "substituted": 2}


DETAILS_CHARACTERS_MAX: Final = 12_000_000


def details(week: Week) -> str:
    """All of it as base64 of gzipped JSON; empty where it would make the page too large to open."""
    content = {"intervals": _intervals(week), "positions": _positions(week), "readings": _readings(week)}
    data = json.dumps(content, separators=(",", ":")).encode()
    packed = base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
    return packed if len(packed) <= DETAILS_CHARACTERS_MAX else ""


def _intervals(week: Week) -> dict[str, list[list[int]]]:
    """contract:revision to columns: interval, promised, generated, consumed, traded, price, and the six amounts."""
    columns = t.intervals.c
    query = select(t.intervals).order_by(columns.contract, columns.revision, columns.interval)
    return {
        f"{week.contract_number[own[0].contract]}:{own[0].revision}": _columns(own, 2)
        for own in _runs(week.rows(query), 2)
    }


def _positions(week: Week) -> dict[str, list[list[int]]]:
    """day:member:side:revision to columns: interval, metered, beyond promises, its price."""
    columns = t.position_intervals.c
    query = select(t.position_intervals).order_by(
        columns.day_start_ms, columns.member, columns.side, columns.revision, columns.interval
    )
    found = {}
    for own in _runs(week.rows(query), 4):
        day, member, side, revision = own[0][:4]
        key = (week.day_number[day], week.number_of[member], SIDES[side], revision)
        found[":".join(map(str, key))] = _columns(own, 4)
    return found


def _readings(week: Week) -> dict[str, list[list[int]]]:
    """day:meter:version to columns: energy, quality (0 measured, 1 estimated, 2 substituted)."""
    columns = t.readings.c
    query = select(t.readings).order_by(columns.day_start_ms, columns.meter, columns.version, columns.interval)
    found = {}
    for own in _runs(week.rows(query), 3):
        day, meter, version = own[0][:3]
        key = (week.day_number[day], week.meter_number[meter], version)
        found[":".join(map(str, key))] = [[row.energy_wh for row in own], [QUALITY[row.quality] for row in own]]
    return found


def _runs(rows: Iterable[AnyRow], keys: int) -> Iterator[list[AnyRow]]:
    """Rows in order, cut wherever one of their first columns changes."""
    for _, own in groupby(rows, key=lambda row: tuple(row)[:keys]):
        yield list(own)


def _columns(rows: Sequence[AnyRow], first: int) -> list[list[int]]:
    return [list(column) for column in zip(*(tuple(row)[first:] for row in rows), strict=True)]
