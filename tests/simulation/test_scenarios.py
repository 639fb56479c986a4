"""Every scenario is played to its last line, and a script that is not so says where and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from wattquorum.simulation.script import Unfulfilled, play
from wattquorum.simulation.steps import World

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
OPENING = "three members a b c with equal powers\na is elected\n"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(scenario: Path) -> None:
    play(scenario.read_text(encoding="utf-8"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_says_first_what_it_shows_and_by_which_rule(scenario: Path) -> None:
    first = scenario.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert "Rule: " in first


@pytest.mark.parametrize(
    ("sentence", "expected", "found"),
    [
        ("then b leads term 1", "1", "it is a follower of term 1"),
        ("then nobody leads", "nobody", "a"),
        ("then a leads term 2", "2", "1"),
        ('then "x" is committed at a b', "at a b", "nowhere"),
        ("then the log of a is empty", "empty", "1 nothing"),
        ("then the configuration at b is a 1 b 1", "a 1 b 1", "a 1 b 1 c 1"),
        ("then a has halted since diverged", "diverged", "nothing is wrong"),
        ("then a follows nobody", "nobody", "a"),
        ("b hands over to c", "it happens", "refused: input_unexpected: to is nothing that the engine asked for"),
        ('in vain a proposes "x"', "a refusal", "it happens"),
        ("then d is in term 1", "1", "KeyError: 'd'"),
        ("a restarts", "it happens", "ValueError: a is up"),
        ("a dances", "a sentence that is known", "none of this form"),
    ],
)
def test_what_is_not_so_is_told_with_its_line(sentence: str, expected: str, found: str) -> None:
    with pytest.raises(Unfulfilled) as caught:
        play(f"{OPENING}# a remark\n\n{sentence}  # and another\na is elected\n")
    told = caught.value
    assert (told.line, told.sentence, told.expected) == (5, sentence, expected)
    assert told.found.startswith(found)
    assert str(told).startswith(f"line 5: {sentence}\n")


def test_nothing_happens_before_the_members_are_named() -> None:
    with pytest.raises(Unfulfilled) as caught:
        play("a campaigns")
    assert caught.value.found == "ValueError: the members are not named yet"


def test_an_election_that_cannot_be_won_is_told() -> None:
    with pytest.raises(Unfulfilled) as caught:
        play("five members a b c d e with equal powers\na is elected by b")
    assert caught.value.found == "a is a prospect of term 0"


# What must hold whatever happens


def told_by(world: World) -> str:
    """What a world says of its next step after its memory of what others did was spoiled."""
    with pytest.raises(AssertionError) as caught:
        world.beat()
    return str(caught.value)


def test_the_world_notices_a_second_leader() -> None:
    world = play(OPENING)
    world._leaders[1] = "b"
    assert told_by(world) == "b and a lead term 1"


def test_the_world_notices_logs_that_do_not_match() -> None:
    world = play(OPENING)
    world._entries[1, 1] = world._entries[1, 1][0], 5
    assert told_by(world).startswith("the logs differ at 1")


def test_the_world_notices_a_second_commitment() -> None:
    world = play(OPENING + 'a proposes "x"')
    world._committed[2] = (1, b"y")
    assert told_by(world) == "a commits another 2"
