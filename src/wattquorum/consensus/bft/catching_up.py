"""Catching up: whom to ask for certified blocks, one peer at a time.

Whoever says something of a later height is taken to have the blocks below it. A step behind is normal and mends
itself, so nobody is asked before that was waited out; who does not answer in time, or with nothing that helps, is no
longer believed, and the next is asked. What a peer claims costs it nothing to claim, so claims decide only whom to ask.
"""

from __future__ import annotations

from typing import Final

PEERS_MAX: Final = 1_024  # whose claims are remembered


class CatchingUp:
    """Claims, and the question that is out."""

    __slots__ = ("_claims", "_last", "asked", "due_ms")

    def __init__(self) -> None:
        self._claims: dict[bytes, int] = {}  # the height that a peer has, as it said
        self._last = b""
        self.asked = b""  # who has not answered yet
        self.due_ms: int | None = None  # when somebody, or somebody else, is asked

    def claim(self, peer: bytes, height: int) -> None:
        """A peer has blocks up to this height."""
        if peer in self._claims or len(self._claims) < PEERS_MAX:
            self._claims[peer] = max(height, self._claims.get(peer, 0))

    def disappointed(self, peer: bytes) -> None:
        """A peer did not have what it claimed."""
        self._claims.pop(peer, None)

    def behind(self, tip: int) -> bool:
        """Whether anybody claims a later height."""
        self._claims = {peer: height for peer, height in self._claims.items() if height > tip}
        return bool(self._claims)

    def schedule(self, tip: int, now: int, wait_ms: int) -> None:
        """Sets or clears the time at which somebody is asked."""
        if not self.behind(tip):
            self.asked, self.due_ms = b"", None
        elif self.due_ms is None:
            self.due_ms = now + wait_ms

    def next(self, tip: int, now: int, wait_ms: int) -> bytes | None:
        """Whom to ask now, if it is due: the claimers in turn."""
        if self.due_ms is None or now < self.due_ms:
            return None
        if self.asked:
            self.disappointed(self.asked)
            self.asked = b""
        if not self.behind(tip):
            self.due_ms = None
            return None
        peers = sorted(self._claims)
        self._last = self.asked = next((peer for peer in peers if peer > self._last), peers[0])
        self.due_ms = now + wait_ms
        return self.asked

    def answered(self, now: int) -> None:
        """The question that was out is answered: the next one may be asked at once."""
        self.asked, self.due_ms = b"", now
