"""The files of a chain folder: which there may be, and who may have them open.

    genesis.json                    what the chain starts from; its hash is the chain's id
    blocks/00000001.blocks          segments, named by their first height; see `block_log`
    rows/<root>.rows                rows of readings that a block commits to (L-23), named by their root
    snapshots/00000042.snapshot     the state after a block; see `ledger.snapshots`
    tip.json                        where the chain ended when it was closed cleanly; see `tip`
    log.json                        how far the log of the node reached that writes here; no other log may go on

Nothing else belongs there. One process writes, or several read: the folder itself is locked, so that the lock needs
no file of its own.
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Final, Literal, NamedTuple

from wattquorum.foundation.refusals import Refused
from wattquorum.node.disk import UNFINISHED

GENESIS: Final = "genesis.json"
TIP: Final = "tip.json"
LOG: Final = "log.json"
BLOCKS: Final = "blocks"
ROWS: Final = "rows"
SNAPSHOTS: Final = "snapshots"
FOLDERS: Final = (BLOCKS, ROWS, SNAPSHOTS)

Kind = Literal["genesis", "tip", "log", "blocks", "rows", "snapshot"]

_HEIGHT: Final = r"(?:\d{8}|[1-9]\d{8,17})"  # one height, one name
_KINDS: Final[tuple[tuple[str, re.Pattern[str], Kind], ...]] = (
    ("", re.compile(r"genesis\.json"), "genesis"),
    ("", re.compile(r"tip\.json"), "tip"),
    ("", re.compile(r"log\.json"), "log"),
    (BLOCKS, re.compile(_HEIGHT + r"\.blocks", re.ASCII), "blocks"),
    (ROWS, re.compile(r"[0-9a-f]{64}\.rows"), "rows"),
    (SNAPSHOTS, re.compile(_HEIGHT + r"\.snapshot", re.ASCII), "snapshot"),
)


class ChainFile(NamedTuple):
    """A file of a chain folder: where in it, its name, and what kind it is. An interrupted write leaves unfinished
    ones, which nothing reads."""

    folder: str  # empty: the chain folder itself
    name: str
    kind: Kind
    unfinished: bool

    @property
    def path(self) -> str:
        """The path inside the chain folder."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


def segment_name(first: int) -> str:
    """The file name of the segment that begins at a height."""
    return f"{first:08d}.blocks"


def rows_name(root: bytes) -> str:
    """The file name of the rows with a root."""
    return f"{root.hex()}.rows"


def snapshot_name(height: int) -> str:
    """The file name of the snapshot after a block."""
    return f"{height:08d}.snapshot"


def listed(path: Path) -> list[ChainFile]:
    """Every file of a chain folder, in one order; Refused("file_unknown") for anything that does not belong."""
    top = [entry for entry in sorted(path.iterdir()) if entry.name not in FOLDERS or not _is_plain(entry, folder=True)]
    found = [_known("", entry) for entry in top]
    for folder in FOLDERS:
        if (path / folder).is_dir():
            found.extend(_known(folder, entry) for entry in sorted((path / folder).iterdir()))
    return found


def _known(folder: str, entry: Path) -> ChainFile:
    finished = entry.name.removesuffix(UNFINISHED)
    for where, pattern, kind in _KINDS:
        if where == folder and pattern.fullmatch(finished) and _is_plain(entry, folder=False):
            return ChainFile(folder, entry.name, kind, finished != entry.name)
    raise Refused("file_unknown", "file", f"{folder}/{entry.name}" if folder else entry.name)


def _is_plain(entry: Path, *, folder: bool) -> bool:
    """Whether this is a folder or a file, and no link to one."""
    return not entry.is_symlink() and (entry.is_dir() if folder else entry.is_file())


def is_vacant(path: Path) -> bool:
    """Whether a new chain may begin here: nothing is here, or what an interrupted creation left."""
    if not path.exists():
        return True
    if not path.is_dir():
        return False
    left = [entry for entry in path.iterdir() if entry.name != GENESIS + UNFINISHED]
    return all(entry.name in FOLDERS and entry.is_dir() and not any(entry.iterdir()) for entry in left)


def locked(path: Path, *, writing: bool) -> int:
    """A descriptor that holds the folder's lock until it is closed; Refused("chain_in_use") when others hold it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as fault:
        raise Refused("file_unreadable", "path", f"{path}: {os.strerror(fault.errno or 0)}") from None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if writing else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as fault:
        os.close(descriptor)
        code = "chain_in_use" if isinstance(fault, BlockingIOError) else "file_unreadable"
        raise Refused(code, "path", path) from None
    return descriptor
