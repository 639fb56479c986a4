"""Where a run's results stand: what the output folder holds, and how it is emptied for the next run.

Names do not make a file a run's: as in `outcome`, a hidden file lists what the run wrote, with the digests of report
and tables. The chain says of itself that it is a demonstration's; records are a database, which may be worked with.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.outcome import AWAY, LIST, digest_of, read_list, write_list
from wattquorum.ledger.genesis import decode_genesis
from wattquorum.node.chain_files import GENESIS
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.disk import read_file
from wattquorum.node.processes import end_left_over

CHAIN: Final = "chain"
RECORDS: Final = "market.sqlite"
PARQUET: Final = "parquet"
REPORT: Final = "report.html"
NODES: Final = "nodes"
WRITTEN: Final = (CHAIN, RECORDS, PARQUET, REPORT, NODES)
RECORDS_LEFTOVERS: Final = ("market.sqlite-wal", "market.sqlite-shm", "market.sqlite-journal")


def clear(out: Path) -> None:
    """Removes an earlier run's results; Refused("folder_exists") when anything else is in the folder."""
    if not out.exists():
        return
    if not out.is_dir():
        raise Refused(
            "file_unreadable", "out", f"{out}: not a folder", "Name a folder, or one that does not exist yet."
        )
    if (out / CHAIN).exists():
        _check_replaceable(out / CHAIN)
    strange = sorted(entry.name for entry in out.iterdir() if entry.name not in (*WRITTEN, *RECORDS_LEFTOVERS, LIST))
    if strange:
        raise Refused("folder_exists", "out", out / strange[0], "Choose an empty folder or that of an earlier run.")
    _check_listed(out)
    nodes = sorted((out / NODES).glob("node-*"))
    for genesis in (node / GENESIS for node in nodes):
        if genesis.exists() and not decode_genesis(read_file(genesis, GENESIS)).demo:
            raise Refused("folder_exists", "out", genesis.parent, "It is a live chain's node; choose another folder.")
    end_left_over(nodes)
    for name in (*WRITTEN, *RECORDS_LEFTOVERS):
        place = out / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)


def begin(out: Path) -> None:
    """Makes the folder, which `clear` found empty or emptied, a run's: until `finish`, what is in it is the run's."""
    out.mkdir(parents=True, exist_ok=True)
    write_list(out, {CHAIN: []})


def finish(out: Path) -> None:
    """Lists what a run wrote."""
    write_list(out, {CHAIN: [], **{path.relative_to(out).as_posix(): [digest_of(path)] for path in _told(out)}})


def rewritten(page: Path) -> None:
    """Lists the report of a run that was made anew in its folder."""
    listed = read_list(page.parent)
    if page.name == REPORT and REPORT in listed:
        write_list(page.parent, {**listed, REPORT: [digest_of(page)]})


def _told(out: Path) -> list[Path]:
    """Report and tables: what a run tells of its records."""
    tables = sorted(path for path in (out / PARQUET).rglob("*") if not path.is_dir() or path.is_symlink())
    return [path for path in (out / REPORT, *tables) if path.exists() or path.is_symlink()]


def _check_listed(out: Path) -> None:
    """Refused("folder_exists") for what no run wrote, or what is no longer as a run wrote it."""
    listed = read_list(out)
    if not listed:
        own = [out / name for name in (*WRITTEN, *RECORDS_LEFTOVERS) if name != CHAIN and (out / name).exists()]
    elif REPORT in listed:
        own = [
            path
            for path in _told(out)
            if not path.is_file()
            or path.is_symlink()
            or digest_of(path) not in listed.get(path.relative_to(out).as_posix(), ())
        ]
    else:  # of a run that was ended
        own = []
    if own:
        raise Refused("folder_exists", "out", own[0], AWAY)


def _check_replaceable(chain: Path) -> None:
    """Refuses a chain that is in use or live, and what nobody can tell it of because it is damaged."""
    try:
        with ChainFolder(chain, writing=True) as folder:
            demo = folder.genesis.demo
    except Refused as refused:
        if refused.code not in ("chain_altered", "chain_truncated", "file_unknown", "file_unreadable"):
            raise
        remedy = f"It is no sound chain ({refused.code}); keep a copy if you need it, then remove the folder."
        raise Refused("folder_exists", "out", chain, remedy) from None
    if not demo:
        raise Refused("folder_exists", "out", chain, "It holds a live chain; choose another folder.")
