"""Opaque entries on real nodes: what consensus, log and connections cost without a ledger above them.

A process is one node of a community: the engine, the write-ahead log, the transport and the runtime that ship, and a
machine above them that does nothing with an entry but tell that it is decided. Clients speak a plain protocol: four
bytes of length and the entry; the answer is one byte, 1 for decided and 0 for "not here". `measure` starts three such
processes, finds the leader, and lets clients in another process write in closed loops.

    python -m benchmarks.opaque --clients 1 64 1024 --seconds 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from wattquorum.consensus.engine import Durable, Message
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.foundation.identities import address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.parameters import Voting
from wattquorum.node.config import CONFIG, load
from wattquorum.node.founding import found
from wattquorum.node.runtime import Runtime
from wattquorum.node.steady_clock import SteadyClock
from wattquorum.node.transport import Place, Transport
from wattquorum.node.wal import Wal
from wattquorum.replica.replica import Work, founding_configuration

run_loop: Final[Callable[[Coroutine[Any, Any, Any]], Any]] = (
    import_module("uvloop") if find_spec("uvloop") else asyncio
).run
ENTRY_BYTES: Final = 128
SNAPSHOT_EVERY: Final = 100_000  # entries, after which the log is let go of
_LENGTH: Final = struct.Struct(">I")
DONE, ELSEWHERE = b"\1", b"\0"
Answer = Callable[[bool], None]


class Opaque:
    """A machine over an engine whose entries mean nothing."""

    def __init__(self, engine: Raft) -> None:
        self.engine = engine
        self._waiting: list[tuple[bytes, Answer]] = []
        self._proposed: deque[tuple[int, Answer]] = deque()  # by index, rising
        self._term = 0
        self._snapshot = 0

    def submit(self, payload: bytes, answer: Answer) -> None:
        """An entry, to be answered when it is decided or can not be here."""
        self._waiting.append((payload, answer))

    def receive(self, sender: bytes, frame: bytes, now: Millis) -> None:
        self.engine.receive(sender, frame, now)

    def turn(self, now: Millis) -> None:
        self.engine.tick(now)

    def persisted(self, position: int, now: Millis) -> None:
        self.engine.persisted(position, now)

    def drain(self, now: Millis) -> Work:
        """Proposes all that waits as one batch, and answers for what was decided."""
        engine = self.engine
        if (engine.term, engine.role) != (self._term, Role.LEADER):
            self._term = engine.term
            self._fail(self._proposed)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            if engine.takes:
                first = engine.log.last + 1
                engine.propose([payload for payload, _ in waiting], now)
                self._proposed.extend((first + number, answer) for number, (_, answer) in enumerate(waiting))
            else:
                for _, answer in waiting:
                    answer(False)
        records: list[Durable] = []
        messages: list[Message] = []
        while True:
            output = engine.drain()
            records += output.records
            messages += output.messages
            if output.restore is not None:
                engine.applied(output.restore.index, b"", now)
            if not output.committed:
                break
            last = output.committed[-1].index
            while self._proposed and self._proposed[0][0] <= last:
                self._proposed.popleft()[1](True)
            engine.applied(last, b"", now)
            if last - self._snapshot >= SNAPSHOT_EVERY:
                self._snapshot = last
                engine.snapshot(last, b"", now)
        return Work(tuple(records), tuple(messages), (), (), (), output.deadline)

    def _fail(self, proposed: deque[tuple[int, Answer]]) -> None:
        while proposed:
            proposed.popleft()[1](False)


class _Client(asyncio.Protocol):
    """A client's connection: entries in, answers out, in order."""

    def __init__(self, opaque: Opaque, wake: Callable[[], None]) -> None:
        self._opaque, self._wake = opaque, wake
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._answers: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        buffer, at = self._buffer, 0
        buffer += data
        while len(buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, at)
            end = at + _LENGTH.size + length
            if end > len(buffer):
                break
            self._opaque.submit(bytes(buffer[at + _LENGTH.size : end]), self._answer)
            at = end
        del buffer[:at]
        self._wake()

    def _answer(self, done: bool) -> None:
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._flush)
        self._answers.append(DONE if done else ELSEWHERE)

    def _flush(self) -> None:
        answers, self._answers = self._answers, []
        if self._transport is not None:
            self._transport.write(b"".join(answers))


async def node(config_path: Path) -> None:
    """Runs one node until the process is ended."""
    config, api = load(config_path)
    ledger = Ledger(config.genesis)
    me = address_of(ledger.chain_id, config.key.public)
    settings = replace(config.settings, proposals_max=1 << 30, inflight_max=256)
    wal, clock = Wal(config.folder / "wal", ledger.chain_id), SteadyClock()
    seed = int.from_bytes(os.urandom(8), "big")
    engine = Raft(me, founding_configuration(ledger), wal.records(), seed, clock.read(), settings=settings)
    opaque = Opaque(engine)

    def on_messages(sender: bytes, messages: Sequence[bytes]) -> None:
        runtime.receive(sender, messages)

    transport = Transport(me, ledger.chain_id, config.contexts, config.listen, config.peers, on_messages)
    runtime = Runtime(opaque, wal, clock, transport.send, lambda _: None, lambda refused: print(refused, flush=True))
    await transport.start()
    runtime.start()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: _Client(opaque, runtime.wake), *api)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await runtime.stop()
    await transport.close()
    wal.close()


# The load ---------------------------------------------------------------------------------------------------------


class Load(NamedTuple):
    """What so many clients saw."""

    clients: int
    rate: float  # decided a second
    p50_ms: float
    p99_ms: float


async def load_at(place: Place, clients: int, seconds: float) -> Load:
    """Closed loops: each client sends its next entry when the last one is answered."""
    times: list[float] = []
    end = time.perf_counter() + seconds + 0.5
    begin = end - seconds
    payload = _LENGTH.pack(ENTRY_BYTES) + os.urandom(ENTRY_BYTES)

    async def client() -> None:
        reader, writer = await asyncio.open_connection(*place)
        while (sent := time.perf_counter()) < end:
            writer.write(payload)
            if await reader.readexactly(1) != DONE:
                raise ConnectionError("it does not lead")
            if sent >= begin:
                times.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    times.sort()
    return Load(
        clients, len(times) / seconds, 1_000 * times[len(times) // 2], 1_000 * times[(len(times) * 99 - 1) // 100]
    )


async def _leads(place: Place) -> bool:
    try:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(_LENGTH.pack(1) + b"?")
        answer = await asyncio.wait_for(reader.readexactly(1), 2)
        writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return answer == DONE


class Processes:
    """Three nodes in a folder."""

    def __init__(self, folder: Path, first_port: int) -> None:
        raft = {"election_ms": 300, "heartbeat_ms": 50, "slot_ms": 20}
        self.founded = found(folder, "opaque", 3, Voting.EQUAL, "127.0.0.1", first_port, raft)
        self.processes = [self._start(node_folder) for node_folder in self.founded.nodes]

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "benchmarks.opaque", "--node", str(folder / CONFIG)]
        return subprocess.Popen(command)

    def leader(self) -> int:
        """Which one leads, once one does."""
        for _ in range(400):
            for number, api in enumerate(self.founded.apis):
                if asyncio.run(_leads(api)):
                    return number
            time.sleep(0.02)
        raise TimeoutError("nobody leads")

    def kill(self, number: int) -> None:
        """As by a power failure."""
        self.processes[number].kill()
        self.processes[number].wait()

    def restart(self, number: int) -> None:
        """Starts one again."""
        self.processes[number] = self._start(self.founded.nodes[number])

    def stop(self) -> None:
        """Ends all."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure(clients: Sequence[int], seconds: float, kills: int, port: int = 21_000) -> dict[str, object]:
    """Loads, and how long nobody could write after the leader was killed."""
    with tempfile.TemporaryDirectory() as folder:
        nodes = Processes(Path(folder) / "community", port)
        try:
            leader = nodes.leader()
            loads = []
            for count in clients:
                command = [sys.executable, "-m", "benchmarks.opaque", "--load", str(count), "--seconds", str(seconds)]
                command += ["--at", str(nodes.founded.apis[leader][1])]
                loads.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            failovers = []
            for _ in range(kills):
                nodes.kill(leader)
                began, before = time.perf_counter(), leader
                leader = nodes.leader()
                failovers.append(round(1_000 * (time.perf_counter() - began)))
                nodes.restart(before)
                time.sleep(1.5)
            return {"loads": loads, "failover_ms": failovers}
        finally:
            nodes.stop()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--at", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 64, 1024])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--kills", type=int, default=5)
    asked = parser.parse_args()
    if asked.node is not None:
        run_loop(node(asked.node))
    elif asked.load is not None:
        load = run_loop(load_at(("127.0.0.1", asked.at), asked.load, asked.seconds))
        print(json.dumps(load._asdict()))
    else:
        print(json.dumps(measure(asked.clients, asked.seconds, asked.kills), indent=2))


if __name__ == "__main__":
    main()
