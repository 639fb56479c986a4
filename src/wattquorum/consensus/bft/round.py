"""Round: what is under way at the one height that is worked on, the one above the tip.

One pre-prepare is accepted in each view, and its block is kept for as long as the height lasts: what was prepared in
one view may be wanted in a much later one, when nobody else would give it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from wattquorum.consensus.bft.blocks import Proposal
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.records import Accepted, BftRecord, Held, Prepared
from wattquorum.consensus.bft.statements import Seals
from wattquorum.consensus.bft.votes import Votes

BLOCKS_MAX: Final = 16  # of one height, of as many views


class Candidate(NamedTuple):
    """A pre-prepare of the present view that may be accepted once its block is found good."""

    view: int
    proposal: Proposal
    signature: bytes


class Round:
    """The height that is worked on."""

    __slots__ = (
        "accepted",
        "blocks",
        "candidate",
        "certificate",
        "committee",
        "height",
        "prepared",
        "proposed_ms",
        "verdicts",
        "votes",
    )

    def __init__(self, height: int, committee: Committee, seals: Seals) -> None:
        self.height = height
        self.committee = committee
        self.votes = Votes(height, committee, seals)
        self.blocks: dict[bytes, Proposal] = {}  # held, by digest
        self.accepted: dict[int, Accepted] = {}  # by view
        self.verdicts: dict[bytes, bool] = {}
        self.prepared: PreparedCertificate | None = None  # of the highest view
        self.candidate: Candidate | None = None
        self.certificate: CommitCertificate | None = None  # valid, and its block is missing
        self.proposed_ms: int | None = None  # when a fresh proposal of the present view was accepted

    def hold(self, proposal: Proposal) -> bool:
        """Keeps a block; False: it was kept already. Of too many the oldest that nothing needs goes."""
        if proposal.digest in self.blocks:
            return False
        self.blocks[proposal.digest] = proposal
        if len(self.blocks) > BLOCKS_MAX:
            needed = [proposal.digest, self.prepared.digest if self.prepared else b""]
            stale = next(digest for digest in self.blocks if digest not in needed)
            del self.blocks[stale]
        return True

    def leave_view(self) -> None:
        """The view ends: what was not accepted in it never will be."""
        self.candidate, self.proposed_ms = None, None

    @property
    def pending(self) -> bool:
        """Whether something is under way that must not be forgotten: then the timer runs."""
        return bool(self.accepted) or self.prepared is not None or self.certificate is not None

    def records(self) -> list[BftRecord]:
        """What has to be durable of it."""
        held: list[BftRecord] = [Held(each.block) for each in self.blocks.values()]
        accepted: list[BftRecord] = list(self.accepted.values())
        prepared: list[BftRecord] = [Prepared(self.prepared)] if self.prepared is not None else []
        return held + accepted + prepared
