"""The live cluster: the week's ledger on real nodes, with the face of a node that orders alone.

Every replica is a process with a disk, connections under TLS and an interface for clients. The market's calendar is the
chain's time, which is declared with each step (`api.steps`): a step is one block, and the calendar goes on only when
that is decided. So who leads, who fails and how long anything takes changes nothing of what is traded. Blocks are
those that replicas of the same number make in a simulated world (`lab.cluster`), but for what tells of consensus: term,
proposer and its signature, the evidence of who completed a quorum, and what follows from it, participation and powers.

Whoever plays executes each block that the cluster answers with, and compares: what goes into records and report is
what nodes committed, checked by one more ledger. Nodes may die meanwhile as long as a quorum is left.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

from wattquorum.foundation.identities import SigningKey, Verifier, address_of
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.cluster import Replicas
from wattquorum.ledger import snapshots
from wattquorum.ledger.blocks import decode_block, ordered_of
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.founding import found_demo
from wattquorum.node.lone import Done
from wattquorum.node.processes import LOG, Processes, processes
from wattquorum.node.transport import Place

HOST: Final = "127.0.0.1"
PORTS: Final = range(15_000, 30_000)  # below those that systems give to clients
CAUGHT_UP_S: Final = 30.0
LOOK_S: Final = 0.02
PATIENCE_S: Final = 120.0  # without a quorum
AGAIN: Final = ("not_ordering", "undecided", "node_stopped", "node_halted")


class Nodes(Protocol):
    """What a player needs of a client: `wattquorum.Client` has it."""

    def step(self, time_ms: int, items: Sequence[tuple[bytes, bytes | None]], /) -> bytes:
        """Makes the next block and tells it."""

    def reached(self) -> tuple[int, str]:
        """How many blocks a node has executed, and the digest of the state after them, in hexadecimal."""

    def close(self) -> None:
        """Ends its connections."""


Connect = Callable[[Sequence[str]], Nodes]


class Answered(NamedTuple):
    """A block: who proposed it in which term, and how long it took from the asking until it was here [us]."""

    height: int
    term: int
    leader: bytes
    took_us: int


class Ended(NamedTuple):
    """How it stood with a node at the end: whether it ran, and how many blocks it had."""

    running: bool
    height: int | None


def free_places(count: int) -> list[Place]:
    """So many places on this machine where nobody listens now."""
    ports = random.SystemRandom().sample(PORTS, len(PORTS))
    found = [(HOST, port) for port in islice(filter(_is_free, ports), count)]
    if len(found) < count:
        raise Refused("address_in_use", "ports", f"{PORTS.start} to {PORTS.stop - 1}")
    return found


def free_row(count: int) -> int:
    """The first of so many ports in a row where nobody listens now."""
    begins = range(PORTS.start, PORTS.stop - count + 1, count)
    for first in random.SystemRandom().sample(begins, len(begins)):
        if all(map(_is_free, range(first, first + count))):
            return first
    raise Refused("address_in_use", "ports", f"{PORTS.start} to {PORTS.stop - 1}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class LiveCluster:
    """Nodes that take steps as one, and the chain that they write. As with a `LoneNode`, `close` signs."""

    def __init__(
        self,
        path: Path,
        nodes: Path,
        genesis: bytes,
        seeds: Sequence[bytes],
        wanted: Replicas,
        verify: Verifier,
        connect: Connect,
    ) -> None:
        """A new chain in a new folder, ordered by nodes with these keys, whose folders are made in `nodes`.

        They run until this is left, as a context.
        """
        self.ledger = Ledger(genesis)
        self._verify, self._connect = verify, connect
        self._keys = {SigningKey(seed).public: SigningKey(seed) for seed in seeds}
        self.replicas = [address_of(self.ledger.chain_id, key) for key in self._keys]
        self.answered: list[Answered] = []
        self.ended: list[Ended] = []
        self._items: list[tuple[bytes, bytes | None]] = []
        self._finished: list[Executed] = []
        with ExitStack() as ends:
            self.folder = ends.enter_context(ChainFolder.create(path, genesis))
            founded = found_demo(nodes, genesis, seeds, free_places(2 * len(seeds)), wanted.live_settings)
            self.processes: Processes = ends.enter_context(processes(founded.nodes))
            self._apis = [f"http://{host}:{port}" for host, port in founded.apis]
            self._client = connect(self._apis)
            ends.callback(self._client.close)
            self._ends = ends.pop_all()

    def accept(self, data: bytes, attachment: bytes | None, _now: Millis) -> Refused | None:
        """Takes a signed transaction for the next step; what is wrong with it nodes say when that is made."""
        self._items.append((data, attachment))
        return None

    def cut(self, now: Millis) -> None:
        """Has the nodes make a block of what was taken, at the market's time `now`, and executes it here as well.

        Raises what a node refuses; Refused("diverged") for a block that is not what comes of these transactions.
        """
        items, self._items = self._items, []
        began = time.perf_counter_ns()
        data = self._stepped(now, items)
        took_us = (time.perf_counter_ns() - began) // 1_000
        block = decode_block(data)
        rows = [attachment for _, attachment in items if attachment is not None]
        executed = self.ledger.execute_ordered(ordered_of(block, rows), self._verify)
        if executed.data != data or block.transactions != tuple(transaction for transaction, _ in items):
            raise Refused("diverged", "block", block.header.height)
        leader = address_of(self.ledger.chain_id, block.header.proposer)
        self.answered.append(Answered(block.header.height, block.header.round.term, leader, took_us))
        self._finished.append(executed)

    def _stepped(self, now: Millis, items: Sequence[tuple[bytes, bytes | None]]) -> bytes:
        """The block that the nodes make, asked for as long as any of them runs and a quorum may still come about."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._client.step(now, items)
            except Refused as refused:
                running = self.processes.running()
                if not running:
                    log = self.processes.nodes[0] / LOG
                    raise Refused("node_failed", "node", log, "All nodes have ended; read their logs.") from None
                if refused.code not in AGAIN or time.monotonic() > until:
                    raise

    def write(self, _now: Millis) -> Done:
        """Stores what was made."""
        finished, self._finished = tuple(self._finished), []
        self.folder.append(finished)
        for executed in finished:
            if executed.block.header.state_root:
                self.folder.put_snapshot(self.ledger.height, snapshots.take(self.ledger))
                self.folder.sign_tip(self._key)
        return Done(finished, (), (), None)

    @property
    def _key(self) -> SigningKey:
        """That of whoever proposed the last block."""
        assert self.ledger.tip is not None
        return self._keys[self.ledger.tip.proposer]

    def check(self) -> None:
        """Waits until each node that runs has every block, and compares: Refused("diverged") for another state."""
        running = set(self.processes.running())
        for number, api in enumerate(self._apis):
            height = self._caught_up(number, api) if number in running else None
            self.ended.append(Ended(number in running, height))

    def _caught_up(self, number: int, api: str) -> int:
        client = self._connect([api])
        try:
            until = time.monotonic() + CAUGHT_UP_S
            while (reached := client.reached())[0] < self.ledger.height and time.monotonic() < until:
                time.sleep(LOOK_S)
        finally:
            client.close()
        if reached != (self.ledger.height, self.ledger.digest.hex()):
            raise Refused("diverged", f"node {number}", f"{reached[1]} at {reached[0]}")
        return self.ledger.height

    def close(self) -> None:
        """Compares all nodes that run, ends them, signs where the chain ends, and lets the folder go."""
        self.check()
        self.processes.stop()
        self.folder.close(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._ends.close()


def live_rows(cluster: LiveCluster, members: Sequence[str]) -> dict[str, list[dict[str, int | str | None]]]:
    """The rows of `records.measured_tables`, by table; `members` are addresses, of who runs each replica."""
    names = [replica.hex() for replica in cluster.replicas]
    return {
        "replicas_measured": [
            {"replica": name, "number": number, "member": member}
            for number, (name, member) in enumerate(zip(names, members, strict=True))
        ],
        "nodes_measured": [
            {"replica": name, "running": int(each.running), "height": each.height}
            for name, each in zip(names, cluster.ended, strict=True)
        ],
        "answers_measured": [
            {"height": each.height, "term": each.term, "leader": each.leader.hex(), "took_us": each.took_us}
            for each in cluster.answered
        ],
    }
