"""The meter table: readings of many meters, checked once and then only read.

It stands between the files that people bring and everything that computes with energy: whoever holds one knows that
each register (a meter and a direction, never netted: L-12) has one row for every interval of its span, in order, in
whole Wh, with a known quality (L-11, L-13). Intervals are half-open and in UTC.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wattquorum.foundation.intervals import QUARTER_HOUR, format_moment
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, Millis
from wattquorum.foundation.refusals import Refused

DIRECTIONS: Final = ("injection", "withdrawal")
QUALITIES: Final = ("measured", "estimated", "substituted")
COLUMNS: Final[dict[str, type[pl.DataType]]] = {
    "meter_id": pl.String,
    "interval_start_ms": pl.Int64,
    "interval_end_ms": pl.Int64,
    "direction": pl.String,
    "energy_wh": pl.Int64,
    "quality": pl.String,
    "source": pl.String,
}
Register = tuple[str, str]


class MeterTable:
    """Readings sorted by meter, direction and start; every register without gap or overlap.

    `frame` has the columns of `COLUMNS`, `interval_ms` is the length of every interval [ms]. Building one from a frame
    that breaks a promise raises Refused: column_missing, direction_unknown, quality_unknown, energy_negative,
    energy_absurd, time_misaligned, intervals_missing or intervals_overlap. Readers of files say more, and where.
    """

    __slots__ = ("_energy", "_quality", "_registers", "frame", "interval_ms")

    def __init__(self, frame: pl.DataFrame, interval_ms: Millis = QUARTER_HOUR) -> None:
        if dict(frame.schema) != COLUMNS:
            raise Refused("column_missing", "meter table", ", ".join(frame.columns), f"Give {', '.join(COLUMNS)}.")
        frame = frame.sort("meter_id", "direction", "interval_start_ms").rechunk()
        _check_rows(frame, interval_ms)
        self.frame: Final = frame
        self.interval_ms: Final = interval_ms
        self._energy: Final = frame["energy_wh"].to_numpy().view()
        self._energy.flags.writeable = False
        codes = {quality: code for code, quality in enumerate(QUALITIES)}
        self._quality: Final = bytes(frame["quality"].replace_strict(codes, return_dtype=pl.UInt8).to_list())
        self._registers: Final = _registers(frame)

    @property
    def registers(self) -> tuple[Register, ...]:
        """Every (meter, direction), sorted."""
        return tuple(self._registers)

    def span(self, meter_id: str, direction: str) -> tuple[Millis, Millis]:
        """Start of the first and end of the last interval of a register [ms UTC].

        Raises Refused("meter_unknown") for a register that the table does not hold.
        """
        _, first, count = self._register(meter_id, direction)
        return Millis(first), Millis(first + count * self.interval_ms)

    @property
    def common_span(self) -> tuple[Millis, Millis]:
        """The window that every register covers [ms UTC]; its end is not after its start when there is none."""
        spans = [self.span(*register) for register in self._registers]
        return max(start for start, _ in spans), min(end for _, end in spans)

    def energy(self, meter_id: str, direction: str, start_ms: int, end_ms: int) -> NDArray[np.int64]:
        """Energy of each interval of [start_ms, end_ms) [Wh]: a read-only view, one entry an interval.

        Raises Refused: meter_unknown, time_misaligned, or intervals_missing when the register does not cover it all.
        """
        first, last = self._rows(meter_id, direction, start_ms, end_ms)
        return self._energy[first:last]

    def quality(self, meter_id: str, direction: str, start_ms: int, end_ms: int) -> bytes:
        """Quality of each interval of [start_ms, end_ms): its place in `QUALITIES`; refuses what `energy` refuses."""
        first, last = self._rows(meter_id, direction, start_ms, end_ms)
        return self._quality[first:last]

    def rows(self, meter_id: str, direction: str, start_ms: int, end_ms: int) -> pl.DataFrame:
        """All columns of the intervals of [start_ms, end_ms); refuses what `energy` refuses."""
        first, last = self._rows(meter_id, direction, start_ms, end_ms)
        return self.frame.slice(first, last - first)

    def _register(self, meter_id: str, direction: str) -> tuple[int, int, int]:
        found = self._registers.get((meter_id, direction))
        if found is None:
            raise Refused(
                "meter_unknown", "meter_id", f"{meter_id} {direction}", "Use a register that the table holds."
            )
        return found

    def _rows(self, meter_id: str, direction: str, start_ms: int, end_ms: int) -> tuple[int, int]:
        offset, first, count = self._register(meter_id, direction)
        if (start_ms - first) % self.interval_ms or (end_ms - first) % self.interval_ms or end_ms < start_ms:
            raise Refused("time_misaligned", "window", f"{start_ms}..{end_ms}")
        begin, end = (start_ms - first) // self.interval_ms, (end_ms - first) // self.interval_ms
        if begin < 0 or end > count:
            window = f"{format_moment(start_ms)} to {format_moment(end_ms)}"
            raise Refused("intervals_missing", f"{meter_id} {direction}", window, "Ask for a window that it covers.")
        return offset + begin, offset + end


def _check_rows(frame: pl.DataFrame, interval_ms: Millis) -> None:
    """Refuses the first row that breaks a promise of the table; the frame is sorted."""
    start, end, energy = pl.col("interval_start_ms"), pl.col("interval_end_ms"), pl.col("energy_wh")
    same = (pl.col("meter_id") == pl.col("meter_id").shift()) & (pl.col("direction") == pl.col("direction").shift())
    step = pl.when(same).then(start - start.shift())
    checks = (
        ("column_missing", "meter_id", pl.any_horizontal(pl.all().is_null()) | (pl.col("meter_id") == "")),
        ("direction_unknown", "direction", ~pl.col("direction").is_in(DIRECTIONS)),
        ("quality_unknown", "quality", ~pl.col("quality").is_in(QUALITIES)),
        ("energy_negative", "energy_wh", energy < 0),
        ("energy_absurd", "energy_wh", energy > ENERGY_PER_INTERVAL_MAX),
        ("time_misaligned", "interval_start_ms", (start < 0) | (start % interval_ms != 0)),
        ("time_misaligned", "interval_end_ms", end - start != interval_ms),
        ("intervals_overlap", "interval_start_ms", step < interval_ms),
        ("intervals_missing", "interval_start_ms", step > interval_ms),
    )
    if frame.is_empty():
        raise Refused("readings_missing", "meter table", "no rows")
    for code, field, broken in checks:
        bad = frame.filter(broken)
        if not bad.is_empty():
            raise Refused(code, field, f"{bad['meter_id'][0]}: {bad[field][0]}")


def _registers(frame: pl.DataFrame) -> dict[Register, tuple[int, int, int]]:
    """(meter, direction) to (first row, first start [ms], rows), in order."""
    found = frame.group_by("meter_id", "direction", maintain_order=True).agg(
        pl.len().alias("count"), pl.col("interval_start_ms").first().alias("first")
    )
    registers: dict[Register, tuple[int, int, int]] = {}
    offset = 0
    for meter_id, direction, count, first in found.iter_rows():
        registers[meter_id, direction] = (offset, first, count)
        offset += count
    return registers
