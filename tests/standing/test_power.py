"""Voting power keeps its promise: any t losses leave a quorum, no quorum has t members or fewer, order stays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Points, VotingPower
from wattquorum.foundation.refusals import Refused
from wattquorum.standing.power import (
    FLOOR,
    QuorumSizes,
    project,
    quorum_sizes,
    ranked,
    tolerance_default,
    tolerance_max,
    total_power,
)

POINT = 1_000_000


def addresses(count: int) -> list[bytes]:
    return [i.to_bytes(20, "big") for i in range(count)]


def powers_of(points: Sequence[int], tolerance: int) -> list[VotingPower]:
    return project([Points(each * POINT) for each in points], addresses(len(points)), tolerance)


def decides(powers: Sequence[int], members: Sequence[int]) -> bool:
    return 2 * sum(powers[i] for i in members) > sum(powers)


def keeps_its_promise(weights: Sequence[int], powers: Sequence[int], tolerance: int) -> bool:
    """The promise by the t heaviest and the t lightest, which decide for all sets of t."""
    count = len(powers)
    heaviest = sorted(range(count), key=powers.__getitem__, reverse=True)
    order = all(
        powers[i] >= powers[j]
        for i, j in combinations(sorted(range(count), key=lambda i: -weights[i]), 2)
        if weights[i] > weights[j]
    )
    return (
        order
        and sum(powers) == total_power(count)
        and min(powers) > 0
        and not decides(powers, heaviest[:tolerance])
        and decides(powers, heaviest[tolerance:])
    )


# By hand


def test_without_standing_all_are_equal() -> None:
    assert powers_of([0, 0, 0, 0], 1) == [250_000] * 4


def test_weights_that_threaten_nobody_stay_as_they_are() -> None:
    # u = 10, 20, 30, 40 of 100: the heaviest holds 40 %, below 1/2 - 1/16.
    assert powers_of([9, 19, 29, 39], 1) == [100_000, 200_000, 300_000, 400_000]


def test_a_member_with_nearly_all_weight_is_brought_below_half() -> None:
    # u = 101, 1, 1: n = 3, t = 1. 4nT - (2n-1)S = 12 * 101 - 5 * 103 = 697; the scale is (5 - 4) * 3 = 3.
    # 3 * 101 + 697 = 1,000 and 3 + 697 = 700 twice, of 2,400: 5/12 = 1/2 * (1 - 1/6), 7/24, 7/24.
    assert powers_of([100, 0, 0], 1) == [416_667, 291_667, 291_666]


def test_among_two_members_neither_decides_alone() -> None:
    powers = powers_of([100, 0], 0)
    assert powers == [500_000, 500_000]
    assert quorum_sizes(powers) == QuorumSizes(2, 2)


def test_one_member_decides_and_none_decides_nothing() -> None:
    assert powers_of([0], 0) == [MILLION]
    assert powers_of([], 0) == []
    assert quorum_sizes([]) == QuorumSizes(0, 0)


def test_ranks_go_by_power_and_then_by_address() -> None:
    powers = powers_of([5, 80, 5, 60], 1)
    assert ranked(powers, addresses(4)) == [1, 3, 0, 2]


def test_the_tolerance_decides_how_few_can_decide() -> None:
    # One heavy, one less so, five light: the lower the tolerance, the fewer members make a quorum.
    weights = [100, 60, 5, 5, 5, 5, 5]
    sizes = [quorum_sizes(powers_of(weights, tolerance)) for tolerance in range(4)]
    assert sizes == [QuorumSizes(1, 7), QuorumSizes(2, 6), QuorumSizes(3, 5), QuorumSizes(4, 4)]


def test_tolerances_by_number_of_members() -> None:
    assert [tolerance_default(n) for n in range(11)] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3]
    assert [tolerance_max(n) for n in range(8)] == [0, 0, 0, 1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("weights", "tolerance", "floor", "field"),
    [([1, 1, 1], 2, 1, "tolerance"), ([1, 1, 1], -1, 1, "tolerance"), ([-1], 0, 1, "weights"), ([1], 0, 0, "floor")],
)
def test_what_cannot_be_projected_is_refused(weights: list[int], tolerance: int, floor: int, field: str) -> None:
    with pytest.raises(Refused) as refused:
        project([Points(each) for each in weights], addresses(len(weights)), tolerance, Points(floor))
    assert (refused.value.code, refused.value.field) == ("out_of_range", field)


# The promise


@pytest.mark.parametrize("count", range(1, 10))
def test_the_promise_holds_for_all_weights_of_four_kinds_up_to_order(count: int) -> None:
    """Every set of t is tried for up to 6 members; for more the t heaviest stand for them, as they do there."""
    for points in combinations_with_replacement((0, 1, 50, 100), count):
        for tolerance in range(tolerance_max(count) + 1):
            powers = powers_of(points, tolerance)
            assert keeps_its_promise(points, powers, tolerance), (points, tolerance, powers)
            if count <= 6:
                for lost in combinations(range(count), tolerance):
                    assert decides(powers, [i for i in range(count) if i not in lost])
                    assert not decides(powers, lost)


@given(
    st.lists(
        st.one_of(st.sampled_from((0, 1, POINT, POINTS_MAX)), st.integers(0, POINTS_MAX)), min_size=1, max_size=60
    ),
    st.integers(0, 10**6),
    st.integers(1, 10 * POINT),
)
def test_the_promise_holds_for_any_weights(weights: list[int], choice: int, floor: int) -> None:
    tolerance = choice % (tolerance_max(len(weights)) + 1)
    powers = project([Points(each) for each in weights], addresses(len(weights)), tolerance, Points(floor))
    assert keeps_its_promise(weights if len(weights) > 2 else [0] * len(weights), powers, tolerance)


@pytest.mark.parametrize("count", [100, 499, 700])
def test_the_promise_holds_for_hundreds_of_members(count: int) -> None:
    chance = Random(count)
    for tolerance in (0, 1, tolerance_default(count), tolerance_max(count)):
        for heavy in (0, 1, count // 4, count):
            weights = [chance.randint(0, POINTS_MAX) if i < heavy else chance.randint(0, POINT) for i in range(count)]
            powers = project([Points(each) for each in weights], addresses(count), tolerance)
            assert keeps_its_promise(weights, powers, tolerance)


@given(st.lists(st.integers(0, POINTS_MAX), min_size=3, max_size=20))
def test_at_the_greatest_tolerance_of_an_odd_number_weights_decide_nothing(weights: list[int]) -> None:
    weights = weights if len(weights) % 2 else weights[:-1]
    powers = project([Points(each) for each in weights], addresses(len(weights)), tolerance_max(len(weights)))
    assert quorum_sizes(powers) == QuorumSizes(len(weights) // 2 + 1, len(weights) // 2 + 1)


def test_below_the_greatest_tolerance_weights_that_force_it_decide_otherwise_than_heads() -> None:
    """One member of all weight and t < (n - 1) // 2: with it fewer than a plain majority decide."""
    for count in range(5, 40):
        for tolerance in range(1, tolerance_max(count)):
            sizes = quorum_sizes(powers_of([100] * tolerance + [0] * (count - tolerance), tolerance))
            assert sizes.fewest < count // 2 + 1


@given(st.lists(st.integers(0, POINTS_MAX), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_members_changes_nothing(weights: list[int], chance: Random) -> None:
    order = list(range(len(weights)))
    chance.shuffle(order)
    tolerance = tolerance_default(len(weights))
    names = addresses(len(weights))
    given_order = project([Points(each) for each in weights], names, tolerance)
    shuffled = project([Points(weights[i]) for i in order], [names[i] for i in order], tolerance)
    assert shuffled == [given_order[i] for i in order]


def test_the_floor_is_one_point() -> None:
    assert FLOOR == POINT
