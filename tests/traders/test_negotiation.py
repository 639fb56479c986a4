"""Negotiation, one member at a time: what it accepts, answers and posts, and the bounds that it never leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.ledger.world import QUARTER, START
from tests.traders.cases import GATE, OTHER, OWN, PARTNER, flat, seen, situation
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import MILLION, Energy, Points, Price
from wattquorum.foundation.vectors import Int64s, energies, pack_energy, pack_prices
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.context import expanded
from wattquorum.ledger.entities import OfferStatus, OpenOffer
from wattquorum.ledger.parameters import DEFAULTS
from wattquorum.ledger.transactions import Accept, Counter, Offer
from wattquorum.market.collateral import at_stake, collateral
from wattquorum.market.fees import handling_fee
from wattquorum.market.terms import Policy, TermRows, check_band
from wattquorum.traders.forecast import Forecast
from wattquorum.traders.naive import AsForecast
from wattquorum.traders.negotiation import HASTE, OPENING, RESERVE, Haggler, Manner, draw_manner, negotiate
from wattquorum.traders.prices import band_of, kept
from wattquorum.traders.quantile import Quantile
from wattquorum.traders.recurring import Recurring
from wattquorum.traders.situation import Outcome, Rounds, SeenOffer, Situation
from wattquorum.traders.strategy import Step, Strategy
from wattquorum.traders.streams import stream

# Asks for .8 of the band first, .4 in the end, in equal steps of .4/11 over twelve rounds; the band is .401 to .709.
STEADY = Manner(opening=0.8, reserve=0.4, haste=1.0)


def mean(here: Situation, price: Int64s) -> Int64s:
    return here.forecast.mean


def steps(here: Situation, manner: Manner = STEADY, **how: Any) -> list[Step]:
    return negotiate(here, stream(1, "test"), mean, manner, **how)


def test_a_seller_posts_what_it_has_at_its_asking_price() -> None:
    # Round 8 of 0..11: .8 - .4*8/11 = .509; .401 + .308*.509 = .5578, rounded up to .558.
    (offer,) = steps(situation(mean=10_000, promised=flat(4_000)))
    assert isinstance(offer, Offer)
    assert (offer.side, offer.partner) == (Side.SELL, b"")
    assert energies(offer.energy).tolist() == [6_000] * 4
    assert offer.price == pack_prices([558_000])
    assert situation().now_ms + QUARTER < offer.valid_until_ms < situation().now_ms + 2 * QUARTER


def test_a_buyer_posts_nothing_of_its_own_accord() -> None:
    assert steps(situation(Side.BUY)) == []


def test_what_still_stands_is_not_offered_twice() -> None:
    own = seen(OWN, Side.SELL, [4_000] * 4, 600_000)
    assert steps(situation(own_offers=(own,))) == []


def test_a_buyer_takes_a_whole_offer_whose_price_suits() -> None:
    cheap = seen(PARTNER, Side.SELL, [2_000] * 4, 450_000)
    assert steps(situation(Side.BUY, offers=(cheap,))) == [Accept(START, cheap.id)]


def test_a_buyer_asks_for_the_part_it_needs_at_a_price_that_suits() -> None:
    cheap = seen(PARTNER, Side.SELL, [25_000, 2_000, 0, 25_000], 450_000)
    (counter,) = steps(situation(Side.BUY, mean=10_000, offers=(cheap,)))
    assert isinstance(counter, Counter)
    assert counter.offer == cheap.id
    assert energies(counter.energy).tolist() == [10_000, 2_000, 0, 10_000]
    assert counter.price == pack_prices([450_000])


def test_a_buyer_answers_a_dear_offer_with_its_own_price() -> None:
    # The buyer asks to keep .509 of the band: .709 - .308*.509 = .5522, rounded down to .552. The offer leaves it .35.
    dear = seen(PARTNER, Side.SELL, [2_000] * 4, 600_000)
    (counter,) = steps(situation(Side.BUY, offers=(dear,)))
    assert isinstance(counter, Counter)
    assert counter.price == pack_prices([552_000])


def test_nobody_answers_a_price_out_of_reach() -> None:
    absurd = seen(PARTNER, Side.SELL, [2_000] * 4, 700_000)
    assert steps(situation(Side.BUY, offers=(absurd,))) == []


def test_the_best_price_is_served_first_and_what_does_not_fit_gets_the_rest() -> None:
    low = seen(PARTNER, Side.BUY, [7_000] * 4, 560_000, name=b"low", partner=OWN)
    high = seen(OTHER, Side.BUY, [6_000] * 4, 590_000, name=b"high", partner=OWN)
    first, second = steps(situation(mean=10_000, offers=(low, high)))
    assert first == Accept(START, high.id)
    assert isinstance(second, Counter)
    assert second.offer == low.id
    assert energies(second.energy).tolist() == [4_000] * 4
    assert second.price == low.offer.price


def test_in_the_last_round_offers_are_accepted_or_left() -> None:
    last = Rounds(11, 0, QUARTER)
    suits = seen(PARTNER, Side.BUY, [7_000] * 4, 530_000, name=b"suits", partner=OWN)  # keeps .419, the reserve is .4
    not_whole = seen(OTHER, Side.BUY, [7_000] * 4, 526_000, name=b"rest", partner=OWN)
    low = seen(OTHER, Side.BUY, [1_000] * 4, 520_000, name=b"low", partner=OWN)
    assert steps(situation(mean=10_000, offers=(suits, not_whole, low), rounds=last)) == [Accept(START, suits.id)]


def test_an_offer_that_somebody_else_took_is_not_tried_again() -> None:
    cheap = seen(PARTNER, Side.SELL, [2_000] * 4, 450_000)
    assert steps(situation(Side.BUY, offers=(cheap,), outcomes=(Outcome(cheap.id, "offer_closed"),))) == []
    assert steps(situation(Side.BUY, offers=(cheap,), outcomes=(Outcome(cheap.id, ""),))) != []


def test_an_offer_that_was_answered_is_not_answered_twice() -> None:
    dear = seen(PARTNER, Side.SELL, [2_000] * 4, 600_000)
    mine = seen(OWN, Side.BUY, [2_000] * 4, 540_000, name=b"mine", partner=PARTNER, answers=dear.id)
    assert steps(situation(Side.BUY, offers=(dear,), own_offers=(mine,))) == []


def test_crumbs_are_left_lying() -> None:
    crumb = seen(PARTNER, Side.SELL, [200] * 4, 450_000)  # 0.8 of 40 kWh is exactly 1/50; one Wh less is too little
    assert steps(situation(Side.BUY, offers=(crumb,))) == [Accept(START, crumb.id)]
    less = seen(PARTNER, Side.SELL, [200, 200, 200, 25_000], 450_000)
    narrow = situation(Side.BUY, offers=(less,), promised=flat(9_801))
    assert steps(narrow) == []


def test_money_bounds_what_is_offered() -> None:
    # A buyer locks pb + (p - ps) + mu*10 points a kWh, .75 + .05 + .05 = .85, and pays .001: 40 kWh need 34.04.
    offer = seen(PARTNER, Side.SELL, [10_000] * 4, 450_000)
    assert steps(situation(Side.BUY, offers=(offer,), balance=34_041_000)) == [Accept(START, offer.id)]
    (counter,) = steps(situation(Side.BUY, offers=(offer,), balance=17 * MILLION))
    assert isinstance(counter, Counter)
    assert energies(counter.energy).sum() == pytest.approx(19_976, abs=10)
    assert steps(situation(Side.BUY, offers=(offer,), balance=0)) == []


def test_named_partners_are_the_only_ones() -> None:
    one = seen(PARTNER, Side.SELL, [2_000] * 4, 450_000, name=b"one")
    two = seen(OTHER, Side.SELL, [2_000] * 4, 440_000, name=b"two")
    assert steps(situation(Side.BUY, offers=(one, two)), partners=("partner",)) == [Accept(START, one.id)]
    (offer,) = steps(situation(Side.SELL, mean=10_000), partners=("other",))
    assert isinstance(offer, Offer)
    assert offer.partner == OTHER


def test_after_the_gate_or_without_a_band_nobody_moves() -> None:
    assert steps(situation(now_ms=GATE)) == []
    assert steps(situation(grid_price=flat(441_000))) == []


def test_everybody_concedes_from_opening_to_reserve_and_haste_says_when() -> None:
    slow, even, quick = (Manner(0.9, 0.3, haste) for haste in (0.5, 1.0, 2.0))
    for manner in (slow, even, quick):
        asked = [manner.asks(number, 11) for number in range(12)]
        assert asked[0] == 0.9
        assert asked[-1] == pytest.approx(0.3)
        assert asked == sorted(asked, reverse=True)
    assert slow.asks(5, 11) > even.asks(5, 11) > quick.asks(5, 11)
    assert Manner(0.9, 0.3, 1.0).asks(0, 0) == pytest.approx(0.3)


@given(st.integers(0, 2**32))
def test_manners_are_drawn_from_the_usual_ranges_unless_given(seed: int) -> None:
    drawn = draw_manner(stream(seed), None, None, None)
    assert OPENING[0] <= drawn.opening <= OPENING[1]
    assert RESERVE[0] <= drawn.reserve <= RESERVE[1]
    assert HASTE[0] <= drawn.haste <= HASTE[1]
    assert draw_manner(stream(seed), 0.6, 0.2, None) == drawn._replace(opening=0.6, reserve=0.2)


@pytest.mark.parametrize("wrong", [{"opening": 1.1}, {"reserve": -0.1}, {"haste": 0.0}])
def test_manners_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Haggler(**wrong)


# Whatever the others do -----------------------------------------------------------------------------------------------

INTERVALS = 5


@st.composite
def any_situation(draw: st.DrawFn) -> Situation:
    """Odd tariffs, odd offers by odd partners, promises and offers of its own, little money."""
    random = stream(draw(st.integers(0, 2**32)), "situation")

    def some(low: int, high: int) -> Int64s:
        return random.integers(low, high, size=INTERVALS, endpoint=True)

    def one(*choices: Any) -> Any:
        return choices[int(random.integers(len(choices)))]

    side = one(*Side)
    other = Side.BUY if side is Side.SELL else Side.SELL
    feed_in, width = some(-100_000, 400_000), some(0, one(0, 100_000)) + one(0, 3, 300_000, 300_000, 300_000)
    over_grid_fee, fee = some(-20_000, 60_000), one(0, 1_000, 20_000)

    def offer(author: bytes, of: Side, number: int) -> SeenOffer:
        partner = one(b"", OWN if author != OWN else PARTNER)
        inside = feed_in + fee + 1 + np.maximum(width - 2, 0) * int(random.integers(101)) // 100
        price = pack_prices(one(inside, inside, inside, some(-400_000, 900_000)))
        energy = some(0, one(2_000, 20_000)) + one(0, 1)
        energy[0] += 1
        made = OpenOffer(author, of, partner, pack_energy(energy), price, GATE, b"", OfferStatus.OPEN)
        return SeenOffer(number.to_bytes(16, "big"), made)

    mean = some(0, 20_000)
    return situation(
        side,
        intervals=INTERVALS,
        forecast=Forecast(mean, some(0, one(0, 2_000, 20_000)), one(0.0, 0.5, 2 / 3, 1.0)),
        limit_w=one(80_000, 1_000_000, 20_000, 0),
        rounds=one(Rounds(0, 11, QUARTER), Rounds(6, 5, QUARTER), Rounds(10, 1, QUARTER), Rounds(11, 0, QUARTER)),
        feed_in=feed_in,
        grid_price=feed_in + width + over_grid_fee + 2 * fee,
        over_grid_fee=over_grid_fee,
        parameters=changed(DEFAULTS, fee=fee),
        credit=one(0, 50, 97, 100) * MILLION,
        balance=one(1_000, 1_000, 5, 0) * MILLION,
        promised=one(mean * 0, mean // 3, some(0, 20_000)),
        offers=tuple(offer(one(PARTNER, OTHER), other, number) for number in range(one(0, 1, 3, 6))),
        own_offers=tuple(offer(OWN, side, 100 + number) for number in range(one(0, 0, 1, 2))),
    )


strategies = st.sampled_from(
    [
        Quantile,
        lambda: Quantile(standing=0.0, opening=1.0, reserve=0.0, haste=3.0),
        AsForecast,
        Recurring,
        lambda: Recurring(share_of_forecast=500_000, price_min=300_000, price_max=500_000, partners=("partner",)),
    ]
)


@given(any_situation(), strategies, st.integers(0, 2**32))
def test_no_strategy_ever_leaves_band_promise_connection_or_money(here: Situation, make: Any, seed: int) -> None:
    strategy: Strategy = make()
    decided = strategy.decide(here, stream(seed, "test"))
    for step in decided:
        event(type(step).__name__)
    committed, free = here.promised.copy(), here.balance
    for each in here.own_offers:
        committed = committed + energies(each.offer.energy)
        free -= needs(here, energies(each.offer.energy), expanded(each.offer.price, INTERVALS))
    offers = {each.id: each.offer for each in here.offers}
    answered: list[bytes] = []
    for step in decided:
        assert isinstance(step, Offer | Counter | Accept)
        assert step.day == here.day
        named = offers[step.offer] if isinstance(step, Accept) else step
        energy = energies(named.energy)
        price = expanded(named.price, INTERVALS)
        if not isinstance(step, Accept):
            check_band(TermRows(price, here.feed_in, here.grid_price, here.over_grid_fee), Price(here.parameters.fee))
            assert here.now_ms < step.valid_until_ms <= here.gate_ms
        if not isinstance(step, Offer):
            assert step.offer in offers
            answered.append(step.offer)
        assert energy.any()
        committed = committed + energy
        wanted = np.minimum(strategy.promise(here, price), here.limit_wh)  # type: ignore[attr-defined]
        assert bool((committed[energy > 0] <= wanted[energy > 0]).all())
        free -= needs(here, energy, price)
        assert free >= 0
    assert len(set(answered)) == len(answered)


def needs(here: Situation, energy: Int64s, price: Int64s) -> int:
    """What the ledger would lock and take from this side."""
    points = at_stake(Points(here.credit), Points(10 * MILLION), Points(MILLION))
    terms = TermRows(price, here.feed_in, here.grid_price, here.over_grid_fee)
    locks = collateral(energy, terms, here.parameters.mu, points, points, Policy.TRUE_LOSS)
    own = locks.seller if here.side is Side.SELL else locks.buyer
    return own + handling_fee(Energy(int(energy.sum())), Price(here.parameters.fee))


@given(any_situation(), st.floats(0.0, 1.0))
def test_prices_keep_their_share_of_the_band_and_stay_inside(here: Situation, share: float) -> None:
    band = band_of(here)
    if not band.has_room:
        return
    price = band.keeping(share, here.side)
    assert bool(((band.low < price) & (price < band.high)).all())
    weight = (band.high - band.low).min()
    found = kept(band.position(price, flat(1, INTERVALS)), here.side)
    assert found >= share - 2.0 / float(weight)
    assert found <= share + 0.11 + 2.0 / float(weight)


def test_a_price_has_few_digits_where_the_band_is_wide() -> None:
    band = band_of(situation())
    assert band.keeping(0.5, Side.SELL).tolist() == [555_000] * 4
    assert band.keeping(1 / 3, Side.BUY).tolist() == [606_000] * 4
    assert band.position(flat(555_000), flat(1)) == pytest.approx(0.5)
