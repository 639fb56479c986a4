"""Bad closings of pages: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import (
    ALL,
    END,
    FOUR,
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
    ClosePage,
)

CASES: list[Case] = []
refused = refusals(CASES)


@refused("readings_early", "day")
def closing_a_page_before_the_day_has_ended(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ClosePage(START, "f1"), START, at=END - 1)


@refused("feeder_unknown", "feeder")
def closing_a_page_that_the_day_does_not_have(world: WatchedWorld) -> Attempt:
    return Attempt("operator", ClosePage(START, "f9"), "f9", at=END)


@refused("readings_missing", "meter")
def closing_a_page_without_readings(world: WatchedWorld) -> Attempt:
    world.read({"g-sell": FOUR, "x-buy": FOUR})
    return Attempt("operator", ClosePage(START, "f1"), "c-buy")


@refused("readings_missing", "meter")
def closing_a_page_without_the_readings_of_a_buyer_on_another_feeder(world: WatchedWorld) -> Attempt:
    world.contract("g", "p", FOUR)
    world.read(ALL)
    return Attempt("operator", ClosePage(START, "f1"), "p-buy")


@refused("page_closed", "feeder")
def closing_a_page_twice(world: WatchedWorld) -> Attempt:
    read_all(world)
    world.done("operator", ClosePage(START, "f1"))
    return Attempt("operator", ClosePage(START, "f1"), "f1")


@refused("page_closed", "feeder")
def closing_a_page_of_a_closed_day(world: WatchedWorld) -> Attempt:
    closed(world)
    return Attempt("operator", ClosePage(START, "f2"), "f2")


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)
