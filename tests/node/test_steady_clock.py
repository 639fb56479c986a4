"""A node's time rises evenly whatever is done to the wall clock, and comes back to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.node.steady_clock import NS_PER_MS, SLEW, SteadyClock

MS = NS_PER_MS
DAY = 86_400_000


class Clocks:
    """A wall clock that can be set and a monotonic one that cannot."""

    def __init__(self, wall_ms: int = 1_000_000) -> None:
        self.wall, self.passed = wall_ms * MS, 5 * MS
        self.steady = SteadyClock(lambda: self.wall, lambda: self.passed)

    def wait(self, ms: int) -> int:
        self.wall += ms * MS
        self.passed += ms * MS
        return int(self.steady.read())


def test_it_begins_at_the_wall_clock_and_goes_with_it() -> None:
    clocks = Clocks()
    assert [clocks.wait(ms) for ms in (0, 1, 999, DAY)] == [1_000_000, 1_000_001, 1_001_000, 1_001_000 + DAY]
    assert clocks.steady.apart_ms == 0


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(-DAY, DAY)), max_size=30))
def test_it_advances_by_what_passes_give_or_take_the_slew_whatever_the_wall_clock_is_set_to(
    steps: list[tuple[int, int]],
) -> None:
    clocks = Clocks(10**12)
    before = int(clocks.steady.read())
    for passed, jump in steps:
        clocks.wall += jump * MS
        now = clocks.wait(passed)
        slewed = passed // SLEW + 1
        assert passed - slewed <= now - before <= passed + slewed
        assert now >= before
        before = now


def test_what_has_come_apart_comes_together_again() -> None:
    for jump in (-10_000, 10_000):
        clocks = Clocks()
        clocks.wall += jump * MS
        assert clocks.steady.apart_ms == jump
        for _ in range(300):
            clocks.wait(1_000)
        assert clocks.steady.apart_ms == 0
