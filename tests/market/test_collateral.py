"""Collateral covers whatever the meters may show, and little more (L-7). Amounts worked by hand are in CNY."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.market.cases import CNY, MWH, PAPER_TERMS, energy_array, price_array, rows, terms_in_band
from wattquorum.foundation.quantities import POINTS_MAX, Energy, Points
from wattquorum.foundation.vectors import Int64s
from wattquorum.market.collateral import ROUNDING_PER_INTERVAL, at_stake, collateral
from wattquorum.market.penalties import fine
from wattquorum.market.settlement import paper_compensation, settle_rows
from wattquorum.market.terms import Policy, TermRows, Terms

MU = 5_000  # .005 CNY per kWh and point
TEN = Points(10_000_000)
points = st.integers(0, POINTS_MAX).map(Points)


# Worked by hand -----------------------------------------------------------------------------------------------------


def test_the_locks_of_one_mwh_at_the_papers_tariff() -> None:
    locks = collateral(np.array([1 * MWH]), rows(PAPER_TERMS), MU, TEN, TEN, Policy.TRUE_LOSS)
    # Fine for either: .005 * 10 * 1000 = 50. Seller: (.75 - .50 - .04) * 1000 = 210.
    assert locks.seller == (210 + 50) * CNY + ROUNDING_PER_INTERVAL
    # Buyer: (.50 - .40) * 1000 = 100, and all of it from the grid, .75 * 1000 = 750.
    assert locks.buyer == (100 + 750 + 50) * CNY + ROUNDING_PER_INTERVAL


def test_without_penalties_a_seller_locks_nothing_and_a_buyer_what_it_may_have_to_pay() -> None:
    locks = collateral(np.array([1 * MWH]), rows(PAPER_TERMS), MU, TEN, TEN, Policy.OFF)
    assert locks == (ROUNDING_PER_INTERVAL, 750 * CNY + ROUNDING_PER_INTERVAL)


def test_a_seller_at_a_negative_price_locks_what_it_pays() -> None:
    terms = rows(Terms._make((-100_000, -200_000, 50_000, 40_000)))
    locks = collateral(np.array([1 * MWH]), terms, 0, TEN, TEN, Policy.TRUE_LOSS)
    # At worst all goes to the grid at -.20; and compensation (.05 + .10 - .04) * 1000 = 110.
    assert locks.seller == (200 + 110) * CNY + ROUNDING_PER_INTERVAL
    # Compensation (-.10 + .20) * 1000 = 100; it earns by taking delivery, .05 from the grid or .04 of fee are payable.
    assert locks.buyer == (100 + 50) * CNY + ROUNDING_PER_INTERVAL


def test_what_the_grid_pays_a_buyer_is_not_set_off_against_what_it_owes_its_partner() -> None:
    terms = rows(Terms._make((500_000, 500_000, 400_000, -200_000)))
    locks = collateral(np.array([1 * MWH]), terms, 0, TEN, TEN, Policy.OFF)
    # .50 to the partner, although .20 come back: the partner is paid first.
    assert locks.buyer == 500 * CNY + ROUNDING_PER_INTERVAL


def test_intervals_that_promise_nothing_lock_nothing() -> None:
    busy = collateral(np.array([1 * MWH]), rows(PAPER_TERMS), MU, TEN, TEN, Policy.TRUE_LOSS)
    mostly_idle = collateral(np.array([0, 0, 1 * MWH, 0]), rows(PAPER_TERMS, 4), MU, TEN, TEN, Policy.TRUE_LOSS)
    assert busy == mostly_idle


@pytest.mark.parametrize(
    ("credit", "staked"),
    [
        (0, 1_000_000),  # a newcomer without credit still has the minimum to lose
        (400_000, 1_000_000),
        (7_500_000, 7_500_000),
        (50_000_000, 10_000_000),  # and the most trusted is not charged most
    ],
)
def test_the_credit_at_stake_is_bounded_on_both_sides(credit: int, staked: int) -> None:
    assert at_stake(Points(credit), TEN, Points(1_000_000)) == staked


# The promise --------------------------------------------------------------------------------------------------------


class Delivery(NamedTuple):
    """A contract and what its meters may show: energies [intervals], nothing allotted beyond the promise."""

    promised: Int64s
    generated: Int64s
    consumed: Int64s
    terms: TermRows


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    intervals = draw(st.integers(1, 6))
    promised = draw(energy_array((intervals,)))
    shares = arrays(np.int64, (intervals,), elements=st.one_of(st.sampled_from([0, 1_000]), st.integers(0, 1_000)))
    terms = TermRows(
        *(draw(st.sampled_from([(intervals,), (1,), ()]).flatmap(price_array)) for _ in range(4)),
    )
    return Delivery(promised, promised * draw(shares) // 1_000, promised * draw(shares) // 1_000, terms)


@given(deliveries(), st.sampled_from(Policy), points, points, st.integers(0, 10**9), st.booleans(), st.booleans())
def test_a_lock_covers_all_that_its_side_has_to_pay_whatever_is_metered(
    delivery: Delivery,
    policy: Policy,
    seller_points: Points,
    buyer_points: Points,
    mu: int,
    seller_defaults: bool,
    buyer_defaults: bool,
) -> None:
    """Every transfer against the side counts in full; what it earns meanwhile is not set off."""
    promised, generated, consumed = (each.reshape(1, -1) for each in delivery[:3])
    locks = collateral(delivery.promised, delivery.terms, mu, seller_points, buyer_points, policy)
    money = settle_rows(promised, generated, consumed, delivery.terms, policy)
    seller, buyer = money.seller_compensation, money.buyer_compensation
    if policy is Policy.PAPER:
        flags = np.array([seller_defaults]), np.array([buyer_defaults])
        seller, buyer = paper_compensation(promised, generated, consumed, delivery.terms, *flags)
    seller_pays = [-money.energy, -money.grid_sale, seller]
    buyer_pays = [money.energy, money.over_grid_fee, money.grid_purchase, buyer]
    fines = [0, 0]
    if policy is not Policy.OFF:
        total = Energy(int(promised.sum()))
        fines = [fine(mu, seller_points, total), fine(mu, buyer_points, total)]
    assert sum(int(np.maximum(each, 0).sum()) for each in seller_pays) + fines[0] <= locks.seller
    assert sum(int(np.maximum(each, 0).sum()) for each in buyer_pays) + fines[1] <= locks.buyer


@given(terms_in_band(), energy_array((3,)), points)
def test_inside_the_band_a_seller_that_delivers_nothing_uses_up_its_lock(
    terms: Terms, promised: Int64s, staked: Points
) -> None:
    """Where no price is negative; to the rounding, at most six units an interval and one for the fine."""
    lift = max(0, -terms.feed_in)
    terms = Terms._make((terms.price + lift, terms.feed_in + lift, terms.grid_price + lift, terms.over_grid_fee))
    nothing = np.zeros((1, 3), dtype=np.int64)
    money = settle_rows(promised.reshape(1, 3), nothing, promised.reshape(1, 3), rows(terms, 3))
    owed = int(money.seller_compensation.sum()) + fine(MU, staked, Energy(int(promised.sum())))
    lock = collateral(promised, rows(terms, 3), MU, staked, staked, Policy.TRUE_LOSS).seller
    assert 0 <= lock - owed <= 3 * (ROUNDING_PER_INTERVAL + 2) + 1


@given(deliveries(), st.sampled_from(Policy), points, st.integers(0, 10**9))
def test_a_smaller_promise_never_needs_a_larger_lock(
    delivery: Delivery, policy: Policy, staked: Points, mu: int
) -> None:
    """Curtailment can only set collateral free."""
    before = collateral(delivery.promised, delivery.terms, mu, staked, staked, policy)
    after = collateral(delivery.generated, delivery.terms, mu, staked, staked, policy)
    assert after.seller <= before.seller
    assert after.buyer <= before.buyer
