"""A node that is far behind takes another's state over, over real connections, and fills its folder afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from tests.node.live import QUICK_BFT, Village, run, until
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.parameters import Consensus
from wattquorum.node.archive import Stored
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.journal import Journal
from wattquorum.node.node import BLOCKS, Node

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections that are broken off on purpose


def test_a_new_node_begins_with_a_state_and_has_the_whole_chain_in_the_end(tmp_path: Path) -> None:
    village = Village(tmp_path, 4, {"consensus": int(Consensus.PBFT), "epoch_ms": 1_000})
    village.tick_ms = 50
    told: list[str] = []
    blamed: dict[tuple[object, str], None] = {}

    def heard(event: str, **more: object) -> None:
        told.append(event)
        if event == "blocks_refused":
            blamed[more["peer"], str(more["reason"]).partition(":")[0]] = None

    async def lie(liar: Node, to: bytes) -> None:
        """It gives blocks that nobody asked it for."""
        blocks = [decode_block(data) for _, data in islice(liar.chain.read(1), 3)]
        frame = BLOCKS + encode([Stored(encode(changed(each, receipts=())), ()) for each in blocks])
        while True:
            liar.transport.send(to, frame)
            await asyncio.sleep(0.02)

    async def story() -> None:
        async with village.running(0, 1, 2) as nodes:
            await until(lambda: all(node.engine.leader for node in nodes.values()))
            for _ in range(3):
                await asyncio.wait_for(nodes[0].submit(village.deposit()), 20)
            await until(lambda: all(node.ledger.height > 40 for node in nodes.values()))
            village.bft = replace(QUICK_BFT, behind_max=8)
            await village.start(3)
            late = nodes[3]
            journal = Journal(late, heard)
            lying = asyncio.create_task(lie(nodes[1], late.address))

            def says(event: str) -> bool:
                journal.look()
                return event in told

            await until(partial(says, "state_taken_over"))
            await until(partial(village.all_have, 15))
            await until(partial(says, "blocks_complete"))
            lying.cancel()
            assert {(nodes[1].address.hex(), "input_unexpected")} <= set(blamed)
            assert {peer for peer, _ in blamed} == {nodes[1].address.hex()}
            await nodes[3].submit(village.deposit())
            await until(partial(village.all_have, 20))

    run(story())
    with ChainFolder(tmp_path / "node-3" / "chain") as chain:
        assert audit_folder(chain, verify_each).height == chain.height > 40
