"""Catching up: whom to ask for certified blocks, one peer at a time.

Whoever says something of a later height is taken to have the blocks below it. A step behind is normal and mends
itself, so nobody is asked before that was waited out; who does not answer in time, or with nothing that helps, is no
longer believed, and the next is asked. What a peer claims costs it nothing to claim, so claims decide only whom to ask;
and of those who claim, those come first who were asked in vain least often since they last gave the next block. So
however many say that they have blocks and give none, each of them costs a few waits, and not one in every round.
An answer is worth the same when it comes late, since blocks prove themselves; and while answers do not come in time,
each is waited for twice as long as the one before, so that a way which takes long is not taken for silence for ever.
"""

from __future__ import annotations

from typing import Final

PEERS_MAX: Final = 1_024  # whose claims are remembered
DOUBLINGS_MAX: Final = 6  # of the time that an answer is waited for
VAIN_MAX: Final = 4  # questions in vain that are counted: so few that who was cut off for long is soon asked again


class CatchingUp:
    """Claims, and the question that is out."""

    __slots__ = ("_claims", "_doublings", "_last", "_vain", "asked", "due_ms")

    def __init__(self) -> None:
        self._claims: dict[bytes, int] = {}  # the height that a peer has, as it said
        self._vain: dict[bytes, int] = {}  # how often a peer was asked in vain since it gave the next block
        self._last = b""
        self._doublings = 0
        self.asked = b""  # who has not answered yet
        self.due_ms: int | None = None  # when somebody, or somebody else, is asked

    def claim(self, peer: bytes, height: int) -> None:
        """A peer has blocks up to this height."""
        if peer in self._claims or len(self._claims) < PEERS_MAX:
            self._claims[peer] = max(height, self._claims.get(peer, 0))

    def disappointed(self, peer: bytes) -> None:
        """A peer did not have what it claimed."""
        self._claims.pop(peer, None)
        if peer in self._vain or len(self._vain) < PEERS_MAX:
            self._vain[peer] = min(self._vain.get(peer, 0) + 1, VAIN_MAX)

    def helped(self, peer: bytes) -> None:
        """A peer gave the next block, and that was proven."""
        self._vain.pop(peer, None)

    @property
    def claims(self) -> dict[bytes, int]:
        """Who says that it has blocks, and up to which height."""
        return dict(self._claims)

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
        """Whom to ask now, if it is due: in turn those claimers who were asked in vain least often."""
        if self.due_ms is None or now < self.due_ms:
            return None
        if self.asked:
            self.disappointed(self.asked)
            self.asked = b""
            self._doublings = min(self._doublings + 1, DOUBLINGS_MAX)
        if not self.behind(tip):
            self.due_ms = None
            return None
        least = min(self._vain.get(peer, 0) for peer in self._claims)
        peers = sorted(peer for peer in self._claims if self._vain.get(peer, 0) == least)
        self._last = self.asked = next((peer for peer in peers if peer > self._last), peers[0])
        self.due_ms = now + (wait_ms << self._doublings)
        return self.asked

    def answered(self, peer: bytes, now: int) -> None:
        """A peer has given blocks: the next ones may be asked for at once. What came in time says how long to wait."""
        if peer == self.asked:
            self._doublings = max(self._doublings - 1, 0)
        self.asked, self.due_ms = b"", now
