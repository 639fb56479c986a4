"""Desk: what all parts of an engine work with: the time, the outbox, and how peers behave.

A peer is given one large answer in a turn however often it asks, and whoever sends what no correct replica sends is
counted, by what it was. Neither decides anything. What this replica cannot know yet, such as whether a committee that
it has not heard of signed something, is never counted: where nobody lies, nobody is blamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from wattquorum.consensus.bft.chain import Chain
from wattquorum.consensus.bft.messages import Tip
from wattquorum.consensus.bft.outbox import Outbox
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Seals

LACKING_MAX: Final = 1_024  # peers who asked for blocks that are not here
PEERS_COUNTED_MAX: Final = 1_024  # peers whose faults are counted each by itself
STRANGERS: Final = b""  # all others together, such as those that the chain does not name


class Fault(StrEnum):
    """What a peer did that no correct one does."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    NOT_PRIMARY = "not_primary"
    FALSE_PROPOSAL = "false_proposal"
    BAD_BLOCK = "bad_block"
    FALSE_CERTIFICATE = "false_certificate"
    FALSE_VIEW_CHANGE = "false_view_change"
    FALSE_NEW_VIEW = "false_new_view"
    FALSE_BLOCKS = "false_blocks"
    OTHER_BLOCK = "other_block"
    FALSE_STATE = "false_state"


FAULTS: Final[Mapping[Fault, str]] = {
    Fault.UNREADABLE: "it sent a message that cannot be read",
    Fault.TOO_LARGE: "it proposed a block that is larger than any may be",
    Fault.NOT_PRIMARY: "it proposed a block in a view that another one leads",
    Fault.FALSE_PROPOSAL: "it proposed what cannot stand: unreadable, unsigned, or not on the tip",
    Fault.BAD_BLOCK: "it proposed and signed a block that turned out bad when it was executed",
    Fault.FALSE_CERTIFICATE: "it told a certificate that no quorum has signed",
    Fault.FALSE_VIEW_CHANGE: "it left a view with what it did not sign, or cannot prove",
    Fault.FALSE_NEW_VIEW: "it told of a new view that does not follow from a quorum's view changes",
    Fault.FALSE_BLOCKS: "it gave blocks that are not the chain's",
    Fault.OTHER_BLOCK: "it was asked for one block and gave another",
    Fault.FALSE_STATE: "it gave a state, or the way to one, that is not what was certified",
}


class Desk:
    """The time is the engine's to tell [ms]."""

    __slots__ = ("_answered", "chain", "faults", "lacking", "now", "outbox", "seals", "settings")

    def __init__(self, chain: Chain, seals: Seals, settings: Settings, outbox: Outbox, now: int) -> None:
        self.chain, self.seals, self.settings, self.outbox, self.now = chain, seals, settings, outbox, now
        self.faults: Counter[tuple[bytes, Fault]] = Counter()
        self._answered: dict[bytes, None] = {}  # since the last drain
        self.lacking: dict[bytes, int] = {}  # who asked for blocks above a height that exist and are not here

    def blame(self, sender: bytes, fault: Fault) -> None:
        """It did what no correct replica does."""
        known = (sender, fault) in self.faults or (
            self.chain.names(sender) and len(self.faults) < PEERS_COUNTED_MAX * len(Fault)
        )
        self.faults[sender if known else STRANGERS, fault] += 1

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
        if sender in self.lacking or len(self.lacking) < LACKING_MAX:
            self.lacking[sender] = height

    def tell_tip(self, sender: bytes, above: int) -> None:
        """Answers somebody who is at this height, if this replica is further."""
        certificate = self.chain.certificate
        if certificate is not None and self.chain.height > above and self.may_answer(sender):
            self.outbox.say([sender], Tip(certificate))
