"""Bad offers, counter-offers, acceptances and cancellations: refused, and nothing but a nonce changes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.bad_input.attempts import (
    FEE,
    FOUR,
    GATE,
    KWH,
    LOCK,
    NOBODY,
    NOTHING,
    Attempt,
    Case,
    cancelled,
    check_case,
    check_refused,
    fresh,
    name_of,
    point,
    refusals,
    suspended,
)
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import FEED_IN, GRID_PRICE, HOUR, OVER_GRID_FEE, START
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import PRICE_MAX
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.transactions import (
    Accept,
    AddMeter,
    Cancel,
    Counter,
    Leave,
    Offer,
    WithdrawOffer,
)

CASES: list[Case] = []
refused = refusals(CASES)


def selling(world: WatchedWorld, **fields: object) -> Offer:
    return changed(world.offer_payload(Side.SELL, FOUR), **fields)


def buying(world: WatchedWorld, energy: Sequence[int] = FOUR, price: int = 500_000) -> Offer:
    return world.offer_payload(Side.BUY, energy, price)


# Price, energy, limit, money


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


@refused("promise_exceeds_limit", "energy")
def a_promise_above_the_meters_that_count_on_the_day(world: WatchedWorld) -> Attempt:
    # 40 kW at f1 count; another 40 kW hang on a feeder that the day does not have.
    world.done("operator", AddMeter(world.address("g"), point("far", limit_w=40 * KWH, feeder="f9")))
    return Attempt("g", selling(world, energy=pack_energy([1, 1, 10_001, 1])), 10_001)


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


# With whom, when, in which state


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
def offer_to_an_owner_that_differs_in_capital_letters(world: WatchedWorld) -> Attempt:
    world.member("twin", Side.BUY, owner="G")
    return Attempt("g", world.offer_payload(Side.SELL, FOUR, partner="twin"), "twin")


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


@refused("contract_state", "contract")
def cancellation_of_a_cancelled_contract(world: WatchedWorld) -> Attempt:
    return Attempt("c", Cancel(START, cancelled(world)), "cancelled")


# Status


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


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    check_case(case)


def test_collateral_and_fee_to_the_unit_are_enough() -> None:
    world = fresh()
    world.done("poor", Accept(START, offer_to_the_poor(world, LOCK + FEE)))
    assert (world.account("poor").balance, world.account("poor").locked) == (0, LOCK)


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
