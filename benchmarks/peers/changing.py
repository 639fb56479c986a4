"""Powers that change again and again while a cluster is loaded."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from benchmarks.peers.clusters import Ours

EVERY_S: Final = 0.25


class Changing:
    """While this context lasts, powers change every quarter of a second; each change goes through both its steps."""

    def __init__(self, cluster: Ours) -> None:
        self._cluster = cluster
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._change)
        self.changes = 0
        self.refused = 0

    def _change(self) -> None:
        while not self._ended.wait(EVERY_S):
            if self._cluster.change_powers(light=self.changes % 2 == 0):
                self.changes += 1
            else:
                self.refused += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _fault: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
