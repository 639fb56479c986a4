"""Breaks the rules of states, gaps and restarts one at a time and looks whether their tests notice.

    python -m tests.replica.mutate [ID ...]

Each mutant of tests/mutants/states.toml is tried in a copy of the sources, by the file of tests that it names. Exit
status 1: one was not noticed, or does not stand in the sources exactly once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import mutants  # noqa: E402 - from scripts

MUTANTS = ROOT / "tests" / "mutants" / "states.toml"
PATIENCE_S = 120


def noticed(mutant: mutants.Mutant) -> str:
    """The first test that notices it; empty: none does."""
    with mutants.mutated(mutant) as copy:
        environment = {**os.environ, "PYTHONPATH": f"{copy}:{ROOT}", "PYTHONHASHSEED": "0"}
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={copy}/tests"]
        command = [sys.executable, "-m", "pytest", *options, mutant.test]
        try:
            ended = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
            )
        except subprocess.TimeoutExpired:
            return "no end"
        failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED")]
        return failed[0].split("::")[1].split(" ")[0] if failed else "no run" if ended.returncode else ""


def main() -> int:
    chosen = [each for each in mutants.read(MUTANTS) if len(sys.argv) < 2 or each.id in sys.argv[1:]]
    missed = [each.id for each in chosen if mutants.places(each) != 1]
    for mutant in chosen:
        found = noticed(mutant)
        print(f"{mutant.id:34} {found or 'NOTHING'}", flush=True)
        missed += [] if found else [mutant.id]
    print(f"{len(chosen)} mutants, not noticed: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
