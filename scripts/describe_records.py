"""Writes the tables of docs/records.md from their declarations: everything below its marker is replaced.

Run it with the project's Python after a change to wattquorum.records.tables or wattquorum.records.views:

    .venv/bin/python scripts/describe_records.py
"""

from __future__ import annotations

from pathlib import Path

from wattquorum.records.description import described

PAGE = Path(__file__).parents[1] / "docs" / "records.md"
MARKER = "<!-- Written by scripts/describe_records.py from here on. -->\n"


def main() -> None:
    """Replaces what stands below the marker."""
    above = PAGE.read_text(encoding="utf-8").split(MARKER)[0]
    PAGE.write_text(f"{above}{MARKER}\n{described()}", encoding="utf-8")


if __name__ == "__main__":
    main()
