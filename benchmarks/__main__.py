"""`make bench`: throughput, settlement, audit, closing, memory, standing, registry, grid, consensus, and nodes.

And the rounds of the lab. Ratios, not times.

python -m benchmarks [--only NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks import (
    auditing,
    batches,
    closing,
    consensus,
    grid,
    memory,
    registry,
    rounds,
    signed,
    standing,
    throughput,
    transport,
    wal,
)
from benchmarks.chains import Recorded, recorded, shipped_week
from benchmarks.measuring import Section
from benchmarks.town import Town

NAMES: Final = (
    "throughput",
    "settlement",
    "audit",
    "closing",
    "memory",
    "standing",
    "registry",
    "grid",
    "consensus",
    "transport",
    "wal",
    "rounds",
    "signed",
)
SIGNED_S: Final = 5.0
SIGNED_ROUNDS: Final = 3
AUDITED_TOWN: Final = (1_000, 2_000, 5)  # members, contracts, feeders


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures WattQuorum on this machine.")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="measure only these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to a file as well")
    options = parser.parse_args()
    begun = perf_counter()
    sections = []
    for section in _sections(options.only):
        _show(section)
        sections.append(section)
    print(f"\nmeasured in {perf_counter() - begun:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(told(sections), indent=2) + "\n", encoding="utf-8")


def _sections(names: tuple[str, ...]) -> Iterator[Section]:
    if "settlement" in names:
        yield batches.measured()
    if "memory" in names:
        yield memory.measured()
    if "throughput" in names:
        yield from throughput.measured(_week())
    if "audit" in names:
        town = Town(*AUDITED_TOWN)
        day = recorded(town.genesis, [step.entry for step in town.steps()])
        yield auditing.measured({"the trading week": _week(), f"a day of {AUDITED_TOWN[0]:,} members": day})
    if "closing" in names:
        yield closing.measured()
    if "standing" in names:
        yield standing.measured()
    if "registry" in names:
        yield registry.measured()
    if "grid" in names:
        yield grid.measured()
    if "consensus" in names:
        yield consensus.measured()
    if "transport" in names:
        yield transport.measured()
    if "wal" in names:
        yield wal.measured()
    if "rounds" in names:
        yield rounds.measured()
    if "signed" in names:
        yield signed.section(SIGNED_S, SIGNED_ROUNDS)


@cache
def _week() -> Recorded:
    return shipped_week()


def _show(section: Section) -> None:
    print(f"\n{section.title}")
    for line in section.lines:
        print(f"  {line.name:<44}{line.value:>10,.{2 if line.unit == 'x' else 1}f} {line.unit:<12}{line.note}".rstrip())


def told(sections: list[Section]) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "sections": [{"title": each.title, "lines": [line._asdict() for line in each.lines]} for each in sections],
    }


if __name__ == "__main__":
    main()
