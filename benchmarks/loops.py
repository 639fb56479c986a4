"""Closed loops: clients that each have one entry under way, for whatever answers one byte to each.

    python -m benchmarks.loops --at 127.0.0.1:21003 --clients 64 --connections 8 --seconds 5

A client sends its next entry when its last one is answered. Many share a connection, as those of a client library do
that keeps one connection to a server: what is to be sent when answers have come is sent in one write. An entry goes as
four bytes of length and its bytes; answers are one byte each, in the order of a connection's entries: 1 for decided, 0
for "not here". It stands apart so that ours and the floor beneath it are loaded by the same program.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import struct
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, cast

ENTRY_BYTES: Final = 128
LENGTH: Final = struct.Struct(">I")
DONE, ELSEWHERE = b"\1", b"\0"
PROBE_S: Final = 0.005
OUTAGE_MAX_S: Final = 30.0
WARM_S: Final = 1.0  # that nobody counts
Place = tuple[str, int]

run_loop: Final[Callable[[Coroutine[Any, Any, Any]], Any]] = (
    import_module("uvloop") if find_spec("uvloop") else asyncio
).run


class Load(NamedTuple):
    """What so many clients saw."""

    clients: int
    rate: float  # decided a second
    p50_ms: float
    p99_ms: float
    failed: int  # answered with "not here"


def connections_for(clients: int) -> int:
    """Over how many connections so many clients go, here and at the peers."""
    return 1 if clients < 64 else 8 if clients < 1024 else 16


def load_of(clients: int, seconds: float, times: Sequence[tuple[float, int]], failed: int = 0) -> Load:
    """What clients saw, from answers as (how long they took [s], how many took so long)."""
    total = sum(count for _, count in times)
    if not total:
        return Load(clients, 0.0, 0.0, 0.0, failed)
    ordered = sorted(times)

    def at(rank: int) -> float:
        for taken, count in ordered:
            rank -= count
            if rank < 0:
                return 1_000 * taken
        return 1_000 * ordered[-1][0]

    return Load(clients, total / seconds, at(total // 2), at(total * 99 // 100), failed)


class _Loops(asyncio.Protocol):
    """The clients of one connection."""

    def __init__(self, clients: int, begin: float, end: float, ended: Callable[[], None]) -> None:
        self._clients, self._begin, self._end, self._ended = clients, begin, end, ended
        self._frame = LENGTH.pack(ENTRY_BYTES) + os.urandom(ENTRY_BYTES)
        self._transport: asyncio.Transport | None = None
        self._sent: deque[list[Any]] = deque()  # [when, how many], in order
        self._under_way = 0
        self.times: list[tuple[float, int]] = []
        self.failed = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send(self._clients, time.perf_counter())

    def _send(self, count: int, now: float) -> None:
        assert self._transport is not None
        self._transport.write(self._frame * count)
        self._sent.append([now, count])
        self._under_way += count

    def data_received(self, data: bytes) -> None:
        now, rest, sent = time.perf_counter(), len(data), self._sent
        self.failed += data.count(ELSEWHERE)
        self._under_way -= rest
        while rest:
            when, count = first = sent[0]
            answered = min(rest, count)
            if when >= self._begin and now <= self._end:
                at = len(data) - rest
                self.times.append((now - when, data.count(DONE, at, at + answered)))
            if answered == count:
                sent.popleft()
            else:
                first[1] -= answered
            rest -= answered
        if now < self._end:
            self._send(len(data), now)
        elif not self._under_way:
            self._ended()

    def connection_lost(self, _fault: Exception | None) -> None:
        self.lost = self._under_way > 0
        self._ended()

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()


async def load_at(place: Place, clients: int, connections: int, seconds: float) -> Load:
    """Loads whoever listens there for so long after a second of warming up; ConnectionError where it goes away."""
    loop = asyncio.get_running_loop()
    begin = time.perf_counter() + WARM_S
    running = [loop.create_future() for _ in range(connections)]
    protocols = []
    for number, future in enumerate(running):
        share = clients // connections + (number < clients % connections)

        def ended(future: asyncio.Future[None] = future) -> None:
            if not future.done():
                future.set_result(None)

        _, protocol = await loop.create_connection(
            lambda share=share, ended=ended: _Loops(share, begin, begin + seconds, ended),  # type: ignore[misc]
            *place,
        )
        protocols.append(protocol)
    try:
        await asyncio.wait_for(asyncio.gather(*running), WARM_S + seconds + 30)
    finally:
        for protocol in protocols:
            protocol.close()
    if any(protocol.lost for protocol in protocols):
        raise ConnectionError("the connection was lost under load")
    times = [each for protocol in protocols for each in protocol.times]
    return load_of(clients, seconds, times, sum(protocol.failed for protocol in protocols))


class _Probe(asyncio.Protocol):
    """One client that is told whether its entry was decided."""

    def __init__(self, decided: asyncio.Future[float]) -> None:
        self._decided = decided
        self._transport: asyncio.Transport | None = None
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self) -> None:
        """Sends an entry unless one is under way."""
        if not self._waits and self._transport is not None:
            self._waits = True
            self._transport.write(LENGTH.pack(5) + b"after")

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._waits = False
        if DONE in data and not self._decided.done():
            self._decided.set_result(time.perf_counter())


async def outage_at(places: Sequence[Place], pids: Sequence[int]) -> float:
    """Kills processes; how long it took until one of those who listen there decided an entry [ms]."""
    loop = asyncio.get_running_loop()
    decided: asyncio.Future[float] = loop.create_future()
    probes = [(await loop.create_connection(lambda: _Probe(decided), *place))[1] for place in places]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    killed = time.perf_counter()
    try:
        while not decided.done():
            if time.perf_counter() - killed > OUTAGE_MAX_S:
                raise TimeoutError("nobody decides any more")
            for probe in probes:
                probe.ask()
            await asyncio.wait([decided], timeout=PROBE_S)
    finally:
        for probe in probes:
            probe.close()
    return 1_000 * (decided.result() - killed)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", required=True)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--outage", type=int, nargs="+", metavar="PID", help="kill these, and wait for the survivors")
    asked = parser.parse_args()
    gc.disable()  # what is kept is numbers
    if asked.outage is not None:
        places = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in asked.at.split(","))]
        print(json.dumps({"outage_ms": run_loop(outage_at(places, asked.outage))}))
        return
    host, _, port = asked.at.rpartition(":")
    connections = asked.connections or connections_for(asked.clients)
    print(json.dumps(run_loop(load_at((host, int(port)), asked.clients, connections, asked.seconds))._asdict()))


if __name__ == "__main__":
    main()
