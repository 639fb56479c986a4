"""Breaks the ledger's rules of committees one at a time and looks whether a test notices.

    python -m tests.ledger.mutate [ID ...]

Each mutant of tests/mutants/committees.toml is tried in a copy of the sources. Exit status 1: one was not noticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = ROOT / "tests" / "mutants" / "committees.toml"
TESTS = (
    "tests/standing/test_election.py",
    "tests/ledger/bad_input/test_agents.py",
    "tests/ledger/test_committees.py",
    "tests/ledger/test_elections.py",
)
PATIENCE_S = 900  # many times what the tests take, also where others want the processors


class Mutant(NamedTuple):
    """A rule, and the change that breaks it."""

    id: str
    rule: str
    file: str
    replace: str
    by: str

    @property
    def text(self) -> str:
        """The file as it is."""
        return (ROOT / "src" / "wattquorum" / self.file).read_text(encoding="utf-8")

    def places(self) -> int:
        """How often what it replaces stands there."""
        return self.text.count(self.replace)

    def broken(self) -> str:
        """The file with the change."""
        return self.text.replace(self.replace, self.by)


def read() -> list[Mutant]:
    """All mutants."""
    return [Mutant(**each) for each in tomllib.loads(MUTANTS.read_text(encoding="utf-8"))["mutant"]]


def noticed(mutant: Mutant) -> str:
    """The first test that notices a mutant; empty: none does."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "wattquorum"
        shutil.copytree(ROOT / "src" / "wattquorum", source, ignore=shutil.ignore_patterns("__pycache__"))
        (source / mutant.file).write_text(mutant.broken(), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *TESTS]
        try:
            ran = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
        except subprocess.TimeoutExpired:
            return "patience"
    failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].partition("::")[2] if failed else ""


def main(only: list[str]) -> int:
    """Tries the mutants with these ids, or all."""
    silent = 0
    for mutant in read():
        if only and mutant.id not in only:
            continue
        by = noticed(mutant)
        silent += not by
        sys.stdout.write(f"{mutant.id:24} {by or 'NOT NOTICED'}\n")
        sys.stdout.flush()
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
