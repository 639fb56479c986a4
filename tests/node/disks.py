"""Disks without room, for tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

Full = Callable[[], AbstractContextManager[None]]


class Disk:
    """A place for a chain or a log, and how to leave it without room for more."""

    def __init__(self, path: Path, full: Full) -> None:
        self.path = path
        self.full = full
