"""What weights can do at best: near and heavy members decide alone, and becoming so costs no write."""

from __future__ import annotations

import pytest

from wattquorum.lab.comparison import FAR, FAR_MS, GAP_MS, NEAR, Trial, tried
from wattquorum.ledger.protocols import Protocol

WRITES = 240
SYNCS_MS = 4  # the leader's or the follower's, and one that was under way


@pytest.fixture(scope="module")
def weighted() -> Trial:
    return tried(Protocol.WEIGHTED_RAFT, 1, WRITES)


@pytest.fixture(scope="module")
def plain() -> Trial:
    return tried(Protocol.RAFT, 1, WRITES)


def test_powers_become_4_4_1_1_1_by_standing_alone(weighted: Trial, plain: Trial) -> None:
    heavy, light = weighted.powers[:NEAR], weighted.powers[NEAR:]
    assert sum(weighted.powers) == 1_000_000
    assert all(abs(power - 4_000_000 // 11) <= 1 for power in heavy)
    assert all(abs(power - 1_000_000 // 11) <= 1 for power in light)
    assert len(light) == FAR
    assert len(set(plain.powers)) == 1


def test_near_heavy_members_commit_in_a_tenth_of_the_time_of_equal_votes(weighted: Trial, plain: Trial) -> None:
    assert FAR_MS <= plain.settled_p50_ms <= FAR_MS + SYNCS_MS
    assert weighted.settled_p50_ms * 10 <= plain.settled_p50_ms


def test_a_change_of_power_under_load_fails_no_write_and_slows_none_beyond_equal_votes(weighted: Trial) -> None:
    assert weighted.failed == 0
    assert len(weighted.took_ms) == weighted.sent == WRITES
    assert max(weighted.took_ms) <= FAR_MS + SYNCS_MS
    assert weighted.terms == 1


def test_before_the_change_both_take_the_same_time_to_the_millisecond(weighted: Trial, plain: Trial) -> None:
    before = WRITES // 3 - FAR_MS // GAP_MS - 1
    assert weighted.took_ms[:before] == plain.took_ms[:before]


def test_the_same_seed_gives_the_same_trial() -> None:
    assert tried(Protocol.WEIGHTED_RAFT, 2, 30) == tried(Protocol.WEIGHTED_RAFT, 2, 30)
