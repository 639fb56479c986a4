"""Wash trading does not pay: what attempts gain in voting power is bounded, and most of them lose."""

from __future__ import annotations

import pytest

from wattquorum.lab.washing import BOUND, Gain, gains, honest_days, honest_players, powers


@pytest.mark.parametrize("tolerance", [None, 1, 14])
def test_no_attempt_gains_anything_and_nobody_gains_more_than_the_bound_from_it(tolerance: int | None) -> None:
    found = gains(tolerance)
    assert len(found) == 9
    assert all(gain.change <= 0 for gain in found), found
    assert all(gain.others <= BOUND for gain in found), found
    colluding, split, diluted, absurd, withheld, broken, tiny, last, shaded = found
    assert max(each.change for each in (colluding, absurd, withheld, broken, tiny, last)) < -50_000
    assert split.change == diluted.change == shaded.change == 0, "neither accounts nor shaded promises count"


def test_an_honest_market_shares_all_power_among_its_owners() -> None:
    shares = powers(honest_players(), honest_days(), None)
    assert len(shares) == 30
    assert 999_900 <= sum(shares.values()) <= 1_000_000


def test_a_gain_is_of_the_honest_share() -> None:
    assert Gain("", honest=40_000, tried=41_000, others=0).change == 25_000  # type: ignore[arg-type]
