"""Blocks: what a height is agreed on: a payload, its place in the chain and the certificate of the block before.

The digest leaves the view out, so that a block which is proposed again in a later view is the same to the byte, with
its old proposer, time and embedded certificate (PROTOCOLS, 3). The payload is opaque; what agreement needs of it, its
own digest, its time and whether more would have fitted, is read by a callable from above. So a light client can
follow heads without payloads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.foundation.codec import Digest, Record, Unsigned, encode
from wattquorum.foundation.identities import tagged_hash


class Block(Record, frozen=True):
    """A payload at its height, after the block with the digest `previous`, whose commit certificate it carries."""

    height: Unsigned
    previous: Digest
    commit_certificate: CommitCertificate | None  # of the block before; None at height 1
    payload: bytes


class Head(Record, frozen=True):
    """A block with its payload's digest in place of the payload."""

    height: Unsigned
    previous: Digest
    commit_certificate: CommitCertificate | None
    payload_digest: bytes


class Outline(NamedTuple):
    """What agreement needs to know of a payload."""

    digest: bytes
    time_ms: int
    room: bool  # whether it could have held more


Outliner = Callable[[bytes], Outline | None]  # None: no payload at all


class Proposal(NamedTuple):
    """A block with what follows from it."""

    block: Block
    digest: bytes
    time_ms: int
    room: bool


class Chained(Record, frozen=True):
    """A block and its own commit certificate: what a replica stores and serves."""

    block: Block
    commit_certificate: CommitCertificate


def genesis_digest(chain: bytes) -> bytes:
    """What the first block follows."""
    return tagged_hash("bft genesis", chain)


def head_digest(chain: bytes, head: Head) -> bytes:
    """The digest that members sign."""
    return tagged_hash("bft block", tagged_hash("bft chain", chain), encode(head))


def block_digest(chain: bytes, block: Block, payload: bytes) -> bytes:
    """The digest of a block whose payload has this digest."""
    return head_digest(chain, Head(block.height, block.previous, block.commit_certificate, payload))


def proposal_of(chain: bytes, block: Block, outline: Outliner) -> Proposal | None:
    """A block with its digest and time; None where the payload cannot be read."""
    told = outline(block.payload)
    if told is None:
        return None
    return Proposal(block, block_digest(chain, block, told.digest), told.time_ms, told.room)
