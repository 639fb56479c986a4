"""Pages of a browser that fail in the end if anything on them did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Error, Page


@contextmanager
def fresh_page(browser: Browser, width: int = 1280, height: int = 900) -> Iterator[Page]:
    """An empty page without a network; it fails in the end if any script on it raised or complained."""
    faults: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    def raised(error: Error) -> None:
        faults.append(str(error))

    context = browser.new_context(offline=True, viewport={"width": width, "height": height})
    opened = context.new_page()
    opened.on("console", heard)
    opened.on("pageerror", raised)
    yield opened
    context.close()
    assert faults == []
