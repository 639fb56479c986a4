"""Bad reports of a power flow: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import END, GATE, Attempt, Case, check_case, name_of, refusals
from tests.ledger.flow_reports import flow_report
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import HOUR, START
from wattquorum.ledger.transactions import Extreme, FlowKind

CASES: list[Case] = []
refused = refusals(CASES)
METERED = FlowKind.METERED


@refused("role_missing", "sender")
def report_by_a_member(world: WatchedWorld) -> Attempt:
    return Attempt("g", flow_report(), "g", at=GATE)


@refused("day_unknown", "day")
def report_of_an_unknown_day(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(START + HOUR), START + HOUR, at=GATE)


@refused("gate_open", "day")
def report_before_the_gate(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(), START, at=GATE - 1)


@refused("gate_open", "day")
def metered_before_the_gate(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(kind=METERED), START, at=GATE - 1)


@refused("started", "day")
def plan_once_delivery_has_begun(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(), START, at=START)


@refused("readings_early", "day")
def metered_before_the_end(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(kind=METERED), START, at=END - 1)


@refused("version_not_higher", "version")
def first_report_with_version_two(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(version=2), 2, at=GATE)


@refused("version_not_higher", "version")
def the_same_version_twice(world: WatchedWorld) -> Attempt:
    world.done("operator", flow_report(), at=GATE)
    return Attempt("operator", flow_report(), 1)


@refused("vector_length", "losses")
def losses_of_three_intervals(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(losses=[50, 60, 20]), "3 entries", at=GATE)


@refused("vector_length", "generation")
def bytes_that_are_no_vector(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(generation=b"1234567"), "7 bytes", at=GATE)


@refused("vector_length", "loading")
def loading_of_five_intervals(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(loading=[1] * 5), "5 entries", at=GATE)


@refused("vector_length", "branches")
def branches_that_are_no_vector(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(branches=b"12345"), "5 bytes", at=GATE)


@refused("out_of_range", "supply")
def more_than_a_gigawatt_hour(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(supply=b"\xff" * 16), 2**32 - 1, at=GATE)


@refused("out_of_range", "highest_voltage")
def a_voltage_beyond_all_bounds(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(highest_voltage=b"\xff" * 16), 2**32 - 1, at=GATE)


@refused("energy_unbalanced", "losses")
def losses_out_of_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(losses=[50, 60, 20, 71]), 3, at=GATE)


@refused("energy_unbalanced", "returned")
def supplied_and_returned_at_once(world: WatchedWorld) -> Attempt:
    both = flow_report(supply=[2_051, 0, 0, 4_070], returned=[1, 1_940, 0, 0])
    return Attempt("operator", both, 0, at=GATE)


@refused("out_of_range", "lowest_voltage")
def a_lowest_voltage_above_the_highest(world: WatchedWorld) -> Attempt:
    swapped = flow_report(lowest_voltage=[1_010_000, 1_050_001, 1_020_000, 990_000])
    return Attempt("operator", swapped, -1, at=GATE)


@refused("out_of_range", "lowest_at")
def a_lowest_voltage_elsewhere(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(lowest_at=Extreme(0, "node 9")), 0, at=GATE)


@refused("out_of_range", "highest_at")
def a_highest_voltage_beyond_the_day(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(highest_at=Extreme(4, "node 4")), 4, at=GATE)


@refused("out_of_range", "loaded_at")
def a_highest_loading_elsewhere(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(loaded_at=Extreme(2, "line 7")), 2, at=GATE)


@refused("out_of_range", "branches")
def branches_that_are_less_loaded_than_the_most_loaded_one(world: WatchedWorld) -> Attempt:
    return Attempt("operator", flow_report(branches=[100_000, 499_999]), 499_999, at=GATE)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_reports_change_nothing_but_the_nonce(case: Case) -> None:
    check_case(case)
