"""The run of a sweep: goes on with what is done, plays what is missing, and writes what came out.

In the output folder: cells.jsonl, which a later run goes on with; results.parquet and results.csv with every cell,
summary.csv, a picture of each measure, and report.html.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.outcome import check as checked
from wattquorum.lab.outcome import outcome
from wattquorum.lab.sweeps.plan import Plan
from wattquorum.lab.sweeps.results import Results, as_csv, as_parquet
from wattquorum.lab.sweeps.running import Where, play
from wattquorum.lab.sweeps.store import JOURNAL, Journal
from wattquorum.lab.sweeps.telling import page, pictures_of

PARQUET: Final = "results.parquet"
CSV: Final = "results.csv"
SUMMARY: Final = "summary.csv"
REPORT: Final = "report.html"
Progress = Callable[[str, int, int], None]  # (what is done, how much of it, of how much)


class Written(NamedTuple):
    """What a run found and wrote."""

    results: Results
    stood: int  # cells that an earlier run had done
    report: Path


def run(plan: Plan, out: Path, where: Where, progress: Progress) -> Written:
    """Plays the cells that are missing in a folder, and writes everything.

    Refused as `outcome`, `Journal` and `play` say.
    """
    with outcome(out, kept=(JOURNAL,)) as coming:
        results, stood = _played(plan, out, where, progress)
        _write(coming / PARQUET, as_parquet(results.frame))
        _write(coming / CSV, as_csv(results.frame))
        _write(coming / SUMMARY, as_csv(results.summary))
        for picture in pictures_of(results):
            _write(coming / f"{picture.name}.svg", picture.svg.encode())
        _write(coming / REPORT, page(results).encode())
    return Written(results, stood, out / REPORT)


def _played(plan: Plan, out: Path, where: Where, progress: Progress) -> tuple[Results, int]:
    """All cells of a plan, those that are missing in the folder played now; and how many were not."""
    began = not (out / JOURNAL).exists()
    with Journal(out / JOURNAL, plan) as journal:
        stood = len(journal.done)
        missing = [cell for cell in plan.cells() if cell.number not in journal.done]
        so_far = 0.0
        try:
            progress("playing", 0, 1)
            for cells, lasts_ms, total in play(plan, missing, where) if missing else ():
                journal.add(cells)
                so_far += lasts_ms
                progress("playing", round(so_far), max(round(total), 1))
        except Refused:
            if began and not journal.done:  # nothing was played: nothing is left
                (out / JOURNAL).unlink()
            raise
        return Results(plan, journal.done), stood


def check(out: Path) -> None:
    """Refused("folder_exists") for a folder with anything in it that no run of a sweep wrote."""
    checked(out, (JOURNAL,))


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as fault:
        code = "disk_full" if fault.errno == errno.ENOSPC else "file_unreadable"
        raise Refused(code, "out", path, f"The system says: {fault.strerror}.") from fault
