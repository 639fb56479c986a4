"""The page: sections, style, scripts and data joined into one file that asks nothing of any network.

Everything is inside, Plotly's script too, and the page's own policy forbids every request, so that it opens from a
folder, in ten years, and tells nobody. Without scripts the tables still stand.
"""

from __future__ import annotations

import errno
import json
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from wattquorum.foundation.refusals import Refused
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
from wattquorum.lab.report.markup import Section, paragraph
from wattquorum.lab.report.overview import masthead, overview, title_of
from wattquorum.lab.report.prices import prices
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
POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def write_report(place: str | Path, path: Path) -> None:
    """Writes the report of records (a SQLite file or a database URL) as one HTML file.

    Raises Refused("file_unreadable") when there are no records, Refused("disk_full") when the file does not fit.
    """
    with opened(place) as engine:
        content = _page(Week(engine))
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as fault:
        code = "disk_full" if fault.errno == errno.ENOSPC else "file_unreadable"
        raise Refused(code, "report", path, f"The system says: {fault.strerror}.") from fault


def _page(week: Week) -> str:
    sections = [make(week) for make in SECTIONS]
    data: dict[str, Any] = {"week": week.for_scripts()}
    data.update((section.name, section.data) for section in sections if section.data)
    links = "".join(f'<a href="#{section.name}">{escape(section.short)}</a>' for section in sections)
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title_of(week))} - WattQuorum</title>",
            f"<style>{_asset('report.css')}</style></head><body>",
            '<a class="skip" href="#overview">Skip to the figures</a>',
            f'<header class="masthead">{masthead(week)}</header>',
            f'<nav aria-label="Sections">{links}</nav><main>',
            "<noscript><p>Scripts are off: charts and choices need them; every table stands below.</p></noscript>",
            *(_section(section) for section in sections),
            f"</main><footer><p>{FOOTER}</p></footer>",
            f'<script type="application/json" id="report-data">{_embedded(data)}</script>',
            f'<script type="text/plain" id="report-details">{details(week)}</script>',
            f"<script>{_plotly()}</script>",
            "<script>",
            *(_asset(name) for name in SCRIPTS),
            "</script></body></html>\n",
        )
    )


def _section(section: Section) -> str:
    lead = paragraph(section.lead, "lead") if section.lead else ""
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
        f'<h2 id="{section.name}-title">{escape(section.title)}</h2>{lead}{section.body}</section>'
    )


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end its script element early, whatever a member wrote into a dispute."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (files("wattquorum.lab.report") / "assets" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's own script, as the plotly package ships it."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
