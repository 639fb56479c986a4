"""What an obliged account settles to, what it can move, and what it carries over (A-14, L-19). Grams of CO2."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import POINTS_MAX, Carbon
from wattquorum.green.carbon import Period, carried_over, settlement, transferable
from wattquorum.standing.weight import CarbonOutcome, carbon

TONNE = 1_000_000
grams = st.one_of(st.integers(0, 5), st.integers(0, 10**15)).map(Carbon)
deficits = st.one_of(st.integers(-5, 0), st.integers(-(10**15), 0)).map(Carbon)
periods = st.builds(Period, deficits, grams, grams, grams, grams, st.just(True))


def period(carried: int, quota: int, bought: int, sold: int, emitted: int) -> Period:
    amounts = [Carbon(tonnes * TONNE) for tonnes in (carried, quota, bought, sold, emitted)]
    return Period(amounts[0], amounts[1], amounts[2], amounts[3], amounts[4], reported=True)


def test_the_worked_settlements_of_the_rules() -> None:
    # Quotas of 100 t each; -50, 0 and 80 t are left: 0, 50/130 and 100 points.
    accounts = [period(0, 100, 0, 30, 120), period(-20, 100, 40, 0, 120), period(0, 100, 0, 0, 20)]
    left = [settlement(each) for each in accounts]
    assert left == [-50 * TONNE, 0, 80 * TONNE]
    assert [transferable(each) for each in accounts] == [0, 0, 80 * TONNE]
    assert [carried_over(each) for each in accounts] == [-50 * TONNE, 0, 0]
    points = carbon([CarbonOutcome(True, each.quota, own) for each, own in zip(accounts, left, strict=True)])
    assert points == [0, 38_461_538, POINTS_MAX]


@given(periods)
def test_a_settlement_is_a_surplus_that_can_be_moved_or_a_deficit_that_is_carried_and_never_both(own: Period) -> None:
    left = 0
    for amount in (own.carried, own.quota, own.bought):
        left += amount
    for amount in (own.sold, own.emitted):
        left -= amount
    assert settlement(own) == left == transferable(own) + carried_over(own)
    assert transferable(own) >= 0 >= carried_over(own)
    assert not transferable(own) or not carried_over(own)


@given(periods, st.data())
def test_who_moves_no_more_than_is_transferable_has_no_deficit_of_it(own: Period, data: st.DataObject) -> None:
    moved = data.draw(st.integers(0, transferable(own)))
    after = own._replace(sold=Carbon(own.sold + moved))
    assert settlement(after) == settlement(own) - moved
    assert carried_over(after) == carried_over(own)


@given(periods)
def test_before_emissions_are_verified_nothing_can_be_moved(own: Period) -> None:
    assert transferable(own._replace(reported=False)) == 0


@given(deficits)
def test_a_deficit_comes_off_the_next_period(deficit: Carbon) -> None:
    following = Period(deficit, Carbon(-deficit), Carbon(0), Carbon(0), Carbon(0), True)
    assert settlement(following) == transferable(following) == carried_over(following) == 0
