"""Raft: the engine whose quorums are weighted, and with equal powers the plain one.

Document A lets a replica's standing carry its vote. Here a vote is worth the power that the effective configuration
gives, never what a replica says of itself, and configurations change by joint entries alone; so weights decide who
leads and what completes a quorum, and can lose nothing (PROTOCOLS, parts 1, 2). The rest is Raft (Ongaro and
Ousterhout 2014; Ongaro's thesis for pre-vote, check-quorum, transfer and read index), section numbers beside the rules.

Three roles, and one writer for each piece of state: this class owns term, vote, role and what is committed and
applied; `Log` the entries and their configurations; `Leadership` whatever only a leader knows; `Outbox` what is to be
said and kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

from wattquorum.consensus.configuration import Configuration, check, may_lead, ranked
from wattquorum.consensus.engine import Committed, Durable, Output, Restore, Wanted
from wattquorum.consensus.quorum import Verdict, vote_result
from wattquorum.consensus.raft.entries import Entry, Kind
from wattquorum.consensus.raft.leadership import Leadership
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.messages import (
    Append,
    AskRead,
    AskVote,
    Campaign,
    Chunk,
    Chunked,
    GiveRead,
    GiveVote,
    Stored,
    from_frame,
)
from wattquorum.consensus.raft.outbox import Outbox
from wattquorum.consensus.raft.records import Ballot, Base, kept
from wattquorum.consensus.raft.settings import Settings
from wattquorum.consensus.raft.slots import Slots
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

NOBODY: Final = b""
BACKOFF_MAX: Final = 8  # times all slots that a candidate which keeps failing draws from at most
TERM_STEP_MAX: Final = 1 << 32  # no elections raise a term so far at once, and one near the last could not be kept


class Role(Enum):
    """What a replica is in its term."""

    FOLLOWER = "follower"
    PROSPECT = "prospect"  # asks whether it would be elected, and has not raised its term for it
    CANDIDATE = "candidate"
    LEADER = "leader"


class Raft:
    """An `Engine` that agrees with others by weighted votes, and survives the crash of any minority of power."""

    __slots__ = (
        "_applied",
        "_asked_ms",
        "_ballot",
        "_base",
        "_campaign_ms",
        "_chance",
        "_commit",
        "_demanded",
        "_durable",
        "_evidence",
        "_failures",
        "_handed",
        "_heard_ms",
        "_heaviest",
        "_incoming",
        "_known",
        "_leader",
        "_leadership",
        "_life",
        "_log",
        "_me",
        "_now",
        "_outbox",
        "_pending",
        "_quorum_ms",
        "_ranked",
        "_reads",
        "_ready",
        "_restore",
        "_role",
        "_settings",
        "_slots",
        "_unanswered",
        "_votes",
        "oversized",
    )

    leadership_of = Leadership

    def __init__(
        self,
        me: bytes,
        founding: Configuration,
        records: Iterable[Durable],
        seed: int,
        now: Millis,
        applied: int = 0,
        settings: Settings | None = None,
    ) -> None:
        """Starts or restarts as a follower.

        `founding` is the chain's first configuration, `records` are the durable ones from the last origin on or from
        the beginning. `applied` is the last index whose effect the driver still has: of nothing that is committed up
        to there it hears again. Raises Refused("input_unexpected") for records with a gap, or that end below it.
        """
        check(founding)
        ballot, log, base, position = kept(records, founding)
        if applied > log.last:
            raise Refused("input_unexpected", "applied", applied, f"The records end with entry {log.last}.")
        self._me = me
        self._settings = settings or Settings()
        self._slots = Slots(self._settings)
        self._chance = Chance(seed)
        self._now = int(now)
        self._ballot, self._log, self._base = ballot, log, base
        self._outbox = Outbox(position)
        self._commit = max(applied, base.index if base else 0)
        self._applied = self._handed = applied
        self._restore: Restore | None = None
        if base is not None and base.index > applied:
            self._restore = Restore(base.index, base.state)
            self._handed = base.index
        self._durable = log.last
        self._pending: deque[tuple[int, int, int]] = deque()  # (position, last index, term voted in for itself)
        self._role = Role.FOLLOWER
        self._leader = NOBODY
        self._leadership: Leadership | None = None
        self._votes: dict[bytes, bool] = {}
        self._heard_ms = self._now  # it may have promised a leader to vote for nobody else for a while
        self._failures = 0
        self._campaign_ms = 0
        self._incoming: tuple[Chunk, bytearray] | None = None
        self.oversized = 0  # bytes of the snapshot that it would need and may not take; 0: there is none
        self._evidence: dict[int, tuple[bytes, ...]] = {}
        self._demanded = False
        self._reads: deque[int] = deque()  # asked here, not asked of a leader yet
        self._unanswered: dict[int, None] = {}  # asked of the leader
        self._asked_ms = self._now  # when it was asked last
        # Answers to reads of its former lives may still be under way, and its driver may count reads from 1 again.
        self._life = Chance(seed).stream(f"life from {position} at {self._now}").bits() >> 1
        self._ready: deque[tuple[int, int]] = deque()  # (index to be applied first, read)
        self._known: dict[int, Configuration] = {}  # what the driver computed, by version
        self._ranked: tuple[Configuration, bytes, list[bytes]] = founding, NOBODY, ranked(founding)
        self._quorum_ms: int | None = None  # what a leader told last of a quorum's clocks
        self._heaviest: tuple[bytes, int] = (NOBODY, 0)  # and for how many installed configurations
        self._wait_for_campaign()

    # What can be seen -----------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> Configuration:
        """The effective configuration: the last in the log or below it the snapshot's, committed or not."""
        return self._log.configuration

    @property
    def role(self) -> Role:
        """What this replica is in its term."""
        return self._role

    @property
    def leader(self) -> bytes:
        """Who leads the term as far as this replica knows; empty where it knows of nobody."""
        return self._leader

    @property
    def term(self) -> int:
        """The term it is in."""
        return self._ballot.term

    @property
    def commit(self) -> int:
        """The last index that it knows to be committed."""
        return self._commit

    @property
    def takes(self) -> bool:
        """Whether it leads, and neither hands over nor leaves."""
        return self._leadership is not None and self._leadership.takes

    @property
    def quorum_ms(self) -> int | None:
        """What a quorum's clocks have reached, as far as is known here: a leader compares them, others are told by it.

        A new leader begins with 0, so that its own clock alone moves nothing. None: nobody told it since it started.
        """
        return self._leadership.quorum_ms if self._leadership is not None else self._quorum_ms

    @property
    def log(self) -> Log:
        """The log, for who checks it; only the engine changes it."""
        return self._log

    # Inputs ---------------------------------------------------------------------------------------------------------

    def receive(self, sender: bytes, frame: bytes, now: Millis, /) -> None:
        """A frame from another replica. One that no correct replica can have sent is dropped."""
        self._now = int(now)
        try:
            message = from_frame(frame)
        except Refused:
            return
        if message.term > self.term + TERM_STEP_MAX:
            return
        match message:
            case AskVote():
                self._asked_for_vote(sender, message)
            case GiveVote():
                self._got_vote(sender, message)
            case Append():
                self._append(sender, message)
            case Stored() | Chunked():
                self._answered(sender, message)
            case Chunk():
                self._chunk(sender, message)
            case Campaign():
                if message.term == self.term and sender == self._leader and self._may_stand():
                    self._campaign(transfer=True)
            case AskRead():
                if self._leadership is not None and message.term == self.term:
                    self._ask_read(message.read, sender, message.life)
            case GiveRead():
                own = (message.term, message.life) == (self.term, self._life) and sender == self._leader
                if own and message.read in self._unanswered:
                    del self._unanswered[message.read]
                    self._ready.append((message.index, message.read))

    def propose(self, payloads: Sequence[bytes], now: Millis, /) -> None:
        """Appends the payloads if this replica leads and neither hands over nor leaves; otherwise they are lost."""
        self._now = int(now)
        if self._leadership is not None and self.takes and payloads:
            term, kind = self.term, Kind.PAYLOAD
            self._leadership.append([Entry(term, kind, payload) for payload in payloads])
            self._demanded = False

    def persisted(self, position: int, now: Millis, /) -> None:
        """Records up to this position are durable: a leader counts itself for them, a candidate its own vote."""
        self._now = int(now)
        if position > self._outbox.position:
            remedy = f"The last record is {self._outbox.position}."
            raise Refused("input_unexpected", "position", position, remedy)
        while self._pending and self._pending[0][0] <= position:
            _, self._durable, voted = self._pending.popleft()
            if voted == self.term and self._role is Role.CANDIDATE:
                self._votes[self._me] = True
                self._count_votes()
        if self._leadership is not None:
            self._leadership.durable(self._durable)
            self._advance()

    def applied(self, index: int, _digest: bytes, now: Millis, /) -> None:
        """Everything committed up to `index` is applied.

        Refused("input_unexpected") for what is not committed; Refused("diverged") where a configuration in the log is
        not the one that this replica computed.
        """
        self._now = int(now)
        if index > self._commit:
            raise Refused("input_unexpected", "index", index, f"The last committed index is {self._commit}.")
        self._check_configurations(self._applied, index)
        self._applied = max(self._applied, index)
        self._pass_over()

    def judged(self, digest: bytes, _verdict: bool, _now: Millis, /) -> None:
        """Refused("input_unexpected"): Raft has no proposals judged."""
        raise Refused("input_unexpected", "digest", digest)

    def demand(self, oldest_ms: Millis | None, now: Millis, /) -> None:
        """Whether anything waits; a leader wants it as soon as it has room for it."""
        self._now = int(now)
        self._demanded = oldest_ms is not None

    def read(self, read: int, now: Millis, /) -> None:
        """A read, at any replica: the leader says what it must see.

        Refused("input_unexpected") when too many wait already.
        """
        self._now = int(now)
        waiting = len(self._reads) + len(self._unanswered) + len(self._ready)
        waiting += self._leadership.waiting_reads if self._leadership is not None else 0
        if waiting >= self._settings.reads_max:
            raise Refused("input_unexpected", "read", read, f"{waiting} reads wait already; ask again later.")
        self._reads.append(read)
        self._pass_reads()

    def transfer(self, to: bytes, now: Millis, /) -> None:
        """Hands leadership to a voter.

        Refused("input_unexpected") where this replica does not lead or `to` cannot, and Refused("undecided") where it
        will be able to soon: while a configuration is being changed, and before it has committed something itself.
        """
        self._now = int(now)
        if self._leadership is None or not self._leadership.may_lead(to):
            raise Refused("input_unexpected", "to", to, "Ask the leader, for another voter with power.")
        if not self._leadership.may_transfer:
            version = self.configuration.version
            raise Refused("undecided", "configuration", version, "Ask again in a moment, once it is committed.")
        self._leadership.transfer(to, self._now)
        self._leadership.hand_over(self._now)

    def reconfigure(self, configuration: Configuration, now: Millis, /) -> None:
        """The configuration that the driver computed last. The leader installs it, the others compare when it comes.

        Refused("configuration_invalid") for one that nobody could decide under.
        """
        self._now = int(now)
        check(configuration)
        if configuration.old is not None:
            raise Refused("configuration_invalid", "configuration.old", "given", "The engine makes the joint one.")
        self._known[configuration.version] = configuration
        self._advance()

    def snapshot(self, index: int, state: bytes, now: Millis, /) -> None:
        """The driver's state after `index`: it becomes the base, and what it covers is let go of but for a tail.

        Refused("input_unexpected") for an index that is not applied or lies below the last base.
        """
        self._now = int(now)
        if not (self._base.index if self._base else 0) < index <= self._applied:
            raise Refused("input_unexpected", "index", index, f"Applied up to {self._applied}.")
        term = self._log.term_at(index)
        assert term is not None
        self._base = Base(
            self._ballot, index, term, self._log.configuration_at(index), state, self._log.entries(index + 1)
        )
        self._outbox.keep_base(self._base)
        self._base = changed(self._base, entries=())
        if index - self._settings.trailing_max >= self._log.first:
            self._log.forget(index - self._settings.trailing_max)

    def tick(self, now: Millis, /) -> None:
        """Campaigns, sends heartbeats, gives up: whatever is due."""
        self._now = int(now)
        leadership = self._leadership
        if leadership is None:
            if self._now >= self._campaign_ms:
                self._stand()
            return
        if leadership.lost(self._now):
            self._become_follower(self.term, NOBODY)
            return
        if leadership.is_due(self._now):
            leadership.beat(self._now, self._base)
            leadership.hand_over(self._now)
        replica, times = self._heaviest
        if times >= self._settings.heaviest_for and leadership.heavier(replica, self._now):
            leadership.transfer(replica, self._now)
            leadership.hand_over(self._now)
        self._advance()

    def drain(self) -> Output:
        """Hands out, once, what there is to do."""
        if self._leadership is not None and self._leadership.is_due(self._now):
            self.tick(Millis(self._now))  # all of it: where frames keep coming, the driver's tick may never be due
        if self._leadership is not None:
            self._leadership.feed(self._base)
        voted = self.term if self._role is Role.CANDIDATE else 0
        records, messages = self._outbox.drain(self._log)
        if records:
            self._pending.append((records[-1].position, self._log.last, voted))
        restore, self._restore = self._restore, None
        return Output(
            records, messages, restore, self._decided(), (), self._wants(), self._answerable(), Millis(self._due())
        )

    def _decided(self) -> tuple[Committed, ...]:
        """The payloads that were committed since, each with the evidence that the leader has."""
        if self._handed == self._commit:
            return ()
        first, kind, evidence = self._handed + 1, Kind.PAYLOAD, self._evidence
        found = tuple(
            [
                Committed(index, entry.term, entry.payload, evidence.get(index, ()))
                for index, entry in enumerate(self._log.entries(first, self._commit + 1), first)
                if entry.kind is kind
            ]
        )
        self._handed = self._commit
        evidence.clear()
        return found

    def _wants(self) -> Wanted | None:
        leadership = self._leadership
        if not self._demanded or leadership is None or not leadership.takes:
            return None
        if self._commit < leadership.began:
            return None  # what earlier leaders left is decided first: a block's time lies above the one before it
        if leadership.uncommitted >= self._settings.proposals_max:
            return None
        return Wanted(self._log.last + 1, self.term)

    def _answerable(self) -> tuple[int, ...]:
        if not self._ready:
            return ()
        found, later = [], deque[tuple[int, int]]()
        for index, read in self._ready:
            if index <= self._applied:
                found.append(read)
            else:
                later.append((index, read))
        self._ready = later
        return tuple(found)

    def _due(self) -> int:
        return self._leadership.deadline if self._leadership is not None else self._campaign_ms

    # Terms and votes ------------------------------------------------------------------------------------------------

    def _become_follower(self, term: int, leader: bytes) -> None:
        """Follows, in this term or a later one."""
        rose = term > self.term
        if rose:
            self._ballot = Ballot(term, NOBODY)
            self._outbox.keep_ballot(self._ballot)
        elif self._role is Role.LEADER:
            self._heard_ms = self._now - self._settings.election_ms  # it may vote for another at once
        if self._leadership is not None:
            self._reads.extend(self._leadership.unconfirmed(self._me))
            self._quorum_ms = self._leadership.quorum_ms or self._quorum_ms
            self._leadership = None
        self._role, self._votes = Role.FOLLOWER, {}
        if rose or leader != self._leader:  # the same one may lead again, and knows nothing of the term before
            self._leader = leader
            self._incoming = None
            self._reads.extend(self._unanswered)  # whoever leads next is asked again
            self._unanswered.clear()
        self._wait_for_campaign()

    def _heard_from(self, leader: bytes, term: int) -> None:
        """Something came from the leader of this or a later term."""
        if term > self.term or self._role is not Role.FOLLOWER or leader != self._leader:
            self._become_follower(term, leader)
        self._heard_ms, self._failures = self._now, 0
        self._wait_for_campaign()
        self._pass_reads()

    def _wait_for_campaign(self) -> None:
        """Draws when to campaign if no leader is heard from before (A-6).

        The first time by rank, leaving out the leader that is gone: who has more power waits less, so that the best
        stands alone. After a round that elected nobody anywhere over all slots, and over more of them the more failed.
        """
        settings = self._settings
        configuration = self.configuration
        if configuration is not self._ranked[0] or self._leader != self._ranked[1]:  # it draws for every frame
            others = [replica for replica in ranked(configuration) if replica != self._leader]
            self._ranked = configuration, self._leader, others
        voters = self._ranked[2]
        if self._failures:
            slots = len(voters) * min(1 << (self._failures - 1), BACKOFF_MAX)
            wait = self._chance.below(max(slots, 1) * self._slots.length_ms)
        else:
            rank = voters.index(self._me) if self._me in voters else len(voters)
            wait = rank * self._slots.length_ms + self._chance.below(self._slots.length_ms)
        self._campaign_ms = self._now + settings.election_ms + wait

    def _stand(self) -> None:
        """An election is due: asks first whether it would be elected, so that it disturbs nobody in vain (9.6)."""
        self._failures = min(self._failures + 1, BACKOFF_MAX)
        if not self._may_stand():
            self._wait_for_campaign()
            return
        self._become_follower(self.term, NOBODY)
        self._role, self._votes = Role.PROSPECT, {self._me: True}
        self._ask_votes(self.term + 1, pre=True, transfer=False)
        self._count_votes()

    def _may_stand(self) -> bool:
        """Whether a configuration weighs it that may still be in force: the last committed or any later one.

        Whoever alone has the one without itself is needed: its log is ahead, so nobody else can be elected (4.2.2).
        It counts itself only where it votes.
        """
        in_force = self._log.configuration_at(self._commit)
        later = [configuration for at, configuration in self._log.configurations if at > self._commit]
        return any(may_lead(configuration, self._me) for configuration in (in_force, *later))

    def _campaign(self, *, transfer: bool) -> None:
        """Stands for election in the next term. Its own vote counts when it is durable."""
        self._become_follower(self.term, NOBODY)
        self._ballot = Ballot(self.term + 1, self._me)
        self._outbox.keep_ballot(self._ballot)
        self._role = Role.CANDIDATE
        self._ask_votes(self.term, pre=False, transfer=transfer)

    def _ask_votes(self, term: int, *, pre: bool, transfer: bool) -> None:
        message = AskVote(term, self._log.last, self._log.last_term, pre, transfer)
        configuration = self.configuration
        halves = configuration.new if configuration.old is None else (*configuration.old, *configuration.new)
        for replica in dict.fromkeys(voter.replica for voter in halves if voter.power):
            if replica != self._me:
                (self._outbox.request if pre else self._outbox.promise)(replica, message)

    def _asked_for_vote(self, sender: bytes, message: AskVote) -> None:
        """Whether somebody gets, or would get, this replica's vote: one a term, durable, to nobody who lacks entries.

        While it hears from a leader it gives none (stickiness), unless that leader asked for the election. Rank and
        weight are no reason to refuse. It answers whoever asks: its own configuration may be an older one.
        """
        sticky = self._now - self._heard_ms < self._settings.election_ms or self._role is Role.LEADER
        if sticky and not message.transfer and message.term > self.term:
            return
        current = self._log.is_behind(message.index, message.last_term)
        if message.pre:
            granted = message.term > self.term and current
            self._outbox.promise(sender, GiveVote(self.term, message.term, True, granted))
            return
        if message.term > self.term:
            self._become_follower(message.term, NOBODY)
        granted = message.term == self.term and self._ballot.vote in (NOBODY, sender) and current
        granted = granted and self._leader == NOBODY
        if granted and self._ballot.vote != sender:
            self._ballot = Ballot(self.term, sender)
            self._outbox.keep_ballot(self._ballot)
            self._wait_for_campaign()
        self._outbox.promise(sender, GiveVote(self.term, message.term, False, granted))

    def _got_vote(self, sender: bytes, message: GiveVote) -> None:
        if message.term > self.term:
            self._become_follower(message.term, NOBODY)
            return
        asked = self.term + 1 if self._role is Role.PROSPECT else self.term
        standing = Role.PROSPECT if message.pre else Role.CANDIDATE
        if self._role is standing and message.asked == asked:
            self._votes[sender] = message.granted
            self._count_votes()

    def _count_votes(self) -> None:
        verdict = vote_result(self.configuration, self._votes)
        if verdict is Verdict.WON and self._role is Role.PROSPECT:
            self._campaign(transfer=False)
        elif verdict is Verdict.WON:
            self._lead()
        elif verdict is Verdict.LOST:
            self._become_follower(self.term, NOBODY)

    def _lead(self) -> None:
        self._role, self._leader, self._votes, self._failures = Role.LEADER, self._me, {}, 0
        self._leadership = self.leadership_of(
            self._me, self.term, self._commit, self._log, self._outbox, self._settings, self._slots, self._now
        )
        self._leadership.durable(self._durable)
        self._leadership.beat(self._now, self._base)
        self._pass_reads()

    # Following ------------------------------------------------------------------------------------------------------

    def _is_stale(self, sender: bytes, term: int) -> bool:
        """Whether a leader's term is over; it is told so, and steps down (also after a partial partition)."""
        if term < self.term:
            self._outbox.promise(sender, Stored(self.term, 0, False, 0, 0, 0))
            return True
        self._heard_from(sender, term)
        return False

    def _append(self, sender: bytes, message: Append) -> None:
        """The leader's entries: kept if the one before them is there too (5.3); what differs from them is cut off."""
        if message.term >= self.term:
            self._slots.told(message.slot_ms)
        if self._is_stale(sender, message.term):
            return
        self._quorum_ms = message.quorum_ms or self._quorum_ms
        index, entries = message.index, message.entries
        if index < self._log.first - 1:  # what a snapshot covers is committed, and the same everywhere
            entries, index = entries[self._log.first - 1 - index :], self._log.first - 1
            if message.index + len(message.entries) < index:
                self._store(sender, message.round, self._commit)
                return
        elif self._log.term_at(index) != message.previous:
            hint = self._log.hint(index, message.previous)
            term = self._log.term_at(hint) or 0
            self._outbox.promise(sender, Stored(self.term, message.round, False, index, hint, term, self._clock_ms))
            return
        conflict = self._log.conflict(index + 1, entries)
        if conflict is not None:
            if conflict <= self._commit:
                remedy = "Stop this replica: entries that were committed have been lost or changed somewhere."
                raise Refused("diverged", "index", conflict, remedy)
            self._log.truncate(conflict)
            self._durable = min(self._durable, conflict - 1)
            self._pending = deque((at, min(last, conflict - 1), voted) for at, last, voted in self._pending)
            self._log.append(entries[conflict - index - 1 :])
            self._outbox.keep_entries(conflict)
        last = index + len(entries)
        self._commit = max(self._commit, min(message.committed, last))
        self._pass_over()
        self.oversized = 0  # whoever is sent entries needs no snapshot
        self._store(sender, message.round, last)
        if self._unanswered and self._now - self._asked_ms >= self._settings.election_ms:
            self._ask_leader(list(self._unanswered))  # what was asked, or the answer, may have been lost

    def _store(self, leader: bytes, round_: int, index: int) -> None:
        self._outbox.promise(leader, Stored(self.term, round_, True, index, 0, 0, self._clock_ms))

    @property
    def _clock_ms(self) -> int:
        return max(0, self._now)

    def _chunk(self, sender: bytes, message: Chunk) -> None:
        """A part of a snapshot. When it is whole it replaces the log; a log that has its last entry needs none (7)."""
        if self._is_stale(sender, message.term):
            return
        if self._log.term_at(message.index) == message.last_term:
            self._commit = max(self._commit, message.index)
            self._pass_over()
        if message.size > self._settings.snapshot_bytes_max:
            self.oversized = message.size  # it cannot catch up before somebody lets it take more
            return
        if message.index <= self._commit:
            self._incoming = None
            self._store(sender, message.round, self._commit)
            return
        if self._incoming is None or self._incoming[0].index != message.index:
            self._incoming = message, bytearray()
        first, data = self._incoming
        if message.offset == len(data) and message.offset + len(message.data) <= first.size:
            data += message.data
        if len(data) < first.size:
            self._outbox.promise(sender, Chunked(self.term, message.round, message.index, len(data)))
            return
        self._incoming, self.oversized = None, 0
        self._base = Base(self._ballot, first.index, first.last_term, first.configuration, bytes(data), ())
        self._log = Log(first.index, first.last_term, first.configuration)
        self._outbox.keep_base(self._base)
        self._commit = self._handed = self._durable = first.index
        self._pending = deque((at, first.index, voted) for at, _, voted in self._pending)
        self._restore = Restore(first.index, self._base.state)
        self._store(sender, message.round, first.index)

    # Leading --------------------------------------------------------------------------------------------------------

    def _answered(self, sender: bytes, message: Stored | Chunked) -> None:
        if message.term > self.term:
            self._become_follower(message.term, NOBODY)
        leadership = self._leadership
        if leadership is None or message.term < self.term:
            return
        if isinstance(message, Stored):
            leadership.stored(sender, message, self._now)
            if leadership.handover is not None and leadership.handover.to == sender:
                leadership.hand_over(self._now)
        else:
            leadership.chunked(sender, message, self._now)
        self._advance()

    def _advance(self) -> None:
        """Commits what can be, answers reads, takes the next step of a change; until nothing more follows."""
        leadership = self._leadership
        if leadership is None:
            return
        while True:
            index = leadership.committable()
            if index > self._commit:
                self._evidence[index] = leadership.commit(index, self._now)
                self._commit = index
                self._pass_over()
            if leadership.dismissed:
                leadership.farewell()
                self._become_follower(self.term, NOBODY)
                return
            newest = self._known[max(self._known)] if self._known else None
            if not leadership.change(newest, self._now):
                break
        self._ready.extend((asked.sees, asked.read) for asked in leadership.answered_reads() if asked.by == self._me)

    # Reads ----------------------------------------------------------------------------------------------------------

    def _pass_reads(self) -> None:
        """Asks the leader, if there is one, for the reads that wait here."""
        while self._reads and self._leader:
            read = self._reads.popleft()
            if self._leadership is not None:
                self._ask_read(read, self._me, self._life)
            else:
                self._ask_leader([read])

    def _ask_leader(self, reads: Sequence[int]) -> None:
        self._asked_ms = self._now
        for read in reads:
            self._unanswered[read] = None
            self._outbox.request(self._leader, AskRead(self.term, read, self._life))

    def _ask_read(self, read: int, by: bytes, life: int) -> None:
        leadership = self._leadership
        assert leadership is not None
        if leadership.waiting_reads < self._settings.reads_max:
            leadership.ask_read(read, by, life, self._now)
        self._advance()

    # Configurations -------------------------------------------------------------------------------------------------

    def _pass_over(self) -> None:
        """Takes entries that mean nothing to the driver as applied, as far as everything before them is."""
        while self._applied < self._commit and self._applied + 1 >= self._log.first:
            if self._log.entry(self._applied + 1).kind is Kind.PAYLOAD:
                return
            self._check_configurations(self._applied, self._applied + 1)
            self._applied += 1

    def _check_configurations(self, after: int, index: int) -> None:
        """Compares configurations that are being applied with those that the driver computed (PROTOCOLS, 2).

        One that is older than everything computed here was computed before this replica's state began.
        """
        for at, configuration in self._log.configurations:
            if not max(after, self._log.first - 1) < at <= index:
                continue  # not in what is applied now, or no entry but where a snapshot stands
            own = self._known.get(configuration.version)
            if own is None and (not self._known or configuration.version > max(self._known)):
                raise Refused("diverged", "configuration", configuration.version, "This replica computed none such.")
            if own is not None and changed(configuration, old=None) != own:
                raise Refused("diverged", "configuration", configuration.version, "This replica computed another.")
            if configuration.old is None:
                self._note_installed(configuration)

    def _note_installed(self, configuration: Configuration) -> None:
        """A configuration is in force: who is heaviest in it, and which ones nobody will ask for again."""
        self._known = {version: own for version, own in self._known.items() if version >= configuration.version}
        first, *others = sorted((voter.power for voter in configuration.new), reverse=True)
        best = ranked(configuration)[0] if not others or first > others[0] else NOBODY
        replica, times = self._heaviest
        self._heaviest = best, (times + 1 if best == replica else 1) if best else 0
