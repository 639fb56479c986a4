"""The archive: the chain folder of a node that runs, filled behind its back.

The write-ahead log is what makes a block certain; the archive is what is served, audited and exported. So blocks go
there in batches, in a thread, and only before the log lets its beginning go must everything be in it. After a restart
the log tells blocks again that the archive has; after another replica's state was taken over, blocks are missing that
others still have. They are asked for and put in before anything that follows them.

Beside the blocks it notes how far the log was durable: now and then, and exactly when it is closed. A log that ends
before that is an older one, whatever it leads to.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from wattquorum.foundation.codec import Decoder, Record, Unsigned, encode
from wattquorum.foundation.identities import SigningKey
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Block, decode_block, header_hash, read_rows
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.transactions import CommitReadings, Received
from wattquorum.node.chain_folder import HASH_BYTES, ChainFolder
from wattquorum.node.filling import Filling, lacks_rows

ANSWER_BYTES_MAX: Final = 4 << 20
PAIR_BYTES_MAX: Final = 24 << 20  # two blocks may have more: one proves the other
PENDING_MAX: Final = 10_000  # blocks that wait for missing ones; more are let go, and asked for later
NOTE_S: Final = 1.0  # between notes of how far the log reaches


class Wanted(Record, frozen=True):
    """Asks a peer for blocks from a height on, as many as fit."""

    first: Unsigned
    last: Unsigned


class Stored(Record, frozen=True):
    """A block, and the rows beside it."""

    block: bytes
    rows: tuple[bytes, ...]


_wanted: Final = Decoder[Wanted](Wanted, "request for blocks")
_stored: Final = Decoder[tuple[Stored, ...]](tuple[Stored, ...], "blocks")


class Missing(NamedTuple):
    """Heights of blocks that the archive does not have, though it was given later ones."""

    first: int
    last: int


class Archive:
    """A chain folder that is written in a thread. Everything is called from one thread, the loop's."""

    __slots__ = (
        "_answers",
        "_durable",
        "_ended",
        "_filling",
        "_folder",
        "_found",
        "_height",
        "_lacking",
        "_noted_s",
        "_pending",
        "_pool",
        "_writing",
        "full",
    )

    def __init__(
        self,
        folder: ChainFolder,
        durable: Callable[[], int] = lambda: 0,
        filling: Filling | None = None,
        ended: Callable[[Future[None]], None] = lambda _: None,
    ) -> None:
        """`durable` tells, to any thread, up to which position the log is durable; `filling` proves others' blocks,
        where others may lie; `ended` is told, in any thread, of every write that has ended: what came meanwhile waits
        for the next `write`."""
        self._folder = folder
        self._ended = ended
        self._filling = filling
        self._lacking: tuple[int, dict[bytes, None]] = 0, {}  # who gave the block at this height without its rows
        self._durable = durable
        self._noted_s = 0.0
        self._answers: dict[bytes, Future[bytes]] = {}  # the last of each peer
        self._found = folder.found_hashes()  # until all of these blocks were decided again
        self._height = folder.height  # up to which it is written or being written
        self._pending: deque[Executed] = deque()  # what follows, perhaps behind a gap
        self._pool = ThreadPoolExecutor(1, "archive")
        self._writing: Future[None] | None = None
        self.full = False

    @property
    def height(self) -> int:
        """The last block that is, or is about to be, in the folder."""
        return self._height

    def add(self, executed: Executed) -> None:
        """A block that was decided. Refused("diverged") where the folder has another one at its height."""
        height = executed.block.header.height
        end = height * HASH_BYTES
        if end <= len(self._found):
            if header_hash(executed.block.header) != self._found[end - HASH_BYTES : end]:
                raise Refused("diverged", "block", height, "The chain folder has another block at this height.")
        elif self._found:
            self._found = b""
        if height <= self._height:
            return
        last = self._pending[-1].block.header.height if self._pending else self._height
        if height > last and len(self._pending) < PENDING_MAX:
            self._pending.append(executed)

    @property
    def missing(self) -> Missing | None:
        """What has to be asked for."""
        if self._pending and self._pending[0].block.header.height > self._height + 1:
            return Missing(self._height + 1, self._pending[0].block.header.height - 1)
        return None

    def write(self) -> None:
        """Begins to write what follows without a gap, unless a write is under way; looks how the last one ended."""
        if self._is_writing():
            return
        batch = self._ready()
        if batch:
            self._begin(self._append, batch)

    def _begin(self, put: Callable[[Sequence[Executed]], None], batch: Sequence[Executed]) -> None:
        self._writing = self._pool.submit(put, batch)
        self._writing.add_done_callback(self._ended)

    def _append(self, batch: Sequence[Executed]) -> None:
        """Puts blocks in, in the thread. The note comes first: if there is no room for it, nothing was put in."""
        if time.monotonic() - self._noted_s >= NOTE_S:
            self._folder.note_log(self._durable())
            self._noted_s = time.monotonic()
        self._folder.append(batch)

    def _is_writing(self) -> bool:
        """Whether a write is under way; one that has ended is taken over."""
        if self._writing is not None and self._writing.done():
            self._end()
        return self._writing is not None

    def _ready(self) -> list[Executed]:
        batch: list[Executed] = []
        while len(batch) < len(self._pending) and self._pending[len(batch)].block.header.height == (
            self._height + 1 + len(batch)
        ):
            batch.append(self._pending[len(batch)])
        return batch

    def _end(self) -> None:
        """Takes over how a write ended. For want of room it is tried again; else raises what it raised."""
        writing, self._writing = self._writing, None
        assert writing is not None
        try:
            writing.result()
        except Refused as refused:
            if refused.code != "disk_full":
                raise
            self.full = True
            return
        self.full = False
        self._height = self._folder.height
        while self._pending and self._pending[0].block.header.height <= self._height:
            self._pending.popleft()

    def flush(self) -> None:
        """Returns when everything that it was given is durable; Refused("disk_full") when there is no room for it."""
        for _ in range(2):
            self.write()
            if self._writing is not None:
                self._end()
        if self.full:
            raise Refused("disk_full", "chain", str(self._folder.path))

    # Blocks for others ----------------------------------------------------------------------------------------------

    def request(self) -> bytes:
        """What to ask a peer; empty when nothing is missing."""
        missing = self.missing
        return encode(Wanted(missing.first, missing.last)) if missing is not None else b""

    def answer(self, peer: bytes, request: bytes) -> Future[bytes] | None:
        """Blocks for a peer, as many as fit, read in the thread; None while an earlier request of its is answered.

        Refused for a request that cannot be read.
        """
        wanted = _wanted.decode(request)
        earlier = self._answers.get(peer)
        if earlier is not None and not earlier.done():
            return None
        self._answers[peer] = self._pool.submit(self._answer, wanted)
        return self._answers[peer]

    def _answer(self, wanted: Wanted) -> bytes:
        found: list[Stored] = []
        size = 0
        if wanted.first <= self._folder.height:
            for position, data in self._folder.read(wanted.first):
                size += len(data)
                if position.height > wanted.last or (
                    found and size > (ANSWER_BYTES_MAX if len(found) > 1 else PAIR_BYTES_MAX)
                ):
                    break
                found.append(Stored(data, rows_of(self._folder, data)))
        return encode(found)

    def fill(self, answer: bytes, peer: bytes = b"", connected: Sequence[bytes] = ()) -> list[Block]:
        """Puts in what was missing, as far as it follows on what is there, and tells which blocks these are.

        Where others may lie only what is proven is put in, and blocks without their rows only when everybody who is
        connected has been asked for them.

        Refused("chain_altered") for blocks that do not follow, or for what cannot be read; nothing is put in then.
        Refused("diverged") where they lead to what was decided, and do not begin with what the folder has.
        """
        if self._is_writing():
            return []
        missing = self.missing
        if missing is None:
            return []
        batch = [Executed(decode_block(each.block), each.block, (), (), each.rows) for each in _stored.decode(answer)]
        batch = [each for each in batch if missing.first <= each.block.header.height <= missing.last]
        if not batch:
            return []
        previous, height = batch[0].block.header.previous, self._height
        for each in batch:
            header, height = each.block.header, height + 1
            if (header.height, header.previous) != (height, previous):
                raise Refused("chain_altered", "blocks", header.height, "Another peer has to be asked.")
            previous = header_hash(header)
        proven = height == missing.last and self._pending[0].block.header.previous == previous
        if height == missing.last and not proven:
            raise Refused("chain_altered", "blocks", height, "Another peer has to be asked.")
        if batch[0].block.header.previous != self._folder.tip_hash:
            if proven:
                raise Refused("diverged", "block", self._height, "The chain folder has another block at this height.")
            raise Refused("chain_altered", "blocks", missing.first, "Another peer has to be asked.")
        if self._filling is not None:
            batch = self._filling.proven(batch, self._pending[0].block.header if proven else None)
            batch = self._with_rows(batch, peer, connected)
            if not batch:
                return []
        self._begin(self._folder.append, batch)
        return [each.block for each in batch]

    def _with_rows(self, batch: list[Executed], peer: bytes, connected: Sequence[bytes]) -> list[Executed]:
        """Those up to the first whose rows somebody may still have."""
        for place, each in enumerate(batch):
            if not lacks_rows(each, _roots(each.data)):
                continue
            height = each.block.header.height
            if self._lacking[0] != height:
                self._lacking = height, {}
            self._lacking[1][peer] = None
            if any(other not in self._lacking[1] for other in connected):
                return batch[:place]
        return batch

    def close(self, key: SigningKey | None) -> None:
        """Writes what it has and lets the folder go, its end signed if it is given a founder's key."""
        try:
            self.flush()
            self._folder.note_log(self._durable())
        finally:
            self._pool.shutdown()
            self._folder.close(key)


def rows_of(folder: ChainFolder, data: bytes) -> tuple[bytes, ...]:
    """The rows beside an encoded block, as far as the folder still has them."""
    return tuple(rows for root in _roots(data) if (rows := folder.rows(root)) is not None)


def _roots(data: bytes) -> Sequence[bytes]:
    block = decode_block(data)
    found = []
    for transaction, receipt in zip(block.transactions, block.receipts, strict=True):
        payload = Received(transaction).body.payload if read_rows(receipt) else None
        if isinstance(payload, CommitReadings):
            found.append(payload.root)
    return found
