"""Every table of the records, whichever module declares it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import MetaData, Table

from wattquorum.records import green_tables, grid_tables, measured_tables, office_tables, tables, voting_tables
from wattquorum.records.columns import metadata as declared

metadata: Final[MetaData] = declared
TABLES: Final = tuple(
    each
    for module in (tables, green_tables, grid_tables, voting_tables, office_tables, measured_tables)
    for each in vars(module).values()
    if isinstance(each, Table)
)
