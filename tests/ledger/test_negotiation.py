"""Negotiation: offers, answers, acceptance, withdrawal and cancellation, with what each locks, charges and promises."""

from __future__ import annotations

import pytest

from tests.ledger.watched import WatchedWorld, snapshot_of, worths
from tests.ledger.world import HOUR, QUARTER, START
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, MILLION, POWER_MAX
from wattquorum.foundation.vectors import energy_list, pack_energy, pack_prices
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.entities import Contract, ContractStatus, OfferStatus, OpenOffer
from wattquorum.ledger.facts import ContractEnded, ContractMade, OfferMade
from wattquorum.ledger.state import Table, day_key, side_key
from wattquorum.ledger.transactions import (
    Accept,
    AddMeter,
    Cancel,
    Counter,
    Leave,
    MeterPoint,
    SetStatus,
    WithdrawMoney,
    WithdrawOffer,
)

KWH = 1_000
FOUR = [KWH] * 4
MONEY = 10_000 * MILLION


@pytest.fixture
def world() -> WatchedWorld:
    made = WatchedWorld()
    made.member("g", Side.SELL)
    made.member("c", Side.BUY)
    made.member("d", Side.BUY)
    made.publish()
    return made


def contract_of(world: WatchedWorld, contract: bytes) -> Contract:
    found: Contract = world.ledger.state.get(Table.CONTRACT, day_key(START) + contract)
    return found


def offer_of(world: WatchedWorld, offer: bytes) -> OpenOffer:
    found: OpenOffer = world.ledger.state.get(Table.OFFER, day_key(START) + offer)
    return found


def promised(world: WatchedWorld, name: str, side: Side) -> list[int]:
    found = world.ledger.state.get(Table.PROMISE, day_key(START) + side_key(world.address(name), side))
    return list(energy_list(found.energy)) if found else []


def counter(offer: bytes, energy: list[int], price: int) -> Counter:
    return Counter(START, offer, pack_energy(energy), pack_prices([price]), START)


def code(world: WatchedWorld, name: str, payload: object) -> str:
    receipt = world.do(name, payload)  # type: ignore[arg-type]
    assert receipt.outcome is Outcome.REFUSED
    return receipt.code


def test_an_accepted_offer_locks_collateral_of_both_and_takes_both_fees(world: WatchedWorld) -> None:
    # 4 kWh at 0.50 with ps .40, pb .75, po .04 and C = 50:
    # the seller locks compensation 4 * (.75 - .50 - .04) = .84, a fine of .005 * 10 * 4 = .20, 16 units of slack;
    # the buyer locks 4 * .75 = 3.00, compensation 4 * (.50 - .40) = .40, the fine and the slack; each pays .004.
    contract = world.contract("g", "c", FOUR)
    g, c = world.account("g"), world.account("c")
    assert (g.locked, c.locked) == (1_040_016, 3_600_016)
    assert (g.balance, c.balance) == (MONEY - 1_040_016 - 4_000, MONEY - 3_600_016 - 4_000)
    assert world.balance_of(world.ledger._reserved.community) == 8_000
    found = contract_of(world, contract)
    assert (found.seller_lock, found.buyer_lock) == (found.seller_stake, found.buyer_stake) == (1_040_016, 3_600_016)
    assert (found.seller, found.buyer) == (world.address("g"), world.address("c"))
    assert found.status is ContractStatus.ACCEPTED
    (made,) = world.facts(ContractMade)
    assert isinstance(made, ContractMade)
    assert (made.seller_lock, made.buyer_lock, made.fee) == (1_040_016, 3_600_016, 4_000)
    assert promised(world, "g", Side.SELL) == promised(world, "c", Side.BUY) == FOUR


def test_a_buyers_offer_makes_the_same_contract_as_a_sellers(world: WatchedWorld) -> None:
    world.done("g", Accept(START, world.done("c", world.offer_payload(Side.BUY, FOUR))))
    assert (world.account("g").locked, world.account("c").locked) == (1_040_016, 3_600_016)


def test_a_trusted_member_locks_for_ten_points_and_one_without_credit_for_the_least(world: WatchedWorld) -> None:
    # With C = 0 the fine of at least 1 point is locked: .005 * 1 * 4 = .02 instead of .20.
    poor = WatchedWorld(parameters={"initial_credit": 0})
    rich = WatchedWorld(parameters={"initial_credit": 100 * MILLION})
    locks = []
    for each in (poor, rich):
        each.member("g", Side.SELL)
        each.member("c", Side.BUY)
        each.publish()
        each.contract("g", "c", FOUR)
        locks.append(each.account("g").locked)
    assert locks == [860_016, 1_040_016]


def test_an_offer_binds_nobody_and_locks_nothing(world: WatchedWorld) -> None:
    before = worths(world.ledger)
    offer = world.offer("g", Side.SELL, FOUR)
    assert worths(world.ledger) == before
    assert world.account("g").locked == 0
    assert promised(world, "g", Side.SELL) == []
    world.done("g", WithdrawOffer(START, offer))
    assert offer_of(world, offer).status is OfferStatus.WITHDRAWN


def test_a_counter_offer_replaces_an_offer_to_one_partner_and_can_be_accepted_by_its_author(
    world: WatchedWorld,
) -> None:
    offer = world.offer("g", Side.SELL, FOUR, 600_000, partner="c")
    answer = world.done("c", counter(offer, [500] * 4, 450_000))
    assert offer_of(world, offer).status is OfferStatus.COUNTERED
    assert offer_of(world, answer).answers == offer
    assert offer_of(world, answer).side is Side.BUY
    assert code(world, "d", Accept(START, answer)) == "offer_addressed"
    world.done("g", Accept(START, answer))
    assert promised(world, "g", Side.SELL) == [500] * 4
    told = world.facts(OfferMade)[-1]
    assert isinstance(told, OfferMade)
    assert (told.answers, told.partner) == (offer, world.address("g"))


def test_counter_offers_can_be_countered_until_somebody_agrees(world: WatchedWorld) -> None:
    offer = world.offer("g", Side.SELL, FOUR, 600_000, partner="c")
    second = world.done("c", counter(offer, FOUR, 450_000))
    third = world.done("g", counter(second, FOUR, 520_000))
    assert offer_of(world, second).status is OfferStatus.COUNTERED
    assert offer_of(world, third).side is Side.SELL
    world.done("c", Accept(START, third))
    assert contract_of(world, third).price == pack_prices([520_000])


def test_a_public_offer_stays_open_when_it_is_countered_and_closes_when_it_is_accepted(world: WatchedWorld) -> None:
    offer = world.offer("g", Side.SELL, FOUR)
    by_c = world.done("c", counter(offer, FOUR, 450_000))
    world.done("d", Accept(START, offer))
    assert code(world, "c", Accept(START, offer)) == "offer_closed"
    # The counter-offer still stands, and its addressee may take it as a second contract.
    world.done("g", Accept(START, by_c))
    assert promised(world, "g", Side.SELL) == [2 * KWH] * 4
    assert promised(world, "c", Side.BUY) == promised(world, "d", Side.BUY) == FOUR


def test_two_acceptances_in_one_block_make_one_contract(world: WatchedWorld) -> None:
    offer = world.offer("g", Side.SELL, FOUR)
    executed = world.block([world.signed("c", Accept(START, offer)), world.signed("d", Accept(START, offer))])
    assert [each.code for each in executed.block.receipts] == ["", "offer_closed"]


def test_a_withdrawal_before_an_acceptance_in_the_same_block_wins(world: WatchedWorld) -> None:
    offer = world.offer("g", Side.SELL, FOUR)
    executed = world.block([world.signed("g", WithdrawOffer(START, offer)), world.signed("c", Accept(START, offer))])
    assert [each.code for each in executed.block.receipts] == ["", "offer_closed"]


def test_offers_of_a_member_that_leaves_or_is_suspended_are_dead_until_it_is_reinstated(world: WatchedWorld) -> None:
    offer = world.offer("g", Side.SELL, FOUR)
    world.done("operator", SetStatus(world.address("g"), Status.SUSPENDED, ""))
    assert code(world, "c", Accept(START, offer)) == "account_inactive"
    world.done("operator", SetStatus(world.address("g"), Status.ACTIVE, ""))
    world.done("c", Accept(START, offer))
    second = world.offer("g", Side.SELL, FOUR)
    world.done("g", Leave())
    assert code(world, "c", Accept(START, second)) == "account_inactive"
    world.done("g", WithdrawOffer(START, second))  # taking back is always possible


def test_an_offer_is_checked_again_with_the_authors_money_of_now(world: WatchedWorld) -> None:
    offer = world.offer("g", Side.SELL, FOUR)
    world.done("g", WithdrawMoney(MONEY - 1_000_000))
    before = snapshot_of(world.ledger.state)
    assert code(world, "c", Accept(START, offer)) == "collateral_short"
    after = snapshot_of(world.ledger.state)
    place = (Table.ACCOUNT, world.address("c"))
    assert {**after, place: b""} == {**before, place: b""}


def test_a_contract_ends_when_both_have_cancelled_and_the_fee_stays_paid(world: WatchedWorld) -> None:
    contract = world.contract("g", "c", FOUR)
    world.done("g", Cancel(START, contract))
    assert contract_of(world, contract).status is ContractStatus.ACCEPTED
    world.done("g", Cancel(START, contract))  # once more by the same side changes nothing
    assert contract_of(world, contract).status is ContractStatus.ACCEPTED
    assert contract_of(world, contract).cancelled_by == world.address("g")
    world.done("c", Cancel(START, contract))
    assert contract_of(world, contract).status is ContractStatus.CANCELLED
    assert (world.account("g").balance, world.account("g").locked) == (MONEY - 4_000, 0)
    assert (world.account("c").balance, world.account("c").locked) == (MONEY - 4_000, 0)
    assert promised(world, "g", Side.SELL) == promised(world, "c", Side.BUY) == [0] * 4
    (told,) = world.facts(ContractEnded)
    assert isinstance(told, ContractEnded)
    assert told.how == "cancelled"


def test_half_a_cancellation_does_not_keep_a_contract_from_delivery(world: WatchedWorld) -> None:
    contract = world.contract("g", "c", FOUR)
    world.done("c", Cancel(START, contract))
    world.approve(contract)
    world.read({"g-sell": FOUR, "c-buy": FOUR, "d-buy": [0] * 4})
    world.close()
    assert contract_of(world, contract).status is ContractStatus.SETTLED
    assert world.account("g").balance == MONEY + 2 * MILLION - 4_000


def test_a_cancelled_promise_makes_room_for_another(world: WatchedWorld) -> None:
    world.member("small", Side.SELL, limit_w=4 * KWH)
    contract = world.contract("small", "c", FOUR)
    assert code(world, "small", world.offer_payload(Side.SELL, [1, 0, 0, 0])) == "promise_exceeds_limit"
    world.done("small", Cancel(START, contract))
    world.done("c", Cancel(START, contract))
    world.contract("small", "d", FOUR)
    assert promised(world, "small", Side.SELL) == FOUR


def test_promises_of_one_side_never_add_up_to_more_than_an_interval_can_hold() -> None:
    # Meters of 4 GW carry 1 GWh in a quarter of an hour; five of them still promise no more than that in sum, and a
    # sum of packed energies that wrapped round would show as a promise of 0.7 GWh.
    world = WatchedWorld(parameters={"fee": 0}, intervals=1)
    world.member("giant", Side.SELL, limit_w=POWER_MAX, money=MILLION * MILLION)
    world.member("city", Side.BUY, limit_w=POWER_MAX, money=10**16)
    for i in range(4):
        _add_meter(world, "giant", Side.SELL, i)
        _add_meter(world, "city", Side.BUY, i)
    world.publish()
    world.deposit("giant", 10**16)
    world.contract("giant", "city", [ENERGY_PER_INTERVAL_MAX])
    receipt = world.do("giant", world.offer_payload(Side.SELL, [1]))
    assert (receipt.code, receipt.value) == ("promise_exceeds_limit", str(ENERGY_PER_INTERVAL_MAX + 1))


def _add_meter(world: WatchedWorld, name: str, side: Side, number: int) -> None:
    point = MeterPoint(f"{name}-{number}", side, "f1", POWER_MAX, "wind", MILLION)
    world.done("operator", AddMeter(world.address(name), point))


def test_a_price_per_interval_is_kept_and_paid(world: WatchedWorld) -> None:
    # 1 kWh at .45, .50, .55, .60: the seller earns 2.10, the buyer pays 2.10 + 4 * .04.
    offer = changed(world.offer_payload(Side.SELL, FOUR), price=pack_prices([450_000, 500_000, 550_000, 600_000]))
    contract = world.done("g", offer)
    world.done("c", Accept(START, contract))
    world.approve(contract)
    world.read({"g-sell": FOUR, "c-buy": FOUR, "d-buy": [0] * 4})
    world.close()
    assert world.account("g").balance == MONEY - 4_000 + 2_100_000
    assert world.account("c").balance == MONEY - 4_000 - 2_260_000


def test_the_gate_is_the_first_moment_at_which_nothing_can_be_traded(world: WatchedWorld) -> None:
    gate = START - 12 * HOUR
    offer = world.offer("g", Side.SELL, FOUR)
    second = world.offer("g", Side.SELL, FOUR)
    receipt = world.do("c", Accept(START, offer), at=gate - 1)
    assert receipt.outcome is Outcome.DONE
    receipt = world.do("c", Accept(START, second), at=gate)
    assert receipt.code == "gate_closed"
    world.done("g", WithdrawOffer(START, second))


def test_an_offer_is_valid_up_to_its_last_moment_and_no_longer(world: WatchedWorld) -> None:
    until = world.now + 10
    payload = changed(world.offer_payload(Side.SELL, FOUR), valid_until_ms=until)
    first, second = world.done("g", payload), world.done("g", payload)
    assert world.do("c", Accept(START, first), at=until).outcome is Outcome.DONE
    assert world.do("c", Accept(START, second), at=until + 1).code == "offer_closed"


def test_offers_for_two_days_share_no_promise(world: WatchedWorld) -> None:
    tomorrow = world.publish(START + 4 * QUARTER)
    world.member("small", Side.SELL, limit_w=4 * KWH)
    world.contract("small", "c", FOUR)
    world.contract("small", "c", FOUR, day=tomorrow)
    assert promised(world, "small", Side.SELL) == FOUR
