"""The chain folder: a chain on a disk, every byte of which something proves.

Opening lists every file and refuses what does not belong; it reads every block and checks frames, heights, hashes and
the signed tip, but executes nothing: that is the audit's part. Rows of readings are durable before the block that
commits to them, and a block before `append` returns, so that whoever acknowledges afterwards never has to take
anything back. Which files there are is told in `chain_files`, their form in `replica.log_format` and `tip`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from wattquorum.foundation.codec import Named, from_json, to_named_json
from wattquorum.foundation.identities import SigningKey
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Block, Header, decode_block, header_hash, read_rows
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.genesis import chain_id_of, decode_genesis, genesis_hash
from wattquorum.ledger.light import Steps
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.tip import Tip, opened, sealed
from wattquorum.ledger.transactions import CommitReadings, Received
from wattquorum.node.block_log import SEGMENT_BYTES, BlockLog, Position, Torn, altered, place
from wattquorum.node.chain_files import (
    BLOCKS,
    FOLDERS,
    GENESIS,
    LOG,
    ROWS,
    SNAPSHOTS,
    TIP,
    ChainFile,
    is_vacant,
    listed,
    locked,
    rows_name,
    snapshot_name,
)
from wattquorum.node.disk import make_folder, read_file, remove_files, write_files

SNAPSHOTS_KEPT: Final = 2
HASH_BYTES: Final = 32


class Reached(Named, frozen=True):
    """How far the log of the node that writes a chain was durable, at least. A log that ends before is another one."""

    position: int


class Commitment(NamedTuple):
    """Where the chain commits to rows: the block's height and its time [ms]."""

    height: int
    time_ms: int


class ChainFolder:
    """An open chain folder. `close` it, or use it in a `with` statement.

    `tip` is the last block's header, `tip_hash` what the next block names as its predecessor, `ended` where tip.json
    says that the chain was closed, `torn` the torn tail that was found (and, when opened for writing, cut), `removed`
    the files that opening for writing removed: unfinished ones, and rows whose block was never written. `log_reached`
    is the last position that `note_log` was told, 0 where it was told none; `steps` are those of its headers.
    """

    __slots__ = (
        "_found",
        "_lock",
        "_log",
        "_writing",
        "chain_id",
        "ended",
        "genesis",
        "genesis_bytes",
        "log_reached",
        "path",
        "removed",
        "steps",
        "tip",
        "tip_hash",
        "torn",
    )

    def __init__(self, path: Path, *, writing: bool = False, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Opens a chain and checks it. For reading, nothing is changed.

        Raises Refused: chain_in_use; file_unknown; chain_altered, with the file as field and byte, block and reason
        as value; chain_truncated; file_unreadable; when writing, disk_full.
        """
        self.path = path
        self._writing = writing
        self._lock = locked(path, writing=writing)
        self._log: BlockLog | None = None
        try:
            self._examine(segment_bytes)
        except BaseException:
            self._release()
            raise

    @classmethod
    def create(cls, path: Path, genesis_bytes: bytes, *, segment_bytes: int = SEGMENT_BYTES) -> Self:
        """Makes a new chain's folder and opens it for writing. An interrupted creation can be repeated.

        Raises Refused("folder_exists") unless the folder is absent or empty, and what a genesis is refused for.
        """
        decode_genesis(genesis_bytes)
        if not is_vacant(path):
            raise Refused("folder_exists", "path", path)
        for name in FOLDERS:
            make_folder(path / name)
        write_files(path, {GENESIS: genesis_bytes})  # last: only now it is a chain
        return cls(path, writing=True, segment_bytes=segment_bytes)

    def _examine(self, segment_bytes: int) -> None:
        self.genesis_bytes = read_file(self.path / GENESIS, GENESIS)
        files = [file for file in self.files() if not file.unfinished]
        try:
            self.genesis = decode_genesis(self.genesis_bytes)
        except Refused as refused:  # no chain begins with a genesis that is not valid
            raise Refused("chain_altered", GENESIS, f"it is no genesis: {refused}") from None
        self.chain_id = chain_id_of(self.genesis_bytes)
        self.tip: Header | None = None
        self.tip_hash = genesis_hash(self.genesis_bytes)
        self.torn: Torn | None = None
        self.removed: tuple[str, ...] = ()
        self.ended: Tip | None = None
        self.log_reached = 0
        self._found = bytearray()
        self.steps = Steps()
        if any(file.kind == "log" for file in files):
            try:
                self.log_reached = from_json(read_file(self.path / LOG, LOG), Reached, LOG).position
            except Refused as refused:
                raise Refused("chain_altered", LOG, f"it tells of no log: {refused}") from None
        if any(file.kind == "tip" for file in files):
            proposers = frozenset(bytes.fromhex(key) for key in self.genesis.proposers)
            self.ended, _ = opened(read_file(self.path / TIP, TIP), self.chain_id, proposers)
        segments = [file.name for file in files if file.kind == "blocks"]
        self._log = BlockLog(self.path / BLOCKS, self.chain_id, segments, segment_bytes)
        self._follow()
        if self._writing:
            for name in FOLDERS:
                make_folder(self.path / name)  # copies may have left out empty ones
            self._log.begin_writing(self.torn)
            self._sweep()

    def _follow(self) -> None:
        """Reads every block, checks that each names the one before and that the signed tip is among them."""
        for item in self._blocks.walk():
            if isinstance(item, Torn):
                self.torn = item
                break
            position, data = item
            header = _decoded(position, data).header
            if header.height != position.height or header.previous != self.tip_hash:
                raise altered(position, f"it is not the block that follows block {position.height - 1}")
            self.tip, self.tip_hash = header, header_hash(header)
            self.steps.note(header)
            if self._writing:
                self._found += self.tip_hash
            if self.ended is not None and self.ended.height == header.height:
                self._check_ended(position, self.ended, header)
        if self.ended is not None and self.ended.height > self.height:
            if self.torn is not None:
                raise altered(self.torn.position, self.torn.reason)
            raise Refused("chain_truncated", BLOCKS, f"{self.height} of {self.ended.height} blocks")

    def _check_ended(self, position: Position, ended: Tip, header: Header) -> None:
        if (ended.block, ended.state) != (self.tip_hash, header.state_digest):
            raise altered(position, f"it is not the block that {TIP} names")

    def _sweep(self) -> None:
        """Removes what an interrupted write left."""
        files = self.files()
        left = [file for file in files if file.unfinished]
        rows = [file for file in files if file.kind == "rows" and not file.unfinished]
        if rows:
            committed = {rows_name(root) for root in self.commitments()}
            left += [file for file in rows if file.name not in committed]
        for folder in ("", *FOLDERS):
            remove_files(self.path / folder, [file.name for file in left if file.folder == folder])
        self.removed = tuple(sorted(file.path for file in left))

    @property
    def _blocks(self) -> BlockLog:
        if self._log is None:
            raise Refused("input_unexpected", "chain folder", self.path, "It was closed; open it again.")
        return self._log

    @property
    def height(self) -> int:
        """How many blocks the chain has."""
        return self.tip.height if self.tip else 0

    def append(self, batch: Sequence[Executed]) -> None:
        """Makes blocks that follow the tip durable, their rows first: one write and one fdatasync for all blocks.

        Raises Refused("disk_full"): none of the blocks is in the chain, and the same call works once there is room.
        Raises Refused("disk_failed"): open the folder again. Raises Refused("input_unexpected") for a block that does
        not follow.
        """
        log, tip, tip_hash = self._writable(), self.tip, self.tip_hash
        for each in batch:
            header = each.block.header
            if header.height != (tip.height if tip else 0) + 1 or header.previous != tip_hash:
                raise Refused("input_unexpected", "block", header.height, f"Append what follows block {self.height}.")
            tip, tip_hash = header, header_hash(header)
        write_files(self.path / ROWS, {rows_name(_root(data)): data for each in batch for data in each.rows})
        if batch:
            log.append(self.height + 1, [each.data for each in batch])
        self.tip, self.tip_hash = tip, tip_hash
        for each in batch:
            self.steps.note(each.block.header)

    def found_hashes(self) -> bytes:
        """The hashes of the blocks that were here when it was opened for writing, one after the other; told once."""
        found, self._found = bytes(self._found), bytearray()
        return found

    def note_log(self, position: int) -> None:
        """Notes that the log of the node that writes here is durable up to a position; a lower one changes nothing.

        Raises Refused("disk_full" or "disk_failed").
        """
        self._writable()
        if position > self.log_reached:
            write_files(self.path, {LOG: to_named_json(Reached(position))})
            self.log_reached = position

    def signed_tip(self) -> bytes:
        """The signed tip as it is stored; Refused("chain_unclosed") when the chain was never closed."""
        if self.ended is None:
            raise Refused("chain_unclosed", TIP, self.path)
        return read_file(self.path / TIP, TIP)

    def put_snapshot(self, height: int, snapshot: bytes) -> None:
        """Stores the state after a block of the chain; of the older snapshots the newest stays."""
        self._writable()
        if not 0 < height <= self.height:
            raise Refused("input_unexpected", "height", height, f"The chain has blocks 1 to {self.height}.")
        write_files(self.path / SNAPSHOTS, {snapshot_name(height): snapshot})
        remove_files(self.path / SNAPSHOTS, [snapshot_name(each) for each in self.snapshots()[:-SNAPSHOTS_KEPT]])

    def prune_rows(self, before_ms: int, needed: Collection[bytes] = ()) -> list[bytes]:
        """Deletes rows whose last commitment is in a block before a moment, but for the roots in `needed` (L-23).

        No root on the chain breaks, but whoever replays the chain has to begin at a snapshot from then on; so unless
        there is one at or after all those blocks, Refused("snapshot_missing") is raised and nothing deleted. Returns
        the roots whose rows were deleted.
        """
        self._writable()
        newest, commitments, pruned = max(self.snapshots(), default=0), self.commitments(), []
        for root in self.roots():
            commitment = commitments.get(root)
            if commitment is not None and commitment.time_ms < before_ms and root not in needed:
                if commitment.height > newest:
                    raise Refused("snapshot_missing", "rows", f"{rows_name(root)} of block {commitment.height}")
                pruned.append(root)
        remove_files(self.path / ROWS, [rows_name(root) for root in pruned])
        return pruned

    def sign_tip(self, key: SigningKey) -> None:
        """Signs where the chain ends, with a proposer's key: nothing up to there can be taken out unseen."""
        self._writable()
        if self.tip is not None:
            self.ended = Tip(self.tip.height, self.tip_hash, self.tip.state_digest)
            write_files(self.path, {TIP: sealed(self.ended, self.chain_id, key)})

    def close(self, key: SigningKey | None = None) -> None:
        """Lets the folder go. With a proposer's key it is signed first where the chain ends, so that a cut is found."""
        try:
            if key is not None:
                self.sign_tip(key)
        finally:
            self._release()

    def _release(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._release()

    def _writable(self) -> BlockLog:
        if not self._writing:
            raise Refused("input_unexpected", "chain folder", self.path, "Open it for writing.")
        return self._blocks

    def read(self, first: int = 1) -> Iterator[tuple[Position, bytes]]:
        """Every block's bytes from a height on, with its position, read from the disk anew.

        Strict: raises Refused("chain_altered") at the first byte that is not intact and Refused("chain_truncated") at
        a torn tail, which opening for writing would have cut.
        """
        for item in self._blocks.walk(first):
            if isinstance(item, Torn):
                remedy = "Open the chain for writing once, as a node does: it cuts what was never acknowledged."
                raise Refused("chain_truncated", item.position.segment, place(item.position, item.reason), remedy)
            yield item

    def rows(self, root: bytes) -> bytes | None:
        """The rows with this root, checked against it; None when they are not here. Refused("chain_altered")."""
        name = rows_name(root)
        if not (self.path / ROWS / name).exists():
            return None
        data = read_file(self.path / ROWS / name, f"{ROWS}/{name}")
        try:
            found = _root(data)
        except Refused as refused:
            raise Refused("chain_altered", f"{ROWS}/{name}", f"it holds no rows ({refused.code})") from None
        if found != root:
            raise Refused("chain_altered", f"{ROWS}/{name}", f"the root of its rows is {found.hex()}")
        return data

    def roots(self) -> list[bytes]:
        """The roots of the rows that are here, ascending."""
        found = [file.name for file in self.files() if file.kind == "rows" and not file.unfinished]
        return [bytes.fromhex(name.partition(".")[0]) for name in found]

    def commitments(self) -> dict[bytes, Commitment]:
        """Every root of rows that a replay of the chain needs, with the last block that needs them."""
        found: dict[bytes, Commitment] = {}
        for position, data in self.read():
            block = _decoded(position, data)
            for root in _named_roots(block):
                found[root] = Commitment(block.header.height, block.header.time_ms)
        return found

    def snapshots(self) -> list[int]:
        """The heights of the snapshots that are here, ascending."""
        found = [file.name for file in self.files() if file.kind == "snapshot" and not file.unfinished]
        return sorted(int(name.partition(".")[0]) for name in found)

    def snapshot(self, height: int) -> bytes:
        """A snapshot's bytes, unchecked: restoring compares them with the state root of the block at this height."""
        return read_file(self.path / SNAPSHOTS / snapshot_name(height), f"{SNAPSHOTS}/{snapshot_name(height)}")

    def files(self) -> list[ChainFile]:
        """Every file of the folder; Refused("file_unknown") for anything that does not belong."""
        return listed(self.path)


def _decoded(position: Position, data: bytes) -> Block:
    try:
        block = decode_block(data)
    except Refused as refused:
        raise altered(position, f"it is no block ({refused.code})") from None
    if len(block.receipts) != len(block.transactions):
        raise altered(position, f"it has {len(block.transactions)} transactions and {len(block.receipts)} receipts")
    return block


def _named_roots(block: Block) -> Iterator[bytes]:
    """The roots whose rows a replay of the block needs."""
    for data, receipt in zip(block.transactions, block.receipts, strict=True):
        payload = Received(data).body.payload if read_rows(receipt) else None
        if isinstance(payload, CommitReadings):
            yield payload.root


def _root(data: bytes) -> bytes:
    return root_of_rows(decode_rows(data))
