"""Windows of equal intervals and time stamps without a time zone database (L-13)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.intervals import (
    MS_PER_DAY,
    MS_PER_MINUTE,
    QUARTER_HOUR,
    Window,
    check_window,
    format_moment,
    parse_moment,
)
from wattquorum.foundation.quantities import MS_PER_HOUR
from wattquorum.foundation.refusals import Refused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
JUNE_13 = 1_465_776_000_000  # 2016-06-13T00:00:00Z

YEAR_9999 = (datetime(9999, 12, 30, tzinfo=UTC) - EPOCH) // MILLISECOND
moments = st.integers(MS_PER_DAY, YEAR_9999).map(lambda ms: EPOCH + ms * MILLISECOND)


# Windows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "intervals"), [(23, 92), (24, 96), (25, 100)])
def test_a_delivery_day_has_92_96_or_100_quarter_hours(hours: int, intervals: int) -> None:
    day = Window(JUNE_13, JUNE_13 + hours * MS_PER_HOUR, QUARTER_HOUR)
    check_window(day)
    assert day.intervals == intervals
    assert day.start_of(0) == JUNE_13
    assert day.start_of(intervals) == day.end_ms


def test_what_begins_at_or_after_a_moment_is_still_ahead() -> None:
    day = Window(JUNE_13, JUNE_13 + MS_PER_DAY, QUARTER_HOUR)
    assert day.index_from(JUNE_13 - 1) == day.index_from(JUNE_13) == 0
    assert day.index_from(JUNE_13 + 1) == day.index_from(JUNE_13 + QUARTER_HOUR) == 1
    assert day.index_from(day.end_ms - QUARTER_HOUR) == 95
    assert day.index_from(day.end_ms - QUARTER_HOUR + 1) == day.index_from(day.end_ms + MS_PER_DAY) == 96


@given(st.integers(0, 200), st.integers(1, 20), st.integers(1, 10))
def test_the_index_of_a_moment_is_the_first_interval_that_starts_no_earlier(
    moment: int, intervals: int, length: int
) -> None:
    day = Window(50, 50 + intervals * length, length)
    ahead = [i for i in range(intervals) if day.start_of(i) >= moment]
    assert day.index_from(moment) == (ahead[0] if ahead else intervals)


def test_days_that_touch_do_not_overlap() -> None:
    first, second = Window(0, 10, 5), Window(10, 20, 5)
    assert not first.overlaps(second)
    assert not second.overlaps(first)
    assert first.overlaps(Window(9, 11, 1))
    assert first.overlaps(Window(2, 3, 1))


@pytest.mark.parametrize(
    ("window", "code"),
    [
        (Window(JUNE_13, JUNE_13, QUARTER_HOUR), "out_of_range"),
        (Window(JUNE_13, JUNE_13 - QUARTER_HOUR, QUARTER_HOUR), "out_of_range"),
        (Window(JUNE_13, JUNE_13 + MS_PER_DAY, 0), "out_of_range"),
        (Window(JUNE_13, JUNE_13 + MS_PER_DAY, MS_PER_MINUTE - 1), "out_of_range"),
        (Window(JUNE_13, JUNE_13 + MS_PER_DAY + 1, QUARTER_HOUR), "time_misaligned"),
        (Window(JUNE_13, JUNE_13 + 25 * MS_PER_HOUR + QUARTER_HOUR, QUARTER_HOUR), "out_of_range"),
    ],
)
def test_windows_that_are_no_row_of_intervals_are_refused(window: Window, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_window(window)
    assert refusal.value.code == code


def test_a_day_of_single_minutes_is_a_window() -> None:
    check_window(Window(JUNE_13, JUNE_13 + 25 * MS_PER_HOUR, MS_PER_MINUTE))


# Time stamps --------------------------------------------------------------------------------------------------------


def test_time_stamps_by_hand() -> None:
    assert parse_moment("2016-06-13T00:00:00Z") == JUNE_13
    assert parse_moment("2016-06-13T02:00:00+02:00") == JUNE_13
    assert parse_moment(" 2016-06-12 19:30-0430 ") == JUNE_13
    assert parse_moment("2016-06-13T00:00:00.05Z") == JUNE_13 + 50
    assert format_moment(JUNE_13) == "2016-06-13T00:00:00Z"
    assert format_moment(JUNE_13 + 50) == "2016-06-13T00:00:00.050Z"
    assert parse_moment("2000-02-29T00:00Z") == 951_782_400_000


@given(moments)
def test_moments_are_written_and_read_as_the_calendar_has_them(moment: datetime) -> None:
    ms = (moment - EPOCH) // MILLISECOND
    text = format_moment(ms)
    assert datetime.fromisoformat(text) == moment
    assert parse_moment(text) == parse_moment(moment.isoformat(timespec="milliseconds")) == ms


@given(moments, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_an_offset_is_taken_off(moment: datetime, offset: int) -> None:
    local = moment.astimezone(timezone(timedelta(minutes=offset)))
    assert parse_moment(local.isoformat(timespec="milliseconds")) == (moment - EPOCH) // MILLISECOND


@given(st.integers(1970, 2500), st.integers(0, 14), st.integers(0, 33))
def test_dates_that_the_calendar_does_not_have_are_refused(year: int, month: int, day: int) -> None:
    text = f"{year:04d}-{month:02d}-{day:02d}T12:00Z"
    try:
        expected = (datetime(year, month, day, 12, tzinfo=UTC) - EPOCH) // MILLISECOND
    except ValueError:
        with pytest.raises(Refused, match="time_unreadable"):
            parse_moment(text)
    else:
        assert parse_moment(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2016-06-13",
        "2016-06-13T24:00Z",
        "2016-06-13T12:60Z",
        "2016-06-13T12:00:60Z",
        "2016-06-13T12:00:00.1234Z",
        "2016-06-13T12:00+24:00",
        "2016-06-13T12:00+02:60",
        "2016-06-13T12:00+2",
        "2016-06-13T12:00z",
        "13.06.2016 12:00Z",
        "٢٠١٦-06-13T12:00Z",
    ],
)
def test_what_is_not_a_time_stamp_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_moment(text, "interval_start")
    assert (refusal.value.code, refusal.value.field) == ("time_unreadable", "interval_start")


def test_a_time_without_a_zone_is_refused_as_such() -> None:
    with pytest.raises(Refused) as refusal:
        parse_moment("2016-06-13T12:00:00", "interval_start")
    assert (refusal.value.code, refusal.value.value) == ("time_naive", "2016-06-13T12:00:00")


def test_times_before_1970_are_refused() -> None:
    assert parse_moment("1970-01-01T00:00Z") == 0
    for text in ("1969-12-31T23:59:59.999Z", "1970-01-01T00:00+00:01", "0000-01-01T00:00Z"):
        with pytest.raises(Refused, match="out_of_range"):
            parse_moment(text)
