"""Agreed blocks: what a committee signs, and what a header tells of who signed the block before.

Where a committee agrees before anything is executed for good, its members sign what executing leads to: the payload
that they agree on is the ordered entry and the hash of the header that it gives on the tip. The payload's digest covers
both, attachments included, so that nobody can serve other bytes under a certified digest. The next block's evidence has
the certificate and the entry's digest. So headers alone prove a chain, also when rows of readings are long deleted:

    digest of a height = head_digest(height, certificate before, H(header hash, entry's digest))
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.blocks import Head, genesis_digest, head_digest
from wattquorum.consensus.bft.certificates import CommitCertificate, Signature
from wattquorum.consensus.bft.committee import Key
from wattquorum.foundation.codec import Address, Decoder, Digest, Record, Unsigned, encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.ledger.blocks import Header, header_hash


class Agreed(Record, frozen=True):
    """A payload: an ordered entry, and the hash of the header that executing it on the tip gives."""

    entry: bytes
    header: Digest


class Sealed(Record, frozen=True):
    """What a block tells of the one before: who certified it, and the digest of its entry."""

    certificate: CommitCertificate
    entry: Digest


class Restart(Record, frozen=True):
    """An act of governors: the chain goes on from this block with these replicas, as this version of the committee."""

    chain: bytes
    height: Unsigned
    block: Digest  # the hash of its header
    version: Unsigned
    keys: tuple[Key, ...]  # of those who go on, in the order in which they propose


class Approval(Record, frozen=True):
    """A governor's signature on an act."""

    governor: Address
    signature: Signature


class Restarted(Record, frozen=True, tag=1):
    """What the first block after a restart tells of the one before, and by which act it goes on."""

    sealed: Sealed
    restart: Restart
    approvals: tuple[Approval, ...]


_agreed: Final = Decoder[Agreed](Agreed, "agreed entry")
_sealed: Final = Decoder[Sealed](Sealed, "evidence")
_restarted: Final = Decoder[Restarted](Restarted, "evidence")
RESTARTED: Final = b"\x94"  # what the encoding of a restart begins with: an array of four; the other has two
RESTART_PURPOSE: Final = "restart"


def decode_agreed(payload: bytes) -> Agreed:
    """A payload from its bytes, strictly."""
    return _agreed.decode(payload)


def sealed_in(evidence: bytes) -> Sealed | None:
    """What a block's evidence tells of the one before; None at height 1. Refused for anything else."""
    restarted = restart_in(evidence)
    if restarted is not None:
        return restarted.sealed
    return _sealed.decode(evidence) if evidence else None


def restart_in(evidence: bytes) -> Restarted | None:
    """The act by which the chain goes on with another committee, in the first block after it; None in all others."""
    return _restarted.decode(evidence) if evidence[:1] == RESTARTED else None


def restart_message(restart: Restart) -> bytes:
    """What governors sign, for `RESTART_PURPOSE`."""
    return encode(restart)


def restart_digest(restart: Restart) -> bytes:
    """What names an act, for those who are to trust it."""
    return tagged_hash("restart", encode(restart))


def evidence_for(certificate: CommitCertificate | None, entry: bytes) -> bytes:
    """The evidence that the next block carries; `entry` is the digest of the last one's."""
    return b"" if certificate is None else encode(Sealed(certificate, entry))


def entry_digest(entry: bytes) -> bytes:
    """What names an ordered entry, to the byte."""
    return tagged_hash("entry", entry)


def payload_digest(header: bytes, entry: bytes) -> bytes:
    """The digest of a payload: of the hash of its header, and of the digest of its entry."""
    return tagged_hash("agreed", header, entry)


def agreed_head(chain: bytes, header: Header, entry: bytes) -> Head:
    """What a committee agreed on at a height, from its header and the digest of its entry.

    Refused for a header whose evidence cannot be read.
    """
    before = sealed_in(header.evidence)
    previous = genesis_digest(chain) if before is None else before.certificate.digest
    certificate = None if before is None else before.certificate
    return Head(header.height, previous, certificate, payload_digest(header_hash(header), entry))


def agreed_digest(chain: bytes, header: Header, entry: bytes) -> bytes:
    """What a committee signed at a height. Refused for a header whose evidence cannot be read."""
    return head_digest(chain, agreed_head(chain, header, entry))
