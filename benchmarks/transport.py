"""Messages carried a second from one process to another over loopback, beside the same bytes over asyncio's TLS stream.

The floor writes the bytes of all messages as few large pieces and only counts what arrives: no frames, no messages, no
peers. How many messages are sent in one turn of the event loop makes the difference, since they leave together.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.measuring import Line, Section
from wattquorum.node.community import Authority, Contexts, make_authority, make_contexts, make_request
from wattquorum.node.transport import Bounds, Transport

MESSAGE_BYTES: Final = 128
MESSAGES: Final = 400_000
TURNS_MAX: Final = 20_000  # fewer messages where few go in a turn
AHEAD: Final = 8_192  # sent and not written yet
PER_TURN: Final = (1, 8, 64, 256)
ROUNDS: Final = 3
TARGET: Final = 300_000
PIECE: Final = 1 << 18
CHAIN: Final = bytes(16)
SENDER, RECEIVER = bytes([1]) * 20, bytes([2]) * 20
OPEN: Final = Bounds(receive_bytes_per_s=1 << 40, receive_messages_per_s=1 << 40, backlog_messages_max=1 << 20)
NOWHERE: Final = ("127.0.0.1", 1)


def measured() -> Section:
    """Both ends' rates, each with its floor in the same round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _found(folder)
        rounds = [(_rate(folder, _receive_raw, _send_raw, 0), _rates(folder)) for _ in range(ROUNDS)]
    floor = median(each for each, _ in rounds)
    lines = [Line("raw TLS stream", floor / 1_000, "k/s", "the same bytes in large pieces, uncounted")]
    for place, per_turn in enumerate(PER_TURN):
        rate = median(rates[place] for _, rates in rounds)
        share = median(100 * rates[place] / raw for raw, rates in rounds)
        note = f"{share:.0f} % of the floor" + (f"; target {TARGET / 1_000:.0f} k" if per_turn >= 64 else "")
        lines.append(Line(f"transport, {per_turn} in a turn", rate / 1_000, "k/s", note))
    return Section(f"Transport: messages of {MESSAGE_BYTES} bytes, one way, TLS over loopback", lines)


def _rates(folder: Path) -> list[float]:
    return [_rate(folder, _receive, _send, per_turn) for per_turn in PER_TURN]


def _found(folder: Path) -> None:
    """An authority, and TLS identities for both ends."""
    now = _now_ms()
    key, pem = make_authority("bench", now)
    authority = Authority(key, pem)
    (folder / "authority.pem").write_bytes(pem)
    (folder / "revoked.pem").write_bytes(authority.revocations((), 0, now))
    for who in (SENDER, RECEIVER):
        secret, request = make_request("bench")
        (folder / f"{who.hex()}.pem").write_bytes(authority.issue(request, CHAIN, who, now) + secret)


def _contexts(folder: Path, who: bytes) -> Contexts:
    return make_contexts(folder / "authority.pem", folder / "revoked.pem", folder / f"{who.hex()}.pem")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


Receive = Callable[[Path, Connection, int], Coroutine[Any, Any, None]]
Send = Callable[[Path, int, int, int], Coroutine[Any, Any, None]]


def _rate(folder: Path, receive: Receive, send: Send, per_turn: int) -> float:
    """Messages a second, from the first that arrives to the last."""
    mine, theirs = multiprocessing.Pipe()
    messages = min(MESSAGES, TURNS_MAX * per_turn) if per_turn else MESSAGES
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(receive, folder, theirs, messages))
    process.start()
    try:
        asyncio.run(send(folder, mine.recv(), per_turn, messages))
        taken: float = mine.recv()
    finally:
        process.join()
    return messages / taken


def _run(receive: Receive, folder: Path, pipe: Connection, messages: int) -> None:
    asyncio.run(receive(folder, pipe, messages))


async def _receive(folder: Path, pipe: Connection, messages: int) -> None:
    arrived, began, done = 0, 0.0, asyncio.Event()

    def take(_: bytes, together: Sequence[bytes]) -> None:
        nonlocal arrived, began
        if not arrived:
            began = time.perf_counter()
        arrived += len(together)
        if arrived == messages:
            pipe.send(time.perf_counter() - began)
            done.set()

    contexts, listen = _contexts(folder, RECEIVER), ("127.0.0.1", 0)
    transport = Transport(RECEIVER, CHAIN, contexts, listen, {SENDER: NOWHERE}, take, OPEN)
    await transport.start()
    pipe.send(transport.port)
    await done.wait()
    await transport.close()


async def _send(folder: Path, port: int, per_turn: int, messages: int) -> None:
    peers = {RECEIVER: ("127.0.0.1", port)}
    transport = Transport(SENDER, CHAIN, _contexts(folder, SENDER), None, peers, lambda *_: None, OPEN)
    await transport.start()
    while transport.peers()[0].connected_ms is None:
        await asyncio.sleep(0.01)
    message, left = bytes(MESSAGE_BYTES), messages
    while left:
        if messages - left - transport.counters.sent_messages < AHEAD:
            for _ in range(min(per_turn, left)):
                transport.send(RECEIVER, message)
            left -= min(per_turn, left)
        await asyncio.sleep(0)
    while transport.peers()[0].connected_ms is not None:  # the receiver ends when it has all
        await asyncio.sleep(0.01)
    await transport.close()


async def _receive_raw(folder: Path, pipe: Connection, messages: int) -> None:
    done = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived, began = 0, 0.0
        while arrived < messages * MESSAGE_BYTES:
            data = await reader.read(PIECE)
            began = began or time.perf_counter()
            arrived += len(data)
        pipe.send(time.perf_counter() - began)
        writer.close()
        done.set()

    context = _contexts(folder, RECEIVER).server
    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context, limit=PIECE)
    pipe.send(server.sockets[0].getsockname()[1])
    await done.wait()
    server.close()


async def _send_raw(folder: Path, port: int, _: int, messages: int) -> None:
    context = _contexts(folder, SENDER).client
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
    left = messages * MESSAGE_BYTES
    while left:
        writer.write(bytes(min(PIECE, left)))
        await writer.drain()
        left -= min(PIECE, left)
    await reader.read()
    writer.close()
