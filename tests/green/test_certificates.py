"""How much energy may be certified, and how Wh become whole certificates (A-5, L-11, L-22), beside a slow oracle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import Energy
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.green.certificates import SOURCES, WHOLE, by_period, issuable, roll_up, sealed_carry, source_of

MWH = 1_000_000

wh = st.one_of(st.integers(0, 5), st.integers(0, 1_000_000_000))
vectors = st.integers(1, 12).flatmap(lambda n: st.tuples(*(st.lists(wh, min_size=n, max_size=n) for _ in range(2))))
carries = st.one_of(st.integers(-10, 30), st.integers(-(10**10), 10**10))


def array(values: Sequence[int]) -> Int64s:
    return np.array(values, dtype=np.int64)


def told(measured: Sequence[int], certified: Sequence[int], carry: int) -> list[int]:
    return [int(each) for each in issuable(array(measured), array(certified), carry)]


# What can be certified


@pytest.mark.parametrize(
    ("measured", "certified", "carry", "expected"),
    [
        ([3, 4, 5], [0, 0, 0], 12, [3, 4, 5]),  # the first issue of a day that is all there is
        ([3, 4, 5], [3, 4, 5], 0, [0, 0, 0]),  # no Wh twice
        ([3, 9, 5], [3, 4, 5], 5, [0, 5, 0]),  # a correction upwards adds what it added
        ([3, 1, 5], [3, 4, 5], -3, [0, 0, 0]),  # one downwards adds nothing
        ([5, 2, 5], [3, 4, 5], 0, [0, 0, 0]),  # nor does one that moves energy to another interval
        ([3, 4, 5], [0, 0, 0], 7, [0, 2, 5]),  # a deficit of 5 from another day: the earliest is withheld
        ([3, 4, 5], [0, 0, 0], -1, [0, 0, 0]),
        ([3, 4, 5], [0, 0, 0], 100, [3, 4, 5]),  # what other days have left is not this day's
    ],
)
def test_what_can_be_certified_by_hand(
    measured: list[int], certified: list[int], carry: int, expected: list[int]
) -> None:
    assert told(measured, certified, carry) == expected


@given(vectors, carries)
def test_no_interval_is_certified_beyond_what_was_measured_and_none_beyond_the_carry(
    rows: tuple[list[int], list[int]], carry: int
) -> None:
    measured, certified = rows
    # The oracle gives Wh out from the day's end until the carry is used up.
    left, expected = max(carry, 0), []
    for seen, before in reversed(list(zip(measured, certified, strict=True))):
        part = min(max(seen - before, 0), left)
        expected.append(part)
        left -= part
    found = told(measured, certified, carry)
    assert found == expected[::-1]
    assert all(new == 0 or new + before <= seen for new, before, seen in zip(found, certified, measured, strict=True))


@given(vectors, carries)
def test_a_second_issue_of_the_same_readings_finds_nothing(rows: tuple[list[int], list[int]], carry: int) -> None:
    measured, certified = rows
    first = told(measured, certified, carry)
    after = [a + b for a, b in zip(first, certified, strict=True)]
    assert not any(told(measured, after, carry - sum(first)))


@given(st.lists(wh, min_size=1, max_size=30), st.integers(1, 30))
def test_periods_add_up_to_the_day(energy: list[int], every: int) -> None:
    parts = by_period(array(energy), min(every, len(energy)))
    assert parts == [sum(energy[i : i + every]) for i in range(0, len(energy), every)]
    assert all(type(each) is int for each in parts)


# The carry of a final day


def test_what_a_final_day_leaves_is_lost_and_a_deficit_stays() -> None:
    assert sealed_carry(1_000, 400) == 400  # 600 were the final day's
    assert sealed_carry(400, 400) == 400
    assert sealed_carry(0, 400) == 0
    assert sealed_carry(-600, 0) == sealed_carry(-600, 400) == -600


def test_what_was_withheld_for_a_deficit_is_not_taken_again_when_its_day_is_final() -> None:
    # 1,000 certified and 400 measured in the end: -600. Of the next day's 1,000, 600 are withheld: 0. The third day's
    # 1,000 are all there when the second is final, whose 600 have made the deficit up.
    assert sum(told([1_000], [0], 1_000 - 600)) == 400
    assert sealed_carry(1_000, 1_000) == 1_000


# Roll-ups


def test_the_worked_roll_ups_of_the_rules() -> None:
    # Carry 999,999 + 1 Wh: one certificate, rest 0.
    assert roll_up([Energy(999_999), Energy(1)]) == (1, 2, 0)
    # Carry -300,000 + 1,250,000: 950,000 Wh can be certified, which make no certificate; 950,000 stay.
    assert sum(told([1_250_000], [0], -300_000 + 1_250_000)) == 950_000
    with pytest.raises(Refused) as refused:
        roll_up([Energy(950_000)])
    assert (refused.value.code, refused.value.value) == ("certificate_short", "950000")
    # 50,000 Wh more, and 7: one certificate and 7.
    assert roll_up([Energy(950_000), Energy(50_007), Energy(3)]) == (1, 2, 7)


@given(
    st.lists(st.one_of(st.integers(1, 5), st.integers(1, 3 * MWH)), max_size=12).map(lambda v: [Energy(e) for e in v])
)
def test_what_goes_in_comes_out_whole_and_the_last_ones_rest_stays(sizes: list[Energy]) -> None:
    if sum(sizes) < MWH:
        with pytest.raises(Refused, match="1000000"):
            roll_up(sizes)
        return
    rolled = roll_up(sizes)
    assert rolled.certificates == sum(sizes) // MWH > 0
    assert sum(sizes[: rolled.used]) == WHOLE * rolled.certificates + rolled.rest
    assert 0 <= rolled.rest < sizes[rolled.used - 1]


# Sources


@pytest.mark.parametrize("technology", ["hydro", "coal", "gas", "nuclear", "load", "Wind", ""])
def test_what_is_not_renewable_or_is_hydro_earns_nothing(technology: str) -> None:
    with pytest.raises(Refused) as refused:
        source_of(technology)
    assert (refused.value.code, refused.value.field) == ("technology_ineligible", "technology")


def test_wind_sun_and_biomass_earn_certificates() -> None:
    assert (source_of("wind"), source_of("pv"), source_of("biogas")) == ("wind", "sun", "biomass")
    assert "hydro" not in SOURCES
