"""Audience: replicas outside the committee that this one tells of every block as it is certified.

Each is told once of each height, and not of one that it is known to have. What gets lost is fetched: who is told takes
a block by its certificate, like one that it asked for, and asks others where nobody tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.bft.blocks import Block
from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.consensus.bft.desk import Desk
from wattquorum.consensus.bft.messages import Blocks


class Audience:
    """Who is told, and how far each is, as it said."""

    __slots__ = ("_desk", "_heights")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._heights: dict[bytes, int] = {}

    def serve(self, audience: Sequence[bytes]) -> None:
        """From now on these, as far as they are not in the committee."""
        chain = self._desk.chain
        served = [each for each in audience if chain.committee.place(each) is None and each != chain.me]
        self._heights = {each: self._heights.get(each, 0) for each in served}

    def polled(self, sender: bytes, height: int) -> None:
        """A replica says how far it is."""
        if sender in self._heights:
            self._heights[sender] = height

    def tell(self, block: Block, certificate: CommitCertificate) -> None:
        """A block was certified."""
        told = [each for each, height in self._heights.items() if height < certificate.height]
        if told:
            self._desk.outbox.say(told, Blocks((block,), certificate))
