"""The market's calendar: local days as windows in UTC, and the hours of a trading day (L-8, L-11, L-13, L-26).

The ledger knows no time zones; here local midnights become windows of 92, 96 or 100 quarter-hours, and the live
defaults become moments: gate at noon of the day before, readings due at six the morning after, substitution and the
final day two days after delivery.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wattquorum.foundation.intervals import MS_PER_MINUTE, QUARTER_HOUR, Window
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

ZONE: Final = "Europe/Berlin"  # of the shipped readings
PUBLISHED: Final = time(8, 0)
FUNDED: Final = time(8, 30)
TRADING: Final = time(9, 0)
GATE: Final = time(12, 0)
DECIDED: Final = time(12, 30)
READINGS_DUE: Final = time(6, 0)
CLOSED: Final = time(6, 30)
CORRECTED: Final = time(18, 0)
ROUND_MINUTES: Final = 15
DAYS_TO_SUBSTITUTION: Final = 2
DAYS_TO_FINAL: Final = 3


class TradingDay(NamedTuple):
    """One delivery day and its deadlines, all in ms UTC."""

    date: date
    window: Window
    published_ms: Millis
    funded_ms: Millis
    rounds_ms: tuple[Millis, ...]
    gate_ms: Millis
    decided_ms: Millis
    readings_ms: Millis
    closed_ms: Millis
    corrected_ms: Millis
    substitute_ms: Millis
    final_ms: Millis


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name; Refused("time_zone_unknown")."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused("time_zone_unknown", "zone", name) from None


def moment(day: date, at: time, zone: ZoneInfo) -> Millis:
    """A local time of a day [ms UTC]."""
    return Millis(int(datetime.combine(day, at, zone).timestamp()) * 1_000)


def trading_day(day: date, zone: ZoneInfo, interval_ms: Millis = QUARTER_HOUR) -> TradingDay:
    """A local day, traded the day before; at daylight saving it has an hour less or more."""
    before, after = day - timedelta(days=1), day + timedelta(days=1)
    start, end = moment(day, time(0), zone), moment(after, time(0), zone)
    trading, gate = moment(before, TRADING, zone), moment(before, GATE, zone)
    rounds = tuple(Millis(at) for at in range(trading, gate, ROUND_MINUTES * MS_PER_MINUTE))
    return TradingDay(
        day,
        Window(start, end, interval_ms),
        moment(before, PUBLISHED, zone),
        moment(before, FUNDED, zone),
        rounds,
        gate,
        moment(before, DECIDED, zone),
        moment(after, READINGS_DUE, zone),
        moment(after, CLOSED, zone),
        moment(after, CORRECTED, zone),
        moment(day + timedelta(days=DAYS_TO_SUBSTITUTION), READINGS_DUE, zone),
        moment(day + timedelta(days=DAYS_TO_FINAL), time(0), zone),
    )


def days_from(first: date, count: int) -> Iterator[date]:
    """`count` days in a row."""
    for i in range(count):
        yield first + timedelta(days=i)


def local_date(moment_ms: int, zone: ZoneInfo) -> date:
    """The local date of a moment."""
    return datetime.fromtimestamp(moment_ms / 1_000, UTC).astimezone(zone).date()
