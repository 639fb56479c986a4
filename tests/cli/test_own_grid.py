"""A grid of one's own, through the command line: it carries own members, and a wrong one is told whole."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.runs import printed, refusal_of, said, wattquorum
from tests.lab.own_files import BERLIN, MEMBERS, STRATEGY, readings

OWN = ("week", "--data", "readings.csv", "--members", "members.toml", "--days", "1")
GRID = (*OWN, "--grid", "grid.json", "--grid-profiles", "profiles.parquet")
Model = dict[str, Any]


def own_grid() -> Model:
    """20 kV: the mill and the farm in the north, the town and a village that is no member in the south."""

    def line(id_: int, start: int, end: int) -> Model:
        ends = {"id": id_, "from_node": start, "to_node": end, "from_status": 1, "to_status": 1}
        return {**ends, "r1": 2.0, "x1": 1.0, "c1": 1e-7, "tan1": 0.0, "i_n": 200.0, "name": f"to {end}"}

    def unit(id_: int, node: int, watts: float, **fields: str) -> Model:
        rated = {"p_specified": watts, "q_specified": watts / 10}
        return {"id": id_, "node": node, "status": 1, "type": 0, **rated, **fields}

    return {
        "version": "1.0",
        "type": "input",
        "is_batch": False,
        "attributes": {},
        "data": {
            "node": [{"id": i, "u_rated": 20e3, "name": name} for i, name in enumerate(("upper", "north", "south"), 1)],
            "line": [line(4, 1, 2), line(5, 2, 3)],
            "source": [{"id": 6, "node": 1, "status": 1, "u_ref": 1.0}],
            "sym_load": [
                unit(7, 2, 200e3, meter_id="farm-in"),
                unit(8, 3, 900e3, meter_id="town-in"),
                unit(9, 3, 100e3, p_profile="village"),
                unit(10, 3, 4_000),  # street lights, day and night
            ],
            "sym_gen": [unit(11, 2, 400e3, meter_id="mill-out"), unit(12, 2, 200e3, meter_id="farm-out")],
        },
    }


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with readings, members, their grid, and the village's profile: half of its rating."""
    readings(tmp_path / "readings.csv")
    (tmp_path / "members.toml").write_text(MEMBERS, encoding="utf-8")
    (tmp_path / "own.py").write_text(STRATEGY, encoding="utf-8")
    (tmp_path / "grid.json").write_text(json.dumps(own_grid()), encoding="utf-8")
    start, end = (datetime(2016, 3, day, tzinfo=BERLIN).astimezone(UTC) for day in (24, 29))
    times = pl.datetime_range(start, end, "15m", time_zone="UTC", closed="left", eager=True)
    profiles = pl.DataFrame({"interval_start": times, "village": [0.5] * len(times)})
    profiles.write_parquet(tmp_path / "profiles.parquet")
    return tmp_path


def change(folder: Path, spoil: Callable[[Model], object]) -> None:
    model = own_grid()
    spoil(model["data"])
    (folder / "grid.json").write_text(json.dumps(model), encoding="utf-8")


def test_own_members_trade_on_their_own_grid(own: Path) -> None:
    wattquorum(*GRID, folder=own)
    with sqlite3.connect(own / "out/week/market.sqlite") as records:
        flows = records.execute("SELECT kind, consumption_wh, losses_wh FROM flows ORDER BY kind").fetchall()
        drawn = "SELECT sum(energy_wh) FROM readings JOIN meters USING (meter) WHERE side = 'buy'"
        (metered,) = records.execute(drawn).fetchone()
        says = dict(records.execute("SELECT name, value FROM run_info").fetchall())["grid"]
        names = {name for (name,) in records.execute("SELECT name FROM grid_branches")}
    assert [kind for kind, *_ in flows] == ["metered", "planned"]
    # Half of 100 kW and 4 kW for 24 hours stand beside what members' meters counted.
    assert flows[0][1] == metered + 24 * 54_000
    assert all(0 < losses < consumption / 10 for _, consumption, losses in flows)
    assert says.startswith("Power flow over grid.json: ")
    assert names == {"to 2", "to 3"}
    assert "sound" in printed("audit", folder=own)
    assert "to 3" in (own / "out/week/report.html").read_text(encoding="utf-8")


def test_what_an_own_grid_cannot_carry_is_curtailed(own: Path) -> None:
    told = wattquorum(*GRID, "--loading-max", "1", folder=own).stdout
    assert "Curtailed by the grid operator" in told
    assert "above 1.00 % of line to" in " ".join(told.split())


def test_a_grid_that_breaks_its_limits_without_any_contract_is_told_so(own: Path) -> None:
    change(own, lambda data: data["source"][0].update(u_ref=1.06))
    told = " ".join(wattquorum(*GRID, folder=own).stdout.split())
    assert "planned highest voltage 1.0550 p.u. 96 of 96 1.06" in told
    assert "these limits do not fit this grid" in told
    page = (own / "out/week/report.html").read_text(encoding="utf-8")
    assert "Limits that are broken after curtailment" in page
    assert "because curtailment cuts contracts and not injection" in page


def test_everything_that_is_wrong_with_a_grid_is_told_at_once(own: Path) -> None:
    def in_kilos(data: Model) -> None:
        data["node"][0]["u_rated"] = 20
        data["line"][1].update(i_n=0.2)
        data["sym_load"][1]["p_specified"] = 0.9
        data["sym_gen"][0]["meter_id"] = "farm-in"

    change(own, in_kilos)
    told = said(*GRID, folder=own, check=2).splitlines()
    absurd, invalid = "  grid_value_absurd: {} cannot be right", "  grid_invalid: {} does not describe a grid"
    watts = "Give 100 to 4,000,000,000 W: 0.9 kW are 900 W, 0.9 MW are 900,000 W."
    twice = "sym_load[1] has this meter already: each direction of a prosumer has a meter_id of its own."
    assert told == [
        "refused: grid.json: 4 faults",
        f"{absurd.format('node[1].u_rated')} (found: 20). Give 100 to 1,200,000 V: 20 kV are 20,000 V.",
        f"{absurd.format('line[2].i_n')} (found: 0.2). Give 10 to 10,000 A: 0.2 kA are 200 A.",
        f"{absurd.format('sym_load[2].p_specified')} (found: 0.9). {watts}",
        f"{invalid.format('sym_gen[1].meter_id')} (found: farm-in). {twice}",
    ]
    assert not (own / "out").exists()


def test_a_line_between_voltages_and_one_of_four_thousand_ohm_are_told_together(own: Path) -> None:
    def spoilt(data: Model) -> None:
        data["node"][2]["u_rated"] = 400
        data["line"][0]["r1"] = 4_000

    change(own, spoilt)
    told = said(*GRID, folder=own, check=2).splitlines()
    assert told[0] == "refused: grid.json: 2 faults"
    assert "line[1].r1 cannot be right (found: 4000). At 200 A (i_n) it would drop 1,385,641 V" in told[1]
    assert "line[2].to_node does not describe a grid (found: 3 of 400 V)" in told[2]


def test_a_grid_that_is_not_these_members_is_told_at_once(own: Path) -> None:
    def of_others(data: Model) -> None:
        data["sym_load"][1]["meter_id"] = "city-in"
        data["sym_gen"][0]["status"] = 0
        data["sym_load"][2]["p_profile"] = "hamlet"

    change(own, of_others)
    told = said(*GRID, folder=own, check=2).splitlines()
    assert told[0] == "refused: grid.json: 4 faults"
    assert [line.split(":")[0].strip() + line[line.index("(") :].split(")")[0] for line in told[1:]] == [
        "grid_meter_unknown(found: mill-out",
        "grid_meter_unknown(found: town-in",
        "meter_unknown(found: city-in",
        "grid_profile_missing(found: hamlet",
    ]
    assert not (own / "out").exists()


def test_a_meter_at_a_unit_of_the_other_direction_is_one_fault(own: Path) -> None:
    def drawn(data: Model) -> None:
        data["sym_load"].append(data["sym_gen"].pop(0))

    change(own, drawn)
    remedy = "Give a generator of the grid this meter_id, or leave mill out of the members."
    assert said(*GRID, folder=own, check=2).splitlines()[1:] == [
        f"  grid_meter_unknown: meter_id stands nowhere in the grid (found: mill-out). {remedy}"
    ]


def test_profiles_have_to_be_there_and_to_cover_what_is_traded(own: Path) -> None:
    told = said(*OWN, "--grid", "grid.json", folder=own, check=2)
    assert "grid_profile_missing: profile has no profile for this time (found: village). Name a file" in told
    frame = pl.read_parquet(own / "profiles.parquet")
    frame[:-1].write_parquet(own / "profiles.parquet")
    told = said(*GRID, folder=own, check=2)
    assert "grid_profile_missing: village" in told
    assert "The profiles cover 2016-03-23T23:00:00Z to 2016-03-28T21:45:00Z in intervals of 15 minutes" in told


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((*OWN, "--grid", "nowhere.json"), "file_unreadable"),
        ((*OWN, "--grid", "members.toml"), "file_unreadable"),
        ((*GRID[:-1], "readings.csv"), "file_unreadable"),
        ((*OWN, "--grid-profiles", "profiles.parquet"), "grid_meter_unknown"),
        ((*OWN, "--voltage-max", "1.1"), "grid_meter_unknown"),
        (("week", "--days", "1", "--grid", "grid.json"), "grid_meter_unknown"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(own: Path, words: tuple[str, ...], code: str) -> None:
    assert f"{code}: " in said(*words, folder=own, check=2)
    assert not (own / "out").exists()


def test_a_day_without_a_power_flow_is_refused_with_its_time_and_the_largest_unit(own: Path) -> None:
    change(own, lambda data: data["sym_load"][2].update(p_specified=4e9))
    told = said(*GRID, folder=own, check=2)
    assert refusal_of(told) == "grid_diverged"
    assert "(found: interval 0 of its day, from 2016-03-27T22:00:00Z)" in told
    assert "the largest unit, sym_load 9 (id 9, sym_load, p_specified 4,000,000,000 W)" in told


def test_a_grid_without_lines_is_one_fault(own: Path) -> None:
    def without_lines(data: Model) -> None:
        data["line"] = []
        ends = {"id": 90, "from_node": 1, "to_node": 1, "from_status": 1, "to_status": 1}
        data["node"] += [{"id": 100 + i, "u_rated": 20e3, "name": f"far {i}"} for i in range(5)]
        data["node"].append({"id": 91, "u_rated": 400, "name": "low"})
        data["transformer"] = [
            {
                **ends,
                "to_node": 91,
                "u1": 20e3,
                "u2": 400,
                "sn": 4e5,
                "uk": 0.06,
                "pk": 3e3,
                "i0": 0.002,
                "p0": 500,
                "winding_from": 2,
                "winding_to": 1,
                "clock": 5,
                "tap_side": 0,
                "tap_min": -1,
                "tap_max": 1,
                "tap_size": 500,
            }
        ]

    change(own, without_lines)
    told = said(*GRID, folder=own, check=2).splitlines()
    named = "7 that stand alone: north, south, far 0, far 1, far 2 and 2 more"
    assert told[0] == "refused: grid.json: 1 fault"
    assert told[1].startswith(f"  grid_island: node is not connected to any source (found: {named}). No closed line")
