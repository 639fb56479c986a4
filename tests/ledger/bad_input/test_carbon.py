"""Bad transactions with carbon allowances: refused, and nothing but a nonce changes (A-14, L-19)."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import NOBODY, Attempt, check_refused, suspended
from tests.ledger.bad_input.test_green import Case, market, name_of, refusals
from tests.ledger.green_world import GreenWorld
from wattquorum.ledger.transactions import CloseCarbonPeriod, GrantQuota, MoveAllowances, ReportEmissions

GRAMS_MAX = 10**15

CASES: list[Case] = []
refused = refusals(CASES)


@refused("role_missing", "sender")
def granting_oneself_a_quota(world: GreenWorld) -> Attempt:
    return Attempt("c", GrantQuota(world.address("c"), 1), "c")


@refused("role_missing", "member")
def obliging_somebody_who_is_no_member(world: GreenWorld) -> Attempt:
    return Attempt("operator", GrantQuota(world.address("operator"), 1), "operator")


@refused("account_unknown", "member")
def obliging_nobody(world: GreenWorld) -> Attempt:
    return Attempt("operator", GrantQuota(NOBODY, 1), NOBODY)


@refused("amount_not_positive", "grams")
def granting_nothing(world: GreenWorld) -> Attempt:
    return Attempt("operator", GrantQuota(world.address("c"), 0), 0)


@refused("out_of_range", "grams")
def granting_more_than_a_period_can_have(world: GreenWorld) -> Attempt:
    grams = GRAMS_MAX - 99
    return Attempt("operator", GrantQuota(world.address("c"), grams), grams)


@refused("allowance_short", "grams")
def moving_more_allowances_than_one_has(world: GreenWorld) -> Attempt:
    world.done("operator", ReportEmissions(world.address("c"), 1, 0))
    return Attempt("c", MoveAllowances(world.address("d"), 101), 100)


@refused("allowance_short", "grams")
def moving_allowances_before_emissions_are_verified(world: GreenWorld) -> Attempt:
    return Attempt("c", MoveAllowances(world.address("d"), 1), 0)


@refused("allowance_short", "grams")
def moving_allowances_that_ones_emissions_need(world: GreenWorld) -> Attempt:
    world.done("operator", ReportEmissions(world.address("c"), 1, 130))
    return Attempt("c", MoveAllowances(world.address("d"), 1), 0)


@refused("allowance_missing", "sender")
def moving_allowances_without_an_account(world: GreenWorld) -> Attempt:
    return Attempt("g", MoveAllowances(world.address("d"), 1), world.address("g"))


@refused("allowance_missing", "to")
def moving_allowances_to_somebody_who_is_not_obliged(world: GreenWorld) -> Attempt:
    return Attempt("c", MoveAllowances(world.address("g"), 1), world.address("g"))


@refused("self_trade", "to")
def moving_allowances_to_oneself(world: GreenWorld) -> Attempt:
    return Attempt("c", MoveAllowances(world.address("c"), 1), world.address("c"))


@refused("amount_not_positive", "grams")
def moving_no_allowances(world: GreenWorld) -> Attempt:
    return Attempt("c", MoveAllowances(world.address("d"), 0), 0)


@refused("out_of_range", "grams")
def moving_more_than_an_account_can_buy(world: GreenWorld) -> Attempt:
    world.done("operator", GrantQuota(world.address("c"), GRAMS_MAX - 100))
    for name in ("c", "d"):
        world.done("operator", ReportEmissions(world.address(name), 1, 0))
    world.done("d", MoveAllowances(world.address("c"), 1))
    world.done("c", MoveAllowances(world.address("d"), 1))
    return Attempt("c", MoveAllowances(world.address("d"), GRAMS_MAX), GRAMS_MAX)


@refused("account_inactive", "sender")
def moving_allowances_while_suspended(world: GreenWorld) -> Attempt:
    suspended(world, "c")
    return Attempt("c", MoveAllowances(world.address("d"), 1), "c is suspended")


@refused("role_missing", "sender")
def reporting_ones_own_emissions(world: GreenWorld) -> Attempt:
    return Attempt("c", ReportEmissions(world.address("c"), 1, 1), "c")


@refused("allowance_missing", "member")
def reporting_emissions_of_somebody_who_is_not_obliged(world: GreenWorld) -> Attempt:
    return Attempt("operator", ReportEmissions(world.address("g"), 1, 1), world.address("g"))


@refused("carbon_period", "period")
def reporting_emissions_of_a_closed_period(world: GreenWorld) -> Attempt:
    world.done("operator", CloseCarbonPeriod(1))
    return Attempt("operator", ReportEmissions(world.address("c"), 1, 1), 1)


@refused("carbon_period", "period")
def reporting_emissions_of_a_coming_period(world: GreenWorld) -> Attempt:
    return Attempt("operator", ReportEmissions(world.address("c"), 2, 1), 2)


@refused("out_of_range", "grams")
def reporting_absurd_emissions(world: GreenWorld) -> Attempt:
    return Attempt("operator", ReportEmissions(world.address("c"), 1, GRAMS_MAX + 1), GRAMS_MAX + 1)


@refused("role_missing", "sender")
def closing_a_period_as_a_member(world: GreenWorld) -> Attempt:
    return Attempt("c", CloseCarbonPeriod(1), "c")


@refused("carbon_period", "period")
def closing_a_period_twice(world: GreenWorld) -> Attempt:
    world.done("operator", CloseCarbonPeriod(1))
    return Attempt("operator", CloseCarbonPeriod(1), 1)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    world = market()
    check_refused(world, case.make(world), case.code, case.field)
