"""Desk: what all parts of an engine work with: the time, the outbox, and how peers behave.

A peer is given one large answer in a turn however often it asks, and whoever sends what no correct replica sends is
counted. Neither decides anything.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.chain import Chain
from wattquorum.consensus.bft.messages import Tip
from wattquorum.consensus.bft.outbox import Outbox
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Seals

FAULTS_MAX: Final = 1_024  # peers whose faults are counted


class Desk:
    """The time is the engine's to tell [ms]."""

    __slots__ = ("_answered", "chain", "faults", "lacking", "now", "outbox", "seals", "settings")

    def __init__(self, chain: Chain, seals: Seals, settings: Settings, outbox: Outbox, now: int) -> None:
        self.chain, self.seals, self.settings, self.outbox, self.now = chain, seals, settings, outbox, now
        self.faults: dict[bytes, int] = {}
        self._answered: dict[bytes, None] = {}  # since the last drain
        self.lacking: dict[bytes, int] = {}  # who asked for blocks above a height that exist and are not here

    def blame(self, sender: bytes) -> None:
        """It sent what no correct replica sends."""
        if sender in self.faults or len(self.faults) < FAULTS_MAX:
            self.faults[sender] = self.faults.get(sender, 0) + 1

    def may_answer(self, sender: bytes) -> bool:
        """Whether it has had no large answer in this turn; then it has now."""
        first = sender not in self._answered
        self._answered[sender] = None
        return first

    def end_turn(self) -> None:
        """Everybody may be answered again."""
        self._answered = {}

    def lacks(self, sender: bytes, height: int) -> None:
        """It asked for the block above a height, which is certified and of which this replica has not everything."""
        if sender in self.lacking or len(self.lacking) < FAULTS_MAX:
            self.lacking[sender] = height

    def tell_tip(self, sender: bytes, above: int) -> None:
        """Answers somebody who is at this height, if this replica is further."""
        certificate = self.chain.certificate
        if certificate is not None and self.chain.height > above and self.may_answer(sender):
            self.outbox.say([sender], Tip(certificate))
