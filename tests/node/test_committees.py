"""Nodes of a chain on which a committee agrees: over real connections and disks, whoever falls."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.node.live import Village, run, until
from wattquorum.foundation.identities import verify_each
from wattquorum.ledger.agreed import sealed_in
from wattquorum.ledger.blocks import Outcome, decode_block
from wattquorum.ledger.parameters import Consensus
from wattquorum.node import engines
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections that are broken off on purpose


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def village(tmp_path: Path) -> Village:
    return Village(tmp_path, 4, {"consensus": int(Consensus.PBFT), "epoch_ms": 2_000})


def test_a_transaction_is_decided_wherever_it_is_given_and_all_have_it(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            for number in range(3):
                decided = await nodes[number].submit(village.deposit(number))
                assert decided.receipt.outcome is Outcome.DONE
                await until(partial(village.all_have, 5, number))
            assert {engines.role(node.engine, node.address) for node in nodes.values()} == {"primary", "agent"}
            assert [engines.quorum_sizes(node.engine, node.engine.configuration) for node in nodes.values()] == [
                (3, 3)
            ] * 4
            ledger = await nodes[3].read()
            assert ledger.height >= 3

    run(story())


def test_a_primary_that_falls_costs_a_timeout_and_comes_back_to_what_was_decided(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            first = await village.leader()
            await nodes[first].submit(village.deposit())
            await village.stop(first)
            others = list(nodes)
            for _ in range(12):  # far more than are kept in memory
                decided = await asyncio.wait_for(nodes[others[0]].submit(village.deposit()), 20)
                assert decided.receipt.outcome is Outcome.DONE
            assert nodes[others[0]].engine.term > 0
            await village.start(first)
            await until(partial(village.all_have, 65))
            await until(village.same)

    run(story())


def test_all_fall_at_once_and_nothing_that_was_told_is_lost(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            told = [await nodes[number % 4].submit(village.deposit()) for number in range(6)]
            height = max(decided.height for decided in told)
            await village.stop(*list(nodes))
            await village.start(0, 1, 2)
            await until(lambda: all(node.ledger.height >= height for node in village.nodes.values()))
            assert village.all_have(30)
            decided = await asyncio.wait_for(village.nodes[1].submit(village.deposit()), 20)
            assert decided.receipt.outcome is Outcome.DONE

    run(story())


def test_a_chain_on_a_disk_proves_every_block_but_the_last(village: Village) -> None:
    """Each block carries the quorum's signatures on the one before it; an audit checks them again."""

    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            for _ in range(4):
                await nodes[0].submit(village.deposit())

    run(story())
    with ChainFolder(village.folder / "node-0" / "chain") as chain:
        audited = audit_folder(chain, verify_each)
        assert audited.height == chain.height >= 4
        blocks = [decode_block(data) for _, data in chain.read()]
    sealed = [sealed_in(block.header.evidence) for block in blocks]
    assert sealed[0] is None
    assert [each.certificate.height for each in sealed[1:] if each is not None] == list(range(1, len(blocks)))
    assert all(len(each.certificate.seals) == 3 for each in sealed[1:] if each is not None)
