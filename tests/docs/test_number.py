"""The page on how a number came to be: its queries run, and what it says of them is so in any run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("week")

ROOT = Path(__file__).parents[2]


def test_the_page_can_be_written_from_a_run_and_says_what_is_so(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "wattquorum", "week", "--days", "1"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    script = (
        "import sys; from pathlib import Path; import write_number as w; print(w.page(w.opened(Path(sys.argv[1]))))"
    )
    folder = str(tmp_path / "out" / "week")
    done = subprocess.run(
        [sys.executable, "-c", script, folder],
        cwd=ROOT / "scripts",
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "number.md").read_text(encoding="utf-8")
    assert shape(done.stdout) == shape(page)


def shape(page: str) -> list[str]:
    """What of the page does not depend on the run: its headings, and which commands and columns it shows."""
    shown = re.findall(r"^(?:#+ .*|\$ wattquorum \w+|SELECT .*|FROM .*|assert \w+)", page, re.MULTILINE)
    return [re.sub(r" of (?:wind|lv)\S+", "", each) for each in shown]
