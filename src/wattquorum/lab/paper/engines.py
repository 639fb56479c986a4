"""Engines: the product's Raft on the same weights and links, beside the fast path.

The fast path knows no messages: who has most weight leads, and a round takes the round trip of the follower that
completes the quorum. Here thirty of the product's own engines exchange frames over links of the same lengths, with
disks that take no time, and nothing is told to them but the weights as their configuration. Where a rank is heard
before the next one's turn comes, both must agree to the microsecond; where it is not, as with the paper's step of 5 ms
over links of 10 to 50, a real election is another thing than a ranking, and this finds out what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

ADDRESS_BYTES: Final = 20
US_PER_MS: Final = 1_000
END_US: Final = 120 * 1_000 * US_PER_MS  # of what a cluster may take to elect somebody
SETTLE_US: Final = 2 * 1_000 * US_PER_MS  # and to bring what it has to everybody
PAYLOAD: Final = b"round"
STANDING: Final = (Role.PROSPECT, Role.CANDIDATE)


class Election(NamedTuple):
    """How a leader came to be."""

    leader: int  # the node's number
    took_us: int  # since nobody was heard any more
    terms: int  # begun, the leader's own among them
    stood: int  # nodes that asked for votes, or whether they would get them


class Commit(NamedTuple):
    """How an entry came to be decided."""

    took_us: int
    valid: tuple[int, ...]  # whose replies completed the quorum, in the order of their arrival


def pace(step_ms: int, election_ms: int) -> Settings:
    """Settings under which each rank waits so much longer than the one before it, whatever a leader measures."""
    return Settings(
        election_ms=election_ms,
        slot_ms=step_ms,
        slot_min_ms=step_ms,
        slot_max_ms=step_ms,
        heartbeat_ms=election_ms // 2,
    )


def address(node: int) -> bytes:
    """A node's address; smaller numbers come first."""
    return node.to_bytes(ADDRESS_BYTES, "big")


class Cluster:
    """Nodes with these votes, linked; time begins at 0 with nobody leading."""

    def __init__(
        self, powers: Sequence[int], round_trips_us: Sequence[Sequence[int]], seed: int, settings: Settings
    ) -> None:
        """`round_trips_us` has a row for each node; a frame takes half of it, an answer the rest."""
        voters = tuple(Voter(address(node), power) for node, power in enumerate(powers, start=1))
        founding = Configuration(0, None, voters, (), 0, b"")
        chance = Chance(seed)
        self.now_us = 0
        self.cut: set[int] = set()  # nobody hears from these nodes, nor they from anybody
        self._silent = False  # what is sent is lost
        self._links = round_trips_us
        self._engines = {
            node: Raft(
                address(node), founding, (), chance.stream(f"engine {node}").bits(), Millis(0), settings=settings
            )
            for node in range(1, len(powers) + 1)
        }
        # When, to whom, from whom or 0 for a tick, in which order, a frame: at one time the smaller number comes first.
        self._events: list[tuple[int, int, int, int, bytes]] = []
        self._order = 0
        self._due = dict.fromkeys(self._engines, -1)  # ms
        self._stood: dict[int, None] = {}
        self._term = 0  # the latest of those who can be reached
        self._leads: int | None = None  # who was last seen to lead
        self._decided: dict[int, tuple[int, tuple[bytes, ...]]] = {}  # by the leader: index, (when, evidence)
        for node in self._engines:
            self._step(node)

    # What happens ---------------------------------------------------------------------------------------------------

    def elect(self) -> Election:
        """Waits until somebody leads whom the latest term knows; Refused("input_unexpected") where nobody does."""
        begun, self._stood = self.now_us, {}
        before = max(engine.term for engine in self._engines.values())
        self._run(lambda: self.leader is not None, begun + END_US)
        leader = self.leader
        if leader is None:
            raise Refused("input_unexpected", "leader", "nobody", f"Nobody was elected within {END_US} us.")
        return Election(leader, self.now_us - begun, self._engines[leader].term - before, len(self._stood))

    def stand_in_vain(self, for_us: int) -> None:
        """Nobody hears anybody for so long: all stand, fail, and draw ever longer waits."""
        end_us, self._silent = self.now_us + for_us, True
        self._run(lambda: False, end_us)
        self.now_us, self._silent = end_us, False

    def settle(self) -> None:
        """Waits until everybody who can be reached has everything and knows it."""
        self._run(self._settled, self.now_us + SETTLE_US)

    def commit(self, leader: int) -> Commit:
        """Has an entry decided by a leader."""
        engine, begun = self._engines[leader], self.now_us
        engine.propose([PAYLOAD], self._now)
        index = engine.log.last
        self._step(leader)
        self._run(lambda: index in self._decided, begun + END_US)
        if index not in self._decided:
            raise Refused("input_unexpected", "index", index, "The entry was not decided.")
        when, evidence = self._decided[index]
        return Commit(when - begun, tuple(int.from_bytes(each, "big") for each in evidence))

    @property
    def leader(self) -> int | None:
        """Who leads the latest term of those who can be reached."""
        if self._leads is None or self._leads in self.cut:
            return None
        engine = self._engines[self._leads]
        return self._leads if engine.role is Role.LEADER and engine.term == self._term else None

    def _settled(self) -> bool:
        leader = self.leader
        if leader is None:
            return False
        last = self._engines[leader].log.last
        return all(e.commit == e.log.last == last for node, e in self._engines.items() if node not in self.cut)

    # Time -----------------------------------------------------------------------------------------------------------

    @property
    def _now(self) -> Millis:
        return Millis(self.now_us // US_PER_MS)

    def _run(self, until: Callable[[], bool], end_us: int) -> None:
        """Lets things happen until something holds, or the end."""
        while not until() and self._events and self._events[0][0] <= end_us:
            self.now_us, node, sender, _, frame = heappop(self._events)
            engine = self._engines[node]
            if sender:
                if node in self.cut or sender in self.cut:
                    continue
                engine.receive(address(sender), frame, self._now)
            elif self._due[node] * US_PER_MS != self.now_us or node in self.cut:
                continue
            else:
                engine.tick(self._now)
            self._step(node)

    def _put(self, when_us: int, node: int, sender: int, frame: bytes) -> None:
        self._order += 1
        heappush(self._events, (when_us, node, sender, self._order, frame))

    def _step(self, node: int) -> None:
        """Does what an engine hands out, until it hands out nothing more."""
        engine = self._engines[node]
        while True:
            if engine.role in STANDING:
                self._stood[node] = None
            out = engine.drain()
            if out.records:
                engine.persisted(out.records[-1].position, self._now)
            for message in out.messages:
                if self._silent:
                    continue
                to = int.from_bytes(message.to, "big")
                self._put(self.now_us + self._one_way(node, to), to, node, message.data)
            for entry in out.committed:
                if engine.role is Role.LEADER:
                    self._decided[entry.index] = self.now_us, entry.evidence
                engine.applied(entry.index, b"", self._now)
            if not (out.records or out.messages or out.committed):
                break
        if node not in self.cut:
            self._term = max(self._term, engine.term)
            if engine.role is Role.LEADER and engine.term == self._term:
                self._leads = node
        due = out.deadline
        if due is not None and due != self._due[node]:
            self._due[node] = max(due, self._now + 1)
            self._put(self._due[node] * US_PER_MS, node, 0, b"")

    def _one_way(self, sender: int, receiver: int) -> int:
        """Half of a round trip, and the rest of it the other way."""
        whole = self._links[sender - 1][receiver - 1]
        return whole // 2 if sender < receiver else whole - whole // 2


def ranked_first(weights: Iterable[int]) -> int:
    """Whom a ranking elects: most weight, ties by number."""
    found = list(weights)
    return found.index(max(found)) + 1
