"""Clusters: three replicas of each system on this machine, started, loaded, robbed of their leader, and ended.

All listen on the loopback alone, keep their data in a folder that is given, and are waited for when they end, so that
the processor time that they used is known as ours. Everybody syncs to the disk as it does by default; PySyncObj never
does.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from benchmarks import opaque
from benchmarks.loops import ENTRY_BYTES, Load, connections_for
from benchmarks.peers import tools
from benchmarks.ports import free as free_ports
from wattquorum.foundation.quantities import MILLION

REPLICAS: Final = 3
SETTLE_S: Final = 3.0  # for who was killed to be one of three again
START_S: Final = 20.0
ANSWER_S: Final = 120.0


class Loaded(Protocol):
    """Three processes that take entries."""

    def load(self, clients: int, seconds: int) -> Load:
        """Loads it by closed loops."""

    def stop(self) -> None:
        """Ends all that was started."""


class Cluster(Loaded, Protocol):
    """Three replicas of one system, which go on without their leader."""

    def outage(self) -> float:
        """Kills the leader; how long nobody could write [ms]. Then the killed one is started again."""


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _run(command: list[str], seconds: float = 0.0) -> str:
    """What a command says that has so many seconds of work to do."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=ANSWER_S + seconds)
    if done.returncode:
        raise RuntimeError(f"{command[0]} {' '.join(command[1:4])}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _closed_loops(place: tuple[str, int], clients: int, seconds: int) -> Load:
    command = [sys.executable, "-m", "benchmarks.loops", "--at", f"{place[0]}:{place[1]}"]
    return Load(**json.loads(_run([*command, "--clients", str(clients), "--seconds", str(seconds)], seconds)))


class Ours:
    """Our nodes, with TLS."""

    def __init__(
        self, folder: Path, *words: str, replicas: int = REPLICAS, raft: Mapping[str, int] = opaque.RAFT
    ) -> None:
        self._nodes = opaque.Processes(folder / "community", words, replicas, raft)
        self._leader = self._nodes.leader()

    def load(self, clients: int, seconds: int) -> Load:
        return _closed_loops(self._nodes.founded.apis[self._leader], clients, seconds)

    def change_powers(self, light: bool) -> bool:
        """Asks for powers that differ a little; the leader stays the heaviest. Whether the entry was decided."""
        powers = [330_000 if light else 300_000] * REPLICAS
        powers[self._leader] = MILLION - sum(powers[1:])
        return self._give(powers)

    def _give(self, powers: Sequence[int]) -> bool:
        """Asks for these powers, by number of node [millionths]; whether the entry was decided."""
        addresses = self._nodes.addresses
        said = [b"%d" % powers[number] for number in sorted(range(len(powers)), key=lambda each: addresses[each])]
        return self._nodes.ask(self._leader, opaque.POWERS + b" ".join(said))

    @property
    def terms(self) -> int:
        """The highest term that any of them was in."""
        return self._nodes.terms()

    def outage(self) -> float:
        return self._outage([self._leader])

    def _outage(self, dead: Sequence[int]) -> float:
        apis = self._nodes.founded.apis
        survivors = ",".join(f"{host}:{port}" for n, (host, port) in enumerate(apis) if n not in dead)
        killed = [self._nodes.processes[number] for number in dead]
        command = [sys.executable, "-m", "benchmarks.loops", "--at", survivors, "--outage"]
        taken = float(json.loads(_run([*command, *(str(each.pid) for each in killed)]))["outage_ms"])
        for number, process in zip(dead, killed, strict=True):
            process.wait()
            self._nodes.restart(number)
        self._leader = self._nodes.leader()
        time.sleep(SETTLE_S)
        return taken

    def ranked_outage(self, heaviest_too: bool) -> float:
        """Kills the leader, and the heaviest of the others with it if so asked; how long nobody could write [ms].

        Of five: the leader has 24 % of the power, the next 22 %, the others 18 % each, more than half together.
        """
        heaviest = (self._leader + 1) % len(self._nodes.addresses)
        powers = {self._leader: 240_000, heaviest: 220_000}
        if not self._give([powers.get(number, 180_000) for number in range(len(self._nodes.addresses))]):
            raise RuntimeError("powers were not changed")
        time.sleep(SETTLE_S)
        return self._outage([self._leader, heaviest] if heaviest_too else [self._leader])

    def stop(self) -> None:
        self._nodes.stop()


class Etcd:
    """Three servers of etcd, without TLS."""

    def __init__(self, folder: Path, heartbeat_ms: int = 100, election_ms: int = 1_000) -> None:
        """100 and 1000 ms are etcd's own defaults."""
        self._folder, self._program, self._client = folder, tools.etcd(), tools.etcd_client()
        self._times = (heartbeat_ms, election_ms)
        ports = free_ports(2 * REPLICAS)
        self._clients = [f"http://127.0.0.1:{port}" for port in ports[:REPLICAS]]
        self._peers = [f"http://127.0.0.1:{port}" for port in ports[REPLICAS:]]
        self._processes = [self._start(number, "new") for number in range(REPLICAS)]
        self._leader = self._wait()

    def _start(self, number: int, state: str) -> subprocess.Popen[bytes]:
        cluster = ",".join(f"n{other}={url}" for other, url in enumerate(self._peers))
        heartbeat_ms, election_ms = self._times
        settings = {
            "name": f"n{number}",
            "data-dir": str(self._folder / f"n{number}"),
            "listen-client-urls": self._clients[number],
            "advertise-client-urls": self._clients[number],
            "listen-peer-urls": self._peers[number],
            "initial-advertise-peer-urls": self._peers[number],
            "initial-cluster": cluster,
            "initial-cluster-state": state,
            "heartbeat-interval": str(heartbeat_ms),
            "election-timeout": str(election_ms),
            "log-level": "error",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with (self._folder / f"n{number}.log").open("ab") as log:
            return subprocess.Popen([self._program, *words], stdout=log, stderr=log)

    def _wait(self) -> int:
        """Which one leads, once all three are there and say the same."""
        command = ["etcdctl", "--endpoints", ",".join(self._clients), "endpoint", "status", "-w", "json"]
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            told = subprocess.run(
                ["env", "ETCDCTL_API=3", *command], check=False, capture_output=True, text=True, timeout=START_S
            )
            try:
                status = [each["Status"] for each in json.loads(told.stdout)]
            except (json.JSONDecodeError, KeyError):
                status = []
            leaders = {each.get("leader", 0) for each in status}
            if len(status) == REPLICAS and len(leaders) == 1 and leaders != {0}:
                (leader,) = leaders
                return [each["header"]["member_id"] for each in status].index(leader)
            time.sleep(0.1)
        raise TimeoutError(f"etcd has no leader; see {self._folder}")

    def load(self, clients: int, seconds: int) -> Load:
        connections = connections_for(clients)
        words = [self._clients[self._leader], clients, connections, seconds, ENTRY_BYTES]
        return Load(**json.loads(_run([self._client, "load", *map(str, words)])))

    def outage(self) -> float:
        survivors = [url for number, url in enumerate(self._clients) if number != self._leader]
        killed = self._processes[self._leader]
        told = _run([self._client, "outage", ",".join(survivors), str(killed.pid)])
        killed.wait()
        self._processes[self._leader] = self._start(self._leader, "existing")
        self._leader = self._wait()
        time.sleep(SETTLE_S)
        return float(json.loads(told)["outage_ms"])

    def stop(self) -> None:
        for process in self._processes:
            _end(process)


class PySyncObj:
    """Three nodes of PySyncObj with a journal, without TLS; the clients run inside the leader."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._python = folder, tools.pysyncobj_python()
        self._names = [f"127.0.0.1:{port}" for port in free_ports(REPLICAS)]
        self._processes = [self._start(number) for number in range(REPLICAS)]
        self._leader = self._wait()

    def _start(self, number: int) -> subprocess.Popen[str]:
        others = ",".join(name for other, name in enumerate(self._names) if other != number)
        journal = str(self._folder / f"journal-{number}")
        command = [self._python, str(tools.HERE / "pysyncobj_node.py"), self._names[number], others, journal]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)

    def _ask(self, number: int, command: str) -> dict[str, object]:
        process = self._processes[number]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(command + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], ANSWER_S)[0]:
            raise TimeoutError("PySyncObj does not answer")
        found: dict[str, object] = json.loads(process.stdout.readline())
        return found

    def _wait(self) -> int:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            told = {str(self._ask(number, "who")["leader"]) for number in range(REPLICAS)}
            if len(told) == 1 and (leader := told.pop()) in self._names:
                time.sleep(1.0)
                return self._names.index(leader)
            time.sleep(0.1)
        raise TimeoutError("PySyncObj has no leader")

    def load(self, clients: int, seconds: int) -> Load:
        return Load(**self._ask(self._leader, f"load {clients} {seconds} {ENTRY_BYTES}"))  # type: ignore[arg-type]

    def outage(self) -> float:
        killed = self._processes[self._leader]
        told = self._ask((self._leader + 1) % REPLICAS, f"outage {killed.pid}")["outage_ms"]
        killed.wait()
        if not isinstance(told, float):
            raise TimeoutError("PySyncObj decides nothing any more")
        self._processes[self._leader] = self._start(self._leader)
        self._leader = self._wait()
        time.sleep(SETTLE_S)
        return told

    def stop(self) -> None:
        for process in self._processes:
            _end(process)


class Skeleton:
    """The floor: three processes that only pass batches on and sync them."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.peers.skeleton", str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def load(self, clients: int, seconds: int) -> Load:
        return _closed_loops(("127.0.0.1", self._port), clients, seconds)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            _end(self._process)
