"""Where the records live: any database that SQLAlchemy knows, a file of SQLite by default.

Records can be rebuilt from the chain, so that a power cut costs time and nothing else: SQLite writes ahead and does
not wait for the disk at every block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, Table, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from wattquorum.foundation.refusals import Refused
from wattquorum.records.tables import RECORDS_FORMAT, chain

AnyRow = Row[*tuple[Any, ...]]  # of as many columns as its query has
AnySelect = Select[*tuple[Any, ...]]


def connect(place: str | Path) -> Engine:
    """An engine for a URL, or for the path of a SQLite file."""
    text = str(place)
    url = make_url(text) if "://" in text else make_url(f"sqlite:///{Path(text).absolute()}")
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return create_engine(url)
    return create_engine(url, poolclass=NullPool)


def write_ahead(engine: Engine) -> None:
    """Prepares a SQLite file for many small transactions; other databases know what to do."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _write_ahead)


def _write_ahead(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@contextmanager
def opened(place: str | Path) -> Iterator[Engine]:
    """Records that exist.

    Raises Refused("file_unreadable") when there are none, Refused("records_foreign") when another version made them.
    """
    if "://" not in str(place) and not Path(place).is_file():
        raise Refused("file_unreadable", "records", place, "Give the path of market.sqlite or a database URL.")
    engine = connect(place)
    try:
        found = rows_of(engine, select(chain.c.records_format))
        if found != [(RECORDS_FORMAT,)]:
            raise Refused("records_foreign", "records", f"format {found[0][0] if found else 'none'}")
        yield engine
    except SQLAlchemyError as fault:
        raise Refused("file_unreadable", "records", place, f"The database says: {fault.args[0]}") from fault
    finally:
        engine.dispose()


@contextmanager
def written(engine: Engine) -> Iterator[Connection]:
    """One transaction that is committed at the end; Refused("disk_full") when there is no room for it."""
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as fault:
        if "full" in str(fault.orig):
            raise Refused("disk_full", "records", engine.url.database or "") from fault
        raise


def rows_of(engine: Engine, query: AnySelect) -> list[AnyRow]:
    """All rows of a query."""
    with engine.connect() as connection:
        return list(connection.execute(query).all())


def sorted_rows(engine: Engine, table: Table) -> list[AnyRow]:
    """All rows of a table or view by its key, or by all of its columns where it has none."""
    order = list(table.primary_key.columns) or list(table.columns)
    return rows_of(engine, select(table).order_by(*order))
