"""A community in a folder, with TLS identities for as many nodes as a test needs, and nodes that speak on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.loops import apart
from wattquorum.node.community import (
    DAY_MS,
    Authority,
    Contexts,
    make_authority,
    make_contexts,
    make_request,
    read_identity,
)
from wattquorum.node.transport import Bounds, Transport

CHAIN = bytes(range(16))
QUICK = Bounds(ping_s=0.05, retry_min_s=0.02, retry_max_s=0.1, handshake_s=1.0, close_s=0.5)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def address(number: int) -> bytes:
    return bytes([number]) * 20


class Community:
    """An authority whose nodes have their files in `folder`; a new list of revocations needs `revoke`."""

    def __init__(self, folder: Path, name: str = "village") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        key, pem = make_authority(name, now_ms() - 100 * DAY_MS)
        self.authority = Authority(key, pem)
        (folder / "authority.pem").write_bytes(pem)
        self.revoked: list[tuple[int, int]] = []
        self.number = 0
        self.write_list()

    def write_list(self) -> None:
        pem = self.authority.revocations(self.revoked, self.number, now_ms())
        (self.folder / "revoked.pem").write_bytes(pem)

    def certified(self, who: bytes, chain_id: bytes = CHAIN, days: int = 30, at_ms: int | None = None) -> Path:
        """The file of a TLS identity with its key."""
        key, request = make_request("node")
        pem = self.authority.issue(request, chain_id, who, now_ms() if at_ms is None else at_ms, days)
        path = self.folder / f"{who.hex()}-{chain_id[:2].hex()}-{days}-{len(list(self.folder.iterdir()))}.pem"
        path.write_bytes(key + pem)
        return path

    def contexts_of(self, identity: Path) -> Contexts:
        return make_contexts(self.folder / "authority.pem", self.folder / "revoked.pem", identity)

    def contexts(self, who: bytes, chain_id: bytes = CHAIN) -> Contexts:
        return self.contexts_of(self.certified(who, chain_id))

    def revoke(self, identity: Path) -> None:
        serial = read_identity(identity.read_bytes(), self.authority.pem).serial
        self.revoked.append((serial, now_ms()))
        self.number += 1
        self.write_list()


class Node:
    """A transport, and what came to it."""

    def __init__(
        self,
        who: bytes,
        contexts: Contexts,
        bounds: Bounds = QUICK,
        port: int = 0,
        random: Random | None = None,
    ) -> None:
        self.who = who
        self.contexts = contexts
        self.expected: list[int] = []  # those turned away that a test knows of
        self.came: list[tuple[bytes, bytes]] = []
        self.transport = Transport(
            who, contexts.me.chain_id, contexts, ("127.0.0.1", port), {}, self.take, bounds, random=random
        )

    def take(self, sender: bytes, messages: Sequence[bytes]) -> None:
        self.came += [(sender, message) for message in messages]

    @property
    def place(self) -> tuple[str, int]:
        return ("127.0.0.1", self.transport.port)

    def state(self, other: bytes) -> Any:
        return next(each for each in self.transport.peers() if each.address == other)


async def until(true: Callable[[], Any], seconds: float = 5.0) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def acquaint(*nodes: Node) -> None:
    """Makes every one a peer of every other."""
    places = {node.who: node.place for node in nodes}
    for node in nodes:
        node.transport.update_peers(places)


@asynccontextmanager
async def started(*nodes: Node, known: bool = True) -> AsyncIterator[None]:
    """Nodes that run, and when `known` are connected each to each; afterwards no task of theirs is left."""
    before = asyncio.all_tasks()
    try:
        for node in nodes:
            await node.transport.start()
        if known:
            acquaint(*nodes)
            await until(lambda: all(each.connected_ms for node in nodes for each in node.transport.peers()))
        yield
    finally:
        for node in nodes:
            await node.transport.close()
        assert asyncio.all_tasks() == before


def running(main: Callable[[], Any], factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
    """Runs a test on an event loop of its own; what the loop would only log fails it."""
    faults: list[Mapping[str, Any]] = []

    async def heard() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with asyncio.timeout(30):
            await main()

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(heard())

    apart(run)
    assert faults == []
