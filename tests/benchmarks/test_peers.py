"""The comparison with peers: what rounds come to, what is thrown away, and a page that says nothing but its results."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from benchmarks import loops
from benchmarks.loops import DONE, ELSEWHERE, LENGTH, connections_for, load_at, load_of
from benchmarks.opaque import POWERS, Opaque
from benchmarks.peers import machine, page, plot, tools
from benchmarks.peers.results import (
    CLIENTS,
    ETCD,
    ETCD_QUICK,
    OURS,
    PYSYNCOBJ,
    Outage,
    Pair,
    Results,
    Round,
    Target,
    Tortured,
    counted,
    from_json,
    kept,
    middle,
    middle_outage,
    pair_ratio,
    read,
    targets,
    to_json,
)
from tests.loops import apart
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Message
from wattquorum.consensus.raft.engine import Raft
from wattquorum.foundation.quantities import Millis

T = TypeVar("T")
THREE = [bytes([number]) * 20 for number in (1, 2, 3)]
FOUNDING = Configuration(0, None, tuple(Voter(name, 1) for name in THREE), (), 0, b"")
ABOUT = {
    "day": "2026-01-01",
    "command": "make bench-peers",
    "revision": "abc",
    "minutes": "9",
    "machine": "2 cores",
    "python": "3.11",
    "etcd": "3",
    "PySyncObj": "0",
    "seconds": "4",
}


def sitting(rates: dict[tuple[int, str], float], others: dict[int, float] | None = None) -> Results:
    """Every system at every load with the rate of its round; what others used by round."""
    noise = others or {}
    rounds = [
        Round(number, system, clients, rate, 1_000 / rate, 2_000 / rate, 0, noise.get(number, 0.0))
        for (number, system), rate in rates.items()
        for clients in CLIENTS
    ]
    return Results(ABOUT, rounds, [], [], {})


def test_medians_are_over_quiet_rounds_alone() -> None:
    rates = {(number, OURS): float(rate) for number, rate in enumerate((100, 300, 200, 1), 1)}
    results = sitting(rates, {4: 10.1, 2: 10.0})
    assert kept(results.rounds) == [1, 2, 3]
    assert counted(results.rounds) == ([1, 2, 3], True)
    assert middle(results, OURS, 64, "rate") == 200
    assert middle(results, ETCD, 64, "rate") is None


def test_a_round_is_as_noisy_as_its_noisiest_part() -> None:
    results = sitting({(1, OURS): 5.0, (1, ETCD): 5.0})
    results.rounds[-1] = results.rounds[-1]._replace(others_percent=50.0)
    assert kept(results.rounds) == []


def test_where_too_few_rounds_were_quiet_all_count_and_the_page_says_so() -> None:
    results = sitting({(1, OURS): 100.0, (2, OURS): 50.0, (3, OURS): 70.0}, {1: 99.0})
    assert counted(results.rounds) == ([1, 2, 3], False)
    assert "**The machine was busy with other work**" in page.text(results)
    assert "busy" not in page.text(sitting({(number, OURS): 1.0 for number in (1, 2, 3)}))
    assert counted(sitting({(1, OURS): 1.0}).rounds) == ([1], True), "all there are"


def test_targets_are_ratios_of_one_sitting() -> None:
    rates = {
        (number, system): rate
        for number in (1, 2, 3)
        for system, rate in ((OURS, 300.0), (ETCD, 100.0), (PYSYNCOBJ, 150.0))
    }
    results = sitting(rates)._replace(
        outages=[Outage(OURS, 300.0, 0), Outage(OURS, 500.0, 0), Outage(OURS, 400.0, 0), Outage(ETCD, 1_000.0, 0)],
        pairs=[
            Pair("weights", 99, 100, 0, 0),
            Pair("weights", 90, 100, 0, 0),
            Pair("weights", 200, 100, 0, 0),
            Pair("signed", 4_000, 30_000, 0, 0),
            Pair("powers", 30, 10, 2, 0),
            *(Pair("ranks", both, leader, 0, 0) for both, leader in ((400, 350), (401, 360), (500, 340))),
        ],
    )
    found = {target.name: (target.found and round(target.found, 6), target.met) for target in targets(results)}
    assert found["64 clients: throughput, of etcd's"] == (3.0, True)
    assert found["64 clients: throughput, of PySyncObj's"] == (2.0, False)
    assert found["1 client: p50, of etcd's"] == (0.333333, True)
    assert found["failover: median, of etcd's"] == (0.4, False)
    assert found["weighted quorums, of counting ones"] == (0.99, True)
    assert found["signed transfers, of cores x checks / replicas"] == (40.0, True)
    assert found["powers change: p99, of steady"] == (3.0, False)
    assert found["powers change: failed writes"] == (2.0, False)
    assert found["elections while saturated"] == (None, None)
    assert found["failover: median, of etcd's with our times"] == (None, None)
    assert found["heaviest member dead: failover longer by"] == (1.0, True)
    assert found["acknowledged writes lost in 500 kill -9"] == (None, None)
    assert middle_outage(results, ETCD) == 1_000.0
    assert pair_ratio(results, "absent", lambda one, _: one) is None


def test_a_missed_target_says_by_how_much() -> None:
    assert Target("", 0.8, True, 1.0).missed_by == pytest.approx(25)
    assert Target("", 2.5, False, 2.0).missed_by == pytest.approx(20)
    assert not Target("", 2.5, False, 2.0).met


def test_results_are_read_as_they_were_written() -> None:
    results = sitting({(1, OURS): 3.5})._replace(outages=[Outage(OURS, 1.5, 2.5)], saturated={"elections": 0})
    assert from_json(to_json(results)) == results
    results = results._replace(tortured=(DROPPED, DROPPED._replace(drops=False, lost=2)))
    assert from_json(to_json(results)) == results


DROPPED = Tortured("2026-01-02", "def", "make torture ARGS='--kills 600 --drops'", True, 600, 70, 9_000, 0)


def test_what_the_torture_lost_is_told_with_its_command_and_as_no_part_of_the_sitting() -> None:
    results = sitting({(1, OURS): 3.5})._replace(tortured=(DROPPED,))
    told = page.text(results)
    lost = "acknowledged writes lost"
    assert f"| {lost} in 500 kills that drop un-synced pages | at most 0 | 0 | met, in 600 kills, below |" in told
    assert f"| {lost} in 500 kill -9 | at most 0 | - | not measured |" in told
    assert f"| failover: {lost} | at most 0 | 0 | met, in 70 kills of leaders, below |" in told
    assert "`make torture ARGS='--kills 600 --drops'` on 2026-01-02 (revision def)" in " ".join(told.split())
    told = page.text(results._replace(tortured=(DROPPED._replace(lost=3),)))
    assert f"| failover: {lost} | at most 0 | 3 | **missed** |" in told
    assert "9,000 acknowledged writes, **3** lost" in " ".join(told.split())


def test_failover_is_compared_with_the_same_times() -> None:
    outages = [Outage(OURS, 300.0, 0), Outage(ETCD, 1_000.0, 0), Outage(ETCD_QUICK, 400.0, 0)]
    told = page.text(sitting({(1, OURS): 3.5})._replace(outages=outages))
    assert "| failover: median, of etcd's with our times |  | 0.75 x | to be compared |" in told
    assert "| etcd, our times | 1 | 400 | 400 | 400 | 0.75 x |" in told


def test_the_page_and_its_plot_are_what_the_results_say() -> None:
    results = read(page.RESULTS)
    assert page.PAGE.read_text(encoding="utf-8") == page.text(results)
    assert page.PLOT.read_text(encoding="utf-8") == plot.drawn(results)


def test_latencies_count_as_often_as_they_were_seen() -> None:
    load = load_of(4, 2.0, [(0.004, 1), (0.001, 98), (0.002, 1)], failed=3)
    assert load == (4, 50.0, 1.0, 4.0, 3)
    assert load_of(1, 1.0, []) == (1, 0.0, 0.0, 0.0, 0)
    assert [connections_for(clients) for clients in CLIENTS] == [1, 8, 16]


class Served(asyncio.Protocol):
    """A connection to a server of a test, which ends with the other side."""

    open_now: ClassVar[dict[Served, None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open_now[self] = None

    def connection_lost(self, _fault: Exception | None) -> None:
        del self.open_now[self]


async def served(make: Callable[[], Served], use: Callable[[tuple[str, int]], Awaitable[T]]) -> T:
    """What is found at a server's place; all connections have ended then."""
    async with await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0) as server:
        found = await use(server.sockets[0].getsockname()[:2])
        while Served.open_now:
            await asyncio.sleep(0.005)
        return found


class Answering(Served):
    """Answers every third entry with "not here"; the bytes of a read may end anywhere."""

    def __init__(self, widths: list[int]) -> None:
        self._widths, self._rest, self._count = widths, b"", 0

    def data_received(self, data: bytes) -> None:
        self._rest += data
        whole, self._rest = divmod(len(self._rest), LENGTH.size + loops.ENTRY_BYTES)[0], self._rest
        self._rest = self._rest[whole * (LENGTH.size + loops.ENTRY_BYTES) :]
        self._widths.append(whole)
        for _ in range(whole):
            self._count += 1
            self.transport.write(DONE if self._count % 3 else ELSEWHERE)


def test_a_client_sends_its_next_entry_when_its_last_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "WARM_S", 0.0)
    widths: list[int] = []
    story = served(lambda: Answering(widths), lambda place: load_at(place, 7, 2, 0.3))
    load = apart(lambda: asyncio.run(story))
    assert max(widths) <= 4, "of 7 clients 4 and 3 share a connection"
    assert load.clients == 7
    assert load.failed == pytest.approx(sum(widths) / 3, abs=2)
    assert load.rate * 0.3 == pytest.approx(sum(widths) * 2 / 3, abs=8), "what was refused is no part of the rate"


def test_an_outage_lasts_from_the_kill_to_the_first_decided_entry() -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    class Deciding(Served):
        asked = 0

        def data_received(self, _data: bytes) -> None:
            self.asked += 1
            self.transport.write(DONE if self.asked == 3 else ELSEWHERE)

    try:
        out = served(Deciding, lambda place: loops.outage_at([place], [victim.pid]))
        assert apart(lambda: asyncio.run(out)) >= 2 * 1_000 * loops.PROBE_S * 0.9
        assert victim.wait(10) == -signal.SIGKILL
    finally:
        victim.kill()
        victim.wait()


def test_who_does_not_lead_says_so_for_every_entry() -> None:
    opaque = Opaque(Raft(THREE[0], FOUNDING, [], 1, Millis(0)), FOUNDING)
    answers: list[tuple[int, bool]] = []
    opaque.submit([b"a", b"b"], lambda count, done: answers.append((count, done)))
    opaque.drain(Millis(1))
    assert answers == [(2, False)]


def test_entries_are_answered_when_a_quorum_has_them_and_powers_change_alike_everywhere() -> None:
    machines = {name: Opaque(Raft(name, FOUNDING, [], 1, Millis(0)), FOUNDING) for name in THREE}
    answers: list[tuple[int, bool]] = []

    def settle(now: int) -> None:
        waiting: list[tuple[bytes, Message]] = []
        while True:
            for name, opaque in machines.items():
                work = opaque.drain(Millis(now))
                waiting += [(name, message) for message in work.messages]
                if work.records:
                    opaque.persisted(work.records[-1].position, Millis(now))
            if not waiting:
                return
            sent, waiting = waiting, []
            for sender, message in sent:
                machines[message.to].receive(sender, message.data, Millis(now))

    machines[THREE[0]].turn(Millis(5_000))
    settle(5_000)
    leader = machines[THREE[0]]
    assert leader.engine.takes
    leader.submit([b"entry", POWERS + b"500000 300000 200000"], lambda count, done: answers.append((count, done)))
    assert answers == []
    settle(5_001)
    settle(5_001)
    assert answers == [(2, True)]
    for now in range(5_002, 5_400, 50):
        for opaque in machines.values():
            opaque.turn(Millis(now))
        settle(now)
    for opaque in machines.values():
        found = opaque.engine.configuration
        assert (found.version, found.old, [voter.power for voter in found.new]) == (
            1,
            None,
            [500_000, 300_000, 200_000],
        )


def test_what_we_start_and_wait_for_is_not_what_others_use() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    before = machine.own_s()
    taken, others = machine.watched(lambda: subprocess.run([sys.executable, "-c", burn], check=True).returncode)
    assert taken == 0
    assert machine.own_s() - before >= 0.25
    assert 0 <= others <= 100
    assert machine.others_percent(busy_s=6.0, ours_s=2.0, passed_s=10.0, cores=2) == 20.0
    assert machine.others_percent(busy_s=2.0, ours_s=2.1, passed_s=10.0, cores=2) == 0.0


def test_what_is_missing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    environment = {**os.environ, "WATTQUORUM_PEERS": str(tmp_path), "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "benchmarks.peers", "--kills", "1", "--results", str(tmp_path / "none.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "etcd is not installed" in done.stderr
    assert tools.SETUP in done.stderr
    assert list(tmp_path.iterdir()) == []
