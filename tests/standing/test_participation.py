"""Valid replies and what they earn, on evidence made by hand (A-12, A-16, L-16)."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.foundation.quantities import POINTS_MAX, Energy, Points, Ppm
from wattquorum.standing.credit import credit_after_performance_paper, decay
from wattquorum.standing.participation import participation_after, participation_paper, peak, valid_replies

POINT = 1_000_000
A, B, C, D, E = (bytes([each]) * 20 for each in range(1, 6))
STRANGER = bytes(20)


def configuration(old: dict[bytes, int] | None, **new: int) -> Configuration:
    names = dict(zip("abcde", (A, B, C, D, E), strict=True))
    half = tuple(Voter(names[name], power) for name, power in new.items())
    before = None if old is None else tuple(Voter(replica, power) for replica, power in old.items())
    return Configuration(1, before, half, (), 0, b"")


EQUAL = configuration(None, a=1, b=1, c=1, d=1, e=1)


def test_followers_up_to_the_one_that_completes_the_quorum_count() -> None:
    assert valid_replies(EQUAL, A, (C, B)) == (C, B)


@pytest.mark.parametrize(
    "followers",
    [(C,), (C, B, D), (C, C, B), (C, A, B), (C, STRANGER, B), ()],
    ids=["too few", "too many", "twice the same", "the leader", "a stranger", "nobody"],
)
def test_evidence_of_another_shape_counts_nothing(followers: tuple[bytes, ...]) -> None:
    assert valid_replies(EQUAL, A, followers) == ()


def test_by_power_a_heavy_follower_completes_the_quorum_alone() -> None:
    # a holds 3 and b 4 of 10; with c and d 2 and 1.
    weighted = configuration(None, a=3, b=4, c=2, d=1)
    assert valid_replies(weighted, A, (B,)) == (B,)
    assert valid_replies(weighted, A, (C, D)) == (C, D)
    assert valid_replies(weighted, A, (C, B)) == (C, B)
    assert valid_replies(weighted, A, (B, C)) == ()


def test_in_a_change_both_halves_must_be_decided() -> None:
    joint = configuration({A: 1, B: 1, C: 1}, c=1, d=1, e=1)
    assert valid_replies(joint, A, (B, C)) == ()
    assert valid_replies(joint, A, (B, D, E)) == (B, D, E)
    assert valid_replies(joint, A, (D, E)) == ()
    assert valid_replies(joint, A, (D, C)) == (D, C)


def test_a_leader_that_decides_alone_has_no_followers_to_name() -> None:
    alone = configuration(None, a=7, b=1)
    assert valid_replies(alone, A, ()) == ()
    assert valid_replies(alone, A, (B,)) == ()


@given(st.lists(st.integers(0, 9), min_size=2, max_size=5).filter(any))
def test_every_order_of_arrival_has_one_shape_that_counts(powers: list[int]) -> None:
    names = (A, B, C, D, E)[: len(powers)]
    half = configuration(None, **dict(zip("abcde", powers, strict=False)))
    for order in permutations(names[1:]):
        counted = [cut for cut in range(1, len(order) + 1) if valid_replies(half, A, order[:cut])]
        assert len(counted) <= 1


# What they earn


def test_participation_grows_by_rho_for_each_reply_and_by_the_share_of_an_epochs_rounds() -> None:
    assert participation_paper(Points(7 * POINT), Points(POINT)) == 8 * POINT
    assert participation_paper(Points(POINTS_MAX), Points(POINT)) == POINTS_MAX
    assert participation_after(Points(7 * POINT), Points(POINT), 3, 4) == 7_750_000
    assert participation_after(Points(7 * POINT), Points(POINT), 0, 0) == 7 * POINT
    assert participation_after(Points(POINTS_MAX), Points(POINT), 9, 9) == POINTS_MAX


def test_participation_under_decay_peaks_where_the_closed_form_says() -> None:
    # 1 point a round, .90 every 10 rounds: 10 / (1 - .9) = 100. With .5 a round: 50.
    assert peak(Points(POINT), 900_000, 10) == POINTS_MAX
    assert peak(Points(POINT // 2), 900_000, 10) == 50 * POINT
    points = Points(0)
    for _ in range(300):
        for _ in range(10):
            points = participation_paper(points, Points(POINT // 2))
        before, points = points, decay(points, Ppm(900_000))
    assert 50 * POINT - 20 <= before <= 50 * POINT


def test_credit_under_decay_peaks_where_the_closed_form_says() -> None:
    """C tends to (1 - q) / (1 - eta q) * 100 before a decay, with q = (1 - share) ** l left to miss after l days."""
    # A member that promises 1/15 of its side, decay .90 every 10 days: q = (14/15) ** 10 = .501639.
    credit = Points(0)
    for _ in range(200):
        for _ in range(10):
            credit = credit_after_performance_paper(credit, Energy(1), Energy(15))
        before, credit = credit, decay(credit, Ppm(900_000))
    q_numerator, q_denominator = 14**10, 15**10
    expected = POINTS_MAX * (q_denominator - q_numerator) * 10 // (10 * q_denominator - 9 * q_numerator)
    assert abs(before - expected) < 200
