"""The page: sections, scripts and data of a week, in the shell of a report that asks nothing of any network.

Everything is inside, Plotly's script too. Without scripts the tables still stand.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from wattquorum.lab.report.bargaining import bargaining
from wattquorum.lab.report.billing import billing
from wattquorum.lab.report.books import books
from wattquorum.lab.report.consensus import consensus
from wattquorum.lab.report.corrections import corrections
from wattquorum.lab.report.crediting import crediting
from wattquorum.lab.report.defaulting import defaulting
from wattquorum.lab.report.delivery import delivery
from wattquorum.lab.report.details import details
from wattquorum.lab.report.energy import energy
from wattquorum.lab.report.green import green
from wattquorum.lab.report.grid import grid
from wattquorum.lab.report.overview import masthead, overview, title_of
from wattquorum.lab.report.prices import prices
from wattquorum.lab.report.shell import asset, page_of, write_page
from wattquorum.lab.report.standing import standing
from wattquorum.lab.report.strategies import strategies
from wattquorum.lab.report.week import Week
from wattquorum.records.database import opened

SECTIONS: Final = (
    overview,
    energy,
    prices,
    delivery,
    grid,
    billing,
    defaulting,
    crediting,
    green,
    standing,
    consensus,
    bargaining,
    strategies,
    corrections,
    books,
)
SCRIPTS: Final = (
    "base.js",
    "energy.js",
    "prices.js",
    "delivery.js",
    "grid.js",
    "bills.js",
    "trail.js",
    "defaults.js",
    "credit.js",
    "green.js",
    "standing.js",
    "consensus.js",
    "negotiation.js",
    "strategies.js",
    "start.js",
)
FOOTER: Final = (
    "Made by WattQuorum from the records of the chain alone. Charts by Plotly.js (MIT licence), inside this file."
)
NO_SCRIPTS: Final = (
    "<noscript><p>Scripts are off: charts and choices need them; every table stands below.</p></noscript>"
)


def write_report(place: str | Path, path: Path) -> None:
    """Writes the report of records (a SQLite file or a database URL) as one HTML file.

    Raises Refused("file_unreadable") when there are no records, Refused("disk_full") when the file does not fit.
    """
    with opened(place) as engine:
        content = _page(Week(engine))
    write_page(path, content)


def _page(week: Week) -> str:
    sections = [make(week) for make in SECTIONS]
    data: dict[str, Any] = {"week": week.for_scripts()}
    data.update((section.name, section.data) for section in sections if section.data)
    scripts = "".join(
        (
            f'<script type="application/json" id="report-data">{_embedded(data)}</script>',
            f'<script type="text/plain" id="report-details">{details(week)}</script>',
            f"<script>{_plotly()}</script>",
            "<script>",
            *(asset(name) for name in SCRIPTS),
            "</script>",
        )
    )
    return page_of(title_of(week), masthead(week), sections, FOOTER, before=NO_SCRIPTS, scripts=scripts)


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end its script element early, whatever a member wrote into a dispute."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _plotly() -> str:
    """Plotly's own script, as the plotly package ships it."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
