"""Telemetry: how a day's metered energy reaches the meter operator, outages included (L-11, L-23).

The shipped data are complete, real metering never is. An outage, drawn for each meter and day from its own stream, is
modelled and says so: for some hours nothing arrives, the meter operator estimates them from the day before, and the
measured values follow in the evening as a correction. Everything else is the data as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.intervals import Window
from wattquorum.foundation.vectors import Int64s, pack_energy
from wattquorum.ledger.readings import Quality, Row
from wattquorum.simulation.demo_keys import DemoSecrets
from wattquorum.traders.streams import stream

OUTAGE_PROBABILITY: Final = 0.01  # per meter and day; a modelling choice
OUTAGE_INTERVALS: Final = (8, 40)  # two to ten hours of quarter-hours


class Outage(NamedTuple):
    """Intervals [first, end) of which nothing arrived in time."""

    first: int
    end: int


def outage_of(seed: int, meter: str, window: Window) -> Outage | None:
    """The outage of a meter on a day, if there is one."""
    random = stream(seed, "telemetry", meter, str(window.start_ms))
    if random.random() >= OUTAGE_PROBABILITY:
        return None
    length = min(int(random.integers(*OUTAGE_INTERVALS)), window.intervals)
    first = int(random.integers(window.intervals - length + 1))
    return Outage(first, first + length)


def estimated(energy: Int64s, outage: Outage, before: Int64s) -> Int64s:
    """A day with the intervals of an outage taken from the day before [Wh per interval]."""
    known = energy.copy()
    known[outage.first : outage.end] = before[outage.first : outage.end]
    return known


def marked(quality: bytes, outage: Outage) -> bytes:
    """Qualities with the intervals of an outage marked as estimated."""
    gap = outage.end - outage.first
    return quality[: outage.first] + bytes([Quality.ESTIMATED]) * gap + quality[outage.end :]


def metered_row(secrets: DemoSecrets, meter: str, window: Window, energy: Int64s, quality: bytes, version: int) -> Row:
    """A meter's row of a day, with the quality of each interval."""
    return Row(meter, version, pack_energy(energy), quality, secrets.salt(meter, window.start_ms, version))


def same_intervals_before(history: Sequence[Int64s], intervals: int) -> Int64s:
    """The day before at the same intervals; zero where there is none, the last value where the day was shorter."""
    if not history:
        return np.zeros(intervals, dtype=np.int64)
    last = history[-1]
    if last.size >= intervals:
        return last[:intervals]
    return np.concatenate([last, np.full(intervals - last.size, last[-1], dtype=np.int64)])
