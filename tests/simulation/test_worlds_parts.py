"""What a simulated world is made of: clocks that never go back, disks that keep what was synced, links that fail."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.consensus.engine import Durable
from wattquorum.foundation.chance import Chance
from wattquorum.simulation.clock import Clock
from wattquorum.simulation.disk import Disk
from wattquorum.simulation.network import Network, Weather

CHAIN: Final = bytes(16)


@given(st.integers(0, 5_000), st.integers(-10_000, 10_000), st.lists(st.integers(1, 5_000), max_size=5))
def test_a_clock_never_goes_back_and_strikes_no_earlier_than_it_shows(ahead: int, drift: int, jumps: list[int]) -> None:
    clock, now, shown = Clock(ahead, drift), 0, 0
    for jump in [0, *jumps]:
        clock.set(now, jump)
        for _ in range(3):
            assert clock.read(now) >= shown
            shown = clock.read(now)
            later = shown + 777
            at = clock.when(later)
            assert clock.read(at) >= later
            assert clock.read(at - 1) < later
            now += 313


records = st.lists(st.tuples(st.binary(max_size=700), st.booleans()), min_size=1, max_size=25)


@given(records, st.integers(0, 25), st.integers(0, 2**32))
def test_what_was_synced_survives_every_crash_and_what_was_not_is_a_prefix(
    given_: list[tuple[bytes, bool]], synced: int, seed: int
) -> None:
    disk = Disk(CHAIN)
    written = [Durable(at, data, at > 1 and origin) for at, (data, origin) in enumerate(given_, 1)]
    for record in written:
        disk.write([record])
    synced = min(synced, len(written))
    if synced:
        disk.synced(synced)
    disk.crash(Chance(seed))
    found = disk.read()
    if not found:
        assert synced == 0
        return
    first, last = found[0].position, found[-1].position
    assert [(each.position, each.data) for each in found] == [
        (each.position, each.data) for each in written[first - 1 : last]
    ]
    assert last >= synced
    origins = [record.position for record in written[:synced] if record.origin]
    assert first == (origins[-1] if origins else 1), "only an origin that is safe makes what is before it superfluous"
    following = Durable(last + 1, b"next")
    disk.write([following])
    disk.synced(last + 1)
    assert disk.read()[-1].data == b"next"


def test_a_link_that_is_cut_passes_nothing_and_the_other_direction_does() -> None:
    network = Network(2, Weather(), Chance(1))
    network.cut(0, 1)
    assert network.arrivals(0, 1, 5) == []
    assert len(network.arrivals(1, 0, 5)) == 1
    network.heal()
    assert len(network.arrivals(0, 1, 5)) == 1


def test_an_ordered_link_lets_nothing_overtake() -> None:
    network = Network(2, Weather(delay_ms=(1, 1), jitter_ms=50, late_ppm=500_000, ordered=True), Chance(3))
    arrivals = [network.arrivals(0, 1, now)[0] for now in range(100)]
    assert arrivals == sorted(arrivals)


def test_weather_loses_and_doubles_as_often_as_it_says() -> None:
    network = Network(2, Weather(lost_ppm=200_000, twice_ppm=100_000), Chance(4))
    counts = [len(network.arrivals(0, 1, 0)) for _ in range(10_000)]
    assert 1_850 < counts.count(0) < 2_150
    assert 700 < counts.count(2) < 900
