"""The members' programs, on a chain that elected agents run: they stand, vote, attest and accuse.

Each is the program that `wattquorum elections keep` runs (`wattquorum.cli.elections.Program`), in a thread: processes
would be as many again as there are nodes. It asks its member's own node what that one can prove, and any node for the
rest, while nodes are killed and cut off under it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from torture.community import Community
from torture.history import History
from wattquorum import Client
from wattquorum.cli.elections import Program
from wattquorum.cli.members import Signer
from wattquorum.foundation.refusals import Refused
from wattquorum.node.disk import SECRET, write_files

LOOK_S: Final = 0.7
PATIENCE_S: Final = 5.0
OWN_S: Final = 1.0
END_S: Final = 4 * PATIENCE_S


class Members:
    """All of them, as threads."""

    def __init__(self, community: Community, seeds: Sequence[bytes], history: History) -> None:
        """`seeds` are of the members' keys, each of whom runs the replica in the slot of the same number."""
        self._community, self._history = community, history
        self._folder = community.folder / "members"
        self._folder.mkdir()
        write_files(self._folder, {_name(slot): seed.hex().encode() + b"\n" for slot, seed in enumerate(seeds)}, SECRET)
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(slot,), name=f"member-{slot}", daemon=True)
            for slot in range(len(seeds))
        ]
        self.wrong: list[str] = []

    def start(self) -> None:
        """Lets them begin; their accounts are open."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Lets them finish what they are at."""
        self._end.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(END_S)
                if thread.is_alive():
                    self.wrong.append(f"{thread.name} did not end within {END_S:.0f} s")

    def _guarded(self, slot: int) -> None:
        try:
            self._keep(slot)
        except Exception as fault:  # noqa: BLE001 - a program that fails is told, whatever it failed of
            self.wrong.append(f"member-{slot}: {type(fault).__name__}: {fault}")

    def _keep(self, slot: int) -> None:
        count, program = self._community.slots, None
        apis = [self._community.url((slot + each) % count) for each in range(count)]
        with Client(apis, patience_s=PATIENCE_S) as client, Client(apis[:1], patience_s=OWN_S) as own:
            while not self._end.wait(LOOK_S):
                if program is None:
                    try:
                        signer = Signer(client, self._key(slot), "")
                    except Refused:
                        continue  # nobody answers now
                    program = Program(client, signer, [own], lambda line: self._note(slot, line))
                program.look()

    def _key(self, slot: int) -> Path:
        return self._folder / _name(slot)

    def _note(self, slot: int, line: str) -> None:
        self._history.note("member", slot=slot, said=line)


def _name(slot: int) -> str:
    return f"member-{slot}.key"
