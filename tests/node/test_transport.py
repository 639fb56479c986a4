"""Frames between replicas over real TLS connections, and who is turned away from them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.live import run, until
from tests.node.tls import CHAIN, Community, address
from wattquorum.node import transport as module
from wattquorum.node.community import contexts
from wattquorum.node.transport import DATA, HEAD_BYTES, HELLO, PING, Broken, Frames, Place, Transport, framed

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of connections that are broken off on purpose; they are let go of before another test can be blamed for them


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    gc.collect()


LOOPBACK = "127.0.0.1"
PATIENCE_S = 10.0


class Node:
    """A transport with what came in by it."""

    def __init__(self, community: Community, number: int, **options: int) -> None:
        self.address = address(number)
        self.heard: list[tuple[bytes, bytes]] = []
        self.place: Place = (LOOPBACK, 0)
        tls = contexts(community.files(number))
        self.transport = Transport(self.address, CHAIN, tls, self.place, {}, self._hear, seed=number, **options)

    def _hear(self, sender: bytes, frames: list[bytes]) -> None:
        self.heard += [(sender, frame) for frame in frames]

    def connected(self) -> bool:
        states = self.transport.peers()
        return bool(states) and all(state.round_trip_s is not None for state in states)


@contextlib.asynccontextmanager
async def nodes(community: Community, count: int) -> AsyncIterator[list[Node]]:
    found = [Node(community, number) for number in range(1, count + 1)]
    for node in found:
        node.place = await node.transport.start()
    places = {node.address: node.place for node in found}
    for node in found:
        await node.transport.update_peers(places)
    try:
        yield found
    finally:
        for node in found:
            await node.transport.close()


@pytest.fixture
def community(tmp_path: Path) -> Community:
    return Community(tmp_path / "tls")


# Frames


@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_frames_are_read_whole_however_they_are_cut(contents: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(framed(DATA, content) for content in contents)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames, found = Frames(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[start:end])
    assert found == [(DATA, content) for content in contents]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\xff" * HEAD_BYTES, "oversized"), (b"\0\0\0\0\x09", "garbage"), (b"\0\0\0\x65\x01", "oversized")],
)
def test_what_is_no_frame_is_refused_before_it_is_whole(data: bytes, reason: str) -> None:
    with pytest.raises(Broken, match=reason):
        Frames(100).feed(data)


# Peers


def test_everybody_hears_everybody_in_order(community: Community) -> None:
    async def story() -> None:
        async with nodes(community, 3) as found:
            await until(lambda: all(node.connected() for node in found))
            for node in found:
                for other in found:
                    for number in range(100):
                        node.transport.send(other.address, b"%d" % number * (number % 7))
            await until(lambda: all(len(node.heard) == 200 for node in found))
            for node in found:
                for other in found:
                    if other is not node:
                        said = [frame for sender, frame in node.heard if sender == other.address]
                        assert said == [b"%d" % number * (number % 7) for number in range(100)]

    run(story())


def test_a_peer_that_was_away_is_found_again_and_what_was_said_meanwhile_is_dropped(community: Community) -> None:
    async def story() -> None:
        async with nodes(community, 2) as (one, two):
            await until(one.connected)
            await two.transport.close()
            await until(lambda: not one.connected())
            one.transport.send(two.address, b"lost")
            assert one.transport.peers()[0].dropped_frames == 1
            again = Node(community, 2)
            again.transport._listen = two.place
            await again.transport.start()
            await again.transport.update_peers({one.address: one.place, two.address: two.place})
            await until(one.connected)
            one.transport.send(two.address, b"heard")
            await until(lambda: again.heard == [(one.address, b"heard")])
            await again.transport.close()

    run(story())


def test_a_peer_that_does_not_read_costs_a_bounded_backlog(
    community: Community, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKLOG_BYTES_MAX", 1 << 20)

    async def story() -> None:
        async with nodes(community, 2) as (one, two):
            await until(one.connected)
            inbound = next(each for each in two.transport.inbound if each.sender == one.address)
            assert inbound.transport is not None
            inbound.transport.pause_reading()
            for _ in range(200):
                one.transport.send(two.address, bytes(1 << 18))
                await asyncio.sleep(0)
            (state,) = one.transport.peers()
            assert state.dropped_frames > 100
            assert state.backlog_bytes < 4 << 20

    run(story())


# Who is turned away


async def dialed(place: Place, tls: ssl.SSLContext, *writes: bytes) -> bytes:
    """Connects, says this, and tells what was answered until the connection ended."""
    reader, writer = await asyncio.open_connection(*place, ssl=tls, server_hostname="")
    try:
        for data in writes:
            writer.write(data)
        return await asyncio.wait_for(reader.read(), PATIENCE_S)
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.close()


def hello(number: int, *, chain: bytes = CHAIN, version: int = 1) -> bytes:
    return framed(HELLO, module._HELLO.pack(version, chain, address(number)))


@pytest.mark.parametrize(
    ("shown", "said", "reason"),
    [
        (2, [hello(3)], "impostor"),
        (2, [hello(2, chain=b"d" * 16)], "chain"),
        (2, [hello(2, version=9)], "version"),
        (2, [b"GET / HTTP/1.1\r\n\r\n"], "oversized"),
        (2, [framed(DATA, b"x")], "garbage"),
        (2, [hello(2), hello(2)], "garbage"),
        (2, [hello(2), framed(PING, b"short")], "garbage"),
        (9, [hello(9)], "stranger"),
    ],
)
def test_who_says_what_it_may_not_is_turned_away_and_counted(
    community: Community, shown: int, said: list[bytes], reason: str
) -> None:
    async def story() -> None:
        async with nodes(community, 2) as (one, two):
            await two.transport.close()
            _, connecting = contexts(community.files(shown))
            assert await dialed(one.place, connecting, *said) == b""
            await until(lambda: one.transport.turned_away[reason])
            assert one.heard == []

    run(story())


def test_strangers_to_the_community_are_turned_away(community: Community, tmp_path: Path) -> None:
    async def story() -> None:
        other = Community(tmp_path / "other")
        async with nodes(community, 1) as (one,):
            _, connecting = contexts(other.files(2))
            connecting.check_hostname, connecting.verify_mode = False, ssl.CERT_NONE
            assert await dialed(one.place, connecting, hello(2)) == b""
            await until(lambda: one.transport.turned_away["certificate"])
            bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
            assert await dialed(one.place, bare, hello(2)) == b""
            await until(lambda: one.transport.turned_away["handshake"])
            bare.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await dialed(one.place, bare)
            _, writer = await asyncio.open_connection(*one.place)
            writer.write(b"not even TLS\n" * 10)
            await until(lambda: one.transport.turned_away["handshake"] >= 3)
            writer.close()

    run(story())


def test_certificates_that_are_over_or_not_yet_valid_are_turned_away(community: Community) -> None:
    async def story() -> None:
        async with nodes(community, 1) as (one,):
            for number, since in ((7, timedelta(days=-30)), (8, timedelta(days=5))):
                _, connecting = contexts(community.files(number, since=since))
                assert await dialed(one.place, connecting, hello(number)) == b""
            await until(lambda: one.transport.turned_away["certificate"] == 2)

    run(story())


def test_what_is_revoked_ends_at_once_and_does_not_come_back(community: Community) -> None:
    async def story() -> None:
        async with nodes(community, 2) as (one, two):
            await until(lambda: one.connected() and two.connected())
            serial = community.revoke(2)
            one.transport.revoke(contexts(community.files(1)), [serial])
            await until(lambda: not one.connected() and not two.connected())
            await until(lambda: one.transport.turned_away["revoked"] >= 2)
            two.transport.send(one.address, b"still here")
            await asyncio.sleep(0.1)
            assert one.heard == []

    run(story())


def test_who_answers_at_a_peers_place_has_to_be_that_peer(community: Community) -> None:
    async def story() -> None:
        async with nodes(community, 3) as (one, two, three):
            await one.transport.update_peers({two.address: three.place})
            await until(lambda: one.transport.turned_away["impostor"])
            assert not one.connected()

    run(story())


def test_bytes_of_an_earlier_connection_are_of_no_use(community: Community) -> None:
    """What went over the wire is recorded and sent again: the handshake does not complete."""

    async def story() -> None:
        async with nodes(community, 2) as (one, two):
            recorded = bytearray()

            async def tap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                inner, out = await asyncio.open_connection(*one.place)

                async def back() -> None:
                    while data := await inner.read(65_536):
                        writer.write(data)

                returning = asyncio.ensure_future(back())
                with contextlib.suppress(ConnectionError):
                    while data := await reader.read(65_536):
                        recorded.extend(data)
                        out.write(data)
                returning.cancel()

            server = await asyncio.start_server(tap, LOOPBACK, 0)
            await two.transport.update_peers({one.address: server.sockets[0].getsockname()[:2]})
            await until(two.connected)
            two.transport.send(one.address, b"once")
            await until(lambda: (two.address, b"once") in one.heard)
            before = one.transport.turned_away["handshake"] + one.transport.turned_away["certificate"]
            reader, writer = await asyncio.open_connection(*one.place)
            writer.write(bytes(recorded))
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
            await until(
                lambda: one.transport.turned_away["handshake"] + one.transport.turned_away["certificate"] > before
            )
            assert one.heard.count((two.address, b"once")) == 1
            server.close()

    run(story())
