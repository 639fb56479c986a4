"""Leaving: who may, what still counts, and when the money is free (L-24)."""

from __future__ import annotations

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import FEED_IN, GRID_PRICE, HOUR, OVER_GRID_FEE, QUARTER, START
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import pack_prices
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.facts import PositionSettled
from wattquorum.ledger.transactions import Leave, PayOut, Propose, PublishDay, SealDay, SetStatus, WithdrawMoney

KWH = 1_000
FOUR = [KWH] * 4
MONEY = 10_000 * MILLION
DAY = 24 * HOUR
END = START + 4 * QUARTER
FINAL = END + 48 * HOUR


def code(world: WatchedWorld, name: str, amount: int = 1) -> str:
    return world.do(name, WithdrawMoney(amount)).code


def test_a_leaving_members_money_waits_for_what_its_meters_counted_on_days_before_it_left() -> None:
    # c has no contract. It uses 4 kWh from the grid on the published day: 3.00, billed after it left.
    world = WatchedWorld(parameters={"fee": 0})
    world.member("c", Side.BUY)
    world.publish()
    world.done("c", Leave(), at=START + QUARTER)
    assert code(world, "c") == "obligations_open"
    world.read({"c-buy": FOUR})
    world.close()
    assert world.account("c").balance == MONEY - 3 * MILLION
    assert code(world, "c") == "obligations_open"  # a correction may still come
    world.done("operator", SealDay(START), at=FINAL)
    payout = world.done("c", WithdrawMoney(MILLION))
    assert code(world, "c") == "obligations_open"
    world.done("operator", PayOut(payout, paid=True))
    world.done("c", WithdrawMoney(MONEY - 4 * MILLION))


def test_a_leaving_members_meters_do_not_count_on_days_that_are_published_later() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("c", Side.BUY)
    world.member("other", Side.BUY)
    world.publish()
    world.done("c", Leave())
    later = world.publish(START + DAY)
    world.read({"c-buy": FOUR, "other-buy": FOUR})
    assert world.read({"c-buy": FOUR, "other-buy": FOUR}, day=later).code == "meter_unknown"
    assert world.read({"other-buy": FOUR}, day=later).outcome is Outcome.DONE
    for day in (START, later):
        world.close(day=day)
    told = [(fact.day, fact.member) for fact in world.facts(PositionSettled) if isinstance(fact, PositionSettled)]
    assert [member for day, member in told if day == later] == [world.address("other")]
    assert world.account("c").balance == MONEY - 3 * MILLION
    # The later day does not hold its money back.
    world.done("operator", SealDay(START), at=FINAL)
    world.done("c", WithdrawMoney(MONEY - 3 * MILLION))


def test_a_day_of_the_block_in_which_a_member_leaves_still_counts() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("c", Side.BUY)
    low, high, fee = (pack_prices([value]) for value in (FEED_IN, GRID_PRICE, OVER_GRID_FEE))
    window = Window(START, END, QUARTER)
    day = PublishDay(window, ("f1",), low, high, fee, START - HOUR, END, END, FINAL)
    world.block([world.signed("c", Leave()), world.signed("operator", Propose(day))])
    assert code(world, "c") == "obligations_open"
    assert world.read({"c-buy": FOUR}).outcome is Outcome.DONE


def test_a_suspended_member_cannot_get_round_it_by_leaving_and_a_leaving_one_can_be_suspended() -> None:
    world = WatchedWorld()
    world.member("x", Side.SELL)
    suspend = SetStatus(world.address("x"), Status.SUSPENDED, "fraud")
    reinstate = SetStatus(world.address("x"), Status.ACTIVE, "")
    world.done("operator", suspend)
    assert world.do("x", Leave()).code == "account_inactive"
    assert code(world, "x", MONEY) == "account_inactive"
    world.done("operator", reinstate)
    world.done("x", Leave())
    world.done("operator", suspend)
    assert code(world, "x", MONEY) == "account_inactive"
    world.done("operator", reinstate)
    assert world.account("x").status is Status.LEAVING
    world.done("x", WithdrawMoney(MONEY))


def test_a_debtor_can_be_suspended_and_is_a_debtor_again_when_reinstated() -> None:
    world = WatchedWorld()
    world.member("low", Side.BUY, money=0)
    world.publish()
    world.read({"low-buy": FOUR})
    world.close()
    world.done("operator", SetStatus(world.address("low"), Status.SUSPENDED, "fraud"))
    world.deposit("low", MONEY)
    assert code(world, "low") == "account_inactive"
    world.done("operator", SetStatus(world.address("low"), Status.ACTIVE, ""))
    assert world.account("low").status is Status.INDEBTED
