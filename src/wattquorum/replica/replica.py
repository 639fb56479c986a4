"""The replica: one engine, one ledger and one pool, as a machine without a clock, a disk or a socket.

Transactions go into the pool, entries of them into the engine, committed entries through the ledger, and blocks with
their facts come out. Whoever drives it, a node or a simulated world, makes records durable, carries messages and says
what time it is. Whatever engine decides, this is the only place where its decisions meet the ledger: here the ledger's
voting powers go down to the engine, and who completed a quorum goes up into the next block. What waits at a replica
that does not order is sent to the one that does. Engines that want proposals judged before they support them are driven
by `replica.agreeing`, which builds on this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Committed, Durable, Engine, Judged, Message, Restore
from wattquorum.foundation.codec import Decoder, Record, encode
from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.blocks import Round, order
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.readings import encode_rows
from wattquorum.ledger.rounds import evidence_of
from wattquorum.ledger.transactions import transaction_hash
from wattquorum.replica.forwarding import Forwarding
from wattquorum.replica.pool import Checked, Dropped, Limits, Pending, Pool

SWEEP_MS: Final = 1_000  # how often what no block can hold any more is looked for
EXECUTED_BYTES_MAX: Final = 512 * 1024  # of blocks that are executed at a time, before anything else is looked after
BLOCK_BYTES: Final = 16 * 1024  # what even an empty block counts as


class Kind(IntEnum):
    """What a frame between replicas holds."""

    ENGINE = 0
    TRANSACTIONS = 1
    STATE = 2  # about a state that one takes over from another (`replica.states`)


class Frame(Record, frozen=True):
    """What replicas send each other."""

    kind: Kind
    data: bytes


class Forwarded(Record, frozen=True):
    """A transaction that came to a replica which does not order, and the rows beside it."""

    data: bytes
    attachment: bytes | None


class StateCopy(Record, frozen=True):
    """A snapshot of the ledger with the rows that its open days need."""

    snapshot: bytes
    rows: tuple[bytes, ...]


_frames: Final = Decoder[Frame](Frame, "frame")
_forwarded: Final = Decoder[tuple[Forwarded, ...]](tuple[Forwarded, ...], "forwarded transactions")
read_copy: Final = Decoder[StateCopy](StateCopy, "copy of a state").decode


class Work(NamedTuple):
    """What there is to do, in this order: make the records durable and say so; send; acknowledge; answer."""

    records: tuple[Durable, ...]
    messages: tuple[Message, ...]
    finished: tuple[Executed, ...]  # committed and executed: their transactions may be acknowledged
    dropped: tuple[Dropped, ...]  # they will be in no block, but for those whose outcome was not seen
    reads: tuple[int, ...]  # they may be answered from the ledger now
    deadline: int | None  # call `turn` then, if nothing happens before [ms]
    lies: tuple[Equivocation, ...] = ()  # what members of a committee proved of themselves


class Proven(NamedTuple):
    """Who completed the quorum for a block of this replica's."""

    term: int
    height: int
    followers: tuple[bytes, ...]


class Replica:
    """A replica of the ledger that may propose blocks with its key."""

    __slots__ = (
        "_ahead",
        "_backlog",
        "_declared",
        "_drift_ms",
        "_engine",
        "_forwarding",
        "_judge",
        "_key",
        "_last_ms",
        "_limits",
        "_me",
        "_ordering",
        "_pool",
        "_proven",
        "_swept_ms",
        "_tick_ms",
        "_told",
        "_wanted",
        "ledger",
        "unreadable",
    )

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        key: SigningKey,
        verify: Verifier,
        limits: Limits | None = None,
        *,
        tick_ms: int = 0,
        declared: bool = False,
    ) -> None:
        """`engine` and `ledger` are at the same index; `verify` checks many signatures at once.

        While this replica orders and nothing else does it for `tick_ms`, it proposes an empty block, so that time goes
        on and gates close (L-26); 0: it never does of its own accord. `declared`: time is what whoever plays a demo
        says that it is, so this replica orders whole steps alone and takes no transaction without its time.
        """
        self.ledger = ledger
        self._engine = engine
        self._key = key
        self._me = address_of(ledger.chain_id, key.public)
        self._limits = limits or Limits()
        self._pool = Pool(ledger, verify, self._limits)
        self._declared = declared
        self._last_ms = ledger.tip.time_ms if ledger.tip else ledger.genesis.created_ms
        self._drift_ms = ledger.parameters.drift_ms  # as it is in force; asked for with every transaction
        self._ahead: deque[tuple[Durable, Executed]] = deque()
        self._backlog: deque[Committed] = deque()  # committed and not executed; what follows waits until it is
        self._judge: list[Judged] = []
        self._wanted = False
        self.unreadable = 0  # frames of other replicas that could not be read
        self._ordering = (engine.term, engine.leader)  # when it was drained last
        self._proven: Proven | None = None  # what the next block may tell of an earlier one
        self._forwarding = Forwarding()
        self._swept_ms = 0
        self._tick_ms = tick_ms
        self._told = 0  # the newest version of voting powers that the engine was told
        if engine.leader != self._me:  # who leads from the start orders alone, and changes places with nobody
            self._tell_powers(Millis(self._last_ms))

    @property
    def waiting(self) -> int:
        """How many transactions wait here and are in no block that was proposed here."""
        return len(self._pool)

    def accept(
        self, data: bytes, attachment: bytes | None, now: Millis, checked: Checked | None = None
    ) -> Refused | None:
        """Takes a signed transaction and the rows beside it, if it commits to any; None, or why not."""
        if self._declared:
            return Refused("clock_declared", "transaction", transaction_hash(data))
        try:
            transaction = self._pool.accept(data, attachment, self._time(now), checked)
        except Refused as refused:
            return refused
        if self._engine.leader != self._me:
            self._forwarding.came(transaction)
        return None

    def receive(self, sender: bytes, frame: bytes, now: Millis) -> None:
        """A frame from another replica, whose identity the driver has checked. One that cannot be read is dropped."""
        try:
            kind, data = read_frame(frame)
            transactions = _forwarded.decode(data) if kind is Kind.TRANSACTIONS else ()
        except Refused:
            self.unreadable += 1
            return
        if kind is Kind.ENGINE:
            self._engine.receive(sender, data, now)
        elif kind is Kind.STATE:
            self._on_state(sender, data, now)
        for each in transactions:
            self.accept(each.data, each.attachment, now)
        if transactions:
            self._demand(now)

    def _on_state(self, _sender: bytes, _data: bytes, _now: Millis) -> None:
        """About a state. Where the engine carries states itself, no correct replica says anything of them."""
        self.unreadable += 1

    def cut(self, now: Millis, time_ms: Millis | None = None) -> bytes:
        """Proposes an entry with what waits, signed; an empty one when nothing does, so that time goes on (L-26).

        The block's time is what time it is (`_time`), or 1 ms after the block before it where that has not gone on.
        `time_ms` is given where blocks follow a calendar and no clock, as those of a simulated week. Refused
        ("not_ordering") where the engine would not take it.
        """
        if not self._engine.takes:
            raise Refused("not_ordering", "replica", self._me)
        time_ms = time_ms or self._time(now)
        taken = self._pool.take(time_ms)
        return self._order(taken, Millis(max(self._last_ms + 1, time_ms)), now)

    def step(self, transactions: Sequence[tuple[bytes, bytes | None]], time_ms: Millis, now: Millis) -> None:
        """Proposes exactly these transactions, with the rows beside them, as one block of the time that is declared.

        All or none: Refused with what is wrong with the first that cannot be admitted; Refused("out_of_range") for
        a time that does not lie above the last block's, or for more than fits into a block; Refused("not_ordering")
        where the engine would not take it. What this replica proposed before has to be decided.
        """
        before = self.ledger.tip.time_ms if self.ledger.tip else self.ledger.genesis.created_ms
        if time_ms <= before:
            raise Refused("out_of_range", "time_ms", time_ms, f"A block's time lies above {before}.")
        if not self._engine.takes:
            raise Refused("not_ordering", "replica", self._me)
        pool = Pool(self.ledger, self._pool.verify, self._limits)
        for data, rows in transactions:
            pool.accept(data, rows, time_ms)
        taken = pool.take(time_ms)
        if len(taken) < len(transactions):
            raise Refused("out_of_range", "step", len(transactions), f"{len(taken)} of them fit into a block.")
        self._order(taken, time_ms, now)

    def _order(self, taken: Sequence[Pending], time_ms: Millis, now: Millis) -> bytes:
        self._last_ms = time_ms
        attachments = tuple(pending.attachment for pending in taken if pending.attachment is not None)
        entry = self._entry(taken, attachments, time_ms, self._evidence())
        self._engine.propose((entry,), now)
        return entry

    def _entry(
        self, taken: Sequence[Pending], attachments: tuple[bytes, ...], time_ms: Millis, evidence: bytes
    ) -> bytes:
        """An entry that this replica signs."""
        return order(
            self._key,
            self.ledger.chain_id,
            time_ms,
            self.ledger.applied,
            tuple(pending.received.data for pending in taken),
            attachments,
            self._round(),
            evidence,
        )

    def _round(self) -> Round:
        """Under which votes a block is ordered now."""
        return self.ledger.round_of(self._engine.configuration, self._engine.term)

    def _time(self, now: Millis) -> Millis:
        """What time it is by this replica's clock, but not before what a quorum's clocks have reached (L-26).

        Nor is it more than `drift_ms` later. So one clock that is wrong, by however much, neither lifts a chain's time
        nor holds it back.
        """
        reached = self._engine.quorum_ms
        if reached is None:
            return now
        return Millis(max(reached, min(now, reached + self._drift_ms)))

    def _evidence(self) -> bytes:
        """What the next block tells of who completed a quorum, once and in the same term (A-12)."""
        proven, self._proven = self._proven, None
        if proven is None or proven.term != self._engine.term:
            return b""
        return evidence_of(proven.height, proven.followers)

    def turn(self, now: Millis) -> None:
        """Tells the engine what waits and what time it is; to be called after transactions came, and at a deadline."""
        self._demand(now)
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
        self._drift_ms = self.ledger.parameters.drift_ms
        return executed

    def _apply(self, committed: Committed, now: Millis) -> Executed:
        """Executes what was committed. The engine learns of new voting powers before it hears that this is done."""
        if self._ahead:
            record, executed = self._ahead.popleft()
            if (record.position, record.data) != (committed.index, committed.payload):
                raise Refused("diverged", "index", committed.index, "Another entry was executed in its place.")
            self._engine.applied(committed.index, executed.block.header.state_digest, now)
            return executed
        executed = self._execute(self._entry_of(committed.payload))
        header = executed.block.header
        if committed.evidence:
            self._proven = Proven(committed.term, header.height, committed.evidence)
        self._tell_powers(now)
        self._engine.applied(committed.index, header.state_digest, now)
        if header.state_root:
            self._keep_state(committed.index, copy_of(self.ledger), now)
        return executed

    def _keep_state(self, index: int, state: bytes, now: Millis) -> None:
        """The state after an epoch's last block, from which a restart may begin."""
        self._engine.snapshot(index, state, now)

    def _entry_of(self, payload: bytes) -> bytes:
        """The ordered entry in what the engine decided."""
        return payload

    def _tell_powers(self, now: Millis) -> None:
        newest = self.ledger.configuration
        if newest.version > self._told:
            self._told = newest.version
            self._engine.reconfigure(newest, now)

    def _restore(self, restore: Restore, now: Millis) -> None:
        self._go_on_from(self._ledger_in(restore), restore.index, now)

    def _ledger_in(self, restore: Restore) -> Ledger:
        """The ledger in another replica's state. Refused when it does not prove itself."""
        return self._ledger_of(read_copy(restore.state))

    def _ledger_of(self, copy: StateCopy) -> Ledger:
        ledger = snapshots.restore(self.ledger.genesis_bytes, copy.snapshot)
        roots = snapshots.rows_needed(ledger)
        if len(copy.rows) != len(roots):
            raise Refused("rows_missing", "rows", f"{len(copy.rows)} of {len(roots)}")
        for root, rows in zip(roots, copy.rows, strict=True):
            ledger.shelf.load(rows, root)
        return ledger

    def _go_on_from(self, ledger: Ledger, index: int, now: Millis) -> None:
        self.ledger = ledger
        self._pool.move_to(ledger)
        self._last_ms = max(self._last_ms, ledger.tip.time_ms if ledger.tip else 0)
        self._drift_ms = ledger.parameters.drift_ms
        self._proven = None
        self._tell_powers(now)
        self._engine.applied(index, ledger.digest, now)

    def drain(self, now: Millis) -> Work:
        """Executes what was committed, proposes what is wanted, and hands out what there is to do.

        Of a long backlog it executes a part and wants to be called again at once: who follows is not silent meanwhile.
        Raises Refused when a committed entry cannot be executed: this replica has diverged and must stop.
        """
        records: list[Durable] = []
        messages: list[Message] = []
        finished: list[Executed] = []
        reads: list[int] = []
        room = EXECUTED_BYTES_MAX
        while True:
            output = self._engine.drain()
            records += output.records
            messages += [Message(each.to, framed(Kind.ENGINE, each.data), each.after) for each in output.messages]
            if output.restore is not None:
                self._backlog.clear()  # all of it lies before that state
                self._restore(output.restore, now)
            self._backlog += output.committed
            self._judge += output.judge
            self._wanted |= output.wanted is not None
            reads += output.reads
            moved = bool(self._backlog or self._judge) or output.restore is not None
            while self._backlog and (room > 0 or self._ahead):
                committed = self._backlog.popleft()
                room -= len(committed.payload) + BLOCK_BYTES
                finished.append(self._apply(committed, now))
            if self._backlog:
                break
            judge, self._judge = self._judge, []
            for judged in judge:
                self._engine.judged(judged.digest, self._is_good(judged), now)
            wanted, self._wanted = self._wanted, False
            if wanted and self._engine.takes and (len(self._pool) or self._ticks(now)):
                self.cut(now)
                self._demand(now)
            elif not moved:
                break
        self._follow_leader(now)
        messages += self._forward(now)
        deadline = output.deadline
        if self._backlog:
            deadline = now
        elif self._tick_ms and self._has_to_tick and not self._ticks(now):
            tick = now + self._tick_ms - (self._time(now) - self._last_ms)
            deadline = tick if deadline is None else min(deadline, tick)
        return Work(tuple(records), tuple(messages), tuple(finished), self._pool.dropped(), tuple(reads), deadline)

    def _is_good(self, judged: Judged) -> bool:
        """Whether a proposed payload may be supported. Engines that trust who orders do not ask."""
        raise Refused("input_unexpected", "judge", judged.digest, "This replica judges nothing.")

    @property
    def _has_to_tick(self) -> bool:
        """Whether this replica has to do something when a tick is due."""
        return self._engine.takes

    def _ticks(self, now: Millis) -> bool:
        """Whether there was no block for so long that an empty one is due."""
        return 0 < self._tick_ms <= self._time(now) - self._last_ms

    def _demand(self, now: Millis) -> None:
        self._engine.demand(Millis(self._last_ms) if self._ticks(now) else self._pool.oldest_ms, now)

    def _follow_leader(self, now: Millis) -> None:
        """Where another orders now, or in another term, what this replica had reserved may never be in a block."""
        ordering = (self._engine.term, self._engine.leader)
        if ordering != self._ordering:
            self._ordering = ordering
            self._pool.release()
            self._forwarding.restart(self._pool.waiting())
            self._demand(now)
        if now - self._swept_ms >= SWEEP_MS:
            self._swept_ms = now
            self._pool.expire()

    def _forward(self, now: Millis) -> Iterator[Message]:
        """What waits here and was not sent to the leader yet, or so long ago that it may have been lost."""
        leader = self._engine.leader
        if leader in (b"", self._me):
            return
        batch = self._forwarding.batch(self._pool, now)
        if batch:
            yield Message(leader, transactions_frame(batch), 0)


def copy_of(ledger: Ledger) -> bytes:
    """A ledger's state after an epoch's last block, as another replica goes on from it."""
    rows = tuple(encode_rows(ledger.shelf.get(root)) for root in snapshots.rows_needed(ledger))
    return encode(StateCopy(snapshots.take(ledger), rows))


def founding_configuration(ledger: Ledger) -> Configuration:
    """The configuration that a chain starts with: its genesis's proposers, of equal power."""
    addresses = sorted(address_of(ledger.chain_id, bytes.fromhex(key)) for key in ledger.genesis.proposers)
    return Configuration(0, None, tuple(Voter(address, 1) for address in addresses), (), 0, b"")


def transactions_frame(batch: Sequence[Pending]) -> bytes:
    """Transactions on their way to another replica."""
    return framed(Kind.TRANSACTIONS, encode([Forwarded(each.received.data, each.attachment) for each in batch]))


def framed(kind: Kind, data: bytes) -> bytes:
    """What replicas send each other."""
    return encode(Frame(kind, data))


def read_frame(frame: bytes) -> tuple[Kind, bytes]:
    """What kind of frame it is and what it holds; Refused for anything else."""
    found = _frames.decode(frame)
    return found.kind, found.data


def engine_frame(data: bytes) -> bytes:
    """An engine's message on its way to another replica."""
    return framed(Kind.ENGINE, data)
