"""Records: what a replica must find again after a restart, and how it is put together from them.

What is written before what is said: a block and that it was accepted before PREPARE, the prepared certificate before
COMMIT, the view before VIEW-CHANGE. A base holds everything that the records before it amounted to, with the driver's
state, so that a driver may forget what comes before one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from wattquorum.consensus.bft.blocks import Block, Chained, Outliner, Proposal, proposal_of
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Signature
from wattquorum.consensus.bft.committee import Committees, Installed
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.codec import Decoder, Digest, Record, Unsigned
from wattquorum.foundation.refusals import Refused


class Viewed(Record, frozen=True, tag=2):
    """The view of an epoch: in none below it this replica takes part any more."""

    epoch: Unsigned
    view: Unsigned


class Held(Record, frozen=True, tag=3):
    """A block above the tip."""

    block: Block


class Accepted(Record, frozen=True, tag=4):
    """The one pre-prepare that this replica supports at a height and view; its block is held."""

    height: Unsigned
    view: Unsigned
    digest: Digest
    signature: Signature  # the primary's


class Prepared(Record, frozen=True, tag=5):
    """A prepared certificate above the tip."""

    certificate: PreparedCertificate


class Certified(Record, frozen=True, tag=6):
    """The commit certificate of a held block, which becomes the tip."""

    certificate: CommitCertificate


class Base(Record, frozen=True, tag=7):
    """What a driver's state was after the block at the tip, and all that the engine knew then."""

    installed: tuple[Installed, ...]
    viewed: Viewed
    tip: Chained
    state: bytes  # the driver's, after the block at `index`
    index: Unsigned
    above: tuple[bytes, ...]  # records about what lies above the tip


BftRecord = Installed | Viewed | Held | Accepted | Prepared | Certified | Base
_records: Final = Decoder[BftRecord](BftRecord, "BFT record")
decode_record: Final = _records.decode


class Kept:
    """What records amount to, as they are read."""

    def __init__(self, chain: bytes, founding: Installed, outline: Outliner) -> None:
        self._chain = chain
        self._outline = outline
        self.committees = Committees([founding])
        self.viewed = Viewed(founding.configuration.version, 0)
        self.tip: Proposal | None = None
        self.blocks: dict[bytes, Proposal] = {}  # above the tip, by digest
        self.accepted: dict[int, Accepted] = {}  # at the tip's next height, by view
        self.prepared: PreparedCertificate | None = None
        self.chained: dict[int, tuple[Proposal, CommitCertificate]] = {}  # since the base
        self.commits: dict[int, tuple[int, bytes]] = {}  # its own on what was certified since: view and digest
        self.base: Base | None = None
        self.position = 0

    @property
    def height(self) -> int:
        """The tip's height."""
        return 0 if self.tip is None else self.tip.block.height

    def read(self, record: BftRecord) -> None:
        """The next record."""
        match record:
            case Installed():
                self.committees.add(record)
                self.blocks, self.accepted, self.prepared = {}, {}, None  # what another committee began is nobody's
                self.viewed = Viewed(record.configuration.version, 0)
            case Viewed():
                self.viewed = record
            case Held(block):
                self._hold(block)
            case Accepted():
                if record.height == self.height + 1:
                    self.accepted[record.view] = record
            case Prepared(certificate):
                if certificate.height == self.height + 1:
                    self.prepared = certificate
            case Certified(certificate):
                self._certified(certificate)
            case Base():
                self._restart_from(record)

    def _hold(self, block: Block) -> None:
        """A block carries the certificate of the one before it, which may be all that is left of that one's."""
        embedded = block.commit_certificate
        if embedded is not None and embedded.height == self.height + 1:
            self._certified(embedded)
        if block.height == self.height + 1:
            proposal = self._proposal(block)
            self.blocks[proposal.digest] = proposal

    def _certified(self, certificate: CommitCertificate) -> None:
        if certificate.height != self.height + 1:
            return
        if certificate.digest not in self.blocks:
            raise Refused("input_unexpected", "certificate", certificate.height, "Its block is not in the records.")
        self.tip = self.blocks[certificate.digest]
        self.chained[certificate.height] = (self.tip, certificate)
        if self.prepared is not None and self.prepared.digest == certificate.digest:
            self.commits[certificate.height] = self.prepared.view, certificate.digest
        self.blocks, self.accepted, self.prepared = {}, {}, None

    def _restart_from(self, base: Base) -> None:
        self.base = base
        self.committees = Committees(base.installed)
        self.tip = self._proposal(base.tip.block)
        self.chained = {self.height: (self.tip, base.tip.commit_certificate)}
        self.blocks, self.accepted, self.prepared, self.commits = {}, {}, None, {}
        self.viewed = base.viewed
        for each in base.above:
            self.read(decode_record(each))

    def _proposal(self, block: Block) -> Proposal:
        proposal = proposal_of(self._chain, block, self._outline)
        if proposal is None:
            raise Refused("input_unexpected", "payload", block.height, "It was readable when it was recorded.")
        return proposal


def kept(records: Iterable[Durable], chain: bytes, founding: Installed, outline: Outliner) -> Kept:
    """What a replica knows after a restart; `founding` is the chain's first committee.

    Positions rise by one from 1 or from an origin. Raises Refused("input_unexpected") for a gap: something durable is
    missing, and a replica that does not know what it promised must not go on.
    """
    found = Kept(chain, founding, outline)
    for durable in records:
        if durable.position != found.position + 1 and (found.position or not durable.origin):
            raise Refused("input_unexpected", "position", durable.position, f"Give record {found.position + 1} next.")
        found.position = durable.position
        found.read(decode_record(durable.data))
    return found
