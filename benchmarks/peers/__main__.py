"""Measures our nodes beside etcd and PySyncObj, and writes docs/performance.md from what it finds.

    make bench-peers ARGS=--setup                     builds what is needed, and says what has to be installed
    make bench-peers                                  everything; 50 kills of each
    make bench-peers ARGS="--kills 5 --only load"     parts of it

The results go to docs/performance.json, and page and plot are written from them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.peers import page, results, tools
from benchmarks.peers.sitting import PARTS, Sitting


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="build the peers' programs, and measure nothing")
    parser.add_argument("--page", action="store_true", help="write the page from the results that there are")
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
        if not asked.page:
            tools.check()
    except tools.Missing as missing:
        sys.exit(str(missing))
    if not asked.page:
        sitting = Sitting(asked.seconds, asked.rounds, asked.kills, asked.saturated, asked.place)
        began = time.monotonic()
        try:
            sitting.run(asked.only)
        finally:
            sitting.results.about["minutes"] = f"{(time.monotonic() - began) / 60:.0f}"
            asked.results.write_text(results.to_json(sitting.results), encoding="utf-8")
            print(f"results in {asked.results}")
    if asked.results == page.RESULTS:
        page.write()
        print(f"written: {page.PAGE} and {page.PLOT}")


if __name__ == "__main__":
    main()
