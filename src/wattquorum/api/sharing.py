"""Sharing: what of a node's attention one client may have at once, so that some is left for others and for its peers.

A stream holds blocks for its reader for as long as that one likes. So there is a bound on how many there are, and one
host has no more than its part. A long answer is put together in one go, in the loop that also hears the peers: however
many ask for such at once, one is made in a turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from litestar.types import ASGIApp, Receive, Scope, Send

from wattquorum.api.connections import HOST_PART, host_of
from wattquorum.foundation.refusals import Refused

STREAMS_MAX: Final = 64


class Streams:
    """The streams and pages of blocks that are under way."""

    def __init__(self, most: int = STREAMS_MAX) -> None:
        self.most, self.host_max = most, max(1, most // HOST_PART)
        self._of_host: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._of_host.total()

    def enter(self, host: str) -> None:
        """Counts one; Refused("pool_full" or "pending_too_many") where there are too many."""
        if len(self) >= self.most:
            raise Refused("pool_full", "streams", len(self), "Read from another node, or ask again later.")
        if self._of_host[host] >= self.host_max:
            remedy = "Read from another node, or end one of them."
            raise Refused("pending_too_many", "streams", f"{self.host_max} of {host}", remedy)
        self._of_host[host] += 1

    def leave(self, host: str) -> None:
        """One of them has ended."""
        self._of_host[host] -= 1
        if not self._of_host[host]:
            del self._of_host[host]


def in_streams(app: ASGIApp) -> ASGIApp:
    """A handler whose requests are counted from their first moment to their last, whether or not they are answered."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        streams: Streams = scope["litestar_app"].state.streams
        host = host_of((scope.get("client") or ("", 0))[0])
        streams.enter(host)
        try:
            await app(scope, receive, send)
        finally:
            streams.leave(host)

    return counted


class Turns:
    """Turns of the loop, handed out in the order in which they were asked for."""

    def __init__(self) -> None:
        self._next = asyncio.Lock()

    async def mine(self) -> None:
        """Returns in a turn of the loop in which nobody else's wait for one ends."""
        async with self._next:
            await asyncio.sleep(0)
