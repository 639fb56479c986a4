"""The steady clock: a node's time, which never goes back and never jumps.

Engines time elections and ledgers time blocks by one `now`. It starts at the wall clock and then advances as the
monotonic clock does, so that whoever sets the wall clock, by hand or by a leap, moves no timeout. Where the two have
come apart it is slewed towards the wall clock by a small part of the time that passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from wattquorum.foundation.quantities import Millis

NS_PER_MS: Final = 1_000_000
SLEW: Final = 20  # at most one part in so many of the time that passes


class SteadyClock:
    """Milliseconds since 1970, rising."""

    __slots__ = ("_at", "_monotonic_ns", "_read_ns", "_wall_ns")

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._at, self._read_ns = wall_ns(), monotonic_ns()

    def read(self) -> Millis:
        """What time it is."""
        read_ns = self._monotonic_ns()
        passed, self._read_ns = read_ns - self._read_ns, read_ns
        apart = self._wall_ns() - (self._at + passed)
        most = passed // SLEW
        self._at += passed + max(-most, min(apart, most))
        return Millis(self._at // NS_PER_MS)

    @property
    def apart_ms(self) -> int:
        """By how much the wall clock is ahead of this one [ms]; what an operator should know of when it is large."""
        return (self._wall_ns() - self._at - (self._monotonic_ns() - self._read_ns)) // NS_PER_MS
