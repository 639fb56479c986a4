import json
from typing import Any

import polars as pl
import pytest

from wattquorum.foundation.intervals import QUARTER_HOUR
from wattquorum.lab import shipped
from wattquorum.lab.members import energy_limits
from wattquorum.lab.shipped import END, HISTORY_START, TRADED_START, shipped_file, shipped_members, shipped_week
from wattquorum.records.meter_table import MeterTable


@pytest.fixture(scope="module")
def week() -> MeterTable:
    return shipped_week()


@pytest.fixture(scope="module")
def grid() -> dict[str, list[dict[str, object]]]:
    with shipped_file(shipped.GRID) as path:
        model = json.loads(path.read_text(encoding="utf-8"))
    assert {key: model[key] for key in ("version", "type", "is_batch", "attributes")} == {
        "version": "1.0",
        "type": "input",
        "is_batch": False,
        "attributes": {},
    }
    data = model["data"]
    assert isinstance(data, dict)
    return data


def test_two_weeks_of_thirty_meters_ship(week: MeterTable) -> None:
    assert len(week.registers) == 30
    assert (TRADED_START - HISTORY_START) // QUARTER_HOUR == (END - TRADED_START) // QUARTER_HOUR == 672
    assert {week.span(*register) for register in week.registers} == {(HISTORY_START, END)}
    assert week.frame["quality"].unique().to_list() == ["measured"]


@pytest.mark.parametrize(("direction", "kwh", "meters"), [("injection", 200_363, 15), ("withdrawal", 176_214, 15)])
def test_the_traded_week_has_the_energy_that_is_known_for_it(
    week: MeterTable, direction: str, kwh: int, meters: int
) -> None:
    energies = [week.energy(*register, TRADED_START, END) for register in week.registers if register[1] == direction]
    assert len(energies) == meters
    assert (sum(int(energy.sum()) for energy in energies) + 500) // 1_000 == kwh


def test_members_are_the_registers_of_the_week(week: MeterTable) -> None:
    members = shipped_members()
    assert {(meter.meter_id, meter.direction) for member in members for meter in member.meters} == set(week.registers)
    assert len({member.owner for member in members}) == len(members) == 30
    counted: dict[str, int] = {}
    for member in members:
        (meter,) = member.meters
        counted[meter.technology] = counted.get(meter.technology, 0) + 1
    assert counted == {
        "wind": 6,
        "biomass": 3,
        "pv": 2,
        "hydro": 1,
        "lv-feeder-pv": 3,
        "mv-customer": 5,
        "village": 10,
    }


def test_no_meter_ever_carries_more_than_its_connection(week: MeterTable) -> None:
    limits = energy_limits(shipped_members(), QUARTER_HOUR)
    for meter_id, direction in week.registers:
        assert 0 < week.energy(meter_id, direction, HISTORY_START, END).max() <= limits[meter_id]


def test_consumers_draw_at_the_power_factor_of_their_loads(grid: dict[str, list[dict[str, Any]]]) -> None:
    loads = {unit["meter_id"]: unit for unit in grid["sym_load"] if "meter_id" in unit}
    for member in shipped_members():
        (meter,) = member.meters
        if meter.direction == "injection":
            assert meter.power_factor == 1_000_000
        else:
            p, q = (loads[meter.meter_id][key] for key in ("p_specified", "q_specified"))
            assert abs(meter.power_factor / 1e6 - p / (p * p + q * q) ** 0.5) < 1e-6


def test_the_whole_grid_ships(grid: dict[str, list[dict[str, object]]]) -> None:
    assert {kind: len(rows) for kind, rows in grid.items()} == {
        "node": 99,
        "line": 101,
        "link": 2,
        "transformer": 2,
        "source": 1,
        "sym_load": 95,
        "sym_gen": 102,
    }
    ids = [row["id"] for rows in grid.values() for row in rows]
    assert len(ids) == len(set(ids))
    nodes = {row["id"] for row in grid["node"]}
    for kind, keys in (("line", ("from_node", "to_node")), ("sym_load", ("node",)), ("sym_gen", ("node",))):
        assert all(row[key] in nodes for row in grid[kind] for key in keys)


def test_rings_are_open_at_one_end_and_reach_every_node(grid: dict[str, list[dict[str, object]]]) -> None:
    opened = [row for row in grid["line"] if not (row["from_status"] and row["to_status"])]
    assert len(opened) == 6
    # A tree: 99 nodes are joined by 98 closed branches; the second transformer alone is parallel.
    closed = [row for kind in ("line", "link", "transformer") for row in grid[kind] if row not in opened]
    reached, before = {grid["source"][0]["node"]}, 0
    while len(reached) > before:
        before = len(reached)
        for row in closed:
            if row["from_node"] in reached or row["to_node"] in reached:
                reached |= {row["from_node"], row["to_node"]}
    assert len(reached) == 99
    assert len(closed) == 98 + 1


def test_members_hang_on_the_feeder_of_their_node(grid: dict[str, list[dict[str, object]]]) -> None:
    feeder_of_node = {row["id"]: row["feeder"] for row in grid["node"]}
    feeder_of_meter = {
        row["meter_id"]: feeder_of_node[row["node"]]
        for kind in ("sym_load", "sym_gen")
        for row in grid[kind]
        if "meter_id" in row
    }
    assert feeder_of_meter == {meter.meter_id: meter.feeder for member in shipped_members() for meter in member.meters}
    assert {*feeder_of_node.values()} == {"substation", *(f"feeder-{k}" for k in range(1, 9))}


def test_every_unit_is_a_member_or_has_its_own_profiles(grid: dict[str, list[dict[str, str]]]) -> None:
    with shipped_file(shipped.GRID_PROFILES) as path:
        profiles = pl.read_parquet(path)
    units = [*grid["sym_load"], *grid["sym_gen"]]
    assert sum("meter_id" in unit for unit in units) == 30
    named = {unit[key] for unit in units for key in ("p_profile", "q_profile") if key in unit}
    assert named == set(profiles.columns) - {"interval_start"}
    assert all(("p_profile" in unit) != ("meter_id" in unit) for unit in units)
    starts = profiles["interval_start"].dt.epoch("ms").to_list()
    assert starts == list(range(HISTORY_START, END, QUARTER_HOUR))
    assert profiles.null_count().sum_horizontal().item() == 0


def test_the_notice_names_the_database_its_licence_its_authors_and_the_changes() -> None:
    with shipped_file(shipped.NOTICE) as path:
        text = path.read_text(encoding="utf-8")
    for needed in ("SimBench", "Open Database License", "opendatacommons.org/licenses/odbl/1.0", "University of Kassel",
                   "Steffen Meinecke", "What was changed"):  # fmt: skip
        assert needed in text


def test_the_extract_is_small() -> None:
    with shipped_file(shipped.WEEK) as path:
        assert path.stat().st_size < 260_000
