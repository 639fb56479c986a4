"""Chance: draws that are the same on every machine, because they are integers from a seed and nothing else.

An engine's timeouts and a simulated world's faults have to be repeatable to the last bit, whatever the Python version
or the hash seed. So they are drawn here (SplitMix64 of Steele, Lea and Flood 2014) and from no library's generator.
It is no cryptography: keys and salts come from elsewhere.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import Final, TypeVar

from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import MILLION

T = TypeVar("T")

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = 2**64 - 1
SEED_BYTES: Final = 8


class Chance:
    """A stream of draws; what its seed is decides all of them."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        """A stream of its own for every seed; seeds count modulo 2^64."""
        self._state = seed & _MASK

    def stream(self, label: str) -> Chance:
        """A stream of its own for a purpose; draws from one never move another."""
        seed = tagged_hash("chance", self._state.to_bytes(SEED_BYTES, "big") + label.encode())
        return Chance(int.from_bytes(seed[:SEED_BYTES], "big"))

    def bits(self) -> int:
        """64 bits, as an integer."""
        self._state = (self._state + _GOLDEN) & _MASK
        mixed = ((self._state ^ (self._state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, end: int) -> int:
        """One of 0..end-1, with odds that differ by less than end / 2^64."""
        return self.bits() * end >> 64

    def between(self, low: int, high: int) -> int:
        """One of low..high, both included."""
        return low + self.below(high - low + 1)

    def happens(self, ppm: int) -> bool:
        """True in `ppm` of a million cases."""
        return self.below(MILLION) < ppm

    def pick(self, choices: Sequence[T]) -> T:
        """One of these."""
        return choices[self.below(len(choices))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Puts them into an order of which each is as likely as the others."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
