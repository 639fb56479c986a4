"""Checkers of what Raft promises: every log, every disk and every configuration, after every event (I1 to I6).

They share no code with what they judge but the forms of records and entries and the one predicate of a quorum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.quorum import decides
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_of
from wattquorum.consensus.raft.records import Appended, Ballot, Base, decode_record
from wattquorum.foundation.codec import changed, encode
from wattquorum.ledger.blocks import Header
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.rounds import decode_evidence
from wattquorum.ledger.seats import Seat, Validator
from wattquorum.ledger.state import Table
from wattquorum.simulation.checkers import Checkers, must
from wattquorum.standing.power import total_power


class Decided(NamedTuple):
    """What stands at an index for ever."""

    term: int
    digest: bytes


class Shadow:
    """What a host's disk is known to hold, entry by entry, read from its records alone."""

    __slots__ = ("_unsynced", "ballots", "base", "configurations", "terms", "written_terms")

    def __init__(self) -> None:
        self.base = 0
        self.terms: dict[int, int] = {}  # by index, above the base
        self.written_terms: dict[int, int] = {}  # the same, safe or not, and also below a base
        self.configurations: dict[int, Configuration] = {}  # by index, those of a base and above it, safe or not
        self.ballots: dict[int, bytes] = {}  # for whom it voted, by term
        self._unsynced: list[Durable] = []

    def written(self, durable: Durable) -> None:
        """A record that is not safe yet."""
        self._unsynced.append(durable)
        record = decode_record(durable.data)
        if not isinstance(record, Ballot):
            first = record.first if isinstance(record, Appended) else record.index + 1
            if isinstance(record, Base) and self.written_terms.get(record.index) != record.term:
                self.written_terms = {record.index: record.term}  # another's state in place of this log
            self.written_terms.update((first + at, entry.term) for at, entry in enumerate(record.entries))
            if isinstance(record, Base):
                self.configurations = {record.index: record.configuration}
            self.configurations = {at: each for at, each in self.configurations.items() if at < first}
            for at, entry in enumerate(record.entries, first):
                if entry.kind is Kind.CONFIGURATION:
                    self.configurations[at] = configuration_of(entry)

    @property
    def effective(self) -> Configuration | None:
        """The last configuration that was written; None: none ever was, so that the founding one is in force."""
        return self.configurations[max(self.configurations)] if self.configurations else None

    def synced(self, position: int) -> None:
        """Everything up to this position is safe."""
        while self._unsynced and self._unsynced[0].position <= position:
            self._take(self._unsynced.pop(0))

    def restarted(self, records: list[Durable]) -> None:
        """The disk turned out to hold this. Votes that were safe are there."""
        before = self.ballots
        self.base, self.terms, self.ballots, self._unsynced = 0, {}, dict(before), []
        self.written_terms, self.configurations = {}, {}
        for record in records:
            self.written(record)
            self._take(record)
        self._unsynced = []

    def _take(self, durable: Durable) -> None:
        match decode_record(durable.data):
            case Ballot(term, vote):
                self._vote(term, vote)
            case Appended(first, entries):
                for index in [index for index in self.terms if index >= first]:
                    del self.terms[index]
                self.terms.update((first + at, entry.term) for at, entry in enumerate(entries))
            case Base() as base:
                self._vote(base.ballot.term, base.ballot.vote)
                self.base = base.index
                self.terms = {base.index + 1 + at: entry.term for at, entry in enumerate(base.entries)}

    def _vote(self, term: int, vote: bytes) -> None:
        if vote:
            before = self.ballots.setdefault(term, vote)
            must(before == vote, "I1", f"two durable votes in term {term}")

    def has(self, index: int, term: int) -> bool:
        """Whether the entry of this term at this index is safe here; a base stands for everything below it."""
        return index <= self.base or self.terms.get(index) == term


class RaftCheckers(Checkers):
    """Everything that must hold, over all hosts of a world on Raft."""

    __slots__ = (
        "_addresses",
        "_checked",
        "_committed",
        "_configured",
        "_decided_in",
        "_effective_before",
        "_entries",
        "_evidenced",
        "_founding",
        "_installs",
        "_joint",
        "_leaders",
        "_led",
        "_proposed",
        "_versions",
        "shadows",
    )

    def __init__(self, ledger: Ledger, addresses: Sequence[bytes], *, joint: bool) -> None:
        """`joint`: configurations stand in entries, so that I4 to I6 and the quorums behind a commit can be judged."""
        super().__init__(ledger)
        self._joint = joint
        self._addresses = addresses  # of the hosts
        self._leaders: dict[int, bytes] = {}  # by term
        self._led: dict[tuple[int, int], None] = {}  # (host, term) whose leader was checked
        self._entries: dict[tuple[int, int], tuple[bytes, int]] = {}  # (index, term): digest, term before it
        self._committed: list[Decided] = [Decided(0, b"")]  # by index
        self._decided_in = [0]  # by index, the term whose leader committed it
        self._checked: list[int] = [0] * len(addresses)  # up to which index each host's commits were compared
        self._effective_before: dict[int, Configuration] = {}  # by host, after its last step
        self._evidenced = 0  # the last height of which evidence was told
        self._versions: dict[int, None] = {}
        self._founding = ledger.configuration
        self._proposed: dict[tuple[int, int], Configuration] = {}  # by index and term of its entry
        self._configured: dict[int, Configuration] = {}  # those that are committed, by index
        self._installs: dict[tuple[int, int], int] = {}  # (index, term) of an entry: the version that it installs
        self.shadows = [Shadow() for _ in addresses]

    @property
    def changes(self) -> int:
        """How many configurations were in force after the first, joint ones not counted."""
        return len(self._versions)

    @property
    def elections(self) -> int:
        """How many terms had a leader."""
        return len(self._leaders)

    # Engines -----------------------------------------------------------------------------------------------------

    def restarted(self, host: int, engine: Raft, records: list[Durable]) -> None:
        """A host came back with what its disk held."""
        self.shadows[host].restarted(records)
        self._checked[host] = engine.log.first - 1
        self._effective_before[host] = engine.configuration
        self._effective(host, engine)

    def stepped(self, host: int, engine: Raft, address: bytes, records: tuple[Durable, ...]) -> None:
        """A host's engine took an input, and these records came out."""
        for durable in records:
            self._entered(host, durable)
            self.shadows[host].written(durable)
        self._effective(host, engine)
        self._commits(host, engine)
        for durable in records:
            self._based(durable)
        self._recorded(engine, records)
        if engine.role is Role.LEADER:
            self._leads(host, engine, address)
        self._effective_before[host] = engine.configuration

    def _leads(self, host: int, engine: Raft, address: bytes) -> None:
        """I1: one leader in a term. I3: it has everything that was committed in terms before its own.

        One that learns late of its election may lead an old term while a later one has decided more.
        """
        if (host, engine.term) in self._led:
            return
        self._led[host, engine.term] = None
        in_force = [each for at, each in engine.log.configurations if at > engine.commit]
        in_force.append(engine.log.configuration_at(engine.commit))
        weighed = any(voter.replica == address and voter.power for each in in_force for voter in _voters(each))
        must(weighed, "I1", f"the leader of term {engine.term} has no power in any configuration that may be in force")
        first = self._leaders.setdefault(engine.term, address)
        must(first == address, "I1", f"term {engine.term} has two leaders")
        last = len(self._decided_in) - 1
        while last and self._decided_in[last] >= engine.term:
            last -= 1
        held = last < engine.log.first or engine.log.term_at(last) == self._committed[last].term
        must(held, "I3", f"the leader of term {engine.term} lacks entry {last}, which is committed")

    def _entered(self, host: int, durable: Durable) -> None:
        """I2: an index and a term name one entry, and what comes before it."""
        record = decode_record(durable.data)
        if isinstance(record, Ballot):
            return
        first = record.first if isinstance(record, Appended) else record.index + 1
        before = self.shadows[host].written_terms.get(first - 1, 0) if isinstance(record, Appended) else record.term
        for index, entry in enumerate(record.entries, first):
            known = self._entries.setdefault((index, entry.term), (_digest(entry), before))
            must(known == (_digest(entry), before), "I2", f"entry {index} of term {entry.term} differs between logs")
            before = entry.term

    def _recorded(self, engine: Raft, records: tuple[Durable, ...]) -> None:
        """I4 and I5 where the log changed."""
        for durable in records:
            record = decode_record(durable.data)
            if isinstance(record, Ballot):
                continue
            first = record.first if isinstance(record, Appended) else record.index + 1
            for at, entry in enumerate(record.entries, first):
                if entry.kind is Kind.CONFIGURATION and engine.log.term_at(at) == entry.term and at >= engine.log.first:
                    self._changes(engine, at, entry.term, configuration_of(entry))

    def _effective(self, host: int, engine: Raft) -> None:
        """I4: the effective configuration is the last that was written, by the records alone."""
        if self._joint:
            found = self.shadows[host].effective or self._founding
            version = engine.configuration.version
            must(engine.configuration == found, "I4", f"version {version} is effective, and not the last")

    def _based(self, durable: Durable) -> None:
        """I4: a snapshot has the last configuration that was committed at or below its entry."""
        record = decode_record(durable.data)
        if self._joint and isinstance(record, Base):
            below = [at for at in self._configured if at <= record.index]
            found = self._configured[max(below)] if below else self._founding
            must(record.configuration == found, "I4", f"a snapshot at {record.index} has another configuration")

    def _changes(self, engine: Raft, index: int, term: int, after: Configuration) -> None:
        """I5: a change is joint, begins when the one before it is committed, and ends when the joint one is."""
        at, before = next(pair for pair in reversed(engine.log.configurations) if pair[0] < index)
        if before.old is not None:
            lawful = after.old is None and after.new == before.new
        else:
            lawful = after.old == before.new or (after.old is None and after.new == before.new)
        must(lawful, "I5", f"entry {index} leads from version {before.version} to {after.version} at once")
        committed = at < engine.log.first or (
            at < len(self._committed) and self._committed[at].term == engine.log.term_at(at)
        )
        must(committed, "I5", f"entry {index} changes the configuration while entry {at} does")
        if before.old is not None:
            stands = max((each for each in self._configured if each <= at), default=at)  # below a snapshot, maybe
            both = decides(before, self._holders(stands, self._committed[stands].term))
            must(both, "I5", f"entry {index} ends the change of entry {stands}, which one half of it lacks")
        self._powers(after)
        self._proposed[index, term] = after
        if after.old is None:
            self._installs[index, term] = after.version

    def _powers(self, configuration: Configuration) -> None:
        """I6, as far as a configuration shows it: as many as may be lost stop nobody, and the total is exact."""
        powers = sorted((voter.power for voter in configuration.new), reverse=True)
        most = powers[: lost_at_most(self.parameters, len(powers))]
        must(2 * sum(most) < sum(powers), "I6", f"{len(most)} voters hold {sum(most)} of {sum(powers)}")
        total = len(powers) if max(powers) == 1 else total_power(len(powers))
        must(sum(powers) == total, "I6", f"powers add up to {sum(powers)} and not to {total}")

    def _commits(self, host: int, engine: Raft) -> None:
        """I3: what is committed never changes, and when it becomes so a quorum's disks have it."""
        log = engine.log
        for index in range(self._checked[host] + 1, engine.commit + 1):
            term = log.term_at(index) if index >= log.first else self.shadows[host].written_terms.get(index)
            if term is None:
                continue  # came with the snapshot that covers it; blocks tell whether it is the same (I7)
            entry, _ = self._entries[index, term]
            decided = Decided(term, entry)
            if index < len(self._committed):
                known = self._committed[index]
                must(known == decided, "I3", f"entry {index} was committed in term {known.term} and is another now")
                continue
            must(index == len(self._committed), "I3", f"entry {index} is committed before the one below it")
            self._committed.append(decided)
            self._decided_in.append(engine.term)
            if (index, term) in self._proposed:
                self._configured[index] = self._proposed[index, term]
            if (index, term) in self._installs:
                self._versions[self._installs[index, term]] = None
        if self._joint and engine.commit > self._checked[host] and engine.role is Role.LEADER:
            self._stands_on_disks(host, engine)
        self._checked[host] = max(self._checked[host], engine.commit)

    def _stands_on_disks(self, host: int, engine: Raft) -> None:
        """Under the configuration in force: the next one may have been appended since, because of this very commit."""
        index, term = engine.commit, self._committed[engine.commit].term
        holders = self._holders(index, term)
        enough = any(decides(each, holders) for each in (self._effective_before[host], engine.configuration))
        must(enough, "I3", f"entry {index} is committed and on {len(holders)} disks alone")

    def _holders(self, index: int, term: int) -> list[bytes]:
        """Whose disks have an entry for sure."""
        return [self._addresses[host] for host, shadow in enumerate(self.shadows) if shadow.has(index, term)]

    # Ledgers --------------------------------------------------------------------------------------------------------

    def _seated(self, ledger: Ledger) -> None:
        """I5: the newest vector seats at once who was given a seat, and nobody votes who did not ask for it."""
        voting = [voter.replica for voter in ledger.configuration.new]
        seats: list[tuple[bytes, Validator]] = list(ledger.state.items(Table.VALIDATOR))
        for seat, named in ((Seat.VOTER, voting), (Seat.LEARNER, [*ledger.configuration.learners])):
            due = [replica for replica, each in seats if each.seat is seat]
            must(named == due, "I5", f"{len(due)} replicas have the seat of a {seat.name}, and {len(named)} are named")
        uncalled = sum(replica not in self._asked_to_vote for replica in voting)
        must(not uncalled, "I5", f"{uncalled} voters never asked for it")

    def _ordered(self, ledger: Ledger, newest: Configuration) -> None:
        """I6: who has more standing has no less power. Standing is participation here, of who has a member."""
        seats: dict[bytes, Validator] = dict(ledger.state.items(Table.VALIDATOR))
        by_weight = sorted(
            (seats[voter.replica].participation if seats[voter.replica].member else 0, voter.power)
            for voter in newest.new
        )
        for (lighter, less), (heavier, more) in pairwise(by_weight):
            must(less <= more or lighter == heavier, "I6", f"{heavier} points have {more} of power, {lighter} {less}")

    def _proven(self, header: Header) -> None:
        """I7: evidence is of a block of the same leader and term, and of the shape that execution asks for (A-12)."""
        proposer = self._rounds[header.height][0]
        if not self._joint or not header.evidence:
            return
        told = decode_evidence(header.evidence)
        of, round_ = self._rounds[told.height]
        must((of, round_.term) == (proposer, header.round.term), "I7", f"evidence of another's block {told.height}")
        must(self._evidenced < told.height, "I7", f"evidence of block {told.height} is told twice")
        self._evidenced = told.height
        if round_.old not in self._vectors or round_.new not in self._vectors:
            return  # nobody stood at the block that made it when it was executed first
        configuration = self._vectors[round_.new]
        if round_.old != round_.new:
            configuration = changed(configuration, old=self._vectors[round_.old].new)
        named = [of, *told.followers]
        distinct = len(dict.fromkeys(named)) == len(named)
        enough = decides(configuration, named) and not (told.followers and decides(configuration, named[:-1]))
        must(distinct and enough, "I7", f"evidence of block {told.height} is not of the shape of a round")


def lost_at_most(parameters: Parameters, voters: int) -> int:
    """How many of so many voters may fail at once; said here once more, so that the ledger is not its own judge."""
    if parameters.voters_lost:
        return min(parameters.voters_lost, (voters - 1) // 2)
    return max(1, (voters - 1) // 3) if voters >= 3 else 0


def _voters(configuration: Configuration) -> tuple[Voter, ...]:
    return (*(configuration.old or ()), *configuration.new)


def _digest(entry: Entry) -> bytes:
    return hashlib.sha256(encode(entry)).digest()
