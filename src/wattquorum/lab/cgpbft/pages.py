"""Pages: the parts as one HTML file that asks no network, and as Markdown with its pictures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from wattquorum.lab.cgpbft.told.pieces import Part, Sheet
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.drawing import Picture
from wattquorum.lab.report.markup import Section, paragraph, table
from wattquorum.lab.report.shell import page_of

TITLE: Final = "CGPBFT beside PBFT"
FOOTER: Final = (
    "Made by WattQuorum (wattquorum lab cgpbft). The tables stand beside this file as CSV, the pictures as SVG."
)


def as_html(found: Found, parts: Sequence[Part]) -> str:
    """The report."""
    return page_of(TITLE, _masthead(found), [_section(part) for part in parts], FOOTER)


def _masthead(found: Found) -> str:
    facts = (("Seeds", f"{found.seeds}"), ("Largest community", f"{found.largest} members"))
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<p class="product">WattQuorum lab</p><h1>{TITLE}</h1><dl class="facts">{listed}</dl>'


def _section(part: Part) -> Section:
    return Section(part.name, part.short, part.title, part.lead, "".join(map(_html, part.items)), {})


def _html(item: str | Sheet | Picture) -> str:
    match item:
        case str():
            return paragraph(item)
        case Sheet(caption, headings, rows, sides):
            return table(caption, headings, rows, sides=sides)
        case Picture():
            return f'<div class="chart">{item.svg}</div>'


def as_markdown(parts: Sequence[Part], command: str, prefix: str) -> str:
    """The page of the documentation; its pictures are files whose names begin with `prefix`."""
    lines = [f"# {TITLE}", "", f"<!-- Written by `{command}`; change lab/cgpbft/told. -->", ""]
    for place, part in enumerate(parts):
        if place:
            lines += [f"## {part.title}", ""]
        lines += [*_wrapped(part.lead), ""]
        for item in part.items:
            lines += [*_markdown(item, prefix), ""]
    return "\n".join(lines).rstrip() + "\n"


def picture_file(picture: Picture, prefix: str) -> str:
    """The name of a picture's file."""
    return f"{prefix}{picture.name}.svg"


def _markdown(item: str | Sheet | Picture, prefix: str) -> list[str]:
    match item:
        case str():
            return _wrapped(item)
        case Sheet(caption, headings, rows, sides):
            marks = ["---:" if side == "r" else "---" for side in sides]
            return [f"**{caption}**", "", *(_row(each) for each in (headings, marks, *rows))]
        case Picture():
            return [f"![{item.label}]({picture_file(item, prefix)})"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("| ---: ", "|---:").replace("| --- ", "|---")


def _wrapped(text: str, width: int = 118) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
