"""Leadership: what a replica knows and does only while it leads one term.

It feeds the followers, tells what is committed and by whose answers, confirms reads, hands its office over, and brings
changes of the configuration through their two steps. All of it is lost when the term ends, and nothing of it needs to
be kept: whoever leads next finds out again. Rules of changes: PROTOCOLS, part 2; the paper's sections are named where
a rule is Raft's own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from wattquorum.consensus.configuration import Configuration, may_lead, ranked
from wattquorum.consensus.quorum import committed_index, decides
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_entry
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.messages import Append, Campaign, Chunk, Chunked, GiveRead, Stored, to_frame
from wattquorum.consensus.raft.outbox import Outbox
from wattquorum.consensus.raft.progress import Pace, Progress
from wattquorum.consensus.raft.records import Base
from wattquorum.consensus.raft.settings import Settings
from wattquorum.consensus.raft.slots import Slots
from wattquorum.foundation.codec import changed


class Asked(NamedTuple):
    """A read that waits for a quorum's word that its leader still is one."""

    read: int
    by: bytes  # who asked
    life: int  # of who asked
    sees: int  # the index up to which it must see
    round: int  # which a quorum has to answer


class Handover(NamedTuple):
    """A transfer of leadership that is under way."""

    to: bytes
    until_ms: int


class Filled(NamedTuple):
    """An append as it goes to every follower that wants the same entries."""

    frame: bytes
    last: int  # index in it
    counts: int  # as so many frames


class Leadership:
    """One term's leader. `now` is given to whatever depends on it."""

    __slots__ = (
        "_arrivals",
        "_asked",
        "_asking",
        "_began_ms",
        "_commit",
        "_cooled_ms",
        "_durable",
        "_followed",
        "_heartbeat_ms",
        "_hurried",
        "_leased",
        "_leaving",
        "_log",
        "_me",
        "_outbox",
        "_round",
        "_rounds",
        "_settings",
        "_slots",
        "_stored",
        "_term",
        "began",
        "handover",
        "progress",
        "quorum_ms",
    )

    def __init__(
        self, me: bytes, term: int, commit: int, log: Log, outbox: Outbox, settings: Settings, slots: Slots, now: int
    ) -> None:
        """Takes office: the term's first entry says nothing but lets everything before it be committed (5.4.2, 8)."""
        self._me, self._term, self._commit = me, term, commit
        self._log, self._outbox, self._settings, self._slots = log, outbox, settings, slots
        slots.lead()
        self._durable = 0
        self._began_ms = now
        self._heartbeat_ms = now  # when the next is due
        self._hurried = False  # a read waits for the next round
        self._leased = settings.lease_ms > 0  # until it asks somebody to campaign, whom voters do not ignore
        self._round = 0
        self._rounds: deque[tuple[int, int]] = deque()  # (round, when it began) of the last election timeout
        self._arrivals = 0
        self._leaving = False
        self._followed = log.configuration, now  # a quorum is known to have followed it until then, under this one
        self._stored: dict[bytes, int] = {}
        self._asked: deque[Asked] = deque()
        self._asking: dict[tuple[bytes, int, int], None] = {}  # (who asked, its life, read) of these
        self._cooled_ms = now  # no transfer of its own accord before this
        self.handover: Handover | None = None
        self.quorum_ms = 0  # what a quorum's clocks have reached for sure; 0: none has said
        self.progress: dict[bytes, Progress] = {}
        self.began = log.last + 1
        self._follow_configuration()
        self.append([Entry(term, Kind.NOTHING, b"")])

    # Followers ------------------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Adds entries of this term to the log; they go to the followers with the next `feed`."""
        self._outbox.keep_entries(self._log.last + 1)
        before = self._log.configuration
        self._log.append(entries)
        if self._log.configuration is not before:
            self._follow_configuration()

    def _follow_configuration(self) -> None:
        """Whom it feeds follows from the effective configuration; who left it is dropped with all that is known."""
        configuration = self._log.configuration
        self._leaving = configuration.old is None and not may_lead(configuration, self._me)
        voters = [voter.replica for half in (configuration.old or (), configuration.new) for voter in half]
        peers = dict.fromkeys([*voters, *configuration.learners])
        peers.pop(self._me, None)
        unheard = self._began_ms - self._settings.election_ms - 1
        self.progress = {peer: self.progress.get(peer) or Progress(self._log.last + 1, unheard) for peer in peers}
        self._stored = {peer: progress.match for peer, progress in self.progress.items()}
        self._stored[self._me] = self._durable

    def feed(self, base: Base | None) -> None:
        """Sends every follower what it may be sent; `base` is this replica's newest snapshot."""
        last = self._log.last
        frames: dict[int, Filled] = {}
        for peer, progress in self.progress.items():
            while progress.next <= last or progress.pace is Pace.SNAPSHOT:
                if not progress.may_send(self._settings.inflight_max):
                    break
                self._send(peer, progress, base, frames)

    def _send(self, peer: bytes, progress: Progress, base: Base | None, frames: dict[int, Filled]) -> None:
        """One frame: the entries that come next, none where there are none; a chunk where they are gone.

        Followers that are equally far are sent the same bytes; `frames` has those that were made for this turn.
        """
        previous = self._log.term_at(progress.next - 1) if progress.pace is not Pace.SNAPSHOT else None
        if previous is None and progress.snapshot is None:
            if base is None:
                raise AssertionError("entries were let go of without a snapshot that covers them")
            progress.send_snapshot(base)
        if progress.snapshot is not None:
            self._send_chunk(peer, progress, progress.snapshot, self._settings.chunk_bytes)
            progress.sent_chunk(self._round)
            return
        assert previous is not None
        at = progress.next - 1
        filled = frames.get(at)
        if filled is None:
            bytes_max = self._settings.append_bytes_max
            entries, size = self._log.fitting(at + 1, bytes_max)
            frame = to_frame(self._append_of(at, previous, entries))
            filled = frames[at] = Filled(frame, at + len(entries), max(1, size // bytes_max))
        self._outbox.request(peer, filled.frame)
        if filled.last > at or progress.pace is Pace.PROBE:
            progress.sent(filled.last, filled.counts)

    def _append_of(self, at: int, previous: int, entries: tuple[Entry, ...] = ()) -> Append:
        """Entries after the one at an index, whose term is `previous`; without entries a heartbeat."""
        slot_ms, quorum_ms = self._slots.measured_ms, self.quorum_ms
        return Append(self._term, self._round, at, previous, self._commit, entries, slot_ms, quorum_ms)

    def _send_chunk(self, peer: bytes, progress: Progress, base: Base, size: int) -> None:
        data = base.state[progress.offset : progress.offset + size]
        self._outbox.request(
            peer,
            Chunk(
                self._term,
                self._round,
                base.index,
                base.term,
                base.configuration,
                len(base.state),
                progress.offset,
                data,
            ),
        )

    def beat(self, now: int, base: Base | None) -> None:
        """Begins a round and sends everybody a small frame of it.

        Who gets a snapshot is sent a chunk of nothing: its answer tells whether the one before it came. To send that
        again without being asked would fill a link on which it takes longer than from one heartbeat to the next.
        """
        self._round += 1
        self._rounds.append((self._round, now))
        while now - self._rounds[0][1] > self._settings.election_ms:  # an answer to it would prove nothing any more
            self._rounds.popleft()
        self._heartbeat_ms, self._hurried = now + self._settings.heartbeat_ms, False
        self._slots.measure()
        self._compare_clocks(now)
        for peer, progress in self.progress.items():
            previous = self._log.term_at(progress.next - 1)
            if progress.snapshot is not None:
                self._send_chunk(peer, progress, progress.snapshot, 0)
            elif previous is None:
                self._send(peer, progress, base, {})
            else:
                self._outbox.request(peer, self._append_of(progress.next - 1, previous))

    def is_due(self, now: int) -> bool:
        """Whether a round is due, because of the time or because a read waits for one."""
        return self._hurried or now >= self._heartbeat_ms

    # Answers --------------------------------------------------------------------------------------------------------

    def heard(self, peer: bytes, round_: int, now: int) -> Progress | None:
        """A follower answered a round of this term; None for one that is not fed any more, or a round yet to begin."""
        progress = self.progress.get(peer) if round_ <= self._round else None
        if progress is not None and round_ > progress.answered:
            progress.answered = round_
            place = round_ - self._rounds[0][0]
            if 0 <= place < len(self._rounds):
                began = self._rounds[place][1]
                progress.answered_ms = max(progress.answered_ms, began)
                self._slots.answered(now - began)
        return progress

    def stored(self, peer: bytes, message: Stored, now: int) -> None:
        """A follower's answer to entries or a heartbeat. Nobody has stored what this log has not."""
        if message.fits and message.index > self._log.last:
            return
        progress = self.heard(peer, message.round, now)
        if progress is None or message.index > self._log.last:
            return  # nobody has more of this term than its leader
        if message.round == progress.answered:  # an older answer may be of a clock that has been set right since
            progress.clock_ms = message.clock_ms
        if not message.fits:
            progress.misfit(message.index, self._log.hint(message.hint, message.hint_term))
        else:
            self._arrivals += 1
            if progress.stored(message.index, self._arrivals):
                self._stored[peer] = message.index

    def chunked(self, peer: bytes, message: Chunked, now: int) -> None:
        """A follower's answer to a part of a snapshot."""
        progress = self.heard(peer, message.round, now)
        if progress is not None:
            progress.wants_chunk(message.index, message.offset, message.round)

    def durable(self, index: int) -> None:
        """Its own entries up to this index survive a crash: from now on it counts itself for them."""
        self._durable = self._stored[self._me] = index

    def committable(self) -> int:
        """The index up to which its entries are committed: only those of its own term are counted (5.4.2)."""
        index = committed_index(self._log.configuration, self._stored, self._commit)
        if index > self._commit and self._log.term_at(index) == self._term:
            return index
        return self._commit

    def commit(self, index: int, now: int) -> tuple[bytes, ...]:
        """Takes note that everything up to `index` is committed; who completed the quorum for it, in order (A-12).

        These are the first voters to answer that together with the leader decide, the last of whom is needed. Nobody
        where they do not: below a configuration that has just become effective its predecessor may not have decided.
        """
        self._commit = index
        self._compare_clocks(now)
        configuration = self._log.configuration_at(index)
        arrivals = []
        for peer, progress in self.progress.items():
            arrival = progress.arrival(index)
            if arrival is not None and may_lead(configuration, peer):
                arrivals.append((arrival, peer))
            progress.forget_arrivals(index)
        order = [peer for _, peer in sorted(arrivals)]
        needed = bisect_left(range(len(order) + 1), True, key=lambda n: decides(configuration, [self._me, *order[:n]]))
        return tuple(order[:needed]) if needed <= len(order) else ()

    def _compare_clocks(self, now: int) -> None:
        """Finds the latest time that a quorum's clocks have reached, this replica's own among them (L-26).

        It is what `committed_index` asks of logs, asked of clocks: whatever a minority's show, ahead or behind, it lies
        among those of the others. Clocks have gone on since they were told, so it is rather too early than too late.
        """
        clocks = {peer: progress.clock_ms for peer, progress in self.progress.items()}
        clocks[self._me] = now
        self.quorum_ms = committed_index(self._log.configuration, clocks)

    # A quorum's word ------------------------------------------------------------------------------------------------

    def _heard_since(self, configuration: Configuration, now: int) -> int:
        """The latest time since which a quorum is known to have followed this leader."""
        answered = {peer: progress.answered_ms - self._floor for peer, progress in self.progress.items()}
        answered[self._me] = now - self._floor
        return committed_index(configuration, answered) + self._floor

    @property
    def _floor(self) -> int:
        """A time before everything that counts, so that differences from it are positive."""
        return self._began_ms - self._settings.election_ms - 1

    def lost(self, now: int) -> bool:
        """Whether no quorum answered for an election timeout: it must not believe that it leads (check-quorum)."""
        configuration = self._log.configuration
        if configuration is self._followed[0] and now - self._followed[1] <= self._settings.election_ms:
            return False  # under one configuration what is known never becomes less
        since = max(self._heard_since(configuration, now), self._began_ms)
        self._followed = configuration, since
        return now - since > self._settings.election_ms

    def ask_read(self, read: int, by: bytes, life: int, now: int) -> None:
        """A read wants to see everything that is committed: it waits for the answers to a round yet to begin (6.4).

        While nothing of its own term is committed, it waits for that: only then does the leader know what is. One that
        waits already is not asked again, and hurries no round: heartbeats make followers repeat themselves.
        """
        if (by, life, read) in self._asking:
            return
        self._asking[by, life, read] = None
        index = max(self._commit, self.began)
        if self._leased and now - self._heard_since(self._log.configuration, now) <= self._settings.lease_ms:
            self._asked.append(Asked(read, by, life, index, 0))
            return
        self._asked.append(Asked(read, by, life, index, self._round + 1))
        self._hurried = True

    def answered_reads(self) -> list[Asked]:
        """The reads for which a quorum has spoken, once the leader's term has committed anything."""
        if self._commit < self.began or not self._asked:
            return []
        answered = {peer: progress.answered for peer, progress in self.progress.items()}
        answered[self._me] = self._round
        confirmed = committed_index(self._log.configuration, answered)
        found = []
        while self._asked and self._asked[0].round <= confirmed:
            asked = self._asked.popleft()
            del self._asking[asked.by, asked.life, asked.read]
            if asked.by != self._me:
                self._outbox.promise(asked.by, GiveRead(self._term, asked.read, asked.sees, asked.life))
            found.append(asked)
        return found

    def unconfirmed(self, by: bytes) -> list[int]:
        """The reads of one replica for which no quorum has spoken yet."""
        return [asked.read for asked in self._asked if asked.by == by]

    @property
    def waiting_reads(self) -> int:
        """How many reads wait for a quorum."""
        return len(self._asked)

    # Changes --------------------------------------------------------------------------------------------------------

    def change(self, wanted: Configuration | None, now: int) -> bool:
        """Takes the next step of a change of the configuration, if there is one to take. Tells whether it did.

        A joint entry that is committed is followed by the new configuration. Otherwise a change begins once an entry of
        this term is committed, no configuration is uncommitted, none is being left, and a quorum of the new vector
        has answered within an election timeout: a joint entry whose new half is down would be stuck for ever.
        """
        effective = self._log.configuration
        if not self._may_change:
            return False
        if effective.old is not None:
            self.append([configuration_entry(self._term, changed(effective, old=None))])
            return True
        if wanted is None or wanted.version <= effective.version:
            return False
        if wanted.new == effective.new:  # the same quorums: learners alone change
            self.append([configuration_entry(self._term, wanted)])
            return True
        if now - self._heard_since(wanted, now) > self._settings.election_ms:
            return False
        self.append([configuration_entry(self._term, changed(wanted, old=effective.new))])
        return True

    @property
    def _may_change(self) -> bool:
        """Whether the next configuration may be appended, of whatever kind it is."""
        settled = self._log.configured_at <= self._commit and self._commit >= self.began
        return settled and self.handover is None

    @property
    def leaving(self) -> bool:
        """Whether the effective configuration does without it, or without power of its: it orders nothing more, since
        it would have no vote in what it orders, and leads on until that configuration is committed."""
        return self._leaving

    @property
    def dismissed(self) -> bool:
        """Whether a committed configuration does without it: it has to step down."""
        return self.leaving and self._log.configured_at <= self._commit

    def farewell(self) -> None:
        """Tells all what is committed, and the best-ranked voter that has everything to campaign."""
        for peer in self.progress:
            previous = self._log.term_at(self.progress[peer].match)
            if previous is not None:
                self._outbox.request(peer, self._append_of(self.progress[peer].match, previous))
        for peer in ranked(self._log.configuration):
            progress = self.progress.get(peer)
            if progress is not None and progress.match == self._log.last:
                self._outbox.request(peer, Campaign(self._term))
                return

    # Transfer -------------------------------------------------------------------------------------------------------

    def may_lead(self, to: bytes) -> bool:
        """Whether leadership could go to this replica: another voter with power."""
        return to != self._me and any(voter.replica == to and voter.power for voter in self._log.configuration.new)

    @property
    def may_transfer(self) -> bool:
        """Whether leadership could be handed on now: it committed something of its term, and no change is under way."""
        return self._may_change and self._log.configuration.old is None

    def transfer(self, to: bytes, now: int) -> None:
        """Takes no more proposals and lets this follower catch up; then it is asked to campaign (thesis, 3.10)."""
        self.handover = Handover(to, now + self._settings.election_ms)

    def hand_over(self, now: int) -> None:
        """Asks the follower to campaign once it has everything; gives up after an election timeout."""
        if self.handover is None:
            return
        if now >= self.handover.until_ms:
            self.handover = None
            self._cooled_ms = now + self._settings.cooldown_ms
            return
        progress = self.progress.get(self.handover.to)
        if progress is not None and progress.match == self._log.last:
            self._leased = False
            self._outbox.request(self.handover.to, Campaign(self._term))

    def heavier(self, heaviest: bytes, now: int) -> bool:
        """Whether leadership should go to this voter, the heaviest for long enough, of the leader's own accord."""
        if now < self._cooled_ms or not (self.may_lead(heaviest) and self.may_transfer):
            return False
        powers = {voter.replica: voter.power for voter in self._log.configuration.new}
        gap = powers[heaviest] - powers.get(self._me, 0)
        progress = self.progress.get(heaviest)
        if progress is None or now - progress.answered_ms > self._settings.election_ms:
            return False  # it may be dead, and nobody orders while it is asked
        caught_up = progress.match >= self._commit
        return caught_up and gap * len(powers) * 1_000_000 > self._settings.heaviest_margin_ppm * sum(powers.values())

    @property
    def takes(self) -> bool:
        """Whether it takes proposals: not while it hands over, nor when it leaves."""
        return self.handover is None and not self.leaving

    @property
    def uncommitted(self) -> int:
        """How many entries are not committed yet."""
        return self._log.last - self._commit

    @property
    def deadline(self) -> int:
        """When the next heartbeat is due."""
        return self._heartbeat_ms
