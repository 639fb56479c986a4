"""What a quorum's clocks have reached: leaders find it, followers are told, and no single clock moves it (L-26)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from tests.consensus.raft.bench import B, Bench, C, D, E, of, payload, records_with
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.raft.messages import Append, Stored
from wattquorum.foundation.codec import changed

YEARS: Final = 10 * 365 * 86_400_000
NOON: Final = 1_800_000_000_000
FIVE: Final = of(1, 1, 1, 1, 1)


def at_noon(configuration: Configuration, leader_ms: int = NOON) -> Bench:
    """A leader whose clock shows this, and whose followers have everything."""
    bench = Bench(configuration)
    bench.now = leader_ms
    bench.reign()
    return bench


def say(bench: Bench, clocks: Mapping[bytes, int], round_: int | None = None) -> None:
    """Followers answer a round, by default the present one, and say what their clocks show."""
    for follower, clock in clocks.items():
        last, round_ = bench.engine.log.last, bench.round if round_ is None else round_
        bench.hear(follower, Stored(bench.engine.term, round_, True, last, 0, 0, clock))


def reached(bench: Bench) -> int | None:
    return bench.engine.quorum_ms


def beat(bench: Bench) -> int | None:
    bench.wait(bench.settings.heartbeat_ms)
    return reached(bench)


@pytest.mark.parametrize(
    ("own", "others", "rough"),
    [
        (0, (0, 0, 0, 0), 0),
        (0, (-5, -4, -3, -2), -3),
        (YEARS, (-5, -4, -3, -2), -3),
        (-YEARS, (-5, -4, -3, -2), -4),
        (YEARS, (YEARS, -4, -3, -2), -2),
        (-YEARS, (-YEARS, 3, 2, 1), 1),
        (YEARS, (-YEARS, 3, 2, 1), 2),
    ],
)
def test_a_minority_of_clocks_moves_nothing(own: int, others: tuple[int, ...], rough: int) -> None:
    bench = at_noon(FIVE, NOON + own)
    say(bench, {each: NOON + ahead for each, ahead in zip((B, C, D, E), others, strict=True)})
    found = beat(bench)
    own_shown = NOON + own + bench.settings.heartbeat_ms  # it alone goes on while the others' answers are out
    expected = sorted([own_shown, *(NOON + ahead for ahead in others)])[2]
    assert found == expected
    assert abs(expected - (NOON + rough)) <= bench.settings.heartbeat_ms


def test_clocks_count_by_power_and_in_both_halves_of_a_change() -> None:
    bench = at_noon(of(2, 5, 2))
    say(bench, {B: NOON - 7, C: NOON + YEARS})
    assert beat(bench) == NOON - 7  # the others together hold less than half
    say(bench, {B: NOON + 9, C: NOON - YEARS})
    bench.know(changed(of(2, 5, 2, version=1), learners=(D,)))
    say(bench, {B: NOON + 9, D: NOON + YEARS})
    assert beat(bench) == NOON + 9  # a learner has no say
    bench.know(of(1, 5, 1, 9, version=2))
    assert bench.engine.configuration.old is not None
    say(bench, {D: NOON + YEARS})
    assert beat(bench) == NOON + 9  # B decides in the old half
    say(bench, {D: NOON - 3})
    assert beat(bench) == NOON - 3  # and D in the new one


def test_what_a_leader_begins_with_is_no_clock_of_its_own() -> None:
    bench = Bench(of(1, 1, 1))
    bench.now = NOON
    bench.lead()
    assert bench.engine.quorum_ms == 0
    say(bench, {B: NOON - 3})
    assert bench.engine.commit == 1
    assert bench.engine.quorum_ms == NOON - 3  # whoever completes a quorum has said what its clock shows


def test_alone_its_own_clock_is_all_there_is() -> None:
    bench = Bench(of(1))
    bench.now = NOON
    bench.lead()
    assert bench.engine.quorum_ms == bench.now > NOON


def test_a_clock_that_was_set_right_counts_as_it_is_now_and_late_answers_as_nothing() -> None:
    bench = at_noon(of(1, 1, 1), NOON + YEARS)
    say(bench, {B: NOON + YEARS})
    first = bench.round
    assert beat(bench) == NOON + YEARS
    say(bench, {B: NOON})
    say(bench, {B: NOON + YEARS}, first)
    say(bench, {C: NOON - 1})
    assert beat(bench) == NOON


def test_a_follower_says_what_its_clock_shows_whether_entries_fit_or_not_and_passes_on_what_it_is_told() -> None:
    bench = Bench(of(1, 1, 1), records_with([1]))
    assert reached(bench) is None
    bench.now = NOON
    bench.hear(B, Append(2, 1, 1, 1, 0, (payload(2),), 0, NOON - 8))
    bench.hear(B, Append(2, 2, 9, 2, 0, ()))
    assert [each.clock_ms for each in bench.said(Stored)] == [NOON, NOON]
    assert reached(bench) == NOON - 8  # the second told nothing
    bench.hear(B, Append(1, 9, 1, 1, 0, (), 0, NOON + YEARS))
    assert reached(bench) == NOON - 8  # a leader of an earlier term tells nothing either


def test_heartbeats_and_entries_say_what_the_clocks_have_reached() -> None:
    bench = at_noon(of(1, 1, 1))
    say(bench, {B: NOON - 20, C: NOON - 10})
    beat(bench)
    assert {each.quorum_ms for each in bench.said(Append)} == {NOON - 10}
    bench.propose(b"x")
    assert {each.quorum_ms for each in bench.said(Append)} == {NOON - 10}
