"""Bad input: every refusal has its code, field and value, and leaves everything but the sender's nonce as it was."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import wattquorum.ledger
from tests.ledger.watched import WatchedWorld, snapshot_of
from tests.ledger.world import FEED_IN, GRID_PRICE, HOUR, OVER_GRID_FEE, QUARTER, START, key_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, MILLION, MONEY_MAX, POWER_MAX, PRICE_MAX
from wattquorum.foundation.refusals import CODES, shown
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Role, Side, Status
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.membership import FEEDERS_MAX, METERS_MAX, ROTATION_PURPOSE
from wattquorum.ledger.readings import Row, encode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    Accept,
    AddMeter,
    Approve,
    ApproveContracts,
    Cancel,
    CloseDay,
    ClosePage,
    CommitReadings,
    Counter,
    Curtail,
    Deposit,
    Dispute,
    GrantRole,
    Leave,
    MeterPoint,
    Offer,
    Payload,
    PayOut,
    Propose,
    PublishDay,
    RecoverKey,
    Register,
    ReportFault,
    RevokeRole,
    RotateKey,
    SealDay,
    SetParameters,
    SetStatus,
    SettleDebt,
    WithdrawMoney,
    WithdrawOffer,
    rotation_message,
)

KWH = 1_000
END = START + 4 * QUARTER
GATE = START - 12 * HOUR
FINAL = END + 48 * HOUR
NOBODY = bytes(20)
NOTHING = bytes(16)
FOUR = [KWH] * 4


class Attempt(NamedTuple):
    """A transaction that must be refused, and the value that its receipt must show."""

    sender: str
    payload: Payload
    value: object
    rows: tuple[bytes, ...] = ()
    at: int | None = None


Make = Callable[[WatchedWorld], Attempt]


class Case(NamedTuple):
    code: str
    field: str
    make: Make


CASES: list[Case] = []


def refused(code: str, field: str) -> Callable[[Make], Make]:
    """Notes an attempt and how it must be refused."""

    def note(make: Make) -> Make:
        CASES.append(Case(code, field, make))
        return make

    return note


def fresh() -> WatchedWorld:
    """g sells, c buys, p does both on another feeder, x is of the same owner as g; one day with both feeders."""
    made = WatchedWorld(parameters={"notice_blocks": 5})
    made.member("g", Side.SELL, limit_w=40 * KWH)
    made.member("c", Side.BUY, limit_w=40 * KWH)
    made.member("p", Side.SELL, Side.BUY, limit_w=40 * KWH, feeder="f2")
    made.member("x", Side.BUY, owner="g")
    made.publish(feeders=("f1", "f2"))
    return made


def check_refused(world: WatchedWorld, attempt: Attempt, code: str, field: str) -> None:
    if attempt.at is not None:
        world.block([], at=attempt.at - 1)  # what time alone changes, such as an epoch's end, has happened then
    before = snapshot_of(world.ledger.state)
    account = world.account(attempt.sender)
    receipt = world.do(attempt.sender, attempt.payload, rows=attempt.rows)
    found = (receipt.outcome, receipt.code, receipt.field, receipt.value)
    assert found == (Outcome.REFUSED, code, field, shown(attempt.value))
    assert world.account(attempt.sender) == changed(account, nonce=account.nonce + 1)
    after = snapshot_of(world.ledger.state)
    place = (Table.ACCOUNT, world.address(attempt.sender))
    assert {**after, place: b""} == {**before, place: b""}


# Trading: price, energy, limit, money


def selling(world: WatchedWorld, **fields: object) -> Offer:
    return changed(world.offer_payload(Side.SELL, FOUR), **fields)


def buying(world: WatchedWorld, energy: Sequence[int] = FOUR, price: int = 500_000) -> Offer:
    return world.offer_payload(Side.BUY, energy, price)


@refused("band_violated", "price")
def price_at_the_lower_end_of_the_band(world: WatchedWorld) -> Attempt:
    # ps < p - fee: 0.401 would leave the generator exactly what the grid pays.
    return Attempt("g", selling(world, price=pack_prices([FEED_IN + 1_000])), FEED_IN + 1_000)


@refused("band_violated", "price")
def price_at_the_upper_end_of_the_band(world: WatchedWorld) -> Attempt:
    # p + po + fee < pb: 0.709 would cost the consumer exactly what the grid takes.
    price = GRID_PRICE - OVER_GRID_FEE - 1_000
    return Attempt("c", buying(world, price=price), price)


@refused("band_violated", "price")
def price_outside_the_band_in_one_interval(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, price=pack_prices([500_000, 500_000, 400_000, 500_000])), 400_000)


@refused("band_violated", "price")
def counter_offer_outside_the_band(world: WatchedWorld) -> Attempt:
    offer = world.offer("g", Side.SELL, FOUR, partner="c")
    return Attempt("c", Counter(START, offer, pack_energy(FOUR), pack_prices([300_000]), START), 300_000)


@refused("out_of_range", "price")
def price_beyond_what_a_price_may_be(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, price=(PRICE_MAX + 1).to_bytes(4, "little")), PRICE_MAX + 1)


@refused("vector_length", "price")
def prices_for_half_of_the_intervals(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, price=pack_prices([500_000] * 2)), "2 entries")


@refused("vector_length", "energy")
def energies_for_three_of_four_intervals(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, energy=pack_energy([KWH] * 3)), "3 entries")


@refused("vector_length", "energy")
def energies_of_an_odd_number_of_bytes(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, energy=bytes(15)), "15 bytes")


@refused("vector_length", "energy")
def no_energies_at_all(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, energy=b""), "0 entries")


@refused("promise_empty", "energy")
def promise_of_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, energy=bytes(16)), 0)


@refused("out_of_range", "energy")
def promise_of_more_than_an_interval_can_hold(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, energy=b"\xff" * 4 + bytes(12)), 2**32 - 1)


@refused("promise_exceeds_limit", "energy")
def promise_above_p_max(world: WatchedWorld) -> Attempt:
    # 40 kW for a quarter of an hour are 10 kWh.
    return Attempt("g", selling(world, energy=pack_energy([1, 1, 10_001, 1])), 10_001)


@refused("promise_exceeds_limit", "energy")
def offer_above_p_max_over_all_contracts(world: WatchedWorld) -> Attempt:
    world.contract("g", "c", [1, 6 * KWH, 1, 1])
    return Attempt("g", selling(world, energy=pack_energy([1, 4_001, 1, 1])), 10_001)


@refused("promise_exceeds_limit", "energy")
def acceptance_above_the_authors_p_max_over_all_contracts(world: WatchedWorld) -> Attempt:
    first = world.offer("g", Side.SELL, [6 * KWH, 0, 0, 0])
    second = world.offer("g", Side.SELL, [6 * KWH, 0, 0, 0])
    world.done("c", Accept(START, first))
    return Attempt("p", Accept(START, second), 12_000)


@refused("promise_exceeds_limit", "energy")
def acceptance_above_the_own_connection_over_all_contracts(world: WatchedWorld) -> Attempt:
    world.contract("g", "c", [6 * KWH, 0, 0, 0])
    return Attempt("c", Accept(START, world.offer("p", Side.SELL, [6 * KWH, 0, 0, 0])), 12_000)


# The buyer of 4 kWh at 0.50 locks in each interval, for 1 kWh: 0.75 for all of it from the grid and 0.10 compensation,
# that is 0.85, and 4 units of slack; and a fine of .005 * 10 points * 4 kWh = 0.20 in all: 3.600016. The fee is 0.004.
LOCK, FEE = 3_600_016, 4_000


def offer_to_the_poor(world: WatchedWorld, money: int) -> bytes:
    """An offer by g of 4 kWh at 0.50 that a buyer with this much money wants to accept."""
    world.member("poor", Side.BUY, money=money)
    return world.offer("g", Side.SELL, FOUR)


@refused("collateral_short", "balance")
def collateral_short_by_one_unit(world: WatchedWorld) -> Attempt:
    return Attempt("poor", Accept(START, offer_to_the_poor(world, LOCK - 1)), LOCK - 1)


@refused("balance_short", "balance")
def fee_short_by_one_unit(world: WatchedWorld) -> Attempt:
    return Attempt("poor", Accept(START, offer_to_the_poor(world, LOCK + FEE - 1)), FEE - 1)


@refused("collateral_short", "balance")
def collateral_of_the_author_short(world: WatchedWorld) -> Attempt:
    world.member("poor", Side.BUY, money=LOCK - 1)
    return Attempt("g", Accept(START, world.done("poor", buying(world))), LOCK - 1)


def test_collateral_and_fee_to_the_unit_are_enough() -> None:
    world = fresh()
    world.done("poor", Accept(START, offer_to_the_poor(world, LOCK + FEE)))
    assert (world.account("poor").balance, world.account("poor").locked) == (0, LOCK)


# Trading: with whom, when, in which state


@refused("self_trade", "sender")
def acceptance_by_another_account_of_the_same_owner(world: WatchedWorld) -> Attempt:
    return Attempt("x", Accept(START, world.offer("g", Side.SELL, FOUR)), "x")


@refused("self_trade", "sender")
def acceptance_of_the_own_offer(world: WatchedWorld) -> Attempt:
    return Attempt("p", Accept(START, world.offer("p", Side.SELL, FOUR)), "p")


def countering(offer: bytes) -> Counter:
    return Counter(START, offer, pack_energy(FOUR), pack_prices([500_000]), START)


@refused("self_trade", "sender")
def counter_to_the_own_offer(world: WatchedWorld) -> Attempt:
    return Attempt("p", countering(world.offer("p", Side.SELL, FOUR)), "p")


@refused("self_trade", "sender")
def acceptance_of_the_own_counter_offer(world: WatchedWorld) -> Attempt:
    return Attempt("p", Accept(START, world.done("p", countering(world.offer("g", Side.SELL, FOUR)))), "p")


@refused("self_trade", "partner")
def offer_to_another_account_of_the_same_owner(world: WatchedWorld) -> Attempt:
    return Attempt("g", world.offer_payload(Side.SELL, FOUR, partner="x"), "x")


@refused("self_trade", "partner")
def offer_to_oneself(world: WatchedWorld) -> Attempt:
    return Attempt("p", world.offer_payload(Side.SELL, FOUR, partner="p"), "p")


@refused("side_impossible", "sender")
def offer_without_a_meter_for_the_side(world: WatchedWorld) -> Attempt:
    return Attempt("g", buying(world), world.address("g"))


@refused("side_impossible", "sender")
def acceptance_without_a_meter_for_the_side(world: WatchedWorld) -> Attempt:
    return Attempt("c", Accept(START, world.offer("p", Side.BUY, FOUR)), world.address("c"))


@refused("side_impossible", "partner")
def offer_to_a_partner_without_a_meter_for_the_side(world: WatchedWorld) -> Attempt:
    offer = world.offer_payload(Side.SELL, FOUR, partner="operator")
    return Attempt("g", offer, world.address("operator"))


@refused("side_impossible", "partner")
def offer_to_the_grid_account(world: WatchedWorld) -> Attempt:
    grid = world.ledger._reserved.grid
    return Attempt("g", selling(world, partner=grid), grid)


@refused("account_unknown", "partner")
def offer_to_nobody(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, partner=NOBODY), NOBODY)


@refused("account_unknown", "partner")
def offer_to_half_an_address(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, partner=world.address("c")[:10]), world.address("c")[:10])


@refused("feeder_unknown", "sender")
def offer_on_a_day_without_a_page_for_the_member(world: WatchedWorld) -> Attempt:
    world.member("far", Side.SELL, feeder="f9")
    return Attempt("far", selling(world), "f9")


@refused("feeder_unknown", "sender")
def acceptance_on_a_day_without_a_page_for_the_member(world: WatchedWorld) -> Attempt:
    world.member("far", Side.BUY, feeder="f9")
    return Attempt("far", Accept(START, world.offer("g", Side.SELL, FOUR)), "f9")


@refused("offer_addressed", "offer")
def acceptance_of_an_offer_to_somebody_else(world: WatchedWorld) -> Attempt:
    return Attempt("p", Accept(START, world.offer("g", Side.SELL, FOUR, partner="c")), world.address("c"))


@refused("offer_addressed", "offer")
def counter_to_an_offer_to_somebody_else(world: WatchedWorld) -> Attempt:
    return Attempt("p", countering(world.offer("g", Side.SELL, FOUR, partner="c")), world.address("c"))


@refused("offer_addressed", "offer")
def withdrawal_of_somebody_elses_offer(world: WatchedWorld) -> Attempt:
    offer = world.offer("g", Side.SELL, FOUR)
    return Attempt("c", WithdrawOffer(START, offer), offer)


def withdrawn(world: WatchedWorld) -> bytes:
    offer = world.offer("g", Side.SELL, FOUR)
    world.done("g", WithdrawOffer(START, offer))
    return offer


@refused("offer_closed", "offer")
def acceptance_of_a_withdrawn_offer(world: WatchedWorld) -> Attempt:
    return Attempt("c", Accept(START, withdrawn(world)), "withdrawn")


@refused("offer_closed", "offer")
def counter_to_a_withdrawn_offer(world: WatchedWorld) -> Attempt:
    return Attempt("c", countering(withdrawn(world)), "withdrawn")


@refused("offer_closed", "offer")
def withdrawal_of_a_withdrawn_offer(world: WatchedWorld) -> Attempt:
    return Attempt("g", WithdrawOffer(START, withdrawn(world)), "withdrawn")


@refused("offer_closed", "offer")
def acceptance_of_a_countered_offer(world: WatchedWorld) -> Attempt:
    offer = world.offer("g", Side.SELL, FOUR, partner="c")
    world.done("c", countering(offer))
    return Attempt("c", Accept(START, offer), "countered")


@refused("offer_closed", "offer")
def acceptance_of_an_accepted_offer(world: WatchedWorld) -> Attempt:
    return Attempt("p", Accept(START, world.contract("g", "c", FOUR)), "accepted")


@refused("offer_closed", "offer")
def withdrawal_of_an_accepted_offer(world: WatchedWorld) -> Attempt:
    return Attempt("g", WithdrawOffer(START, world.contract("g", "c", FOUR)), "accepted")


def short_lived(world: WatchedWorld) -> tuple[bytes, int]:
    until = world.now + 10
    return world.done("g", selling(world, valid_until_ms=until)), until


@refused("offer_closed", "valid_until_ms")
def acceptance_of_an_offer_that_is_no_longer_valid(world: WatchedWorld) -> Attempt:
    offer, until = short_lived(world)
    return Attempt("c", Accept(START, offer), until, at=until + 1)


@refused("offer_closed", "valid_until_ms")
def counter_to_an_offer_that_is_no_longer_valid(world: WatchedWorld) -> Attempt:
    offer, until = short_lived(world)
    return Attempt("c", countering(offer), until, at=until + 1)


@refused("offer_unknown", "offer")
def acceptance_of_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("c", Accept(START, NOTHING), NOTHING)


@refused("window_past", "valid_until_ms")
def offer_that_is_never_valid(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, valid_until_ms=world.now), world.now)


@refused("gate_closed", "day")
def offer_at_the_gate(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world), START, at=GATE)


@refused("gate_closed", "day")
def acceptance_after_the_gate(world: WatchedWorld) -> Attempt:
    return Attempt("c", Accept(START, world.offer("g", Side.SELL, FOUR)), START, at=GATE + 1)


@refused("gate_closed", "day")
def cancellation_after_approval(world: WatchedWorld) -> Attempt:
    contract = world.contract("g", "c", FOUR)
    world.done("g", Cancel(START, contract))
    world.approve(contract)
    return Attempt("c", Cancel(START, contract), START)


@refused("window_past", "day")
def offer_for_a_day_that_has_begun(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world), START, at=START)


@refused("day_unknown", "day")
def offer_for_a_day_that_nobody_published(world: WatchedWorld) -> Attempt:
    return Attempt("g", selling(world, day=START + 1), START + 1)


@refused("contract_unknown", "contract")
def cancellation_of_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("c", Cancel(START, NOTHING), NOTHING)


@refused("role_missing", "sender")
def cancellation_by_a_stranger(world: WatchedWorld) -> Attempt:
    return Attempt("p", Cancel(START, world.contract("g", "c", FOUR)), world.address("p"))


def cancelled(world: WatchedWorld) -> bytes:
    contract = world.contract("g", "c", FOUR)
    world.done("g", Cancel(START, contract))
    world.done("c", Cancel(START, contract))
    return contract


@refused("contract_state", "contract")
def cancellation_of_a_cancelled_contract(world: WatchedWorld) -> Attempt:
    return Attempt("c", Cancel(START, cancelled(world)), "cancelled")


# Status


def suspended(world: WatchedWorld, name: str) -> None:
    world.done("operator", SetStatus(world.address(name), Status.SUSPENDED, "late papers"))


@refused("account_inactive", "sender")
def offer_by_a_suspended_member(world: WatchedWorld) -> Attempt:
    suspended(world, "g")
    return Attempt("g", selling(world), "g is suspended")


@refused("account_inactive", "sender")
def acceptance_by_a_suspended_member(world: WatchedWorld) -> Attempt:
    offer = world.offer("g", Side.SELL, FOUR)
    suspended(world, "c")
    return Attempt("c", Accept(START, offer), "c is suspended")


@refused("account_inactive", "author")
def acceptance_of_an_offer_whose_author_was_suspended(world: WatchedWorld) -> Attempt:
    offer = world.offer("g", Side.SELL, FOUR)
    suspended(world, "g")
    return Attempt("c", Accept(START, offer), "g is suspended")


@refused("account_inactive", "author")
def acceptance_of_an_offer_whose_author_left(world: WatchedWorld) -> Attempt:
    offer = world.offer("g", Side.SELL, FOUR)
    world.done("g", Leave())
    return Attempt("c", Accept(START, offer), "g is leaving")


@refused("account_inactive", "sender")
def counter_by_a_suspended_member(world: WatchedWorld) -> Attempt:
    offer = world.offer("g", Side.SELL, FOUR)
    suspended(world, "c")
    return Attempt("c", countering(offer), "c is suspended")


@refused("account_inactive", "sender")
def withdrawal_of_money_by_a_suspended_member(world: WatchedWorld) -> Attempt:
    suspended(world, "c")
    return Attempt("c", WithdrawMoney(1), "c is suspended")


@refused("account_inactive", "sender")
def leaving_twice(world: WatchedWorld) -> Attempt:
    world.done("g", Leave())
    return Attempt("g", Leave(), "g is leaving")


@refused("account_inactive", "member")
def reinstating_a_member_that_leaves(world: WatchedWorld) -> Attempt:
    world.done("g", Leave())
    return Attempt("operator", SetStatus(world.address("g"), Status.ACTIVE, ""), "g")


@refused("account_inactive", "member")
def suspending_the_grid(world: WatchedWorld) -> Attempt:
    return Attempt("operator", SetStatus(world.ledger._reserved.grid, Status.SUSPENDED, ""), "grid")


@refused("out_of_range", "status")
def setting_a_status_that_only_the_ledger_sets(world: WatchedWorld) -> Attempt:
    return Attempt("operator", SetStatus(world.address("g"), Status.LEAVING, ""), "LEAVING")


@refused("account_unknown", "member")
def suspending_nobody(world: WatchedWorld) -> Attempt:
    return Attempt("operator", SetStatus(NOBODY, Status.SUSPENDED, ""), NOBODY)


# Members, meters and keys


def point(meter: str, side: Side = Side.SELL, limit_w: int = KWH, feeder: str = "f1") -> MeterPoint:
    return MeterPoint(meter, side, feeder, limit_w, "pv", MILLION)


@refused("account_exists", "key")
def registering_a_key_twice(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("g").public, "again", "again", ()), "again")


@refused("meter_known", "meter")
def registering_a_meter_twice(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("n").public, "n", "n", (point("a"), point("a"))), "a")


@refused("meter_known", "meter")
def adding_somebody_elses_meter(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.address("c"), point("g-sell", Side.BUY)), "g-sell")


@refused("account_unknown", "member")
def adding_a_meter_to_nobody(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(NOBODY, point("a")), NOBODY)


@refused("out_of_range", "member")
def adding_a_meter_to_the_grid_account(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.ledger._reserved.grid, point("a")), "grid")


@refused("out_of_range", "limit_w")
def a_meter_that_carries_nothing(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.address("g"), point("a", limit_w=0)), 0)


@refused("out_of_range", "limit_w")
def a_meter_that_carries_too_much(world: WatchedWorld) -> Attempt:
    return Attempt("operator", AddMeter(world.address("g"), point("a", limit_w=POWER_MAX + 1)), POWER_MAX + 1)


@refused("out_of_range", "meters")
def too_many_meters_on_a_side(world: WatchedWorld) -> Attempt:
    meters = tuple(point(f"m{i:02}") for i in range(METERS_MAX + 1))
    return Attempt("operator", Register(key_of("n").public, "n", "n", meters), METERS_MAX + 1)


@refused("signature_forged", "proof")
def a_rotation_to_a_key_that_the_member_does_not_hold(world: WatchedWorld) -> Attempt:
    message = rotation_message(world.ledger.chain_id, world.address("c"))
    proof = key_of("thief").sign(ROTATION_PURPOSE, message)
    return Attempt("c", RotateKey(key_of("victim").public, proof), proof)


@refused("signature_forged", "proof")
def a_rotation_with_somebody_elses_proof(world: WatchedWorld) -> Attempt:
    # The proof was made for g's account, where it is good.
    proof = key_of("new").sign(ROTATION_PURPOSE, rotation_message(world.ledger.chain_id, world.address("g")))
    return Attempt("c", RotateKey(key_of("new").public, proof), proof)


# Governance


def publishing(start: int, **fields: object) -> PublishDay:
    window = Window(start, start + 4 * QUARTER, QUARTER)
    prices = [pack_prices([value]) for value in (FEED_IN, GRID_PRICE, OVER_GRID_FEE)]
    gate, end = start - HOUR, window.end_ms
    made = PublishDay(window, ("f1",), prices[0], prices[1], prices[2], gate, end, end, end)
    return changed(made, **fields)


NEXT = START + 24 * HOUR


def governed(action: SetParameters | PublishDay | GrantRole | RevokeRole | RecoverKey, value: object) -> Attempt:
    return Attempt("operator", Propose(action), value)


@refused("day_exists", "window")
def publishing_a_day_twice(world: WatchedWorld) -> Attempt:
    return governed(publishing(START), START)


@refused("day_overlaps", "window")
def publishing_a_day_that_overlaps(world: WatchedWorld) -> Attempt:
    return governed(publishing(START + 3 * QUARTER), START + 3 * QUARTER)


@refused("window_past", "gate_ms")
def publishing_a_day_whose_gate_is_past(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, gate_ms=world.now + 1), world.now + 1)


@refused("time_misaligned", "window")
def publishing_a_day_that_is_not_made_of_whole_intervals(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT + QUARTER + 1, QUARTER)), QUARTER + 1)


@refused("out_of_range", "interval length")
def publishing_a_day_of_seconds(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT + QUARTER, 0)), 0)


@refused("out_of_range", "window")
def publishing_a_day_that_ends_before_it_starts(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT, QUARTER)), f"{NEXT}..{NEXT}")


@refused("out_of_range", "window")
def publishing_a_day_of_26_hours(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, window=Window(NEXT, NEXT + 26 * HOUR, HOUR)), 26 * HOUR)


@refused("out_of_range", "deadlines")
def publishing_a_day_whose_gate_lies_after_its_start(world: WatchedWorld) -> Attempt:
    made = publishing(NEXT, gate_ms=NEXT + 1)
    end = NEXT + 4 * QUARTER
    return governed(made, (NEXT + 1, NEXT, end, end, end, end))


@refused("out_of_range", "deadlines")
def publishing_a_day_that_is_final_before_substitution(world: WatchedWorld) -> Attempt:
    end = NEXT + 4 * QUARTER
    return governed(publishing(NEXT, substitute_ms=end + 1), (NEXT - HOUR, NEXT, end, end, end + 1, end))


@refused("out_of_range", "feeders")
def publishing_a_day_without_feeders(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feeders=()), ())


@refused("out_of_range", "feeders")
def publishing_a_day_with_a_feeder_twice(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feeders=("f1", "f1")), ("f1", "f1"))


@refused("out_of_range", "feeders")
def publishing_a_day_with_unsorted_feeders(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feeders=("f2", "f1")), ("f2", "f1"))


@refused("out_of_range", "feeders")
def publishing_a_day_with_too_many_feeders(world: WatchedWorld) -> Attempt:
    feeders = tuple(f"{i:04}" for i in range(FEEDERS_MAX + 1))
    return governed(publishing(NEXT, feeders=feeders), feeders)


@refused("vector_length", "grid_price")
def publishing_a_day_with_tariffs_for_two_intervals(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, grid_price=pack_prices([1, 2])), "2 entries")


@refused("out_of_range", "feed_in")
def publishing_a_day_with_a_tariff_beyond_what_a_price_may_be(world: WatchedWorld) -> Attempt:
    return governed(publishing(NEXT, feed_in=(-PRICE_MAX - 1).to_bytes(4, "little", signed=True)), -PRICE_MAX - 1)


def parameters(world: WatchedWorld, *changes: tuple[str, int], ahead: int = 6) -> SetParameters:
    return SetParameters(changes, world.ledger.height + ahead)


@refused("parameter_unknown", "parameter")
def setting_a_parameter_that_does_not_exist(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", 0), ("luck", 1)), "luck")


@refused("parameter_out_of_range", "eta")
def setting_a_parameter_outside_its_range(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", 0), ("eta", MILLION)), MILLION)


@refused("parameter_out_of_range", "fee")
def setting_a_parameter_below_its_range(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", -1)), -1)


@refused("notice_short", "from_height")
def setting_parameters_without_notice(world: WatchedWorld) -> Attempt:
    return governed(parameters(world, ("fee", 0), ahead=5), world.ledger.height + 5)


@refused("role_unknown", "role")
def granting_a_role_that_comes_with_meters(world: WatchedWorld) -> Attempt:
    return governed(GrantRole(world.address("c"), int(Role.GENERATOR)), 1)


@refused("role_unknown", "role")
def granting_two_roles_at_once(world: WatchedWorld) -> Attempt:
    roles = int(Role.AUDITOR | Role.CASHIER)
    return governed(GrantRole(world.address("c"), roles), roles)


@refused("account_unknown", "account")
def granting_nobody_a_role(world: WatchedWorld) -> Attempt:
    return governed(GrantRole(NOBODY, int(Role.AUDITOR)), NOBODY)


@refused("out_of_range", "account")
def granting_the_grid_account_a_role(world: WatchedWorld) -> Attempt:
    return governed(GrantRole(world.ledger._reserved.grid, int(Role.AUDITOR)), "grid")


@refused("governors_too_few", "role")
def revoking_the_last_governor(world: WatchedWorld) -> Attempt:
    return governed(RevokeRole(world.address("operator"), int(Role.GOVERNOR)), 0)


@refused("out_of_range", "account")
def recovering_the_key_of_the_community(world: WatchedWorld) -> Attempt:
    community = world.ledger._reserved.community
    return governed(RecoverKey(community, key_of("thief").public), community)


@refused("proposal_unknown", "proposal")
def approving_a_decided_proposal(world: WatchedWorld) -> Attempt:
    decided = world.done("operator", Propose(GrantRole(world.address("c"), int(Role.AUDITOR))))
    return Attempt("operator", Approve(decided), decided)


# The grid operator


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


# Readings

ALL: dict[str, Sequence[int]] = {"g-sell": FOUR, "c-buy": FOUR, "x-buy": FOUR}


def committing(rows: Sequence[Row], *, feeder: str = "f1", count: int | None = None) -> CommitReadings:
    return CommitReadings(START, feeder, root_of_rows(rows), len(rows) if count is None else count)


def reading(
    rows: Sequence[Row], value: object, *, feeder: str = "f1", count: int | None = None, at: int = END
) -> Attempt:
    return Attempt("operator", committing(rows, feeder=feeder, count=count), value, (encode_rows(rows),), at)


def row(
    meter: str = "g-sell", energy: Sequence[int] = FOUR, quality: Sequence[int] = (0,) * 4, version: int = 1
) -> Row:
    return Row(meter, version, pack_energy(energy), bytes(quality), bytes(16))


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


# Closing


def read_all(world: WatchedWorld) -> None:
    world.read(ALL)
    world.read({"p-sell": FOUR, "p-buy": FOUR}, feeder="f2")


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


@refused("page_open", "feeder")
def closing_a_day_with_an_open_page(world: WatchedWorld) -> Attempt:
    read_all(world)
    world.done("operator", ClosePage(START, "f1"))
    return Attempt("operator", CloseDay(START), "f2")


def closed(world: WatchedWorld) -> None:
    read_all(world)
    world.close(feeders=("f1", "f2"))


@refused("day_closed", "day")
def closing_a_day_twice(world: WatchedWorld) -> Attempt:
    closed(world)
    return Attempt("operator", CloseDay(START), START)


@refused("page_closed", "feeder")
def closing_a_page_of_a_closed_day(world: WatchedWorld) -> Attempt:
    closed(world)
    return Attempt("operator", ClosePage(START, "f2"), "f2")


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


# Money


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


def indebted(world: WatchedWorld, *, leaving: bool = False) -> bytes:
    """`low` used 4 kWh that it did not contract: it owes 3.00 and has 1.00."""
    world.member("low", Side.BUY, money=MILLION)
    if leaving:
        world.done("low", Leave())
    world.read({**ALL, "low-buy": FOUR})
    world.done("operator", ClosePage(START, "f1"))
    ((debt, owed),) = world.debts_of("low")
    assert owed.amount == 2 * MILLION
    world.deposit("low", 5 * MILLION)
    return debt


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


@refused("account_inactive", "sender")
def leaving_while_suspended(world: WatchedWorld) -> Attempt:
    suspended(world, "c")
    return Attempt("c", Leave(), "c is suspended")


@refused("account_inactive", "sender")
def leaving_in_debt(world: WatchedWorld) -> Attempt:
    indebted(world)
    return Attempt("low", Leave(), "low is indebted")


@refused("account_inactive", "member")
def adding_a_meter_to_an_account_that_leaves(world: WatchedWorld) -> Attempt:
    world.done("p", Leave())
    return Attempt("operator", AddMeter(world.address("p"), point("more")), "p")


@refused("account_inactive", "member")
def reinstating_a_debtor(world: WatchedWorld) -> Attempt:
    indebted(world)
    return Attempt("operator", SetStatus(world.address("low"), Status.ACTIVE, ""), "low")


@refused("role_held", "sender")
def leaving_with_a_role(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Leave(), "operator")


@refused("role_held", "member")
def suspending_a_cashier(world: WatchedWorld) -> Attempt:
    world.done("operator", Propose(GrantRole(world.address("c"), int(Role.CASHIER))))
    return Attempt("operator", SetStatus(world.address("c"), Status.SUSPENDED, "mine alone"), "c")


@refused("account_inactive", "sender")
def acting_in_a_role_while_suspended(world: WatchedWorld) -> Attempt:
    suspended(world, "c")
    world.done("operator", Propose(GrantRole(world.address("c"), int(Role.CASHIER))))
    return Attempt("c", Deposit(world.address("c"), 1, "for-me"), "c is suspended")


@refused("account_inactive", "sender")
def committing_to_rows_while_in_debt(world: WatchedWorld) -> Attempt:
    indebted(world)
    world.done("operator", Propose(GrantRole(world.address("low"), int(Role.METER_OPERATOR))))
    rows = [row("g-sell", version=2)]
    payload = CommitReadings(START, "f1", root_of_rows(rows), 1)
    return Attempt("low", payload, "low is indebted", (encode_rows(rows),))


@refused("account_exists", "name")
def registering_a_second_grid(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("grid").public, "grid", "grid", ()), "grid")


@refused("account_exists", "name")
def registering_a_name_that_differs_in_capitals_alone(world: WatchedWorld) -> Attempt:
    return Attempt("operator", Register(key_of("another g").public, "G", "another", ()), "G")


@refused("promise_exceeds_limit", "energy")
def a_promise_above_the_meters_that_count_on_the_day(world: WatchedWorld) -> Attempt:
    # 40 kW at f1 count; another 40 kW hang on a feeder that the day does not have.
    world.done("operator", AddMeter(world.address("g"), point("far", limit_w=40 * KWH, feeder="f9")))
    return Attempt("g", selling(world, energy=pack_energy([1, 1, 10_001, 1])), 10_001)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    world = fresh()
    check_refused(world, case.make(world), case.code, case.field)


ROLE_BOUND: tuple[Payload, ...] = (
    Register(bytes(32), "n", "n", ()),
    AddMeter(NOBODY, point("a")),
    SetStatus(NOBODY, Status.ACTIVE, ""),
    Propose(RecoverKey(NOBODY, bytes(32))),
    Approve(NOTHING),
    ApproveContracts(START, ()),
    Curtail(START, NOTHING, b"", ""),
    ReportFault(START, (), 0, 0, ""),
    CommitReadings(START, "f1", bytes(32), 0),
    ClosePage(START, "f1"),
    CloseDay(START),
    SealDay(START),
    Deposit(NOBODY, 1, "r"),
    PayOut(NOTHING, True),
)


@pytest.mark.parametrize("payload", ROLE_BOUND, ids=lambda payload: type(payload).__name__)
def test_what_a_role_may_do_nobody_else_may(payload: Payload) -> None:
    check_refused(fresh(), Attempt("c", payload, "c"), "role_missing", "sender")


def test_a_governor_cannot_approve_twice() -> None:
    world = WatchedWorld(governors=("a", "b", "c"), approvals_needed=2)
    proposal = world.done("a", Propose(GrantRole(world.address("operator"), int(Role.ISSUER))))
    check_refused(world, Attempt("a", Approve(proposal), proposal), "already_approved", "proposal")


def test_a_proposal_expires() -> None:
    world = WatchedWorld(governors=("a", "b", "c"), approvals_needed=2, parameters={"proposal_ms": HOUR})
    first, second = (
        world.done("a", Propose(GrantRole(world.address("operator"), int(role))))
        for role in (Role.ISSUER, Role.REGISTRY)
    )
    at = world.now + HOUR
    check_refused(world, Attempt("b", Approve(first), first, at=at), "proposal_expired", "proposal")
    world.block([world.signed("b", Approve(second))], at=at)
    assert not world.account("operator").has(Role.REGISTRY)


def test_a_member_makes_so_many_offers_for_a_day_and_no_more() -> None:
    # Withdrawn and countered ones count, each day by itself, and an acceptance is no offer.
    world = WatchedWorld(parameters={"offers_max": 3})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    tomorrow = world.publish(START + 24 * HOUR)
    withdrawn = world.offer("g", Side.SELL, FOUR)
    world.done("g", WithdrawOffer(START, withdrawn))
    asked = world.offer("c", Side.BUY, FOUR, partner="g")
    countered = world.done("g", Counter(START, asked, pack_energy(FOUR), pack_prices([600_000]), START))
    world.done("c", Accept(START, countered))
    public = world.offer("c", Side.BUY, FOUR)
    world.offer("g", Side.SELL, FOUR)
    check_refused(world, Attempt("g", selling(world), START), "offers_too_many", "day")
    again = Counter(START, public, pack_energy(FOUR), pack_prices([600_000]), START)
    check_refused(world, Attempt("g", again, START), "offers_too_many", "day")
    world.done("g", Accept(START, public))
    world.offer("g", Side.SELL, FOUR, day=tomorrow)


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


# Codes that the ledger raises elsewhere, and where that is tested.
ELSEWHERE = {
    "chain_wrong": "inadmissible: test_admission",
    "sender_unknown": "inadmissible: test_admission",
    "nonce_wrong": "inadmissible: test_admission",
    "expired": "inadmissible: test_admission",
    "expiry_too_far": "inadmissible: test_admission",
    "transaction_oversized": "inadmissible: test_admission",
    "encoding_noncanonical": "inadmissible, or an unreadable genesis: test_admission",
    "encoding_unreadable": "inadmissible, or an unreadable genesis: test_admission",
    "diverged": "not a transaction's but an entry's: test_admission",
    "snapshot_wrong": "not a transaction's: test_snapshots",
    "snapshot_missing": "not a transaction's but an audit's",
    "chain_altered": "not a transaction's but an audit's",
    "conservation_broken": "not a transaction's but an audit's",
    "proof_wrong": "not a transaction's but a proof's",
}


def codes_in_the_ledger() -> set[str]:
    """Every code that stands as a text in the ledger's modules."""
    found = set()
    for path in Path(wattquorum.ledger.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in CODES:
                found.add(node.value)
    return found


def test_every_code_that_the_ledger_can_raise_is_exercised() -> None:
    exercised = {case.code for case in CASES} | {
        "already_approved",
        "role_missing",
        "proposal_expired",
        "offers_too_many",
    }
    assert codes_in_the_ledger() - exercised == set(ELSEWHERE)
