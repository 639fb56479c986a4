"""Default, fine and who receives it (A-18, A-19, L-3 to L-5, L-8, L-11). Amounts worked by hand are in CNY."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import CNY, KWH, MWH, energies, energy_array
from wattquorum.foundation.quantities import POINTS_MAX, Energy, Money, Points, Ppm
from wattquorum.foundation.vectors import Int64s
from wattquorum.market.penalties import (
    Fine,
    apportion_fine,
    defaults,
    fine,
    fine_points,
    share_fines,
    shortfall_rows,
)

MU = 5_000  # .005 CNY per kWh and point
POINT = Points(1_000_000)
FIVE_PERCENT = Ppm(50_000)

amounts = st.one_of(st.integers(0, 20), st.integers(0, 10**12)).map(Money)
points = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, POINTS_MAX)).map(Points)


# Default ------------------------------------------------------------------------------------------------------------


def test_the_tolerance_is_still_performance_and_one_wh_beyond_it_is_default() -> None:
    assert not defaults(Energy(1 * MWH), Energy(50 * KWH), FIVE_PERCENT)
    assert defaults(Energy(1 * MWH), Energy(50 * KWH + 1), FIVE_PERCENT)
    assert defaults(Energy(1 * MWH), Energy(1), Ppm(0))


@pytest.mark.parametrize("tolerance", [0, 50_000, 500_000])
def test_who_promised_nothing_or_kept_everything_does_not_default(tolerance: int) -> None:
    assert not defaults(Energy(0), Energy(0), Ppm(tolerance))
    assert not defaults(Energy(1), Energy(0), Ppm(tolerance))


@given(energies, energies, st.integers(0, 500_000).map(Ppm))
def test_default_is_delivering_less_than_the_tolerated_share(
    promised: Energy, shortfall: Energy, tolerance: Ppm
) -> None:
    shortfall = min(shortfall, promised)
    assert defaults(promised, shortfall, tolerance) == (
        promised - shortfall < promised * (1 - Fraction(tolerance, 1_000_000))
    )


def test_intervals_under_a_recorded_fault_are_left_out_of_the_test() -> None:
    promised, allotted = np.array([[100, 100, 100]]), np.array([[0, 90, 130]])
    assert shortfall_rows(promised, allotted, np.array([[True, True, True]])).tolist() == [110]
    assert shortfall_rows(promised, allotted, np.array([[False, True, True]])).tolist() == [10]
    assert shortfall_rows(promised, allotted, np.array([False, False, True])).tolist() == [0]


@given(st.data(), st.integers(1, 4), st.integers(1, 6))
def test_shortfalls_add_up_what_each_tested_interval_missed(
    data: st.DataObject, contracts: int, intervals: int
) -> None:
    promised, allotted = (
        data.draw(energy_array((contracts, intervals))),
        data.draw(energy_array((contracts, intervals))),
    )
    flags = st.lists(st.booleans(), min_size=intervals, max_size=intervals)
    tested = data.draw(st.lists(flags, min_size=contracts, max_size=contracts))
    before = promised.copy()
    expected = [
        sum(max(0, int(promised[i, j]) - int(allotted[i, j])) for j in range(intervals) if tested[i][j])
        for i in range(contracts)
    ]
    assert shortfall_rows(promised, allotted, np.array(tested)).tolist() == expected
    assert np.array_equal(promised, before)


# The fine -----------------------------------------------------------------------------------------------------------


def test_the_fine_of_ten_points_on_one_mwh() -> None:
    # .005 * 10 * 1000 = 50.
    assert fine(MU, Points(10 * POINT), Energy(1 * MWH)) == 50 * CNY


def test_a_default_that_cost_little_credit_is_fined_for_the_minimum() -> None:
    assert fine_points(Points(250_000), POINT) == POINT
    assert fine_points(Points(0), POINT) == POINT  # who has no credit left pays all the same
    assert fine_points(Points(10 * POINT), POINT) == 10 * POINT
    # .005 * 1 * 1000 = 5.
    assert fine(MU, fine_points(Points(0), POINT), Energy(1 * MWH)) == 5 * CNY


@given(st.integers(0, 10**9), points, energies)
def test_the_fine_is_its_product_rounded_once_toward_zero(mu: int, lost: Points, promised: Energy) -> None:
    assert fine(mu, lost, promised) == Fraction(mu * lost * promised, 10**9).__floor__()


def test_a_fine_is_divided_among_contracts_by_what_each_missed() -> None:
    # 50 over shortfalls of 150, 50 and 0 kWh: 37.50, 12.50 and nothing.
    missed = [Energy(150 * KWH), Energy(50 * KWH), Energy(0)]
    caps = [Money(50 * CNY)] * 3
    assert apportion_fine(Money(50 * CNY), missed, caps, [b"a", b"b", b"c"]) == [37_500_000, 12_500_000, 0]


def test_the_last_unit_of_a_fine_goes_by_contract_id() -> None:
    assert apportion_fine(Money(10), [Energy(7)] * 3, [Money(10)] * 3, [b"c", b"a", b"b"]) == [3, 4, 3]


def test_what_exceeds_a_contracts_collateral_goes_to_the_others_by_ascending_id() -> None:
    # 100 over shortfalls 8, 2, 0 are 80, 20, 0. c holds 30: of the 50 that are left a takes 15, up to its 15, b 35.
    missed, keys = [Energy(8), Energy(2), Energy(0)], [b"c", b"b", b"a"]
    assert apportion_fine(Money(100), missed, [Money(30), Money(60), Money(15)], keys) == [30, 55, 15]
    # Where all are full the rest is dropped.
    assert apportion_fine(Money(100), missed, [Money(30), Money(20), Money(15)], keys) == [30, 20, 15]


@given(amounts, st.lists(st.tuples(energies, amounts), min_size=1, max_size=6))
def test_the_parts_of_a_fine_add_up_to_it_or_to_all_the_collateral(
    total: Money, contracts: list[tuple[Energy, Money]]
) -> None:
    missed, caps = [each for each, _ in contracts], [cap for _, cap in contracts]
    keys = [bytes([i]) for i in range(len(missed))]
    parts = apportion_fine(total, missed, caps, keys)
    assert sum(parts) == min(total, sum(caps))
    assert all(0 <= part <= cap for part, cap in zip(parts, caps, strict=True))
    if any(missed):
        wide = apportion_fine(total, missed, [total] * len(missed), keys)
        assert all(part == 0 for part, each in zip(wide, missed, strict=True) if each == 0)


# Shares -------------------------------------------------------------------------------------------------------------


def shared(amount: int, performers: list[tuple[bytes, Points]]) -> list[int]:
    """One fine's shares when it excludes nobody."""
    shares, rest = share_fines([Fine(Money(amount), ())], performers)
    assert rest == (0 if performers else amount)
    return list(shares)


def test_a_fine_is_shared_in_proportion_to_credit() -> None:
    performers = [(b"n", Points(90 * POINT)), (b"p", Points(60 * POINT)), (b"q", Points(0))]
    # 50 over 90, 60 and 0 of 150: 30, 20 and nothing.
    assert shared(50 * CNY, performers) == [30 * CNY, 20 * CNY, 0]


def test_the_last_units_go_to_the_largest_remainders() -> None:
    # 7 over 5, 3 and 1 of 9: 3.89, 2.33 and .78.
    assert shared(7, [(b"n", Points(5)), (b"p", Points(3)), (b"q", Points(1))]) == [4, 2, 1]


def test_performers_without_credit_share_equally_and_ties_go_by_address() -> None:
    assert shared(8, [(b"q", Points(0)), (b"n", Points(0)), (b"p", Points(0))]) == [2, 3, 3]


def test_where_nobody_performed_all_of_a_fine_is_left() -> None:
    assert share_fines([Fine(Money(50 * CNY), ())], []) == ([], 50 * CNY)
    # The only performer is a side of the contract.
    assert share_fines([Fine(Money(7), (0,))], [(b"n", POINT)]) == ([0], 7)


def test_fines_of_a_day_are_shared_each_among_those_it_does_not_exclude() -> None:
    # Credits 1, 2, 3. A fine of 12 among all: 2, 4, 6. One of 10 without the third, over 1 and 2: 3.33, 6.67.
    performers = [(b"n", Points(POINT)), (b"p", Points(2 * POINT)), (b"q", Points(3 * POINT))]
    shares, rest = share_fines([Fine(Money(12 * CNY), ()), Fine(Money(10 * CNY), (2,))], performers)
    assert (shares, rest) == ([5_333_333, 10_666_667, 6 * CNY], 0)


performer_lists = st.lists(points, min_size=1, max_size=8).map(
    lambda earned: [(bytes([i]) * 20, credit) for i, credit in enumerate(earned)]
)


@st.composite
def fined_days(draw: st.DrawFn) -> tuple[list[Fine], list[tuple[bytes, Points]]]:
    performers = draw(performer_lists)
    places = st.lists(st.sampled_from(range(len(performers))), max_size=3, unique=True).map(tuple)
    return draw(st.lists(st.builds(Fine, amounts, places), max_size=6)), performers


@given(fined_days())
def test_shares_add_up_to_the_fines_and_are_each_the_exact_sum_rounded_once(
    day: tuple[list[Fine], list[tuple[bytes, Points]]],
) -> None:
    fines, performers = day
    shares, rest = share_fines(fines, performers)
    exact, left = [Fraction(0)] * len(performers), 0
    for amount, excluded in fines:
        eligible = [i for i in range(len(performers)) if i not in excluded]
        whole = sum(performers[i][1] for i in eligible)
        left += 0 if eligible else amount
        for i in eligible:
            exact[i] += Fraction(amount * performers[i][1], whole) if whole else Fraction(amount, len(eligible))
    assert rest == left
    assert sum(shares) + rest == sum(amount for amount, _ in fines)
    for share, due in zip(shares, exact, strict=True):
        assert abs(share - due) < 1 + Fraction(1, 10**9)
        assert share == 0 or due > 0


@given(fined_days(), st.randoms(use_true_random=False))
def test_the_order_of_fines_and_performers_changes_nothing(
    day: tuple[list[Fine], list[tuple[bytes, Points]]], chance: Random
) -> None:
    fines, performers = day
    order = list(range(len(performers)))
    chance.shuffle(order)
    moved = [Fine(amount, tuple(order.index(i) for i in excluded)) for amount, excluded in fines]
    chance.shuffle(moved)
    shares, rest = share_fines(fines, performers)
    assert share_fines(moved, [performers[i] for i in order]) == ([shares[i] for i in order], rest)


@given(amounts, performer_lists)
def test_twenty_accounts_without_credit_change_nobodys_share(
    amount: Money, performers: list[tuple[bytes, Points]]
) -> None:
    performers = [*performers, (b"y" * 20, POINT)]
    idle = [(bytes([100 + i]) * 20, Points(0)) for i in range(20)]
    shares = shared(amount, idle + performers)
    assert shares[20:] == shared(amount, performers)
    assert all(share == 0 for share in shares[:20])


@given(amounts, points, st.integers(1, 8), st.randoms(use_true_random=False))
def test_relabelling_equal_performers_changes_only_who_gets_the_last_unit(
    amount: Money, credit: Points, count: int, chance: Random
) -> None:
    addresses = [bytes([i]) * 20 for i in range(count)]
    relabelled = list(addresses)
    chance.shuffle(relabelled)
    shares = shared(amount, [(address, credit) for address in addresses])
    others = shared(amount, [(address, credit) for address in relabelled])
    assert sorted(shares) == sorted(others)
    assert all(abs(share - other) <= 1 for share, other in zip(shares, others, strict=True))


def test_fines_of_a_large_community_are_shared_in_time_linear_in_them() -> None:
    """2,000 fines among 9,500 performers are 19 million parts, which no loop of this test could wait for."""
    performers = [(i.to_bytes(20, "big"), Points(i * 7_919 % POINTS_MAX)) for i in range(9_500)]
    fines = [Fine(Money(1_000_003 + i), (i, 9_499 - i)) for i in range(2_000)]
    shares, rest = share_fines(fines, performers)
    assert (sum(shares), rest) == (sum(amount for amount, _ in fines), 0)


@given(energy_array((1, 4)), energy_array((1, 4)))
def test_shortfall_is_counted_interval_by_interval(promised: Int64s, allotted: Int64s) -> None:
    """So that a node gains nothing by delivering early or late, and surplus earns no excuse."""
    tested = np.full((1, 4), fill_value=True)
    generous = allotted.copy()
    generous[0, 0] += 1_000
    assert shortfall_rows(promised, generous, tested)[0] <= shortfall_rows(promised, allotted, tested)[0]
    assert shortfall_rows(promised, np.minimum(allotted, promised), tested) == shortfall_rows(
        promised, allotted, tested
    )
