"""Messages: what members of a committee, and who follows it, tell each other.

Pre-prepares, votes, view changes and new views are signed statements; what only asks, or answers with what proves
itself, is not. A frame that cannot be read is nothing that a correct replica sent, and is dropped.
"""

from __future__ import annotations

from typing import Final, Literal

from wattquorum.consensus.bft.blocks import Block
from wattquorum.consensus.bft.certificates import VIEW_MAX, CommitCertificate, PreparedCertificate, Signature
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.codec import Decoder, Digest, Record, Unsigned, encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.refusals import Refused


class PrePrepare(Record, frozen=True, tag=1):
    """The primary of a view proposes a block."""

    view: Unsigned
    block: Block
    signature: Signature
    again: bool = False  # said before: whoever is further answers


class Vote(Record, frozen=True, tag=2):
    """A PREPARE or COMMIT."""

    phase: Literal[2, 3]
    height: Unsigned
    view: Unsigned
    digest: Digest
    signature: Signature
    again: bool = False


class ViewChange(Record, frozen=True, tag=3):
    """The sender takes part in nothing below `view` any more; its tip, and what it has prepared above it."""

    view: Unsigned
    tip: CommitCertificate | None
    prepared: PreparedCertificate | None
    signature: Signature

    @property
    def height(self) -> int:
        """H: the height of its tip."""
        return 0 if self.tip is None else self.tip.height


class Change(Record, frozen=True):
    """A member's view change inside a new view."""

    member: Unsigned
    view_change: ViewChange


class NewView(Record, frozen=True, tag=4):
    """The primary of a view opens it by a quorum's view changes: height + 1 gets `digest`; empty: a free choice."""

    view: Unsigned
    height: Unsigned
    digest: bytes
    changes: tuple[Change, ...]
    signature: Signature


class Poll(Record, frozen=True, tag=5):
    """Asks for the tip of whoever is above this height."""

    height: Unsigned


class Tip(Record, frozen=True, tag=6):
    """The commit certificate of the sender's tip."""

    commit_certificate: CommitCertificate


class AskBlocks(Record, frozen=True, tag=7):
    """Asks for the certified blocks above this height."""

    height: Unsigned


class Blocks(Record, frozen=True, tag=8):
    """Blocks that follow each other; each certifies the one before it, and the certificate beside them the last."""

    blocks: tuple[Block, ...]
    commit_certificate: CommitCertificate


class AskBlock(Record, frozen=True, tag=9):
    """Asks for a block that the sender knows the digest of."""

    height: Unsigned
    digest: Digest


class GiveBlock(Record, frozen=True, tag=10):
    """That block."""

    block: Block


class AskRead(Record, frozen=True, tag=11):
    """Asks how far a read must see; the asker is at `height`."""

    round: Unsigned
    life: Unsigned  # of the asker since its last restart
    height: Unsigned


class GiveRead(Record, frozen=True, tag=12):
    """The answer: the sender's tip and what it has prepared, where they are above the asker's height."""

    round: Unsigned
    life: Unsigned
    tip: CommitCertificate | None
    prepared: PreparedCertificate | None


BftMessage = (
    PrePrepare
    | Vote
    | ViewChange
    | NewView
    | Poll
    | Tip
    | AskBlocks
    | Blocks
    | AskBlock
    | GiveBlock
    | AskRead
    | GiveRead
)
_messages: Final = Decoder[BftMessage](BftMessage, "BFT message")

to_frame: Final = encode


def from_frame(frame: bytes) -> BftMessage:
    """A message from its frame; Refused for what no correct replica sends."""
    message = _messages.decode(frame)
    view = message.view if isinstance(message, PrePrepare | Vote | ViewChange | NewView) else 0
    if view > VIEW_MAX:
        raise Refused("out_of_range", "view", view, "No timeouts raise a view so far.")
    return message


def view_change_digest(tip: CommitCertificate | None, prepared: PreparedCertificate | None) -> bytes:
    """What a VIEW-CHANGE's signature covers beside its view and height."""
    return tagged_hash("bft view change", encode((tip, prepared)))


def new_view_digest(digest: bytes, changes: tuple[Change, ...]) -> bytes:
    """What a NEW-VIEW's signature covers beside its view and height."""
    return tagged_hash("bft new view", encode((digest, changes)))


PHASES: Final = {2: Phase.PREPARE, 3: Phase.COMMIT}
