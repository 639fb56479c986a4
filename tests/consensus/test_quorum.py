"""Who decides: more than half of the power, in both halves of a change, against a count by hand and a dumb one."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.quorum import decides

NAMES = [bytes([i]) * 20 for i in range(6)]
powers = st.lists(st.integers(0, 5), max_size=5)
replicas = st.lists(st.sampled_from(NAMES), max_size=6)


def configuration(new: list[int], old: list[int] | None = None) -> Configuration:
    halves = [tuple(map(Voter, NAMES, half)) for half in (new, old or [])]
    return Configuration(1, None if old is None else halves[1], halves[0], (), 0, b"")


def test_half_of_the_power_does_not_decide_and_one_more_does() -> None:
    assert not decides(configuration([1, 1, 2]), NAMES[:2])
    assert decides(configuration([1, 1, 1]), NAMES[:2])
    assert decides(configuration([5, 1, 1]), NAMES[:1])


def test_in_a_change_both_vectors_must_decide() -> None:
    joint = configuration(new=[1, 1, 4], old=[3, 1, 1])
    assert not decides(joint, NAMES[:1])
    assert not decides(joint, NAMES[2:3])
    assert decides(joint, [NAMES[0], NAMES[2]])


def test_nothing_and_strangers_never_decide() -> None:
    assert not decides(configuration([]), NAMES)
    assert not decides(configuration([0, 0]), NAMES)
    assert not decides(configuration([1], old=[]), NAMES)
    assert not decides(configuration([1, 1]), [NAMES[0], NAMES[5], NAMES[4]])


@given(powers, st.none() | powers, replicas)
def test_a_dumb_count_says_the_same(new: list[int], old: list[int] | None, named: list[bytes]) -> None:
    def share(half: list[int]) -> Fraction:
        return Fraction(sum(p for n, p in zip(NAMES, half, strict=False) if n in named), sum(half) or 1)

    assert decides(configuration(new, old), named) == all(
        share(h) > Fraction(1, 2) for h in (new, old) if h is not None
    )
