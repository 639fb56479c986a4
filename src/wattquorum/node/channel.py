"""A channel: one TLS connection between two nodes, from its handshake to its last byte.

TLS runs in memory over a plain asyncio connection, so that every fault of a handshake is seen and counted by its
reason, the rules of the next connection can be replaced at any time, and the sizes of all buffers are known. A channel
knows frames and nothing of peers: who the other end is, and what to do with what it says, is its owner's business. The
bytes that come are bounded in rate by pausing the socket, never by dropping.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Final, Protocol, cast

from wattquorum.foundation.refusals import Refused
from wattquorum.node.frames import Batch, Framing, Said, decode_frame, frame_of

HELLO_BYTES_MAX: Final = 1_024  # of a frame from somebody who has not said who it is
RECORD_BYTES: Final = 1 << 16  # read from TLS at once; one of its records has 16 KiB at most
WAITING_BYTES: Final = 1 << 18  # written and not yet taken by the network: above, no more is written
LINGER_S: Final = 1.0  # for what was written last, such as a farewell
KEEPALIVE_S: Final = 15

# Of OpenSSL's X509_V_ERR_...: what the other end's identity was refused for.
EXPIRED: Final = (9, 10)
REVOKED: Final = (23,)
ALERTS: Final = {  # what the other end says of this node's TLS identity
    "CERTIFICATE_REVOKED": "this node's TLS identity was revoked",
    "CERTIFICATE_EXPIRED": "this node's TLS identity has run out",
    "UNKNOWN_CA": "this node's TLS identity is another community's",
}


class TurnedAway(Exception):
    """The other end must go: the reason it is counted by, and what was found."""

    def __init__(self, reason: str, found: str = "") -> None:
        self.reason = reason
        self.found = found
        super().__init__(reason, found)


class Owner(Protocol):
    """Whom a channel tells what happens. What it raises as TurnedAway ends the channel."""

    def came(self, channel: Channel) -> None:
        """A connection was made; nothing is known of the other end."""

    def begun(self, channel: Channel) -> None:
        """The other end, which made the connection, has begun the handshake, and was answered."""

    def secured(self, channel: Channel, der: bytes) -> None:
        """The handshake has ended; the other end's identity is certified."""

    def heard(self, channel: Channel, said: Said) -> None:
        """A frame arrived."""

    def writable(self, channel: Channel) -> None:
        """The network takes more again."""

    def gone(self, channel: Channel) -> None:
        """The connection is no more; its `reason` and `found` say why."""


class Bucket:
    """A rate: what may be spent in a second, and as much at once after a pause."""

    __slots__ = ("_at", "_level", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = rate
        self._at = now

    def spend(self, amount: int, now: float) -> float:
        """Spends, in any case, and says how long to wait before spending more [s]; 0: not at all."""
        self._level = min(self._rate, self._level + (now - self._at) * self._rate) - amount
        self._at = now
        return 0.0 if self._level >= 0 else -self._level / self._rate


class Channel(asyncio.Protocol):
    """One connection. Its owner drives it and is told; it ends by itself when a handshake takes too long."""

    __slots__ = (
        "_begun",
        "_bytes",
        "_cipher",
        "_ended",
        "_frame_bytes_max",
        "_framing",
        "_handshake_s",
        "_loop",
        "_lost",
        "_made_at",
        "_messages",
        "_owner",
        "_plain",
        "_resume",
        "_secured",
        "_timer",
        "_tls",
        "_transport",
        "admitted_at",
        "ended",
        "found",
        "heard_at",
        "host",
        "incoming",
        "paused",
        "reason",
        "received_bytes",
        "sent_bytes",
    )

    def __init__(
        self,
        owner: Owner,
        context: ssl.SSLContext,
        *,
        incoming: bool,
        begin_s: float,
        handshake_s: float,
        frame_bytes_max: int,
        bytes_per_s: int,
        messages_per_s: int,
    ) -> None:
        """Who made the connection has to begin the handshake within `begin_s`; within `handshake_s` the owner has to
        say `admit`. The rates bound what comes in.
        """
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._plain, self._cipher = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._plain, self._cipher, server_side=incoming)
        self._framing = Framing(HELLO_BYTES_MAX)
        self._frame_bytes_max = frame_bytes_max
        now = self._loop.time()
        self._bytes, self._messages = Bucket(bytes_per_s, now), Bucket(messages_per_s, now)
        self._secured = False
        self._begun = not incoming
        self._handshake_s = handshake_s
        self._transport: asyncio.Transport | None = None
        patience_s = min(begin_s, handshake_s) if incoming else handshake_s
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(patience_s, self._late)
        self._resume: asyncio.TimerHandle | None = None
        self.incoming = incoming
        self.host = ""
        self.paused = False  # the network takes no more for now
        self.heard_at = self._made_at = now
        self.admitted_at: float | None = None
        self.sent_bytes = self.received_bytes = 0  # on the network, with TLS
        self.reason = self.found = ""
        self._ended = self._lost = False
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there; the handshake begins."""
        transport = self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        if self._ended:  # it took too long to come
            transport.abort()
        self.host = str((transport.get_extra_info("peername") or ("",))[0])
        transport.set_write_buffer_limits(high=WAITING_BYTES)
        if (plain := transport.get_extra_info("socket")) is not None:
            keep_alive(plain)
        try:
            self._owner.came(self)
            if not self._ended:
                self._shake_hands()
        except TurnedAway as away:
            self.end(away.reason, away.found)

    def data_received(self, data: bytes) -> None:
        """Bytes from the network: through TLS, into frames, to the owner."""
        if self._ended:
            return
        self.received_bytes += len(data)
        now = self.heard_at = self._loop.time()
        self._plain.write(data)
        wait = self._bytes.spend(len(data), now)
        try:
            if self._secured or self._shake_hands():
                wait = max(wait, self._read(now))
        except TurnedAway as away:
            self.end(away.reason, away.found)
            return
        if wait and not self._ended:
            self._pause(wait)

    def _shake_hands(self) -> bool:
        """Goes on with the handshake as far as possible; whether it has ended."""
        try:
            self._tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._flush()
            if self.sent_bytes and not self._begun:
                self._begin()
            return False
        except ssl.SSLError as fault:
            self._flush()  # the alert
            raise TurnedAway(*_fault_of(fault)) from None
        self._flush()
        self._secured = True
        der = self._tls.getpeercert(binary_form=True)
        if der is None:
            raise TurnedAway("stranger", "no identity")
        self._owner.secured(self, der)
        return not self._ended

    def _begin(self) -> None:
        """The other end has said enough to be answered: it has the rest of the time."""
        self._begun = True
        self._stop_timer()
        self._timer = self._loop.call_at(self._made_at + self._handshake_s, self._late)
        self._owner.begun(self)

    def _read(self, now: float) -> float:
        """What TLS has for us, frame by frame; how long to wait before reading more [s]."""
        wait = 0.0
        while not self._ended:
            try:
                data = self._tls.read(RECORD_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as fault:
                raise TurnedAway(*_fault_of(fault)) from None
            if not data:
                self.end("lost", "the other end closed it")
                break
            try:
                for frame in self._framing.cut(data):
                    said = decode_frame(frame)
                    if isinstance(said, Batch):
                        wait = max(wait, self._messages.spend(len(said.messages), now))
                    self._owner.heard(self, said)
                    if self._is_over():
                        return 0.0
            except Refused as refused:
                reason = "oversized" if refused.code == "frame_oversized" else "garbage"
                raise TurnedAway(reason, f"{refused.code}: {refused.value}") from None
        if self._cipher.pending:
            self._flush()  # what TLS itself has to answer
        return wait

    def _pause(self, wait: float) -> None:
        """Reads no more for a while: the other end is too fast, and TCP tells it so."""
        if self._resume is None and self._transport is not None:
            self._transport.pause_reading()
            self._resume = self._loop.call_later(wait, self._go_on)

    def _go_on(self) -> None:
        self._resume = None
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def _is_over(self) -> bool:
        """Asked anew where somebody else may have ended it."""
        return self._ended

    def admit(self) -> None:
        """The other end is known: its frames may be large, and it has time."""
        self.admitted_at = self._loop.time()
        self._framing.bytes_max = self._frame_bytes_max
        self._stop_timer()

    def write(self, data: bytes) -> None:
        """Writes frames; looking at `paused` first is the owner's business."""
        if not self._ended and data:
            self._tls.write(data)
            self._flush()

    def say(self, said: Said) -> None:
        """Writes one record as a frame."""
        self.write(frame_of(said))

    def _flush(self) -> None:
        data = self._cipher.read()
        if data and self._transport is not None:
            self.sent_bytes += len(data)
            self._transport.write(data)

    def end(self, reason: str, found: str = "", last: Said | None = None) -> None:
        """Ends the connection once what was written has left, or soon; the first reason stays."""
        if self._ended:
            return
        if last is not None and self._secured and not self.paused:
            with suppress(ssl.SSLError):
                self.say(last)
        self._ended = True
        self.reason, self.found = reason, found
        self._stop_timer()
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        if self._transport is None:
            return
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._timer = self._loop.call_later(LINGER_S, self.abort)

    def abort(self) -> None:
        """Ends the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _late(self) -> None:
        self.end("slow", "the handshake took too long" if self._begun else "no handshake was begun")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """The network takes no more for now."""
        self.paused = True

    def resume_writing(self) -> None:
        """The network takes more again: the other end is alive."""
        self.paused = False
        self.heard_at = self._loop.time()
        if not self._ended:
            self._owner.writable(self)

    def eof_received(self) -> None:
        """The other end writes no more: so nobody is there."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more. Only the first time counts: see `forsake`."""
        if self._lost:
            return
        self._lost = True
        if not self._ended:
            self._ended = True
            self.reason, self.found = "lost", str(exc) if exc else "the other end closed it"
        self._stop_timer()
        if self._resume is not None:
            self._resume.cancel()
        self._owner.gone(self)
        if not self.ended.done():
            self.ended.set_result(None)

    def forsake(self) -> bool:
        """Ends it now, without waiting to be told so; whether its connection was ever made.

        This is for a connection whose making failed or was given up. When that happens just after it was made, asyncio
        still tells of its end, and uvloop does not.
        """
        self.end("replaced", "not wanted any more")
        if self._transport is None:
            return False
        self.abort()
        self.connection_lost(None)
        return True


def _fault_of(fault: ssl.SSLError) -> tuple[str, str]:
    """The reason and what was found of a fault of TLS."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        found = fault.verify_message or "not certified"
        if fault.verify_code in EXPIRED:
            return "expired", found
        if fault.verify_code in REVOKED:
            return "revoked", found
        return "stranger", found
    if fault.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "stranger", "no identity"
    if "ALERT" in (fault.reason or ""):
        return "refused", ALERTS.get(fault.reason.rpartition("ALERT_")[2], f"the other end says {fault.reason}")
    return "handshake", fault.reason or str(fault)


def keep_alive(plain: socket.socket) -> None:
    """Small frames leave at once, and a silent connection is found dead by the network itself."""
    with suppress(OSError):
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
