"""Renewal: a node that runs takes up what its operator puts into its folder.

The list of revocations, the TLS identity and the places of peers change while a node runs: they are files which another
command or the operator replaces. They are looked at now and then, and taken up together once all of them are sound;
what is not sound changes nothing and is told once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wattquorum.node import node_folder
from wattquorum.node.transport import Place, Transport

LOOK_S: Final = 2.0
FOLLOWED: Final = (node_folder.TLS, node_folder.AUTHORITY, node_folder.REVOKED, node_folder.PEERS)
Seen = tuple[tuple[int, int, int] | None, ...]


class Renewal:
    """Looks at the files of a node's folder for its transport."""

    __slots__ = ("_folder", "_places", "_seen", "_transport")

    def __init__(self, folder: Path, places: Mapping[bytes, Place], transport: Transport) -> None:
        """`places` are those that the node's configuration says, which go before those of peers.json."""
        self._folder = folder
        self._places = dict(places)
        self._transport = transport
        self._seen = self._look()

    def renew(self) -> bool:
        """Takes up what has changed, if anything has. Refused for files that `node_folder.load` refuses."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        files = node_folder.load(self._folder, time.time_ns() // 1_000_000)
        self._transport.renew(files.contexts)
        self._transport.update_peers({**files.peers, **self._places})
        return True

    def _look(self) -> Seen:
        return tuple(self._stamp(self._folder / name) for name in FOLLOWED)

    def _stamp(self, path: Path) -> tuple[int, int, int] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
