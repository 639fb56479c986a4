"""Clocks: what time a simulated host believes it is.

The world has one time; every host reads it through a clock that is ahead or behind, runs a little fast or slow, or both
by turns, and may be set. Nobody sets it back while its host runs, since no engine is told of a time before one that it
knew: that is for a node's clock to keep, and for its tests. After a restart it may show anything.
"""

from __future__ import annotations

from typing import Final

MILLION: Final = 1_000_000


class Clock:
    """A host's clock: `read` turns the world's time into the host's, `when` the other way round; both in ms."""

    __slots__ = ("_ahead", "_drift_ppm", "_since")

    def __init__(self, ahead_ms: int, drift_ppm: int) -> None:
        """Shows `ahead_ms` more than the world's time at its beginning, and from then on a millionth faster for each
        `drift_ppm`."""
        self._ahead = ahead_ms
        self._since = 0
        self._drift_ppm = drift_ppm

    def read(self, world_ms: int) -> int:
        """What it shows at a time of the world."""
        return world_ms + self._ahead + (world_ms - self._since) * self._drift_ppm // MILLION

    def when(self, host_ms: int) -> int:
        """The first time of the world at which it shows `host_ms` or more."""
        guess = self._since + (host_ms - self._ahead - self._since) * MILLION // (MILLION + self._drift_ppm)
        while self.read(guess) < host_ms:
            guess += 1
        return guess

    def set(self, world_ms: int, by_ms: int) -> None:
        """Somebody sets it forward, or back."""
        self._ahead = self.read(world_ms) - world_ms + by_ms
        self._since = world_ms

    def drift(self, world_ms: int, drift_ppm: int) -> None:
        """Runs otherwise fast or slow from now on."""
        self.set(world_ms, 0)
        self._drift_ppm = drift_ppm
