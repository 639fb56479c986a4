"""Connections of clients: how many there are at once, in all and from one host, and for how long one may say nothing.

Each takes a file descriptor of the process whose log and chain need some too. So there are fewer than the process may
have open, one host has no more than its part, and a connection that sends no request, or does not take its answer, is
ended. Those that are too many are closed at once: whoever is honest asks again, or another node. An answer stands in
memory until it is taken: where all of them take too much, the largest goes, of the host that leaves most.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.h11_impl import H11Protocol

from wattquorum.node.transport import Place

OPEN_FILES_MAX: Final = 65_536
RESERVED_FILES: Final = 512  # for the log, the chain, peers and what is read for clients
CONNECTIONS_MAX: Final = 8_192
HOST_PART: Final = 4  # one host has at most this part of all
IDLE_S: Final = 10.0  # without a request that is whole, or is being answered
UNTAKEN_S: Final = 30.0  # without a byte of an answer being taken
UNTAKEN_BYTES_MAX: Final = 256 * 1024 * 1024  # of answers, in all
LOOK_S: Final = 1.0
ACCEPTED_AT_ONCE: Final = 64
ACCEPT_AGAIN_S: Final = 0.1


def raise_open_files() -> int:
    """Lets the process have as many files open as it may; tells how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS says that there is no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return open_files()


def open_files() -> int:
    """How many files the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES_MAX if soft == resource.RLIM_INFINITY else soft


class Bounds(NamedTuple):
    """How many connections there may be, and for how long one may be quiet."""

    connections_max: int
    host_max: int
    idle_s: float = IDLE_S
    untaken_s: float = UNTAKEN_S
    untaken_bytes_max: int = UNTAKEN_BYTES_MAX


def bounds_of(files: int) -> Bounds:
    """Bounds of a process that may have so many files open: what it needs for itself is left to it."""
    most = min(CONNECTIONS_MAX, max(files // 4, files - RESERVED_FILES))
    return Bounds(most, max(1, most // HOST_PART))


def host_of(name: str) -> str:
    """Whom an address is counted to: itself, and for IPv6 its network of 64 bits, which is one host's to choose in."""
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return name
    if isinstance(address, IPv6Address):
        plain = address.ipv4_mapped
        return str(plain) if plain is not None else str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


class Connections:
    """The connections of an interface. `listen`, and `close` to take no more; `turned_away` counts by reason."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds if bounds is not None else bounds_of(open_files())
        self.turned_away: Counter[str] = Counter()
        self._of_host: Counter[str] = Counter()
        self._open: dict[Connection, str] = {}  # with its host
        self._entering: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []
        self._care: asyncio.Task[None] | None = None
        self._make: Callable[[], Connection] | None = None
        self._tls: ssl.SSLContext | None = None

    def __len__(self) -> int:
        """How many there are, those included whose TLS handshake is under way."""
        return self._of_host.total()

    async def listen(self, place: Place, tls: ssl.SSLContext | None, make: Callable[[], Connection]) -> None:
        """Takes connections at a host and port; OSError where it cannot."""
        self._make, self._tls = make, tls
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place[0], place[1], type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
                listener = socket.create_server(address[:2], family=family, backlog=self.bounds.connections_max)
                self._listeners.append(listener)
                listener.setblocking(False)
                loop.add_reader(listener.fileno(), self._accept, listener)
        except OSError:
            self.close()
            raise
        self._care = loop.create_task(self._end_quiet_ones())

    def close(self) -> None:
        """Takes no more."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()
        for task in (*self._entering, *([self._care] if self._care else [])):
            task.cancel()
        self._care = None

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                plain, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # too many files are open: not again at once
                self.turned_away["files"] += 1
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener.fileno())
                loop.call_later(ACCEPT_AGAIN_S, self._accept_again, listener)
                return
            host = host_of(str(address[0]))
            too_many = self._too_many(host)
            if too_many:
                self.turned_away[too_many] += 1
                plain.close()
                continue
            self._of_host[host] += 1
            entering = asyncio.get_running_loop().create_task(self._enter(plain, host))
            self._entering.add(entering)
            entering.add_done_callback(self._entering.discard)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)

    def _too_many(self, host: str) -> str:
        if len(self) >= self.bounds.connections_max:
            return "full"
        return "host" if self._of_host[host] >= self.bounds.host_max else ""

    async def _enter(self, plain: socket.socket, host: str) -> None:
        assert self._make is not None
        connection = self._make()
        self._open[connection] = host
        connection.left = lambda: self._leave(connection, host)
        tls: dict[str, Any] = {"ssl": self._tls, "ssl_handshake_timeout": self.bounds.idle_s} if self._tls else {}
        try:
            plain.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, plain, **tls)
        except OSError:  # it is gone already, or speaks no TLS, or not in time
            self.turned_away["handshake"] += 1
            plain.close()
            self._leave(connection, host)
        except BaseException:
            plain.close()
            self._leave(connection, host)
            raise

    def _leave(self, connection: Connection, host: str) -> None:
        if connection in self._open:
            del self._open[connection]
            self._of_host[host] -= 1
            if not self._of_host[host]:
                del self._of_host[host]

    async def _end_quiet_ones(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(LOOK_S, self.bounds.idle_s / 2))
            for connection in list(self._open):
                why = connection.overdue(loop.time(), self.bounds)
                if why:
                    self.turned_away[why] += 1
                    connection.transport.abort()
            self._end_large_ones()

    def _end_large_ones(self) -> None:
        left: dict[str, list[tuple[int, Connection]]] = {}
        for connection, host in self._open.items():
            if size := connection.untaken_bytes():
                left.setdefault(host, []).append((size, connection))
        sizes = Counter({host: sum(size for size, _ in each) for host, each in left.items()})
        for each in left.values():
            each.sort(key=lambda one: one[0])
        while sizes.total() > self.bounds.untaken_bytes_max:
            host = max(sizes, key=sizes.__getitem__)
            size, connection = left[host].pop()
            sizes[host] -= size
            self.turned_away["untaken_bytes"] += 1
            connection.transport.abort()


class Connection(H11Protocol):
    """One of them, and since when nothing has been done on it."""

    left: Callable[[], None]
    _made = False  # once TLS is spoken on it, if it is
    _quiet_since: float | None = None
    _untaken = 0  # bytes of answers that the client has yet to take

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Requests may come from now on."""
        super().connection_made(transport)
        self._made = True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is counted no more."""
        super().connection_lost(exc)
        self.left()

    def untaken_bytes(self) -> int:
        """How much of its answers the client has yet to take."""
        return self.transport.get_write_buffer_size() if self._made and not self.transport.is_closing() else 0

    def overdue(self, now: float, bounds: Bounds) -> str:
        """Why it is to be ended, if it is.

        While a request is answered the node is at work; while bytes are taken, the client is.
        """
        if not self._made or self.transport.is_closing():
            return ""
        before, self._untaken = self._untaken, self.untaken_bytes()
        answering = not getattr(self.cycle, "response_complete", True)  # there is none before the first request
        if self._quiet_since is None or (self._untaken != before if self._untaken else answering):
            self._quiet_since = now
        if now - self._quiet_since < (bounds.untaken_s if self._untaken else bounds.idle_s):
            return ""
        return "untaken" if self._untaken else "idle"
