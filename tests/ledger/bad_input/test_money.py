"""Bad deposits, withdrawals, payouts and payments of debts: refused, and nothing but a nonce changes."""

from __future__ import annotations

import pytest

from tests.ledger.bad_input.attempts import (
    END,
    FEE,
    FINAL,
    FOUR,
    LOCK,
    NOBODY,
    NOTHING,
    Attempt,
    Case,
    check_case,
    check_refused,
    indebted,
    name_of,
    refusals,
    suspended,
)
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import FEED_IN, HOUR, START
from wattquorum.foundation.quantities import MILLION, MONEY_MAX
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    CloseDay,
    ClosePage,
    Deposit,
    Leave,
    PayOut,
    SealDay,
    SettleDebt,
    WithdrawMoney,
)

CASES: list[Case] = []
refused = refusals(CASES)


@refused("account_inactive", "sender")
def withdrawal_of_money_by_a_suspended_member(world: WatchedWorld) -> Attempt:
    suspended(world, "c")
    return Attempt("c", WithdrawMoney(1), "c is suspended")


@refused("amount_not_positive", "amount")
def depositing_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Deposit(world.address("c"), 0, "r"), 0)


@refused("amount_not_positive", "amount")
def withdrawing_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("c", WithdrawMoney(0), 0)


@refused("overflow", "amount")
def deposits_that_add_up_to_more_than_64_bits_bear(world: WatchedWorld) -> Attempt:
    # Four members have 10,000 each.
    rest = MONEY_MAX - 4 * 10_000 * MILLION
    return Attempt("operator", Deposit(world.address("c"), rest + 1, "r"), rest + 1)


@refused("account_unknown", "account")
def depositing_to_nobody(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Deposit(NOBODY, 1, "r"), NOBODY)


@refused("out_of_range", "account")
def depositing_to_the_community(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Deposit(world.ledger._reserved.community, 1, "r"), "community")


@refused("reference_used", "reference")
def depositing_twice_for_one_reference(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Deposit(world.address("g"), 7, "ref-1"), "ref-1")


@refused("balance_short", "balance")
def withdrawing_more_than_there_is(world: WatchedWorld) -> Attempt:
    return Attempt("c", WithdrawMoney(10_000 * MILLION + 1), 10_000 * MILLION)


@refused("balance_short", "balance")
def withdrawing_collateral(world: WatchedWorld) -> Attempt:
    world.contract("g", "c", FOUR)
    free = 10_000 * MILLION - LOCK - FEE
    return Attempt("c", WithdrawMoney(free + 1), free)


@refused("payout_unknown", "payout")
def paying_out_twice(world: WatchedWorld) -> Attempt:
    payout = world.done("c", WithdrawMoney(5))
    world.done("operator", PayOut(payout, True))
    return Attempt("operator", PayOut(payout, True), payout)


@refused("debt_unknown", "debt")
def settling_a_debt_that_does_not_exist(world: WatchedWorld) -> Attempt:
    return Attempt("c", SettleDebt(NOTHING, 1), NOTHING)


@refused("debt_unknown", "debt")
def settling_somebody_elses_debt(world: WatchedWorld) -> Attempt:
    debt = indebted(world)
    return Attempt("c", SettleDebt(debt, 1), debt)


@refused("out_of_range", "amount")
def settling_more_than_is_owed(world: WatchedWorld) -> Attempt:
    return Attempt("low", SettleDebt(indebted(world), 2 * MILLION + 1), 2 * MILLION + 1)


@refused("out_of_range", "amount")
def settling_nothing_of_a_debt(world: WatchedWorld) -> Attempt:
    return Attempt("low", SettleDebt(indebted(world), 0), 0)


@refused("account_inactive", "sender")
def withdrawing_money_in_debt(world: WatchedWorld) -> Attempt:
    indebted(world)
    return Attempt("low", WithdrawMoney(1), "low is indebted")


@refused("obligations_open", "sender")
def withdrawing_money_on_leaving_with_a_contract(world: WatchedWorld) -> Attempt:
    world.contract("g", "c", FOUR)
    world.done("c", Leave())
    return Attempt("c", WithdrawMoney(1), "c")


@refused("obligations_open", "sender")
def withdrawing_money_on_leaving_with_a_debt(world: WatchedWorld) -> Attempt:
    indebted(world, leaving=True)
    world.done("operator", ClosePage(START, "f2"), at=END + 24 * HOUR)
    world.done("operator", CloseDay(START))
    world.done("operator", SealDay(START), at=FINAL)
    return Attempt("low", WithdrawMoney(1), "low")


@refused("obligations_open", "sender")
def withdrawing_money_on_leaving_with_a_payout_under_way(world: WatchedWorld) -> Attempt:
    world.member("auditor", money=2)
    world.done("auditor", Leave())
    world.done("auditor", WithdrawMoney(1))
    return Attempt("auditor", WithdrawMoney(1), "auditor")


@refused("obligations_open", "sender")
def withdrawing_money_on_leaving_with_a_meter_on_an_open_day(world: WatchedWorld) -> Attempt:
    world.done("p", Leave())
    return Attempt("p", WithdrawMoney(1), "p")


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)


def test_only_the_grid_operator_pays_the_grids_debts() -> None:
    world = WatchedWorld(parameters={"grid_credit_limit": 0})
    world.member("g", Side.SELL)
    world.publish()
    world.read({"g-sell": FOUR})
    world.close()
    ((debt, owed),) = [(key, each) for key, each in world.ledger.state.items(Table.DEBT)]
    assert (owed.debtor, owed.amount) == (world.ledger._reserved.grid, 4 * FEED_IN)
    check_refused(world, Attempt("g", SettleDebt(debt, 1), "g"), "role_missing", "sender")
    check_refused(world, Attempt("operator", SettleDebt(debt, 1), 0), "balance_short", "balance")
