"""Meter files: users' own readings, CSV or Parquet, as a meter table, or everything that is wrong with them.

Columns are meter_id, interval_start, interval_end, direction, quality, source and exactly one of energy_wh,
energy_kwh and power_w; others are passed over. Work is done on whole columns, so that a million rows take seconds.
All faults of all rows are collected and raised together, each with its row: the line of a CSV file, the data row of a
Parquet file. A fault that only follows from another is left out: the gaps of a meter are looked for once each of its
rows has a readable direction and time, and every row of the file has its fields and a meter. Rules: L-11, L-12, L-13.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from wattquorum.foundation.intervals import QUARTER_HOUR
from wattquorum.foundation.quantities import Energy, Millis, format_energy
from wattquorum.foundation.refusals import CODES, shown
from wattquorum.records.csv_rows import csv_rows
from wattquorum.records.file_faults import HELD_MAX, FileFault, FileFaults, file_fault
from wattquorum.records.meter_columns import ENERGY_COLUMNS, Read, check_zone, energies, energy_bound, moments
from wattquorum.records.meter_table import COLUMNS, DIRECTIONS, QUALITIES, MeterTable

NAMED_COLUMNS: Final = ("meter_id", "interval_start", "interval_end", "direction", "quality", "source")
TEXT_COLUMNS: Final = ("meter_id", "direction", "quality", "source")
PARQUET_MAGIC: Final = b"PAR1"
MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"
REMEDIES: Final = {
    ("quantity_unreadable", "power_w"): "Write a plain number of W with at most three decimals, such as 1250.5.",
    ("quantity_unreadable", "energy_kwh"): "Write a plain number, such as 1.25, without separators of thousands.",
    ("quantity_unreadable", "energy_wh"): "Write a plain whole number, such as 1250, without separators of thousands.",
}


class _Raw(NamedTuple):
    """The columns of a file as they stand in it, with `row`, and the faults found on the way."""

    frame: pl.DataFrame
    names: tuple[str, ...]
    names_row: int | None
    decimal_comma: bool
    faults: tuple[FileFault, ...]


def read_meter_file(
    path: str | Path,
    *,
    zone: str | None = None,
    interval_ms: Millis = QUARTER_HOUR,
    meters: Collection[str] | None = None,
    limits_wh: Mapping[str, Energy] | None = None,
) -> MeterTable:
    """Reads a meter file.

    zone: the IANA time zone of time stamps without an offset; without it they are refused.
    interval_ms: the length that every row must have, and on whose grid (counted from 1970 in UTC) it must lie.
    meters: when given, the meters that may occur.
    limits_wh: what a meter's connection carries in an interval [Wh]; other meters may have 1 GWh.

    Raises FileFaults with the codes file_unreadable, column_missing, column_ambiguous, column_type, row_malformed,
    meter_unknown, direction_unknown, quality_unknown, time_unreadable, time_naive, time_nonexistent, time_ambiguous,
    time_misaligned, quantity_unreadable, energy_fraction, energy_negative, energy_absurd, intervals_overlap and
    intervals_missing; Refused("time_zone_unknown") for the zone.
    """
    if zone is not None:
        check_zone(zone)
    raw = _open(Path(path))
    if wrong := _column_faults(raw):
        raise FileFaults(path, wrong)
    energy_name = next(name for name in ENERGY_COLUMNS if name in raw.names)
    work, found = _parse(raw, energy_name, zone, interval_ms)
    found += _row_faults(work, energy_name, interval_ms, meters, limits_wh or {})
    placed = not raw.faults and not bool((work["meter_id"] == "").any())
    found += _register_faults(work, interval_ms, gaps=placed)
    _raise_all(path, raw.faults, found)
    if work.is_empty():
        raise FileFaults(path, [file_fault("file_unreadable", "file", "no rows", "Give at least one row of readings.")])
    return MeterTable(work.select(*COLUMNS), interval_ms)


def _open(path: Path) -> _Raw:
    """The file's columns: Parquet when its first bytes say so, CSV otherwise."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__) from None
    if data.startswith(PARQUET_MAGIC):
        try:
            frame = pl.read_parquet(BytesIO(data))
        except (pl.exceptions.PolarsError, OSError):
            raise _unreadable(path, "not a whole Parquet file") from None
        names = tuple(frame.columns)
        return _Raw(frame.drop("row", strict=False).with_row_index("row", offset=1), names, None, False, ())
    try:
        rows = csv_rows(data)
    except ValueError as error:
        raise _unreadable(path, str(error)) from None
    return _Raw(rows.frame, rows.header, rows.header_row, rows.separator == ";", rows.malformed)


def _unreadable(path: Path, reason: str) -> FileFaults:
    remedy = "Give a CSV file in UTF-8 or a Parquet file."
    return FileFaults(path, [file_fault("file_unreadable", "file", reason, remedy)])


def _column_faults(raw: _Raw) -> list[FileFault]:
    """What is wrong with the names and types of the columns; nothing else can be told before they are right."""
    faults = [
        file_fault("column_missing", name, ", ".join(raw.names), row=raw.names_row)
        for name in NAMED_COLUMNS
        if name not in raw.names
    ]
    given = [name for name in raw.names if name in ENERGY_COLUMNS]
    if not given:
        remedy = "Give exactly one of energy_wh, energy_kwh and power_w."
        faults.append(file_fault("column_missing", "energy", ", ".join(raw.names), remedy, raw.names_row))
    if len(given) > 1:
        faults.append(file_fault("column_ambiguous", "energy", ", ".join(given), row=raw.names_row))
    repeated = [name for name in NAMED_COLUMNS if raw.names.count(name) > 1]
    faults += [file_fault("column_ambiguous", name, name, "Name each column once.", raw.names_row) for name in repeated]
    for name in (*NAMED_COLUMNS, *given):
        if name in raw.frame.columns and not _admits(name, raw.frame.schema[name]):
            faults.append(file_fault("column_type", name, raw.frame.schema[name], row=raw.names_row))
    return faults


def _admits(name: str, kind: pl.DataType) -> bool:
    """Whether a column of this name may have this type; in CSV all are text."""
    if kind == pl.String:
        return True
    if name in TEXT_COLUMNS:
        return kind in (pl.Categorical, pl.Enum) or (name == "meter_id" and kind.is_integer())
    if name in ENERGY_COLUMNS:
        return kind.is_numeric()
    return isinstance(kind, pl.Datetime)


def _parse(
    raw: _Raw, energy_name: str, zone: str | None, interval_ms: Millis
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Every column as values beside the text that was found, and the faults of single fields."""
    frame = raw.frame
    texts = [frame[name].cast(pl.String).fill_null("").str.strip_chars().alias(name) for name in TEXT_COLUMNS]
    start = moments(frame["interval_start"], zone)
    end = moments(frame["interval_end"], zone)
    energy = energies(frame[energy_name], energy_name, interval_ms, raw.decimal_comma)
    work = pl.DataFrame(
        [
            frame["row"].cast(pl.Int64),
            *texts,
            start.values.alias("interval_start_ms"),
            end.values.alias("interval_end_ms"),
            energy.values.alias("energy_wh"),
            frame["interval_start"].cast(pl.String).fill_null("").alias("start_text"),
            frame["interval_end"].cast(pl.String).fill_null("").alias("end_text"),
            frame[energy_name].cast(pl.String).fill_null("").alias("energy_text"),
        ]
    )
    found = []
    for field, read, text in (
        ("interval_start", start, "start_text"),
        ("interval_end", end, "end_text"),
        (energy_name, energy, "energy_text"),
    ):
        found += _field_faults(work, read, field, text)
    return work, found


def _field_faults(work: pl.DataFrame, read: Read, field: str, text: str) -> list[pl.DataFrame]:
    """One table of faults for each code among a column's."""
    coded = work.select("row", pl.col(text).alias("value")).with_columns(read.codes.alias("code"))
    bad = coded.filter(pl.col("code").is_not_null())
    return [
        _faults(part, code, field, pl.col("value"), REMEDIES.get((code, field), ""))
        for code, part in ((str(code), bad.filter(pl.col("code") == code)) for code in bad["code"].unique().sort())
    ]


def _faults(bad: pl.DataFrame, code: str, field: str, value: pl.Expr, remedy: str = "") -> pl.DataFrame:
    """The rows of `bad` as faults, in columns."""
    return bad.select(
        "row",
        pl.lit(code).alias("code"),
        pl.lit(field).alias("field"),
        value.cast(pl.String).alias("value"),
        pl.lit(remedy or CODES[code][1]).alias("remedy"),
    )


def _row_faults(
    work: pl.DataFrame,
    energy_name: str,
    interval_ms: Millis,
    meters: Collection[str] | None,
    limits_wh: Mapping[str, Energy],
) -> list[pl.DataFrame]:
    """Faults that a row shows by itself."""
    direction, quality = pl.col("direction"), pl.col("quality")
    meter, start, end, energy = (
        pl.col(name) for name in ("meter_id", "interval_start_ms", "interval_end_ms", "energy_wh")
    )
    unknown = meter == "" if meters is None else ~meter.is_in(sorted(meters))
    off_grid = start % interval_ms != 0
    off_length = (end - start != interval_ms) & ~off_grid
    minutes = f"{interval_ms // 60_000} minutes" if interval_ms % 60_000 == 0 else f"{interval_ms} ms"
    found = [
        *_unknown_meters(work.filter(unknown)),
        _faults(work.filter(~direction.is_in(DIRECTIONS)), "direction_unknown", "direction", direction),
        _faults(work.filter(~quality.is_in(QUALITIES)), "quality_unknown", "quality", quality),
        _faults(
            work.filter(off_grid), "time_misaligned", "interval_start", pl.col("start_text"),
            f"Start each interval at a whole multiple of {minutes}.",
        ),
        _faults(
            work.filter(off_length), "time_misaligned", "interval_end", pl.col("end_text"),
            f"End each interval {minutes} after its start.",
        ),
        _faults(work.filter(energy < 0), "energy_negative", energy_name, pl.col("energy_text")),
    ]  # fmt: skip
    bounds = {meter_id: energy_bound(limit) for meter_id, limit in limits_wh.items()}
    usual = energy_bound(None)
    bound = meter.replace_strict(bounds, default=usual, return_dtype=pl.Int64) if bounds else pl.lit(usual)
    absurd = work.with_columns(bound.alias("bound")).filter(energy > pl.col("bound"))
    for (limit,), part in absurd.group_by("bound", maintain_order=True):
        assert isinstance(limit, int)
        remedy = f"Check the unit and the meter: an interval carries at most {format_energy(Energy(limit))}."
        found.append(_faults(part, "energy_absurd", energy_name, pl.col("energy_text"), remedy))
    return found


def _unknown_meters(bad: pl.DataFrame) -> list[pl.DataFrame]:
    """A fault for each row without a meter, and one for each foreign meter: at its first row, with how many it has."""
    meter = pl.col("meter_id")
    foreign = bad.filter(meter != "").group_by("meter_id").agg(pl.col("row").min(), pl.len().alias("rows")).sort("row")
    told = pl.when(pl.col("rows") == 1).then(meter).otherwise(pl.format("{}, in {} rows", meter, pl.col("rows")))
    return [
        _faults(bad.filter(meter == ""), "meter_unknown", "meter_id", meter),
        _faults(foreign, "meter_unknown", "meter_id", told),
    ]


def _register_faults(work: pl.DataFrame, interval_ms: Millis, gaps: bool) -> list[pl.DataFrame]:
    """Intervals that a register has more than once, or not at all between its first and its last."""
    start, end = pl.col("interval_start_ms"), pl.col("interval_end_ms")
    timed = (end - start == interval_ms) & (start % interval_ms == 0)
    sound = (timed & pl.col("direction").is_in(DIRECTIONS) & (pl.col("meter_id") != "")).fill_null(value=False)
    register = ("meter_id", "direction")
    placed = work.filter(sound).sort(*register, "interval_start_ms", "row")
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in register)
    stepped = placed.with_columns(
        pl.when(same).then(start - start.shift()).alias("step"), start.shift().alias("before")
    )
    again = stepped.filter(pl.col("step") == 0)
    place = pl.format("{} {} {}", *register, _moment(start))
    found = [_faults(again, "intervals_overlap", "interval_start", place)]
    if gaps:
        clouded = work.filter(~sound)["meter_id"].unique()
        after = stepped.filter((pl.col("step") > interval_ms) & ~pl.col("meter_id").is_in(clouded.implode()))
        missing = pl.format(
            "{} {}: {} missing from {} to {}",
            *register, pl.col("step") // interval_ms - 1, _moment(pl.col("before") + interval_ms), _moment(start),
        )  # fmt: skip
        found.append(_faults(after, "intervals_missing", "interval_start", missing))
    return found


def _moment(milliseconds: pl.Expr) -> pl.Expr:
    """Milliseconds UTC as text."""
    return pl.from_epoch(milliseconds, time_unit="ms").dt.strftime(MOMENT)


def _raise_all(path: str | Path, malformed: tuple[FileFault, ...], found: list[pl.DataFrame]) -> None:
    """Raises everything that was found, in the order of the rows; nothing when nothing was found."""
    count = len(malformed) + sum(part.height for part in found)
    if not count:
        return
    order = pl.concat([part.with_columns(pl.col("row").cast(pl.Int64)) for part in found]).sort(
        "row", maintain_order=True
    )
    faults = [
        FileFault(code, field, shown(value), remedy, row)
        for row, code, field, value, remedy in order.head(HELD_MAX).iter_rows()
    ]
    merged = sorted([*malformed[:HELD_MAX], *faults], key=lambda fault: fault.row or 0)
    raise FileFaults(path, merged, count)
