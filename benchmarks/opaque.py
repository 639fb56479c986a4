"""Opaque entries on real nodes: what consensus, log and connections cost without a ledger above them.

A process is one node of a community: the engine, the write-ahead log, the transport and the runtime that ship, and a
machine above them that does nothing with an entry but tell that it is decided. Clients speak as `loops` says.

    python -m benchmarks.opaque --node FILE       one node; `Processes` starts three
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final
from unittest.mock import patch

from benchmarks.consensus import count_committed, count_decides
from benchmarks.loops import DONE, ELSEWHERE, ENTRY_BYTES, LENGTH, run_loop
from benchmarks.ports import free_row
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Durable, Message
from wattquorum.consensus.raft import leadership
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.identities import address_of, tagged_hash
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

BATCHES_MAX: Final = 2  # proposed and not decided: what comes meanwhile goes into one more, which costs as much as one
RAFT: Final = {"election_ms": 300, "heartbeat_ms": 50, "slot_ms": 20}
POWERS: Final = b"powers "  # an entry that asks for others
LOG: Final = "opaque.log"  # a line for every term
SNAPSHOT_EVERY: Final = 100_000  # entries, after which the log is let go of
_configurations: Final = Decoder[Configuration](Configuration, "configuration")
Answer = Callable[[int, bool], None]


class Opaque:
    """A machine over an engine whose entries mean nothing."""

    def __init__(self, engine: Raft, founding: Configuration) -> None:
        self.engine = engine
        self._waiting: list[bytes] = []
        self._askers: list[tuple[int, Answer]] = []  # how many of these are whose
        self._proposed: deque[tuple[int, int, Answer]] = deque()  # (last index, how many, whose), rising
        self._batches: deque[int] = deque()  # the last index of each
        self._configuration = encode(founding)  # the last that entries asked for
        self.answering: list[Callable[[], None]] = []  # who has answers that did not leave yet
        self._term = 0
        self._snapshot = 0

    def submit(self, payloads: list[bytes], answer: Answer) -> None:
        """Entries, to be answered in their order when they are decided or can not be here."""
        self._waiting += payloads
        self._askers.append((len(payloads), answer))

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
            if self._term != engine.term:
                self._term = engine.term
                print("term", self._term, flush=True)
            self._fail(self._proposed)
            self._batches.clear()
        self._propose(now)
        records: list[Durable] = []
        messages: list[Message] = []
        while True:
            output = engine.drain()
            records += output.records
            messages += output.messages
            if output.restore is not None:
                if _configurations.decode(output.restore.state).version:
                    self._reconfigure(output.restore.state, now)
                engine.applied(output.restore.index, b"", now)
            if output.committed:
                for each in output.committed:
                    if len(each.payload) != ENTRY_BYTES and each.payload.startswith(POWERS):
                        self._change_powers(each.index, each.payload.removeprefix(POWERS), now)
                self._decided(output.committed[-1].index, now)
                self._propose(now)
            else:
                break
        answering, self.answering = self.answering, []
        for flush in answering:
            flush()
        return Work(tuple(records), tuple(messages), (), (), (), output.deadline)

    def _propose(self, now: Millis) -> None:
        """All that waits as one batch, where another may be under way; no answer overtakes an earlier one's."""
        engine = self.engine
        if not self._waiting or len(self._batches) >= BATCHES_MAX:
            return
        if engine.takes:
            last = engine.log.last
            engine.propose(self._waiting, now)
            for count, answer in self._askers:
                last += count
                self._proposed.append((last, count, answer))
            self._batches.append(last)
        elif engine.role is not Role.LEADER:
            for count, answer in self._askers:
                answer(count, False)
        else:
            return  # it hands over: they are answered when it has
        self._waiting, self._askers = [], []

    def _decided(self, last: int, now: Millis) -> None:
        """Everything up to an index is: whoever waits for it is answered."""
        batches, proposed = self._batches, self._proposed
        while batches and batches[0] <= last:
            batches.popleft()
        while proposed and proposed[0][0] <= last:
            _, count, answer = proposed.popleft()
            answer(count, True)
        self.engine.applied(last, b"", now)
        if last - self._snapshot >= SNAPSHOT_EVERY:
            self._snapshot = last
            self.engine.snapshot(last, self._configuration, now)

    def _change_powers(self, index: int, powers: bytes, now: Millis) -> None:
        """An entry asks for other powers, which every replica computes from it alike: millionths, by address."""
        last = _configurations.decode(self._configuration)
        replicas = sorted(voter.replica for voter in last.new)
        voters = tuple(map(Voter, replicas, (int(each) for each in powers.split())))
        basis = tagged_hash("benchmark", index.to_bytes(8, "big"))
        self._reconfigure(encode(Configuration(last.version + 1, None, voters, (), index, basis)), now)

    def _reconfigure(self, configuration: bytes, now: Millis) -> None:
        self._configuration = configuration
        self.engine.reconfigure(_configurations.decode(configuration), now)

    def _fail(self, proposed: deque[tuple[int, int, Answer]]) -> None:
        while proposed:
            _, count, answer = proposed.popleft()
            answer(count, False)


class _Client(asyncio.Protocol):
    """A client's connection: entries in, answers out, in order."""

    def __init__(self, opaque: Opaque, wake: Callable[[], None]) -> None:
        self._opaque, self._wake = opaque, wake
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._answers: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, size, found = 0, len(data), []
        while size - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, at)
            end = at + LENGTH.size + length
            if end > size:
                break
            found.append(data[at + LENGTH.size : end])
            at = end
        if at < size:
            self._rest = data[at:]
        if found:
            self._opaque.submit(found, self._answer)
            self._wake()

    def _answer(self, count: int, done: bool) -> None:
        if not self._answers:
            self._opaque.answering.append(self._flush)
        self._answers.append((DONE if done else ELSEWHERE) * count)

    def _flush(self) -> None:
        answers, self._answers = self._answers, []
        if self._transport is not None:
            self._transport.write(b"".join(answers))


async def node(config_path: Path) -> None:
    """Runs one node until the process is ended."""
    config, api = load(config_path)
    ledger = Ledger(config.genesis)
    me = address_of(ledger.chain_id, config.key.public)
    settings = replace(config.times.raft, proposals_max=1 << 30, inflight_max=256)
    wal, clock = Wal(config.folder / "wal", ledger.chain_id), SteadyClock()
    founding = founding_configuration(ledger)
    seed = int.from_bytes(os.urandom(8), "big")
    engine = Raft(me, founding, wal.records(), seed, clock.read(), settings=settings)
    opaque = Opaque(engine, founding)

    def on_messages(sender: bytes, messages: Sequence[bytes]) -> None:
        runtime.receive(sender, messages)

    transport = Transport(me, ledger.chain_id, config.contexts, config.listen, config.peers, on_messages)
    runtime = Runtime(
        opaque,
        wal,
        clock,
        transport.send,
        lambda _: None,
        lambda refused: print(refused, flush=True),
        flush=transport.flush,
    )
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


# The cluster ------------------------------------------------------------------------------------------------------


async def _decides(place: Place, entry: bytes) -> bool:
    try:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(LENGTH.pack(len(entry)) + entry)
        answer = await asyncio.wait_for(reader.readexactly(1), 2)
        writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return answer == DONE


class Processes:
    """Nodes in a folder."""

    def __init__(
        self, folder: Path, words: Sequence[str] = (), replicas: int = 3, raft: Mapping[str, int] = RAFT
    ) -> None:
        """`words` are given to each node's command."""
        self._words = words
        row, voting = free_row(2 * replicas), {"voting": int(Voting.EQUAL)}
        self.founded = found(folder, "opaque", replicas, voting, "127.0.0.1", row, raft)
        configs = [load(node / CONFIG)[0] for node in self.founded.nodes]
        chain_id = Ledger(configs[0].genesis).chain_id
        self.addresses = [address_of(chain_id, config.key.public) for config in configs]
        self.processes = [self._start(node_folder) for node_folder in self.founded.nodes]

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "benchmarks.opaque", "--node", str(folder / CONFIG), *self._words]
        with (folder / LOG).open("ab") as log:
            return subprocess.Popen(command, stdout=log)

    def leader(self) -> int:
        """Which one leads, once one does."""
        for _ in range(1_000):
            for number in range(len(self.processes)):
                if self.ask(number, b"?"):
                    return number
            time.sleep(0.02)
        raise TimeoutError("nobody leads")

    def ask(self, number: int, entry: bytes) -> bool:
        """Whether one node says that an entry was decided."""
        return asyncio.run(_decides(self.founded.apis[number], entry))

    def terms(self) -> int:
        """The highest term that any of them was in."""
        said = [line.split() for node in self.founded.nodes for line in (node / LOG).read_text().splitlines()]
        return max(int(words[1]) for words in said if words[0] == "term")

    def restart(self, number: int) -> None:
        """Starts one again that has ended."""
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


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", type=Path, required=True, metavar="FILE", help="a node's node.toml")
    parser.add_argument("--counting", action="store_true", help="quorums count heads, in place of powers")
    asked = parser.parse_args()
    gc.collect()
    gc.freeze()  # what was imported stays, and need not be walked through
    with ExitStack() as patched:
        if asked.counting:
            patched.enter_context(patch.object(leadership, "decides", count_decides))
            patched.enter_context(patch.object(leadership, "committed_index", count_committed))
        run_loop(node(asked.node))


if __name__ == "__main__":
    main()
