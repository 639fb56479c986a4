"""Hand-over: a new committee learns that it is one, also where it shares nobody with the old one.

The block that names a committee is certified by the one before it. Whoever of the old committee has it gives it to
the whole new one, and so does each new member that has it; then its certificate is told again and again, until a block
of the new epoch is certified here. Who is told and lacks the block asks for it. If the old committee stopped at once,
those who were not reached would wait for ever (PROTOCOLS, 3).
"""

from __future__ import annotations

from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.desk import Desk
from wattquorum.consensus.bft.messages import Blocks, Tip


class HandOver:
    """The boundary that is being handed over, and when it is told again."""

    __slots__ = ("_desk", "_height", "due_ms")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._height = 0
        self.due_ms: int | None = None

    def begin(self, old: Committee) -> None:
        """The tip has just named a committee, which is installed by now."""
        desk, chain = self._desk, self._desk.chain
        if old.place(chain.me) is None and chain.place is None:
            return
        chained = chain.block(chain.height)
        if chained is not None:
            desk.outbox.say(chain.others, Blocks((chained.block,), chained.commit_certificate))
        self._wait()

    def resume(self) -> None:
        """After a restart between a boundary and the first block of its epoch."""
        chain = self._desk.chain
        if chain.height and chain.committee.first == chain.height + 1:
            before = chain.committees.at(chain.height)
            if before.place(chain.me) is not None or chain.place is not None:
                self._wait()

    def tick(self) -> None:
        """Tells the certificate again, or is done."""
        desk, chain = self._desk, self._desk.chain
        if chain.height > self._height:
            self.due_ms = None
        if self.due_ms is None or desk.now < self.due_ms:
            return
        if chain.certificate is not None:
            desk.outbox.say(chain.others, Tip(chain.certificate))
        self._wait()

    def _wait(self) -> None:
        self._height = self._desk.chain.height
        self.due_ms = self._desk.now + self._desk.settings.poll_ms
