"""Backups: a chain copied whole, with a manifest by which a copy proves itself before anything is made of it.

    manifest.json   which chain, up to which block, in which term, and every other file with size and SHA-256
    chain/          the chain, as any command that reads chains takes it

A backup holds what was decided, and nothing else: no secret, and of the write-ahead log nothing. What a replica
promised others, its votes and what it acknowledged, stands in its log alone and goes on after any copy was made; a
replica that came back with older promises could vote twice in one term, or deny an entry that others count on it for.
So `restoring` makes promises from none, and says for whom that is right.

A node that runs copies its own chain, since nobody else may open it; one that is stopped is copied from its folder.
The copy is made beside its name, `manifest.json` is written last, and only what an audit has passed gets the name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wattquorum.consensus.raft.records import Appended, Ballot, Base, decode_record
from wattquorum.foundation.codec import Named, from_json, to_named_json
from wattquorum.foundation.identities import SigningKey
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.execution import Executed
from wattquorum.node.archive import rows_of
from wattquorum.node.chain_files import SNAPSHOTS
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.disk import UNFINISHED, make_folder, read_file, sync_folder, write_files
from wattquorum.node.wal_files import survey

if TYPE_CHECKING:
    from wattquorum.node.node import Node

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CHAIN: Final = "chain"
WAL: Final = "wal"
BATCH: Final = 500  # blocks that are copied at a time
CONFIRM_S: Final = 5.0  # how long a backup waits for a quorum to say that nothing newer was decided
READ_BYTES: Final = 1 << 20


class Kept(Named, frozen=True):
    """A file of a backup."""

    size: int
    sha256: str


class Manifest(Named, frozen=True):
    """What a backup is of. Hashes and addresses are hexadecimal."""

    format: int
    version: str
    chain: str
    height: int
    block: str  # hash of the block at this height
    state: str  # digest after it
    term: int  # no term above it is known to the node that was copied
    current: bool  # a quorum had decided nothing newer when the copy began
    made_ms: int
    files: dict[str, Kept]


class Copied(Named, frozen=True):
    """What was copied, before it is audited and gets its manifest."""

    height: int
    term: int
    current: bool


def unfinished(to: Path) -> Path:
    """Where a backup is made; Refused("folder_exists") where it, or an earlier one that did not end, stands."""
    beside = to.with_name(to.name + UNFINISHED)
    if to.exists():
        raise Refused("folder_exists", "to", to, "Give each backup a folder of its own.")
    if beside.exists():
        raise Refused("folder_exists", "to", beside, "A backup is being made there, or did not end: then remove it.")
    return beside


def copy_chain(chain: ChainFolder, height: int, to: Path, key: SigningKey | None) -> None:
    """Copies blocks up to a height, their rows and snapshots into a new chain folder.

    Blocks may be appended to the source meanwhile. With a founder's key the copy's end is signed, so that a cut is
    found.
    """
    copy = ChainFolder.create(to, chain.genesis_bytes)
    try:
        batch: list[Executed] = []
        for position, data in chain.read():
            if position.height > height:
                break
            batch.append(Executed(decode_block(data), data, (), (), rows_of(chain, data)))
            if len(batch) == BATCH or position.height == height:
                copy.append(batch)
                batch = []
            if position.height == height:
                break
        for at in _snapshots(chain.path):
            if at <= height:
                copy.put_snapshot(at, chain.snapshot(at))
    finally:
        copy.close(key if key is not None and key.public.hex() in chain.genesis.proposers else None)


def _snapshots(chain: Path) -> list[int]:
    """The heights of its snapshots. Not by listing all files: rows are being written while a node runs."""
    return sorted(int(path.name.partition(".")[0]) for path in (chain / SNAPSHOTS).glob("*.snapshot"))


async def backup(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """{"to": an absolute path that does not exist}: copies this node's chain there; what `copied` makes a backup of.

    Where a quorum answers, everything that was decided before the request is in the copy.
    """
    path = request.get("to")
    if not isinstance(path, str) or not Path(path).is_absolute():
        raise Refused("request_unreadable", "to", path, "Give an absolute path.")
    to = Path(path)
    if to.exists():
        raise Refused("folder_exists", "to", to)
    current = False
    with suppress(TimeoutError, Refused):
        async with asyncio.timeout(CONFIRM_S):
            decided = (await node.read()).height
            node.archive.flush()
            current = node.chain.height >= decided
    if not current:
        node.archive.flush()
    height, term = node.chain.height, node.engine.term
    make_folder(to)
    os.chmod(to, 0o700)  # rows of readings are nobody's business
    await asyncio.to_thread(copy_chain, node.chain, height, to / CHAIN, node.config.key)
    return {"height": height, "term": term, "current": current}


def copy_stopped(folder: Path, to: Path, key: SigningKey | None) -> Copied:
    """The same of the folder of a node that does not run; Refused("chain_in_use") where one does.

    Its log may hold entries that nobody knows to be decided; they are left out.
    """
    with ChainFolder(folder / CHAIN) as chain:
        make_folder(to)
        os.chmod(to, 0o700)
        copy_chain(chain, chain.height, to / CHAIN, key)
        term = chain.tip.round.term if chain.tip else 0
        return Copied(chain.height, max(term, _term_of(folder / WAL)), False)


def _term_of(folder: Path) -> int:
    """The last term in a log, as far as it can be read."""
    term = 0
    with suppress(Refused, OSError):
        for segment in survey(folder).segments:
            for record in segment.records():
                match decode_record(record.data):
                    case Ballot(term=at) | Base(ballot=Ballot(term=at)):
                        term = max(term, at)
                    case Appended(entries=entries):
                        term = max([term, *(each.term for each in entries)])
    return term


def finish(copy: Path, to: Path, copied: Copied, now_ms: int, version: str) -> Manifest:
    """Gives a copy that was audited its manifest and its name; `version` is that of who writes it."""
    with ChainFolder(copy / CHAIN) as chain:
        if chain.height != copied.height:
            raise Refused("chain_truncated", "height", chain.height, f"{copied.height} blocks were to be copied.")
        state = chain.tip.state_digest if chain.tip else chain.tip_hash
        manifest = Manifest(
            FORMAT,
            version,
            chain.chain_id.hex(),
            chain.height,
            chain.tip_hash.hex(),
            state.hex(),
            copied.term,
            copied.current,
            now_ms,
            listed(copy),
        )
    write_files(copy, {MANIFEST: to_named_json(manifest)})
    copy.rename(to)
    sync_folder(to.parent)
    return manifest


def listed(backup_: Path) -> dict[str, Kept]:
    """Every file under a backup's chain, by its path in the backup."""
    found = {}
    for path in sorted((backup_ / CHAIN).rglob("*")):
        if path.is_file():
            found[path.relative_to(backup_).as_posix()] = Kept(path.stat().st_size, _sha256(path))
    return found


def _sha256(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            hashed.update(data)
    return hashed.hexdigest()


def read_manifest(backup_: Path) -> Manifest:
    """A backup's manifest, once every file is what it says and no other is there.

    Refused: file_unreadable without a manifest, backup_altered for a file that is missing, superfluous or another one.
    """
    manifest = from_json(read_file(backup_ / MANIFEST, MANIFEST), Manifest, MANIFEST)
    if manifest.format != FORMAT:
        raise Refused("backup_altered", "format", manifest.format, f"This version reads format {FORMAT}.")
    for path in sorted(backup_.iterdir()):
        if path.name not in (MANIFEST, CHAIN):
            raise Refused("backup_altered", path.name, "nothing that a backup has", "Move it elsewhere.")
    there = listed(backup_)
    for name in sorted(dict.fromkeys((*there, *manifest.files))):
        if name not in manifest.files:
            raise Refused("backup_altered", name, "its manifest does not name it")
        if name not in there:
            raise Refused("backup_altered", name, "it is missing")
        if there[name] != manifest.files[name]:
            raise Refused("backup_altered", name, f"{there[name].size:,} bytes, SHA-256 {there[name].sha256[:16]}...")
    return manifest


def now_ms() -> Millis:
    """The wall clock [ms]."""
    return Millis(time.time_ns() // 1_000_000)
