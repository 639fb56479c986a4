"""Parquet: the same tables and views as files, for whoever reads with polars, DuckDB or pandas instead of SQL.

One file per table, rows in the order of its key, integers as 64-bit integers: equal records give equal tables.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from sqlalchemy import Engine, String, Table

from wattquorum.foundation.refusals import Refused
from wattquorum.records.database import opened, sorted_rows
from wattquorum.records.schema import TABLES
from wattquorum.records.views import VIEWS


def all_tables() -> list[Table]:
    """Every table, then every view, in the order of their declaration."""
    return [*TABLES, *(view.table for view in VIEWS)]


def frame(engine: Engine, table: Table) -> pl.DataFrame:
    """A table or view of the records as a data frame."""
    schema = {column.name: pl.String if isinstance(column.type, String) else pl.Int64 for column in table.columns}
    return pl.DataFrame([tuple(row) for row in sorted_rows(engine, table)], schema=schema, orient="row")


def export_parquet(place: str | Path, folder: Path) -> list[Path]:
    """Writes every table and view of the records into a folder, made if it is missing; returns the files."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with opened(place) as engine:
            for table in all_tables():
                path = folder / f"{table.name}.parquet"
                frame(engine, table).write_parquet(path)
                written.append(path)
    except OSError as fault:
        code = "disk_full" if fault.errno == 28 else "file_unreadable"
        raise Refused(code, "folder", folder, f"The system says: {fault.strerror}.") from fault
    return written
