import importlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def extract(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("extract_simbench")


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("simbench_grid")


def quarters(first: str, count: int) -> list[str]:
    """Wall-clock texts a quarter of an hour apart, on a clock that nobody turns."""
    start = datetime.strptime(first, "%d.%m.%Y %H:%M")  # noqa: DTZ007
    return [f"{start + k * timedelta(minutes=15):%d.%m.%Y %H:%M}" for k in range(count)]


def test_clocks_that_are_put_forward_leave_no_gap(extract: ModuleType) -> None:
    local = quarters("27.03.2016 01:30", 2) + quarters("27.03.2016 03:00", 2)
    first = datetime(2016, 3, 27, 0, 30, tzinfo=UTC)
    assert extract.utc(local) == [first + k * timedelta(minutes=15) for k in range(4)]


def test_the_hour_that_exists_twice_is_read_twice(extract: ModuleType) -> None:
    local = quarters("30.10.2016 01:45", 5) + quarters("30.10.2016 02:00", 5)
    first = datetime(2016, 10, 29, 23, 45, tzinfo=UTC)
    assert extract.utc(local) == [first + k * timedelta(minutes=15) for k in range(10)]


@pytest.mark.parametrize("local", [quarters("27.03.2016 01:30", 7), ["01.06.2016 00:00", "01.06.2016 00:30"]])
def test_a_column_without_daylight_saving_or_with_a_gap_is_an_error(extract: ModuleType, local: list[str]) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        extract.utc(local)


def test_energy_is_the_profile_times_power_times_a_quarter_of_an_hour(extract: ModuleType) -> None:
    assert extract.energy_wh("0.5", Decimal(2)) == 250_000
    assert extract.energy_wh("0.000006", Decimal(1)) == 2  # 1.5 Wh: halves go up
    assert extract.energy_wh("0.000005999", Decimal(1)) == 1
    assert extract.energy_wh("0", Decimal("3.9")) == 0


def test_a_power_factor_is_p_over_the_apparent_power(extract: ModuleType) -> None:
    assert extract.power_factor_ppm(Decimal("0.3"), Decimal("0.4")) == 600_000
    assert extract.power_factor_ppm(Decimal(2), Decimal(0)) == 1_000_000


def test_another_wheel_than_the_pinned_one_is_not_read(extract: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "simbench.whl"
    wheel.write_bytes(b"something else")
    with pytest.raises(SystemExit, match="SHA-256"):
        extract.Database(wheel)


def node(name: str, kind: str = "busbar", volts: str = "20") -> dict[str, str]:
    return {"id": name, "type": kind, "vmR": volts}


def switch(auxiliary: str, at: str, cond: str = "1") -> dict[str, str]:
    return {"id": f"switch {auxiliary}", "nodeA": at, "nodeB": auxiliary, "cond": cond}


def line(start: str, end: str, feeder: str) -> dict[str, str]:
    return {"nodeA": start, "nodeB": end, "subnet": f"MV1_{feeder}"}


# Two feeders, A-B and C, joined into a ring by a line whose end at C is open.
RING = {
    "Node": [
        node("high", volts="110"), node("bar"), node("A"), node("B"), node("C"),
        *(node(name, "auxiliary") for name in ("bar_1", "bar_2", "C_1")),
    ],
    "Switch": [switch("bar_1", "bar"), switch("bar_2", "bar"), switch("C_1", "C", "0")],
    "Transformer": [{"nodeHV": "high", "nodeLV": "bar"}],
    "Line": [
        line("bar_1", "A", "Feeder1"), line("A", "B", "Feeder1"), line("bar_2", "C", "Feeder2"),
        line("B", "C_1", "Loop_Line"),
    ],
}  # fmt: skip


def test_feeders_are_what_hangs_together_without_the_substation(grid: ModuleType) -> None:
    topology = grid.trace(RING)
    assert topology.feeder_of == {
        "high": "substation", "bar": "substation", "A": "feeder-1", "B": "feeder-1", "C": "feeder-2",
    }  # fmt: skip
    assert topology.node_of["C_1"] == "C"
    assert topology.closed == {"bar_1": True, "bar_2": True, "C_1": False}


def test_a_closed_ring_that_joins_two_feeders_is_an_error(grid: ModuleType) -> None:
    closed = RING | {"Switch": [switch("bar_1", "bar"), switch("bar_2", "bar"), switch("C_1", "C")]}
    with pytest.raises(ValueError, match="carries the feeders"):
        grid.trace(closed)


def test_an_auxiliary_node_without_a_switch_is_an_error(grid: ModuleType) -> None:
    with pytest.raises(ValueError, match="without a switch"):
        grid.trace(RING | {"Switch": RING["Switch"][:2]})
