"""Reports of the grid's power flow: what the operator signs, version by version, and what it changes (A-3, L-9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.flow_reports import flow_report
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import HOUR, QUARTER, START
from wattquorum.foundation.codec import encode
from wattquorum.foundation.intervals import INTERVALS_MAX
from wattquorum.foundation.vectors import pack_energy
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import FlowVersion
from wattquorum.ledger.facts import FlowReported
from wattquorum.ledger.state import Table, day_key
from wattquorum.ledger.transactions import TRANSACTION_BYTES_MAX, Extreme, FlowKind, ReportFlow, SealDay

FOUR = [1_000] * 4
GATE, END = START - 12 * HOUR, START + 4 * QUARTER
PLANNED, METERED = FlowKind.PLANNED, FlowKind.METERED


@pytest.fixture
def world() -> WatchedWorld:
    made = WatchedWorld()
    made.member("g", Side.SELL)
    made.member("c", Side.BUY)
    made.publish()
    return made


def versions(world: WatchedWorld) -> dict[int, int]:
    found = {kind: world.ledger.state.get(Table.FLOW, day_key(START) + bytes((kind,))) for kind in FlowKind}
    return {kind: record.version for kind, record in found.items() if isinstance(record, FlowVersion)}


def test_a_planned_and_a_metered_report_stand_beside_each_other(world: WatchedWorld) -> None:
    world.done("operator", flow_report(), at=GATE)
    world.done("operator", flow_report(kind=METERED, losses=[49, 60, 20, 70], supply=[2_049, 0, 0, 4_070]), at=END)
    assert versions(world) == {PLANNED: 1, METERED: 1}
    told = [fact.report for fact in world.facts(FlowReported) if isinstance(fact, FlowReported)]
    assert [(each.kind, each.version) for each in told] == [(PLANNED, 1), (METERED, 1)]
    assert told[0] == flow_report()


def test_a_higher_version_follows_for_corrected_readings(world: WatchedWorld) -> None:
    world.done("operator", flow_report(kind=METERED), at=END)
    world.done("operator", flow_report(kind=METERED, version=2))
    assert versions(world) == {METERED: 2}
    assert world.do("operator", flow_report(kind=METERED, version=2)).code == "version_not_higher"


def test_a_report_may_come_until_delivery_begins_or_from_its_end_on(world: WatchedWorld) -> None:
    world.done("operator", flow_report(), at=START - 1)
    assert world.do("operator", flow_report(version=2), at=START).code == "started"
    assert world.do("operator", flow_report(kind=METERED), at=END - 1).code == "readings_early"
    world.done("operator", flow_report(kind=METERED), at=END)


def test_a_report_moves_no_money_and_settles_nothing(world: WatchedWorld) -> None:
    # Losses are a line of their own: 200 Wh are lost, and nobody's bill knows of it.
    other = WatchedWorld()
    other.member("g", Side.SELL)
    other.member("c", Side.BUY)
    other.publish()
    for each in (world, other):
        each.approve(each.contract("g", "c", FOUR))
        if each is world:
            each.done("operator", flow_report())
        each.read({"g-sell": FOUR, "c-buy": FOUR})
        if each is world:
            each.done("operator", flow_report(kind=METERED))
        each.close()
    assert [world.account(name).balance for name in "gc"] == [other.account(name).balance for name in "gc"]


def test_a_report_leaves_the_state_with_its_day(world: WatchedWorld) -> None:
    world.done("operator", flow_report(), at=GATE)
    world.read({"g-sell": FOUR, "c-buy": FOUR})
    world.close()
    world.done("operator", flow_report(kind=METERED))
    world.done("operator", SealDay(START), at=END + 48 * HOUR)
    assert world.ledger.state.count(Table.FLOW) == 0
    assert world.do("operator", flow_report(kind=METERED, version=2)).code == "day_unknown"


def test_a_grid_of_more_branches_than_fit_names_none(world: WatchedWorld) -> None:
    world.done("operator", flow_report(branches=[]), at=GATE)


def test_the_longest_report_fits_into_a_transaction() -> None:
    most = pack_energy([10**9] * INTERVALS_MAX)
    at = Extreme(INTERVALS_MAX - 1, "x" * 256)
    energies, ratios = (most,) * 5, (most,) * 3
    report = ReportFlow(2**62, METERED, 2**62, bytes(32), *energies, *ratios, at, at, at, most)
    assert len(encode(report)) + 256 < TRANSACTION_BYTES_MAX


@given(st.lists(st.integers(0, 10**9), min_size=4, max_size=4), st.integers(0, 3), st.integers(-3, 3))
def test_a_balance_that_misses_by_a_single_watt_hour_is_refused(losses: list[int], interval: int, error: int) -> None:
    # Nothing is generated or consumed: the upper grid supplies the losses.
    world = WatchedWorld()
    world.publish()
    zero = [0] * 4
    supply = list(losses)
    supply[interval] = max(0, supply[interval] + error)
    energies: dict[str, Any] = {
        "generation": zero,
        "consumption": zero,
        "losses": losses,
        "supply": supply,
        "returned": zero,
    }
    if max(supply) > 10**9:
        return
    receipt = world.do("operator", flow_report(**energies), at=GATE)
    assert receipt.code == ("" if supply == losses else "energy_unbalanced")
