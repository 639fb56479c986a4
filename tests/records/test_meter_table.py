import polars as pl
import pytest

from wattquorum.foundation.intervals import QUARTER_HOUR
from wattquorum.foundation.refusals import Refused
from wattquorum.records.meter_table import COLUMNS, MeterTable

START = 1_465_776_000_000


def frame(*rows: tuple[object, ...]) -> pl.DataFrame:
    """Rows of (meter, interval number, direction, energy[, quality])."""
    full = []
    for row in rows:
        meter, k, direction, energy = row[:4]
        assert isinstance(k, int)
        at = START + k * QUARTER_HOUR
        full.append((meter, at, at + QUARTER_HOUR, direction, energy, row[4] if len(row) > 4 else "measured", ""))
    return pl.DataFrame(full, schema=COLUMNS, orient="row")


def quarters(count: int) -> int:
    return START + count * QUARTER_HOUR


TABLE = MeterTable(
    frame(
        ("b", 3, "injection", 40),
        ("a", 1, "withdrawal", 7),
        ("a", 0, "withdrawal", 6),
        ("a", 0, "injection", 1),
        ("a", 2, "injection", 3),
        ("a", 1, "injection", 2),
    )
)


def test_each_register_has_its_own_energies_and_span() -> None:
    assert TABLE.registers == (("a", "injection"), ("a", "withdrawal"), ("b", "injection"))
    assert TABLE.span("a", "injection") == (quarters(0), quarters(3))
    assert TABLE.energy("a", "injection", quarters(0), quarters(3)).tolist() == [1, 2, 3]
    assert TABLE.energy("a", "withdrawal", quarters(1), quarters(2)).tolist() == [7]
    assert TABLE.energy("b", "injection", quarters(3), quarters(4)).tolist() == [40]
    assert TABLE.energy("b", "injection", quarters(3), quarters(3)).tolist() == []


def test_rows_carry_what_energies_leave_out() -> None:
    table = MeterTable(frame(("a", 0, "injection", 1), ("a", 1, "injection", 2, "estimated")))
    assert table.rows("a", "injection", quarters(1), quarters(2))["quality"].to_list() == ["estimated"]


def test_the_common_span_is_what_every_register_covers() -> None:
    both = MeterTable(
        frame(*[("a", k, "injection", k) for k in range(5)], *[("b", k, "injection", k) for k in (3, 4, 5)])
    )
    assert both.common_span == (quarters(3), quarters(5))


def test_energies_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        TABLE.energy("a", "injection", quarters(0), quarters(3))[0] = 9


@pytest.mark.parametrize(
    ("meter", "direction", "start", "end", "code"),
    [
        ("c", "injection", 0, 1, "meter_unknown"),
        ("b", "withdrawal", 0, 1, "meter_unknown"),
        ("a", "injection", -1, 2, "intervals_missing"),
        ("a", "injection", 0, 4, "intervals_missing"),
        ("a", "injection", 2, 1, "time_misaligned"),
    ],
)
def test_what_the_table_does_not_hold_is_refused(meter: str, direction: str, start: int, end: int, code: str) -> None:
    with pytest.raises(Refused) as refused:
        TABLE.energy(meter, direction, quarters(start), quarters(end))
    assert refused.value.code == code


def test_a_window_off_the_grid_is_refused() -> None:
    with pytest.raises(Refused, match="time_misaligned"):
        TABLE.energy("a", "injection", START + 1, START + 1 + QUARTER_HOUR)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "readings_missing"),
        ([("", 0, "injection", 1)], "column_missing"),
        ([(None, 0, "injection", 1)], "column_missing"),
        ([("a", 0, "export", 1)], "direction_unknown"),
        ([("a", 0, "injection", 1, "good")], "quality_unknown"),
        ([("a", 0, "injection", -1)], "energy_negative"),
        ([("a", 0, "injection", 1_000_000_001)], "energy_absurd"),
        ([("a", 0, "injection", 1), ("a", 0, "injection", 1)], "intervals_overlap"),
        ([("a", 0, "injection", 1), ("a", 2, "injection", 1)], "intervals_missing"),
    ],
)
def test_a_frame_that_breaks_a_promise_never_becomes_a_table(rows: list[tuple[object, ...]], code: str) -> None:
    with pytest.raises(Refused) as refused:
        MeterTable(frame(*rows))
    assert refused.value.code == code


def test_intervals_must_lie_on_the_grid_and_have_one_length() -> None:
    good = frame(("a", 0, "injection", 1))
    for column in ("interval_start_ms", "interval_end_ms"):
        with pytest.raises(Refused, match="time_misaligned"):
            MeterTable(good.with_columns(pl.col(column) + 1))
    with pytest.raises(Refused, match="column_missing"):
        MeterTable(good.drop("source"))
