"""Entries of what was measured of consensus: whoever ran the replicas hands them in, since no fact tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import delete, insert

from wattquorum.ledger import facts as told
from wattquorum.records.block_entries import BlockEntries, enter
from wattquorum.records.database import opened, written
from wattquorum.records.measured_tables import MEASURED

Row = Mapping[str, int | str | None]


@enter.register
def _(_fact: told.ValidatorChanged, _block: BlockEntries) -> None:
    """Who runs which replica is among what was measured."""


def put_measured(place: str | Path, rows: Mapping[str, Sequence[Row]]) -> None:
    """Replaces what was measured, by the names of tables; Refused("file_unreadable") when there are no records."""
    with opened(place) as engine, written(engine) as connection:
        for each in MEASURED:
            connection.execute(delete(each))
            if found := list(rows.get(each.name, ())):
                connection.execute(insert(each), found)
