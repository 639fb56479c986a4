"""Bad approvals, curtailments, line faults, readings and disputes: refused, and nothing but a nonce changes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.bad_input.attempts import (
    END,
    FINAL,
    FOUR,
    GATE,
    KWH,
    NOTHING,
    Attempt,
    Case,
    cancelled,
    check_case,
    closed,
    name_of,
    point,
    read_all,
    refusals,
    row,
)
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import QUARTER, START, key_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, POWER_MAX
from wattquorum.foundation.vectors import pack_energy
from wattquorum.ledger.readings import Row, encode_rows, root_of_rows
from wattquorum.ledger.transactions import (
    AddMeter,
    ApproveContracts,
    ClosePage,
    CommitReadings,
    Curtail,
    Dispute,
    Register,
    ReportFault,
)

CASES: list[Case] = []
refused = refusals(CASES)


# Approvals, curtailments and line faults


@refused("gate_open", "day")
def approval_before_the_gate(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ApproveContracts(START, (world.contract("g", "c", FOUR),)), START, at=GATE - 1)


@refused("started", "day")
def approval_once_delivery_has_begun(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ApproveContracts(START, (world.contract("g", "c", FOUR),)), START, at=START)


@refused("contract_state", "contract")
def approving_twice(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    return Attempt("operator", ApproveContracts(START, (contract, contract)), "approved", at=GATE)


@refused("contract_unknown", "contract")
def approving_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ApproveContracts(START, (NOTHING,)), NOTHING, at=GATE)


def curtailing(contract: bytes, energy: Sequence[int]) -> Curtail:
    return Curtail(START, contract, pack_energy(energy), "congestion")


@refused("gate_open", "day")
def curtailment_before_the_gate(world: WatchedWorld) -> Attempt:
    return Attempt("operator", curtailing(world.contract("g", "c", FOUR), [0] * 4), START)


@refused("contract_state", "contract")
def curtailing_a_cancelled_contract(world: WatchedWorld) -> Attempt:
    return Attempt("operator", curtailing(cancelled(world), [0] * 4), "cancelled", at=GATE)


@refused("out_of_range", "energy")
def curtailment_that_raises_a_promise(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    return Attempt("operator", curtailing(contract, [0, 0, KWH + 1, 0]), KWH + 1, at=GATE)


@refused("out_of_range", "energy")
def curtailment_that_changes_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("operator", curtailing(world.contract("g", "c", FOUR), FOUR), KWH, at=GATE)


@refused("vector_length", "energy")
def curtailment_of_three_intervals(world: WatchedWorld) -> Attempt:
    return Attempt("operator", curtailing(world.contract("g", "c", FOUR), [0] * 3), "3 entries", at=GATE)


@refused("fault_unrecorded", "energy")
def curtailment_of_an_interval_that_begins_now(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    return Attempt("operator", curtailing(contract, [KWH, 0, 0, 0]), 1, at=START + QUARTER)


@refused("fault_unrecorded", "energy")
def curtailment_beside_the_recorded_fault(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    world.done("operator", ReportFault(START, ("g-sell",), 1, 3, "tree"), at=END)
    return Attempt("operator", curtailing(contract, [KWH, 0, 0, 0]), 3)


@refused("fault_unrecorded", "energy")
def curtailment_under_a_fault_at_somebody_elses_meter(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    world.done("operator", ReportFault(START, ("p-sell", "p-buy"), 0, 4, "tree"), at=END)
    return Attempt("operator", curtailing(contract, [0, KWH, KWH, KWH]), 0)


@refused("meter_unknown", "meters")
def fault_at_no_meter(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ReportFault(START, (), 0, 1, ""), "none")


@refused("meter_unknown", "meters")
def fault_at_an_unknown_meter(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ReportFault(START, ("g-sell", "ghost"), 0, 1, ""), "ghost")


@refused("fault_known", "meters")
def fault_at_a_meter_twice(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ReportFault(START, ("g-sell", "g-sell"), 0, 1, ""), "g-sell")


@refused("out_of_range", "first")
def fault_beyond_the_day(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ReportFault(START, ("g-sell",), 3, 5, ""), "3..5")


@refused("out_of_range", "first")
def fault_of_no_interval(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ReportFault(START, ("g-sell",), 2, 2, ""), "2..2")


@refused("page_closed", "day")
def reporting_a_fault_once_a_page_is_closed(world: WatchedWorld) -> Attempt:
    read_all(world)
    world.done("operator", ClosePage(START, "f1"))
    return Attempt("operator", ReportFault(START, ("p-sell",), 0, 1, ""), START)


@refused("page_closed", "day")
def curtailing_once_another_page_is_closed(world: WatchedWorld) -> Attempt:
    contract = world.contract("p", "c", FOUR)
    world.done("operator", ReportFault(START, ("p-sell",), 0, 4, "tree"))
    read_all(world)
    # c's position on page f1 rests on what it promised; the contract is p's, on page f2.
    world.done("operator", ClosePage(START, "f1"))
    return Attempt("operator", curtailing(contract, [0] * 4), START)


@refused("contract_state", "contract")
def curtailing_a_settled_contract(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    read_all(world)
    world.done("operator", ClosePage(START, "f1"))
    return Attempt("operator", curtailing(contract, [0] * 4), "settled")


# Readings


def committing(rows: Sequence[Row], *, feeder: str = "f1", count: int | None = None) -> CommitReadings:
    return CommitReadings(START, feeder, root_of_rows(rows), len(rows) if count is None else count)


def reading(
    rows: Sequence[Row], value: object, *, feeder: str = "f1", count: int | None = None, at: int = END
) -> Attempt:
    return Attempt("operator", committing(rows, feeder=feeder, count=count), value, (encode_rows(rows),), at)


@refused("readings_early", "day")
def readings_before_the_day_has_ended(world: WatchedWorld) -> Attempt:
    return reading([row()], START, at=END - 1)


@refused("day_final", "day")
def readings_after_the_final_day(world: WatchedWorld) -> Attempt:
    return reading([row()], START, at=FINAL)


@refused("feeder_unknown", "feeder")
def readings_of_a_feeder_that_the_day_does_not_have(world: WatchedWorld) -> Attempt:
    return reading([row()], "f9", feeder="f9")


@refused("rows_missing", "root")
def commitment_without_rows(world: WatchedWorld) -> Attempt:
    made = committing([row()])
    return Attempt("operator", made, made.root, (), END)


@refused("rows_missing", "root")
def commitment_to_other_rows(world: WatchedWorld) -> Attempt:
    made = committing([row()])
    return Attempt("operator", made, made.root, (encode_rows([row(energy=[1] * 4)]),), END)


@refused("rows_missing", "root")
def commitment_to_rows_with_another_salt(world: WatchedWorld) -> Attempt:
    made = committing([row()])
    return Attempt("operator", made, made.root, (encode_rows([changed(row(), salt=b"\x01" * 16)]),), END)


@refused("rows_missing", "root")
def commitment_to_rows_that_are_not_canonical(world: WatchedWorld) -> Attempt:
    made = committing([row()])
    return Attempt("operator", made, made.root, (b"\xdc\x00\x01" + encode_rows([row()])[1:],), END)


@refused("commitment_wrong", "rows")
def commitment_to_more_rows_than_there_are(world: WatchedWorld) -> Attempt:
    return reading([row()], 1, count=2)


@refused("commitment_wrong", "rows")
def commitment_to_nothing(world: WatchedWorld) -> Attempt:
    return reading([], 0)


@refused("intervals_overlap", "rows")
def a_meter_twice_among_the_rows(world: WatchedWorld) -> Attempt:
    return reading([row(), row(version=2)], "meters repeat or are not sorted")


@refused("intervals_overlap", "rows")
def rows_that_are_not_sorted(world: WatchedWorld) -> Attempt:
    return reading([row("x-buy"), row("c-buy")], "meters repeat or are not sorted")


@refused("intervals_missing", "g-sell")
def a_row_with_three_intervals(world: WatchedWorld) -> Attempt:
    return reading([row(energy=[1] * 3)], "3 of 4 intervals")


@refused("intervals_missing", "g-sell")
def a_row_with_five_intervals(world: WatchedWorld) -> Attempt:
    return reading([row(energy=[1] * 5)], "5 of 4 intervals")


@refused("intervals_missing", "g-sell")
def a_row_whose_qualities_are_too_few(world: WatchedWorld) -> Attempt:
    return reading([row(quality=(0, 0, 0))], "4 of 4 intervals")


@refused("quality_unknown", "g-sell")
def a_row_of_unknown_quality(world: WatchedWorld) -> Attempt:
    return reading([row(quality=(0, 3, 0, 0))], 3)


@refused("meter_unknown", "meter")
def a_row_of_a_meter_that_nobody_registered(world: WatchedWorld) -> Attempt:
    return reading([row("ghost")], "ghost")


@refused("meter_unknown", "meter")
def a_row_of_another_feeders_meter(world: WatchedWorld) -> Attempt:
    return reading([row("p-sell")], "p-sell")


@refused("meter_unknown", "meter")
def a_row_of_a_meter_that_was_registered_after_the_day_had_begun(world: WatchedWorld) -> Attempt:
    world.now = START
    world.done("operator", AddMeter(world.address("g"), point("late")))
    return reading([row("late")], "late")


@refused("energy_absurd", "g-sell")
def more_energy_than_the_connection_can_carry(world: WatchedWorld) -> Attempt:
    # 40 kW carry 10 kWh in a quarter of an hour; up to 1.5 times as much passes for a meter's error. The receipt is
    # public and shows that limit, not the reading.
    return reading([row(energy=[1, 15_001, 1, 1])], 15_000)


@refused("energy_absurd", "big-1")
def more_energy_in_an_interval_than_one_can_hold(world: WatchedWorld) -> Attempt:
    big(world, 1)
    energy = (ENERGY_PER_INTERVAL_MAX + 1).to_bytes(4, "little") + bytes(12)
    return reading([changed(row("big-1"), energy=energy)], ENERGY_PER_INTERVAL_MAX)


@refused("energy_absurd", "meters")
def more_energy_over_all_meters_of_a_side_than_an_interval_can_hold(world: WatchedWorld) -> Attempt:
    big(world, 2)
    half = ENERGY_PER_INTERVAL_MAX // 2
    world.read({"big-1": [half] * 4})
    return reading([row("big-2", [0, 0, half + 1, 0])], ENERGY_PER_INTERVAL_MAX)


def big(world: WatchedWorld, meters: int) -> None:
    """A member with meters of 4 GW each, that carry exactly 1 GWh in a quarter of an hour."""
    points = tuple(point(f"big-{i + 1}", limit_w=POWER_MAX) for i in range(meters))
    world.done("operator", Register(key_of("big").public, "big", "big", points))


@refused("version_not_higher", "g-sell")
def a_second_reading_without_a_higher_version(world: WatchedWorld) -> Attempt:
    world.read({"g-sell": FOUR})
    return reading([row(energy=[2] * 4)], 1)


@refused("version_not_higher", "g-sell")
def a_correction_that_leaves_out_a_version(world: WatchedWorld) -> Attempt:
    world.read({"g-sell": FOUR})
    return reading([row(version=3)], 3)


@refused("version_not_higher", "g-sell")
def a_first_reading_that_calls_itself_a_correction(world: WatchedWorld) -> Attempt:
    return reading([row(version=2)], 2)


@refused("version_not_higher", "g-sell")
def a_commitment_that_is_sent_again(world: WatchedWorld) -> Attempt:
    rows = [row()]
    world.done("operator", committing(rows), rows=[encode_rows(rows)], at=END)
    return reading(rows, 1)


# Disputes


@refused("contract_state", "day")
def disputing_an_open_day(world: WatchedWorld) -> Attempt:
    return Attempt("c", Dispute(START, b"", ""), "open")


@refused("role_missing", "sender")
def disputing_somebody_elses_contract(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    closed(world)
    return Attempt("p", Dispute(START, contract, ""), world.address("p"))


@refused("role_missing", "sender")
def disputing_as_no_member(world: WatchedWorld) -> Attempt:
    closed(world)
    return Attempt("operator", Dispute(START, b"", ""), "operator")


@refused("contract_unknown", "contract")
def disputing_half_a_contracts_id(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    closed(world)
    return Attempt("c", Dispute(START, contract[:8], ""), contract[:8])


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)
