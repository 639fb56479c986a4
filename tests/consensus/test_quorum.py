"""Who decides: more than half of the power, in both halves of a change, against a count by hand and a dumb one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.quorum import Verdict, committed_index, decides, vote_result
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed

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


CASES = 50_000
YES, NO = True, False


class Case(NamedTuple):
    """A configuration with at most five voters in a half, what they stored and how they voted."""

    configuration: Configuration
    stored: dict[bytes, int]
    votes: dict[bytes, bool]


def random_cases(seed: int) -> Iterator[Case]:
    chance = Chance(seed)

    def half() -> tuple[Voter, ...]:
        names = [*NAMES]
        chance.shuffle(names)
        return tuple(Voter(name, chance.below(5)) for name in names[: chance.below(6)])

    for _ in range(CASES):
        configuration = Configuration(1, half() if chance.below(2) else None, half(), (), 0, b"")
        stored = {name: chance.below(5) for name in NAMES if chance.below(4)}
        votes = {name: bool(chance.below(2)) for name in NAMES if chance.below(3)}
        yield Case(configuration, stored, votes)


def halves(configuration: Configuration) -> list[tuple[Voter, ...]]:
    return [half for half in (configuration.old, configuration.new) if half is not None]


def heads(half: tuple[Voter, ...], named: Collection[bytes]) -> list[bool]:
    """One head for every unit of power, raised if it belongs to somebody named."""
    return [voter.replica in named for voter in half for _ in range(voter.power)]


def counted(configuration: Configuration, named: Collection[bytes]) -> bool:
    """The second opinion on `decides`: heads are counted, raised ones against the others."""
    return all(
        raised.count(True) > raised.count(False) for raised in (heads(half, named) for half in halves(configuration))
    )


def counted_down(configuration: Configuration, stored: dict[bytes, int]) -> int:
    """The second opinion on `committed_index`: indexes are tried one by one."""
    tried = range(max(stored.values(), default=0), 0, -1)
    return next((i for i in tried if counted(configuration, [n for n, known in stored.items() if known >= i])), 0)


def counted_out(configuration: Configuration, votes: dict[bytes, bool]) -> Verdict:
    """The second opinion on `vote_result`: the worst and the best that may still come."""
    said_yes = [name for name, vote in votes.items() if vote]
    worst, best = said_yes, [*said_yes, *(name for name in NAMES if name not in votes)]
    if counted(configuration, worst):
        return Verdict.WON
    return Verdict.PENDING if counted(configuration, best) else Verdict.LOST


@pytest.mark.unmeasured
def test_counting_heads_says_the_same_in_50_000_random_cases() -> None:
    met = set()
    for case in random_cases(1):
        configuration, stored, votes = case
        assert decides(configuration, stored) == counted(configuration, stored), case
        assert committed_index(configuration, stored) == counted_down(configuration, stored), case
        floor = max(stored.values(), default=0) // 2
        assert committed_index(configuration, stored, floor) == max(floor, counted_down(configuration, stored)), case
        verdict = vote_result(configuration, votes)
        assert verdict is counted_out(configuration, votes), case
        met.add((verdict, configuration.old is None))
    assert len(met) == 6  # every verdict, joint and not


@pytest.mark.unmeasured
def test_the_halves_of_a_change_are_equals() -> None:
    for configuration, stored, votes in islice(random_cases(2), 10_000):
        if configuration.old is not None:
            swapped = changed(configuration, old=configuration.new, new=configuration.old)
            assert decides(swapped, stored) == decides(configuration, stored)
            assert committed_index(swapped, stored) == committed_index(configuration, stored)
            assert vote_result(swapped, votes) is vote_result(configuration, votes)


@given(powers, st.none() | powers, st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4)))
def test_a_voter_of_power_k_is_k_voters_of_power_one(
    new: list[int], old: list[int] | None, stored: dict[bytes, int]
) -> None:
    def part(name: bytes, number: int) -> bytes:
        return name[:19] + bytes([number + 10])

    def split(half: tuple[Voter, ...]) -> tuple[Voter, ...]:
        return tuple(Voter(part(voter.replica, i), 1) for voter in half for i in range(voter.power))

    whole = configuration(new, old)
    parts = changed(whole, old=None if whole.old is None else split(whole.old), new=split(whole.new))
    stored_by_parts = {part(name, i): index for name, index in stored.items() for i in range(5)}
    votes_of_parts = {name: index % 2 == 0 for name, index in stored_by_parts.items()}
    assert decides(parts, stored_by_parts) == decides(whole, stored)
    assert committed_index(parts, stored_by_parts) == committed_index(whole, stored)
    assert vote_result(parts, votes_of_parts) is vote_result(
        whole, {name: index % 2 == 0 for name, index in stored.items()}
    )


def test_an_absent_voter_has_neither_agreed_nor_refused() -> None:
    three = configuration([1, 1, 1])
    assert vote_result(three, {}) is Verdict.PENDING
    assert vote_result(three, {NAMES[0]: YES}) is Verdict.PENDING
    assert vote_result(three, {NAMES[0]: YES, NAMES[1]: NO}) is Verdict.PENDING
    assert vote_result(three, {NAMES[1]: NO, NAMES[2]: NO}) is Verdict.LOST
    assert vote_result(three, {NAMES[0]: YES, NAMES[2]: YES}) is Verdict.WON
    assert committed_index(three, {NAMES[0]: 7}) == 0
    assert committed_index(three, {NAMES[0]: 7, NAMES[2]: 4}) == 4


def test_a_change_is_lost_as_soon_as_one_half_is() -> None:
    joint = configuration(new=[1, 1, 1], old=[5, 1, 1])
    assert vote_result(joint, {NAMES[0]: NO}) is Verdict.LOST
    assert vote_result(joint, {NAMES[0]: YES}) is Verdict.PENDING
    assert vote_result(joint, {NAMES[0]: YES, NAMES[1]: YES}) is Verdict.WON


def test_what_is_stored_counts_down_to_the_first_who_completes_more_than_half() -> None:
    stored = dict(zip(NAMES, (9, 7, 5, 3, 1), strict=False))
    assert committed_index(configuration([1, 1, 1, 1, 1]), stored) == 5
    assert committed_index(configuration([4, 1, 1, 1, 1]), stored) == 7
    assert committed_index(configuration([5, 1, 1, 1, 1]), stored) == 9
    assert committed_index(configuration([1, 1, 1, 1, 5]), stored) == 1
    assert committed_index(configuration(new=[5, 1, 1, 1, 1], old=[1, 1, 1, 1, 5]), stored) == 1


def test_a_vector_that_is_empty_or_without_power_commits_and_elects_nothing() -> None:
    everything, everybody = dict.fromkeys(NAMES, 9), dict.fromkeys(NAMES, YES)
    for powerless in (configuration([]), configuration([0, 0]), configuration([1], old=[]), configuration([], old=[1])):
        assert not decides(powerless, NAMES)
        assert committed_index(powerless, everything) == 0
        assert vote_result(powerless, everybody) is Verdict.LOST
