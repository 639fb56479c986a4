"""The client against a community on real sockets: it finds the leader, survives nodes, and believes nobody."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.api.served import Served, served
from tests.loops import apart
from wattquorum import AsyncClient, Client
from wattquorum.api import handing_in
from wattquorum.cli.app import app
from wattquorum.foundation.identities import address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.transactions import transaction_hash

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections to nodes that are stopped on purpose


@pytest.fixture(scope="module")
def community(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("client")) as found:
        yield found


def deposit(community: Served, client: int = 0) -> bytes:
    return community.call(lambda: community.village.deposit(client))


def address(community: Served, client: int = 0) -> bytes:
    village = community.village
    return address_of(village.chain_id, village.founding.client_keys[client].public)


def test_a_transaction_and_everything_that_can_be_asked_of_it(community: Served, tmp_path: Path) -> None:
    with Client(community.apis, chain=community.village.chain_id) as client:
        told = client.submit(deposit(community))
        assert (told.outcome, told.code) == ("done", "")
        assert client.receipt(bytes.fromhex(told.transaction)) == told
        account = client.account(address(community))
        assert (account.balance, account.nonce, account.status) == (5, 1, "active")
        assert client.account(address(community), stale=True).name == account.name
        assert client.standing(address(community)).address == account.address
        assert client.certificates(address(community)).bundles == []
        assert client.debts(address(community)).debts == []
        assert client.parameters().record.epoch_ms > 0
        assert client.days().days == []
        assert len(client.validators().validators) == 3
        assert sum(each.power for each in client.validators().validators) == 3
        entry = client.record("account", address(community))
        assert (entry.record["balance"], entry.record["status"]) == (5, "active")
        assert entry.key in [each.key for each in client.records("account")]
        assert client.record("chain", b"").key == "-"
        block = client.block(told.height)
        assert [each.transaction for each in block.receipts] == [told.transaction]
        assert client.header(told.height).hash == block.hash
        proved = client.proof(bytes.fromhex(told.transaction))
        assert (proved.included.height, proved.included.receipt.outcome.name) == (told.height, "DONE")
        assert client.header(told.height + 1).header.previous == block.hash
        proof = tmp_path / "proof.json"
        proof.write_bytes(proved.file)
    verified = CliRunner().invoke(app, ["verify", str(proof)])
    assert verified.exit_code == 0, verified.output
    assert told.transaction in verified.output
    with Client(community.apis, chain=bytes(20)) as client, pytest.raises(Refused, match="another chain"):
        client.proof(bytes.fromhex(told.transaction))


def test_refusals_come_as_the_ledger_says_them(community: Served) -> None:
    with Client(community.apis) as client:
        forged = bytearray(deposit(community, 1))
        forged[-1] ^= 1
        for ask, code in (
            (lambda: client.submit(bytes(forged)), "signature_forged"),
            (lambda: client.submit(b"rubbish"), "encoding_unreadable"),
            (lambda: client.account(bytes(20)), "account_unknown"),
            (lambda: client.receipt(bytes(32)), "transaction_unknown"),
            (lambda: client.record("account", bytes(20)), "record_unknown"),
            (lambda: client.record("nothing", b"x"), "record_unknown"),
            (lambda: client.trades(address(community), 5), "day_unknown"),
            (lambda: client.block(1_000_000), "block_unknown"),
        ):
            with pytest.raises(Refused) as told:
                ask()
            assert (told.value.code, bool(told.value.remedy)) == (code, True)
        forged[-1] ^= 1
        assert client.submit(bytes(forged)).outcome == "done"


def test_it_turns_to_the_node_that_leads(community: Served) -> None:
    leader = community.do(community.village.leader())
    others = [api for number, api in enumerate(community.apis) if number != leader]
    with Client([*others, community.apis[leader]]) as client:
        client.submit(deposit(community))
        client.submit(deposit(community))
        assert client._asking.node == community.apis[leader]


def test_a_batch_is_answered_one_by_one_and_may_be_sent_again(community: Served) -> None:
    with Client(community.apis) as client:
        items = [(deposit(community, number % 2), None) for number in range(200)]
        items.insert(100, (b"rubbish", None))
        found = client.submit_all(items)
        assert [each.code for each in found] == [""] * 100 + ["encoding_unreadable"] + [""] * 100
        assert all(each.height for number, each in enumerate(found) if number != 100)
        assert client.submit_all(items) == found
        assert client.submit_all([]) == []


def test_blocks_come_in_order_also_to_who_is_late(community: Served) -> None:
    with Client(community.apis) as client:
        told = client.submit(deposit(community, 2))
        heights = []
        for height, block in client.blocks(1):
            assert decode_block(block).header.height == height
            heights.append(height)
            if height > told.height + 1:
                break
        assert heights == list(range(1, told.height + 3))
    lines = httpx.get(f"{community.apis[0]}/v1/blocks", params={"first": 1, "count": 3}).text.splitlines()
    assert len(lines) == 3


def test_the_same_in_a_loop(community: Served) -> None:
    data = deposit(community, 2)

    async def story() -> None:
        async with AsyncClient(community.apis) as client:
            first, second = await asyncio.gather(client.submit(data), client.submit(data))
            assert first == second
            assert (await client.account(address(community, 2))).balance > 0
            assert await client.receipt(transaction_hash(data)) == first
            assert (await client.proof(transaction_hash(data))).included.height == first.height
            assert len(await client.submit_all([(data, None)])) == 1
            assert (await client.status()).chain == community.village.chain_id.hex()
            async for height, _ in client.blocks(first.height):
                assert height == first.height
                break

    apart(lambda: asyncio.run(story()))


def test_a_node_that_stops_is_left_for_another(tmp_path: Path) -> None:
    with served(tmp_path) as community:
        leader = community.do(community.village.leader())
        with Client(community.apis, patience_s=30) as client:
            first = client.submit(deposit(community))
            with pytest.raises(Refused, match="request_unreadable"):
                next(client.blocks(-1))
            stream = client.blocks(1)
            assert next(stream)[0] == 1
            community.do(community.stop(leader))
            second = client.submit(deposit(community))
            assert second.outcome == "done"
            assert client.account(address(community)).balance == 10
            seen = [next(stream)[0] for _ in range(second.height - 1)]
            assert seen == list(range(2, second.height + 1))
            assert client.receipt(bytes.fromhex(first.transaction)) == first


def test_without_a_quorum_nothing_is_told_but_what_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_in, "SUBMIT_S", 0.4)
    with served(tmp_path) as community:
        leader = community.do(community.village.leader())
        community.do(community.stop(*[number for number in range(3) if number != leader]))
        handed = {"transaction": b64encode(deposit(community)).decode()}
        answer = httpx.post(f"{community.apis[leader]}/v1/transactions", json=handed)
        assert (answer.status_code, answer.json()["code"]) == (503, "undecided")
        assert answer.json()["value"] == "stalled: after 0.4 s without a block"
        until = time.monotonic() + 20
        while community.call(lambda: community.village.nodes[leader].engine.leader) and time.monotonic() < until:
            time.sleep(0.05)
        api = community.apis[leader]
        answer = httpx.post(f"{api}/v1/batch", content=b"\x90")
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "not_ordering", "1")
        with Client([api], patience_s=0.5) as client:
            assert client.account(address(community), stale=True).balance == 0
            with pytest.raises(Refused, match="not_ordering"):
                client.submit_all([(deposit(community), None)])
