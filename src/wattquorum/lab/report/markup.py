"""Markup: the few pieces of HTML that sections are made of, everything from the records escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import zip_longest
from typing import Any, NamedTuple

Cell = str | int


class Section(NamedTuple):
    """One part of the page: `body` is HTML, `data` is what its script draws from (JSON)."""

    name: str
    short: str  # in the row of links
    title: str
    lead: str
    body: str
    data: dict[str, Any]


def chart(name: str, label: str, *, height: int = 420) -> str:
    """The place of a chart; `label` is what it shows, for those who do not see it."""
    return (
        f'<div class="chart" id="{name}" role="img" aria-label="{escape(label)}" style="min-height:{height}px"></div>'
    )


def flow_chart(name: str, label: str, *, height: int) -> str:
    """As `chart`, for a picture of flows: on a phone a table below it says what labels say elsewhere."""
    return chart(name, label, height=height) + f'<div id="{name}-key" class="scroll key"></div>'


def chooser(name: str, label: str, options: Iterable[tuple[Cell, str]]) -> str:
    """A labelled list to choose from."""
    choices = "".join(f'<option value="{escape(str(value))}">{escape(text)}</option>' for value, text in options)
    return f'<label class="chooser">{escape(label)} <select id="{name}">{choices}</select></label>'


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    sides: str = "",
    tones: Sequence[str] = (),
) -> str:
    """A table; `sides` names how each column is set: l left, r right, t as text that may wrap; left by default.

    `tones` says of each row's last cell whether it is good, bad or plain news. On a narrow screen a table with text
    becomes a stack of cards, whose cells say their headings themselves.
    """
    sides = sides.ljust(len(headings), "l")
    stacked = "t" in sides
    kind = ' class="stacked"' if stacked else ""
    labels = [f' data-label="{escape(text)}"' if stacked else "" for text in headings]
    head = "".join(
        f'<th scope="col" class="{side}">{escape(text)}</th>' for side, text in zip(sides, headings, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{side}"{label}>{_toned(cell, tone if place == len(headings) - 1 else "")}</td>'
            for place, (side, label, cell) in enumerate(zip(sides, labels, row, strict=True))
        )
        + "</tr>"
        for row, tone in zip_longest(rows, tones, fillvalue="")
    )
    if not body:
        body = f'<tr><td class="none" colspan="{len(headings)}">none</td></tr>'
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table{kind}>'
        f"<caption><span>{escape(caption)}</span></caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _toned(cell: Cell, tone: str) -> str:
    text = escape(str(cell))
    return f'<span class="tone {tone}">{text}</span>' if tone else text


def behind(summary: str, content: str) -> str:
    """Something to unfold, such as the table behind a chart."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def panel(name: str) -> str:
    """An empty place that a script fills and that is read out when it changes."""
    return f'<div id="{name}" class="panel" aria-live="polite"></div>'
