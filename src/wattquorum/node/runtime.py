"""The runtime: drives one replica by its log, its peers and its clock, in one event loop.

What happened meanwhile is handed to the replica, and then, once in a turn of the loop, it is drained: records are
written as one batch, messages that wait for nothing are sent, what is committed is told. One sync is under way at a
time and covers all that was written before it began; messages and acknowledgements that wait for the disk go out when
it ends. So whatever comes while the disk works shares the next sync, and nothing is said that a crash could unsay.
What waits for nothing leaves before anything is written: so the disks of a leader and of its followers work at the
same time.

While the disk is full nothing new can be promised, so the replica takes no part, as if no peer reached it: what it had
to write is kept and tried again, what comes is dropped, and if it led, the others elect another one. A replica that
finds itself diverged, or whose disk has failed, stops taking part and says why.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from wattquorum.consensus.engine import Durable, Message
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.node.steady_clock import SteadyClock
from wattquorum.node.wal import Wal
from wattquorum.replica.replica import Work

STOP_S: Final = 5.0  # for the last sync
FULL_AGAIN_S: Final = 1.0  # how long a full disk is left alone
QUICK_NS: Final = 1_000_000  # a disk that syncs within this on average is waited for, which is faster than a thread
SLOWING: Final = 8  # one part in so many of a new sync time goes into the average
FIRST_SYNC_NS: Final = 10_000_000  # until it is known


class Driven(Protocol):
    """What a runtime drives: a replica of the ledger, or anything else over an engine."""

    def receive(self, sender: bytes, frame: bytes, now: Millis) -> None:
        """A frame from another replica."""

    def turn(self, now: Millis) -> None:
        """Time has passed, or something was handed in."""

    def persisted(self, position: int, now: Millis) -> None:
        """All records up to this position are durable."""

    def drain(self, now: Millis) -> Work:
        """Hands out what there is to do."""


class Runtime:
    """One replica that runs. Everything but the syncs happens in the loop that `start` is called in."""

    __slots__ = (
        "_average_ns",
        "_before_origin",
        "_deadline",
        "_disk",
        "_driven",
        "_durable",
        "_flush",
        "_held",
        "_loop",
        "_on_halt",
        "_on_work",
        "_scheduled",
        "_send",
        "_sync",
        "_timer",
        "_unwritten",
        "_wal",
        "clock",
        "full",
        "halted",
        "sync_ns",
        "syncs",
        "turns",
    )

    def __init__(
        self,
        driven: Driven,
        wal: Wal,
        clock: SteadyClock,
        send: Callable[[bytes, bytes], None],
        on_work: Callable[[Work], None],
        on_halt: Callable[[Refused], None],
        before_origin: Callable[[], None] = lambda: None,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        """`send` takes a frame for a peer, and `flush` lets what was sent leave; `on_work` is told what is finished,
        dropped, may be read, and proves that somebody lies.

        `before_origin` is called before a record is written that makes earlier ones superfluous.
        """
        self._driven, self._wal, self.clock = driven, wal, clock
        self._send, self._flush = send, flush
        self._on_work, self._on_halt, self._before_origin = on_work, on_halt, before_origin
        self._loop: asyncio.AbstractEventLoop | None = None
        self._disk = ThreadPoolExecutor(1, "disk")
        self._scheduled = False
        self._sync: asyncio.Future[int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: int | None = None
        self._unwritten: list[Durable] = []
        self._held: deque[Message] = deque()  # until the records are durable that they wait for
        self._durable = wal.written
        self._average_ns = FIRST_SYNC_NS
        self.full = False  # the disk has no room
        self.halted: Refused | None = None
        self.turns = self.syncs = self.sync_ns = 0  # counted since the start

    def start(self) -> None:
        """Begins, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self.wake()

    async def stop(self) -> None:
        """Ends. A sync that is under way is waited for, up to STOP_S; what waits for a later one is never said."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None
        late = (await asyncio.wait([self._sync], timeout=STOP_S))[1] if self._sync is not None else ()
        self._disk.shutdown(wait=not late)

    def receive(self, sender: bytes, frames: Sequence[bytes]) -> None:
        """Frames from a peer whose identity the transport has checked, in order."""
        if self.halted is None and self._loop is not None and not self.full:
            now = self.clock.read()
            try:
                for frame in frames:
                    self._driven.receive(sender, frame, now)
            except Refused as refused:
                self.halt(refused)
            except Exception as fault:
                self.halt(Refused("node_failed", "node", f"{type(fault).__name__}: {fault}"))
                raise
            self.wake()

    def wake(self) -> None:
        """Sees to it that the replica is drained in this turn of the loop."""
        if not self._scheduled and self._loop is not None and self.halted is None:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._loop is None or self.halted is not None or self.full:
            return
        self.turns += 1
        try:
            self._work()
        except Refused as refused:
            self.halt(refused)
        except Exception as fault:  # a defect: whatever state this left, nothing more is said from it
            self.halt(Refused("node_failed", "node", f"{type(fault).__name__}: {fault}"))
            raise

    def _work(self) -> None:
        now = self.clock.read()
        self._driven.turn(now)
        while True:
            work = self._driven.drain(now)
            self._unwritten += work.records
            self._held += work.messages
            self._send_ready()
            if work.finished or work.dropped or work.reads or work.lies:
                self._on_work(work)
            self._arm(work.deadline, now)
            if not self._begin_sync(now):
                return
            now = self.clock.read()

    def _write(self) -> None:
        if not self._unwritten or self.full:
            return
        try:
            if any(record.origin for record in self._unwritten):
                self._before_origin()
            self._wal.write(self._unwritten)
        except Refused as refused:
            self._without_room(refused)
            return
        self._unwritten = []

    def _without_room(self, refused: Refused) -> None:
        """Leaves the disk alone for a while; anything but want of room is raised."""
        if refused.code != "disk_full":
            raise refused
        self.full = True
        assert self._loop is not None
        self._loop.call_later(FULL_AGAIN_S, self._try_again)

    def _try_again(self) -> None:
        """Writes what is kept before anything is added to it."""
        self.full = False
        if self._loop is None or self.halted is not None:
            return
        try:
            self._begin_sync(self.clock.read())
        except Refused as refused:
            self.halt(refused)
        except Exception as fault:
            self.halt(Refused("node_failed", "node", f"{type(fault).__name__}: {fault}"))
            raise
        self.wake()

    def _begin_sync(self, now: Millis) -> bool:
        """Writes what is to be kept, and syncs it: at once where the disk is quick, and tells so; else in a thread."""
        self._write()
        if self._sync is not None or self.full or self._wal.written <= self._durable:
            return False
        assert self._loop is not None
        if self._average_ns <= QUICK_NS:
            try:
                position = self._timed_sync()
            except Refused as refused:
                self._without_room(refused)
                return False
            self._synced(position, now)
            return True
        self._sync = asyncio.ensure_future(self._loop.run_in_executor(self._disk, self._timed_sync), loop=self._loop)
        self._sync.add_done_callback(self._sync_ended)
        return False

    def _timed_sync(self) -> int:
        began = time.perf_counter_ns()
        position = self._wal.sync()
        taken = time.perf_counter_ns() - began
        self.syncs += 1
        self.sync_ns += taken
        self._average_ns += (taken - self._average_ns) // SLOWING
        return position

    def _sync_ended(self, sync: asyncio.Future[int]) -> None:
        self._sync = None
        if self._loop is None or self.halted is not None or sync.cancelled():
            return
        fault = sync.exception()
        if isinstance(fault, Refused) and fault.code == "disk_full":
            self._without_room(fault)
        elif isinstance(fault, Refused):
            self.halt(fault)
        elif fault is not None:
            self.halt(Refused("node_failed", "node", f"{type(fault).__name__}: {fault}"))
            raise fault
        else:
            try:
                self._synced(sync.result(), self.clock.read())
            except Refused as refused:
                self.halt(refused)
            except Exception as defect:
                self.halt(Refused("node_failed", "node", f"{type(defect).__name__}: {defect}"))
                raise
            self.wake()

    def _synced(self, position: int, now: Millis) -> None:
        self._durable = position
        self._driven.persisted(position, now)
        self._send_ready()

    def _send_ready(self) -> None:
        """Sends what waits for nothing any more. Later messages may wait for less, and go first."""
        waiting: deque[Message] = deque()
        for message in self._held:
            if message.after <= self._durable:
                self._send(message.to, message.data)
            else:
                waiting.append(message)
        if len(waiting) < len(self._held):
            self._flush()
        self._held = waiting

    def _arm(self, deadline: int | None, now: Millis) -> None:
        """Comes back at the deadline, if nothing happens before."""
        if self._timer is not None and (self._deadline == deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._deadline = deadline
        if deadline is not None and self._loop is not None:
            self._timer = self._loop.call_later(max(deadline - now, 0) / 1_000, self._due)

    def _due(self) -> None:
        self._timer = self._deadline = None
        self.wake()

    def halt(self, refused: Refused) -> None:
        """Takes part no more: what this replica would say cannot be relied on."""
        if self.halted is None:
            self.halted = refused
            if self._timer is not None:
                self._timer.cancel()
            self._on_halt(refused)

    @property
    def unsynced(self) -> int:
        """How many records are not durable yet."""
        return self._wal.written - self._durable + len(self._unwritten)
