"""Pieces: what a page is made of, words, tables and pictures, which HTML and Markdown render alike."""

from __future__ import annotations

from typing import Final, NamedTuple

from wattquorum.lab.drawing import Picture

PBFT, AMONG = "PBFT", "CGPBFT"
COLOURS: Final = {PBFT: "c3", AMONG: "c1"}
NS_PER_MS: Final = 1e6


class Sheet(NamedTuple):
    """A table; `sides` says l or r for each column."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sides: str


class Part(NamedTuple):
    """A section of the page."""

    name: str
    short: str
    title: str
    lead: str
    items: tuple[str | Sheet | Picture, ...]
