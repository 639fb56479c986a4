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
from wattquorum.ledger.state import Day, Fault, Meter, ReadingSet, State, Table, day_key

Mask = npt.NDArray[np.bool_]


class Meterage(NamedTuple):
    """A member's side on a day, one entry per interval."""

    metered: Int64s  # [Wh]
    tested: Mask


def meterage(context: Context, day: Day, address: bytes, side: Side) -> Meterage:
    """The sum over the side's meters that count on the day; Refused("readings_missing") before substitution is due."""
    start, intervals = day.window.start_ms, day.window.intervals
    metered = np.zeros(intervals, dtype=np.int64)
    tested = np.ones(intervals, dtype=np.bool_)
    for meter in counting(context, day, address, side):
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


def counting(context: Context, day: Day, address: bytes, side: Side) -> list[str]:
    """The side's meters whose readings belong to a day; later ones must not hold up a page that began without them."""
    member = context.side(address, side)
    found = []
    for name in member.meters if member else ():
        meter: Meter = context.state.get(Table.METER, name.encode("ascii"))
        if meter.counts_on(day):
            found.append(name)
    return found


def rows_in_use(state: State) -> list[bytes]:
    """The roots of rows that days in the state may still settle on, ascending."""
    roots: dict[bytes, None] = {}
    for _, reading in state.items(Table.READING):
        current: ReadingSet = reading
        roots[current.root] = None
    return sorted(roots)


def faults_at(context: Context, day: int, meter: str) -> list[Fault]:
    """The recorded line faults of a meter on a day."""
    name = meter.encode("ascii")
    return [context.state.get(Table.FAULT, key) for key in context.state.of_day(Table.FAULT, day) if key[8:-4] == name]
