"""By how much ranks wait for each other: as long as an exchange and a write take, as the leader measured it (A-6)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.consensus.raft.bench import A, B, Bench, C, of
from wattquorum.consensus.raft.messages import Append
from wattquorum.consensus.raft.settings import Settings
from wattquorum.consensus.raft.slots import Slots

THREE = of(1, 1, 1)


def told(bench: Bench) -> int:
    """What the leader's next heartbeat says of slots."""
    bench.told()
    bench.wait(bench.settings.heartbeat_ms)
    return bench.said(Append, to=B)[-1].slot_ms


def slots_of(bench: Bench) -> Slots:
    return bench.engine._slots


def test_a_leader_tells_one_and_a_half_times_what_an_answer_takes() -> None:
    bench = Bench(THREE)
    bench.reign()
    for _ in range(2):
        bench.wait(bench.settings.heartbeat_ms)
        bench.now += 40
        bench.store(B)
        bench.now -= 40
    assert told(bench) == 61


def test_a_follower_waits_in_the_slots_that_its_leader_measured() -> None:
    for length, rank in ((250, 1), (20, 1)):
        bench = Bench(of(1, 3, 2), me=A)
        bench.hear(B, Append(1, 1, 0, 0, 0, (), length))
        waits = bench.deadline - bench.now - bench.settings.election_ms
        assert rank * length <= waits < (rank + 1) * length


def test_a_leader_without_an_answer_says_nothing_of_slots_and_nobody_changes_them() -> None:
    bench = Bench(THREE)
    bench.lead()
    assert bench.said(Append, to=B)[-1].slot_ms == 0
    bench = Bench(THREE)
    bench.hear(B, Append(1, 1, 0, 0, 0, (), 0))
    assert slots_of(bench).length_ms == bench.settings.slot_ms


def test_who_leads_a_term_that_is_over_says_nothing_of_slots() -> None:
    bench = Bench(THREE)
    bench.hear(B, Append(2, 1, 0, 0, 0, (), 30))
    bench.hear(C, Append(1, 1, 0, 0, 0, (), 500))
    assert slots_of(bench).length_ms == 30


def test_one_slow_answer_in_a_hundred_is_left_out_and_two_are_not() -> None:
    for slow, expected in ((1, 16), (2, 751)):
        slots = Slots(Settings())
        for after in [10] * (100 - slow) + [500] * slow:
            slots.answered(after)
        slots.measure()
        assert slots.length_ms == expected


@given(st.lists(st.integers(0, 100_000), max_size=50), st.integers(0, 10**9))
def test_slots_stay_within_their_bounds_whatever_is_measured_or_told(answers: list[int], length: int) -> None:
    settings = Settings(slot_min_ms=7, slot_max_ms=300)
    slots = Slots(settings)
    for after in answers:
        slots.answered(after)
    slots.measure()
    assert slots.measured_ms == (slots.length_ms if answers else 0)
    assert 7 <= slots.length_ms <= 300
    slots.told(length)
    assert 7 <= slots.length_ms <= 300


def test_a_new_leader_measures_anew() -> None:
    slots = Slots(Settings())
    slots.answered(200)
    slots.measure()
    slots.lead()
    assert (slots.measured_ms, slots.length_ms) == (0, 301)
    slots.answered(20)
    slots.measure()
    assert slots.measured_ms == slots.length_ms == 31
