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
from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.foundation.codec import Decoder, Digest, Record, encode
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


_agreed: Final = Decoder[Agreed](Agreed, "agreed entry")
_sealed: Final = Decoder[Sealed](Sealed, "evidence")


def decode_agreed(payload: bytes) -> Agreed:
    """A payload from its bytes, strictly."""
    return _agreed.decode(payload)


def sealed_in(evidence: bytes) -> Sealed | None:
    """What a block's evidence tells of the one before; None at height 1. Refused for anything else."""
    return _sealed.decode(evidence) if evidence else None


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
