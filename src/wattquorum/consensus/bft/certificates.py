"""Certificates: a quorum's signatures on one digest, of one height and view.

A prepared certificate says that no other digest can be prepared in its view; a commit certificate that its block is
the height's, for ever. Both are checked against the committee of their height, whoever holds them (PROTOCOLS, 3):
exactly a quorum of seals, in the order of places, each of a different member. More would prove no more, and whoever
may add what it likes could make others work.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final

from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import Phase, Seals, phase_of
from wattquorum.foundation.codec import Digest, Meta, Record, Unsigned
from wattquorum.foundation.identities import SIGNATURE_BYTES, Signed

Signature = Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
VIEW_MAX: Final = 1 << 40  # no timeouts raise a view so far


class Seal(Record, frozen=True):
    """A member's signature."""

    member: Unsigned  # its place
    signature: Signature


class CommitCertificate(Record, frozen=True):
    """A quorum's COMMITs."""

    height: Unsigned
    view: Unsigned
    digest: Digest
    seals: tuple[Seal, ...]


class PreparedCertificate(Record, frozen=True):
    """The primary's pre-prepare and PREPAREs, a quorum together."""

    height: Unsigned
    view: Unsigned
    digest: Digest
    seals: tuple[Seal, ...]


Certificate = CommitCertificate | PreparedCertificate


def is_quorum(certificate: Certificate, committee: Committee) -> bool:
    """Whether the signers that it names are a quorum of a committee, each once, in the order of places."""
    places = [seal.member for seal in certificate.seals]
    if len(places) != committee.quorum or any(place >= len(committee.members) for place in places):
        return False
    return not any(place >= follower for place, follower in pairwise(places))


def checks_of(certificate: Certificate, committee: Committee, seals: Seals) -> list[Signed] | None:
    """The signatures that must hold for a certificate to be this committee's; None: none could make it so."""
    if not is_quorum(certificate, committee):
        return None
    support = Phase.COMMIT if isinstance(certificate, CommitCertificate) else Phase.PREPARE
    height, view, digest = certificate.height, certificate.view, certificate.digest
    return [
        seals.check(
            committee,
            seal.member,
            height,
            view,
            phase_of(committee, seal.member, view, support),
            digest,
            seal.signature,
        )
        for seal in certificate.seals
    ]


def is_valid(certificate: Certificate, committee: Committee, seals: Seals) -> bool:
    """Whether a quorum of this committee signed it."""
    checks = checks_of(certificate, committee, seals)
    return checks is not None and seals.hold(checks)
