"""Whole days on a real ledger: partners are found, refused and lost, and no bound is ever touched."""

from __future__ import annotations

from collections import Counter as Tally

import numpy as np
import pytest

from tests.ledger.world import FEED_IN, GRID_PRICE, OVER_GRID_FEE, START
from tests.traders.floor import DAY, Floor, Trader, bump
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import Int64s, energies, prices
from wattquorum.lab.shipped import HISTORY_START, shipped_members, shipped_week
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.context import promised_to
from wattquorum.ledger.transactions import Accept, Counter, Offer
from wattquorum.traders.forecast import Kind
from wattquorum.traders.naive import AsForecast
from wattquorum.traders.quantile import Quantile
from wattquorum.traders.recurring import Recurring
from wattquorum.traders.situation import Situation
from wattquorum.traders.strategy import Step, Strategy

FEE = 1_000


class Shipped:
    """The shipped members with one strategy each, and their readings so far."""

    def __init__(self) -> None:
        self.week = shipped_week()
        self.profiles: dict[str, Int64s] = {}
        self.traders: list[Trader] = []
        for member in shipped_members():
            meter = member.meters[0]
            start, end = self.week.span(meter.meter_id, meter.direction)
            rows = self.week.energy(meter.meter_id, meter.direction, start, end).reshape(-1, 96)
            self.profiles[member.name] = rows
            side = Side.SELL if meter.direction == "injection" else Side.BUY
            readings = {HISTORY_START + number * DAY: row for number, row in enumerate(rows)}
            self.traders.append(Trader(member.name, side, meter.technology, meter.limit, Quantile(), readings))

    def actual(self, meter: str, window: Window) -> Int64s:
        row: Int64s = self.profiles[meter][(window.start_ms - HISTORY_START) // DAY]
        return row


@pytest.fixture(scope="module")
def day() -> Floor:
    """One day of the shipped market."""
    shipped = Shipped()
    floor = Floor(shipped.traders, shipped.actual)
    floor.trade(START)
    return floor


def test_a_typical_day_has_contracts_and_counter_offers_and_failures(day: Floor) -> None:
    kinds = Tally(type(step) for _, step, code in day.steps if not code)
    contracts = day.contracts()
    assert 30 <= len(contracts) <= 150
    assert kinds[Accept] == len(contracts)
    assert kinds[Counter] > len(contracts)
    assert kinds[Offer] > 15
    assert kinds[Offer] + kinds[Counter] > 2 * len(contracts)  # most of what is offered comes to nothing
    assert len({contract.seller for contract in contracts}) >= 10
    assert len({contract.buyer for contract in contracts}) >= 10
    answered = {offer.offer: offer.answers for offer in day.offers()}
    assert any(answered.get(answered[contract.contract]) for contract in contracts)  # a counter to a counter


def test_the_ledger_refuses_only_what_somebody_else_was_quicker_with(day: Floor) -> None:
    assert {code for _, _, code in day.steps} <= {"", "offer_closed"}


def test_every_price_lies_inside_the_band_and_differs_from_contract_to_contract(day: Floor) -> None:
    asked = [int(prices(offer.price)[0]) for offer in day.offers()]
    assert min(asked) > FEED_IN + FEE
    assert max(asked) < GRID_PRICE - OVER_GRID_FEE - FEE
    assert len({contract.price for contract in day.contracts()}) > 10


def test_nobody_promises_more_than_it_set_out_to_or_its_connection_carries(day: Floor) -> None:
    ledger = day.world.ledger
    for trader in day.traders:
        promised = promised_to(ledger.state, START, day.world.address(trader.name), trader.side, 96)
        window = day.window(START)
        told = day.service.day_ahead(trader.name, window, np.zeros((0, 96), dtype=np.int64))
        assert bool((promised <= trader.limit_w // 4).all())
        assert bool((promised <= told.mean).all())  # every quantile at stake is below the middle


def test_a_quicker_buyer_leaves_the_slower_one_to_look_elsewhere() -> None:
    # Two buyers want the whole of one seller's offer and accept it in the same block; one of them is too late, never
    # tries it again, and buys from the second seller.
    eager = {"opening": 0.5, "reserve": 0.0, "haste": 10.0}
    sellers = [Trader(name, Side.SELL, "wind", 2 * MILLION, AsForecast(**eager)) for name in ("s1", "s2")]
    buyers = [Trader(name, Side.BUY, "load", 2 * MILLION, AsForecast(**eager)) for name in ("b1", "b2")]
    demand = {"s1": 10_000, "s2": 10_000, "b1": 11_000, "b2": 11_000}
    floor = Floor([*sellers, *buyers], lambda name, _: np.full(96, demand[name], dtype=np.int64), kind=Kind.PERFECT)
    floor.trade(START)
    late = [(name, step.offer) for name, step, code in floor.steps if isinstance(step, Accept) and code]
    assert late
    assert len(set(late)) == len(late)
    assert {floor.world.address(name) for name in demand} == {
        address for contract in floor.contracts() for address in (contract.seller, contract.buyer)
    }


def test_two_whose_reserves_do_not_meet_part() -> None:
    proud = AsForecast(opening=0.9, reserve=0.55)
    floor = Floor(
        [Trader("s", Side.SELL, "wind", 2 * MILLION, proud), Trader("b", Side.BUY, "load", 2 * MILLION, proud)],
        lambda _n, _w: bump(20_000),
        kind=Kind.PERFECT,
    )
    floor.trade(START)
    assert floor.contracts() == []
    assert any(isinstance(step, Counter) for _, step, _ in floor.steps)


def test_poor_members_trade_what_their_money_covers_and_are_never_refused() -> None:
    shipped = Shipped()
    for trader in shipped.traders:
        trader.money = 60 * MILLION
    floor = Floor(shipped.traders, shipped.actual)
    floor.trade(START)
    assert floor.contracts()
    assert {code for _, _, code in floor.steps} <= {"", "offer_closed"}


def test_a_household_with_a_rule_trades_without_lifting_a_finger() -> None:
    shipped = Shipped()
    rule = Recurring(share_of_forecast=600_000, price_max=560_000, partners=("biomass-5", "hydro-11"))
    for trader in shipped.traders:
        if trader.name == "village-6":
            trader.strategy = rule
    floor = Floor(shipped.traders, shipped.actual)
    floor.trade(START)
    own = floor.world.address("village-6")
    bought = [contract for contract in floor.contracts() if contract.buyer == own]
    allowed = {floor.world.address(name) for name in ("biomass-5", "hydro-11")}
    told = floor.service.day_ahead("village-6", floor.window(START), np.zeros((0, 96), dtype=np.int64))
    assert bought
    assert {contract.seller for contract in bought} <= allowed
    assert all(int(prices(contract.price).max()) <= 560_000 for contract in bought)
    total = np.sum([energies(contract.energy) for contract in bought], axis=0)
    assert bool((total <= told.mean * 600_000 // MILLION).all())


class Restless:
    """Trades like another strategy, but draws a thousand numbers first and then keeps quiet."""

    name = "restless"

    def __init__(self, inner: Strategy) -> None:
        self.inner = inner

    def decide(self, situation: Situation, random: np.random.Generator) -> list[Step]:
        random.random(1_000)
        self.inner.decide(situation, random)
        return []


@pytest.mark.unmeasured
def test_one_members_decisions_change_nobody_elses_random_numbers() -> None:
    # In the first round nobody has seen anything of anybody, so that all other steps must be the same to the byte.
    def first_round(restless: bool) -> dict[str, list[Step]]:
        shipped = Shipped()
        for trader in shipped.traders:
            if restless and trader.name == "wind-1":
                trader.strategy = Restless(trader.strategy)
        floor = Floor(shipped.traders, shipped.actual)
        floor.trade(START, rounds=1)
        states = {name: [floor.streams[name].bit_generator.state] for name in floor.streams if name != "wind-1"}
        assert states
        return states  # type: ignore[return-value]

    assert first_round(restless=True) == first_round(restless=False)


@pytest.mark.unmeasured
def test_what_will_be_metered_changes_no_decision_of_those_who_are_not_told() -> None:
    # Forecasts from history: two worlds that differ only in what the traded day will bring make the same steps.
    def traded(factor: int) -> list[tuple[str, Step, str]]:
        shipped = Shipped()
        for trader in shipped.traders:
            for start in list(trader.readings):
                if start >= START - DAY:  # the day before is not read yet when trading begins
                    trader.readings[start] = trader.readings[start] * factor
        floor = Floor(shipped.traders, lambda name, window: shipped.actual(name, window) * factor, kind=Kind.HISTORY)
        floor.trade(START)
        assert floor.steps
        return floor.steps

    assert traded(1) == traded(0)


@pytest.mark.unmeasured
def test_the_same_seed_trades_the_same_day_and_another_one_another(day: Floor) -> None:
    def again(seed: int) -> Floor:
        shipped = Shipped()
        floor = Floor(shipped.traders, shipped.actual, seed=seed)
        floor.trade(START)
        return floor

    assert again(1).world.ledger.digest == day.world.ledger.digest
    assert again(2).world.ledger.digest != day.world.ledger.digest


@pytest.mark.unmeasured
def test_defaults_are_rarer_with_the_quantile_than_with_the_forecast_as_it_is() -> None:
    shares = {}
    for name, make in (("quantile", Quantile), ("forecast", AsForecast)):
        shipped = Shipped()
        for trader in shipped.traders:
            trader.strategy = make()
        floor = Floor(shipped.traders, shipped.actual)
        days = defaults = 0
        for number in range(2):
            start = START + number * DAY
            floor.trade(start)
            for trader in floor.traders:
                promised = promised_to(
                    floor.world.ledger.state, start, floor.world.address(trader.name), trader.side, 96
                )
                short = int(np.maximum(promised - shipped.actual(trader.name, floor.window(start)), 0).sum())
                days += bool(promised.any())
                defaults += short * 20 > int(promised.sum())
        shares[name] = defaults / days
    assert shares["quantile"] < 0.1 < 0.2 < shares["forecast"]
