from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattquorum.foundation.intervals import QUARTER_HOUR, parse_moment
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, Energy, Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.records.file_faults import FileFaults
from wattquorum.records.meter_files import read_meter_file
from wattquorum.records.meter_table import COLUMNS, MeterTable

HEADER = "meter_id,interval_start,interval_end,direction,energy_wh,quality,source"
BERLIN = "Europe/Berlin"
QUARTER = timedelta(minutes=15)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def line(
    meter: str = "M1",
    start: str = "2016-06-13T00:00:00Z",
    end: str | None = None,
    direction: str = "injection",
    energy: str = "100",
    quality: str = "measured",
    source: str = "test",
) -> str:
    if end is None:
        end = (moment(start) + QUARTER).isoformat()
    return f"{meter},{start},{end},{direction},{energy},{quality},{source}"


def good(count: int = 4, meter: str = "M1") -> list[str]:
    first = datetime(2016, 6, 13, tzinfo=UTC)
    return [line(meter, (first + k * QUARTER).isoformat(), energy=str(100 + k)) for k in range(count)]


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "meters.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def faults(path: Path, **options: object) -> list[tuple[str, str, int | None]]:
    with pytest.raises(FileFaults) as raised:
        read_meter_file(path, **options)  # type: ignore[arg-type]
    assert raised.value.count == len(raised.value.faults)
    return [(fault.code, fault.field, fault.row) for fault in raised.value.faults]


def test_a_good_file_becomes_a_sorted_table(tmp_path: Path) -> None:
    table = read_meter_file(written(tmp_path, *reversed(good())))
    start = parse_moment("2016-06-13T00:00:00Z")
    assert table.registers == (("M1", "injection"),)
    assert table.energy("M1", "injection", start, start + 4 * QUARTER_HOUR).tolist() == [100, 101, 102, 103]
    assert table.frame["interval_start_ms"].to_list() == [start + k * QUARTER_HOUR for k in range(4)]
    assert table.frame["source"].to_list() == ["test"] * 4


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (line("", "2016-06-13T00:30:00Z"), [("meter_unknown", "meter_id", 4)]),
        (line(start="2016-06-13T00:30:00Z", direction="export"), [("direction_unknown", "direction", 4)]),
        (line(start="2016-06-13T00:30:00Z", direction=""), [("direction_unknown", "direction", 4)]),
        (line(start="2016-06-13T00:30:00Z", quality="guessed"), [("quality_unknown", "quality", 4)]),
        (line(start="2016-06-13T00:30:00Z", energy="-1"), [("energy_negative", "energy_wh", 4)]),
        (line(start="2016-06-13T00:30:00Z", energy="1000000001"), [("energy_absurd", "energy_wh", 4)]),
        (line(start="2016-06-13T00:30:00Z", energy="9" * 40), [("energy_absurd", "energy_wh", 4)]),
        (line(start="2016-06-13T00:30:00Z", energy="1.5"), [("energy_fraction", "energy_wh", 4)]),
        (line(start="2016-06-13T00:30:00Z", energy="1e3"), [("quantity_unreadable", "energy_wh", 4)]),
        (line(start="2016-06-13T00:30:00Z", energy=""), [("quantity_unreadable", "energy_wh", 4)]),
        (
            line(start="2016-06-13T00:30:00", end="2016-06-13T00:45:00Z"),
            [("time_naive", "interval_start", 4)],
        ),
        (
            line(start="2016-06-13T00:30:00Z", end="2016-06-13T00:45:00"),
            [("time_naive", "interval_end", 4)],
        ),
        (
            line(start="13.06.2016 00:30", end="2016-06-13T00:45:00Z"),
            [("time_unreadable", "interval_start", 4)],
        ),
        (
            line(start="2016-02-30T00:30:00Z", end="2016-06-13T00:45:00Z"),
            [("time_unreadable", "interval_start", 4)],
        ),
        (line(start="2016-06-13T00:31:00Z"), [("time_misaligned", "interval_start", 4)]),
        (line(start="2016-06-13T00:30:00.500Z"), [("time_misaligned", "interval_start", 4)]),
        (
            line(start="2016-06-13T00:30:00Z", end="2016-06-13T01:30:00Z"),
            [("time_misaligned", "interval_end", 4)],
        ),
        (
            line(start="2016-06-13T00:30:00Z", end="2016-06-13T00:30:00Z"),
            [("time_misaligned", "interval_end", 4)],
        ),
        ("M1,2016-06-13T00:30:00Z,injection", [("row_malformed", "row", 4)]),
        (line(start="2016-06-13T00:30:00Z") + ",more", [("row_malformed", "row", 4)]),
        (line('"M1', start="2016-06-13T00:30:00Z"), [("row_malformed", "row", 4)]),
        (line('plant "M1"', start="2016-06-13T00:30:00Z"), [("row_malformed", "row", 4)]),
        (line('"M"1', start="2016-06-13T00:30:00Z"), [("row_malformed", "row", 4)]),
        (line('M"1,2"', start="2016-06-13T00:30:00Z"), [("row_malformed", "row", 4)]),
    ],
)
def test_a_fault_is_told_with_its_code_its_field_and_its_line(
    tmp_path: Path, broken: str, expected: list[tuple[str, str, int | None]]
) -> None:
    lines = good()
    lines[2] = broken
    assert faults(written(tmp_path, *lines)) == expected


def test_all_faults_of_all_rows_are_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    lines = [
        line(energy="-5", quality="?"),
        line(start="2016-06-13T00:15:00Z", direction="up"),
        "cut,short",
        line("M2", "2016-06-13T00:00:00Z"),
        line("M2", "2016-06-13T00:00:00Z"),
        line("M2", "2016-06-13T01:00:00Z", energy="many"),
    ]
    found = faults(written(tmp_path, *lines))
    assert [row for _, _, row in found] == [2, 2, 3, 4, 6, 7]
    assert sorted(found) == [
        ("direction_unknown", "direction", 3),
        ("energy_negative", "energy_wh", 2),
        ("intervals_overlap", "interval_start", 6),
        ("quality_unknown", "quality", 2),
        ("quantity_unreadable", "energy_wh", 7),
        ("row_malformed", "row", 4),
    ]


def test_a_repeated_interval_is_told_at_every_repetition(tmp_path: Path) -> None:
    lines = good()
    assert faults(written(tmp_path, *lines, lines[1], lines[1])) == [
        ("intervals_overlap", "interval_start", 6),
        ("intervals_overlap", "interval_start", 7),
    ]


def test_a_gap_is_told_at_the_row_after_it_with_what_is_missing(tmp_path: Path) -> None:
    lines = good(6)
    with pytest.raises(FileFaults) as raised:
        read_meter_file(written(tmp_path, lines[0], lines[1], lines[4], lines[5]))
    (fault,) = raised.value.faults
    assert (fault.code, fault.row) == ("intervals_missing", 4)
    assert fault.value == "M1 injection: 2 missing from 2016-06-13T00:30:00Z to 2016-06-13T01:00:00Z"


def test_gaps_are_counted_for_each_register_by_itself(tmp_path: Path) -> None:
    other_direction = line("M1", "2016-06-13T05:00:00Z", direction="withdrawal")
    other_meter = line("M2", "2016-06-14T05:00:00Z")
    table = read_meter_file(written(tmp_path, *good(), other_direction, other_meter))
    assert table.registers == (("M1", "injection"), ("M1", "withdrawal"), ("M2", "injection"))


def test_a_gap_that_only_an_unreadable_row_leaves_is_not_told_beside_it(tmp_path: Path) -> None:
    lines = good(6)
    lines[3] = line(start="once", end="2016-06-13T01:00:00Z")
    assert faults(written(tmp_path, *lines)) == [("time_unreadable", "interval_start", 5)]


def test_only_known_meters_may_occur_when_they_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, *good(), *good(meter="M2"))
    assert faults(path, meters={"M1"}) == [("meter_unknown", "meter_id", 6)]
    assert len(read_meter_file(path, meters=["M2", "M1"]).registers) == 2


def test_each_foreign_meter_is_told_once_with_its_first_row_and_how_many_it_has(tmp_path: Path) -> None:
    path = written(tmp_path, *good(meter="M3"), *good(), *good(1, meter="M2"), line(meter=""), *good(meter="M4"))
    with pytest.raises(FileFaults) as told:
        read_meter_file(path, meters={"M1"})
    assert [(fault.row, fault.value) for fault in told.value.faults] == [
        (2, "M3, in 4 rows"),
        (10, "M2"),
        (11, ""),
        (12, "M4, in 4 rows"),
    ]
    assert told.value.count == 4


def test_a_meter_may_not_carry_more_than_its_connection(tmp_path: Path) -> None:
    path = written(tmp_path, *good(), *good(meter="M2"))
    assert faults(path, limits_wh={"M1": Energy(102), "M2": Energy(101)}) == [
        ("energy_absurd", "energy_wh", 5),
        ("energy_absurd", "energy_wh", 8),
        ("energy_absurd", "energy_wh", 9),
    ]
    assert read_meter_file(path, limits_wh={"M1": Energy(103)}).frame.height == 8


def test_a_limit_never_lifts_the_bound_of_all_quantities(tmp_path: Path) -> None:
    path = written(tmp_path, line(energy=str(ENERGY_PER_INTERVAL_MAX + 1)))
    assert faults(path, limits_wh={"M1": Energy(10 * ENERGY_PER_INTERVAL_MAX)}) == [("energy_absurd", "energy_wh", 2)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HEADER.replace(",quality", ",qualty"), [("column_missing", "quality", 1)]),
        (HEADER.replace("energy_wh", "energy"), [("column_missing", "energy", 1)]),
        (HEADER.replace("source", "power_w"), [("column_missing", "source", 1), ("column_ambiguous", "energy", 1)]),
        (HEADER.replace("source", "energy_wh"), [("column_missing", "source", 1), ("column_ambiguous", "energy", 1)]),
        (HEADER.replace("source", "quality"), [("column_missing", "source", 1), ("column_ambiguous", "quality", 1)]),
        ("a", [(*fault, 1) for fault in product(["column_missing"], [*HEADER.replace("energy_wh,", "").split(",")])]),
    ],
)
def test_wrong_columns_are_told_together(tmp_path: Path, header: str, expected: list[tuple[str, str, int]]) -> None:
    if header == "a":
        expected = [*expected, ("column_missing", "energy", 1)]
    found = faults(written(tmp_path, *good(), header=header))
    assert found == expected


def test_columns_that_nobody_asked_for_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, *(text + ",remark" for text in good()), header=HEADER + ",remark")
    assert read_meter_file(path).frame.columns == list(COLUMNS)


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, *(f"1,{text},,2" for text in good()), header=f",{HEADER},,")
    assert read_meter_file(path).frame.height == 4


def test_line_numbers_count_empty_lines_and_the_lines_before_the_header(tmp_path: Path) -> None:
    lines = good()
    path = tmp_path / "meters.csv"
    path.write_text("\r\n".join(["", HEADER, "", *lines[:2], "", line(start="x", end="y")]), encoding="utf-8-sig")
    assert faults(path) == [("time_unreadable", "interval_start", 7), ("time_unreadable", "interval_end", 7)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"  \n \n", "it is empty"),
        (HEADER.encode() + "\nZähler".encode("latin-1"), "not UTF-8"),
        (b"meter\0id", "zero bytes"),
        (b'"meter_id,interval_start', "do not hold whole names"),
        (b"PAR1 and then nothing", "not a whole Parquet file"),
        (HEADER.encode(), "no rows"),
    ],
)
def test_a_file_that_is_no_meter_file_is_told_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "meters.csv"
    path.write_bytes(content)
    with pytest.raises(FileFaults, match=reason) as raised:
        read_meter_file(path)
    assert [(fault.code, fault.row) for fault in raised.value.faults] == [("file_unreadable", None)]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileFaults, match="No such file"):
        read_meter_file(tmp_path / "nothing.csv")
    with pytest.raises(FileFaults, match="Is a directory"):
        read_meter_file(tmp_path)


def test_a_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="time_zone_unknown"):
        read_meter_file(written(tmp_path, *good()), zone="Europe/Atlantis")


# Local time ----------------------------------------------------------------------------------------------------------


def local_day(day: datetime, naive: bool) -> list[str]:
    """All quarters of a local day, written in local time with or without the offset."""
    following = (day.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=day.tzinfo)
    steps = (following.astimezone(UTC) - day.astimezone(UTC)) // QUARTER

    def shown(k: int) -> str:
        at = (day.astimezone(UTC) + k * QUARTER).astimezone(ZoneInfo(BERLIN))
        return (at.replace(tzinfo=None) if naive else at).isoformat()

    return [line(start=shown(k), end=shown(k + 1), energy=str(k)) for k in range(steps)]


@pytest.mark.parametrize(
    ("day", "intervals"),
    [(datetime(2016, 3, 27), 92), (datetime(2016, 6, 13), 96), (datetime(2016, 10, 30), 100)],  # noqa: DTZ001
)
def test_a_day_has_92_96_or_100_quarters_of_an_hour(tmp_path: Path, day: datetime, intervals: int) -> None:
    day = day.replace(tzinfo=ZoneInfo(BERLIN))
    table = read_meter_file(written(tmp_path, *local_day(day, naive=False)))
    start, end = table.span("M1", "injection")
    assert start == day.timestamp() * 1_000
    assert (end - start) // QUARTER_HOUR == intervals
    assert table.energy("M1", "injection", start, end).tolist() == list(range(intervals))


def test_naive_times_are_read_in_the_zone_that_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, *local_day(datetime(2016, 6, 13, tzinfo=ZoneInfo(BERLIN)), naive=True))
    table = read_meter_file(path, zone=BERLIN)
    assert table.span("M1", "injection")[0] == parse_moment("2016-06-12T22:00:00Z")
    assert table.frame.height == 96
    assert {code for code, _, _ in faults(path)} == {"time_naive"}


def test_an_offset_is_stronger_than_the_zone(tmp_path: Path) -> None:
    table = read_meter_file(written(tmp_path, *good()), zone="Asia/Shanghai")
    assert table.span("M1", "injection")[0] == parse_moment("2016-06-13T00:00:00Z")


def test_a_local_time_that_the_clocks_skip_does_not_exist(tmp_path: Path) -> None:
    skipped = line(start="2016-03-27T02:15:00", end="2016-03-27T03:15:00")
    assert faults(written(tmp_path, skipped), zone=BERLIN) == [("time_nonexistent", "interval_start", 2)]


def test_a_local_time_that_the_clocks_repeat_is_ambiguous(tmp_path: Path) -> None:
    lines = local_day(datetime(2016, 10, 30, tzinfo=ZoneInfo(BERLIN)), naive=True)
    found = faults(written(tmp_path, *lines), zone=BERLIN)
    # 02:00 to 02:45, twice, as start (quarters 8 to 15: lines 10 to 17) and as end (one quarter before).
    starts = [("time_ambiguous", "interval_start", row) for row in range(10, 18)]
    ends = [("time_ambiguous", "interval_end", row) for row in range(9, 17)]
    assert sorted(found) == sorted(starts + ends)


# Units and separators ------------------------------------------------------------------------------------------------


def test_a_kilowatt_hour_is_read_to_the_watt_hour_and_no_further(tmp_path: Path) -> None:
    header = HEADER.replace("energy_wh", "energy_kwh")
    times = [f"2016-06-13T{hour:02d}:00:00Z" for hour in range(8)]
    values = ["0.001", "1.1", "0.29", "2.675", "1000000", "007.50", "4.350000", "-0"]
    lines = [line(meter=f"M{k}", start=times[k], energy=value) for k, value in enumerate(values)]
    table = read_meter_file(written(tmp_path, *lines, header=header))
    assert table.frame["energy_wh"].to_list() == [1, 1100, 290, 2675, 1_000_000_000, 7500, 4350, 0]
    assert faults(written(tmp_path, line(energy="0.0001"), header=header)) == [("energy_fraction", "energy_kwh", 2)]
    assert faults(written(tmp_path, line(energy="-0.001"), header=header)) == [("energy_negative", "energy_kwh", 2)]


def test_a_power_is_the_mean_over_the_interval_and_its_energy_rounded_toward_zero(tmp_path: Path) -> None:
    header = HEADER.replace("energy_wh", "power_w")
    # 1000 W and 1003 W for 15 minutes are 250 and 250.75 Wh; 3.999 W are 0.99975 Wh.
    values = {"1000": 250, "1003": 250, "3.999": 0, "4000000000": 1_000_000_000}
    for text, energy in values.items():
        table = read_meter_file(written(tmp_path, line(energy=text), header=header))
        assert table.frame["energy_wh"].to_list() == [energy]
    hour = line(end="2016-06-13T01:00:00Z", energy="1003.5")
    table = read_meter_file(written(tmp_path, hour, header=header), interval_ms=Millis(3_600_000))
    assert table.frame["energy_wh"].to_list() == [1003]
    for text, code in (
        ("4000000004", "energy_absurd"),
        ("999999999999", "energy_absurd"),
        ("1.0001", "quantity_unreadable"),
        ("-0.001", "energy_negative"),
    ):
        assert faults(written(tmp_path, line(energy=text), header=header)) == [(code, "power_w", 2)]


def test_a_decimal_comma_is_read_between_semicolons(tmp_path: Path) -> None:
    header = HEADER.replace("energy_wh", "energy_kwh").replace(",", ";")
    rows = [text.replace(",", ";") for text in good(3)]
    rows[0] = rows[0].replace(";100;", ";0,1;")
    table = read_meter_file(written(tmp_path, *rows, header=header))
    assert table.frame["energy_wh"].to_list() == [100, 101_000, 102_000]


def test_a_point_beside_decimal_commas_is_not_guessed_at(tmp_path: Path) -> None:
    header = HEADER.replace("energy_wh", "energy_kwh").replace(",", ";")
    rows = [text.replace(",", ";") for text in good(3)]
    rows[0], rows[1] = rows[0].replace(";100;", ";0,1;"), rows[1].replace(";101;", ";1.234;")
    assert faults(written(tmp_path, *rows, header=header)) == [("quantity_unreadable", "energy_kwh", 3)]


def test_a_decimal_comma_between_commas_is_not_read(tmp_path: Path) -> None:
    header = HEADER.replace("energy_wh", "energy_kwh")
    assert faults(written(tmp_path, line(energy='"0,1"'), header=header)) == [("quantity_unreadable", "energy_kwh", 2)]


def test_quoted_fields_may_hold_the_separator(tmp_path: Path) -> None:
    table = read_meter_file(written(tmp_path, line(meter='"M1"', source='"plant ""A"", west"')))
    assert table.registers == (("M1", "injection"),)
    assert table.frame["source"].to_list() == ['plant "A", west']


# Parquet -------------------------------------------------------------------------------------------------------------


def parquet(folder: Path, **columns: object) -> Path:
    start = datetime(2016, 6, 13, tzinfo=UTC)
    starts = [start, start + QUARTER]
    frame = {
        "meter_id": ["M1", "M1"],
        "interval_start": starts,
        "interval_end": [at + QUARTER for at in starts],
        "direction": ["injection", "injection"],
        "energy_kwh": [0.1, 0.2],
        "quality": ["measured", "estimated"],
        "source": ["test", None],
    }
    path = folder / "meters.parquet"
    pl.DataFrame({key: value for key, value in (frame | columns).items() if value is not None}).write_parquet(path)
    return path


def test_a_parquet_file_is_read_with_its_types(tmp_path: Path) -> None:
    table = read_meter_file(parquet(tmp_path))
    assert table.frame["energy_wh"].to_list() == [100, 200]
    assert table.frame["quality"].to_list() == ["measured", "estimated"]
    assert table.frame["source"].to_list() == ["test", ""]


@pytest.mark.parametrize(
    ("values", "energies"),
    [
        (pl.Series([0.1 + 0.2, 1.1 * 3]), [300, 3300]),
        (pl.Series([123.456, 0.001], dtype=pl.Float32), [123_456, 1]),
        (pl.Series([7, 8], dtype=pl.UInt8), [7_000, 8_000]),
        (pl.Series(["0.250", "12"]), [250, 12_000]),
        (pl.Series(["0.250", "12.5"]).cast(pl.Decimal(10, 3)), [250, 12_500]),
    ],
)
def test_energies_of_any_numeric_type_are_read_exactly(tmp_path: Path, values: pl.Series, energies: list[int]) -> None:
    assert read_meter_file(parquet(tmp_path, energy_kwh=values)).frame["energy_wh"].to_list() == energies


def test_power_as_a_float_is_taken_to_the_nearest_milliwatt(tmp_path: Path) -> None:
    path = parquet(tmp_path, energy_kwh=None, power_w=[1000.0000004, 4 / 3])
    assert read_meter_file(path).frame["energy_wh"].to_list() == [250, 0]


def test_faults_in_parquet_are_told_with_the_data_row(tmp_path: Path) -> None:
    assert faults(parquet(tmp_path, energy_kwh=[0.1, 0.00055])) == [("energy_fraction", "energy_kwh", 2)]
    assert faults(parquet(tmp_path, energy_kwh=[0.1, float("nan")])) == [("quantity_unreadable", "energy_kwh", 2)]
    assert faults(parquet(tmp_path, energy_kwh=[None, 1e300])) == [
        ("quantity_unreadable", "energy_kwh", 1),
        ("energy_absurd", "energy_kwh", 2),
    ]
    assert faults(parquet(tmp_path, direction=["injection", None])) == [("direction_unknown", "direction", 2)]


def test_columns_of_the_wrong_type_are_told(tmp_path: Path) -> None:
    path = parquet(tmp_path, interval_start=[1, 2], direction=[True, False], energy_kwh=[True, False])
    assert faults(path) == [
        ("column_type", "interval_start", None),
        ("column_type", "direction", None),
        ("column_type", "energy_kwh", None),
    ]


def test_naive_parquet_times_need_a_zone_and_finer_ones_than_a_millisecond_are_not_read(tmp_path: Path) -> None:
    naive = [datetime(2016, 6, 13), datetime(2016, 6, 13, 0, 15)]  # noqa: DTZ001
    path = parquet(tmp_path, interval_start=naive, interval_end=[at + QUARTER for at in naive])
    assert [code for code, _, _ in faults(path)] == ["time_naive"] * 4
    assert read_meter_file(path, zone=BERLIN).span("M1", "injection")[0] == parse_moment("2016-06-12T22:00:00Z")
    start = datetime(2016, 6, 13, tzinfo=UTC)
    fine = [start, start + QUARTER + timedelta(microseconds=1)]
    assert faults(parquet(tmp_path, interval_start=fine)) == [("time_unreadable", "interval_start", 2)]


def test_meter_ids_may_be_numbers_or_categories(tmp_path: Path) -> None:
    assert read_meter_file(parquet(tmp_path, meter_id=[42, 42])).registers == (("42", "injection"),)
    categories = pl.Series(["M1", "M1"], dtype=pl.Categorical)
    assert read_meter_file(parquet(tmp_path, meter_id=categories)).registers == (("M1", "injection"),)


# Round trips ---------------------------------------------------------------------------------------------------------


@st.composite
def tables(draw: st.DrawFn) -> MeterTable:
    """A random meter table: some registers, each with its own span, on a grid of 5, 15 or 60 minutes."""
    interval = draw(st.sampled_from([5, 15, 60])) * 60_000
    registers = draw(
        st.lists(
            st.tuples(st.sampled_from(["M1", "north;east", "a,b", "9"]), st.sampled_from(["injection", "withdrawal"])),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    rows = []
    for meter, direction in registers:
        first = draw(st.integers(0, 400_000)) * interval
        energies = draw(st.lists(st.integers(0, ENERGY_PER_INTERVAL_MAX), min_size=1, max_size=8))
        quality = draw(st.sampled_from(["measured", "estimated", "substituted"]))
        source = draw(st.sampled_from(["", "meter", 'say "a"', "x, y; z"]))
        for k, energy in enumerate(energies):
            at = first + k * interval
            rows.append((meter, at, at + interval, direction, energy, quality, source))
    return MeterTable(pl.DataFrame(rows, schema=COLUMNS, orient="row"), Millis(interval))


def as_decimal(value: int, digits: int, mark: str) -> str:
    """value / 10**digits, exactly."""
    text = str(value).rjust(digits + 1, "0")
    return text[:-digits] + mark + text[-digits:]


def exported(table: MeterTable, unit: str, mark: str) -> pl.DataFrame:
    """A table in a file's columns, all as text, times in UTC and energies in a unit."""
    minutes = table.interval_ms // 60_000
    column = {
        "energy_wh": pl.col("energy_wh").cast(pl.String),
        "energy_kwh": pl.col("energy_wh").map_elements(lambda wh: as_decimal(wh, 3, mark), return_dtype=pl.String),
        # An hour is a whole number of every interval that is drawn.
        "power_w": (pl.col("energy_wh") * (60 // minutes)).cast(pl.String),
    }[unit]
    times = [
        pl.from_epoch(f"interval_{edge}_ms", time_unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias(f"interval_{edge}")
        for edge in ("start", "end")
    ]
    return table.frame.select("meter_id", *times, "direction", column.alias(unit), "quality", "source")


@settings(max_examples=40, deadline=None)
@given(
    table=tables(),
    unit=st.sampled_from(["energy_wh", "energy_kwh", "power_w"]),
    separator=st.sampled_from([",", ";"]),
    mark=st.sampled_from([".", ","]),
    seed=st.integers(0, 1_000),
)
def test_any_table_comes_back_from_csv_in_any_unit_and_order(
    tmp_path_factory: pytest.TempPathFactory, table: MeterTable, unit: str, separator: str, mark: str, seed: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "meters.csv"
    frame = exported(table, unit, mark if separator == ";" else ".").sample(fraction=1, shuffle=True, seed=seed)
    frame.write_csv(path, separator=separator)
    assert read_meter_file(path, interval_ms=table.interval_ms).frame.equals(table.frame)


@settings(max_examples=40, deadline=None)
@given(
    table=tables(),
    unit=st.sampled_from(["energy_wh", "energy_kwh", "power_w"]),
    zone=st.sampled_from([None, "UTC", BERLIN, "Asia/Kathmandu"]),
    precision=st.sampled_from(["ms", "us", "ns"]),
    floats=st.booleans(),
)
def test_any_table_comes_back_from_parquet_in_any_unit_and_zone(
    tmp_path_factory: pytest.TempPathFactory,
    table: MeterTable,
    unit: str,
    zone: str | None,
    precision: str,
    floats: bool,
) -> None:
    path = tmp_path_factory.mktemp("parquet") / "meters.parquet"
    frame = exported(table, unit, ".")
    if floats:
        frame = frame.with_columns(pl.col(unit).cast(pl.Float64))
    if zone is not None:
        kind = pl.Datetime(precision, "UTC")  # type: ignore[arg-type]
        columns = pl.col("interval_start", "interval_end").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
        frame = frame.with_columns(columns.cast(kind).dt.convert_time_zone(zone))
    frame.write_parquet(path)
    assert read_meter_file(path, interval_ms=table.interval_ms).frame.equals(table.frame)
