"""The replica: one engine, one ledger and one pool, as a machine without a clock, a disk or a socket.

Transactions go into the pool, entries of them into the engine, committed entries through the ledger, and blocks with
their facts come out. Whoever drives it, a node or a simulated world, makes records durable, carries messages and says
what time it is. Whatever engine decides, this is the only place where its decisions meet the ledger. Engines that
want proposals judged before they support them are not driven here.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from wattquorum.consensus.engine import Committed, Durable, Engine, Message
from wattquorum.foundation.identities import SigningKey, Verifier
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import order
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.replica.pool import Dropped, Limits, Pool


class Work(NamedTuple):
    """What there is to do, in this order: make the records durable and say so; send; acknowledge; answer."""

    records: tuple[Durable, ...]
    messages: tuple[Message, ...]
    finished: tuple[Executed, ...]  # committed and executed: their transactions may be acknowledged
    dropped: tuple[Dropped, ...]  # they will be in no block
    reads: tuple[int, ...]  # they may be answered from the ledger now
    deadline: int | None  # call `turn` then, if nothing happens before [ms]


class Replica:
    """A replica of the ledger that may propose blocks with its key."""

    __slots__ = ("_ahead", "_engine", "_key", "_last_ms", "_pool", "ledger")

    def __init__(
        self, engine: Engine, ledger: Ledger, key: SigningKey, verify: Verifier, limits: Limits | None = None
    ) -> None:
        """`engine` and `ledger` are at the same index; `verify` checks many signatures at once."""
        self.ledger = ledger
        self._engine = engine
        self._key = key
        self._pool = Pool(ledger, verify, limits or Limits())
        self._last_ms = ledger.tip.time_ms if ledger.tip else ledger.genesis.created_ms
        self._ahead: deque[tuple[Durable, Executed]] = deque()

    def accept(self, data: bytes, attachment: bytes | None, now: Millis) -> Refused | None:
        """Takes a signed transaction and the rows beside it, if it commits to any; None, or why not."""
        try:
            self._pool.accept(data, attachment, now)
        except Refused as refused:
            return refused
        return None

    def cut(self, now: Millis) -> bytes:
        """Proposes an entry with what waits, signed; an empty one when nothing does, so that time goes on (L-26).

        The block's time is `now`, or 1 ms after the block before it where the clock has not gone on.
        """
        taken = self._pool.take(now)
        self._last_ms = max(self._last_ms + 1, now)
        entry = order(
            self._key,
            self.ledger.chain_id,
            self._last_ms,
            self.ledger.applied,
            tuple(pending.received.data for pending in taken),
            tuple(pending.attachment for pending in taken if pending.attachment is not None),
        )
        self._engine.propose((entry,), now)
        return entry

    def turn(self, now: Millis) -> None:
        """Tells the engine what waits and what time it is; to be called after transactions came, and at a deadline."""
        self._engine.demand(self._pool.oldest_ms, now)
        self._engine.tick(now)

    def read(self, read: int, now: Millis) -> None:
        """Asks to be told when the ledger shows everything that was proposed here or committed before now."""
        self._engine.read(read, now)

    def persisted(self, position: int, now: Millis) -> None:
        """All records up to this position are durable."""
        self._engine.persisted(position, now)

    def execute_ahead(self, record: Durable) -> Executed:
        """Executes an entry before it is committed; its block comes out as finished when it is.

        Only for records of an engine whose records are its entries and which nobody else can overrule: then the block
        can be what is made durable, and the entry need not be written as well. Records are given in order, each once.
        """
        executed = self._execute(record.data)
        self._ahead.append((record, executed))
        return executed

    def _execute(self, entry: bytes) -> Executed:
        executed = self.ledger.execute(entry, self._pool.verify)
        self._pool.executed(executed.block)
        self._last_ms = max(self._last_ms, executed.block.header.time_ms)
        return executed

    def _apply(self, committed: Committed, now: Millis) -> Executed:
        if self._ahead:
            record, executed = self._ahead.popleft()
            if (record.position, record.data) != (committed.index, committed.payload):
                raise Refused("diverged", "index", committed.index, "Another entry was executed in its place.")
        else:
            executed = self._execute(committed.payload)
        self._engine.applied(committed.index, executed.block.header.state_digest, now)
        return executed

    def drain(self, now: Millis) -> Work:
        """Executes what was committed, proposes what is wanted, and hands out what there is to do.

        Raises Refused when a committed entry cannot be executed: this replica has diverged and must stop.
        """
        records: list[Durable] = []
        messages: list[Message] = []
        finished: list[Executed] = []
        reads: list[int] = []
        while True:
            output = self._engine.drain()
            records += output.records
            messages += output.messages
            finished += [self._apply(committed, now) for committed in output.committed]
            reads += output.reads
            if output.wanted is not None and len(self._pool):
                self.cut(now)
            elif not output.committed:
                break
        return Work(
            tuple(records), tuple(messages), tuple(finished), self._pool.dropped(), tuple(reads), output.deadline
        )
