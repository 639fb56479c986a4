"""A community as `wattquorum up` founds it, its nodes in one event loop: real folders with all their files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tests.node.live import QUICK, until
from tests.ports import LOOPBACK, free_ports
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.parameters import Voting
from wattquorum.ledger.transactions import Body, Deposit, Payload, sign
from wattquorum.node.config import CONFIG, load
from wattquorum.node.control import Control
from wattquorum.node.founding import COMMUNITY, OPERATOR_KEY, found
from wattquorum.node.node import Node
from wattquorum.node.node_folder import read_key

RAFT = {"election_ms": QUICK.election_ms, "slot_ms": QUICK.slot_ms, "heartbeat_ms": QUICK.heartbeat_ms}
PARAMETERS = {"epoch_ms": 1_000, "probation_days": 0}
HOUR = 3_600_000


class Hamlet:
    """A community of nodes on this machine, of which some run."""

    def __init__(self, folder: Path, count: int = 3, parameters: dict[str, int] | None = None) -> None:
        self.folder = folder
        self.founded = found(
            folder,
            "hamlet",
            count,
            {"voting": int(Voting.WEIGHTED), **(parameters or PARAMETERS)},
            LOOPBACK,
            free_ports(2 * count),
            RAFT,
        )
        self.operator = read_key(folder / COMMUNITY / OPERATOR_KEY)
        self.chain_id = chain_id_of((folder / COMMUNITY / "genesis.json").read_bytes())
        self.address = address_of(self.chain_id, self.operator.public)
        self.nonce = 0
        self.nodes: dict[Path, tuple[Node, Control]] = {}

    def signed(self, payload: Payload, key: SigningKey | None = None, nonce: int | None = None) -> bytes:
        """A transaction of the operator, or of another at its nonce."""
        if key is None:
            key, nonce, self.nonce = self.operator, self.nonce, self.nonce + 1
        expiry = time.time_ns() // 1_000_000 + HOUR
        return sign(
            key, Body(self.chain_id, address_of(self.chain_id, key.public), nonce or 0, 1_000_000, expiry, payload)
        )

    async def start(self, folders: Sequence[Path] = ()) -> None:
        for folder in folders or self.founded.nodes:
            config, _ = load(folder / CONFIG)
            node = Node(config, verify_each)
            await node.start()
            control = Control(node)
            await control.start()
            self.nodes[folder] = node, control

    async def stop(self, folders: Sequence[Path] = ()) -> None:
        for folder in list(folders or self.nodes):
            node, control = self.nodes.pop(folder)
            await control.stop()
            await node.stop()

    def node(self, number: int) -> Node:
        return self.nodes[self.founded.nodes[number]][0]

    async def leader(self) -> Node:
        """Who leads, once somebody does and all know."""

        def agreed() -> list[Node]:
            leaders = {node.engine.leader for node, _ in self.nodes.values()}
            return [node for node, _ in self.nodes.values() if {node.address} == leaders]

        await until(agreed)
        return agreed()[0]

    async def deposit(self, node: Node) -> int:
        """The operator's next deposit of 1 for itself, decided: its height."""
        decided = await node.submit(self.signed(Deposit(self.address, 1, f"r-{self.nonce}")))
        assert not decided.receipt.code, decided
        return decided.height
