"""A sitting: everything that is compared is measured in turns, and what others did meanwhile is written beside it.

A round loads each system in turn, so that what makes the machine slower for a while meets all of them; every second
round goes the other way. A round during which others used more than a tenth of the cores does not count and is made
again, up to three times as many as are wanted.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from benchmarks import opaque, signed
from benchmarks.loops import Load
from benchmarks.peers import tools
from benchmarks.peers.changing import Changing
from benchmarks.peers.clusters import Cluster, Etcd, Loaded, Ours, PySyncObj, Skeleton
from benchmarks.peers.machine import described, watched
from benchmarks.peers.results import (
    CLIENTS,
    ETCD,
    ETCD_QUICK,
    NOISE_PERCENT,
    OURS,
    PYSYNCOBJ,
    RANK_SLOT_MS,
    SKELETON,
    Outage,
    Pair,
    Results,
    Round,
    kept,
)

C = TypeVar("C", bound=Loaded)
ATTEMPTS: Final = 3  # times as many rounds as are wanted, at most
BLOCK: Final = 10  # kills of one cluster, before the next has its turn
FOUNDED: Final = 9  # pairs of clusters
PAIRS: Final = 4  # of loads of each

PARTS: Final = ("load", "failover", "ranks", "weights", "signed", "powers", "saturated")

CLUSTERS: Final[dict[str, Callable[[Path], Cluster]]] = {
    OURS: Ours,
    ETCD: Etcd,
    PYSYNCOBJ: PySyncObj,
    ETCD_QUICK: partial(Etcd, heartbeat_ms=50, election_ms=300),
}
LOADED: Final[dict[str, Callable[[Path], Loaded]]] = {**CLUSTERS, SKELETON: Skeleton}


def _say(text: str) -> None:
    print(f"{time.strftime('%T')} {text}", flush=True)


class Sitting:
    """What is asked for, and what has been found so far."""

    def __init__(self, seconds: int, rounds: int, kills: int, saturated_s: int, place: Path | None) -> None:
        self._seconds, self._rounds, self._kills, self._saturated_s = seconds, rounds, kills, saturated_s
        self._place = place
        command = f"make bench-peers ARGS={shlex.quote(' '.join(sys.argv[1:]))}" if sys.argv[1:] else "make bench-peers"
        about = {
            "day": time.strftime("%Y-%m-%d"),
            "command": command,
            "revision": revision(),
            **described(),
            **tools.versions(),
            "seconds": str(seconds),
        }
        self.results = Results(about, [], [], [], {})

    def _with(self, make: Callable[[Path], C], work: Callable[[C], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="wattquorum-peers-", dir=self._place) as folder:
            cluster = make(Path(folder))
            try:
                work(cluster)
            finally:
                cluster.stop()

    # Loads ----------------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Every system at every number of clients."""
        systems = (OURS, ETCD, PYSYNCOBJ, SKELETON)
        for number in range(1, ATTEMPTS * self._rounds + 1):
            for system in systems if number % 2 else systems[::-1]:
                self._load_one(number, system)
            quiet = kept(self.results.rounds)
            if number not in quiet:
                _say(f"round {number} is thrown away: others used more than {NOISE_PERCENT:.0f} % of the cores")
            if len(quiet) >= self._rounds:
                return

    def _load_one(self, number: int, system: str) -> None:
        loads: list[Load] = []

        def work(loaded: Loaded) -> None:
            loads.extend(loaded.load(clients, self._seconds) for clients in CLIENTS)

        _, others = watched(lambda: self._with(LOADED[system], work))
        for load in loads:
            self.results.rounds.append(Round(number, system, *_rounded(load), load.failed, others))
            said = f"{load.rate:>9,.0f}/s  p50 {load.p50_ms:>8.3f} ms  p99 {load.p99_ms:>8.2f} ms"
            _say(f"round {number}  {system:<10} {load.clients:>5} clients {said}  others {others:.0f} %")

    # Failover -------------------------------------------------------------------------------------------------------

    def failover(self) -> None:
        """The leader is killed as often as is asked for; etcd with our times a fifth as often."""
        systems = {OURS: self._kills, ETCD: self._kills, PYSYNCOBJ: self._kills, ETCD_QUICK: -(-self._kills // 5)}
        for block in range(0, self._kills, BLOCK):
            for system, kills in systems.items():
                self._kill(system, min(BLOCK, kills - block))

    def _kill(self, system: str, kills: int) -> None:
        if kills <= 0:
            return
        found: list[float] = []

        def work(cluster: Cluster) -> None:
            found.extend(round(cluster.outage(), 1) for _ in range(kills))

        _, others = watched(lambda: self._with(CLUSTERS[system], work))
        self.results.outages.extend(Outage(system, ms, others) for ms in found)
        _say(f"failover  {system:<16} {' '.join(f'{ms:.0f}' for ms in found)} ms  others {others:.0f} %")

    def ranks(self) -> None:
        """The leader is killed, and the leader with the next by rank, in turns."""
        raft = {**opaque.RAFT, "slot_ms": RANK_SLOT_MS, "slot_min_ms": RANK_SLOT_MS}
        five = partial(Ours, replicas=5, raft=raft)
        for _ in range(0, self._kills, BLOCK):
            found: list[tuple[float, float]] = []

            def work(cluster: Ours, found: list[tuple[float, float]] = found) -> None:
                found.extend(
                    (round(cluster.ranked_outage(heaviest_too=True), 1), round(cluster.ranked_outage(False), 1))
                    for _ in range(min(BLOCK, self._kills))
                )

            _, others = watched(lambda: self._with(five, work))
            self.results.pairs.extend(Pair("ranks", both, leader, 0, others) for both, leader in found)
            said = ", ".join(f"{both:.0f} and {leader:.0f}" for both, leader in found)
            _say(f"heaviest dead too, and not: {said} ms  others {others:.0f} %")

    # Ours against ours ----------------------------------------------------------------------------------------------

    def weights(self) -> None:
        """Powers that are all equal, beside the same engine with quorums that count heads.

        Which replica leads, and where its processes run, moves either cluster by more than what is looked for: so
        clusters are founded anew several times. Meanwhile both stay up.
        """
        for number in range(FOUNDED):
            self._weigh(number)

    def _weigh(self, number: int) -> None:
        def pair(weighted: Ours, counting: Ours, turn: int) -> tuple[Load, Load]:
            if turn % 2:
                second = counting.load(64, 2)
                return weighted.load(64, 2), second
            return weighted.load(64, 2), counting.load(64, 2)

        found: list[tuple[Load, Load]] = []

        def both(weighted: Ours) -> None:
            self._with(
                lambda folder: Ours(folder, "--counting"),
                lambda counting: found.extend(pair(weighted, counting, number + turn) for turn in range(PAIRS)),
            )

        _, others = watched(lambda: self._with(Ours, both))
        for one, other in found:
            failed = one.failed + other.failed
            self.results.pairs.append(Pair("weights", round(one.rate), round(other.rate), failed, others))
        ratios = " ".join(f"{one.rate / other.rate:.2f}" for one, other in found)
        _say(f"weighted, of counting quorums: {ratios}  others {others:.0f} %")

    def powers(self) -> None:
        """Clients write while powers change four times a second, beside the same without changes."""
        found: list[tuple[Load, Load]] = []

        def work(cluster: Ours) -> None:
            for _ in range(self._rounds):
                steady = cluster.load(64, self._seconds)
                with Changing(cluster) as changing:
                    found.append((cluster.load(64, self._seconds), steady))
                _say(f"powers changed {changing.changes} times")

        _, others = watched(lambda: self._with(Ours, work))
        for changed, steady in found:
            failed = changed.failed + steady.failed
            self.results.pairs.append(Pair("powers", changed.p99_ms, steady.p99_ms, failed, others))
            said = f"{changed.p99_ms:.2f} ms, steady {steady.p99_ms:.2f} ms, {failed} failed"
            _say(f"p99 while powers change {said}  others {others:.0f} %")

    def signed(self) -> None:
        """Transfers that every replica checks, beside what all cores could check."""
        for _ in range(self._rounds):
            rate, others = watched(lambda: signed.measured(self._seconds))
            self.results.pairs.append(Pair("signed", round(rate.transfers), round(rate.checks), 0, others))
            said = f"{rate.transfers:,.0f}/s, {rate.checks:,.0f} checks/s on all cores: {100 * rate.share:.0f} %"
            _say(f"signed transfers {said}  others {others:.0f} %")

    def saturated(self) -> None:
        """1,024 clients for long, and whether anybody but the first leader was elected meanwhile."""
        if not self._saturated_s:
            return

        def work(cluster: Ours) -> None:
            before = cluster.terms
            load = cluster.load(1024, self._saturated_s)
            self.results.saturated.update(
                seconds=self._saturated_s, elections=cluster.terms - before, rate=round(load.rate), failed=load.failed
            )

        _, others = watched(lambda: self._with(Ours, work))
        self.results.saturated["others_percent"] = others
        _say(f"saturated: {self.results.saturated}")

    def run(self, parts: Sequence[str]) -> None:
        """These parts, in this order."""
        for part in parts:
            getattr(self, part)()


def _rounded(load: Load) -> tuple[int, float, float, float]:
    return load.clients, round(load.rate), round(load.p50_ms, 3), round(load.p99_ms, 3)


def revision() -> str:
    """Which state of this repository is measured, and whether it is all committed."""
    here = Path(__file__).parent
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"
