"""The course of events: hosts and the network between them, in one heap ordered by time and then by when it was put.

It is what every simulated world has, whatever its purpose: hosts start, get frames, hear their clocks strike and their
disks finish, and do what their replicas want done. Who makes a world of it says what else happens there and looks at
what the hosts did.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple

from wattquorum.foundation.quantities import Millis
from wattquorum.replica.replica import Work
from wattquorum.simulation.host import E, Host
from wattquorum.simulation.network import Network


class Event(NamedTuple):
    """Something that happens at a time. Of one kind, at one host or none, about something."""

    at: int
    order: int
    kind: str
    host: int
    what: Any


class Course(Generic[E]):
    """What happens, from the world's time 0 on [ms]. A kind of event is a method `_on_<kind>`."""

    def __init__(self, hosts: Sequence[Host[E]], network: Network) -> None:
        self.now = 0
        self.hosts = list(hosts)
        self.network = network
        self.by_address = {host.address: host for host in hosts}
        self._heap: list[Event] = []
        self._order = 0

    # Time -----------------------------------------------------------------------------------------------------------

    def put(self, at: int, kind: str, host: int = -1, what: Any = None) -> None:
        """Lets something happen later."""
        self._order += 1
        heapq.heappush(self._heap, Event(at, self._order, kind, host, what))

    def happen_until(self, end: int) -> None:
        """Everything that happens before a time."""
        while self._heap and self._heap[0].at < end:
            self._happen(heapq.heappop(self._heap))
        self.now = end

    def happen_next(self) -> None:
        """The next event; there is one as long as a host runs, whose clock strikes."""
        self._happen(heapq.heappop(self._heap))

    def _happen(self, event: Event) -> None:
        host = self.hosts[event.host] if event.host >= 0 else None
        if host is not None and host.paused and event.kind not in ("resume", "crash"):
            self.put(max(host.paused_until, event.at + 1), event.kind, event.host, event.what)
            return
        self.now = event.at
        self._note(event)
        getattr(self, f"_on_{event.kind}")(host, event.what)

    def local(self, host: Host[E]) -> Millis:
        """What a host's clock shows now."""
        return Millis(host.clock.read(self.now))

    # What happens at hosts ------------------------------------------------------------------------------------------

    def _on_start(self, host: Host[E], _: None) -> None:
        if host.runs:
            return
        host.start(self.now)
        self._started(host)
        self._step(host)

    def _on_frame(self, host: Host[E], what: tuple[int, int, bytes]) -> None:
        sender, _, frame = what
        if host.replica is not None and self.network.reaches(sender, host.number):
            host.replica.receive(self.hosts[sender].address, frame, self.local(host))
            self._step(host)

    def _on_tick(self, host: Host[E], life: int) -> None:
        if host.replica is None or life != host.crashes or host.ticks_at != self.now:
            return  # of a former life, or an earlier one has been put since
        host.ticks_at = None
        host.replica.turn(self.local(host))
        self._step(host)

    def _on_synced(self, host: Host[E], life: int) -> None:
        if host.runs and life == host.crashes:
            following = host.synced(self.now)
            self._kept(host)
            if following is not None:
                self.put(following, "synced", host.number, life)
            self._step(host)

    def _step(self, host: Host[E]) -> None:
        """Does what a host has to do after an input."""
        work, synced_at = host.work(self.now)
        self._did(host, work)
        if synced_at is not None:
            self.put(synced_at, "synced", host.number, host.crashes)
        for message in host.sendable():
            self._send(host, message.to, message.data)
        if host.deadline is not None and (host.ticks_at is None or host.deadline < host.ticks_at):
            host.ticks_at = max(host.deadline, self.now + 1)
            self.put(host.ticks_at, "tick", host.number, host.crashes)

    def _send(self, host: Host[E], to: bytes, frame: bytes) -> None:
        """A frame of a host's leaves it."""
        self._carry(host.number, self.by_address[to].number, frame)

    def _carry(self, sender: int, receiver: int, frame: bytes) -> None:
        for at in self.network.arrivals(sender, receiver, self.now):
            self.put(at, "frame", receiver, (sender, receiver, frame))

    # What a world makes of it ---------------------------------------------------------------------------------------

    def _note(self, event: Event) -> None:
        """Something is about to happen."""

    def _started(self, host: Host[E]) -> None:
        """A host put its replica together from its disk."""

    def _kept(self, host: Host[E]) -> None:
        """A host's disk finished a sync."""

    def _did(self, host: Host[E], work: Work) -> None:
        """A host has drained its replica; nothing of what it does has left it yet."""
