"""Slots: by how much longer each rank waits than the one before it before it campaigns (A-6).

A rank must have been heard before the next one's turn comes, else both stand and split the votes: a slot has to be
longer than a round trip and the writing of a vote. How long these take is a matter of where replicas stand and of their
disks, so a leader measures it, by the time from a heartbeat to each follower's first answer, which waits for whatever
that follower had to make durable before; and tells all with its heartbeats, so that everybody counts in the same slots.
A slot is nothing but a pace: wrong ones cost time, and bounds keep what a hostile leader says within it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from wattquorum.consensus.raft.settings import Settings

ANSWERS_MAX: Final = 1_024  # the last ones count


class Slots:
    """The length of a slot as one replica knows it [ms]."""

    __slots__ = ("_answers", "_settings", "length_ms", "measured_ms")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._answers: deque[int] = deque(maxlen=ANSWERS_MAX)
        self.length_ms = settings.slot_ms
        self.measured_ms = 0  # what a leader tells the others; 0: it has no answer yet, and the last slots stay

    def lead(self) -> None:
        """It leads from now on, and measures anew."""
        self._answers.clear()
        self.measured_ms = 0

    def answered(self, after_ms: int) -> None:
        """A follower answered a heartbeat after this time."""
        self._answers.append(after_ms)

    def measure(self) -> None:
        """A leader's slots: one and a half times the 99th percentile of the answers.

        A candidate needs one exchange to learn that it would win, half of one more until its request has come to the
        others, and a write between them.
        """
        if self._answers:
            answers = sorted(self._answers)
            self.told(answers[(len(answers) * 99 - 1) // 100] * 3 // 2 + 1)
            self.measured_ms = self.length_ms

    def told(self, length_ms: int) -> None:
        """Takes over a length, within the bounds; 0 is none."""
        if length_ms:
            self.length_ms = max(self._settings.slot_min_ms, min(length_ms, self._settings.slot_max_ms))
