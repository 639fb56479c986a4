"""A real run that pages of the documentation are held against."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def day(traded: Path) -> Path:
    """The out/week of a run of one day."""
    return traded / "out" / "week"
