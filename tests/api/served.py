"""A community whose nodes answer on real sockets, in a loop and a thread of their own."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.loops import apart
from tests.node.live import Village
from tests.ports import LOOPBACK, free_ports
from wattquorum.api.interface import Interface

T = TypeVar("T")


class Served:
    """A village that runs, and the addresses of its interfaces."""

    def __init__(self, village: Village, loop: asyncio.AbstractEventLoop) -> None:
        self.village = village
        first = free_ports(village.count)
        self.ports = list(range(first, first + village.count))
        self.apis = [f"http://{LOOPBACK}:{port}" for port in self.ports]
        self._loop = loop
        self._interfaces: dict[int, Interface] = {}

    def do(self, story: Coroutine[Any, Any, T]) -> T:
        """Runs something in the village's loop and waits for it."""
        return asyncio.run_coroutine_threadsafe(story, self._loop).result(60)

    def call(self, what: Callable[[], T]) -> T:
        """Calls something in the village's loop."""

        async def called() -> T:
            return what()

        return self.do(called())

    async def start(self, *numbers: int) -> None:
        await self.village.start(*numbers)
        for number in numbers:
            interface = self._interfaces[number] = Interface(self.village.nodes[number], (LOOPBACK, self.ports[number]))
            await interface.start()

    async def stop(self, *numbers: int) -> None:
        for number in numbers:
            interface = self._interfaces.pop(number)
            interface.refuse()
            await self.village.stop(number)
            await interface.stop()

    async def stop_all(self) -> None:
        await self.stop(*list(self._interfaces))


@contextmanager
def served(folder: Path, count: int = 3, **options: Any) -> Iterator[Served]:
    """A community of nodes that agrees on a leader and answers clients."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="village")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        thread.start()
        found = Served(Village(folder, count, **options), loop)
        try:
            found.do(found.start(*range(count)))
            found.do(found.village.leader())
            yield found
        finally:
            found.do(found.stop_all())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            apart(lambda: loop.run_until_complete(loop.shutdown_default_executor()))
            loop.close()
            gc.collect()
