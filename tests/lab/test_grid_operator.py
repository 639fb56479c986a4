"""The grid operator of a run: real contracts on the real grid, curtailed where its limits are tight, and signed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from tests.grid.grids import shipped, whole_exchange
from tests.lab.runs import plan, run
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import energies
from wattquorum.grid.curtailment import PLANNING, Limits
from wattquorum.grid.flow import power_flow
from wattquorum.lab.calendar import trading_day
from wattquorum.lab.grid_operator import Contracted, GridOperator
from wattquorum.lab.grid_profiles import read_profiles
from wattquorum.lab.run import RunOptions, plan_of
from wattquorum.lab.shipped import (
    GRID_PROFILES,
    shipped_file,
    shipped_grid,
    shipped_members,
    shipped_profiles,
    shipped_week,
)
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.facts import ContractApproved, ContractCurtailed, ContractMade, Fact, FlowReported
from wattquorum.ledger.transactions import FlowKind, ReportFlow

TIGHT = Limits(voltage_high=1.044)  # the last day of the shipped fortnight plans with 1.0461 at noon
DAY = trading_day(date(2016, 6, 15), ZoneInfo("Europe/Berlin")).window


def told(blocks: list[Executed]) -> list[Fact]:
    return [fact for executed in blocks for facts in executed.facts for fact in facts]


def operator(limits: Limits = PLANNING) -> GridOperator:
    return GridOperator(shipped_grid(limits), shipped_members(), shipped_week())


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> list[Executed]:
    return run(plan(1, limits=TIGHT), tmp_path_factory.mktemp("tight") / "chain")


def test_what_the_grid_cannot_carry_is_curtailed_on_the_ledger_with_the_reason(tight: list[Executed]) -> None:
    assert {each.outcome for executed in tight for each in executed.block.receipts} <= {Outcome.DONE, Outcome.REFUSED}
    facts = told(tight)
    made = {fact.contract: energies(fact.energy) for fact in facts if isinstance(fact, ContractMade)}
    curtailed = [fact for fact in facts if isinstance(fact, ContractCurtailed)]
    assert curtailed
    for fact in curtailed:
        cut = made[fact.contract] - energies(fact.energy)
        assert (cut >= 0).all()
        assert cut.sum() > 0
        assert fact.reason.startswith("voltage 1.0")
        assert "above 1.0440 p.u. at MV1.101 Bus " in fact.reason
    approved = [fact.contract for fact in facts if isinstance(fact, ContractApproved)]
    assert sorted(approved) == sorted(made)  # curtailed ones included, each once


def test_every_day_has_a_planned_and_a_metered_report(tight: list[Executed]) -> None:
    reports = [fact.report for fact in told(tight) if isinstance(fact, FlowReported)]
    assert [(each.kind, each.version) for each in reports[:2]] == [(FlowKind.PLANNED, 1), (FlowKind.METERED, 1)]
    assert {each.grid for each in reports} == {operator().network.digest}


def test_the_last_metered_report_is_the_flow_of_what_the_meters_counted(tmp_path: Path) -> None:
    """The report on the chain against a flow that is put together here, from the files."""
    days = plan(1)
    blocks = run(days, tmp_path / "chain")
    report = [fact.report for fact in told(blocks) if isinstance(fact, FlowReported)][-1]
    grid = shipped(19)
    assert report.day == grid.window.start_ms
    flow = power_flow(grid.solver, whole_exchange(grid), grid.window.length_ms)
    missing = abs(energies(report.losses) - flow.losses)
    # Readings that an outage hid are estimated until they are corrected on the evening after.
    assert int(missing.sum()) == 0
    assert energies(report.supply).tolist() == np.maximum(flow.supply, 0).tolist()


def test_promises_decide_and_not_what_members_will_meter() -> None:
    """Nothing contracted: members are as good as away, whatever their meters will count."""
    decision = operator().decide([], DAY)
    grid = shipped(15)
    assert not decision.curtailment.cut
    assert (decision.flow.losses == power_flow(grid.solver, grid.others, DAY.length_ms).losses).all()


def test_contracts_are_placed_at_their_meters() -> None:
    energy = np.full(DAY.intervals, 50_000)
    flow = operator().decide([Contracted("MV1.101-MV-SGen-4", "MV1.101-Load-48", energy)], DAY).flow
    without = operator().decide([], DAY).flow
    assert (flow.generation - without.generation == 50_000).all()
    assert (flow.consumption - without.consumption == 50_000).all()
    assert (flow.losses != without.losses).any()


def test_a_connection_carries_apparent_power_up_to_its_limit_and_the_rest_is_curtailed() -> None:
    # 482 kVA at a power factor of .93 carry 448 kW; 2 * 300 kW are contracted.
    contracts = [
        Contracted(seller, "MV1.101-MV-Load-3", np.full(DAY.intervals, 75_000))
        for seller in ("MV1.101-SGen-1", "MV1.101-MV-SGen-2")
    ]
    (meter,) = (m for member in shipped_members() for m in member.meters if m.meter_id == "MV1.101-MV-Load-3")
    assert meter.limit == 482_000
    found = operator(Limits(0.5, 1.5, 9.0)).decide(contracts, DAY).curtailment
    assert (found.kept[0] == 75_000).all()
    for kept in found.kept.sum(axis=0).tolist():
        apparent = 4 * kept / (meter.power_factor / 1e6)
        assert apparent <= 482_000 < apparent + 4 * 100 / (meter.power_factor / 1e6)
    assert "reactive power" in found.reasons[1].text


def test_meters_of_members_that_stay_away_run_at_their_readings() -> None:
    all_but_one = shipped_members()[1:]
    away = GridOperator(shipped_grid(PLANNING), all_but_one, shipped_week())
    grid = shipped(15)
    readings = {grid.solver.network.units[place].meter: energy for place, energy in grid.metered.items()}
    flow = power_flow(grid.solver, whole_exchange(grid), DAY.length_ms)
    assert (away.metered(readings, DAY).losses == flow.losses).all()


def test_a_grid_of_too_many_branches_reports_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made = operator()
    flow = made.decide([], DAY).flow
    assert len(energies(made.report(flow, 1, FlowKind.PLANNED, 1).branches)) == 103
    monkeypatch.setattr("wattquorum.lab.grid_operator.INTERVALS_MAX", 102)
    assert made.report(flow, 1, FlowKind.PLANNED, 1).branches == b""


def test_a_report_tells_the_same_extremes_as_the_flow() -> None:
    made = operator()
    flow = made.decide([], DAY).flow
    report: ReportFlow = made.report(flow, 1, FlowKind.PLANNED, 1)
    assert energies(report.highest_voltage)[report.highest_at.interval] == flow.voltage_ppm.max()
    assert energies(report.lowest_voltage)[report.lowest_at.interval] == flow.voltage_ppm.min()
    assert energies(report.branches).max() == energies(report.loading)[report.loaded_at.interval]
    assert (energies(report.supply) - energies(report.returned) == flow.supply).all()


# Profiles


def test_profiles_are_read_over_a_window_and_nowhere_else() -> None:
    profiles = shipped_profiles()
    name = "generation_lv_rural1"
    assert profiles.over(name, DAY).size == 96
    for window in (
        Window(DAY.start_ms + 60_000, DAY.end_ms + 60_000, DAY.length_ms),
        Window(DAY.start_ms - 10**10, DAY.end_ms - 10**10, DAY.length_ms),
        Window(DAY.start_ms + 10**10, DAY.end_ms + 10**10, DAY.length_ms),
        Window(DAY.start_ms, DAY.end_ms, DAY.length_ms // 3),
    ):
        with pytest.raises(Refused, match="grid_profile_missing"):
            profiles.over(name, window)
    with pytest.raises(Refused, match="grid_profile_missing"):
        profiles.over("generation_of_nobody", DAY)


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("file_unreadable", lambda frame: frame.rename({"interval_start": "time"})),
        ("intervals_missing", lambda frame: frame[[0, 1, 3]]),
        ("intervals_missing", lambda frame: frame[:1]),
        ("column_type", lambda frame: frame.with_columns(generation_lv_rural1=pl.lit("sunny"))),
        ("column_type", lambda frame: frame.with_columns(generation_lv_rural1=pl.lit(None, pl.Float64))),
        ("column_type", lambda frame: frame.with_columns(generation_lv_rural1=pl.lit(float("nan")))),
        ("grid_value_absurd", lambda frame: frame.with_columns(generation_lv_rural1=pl.lit(51.2))),  # percent
        ("grid_value_absurd", lambda frame: frame.with_columns(generation_lv_rural1=pl.lit(-6_500.0))),  # W
    ],
)
def test_profiles_that_cannot_be_used_are_refused(code: str, spoil: object, tmp_path: Path) -> None:
    with shipped_file(GRID_PROFILES) as path:
        frame = pl.read_parquet(path)
    spoil(frame).write_parquet(tmp_path / "profiles.parquet")  # type: ignore[operator]
    with pytest.raises(Refused) as refused:
        read_profiles(tmp_path / "profiles.parquet")
    assert refused.value.code == code


def test_a_file_that_is_no_table_of_profiles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "profiles.parquet").write_text("not a table")
    with pytest.raises(Refused, match="file_unreadable"):
        read_profiles(tmp_path / "profiles.parquet")


# Runs


def test_limits_without_a_grid_are_refused(tmp_path: Path) -> None:
    with shipped_file("week.parquet") as week, shipped_file("members.toml") as members:
        own = RunOptions(tmp_path, data=week, members=members, days=1)
        assert plan_of(own).grid is None
        with pytest.raises(Refused, match=r"grid_meter_unknown.*name yours with --grid"):
            plan_of(RunOptions(tmp_path, data=week, members=members, days=1, limits=TIGHT))
        with pytest.raises(Refused, match=r"grid_meter_unknown.*name yours with --grid"):
            plan_of(RunOptions(tmp_path, data=week, members=members, days=1, grid_profiles=week))


def test_the_shipped_files_named_as_ones_own_trade_the_same(tmp_path: Path) -> None:
    """The whole way of an own grid with profiles, against the shipped one."""
    with (
        shipped_file("week.parquet") as week,
        shipped_file("members.toml") as members,
        shipped_file("grid.json") as grid,
        shipped_file(GRID_PROFILES) as profiles,
    ):
        own = plan_of(RunOptions(tmp_path, week, members, days=1, grid=grid, grid_profiles=profiles))
        mixed = plan_of(RunOptions(tmp_path, days=1, grid=grid))
    shipped_too = plan_of(RunOptions(tmp_path, days=1))
    flows = [
        GridOperator(each.grid, each.members, each.table).decide([], DAY).flow
        for each in (own, mixed, shipped_too)
        if each.grid
    ]
    assert len({flow.losses.tobytes() for flow in flows}) == 1
    assert len(flows) == 3
