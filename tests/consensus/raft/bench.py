"""One engine on a bench: the test plays every other replica, the disk and the clock.

The disk writes at once unless the test holds it back, so that most tests need not speak of it. Whatever the engine says
is collected until the test looks; what is addressed to somebody stays a message, decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Committed, Durable, Output, Restore
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.entries import Entry, Kind
from wattquorum.consensus.raft.messages import Append, AskVote, GiveVote, RaftMessage, Stored, from_frame, to_frame
from wattquorum.consensus.raft.records import Appended, Ballot, Base
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import encode
from wattquorum.foundation.quantities import Millis

M = TypeVar("M", bound=RaftMessage)

A, B, C, D, E = EVERYBODY = [bytes([letter]) * 20 for letter in b"abcde"]
DIGEST = bytes(32)


def voters(*powers: int) -> tuple[Voter, ...]:
    """The first members, with these powers."""
    return tuple(map(Voter, EVERYBODY, powers))


def of(*powers: int, version: int = 0, learners: tuple[bytes, ...] = ()) -> Configuration:
    """A configuration of the first members with these powers."""
    return Configuration(version, None, voters(*powers), learners, version, DIGEST if version else b"")


def payload(term: int, data: bytes = b"x") -> Entry:
    return Entry(term, Kind.PAYLOAD, data)


def nothing(term: int) -> Entry:
    return Entry(term, Kind.NOTHING, b"")


def records_of(*kept: Ballot | Appended | Base) -> list[Durable]:
    """Records as a driver found them on its disk."""
    return [Durable(at, encode(record), isinstance(record, Base)) for at, record in enumerate(kept, 1)]


def records_with(terms: Sequence[int], term: int | None = None, vote: bytes = b"") -> list[Durable]:
    """The disk of a replica whose entries have these terms."""
    entries = tuple(payload(each, b"%d" % at) for at, each in enumerate(terms, 1))
    ballot = Ballot(max(terms, default=0) if term is None else term, vote)
    return records_of(ballot, *([Appended(1, entries)] if entries else []))


@dataclass(slots=True)
class Said:
    """A message with its receiver and the position that it waits for."""

    to: bytes
    message: RaftMessage
    after: int


class Bench:
    """The engine of A unless another is named, at time 0."""

    def __init__(
        self,
        configuration: Configuration,
        records: Iterable[Durable] = (),
        *,
        me: bytes = A,
        seed: int = 1,
        applied: int = 0,
        settings: Settings | None = None,
    ) -> None:
        self.records = [*records]
        self.settings = settings or Settings()
        self.engine = Raft(me, configuration, self.records, seed, Millis(0), applied, self.settings)
        self.me, self.now = me, 0
        self.disk_writes = True
        self.output = Output((), (), None, (), (), None, (), None)
        self.committed: list[Committed] = []
        self.restores: list[Restore] = []
        self.reads: list[int] = []
        self._said: list[Said] = []
        self.settle()

    # Inputs, each followed by all that it leads to

    def settle(self) -> None:
        """Drains until nothing is left to do."""
        while True:
            self.output = output = self.engine.drain()
            self.records.extend(output.records)
            self.committed.extend(output.committed)
            self.reads.extend(output.reads)
            self._said.extend(Said(each.to, from_frame(each.data), each.after) for each in output.messages)
            if output.restore is not None:
                self.restores.append(output.restore)
            if not (output.records and self.disk_writes):
                return
            self.engine.persisted(output.records[-1].position, Millis(self.now))

    def write(self) -> None:
        """The disk that was held back writes everything."""
        self.disk_writes = True
        if self.records:
            self.engine.persisted(self.records[-1].position, Millis(self.now))
        self.settle()

    def hear(self, sender: bytes, *messages: RaftMessage) -> None:
        for message in messages:
            self.engine.receive(sender, to_frame(message), Millis(self.now))
        self.settle()

    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.engine.tick(Millis(self.now))
        self.settle()

    def propose(self, *payloads: bytes) -> None:
        self.engine.propose(payloads, Millis(self.now))
        self.settle()

    def apply(self, digest: bytes = DIGEST) -> None:
        """The driver applies all it was given."""
        last = max([each.index for each in self.committed] + [each.index for each in self.restores])
        self.engine.applied(last, digest, Millis(self.now))
        self.settle()

    def know(self, configuration: Configuration) -> None:
        self.engine.reconfigure(configuration, Millis(self.now))
        self.settle()

    # What can be seen

    def said(self, kind: type[M], to: bytes | None = None) -> list[M]:
        """The messages of a kind since the last look; the others stay."""
        found = [each for each in self._said if isinstance(each.message, kind) and to in (None, each.to)]
        self._said = [each for each in self._said if each not in found]
        return [each.message for each in found if isinstance(each.message, kind)]

    def receivers(self, kind: type[M]) -> list[bytes]:
        """To whom messages of a kind went since the last look, in order."""
        found = [each for each in self._said if isinstance(each.message, kind)]
        self._said = [each for each in self._said if each not in found]
        return [each.to for each in found]

    def told(self) -> list[Said]:
        """Everything said since the last look."""
        found, self._said = self._said, []
        return found

    @property
    def deadline(self) -> int:
        assert self.output.deadline is not None
        return self.output.deadline

    @property
    def payloads(self) -> list[bytes]:
        return [each.payload for each in self.committed]

    @property
    def terms(self) -> list[int]:
        return [entry.term for entry in self.engine.log.entries(self.engine.log.first)]

    @property
    def role(self) -> Role:
        return self.engine.role

    def plays(self, role: Role) -> bool:
        """The role as a question, which a type checker does not take as answered for good."""
        return self.engine.role is role

    @property
    def life(self) -> int:
        """What tells its reads from those that it asked before it was restarted."""
        return self.engine._life

    # Whole stories

    @property
    def others(self) -> list[bytes]:
        """Whom its effective configuration names beside itself."""
        effective = self.engine.configuration
        halves = [*(effective.old or ()), *effective.new]
        return [replica for replica in dict.fromkeys(voter.replica for voter in halves) if replica != self.me]

    def campaign(self) -> None:
        """It hears of nobody until it asks whether it would be elected."""
        self.wait(max(self.deadline, self.now + self.settings.election_ms) - self.now)

    def stand(self) -> None:
        """And everybody would elect it: it stands, and asks for votes."""
        self.campaign()
        for other in self.others:
            if self.role is Role.PROSPECT:
                self.hear(other, GiveVote(self.engine.term, self.engine.term + 1, True, True))

    def lead(self, *by: bytes) -> None:
        """It is elected by these others, or by as many as it takes."""
        self.stand()
        for other in by or self.others:
            if self.role is Role.CANDIDATE:
                self.hear(other, GiveVote(self.engine.term, self.engine.term, False, True))
        assert self.role is Role.LEADER

    def reign(self, *by: bytes) -> None:
        """It is elected, and everybody has all that it has."""
        self.lead(*by)
        self.store(*self.others)
        self.told()

    def store(self, *others: bytes, index: int | None = None, round_: int | None = None) -> None:
        """These followers say that they stored everything, or up to an index."""
        for other in others:
            last = self.engine.log.last if index is None else index
            self.hear(other, Stored(self.engine.term, self.round if round_ is None else round_, True, last, 0, 0))

    @property
    def round(self) -> int:
        """The leader's present round."""
        assert self.engine._leadership is not None
        return self.engine._leadership._round

    def follow(self, leader: bytes, term: int, *entries: Entry, committed: int = 0) -> None:
        """It hears from a leader, with entries for the end of its log."""
        log = self.engine.log
        self.hear(leader, Append(term, 1, log.last, log.last_term, committed, entries))


def ask(term: int, index: int = 0, last_term: int = 0, *, pre: bool = False, transfer: bool = False) -> AskVote:
    return AskVote(term, index, last_term, pre, transfer)
