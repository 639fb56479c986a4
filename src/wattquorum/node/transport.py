"""The transport: frames between replicas, over TLS connections that both sides have proven who they are on.

Each replica connects to every other for what it says, and listens for what they say; so each connection carries frames
one way, and answers to probes the other. A frame is a length, a kind and bytes. What is sent in one turn of the loop
is one write; what arrives in one read is handed on at once. Nothing waits: where a peer is away or slow, and too much
for it has gathered, frames are dropped, which the protocols above expect of any network.

A connection begins with a hello that names format, chain and sender. Whoever is not what its certificate says, or says
what is not understood, is turned away and counted.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, cast

from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import ADDRESS_BYTES, CHAIN_ID_BYTES
from wattquorum.node.community import Identity, identity_of

FORMAT: Final = 1
HELLO, DATA, PING, PONG = range(4)
_HEAD: Final = struct.Struct(">IB")  # length of what follows the head, and its kind
_HELLO: Final = struct.Struct(f">B{CHAIN_ID_BYTES}s{ADDRESS_BYTES}s")
_TIME: Final = struct.Struct(">Q")
HEAD_BYTES: Final = _HEAD.size
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
BACKLOG_BYTES_MAX: Final = 64 * 1024 * 1024  # for one peer
CONNECTIONS_MAX: Final = 256  # that others opened
HANDSHAKES_MAX: Final = 32  # at a time
HANDSHAKE_S: Final = 5.0
HELLO_S: Final = 5.0
PROBE_S: Final = 1.0
SILENCE_S: Final = 5.0  # without an answer to a probe, after which a connection is given up
RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 2.0

Place = tuple[str, int]
OnFrames = Callable[[bytes, list[bytes]], None]


class Broken(Exception):
    """A peer said what it may not say; the reason is what is counted."""


class Frames:
    """Takes bytes apart as they come: frames of one connection."""

    __slots__ = ("_buffer", "_max")

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._max = bytes_max

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that are whole now, with their kinds; Broken for one that is too long or of no kind."""
        buffer = self._buffer
        buffer += data
        found, at, size = [], 0, len(buffer)
        while size - at >= HEAD_BYTES:
            length, kind = _HEAD.unpack_from(buffer, at)
            if length > self._max:
                raise Broken("oversized")
            if kind > PONG:
                raise Broken("garbage")
            end = at + HEAD_BYTES + length
            if end > size:
                break
            found.append((kind, bytes(buffer[at + HEAD_BYTES : end])))
            at = end
        if at:
            del buffer[:at]
        return found


def framed(kind: int, data: bytes) -> bytes:
    """A frame's bytes."""
    return _HEAD.pack(len(data), kind) + data


class PeerState(NamedTuple):
    """How a node stands with one peer, for people and for metrics. Times are in seconds of the monotonic clock."""

    address: bytes
    place: Place
    connected_since: float | None
    sent_frames: int
    sent_bytes: int
    dropped_frames: int
    backlog_bytes: int
    round_trip_s: float | None  # of the last probe
    last_fault: str


class _Link(asyncio.Protocol):
    """A connection to a peer, by which this node speaks."""

    __slots__ = ("_frames", "_peer", "_probed", "answered", "transport")

    def __init__(self, peer: _Peer) -> None:
        self._peer = peer
        self._frames = Frames(1024)
        self.transport: asyncio.Transport | None = None
        self.answered = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = found = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        found.set_write_buffer_limits(high=BACKLOG_BYTES_MAX)
        _hurry(found)
        self.answered = time.monotonic()
        self._peer.connected(self)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, content in self._frames.feed(data):
                if kind != PONG or len(content) != _TIME.size:
                    raise Broken("garbage")
                self.answered = time.monotonic()
                self._peer.round_trip_s = max(self.answered - _TIME.unpack(content)[0] / 1e9, 0.0)
        except Broken as broken:
            self._peer.owner.turned_away[str(broken)] += 1
            self.close()

    def connection_lost(self, fault: Exception | None) -> None:
        self._peer.lost(self, fault)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Peer:
    """Another replica: the connection to it, made again whenever it is lost, and what goes out with the next write."""

    __slots__ = (
        "_link",
        "_outbox",
        "_task",
        "_wanted",
        "address",
        "dropped",
        "fault",
        "owner",
        "place",
        "round_trip_s",
        "sent_bytes",
        "sent_frames",
        "since",
    )

    def __init__(self, owner: Transport, address: bytes, place: Place) -> None:
        self.owner, self.address, self.place = owner, address, place
        self._link: _Link | None = None
        self._outbox: list[bytes] = []
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.since: float | None = None
        self.fault = ""
        self.round_trip_s: float | None = None
        self.sent_frames = self.sent_bytes = self.dropped = 0

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        """Connects, and again after every loss: soon at first, and later the longer it does not work."""
        wait = RETRY_FIRST_S
        while True:
            if self._link is None:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(HANDSHAKE_S):
                        await self._connect()
                    wait = RETRY_FIRST_S
                except (OSError, TimeoutError, ssl.SSLError, Broken) as fault:
                    self.fault = str(fault) or type(fault).__name__
                    if isinstance(fault, ssl.SSLError):
                        self.owner.turned_away["certificate"] += 1
                    jitter = self.owner.chance.between(50, 100) / 100
                    await asyncio.sleep(max(wait * jitter - (time.monotonic() - began), RETRY_FIRST_S / 2))
                    wait = min(2 * wait, RETRY_MAX_S)
                    continue
            self._wanted.clear()
            try:
                async with asyncio.timeout(PROBE_S):
                    await self._wanted.wait()
            except TimeoutError:
                self._probe()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        host, port = self.place
        transport, protocol = await loop.create_connection(
            lambda: _Link(self),
            host,
            port,
            ssl=self.owner.connecting,
            server_hostname="",
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        identity = identity_of(transport.get_extra_info("peercert") or {})
        if identity != Identity(self.owner.chain_id, self.address):
            transport.abort()
            self.owner.turned_away["impostor"] += 1
            raise Broken("another replica answers there")
        hello = framed(HELLO, _HELLO.pack(FORMAT, self.owner.chain_id, self.owner.me))
        transport.write(hello)
        self._link, self.since, self.fault = protocol, time.monotonic(), ""
        self._probe()
        self._flush()

    def connected(self, link: _Link) -> None:
        """TLS is established; who it is, `_connect` finds out."""

    def lost(self, link: _Link, fault: Exception | None) -> None:
        if link is self._link:
            self._link = self.since = self.round_trip_s = None
            self.fault = str(fault) if fault is not None else "the connection was closed"
            self._wanted.set()

    def _probe(self) -> None:
        link = self._link
        if link is None or link.transport is None:
            return
        if time.monotonic() - link.answered > SILENCE_S:
            self.fault = "no answer"
            link.close()
            return
        link.transport.write(framed(PING, _TIME.pack(time.monotonic_ns())))

    def send(self, data: bytes) -> bool:
        """Takes a frame for the next write. Tells whether it is the first one of this turn."""
        link = self._link
        if link is None or link.transport is None or link.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
            self.dropped += 1
            return False
        self._outbox.append(_HEAD.pack(len(data), DATA))
        self._outbox.append(data)
        return len(self._outbox) == 2

    def flush(self) -> None:
        self._flush()

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        link = self._link
        if not outbox:
            return
        if link is None or link.transport is None:
            self.dropped += len(outbox) // 2
            return
        data = b"".join(outbox)
        self.sent_frames += len(outbox) // 2
        self.sent_bytes += len(data)
        link.transport.write(data)

    @property
    def state(self) -> PeerState:
        transport = self._link.transport if self._link is not None else None
        backlog = transport.get_write_buffer_size() if transport is not None else 0
        return PeerState(
            self.address,
            self.place,
            self.since,
            self.sent_frames,
            self.sent_bytes,
            self.dropped,
            backlog,
            self.round_trip_s,
            self.fault,
        )

    def close_link(self) -> None:
        if self._link is not None:
            self._link.close()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._flush()
        if self._link is not None and self._link.transport is not None:
            self._link.transport.close()


class _Inbound(asyncio.Protocol):
    """A connection that another opened, by which it speaks."""

    __slots__ = ("_frames", "_owner", "_timer", "sender", "serial", "transport")

    def __init__(self, owner: Transport) -> None:
        self._owner = owner
        self._frames = Frames(owner.frame_bytes_max)
        self.transport: asyncio.Transport | None = None
        self.sender: bytes | None = None
        self.serial = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = found = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._owner.inbound[self] = None
        _hurry(found)
        self._timer = asyncio.get_running_loop().call_later(HELLO_S, self._turn_away, "silent")

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._frames.feed(data)
            if self.sender is None and frames:
                self._greet(*frames[0])
                frames = frames[1:]
            found: list[bytes] = []
            for kind, content in frames:
                if kind == DATA:
                    found.append(content)
                elif kind == PING and len(content) == _TIME.size:
                    assert self.transport is not None
                    self.transport.write(framed(PONG, content))
                else:
                    raise Broken("garbage")
        except Broken as broken:
            self._turn_away(str(broken))
            return
        if found and self.sender is not None:
            self._owner.received(self.sender, found)

    def _greet(self, kind: int, content: bytes) -> None:
        if kind != HELLO or len(content) != _HELLO.size:
            raise Broken("garbage")
        format_, chain_id, address = _HELLO.unpack(content)
        if format_ != FORMAT:
            raise Broken("version")
        if chain_id != self._owner.chain_id:
            raise Broken("chain")
        assert self.transport is not None
        certificate = self.transport.get_extra_info("peercert") or {}
        if identity_of(certificate) != Identity(chain_id, address):
            raise Broken("impostor")
        if address not in self._owner.known:
            raise Broken("stranger")
        self.sender, self.serial = address, int(certificate.get("serialNumber", "0"), 16)
        if self._timer is not None:
            self._timer.cancel()
        for other in [each for each in self._owner.inbound if each is not self and each.sender == address]:
            other.close()  # a peer that lost its connection may be here before that is known

    def _turn_away(self, reason: str) -> None:
        self._owner.turned_away[reason] += 1
        self.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, _fault: Exception | None) -> None:
        self._owner.inbound.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()


def _hurry(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Transport:
    """All connections of one node."""

    def __init__(
        self,
        me: bytes,
        chain_id: bytes,
        tls: tuple[ssl.SSLContext, ssl.SSLContext],
        listen: Place,
        peers: Mapping[bytes, Place],
        on_frames: OnFrames,
        *,
        seed: int = 0,
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        """`tls` is how it is connected to and how it connects; `on_frames` is given a sender's frames, in order."""
        self.me, self.chain_id = me, chain_id
        self.listening, self.connecting = tls
        self._listen = listen
        self._places = dict(peers)
        self._on_frames = on_frames
        self.frame_bytes_max = frame_bytes_max
        self.chance = Chance(seed)
        self.turned_away: Counter[str] = Counter()  # by reason
        self.received_frames = self.received_bytes = 0
        self.inbound: dict[_Inbound, None] = {}
        self._peers: dict[bytes, _Peer] = {}
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._fresh: list[_Peer] = []  # they have frames that no write has taken up
        self._closed = False

    async def start(self) -> Place:
        """Listens and begins to connect. Tells where it listens. OSError where it cannot."""
        host, port = self._listen
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=CONNECTIONS_MAX)
        self._listener.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(self._listener))
        self._begin()
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    async def _accept(self, listener: socket.socket) -> None:
        """Takes connections, and lets so many at a time prove who they are."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:  # too many files are open, or the other side is gone already
                await asyncio.sleep(RETRY_FIRST_S)
                continue
            if len(self._handshakes) >= HANDSHAKES_MAX or len(self.inbound) >= CONNECTIONS_MAX:
                self.turned_away["too_many"] += 1
                connection.close()
                continue
            handshake = loop.create_task(self._shake(connection))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)

    async def _shake(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: _Inbound(self), connection, ssl=self.listening, ssl_handshake_timeout=HANDSHAKE_S
            )
        except ssl.SSLCertVerificationError as fault:
            self.turned_away["revoked" if "revoked" in str(fault) else "certificate"] += 1
        except (OSError, TimeoutError):
            self.turned_away["handshake"] += 1

    def _begin(self) -> None:
        for address, place in self._places.items():
            if address not in self._peers and address != self.me:
                self._peers[address] = _Peer(self, address, place)
                self._peers[address].start()

    @property
    def known(self) -> Collection[bytes]:
        """Who may speak."""
        return self._places.keys()

    async def update_peers(self, peers: Mapping[bytes, Place]) -> None:
        """Other peers, or at other places: connections to and from those who are none any more end."""
        gone = [peer for address, peer in self._peers.items() if peers.get(address) != peer.place]
        self._places = dict(peers)
        for peer in gone:
            del self._peers[peer.address]
            await peer.close()
        for each in [each for each in self.inbound if each.sender is not None and each.sender not in peers]:
            each.close()
        self._begin()

    def revoke(self, tls: tuple[ssl.SSLContext, ssl.SSLContext], serials: Collection[int]) -> None:
        """From now on other certificates count; connections by those that are revoked end."""
        self.listening, self.connecting = tls
        for each in [each for each in self.inbound if each.serial in serials]:
            self.turned_away["revoked"] += 1
            each.close()
        for peer in self._peers.values():
            peer.close_link()  # it connects again under the new list

    def send(self, to: bytes, data: bytes) -> None:
        """Sends a frame with the next write; drops it where the peer is not connected or does not keep up."""
        peer = self._peers.get(to)
        if peer is not None and peer.send(data):
            if not self._fresh:
                asyncio.get_running_loop().call_soon(self._flush)
            self._fresh.append(peer)

    def _flush(self) -> None:
        fresh, self._fresh = self._fresh, []
        for peer in fresh:
            peer.flush()

    def received(self, sender: bytes, frames: list[bytes]) -> None:
        """Frames of a peer that has said who it is."""
        self.received_frames += len(frames)
        self.received_bytes += sum(map(len, frames))
        if not self._closed:
            self._on_frames(sender, frames)

    def peers(self) -> list[PeerState]:
        """How it stands with each peer, by address."""
        return [self._peers[address].state for address in sorted(self._peers)]

    async def close(self) -> None:
        """Ends all connections, after what was sent in this turn."""
        self._flush()
        self._closed = True
        if self._accepting is not None and self._listener is not None:
            for task in (self._accepting, *self._handshakes):
                task.cancel()
            await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)
            self._listener.close()
        for peer in self._peers.values():
            await peer.close()
        for each in list(self.inbound):
            each.close()
