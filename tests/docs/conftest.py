"""A real run that pages of the documentation are held against."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The out/week of a run of one day."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "wattquorum", "week", "--days", "1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder / "out" / "week"
