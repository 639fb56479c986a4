"""Breaks the rules of Byzantine agreement one at a time and looks what notices.

    python -m tests.consensus.bft.mutate [--only ID ...] [--seeds 60] [--worlds]

Each mutant of tests/mutants/bft.toml is tried in a copy of the sources: the tests of rules and of light clients, then
those of worlds, and, where none notices or `--worlds` is given, courses from seed 0 on until one breaks. Exit status 1:
one was not noticed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

import mutants  # noqa: E402 - from scripts

MUTANTS = ROOT / "tests" / "mutants" / "bft.toml"
FILES = ("tests/consensus/bft/test_rules.py", "tests/consensus/bft/test_worlds.py")
PATIENCE_S = 60
COURSES = """
import signal, sys
from tests.consensus.bft.courses import course, hostile
from tests.consensus.bft.world import Breach
for seed in range({seeds}):
    signal.alarm({patience})
    try:
        course(seed) if seed % 3 == 0 else hostile(seed)
    except Breach as breach:
        print(f"seed {{seed}}: {{breach.invariant}}")
        break
    except Exception as error:
        print(f"seed {{seed}}: {{type(error).__name__}}")
        break
"""


def attempt(mutant: mutants.Mutant, seeds: int, *, worlds: bool) -> list[str]:
    """What noticed it."""
    noticed = []
    with mutants.mutated(mutant) as copy:
        environment = {**os.environ, "PYTHONPATH": f"{copy}:{ROOT}", "PYTHONHASHSEED": "0"}
        for file in FILES:
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", file]
            try:
                ended = subprocess.run(
                    command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
                )
                failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED")]
                if ended.returncode:
                    noticed.append(failed[0].split("::")[1].split(" ")[0] if failed else f"{file}: no run")
            except subprocess.TimeoutExpired:
                noticed.append(f"{file}: no end")
            if noticed:
                break
        if worlds or not noticed:
            script = COURSES.format(seeds=seeds, patience=PATIENCE_S)
            ended = subprocess.run(
                [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            found = ended.stdout.strip()
            if ended.returncode and not found:
                found = "a world without end"
            noticed += [found] if found else []
    return noticed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--worlds", action="store_true")
    asked = parser.parse_args()
    chosen = [each for each in mutants.read(MUTANTS) if not asked.only or each.id in asked.only]
    missed = [each.id for each in chosen if mutants.places(each) != 1]
    with ThreadPoolExecutor(2) as pool:
        tried = pool.map(lambda each: attempt(each, asked.seeds, worlds=asked.worlds), chosen)
        for mutant, noticed in zip(chosen, tried, strict=True):
            print(f"{mutant.id:32} {'; '.join(noticed) or 'NOTHING'}", flush=True)
            missed += [] if noticed else [mutant.id]
    print(f"{len(chosen)} mutants, not noticed: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
