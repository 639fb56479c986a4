"""Nodes that run: what a client was told is there, whoever stops, restarts, lags behind or runs out of disk."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.node.live import Village, run, until
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Outcome
from wattquorum.node import runtime, wal
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections that are broken off on purpose; they are let go of before another test can be blamed for them


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def village(tmp_path: Path) -> Village:
    return Village(tmp_path)


def test_a_transaction_is_told_to_be_done_wherever_it_is_given_and_all_have_it(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            for number, node in nodes.items():
                decided = await node.submit(village.deposit(number))
                assert decided.receipt.outcome is Outcome.DONE
                await until(partial(village.all_have, 5, number))

    run(story())


def test_the_same_transaction_is_decided_once_however_often_it_is_given(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            data = village.deposit()
            told = await asyncio.gather(*(nodes[0].submit(data) for _ in range(5)))
            assert len(set(told)) == 1
            assert await nodes[0].submit(data) == told[0]
            await until(lambda: village.balance(1) == 5)
            assert (await nodes[1].submit(data)).receipt == told[0].receipt

    run(story())


def test_what_cannot_be_admitted_is_refused_at_once(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            data = village.deposit()
            with pytest.raises(Refused) as refused:
                await nodes[0].submit(data[:-1] + bytes([data[-1] ^ 1]))
            assert refused.value.code == "signature_forged"

    run(story())


def test_a_read_sees_what_was_told_elsewhere_before(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            leader = await village.leader()
            for number in range(10):
                await nodes[leader].submit(village.deposit())
                other = nodes[(leader + 1 + number % 2) % 3]
                ledger = await other.read()
                assert ledger is other.ledger
                assert village.balance((leader + 1 + number % 2) % 3) == 5 * (number + 1)

    run(story())


def test_time_goes_on_where_nothing_happens(village: Village) -> None:
    async def story() -> None:
        village.tick_ms = 100
        async with village.running() as nodes:
            await until(lambda: nodes[0].ledger.height > 5)

    run(story())


def test_whoever_stops_hands_over_and_restarts_with_all_that_was_told(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            for number in range(3):
                leader = await village.leader()
                await nodes[leader].submit(village.deposit())
                term = nodes[leader].engine.term
                await village.stop(leader)
                await village.leader()
                assert {node.engine.term for node in nodes.values()} == {term + 1}, "nobody had to wait for an election"
                await village.start(leader)
                await until(partial(village.all_have, 5 * (number + 1)))
        async with village.running() as nodes:
            assert all(not node.halted for node in nodes.values())
            await until(lambda: all(village.balance(number) == 15 for number in nodes))

    run(story())


def test_after_everybody_stopped_the_chain_is_audited_and_everybodys_is_the_same(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            for number in range(20):
                await nodes[number % 3].submit(village.deposit(number % 3))
            await until(village.same)

    run(story())
    tips = set()
    for number in range(3):
        with ChainFolder(village.folder / f"node-{number}" / "chain") as folder:
            assert not audit_folder(folder, verify_each, lambda _: None).forgotten
            tips.add(folder.height)
    assert len(tips) <= 2


def test_who_took_over_a_state_does_not_refuse_what_is_in_blocks_that_it_has_not_seen(tmp_path: Path) -> None:
    village = Village(tmp_path, parameters={"epoch_ms": 1_000})
    village.settings = Settings(election_ms=200, slot_ms=40, heartbeat_ms=40, trailing_max=0, chunk_bytes=1_000)
    village.tick_ms = 0  # no block but those of transactions: the state that is taken over is the last that there is

    async def story() -> None:
        async with village.running(0, 1) as nodes:
            leader = await village.leader()
            data = village.deposit()
            told = await nodes[leader].submit(data)
            while (tip := nodes[leader].ledger.tip) is None or not tip.state_root:
                await asyncio.sleep(0.1)
                await nodes[leader].submit(village.deposit())
            await village.start(2)
            await until(lambda: nodes[2].ledger.height == nodes[leader].ledger.height)
            assert nodes[2].archive.height < told.height
            with pytest.raises(Refused) as caught:
                await nodes[2].submit(data)
            assert caught.value.code == "undecided"
            await nodes[leader].submit(village.deposit())
            await until(lambda: nodes[2].receipt(bytes(told.receipt.transaction)) is not None)
            assert await nodes[2].submit(data) == told

    run(story())


def test_who_was_away_for_long_takes_over_a_state_and_fetches_the_blocks_it_missed(tmp_path: Path) -> None:
    village = Village(tmp_path, parameters={"epoch_ms": 1_000})
    village.settings = Settings(election_ms=200, slot_ms=40, heartbeat_ms=40, trailing_max=2, chunk_bytes=1_000)
    village.tick_ms = 50

    async def story() -> None:
        async with village.running(0, 1) as nodes:
            leader = await village.leader()
            for _ in range(30):
                await nodes[leader].submit(village.deposit())
                await asyncio.sleep(0.1)
            await village.start(2)
            await until(lambda: village.balance(2) == 150)
            await until(lambda: nodes[2].archive.missing is None and nodes[2].archive.height > 20)
            await nodes[2].submit(village.deposit())

    run(story())
    with ChainFolder(village.folder / "node-2" / "chain") as folder:
        assert folder.height > 30
        audit_folder(folder, verify_each, lambda _: None)


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("quick", [True, False])
def test_a_node_whose_disk_is_full_acknowledges_nothing_and_goes_on_when_there_is_room(
    village: Village, monkeypatch: pytest.MonkeyPatch, call: str, quick: bool
) -> None:
    """Whether there is no room when records are written or for the next segment at a sync, in a thread or not."""
    monkeypatch.setattr(runtime, "QUICK_NS", 10**12 if quick else -1)

    async def story() -> None:
        async with village.running() as nodes:
            leader = await village.leader()
            real = getattr(wal.Wal, call)
            full = nodes[leader].wal
            there_is_room = False

            def called(log: wal.Wal, *records: object) -> object:
                if log is full and not there_is_room:
                    raise Refused("disk_full", "wal", "no room")
                return real(log, *records)

            monkeypatch.setattr(wal.Wal, call, called)
            decided = await nodes[(leader + 1) % 3].submit(village.deposit())  # a quorum has room
            assert decided.receipt.outcome is Outcome.DONE
            await until(lambda: nodes[leader].runtime.full)
            assert nodes[leader].runtime.unsynced > 0
            there_is_room = True
            await until(lambda: nodes[leader].runtime.unsynced == 0)
            await until(lambda: village.balance(leader) == 5)

    run(story())


def test_a_node_whose_disk_fails_stops_taking_part_and_the_others_go_on(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            leader = await village.leader()
            broken = nodes[leader]

            broken.wal._broken = "00000001.wal"  # as after a sync that failed
            others = [number for number in nodes if number != leader]
            decided = await nodes[others[0]].submit(village.deposit())
            assert decided.receipt.outcome is Outcome.DONE
            await until(lambda: broken.halted is not None and broken.halted.code == "disk_failed")
            with pytest.raises(Refused) as refused:
                await broken.submit(village.deposit())
            assert refused.value.code == "node_halted"

    run(story())


def test_a_folder_of_another_chain_is_refused(village: Village, tmp_path: Path) -> None:
    async def story() -> None:
        async with village.running():
            await village.leader()
        other = Village(tmp_path / "other", parameters={"epoch_ms": 12_345})
        shutil.copytree(village.folder / "node-0" / "chain", other.folder / "node-0" / "chain")
        with pytest.raises(Refused) as refused:
            await other.start(0)
        assert refused.value.code == "chain_wrong"

    run(story())


def test_what_became_of_a_transaction_is_told_again_after_a_restart_too(tmp_path: Path) -> None:
    village = Village(tmp_path, parameters={"epoch_ms": 1_000})

    async def story() -> None:
        async with village.running() as nodes:
            leader = await village.leader()
            data = village.deposit()
            told = await nodes[leader].submit(data)
            await until(lambda: nodes[0].ledger.height > told.height + 3 and village.all_have(5))
            await asyncio.sleep(1.5)  # an epoch ends, so that the log begins after its block
            await village.stop(0)
            await village.start(0)
            assert await nodes[0].submit(data) == told

    run(story())
