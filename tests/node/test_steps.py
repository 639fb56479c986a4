"""Steps: a demo's time is declared; each is one block, made once, whoever leads."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.node.live import HOUR, Village, run, until
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Block, Outcome, decode_block
from wattquorum.ledger.genesis import decode_genesis, encode_genesis
from wattquorum.ledger.transactions import Body, Deposit, sign
from wattquorum.node.config import load, parsed
from wattquorum.node.founding import found_demo
from wattquorum.node.node import Node, NodeConfig
from wattquorum.simulation.founding import CREATED

Items = Sequence[tuple[bytes, bytes | None]]

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    gc.collect()


class Stage(Village):
    """A village whose time is declared."""

    def config(self, number: int) -> NodeConfig:
        return super().config(number)._replace(declared=True)

    def deposits(self, count: int, at: int, *, nonce: int = 0, client: int = 0) -> Items:
        """A client's deposits for itself, signed at a moment of the demo."""
        key = self.founding.client_keys[client]
        address = address_of(self.chain_id, key.public)
        bodies = [
            Body(self.chain_id, address, nonce + each, 100, at + HOUR, Deposit(address, 5, f"{client}-{nonce + each}"))
            for each in range(count)
        ]
        return [(sign(key, body), None) for body in bodies]

    async def answer(self, items: Items, at: int) -> Block | Refused:
        """What comes of a step that is handed to everybody until who leads answers, as a client does."""
        for _ in range(2_000):
            for node in list(self.nodes.values()):
                try:
                    return decode_block(await node.step(items, Millis(at)))
                except Refused as refused:
                    if refused.code not in ("not_ordering", "undecided"):
                        return refused
            await asyncio.sleep(0.01)
        raise AssertionError("nobody made it")

    async def step(self, items: Items, at: int) -> Block:
        """A step that is made."""
        block = await self.answer(items, at)
        assert isinstance(block, Block), block
        return block

    async def refusal(self, items: Items, at: int) -> tuple[str, str]:
        """Why a step is not made."""
        refused = await self.answer(items, at)
        assert isinstance(refused, Refused)
        return refused.code, refused.field


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def code_of(refused: pytest.ExceptionInfo[Refused]) -> tuple[str, str]:
    return refused.value.code, refused.value.field


def test_a_step_is_one_block_of_its_time_and_its_transactions_in_their_order(stage: Stage) -> None:
    async def story() -> None:
        async with stage.running() as nodes:
            first = [*stage.deposits(3, CREATED), *stage.deposits(2, CREATED, client=1)]
            block = await stage.step(first, CREATED + 1)
            assert block.transactions == tuple(data for data, _ in first)
            assert {receipt.outcome for receipt in block.receipts} == {Outcome.DONE}
            empty = await stage.step([], CREATED + 7 * HOUR)
            assert (empty.header.height, empty.header.time_ms, empty.transactions) == (2, CREATED + 7 * HOUR, ())
            await until(lambda: all(node.ledger.height == 2 for node in nodes.values()))
            assert stage.same()
            assert stage.all_have(15)
            assert stage.all_have(10, client=1)
            await asyncio.sleep(0.6)  # longer than a node lets time stand still by itself
            assert {node.ledger.height for node in nodes.values()} == {2}

    run(story())


def test_a_step_is_made_once_and_told_again_by_the_same_leader_and_the_next(stage: Stage) -> None:
    async def story() -> None:
        async with stage.running() as nodes:
            items = stage.deposits(2, CREATED)
            block = await stage.step(items, CREATED + 1)
            assert await stage.step(items, CREATED + 1) == block
            others = stage.deposits(1, CREATED, nonce=2)
            assert await stage.refusal(others, CREATED + 1) == ("out_of_range", "time_ms")
            leader = await stage.leader()
            await stage.stop(leader)
            assert leader not in nodes
            assert await stage.step(items, CREATED + 1) == block
            assert (await stage.step([], CREATED + 2)).header.height == 2

    run(story())


def test_a_step_that_no_quorum_decided_is_undecided_and_made_once_when_there_is_one(stage: Stage) -> None:
    async def story() -> None:
        async with stage.running() as nodes:
            await stage.step([], CREATED + 1)
            leader = await stage.leader()
            others = [number for number in nodes if number != leader]
            for number in others:
                await nodes.pop(number).stop(hand_over=False)
            items = stage.deposits(2, CREATED + 1)
            with pytest.raises(Refused) as refused:
                await nodes[leader].step(items, Millis(CREATED + 2))
            assert refused.value.code in ("undecided", "not_ordering")
            await stage.start(*others)
            block = await stage.step(items, CREATED + 2)
            assert (block.header.height, block.header.time_ms) == (2, CREATED + 2)
            assert {receipt.outcome for receipt in block.receipts} == {Outcome.DONE}
            assert (await stage.step([], CREATED + 3)).header.height == 3
            await until(lambda: all(node.ledger.height == 3 for node in nodes.values()))
            assert stage.all_have(10)

    run(story())


def test_a_step_that_cannot_be_admitted_whole_changes_nothing(stage: Stage) -> None:
    async def story() -> None:
        async with stage.running() as nodes:
            good, forged = stage.deposits(2, CREATED)
            spoiled = bytearray(forged[0])
            spoiled[-1] ^= 1
            for items, at, expected in (
                ([good, (bytes(spoiled), None)], CREATED + 1, "signature_forged"),
                ([forged], CREATED + 1, "nonce_wrong"),
                ([good, good], CREATED + 1, "already_pending"),
                ([good], CREATED + 2 * HOUR, "expired"),
                ([good], CREATED, "out_of_range"),
            ):
                assert (await stage.refusal(items, at))[0] == expected
            assert {node.ledger.height for node in nodes.values()} == {0}
            assert len((await stage.step([good, forged], CREATED + 1)).transactions) == 2

    run(story())


def test_only_who_leads_takes_steps_and_nobody_takes_transactions_without_their_time(stage: Stage) -> None:
    async def story() -> None:
        async with stage.running() as nodes:
            await stage.leader()
            follower = next(node for node in nodes.values() if node.engine.leader != node.address)
            with pytest.raises(Refused) as refused:
                await follower.step([], Millis(CREATED + 1))
            assert code_of(refused) == ("not_ordering", "replica")
            for node in nodes.values():
                with pytest.raises(Refused) as refused:
                    await node.submit(stage.deposits(1, CREATED)[0][0])
                assert code_of(refused) == ("clock_declared", "transaction")
            assert {node.replica.waiting for node in nodes.values()} == {0}

    run(story())


def test_nodes_whose_time_is_their_own_take_no_steps(tmp_path: Path) -> None:
    village = Village(tmp_path)

    async def story() -> None:
        async with village.running() as nodes:
            with pytest.raises(Refused) as refused:
                await nodes[await village.leader()].step([], Millis(CREATED + 1))
            assert code_of(refused) == ("demo_only", "step")

    run(story())


def test_the_time_of_a_chain_that_is_no_demo_cannot_be_declared(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    genesis = decode_genesis(stage.genesis)
    live = type(genesis)(**{name: getattr(genesis, name) for name in genesis.__struct_fields__} | {"demo": False})
    with pytest.raises(Refused) as refused:
        Node(stage.config(0)._replace(genesis=encode_genesis(live)), verify_each)
    assert code_of(refused) == ("demo_only", "clock")
    with pytest.raises(Refused) as refused:
        found_demo(tmp_path / "demo", encode_genesis(live), [bytes(32)], [("127.0.0.1", 1), ("127.0.0.1", 2)], {})
    assert code_of(refused) == ("demo_only", "genesis.demo")


def test_a_demo_is_founded_with_the_keys_it_is_given_in_an_empty_folder(tmp_path: Path) -> None:
    seeds = [bytes([number]) * 32 for number in (1, 2)]
    genesis = decode_genesis(Stage(tmp_path).genesis)
    own = {"proposers": tuple(SigningKey(seed).public.hex() for seed in seeds)}
    data = encode_genesis(type(genesis)(**{name: getattr(genesis, name) for name in genesis.__struct_fields__} | own))
    places = [("127.0.0.1", port) for port in (11, 12, 21, 22)]
    founded = found_demo(tmp_path / "demo", data, seeds, places, {"election_ms": 700})
    assert founded.apis == (("127.0.0.1", 21), ("127.0.0.1", 22))
    for number, node in enumerate(founded.nodes):
        found = parsed((node / "node.toml").read_text(encoding="utf-8"))
        assert (found.listen, found.api) == (places[number], places[2 + number])
        assert (found.declared, found.times.raft.election_ms) == (True, 700)
        config, api = load(node / "node.toml")
        assert (config.genesis, config.key.public, api) == (data, SigningKey(seeds[number]).public, places[2 + number])
        assert list(config.peers.values()) == [places[1 - number]]
    with pytest.raises(Refused) as refused:
        found_demo(tmp_path / "demo", data, seeds, places, {})
    assert code_of(refused) == ("folder_exists", "folder")


@pytest.mark.parametrize(
    ("line", "field"), [('clock = "mine"', "clock"), ("wal_segment_bytes = 5", "wal_segment_bytes")]
)
def test_a_clock_or_a_segment_that_there_is_none_of_is_refused(line: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        parsed(f'listen = "h:1"\napi = "h:2"\n{line}\n')
    assert code_of(refused) == ("config_invalid", field)
