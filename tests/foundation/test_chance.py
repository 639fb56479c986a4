"""Chance is the same everywhere and for ever: known vectors of SplitMix64, and draws that keep their bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.chance import Chance

seeds = st.integers(0, 2**64 - 1)


def test_the_stream_of_seed_0_is_that_of_splitmix64() -> None:
    chance = Chance(0)
    assert [chance.bits() for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_seeds_count_modulo_64_bits() -> None:
    assert Chance(2**64 + 5).bits() == Chance(5).bits() != Chance(6).bits()


def test_a_stream_of_its_own_moves_no_other() -> None:
    chance, twin = Chance(7), Chance(7)
    drawn = [chance.stream("faults").bits() for _ in range(3)]
    assert len(set(drawn)) == 1  # a stream starts where its seed and its label say, however often it is asked for
    assert chance.bits() == twin.bits()
    assert len({Chance(7).bits(), Chance(7).stream("faults").bits(), Chance(7).stream("delays").bits()}) == 3


@given(seeds, st.integers(1, 2**40))
def test_a_draw_below_an_end_stays_below_it(seed: int, end: int) -> None:
    assert 0 <= Chance(seed).below(end) < end


@given(seeds, st.integers(-100, 100), st.integers(0, 100))
def test_a_draw_between_bounds_may_be_either(seed: int, low: int, width: int) -> None:
    assert low <= Chance(seed).between(low, low + width) <= low + width
    chance = Chance(seed)
    assert {chance.between(3, 5) for _ in range(100)} == {3, 4, 5}


@given(seeds, st.lists(st.integers(), max_size=20))
def test_a_shuffle_loses_nothing(seed: int, items: list[int]) -> None:
    shuffled = [*items]
    Chance(seed).shuffle(shuffled)
    assert sorted(shuffled) == sorted(items)


def test_every_order_comes_as_often_as_the_others() -> None:
    chance = Chance(3)
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(6_000):
        items = [1, 2, 3]
        chance.shuffle(items)
        seen[tuple(items)] = seen.get(tuple(items), 0) + 1
    assert len(seen) == 6
    assert all(850 < count < 1_150 for count in seen.values())


def test_what_happens_in_so_many_of_a_million_cases_does() -> None:
    chance = Chance(4)
    assert not any(chance.happens(0) for _ in range(100))
    assert all(chance.happens(1_000_000) for _ in range(100))
    assert 900 < sum(chance.happens(100_000) for _ in range(10_000)) < 1_100
    assert {chance.pick("ab") for _ in range(50)} == {"a", "b"}
