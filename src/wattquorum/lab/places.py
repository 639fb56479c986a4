"""Where a run's results stand: what the output folder holds, and how it is emptied for the next run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from wattquorum.foundation.refusals import Refused
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
    strange = sorted(entry.name for entry in out.iterdir() if entry.name not in (*WRITTEN, *RECORDS_LEFTOVERS))
    if strange:
        raise Refused("folder_exists", "out", out / strange[0], "Choose an empty folder or that of an earlier run.")
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
