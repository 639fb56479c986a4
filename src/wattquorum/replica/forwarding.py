"""Forwarding: what came to a replica that does not order is sent to the one that does.

Each transaction is sent once when it comes, and again while it is in no block after some time: frames get lost, and a
leader may have dropped it; but no more than a frame in that time, since a leader that is slower than what comes would
get slower by having to read everything again. When another leads, everything that waits is due to it. A block's worth
of work is done for what came and what is due, never for everything that waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from wattquorum.replica.pool import Pending, Pool

FORWARD_BYTES_MAX: Final = 1 << 20  # in one frame; a single larger transaction still goes alone
FORWARD_AGAIN_MS: Final = 1_000  # what was sent to the leader and is in no block by then is sent again


class Forwarding:
    """Which of the waiting transactions the leader has yet to be sent."""

    __slots__ = ("_again_ms", "_due", "_sent")

    def __init__(self) -> None:
        self._due: deque[bytes] = deque()  # by hash, in the order in which they came
        self._sent: deque[tuple[int, bytes]] = deque()  # and when, in order
        self._again_ms = 0  # when something was sent again

    def came(self, transaction: bytes) -> None:
        """A transaction waits from now on."""
        self._due.append(transaction)

    def restart(self, waiting: Iterable[Pending]) -> None:
        """Another replica orders from now on: it has to be sent all that waits."""
        self._due = deque(pending.received.hash for pending in waiting)
        self._sent.clear()

    def batch(self, pool: Pool, now: int) -> list[Pending]:
        """What goes into the next frame to the leader, in order."""
        self._due.extend(pending.received.hash for pending in self._overdue(pool, now))
        return self._next(pool, now)

    def batches(self, pool: Pool, now: int) -> tuple[list[Pending], list[Pending]]:
        """What came and goes into the next frame, and what was sent so long ago that it has to be sent again."""
        again = self._overdue(pool, now)
        self._sent.extend((now, pending.received.hash) for pending in again)
        return self._next(pool, now), again

    def _next(self, pool: Pool, now: int) -> list[Pending]:
        found: list[Pending] = []
        size = 0
        while self._due:
            pending = pool.get(self._due[0])
            if pending is not None:
                size += pending.size
                if found and size > FORWARD_BYTES_MAX:
                    break
                found.append(pending)
                self._sent.append((now, self._due[0]))
            self._due.popleft()
        return found

    def _overdue(self, pool: Pool, now: int) -> list[Pending]:
        """What was sent and still waits after some time; a frame's worth in that time."""
        found: list[Pending] = []
        if now - self._again_ms < FORWARD_AGAIN_MS:
            return found
        size = 0
        while self._sent and now - self._sent[0][0] >= FORWARD_AGAIN_MS and size < FORWARD_BYTES_MAX:
            pending = pool.get(self._sent.popleft()[1])
            if pending is not None:
                self._again_ms = now
                found.append(pending)
                size += pending.size
        return found
