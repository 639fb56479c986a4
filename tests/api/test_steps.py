"""Steps over HTTP: a demo's block for a time and its transactions, or a refusal as an answer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.test_app import asking
from tests.node.live import Village, run
from tests.node.test_steps import Stage
from wattquorum.api.shapes import BatchItem, Step
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import encode
from wattquorum.ledger.blocks import decode_block
from wattquorum.node.node import Node
from wattquorum.simulation.founding import CREATED

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    gc.collect()


async def stepped(node: Node, content: bytes) -> httpx.Response:
    async with asking(node) as client:
        return await client.post("/v1/steps", content=content, headers={"content-type": "application/msgpack"})


async def answered(stage: Stage, content: bytes) -> httpx.Response:
    """The answer of who leads.

    It alone is asked: an interface is made for each question, and while it is made nobody in this loop hears the
    leader, which with three of them on a busy machine is longer than followers wait.
    """
    for _ in range(100):
        answer = await stepped(stage.nodes[await stage.leader()], content)
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError("nobody answers")


def test_a_step_is_answered_by_its_block_and_what_cannot_be_made_by_a_refusal(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.settings = Settings()

    async def story() -> None:
        async with stage.running() as nodes:
            items = tuple(BatchItem(*item) for item in stage.deposits(2, CREATED))
            wanted = encode(Step(CREATED + 1, items))
            block = decode_block((await answered(stage, wanted)).content)
            assert (block.header.height, block.header.time_ms, len(block.transactions)) == (1, CREATED + 1, 2)
            assert decode_block((await answered(stage, wanted)).content) == block
            for content, code in (
                (encode(Step(CREATED + 2, items)), "nonce_wrong"),
                (encode(Step(CREATED + 1, ())), "out_of_range"),
                (b"\xc1", "encoding_unreadable"),
                (b"\x92\xcf\x00\x00\x00\x00\x00\x00\x00\x01\xdd\xff\xff\xff\xff", "out_of_range"),
                (b"\x92\x01\xdc\xff\xff and nothing that could be decoded", "out_of_range"),
            ):
                answer = await answered(stage, content)
                assert (answer.status_code, answer.json()["code"]) == (422, code)
            follower = next(node for node in nodes.values() if node.engine.leader != node.address)
            answer = await stepped(follower, wanted)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ordering")

    run(story())


def test_a_node_with_a_clock_of_its_own_refuses_steps(tmp_path: Path) -> None:
    village = Village(tmp_path, 1)

    async def story() -> None:
        async with village.running() as nodes:
            answer = await stepped(nodes[0], encode(Step(CREATED + 1, ())))
            assert (answer.status_code, answer.json()["code"]) == (422, "demo_only")

    run(story())
