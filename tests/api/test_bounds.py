"""What anybody may open and send at an interface without a signature, and what becomes of more."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.node.live import Village, run, until
from tests.ports import LOOPBACK, free_port
from wattquorum.api.app import application
from wattquorum.api.checking import UNPROVED_MAX
from wattquorum.api.connections import Bounds, bounds_of, host_of
from wattquorum.api.interface import Interface
from wattquorum.api.shapes import BatchOutcome
from wattquorum.api.sharing import Streams, Turns
from wattquorum.api.uploads import FREE_BYTES, UploadBounds
from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.transactions import Body, Deposit, sign
from wattquorum.node.node import Node

OUTCOMES = Decoder[tuple[BatchOutcome, ...]](tuple[BatchOutcome, ...], "outcomes")
BODY = b"POST /v1/transactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"


@pytest.fixture
def village(tmp_path: Path) -> Village:
    return Village(tmp_path, 1)


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for each in opened:
        each.close()


def ended(connection: socket.socket) -> bool:
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def test_a_process_keeps_files_for_itself_and_a_host_has_its_part() -> None:
    assert bounds_of(1_024)[:2] == (512, 128)
    assert bounds_of(1 << 20)[:2] == (8_192, 2_048)
    assert bounds_of(256)[:2] == (64, 16)
    assert host_of("::ffff:10.0.0.1") == host_of("10.0.0.1") == "10.0.0.1"
    assert host_of("2001:db8::1") == host_of("2001:db8::ffff:2") != host_of("2001:db8:0:1::1")
    assert host_of("fe80::1%eth0") == "fe80::"
    assert host_of("") == ""


@pytest.mark.parametrize("said", [b"", b"GET /v1/status HTTP/1.1\r\nhost", BODY], ids=["nothing", "a head", "a body"])
def test_connections_that_ask_nothing_are_few_and_are_ended(
    village: Village, sockets: list[socket.socket], said: bytes
) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            place = (LOOPBACK, free_port())
            interface = Interface(nodes[0], place, bounds=Bounds(9, 6, idle_s=0.5))
            interface.uploads.bounds = UploadBounds(quiet_s=0.5)
            await interface.start()
            for _ in range(20):
                sockets.append(await asyncio.to_thread(socket.create_connection, place))
                with suppress(OSError):
                    sockets[-1].sendall(said)
                sockets[-1].setblocking(False)
            turned_away = interface.connections.turned_away
            await until(lambda: turned_away["host"] == 14)
            assert turned_away["full"] == 0
            await until(lambda: all(ended(each) for each in sockets))
            assert turned_away["slow" if said is BODY else "idle"] == 6
            await until(lambda: not len(interface.connections))
            async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{place[1]}") as client:
                assert (await client.get("/v1/status")).status_code == 200
                assert 'clients_turned_away_total{reason="host"} 14' in (await client.get("/metrics")).text
            interface.refuse()
            await interface.stop()

    run(story())


def test_uploads_that_are_slow_or_too_many_are_ended(village: Village) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{" + bytes(FREE_BYTES)
        await asyncio.sleep(60)

    async def story(node: Node) -> None:
        app = application(node)
        uploads = app.state.uploads
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            uploads.bounds = UploadBounds(quiet_s=0.2)
            for path in ("/v1/transactions", "/v1/batch", "/v1/steps"):
                answer = await client.post(path, content=slow())
                assert (answer.status_code, answer.json()["code"]) == (408, "request_unreadable")
            uploads.bounds = UploadBounds(bytes_max=3_000, host_bytes_max=2_000)
            for size, code in ((1_999, "request_unreadable"), (2_001, "pending_too_many")):
                answer = await client.post("/v1/transactions", content=bytes(FREE_BYTES + size))
                assert answer.json()["code"] == code
            first = asyncio.create_task(client.post("/v1/transactions", content=slow()))
            uploads.bounds = UploadBounds(bytes_max=1_000)
            await until(lambda: uploads.bytes == 1)
            answer = await client.post("/v1/batch", content=bytes(FREE_BYTES + 1_000))
            assert (answer.status_code, answer.json()["code"]) == (503, "pool_full")
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await until(lambda: not uploads.bytes)
            assert dict(uploads.turned_away) == {"slow": 3, "host_uploads": 1, "uploads": 1}

    run(with_node(village, story))


async def with_node(village: Village, story: object) -> None:
    async with village.running() as nodes:
        await village.leader()
        await story(nodes[0])  # type: ignore[operator]


def test_what_cannot_be_read_is_told_as_such_and_too_much_before_it_is_read(village: Village) -> None:
    async def story(node: Node) -> None:
        transport = httpx.ASGITransport(app=application(node))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            deep = b"[" * 5_000 + b"]" * 5_000
            for content in (b'{"transaction":"\xff\xfe"}', b'{"transaction":"aa","x":' + deep + b"}", deep, b"\x00"):
                answer = await client.post("/v1/transactions", content=content)
                assert (answer.status_code, answer.json()["code"]) == (400, "request_unreadable")
            answer = await client.post("/v1/batch", content=b"\xdd\xff\xff\xff\xff and nothing that could be decoded")
            assert (answer.json()["code"], answer.json()["value"]) == ("out_of_range", str(2**32 - 1))
            answer = await client.post("/v1/steps", content=b"\x92\x01\xdd\xff\xff\xff\xff")
            assert answer.json()["code"] == "demo_only"
            assert "//" not in (await client.get("/schema")).text  # it loads nothing from elsewhere
            assert (await client.get("/schema/openapi.json")).json()["openapi"]

    run(with_node(village, story))


def test_a_batch_asks_once_for_a_newer_state_and_ends_early_with_forged_signatures(village: Village) -> None:
    async def story(node: Node) -> None:
        reads, read = [], node.read

        async def counted() -> object:
            reads.append(1)
            return await read()

        node.read = counted  # type: ignore[method-assign, assignment]
        key = village.founding.client_keys[0]
        me = address_of(village.chain_id, key.public)
        now = int(node.clock.read()) + 1_000_000

        def signed(by: SigningKey, sender: bytes, nonce: int) -> bytes:
            return sign(by, Body(village.chain_id, sender, nonce, 1_000, now, Deposit(me, 1, f"x{nonce}")))

        async def told(*items: bytes) -> list[str]:
            body = encode([(item, None) for item in items])
            answer = await client.post("/v1/batch", content=body)
            return [each.code if not each.height else "decided" for each in OUTCOMES.decode(answer.content)]

        transport = httpx.ASGITransport(app=application(node))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://node", timeout=60) as client:
            gap = [signed(key, me, nonce) for nonce in range(5, 60)]
            nobody = signed(key, bytes(20), 0)
            first = signed(key, me, 0)
            assert await told(first, nobody, *gap) == ["decided", "sender_unknown"] + ["nonce_wrong"] * 55
            assert len(reads) == 1
            assert await told(first) == ["decided"]
            stranger = SigningKey(bytes(range(32)))
            forged = [signed(stranger, me, 1)] * (2 * UNPROVED_MAX)
            second = signed(key, me, 1)
            assert await told(second, *forged[:10]) == ["decided"] + ["signature_forged"] * 10
            codes = await told(*forged, second)
            assert codes == ["signature_forged"] * UNPROVED_MAX + ["undecided"] * (UNPROVED_MAX + 1)
            assert len(reads) == 1
            strangers = [signed(key, bytes([number] * 20), 0) for number in range(200)]
            codes = await told(*strangers)
            assert codes == ["sender_unknown"] * UNPROVED_MAX + ["undecided"] * (200 - UNPROVED_MAX)
            assert len(reads) == 2

    run(with_node(village, story))


def test_reads_that_are_too_many_without_a_quorum_are_to_be_asked_elsewhere(tmp_path: Path) -> None:
    village = Village(tmp_path, 3)
    village.settings = dataclasses.replace(village.settings, reads_max=3)

    async def story() -> None:
        async with village.running(0) as nodes:
            waiting = [asyncio.create_task(nodes[0].read()) for _ in range(3)]
            await asyncio.sleep(0)
            transport = httpx.ASGITransport(app=application(nodes[0]))  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
                answer = await client.get("/v1/parameters")
                assert answer.status_code == 503
                assert (answer.json()["code"], answer.json()["field"]) == ("pool_full", "reads")
                assert (await client.get("/v1/parameters?stale=true")).status_code == 200
                data = village.signed(SigningKey(bytes(32)), Deposit(bytes(20), 5, "x"))
                handed_in = {"transaction": base64.b64encode(data).decode()}
                answer = await client.post("/v1/transactions", json=handed_in)
                assert (answer.status_code, answer.json()["code"]) == (503, "pool_full")
        assert all(isinstance(each, Refused) for each in await asyncio.gather(*waiting, return_exceptions=True))

    run(story())


def test_whoever_waits_no_more_is_forgotten_and_a_chain_without_room_is_not_ready(village: Village) -> None:
    async def story(node: Node) -> None:
        app = application(node)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://node") as client:  # type: ignore[arg-type]
            assert (await client.get("/health/ready")).status_code == 200
            node.archive.full = True
            answer = await client.get("/health/ready")
            assert (answer.status_code, answer.json()["status"]) == (503, "its disk is full")
            node.archive.full = False
        data = village.deposit()
        waiting = asyncio.create_task(node.submit(data))
        await asyncio.sleep(0)
        assert node.waited_for == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0)
        assert node.waited_for == 0
        assert (await node.submit(data)).height

    run(with_node(village, story))


def test_a_host_has_its_part_of_the_streams_however_many_it_asks_for_at_once(village: Village) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            await village.leader()
            place = (LOOPBACK, free_port())
            interface = Interface(nodes[0], place)
            await interface.start()
            base = f"http://{LOOPBACK}:{place[1]}"
            async with httpx.AsyncClient(base_url=base, limits=httpx.Limits(max_connections=None)) as client:

                async def begun() -> httpx.Response:
                    return await client.send(client.build_request("GET", "/v1/stream"), stream=True)

                answers = await asyncio.gather(*(begun() for _ in range(50)))
                codes = [each.status_code for each in answers]
                assert (codes.count(200), codes.count(429)) == (16, 34)
                for path in ("/v1/blocks", "/v1/headers"):
                    answer = await client.get(path)
                    assert (answer.json()["code"], answer.json()["field"]) == ("pending_too_many", "streams")
                assert (await client.get("/v1/status")).status_code == 200
                for each in answers:
                    await each.aclose()
                await until(lambda: not len(interface.streams))
                assert (await client.get("/v1/headers")).status_code == 200
            interface.refuse()
            await interface.stop()

    run(story())


def test_streams_of_all_hosts_have_a_bound() -> None:
    streams = Streams(8)
    for host in "aabbccdd":
        streams.enter(host)
    for host in "ae":
        with pytest.raises(Refused, match="no room left"):
            streams.enter(host)
    streams.leave("a")
    with pytest.raises(Refused, match="too many"):
        streams.enter("b")
    streams.enter("e")


def test_answers_that_nobody_takes_are_bounded_in_all(village: Village, sockets: list[socket.socket]) -> None:
    async def story() -> None:
        async with village.running() as nodes:
            place = (LOOPBACK, free_port())
            interface = Interface(nodes[0], place, bounds=Bounds(90, 90, untaken_bytes_max=1_000_000))
            await interface.start()
            await until(lambda: nodes[0].ledger.height > 0)
            data = await nodes[0].history.block(1)
            assert data is not None
            block = msgspec.structs.replace(decode_block(data), transactions=(bytes(8_000_000),))
            nodes[0].history.keep(Executed(block, encode(block), (), (), ()))
            for _ in range(3):
                sockets.append(await asyncio.to_thread(socket.create_connection, place))
                sockets[-1].sendall(b"GET /v1/blocks/1 HTTP/1.1\r\nhost: x\r\n\r\n")
            turned_away = interface.connections.turned_away
            await until(lambda: turned_away["untaken_bytes"] > 0)
            await until(lambda: sum(each.untaken_bytes() for each in interface.connections._open) <= 1_000_000)
            async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{place[1]}") as client:
                assert (await client.get("/v1/status")).status_code == 200
            interface.refuse()
            await interface.stop()

    run(story())


def test_one_long_answer_is_made_in_a_turn_of_the_loop() -> None:
    async def story() -> None:
        turns, told, loops = Turns(), [], 0
        loop, waiting = asyncio.get_running_loop(), True

        def count() -> None:
            nonlocal loops
            loops += 1
            if waiting:
                loop.call_soon(count)

        async def answer() -> None:
            await turns.mine()
            told.append(loops)

        count()
        await asyncio.gather(*(answer() for _ in range(20)))
        waiting = False
        assert len(told) == len(dict.fromkeys(told)) == 20

    run(story())
