"""Progress: what a leader knows of one follower's log, and how it feeds it.

Three paces. While it probes it sends one frame at a time until it knows where the logs agree; then it replicates ahead
of the answers, with a bounded number of frames in flight; and a follower that needs entries which are gone is sent a
snapshot, chunk by chunk. Whatever gets lost, the next heartbeat finds out.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from wattquorum.consensus.raft.records import Base


class Pace(Enum):
    """How a follower is fed."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """A follower: it has everything up to `match`, and is sent what follows from `next` on."""

    __slots__ = (
        "_arrivals",
        "_chunk_round",
        "_inflight",
        "_inflight_frames",
        "_paused",
        "answered",
        "answered_ms",
        "clock_ms",
        "match",
        "next",
        "offset",
        "pace",
        "snapshot",
    )

    def __init__(self, next_index: int, answered_ms: int) -> None:
        self.pace = Pace.PROBE
        self.match = 0
        self.next = next_index
        self.answered = 0  # the last round that it answered
        self.answered_ms = answered_ms  # when that round began; no word of it is newer than this
        self.clock_ms = 0  # what its clock showed in the last round that it answered; 0: it did not say
        self.snapshot: Base | None = None  # what it is sent, unchanged until it has it
        self.offset = 0  # from where it wants more of the snapshot
        self._paused = False  # while it probes or gets a snapshot: a frame is out
        self._chunk_round = 0  # in which the last chunk was sent
        self._inflight: deque[tuple[int, int]] = deque()  # what it did not answer: last index, as how many frames
        self._inflight_frames = 0
        self._arrivals: deque[tuple[int, int]] = deque()  # (match, when in the order of all answers), ascending

    def may_send(self, inflight_max: int) -> bool:
        """Whether it may be sent more now."""
        if self.pace is Pace.REPLICATE:
            return self._inflight_frames < inflight_max
        return not self._paused

    def sent(self, last: int, frames: int = 1) -> None:
        """A frame with entries up to `last` is on its way; one with a large entry counts as several."""
        if self.pace is Pace.REPLICATE:
            self._inflight.append((last, frames))
            self._inflight_frames += frames
            self.next = last + 1
        else:
            self._paused = True

    def sent_chunk(self, round_: int) -> None:
        """A chunk of the snapshot is on its way."""
        self._paused, self._chunk_round = True, round_

    def stored(self, index: int, arrival: int) -> bool:
        """It has everything up to `index`. Tells whether that is news."""
        while self._inflight and self._inflight[0][0] <= index:
            self._inflight_frames -= self._inflight.popleft()[1]
        if self.pace is not Pace.REPLICATE and (self.snapshot is None or index >= self.snapshot.index):
            self.pace, self.snapshot, self._paused = Pace.REPLICATE, None, False
            self.next = max(index, self.match) + 1
        self.next = max(self.next, index + 1)
        if index <= self.match:
            return False
        self.match = index
        self._arrivals.append((index, arrival))
        return True

    def misfit(self, index: int, retry: int) -> None:
        """It has no such entry at `index`; logs may agree up to `retry`. Old news changes nothing."""
        if index <= self.match or (self.pace is Pace.PROBE and self.next != index + 1):
            return
        if self.pace is Pace.SNAPSHOT:
            return
        self.pace = Pace.PROBE
        self.next = max(min(index, retry + 1), self.match + 1)
        self._forget_inflight()

    def send_snapshot(self, base: Base) -> None:
        """What it needs is gone from the log: it gets the state instead."""
        self.pace, self.snapshot, self.offset = Pace.SNAPSHOT, base, 0
        self._forget_inflight()

    def _forget_inflight(self) -> None:
        self._inflight.clear()
        self._inflight_frames = 0
        self._paused = False

    def wants_chunk(self, index: int, offset: int, round_: int) -> None:
        """It asks for the snapshot from this offset on.

        Every answer that is news lets one chunk go, and no other does: one that says the same again, to a chunk that
        came twice, would let two be under way from then on. What an answer to a round after the chunk's asks for is
        news in any case: the chunk got lost, or the follower lost what it had.
        """
        snapshot = self.snapshot
        if snapshot is None or snapshot.index != index or offset >= max(len(snapshot.state), 1):
            return
        if offset > self.offset or round_ > self._chunk_round:
            self.offset, self._paused = offset, False

    def arrival(self, index: int) -> int | None:
        """When, in the order of all answers, it first was known to have `index`; None if it is not."""
        return next((when for match, when in self._arrivals if match >= index), None)

    def forget_arrivals(self, index: int) -> None:
        """Nobody will ask about the answers up to `index` any more."""
        while self._arrivals and self._arrivals[0][0] <= index:
            self._arrivals.popleft()
