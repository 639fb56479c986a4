"""Recurring offers: the rule's share, price limits and partners hold, whatever comes (L-15)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.world import QUARTER, START
from tests.traders.cases import OTHER, PARTNER, flat, seen, situation
from wattquorum.foundation.vectors import energies, prices
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.transactions import Accept, Offer
from wattquorum.traders.recurring import Recurring
from wattquorum.traders.situation import Rounds
from wattquorum.traders.streams import stream

FIRST_ROUNDS = (Rounds(0, 11, QUARTER), Rounds(1, 10, QUARTER))


@pytest.mark.parametrize("side", list(Side))
def test_a_rule_makes_offers_by_itself_on_either_side(side: Side) -> None:
    rule, random = Recurring(share_of_forecast=250_000), stream(1)
    made = [step for rounds in FIRST_ROUNDS for step in rule.decide(situation(side, rounds=rounds), random)]
    assert made
    for step in made:
        assert isinstance(step, Offer)
        assert (step.side, step.partner) == (side, b"")
        assert energies(step.energy).tolist() == [2_500] * 4


def test_named_partners_get_equal_parts_and_nobody_else_is_dealt_with() -> None:
    rule, random = Recurring(partners=("partner", "other")), stream(1)
    made = rule.decide(situation(rounds=FIRST_ROUNDS[1]), random)
    assert [(step.partner, energies(step.energy).tolist()) for step in made if isinstance(step, Offer)] == [
        (PARTNER, [5_000] * 4),
        (OTHER, [5_000] * 4),
    ]
    alone = Recurring(partners=("partner",))
    tempting = seen(OTHER, Side.SELL, [1_000] * 4, 402_000)
    steps = alone.decide(situation(Side.BUY, offers=(tempting,), rounds=Rounds(11, 0, QUARTER)), stream(1))
    assert list(steps) == []


@given(st.integers(401_000, 708_000), st.integers(0, 11), st.integers(0, 2**32))
def test_a_seller_never_asks_less_and_a_buyer_never_bids_more_than_the_rule(limit: int, number: int, seed: int) -> None:
    rounds = Rounds(number, 11 - number, QUARTER)
    for side, rule in ((Side.SELL, Recurring(price_min=limit)), (Side.BUY, Recurring(price_max=limit))):
        for step in rule.decide(situation(side, rounds=rounds), stream(seed)):
            assert isinstance(step, Offer)
            asked = prices(step.price)
            assert bool((asked >= limit if side is Side.SELL else asked <= limit).all())


def test_an_offer_beyond_the_limit_is_left_even_when_it_suits_otherwise() -> None:
    last = Rounds(11, 0, QUARTER)
    bid = seen(PARTNER, Side.BUY, [1_000] * 4, 600_000, partner=b"o" * 20)
    assert list(Recurring(price_min=600_000).decide(situation(offers=(bid,), rounds=last), stream(1))) == [
        Accept(START, bid.id)
    ]
    assert list(Recurring(price_min=600_001).decide(situation(offers=(bid,), rounds=last), stream(1))) == []


def test_the_limit_holds_in_every_interval() -> None:
    # The band's low end is .601 in the last interval: at its share of 0 a seller that wants .62 must ask for .62 there.
    uneven = situation(feed_in=np.array([400_000, 400_000, 400_000, 600_000]), rounds=Rounds(10, 1, QUARTER))
    rule = Recurring(price_min=620_000)
    made = [step for step in rule.decide(uneven, stream(1)) if isinstance(step, Offer)]
    assert made
    assert int(prices(made[0].price).min()) >= 620_000


def test_a_limit_that_no_price_of_the_band_meets_makes_no_offers() -> None:
    for rule, side in ((Recurring(price_min=710_000), Side.SELL), (Recurring(price_max=400_000), Side.BUY)):
        assert [*rule.decide(situation(side, rounds=FIRST_ROUNDS[1]), stream(1))] == []
    assert [*Recurring(price_min=410_000).decide(situation(grid_price=flat(441_000)), stream(1))] == []


@pytest.mark.parametrize("wrong", [{"share_of_forecast": 0}, {"share_of_forecast": 1_000_001}, {"partners": "b"}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recurring(**wrong)  # type: ignore[arg-type]
