"""Consensus: what weighing votes costs, how fast worlds run, and how long a round takes as more replicas vote.

Engines alone, without ledgers, agree over links of a fixed delay and disks that take no time. What a weighted quorum
costs is measured against the same engine with quorums that count heads, put in its place for the measurement alone;
a world's events against a bare heap of as many. Round trips and consensus time are the simulated world's, and exact.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Final
from unittest.mock import patch

from benchmarks.measuring import Line, Section, beside, seconds
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.raft import leadership
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import Millis
from wattquorum.simulation.chaos import Rules, outcome_of
from wattquorum.simulation.world import Counts

SEEDS: Final = 40
BATCHES: Final = 600
BATCH: Final = 16
SIZES: Final = (9, 100, 1_000)
DELAY_MS: Final = 10  # one way
ROUND_TRIP_MS: Final = (10, 50)  # of links that are drawn
DRAWN: Final = 300  # replicas, of one or several clusters: a small one says more of its links than of its size
PAYLOAD: Final = bytes(200)


class Cluster:
    """Engines on links of fixed delays [ms] and disks that are always done."""

    def __init__(self, powers: Sequence[int], delay: Callable[[int, int], int], furthest: int) -> None:
        """Replicas i and j are `delay(i, j)` away from each other, one way, and at most `furthest`."""
        self.names = [number.to_bytes(20, "big") for number in range(1, len(powers) + 1)]
        voters = tuple(map(Voter, self.names, powers))
        founding = Configuration(0, None, voters, (), 0, b"")
        settings = Settings(election_ms=1_000, slot_ms=1_000, heartbeat_ms=400, inflight_max=256, proposals_max=256)
        self.now = 0
        self.engines = {
            name: Raft(name, founding, [], number, Millis(0), settings=settings)
            for number, name in enumerate(self.names)
        }
        self._delay, self._furthest = delay, furthest
        self._heap: list[tuple[int, int, bytes, bytes, bytes]] = []
        self._order = 0
        self.committed: dict[int, int] = {}  # when the leader committed an index
        self.events = 0
        first = self.engines[self.names[0]]
        self.now = 2_000
        first.tick(Millis(self.now))
        self.settle(self.names[0])
        self.run(self.now + 4 * furthest + 10)
        if first.role is not Role.LEADER:
            raise AssertionError("the first replica was not elected")

    def settle(self, name: bytes) -> None:
        """Does what an engine has to do."""
        engine = self.engines[name]
        while True:
            output = engine.drain()
            if output.records:
                engine.persisted(output.records[-1].position, Millis(self.now))
            for message in output.messages:
                self._order += 1
                at = self.now + self._delay(_number(name), _number(message.to))
                heapq.heappush(self._heap, (at, self._order, message.to, name, message.data))
            if output.committed:
                engine.applied(output.committed[-1].index, b"", Millis(self.now))
                if engine.role is Role.LEADER:
                    self.committed.update((each.index, self.now) for each in output.committed)
            if not (output.records or output.committed):
                return

    def run(self, until: int) -> None:
        """Everything that arrives until then."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, to, sender, frame = heapq.heappop(self._heap)
            self.events += 1
            self.engines[to].receive(sender, frame, Millis(self.now))
            self.settle(to)
        self.now = until

    def commit(self, batches: int, batch: int, every_ms: int) -> list[int]:
        """Proposes batches at the leader, one every so often; how long each took to be committed [ms]."""
        leader = self.engines[self.names[0]]
        proposed: list[tuple[int, int]] = []
        for _ in range(batches):
            leader.propose([PAYLOAD] * batch, Millis(self.now))
            proposed.append((leader.log.last, self.now))
            self.settle(self.names[0])
            self.run(self.now + every_ms)
        self.run(self.now + 4 * self._furthest)
        return [self.committed[index] - at for index, at in proposed]


def _number(name: bytes) -> int:
    return int.from_bytes(name, "big") - 1


def _alike(one_way_ms: int) -> tuple[Callable[[int, int], int], int]:
    """Every link takes as long."""
    return lambda _one, _other: one_way_ms, one_way_ms


def _drawn(seed: int) -> tuple[Callable[[int, int], int], int]:
    """Every pair draws its round trip, half of it each way; drawn when it is first needed."""
    chance, links = Chance(seed), dict[tuple[int, int], int]()

    def delay(one: int, other: int) -> int:
        pair = min(one, other), max(one, other)
        if pair not in links:
            links[pair] = chance.stream(f"{pair}").between(ROUND_TRIP_MS[0] // 2, ROUND_TRIP_MS[1] // 2)
        return links[pair]

    return delay, ROUND_TRIP_MS[1] // 2


def _placed(away_ms: Sequence[int]) -> tuple[Callable[[int, int], int], int]:
    """Replica i is so far away from everybody else."""
    return lambda one, other: away_ms[one] + away_ms[other], 2 * max(away_ms)


def count_decides(configuration: Configuration, replicas: Collection[bytes]) -> bool:
    """By heads."""
    return 2 * sum(voter.replica in replicas for voter in configuration.new) > len(configuration.new)


def count_committed(configuration: Configuration, stored: Mapping[bytes, int], floor: int = 0) -> int:
    """By heads, with the same way out as the weighted one has: most answers raise nothing."""
    known = [index for voter in configuration.new if (index := stored.get(voter.replica, 0)) > floor]
    needed = len(configuration.new) // 2 + 1
    if len(known) < needed:
        return floor
    known.sort(reverse=True)
    return known[needed - 1]


def measured() -> Section:
    """Events a second, the price of weights, round trips, and consensus time by size."""
    return Section("consensus", [*_worlds(), _price(), *_sizes(), _near()])


def _worlds() -> list[Line]:
    counts: list[Counts] = []
    taken = seconds(lambda: counts.extend(outcome_of(seed, Rules()).counts for seed in range(SEEDS)))
    events = sum(count.events for count in counts)

    def bare() -> None:
        heap: list[tuple[int, int]] = []
        chance = Chance(1)
        for order in range(events):
            heapq.heappush(heap, (chance.below(1_000_000), order))
            if order % 2:
                heapq.heappop(heap)

    floor = seconds(bare)
    return [
        Line("simulated events a second", events / taken, "/s", "ledgers, disks, checkers and trace included"),
        Line("of a bare heap's", 100 * floor / taken, "%", f"{events:,} events of {SEEDS} worlds"),
    ]


def _price() -> Line:
    """The same work with weighted and with counting quorums, in turns. Powers are equal, so that both wait for five."""

    def weighted() -> None:
        Cluster([1] * 9, *_alike(DELAY_MS)).commit(BATCHES, BATCH, 1)

    def counting() -> None:
        with (
            patch.object(leadership, "decides", count_decides),
            patch.object(leadership, "committed_index", count_committed),
        ):
            Cluster([1] * 9, *_alike(DELAY_MS)).commit(BATCHES, BATCH, 1)

    both = beside(weighted, counting, 5)
    rate = BATCHES * BATCH / both.ours
    note = f"9 replicas, {rate:,.0f} entries a second in one thread; target 0.95"
    return Line("weighted quorums' rate, of counting ones'", 1 / both.times, "x", note)


def _commit_into(times: list[int], cluster: Cluster) -> None:
    times.extend(cluster.commit(20, 1, 200))


def _sizes() -> list[Line]:
    """Consensus time of a round by number of replicas, on links of one delay and on links that every pair draws.

    Those have round trips of 10 to 50 ms, in several clusters where they are small.
    """
    lines = []
    for size in SIZES:
        cluster = Cluster([1] * size, *_alike(DELAY_MS))
        latencies = cluster.commit(20, 1, 4 * DELAY_MS)
        trips = median(latencies) / (2 * DELAY_MS)
        mixed = [Cluster([1] * size, *_drawn(seed)) for seed in range(max(1, DRAWN // size))]
        times: list[int] = []
        taken = sum(seconds(partial(_commit_into, times, each)) for each in mixed) / len(mixed)
        note = (
            f"commits after {trips:.2f} round trips; {1_000 * taken / 20:.1f} ms of computing a round for all replicas"
        )
        lines.append(Line(f"consensus time of {size:,} replicas", sum(times) / len(times), "ms", note))
    return lines


def _near() -> Line:
    """Two heavy members near each other and three light ones far away, weighted and plain."""
    far = [0, 1, 50, 50, 50]
    weighted = sorted(Cluster([4, 4, 1, 1, 1], *_placed(far)).commit(50, 1, 150))[25]
    plain = sorted(Cluster([1] * 5, *_placed(far)).commit(50, 1, 150))[25]
    return Line(
        "p50 commit time of powers 4, 4, 1, 1, 1, of plain Raft's",
        weighted / plain,
        "x",
        f"{weighted} and {plain} ms; the light ones are 50 ms away; target 0.1",
    )
