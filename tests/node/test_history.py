"""What a node tells of its past: blocks at hand and from the disk, transactions that it does not remember, proofs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.node.live import Village, run, until
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Outcome, decode_block
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.inclusion import check_inclusion
from wattquorum.ledger.transactions import Deposit, transaction_hash
from wattquorum.node import history, node
from wattquorum.node.chain_folder import ChainFolder


def test_what_became_of_a_transaction_is_found_however_long_ago_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    village = Village(tmp_path, 1)

    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            monkeypatch.setattr(node, "RECEIPTS_KEPT", 2)
            signed = [village.deposit() for _ in range(6)]
            decided = [await nodes[0].submit(each) for each in signed]
            await until(lambda: nodes[0].archive.height >= decided[-1].height)
            first = transaction_hash(signed[0])
            assert nodes[0].receipt(first) is None
            assert await nodes[0].look_up(first) == decided[0]
            assert await nodes[0].submit(signed[0]) == decided[0], "handed in again, long after it was forgotten"
            assert await nodes[0].look_up(bytes(32)) is None
        monkeypatch.setattr(node, "BLOCKS_REMEMBERED", 1)
        async with village.running() as nodes:
            await village.leader()
            await until(lambda: nodes[0].chain.height > decided[-1].height + 2)
            assert nodes[0].receipt(first) is None
            assert await nodes[0].look_up(first) == decided[0]
            assert await nodes[0].submit(signed[1]) == decided[1]
            village.nonces.clear()
            another = village.signed(village.founding.client_keys[0], Deposit(bytes(20), 7, "another"))
            with pytest.raises(Refused, match="nonce_wrong"):
                await nodes[0].submit(another)

    run(story())


def test_few_may_search_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SEARCHES_MAX", 2)
    village = Village(tmp_path, 1)

    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            await nodes[0].submit(village.deposit())
            found = await asyncio.gather(
                *(nodes[0].history.search(bytes(32), 10) for _ in range(4)), return_exceptions=True
            )
            assert found[:2] == [None, None]
            assert all(isinstance(each, Refused) and each.code == "pool_full" for each in found[2:])
            assert await nodes[0].history.search(bytes(32), 10) is None

    run(story())


def test_blocks_are_the_same_at_hand_and_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "AT_HAND_MAX", 3)
    village = Village(tmp_path, 1)
    village.tick_ms = 0

    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            for _ in range(8):
                await nodes[0].submit(village.deposit())
            past, height = nodes[0].history, nodes[0].ledger.height
            await until(lambda: nodes[0].chain.height >= height)
            told = [await past.block(each) for each in range(1, height + 1)]
            assert [decode_block(each or b"").header.height for each in told] == list(range(1, height + 1))
            page = await past.blocks(1)
            assert page == told[: len(page)]
            assert len(page) == height, "from the disk"
            assert await past.blocks(height - 1) == told[-2:]
            assert await past.block(0) is None
            assert await past.block(1_000_000) is None
            assert await past.blocks(1_000_000) == []

    run(story())


def test_a_block_that_came_while_another_was_written_does_not_wait_for_a_third(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    append = ChainFolder.append

    def slow(folder: ChainFolder, batch: Sequence[Executed]) -> None:
        gate.wait(1)
        append(folder, batch)

    village = Village(tmp_path, 1)
    village.tick_ms = 0

    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            monkeypatch.setattr(ChainFolder, "append", slow)
            for _ in range(3):
                await nodes[0].submit(village.deposit())
            height = nodes[0].ledger.height
            assert nodes[0].chain.height < height
            gate.set()
            await until(lambda: nodes[0].chain.height == height, 5)

    run(story())


def test_a_proof_is_there_with_the_next_block_and_holds(tmp_path: Path) -> None:
    village = Village(tmp_path)

    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            signed = village.deposit()
            decided = await nodes[0].submit(signed)
            found = await nodes[0].history.place(transaction_hash(signed), decided.height)
            assert found is not None
            proof = None
            while proof is None:
                proof = await nodes[0].history.prove(found)
                await asyncio.sleep(0.02)
            included = check_inclusion(proof)
            assert (included.chain_id, included.height) == (village.chain_id, decided.height)
            assert (included.received.data, included.receipt.outcome) == (signed, Outcome.DONE)
            assert await nodes[0].history.place(bytes(32), decided.height) is None

    run(story())
