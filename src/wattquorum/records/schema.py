"""Every table of the records, whichever module declares it."""

from __future__ import annotations

from typing import Final

from wattquorum.records import green_tables, tables
from wattquorum.records.columns import metadata as declared

MODULES: Final = (tables, green_tables)  # loaded, so that their tables are declared
metadata: Final = declared
TABLES: Final = tuple(metadata.tables.values())
