"""Columns of a meter file as exact values: time stamps as milliseconds UTC, energies as whole Wh.

It stands apart from the file's rules because it knows one column at a time: each function gives the values and, where
one cannot be read, a code in its place. Decimals are parsed as text and never pass through a float; times without an
offset are read in the zone that the caller names, and refused where that zone's clocks skip or repeat them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, MS_PER_HOUR, Energy, Millis
from wattquorum.foundation.refusals import Refused

ENERGY_COLUMNS: Final = ("energy_wh", "energy_kwh", "power_w")
DECIMALS: Final = {"energy_wh": 0, "energy_kwh": 3, "power_w": 3}  # that a value may have, and be exact
WHOLE_DIGITS_MAX: Final = 12
FLOAT_TOLERANCE: Final = 1e-6  # of a Wh: far above a double's error, far below a unit
FLOAT_MAX: Final = 1e15

TIME: Final = (
    r"^((?:19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2})[T ]([01][0-9]|2[0-3]):([0-5][0-9])"
    r"(?::([0-5][0-9])(?:\.([0-9]{1,3})0*)?)?(?:(Z)|([+-])(0[0-9]|1[0-4]):?([0-5][0-9]))?$"
)
NUMBER: Final = r"^([+-]?)0*([0-9]+)(?:\.(?:([0-9]*[1-9])0*|0+))?$"


class Read(NamedTuple):
    """A column as values, and a code where a value is missing because it cannot be read."""

    values: pl.Series
    codes: pl.Series


def check_zone(zone: str) -> None:
    """Refuses a name that is not a time zone of the IANA database."""
    try:
        pl.Series([0], dtype=pl.Datetime("ms")).dt.replace_time_zone(zone, non_existent="null", ambiguous="null")
    except pl.exceptions.PolarsError:
        raise Refused("time_zone_unknown", "zone", zone) from None


def moments(column: pl.Series, zone: str | None) -> Read:
    """Time stamps as Int64 milliseconds UTC.

    Text is ISO 8601 to the millisecond, such as 2016-06-13T00:00:00Z, 2016-06-13 02:00+02:00 or, with a zone named,
    2016-06-13 02:00. Columns of type Datetime are taken as they are; without a time zone they need `zone` as well.
    Codes: time_unreadable, time_naive, time_nonexistent, time_ambiguous.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        ms = column.cast(pl.Datetime("ms", kind.time_zone))
        frame = pl.DataFrame({"t": ms, "whole": ms.cast(kind) == column}).select(pl.when("whole").then("t").alias("t"))
        if kind.time_zone is None:
            return _in_zone(frame.select(pl.lit(None, dtype=pl.Int64).alias("utc"), pl.col("t").alias("naive")), zone)
        utc = pl.col("t").dt.epoch("ms").alias("utc")
        return _in_zone(frame.select(utc, pl.lit(None, dtype=pl.Datetime("ms")).alias("naive")), zone)
    parts = pl.col("t").str.extract_groups(TIME)
    names = ("date", "hour", "minute", "second", "fraction", "z", "sign", "offset_hour", "offset_minute")
    cut = pl.DataFrame({"t": column.cast(pl.String)}).select(parts.struct.rename_fields(names).alias("t")).unnest("t")
    clock = pl.format("{} {}:{}:{}", "date", "hour", "minute", pl.col("second").fill_null("00"))
    fraction = pl.col("fraction").str.pad_end(3, "0").cast(pl.Int64).fill_null(0)
    naive = clock.str.strptime(pl.Datetime("ms"), "%Y-%m-%d %H:%M:%S", strict=False) + pl.duration(
        milliseconds=fraction
    )
    minutes = pl.col("offset_hour").cast(pl.Int64) * 60 + pl.col("offset_minute").cast(pl.Int64)
    signed = pl.when(pl.col("z").is_not_null()).then(0).when(pl.col("sign") == "-").then(-minutes).otherwise(minutes)
    frame = cut.select(naive.alias("naive"), (signed * 60_000).alias("offset"))
    utc = (pl.col("naive").dt.epoch("ms") - pl.col("offset")).alias("utc")
    return _in_zone(frame.select(utc, pl.when(pl.col("offset").is_null()).then(pl.col("naive")).alias("naive")), zone)


def _in_zone(frame: pl.DataFrame, zone: str | None) -> Read:
    """`utc` where it is known, else `naive` read in the zone; every failure with its code."""
    utc, naive = pl.col("utc"), pl.col("naive")
    if zone is None:
        frame = frame.with_columns(code=pl.when(naive.is_not_null()).then(pl.lit("time_naive")))
    else:
        first = naive.dt.replace_time_zone(zone, non_existent="null", ambiguous="earliest")
        last = naive.dt.replace_time_zone(zone, non_existent="null", ambiguous="latest")
        code = (
            pl.when(naive.is_not_null() & pl.col("first").is_null())
            .then(pl.lit("time_nonexistent"))
            .when(pl.col("first") != pl.col("last"))
            .then(pl.lit("time_ambiguous"))
        )
        frame = frame.with_columns(first.dt.epoch("ms").alias("first"), last.dt.epoch("ms").alias("last"))
        frame = frame.with_columns(code=code)
        frame = frame.with_columns(utc=pl.coalesce(utc, pl.when(pl.col("code").is_null()).then(pl.col("first"))))
    before_1970 = pl.col("code").is_null() & (utc.is_null() | (utc < 0))
    frame = frame.with_columns(code=pl.when(before_1970).then(pl.lit("time_unreadable")).otherwise(pl.col("code")))
    frame = frame.with_columns(utc=pl.when(pl.col("code").is_null()).then(utc))
    return Read(frame["utc"].cast(pl.Int64), frame["code"].cast(pl.String))


def energies(column: pl.Series, name: str, interval_ms: Millis, decimal_comma: bool = False) -> Read:
    """A column named energy_wh, energy_kwh or power_w as Int64 Wh an interval of `interval_ms` [ms].

    Energies are exact: 0.001 kWh is 1 Wh, and a finer one is not read. Power [W, to the milliwatt] is the mean over the
    interval; its energy is rounded once toward zero, as all quantities are. Text has a decimal point, or a decimal
    comma where one is allowed and any value of the column has one; it has no separators of thousands and no exponent.
    Energies as floats must lie within a millionth of a Wh of a whole one, power as a float is taken to the nearest
    milliwatt. Values below zero are given as they are: whether they may be is a rule of the file. Codes:
    quantity_unreadable, energy_fraction, energy_absurd (beyond any bound).
    """
    decimals = DECIMALS[name]
    read = _scaled(column, decimals, decimal_comma, 0.5 if name == "power_w" else FLOAT_TOLERANCE)
    if name != "power_w":
        return read
    # Above this, in milliwatts, an interval would hold more than any may; below it the product fits 64 bits.
    bound = (ENERGY_PER_INTERVAL_MAX + 1) * 1_000 * MS_PER_HOUR // interval_ms
    frame = pl.DataFrame({"mw": read.values, "code": read.codes})
    too_much = pl.col("mw").abs() > bound
    wh = (pl.col("mw").abs() * interval_ms) // (1_000 * MS_PER_HOUR)
    frame = frame.select(
        # A power below zero whose energy would round to zero is still below zero.
        pl.when(too_much).then(None).when(pl.col("mw") < 0).then(-pl.max_horizontal(wh, 1)).otherwise(wh).alias("wh"),
        pl.when(too_much).then(pl.lit("energy_absurd"))
        .when(pl.col("code") == "energy_fraction").then(pl.lit("quantity_unreadable"))
        .otherwise(pl.col("code")).alias("code"),
    )  # fmt: skip
    return Read(frame["wh"], frame["code"])


def _scaled(column: pl.Series, decimals: int, decimal_comma: bool, tolerance: float) -> Read:
    """Numbers times 10**decimals as Int64: exactly, or for floats the nearest one within the tolerance."""
    kind = column.dtype
    if kind.is_float():
        # A narrow float's shortest text says which decimal was meant; a double is near enough as it is.
        wide = column.cast(pl.String).cast(pl.Float64) if kind != pl.Float64 else column
        value = wide * 10**decimals
        nearest = value.round()
        frame = pl.DataFrame({"value": value, "nearest": nearest}).with_columns(
            code=pl.when(~pl.col("value").is_finite() | pl.col("value").is_null())
            .then(pl.lit("quantity_unreadable"))
            .when(pl.col("value").abs() > FLOAT_MAX)
            .then(pl.lit("energy_absurd"))
            .when((pl.col("value") - pl.col("nearest")).abs() > tolerance)
            .then(pl.lit("energy_fraction"))
        )
        whole = frame.select(pl.when(pl.col("code").is_null()).then(pl.col("nearest")).cast(pl.Int64))
        return Read(whole.to_series(), frame["code"])
    text = column.cast(pl.String)
    if decimal_comma and bool(text.str.contains(",", literal=True).any()):
        text = pl.select(
            pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
        ).to_series()
    cut = pl.DataFrame({"t": text}).select(
        pl.col("t").str.extract_groups(NUMBER).struct.rename_fields(["sign", "whole", "fraction"]).alias("t")
    )
    frame = (
        cut.unnest("t")
        .with_columns(pl.col("fraction").fill_null(""))
        .with_columns(
            code=pl.when(pl.col("whole").is_null())
            .then(pl.lit("quantity_unreadable"))
            .when(pl.col("whole").str.len_bytes() > WHOLE_DIGITS_MAX)
            .then(pl.lit("energy_absurd"))
            .when(pl.col("fraction").str.len_bytes() > decimals)
            .then(pl.lit("energy_fraction"))
        )
    )
    digits = pl.concat_str("whole", pl.col("fraction").str.pad_end(decimals, "0")) if decimals else pl.col("whole")
    value = pl.when(pl.col("code").is_null()).then(digits).cast(pl.Int64)
    frame = frame.select(pl.when(pl.col("sign") == "-").then(-value).otherwise(value).alias("value"), "code")
    return Read(frame["value"], frame["code"])


def energy_bound(limit: Energy | None) -> Energy:
    """What an interval may hold at most [Wh]: the meter's limit, never above the bound of all quantities."""
    return ENERGY_PER_INTERVAL_MAX if limit is None else min(limit, ENERGY_PER_INTERVAL_MAX)
