"""Breaks the protocol's rules one at a time and looks whether anything notices.

    python scripts/mutants.py [--only ID ...] [--seeds 300] [--write]

The mutants stand in tests/mutants/raft.toml. Each is tried in a copy of the sources: every scenario is played, then
worlds of chaos run from seed 0 until one breaks; where a file of tests is named, it is run instead. A table says what
caught each. Exit status 1: one is caught by nothing and not explained, is caught otherwise than is told, or its text
does not stand in the sources exactly once. `--write` also writes docs/protocol-mutants.md and, into the mutants'
file, how many worlds it took. What holds in the unbroken protocol is the tests' business, not this script's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "src"
MUTANTS: Final = ROOT / "tests" / "mutants" / "raft.toml"
SCENARIOS: Final = ROOT / "tests" / "simulation" / "scenarios"
PAGE: Final = ROOT / "docs" / "protocol-mutants.md"
PROCESSES: Final = 2
SEEDS: Final = 300  # worlds for a mutant that no scenario catches
SEEDS_BESIDE: Final = 40  # worlds for one that a scenario has caught already, or that is explained
PATIENCE_S: Final = 60  # for one scenario or world; an unbroken one takes a fraction of a second
TESTS_S: Final = 300  # for a file of tests; unbroken, each takes a few seconds
MEMORY_BYTES: Final = 2 << 30
BY_SEEDS, EXPLAINED = "seeds", "explained"
LACKING: Final = "nothing"
HEAD: Final = f"""# Mutants of the protocol

Every rule of voting power and of weighted Raft, broken on purpose, one at a time, and what noticed. Written by
`scripts/mutants.py --write` from [the mutants](../tests/mutants/raft.toml); `make mutants` tries them all again.

A scenario is a script of `tests/simulation/scenarios`. Worlds are those of `wattquorum chaos`, from seed 0 on: how many
it took until an invariant broke (see `simulation/checkers.py`) or an error ended one, or of how many none did. At most
{SEEDS} are tried, {SEEDS_BESIDE} where a scenario noticed already or nothing can."""
FIELDS: Final = ("id", "rule", "section", "file", "replace", "by", "caught_by")


class Mutant(NamedTuple):
    """A rule broken on purpose: a text of a file below src/wattquorum, and what stands there instead."""

    id: str
    rule: str
    section: str
    file: str
    replace: str
    by: str
    caught_by: str  # a scenario, "seeds", a file of tests, or "explained"
    why: str  # it cannot be caught; empty unless explained
    seeds: int  # how many worlds it took; 0: unknown, or caught otherwise
    breaks: str  # the invariant that broke then

    @property
    def test(self) -> str:
        """The file of tests that catches it; empty where a scenario or a seed does."""
        return self.caught_by if "/" in self.caught_by else ""


class Found(NamedTuple):
    """What noticed a mutant."""

    scenarios: tuple[str, ...]
    seeds: int  # how many worlds were tried; if one broke, it was the last
    breaks: str  # the invariant that broke in it; empty: none did
    test: str  # the file of tests that failed, if one did
    seconds: float

    @property
    def caught(self) -> bool:
        """Whether anything noticed."""
        return bool(self.scenarios or self.breaks or self.test)

    @property
    def by(self) -> str:
        """The first scenario that noticed, and of how many; or else what did."""
        others = len(self.scenarios) - 1
        if self.scenarios:
            return self.scenarios[0] + (f" and {others} more" if others else "")
        return self.test or (BY_SEEDS if self.breaks else LACKING)


def read(path: Path = MUTANTS) -> list[Mutant]:
    """The mutants, in the order of their file. Every field is needed; `why` exactly for what is explained."""
    found = []
    for each in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
        mutant = Mutant(
            **{field: each[field] for field in FIELDS},
            why=each.get("why", ""),
            seeds=each.get("seeds", 0),
            breaks=each.get("breaks", ""),
        )
        if bool(mutant.why) != (mutant.caught_by == EXPLAINED):
            raise ValueError(f"{mutant.id}: only what is explained, and all of that, says why")
        found.append(mutant)
    return found


def places(mutant: Mutant) -> int:
    """How often the text to be replaced stands in its file: once, or the mutant is out of date."""
    return (SOURCES / "wattquorum" / mutant.file).read_text(encoding="utf-8").count(mutant.replace)


@contextmanager
def mutated(mutant: Mutant) -> Iterator[Path]:
    """A copy of the sources with the mutant in it, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(SOURCES, copy)
        file = copy / "wattquorum" / mutant.file
        text = file.read_text(encoding="utf-8").replace(mutant.replace, mutant.by.replace("\n\n", "\n"))
        file.write_text(text, encoding="utf-8")
        yield copy


def attempt(mutant: Mutant, scenarios: Sequence[str], seeds: Iterable[int], beside: int = 0) -> Found:
    """Tries a mutant: its file of tests, or these scenarios and then these worlds.

    Of worlds at most `beside` are tried if a scenario notices; 0: all.
    """
    began = time.monotonic()
    with mutated(mutant) as copy:
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONHASHSEED": "0"}
        if mutant.test:
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-x",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:xdist",
                mutant.test,
            ]
            try:
                ended = subprocess.run(
                    command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=TESTS_S
                )
                test = mutant.test if ended.returncode == 1 else ""
            except subprocess.TimeoutExpired:
                test = mutant.test
            return Found((), 0, "", test, time.monotonic() - began)
        asked = json.dumps([list(scenarios), list(seeds), beside])
        command = [sys.executable, __file__, "--inside", str(copy)]
        ended = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{mutant.id} cannot be tried:\n{ended.stderr}")
        noticed, tried, breaks = json.loads(ended.stdout)
        return Found(tuple(noticed), tried, breaks, "", time.monotonic() - began)


# Inside a copy --------------------------------------------------------------------------------------------------------


def inside(copy: str) -> None:
    """Plays scenarios and lets worlds run, as standard input asks, and prints what noticed."""
    import wattquorum  # noqa: PLC0415 - from the copy

    if not str(wattquorum.__file__).startswith(copy):
        raise RuntimeError(f"{wattquorum.__file__} is not in {copy}")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _too_long)
    scenarios, seeds, beside = json.load(sys.stdin)
    noticed = [name for name in scenarios if not _holds(name)]
    if noticed and beside:
        seeds = seeds[:beside]
    tried, breaks = 0, ""
    for seed in seeds:
        tried += 1
        breaks = _broken(seed)
        if breaks:
            break
    print(json.dumps([noticed, tried, breaks]))


class TooLong(BaseException):
    """A scenario or a world does not end. Nothing that a world runs takes it for an error of its own."""


def _too_long(_signal: int, _frame: object) -> None:
    raise TooLong


def _holds(name: str) -> bool:
    from wattquorum.simulation.script import play  # noqa: PLC0415

    signal.alarm(PATIENCE_S)
    try:
        play((SCENARIOS / f"{name}.txt").read_text(encoding="utf-8"))
    except (Exception, TooLong):  # noqa: BLE001 - whatever a mutant does, it is noticed
        return False
    finally:
        signal.alarm(0)
    return True


def _broken(seed: int) -> str:
    """The invariant that a seed breaks, or the error that it ends with; empty where all holds."""
    from wattquorum.simulation.chaos import Rules, outcome_of  # noqa: PLC0415
    from wattquorum.simulation.world import ERROR  # noqa: PLC0415

    signal.alarm(PATIENCE_S)
    try:
        breach = outcome_of(seed, Rules()).breach
    except TooLong:
        return "no end"
    except Exception as error:  # noqa: BLE001 - whatever a mutant does, it is noticed
        return type(error).__name__
    finally:
        signal.alarm(0)
    if breach is None:
        return ""
    return breach.found.partition(":")[0] if breach.invariant == ERROR else breach.invariant


# What was found -------------------------------------------------------------------------------------------------------


def wrong(mutant: Mutant, found: Found) -> str:
    """What is wrong with a mutant: caught by nothing or not as told, explained and caught; empty where nothing is."""
    if mutant.caught_by == EXPLAINED:
        return f"explained, and caught by {found.by}" if found.caught else ""
    if not found.caught:
        return "caught by nothing, and not explained"
    named = mutant.caught_by in (found.test, *found.scenarios) or (
        mutant.caught_by == BY_SEEDS and found.by == BY_SEEDS
    )
    return "" if named else f"not caught by {mutant.caught_by}, but by {found.by}"


def _worlds(found: Found) -> str:
    if not found.seeds:
        return ""
    return str(found.seeds) if found.breaks else f"none of {found.seeds}"


def row(mutant: Mutant, found: Found) -> str:
    """A line of the printed table."""
    by = EXPLAINED if mutant.caught_by == EXPLAINED and not found.caught else found.by
    return (
        f"{mutant.id:<34} {by:<52} {_worlds(found):>11} {found.breaks:<14} {found.seconds:>6.1f}  "
        f"{mutant.section}: {mutant.rule}"
    )


def page(tried: Sequence[tuple[Mutant, Found]]) -> str:
    """docs/protocol-mutants.md."""
    lines = [HEAD]
    for section in dict.fromkeys(_section(mutant) for mutant, _ in tried):
        lines += [
            "",
            f"## {section}",
            "",
            "| rule | mutant | noticed by | worlds | what broke |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {mutant.rule} | `{mutant.id}` | {_told(found)} | {_worlds(found)} | {found.breaks} |"
            for mutant, found in tried
            if _section(mutant) == section
        ]
    lines += ["", "## What nothing notices, and why", ""]
    lines += [f"- `{mutant.id}`: {mutant.why}" for mutant, _ in tried if mutant.why]
    return "\n".join(lines) + "\n"


def _section(mutant: Mutant) -> str:
    """The part of the rules without the number in it."""
    return ", ".join(part for part in mutant.section.split(", ") if not part.isdigit())


def _told(found: Found) -> str:
    if found.by in (BY_SEEDS, LACKING):
        return "worlds alone" if found.breaks else LACKING
    first, *more = found.by.split(" and ")
    return " and ".join((f"`{first}`", *more))


def recorded(text: str, tried: Sequence[tuple[Mutant, Found]]) -> str:
    """The mutants' file with the number of worlds that each took and what broke then."""
    lines = []
    by_id = {mutant.id: found for mutant, found in tried if mutant.caught_by == BY_SEEDS and found.breaks}
    all_ids = [mutant.id for mutant, _ in tried]
    now = ""
    for line in text.splitlines():
        if line.startswith("id = "):
            now = line.split('"')[1]
        if now in all_ids and line.startswith(("seeds = ", "breaks = ")):
            continue
        lines.append(line)
        if now in by_id and line.startswith("caught_by = "):
            lines += [f"seeds = {by_id[now].seeds}", f'breaks = "{by_id[now].breaks}"']
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Tries the mutants that are asked for, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="ID", help="these mutants instead of all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many worlds at most")
    parser.add_argument("--write", action="store_true", help="write the page and the numbers of worlds")
    parser.add_argument("--inside", metavar="COPY", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.inside:
        inside(asked.inside)
        return 0
    unknown = sorted({*(asked.only or ())} - {mutant.id for mutant in read()})
    if unknown:
        parser.error(f"there is no mutant {', '.join(unknown)}")
    mutants = [mutant for mutant in read() if not asked.only or mutant.id in asked.only]
    misplaced = [
        f"{mutant.id}: its text stands {places(mutant)} times in {mutant.file}"
        for mutant in mutants
        if places(mutant) != 1
    ]
    if misplaced:
        print("\n".join(misplaced), file=sys.stderr)
        return 1
    scenarios = sorted(path.stem for path in SCENARIOS.glob("*.txt"))

    def tried(mutant: Mutant) -> Found:
        most = min(SEEDS_BESIDE, asked.seeds) if mutant.caught_by == EXPLAINED else asked.seeds
        return attempt(mutant, scenarios, range(most), SEEDS_BESIDE)

    faults, all_tried = [], []
    with ThreadPoolExecutor(PROCESSES) as pool:
        for mutant, found in zip(mutants, pool.map(tried, mutants), strict=True):
            print(row(mutant, found), flush=True)
            all_tried.append((mutant, found))
            if wrong(mutant, found):
                faults.append(f"{mutant.id}: {wrong(mutant, found)}")
    caught = sum(found.caught for _, found in all_tried)
    print(f"\n{len(mutants)} mutants: {caught} caught, {len(faults)} wrong, the others explained")
    print("\n".join(faults), end="\n" if faults else "")
    if asked.write:
        PAGE.write_text(page(all_tried), encoding="utf-8")
        MUTANTS.write_text(recorded(MUTANTS.read_text(encoding="utf-8"), all_tried), encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
