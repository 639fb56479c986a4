"""Debts: paid from collateral that becomes free, and which of them bar their debtor (L-7, L-11)."""

from __future__ import annotations

import pytest

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import HOUR, START
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.transfers import Kind
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.clearing import Due, clear
from wattquorum.ledger.context import Context, Tariffs
from wattquorum.ledger.entities import Debt
from wattquorum.ledger.facts import Moved, StatusChanged
from wattquorum.ledger.money import owe, pay_debts, strike
from wattquorum.ledger.readings import Shelf
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import CloseDay, ClosePage, SetStatus, SettleDebt, WithdrawMoney

KWH, MWH = 1_000, 1_000_000
DAY = 24 * HOUR


def statuses(world: WatchedWorld, name: str) -> list[Status]:
    told = [fact for fact in world.facts(StatusChanged) if isinstance(fact, StatusChanged)]
    return [fact.status for fact in told if fact.address == world.address(name)]


def overdrawn(money: int, *, suspended: bool = False) -> WatchedWorld:
    """c has all but 905 - 900 of its money locked for 1 MWh, and used 20 kWh beyond it: 15.00 for the grid."""
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY, money=money)
    world.publish()
    world.approve(world.contract("g", "c", [MWH, 0, 0, 0]))
    if suspended:
        world.done("operator", SetStatus(world.address("c"), Status.SUSPENDED, "papers"))
    world.read({"g-sell": [MWH, 0, 0, 0], "c-buy": [MWH, 20 * KWH, 0, 0]})
    world.done("operator", ClosePage(START, "f1"))
    return world


def test_collateral_that_becomes_free_pays_what_its_owner_owes() -> None:
    # Of 905.00 it locked 900.000004 and paid 5.00 - 4 units of 15.00; it bought 1 MWh at .54.
    world = overdrawn(905 * MILLION)
    ((_, owed),) = world.debts_of("c")
    assert (owed.amount, world.account("c").status) == (10 * MILLION + 4, Status.INDEBTED)
    world.done("operator", CloseDay(START))
    assert world.debts_of("c") == []
    assert world.account("c").balance == (905 - 540 - 15) * MILLION
    assert statuses(world, "c") == [Status.INDEBTED, Status.ACTIVE]
    paid = [(f.amount, f.day) for f in world.facts(Moved) if isinstance(f, Moved) and f.kind is Kind.DEBT_PAYMENT]
    assert paid == [(10 * MILLION + 4, START)]


def test_a_suspended_debtor_pays_and_stays_suspended() -> None:
    world = overdrawn(905 * MILLION, suspended=True)
    world.done("operator", CloseDay(START))
    assert world.debts_of("c") == []
    assert world.account("c").status is Status.SUSPENDED


def test_what_becomes_free_pays_earlier_days_first_as_far_as_it_goes() -> None:
    # c owes 375.00 for 500 kWh of each of two days without contracts, and bought 1 MWh for the third: its 900.000004
    # of collateral give back 360.000004 after the payment of 540.00.
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY, money=900 * MILLION + 4)
    days = [world.publish(START + i * DAY) for i in range(3)]
    contract = world.contract("g", "c", [MWH, 0, 0, 0], day=days[2])
    for day in days[:2]:
        world.read({"g-sell": [0] * 4, "c-buy": [500 * KWH, 0, 0, 0]}, day=day)
    world.approve(contract, day=days[2])
    for day in (days[1], days[0]):  # the later day is closed first
        world.close(day=day)
    assert [owed.amount for _, owed in world.debts_of("c")] == [375 * MILLION] * 2
    world.read({"g-sell": [MWH, 0, 0, 0], "c-buy": [MWH, 0, 0, 0]}, day=days[2])
    world.close(day=days[2])
    left = {owed.day: owed.amount for _, owed in world.debts_of("c")}
    assert left == {days[0]: 15 * MILLION - 4, days[1]: 375 * MILLION}
    assert (world.account("c").balance, world.account("c").status) == (0, Status.INDEBTED)


def given_back() -> WatchedWorld:
    """p got 25.00 of g's fine and took all its money; then a correction shows that g had kept its promise."""
    world = WatchedWorld(parameters={"fee": 0})
    for name, *sides in (("g", Side.SELL), ("c", Side.BUY), ("p", Side.SELL, Side.BUY), ("q", Side.BUY)):
        world.member(name, *sides)
    world.publish()
    promised = [MWH, 0, 0, 0]
    world.approve(world.contract("g", "c", promised), world.contract("p", "q", promised))
    kept = dict.fromkeys(("c-buy", "p-sell", "q-buy"), promised)
    world.read({**kept, "g-sell": [800 * KWH, 0, 0, 0], "p-buy": [0] * 4})
    world.close()
    world.done("p", WithdrawMoney(world.account("p").balance))
    assert world.read({"g-sell": promised}, version=2).outcome is Outcome.DONE
    return world


def test_who_must_give_back_a_share_of_somebody_elses_fine_owes_it_and_is_not_barred() -> None:
    world = given_back()
    ((_, owed),) = world.debts_of("p")
    assert (owed.amount, owed.creditor, owed.kind) == (25 * MILLION, world.ledger._reserved.fines, Kind.SHARE)
    assert world.account("p").status is Status.ACTIVE
    assert statuses(world, "p") == []
    world.deposit("p", 1_000 * MILLION)
    tomorrow = world.publish(START + DAY)
    world.contract("p", "q", [KWH] * 4, day=tomorrow)


def test_a_debt_that_bars_nobody_does_not_keep_a_member_from_being_reinstated() -> None:
    world = given_back()
    world.done("operator", SetStatus(world.address("p"), Status.SUSPENDED, "papers"))
    world.done("operator", SetStatus(world.address("p"), Status.ACTIVE, ""))
    assert world.account("p").status is Status.ACTIVE


def test_who_owes_both_is_active_again_once_the_debt_that_bars_is_paid() -> None:
    # Tomorrow p uses 1 kWh from the grid without a cent: .75 that bar it, beside the 25.00 that do not.
    world = given_back()
    tomorrow = world.publish(START + DAY)
    meters = ("g-sell", "c-buy", "p-sell", "q-buy")
    world.read({**dict.fromkeys(meters, [0] * 4), "p-buy": [KWH, 0, 0, 0]}, day=tomorrow)
    world.close(day=tomorrow)
    assert world.account("p").status is Status.INDEBTED
    world.deposit("p", MILLION)
    ((barring, _),) = [(key, owed) for key, owed in world.debts_of("p") if owed.kind is not Kind.SHARE]
    world.done("p", SettleDebt(barring, 750_000))
    assert world.account("p").status is Status.ACTIVE
    assert [owed.amount for _, owed in world.debts_of("p")] == [25 * MILLION]


# Debts in opposite directions


def spent(policy: int) -> WatchedWorld:
    """g fell short towards c and was fined, p sold to q and got shares; then everybody took out all of its money."""
    world = WatchedWorld(parameters={"fee": 0, "policy": policy})
    for name, *sides in (("g", Side.SELL), ("c", Side.BUY), ("p", Side.SELL), ("q", Side.BUY)):
        world.member(name, *sides)
    world.publish()
    promised = [MWH, 0, 0, 0]
    world.approve(world.contract("g", "c", promised), world.contract("p", "q", promised))
    kept = dict.fromkeys(("c-buy", "p-sell", "q-buy"), promised)
    world.read({**kept, "g-sell": [800 * KWH, 0, 0, 0]})
    world.close()
    for name in "gcpq":
        world.done(name, WithdrawMoney(world.account(name).balance))
    return world


def owed_and_barred(world: WatchedWorld) -> tuple[list[tuple[bytes, bytes, int, int]], list[Status], list[int]]:
    debts = sorted((d.debtor, d.creditor, d.amount, d.kind) for _, d in world.ledger.state.items(Table.DEBT))
    accounts = [world.account(name) for name in "gcpq"]
    return debts, [each.status for each in accounts], [each.balance for each in accounts]


@pytest.mark.parametrize("policy", [1, 2, 3])
@pytest.mark.parametrize("wrong", [0, 1_000 * KWH])
def test_a_correction_that_is_undone_leaves_nobody_in_debt(policy: int, wrong: int) -> None:
    """A fine that was undone and charged again had to be paid twice, and its shares could be taken out twice."""
    world = spent(policy)
    whole = owed_and_barred(world)
    assert whole == ([], [Status.ACTIVE] * 4, [0] * 4)
    once = None
    for version in range(2, 8):
        energy = 800 * KWH if version % 2 else wrong
        assert world.read({"g-sell": [energy, 0, 0, 0]}, version=version).outcome is Outcome.DONE
        if version % 2:
            assert owed_and_barred(world) == whole
        else:
            once = once or owed_and_barred(world)
            assert owed_and_barred(world) == once


def test_debts_are_paid_by_day_whatever_their_ids() -> None:
    """Each day's use beyond any contract stays owed; a third of it is paid in, and pays the earliest day (L-7)."""
    world = WatchedWorld(parameters={"fee": 0})
    world.member("c", Side.BUY, money=0)
    context = Context(world.ledger.state, Shelf(), Tariffs(), world.ledger.chain_id, world.ledger._reserved)
    grid, debtor = world.ledger._reserved.grid, world.address("c")
    days = [3, 1, 2, 5, 4]
    for place, day in enumerate(days):
        context.hash = bytes([place]) * 32
        owe(context, Debt(debtor, grid, MILLION, Kind.RESIDUAL_PURCHASE, day, b"", bars=True))
    assert [d.day for _, d in world.debts_of("c")] != sorted(days)
    context.change_account(debtor, balance=2 * MILLION)
    pay_debts(context, debtor)
    assert sorted(d.day for _, d in world.debts_of("c")) == [3, 4, 5]


@pytest.mark.parametrize("transaction", range(8))
def test_who_still_owes_after_a_set_off_is_barred_whatever_the_ids_of_its_debts(transaction: int) -> None:
    # g owes c 5.00 from before. Now c owes g 5.00 and 3.00 and has nothing: 5.00 are struck, and 3.00 bar c.
    world = WatchedWorld(parameters={"fee": 0})
    for name, side in (("g", Side.SELL), ("c", Side.BUY)):
        world.member(name, side, money=0)
    context = Context(world.ledger.state, Shelf(), Tariffs(), world.ledger.chain_id, world.ledger._reserved)
    g, c = world.address("g"), world.address("c")
    context.hash = b"before" + bytes(26)
    owe(context, Debt(g, c, 5 * MILLION, Kind.ENERGY, START, b"", bars=True))
    strike(context)
    assert world.account("g").status is Status.INDEBTED
    context.hash = bytes([transaction]) * 32
    clear(context, START, [Due(Kind.ENERGY, c, g, 5 * MILLION, b""), Due(Kind.COMPENSATION, c, g, 3 * MILLION, b"")])
    ((_, owed),) = world.debts_of("c")
    assert (owed.amount, owed.bars, world.debts_of("g")) == (3 * MILLION, True, [])
    assert (world.account("c").status, world.account("g").status) == (Status.INDEBTED, Status.ACTIVE)
    told = [fact.status for fact in context.facts if isinstance(fact, StatusChanged) and fact.address == c]
    assert told == [Status.INDEBTED]
