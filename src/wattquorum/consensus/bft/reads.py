"""Reads: how far a reader must have applied the chain to see everything that was certified before it asked.

A block is certified by a quorum of COMMITs, each sent by a member that had prepared it. So of any quorum that is asked
afterwards, one that does not lie has it as its tip, or below, or has it prepared; and each answer proves its height by
a certificate, so that a lying one can neither hide a block that others tell of nor invent one. The read waits for the
highest height that is proven, which is certified sooner or later whatever block it gets. One round of questions is out
at a time and answers all reads that came before it.
"""

from __future__ import annotations

from collections import deque


class Reads:
    """Reads that wait: for the next round, for the answers of this one, or for a height to be applied."""

    __slots__ = ("_answers", "_asking", "_ready", "_waiting", "asked_ms", "needs", "round")

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._asking: list[int] = []
        self._answers: dict[bytes, None] = {}
        self._ready: list[tuple[int, int]] = []  # (height, read)
        self.round = 0
        self.needs = 0
        self.asked_ms = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._asking) + len(self._ready)

    def add(self, read: int) -> None:
        """A read wants to be answered."""
        self._waiting.append(read)

    @property
    def asking(self) -> bool:
        """Whether a round is out."""
        return bool(self._asking)

    def begin(self, needs: int, now: int) -> bool:
        """Begins a round for all that wait, if none is out; `needs` is what is known here."""
        if self._asking or not self._waiting:
            return False
        self._asking = list(self._waiting)
        self._waiting.clear()
        self._answers = {}
        self.round += 1
        self.needs, self.asked_ms = needs, now
        return True

    def answer(self, member: bytes, height: int, quorum: int) -> None:
        """A member proved that it is, or is about to be, at this height; with a quorum's answers the round ends."""
        self._answers[member] = None
        self.needs = max(self.needs, height)
        if len(self._answers) >= quorum:
            self._ready += [(self.needs, read) for read in self._asking]
            self._asking = []

    def begin_anew(self) -> None:
        """Another committee agrees from here on. What the one before answered says nothing of what this one may have
        certified before the reads were asked for: all that are not handed out yet wait for a round of its own.
        """
        self._waiting = deque([*(read for _, read in self._ready), *self._asking, *self._waiting])
        self._asking, self._ready = [], []

    def unanswered(self, members: tuple[bytes, ...]) -> list[bytes]:
        """Who has not answered in this round."""
        return [member for member in members if member not in self._answers]

    def take(self, applied: int) -> list[int]:
        """Reads that may answer now."""
        ready = [read for needs, read in self._ready if needs <= applied]
        self._ready = [each for each in self._ready if each[0] > applied]
        return ready
