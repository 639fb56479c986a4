"""What the meters say about a member's day, and which intervals count for the default test (L-8, L-11).

Settlement reads energies and a mask: an interval is tested when all of the side's readings in it were measured and no
line fault is on record at its meters. A meter whose readings are still missing once substitution is due is silent: one
for injection counts as nothing, one for withdrawal as what was promised, and its side is not tested. So nobody is paid
for energy that no meter has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s, energies
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.context import Context, promised_to
from wattquorum.ledger.entities import Day, Fault, Meter, ReadingSet
from wattquorum.ledger.readings import Quality, Row
from wattquorum.ledger.state import State, Table, day_key

Mask = npt.NDArray[np.bool_]


MemberKey = tuple[bytes, Side]


class Meterage(NamedTuple):
    """Members' sides on a day: arrays of [members, intervals]."""

    metered: Int64s  # [Wh]
    tested: Mask


def meterage(context: Context, day: Day, members: Sequence[MemberKey]) -> Meterage:
    """Sums over each side's meters that count on the day; Refused("readings_missing") before substitution is due.

    With a silent meter, an injection is what the side's other meters counted, a withdrawal that too, but in no interval
    less than what was promised.
    """
    shape = len(members), day.window.intervals
    metered, tested = np.zeros(shape, dtype=np.int64), np.ones(shape, dtype=np.bool_)
    start = day.window.start_ms
    rows: list[Row] = []
    present: list[int] = []  # the members that have readings, and where theirs begin among `rows`
    first: list[int] = []
    silent: list[int] = []  # the members of which a meter has none
    faults: list[tuple[int, Fault]] = []
    for i, (address, side) in enumerate(members):
        meters = counting(context, day, address, side)
        readings = [_reading(context, start, meter) for meter in meters]
        if None in readings:
            if context.now < day.substitute_ms:
                raise Refused("readings_missing", "meter", meters[readings.index(None)])
            silent.append(i)
        known = [row for row in readings if row is not None]
        if known:
            present.append(i)
            first.append(len(rows))
            rows.extend(known)
        faults.extend((i, fault) for meter in meters for fault in faults_at(context, start, meter))
    if rows:
        counted = energies(b"".join([row.energy for row in rows])).reshape(len(rows), shape[1])
        quality = np.frombuffer(b"".join([row.quality for row in rows]), dtype=np.uint8).reshape(counted.shape)
        metered[present] = np.add.reduceat(counted, first, axis=0)
        tested[present] = np.logical_and.reduceat(quality == Quality.MEASURED, first, axis=0)
    for i, fault in faults:
        tested[i, fault.first : fault.end] = False
    for i in silent:
        tested[i] = False
        address, side = members[i]
        if side is Side.BUY:
            np.maximum(metered[i], promised_to(context.state, start, address, side, shape[1]), out=metered[i])
    return Meterage(metered, tested)


def _reading(context: Context, day: int, meter: str) -> Row | None:
    """A meter's row of a day, if it was read."""
    reading: ReadingSet | None = context.state.get(Table.READING, day_key(day) + meter.encode("ascii"))
    return None if reading is None else context.shelf.get(reading.root)[reading.position]


def counting(context: Context, day: Day, address: bytes, side: Side) -> list[str]:
    """The side's meters whose readings belong to a day; later ones must not hold up a page that began without them."""
    return [meter.point.meter for meter in _counting(context, day, address, side)]


def limit_on(context: Context, day: Day, address: bytes, side: Side) -> int:
    """What the side's meters that count on a day can carry together [W] (L-10)."""
    return sum(meter.point.limit_w for meter in _counting(context, day, address, side))


def _counting(context: Context, day: Day, address: bytes, side: Side) -> list[Meter]:
    member = context.side(address, side)
    if member is None:
        return []
    owner = context.account(address)
    meters: list[Meter] = [context.state.get(Table.METER, name.encode("ascii")) for name in member.meters]
    return [meter for meter in meters if meter.counts_on(day, owner)]


def rows_in_use(state: State) -> list[bytes]:
    """The roots of rows that days in the state may still settle on, ascending."""
    roots: dict[bytes, None] = {}
    for _, reading in state.items(Table.READING):
        current: ReadingSet = reading
        roots[current.root] = None
    return sorted(roots)


def faults_at(context: Context, day: int, meter: str) -> list[Fault]:
    """The recorded line faults of a meter on a day."""
    place = day_key(day) + meter.encode("ascii")
    return [context.state.get(Table.FAULT, key) for key in context.state.listed(Table.FAULT, place)]
