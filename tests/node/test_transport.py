"""The transport over real sockets: what arrives, what is dropped, and who is turned away for which reason."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.communities import CHAIN, QUICK, Community, Node, acquaint, address, now_ms, running, started, until
from wattquorum.foundation.codec import encode
from wattquorum.foundation.refusals import Refused
from wattquorum.node.channel import Channel
from wattquorum.node.community import DAY_MS, Contexts
from wattquorum.node.frames import (
    LENGTH_BYTES,
    MESSAGES_MAX,
    VERSION,
    Batch,
    Farewell,
    Framing,
    Hello,
    Ping,
    Pong,
    Said,
    decode_frame,
    frame_of,
)
from wattquorum.node.transport import REASONS, Bounds, Transport

A, B, C = address(1), address(2), address(3)
OTHER_CHAIN = bytes(16)


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Community:
    return Community(tmp_path_factory.mktemp("village"))


def pair(village: Community, bounds: Bounds = QUICK) -> tuple[Node, Node]:
    return Node(A, village.contexts(A), bounds), Node(B, village.contexts(B), bounds)


# Frames


@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_frames_come_whole_wherever_the_network_breaks_them(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame_of(Batch((message,))) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    framing, found = Framing(1_000), list[bytes]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framing.cut(stream[start:end])
    assert [decode_frame(frame) for frame in found] == [Batch((message,)) for message in messages]


def test_frames_come_whole_when_broken_at_every_byte() -> None:
    stream = frame_of(Hello(VERSION, CHAIN, A)) + frame_of(Batch((b"", b"x" * 300))) + frame_of(Ping(1 << 40))
    whole = Framing(1_000).cut(stream)
    assert len(whole) == 3
    for place in range(len(stream) + 1):
        framing = Framing(1_000)
        assert framing.cut(stream[:place]) + framing.cut(stream[place:]) == whole
    framing = Framing(1_000)
    assert [frame for byte in stream for frame in framing.cut(bytes([byte]))] == whole


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waits_for_more_and_never_fails(data: bytes) -> None:
    def read() -> None:
        for frame in Framing(100).cut(data):
            assert len(frame) <= 100
            decode_frame(frame)

    if code := code_of(read):
        assert code in ("frame_oversized", "encoding_unreadable", "encoding_noncanonical")


def code_of(work: Callable[[], object]) -> str:
    """The code with which something is refused; empty when it is not."""
    try:
        work()
    except Refused as refused:
        return refused.code
    return ""


def test_an_oversized_frame_is_refused_by_its_length_alone() -> None:
    Framing(100).cut((100).to_bytes(LENGTH_BYTES, "big"))
    with pytest.raises(Refused) as found:
        Framing(100).cut((101).to_bytes(LENGTH_BYTES, "big"))
    assert found.value.code == "frame_oversized"


def test_a_frame_with_too_many_messages_is_refused_before_they_are_made() -> None:
    decode_frame(encode(Batch((b"",) * MESSAGES_MAX)))
    with pytest.raises(Refused):
        decode_frame(encode(Batch((b"",) * (MESSAGES_MAX + 1))))


# Messages


def test_messages_arrive_in_order_from_whom_they_are(village: Community) -> None:
    async def main() -> None:
        a, b, c = (Node(who, village.contexts(who)) for who in (A, B, C))
        async with started(a, b, c):
            for number in range(100):
                a.transport.send(B, b"a%d" % number)
                c.transport.send(B, b"c%d" % number)
            await until(lambda: len(b.came) == 200)
            assert [data for sender, data in b.came if sender == A] == [b"a%d" % number for number in range(100)]
            assert [data for sender, data in b.came if sender == C] == [b"c%d" % number for number in range(100)]
            assert a.state(B).sent_messages == b.state(A).received_messages == 100
            assert a.state(B).sent_bytes == b.state(A).received_bytes == 290
            assert a.transport.counters.sent_messages == 100
            assert b.transport.counters.received_messages == 200

    running(main)


def test_messages_of_one_turn_leave_as_one_frame(village: Community) -> None:
    async def main() -> None:
        a, b = pair(village)
        heard: list[Said] = []
        original = b.transport.heard

        def hear(channel: Channel, said: Said) -> None:
            heard.append(said)
            original(channel, said)

        b.transport.heard = hear  # type: ignore[method-assign]
        async with started(a, b):
            for number in range(1_000):
                a.transport.send(B, b"%d" % number)
            await until(lambda: len(b.came) == 1_000)
        assert [len(said.messages) for said in heard if isinstance(said, Batch)] == [1_000]

    running(main)


@pytest.mark.parametrize("size", [0, 1, 16_384, QUICK.batch_bytes, QUICK.batch_bytes + 1, 3_000_000])
def test_a_message_of_any_size_arrives(village: Community, size: int) -> None:
    async def main() -> None:
        a, b = pair(village)
        async with started(a, b):
            message = random.Random(size).randbytes(size)
            for data in (b"before", message, b"after"):
                a.transport.send(B, data)
            await until(lambda: len(b.came) == 3)
            assert [data for _, data in b.came] == [b"before", message, b"after"]

    running(main)


def test_the_largest_message_arrives_and_one_byte_more_is_dropped_and_told(village: Community) -> None:
    async def main() -> None:
        bounds = replace(QUICK, frame_bytes_max=70_000, batch_bytes=40_000)
        a, b = pair(village, bounds)
        async with started(a, b):
            largest = bounds.message_bytes_max
            a.transport.send(B, bytes(largest))
            a.transport.send(B, bytes(largest + 1))
            a.transport.send(B, b"after")
            a.transport.send(C, b"to nobody")
            await until(lambda: len(b.came) == 2)
            assert a.transport.counters.dropped_messages == 2
            assert a.state(B).last_error.startswith("oversized")
            assert a.state(B).connected_ms

    running(main)


def test_round_trips_are_measured(village: Community) -> None:
    async def main() -> None:
        a, b = pair(village)
        async with started(a, b):
            await until(lambda: len(a.state(B).round_trips_ms) >= 3)
            assert all(0 < each < 1_000 for each in a.state(B).round_trips_ms)

    running(main)


def test_it_works_on_uvloop(village: Community) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        a, b = pair(village)
        async with started(a, b):
            for number in range(3_000):
                a.transport.send(B, b"%d" % number)
            a.transport.send(B, bytes(1_000_000))
            await until(lambda: len(b.came) == 3_001 and a.state(B).round_trips_ms)
            b.came.clear()
            await turned_away(b, village.contexts(C), "stranger")
            await turned_away(b, None, "handshake", b"garbage")
            b.transport.renew(b.contexts)

    running(main, uvloop.new_event_loop)


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_ends_whenever_it_is_closed_while_it_connects(village: Community, loop: str, turns: int) -> None:
    """Most of all just after a connection was made, of whose end uvloop tells nobody when its making is given up."""

    async def main() -> None:
        a, b = pair(village)
        made = asyncio.Event()

        class Told(Channel):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                if not self.incoming:
                    close_after(turns)

        def close_after(turns: int) -> None:
            if turns:
                asyncio.get_running_loop().call_soon(close_after, turns - 1)
            else:
                made.set()
                for peer in a.transport._peers.values():
                    assert peer.task is not None
                    peer.task.cancel()

        async with started(a, b, known=False):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("wattquorum.node.transport.Channel", Told)
                a.transport.update_peers({B: b.place})
                await made.wait()
                await a.transport.close()
            assert not a.transport._channels

    running(main, pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None)


# Slow peers, and those that are away


def test_what_is_meant_for_a_peer_that_is_away_is_dropped(village: Community) -> None:
    async def main() -> None:
        a = Node(A, village.contexts(A))
        b = Node(B, village.contexts(B))
        async with started(a, b, known=False):
            a.transport.update_peers({B: ("127.0.0.1", 1)})
            for number in range(50):
                a.transport.send(B, b"%d" % number)
            assert (a.state(B).backlog_messages, a.state(B).dropped_messages) == (0, 50)
            await until(lambda: a.state(B).last_error.startswith("unreachable"))
            acquaint(a, b)
            await until(lambda: a.state(B).connected_ms)
            a.transport.send(B, b"fresh")
            await until(lambda: b.came == [(A, b"fresh")])

    running(main)


def test_the_oldest_messages_are_dropped_for_a_slow_peer(village: Community) -> None:
    async def main() -> None:
        a = Node(A, village.contexts(A), replace(QUICK, backlog_messages_max=10, backlog_bytes_max=1_000))
        async with started(a, known=False), sleeper(village, B) as place:
            a.transport.update_peers({B: place})
            await until(lambda: a.state(B).connected_ms)
            (channel,) = a.transport._channels
            while not channel.paused:
                a.transport.send(B, bytes(100_000))
                await asyncio.sleep(0)
            a.transport.send(B, bytes(2_000))  # one is kept even when it is larger than all that may wait
            assert (a.state(B).backlog_bytes, a.state(B).backlog_messages) == (2_000, 1)
            for number in range(50):
                a.transport.send(B, b"%02d" % number)
            assert (a.state(B).backlog_bytes, a.state(B).backlog_messages) == (20, 10)
            dropped = a.state(B).dropped_messages
            channel.abort()
            await until(lambda: a.state(B).connected_ms is None)
            assert (a.state(B).backlog_messages, a.state(B).dropped_messages) == (0, dropped + 10)

    running(main)


def test_a_place_that_cannot_be_is_told_and_stops_nothing(village: Community) -> None:
    async def main() -> None:
        a = Node(A, village.contexts(A))
        async with started(a, known=False):
            for place in (("a..b", 7400), ("127.0.0.1", 70_000), ("\u00fc" * 300, 7400)):
                a.transport.update_peers({B: place})
                await until(lambda: a.transport.counters.broken["unreachable"] > 1)
                assert a.state(B).last_error.startswith("unreachable")
                a.transport.counters.broken.clear()

    running(main)


def test_one_turn_may_send_more_than_may_wait(village: Community) -> None:
    async def main() -> None:
        a, b = pair(village, replace(QUICK, backlog_messages_max=100))
        async with started(a, b):
            for number in range(1_000):
                a.transport.send(B, b"%d" % number)
            await until(lambda: len(b.came) == 1_000)
            assert a.state(B).dropped_messages == 0

    running(main)


def test_a_slow_peer_holds_up_neither_the_sender_nor_the_others(village: Community) -> None:
    async def main() -> None:
        a = Node(A, village.contexts(A), replace(QUICK, backlog_bytes_max=1 << 20))
        c = Node(C, village.contexts(C))
        async with started(a, c), sleeper(village, B) as place:
            a.transport.update_peers({B: place, C: c.place})
            await until(lambda: a.state(B).connected_ms)
            for number in range(400):
                a.transport.send(B, bytes(100_000))
                a.transport.send(C, b"%d" % number)
                await asyncio.sleep(0)
            await until(lambda: len(c.came) == 400)
            assert a.state(B).backlog_bytes <= 1 << 20
            assert a.state(B).dropped_messages > 100
            assert a.state(C).dropped_messages == 0

    running(main)


@asynccontextmanager
async def sleeper(village: Community, who: bytes) -> AsyncIterator[tuple[str, int]]:
    """A peer that says hello and then never reads again."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame_of(Hello(VERSION, CHAIN, who)))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await over.wait()
        writer.transport.abort()

    context = village.contexts(who).server
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def test_a_peer_that_is_silent_is_given_up_and_tried_again(village: Community) -> None:
    async def main() -> None:
        a = Node(A, village.contexts(A), replace(QUICK, silence_s=0.3))
        async with started(a, known=False), sleeper(village, B) as place:
            a.transport.update_peers({B: place})
            await until(lambda: a.transport.counters.broken["silent"])
            assert a.state(B).last_error.startswith("silent")
            await until(lambda: a.transport.counters.dialled >= 2)

    running(main)


def test_a_peer_that_sends_too_fast_is_slowed_down_and_loses_nothing(village: Community) -> None:
    async def main() -> None:
        a = Node(A, village.contexts(A))
        b = Node(B, village.contexts(B), replace(QUICK, receive_messages_per_s=1_000))
        c = Node(C, village.contexts(C), replace(QUICK, receive_bytes_per_s=200_000))
        async with started(a, b, c):
            began = asyncio.get_running_loop().time()
            for number in range(1_500):
                a.transport.send(B, b"%d" % number)
            await asyncio.sleep(0.05)  # a bucket is spent by what is in hand; the next batch waits
            for to, message in ((B, b"last"), (C, bytes(150_000)), (C, bytes(150_000))):
                a.transport.send(to, message)
            await until(lambda: len(b.came) == 1_501 and len(c.came) == 2)
            assert asyncio.get_running_loop().time() - began > 0.4
            assert [data for _, data in b.came] == [b"%d" % number for number in range(1_500)] + [b"last"]

    running(main)


# Connecting again


def test_a_peer_that_comes_back_gets_what_is_sent_then(village: Community) -> None:
    async def main() -> None:
        a, b = pair(village)
        async with started(a, b):
            port = b.transport.port
            await b.transport.close()
            await until(lambda: a.state(B).connected_ms is None)
            assert a.state(B).last_error
            again = Node(B, b.contexts, port=port)
            async with started(again, known=False):
                again.transport.update_peers({A: a.place})
                await until(lambda: a.state(B).connected_ms)
                a.transport.send(B, b"hello again")
                await until(lambda: again.came == [(A, b"hello again")])

    running(main)


def test_pauses_between_attempts_grow_and_begin_anew_after_a_good_connection(village: Community) -> None:
    async def main() -> None:
        pauses: list[float] = []

        class Told(random.Random):
            def uniform(self, a: float, b: float) -> float:
                if (a, b) == (0.5, 1.0):
                    pauses.append(b)
                return b

        bounds = replace(QUICK, retry_min_s=0.01, retry_max_s=0.08, steady_s=0.1)
        a = Node(A, village.contexts(A), bounds, random=Told())
        b = Node(B, village.contexts(B))
        attempts: list[float] = []

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            attempts.append(asyncio.get_running_loop().time())
            writer.transport.abort()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with started(a, b, known=False):
            a.transport.update_peers({B: server.sockets[0].getsockname()})
            await until(lambda: len(attempts) == 6)
            gaps = [later - earlier for earlier, later in pairwise(attempts)]
            for gap, least in zip(gaps, (0.01, 0.02, 0.04, 0.08, 0.08), strict=True):
                assert gap >= least * 0.95
            b.transport.update_peers({A: a.place})
            a.transport.update_peers({B: b.place})
            await until(lambda: a.state(B).connected_ms)
            await asyncio.sleep(0.15)
            began = asyncio.get_running_loop().time()
            b.transport.update_peers({})
            b.transport.update_peers({A: a.place})
            await until(lambda: a.transport.counters.dialled == 2)
            assert asyncio.get_running_loop().time() - began < 0.08
        server.close()
        await server.wait_closed()

    running(main)


def test_peers_that_moved_are_found_and_those_that_left_are_left(village: Community) -> None:
    async def main() -> None:
        a, b = pair(village)
        moved = Node(B, b.contexts)
        async with started(a, b, moved, known=False):
            b.transport.update_peers({A: a.place})
            a.transport.update_peers({B: b.place})
            await until(lambda: a.state(B).connected_ms and b.state(A).connected_ms)
            await b.transport.close()
            moved.transport.update_peers({A: a.place})
            a.transport.update_peers({B: moved.place})
            await until(lambda: a.state(B).connected_ms and moved.state(A).connected_ms)
            a.transport.send(B, b"there")
            await until(lambda: moved.came == [(A, b"there")] and moved.state(A).connected_ms)
            assert b.came == []
            a.transport.update_peers({})
            assert a.transport.peers() == ()
            a.transport.send(B, b"nobody")
            await until(lambda: moved.state(A).connected_ms is None and moved.state(A).heard_ms is None)
            await until(lambda: a.transport.counters.turned_away["stranger"] >= 2)

    running(main)


def test_a_newer_connection_of_a_peer_replaces_the_older(village: Community) -> None:
    async def main() -> None:
        b = Node(B, village.contexts(B))
        async with started(b, known=False):
            b.transport.update_peers({A: ("127.0.0.1", 1)})
            first = await Stranger.connected(b, village.contexts(A).client)
            await first.greet(Hello(VERSION, CHAIN, A))
            second = await Stranger.connected(b, village.contexts(A).client)
            await second.greet(Hello(VERSION, CHAIN, A))
            assert await first.rest() in (b"", frame_of(Farewell("replaced")))
            second.write(frame_of(Batch((b"from the newer",))))
            await until(lambda: b.came == [(A, b"from the newer")])
            assert b.transport.counters.turned_away == {"replaced": 1}
            second.abort()

    running(main)


def test_what_the_receiver_raises_ends_that_connection_and_is_told(village: Community) -> None:
    faults: list[Any] = []

    async def main() -> None:
        a, b = pair(village)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))

        def fail(sender: bytes, messages: Sequence[bytes]) -> None:
            raise RuntimeError("diverged")

        b.transport._on_messages = fail
        async with started(a, b):
            a.transport.send(B, b"fatal")
            await until(lambda: faults and a.transport.counters.dialled >= 2)

    running(main)
    assert [str(fault) for fault in faults] == ["diverged"]


def test_everything_ends_when_a_node_ends_in_the_midst_of_it(village: Community) -> None:
    async def main() -> None:
        nodes = [Node(address(number), village.contexts(address(number))) for number in range(1, 6)]
        async with started(*nodes, known=False):
            acquaint(*nodes)
            for number in range(20):
                for node in nodes:
                    for other in nodes:
                        node.transport.send(other.who, bytes(10_000))
                await asyncio.sleep(0.002)
                if number == 10:
                    await nodes[0].transport.close()
            await nodes[0].transport.close()

    running(main)


# Who is turned away


class Stranger:
    """A client that speaks as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.write, self.abort = writer.write, writer.transport.abort

    @classmethod
    async def connected(cls, node: Node, context: ssl.SSLContext | None, host: str = "127.0.0.1") -> Stranger:
        name = {"server_hostname": ""} if context is not None else {}
        way: Any = {"ssl": context, "local_addr": (host, 0), **name}
        return cls(*await asyncio.open_connection(*node.place, **way))

    async def begin(self) -> None:
        """Begins a handshake, and waits until it is answered."""
        self.write(client_hello())
        assert await self._reader.read(1)

    async def greet(self, hello: Hello) -> Hello:
        """Says hello; what the other end says."""
        self.write(frame_of(hello))
        said = await self.hear()
        assert isinstance(said, Hello)
        return said

    async def hear(self) -> Said:
        size = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
        return decode_frame(await self._reader.readexactly(size))

    async def rest(self) -> bytes:
        """Everything until the other end closes."""
        found = b""
        with suppress(OSError):
            async with asyncio.timeout(5):
                while data := await self._reader.read(1 << 16):
                    found += data
        self.abort()
        return found


def client_hello() -> bytes:
    """What anybody can begin a handshake with."""
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="anybody").do_handshake()
    return out.read()


async def turned_away(
    node: Node, contexts: Contexts | ssl.SSLContext | None, reason: str, *said: Said | bytes
) -> bytes:
    """Lets somebody connect and say something: it must be turned away for the reason, once; what it was told."""
    counters = node.transport.counters.turned_away
    before = counters[reason]
    context = contexts.client if isinstance(contexts, Contexts) else contexts
    told = b""
    with suppress(OSError):
        stranger = await Stranger.connected(node, context)
        with suppress(OSError):
            for each in said:
                stranger.write(each if isinstance(each, bytes) else frame_of(each))
        told = await stranger.rest()
    await until(lambda: counters[reason] == before + 1)
    assert set(counters) <= set(REASONS)
    assert counters.total() == sum(node.expected) + 1
    node.expected.append(1)
    assert node.came == []
    return told


@pytest.fixture
def guarded(village: Community) -> Callable[[Callable[[Node], Any]], None]:
    """Runs a test with a node B that knows A as a peer, which is away."""

    def run(main: Callable[[Node], Any]) -> None:
        async def guarded_main() -> None:
            b = Node(B, village.contexts(B), replace(QUICK, retry_min_s=5.0, retry_max_s=5.0))
            async with started(b, known=False):
                b.transport.update_peers({A: ("127.0.0.1", 1)})
                await main(b)

        running(guarded_main)

    return run


Guarded = Callable[[Callable[[Node], Any]], None]


def test_strangers_are_turned_away(village: Community, guarded: Guarded, tmp_path: Path) -> None:
    async def main(b: Node) -> None:
        hello = Hello(VERSION, CHAIN, A)
        town = Community(tmp_path / "town")
        false = Community(tmp_path / "false", "village")  # of the same name
        for other in (town, false):
            context = other.contexts(A).client
            context.verify_mode = ssl.CERT_NONE
            await turned_away(b, context, "stranger", hello, Batch((b"x",)))
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
        await turned_away(b, nobody, "stranger", hello, Batch((b"x",)))
        told = await turned_away(b, village.contexts(C), "stranger", Hello(VERSION, CHAIN, C), Batch((b"x",)))
        assert told == frame_of(Farewell("stranger"))

    guarded(main)


def test_expired_and_revoked_identities_are_turned_away(village: Community) -> None:
    async def main() -> None:
        apart = Community(village.folder / "apart")
        mine = apart.certified(B)
        b = Node(B, apart.contexts_of(mine), replace(QUICK, retry_min_s=5.0, retry_max_s=5.0))
        async with started(b, known=False):
            b.transport.update_peers({A: ("127.0.0.1", 1)})
            hello = Hello(VERSION, CHAIN, A)
            expired = apart.certified(A, days=1, at_ms=now_ms() - 3 * DAY_MS)
            begins = apart.certified(A, days=9, at_ms=now_ms() + 3 * DAY_MS)
            for identity in (expired, begins):
                await turned_away(b, apart.contexts_of(identity), "expired", hello, Batch((b"x",)))
            revoked = apart.certified(A)
            contexts = apart.contexts_of(revoked)
            apart.revoke(revoked)
            b.transport.renew(apart.contexts_of(mine))
            await turned_away(b, contexts, "revoked", hello, Batch((b"x",)))

    running(main)


def test_other_chains_versions_and_names_are_turned_away(village: Community, guarded: Guarded) -> None:
    async def main(b: Node) -> None:
        mine = village.contexts(A)
        for reason, contexts, hello in (
            ("chain", village.contexts(A, OTHER_CHAIN), Hello(VERSION, CHAIN, A)),
            ("chain", mine, Hello(VERSION, OTHER_CHAIN, A)),
            ("version", mine, Hello(VERSION + 1, CHAIN, A)),
            ("impostor", mine, Hello(VERSION, CHAIN, B)),
        ):
            told = await turned_away(b, contexts, reason, hello, Batch((b"x",)))
            assert told == frame_of(Farewell(reason))

    guarded(main)


def test_other_versions_of_tls_are_turned_away(village: Community, guarded: Guarded) -> None:
    async def main(b: Node) -> None:
        older = village.contexts(A).client
        older.minimum_version = older.maximum_version = ssl.TLSVersion.TLSv1_2
        await turned_away(b, older, "handshake", Hello(VERSION, CHAIN, A))

    guarded(main)


def test_garbage_is_turned_away_before_and_after_the_handshake(village: Community, guarded: Guarded) -> None:
    async def main(b: Node) -> None:
        await turned_away(b, None, "handshake", b"GET / HTTP/1.1\r\n\r\n")
        await turned_away(b, None, "handshake", bytes(5_000))
        mine, hello = village.contexts(A), Hello(VERSION, CHAIN, A)
        garbage = (3).to_bytes(4, "big") + b"\xc1\xc1\xc1"
        noncanonical = (3).to_bytes(4, "big") + b"\x92\x03\xcc\x01"[:3]
        for said in (
            (garbage,),
            (noncanonical,),
            (Batch((b"x",)),),  # before its hello
            (Ping(1),),
            (Farewell("bye"),),
            (hello, hello),
            (hello, Pong(1)),
            (hello, garbage),
            (hello, frame_of(Batch((b"",) * (MESSAGES_MAX + 1)))),
        ):
            await turned_away(b, mine, "garbage", *said)

    guarded(main)


def test_oversized_frames_are_turned_away_small_ones_before_the_hello(village: Community, guarded: Guarded) -> None:
    async def main(b: Node) -> None:
        mine, hello = village.contexts(A), Hello(VERSION, CHAIN, A)
        await turned_away(b, mine, "oversized", (1_025).to_bytes(4, "big"))
        await turned_away(b, mine, "oversized", hello, (QUICK.frame_bytes_max + 1).to_bytes(4, "big"))
        await turned_away(b, mine, "oversized", hello, b"\xff" * 100)

    guarded(main)


def test_a_recorded_handshake_opens_nothing(village: Community) -> None:
    async def main() -> None:
        a, b = pair(village, replace(QUICK, retry_min_s=5.0, retry_max_s=5.0))
        recorded: list[bytes] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            upstream, downstream = await asyncio.open_connection(*b.place)

            async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, keep: bool) -> None:
                while data := await source.read(1 << 16):
                    if keep:
                        recorded.append(data)
                    sink.write(data)
                sink.transport.abort()

            with suppress(OSError):
                await asyncio.gather(carry(reader, downstream, True), carry(upstream, writer, False))

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        async with started(a, b, known=False):
            a.transport.update_peers({B: server.sockets[0].getsockname()})
            b.transport.update_peers({A: ("127.0.0.1", 1)})
            await until(lambda: a.state(B).connected_ms)
            a.transport.send(B, b"once")
            await until(lambda: b.came == [(A, b"once")])
            a.transport.update_peers({})
            await until(lambda: b.transport.counters.turned_away.total() == 1)
            replayed = await Stranger.connected(b, None)
            for data in recorded:
                replayed.write(data)
                await asyncio.sleep(0.01)
            await replayed.rest()
            await until(lambda: b.transport.counters.turned_away["handshake"] == 1)
            assert b.came == [(A, b"once")]
            assert b.transport.counters.accepted == 1
            await asyncio.sleep(0.05)
        server.close()
        await server.wait_closed()

    running(main)


def test_no_session_can_be_resumed(village: Community, guarded: Guarded) -> None:
    async def main(b: Node) -> None:
        context = village.contexts(A).client
        first = await Stranger.connected(b, context)
        await first.greet(Hello(VERSION, CHAIN, A))
        tls = first._writer.get_extra_info("ssl_object")
        assert tls.version() == "TLSv1.3"
        assert tls.session is None or not tls.session.has_ticket
        assert not tls.session_reused
        first.abort()

    guarded(main)


def test_whoever_does_not_finish_the_handshake_in_time_is_turned_away(village: Community) -> None:
    async def main() -> None:
        b = Node(B, village.contexts(B), replace(QUICK, handshake_s=0.2))
        async with started(b, known=False):
            b.transport.update_peers({A: ("127.0.0.1", 1)})
            await turned_away(b, None, "slow")
            await turned_away(b, None, "slow", b"\x16\x03\x01")
            await turned_away(b, village.contexts(A), "slow")  # no hello
            await turned_away(b, village.contexts(A), "slow", b"\x00\x00")

    running(main)


def test_whoever_says_nothing_is_given_less_time_than_whoever_has_begun(village: Community) -> None:
    async def main() -> None:
        b = Node(B, village.contexts(B), replace(QUICK, begin_s=0.05, handshake_s=3600))
        async with started(b, known=False):
            b.transport.update_peers({A: ("127.0.0.1", 1)})
            begun = await Stranger.connected(b, None)
            await begun.begin()
            await turned_away(b, None, "slow")
            await turned_away(b, None, "slow", client_hello()[:-1])
            assert len(b.transport._arrivals) == 1
            begun.abort()

    running(main)


@pytest.mark.parametrize("begun", [False, True])
def test_strangers_do_not_keep_a_peer_out(village: Community, begun: bool) -> None:
    """Those of its own host and those of other hosts hold all that they can; it is in at its first attempt."""

    async def main() -> None:
        few = replace(QUICK, handshakes_max=6, handshakes_per_host_max=4, begin_s=3600, handshake_s=3600)
        a = Node(A, village.contexts(A), replace(few, retry_min_s=3600, retry_max_s=3600))
        b = Node(B, village.contexts(B), few)
        async with started(a, b, known=False):
            b.transport.update_peers({A: a.place})
            strangers = []
            for host in (1, 2, 3, 1, 2, 3, 3, 3, 1, 1, 1, 1, 1):
                strangers.append(await Stranger.connected(b, None, f"127.0.0.{host}"))
                if begun:
                    await strangers[-1].begin()
            await until(lambda: b.transport.counters.turned_away["busy"] == 3)  # of its own host
            assert len(b.transport._arrivals) == 10
            a.transport.update_peers({B: b.place})
            await until(lambda: a.state(B).connected_ms and b.state(A).heard_ms)
            assert a.transport.counters.broken == {}
            assert b.transport.counters.turned_away == {"busy": 4}
            for stranger in strangers:
                stranger.abort()

    running(main)


def test_connections_and_handshakes_are_bounded(village: Community) -> None:
    async def main() -> None:
        for bounds in ({"handshakes_max": 3}, {"handshakes_per_host_max": 3}, {"connections_max": 3}):
            b = Node(B, village.contexts(B), replace(QUICK, **bounds))
            async with started(b, known=False):
                b.transport.update_peers({A: ("127.0.0.1", 1)})
                many = [await Stranger.connected(b, None) for _ in range(10)]
                await until(lambda: b.transport.counters.turned_away["busy"] == 7)  # noqa: B023
                for each in many:
                    each.abort()
                await until(lambda: not b.transport._channels or len(b.transport._channels) == 1)  # noqa: B023
                peer = await Stranger.connected(b, village.contexts(A).client)
                await peer.greet(Hello(VERSION, CHAIN, A))  # there is room again
                assert not b.transport._arrivals
                peer.abort()

    running(main)


def test_a_node_connects_only_to_whom_it_means(village: Community, tmp_path: Path) -> None:
    async def main() -> None:
        a, b = pair(village)
        c = Node(C, Community(tmp_path / "town").contexts(C))
        async with started(a, b, c, known=False):
            b.transport.update_peers({A: a.place})
            a.transport.update_peers({C: b.place})  # B answers where C should be
            a.transport.send(C, b"secret")
            await until(lambda: a.transport.counters.broken["stranger"] or a.transport.counters.broken["impostor"])
            a.transport.update_peers({C: c.place})  # certified by somebody else
            await until(lambda: a.transport.counters.broken["stranger"])
            assert b.came == c.came == []
            assert a.transport.counters.sent_messages == 0

    running(main)


# Revocation while connected


def test_a_revocation_that_is_loaded_ends_connections_both_ways(village: Community) -> None:
    async def main() -> None:
        apart = Community(village.folder / "revoking")
        files = {who: apart.certified(who) for who in (A, B, C)}
        a, b, c = (Node(who, apart.contexts_of(files[who])) for who in (A, B, C))
        async with started(a, b, c):
            since = b.state(C).connected_ms
            old = apart.contexts_of(files[B])
            apart.revoke(files[A])
            newer = apart.contexts_of(files[B])
            b.transport.renew(newer)
            await until(lambda: b.state(A).connected_ms is None and b.state(A).heard_ms is None)
            assert b.state(A).last_error.startswith("revoked")
            assert b.transport.counters.turned_away["revoked"] == b.transport.counters.broken["revoked"] == 1
            await until(lambda: b.transport.counters.turned_away["revoked"] >= 2)  # it tries again
            assert b.state(A).heard_ms is None
            assert b.state(C).connected_ms == since
            with pytest.raises(Refused) as found:
                b.transport.renew(old)
            assert found.value.code == "revocations_old"

    running(main)


def test_an_identity_that_runs_out_while_connected_ends_the_connection(village: Community) -> None:
    async def main() -> None:
        a, b = pair(village)
        async with started(a, b):
            later = now_ms() + 31 * DAY_MS
            b.transport._clock_ms = lambda: later
            await until(lambda: b.transport.counters.turned_away["expired"] and b.transport.counters.broken["expired"])

    running(main)


def test_a_transport_takes_no_identity_but_its_own(village: Community) -> None:
    for who, chain_id in ((B, CHAIN), (A, OTHER_CHAIN)):
        with pytest.raises(Refused) as found:
            Transport(A, CHAIN, village.contexts(who, chain_id), None, {}, lambda *_: None)
        assert found.value.code == "tls_identity_invalid"


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_bytes": 0},
        {"batch_bytes": 64 << 20},
        {"frame_bytes_max": 1 << 32},
        {"retry_min_s": 0.0},
        {"retry_max_s": 0.01},
        {"ping_s": 20.0},
    ],
)
def test_bounds_under_which_nothing_goes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refused) as found:
        Bounds(**wrong)  # type: ignore[arg-type]
    assert found.value.code == "out_of_range"
