"""The page on how a number came to be: its queries run, and what it says of them is so in any run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_can_be_written_from_a_run_and_says_what_is_so(day: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import write_number as w; "
        "print(w.page(w.opened(*map(Path, sys.argv[1:]))))"
    )
    command = [sys.executable, "-c", script, str(day), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT / "scripts", check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "number.md").read_text(encoding="utf-8")
    assert shape(done.stdout) == shape(page)


def test_checking_the_page_leaves_nothing_in_the_tree(day: Path) -> None:
    tree = sorted(day.parent.parent.iterdir())
    command = [sys.executable, str(ROOT / "scripts" / "write_number.py"), "--check", str(day)]
    done = subprocess.run(command, cwd=day.parent.parent, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, "the page is of another run"
    assert "write it again" in done.stderr
    assert sorted(day.parent.parent.iterdir()) == tree


def shape(page: str) -> list[str]:
    """What of the page does not depend on the run: its headings, and which commands and columns it shows."""
    return re.findall(r"^(?:#+ .*|\$ wattquorum \w+|SELECT .*|FROM .*|assert \w+)", page, re.MULTILINE)
