"""A node that orders alone: the replica and the sequencer on a chain folder.

Its log is its chain. The sequencer's records are the entries that it ordered, and each is stored as the block that it
makes: nobody can overrule a lone sequencer, so an entry is executed as soon as it is recorded, its block (rows first)
is made durable, and only then the engine commits it and its transactions may be acknowledged. After a crash the
ledger is recovered from the folder, and whatever was acknowledged is in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

from wattquorum.consensus.configuration import alone
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.sequencer import Sequencer
from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.replica.pool import Dropped, Limits
from wattquorum.replica.recovery import recovered
from wattquorum.replica.replica import Replica


class Done(NamedTuple):
    """What may be told to clients now."""

    finished: tuple[Executed, ...]  # durable blocks, in order
    dropped: tuple[Dropped, ...]  # transactions that will be in no block
    reads: tuple[int, ...]  # reads that may be answered from the ledger
    deadline: int | None  # call `turn` then, if nothing happens before [ms]


class LoneNode:
    """A chain folder that takes transactions. `close` signs the tip; leaving a `with` statement does not."""

    __slots__ = ("_dropped", "_finished", "_key", "_reads", "_replica", "_snapshot", "_unwritten", "folder", "ledger")

    def __init__(
        self,
        folder: ChainFolder,
        key: SigningKey,
        verify: Verifier,
        *,
        limits: Limits | None = None,
        gather_ms: int = 0,
    ) -> None:
        """Recovers the ledger from a folder that was opened for writing, and goes on from there.

        `key` must be one of the genesis's proposers. After a transaction came, `turn` makes a block of it once it has
        waited `gather_ms`. Raises what recovery raises; the folder is not closed then.
        """
        if key.public.hex() not in folder.genesis.proposers:
            raise Refused("role_missing", "proposer", key.public, "Use the key of one of the genesis's proposers.")
        self.folder = folder
        self.ledger: Ledger = ledger_of(folder, verify)
        engine = Sequencer(alone(address_of(folder.chain_id, key.public)), self.ledger.height, gather_ms=gather_ms)
        self._replica = Replica(engine, self.ledger, key, verify, limits)
        self._key = key
        self._unwritten: list[tuple[Durable, Executed]] = []
        self._snapshot: tuple[int, bytes] | None = None
        self._finished: list[Executed] = []
        self._dropped: list[Dropped] = []
        self._reads: list[int] = []

    @classmethod
    def create(cls, path: Path, genesis_bytes: bytes, key: SigningKey, verify: Verifier) -> Self:
        """A new chain in a new folder."""
        return cls(ChainFolder.create(path, genesis_bytes), key, verify)

    def accept(self, data: bytes, attachment: bytes | None, now: Millis) -> Refused | None:
        """Takes a signed transaction and the rows beside it, if it commits to any; None, or why not."""
        return self._replica.accept(data, attachment, now)

    def read(self, read: int, now: Millis) -> None:
        """Asks to be told, by this number, when the ledger shows all that was ordered so far and nothing undurable."""
        self._replica.read(read, now)

    def cut(self, now: Millis) -> None:
        """Orders what waits as the next block, which is empty when nothing does. Several may be cut before `write`.

        While the disk is full nothing more is ordered: raises Refused("disk_full" or "disk_failed").
        """
        if self._unwritten:
            self._write_blocks(now)
        self._replica.cut(now)

    def turn(self, now: Millis) -> Done:
        """Orders what has waited long enough, and writes."""
        self._replica.turn(now)
        return self.write(now)

    def write(self, now: Millis) -> Done:
        """Makes everything that was ordered durable, in one batch, and hands out what may be told.

        Raises Refused("disk_full"): nothing new may be told, nothing is lost; call again once there is room. Raises
        Refused("disk_failed"): close, and open the chain again.
        """
        while True:
            work = self._replica.drain(now)
            self._finished += work.finished
            self._dropped += work.dropped
            self._reads += work.reads
            for record in work.records:
                self._unwritten.append((record, self._replica.execute_ahead(record)))
                if self.ledger.tip is not None and self.ledger.tip.state_root:
                    self._snapshot = (self.ledger.height, snapshots.take(self.ledger))
            if not self._unwritten:
                break
            self._write_blocks(now)
        if self._snapshot is not None:
            self.folder.put_snapshot(*self._snapshot)
            self.folder.sign_tip(self._key)
            self._snapshot = None
        done = Done(tuple(self._finished), tuple(self._dropped), tuple(self._reads), work.deadline)
        self._finished, self._dropped, self._reads = [], [], []
        return done

    def _write_blocks(self, now: Millis) -> None:
        self.folder.append([executed for _, executed in self._unwritten])
        self._replica.persisted(self._unwritten[-1][0].position, now)
        self._unwritten = []

    def close(self) -> None:
        """Signs where the chain ends and lets the folder go. What was ordered and not written is in no block."""
        self.folder.close(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.folder.__exit__()


def ledger_of(folder: ChainFolder, verify: Verifier) -> Ledger:
    """The ledger at the tip of a folder: its newest snapshot and every block after it, executed and compared.

    A snapshot that no proposer vouches for, by the signed tip or a later proposal, is passed over. Raises Refused:
    snapshot_wrong, rows_missing or chain_altered.
    """
    signed = folder.ended.height if folder.ended else 0
    for height in reversed(folder.snapshots()):
        headers = [decode_block(data).header for _, data in folder.read(height)]
        founders = [each.applied.height for each in headers if each.proposer.hex() in folder.genesis.proposers]
        vouched = max([signed, *founders])
        if vouched >= height:
            blocks = (data for _, data in folder.read(height))
            snapshot = folder.snapshot(height)
            return recovered(folder.genesis_bytes, snapshot, blocks, folder.rows, verify, signed)
    blocks = (data for _, data in folder.read())
    return recovered(folder.genesis_bytes, None, blocks, folder.rows, verify)
