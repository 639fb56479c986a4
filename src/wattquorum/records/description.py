"""The description of the records: every table and view with its columns and units, written from the declarations."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, String, Table

from wattquorum.records.columns import unit_of
from wattquorum.records.schema import TABLES
from wattquorum.records.views import VIEWS


def described() -> str:
    """All tables, then all views, as Markdown."""
    return "\n".join((*_part("Tables", TABLES), *_part("Views", (view.table for view in VIEWS))))


def _part(title: str, tables: Iterable[Table]) -> Iterable[str]:
    yield f"## {title}\n"
    for table in tables:
        yield f"### {table.name}\n"
        yield f"{table.comment}\n"
        yield "| column | type | unit | meaning |"
        yield "|---|---|---|---|"
        for column in table.columns:
            yield f"| `{column.name}` | {_kind(column)} | {unit_of(column.name)} | {column.comment} |"
        yield ""


def _kind(column: Column[object]) -> str:
    kind = "text" if isinstance(column.type, String) else "integer"
    key = ", key" if column.primary_key else ""
    return f"{kind}{key}{', may be empty' if column.nullable and column.table.primary_key else ''}"
