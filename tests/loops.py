"""Event loops in tests: each in a thread of its own, since a browser's loop may be in this one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def apart(run: Callable[[], T]) -> T:
    """What a function returns that runs an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()
