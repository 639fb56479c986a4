"""The transport: messages between the replicas of one chain, over mutual TLS, lost rather than late.

A node keeps one connection to each peer for what it sends, and has one from each for what it receives. Messages that
are sent in one turn of the event loop leave as one write. Nothing here waits for a peer: what a slow one does not take
is kept up to a bound, and then the oldest is dropped; what is meant for one that is away is dropped at once. Consensus
repeats what matters, and answers to what is stale would only mislead it. Everything that an outsider can make a node
hold or do is bounded by `Bounds`, and whoever is turned away is counted by the reason.

Both ends say hello first: the form they speak, their chain, their address; the address and the chain must be those of
their TLS identities. Times of `peers` are wall-clock milliseconds, durations are seconds.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from wattquorum.foundation.codec import encode
from wattquorum.foundation.refusals import Refused
from wattquorum.node.arrivals import Arrivals
from wattquorum.node.channel import Channel, TurnedAway
from wattquorum.node.community import Contexts, Identity, identity_of
from wattquorum.node.frames import (
    BATCH_HEAD_BYTES,
    LENGTH_BYTES,
    MESSAGE_HEAD_BYTES,
    MESSAGES_MAX,
    VERSION,
    Batch,
    Farewell,
    Hello,
    Ping,
    Pong,
    Said,
)

HEADS_BYTES: Final = BATCH_HEAD_BYTES + MESSAGES_MAX * MESSAGE_HEAD_BYTES  # of a full batch
FRAMES_END: Final = (1 << 32) - HEADS_BYTES  # what four bytes of length can say
Place = tuple[str, int]  # host and port

# Why somebody is turned away, or a connection of ours ends; counters have these names.
REASONS: Final = (
    "busy",  # too many connections or handshakes
    "chain",  # another chain
    "expired",  # its TLS identity has run out
    "garbage",  # a frame that cannot be read, or one that makes no sense now
    "handshake",  # no TLS, or another version of it
    "impostor",  # says to be somebody else than its TLS identity
    "lost",  # closed by the other end or the network
    "oversized",  # a frame that is larger than any may be
    "refused",  # the other end turned us away
    "replaced",  # by a newer connection of the same peer, or its place has changed
    "revoked",  # its TLS identity was revoked
    "silent",  # nothing was heard for too long
    "slow",  # no hello in time
    "stopped",  # this node ends
    "stranger",  # not certified by this community, or no peer
    "unreachable",  # nobody answers there
    "version",  # speaks another form
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a peer or an outsider can make this node hold and do, and how patient it is."""

    frame_bytes_max: int = 64 << 20  # of one frame, and so nearly of one message; a block has up to half of it
    batch_bytes: int = 256 << 10  # messages go together up to this; a larger one goes alone
    backlog_bytes_max: int = 80 << 20  # for a peer; a leader sends it up to 64 MiB that it has not answered
    backlog_messages_max: int = 20_000
    receive_bytes_per_s: int = 256 << 20  # from a peer, with TLS
    receive_messages_per_s: int = 50_000
    connections_max: int = 512  # that others opened
    handshakes_max: int = 64  # without a hello, in each of the four rooms of `arrivals`
    handshakes_per_host_max: int = 32  # of those
    begin_s: float = 2.0  # from a connection of others to their first message of TLS
    handshake_s: float = 5.0  # from the connection to the hello
    ping_s: float = 1.0
    silence_s: float = 5.0  # without a byte, after which a connection is given up
    retry_min_s: float = 0.1
    retry_max_s: float = 2.0
    steady_s: float = 1.0  # a connection that lasted so long was a good one: the next attempt comes soon
    close_s: float = 1.0  # for the last bytes when this node ends

    def __post_init__(self) -> None:
        """Refused("out_of_range") for bounds under which nothing could be sent."""
        if not 0 < self.batch_bytes <= self.frame_bytes_max - HEADS_BYTES < FRAMES_END:
            remedy = f"Choose 1 or more, and frame_bytes_max larger by {HEADS_BYTES} and below 4 GiB."
            raise Refused("out_of_range", "batch_bytes", self.batch_bytes, remedy)
        if not 0 < self.retry_min_s <= self.retry_max_s:
            raise Refused("out_of_range", "retry_min_s", self.retry_min_s, "Choose more than 0, up to retry_max_s.")
        if not (self.handshakes_max > 0 and self.handshakes_per_host_max > 0):
            raise Refused("out_of_range", "handshakes_max", self.handshakes_max, "Choose 1 or more, and per host.")
        if not self.ping_s < self.silence_s:
            raise Refused("out_of_range", "silence_s", self.silence_s, "Choose more than ping_s.")

    @property
    def message_bytes_max(self) -> int:
        """The largest message that can be sent."""
        return self.frame_bytes_max - BATCH_HEAD_BYTES - MESSAGE_HEAD_BYTES


@dataclass(slots=True)
class Counters:
    """What has happened since the start; they only rise."""

    turned_away: Counter[str] = field(default_factory=Counter)  # of those that connected to us, by reason
    broken: Counter[str] = field(default_factory=Counter)  # our own connections that failed or ended, by reason
    accepted: int = 0  # incoming connections whose hello was good
    dialled: int = 0  # outgoing connections whose hello was good
    sent_messages: int = 0
    sent_bytes: int = 0  # of messages
    received_messages: int = 0
    received_bytes: int = 0
    dropped_messages: int = 0  # of peers that were slow or away, or larger than a frame, or to nobody we know


class PeerState(NamedTuple):
    """How it stands with a peer."""

    address: bytes
    host: str
    port: int
    connected_ms: int | None  # since when what we send has a connection; None: it has none
    heard_ms: int | None  # since when the peer has a connection to us
    backlog_messages: int
    backlog_bytes: int
    dropped_messages: int
    sent_messages: int
    sent_bytes: int
    received_messages: int
    received_bytes: int
    round_trips_ms: tuple[float, ...]  # the last measured, newest last
    last_error: str  # the last reason why a connection to it or from it ended, and what was found
    last_error_ms: int | None

    @property
    def refuses(self) -> bool:
        """Whether it turned this node away when it was last tried."""
        return self.connected_ms is None and self.last_error.startswith("refused")


ACCEPTED_AT_ONCE: Final = 64  # connections in one turn of the event loop
ROUND_TRIPS: Final = 16  # kept for a peer


class _Peer:
    """What is kept of a peer."""

    __slots__ = (
        "address",
        "backlog",
        "backlog_bytes",
        "came_from",
        "connected_ms",
        "dropped",
        "error",
        "error_ms",
        "heard_ms",
        "incoming",
        "knocked",
        "outgoing",
        "ping",
        "pinged_at",
        "place",
        "reached_at",
        "ready",
        "received",
        "received_bytes",
        "round_trips",
        "sent",
        "sent_bytes",
        "task",
        "waits",
    )

    def __init__(self, address: bytes, place: Place) -> None:
        self.address = address
        self.place = place
        self.reached_at = self.came_from = ""  # the hosts of its last connections, whatever its place says
        self.backlog: deque[bytes] = deque()
        self.backlog_bytes = 0
        self.waits = False  # it is among those that the next flush looks at
        self.outgoing: Channel | None = None
        self.incoming: Channel | None = None
        self.ready = False  # the outgoing channel has had its hello answered
        self.connected_ms: int | None = None
        self.heard_ms: int | None = None
        self.dropped = self.sent = self.sent_bytes = self.received = self.received_bytes = 0
        self.round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self.ping = 0
        self.pinged_at: float | None = None
        self.error = ""
        self.error_ms: int | None = None
        self.knocked = asyncio.Event()  # it has just connected to us, so it can be connected to
        self.task: asyncio.Task[None] | None = None

    def state(self) -> PeerState:
        return PeerState(
            self.address,
            *self.place,
            self.connected_ms,
            self.heard_ms,
            len(self.backlog),
            self.backlog_bytes,
            self.dropped,
            self.sent,
            self.sent_bytes,
            self.received,
            self.received_bytes,
            tuple(self.round_trips),
            self.error,
            self.error_ms,
        )


class Transport:
    """Carries messages between `me` and its peers. All of it runs on the event loop that it was started on.

    `on_messages(sender, messages)` is called with what came together, in the order in which it was sent; it must not
    block. What it raises ends that connection and goes to the event loop's handler of exceptions.
    """

    def __init__(
        self,
        me: bytes,
        chain_id: bytes,
        contexts: Contexts,
        listen: Place | None,
        peers: Mapping[bytes, Place],
        on_messages: Callable[[bytes, Sequence[bytes]], None],
        bounds: Bounds | None = None,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        random: Random | None = None,
    ) -> None:
        """`listen` is where others reach this node; None: nobody can. Port 0: any that is free, see `port`.

        Raises Refused("tls_identity_invalid") when the TLS identity is not that of `me` on this chain.
        """
        self.counters = Counters()
        self._me = me
        self._chain_id = chain_id
        self._contexts = contexts
        self._check_own(contexts)
        self._listen = listen
        self._on_messages = on_messages
        self._bounds = bounds = bounds or Bounds()
        self._message_bytes_max = bounds.message_bytes_max  # looked at for every message
        self._backlog_bytes_max = bounds.backlog_bytes_max
        self._backlog_messages_max = bounds.backlog_messages_max
        self._clock_ms = clock_ms
        self._random = random or Random()
        self._hello = Hello(VERSION, chain_id, me)
        self._peers = {address: _Peer(address, place) for address, place in peers.items() if address != me}
        self._waiting: list[_Peer] = []  # peers that the next flush looks at
        self._channels: dict[Channel, _Peer | None] = {}  # every connection there is, and whose it is once known
        self._identities: dict[Channel, Identity] = {}
        self._arrivals: Arrivals[Channel] = Arrivals(bounds.handshakes_max, bounds.handshakes_per_host_max)
        self._listener: socket.socket | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self._care: asyncio.Task[None] | None = None
        self._retired: set[asyncio.Task[None]] = set()
        self._running = False

    def _check_own(self, contexts: Contexts) -> None:
        if (contexts.me.address, contexts.me.chain_id) != (self._me, self._chain_id):
            raise Refused("tls_identity_invalid", "TLS identity", contexts.me.address, "Give this node its own.")

    # What the node calls

    async def start(self) -> None:
        """Listens, and begins to connect to every peer. OSError when it cannot listen there."""
        self._loop = asyncio.get_running_loop()
        if self._listen is not None:
            family = socket.AF_INET6 if ":" in self._listen[0] else socket.AF_INET
            self._listener = socket.create_server(self._listen, family=family, backlog=self._bounds.connections_max)
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener.fileno(), self._accept)
        self._running = True
        self._care = asyncio.create_task(self._take_care())
        for peer in self._peers.values():
            peer.task = asyncio.create_task(self._keep(peer))

    @property
    def port(self) -> int:
        """Where it listens; 0: nowhere."""
        return int(self._listener.getsockname()[1]) if self._listener is not None else 0

    def send(self, to: bytes, message: bytes) -> None:
        """Sends a message as soon as this turn of the event loop ends, or drops it, or an older one: see the module."""
        peer = self._peers.get(to)
        size = len(message)
        if peer is None or not peer.ready or size > self._message_bytes_max:
            self.counters.dropped_messages += 1
            if peer is not None:
                peer.dropped += 1
                if size > self._message_bytes_max:
                    self._failed(peer, "oversized", f"a message of {size} bytes")
            return
        backlog = peer.backlog
        backlog.append(message)
        peer.backlog_bytes += size
        if peer.backlog_bytes > self._backlog_bytes_max or len(backlog) > self._backlog_messages_max:
            self._drop_oldest(peer)
        if not peer.waits:
            self._wake(peer)

    def flush(self) -> None:
        """Writes what was sent in this turn of the event loop now: for who is going to take a while in it."""
        self._flush()

    def update_peers(self, peers: Mapping[bytes, Place]) -> None:
        """These are the peers from now on: new ones are connected to, others are left, those that moved are found."""
        for address, peer in list(self._peers.items()):
            place = peers.get(address)
            if place == peer.place:
                continue
            if place is None:
                del self._peers[address]
                self._leave(peer)
                if peer.incoming is not None:
                    peer.incoming.end("stranger", "no peer any more", Farewell("stranger"))
            else:
                peer.place = place
                self._leave(peer)
                self._begin(peer)
        for address, place in peers.items():
            if address not in self._peers and address != self._me:
                peer = self._peers[address] = _Peer(address, place)
                self._begin(peer)

    def renew(self, contexts: Contexts) -> None:
        """Goes on with other contexts, such as a newer list of revocations or a renewed TLS identity.

        Connections of what is revoked end; the others stay. Raises Refused("revocations_old") for an older list.
        """
        self._check_own(contexts)
        if contexts.revocations.number < self._contexts.revocations.number:
            raise Refused("revocations_old", "list of revocations", contexts.revocations.number)
        self._contexts = contexts
        for channel in list(self._channels):
            self._check_again(channel)

    def peers(self) -> tuple[PeerState, ...]:
        """How it stands with every peer, in the order of addresses."""
        return tuple(self._peers[address].state() for address in sorted(self._peers))

    async def close(self) -> None:
        """Ends every connection and task, in a few times `close_s` at most. What waits to be sent is dropped."""
        if not self._running:
            return
        self._running = False
        if self._listener is not None:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        await self._over(self._arriving)
        tasks = [peer.task for peer in self._peers.values() if peer.task is not None]
        tasks += [*self._retired, *([self._care] if self._care is not None else [])]
        for task in tasks:
            task.cancel()
        await self._over(tasks)
        channels = list(self._channels)
        for channel in channels:
            channel.end("stopped", "", Farewell("stopped"))
        await self._over([channel.ended for channel in channels])
        for channel in channels:
            channel.abort()
        await self._over([channel.ended for channel in channels])
        for channel in list(self._channels):
            self._unmade(channel)

    async def _over(self, awaited: Collection[asyncio.Future[None]]) -> None:
        """Waits until all of these are over, but no longer than `close_s`."""
        if awaited:
            await asyncio.wait(awaited, timeout=self._bounds.close_s)

    # Sending

    def _wake(self, peer: _Peer) -> None:
        peer.waits = True
        self._waiting.append(peer)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._flush)

    def _drop_oldest(self, peer: _Peer) -> None:
        self._write(peer)  # the network may take more than the bound in one turn
        backlog, bytes_max, messages_max = peer.backlog, self._backlog_bytes_max, self._backlog_messages_max
        while len(backlog) > 1 and (peer.backlog_bytes > bytes_max or len(backlog) > messages_max):
            peer.backlog_bytes -= len(backlog.popleft())
            peer.dropped += 1
            self.counters.dropped_messages += 1

    def _forget(self, peer: _Peer) -> None:
        """Drops what waits for a peer whose connection is no more."""
        peer.dropped += len(peer.backlog)
        self.counters.dropped_messages += len(peer.backlog)
        peer.backlog.clear()
        peer.backlog_bytes = 0

    def _flush(self) -> None:
        """One write for each peer that something was sent to in this turn of the event loop."""
        waiting, self._waiting = self._waiting, []
        for peer in waiting:
            peer.waits = False
            self._write(peer)

    def _write(self, peer: _Peer) -> None:
        """Writes what waits, as much as the network is ready to take."""
        channel = peer.outgoing
        while channel is not None and peer.backlog and not channel.paused:
            channel.write(self._batch(peer))

    def _batch(self, peer: _Peer) -> bytes:
        """The oldest messages as one frame: as many as fit into a batch, at least one."""
        backlog, bound = peer.backlog, self._bounds.batch_bytes
        if len(backlog) <= MESSAGES_MAX and peer.backlog_bytes <= bound:
            messages, size = tuple(backlog), peer.backlog_bytes
            backlog.clear()
        else:
            taken = [backlog.popleft()]
            size = len(taken[0])
            while backlog and len(taken) < MESSAGES_MAX and size + len(backlog[0]) <= bound:
                size += len(backlog[0])
                taken.append(backlog.popleft())
            messages = tuple(taken)
        peer.backlog_bytes -= size
        peer.sent += len(messages)
        peer.sent_bytes += size
        self.counters.sent_messages += len(messages)
        self.counters.sent_bytes += size
        data = encode(Batch(messages))
        return len(data).to_bytes(LENGTH_BYTES, "big") + data

    # Connecting

    def _begin(self, peer: _Peer) -> None:
        if self._running:
            peer.task = asyncio.create_task(self._keep(peer))

    def _leave(self, peer: _Peer) -> None:
        """Stops connecting to a peer where it was."""
        if peer.task is not None:
            self._retired.add(peer.task)
            peer.task.add_done_callback(self._retired.discard)
            peer.task.cancel()
            peer.task = None
        if peer.outgoing is not None:
            peer.outgoing.end("replaced", "it is elsewhere now or no peer any more")

    async def _keep(self, peer: _Peer) -> None:
        """Connects to a peer, again and again, with pauses that grow while it fails and differ from node to node."""
        bounds, pause = self._bounds, self._bounds.retry_min_s
        while True:
            channel = self._channel(incoming=False)
            self._channels[channel] = peer
            try:
                async with asyncio.timeout(bounds.handshake_s):
                    await self._loop.create_connection(lambda channel=channel: channel, *peer.place)  # type: ignore[misc]
            except (OSError, TimeoutError, ValueError, OverflowError) as fault:  # or a host or port that cannot be
                self._unmade(channel)
                self.counters.broken["unreachable"] += 1
                self._failed(peer, "unreachable", str(fault) or "no answer in time")
            except asyncio.CancelledError:
                self._unmade(channel)
                raise
            else:
                try:
                    await asyncio.shield(channel.ended)
                except asyncio.CancelledError:
                    channel.end("replaced", "not wanted any more")
                    raise
            if channel.admitted_at is not None and self._loop.time() - channel.admitted_at >= bounds.steady_s:
                pause = bounds.retry_min_s
            peer.knocked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * self._random.uniform(0.5, 1.0)):
                    await peer.knocked.wait()
            pause = min(2 * pause, bounds.retry_max_s)

    def _unmade(self, channel: Channel) -> None:
        """A connection came to nothing."""
        if not channel.forsake():
            self._channels.pop(channel, None)

    def _accept(self) -> None:
        """Takes the connections that wait.

        It is done here and not by asyncio's server, which loses a connection that comes while it is being closed.
        """
        for _ in range(ACCEPTED_AT_ONCE):
            assert self._listener is not None
            try:
                plain, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # too many files are open: not again at once
                self._loop.remove_reader(self._listener.fileno())
                self._loop.call_later(self._bounds.retry_min_s, self._accept_again)
                return
            arriving = asyncio.create_task(self._arrive(plain))
            self._arriving.add(arriving)
            arriving.add_done_callback(self._arriving.discard)

    def _accept_again(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    async def _arrive(self, plain: socket.socket) -> None:
        channel = self._channel(incoming=True)
        self._channels[channel] = None
        try:
            await self._loop.connect_accepted_socket(lambda: channel, plain)
        except OSError:  # it is gone already
            plain.close()
            self._unmade(channel)

    def _channel(self, *, incoming: bool) -> Channel:
        bounds = self._bounds
        return Channel(
            self,
            self._contexts.server if incoming else self._contexts.client,
            incoming=incoming,
            begin_s=bounds.begin_s,
            handshake_s=bounds.handshake_s,
            frame_bytes_max=bounds.frame_bytes_max,
            bytes_per_s=bounds.receive_bytes_per_s,
            messages_per_s=bounds.receive_messages_per_s,
        )

    # What channels tell

    def came(self, channel: Channel) -> None:
        """A connection was made; an incoming one needs room, and another may have to go for it."""
        if not channel.incoming:
            return
        incoming = sum(each.incoming for each in self._channels)
        if not self._running or incoming > self._bounds.connections_max:
            raise TurnedAway("busy", channel.host)
        known = any(channel.host in (peer.place[0], peer.reached_at, peer.came_from) for peer in self._peers.values())
        self._make_room(self._arrivals.come(channel, channel.host, known=known))

    def begun(self, channel: Channel) -> None:
        """Somebody who came has begun the handshake."""
        self._make_room(self._arrivals.begin(channel))

    def _make_room(self, longest: Channel | None) -> None:
        if longest is not None:
            longest.end("busy", longest.host)

    def secured(self, channel: Channel, der: bytes) -> None:
        """The handshake has ended: the identity must be one that may be here. Then we say hello."""
        try:
            identity = identity_of(der)
        except Refused as refused:
            raise TurnedAway("stranger", refused.value) from None
        self._identities[channel] = identity
        self._check(channel, identity)
        expected = self._channels.get(channel)
        if expected is not None and expected.address != identity.address:
            raise TurnedAway("impostor", identity.address.hex())
        if not channel.incoming:
            channel.say(self._hello)

    def _check(self, channel: Channel, identity: Identity) -> None:
        """Whether an identity may be here now; also looked at again later."""
        now = self._clock_ms()
        if identity.serial in self._contexts.revocations.serials:
            self._turn_away(channel, "revoked", identity)
        if not identity.begins_ms <= now < identity.ends_ms:
            self._turn_away(channel, "expired", identity)
        if identity.chain_id != self._chain_id:
            self._turn_away(channel, "chain", identity)
        if identity.address not in self._peers:
            self._turn_away(channel, "stranger", identity)

    def _turn_away(self, channel: Channel, reason: str, identity: Identity) -> None:
        channel.end(reason, identity.address.hex(), Farewell(reason))
        raise TurnedAway(reason)

    def _check_again(self, channel: Channel) -> None:
        identity = self._identities.get(channel)
        if identity is not None:
            with suppress(TurnedAway):
                self._check(channel, identity)

    def heard(self, channel: Channel, said: Said) -> None:
        """A frame arrived."""
        peer = self._channels.get(channel)
        if type(said) is Batch and peer is not None and peer.incoming is channel:
            messages = said.messages
            size = sum(map(len, messages))
            peer.received += len(messages)
            peer.received_bytes += size
            self.counters.received_messages += len(messages)
            self.counters.received_bytes += size
            self._on_messages(peer.address, messages)
        elif type(said) is Ping and peer is not None and peer.incoming is channel:
            if not channel.paused:
                channel.say(Pong(said.number))
        elif type(said) is Pong and peer is not None and peer.outgoing is channel:
            if peer.pinged_at is not None and said.number == peer.ping:
                peer.round_trips.append((self._loop.time() - peer.pinged_at) * 1_000)
                peer.pinged_at = None
        elif type(said) is Hello:
            self._greeted(channel, said)
        elif type(said) is Farewell and not channel.incoming:
            channel.end("refused", f"turned away: {said.reason}")
        else:
            raise TurnedAway("garbage", type(said).__name__.lower())

    def _greeted(self, channel: Channel, hello: Hello) -> None:
        """The other end said who it is: the identity must say the same."""
        identity = self._identities[channel]
        peer = self._peers.get(identity.address)
        if hello.version != VERSION:
            self._turn_away(channel, "version", identity)
        if hello.chain_id != self._chain_id:
            self._turn_away(channel, "chain", identity)
        if hello.address != identity.address:
            self._turn_away(channel, "impostor", identity)
        if peer is None:
            self._turn_away(channel, "stranger", identity)
            return
        if channel in (peer.incoming, peer.outgoing):
            raise TurnedAway("garbage", "a second hello")
        channel.admit()
        if channel.incoming:
            self._arrivals.leave(channel)
            older, peer.incoming = peer.incoming, channel
            peer.came_from = channel.host
            if older is not None:
                older.end("replaced", "by a newer connection")
            self._channels[channel] = peer
            peer.heard_ms = self._clock_ms()
            self.counters.accepted += 1
            peer.knocked.set()
            channel.say(self._hello)
        else:
            peer.outgoing, peer.ready = channel, True
            peer.reached_at = channel.host
            peer.connected_ms = self._clock_ms()
            self.counters.dialled += 1
            self._ping(peer, channel)

    def writable(self, channel: Channel) -> None:
        """The network takes more again."""
        peer = self._channels.get(channel)
        if peer is not None and peer.outgoing is channel and not peer.waits:
            self._wake(peer)

    def gone(self, channel: Channel) -> None:
        """A connection is no more."""
        peer = self._channels.pop(channel, None)
        identity = self._identities.pop(channel, None)
        if channel.incoming:
            self._arrivals.leave(channel)
            if peer is None:
                peer = self._peers.get(identity.address) if identity is not None else None
            if peer is not None and peer.incoming is channel:
                peer.incoming, peer.heard_ms = None, None
            self.counters.turned_away[channel.reason] += 1
        else:
            if peer is not None and peer.outgoing is channel:
                peer.outgoing, peer.ready, peer.connected_ms, peer.pinged_at = None, False, None, None
                self._forget(peer)
            self.counters.broken[channel.reason] += 1
        if peer is not None and channel.reason not in ("replaced", "stopped"):
            self._failed(peer, channel.reason, channel.found)

    def _failed(self, peer: _Peer, reason: str, found: str) -> None:
        peer.error, peer.error_ms = f"{reason}: {found}" if found else reason, self._clock_ms()

    # Taking care

    async def _take_care(self) -> None:
        """From time to time: measures round trips, and ends what is silent or has run out."""
        while True:
            await asyncio.sleep(self._bounds.ping_s * self._random.uniform(0.8, 1.2))
            now = self._loop.time()
            for channel, peer in list(self._channels.items()):
                if peer is None or channel not in (peer.incoming, peer.outgoing):
                    continue
                if now - channel.heard_at > self._bounds.silence_s:
                    channel.end("silent", f"for {now - channel.heard_at:.1f} s")
                    channel.abort()
                    continue
                self._check_again(channel)
                if channel is peer.outgoing:
                    self._ping(peer, channel)

    def _ping(self, peer: _Peer, channel: Channel) -> None:
        """Measures the round trip, unless the last ping is still on its way or the network takes nothing."""
        if not channel.paused and peer.pinged_at is None and peer.ready:
            peer.ping += 1
            peer.pinged_at = self._loop.time()
            channel.say(Ping(peer.ping))
