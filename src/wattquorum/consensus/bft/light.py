"""Light: the tip of a chain is proven by certificates alone, from a point that is trusted on.

Who trusts a checkpoint (the genesis, or a younger one that it was given by somebody it believes) knows who agrees on
the next height. Each head names the digest of the one before, so a certificate proves its head and everything below.
Certificates are therefore checked where something follows from them: on each block that names another committee, by
the committee that the block was agreed on by and not by the one that it names, and on the tip (PROTOCOLS, 3). What a
certificate between those says is bound by the digests, and nothing here reads it.

A checkpoint has a bounded age. Keys of committees that are long gone may leak, and whoever has a quorum of one's keys
can make another chain from there, which nothing here could tell from the true one. For the same reason two chains from
one checkpoint that both hold prove that more lie, or lost their keys, than the protocol bears (`forks`).

Nothing is kept and nothing is fetched; steps may come from anybody, one at a time, and however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wattquorum.consensus.bft.blocks import Head, genesis_digest, head_digest
from wattquorum.consensus.bft.certificates import CommitCertificate, is_quorum
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import Phase, statement_check
from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused


class Checkpoint(NamedTuple):
    """A block that is trusted: its height, digest and time, and who agrees on the heights above it."""

    height: int
    digest: bytes
    time_ms: int
    committee: Committee


class Named(NamedTuple):
    """The committee that a block names: its version, and its keys in their order."""

    version: int
    keys: tuple[bytes, ...]


class Step(NamedTuple):
    """The next block. Time and committee must be read from what the head's payload digest covers, and nowhere else."""

    head: Head
    time_ms: int
    named: Named | None  # who agrees from the next height on, where that changes


def genesis(chain: bytes, created_ms: Millis, founding: Named) -> Checkpoint:
    """The point before the first block; `founding` is the committee that the chain's genesis names."""
    return Checkpoint(0, genesis_digest(chain), int(created_ms), _committee(founding, 1))


def follow(
    chain: bytes,
    trusted: Checkpoint,
    steps: Iterable[Step],
    certificate: CommitCertificate | None,
    verify: Verifier,
    now: Millis,
    age_max_ms: Millis,
) -> Checkpoint:
    """The tip that these steps and its certificate prove, as the next checkpoint.

    `steps` are the blocks above the checkpoint, without a gap; without any there is no certificate either, and the
    checkpoint is the tip. Refused: a checkpoint older than `age_max_ms` (`checkpoint_old`), a block that does not
    follow (`chain_altered`), a certificate that is another block's (`evidence_wrong`), is missing (`chain_truncated`),
    has signers that are no quorum of the committee (`signers_wrong`) or a signature that is not its member's
    (`seal_forged`), and a committee that cannot agree on anything (`configuration_invalid`).
    """
    if now - trusted.time_ms > age_max_ms:
        raise Refused("checkpoint_old", "checkpoint.time_ms", trusted.time_ms)
    tip, named = trusted, None
    for step in steps:
        _check_link(tip, step)
        if named is not None:
            tip = _handed_over(chain, tip, named, step.head.commit_certificate, verify)
        tip = Checkpoint(step.head.height, head_digest(chain, step.head), step.time_ms, tip.committee)
        named = step.named
    if tip is trusted:
        if certificate is not None:
            raise Refused("evidence_wrong", "certificate", certificate.height, "Give the blocks that it is about.")
        return trusted
    if named is not None:
        return _handed_over(chain, tip, named, certificate, verify)
    _check_certificate(chain, tip, certificate, verify)
    return tip


def forks(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether two proven tips cannot both be of one chain: then nothing that either proves may be believed."""
    return first.height == second.height and first.digest != second.digest


def _check_link(tip: Checkpoint, step: Step) -> None:
    """A block follows another when it says so, later, with a certificate that is about it."""
    head = step.head
    if head.height != tip.height + 1:
        raise Refused("chain_altered", "head.height", head.height, f"Give height {tip.height + 1} next.")
    if head.previous != tip.digest:
        raise Refused("chain_altered", "head.previous", head.previous, "Give the block that follows the one before.")
    if step.time_ms <= tip.time_ms:
        raise Refused("chain_altered", "time_ms", step.time_ms, "Each block is later than the one before.")
    embedded = head.commit_certificate
    about = (0, tip.digest) if embedded is None else (embedded.height, embedded.digest)
    if about != (tip.height, tip.digest):
        raise Refused("evidence_wrong", "head.commit_certificate", about[0])


def _handed_over(
    chain: bytes, tip: Checkpoint, named: Named, certificate: CommitCertificate | None, verify: Verifier
) -> Checkpoint:
    """The block that names a committee, once the committee before it has certified it."""
    _check_certificate(chain, tip, certificate, verify)
    if named.version <= tip.committee.epoch:
        remedy = f"It follows version {tip.committee.epoch}."
        raise Refused("configuration_invalid", "committee.version", named.version, remedy)
    return tip._replace(committee=_committee(named, tip.height + 1))


def _check_certificate(chain: bytes, tip: Checkpoint, certificate: CommitCertificate | None, verify: Verifier) -> None:
    """A quorum of who agreed on a block signed its digest."""
    if certificate is None:
        raise Refused("chain_truncated", "certificate", tip.height, "Give the certificate of the last block.")
    if (certificate.height, certificate.digest) != (tip.height, tip.digest):
        raise Refused("evidence_wrong", "certificate", certificate.height)
    committee = tip.committee
    if not is_quorum(certificate, committee):
        places = ", ".join(str(seal.member) for seal in certificate.seals)
        raise Refused("signers_wrong", "certificate", places, f"Name {committee.quorum}, each once, in order.")
    view, digest = certificate.view, certificate.digest
    checks = [
        statement_check(chain, committee, seal.member, tip.height, view, Phase.COMMIT, digest, seal.signature)
        for seal in certificate.seals
    ]
    for seal, good in zip(certificate.seals, verify(checks), strict=True):
        if not good:
            raise Refused("seal_forged", "certificate", committee.keys[seal.member])


def _committee(named: Named, first: int) -> Committee:
    """Members are known by their keys here: what addresses they have, certificates do not tell."""
    _check_keys(named.keys)
    return Committee(named.version, first, named.keys, named.keys)


def _check_keys(keys: Sequence[bytes]) -> None:
    if not keys or len(dict.fromkeys(keys)) != len(keys):
        raise Refused("configuration_invalid", "committee.keys", len(keys), "Name distinct members, at least one.")
