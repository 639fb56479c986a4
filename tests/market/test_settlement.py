"""Settlement of one interval and of many (A-17, A-18, L-1 to L-3), with numbers worked by hand.

Hand-worked amounts are in CNY: price .50, feed-in .40, grid price .75, over-grid fee .04 per kWh.
"""

from __future__ import annotations

from fractions import Fraction
from math import trunc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import (
    CNY,
    KWH,
    MWH,
    PAPER_TERMS,
    Market,
    any_terms,
    energies,
    markets,
    rows,
    terms_in_band,
)
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, PRICE_MAX, Energy, Money, Ppm, Price, cost
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind, net, transfer
from wattquorum.market.penalties import defaults, shortfall_rows
from wattquorum.market.settlement import (
    ENTRIES_PER_CHUNK,
    IntervalMoney,
    cost_rows,
    paper_compensation,
    settle_interval,
    settle_rows,
)
from wattquorum.market.terms import Policy, TermRows, Terms

policies = st.sampled_from(Policy)


def generator_earns(money: IntervalMoney) -> int:
    return money.energy + money.grid_sale


def consumer_pays(money: IntervalMoney) -> int:
    return money.energy + money.over_grid_fee + money.grid_purchase


def grid_earns(money: IntervalMoney) -> int:
    return money.over_grid_fee + money.grid_purchase - money.grid_sale


# Worked by hand -----------------------------------------------------------------------------------------------------


def test_a_generator_that_delivers_four_fifths() -> None:
    money = settle_interval(PAPER_TERMS, Energy(1 * MWH), Energy(800 * KWH), Energy(1 * MWH))
    # .50 * 800 = 400; .04 * 800 = 32; .75 * 200 = 150; nothing is left for the grid to buy.
    assert money[:4] == (400 * CNY, 32 * CNY, 150 * CNY, 0)
    assert (generator_earns(money), -consumer_pays(money), grid_earns(money)) == (400 * CNY, -582 * CNY, 182 * CNY)
    # With full delivery the consumer would have paid .54 * 1000 = 540: its loss is 582 - 540 = 42.
    assert (money.seller_compensation, money.buyer_compensation) == (42 * CNY, 0)


def test_a_consumer_that_takes_four_fifths() -> None:
    money = settle_interval(PAPER_TERMS, Energy(1 * MWH), Energy(1 * MWH), Energy(800 * KWH))
    # .50 * 800 = 400 and .40 * 200 = 80 for the generator; .54 * 800 = 432 from the consumer; 32 - 80 = -48.
    assert (generator_earns(money), -consumer_pays(money), grid_earns(money)) == (480 * CNY, -432 * CNY, -48 * CNY)
    # With full consumption the generator would have earned .50 * 1000 = 500: its loss is 20.
    assert (money.seller_compensation, money.buyer_compensation) == (0, 20 * CNY)


def test_the_true_loss_counts_only_what_the_partner_would_have_used() -> None:
    money = settle_interval(PAPER_TERMS, Energy(1 * MWH), Energy(900 * KWH), Energy(960 * KWH))
    # 60 kWh came from the grid at .75 instead of .54: 60 * .21 = 12.60.
    assert (money.seller_compensation, money.buyer_compensation) == (12_600_000, 0)


def test_document_a_would_pay_for_the_whole_shortfall_instead() -> None:
    seller, buyer = paper_compensation(
        np.array([[1 * MWH]]),
        np.array([[900 * KWH]]),
        np.array([[960 * KWH]]),
        rows(PAPER_TERMS),
        np.array([True]),
        np.array([False]),
    )
    # (.75 - .50 - .04) * (1000 - 900) = 21, though only 60 kWh were missed.
    assert (seller.tolist(), buyer.tolist()) == ([[21 * CNY]], [[0]])


def test_what_both_have_beyond_the_promise_trades_with_the_grid() -> None:
    money = settle_interval(PAPER_TERMS, Energy(100 * KWH), Energy(120 * KWH), Energy(120 * KWH))
    # m = 100: .50 * 100 + .40 * 20 = 58; .54 * 100 + .75 * 20 = 69; 4 + 15 - 8 = 11.
    assert (generator_earns(money), -consumer_pays(money), grid_earns(money)) == (58 * CNY, -69 * CNY, 11 * CNY)
    assert (money.seller_compensation, money.buyer_compensation) == (0, 0)


def test_surplus_in_one_interval_does_not_offset_shortfall_in_another() -> None:
    promised = np.full((1, 4), 1 * KWH)
    generated = np.array([[0, 2 * KWH, 2 * KWH, 0]])
    money = settle_rows(promised, generated, promised, rows(PAPER_TERMS, 4))
    # Two intervals from the grid at .75 and two from the partner at .54: 1.50 + 1.08 = 2.58.
    assert int(sum(each.sum() for each in money[:3])) == 2_580_000
    # Twice .75 - .54 = .21.
    assert int(money.seller_compensation.sum()) == 420_000
    shortfall = Energy(int(shortfall_rows(promised, generated, np.full((1, 4), fill_value=True))[0]))
    assert shortfall == 2 * KWH
    assert defaults(Energy(4 * KWH), shortfall, Ppm(50_000))


def test_both_cases_of_the_published_settlement() -> None:
    # Pa_g = 150 >= Pa_c = 100: generator .50 * 100 + .40 * 50 = 70, consumer .54 * 100 = 54, grid 4 - 20 = -16.
    more = settle_interval(PAPER_TERMS, Energy(200 * KWH), Energy(150 * KWH), Energy(100 * KWH))
    assert (generator_earns(more), consumer_pays(more), grid_earns(more)) == (70 * CNY, 54 * CNY, -16 * CNY)
    # Pa_g = 100 < Pa_c = 150: generator .50 * 100 = 50, consumer 54 + .75 * 50 = 91.50, grid 4 + 37.50 = 41.50.
    less = settle_interval(PAPER_TERMS, Energy(200 * KWH), Energy(100 * KWH), Energy(150 * KWH))
    assert (generator_earns(less), consumer_pays(less), grid_earns(less)) == (50 * CNY, 91_500_000, 41_500_000)


def test_a_negative_price_turns_the_transfer_round_and_rounds_toward_zero() -> None:
    terms = Terms._make((-333, -500, 100, 40))
    money = settle_interval(terms, Energy(1_001), Energy(1_001), Energy(1_001))
    # -333 * 1.001 = -333.333 becomes -333, and 40 * 1.001 = 40.04 becomes 40.
    assert money[:4] == (-333, 40, 0, 0)
    energy = np.array([[1_001]])
    assert settle_rows(energy, energy, energy, rows(terms)).energy.tolist() == [[-333]]


# The rule against its words ------------------------------------------------------------------------------------------


@given(any_terms, energies, energies, energies)
def test_every_transfer_is_its_product_rounded_once_toward_zero(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy
) -> None:
    money = settle_interval(terms, promised, generated, consumed)
    exchanged = min(generated, consumed, promised)
    assert money.energy == trunc(Fraction(terms.price * exchanged, 1_000))
    assert money.over_grid_fee == trunc(Fraction(terms.over_grid_fee * exchanged, 1_000))
    assert money.grid_purchase == trunc(Fraction(terms.grid_price * (consumed - exchanged), 1_000))
    assert money.grid_sale == trunc(Fraction(terms.feed_in * (generated - exchanged), 1_000))


@given(any_terms, energies, energies, energies, policies)
def test_what_the_consumer_pays_is_what_generator_and_grid_receive(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy, policy: Policy
) -> None:
    money = settle_interval(terms, promised, generated, consumed, policy)
    generator, consumer, grid = b"g" * 20, b"c" * 20, b"n" * 20
    moved = [
        transfer(Kind.ENERGY, consumer, generator, money.energy),
        transfer(Kind.OVER_GRID_FEE, consumer, grid, money.over_grid_fee),
        transfer(Kind.GRID_PURCHASE, consumer, grid, money.grid_purchase),
        transfer(Kind.GRID_SALE, grid, generator, money.grid_sale),
        transfer(Kind.COMPENSATION, generator, consumer, money.seller_compensation),
        transfer(Kind.COMPENSATION, consumer, generator, money.buyer_compensation),
    ]
    totals = net(each for each in moved if each is not None)
    compensated = money.seller_compensation - money.buyer_compensation
    assert totals.get(generator, 0) == generator_earns(money) - compensated
    assert totals.get(consumer, 0) == compensated - consumer_pays(money)
    assert totals.get(grid, 0) == grid_earns(money)
    assert sum(totals.values()) == 0


def gains(terms: Terms, promised: Energy, generated: Energy, consumed: Energy) -> tuple[int, int]:
    """What generator and consumer gain over dealing with the grid alone, before penalties."""
    together = settle_interval(terms, promised, generated, consumed, Policy.OFF)
    alone = settle_interval(terms, Energy(0), generated, consumed, Policy.OFF)
    return generator_earns(together) - generator_earns(alone), consumer_pays(alone) - consumer_pays(together)


whole_kwh = st.integers(0, 1_000).map(lambda kwh: Energy(kwh * KWH))


@given(any_terms, whole_kwh, whole_kwh, whole_kwh)
def test_both_sides_are_better_off_exactly_when_they_exchange_inside_the_band(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy
) -> None:
    """In whole kWh, where nothing is rounded: m > 0 and ps < p < pb - po (A-17)."""
    generator, consumer = gains(terms, promised, generated, consumed)
    inside = terms.feed_in < terms.price < terms.grid_price - terms.over_grid_fee
    assert (generator > 0 and consumer > 0) == (min(promised, generated, consumed) > 0 and inside)


@given(any_terms, energies, energies, energies)
def test_rounding_moves_a_gain_by_less_than_a_unit_a_transfer(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy
) -> None:
    """The generator's gain compares three transfers, the consumer's four; the exact gain is linear in m."""
    generator, consumer = gains(terms, promised, generated, consumed)
    exchanged = min(promised, generated, consumed)
    assert abs(generator - Fraction((terms.price - terms.feed_in) * exchanged, 1_000)) < 3
    assert abs(consumer - Fraction((terms.grid_price - terms.price - terms.over_grid_fee) * exchanged, 1_000)) < 4


# Compensation -------------------------------------------------------------------------------------------------------


@given(any_terms, energies, energies, energies)
def test_a_partner_of_a_side_that_fell_short_is_made_whole_to_the_unit(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy
) -> None:
    """With the compensation it stands as if delivered in full, or better where the shortfall did it a favour."""
    money = settle_interval(terms, promised, generated, consumed)
    had_seller_delivered = settle_interval(terms, promised, max(generated, min(promised, consumed)), consumed)
    had_buyer_taken = settle_interval(terms, promised, generated, max(consumed, min(promised, generated)))
    assert consumer_pays(money) - money.seller_compensation == min(
        consumer_pays(money), consumer_pays(had_seller_delivered)
    )
    assert generator_earns(money) + money.buyer_compensation == max(
        generator_earns(money), generator_earns(had_buyer_taken)
    )


@given(any_terms, energies, energies, energies)
def test_only_the_side_that_delivered_less_compensates(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy
) -> None:
    money = settle_interval(terms, promised, generated, consumed)
    assert min(money.seller_compensation, money.buyer_compensation) == 0
    if money.seller_compensation > 0:
        assert generated < min(promised, consumed)
    if money.buyer_compensation > 0:
        assert consumed < min(promised, generated)


@given(terms_in_band(), energies, energies, energies)
def test_inside_the_band_the_true_loss_is_the_margin_on_what_was_missed(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy
) -> None:
    money = settle_interval(terms, promised, generated, consumed)
    missed_by_buyer = max(0, min(promised, consumed) - generated)
    missed_by_seller = max(0, min(promised, generated) - consumed)
    margin = terms.grid_price - terms.price - terms.over_grid_fee
    assert abs(money.seller_compensation - Fraction(margin * missed_by_buyer, 1_000)) < 3
    assert abs(money.buyer_compensation - Fraction((terms.price - terms.feed_in) * missed_by_seller, 1_000)) < 2


@given(any_terms, energies, energies, energies, st.sampled_from([Policy.PAPER, Policy.OFF]))
def test_the_other_policies_owe_nothing_by_the_interval(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy, policy: Policy
) -> None:
    money = settle_interval(terms, promised, generated, consumed, policy)
    assert money[:4] == settle_interval(terms, promised, generated, consumed)[:4]
    assert money[4:] == (0, 0)


# Many at once -------------------------------------------------------------------------------------------------------


def one_by_one(market: Market, policy: Policy) -> list[list[IntervalMoney]]:
    contracts, intervals = market.promised.shape
    return [
        [
            settle_interval(
                market.interval_terms(i, j),
                Energy(int(market.promised[i, j])),
                Energy(int(market.generated[i, j])),
                Energy(int(market.consumed[i, j])),
                policy,
            )
            for j in range(intervals)
        ]
        for i in range(contracts)
    ]


@given(markets(), policies)
def test_many_contracts_settle_like_each_of_them_alone(market: Market, policy: Policy) -> None:
    money = settle_rows(*market, policy=policy)
    stacked = np.stack(money, axis=-1).tolist()
    assert stacked == [[list(each) for each in row] for row in one_by_one(market, policy)]


def test_a_market_larger_than_one_chunk_settles_like_its_halves() -> None:
    contracts, intervals = 2 * ENTRIES_PER_CHUNK // 96 + 7, 96
    shape = (contracts, intervals)
    spread = np.arange(contracts * intervals, dtype=np.int64).reshape(shape)
    promised, generated, consumed = spread * 7 % 50_021, spread * 11 % 50_023, spread * 13 % 50_033
    # Negative prices in the last chunk alone, and one row of prices for each contract.
    price = np.where(np.arange(contracts) < contracts - 3, 500_003, -70_001).reshape(-1, 1)
    terms = TermRows(price, *(np.full(intervals, each) for each in (399_999, 750_001, 40_003)))
    whole = settle_rows(promised, generated, consumed, terms)
    half = contracts // 2 + 1
    for part in (slice(None, half), slice(half, None)):
        pinned = TermRows(price[part], *terms[1:])
        separate = settle_rows(promised[part], generated[part], consumed[part], pinned)
        for together, alone in zip(whole, separate, strict=True):
            assert np.array_equal(together[part], alone)
    sampled = Market(promised[-2:], generated[-2:], consumed[-2:], TermRows(price[-2:], *terms[1:]))
    assert np.stack(whole, axis=-1)[-2:].tolist() == [
        [list(each) for each in row] for row in one_by_one(sampled, Policy.TRUE_LOSS)
    ]


@pytest.mark.parametrize("shape", [(0, 96), (3, 0), (0, 0)])
def test_no_contracts_or_no_intervals_make_no_money(shape: tuple[int, int]) -> None:
    nothing = np.zeros(shape, dtype=np.int64)
    money = settle_rows(nothing, nothing, nothing, rows(PAPER_TERMS, shape[1]))
    assert {each.shape for each in money} == {shape}


def test_the_inputs_are_left_as_they_were() -> None:
    given_arrays = [np.array([[900, 1_000]]), np.array([[1_000, 700]]), np.array([[800, 1_000]])]
    before = [each.copy() for each in given_arrays]
    promised, generated, consumed = given_arrays
    settle_rows(promised, generated, consumed, rows(PAPER_TERMS, 2))
    flags = np.array([True])
    paper_compensation(promised, generated, consumed, rows(PAPER_TERMS, 2), flags, ~flags)
    assert all(np.array_equal(each, earlier) for each, earlier in zip(given_arrays, before, strict=True))


@pytest.mark.parametrize("field", ["promised", "generated", "consumed"])
@pytest.mark.parametrize(("energy", "code"), [(-1, "energy_negative"), (ENERGY_PER_INTERVAL_MAX + 1, "out_of_range")])
def test_energies_below_zero_or_beyond_the_bound_are_refused(field: str, energy: int, code: str) -> None:
    promised, generated, consumed = (
        Energy(energy if each == field else 5) for each in ("promised", "generated", "consumed")
    )
    many_promised, many_generated, many_consumed = (
        np.array([[7, each]], dtype=np.int64) for each in (promised, generated, consumed)
    )
    terms, flags = rows(PAPER_TERMS, 2), np.array([True])
    with pytest.raises(Refused) as one:
        settle_interval(PAPER_TERMS, promised, generated, consumed)
    with pytest.raises(Refused) as many:
        settle_rows(many_promised, many_generated, many_consumed, terms)
    with pytest.raises(Refused) as paper:
        paper_compensation(many_promised, many_generated, many_consumed, terms, flags, ~flags)
    for refusal in (one.value, many.value, paper.value):
        assert (refusal.code, refusal.field, refusal.value) == (code, field, str(energy))


@pytest.mark.parametrize("field", Terms._fields)
@pytest.mark.parametrize("price", [PRICE_MAX + 1, -PRICE_MAX - 1])
def test_prices_beyond_the_bound_are_refused_before_they_overflow(field: str, price: int) -> None:
    terms = rows(PAPER_TERMS, 2)._replace(**{field: np.array([5, price])})
    energy = np.array([[1, 1]])
    with pytest.raises(Refused) as refusal:
        settle_rows(energy, energy, energy, terms)
    assert (refusal.value.code, refusal.value.field, refusal.value.value) == ("out_of_range", field, str(price))


# The published penalty ----------------------------------------------------------------------------------------------


def test_nobody_compensates_under_the_published_rule_when_both_or_none_default() -> None:
    energy = np.array([[1 * MWH]] * 2)
    short = np.array([[800 * KWH]] * 2)
    both_and_none = np.array([True, False])
    seller, buyer = paper_compensation(energy, short, short, rows(PAPER_TERMS), both_and_none, both_and_none)
    assert not seller.any()
    assert not buyer.any()


def test_a_lone_defaulter_pays_its_partners_margin_under_the_published_rule() -> None:
    promised, short = np.array([[1 * MWH]] * 2), np.array([[800 * KWH], [1 * MWH]])
    seller_alone = np.array([True, False])
    seller, buyer = paper_compensation(promised, short, short[::-1], rows(PAPER_TERMS), seller_alone, ~seller_alone)
    # The generator: .21 * 200 = 42. The consumer: (.50 - .40) * 200 = 20.
    assert seller.tolist() == [[42 * CNY], [0]]
    assert buyer.tolist() == [[0], [20 * CNY]]


@given(markets(), st.data())
def test_the_published_penalty_is_its_formula(market: Market, data: st.DataObject) -> None:
    contracts, intervals = market.promised.shape
    flags = st.lists(st.booleans(), min_size=contracts, max_size=contracts)
    sellers, buyers = data.draw(flags), data.draw(flags)
    seller_pays, buyer_pays = paper_compensation(*market, np.array(sellers), np.array(buyers))
    for i, j in np.ndindex(contracts, intervals):
        terms = market.interval_terms(i, j)
        k = int(sellers[i] != buyers[i])
        seller = max(0, terms.grid_price - terms.price - terms.over_grid_fee)
        buyer = max(0, terms.price - terms.feed_in)
        missed_by_seller = max(0, int(market.promised[i, j]) - int(market.generated[i, j]))
        missed_by_buyer = max(0, int(market.promised[i, j]) - int(market.consumed[i, j]))
        assert seller_pays[i, j] == Money(k * sellers[i] * seller * missed_by_seller // 1_000)
        assert buyer_pays[i, j] == Money(k * buyers[i] * buyer * missed_by_buyer // 1_000)


@given(st.lists(st.tuples(energies, st.integers(-PRICE_MAX, PRICE_MAX)), min_size=1, max_size=8))
def test_the_cost_of_rows_is_that_of_each_entry(entries: list[tuple[Energy, int]]) -> None:
    columns = [np.array(column, dtype=np.int64) for column in zip(*entries, strict=True)]
    expected = [cost(energy, Price(price)) for energy, price in entries]
    assert cost_rows(*columns).tolist() == expected
    assert cost_rows(columns[0][None, :], columns[1]).tolist() == [expected]
