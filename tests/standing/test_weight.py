"""Weights and their components, in points worked by hand (A-7, A-8, A-11, A-13 to A-15, L-12, L-17 to L-20)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Carbon, Energy, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.standing.weight import (
    NEUTRAL,
    CarbonOutcome,
    Coefficients,
    Components,
    Scale,
    VolumeScale,
    carbon,
    certificates,
    check_coefficients,
    line,
    prosumer_weight,
    volume,
    volume_scale,
    weight,
)

POINT = 1_000_000
ONE = Ppm(MILLION)
TONNE = 1_000_000
GENERATOR = Coefficients(*map(Ppm, (300_000, 150_000, 150_000, 150_000, 150_000, 100_000)))
CONSUMER = Coefficients(*map(Ppm, (350_000, 150_000, 200_000, 150_000, 150_000, 0)))

points = st.integers(0, POINTS_MAX).map(Points)
components = st.builds(Components, *[points] * 6)


def addresses(count: int) -> list[bytes]:
    return [i.to_bytes(20, "big") for i in range(count)]


# Weight


def test_a_generators_weight_is_its_components_weighed() -> None:
    found = weight(Components(*(Points(each * POINT) for each in (80, 60, 40, 20, 100, 90))), GENERATOR)
    # .30*80 + .15*60 + .15*40 + .15*20 + .15*100 + .10*90
    assert found == 66 * POINT


def test_a_consumers_weight_knows_no_line() -> None:
    found = weight(Components(*(Points(each * POINT) for each in (80, 60, 40, 20, 100, 0))), CONSUMER)
    # .35*80 + .15*60 + .20*40 + .15*20 + .15*100
    assert found == 63 * POINT


@given(components)
def test_a_weight_lies_between_its_smallest_and_its_largest_component(parts: Components) -> None:
    found = weight(parts, GENERATOR)
    assert min(parts) - 1 <= found <= max(parts)


@pytest.mark.parametrize("wrong", [(300_000,) * 6, (1_000_001, -1, 0, 0, 0, 0)])
def test_coefficients_are_not_negative_and_add_up_to_one(wrong: Sequence[int]) -> None:
    check_coefficients(GENERATOR)
    with pytest.raises(Refused) as refused:
        check_coefficients(Coefficients(*map(Ppm, wrong)))
    assert refused.value.code == "parameter_out_of_range"


def test_a_prosumers_weight_is_averaged_by_what_it_traded_on_either_side() -> None:
    generator, consumer = Points(80 * POINT), Points(20 * POINT)
    assert prosumer_weight(generator, Energy(3_000), consumer, Energy(1_000)) == 65 * POINT
    assert prosumer_weight(generator, Energy(0), consumer, Energy(0)) == 50 * POINT
    assert prosumer_weight(generator, Energy(1), consumer, Energy(0)) == generator


# Volume


def test_volume_runs_between_the_sizes_within_which_nine_tenths_of_the_energy_lie() -> None:
    # 1 to 20 kWh are 210: the first 10.5 of them are with those up to 5 kWh, the last 10.5 with 20.
    scale = volume_scale([Energy(each * 1_000) for each in range(1, 21)])
    assert scale == VolumeScale(Energy(5_000), Energy(20_000))
    assert volume(Energy(12_500), scale, ONE) == 50 * POINT
    assert volume(Energy(20_000), scale, ONE) == volume(Energy(25_000), scale, ONE) == 100 * POINT
    assert volume(Energy(0), scale, ONE) == volume(Energy(5_000), scale, ONE) == 0
    assert volume(Energy(12_500), scale, Ppm(500_000)) == 25 * POINT


@given(st.lists(st.integers(1_000, 10**9).map(Energy), min_size=3, max_size=40), st.integers(1, 9))
def test_tiny_promises_move_nobodys_scale(kept: list[Energy], tiny: int) -> None:
    """Up to nine owners of a Wh each, beside three or more that keep 1 kWh or more."""
    assert volume_scale([*kept, *[Energy(1)] * tiny]) == volume_scale(kept) or sum(kept) * 5 % 100 < 100 * tiny


def test_where_all_promise_the_same_or_nobody_anything_volume_counts_nothing() -> None:
    assert volume(Energy(5), volume_scale([Energy(5)] * 9), ONE) == 0
    assert volume(Energy(5), volume_scale([]), ONE) == 0


@given(
    st.lists(st.integers(0, 10**9).map(Energy), min_size=1, max_size=40), st.integers(0, 10**9), st.integers(0, 10**9)
)
def test_more_volume_never_counts_less(kept: list[Energy], one: int, other: int) -> None:
    scale = volume_scale(kept)
    low, high = sorted((one, other))
    assert 0 <= volume(Energy(low), scale, ONE) <= volume(Energy(high), scale, ONE) <= POINTS_MAX


# Certificates


def test_certificates_count_by_share_or_by_the_most_held() -> None:
    assert certificates([6, 3, 1, 0], addresses(4), Scale.SHARE) == [60 * POINT, 30 * POINT, 10 * POINT, 0]
    assert certificates([6, 3, 1, 0], addresses(4), Scale.MAX) == [100 * POINT, 50 * POINT, 16_666_666, 0]
    assert certificates([0, 0], addresses(2), Scale.SHARE) == certificates([0, 0], addresses(2), Scale.MAX) == [0, 0]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=30))
def test_shares_of_certificates_add_up_to_a_hundred(held: list[int]) -> None:
    found = certificates(held, addresses(len(held)), Scale.SHARE)
    assert sum(found) == (POINTS_MAX if any(held) else 0)
    assert all(each == 0 for each, own in zip(found, held, strict=True) if not own)


# Carbon


def account(settled: int | None, obliged: bool = True, quota: int = 1_000) -> CarbonOutcome:
    return CarbonOutcome(obliged, Carbon(quota * TONNE), None if settled is None else Carbon(settled * TONNE))


def test_carbon_runs_from_the_worst_settlement_to_the_best() -> None:
    # -50, 0 and 80 t: 0, 50/130 and 100.
    assert carbon([account(-50), account(0), account(80)]) == [0, 38_461_538, 100 * POINT]


def test_who_is_not_obliged_is_neutral_and_no_extreme_and_who_does_not_report_gets_nothing() -> None:
    found = carbon([account(0), account(900, obliged=False), account(10), account(None)])
    assert found == [0, NEUTRAL, 100 * POINT, 0]


def test_equal_settlements_all_count_in_full() -> None:
    assert carbon([account(7), account(7)]) == [100 * POINT] * 2
    assert carbon([]) == []


def test_surplus_beyond_the_quota_counts_no_more_than_the_quota() -> None:
    # 500 t of surplus on a quota of 100 t count as 100 t: 100/150 of the way from -50 is 150/150.
    assert carbon([account(-50), account(500, quota=100), account(25)]) == [0, 100 * POINT, 50 * POINT]


@given(st.lists(st.integers(-(10**12), 10**12), min_size=2, max_size=20))
def test_the_extremes_of_carbon_are_nothing_and_everything(settled: list[int]) -> None:
    found = carbon([CarbonOutcome(True, Carbon(2 * 10**12), Carbon(each)) for each in settled])
    by_settlement = [each for _, each in sorted(zip(settled, found, strict=True))]
    assert by_settlement[-1] == POINTS_MAX
    assert by_settlement[0] == (0 if len(set(settled)) > 1 else POINTS_MAX)
    assert by_settlement == sorted(by_settlement)


# Lines


def test_line_faults_count_by_transmission() -> None:
    assert line(200, 3) == 98_500_000
    assert line(7, 7) == 0
    assert line(0, 0) == 0
    assert line(0, 0, untried=Points(POINTS_MAX)) == POINTS_MAX


def test_more_failures_than_transmissions_are_refused() -> None:
    with pytest.raises(Refused) as refused:
        line(1, 2)
    assert (refused.value.code, refused.value.field) == ("out_of_range", "failed")
