"""Uploads: the bodies of requests that are under way, how much memory they take, and how slow one may be.

A body stands in memory until its request is answered. So all of them together are bounded, and those of one host; and
one that comes slower than it has to, or not at all, is ended. The first bytes of each are not counted: single
transactions are taken also while others send all that may be under way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final, NamedTuple

from litestar.exceptions import ClientException
from litestar.types import ASGIApp, Receive, Scope, Send

from wattquorum.api.connections import host_of
from wattquorum.foundation.refusals import Refused

FREE_BYTES: Final = 16 * 1024
BYTES_MAX: Final = 192 * 1024 * 1024
HOST_BYTES_MAX: Final = 96 * 1024 * 1024
QUIET_S: Final = 10.0  # between two pieces of a body
RATE_MIN: Final = 64 * 1024  # bytes in a second, once QUIET_S are over
TOO_SLOW: Final = 408


class UploadBounds(NamedTuple):
    """How many bytes may be under way in all and from one host, and how slowly they may come."""

    bytes_max: int = BYTES_MAX
    host_bytes_max: int = HOST_BYTES_MAX
    quiet_s: float = QUIET_S
    rate_min: int = RATE_MIN


class Uploads:
    """The bodies under way at an interface; `turned_away` counts those that were ended, by reason."""

    def __init__(self, turned_away: Counter[str], bounds: UploadBounds = UploadBounds()) -> None:  # noqa: B008  # fixed
        self.bounds = bounds
        self.turned_away = turned_away
        self._of_host: Counter[str] = Counter()

    @property
    def bytes(self) -> int:
        """How many are counted now."""
        return self._of_host.total()

    def around(self, app: ASGIApp) -> ASGIApp:
        """An application whose requests are counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            upload = _Upload(self, host_of((scope.get("client") or ("", 0))[0]), receive)
            try:
                await app(scope, upload.receive, send)
            finally:
                self.take(upload.host, -upload.counted)

        return counted

    def take(self, host: str, size: int) -> None:
        """Counts bytes of a host; Refused("pending_too_many" or "pool_full") where they are too many."""
        if size > 0 and self._of_host[host] + size > self.bounds.host_bytes_max:
            self.turned_away["host_uploads"] += 1
            said = f"{self._of_host[host]} bytes are under way"
            raise Refused("pending_too_many", "host", said, "Wait until they are answered, or send less at once.")
        if size > 0 and self.bytes + size > self.bounds.bytes_max:
            self.turned_away["uploads"] += 1
            raise Refused("pool_full", "uploads", f"{self.bytes} bytes are under way")
        self._of_host[host] += size
        if not self._of_host[host]:
            del self._of_host[host]


class _Upload:
    """The body of one request."""

    __slots__ = ("_began_s", "_receive", "_size", "_uploads", "_whole", "counted", "host")

    def __init__(self, uploads: Uploads, host: str, receive: Receive) -> None:
        self.host = host
        self.counted = 0
        self._uploads, self._receive = uploads, receive
        self._began_s: float | None = None
        self._size = 0
        self._whole = False

    async def receive(self) -> Any:
        """The next piece of it; 408 where that does not come in time."""
        if self._whole:
            return await self._receive()
        bounds, now = self._uploads.bounds, asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now
        until = min(now, self._began_s + self._size / bounds.rate_min) + bounds.quiet_s
        try:
            async with asyncio.timeout_at(until):
                message = await self._receive()
        except TimeoutError:
            self._uploads.turned_away["slow"] += 1
            self._whole = True  # nothing more of it is waited for
            said = f"{self._size} bytes of the body came in {now - self._began_s + bounds.quiet_s:.0f} s"
            raise ClientException(said, status_code=TOO_SLOW) from None
        if message["type"] == "http.request":
            self._size += len(message["body"])
            more = max(0, self._size - FREE_BYTES) - self.counted
            self._uploads.take(self.host, more)
            self.counted += more
            self._whole = not message["more_body"]
        return message
