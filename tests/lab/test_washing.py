"""Wash trading does not pay: what attempts gain in voting power is bounded, and most of them lose."""

from __future__ import annotations

import pytest

from wattquorum.foundation.quantities import MILLION
from wattquorum.lab.beyond.wash import ATTEMPTS, WASH
from wattquorum.lab.washing import BOUND, Gain, gains, honest_days, honest_players, powers


@pytest.mark.unmeasured
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


def test_as_an_experiment_attempts_gain_the_same_and_say_what_they_cost() -> None:
    found = {each.name: each for each in gains(9)}
    assert sorted(ATTEMPTS.values()) == sorted(found)
    for attempt in ("promise-all", "keep-back"):
        told = WASH.play({"attempt": attempt, "tolerance": 9}, 0)
        assert told["gain"] == pytest.approx(found[ATTEMPTS[attempt]].change / MILLION, abs=2e-6)
        assert told["cost"] is not None
        assert told["cost"] > 0
