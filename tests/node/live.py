"""A small community of real nodes in one event loop: real disks, real connections, one process."""

from __future__ import annotations

import asyncio
import gc
import itertools
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.loops import apart
from tests.node.communities import Community
from tests.ports import LOOPBACK, free_ports
from wattquorum.consensus.bft.settings import Settings as BftSettings
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.transactions import Body, Deposit, Payload, sign
from wattquorum.node.engines import Times
from wattquorum.node.node import Node, NodeConfig
from wattquorum.node.transport import Place
from wattquorum.simulation.founding import Founding

PATIENCE_S = 20.0
QUICK = Settings(election_ms=200, slot_ms=40, heartbeat_ms=40)
QUICK_BFT = BftSettings(timeout_ms=600, timeout_max_ms=2_400, resend_ms=100, fetch_ms=50, poll_ms=200, blocks_kept=4)
HOUR = 3_600_000


def run(story: Coroutine[object, object, None], seconds: float = 60) -> None:
    """Runs a story in a loop of its own, bounded in time."""

    def told() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of connections that a story broke off
            asyncio.run(asyncio.wait_for(story, seconds))
            gc.collect()

    apart(told)


async def until(holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Waits for something to hold, which it must."""
    for _ in range(int(seconds / 0.01)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to hold")


class Village:
    """The keys and folders of a community, and its nodes that run, by number."""

    def __init__(self, folder: Path, count: int = 3, parameters: Mapping[str, int] | None = None, spares: int = 0):
        self.folder, self.count = folder, count
        self.founding = Founding(1, count, 3, parameters or {}, spares)
        self.genesis = self.founding.genesis
        self.chain_id = chain_id_of(self.genesis)
        self.addresses = [address_of(self.chain_id, key.public) for key in self.founding.host_keys]
        ports = itertools.count(free_ports(len(self.addresses)))
        self.places: dict[bytes, Place] = {address: (LOOPBACK, next(ports)) for address in self.addresses}
        self.nodes: dict[int, Node] = {}
        self.nonces: dict[bytes, int] = {}
        self.settings = QUICK
        self.bft = QUICK_BFT
        self.tick_ms = 500
        self._community = Community(folder / "community")

    def config(self, number: int) -> NodeConfig:
        return NodeConfig(
            self.folder / f"node-{number}",
            self.founding.host_keys[number],
            self.genesis,
            self.places[self.addresses[number]],
            self.places,
            self._community.contexts(self.addresses[number], self.chain_id),
            Times(self.settings, self.bft),
            tick_ms=self.tick_ms,
        )

    async def start(self, *numbers: int) -> None:
        for number in numbers:
            self.nodes[number] = Node(self.config(number), verify_each)
            await self.nodes[number].start()

    async def stop(self, *numbers: int) -> None:
        for number in numbers:
            await self.nodes.pop(number).stop()

    @asynccontextmanager
    async def running(self, *numbers: int) -> AsyncIterator[dict[int, Node]]:
        """All nodes, or these, for as long as they are needed."""
        await self.start(*(numbers or range(self.count)))
        try:
            yield self.nodes
        finally:
            await self.stop(*list(self.nodes))

    async def leader(self) -> int:
        """Who leads, once somebody does and the others know."""

        def agreed() -> list[int]:
            leaders = {node.engine.leader for node in self.nodes.values()}
            return [number for number, node in self.nodes.items() if {node.address} == leaders]

        await until(agreed)
        return agreed()[0]

    def signed(self, key: SigningKey, payload: Payload) -> bytes:
        sender = address_of(self.chain_id, key.public)
        nonce = self.nonces.get(sender, 0)
        self.nonces[sender] = nonce + 1
        now = int(next(iter(self.nodes.values())).clock.read())
        return sign(key, Body(self.chain_id, sender, nonce, 100_000, now + HOUR, payload))

    def deposit(self, client: int = 0) -> bytes:
        """A client's next deposit of 5 for itself."""
        key = self.founding.client_keys[client]
        address = address_of(self.chain_id, key.public)
        return self.signed(key, Deposit(address, 5, f"ref-{client}-{self.nonces.get(address, 0)}"))

    def balance(self, number: int, client: int = 0) -> int:
        account = self.nodes[number].ledger.account(address_of(self.chain_id, self.founding.client_keys[client].public))
        assert account is not None
        return account.balance

    def all_have(self, amount: int, client: int = 0) -> bool:
        """Whether a client has this much wherever a node runs."""
        return all(self.balance(number, client) == amount for number in self.nodes)

    def same(self) -> bool:
        """Whether all that run have the same chain."""
        return len({node.ledger.tip_hash for node in self.nodes.values()}) == 1
