"""What the meters say about a member's day, and which intervals count for the default test (L-8, L-11).

Settlement reads energies and a mask: an interval is tested when all of the side's readings in it were measured and no
line fault is on record at its meters. Where readings are still missing once substitution is due, the member counts as
having delivered what it promised, untested.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s, energies
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.context import Context, promised_to
from wattquorum.ledger.readings import Quality
from wattquorum.ledger.state import Day, Fault, ReadingSet, Table, day_key

Mask = npt.NDArray[np.bool_]


class Meterage(NamedTuple):
    """A member's side on a day, one entry per interval."""

    metered: Int64s  # [Wh]
    tested: Mask


def meterage(context: Context, day: Day, address: bytes, side: Side) -> Meterage:
    """The sum over the side's meters; Refused("readings_missing") before substitution is due."""
    start, intervals = day.window.start_ms, day.window.intervals
    metered = np.zeros(intervals, dtype=np.int64)
    tested = np.ones(intervals, dtype=np.bool_)
    member = context.side(address, side)
    for meter in member.meters if member else ():
        reading: ReadingSet | None = context.state.get(Table.READING, day_key(start) + meter.encode("ascii"))
        if reading is None:
            if context.now < day.substitute_ms:
                raise Refused("readings_missing", "meter", meter)
            promised = promised_to(context.state, start, address, side, intervals)
            return Meterage(promised, np.zeros(intervals, dtype=np.bool_))
        row = context.shelf.get(reading.root)[reading.position]
        metered += energies(row.energy)
        tested &= np.frombuffer(row.quality, dtype=np.uint8) == Quality.MEASURED
        for fault in faults_at(context, start, meter):
            tested[fault.first : fault.end] = False
    return Meterage(metered, tested)


def faults_at(context: Context, day: int, meter: str) -> list[Fault]:
    """The recorded line faults of a meter on a day."""
    name = meter.encode("ascii")
    return [context.state.get(Table.FAULT, key) for key in context.state.of_day(Table.FAULT, day) if key[8:-4] == name]
