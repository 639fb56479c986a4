"""Credit, trust and traded energy after a day (A-9, A-10, A-16, B-2, L-5, L-21), in points worked by hand."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Energy, Points, Ppm
from wattquorum.standing.credit import (
    Kept,
    correct_points,
    credit_after_default,
    credit_after_performance,
    credit_after_performance_paper,
    decay,
    kept_of,
    traded_after,
    trust_after,
)

POINT = 1_000_000
FIFTY = Points(50 * POINT)
REFERENCE_SIDE = 15
MAX_SHARE = Ppm(66_667)  # 1/15

points = st.integers(0, POINTS_MAX).map(Points)
energies = st.one_of(st.integers(1, 10), st.integers(1, 10**9)).map(Energy)
shares = st.integers(1, MILLION).map(Ppm)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[Energy, Energy]:
    """(delivered, promised) with delivered < promised."""
    promised = draw(energies)
    return Energy(draw(st.integers(0, promised - 1))), promised


def equal(energy: int, owners: int) -> Kept:
    """What so many owners of one size have kept."""
    return kept_of([Energy(energy)] * owners)


# Kept promises ------------------------------------------------------------------------------------------------------


def test_one_of_fifteen_equal_generators_gains_a_fifteenth_of_what_is_missing() -> None:
    # 50 + (100 - 50) / 15 = 53.333333.
    assert credit_after_performance(FIFTY, Energy(100), equal(100, 15), REFERENCE_SIDE, MAX_SHARE) == 53_333_333
    assert credit_after_performance_paper(FIFTY, Energy(100), Energy(1_500)) == 53_333_333


def test_half_the_mean_gains_half_as_much_and_twice_the_mean_no_more_than_the_cap() -> None:
    # 50 + 50 / 30 = 51.666666; and at the cap 50 * .066667 = 3.33335.
    assert credit_after_performance(FIFTY, Energy(50), equal(100, 15), REFERENCE_SIDE, MAX_SHARE) == 51_666_666
    assert credit_after_performance(FIFTY, Energy(200), equal(100, 15), REFERENCE_SIDE, MAX_SHARE) == 53_333_350


def test_a_sole_trader_does_not_jump_to_a_hundred_as_the_paper_would_have_it() -> None:
    assert credit_after_performance_paper(FIFTY, Energy(7), Energy(7)) == POINTS_MAX
    assert credit_after_performance(FIFTY, Energy(7), equal(7, 1), REFERENCE_SIDE, MAX_SHARE) == 53_333_333


def test_standing_does_not_fade_to_nothing_among_a_thousand_members() -> None:
    # The paper: 50 + 50 / 1000 = 50.05. With the mean as the measure it is a fifteenth, as among fifteen.
    assert credit_after_performance_paper(FIFTY, Energy(100), Energy(100_000)) == 50_050_000
    assert credit_after_performance(FIFTY, Energy(100), equal(100, 1_000), REFERENCE_SIDE, MAX_SHARE) == 53_333_333


def test_a_day_without_promises_leaves_credit_as_it_is() -> None:
    assert credit_after_performance(FIFTY, Energy(0), kept_of([]), REFERENCE_SIDE, MAX_SHARE) == FIFTY
    assert credit_after_performance_paper(FIFTY, Energy(0), Energy(0)) == FIFTY


@given(points, energies, st.lists(energies, max_size=6), st.integers(1, 50), shares)
def test_a_kept_promise_gains_its_share_of_what_is_missing_rounded_once(
    credit: Points, delivered: Energy, others: list[Energy], reference_side: int, max_share: Ppm
) -> None:
    everybody = [delivered, *others]
    mean = Fraction(sum(each * each for each in everybody), sum(everybody))
    share = min(Fraction(delivered) / (reference_side * mean), Fraction(max_share, MILLION))
    after = credit_after_performance(credit, delivered, kept_of(everybody), reference_side, max_share)
    assert after == credit + floor((POINTS_MAX - credit) * share)
    assert credit <= after <= POINTS_MAX


@given(energies, st.lists(energies, min_size=1, max_size=30))
def test_a_tiny_promise_moves_nobodys_gain_by_more_than_a_millionth(delivered: Energy, others: list[Energy]) -> None:
    """Whatever its owner keeps or breaks: a Wh counts as a Wh."""
    before = kept_of([delivered, *others])
    after = kept_of([delivered, *others, Energy(1)])
    moved = Fraction(after.squares, after.total) / Fraction(before.squares, before.total)
    assert 1 - Fraction(1, before.total) <= moved <= 1 + Fraction(1, before.squares)


@given(points, energies, st.lists(energies, max_size=6))
def test_the_papers_gain_is_the_share_of_the_side(credit: Points, promised: Energy, others: list[Energy]) -> None:
    side = Energy(promised + sum(others))
    after = credit_after_performance_paper(credit, promised, side)
    assert after == credit + floor((POINTS_MAX - credit) * Fraction(promised, side))
    assert credit <= after <= POINTS_MAX


@given(points, energies)
def test_among_fifteen_of_one_size_the_live_rule_is_the_papers_below_the_cap(credit: Points, promised: Energy) -> None:
    paper = credit_after_performance_paper(credit, promised, Energy(15 * promised))
    live = credit_after_performance(credit, promised, equal(promised, 15), REFERENCE_SIDE, MAX_SHARE)
    assert live == min(paper, credit + (POINTS_MAX - credit) * MAX_SHARE // MILLION)


# Broken promises ----------------------------------------------------------------------------------------------------


def test_credit_falls_to_the_share_that_was_delivered() -> None:
    # 50 * .8 = 40.
    assert credit_after_default(FIFTY, Energy(800), Energy(1_000), Points(POINT)) == (40 * POINT, 10 * POINT)


def test_ten_contracts_a_tenth_short_count_once_on_the_days_sums() -> None:
    assert credit_after_default(FIFTY, Energy(10 * 90), Energy(10 * 100), Points(POINT)).credit == 45 * POINT
    one_by_one = FIFTY
    for _ in range(10):
        one_by_one = credit_after_default(one_by_one, Energy(90), Energy(100), Points(POINT)).credit
    assert 17_400_000 < one_by_one < 17_500_000  # 50 * .9 ** 10 = 17.43, had each contract counted alone


def test_a_default_costs_at_least_the_minimum_and_the_loss_before_it_is_told() -> None:
    # 50 * .99 = 49.5, a loss of half a point; the minimum is one.
    assert credit_after_default(FIFTY, Energy(990), Energy(1_000), Points(POINT)) == (49 * POINT, 500_000)


@pytest.mark.parametrize("credit", [0, 300_000])
def test_credit_does_not_fall_below_zero(credit: int) -> None:
    assert credit_after_default(Points(credit), Energy(0), Energy(1_000), Points(POINT)) == (0, credit)


@given(points, deliveries(), points)
def test_a_default_takes_the_missing_share_or_the_minimum(
    credit: Points, delivery: tuple[Energy, Energy], minimum: Points
) -> None:
    delivered, promised = delivery
    after, loss = credit_after_default(credit, delivered, promised, minimum)
    assert loss == credit - floor(credit * Fraction(delivered, promised))
    assert after == max(0, credit - max(minimum, loss))


@given(points, deliveries(), energies, points)
def test_delivering_more_never_leaves_less_credit(
    credit: Points, delivery: tuple[Energy, Energy], more: Energy, minimum: Points
) -> None:
    delivered, promised = delivery
    better = Energy(min(delivered + more, promised - 1))
    assert (
        credit_after_default(credit, better, promised, minimum).credit
        >= credit_after_default(credit, delivered, promised, minimum).credit
    )


# Trust and traded energy --------------------------------------------------------------------------------------------


def test_trust_falls_with_the_missing_share_and_does_not_rise_by_performing() -> None:
    m = Points(5 * POINT)
    # 50 - 5 * .2 = 49; nothing delivered costs all five.
    assert trust_after(FIFTY, Energy(800), Energy(1_000), m) == 49 * POINT
    assert trust_after(FIFTY, Energy(0), Energy(1_000), m) == 45 * POINT
    assert trust_after(FIFTY, Energy(1_000), Energy(1_000), m) == FIFTY
    assert trust_after(FIFTY, Energy(1_200), Energy(1_000), m) == FIFTY
    assert trust_after(FIFTY, Energy(0), Energy(0), m) == FIFTY


def test_trust_does_not_fall_below_zero() -> None:
    assert trust_after(Points(2 * POINT), Energy(0), Energy(1_000), Points(5 * POINT)) == 0


@given(points, deliveries(), points)
def test_trust_is_its_formula_rounded_once(trust: Points, delivery: tuple[Energy, Energy], m: Points) -> None:
    delivered, promised = delivery
    exact = trust - m * Fraction(promised - delivered, promised)
    assert trust_after(trust, delivered, promised, m) == max(0, floor(exact))


@given(st.integers(0, 10**15).map(Energy), energies, energies)
def test_traded_energy_grows_by_what_was_delivered_at_most_what_was_promised(
    traded: Energy, delivered: Energy, promised: Energy
) -> None:
    assert traded_after(traded, delivered, promised) == traded + min(delivered, promised)


# Decay --------------------------------------------------------------------------------------------------------------


def test_decay_takes_a_tenth() -> None:
    assert decay(FIFTY, Ppm(900_000)) == 45 * POINT
    assert decay(Points(9), Ppm(900_000)) == 8  # 8.1 toward zero


@given(points, shares)
def test_decay_is_rounded_once_toward_zero(value: Points, eta: Ppm) -> None:
    assert decay(value, eta) == floor(value * Fraction(eta, MILLION))


# Corrections --------------------------------------------------------------------------------------------------------

changes = st.lists(st.integers(-POINTS_MAX, POINTS_MAX), max_size=6)


def test_a_correction_that_is_undone_does_not_wash_away_what_another_day_has_cost() -> None:
    # Day 1 earned 3, day 2 cost all of 53. That day 1 was a default after all would cost 53 more, and there are none.
    down = correct_points(Points(0), -53 * POINT, 0)
    assert down == (0, -53 * POINT)
    assert correct_points(down.points, 53 * POINT, down.beyond) == (0, 0)
    # What was earned in between stays, and half of the undoing gives nothing back.
    assert correct_points(Points(4 * POINT), 20 * POINT, down.beyond) == (4 * POINT, -33 * POINT)
    assert correct_points(Points(4 * POINT), 60 * POINT, down.beyond) == (11 * POINT, 0)


@given(points, changes)
def test_corrections_that_add_up_to_nothing_leave_no_trace(value: Points, some: list[int]) -> None:
    now, beyond = value, 0
    for change in (*some, -sum(some)):
        now, beyond = correct_points(now, change, beyond)
        assert 0 <= now <= POINTS_MAX
    assert (now, beyond) == (value, 0)


@given(points, st.integers(-POINTS_MAX, POINTS_MAX))
def test_a_correction_inside_the_range_is_its_difference(value: Points, change: int) -> None:
    if 0 <= value + change <= POINTS_MAX:
        assert correct_points(value, change, 0) == (value + change, 0)
