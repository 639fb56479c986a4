"""Parts: what a page of the lab is made of, words, tables and pictures, and how HTML and Markdown render them alike."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from wattquorum.lab.drawing import Picture
from wattquorum.lab.report.markup import Section, behind, paragraph, table
from wattquorum.lab.report.shell import page_of

WIDEN: Final = 1.25  # a picture is shown at most so much larger than it was drawn
NARROW: Final = 0.9  # and at least so much of it: on a narrow screen it scrolls inside its frame


class Sheet(NamedTuple):
    """A table; `sides` says l, r or t (text that may wrap) for each column."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sides: str
    tones: tuple[str, ...] = ()  # good, bad or plain: how the last cell of each row looks
    folded: bool = False  # on a screen it is to be unfolded


class Part(NamedTuple):
    """A section of the page."""

    name: str
    short: str
    title: str
    lead: str
    items: tuple[str | Sheet | Picture, ...]


def as_html(title: str, facts: Sequence[tuple[str, str]], parts: Sequence[Part], footer: str) -> str:
    """One HTML file that asks no network; `facts` stand below the title."""
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    masthead = f'<p class="product">WattQuorum lab</p><h1>{escape(title)}</h1><dl class="facts">{listed}</dl>'
    return page_of(title, masthead, [_section(part) for part in parts], footer)


def _section(part: Part) -> Section:
    return Section(part.name, part.short, part.title, part.lead, "".join(map(_html, part.items)), {})


def _html(item: str | Sheet | Picture) -> str:
    match item:
        case str():
            return paragraph(item)
        case Sheet(caption, headings, rows, sides, tones, folded):
            kept = [[cell.replace(" %", "\N{NO-BREAK SPACE}%") for cell in row] for row in rows]
            whole = f'<div class="whole">{table(caption, headings, kept, sides=sides, tones=tones)}</div>'
            return behind(caption, whole) if folded else whole
        case Picture():
            drawn = sum(panel.width for panel in item.panels)
            style = f"max-width:{WIDEN * drawn:.0f}px;--least:{NARROW * drawn:.0f}px"
            return f'<div class="chart drawn" tabindex="0" style="{style}">{item.svg}</div>'


def as_markdown(title: str, remark: str, parts: Sequence[Part], prefix: str) -> str:
    """A page of the documentation; `remark` is for those who edit it, pictures' files have names with this prefix."""
    lines = [f"# {title}", "", f"<!-- {remark} -->", ""]
    for place, part in enumerate(parts):
        if place:
            lines += [f"## {part.title}", ""]
        lines += [*wrapped(part.lead), ""]
        for item in part.items:
            lines += [*_markdown(item, prefix), ""]
    return "\n".join(lines).rstrip() + "\n"


def picture_file(picture: Picture, prefix: str) -> str:
    """The name of a picture's file."""
    return f"{prefix}{picture.name}.svg"


def _markdown(item: str | Sheet | Picture, prefix: str) -> list[str]:
    match item:
        case str():
            return wrapped(item)
        case Sheet(caption, headings, rows, sides):
            marks = ["---:" if side == "r" else "---" for side in sides]
            return [f"**{caption}**", "", *(_row(each) for each in (headings, marks, *rows))]
        case Picture():
            return [f"![{item.label}]({picture_file(item, prefix)})"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("| ---: ", "|---:").replace("| --- ", "|---")


def wrapped(text: str, width: int = 118) -> list[str]:
    """A paragraph in lines."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
