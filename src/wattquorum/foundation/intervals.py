"""Intervals: half-open [start, end) in UTC milliseconds, and a delivery day as a row of equal ones (L-13).

The ledger knows no time zones; whoever publishes a day has turned local midnight into UTC before. Reading and writing
time stamps here is pure integer arithmetic on the Gregorian calendar.
"""

from __future__ import annotations

import re
from typing import Final

from wattquorum.foundation.codec import Record, Unsigned
from wattquorum.foundation.quantities import MS_PER_HOUR, Millis
from wattquorum.foundation.refusals import Refused

INTERVALS_MAX: Final = 1_500  # a day of single minutes, with room for a day of 25 hours
MS_PER_MINUTE: Final = 60_000
MS_PER_DAY: Final = 24 * MS_PER_HOUR
QUARTER_HOUR: Final = Millis(15 * MS_PER_MINUTE)


class Window(Record, frozen=True):
    """A row of equal half-open intervals: [start_ms, end_ms) cut every length_ms."""

    start_ms: Unsigned
    end_ms: Unsigned
    length_ms: Unsigned

    @property
    def intervals(self) -> int:
        """How many intervals the window has."""
        return (self.end_ms - self.start_ms) // self.length_ms

    def start_of(self, interval: int) -> Millis:
        """When an interval begins [ms UTC]."""
        return Millis(self.start_ms + interval * self.length_ms)

    def index_from(self, moment: int) -> int:
        """The first interval that begins at or after a moment; `intervals` when none does."""
        if moment <= self.start_ms:
            return 0
        return min(self.intervals, -(-(moment - self.start_ms) // self.length_ms))

    def overlaps(self, other: Window) -> bool:
        """Whether two windows share a moment."""
        return self.start_ms < other.end_ms and other.start_ms < self.end_ms


def check_window(window: Window) -> None:
    """Refuses windows that are empty, not made of whole intervals, or longer than a day of 25 hours."""
    if window.length_ms < MS_PER_MINUTE:
        raise Refused("out_of_range", "interval length", window.length_ms, "An interval has at least a minute.")
    if window.end_ms <= window.start_ms:
        raise Refused(
            "out_of_range", "window", f"{window.start_ms}..{window.end_ms}", "Give a window that ends after it starts."
        )
    if (window.end_ms - window.start_ms) % window.length_ms:
        raise Refused("time_misaligned", "window", window.end_ms - window.start_ms)
    if window.end_ms - window.start_ms > 25 * MS_PER_HOUR or window.intervals > INTERVALS_MAX:
        raise Refused("out_of_range", "window", window.end_ms - window.start_ms, "A delivery day has at most 25 hours.")


def format_moment(moment: int) -> str:
    """Milliseconds UTC as 2016-06-13T00:00:00Z, with milliseconds when there are any."""
    days, rest = divmod(moment, MS_PER_DAY)
    year, month, day = _civil(days)
    seconds, ms = divmod(rest, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    fraction = f".{ms:03d}" if ms else ""
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{fraction}Z"


_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


def parse_moment(text: str, field: str = "time") -> Millis:
    """2016-06-13T00:00:00Z or with an offset such as +02:00 as milliseconds UTC; naive times are refused."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        raise Refused("time_unreadable", field, text)
    year, month, day, hour, minute = (int(found[i]) for i in range(1, 6))
    second, ms = int(found[6] or 0), int((found[7] or "0").ljust(3, "0"))
    days = _days(year, month, day) if 1 <= month <= 12 else 0
    if not 1 <= month <= 12 or _civil(days) != (year, month, day) or hour > 23 or minute > 59 or second > 59:
        raise Refused("time_unreadable", field, text)
    if found[8] is None:
        raise Refused("time_naive", field, text)
    offset = 0
    if found[8] != "Z":
        hours, minutes = int(found[8][1:3]), int(found[8][-2:])
        if hours > 23 or minutes > 59:
            raise Refused("time_unreadable", field, text)
        offset = (hours * 60 + minutes) * (1 if found[8][0] == "+" else -1)
    total = ((days * 24 + hour) * 60 + minute - offset) * MS_PER_MINUTE + second * 1_000 + ms
    if total < 0:
        raise Refused("out_of_range", field, text, "Give a time after 1970.")
    return Millis(total)


def _civil(days: int) -> tuple[int, int, int]:
    """Days since 1970-01-01 as (year, month, day): Hinnant's algorithm on 400-year eras."""
    days += 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    return year_of_era + era * 400 + (1 if month <= 2 else 0), month, day


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a Gregorian date: the inverse of `_civil`."""
    shifted = year - 1 if month <= 2 else year
    era, year_of_era = divmod(shifted, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
