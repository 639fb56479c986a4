"""Draws: the streams of `foundation.chance` for many seeds at once, each draw found by its place.

What a seed draws must not depend on how many seeds are played together, on how many processes share the work, or on a
library's generator, whose streams may change with its version. So the draw at a place of a seed's stream is the one
that `Chance` would make there, to the bit; and since a place says all, a draw that is needed seldom is made alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.chance import SEED_BYTES
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import Int64s

UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

END_MAX: Final = 1 << 32  # of a range that is drawn from
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)


class Draws:
    """One stream for a purpose of each seed; a row of so many places belongs to each round."""

    __slots__ = ("_places", "_states", "width")

    def __init__(self, seeds: Sequence[int], label: str, width: int) -> None:
        """`label` names the purpose: draws for one never move those for another."""
        self.width = width
        self._states = np.array([[_stream(seed, label)] for seed in seeds], dtype=np.uint64)
        self._places = np.arange(1, width + 1, dtype=np.uint64) * np.uint64(_GOLDEN)

    def row(self, number: int) -> UInt64s:
        """64 bits for each seed and place of a row: [seeds, width]."""
        first = np.uint64(number * self.width * _GOLDEN & _MASK)
        return _mixed(self._states + (self._places + first))

    def at(self, numbers: int | Int64s, seeds: Int64s, places: Int64s) -> UInt64s:
        """The bits at places of rows of seeds (by their position), one for each of these arrays' entries."""
        found = np.asarray(numbers, dtype=np.uint64) * np.uint64(self.width) + places.astype(np.uint64)
        found += np.uint64(1)
        found *= np.uint64(_GOLDEN)
        found += self._states[seeds, 0]
        return _mixed(found)


def _stream(seed: int, label: str) -> int:
    """The state that `Chance(seed).stream(label)` begins with."""
    told = tagged_hash("chance", (seed & _MASK).to_bytes(SEED_BYTES, "big") + label.encode())
    return int.from_bytes(told[:SEED_BYTES], "big")


def _mixed(states: UInt64s) -> UInt64s:
    """SplitMix64's output for states; the array is used up."""
    other = states >> np.uint64(30)
    states ^= other
    states *= _FIRST
    np.right_shift(states, np.uint64(27), out=other)
    states ^= other
    states *= _SECOND
    np.right_shift(states, np.uint64(31), out=other)
    states ^= other
    return states


def below(bits: UInt64s, end: int | Int64s) -> Int64s:
    """One of 0..end-1 for each: `bits * end >> 64`, for ends of 0 to 2^32."""
    ends = np.asarray(end, dtype=np.uint64)
    low = (bits & _LOW) * ends
    low >>= _HALF
    high = (bits >> _HALF) * ends
    high += low
    high >>= _HALF
    return high.view(np.int64)


def between(bits: UInt64s, low: int, high: int) -> Int64s:
    """One of low..high for each, both included."""
    return below(bits, high - low + 1) + low


class Odds:
    """Odds of so many in a million each, worked out once for draws in every round."""

    __slots__ = ("_last", "_never")

    def __init__(self, ppm: int | Int64s) -> None:
        """`ppm` are 0 to a million, of a shape that goes with the bits."""
        odds = np.atleast_1d(np.asarray(ppm, dtype=np.uint64))
        whole, rest = divmod(1 << 64, MILLION)
        # What `below(bits, MILLION) < ppm` lets through: bits up to `ceil(2^64 ppm / 10^6) - 1`, modulo 2^64.
        self._last = odds * np.uint64(whole) + (odds * np.uint64(rest) + np.uint64(MILLION - 1)) // np.uint64(MILLION)
        self._last -= np.uint64(1)
        self._never = odds == 0

    def happen(self, bits: UInt64s) -> Bools:
        """True in `ppm` of a million cases."""
        found: Bools = bits <= self._last
        if self._never.any():
            found &= ~self._never
        return found
