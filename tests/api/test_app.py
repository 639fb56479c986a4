"""A node's interface, over HTTP as a client uses it."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.node.live import Village, run, until
from wattquorum.api.app import application
from wattquorum.api.shapes import BatchItem, BatchOutcome
from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.identities import address_of
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.transactions import transaction_hash
from wattquorum.node.node import Node

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections that are broken off on purpose; they are let go of before another test can be blamed for them


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    gc.collect()


OUTCOMES = Decoder[tuple[BatchOutcome, ...]](tuple[BatchOutcome, ...], "outcomes")


@pytest.fixture
def village(tmp_path: Path) -> Village:
    return Village(tmp_path)


@asynccontextmanager
async def asking(node: Node) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(node))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://node", timeout=20) as client:
        yield client


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_transaction_its_receipt_and_the_account_it_changed(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            leader = await village.leader()
            async with asking(nodes[(leader + 1) % 3]) as client:
                data = village.deposit()
                told = (await client.post("/v1/transactions", json={"transaction": text(data)})).json()
                assert (told["outcome"], told["code"], told["transaction"]) == (
                    "done",
                    "",
                    transaction_hash(data).hex(),
                )
                assert (await client.get(f"/v1/transactions/{told['transaction']}")).json() == told
                address = address_of(village.chain_id, village.founding.client_keys[0].public)
                account = (await client.get(f"/v1/accounts/{address.hex()}")).json()
                assert (account["balance"], account["nonce"]) == (5, 1)
                assert account["height"] >= told["height"]
                stale = await client.get(f"/v1/accounts/{address.hex()}", params={"stale": "true"})
                assert stale.json()["name"] == account["name"]

    run(story())


def test_refusals_say_what_to_do(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            async with asking(nodes[0]) as client:
                data = bytearray(village.deposit())
                data[-1] ^= 1
                for request, status, code in (
                    (client.post("/v1/transactions", json={"transaction": text(bytes(data))}), 422, "signature_forged"),
                    (client.post("/v1/transactions", json={"transaction": "%%"}), 422, "encoding_unreadable"),
                    (client.post("/v1/transactions", json={"transaction": 5}), 400, "request_unreadable"),
                    (client.post("/v1/transactions", content=b"{"), 400, "request_unreadable"),
                    (client.get("/v1/transactions/" + "0" * 64), 404, "transaction_unknown"),
                    (client.get("/v1/transactions/zz"), 422, "encoding_unreadable"),
                    (client.get("/v1/accounts/" + "0" * 40), 404, "account_unknown"),
                    (client.get("/v1/blocks", params={"first": -1}), 400, "request_unreadable"),
                    (client.post("/v1/batch", content=b"\xc1"), 422, "encoding_unreadable"),
                    (client.get("/v1/nothing"), 404, "request_unreadable"),
                ):
                    answer = await request
                    found = answer.json()
                    assert (answer.status_code, found["code"]) == (status, code), found
                    assert found["remedy"]

    run(story())


def test_thousands_at_once(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            async with asking(nodes[0]) as client:
                items = [BatchItem(village.deposit(number % 3), None) for number in range(1_000)]
                items.append(BatchItem(b"rubbish", None))
                answer = await client.post("/v1/batch", content=encode(items))
                outcomes = OUTCOMES.decode(answer.content)
                assert [each.outcome for each in outcomes[:-1]] == [0] * 1_000 or all(
                    each.height for each in outcomes[:-1]
                )
                assert (outcomes[-1].height, outcomes[-1].code) == (0, "encoding_unreadable")
            await until(lambda: village.balance(1) == 5 * 334)

    run(story())


def test_blocks_are_told_from_a_height_on_and_as_they_come(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            leader = await village.leader()
            for _ in range(3):
                await nodes[leader].submit(village.deposit())
            from wattquorum.api.chain import lines as told

            await until(lambda: nodes[leader].archive.height >= 3)
            heights = []
            lines = told(nodes[leader], 1)
            async for line in lines:
                found = json.loads(line)
                assert decode_block(base64.b64decode(found["block"])).header.height == found["height"]
                heights.append(found["height"])
                if len(heights) == 6:
                    break
            await lines.aclose()  # type: ignore[attr-defined]
            assert heights == [1, 2, 3, 4, 5, 6]

    run(story())


def test_status_metrics_and_health(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            leader = await village.leader()
            async with asking(nodes[leader]) as client:
                await until(lambda: all(peer.round_trips_ms for peer in nodes[leader].transport.peers()))
                status = (await client.get("/v1/status")).json()
                assert (status["role"], status["leader"]) == ("leader", status["replica"])
                assert [peer["connected"] for peer in status["peers"]] == [True, True]
                assert (status["fewest_in_a_quorum"], status["most_in_a_quorum"]) == (2, 2)
                metrics = (await client.get("/metrics")).text
                assert "wattquorum_leader 1\n" in metrics
                assert f"wattquorum_height {status['height']}" in metrics or "wattquorum_height" in metrics
                assert (await client.get("/health/live")).status_code == 200
                assert (await client.get("/health/ready")).status_code == 200
                schema = (await client.get("/schema/openapi.json")).json()
                assert "/v1/transactions" in schema["paths"]
            await village.stop(*[number for number in nodes if number != leader])
            async with asking(nodes[leader]) as client:
                await until(lambda: not nodes[leader].engine.leader)
                assert (await client.get("/health/ready")).status_code == 503
            await asyncio.sleep(0)

    run(story())
