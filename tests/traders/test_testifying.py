"""When a member's program attests: together, never too late, and never what nobody can attest any more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.ledger.offices import ATTEST_BLOCKS
from wattquorum.ledger.transactions import OwnCommit
from wattquorum.traders.testifying import AGE_BLOCKS, SPARE_BLOCKS, attestation


def commits(*heights: int) -> list[OwnCommit]:
    return [OwnCommit(height, 0, bytes(64)) for height in heights]


def test_it_waits_until_the_oldest_height_has_waited_for_half_of_the_time() -> None:
    found = commits(100, 110, 120)
    assert attestation(100 + AGE_BLOCKS - 1, found) is None
    said = attestation(100 + AGE_BLOCKS, found)
    assert said is not None
    assert [each.height for each in said.commits] == [100, 110, 120]
    said = attestation(121, found, age=0)
    assert said is not None
    assert len(said.commits) == 3
    assert attestation(121, [], age=0) is None


def test_what_could_be_too_late_once_it_stands_in_a_block_is_left_out() -> None:
    last = 100 + ATTEST_BLOCKS - SPARE_BLOCKS
    said = attestation(last, commits(100, 120))
    assert said is not None
    assert said.commits[0].height == 100
    said = attestation(last + 1, commits(100, 120))
    assert said is not None
    assert said.commits[0].height == 120


@given(st.sets(st.integers(1, 400), max_size=200))
def test_looked_at_after_every_block_everything_is_attested_in_time(heights: set[int]) -> None:
    waiting, told = commits(*sorted(heights)), dict.fromkeys(sorted(heights), 0)
    for height in range(1, 401 + ATTEST_BLOCKS):
        known = [each for each in waiting if height - ATTEST_BLOCKS <= each.height < height and not told[each.height]]
        said = attestation(height, known)
        for each in said.commits if said is not None else ():
            told[each.height] = height + SPARE_BLOCKS
        assert said is None or len(said.commits) <= ATTEST_BLOCKS
    assert all(height < at <= height + ATTEST_BLOCKS for height, at in told.items())
