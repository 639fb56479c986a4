"""The shell of a report: head, style, masthead, links and sections, joined into one file that asks no network.

The page's own policy forbids every request, so that it opens from a folder, in ten years, and tells nobody.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.report.markup import Section, paragraph

STYLED: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:"  # a page without scripts
SCRIPTED: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def page_of(
    title: str, masthead: str, sections: Sequence[Section], footer: str, *, before: str = "", scripts: str = ""
) -> str:
    """The file's text. `before` is HTML above the sections, `scripts` whole elements below them."""
    links = "".join(f'<a href="#{section.name}">{escape(section.short)}</a>' for section in sections)
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{SCRIPTED if scripts else STYLED}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} - WattQuorum</title>",
            f"<style>{asset('report.css')}</style></head><body>",
            f'<a class="skip" href="#{sections[0].name}">Skip to the figures</a>',
            f'<header class="masthead">{masthead}</header>',
            f'<nav aria-label="Sections">{links}</nav><main>',
            before,
            *(_section(section) for section in sections),
            f"</main><footer><p>{footer}</p></footer>",
            scripts,
            "</body></html>\n",
        )
    )


def write_page(path: Path, content: str) -> None:
    """Writes a report; Refused("disk_full") when it does not fit, Refused("file_unreadable") when it cannot be."""
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as fault:
        code = "disk_full" if fault.errno == errno.ENOSPC else "file_unreadable"
        raise Refused(code, "report", path, f"The system says: {fault.strerror}.") from fault


def asset(name: str) -> str:
    """A style sheet or script that ships with the reports."""
    return (files("wattquorum.lab.report") / "assets" / name).read_text(encoding="utf-8")


def _section(section: Section) -> str:
    lead = paragraph(section.lead, "lead") if section.lead else ""
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
        f'<h2 id="{section.name}-title">{escape(section.title)}</h2>{lead}{section.body}</section>'
    )
