"""The judge of histories, on histories whose verdict is known, and against trying every order."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torture.linearizability import NEVER, Operation, is_linearizable


def add(called: int, answered: int, amount: int = 1) -> Operation:
    return Operation(called, answered, amount)


def read(called: int, answered: int, told: int) -> Operation:
    return Operation(called, answered, None, told)


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        ([], True),
        ([add(0, 1), read(2, 3, 1)], True),
        ([add(0, 1), read(2, 3, 0)], False),  # stale
        ([add(0, 5), read(1, 2, 0), read(3, 4, 1)], True),
        ([add(0, 5), read(1, 2, 1), read(3, 4, 0)], False),  # time goes back
        ([add(0, NEVER), read(1, 2, 0), read(3, 4, 1)], True),  # done late
        ([add(0, NEVER), read(3, 4, 0)], True),  # or never
        ([add(5, NEVER), read(1, 2, 1)], False),  # seen before it was asked for
        ([add(0, 1), add(0, 1), read(2, 3, 2)], True),
        ([add(0, 1), add(0, 1), read(2, 3, 1)], False),  # lost
        ([add(0, 1), read(2, 3, 2)], False),  # done twice
        ([read(0, NEVER, 7)], True),
        ([add(0, 10, 2), add(0, 10, 3), read(1, 2, 3), read(3, 4, 5)], True),
        ([add(0, 10, 2), add(0, 10, 3), read(1, 2, 3), read(3, 4, 2)], False),
    ],
)
def test_verdicts_that_are_known(history: list[Operation], verdict: bool) -> None:
    assert is_linearizable(history) is verdict


def by_trying(history: list[Operation]) -> bool:
    """Every order of every subset of what was not answered."""
    must = [each for each in history if each.answered != NEVER]
    may = [each for each in history if each.answered == NEVER and each.added is not None]
    for chosen in range(1 << len(may)):
        taken = must + [each for number, each in enumerate(may) if chosen >> number & 1]
        for order in permutations(taken):
            if _holds(order):
                return True
    return False


def _holds(order: tuple[Operation, ...]) -> bool:
    state, latest = 0, -1
    for operation in order:
        latest = max(latest, operation.called)
        if operation.answered < latest:
            return False
        if operation.added is not None:
            state += operation.added
        elif operation.told != state:
            return False
    return True


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    called = draw(st.integers(0, 8))
    answered = draw(st.one_of(st.integers(called + 1, 12), st.just(NEVER)))
    if draw(st.booleans()):
        return add(called, answered, draw(st.integers(1, 2)))
    return read(called, answered, draw(st.integers(0, 4)))


@given(st.lists(operations(), max_size=5))
@settings(max_examples=300)
def test_the_verdict_is_that_of_trying_every_order(history: list[Operation]) -> None:
    assert is_linearizable(history) == by_trying(history)


def test_a_long_history_is_judged_quickly() -> None:
    history, value = [], 0
    for at in range(0, 4_000, 4):
        history += [add(at, at + 3), read(at + 1, at + 2, value)]
        value += 1
    assert is_linearizable(history)
    history.append(read(5_000, 5_001, value - 1))
    assert not is_linearizable(history)
