"""Relays on loopback: one for each way between two nodes, which can be cut, held up or slowed down.

A way that is cut breaks its connections off and lets no new one in. One that is held keeps its connections and passes
nothing on until it is let go of, as a network does whose packets get lost for a while. One that is slow passes every
piece on late. Ways are pairs of slots, from the one that connects; since nodes speak on connections of their own, a
pair is one direction.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from wattquorum.node.transport import Place

Way = tuple[int, int]

PIECE_BYTES: Final = 1 << 16


class Network(Protocol):
    """What lies between the nodes."""

    def start(self) -> None:
        """Lets everything through from now on."""

    def route(self, one: int, other: int) -> Place:
        """Where a node finds another."""

    def command(self, slot: int) -> list[str]:
        """What the command of a slot's process begins with."""

    def set(self, cut: Collection[Way], held: Collection[Way], slow: Mapping[Way, float]) -> None:
        """From now on these ways are cut, these are held, these are slow by so many seconds, and no others."""

    def stop(self) -> None:
        """Ends everything that was made."""


class Relays:
    """Relays in a thread of their own."""

    def __init__(self, places: Sequence[Place]) -> None:
        """For nodes that listen at these places."""
        self._places = places
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._routes: dict[Way, Place] = {}
        self._servers: list[asyncio.Server] = []
        self._open: dict[Way, list[asyncio.StreamWriter]] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._cut: frozenset[Way] = frozenset()
        self._slow: dict[Way, float] = {}
        self._flows: dict[Way, asyncio.Event] = {}  # set, unless the way is held

    def start(self) -> None:
        """Opens all of them."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> None:
        count = len(self._places)
        for way in [(one, other) for one in range(count) for other in range(count) if one != other]:
            self._flows[way] = asyncio.Event()
            self._flows[way].set()

            def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way = way) -> None:
                task = self._loop.create_task(self._relay(way, reader, writer))
                self._tasks[task] = None
                task.add_done_callback(self._tasks.pop)

            server = await asyncio.start_server(came, "127.0.0.1", 0)
            self._servers.append(server)
            self._routes[way] = server.sockets[0].getsockname()[:2]

    def route(self, one: int, other: int) -> Place:
        """Where a node finds another."""
        return self._places[one] if one == other else self._routes[one, other]

    def command(self, slot: int) -> list[str]:  # noqa: ARG002 - processes share this machine's network
        """Nothing."""
        return []

    async def _relay(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = [writer]
        try:
            if way in self._cut:
                return
            inner, out = await asyncio.open_connection(*self._places[way[1]])
            mine.append(out)
            self._open.setdefault(way, []).extend(mine)
            if way in self._cut:
                return
            await asyncio.gather(self._pass(way, reader, out), self._pass(None, inner, writer))
        except OSError:
            return
        finally:
            for each in mine:
                each.transport.abort()
                with suppress(ValueError, KeyError):
                    self._open[way].remove(each)
            for each in mine:
                with suppress(OSError):
                    await each.wait_closed()

    async def _pass(self, way: Way | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes on what comes, and the end. What is answered on a connection goes the same way undisturbed."""
        try:
            while data := await reader.read(PIECE_BYTES):
                if way is not None:
                    if way in self._slow:
                        await asyncio.sleep(self._slow[way])
                    await self._flows[way].wait()
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, RuntimeError):
            writer.transport.abort()

    def set(self, cut: Collection[Way], held: Collection[Way], slow: Mapping[Way, float]) -> None:
        """From now on these ways are cut, held and slow, and no others."""
        self._loop.call_soon_threadsafe(self._set, frozenset(cut), frozenset(held), dict(slow))

    def _set(self, cut: frozenset[Way], held: frozenset[Way], slow: dict[Way, float]) -> None:
        for way in cut - self._cut:
            for writer in self._open.pop(way, []):
                writer.transport.abort()
        self._cut, self._slow = cut, slow
        for way, flow in self._flows.items():
            if way in held:
                flow.clear()
            else:
                flow.set()

    def stop(self) -> None:
        """Closes every connection and every relay, and ends the thread."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(20)
        self._loop.close()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
