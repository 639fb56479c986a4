"""A world that moves in steps: Raft replicas whose messages, disks and clock do only what they are told.

Messages wait in links until somebody delivers or loses them; a disk that stalls keeps its records unwritten, and a
crash loses those; the clock stands still until it is moved. So a test can put a cluster into exactly the state that a
rule was made for. After every step the world checks what must hold whatever happens (PROTOCOLS, part 4): one leader in
a term, one entry at an index and term and one before it, and what was committed anywhere is committed everywhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Committed, Durable, Message, Restore
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_of
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

ADDRESS_BYTES: Final = 20
SEPARATOR: Final = b"\n"  # between the payloads of a state
ROUNDS_MAX: Final = 10_000  # of deliveries that follow from each other; more is an exchange without an end

Link = tuple[str, str]  # from, to


def address_of(name: str) -> bytes:
    """The address of the replica with this one-letter name."""
    return name.encode() * ADDRESS_BYTES


def name_of(address: bytes) -> str:
    """The name of the replica with this address."""
    return address[:1].decode()


class Replica:
    """An engine with its disk and the state that its driver has: the payloads that were applied, in order."""

    __slots__ = (
        "applied",
        "committed",
        "deadline",
        "decided",
        "disk",
        "engine",
        "held",
        "name",
        "reads",
        "stalled",
        "unwritten",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.engine: Raft | None = None  # None: it is down
        self.disk: list[Durable] = []
        self.unwritten: list[Durable] = []
        self.held: list[Message] = []  # until the records are written that they wait for
        self.decided: list[Restore | Committed] = []  # to be applied when everything before it is written
        self.stalled = False
        self.deadline = 0
        self.applied: list[bytes] = []
        self.committed: dict[bytes, Committed] = {}  # what it told since it started, by payload
        self.reads: list[int] = []  # answered


class World:
    """Replicas, the links between them, and one clock."""

    __slots__ = (
        "_committed",
        "_engine_of",
        "_entries",
        "_founding",
        "_halted",
        "_known",
        "_leaders",
        "broken",
        "cuts",
        "links",
        "now",
        "replicas",
        "settings",
    )

    def __init__(self, founding: Configuration, settings: Settings, engine_of: type[Raft] = Raft) -> None:
        """Of replicas with another engine than `Raft` it is noted what breaks, and everything goes on."""
        self._founding, self.settings, self._engine_of = founding, settings, engine_of
        self.broken: list[str] = []
        self.now = 0
        self.replicas: dict[str, Replica] = {}
        self.links: dict[Link, deque[bytes]] = {}
        self.cuts: set[Link] = set()  # what is sent there is lost
        self._known: dict[str, list[Configuration]] = {}  # what each computed, in order
        self._halted: dict[str, Refused] = {}
        self._leaders: dict[int, str] = {}
        self._entries: dict[tuple[int, int], tuple[Entry, int | None]] = {}
        self._committed: dict[int, tuple[int, bytes]] = {}

    # Replicas -------------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Starts a replica, new or with what its disk has; its driver has no state but that of the last snapshot."""
        replica = self.replicas.setdefault(name, Replica(name))
        replica.applied, replica.committed, replica.reads = [], {}, []
        replica.engine = self._engine_of(
            address_of(name), self._founding, replica.disk, ord(name), Millis(self.now), settings=self.settings
        )
        for configuration in self._known.get(name, ()):
            replica.engine.reconfigure(configuration, Millis(self.now))
        self._settle(replica)

    def crash(self, name: str) -> None:
        """Stops a replica: what it had not written is gone, and what waited for it is never sent."""
        replica = self.replicas[name]
        replica.engine, replica.stalled = None, False
        replica.unwritten, replica.held, replica.decided = [], [], []

    def engine(self, name: str) -> Raft:
        """The engine of a replica that is up."""
        engine = self.replicas[name].engine
        if engine is None:
            raise ValueError(f"{name} is down")
        return engine

    def up(self) -> list[Replica]:
        """The replicas that are up, by name."""
        return [replica for _, replica in sorted(self.replicas.items()) if replica.engine is not None]

    def leaders(self) -> list[str]:
        """Who believes to lead, by name."""
        return [replica.name for replica in self.up() if self.engine(replica.name).role is Role.LEADER]

    def halted(self, name: str) -> Refused | None:
        """Why a replica stopped itself, if it did."""
        return self._halted.get(name)

    def compute(self, name: str, configuration: Configuration) -> None:
        """A replica's driver computes the next configuration, now and again after every restart."""
        self._known.setdefault(name, []).append(configuration)
        self.tell(name, lambda engine: engine.reconfigure(configuration, Millis(self.now)))

    def tell(self, name: str, input_: Callable[[Raft], None]) -> None:
        """Gives an input to a replica and does all that it leads to there. One that finds itself diverged stops."""
        replica = self.replicas[name]
        if replica.engine is None:
            return
        try:
            input_(replica.engine)
            self._settle(replica)
        except Refused as refused:
            if refused.code != "diverged":
                raise
            self._halted[name] = refused
            self.crash(name)

    def stall(self, name: str, *, stalled: bool) -> None:
        """Holds a replica's disk back, or lets it write what it was given meanwhile."""
        replica = self.replicas[name]
        replica.stalled = stalled
        if replica.engine is not None:
            self._settle(replica)

    # One step -------------------------------------------------------------------------------------------------------

    def _settle(self, replica: Replica) -> None:
        """Drains an engine and does what it says until it says nothing more."""
        engine = replica.engine
        assert engine is not None
        while True:
            output = engine.drain()
            replica.unwritten += output.records
            replica.held += output.messages
            replica.decided += [output.restore] if output.restore is not None else []
            replica.decided += output.committed
            replica.reads += output.reads
            assert output.deadline is not None
            replica.deadline = output.deadline
            wrote = self._write(replica, engine)
            self._send(replica)
            applied = self._apply(replica, engine)
            if not (wrote or applied):
                break
        self._check(replica, engine)

    def _write(self, replica: Replica, engine: Raft) -> bool:
        if replica.stalled or not replica.unwritten:
            return False
        replica.disk += replica.unwritten
        replica.unwritten = []
        origins = [at for at, record in enumerate(replica.disk) if record.origin]
        del replica.disk[: origins[-1] if origins else 0]
        engine.persisted(replica.disk[-1].position, Millis(self.now))
        return True

    def _send(self, replica: Replica) -> None:
        written = replica.disk[-1].position if replica.disk else 0
        for message in replica.held:
            link = replica.name, name_of(message.to)
            if message.after <= written and link not in self.cuts:
                self.links.setdefault(link, deque()).append(message.data)
        replica.held = [message for message in replica.held if message.after > written]

    def _apply(self, replica: Replica, engine: Raft) -> bool:
        decided = replica.decided if not replica.unwritten else []
        for each in decided:
            if isinstance(each, Restore):
                replica.applied = each.state.split(SEPARATOR) if each.state else []
            else:
                replica.applied.append(each.payload)
                replica.committed[each.payload] = each
                first = self._committed.setdefault(each.index, (each.term, each.payload))
                self._hold(first == (each.term, each.payload), f"{replica.name} commits another {each.index}")
        if decided:
            replica.decided = []
            engine.applied(decided[-1].index, b"", Millis(self.now))
        return bool(decided)

    def _check(self, replica: Replica, engine: Raft) -> None:
        if engine.role is Role.LEADER:
            first = self._leaders.setdefault(engine.term, replica.name)
            self._hold(first == replica.name, f"{first} and {replica.name} lead term {engine.term}")
        log = engine.log
        for index in range(log.first, log.last + 1):
            found = log.entry(index), log.term_at(index - 1)
            known = self._entries.setdefault((index, found[0].term), found)
            self._hold(found == known, f"the logs differ at {index} or before it, {replica.name}'s from another's")
        at, effective = log.configurations[0]
        for index in range(log.first, log.last + 1):
            if log.entry(index).kind is Kind.CONFIGURATION:
                at, effective = index, configuration_of(log.entry(index))
        self._hold(
            self._engine_of is not Raft or (log.configured_at, engine.configuration) == (at, effective),
            f"{replica.name} is not under the last configuration that it has",
        )

    def snapshot(self, name: str) -> None:
        """A replica takes a snapshot of all that it has applied."""
        replica = self.replicas[name]
        state = SEPARATOR.join(replica.applied)
        self.tell(name, lambda engine: engine.snapshot(engine.commit, state, Millis(self.now)))

    # Links ----------------------------------------------------------------------------------------------------------

    def deliver(self, links: Collection[Link]) -> bool:
        """Delivers the next frame on each of these links. Tells whether there was any."""
        found = [link for link in sorted(links) if self.links.get(link)]
        for link in found:
            frame = self.links[link].popleft()
            sender, receiver = link
            if receiver in self.replicas:
                self._receive(sender, receiver, frame)
        return bool(found)

    def _receive(self, sender: str, receiver: str, frame: bytes) -> None:
        self.tell(receiver, lambda engine: engine.receive(address_of(sender), frame, Millis(self.now)))

    def deliver_all(self, but: Collection[Link] = ()) -> None:
        """Delivers everything, and what is said to that, until all is quiet; but nothing on some links."""
        for _ in range(ROUNDS_MAX):
            if not self.deliver([link for link in self.links if link not in but]):
                return
        raise AssertionError("an exchange without an end")

    def lose(self, links: Collection[Link]) -> None:
        """Loses what is under way on these links."""
        for link in links:
            self.links.pop(link, None)

    def beat(self, but: Collection[Link] = ()) -> None:
        """Everything is delivered, and then a round of heartbeats by which followers learn what is committed."""
        self.deliver_all(but)
        self.now += self.settings.heartbeat_ms
        for name in self.leaders():
            self.tick(name)
        self.deliver_all(but)

    # Time -----------------------------------------------------------------------------------------------------------

    def tick(self, name: str) -> None:
        """A replica looks at the clock."""
        self.tell(name, lambda engine: engine.tick(Millis(self.now)))

    def campaign(self, name: str) -> None:
        """Nobody hears of anybody for so long that this replica, and it alone, asks to be elected."""
        self.now = max(self.now + self.settings.election_ms, self.replicas[name].deadline)
        self.tick(name)

    def run(self, milliseconds: int, only: Sequence[str] | None = None, *, silent: bool = False) -> None:
        """Time passes: everybody up, or only some, acts when it is due, and what is said arrives at once if at all."""
        end = self.now + milliseconds
        while True:
            if not silent:
                self.deliver_all()
            acting = [replica for replica in self.up() if only is None or replica.name in only]
            due, name = min(((replica.deadline, replica.name) for replica in acting), default=(end + 1, ""))
            if due > end:
                break
            self.now = max(self.now, due)
            self.tick(name)
        self.now = end

    def _hold(self, holds: bool, otherwise: str) -> None:
        if holds:
            return
        if self._engine_of is Raft:
            raise AssertionError(otherwise)
        if otherwise not in self.broken:
            self.broken.append(otherwise)
