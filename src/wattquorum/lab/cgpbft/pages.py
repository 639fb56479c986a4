"""Pages: the evaluation of document B as one HTML file, and as Markdown with its pictures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wattquorum.lab import parts as pages
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.parts import Part

TITLE: Final = "CGPBFT beside PBFT"
FOOTER: Final = (
    "Made by WattQuorum (wattquorum lab cgpbft). The tables stand beside this file as CSV, the pictures as SVG."
)


def as_html(found: Found, parts: Sequence[Part]) -> str:
    """The report."""
    facts = (("Seeds", f"{found.seeds}"), ("Largest community", f"{found.largest} members"))
    return pages.as_html(TITLE, facts, parts, FOOTER)


def as_markdown(parts: Sequence[Part], command: str, prefix: str) -> str:
    """The page of the documentation; its pictures are files whose names begin with `prefix`."""
    return pages.as_markdown(TITLE, f"Written by `{command}`; change lab/cgpbft/told.", parts, prefix)
