"""Delivery: approval, curtailment, line faults and silence, with what each does to promises, fees and tests (L-8)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import HOUR, QUARTER, START, key_of
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import energy_list, pack_energy
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import Contract, ContractStatus
from wattquorum.ledger.facts import ContractCurtailed, ContractEnded, MemberJudged
from wattquorum.ledger.parameters import Silence
from wattquorum.ledger.readings import Quality
from wattquorum.ledger.state import Table, day_key, side_key
from wattquorum.ledger.transactions import AddMeter, ClosePage, Curtail, MeterPoint, Register, ReportFault

KWH = 1_000
FOUR = [KWH] * 4
MONEY = 10_000 * MILLION
GATE = START - 12 * HOUR
END = START + 4 * QUARTER


def traded(**parameters: int) -> tuple[WatchedWorld, bytes]:
    """g has sold 4 kWh at 0.50 to c."""
    world = WatchedWorld(parameters=parameters)
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    return world, world.contract("g", "c", FOUR)


def contract_of(world: WatchedWorld, contract: bytes) -> Contract:
    found: Contract = world.ledger.state.get(Table.CONTRACT, day_key(START) + contract)
    return found


def promised(world: WatchedWorld, name: str, side: Side) -> Sequence[int]:
    return energy_list(
        world.ledger.state.get(Table.PROMISE, day_key(START) + side_key(world.address(name), side)).energy
    )


def curtail(world: WatchedWorld, contract: bytes, energy: Sequence[int], *, at: int = GATE) -> None:
    world.done("operator", Curtail(START, contract, pack_energy(energy), "congestion"), at=at)


def settle(world: WatchedWorld, generated: Sequence[int], consumed: Sequence[int]) -> None:
    world.read({"g-sell": generated, "c-buy": consumed})
    world.close()


def gains(world: WatchedWorld) -> tuple[int, int]:
    return world.account("g").balance - MONEY, world.account("c").balance - MONEY


def judged(world: WatchedWorld) -> dict[Side, MemberJudged]:
    return {fact.side: fact for fact in world.facts(MemberJudged) if isinstance(fact, MemberJudged)}


def test_curtailment_lowers_both_promises_and_refunds_both_fees_pro_rata() -> None:
    # 4 kWh at .001: .004 each; 2.5 kWh stay contracted, so .0015 go back to each.
    world, contract = traded()
    curtail(world, contract, [KWH, 500, 0, KWH])
    assert promised(world, "g", Side.SELL) == promised(world, "c", Side.BUY) == [KWH, 500, 0, KWH]
    assert gains(world) == (-1_040_016 - 2_500, -3_600_016 - 2_500)
    assert world.balance_of(world.ledger._reserved.community) == 5_000
    assert contract_of(world, contract).status is ContractStatus.APPROVED
    (told,) = world.facts(ContractCurtailed)
    assert isinstance(told, ContractCurtailed)
    assert (told.refund, told.energy) == (1_500, pack_energy([KWH, 500, 0, KWH]))


def test_what_stays_paid_is_the_fee_of_what_stays_contracted_however_often_it_is_curtailed() -> None:
    # At 333 per kWh: 4,000 Wh cost 1,332; 3,997 Wh 1,331; 1 Wh 0. Refunds of 1 and 1,331, not of thirds.
    world, contract = traded(fee=333)
    for energy, kept in (([997, KWH, KWH, KWH], 1_331), ([1, 0, 0, 0], 0)):
        curtail(world, contract, energy)
        assert world.balance_of(world.ledger._reserved.community) == 2 * kept


def test_who_delivers_what_curtailment_left_has_kept_its_promise() -> None:
    # 2 of 4 kWh are curtailed: g gives 2, c takes 2 under the contract at .50 + .04 and 2 from the grid at .75.
    world, contract = traded(fee=0)
    curtail(world, contract, [KWH, KWH, 0, 0])
    settle(world, [KWH, KWH, 0, 0], FOUR)
    assert gains(world) == (MILLION, -1_080_000 - 1_500_000)
    assert not any(fact.defaulted for fact in judged(world).values())
    assert judged(world)[Side.SELL].promised == 2 * KWH


def test_a_contract_that_is_curtailed_to_nothing_gives_back_everything_and_judges_nobody() -> None:
    world, contract = traded()
    curtail(world, contract, [0] * 4)
    assert gains(world) == (0, 0)
    assert world.account("g").locked == world.account("c").locked == 0
    settle(world, FOUR, FOUR)
    assert gains(world) == (4 * 400_000, -4 * 750_000)
    for fact in judged(world).values():
        assert (fact.promised, fact.credit_before, fact.credit_after) == (0, 50 * MILLION, 50 * MILLION)


def test_an_interval_that_has_not_begun_can_be_curtailed_without_a_fault() -> None:
    world, contract = traded()
    curtail(world, contract, [KWH, KWH, 0, KWH], at=START + 2 * QUARTER - 1)
    assert promised(world, "g", Side.SELL) == [KWH, KWH, 0, KWH]


@pytest.mark.parametrize("meter", ["g-sell", "c-buy"])
def test_a_fault_at_either_sides_meter_admits_curtailment_after_the_fact(meter: str) -> None:
    world, contract = traded()
    world.done("operator", ReportFault(START, (meter,), 1, 3, "storm"), at=END)
    curtail(world, contract, [KWH, 0, 0, KWH])
    settle(world, [KWH, 0, 0, KWH], [KWH, 0, 0, KWH])
    assert not any(fact.defaulted for fact in judged(world).values())
    assert gains(world) == (MILLION - 2_000, -1_080_000 - 2_000)


def test_intervals_under_a_fault_are_not_tested_but_the_partners_loss_is_paid() -> None:
    # g fails in interval 1 under a fault that nobody curtailed for: c pays the grid .75 there and gets .21 back.
    world, contract = traded(fee=0)
    world.approve(contract)
    world.done("operator", ReportFault(START, ("g-sell",), 1, 2, "storm"))
    settle(world, [KWH, 0, KWH, KWH], FOUR)
    assert gains(world) == (1_500_000 - 210_000, -3 * 540_000 - 750_000 + 210_000)
    facts = judged(world)
    assert (facts[Side.SELL].promised, facts[Side.SELL].delivered, facts[Side.SELL].defaulted) == (3_000, 3_000, False)
    assert facts[Side.BUY].promised == 4_000  # the fault was not at c's meter


def test_a_side_whose_every_interval_is_under_a_fault_is_not_judged_and_gets_no_share() -> None:
    # e delivers nothing and is fined; g, under a fault all day, promised nothing that counts; c performed.
    world, contract = traded(fee=0)
    world.member("e", Side.SELL)
    world.member("h", Side.BUY)
    other = world.contract("e", "h", FOUR)
    world.approve(contract, other)
    world.done("operator", ReportFault(START, ("g-sell",), 0, 4, "storm"))
    world.read({"g-sell": FOUR, "c-buy": FOUR, "e-sell": [0] * 4, "h-buy": FOUR})
    world.close()
    # The lock of 1.040016 leaves .200016 after .84 of compensation; all of it goes to c. h, the partner, gets no share.
    assert gains(world) == (2 * MILLION, -4 * 540_000 + 200_016)
    assert world.side("g", Side.SELL).credit == 50 * MILLION


def test_silence_approves_by_default() -> None:
    world, contract = traded(fee=0)
    settle(world, FOUR, FOUR)
    assert contract_of(world, contract).status is ContractStatus.SETTLED
    assert gains(world) == (2 * MILLION, -4 * 540_000)


def test_silence_can_lapse_a_contract_and_then_everything_goes_back() -> None:
    world, contract = traded(silence=int(Silence.LAPSE))
    settle(world, FOUR, FOUR)
    assert contract_of(world, contract).status is ContractStatus.LAPSED
    # Both fees are back, and both deal with the grid alone.
    assert gains(world) == (4 * 400_000, -4 * 750_000)
    assert world.account("g").locked == world.account("c").locked == 0
    assert promised(world, "g", Side.SELL) == [0] * 4
    (told,) = world.facts(ContractEnded)
    assert isinstance(told, ContractEnded)
    assert told.how == "lapsed"
    assert judged(world) == {}


def test_where_silence_lapses_what_was_approved_or_curtailed_stands() -> None:
    world, approved = traded(silence=int(Silence.LAPSE), fee=0)
    curtailed, silent = world.contract("g", "c", FOUR), world.contract("g", "c", FOUR)
    world.approve(approved)
    curtail(world, curtailed, [KWH, 0, 0, 0])
    settle(world, [2 * KWH, KWH, KWH, KWH], [2 * KWH, KWH, KWH, KWH])
    statuses = [contract_of(world, each).status for each in (approved, curtailed, silent)]
    assert statuses == [ContractStatus.SETTLED, ContractStatus.SETTLED, ContractStatus.LAPSED]
    assert gains(world) == (2_500_000, -5 * 540_000)


def test_where_silence_lapses_a_curtailment_after_delivery_has_begun_saves_nothing() -> None:
    world, contract = traded(silence=int(Silence.LAPSE))
    world.done("operator", ReportFault(START, ("g-sell",), 0, 1, "storm"), at=START)
    curtail(world, contract, [KWH - 1, KWH, KWH, KWH], at=START)
    settle(world, FOUR, FOUR)
    assert contract_of(world, contract).status is ContractStatus.LAPSED
    assert gains(world) == (4 * 400_000, -4 * 750_000)  # all of both fees is back too


def test_contracts_of_every_page_lapse_before_the_first_page_is_settled() -> None:
    # d's contract stands on page f2, c's position on page f1: c must not buy under a promise that lapses later.
    world = WatchedWorld(parameters={"silence": int(Silence.LAPSE), "fee": 0})
    world.member("c", Side.BUY)
    world.member("d", Side.SELL, feeder="f2")
    world.publish(feeders=("f1", "f2"))
    world.contract("d", "c", FOUR)
    world.read({"c-buy": FOUR})
    world.read({"d-sell": FOUR}, feeder="f2")
    world.done("operator", ClosePage(START, "f1"))
    assert world.account("c").balance == MONEY - 4 * 750_000
    world.done("operator", ClosePage(START, "f2"))
    assert world.account("d").balance == MONEY + 4 * 400_000


# Meters and pages


def test_a_member_that_joins_during_the_day_does_not_hold_up_its_page() -> None:
    world, contract = traded(fee=0)
    world.approve(contract)
    world.block([], at=START + 1)
    world.member("late", Side.BUY)
    point = MeterPoint("g-second", Side.SELL, "f1", KWH, "pv", MILLION)
    world.done("operator", AddMeter(world.address("g"), point))
    settle(world, FOUR, FOUR)
    assert gains(world) == (2 * MILLION, -4 * 540_000)
    assert world.ledger.state.get(Table.POSITION, day_key(START) + side_key(world.address("late"), Side.BUY)) is None


def test_a_meter_that_was_registered_before_the_day_began_counts() -> None:
    world, contract = traded(fee=0)
    world.approve(contract)
    point = MeterPoint("g-second", Side.SELL, "f1", 8 * KWH, "pv", MILLION)
    world.done("operator", AddMeter(world.address("g"), point), at=START)
    world.read({"g-sell": [500] * 4, "c-buy": FOUR})
    assert world.do("operator", ClosePage(START, "f1")).code == "readings_missing"
    world.read({"g-second": [500] * 4})
    world.close()
    assert gains(world) == (2 * MILLION, -4 * 540_000)


def test_a_meter_on_a_feeder_that_the_day_does_not_have_does_not_count() -> None:
    # Nobody can send its readings; if it counted, its owner would be substituted for ever and never default.
    world = WatchedWorld(parameters={"fee": 0})
    points = tuple(MeterPoint(f"g-{each}", Side.SELL, each, 8 * KWH, "pv", MILLION) for each in ("f1", "f9"))
    world.done("operator", Register(key_of("g").public, "g", "g", points))
    world.deposit("g", MONEY)
    world.member("c", Side.BUY)
    world.publish()
    world.approve(world.contract("g", "c", FOUR))
    world.read({"g-f1": [0] * 4, "c-buy": FOUR})
    world.close()
    assert judged(world)[Side.SELL].defaulted


def test_pages_can_be_closed_in_any_order_once_the_readings_of_all_partners_are_there() -> None:
    results = []
    for order in (("f1", "f2"), ("f2", "f1")):
        world = WatchedWorld(parameters={"fee": 0})
        world.member("g", Side.SELL)
        world.member("c", Side.BUY, feeder="f2")
        world.publish(feeders=("f1", "f2"))
        world.approve(world.contract("g", "c", FOUR))
        world.read({"g-sell": [2 * KWH] * 4})
        if order[0] == "f1":
            assert world.do("operator", ClosePage(START, "f1")).code == "readings_missing"
        world.read({"c-buy": [500] * 4}, feeder="f2")
        world.close(feeders=order)
        results.append(gains(world))
    # 2 kWh exchanged at .50; g sells 2 of the contract and 4 beyond it at .40; c defaults: compensation 2 * .10,
    # credit 50 -> 25, fine .005 * 25 * 4 = .50, which the 2.32 that are left of its collateral cover.
    assert results[0] == results[1] == (1_000_000 + 6 * 400_000 + 200_000, -2 * 540_000 - 200_000 - 500_000)


def test_estimated_and_substituted_intervals_are_settled_and_not_tested() -> None:
    # g's intervals 0 and 1 are estimated at nothing: c is compensated for them, but only 2 and 3 are tested.
    world, contract = traded(fee=0)
    world.approve(contract)
    quality: dict[str, Sequence[Quality]] = {
        "g-sell": [Quality.ESTIMATED, Quality.SUBSTITUTED, Quality.MEASURED, Quality.MEASURED]
    }
    world.read({"g-sell": [0, 0, KWH, KWH], "c-buy": FOUR}, quality=quality)
    world.close()
    fact = judged(world)[Side.SELL]
    assert (fact.promised, fact.delivered, fact.defaulted) == (2_000, 2_000, False)
    assert gains(world) == (1_000_000 - 420_000, -2 * 540_000 - 1_500_000 + 420_000)
