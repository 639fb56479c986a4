"""Measures our nodes beside etcd and PySyncObj, and writes docs/performance.md from what it finds.

    make bench-peers ARGS=--setup                     builds what is needed, and says what has to be installed
    make bench-peers                                  everything; 50 kills of each
    make bench-peers ARGS="--kills 5 --only load"     parts of it
    make bench-peers ARGS="--tortured FOLDER"         counts what runs of the torture kept, and adds it to the page

The results go to docs/performance.json, and page and plot are written from them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.peers import page, results, tools, tortured
from benchmarks.peers.sitting import PARTS, Sitting, revision


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="build the peers' programs, and measure nothing")
    parser.add_argument("--page", action="store_true", help="write the page from the results that there are")
    parser.add_argument("--tortured", type=Path, nargs="+", metavar="FOLDER", help="count kept runs of the torture")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure only these")
    parser.add_argument("--seconds", type=int, default=4, help="of each load, after one that nobody counts")
    parser.add_argument("--rounds", type=int, default=3, help="quiet ones that are wanted")
    parser.add_argument("--kills", type=int, default=50, help="of each system's leader")
    parser.add_argument("--saturated", type=int, default=60, help="seconds of 1,024 clients without an election")
    parser.add_argument("--place", type=Path, help="where data is kept meanwhile: on the disk that is meant")
    parser.add_argument("--results", type=Path, default=page.RESULTS, help="where the results are kept")
    asked = parser.parse_args()
    try:
        if asked.setup:
            tools.set_up()
            print(f"built in {tools.folder()}")
            return
        if not asked.page and not asked.tortured:
            tools.check()
    except tools.Missing as missing:
        sys.exit(str(missing))
    before = results.read(asked.results) if asked.results.exists() else None
    if asked.tortured:
        if before is None:
            sys.exit(f"no results in {asked.results}: measure first")
        runs = tuple(tortured.counted(folder, revision()) for folder in asked.tortured)
        asked.results.write_text(results.to_json(before._replace(tortured=runs)), encoding="utf-8")
    elif not asked.page:
        sitting = Sitting(asked.seconds, asked.rounds, asked.kills, asked.saturated, asked.place)
        began = time.monotonic()
        try:
            sitting.run(asked.only)
        finally:
            sitting.results.about["minutes"] = f"{(time.monotonic() - began) / 60:.0f}"
            found = sitting.results._replace(tortured=before.tortured if before is not None else ())
            asked.results.write_text(results.to_json(found), encoding="utf-8")
            print(f"results in {asked.results}")
    if asked.results == page.RESULTS:
        page.write()
        print(f"written: {page.PAGE} and {page.PLOT}")


if __name__ == "__main__":
    main()
