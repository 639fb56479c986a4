"""Measuring: how long a piece of work takes beside its floor, and what is said about it.

A machine is shared and its speed changes while one looks at it, so nothing here is a bare time. Ours and its floor
take turns in the same run, and the ratio is the middle one of the ratios of neighbours; what both suffer from cancels.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Line(NamedTuple):
    """One measured number of a section."""

    name: str
    value: float
    unit: str
    note: str = ""


class Section(NamedTuple):
    """What was measured under one heading."""

    title: str
    lines: list[Line]


class Beside(NamedTuple):
    """Two pieces of work that took turns: seconds, and how many times as long as the floor ours takes."""

    ours: float
    floor: float
    times: float


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes once [s]; what it returns is freed after the clock has stopped."""
    begun = perf_counter()
    result = work()
    taken = perf_counter() - begun
    del result
    return taken


def beside(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> Beside:
    """Lets ours and its floor take turns; both are warmed up once."""
    ours()
    floor()
    gc.collect()
    pairs = [(seconds(floor), seconds(ours)) for _ in range(rounds)]
    return of_pairs(pairs)


def of_pairs(pairs: Sequence[tuple[float, float]]) -> Beside:
    """What pairs of (floor, ours) [s] come to."""
    return Beside(
        median(ours for _, ours in pairs),
        median(floor for floor, _ in pairs),
        median(ours / floor for floor, ours in pairs),
    )
