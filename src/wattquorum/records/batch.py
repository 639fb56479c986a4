"""A batch: the rows that one block adds to the records, written together in one SQL transaction.

It stands apart from the meaning of the rows. Three things happen in a fixed order, each in bulk: rows in force are
marked as superseded, new rows are inserted, and rows are updated by their key. A row that replaces another row of the
same block marks it before either is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, Table, Update, bindparam, insert, update

from wattquorum.records.columns import SUPERSEDED
from wattquorum.records.schema import metadata

Value = int | str | None
Row = tuple[Value, ...]
Keys = tuple[str, ...]


class Batch:
    """Rows of one block, in the order in which they came."""

    __slots__ = ("_in_force", "_inserts", "_superseded", "_updates", "height")

    def __init__(self, height: int) -> None:
        self.height = height
        self._inserts: dict[str, list[Row]] = {}
        self._in_force: dict[tuple[str, Row], int] = {}
        self._superseded: dict[tuple[str, Keys], list[Row]] = {}
        self._updates: dict[tuple[str, Keys, Keys], list[Row]] = {}

    def add(self, table: Table, row: Row) -> None:
        """A new row, a value for every column in order."""
        self._inserts.setdefault(table.name, []).append(row)

    def extend(self, table: Table, rows: Iterable[Row]) -> None:
        """Many new rows."""
        self._inserts.setdefault(table.name, []).extend(rows)

    def revise(self, table: Table, columns: Keys, row: Row) -> None:
        """A new row that replaces the one in force with the same values in `columns`, if there is one.

        `superseded_height` is the table's last column and is empty in the new row.
        """
        names = [column.name for column in table.columns]
        key = tuple(row[names.index(column)] for column in columns)
        rows = self._inserts.setdefault(table.name, [])
        before = self._in_force.get((table.name, key))
        if before is None:
            self._superseded.setdefault((table.name, columns), []).append((self.height, *key))
        else:
            rows[before] = (*rows[before][:-1], self.height)
        self._in_force[table.name, key] = len(rows)
        rows.append(row)

    def change(self, table: Table, key: dict[str, Value], **values: Value) -> None:
        """New values for some columns of the row with this key."""
        place = (table.name, tuple(key), tuple(values))
        self._updates.setdefault(place, []).append((*key.values(), *values.values()))

    def write(self, connection: Connection) -> None:
        """Everything, in bulk, inside the connection's SQL transaction."""
        for (name, columns), rows in self._superseded.items():
            table = metadata.tables[name]
            statement = update(table).where(table.c[SUPERSEDED].is_(None)).values({SUPERSEDED: bindparam("new_0")})
            for position, column in enumerate(columns):
                statement = statement.where(table.c[column] == bindparam(f"key_{position}"))
            names = ("new_0", *(f"key_{position}" for position in range(len(columns))))
            _execute(connection, statement, names, rows)
        for table in metadata.sorted_tables:
            if rows := self._inserts.get(table.name, []):
                insert_rows(connection, table, rows)
        for (name, keys, changed), rows in self._updates.items():
            table = metadata.tables[name]
            statement = update(table).values({column: bindparam(f"new_{i}") for i, column in enumerate(changed)})
            for position, column in enumerate(keys):
                statement = statement.where(table.c[column] == bindparam(f"key_{position}"))
            names = (*(f"key_{i}" for i in range(len(keys))), *(f"new_{i}" for i in range(len(changed))))
            _execute(connection, statement, names, rows)


def _execute(connection: Connection, statement: Update, names: Keys, rows: Sequence[Row]) -> None:
    connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


ROWS_PER_STATEMENT: Final = 50_000


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Inserts rows, a value for every column in order, through the driver's own bulk call.

    Going past SQLAlchemy's per-row work makes this five times faster, which a day of a million readings needs.
    """
    names = [column.name for column in table.columns]
    compiled = insert(table).compile(dialect=connection.dialect)
    statement = str(compiled)
    for first in range(0, len(rows), ROWS_PER_STATEMENT):
        some = rows[first : first + ROWS_PER_STATEMENT]
        if compiled.positional:
            connection.exec_driver_sql(statement, list(some))
        else:
            connection.exec_driver_sql(statement, [dict(zip(names, row, strict=True)) for row in some])
