"""Light client: who has only heads verifies a chain by its certificates, across any change of committees.

It trusts one point: the genesis with its committee, or a head that somebody it trusts has pinned for it. From there on
each head names the one before it and carries that one's certificate, and a head that ends an epoch names the committee
whose signatures count next; only the committee before it can have certified that. Keys of committees that are long gone
may leak, and whoever has a quorum of them can make up any chain from there on. So a point may only be used for so long.

On a ledger a head follows from a header and the digest of the block's entry, that is, from what the next header's
evidence has: the certificate of the block before, and as the payload's digest that of the header's hash and the entry's
digest (`ledger.agreed.agreed_digest`). The header names the next committee, so what a step says of it is certified with
its head, as long as the caller takes it from that header. This module knows nothing of ledgers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wattquorum.consensus.bft.blocks import Head, genesis_digest, head_digest
from wattquorum.consensus.bft.certificates import CommitCertificate, is_quorum
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import Phase, statement_check
from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused


class Point(NamedTuple):
    """A certified head that is trusted, and who agrees on the heights above it."""

    height: int
    digest: bytes
    committee: Committee
    time_ms: Millis  # when it was pinned, or verified


class Step(NamedTuple):
    """The next head, and the committee that its block names; None: it names none."""

    head: Head
    committee: Committee | None


def genesis_point(chain: bytes, founding: Committee, time_ms: Millis) -> Point:
    """The point before the first block; `time_ms` is when the genesis, with its committee, was pinned."""
    return Point(0, genesis_digest(chain), founding, time_ms)


def verified(
    chain: bytes,
    pinned: Point,
    steps: Sequence[Step],
    tip: CommitCertificate,
    verify: Verifier,
    now_ms: Millis,
    age_ms_max: int,
) -> Point:
    """The point that these steps lead to; `tip` is the last one's certificate, `verify` checks signatures.

    Refused: `checkpoint_old` for a point pinned more than `age_ms_max` ago, `chain_altered` for a head that does not
    follow the one before it or a committee that does not follow its predecessor, `evidence_wrong` for a certificate of
    something else, `signers_wrong` for signers that are no quorum of that height's committee, each once, and
    `seal_forged` for a signature that is not its member's.
    """
    if now_ms - pinned.time_ms > age_ms_max:
        raise Refused("checkpoint_old", "checkpoint", pinned.height, f"At most {age_ms_max} ms may have passed.")
    if not steps:
        raise Refused("chain_altered", "steps", "none", "Give the heads above the checkpoint.")
    digests = _followed(chain, pinned, [step.head for step in steps])
    certificates = [*(step.head.commit_certificate for step in steps[1:]), tip]
    committee = pinned.committee
    for step, digest, certificate in zip(steps, digests, certificates, strict=True):
        height = step.head.height
        if certificate is None or (certificate.height, certificate.digest) != (height, digest):
            raise Refused("evidence_wrong", "certificate", height, "Give the certificate of this head.")
        _check_signers(chain, certificate, committee, verify)
        if step.committee is not None:
            committee = _succeeded(committee, step.committee, height)
    return Point(pinned.height + len(steps), digests[-1], committee, now_ms)


def _followed(chain: bytes, pinned: Point, heads: Sequence[Head]) -> list[bytes]:
    """The heads' digests, each of which the next one names. Only the first of all carries no certificate."""
    digests: list[bytes] = []
    digest, height = pinned.digest, pinned.height
    for at, head in enumerate(heads):
        height += 1
        if (head.height, head.previous) != (height, digest):
            raise Refused("chain_altered", f"steps[{at}].head", head.height, f"Give the head of height {height}.")
        embedded = head.commit_certificate
        told = None if embedded is None else (embedded.height, embedded.digest)
        if told != (None if height == 1 else (height - 1, digest)):
            raise Refused("evidence_wrong", f"steps[{at}].head", height, "It carries the one of the head before.")
        digest = head_digest(chain, head)
        digests.append(digest)
    return digests


def _check_signers(chain: bytes, certificate: CommitCertificate, committee: Committee, verify: Verifier) -> None:
    height, view, digest = certificate.height, certificate.view, certificate.digest
    if not is_quorum(certificate, committee):
        places = ", ".join(str(seal.member) for seal in certificate.seals)
        raise Refused("signers_wrong", "certificate", places, f"Height {height} takes {committee.quorum}.")
    checks = [
        statement_check(chain, committee, seal.member, height, view, Phase.COMMIT, digest, seal.signature)
        for seal in certificate.seals
    ]
    for seal, good in zip(certificate.seals, verify(checks), strict=True):
        if not good:
            raise Refused("seal_forged", "certificate", committee.members[seal.member], f"At height {height}.")


def _succeeded(before: Committee, after: Committee, height: int) -> Committee:
    """The committee that a block names follows the one that certified it, and begins above it."""
    if after.epoch <= before.epoch or after.first != height + 1:
        raise Refused("chain_altered", "committee", after.epoch, f"One above epoch {before.epoch} begins next.")
    return after
