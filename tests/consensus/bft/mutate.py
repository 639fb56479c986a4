"""Breaks the rules of Byzantine agreement one at a time and looks what notices.

    python -m tests.consensus.bft.mutate [--only ID ...] [--seeds 90] [--replicas 40] [--results FILE] [--write]

Each mutant of tests/mutants/bft.toml is tried in a copy of the sources: the tests of rules, then, whatever they say,
worlds of engines from seed 0 on until one breaks (`courses.by_seed`), and where none does worlds of whole replicas as
`wattquorum chaos --engine pbft` and `cgpbft` have them, by turns. Worlds alone are tried with `--worlds`. What was
found is added to a file of results, and what stands there already is not tried again; `--write` makes
docs/bft-mutants.md of it. Exit status 1: one was not noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

import mutants  # noqa: E402 - from scripts

MUTANTS = ROOT / "tests" / "mutants" / "bft.toml"
PAGE = ROOT / "docs" / "bft-mutants.md"
WORLDS_LAST = "test_worlds.py"
FILES = sorted(
    (ROOT / "tests" / "consensus" / "bft").glob("test_*.py"), key=lambda file: (file.name == WORLDS_LAST, file)
)
PATIENCE_S = 120  # for one world
TESTS_S = 600
WORLDS = """
import signal, sys

class TooLong(BaseException):
    pass

def too_long(*_):
    raise TooLong

signal.signal(signal.SIGALRM, too_long)

def engines(seed):
    from tests.consensus.bft.courses import by_seed
    by_seed(seed)

def replicas(seed):
    from wattquorum.ledger.protocols import Protocol
    from wattquorum.simulation.chaos import Rules, outcome_of
    breach = outcome_of(seed // 2, Rules(protocol=Protocol.CGPBFT if seed % 2 else Protocol.PBFT)).breach
    if breach is not None:
        from wattquorum.simulation.checkers import Broken
        raise Broken(breach.invariant, breach.found)

for seed in range({seeds}):
    signal.alarm({patience})
    broke = ""
    try:
        {kind}(seed)
    except TooLong:
        broke = "no end"
    except Exception as error:
        broke = getattr(error, "invariant", type(error).__name__)
    if broke:
        signal.alarm(0)
        print(seed + 1, broke, flush=True)
        break
"""
HEAD = """# Mutants of Byzantine agreement

Every rule of [Byzantine agreement](bft.md), broken on purpose, one at a time, and what noticed. Written by `python -m
tests.consensus.bft.mutate --write` from [the mutants](../tests/mutants/bft.toml).

Test: the first that fails, or, where worlds notice by themselves and no test was tried this time, the file that does.
Engines: worlds of engines alone (`tests/consensus/bft/courses.py`), from seed 0 on: how many it took until an invariant
broke, and which, or of how many none did. Replicas: the same with the worlds of `wattquorum chaos --engine pbft` and
`cgpbft` by turns, tried where engines alone notice nothing; not tried where the column is empty. What only makes work
or takes longer breaks no invariant, so that worlds do not notice it: tests of rules do.
"""


class Found(NamedTuple):
    """What noticed a mutant: a test, or worlds (how many were tried, and what broke in the last)."""

    id: str
    test: str
    engines: int
    engines_break: str
    replicas: int
    replicas_break: str

    @property
    def noticed(self) -> bool:
        """Whether anything did."""
        return bool(self.test or self.engines_break or self.replicas_break)


def attempt(mutant: mutants.Mutant, seeds: int, replicas: int, *, worlds: bool) -> Found:
    """What noticed it."""
    with mutants.mutated(mutant) as copy:
        environment = {**os.environ, "PYTHONPATH": f"{copy}:{ROOT}", "PYTHONHASHSEED": "0"}
        test = "" if worlds else _tested(environment)
        engines, engines_break = _worlds("engines", seeds, environment)
        whole = (0, "") if engines_break else _worlds("replicas", replicas, environment)
        return Found(mutant.id, test, engines, engines_break, *whole)


def _tested(environment: dict[str, str]) -> str:
    options = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist")
    command = [sys.executable, "-m", "pytest", *options, *[str(file.relative_to(ROOT)) for file in FILES]]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=TESTS_S
        )
    except subprocess.TimeoutExpired:
        return "no end"
    failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED")]
    if not ended.returncode:
        return ""
    return failed[0].split(" ")[1] if failed else "no run"


def _worlds(kind: str, seeds: int, environment: dict[str, str]) -> tuple[int, str]:
    script = WORLDS.format(kind=kind, seeds=seeds, patience=PATIENCE_S)
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"worlds cannot be tried:\n{ended.stderr}")
    if not ended.stdout:
        return seeds, ""
    tried, _, broke = ended.stdout.strip().partition(" ")
    return int(tried), broke


def _told(tried: int, broke: str) -> str:
    if not tried:
        return ""
    return f"{tried}: {broke}" if broke else f"more than {tried}"


def page(all_: Sequence[mutants.Mutant], results: dict[str, Found]) -> str:
    """docs/bft-mutants.md."""
    lines = [HEAD.rstrip()]
    for section in dict.fromkeys(each.section for each in all_):
        title = section.partition(", ")[2]
        lines += [
            "",
            f"## {title[0].upper()}{title[1:]}",
            "",
            "| rule | mutant | test | engines | replicas |",
            "|---|---|---|---|---|",
        ]
        for each in all_:
            if each.section == section and each.id in results:
                found = results[each.id]
                test = f"`{found.test.rpartition('::')[2] or Path(each.caught_by).name}`" if not each.why else ""
                columns = (test, _told(found.engines, found.engines_break), _told(found.replicas, found.replicas_break))
                lines.append(f"| {each.rule} | `{each.id}` | {' | '.join(columns)} |")
    explained = [f"- `{each.id}`: {each.why}" for each in all_ if each.why]
    if explained:
        lines += ["", "## What nothing notices, and why", "", *explained]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="ID")
    parser.add_argument("--seeds", type=int, default=90, help="worlds of engines at most")
    parser.add_argument("--replicas", type=int, default=40, help="worlds of replicas at most")
    parser.add_argument("--worlds", action="store_true", help="worlds alone, no tests")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, help="a file that keeps what was found, a line each")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    asked = parser.parse_args()
    every = mutants.read(MUTANTS)
    results: dict[str, Found] = {}
    if asked.results and asked.results.exists():
        for line in asked.results.read_text(encoding="utf-8").splitlines():
            found = Found(*json.loads(line))
            results[found.id] = found
    wrong = [f"{each.id}: its text stands {mutants.places(each)} times" for each in every if mutants.places(each) != 1]
    chosen = [each for each in every if (not asked.only or each.id in asked.only) and each.id not in results]
    chosen = [each for each in chosen if mutants.places(each) == 1]
    with ThreadPoolExecutor(asked.processes) as pool:
        tried = pool.map(lambda each: attempt(each, asked.seeds, asked.replicas, worlds=asked.worlds), chosen)
        for found in tried:
            results[found.id] = found
            worlds = [_told(found.engines, found.engines_break), _told(found.replicas, found.replicas_break)]
            print(f"{found.id:32} {found.test or 'no test':64} {worlds[0]:18} {worlds[1]}", flush=True)
            if asked.results:
                with asked.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
    explained = {each.id for each in every if each.why}
    for each in every:
        test = results[each.id].test if each.id in results else ""
        if "::" in test and not test.startswith(each.caught_by):
            wrong.append(f"{each.id}: caught by {test}, not by {each.caught_by}")
    wrong += [f"{each.id}: not noticed" for each in results.values() if not each.noticed and each.id not in explained]
    wrong += [
        f"{each.id}: explained, and noticed" for each in results.values() if each.noticed and each.id in explained
    ]
    if asked.write:
        PAGE.write_text(page(every, results), encoding="utf-8")
    print("\n".join([f"{len(results)} mutants, {len(wrong)} wrong", *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
