"""Testimony: what a node can prove of members that lied, for as long as the ledger is to hear it (B-5, B-6).

Its engine hands out, once, two statements of a member that exclude each other. Here they are kept until they stand on
the ledger, or their committee was in office too long ago to be judged: one of each member and committee, for a second
proves nothing more. They are in a file, so a restart does not lose what nobody has proposed yet; what was seen in the
moment of a crash, or while the disk had no room, is lost, and whoever else saw it has it still. Who proposes it is a
member's program (`wattquorum elections keep`), since a node signs no transactions.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from wattquorum.consensus.bft.votes import Equivocation, decode_equivocation
from wattquorum.foundation.codec import Named, encode, from_json, to_named_json
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accusing import is_news
from wattquorum.ledger.state import State
from wattquorum.node.disk import read_file, write_files

FILE: Final = "lies.json"
LIES_MAX: Final = 256  # kept; of more the oldest are let go
AGAIN_S: Final = 1.0  # how long a disk is left alone that did not take them


class Kept(Named, frozen=True):
    """The file: each lie as it is encoded, in base64."""

    lies: tuple[str, ...]


class Lies:
    """The lies that a node can prove. Its methods belong into the node's loop."""

    __slots__ = ("_folder", "_kept", "_tried_s", "_unsaved", "_watchers", "counted")

    def __init__(self, folder: Path) -> None:
        """Reads what an earlier process kept in a node's folder. Refused("file_unreadable") for any other file."""
        self._folder = folder
        self._kept: dict[tuple[int, bytes], Equivocation] = {}  # by committee and member
        self._unsaved = False
        self._tried_s = 0.0
        self._watchers: list[Callable[[Equivocation], None]] = []
        self.counted: Counter[bytes] = Counter()  # lies that were proven since the start, by member; one of a height
        if (folder / FILE).exists():
            for each in _read(folder):
                self._kept[each.epoch, each.member] = each

    def watch(self, watcher: Callable[[Equivocation], None]) -> None:
        """Tells a watcher of each lie that is kept from now on."""
        self._watchers.append(watcher)

    def heard(self, lies: Sequence[Equivocation], state: State) -> None:
        """What the engine handed out; `state` is the ledger's. Keeps what is new, and writes what was not written."""
        for each in lies:
            self.counted[each.member] += 1
            if (each.epoch, each.member) in self._kept or not is_news(state, each):
                continue
            self.pending(state)
            while len(self._kept) >= LIES_MAX:
                del self._kept[min(self._kept)]
            self._kept[each.epoch, each.member] = each
            self._unsaved = True
            for watcher in self._watchers:
                watcher(each)
        if self._unsaved and time.monotonic() - self._tried_s >= AGAIN_S:
            self._save()

    def pending(self, state: State) -> list[Equivocation]:
        """The lies that the ledger does not know and can judge, or will be able to; others are let go."""
        over = [key for key, each in self._kept.items() if not is_news(state, each)]
        for key in over:
            del self._kept[key]
        self._unsaved |= bool(over)
        return list(self._kept.values())

    def _save(self) -> None:
        lies = tuple(base64.b64encode(encode(each)).decode() for each in self._kept.values())
        try:
            write_files(self._folder, {FILE: to_named_json(Kept(lies))})
        except Refused:  # it is tried again; what is wrong with the disk, its log says
            self._tried_s = time.monotonic()
        else:
            self._unsaved, self._tried_s = False, 0.0


def _read(folder: Path) -> list[Equivocation]:
    try:
        found = from_json(read_file(folder / FILE, FILE), Kept, FILE)
        return [decode_equivocation(base64.b64decode(each, validate=True)) for each in found.lies]
    except (Refused, binascii.Error) as fault:
        remedy = "Remove it: what it held were proofs of lies that nobody had told the ledger yet."
        raise Refused("file_unreadable", FILE, f"{folder / FILE}: {fault}", remedy) from None
