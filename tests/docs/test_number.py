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
    reader = day.parent.parent
    tree = sorted(reader.iterdir())
    done = subprocess.run(command, cwd=ROOT / "scripts", check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "number.md").read_text(encoding="utf-8")
    assert shape(done.stdout) == shape(page)
    assert (tmp_path / "proof.json").is_file()
    assert sorted(reader.iterdir()) == tree, "commands of the page are run elsewhere"


def shape(page: str) -> list[str]:
    """What of the page does not depend on the run: its headings, and which commands and columns it shows."""
    return re.findall(r"^(?:#+ .*|\$ wattquorum \w+|SELECT .*|FROM .*|assert \w+)", page, re.MULTILINE)
