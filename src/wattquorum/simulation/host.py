"""Hosts: one replica with its disk and its clock, as a node would run it.

A host does what a node does and in the same order: it writes records, says that they are durable when a sync ends
(one sync at a time, which covers all that was written before it began), sends what waited for them, and after a crash
puts its replica together from what its disk still holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from wattquorum.consensus.engine import Durable, Engine, Message
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.replica.replica import Replica, Work
from wattquorum.simulation.clock import Clock
from wattquorum.simulation.disk import Disk
from wattquorum.simulation.literal import LiteralRaft

E = TypeVar("E", bound=Engine)
Made_co = TypeVar("Made_co", bound=Engine, covariant=True)


class Plan(Protocol[Made_co]):
    """What all hosts of a world have in common: how a replica is put together from what a disk holds."""

    def start(self, key: SigningKey, records: Sequence[Durable], seed: int, now: Millis) -> tuple[Made_co, Replica]:
        """An engine and the replica that drives it, of the replica with this key."""


class Host(Generic[E]):
    """A machine that runs, is paused, or has crashed. Times are the world's unless they say `local`."""

    __slots__ = (
        "_chance",
        "_plan",
        "_syncing",
        "_waiting",
        "address",
        "clock",
        "crashes",
        "deadline",
        "disk",
        "durable",
        "engine",
        "key",
        "number",
        "paused",
        "paused_until",
        "replica",
        "sync_ms",
        "ticks_at",
    )

    def __init__(
        self, number: int, key: SigningKey, chain_id: bytes, plan: Plan[E], clock: Clock, chance: Chance
    ) -> None:
        self.number = number
        self.address = address_of(chain_id, key.public)
        self.clock = clock
        self.disk = Disk(chain_id)
        self.engine: E | None = None
        self.replica: Replica | None = None
        self.crashes = 0
        self.paused = False
        self.paused_until = 0
        self.durable = 0  # the last position that is
        self.deadline: int | None = None
        self.ticks_at: int | None = None  # when the world lets its clock strike next
        self.sync_ms = (0, 2)  # how long a sync takes, from the shortest to the longest
        self.key = key
        self._plan, self._chance = plan, chance
        self._syncing: int | None = None  # up to which position a sync is under way
        self._waiting: deque[Message] = deque()

    @property
    def runs(self) -> bool:
        """Whether it has not crashed."""
        return self.replica is not None

    def start(self, now: int) -> None:
        """Starts, or starts again from what its disk holds."""
        records = self.disk.read()
        local = Millis(self.clock.read(now))
        self.engine, self.replica = self._plan.start(self.key, records, self._chance.bits(), local)
        self.durable = records[-1].position if records else 0
        self._syncing = None
        self._waiting.clear()
        self.deadline = self.ticks_at = None

    def crash(self) -> None:
        """Loses everything but what its disk keeps."""
        self.disk.crash(self._chance)
        self.engine = self.replica = None
        self.crashes += 1
        self.paused = False

    def work(self, now: int) -> tuple[Work, int | None]:
        """Takes what the replica has to do; writes its records, and tells when a sync that began now ends."""
        assert self.replica is not None
        work = self.replica.drain(Millis(self.clock.read(now)))
        if isinstance(self.engine, LiteralRaft):
            for executed in work.finished:
                self.engine.executed(executed.block)
        if work.records:
            self.disk.write(work.records)
        self._waiting.extend(work.messages)
        self.deadline = None if work.deadline is None else self.clock.when(work.deadline)
        return work, self._begin_sync(now)

    def _begin_sync(self, now: int) -> int | None:
        if self._syncing is not None or self.disk.last <= self.durable:
            return None
        self._syncing = self.disk.last
        return now + self._chance.between(*self.sync_ms)

    def synced(self, now: int) -> int | None:
        """A sync ended: what it covers is durable. Tells when the next ends, if one began."""
        assert self.replica is not None
        assert self._syncing is not None
        self.durable, self._syncing = self._syncing, None
        self.disk.synced(self.durable)
        self.replica.persisted(self.durable, Millis(self.clock.read(now)))
        return self._begin_sync(now)

    def sendable(self) -> list[Message]:
        """The messages that wait for nothing any more."""
        found = [message for message in self._waiting if message.after <= self.durable]
        if found:
            self._waiting = deque(message for message in self._waiting if message.after > self.durable)
        return found
