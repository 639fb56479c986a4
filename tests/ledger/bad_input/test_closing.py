"""Bad closings and sealings of days: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import (
    FINAL,
    Attempt,
    Case,
    check_case,
    closed,
    name_of,
    read_all,
    refusals,
)
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import START
from wattquorum.ledger.transactions import (
    CloseDay,
    ClosePage,
    SealDay,
)

CASES: list[Case] = []
refused = refusals(CASES)


@refused("page_open", "feeder")
def closing_a_day_with_an_open_page(world: WatchedWorld) -> Attempt:
    read_all(world)
    world.done("operator", ClosePage(START, "f1"))
    return Attempt("operator", CloseDay(START), "f2")


@refused("day_closed", "day")
def closing_a_day_twice(world: WatchedWorld) -> Attempt:
    closed(world)
    return Attempt("operator", CloseDay(START), START)


@refused("page_open", "day")
def sealing_an_open_day(world: WatchedWorld) -> Attempt:
    return Attempt("operator", SealDay(START), START, at=FINAL)


@refused("day_not_final", "day")
def sealing_a_day_before_it_is_final(world: WatchedWorld) -> Attempt:
    closed(world)
    return Attempt("operator", SealDay(START), START, at=FINAL - 1)


@refused("day_unknown", "day")
def sealing_a_day_twice(world: WatchedWorld) -> Attempt:
    closed(world)
    world.done("operator", SealDay(START), at=FINAL)
    return Attempt("operator", SealDay(START), START)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)
