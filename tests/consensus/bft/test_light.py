"""A light client: heads and certificates alone, across committees that share nobody, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.consensus.bft.liars import seals_of
from tests.consensus.bft.world import CHAIN, address, key_of, verify
from wattquorum.consensus.bft.blocks import Head, head_digest
from wattquorum.consensus.bft.certificates import CommitCertificate, Seal
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.light import Point, Step, genesis_point, verified
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

NOW, AGE_MS = Millis(50_000), 1_000


def committee(epoch: int, first: int, names: Sequence[int]) -> Committee:
    members = [address(name) for name in names]
    return Committee(epoch, first, members, [key_of(member) for member in members])


def signed(head: Head, by: Committee, places: Sequence[int] = (0, 1, 2), view: int = 0) -> CommitCertificate:
    digest = head_digest(CHAIN, head)
    seals = tuple(
        Seal(place, seals_of(by.members[place][0] - 65).make(by, head.height, view, Phase.COMMIT, digest))
        for place in places
    )
    return CommitCertificate(head.height, view, digest, seals)


OLD, NEW = committee(0, 1, (0, 1, 2, 3)), committee(1, 4, (4, 5, 6, 7))
GENESIS = genesis_point(CHAIN, OLD, NOW)


def chain(heights: int = 6, changes: Committee = NEW) -> tuple[list[Step], CommitCertificate]:
    """Heights of which the third names the next committee, and the certificate of the last."""
    steps: list[Step] = []
    certificate, previous = None, GENESIS.digest
    for height in range(1, heights + 1):
        head = Head(height, previous, certificate, bytes([height]))
        certificate, previous = signed(head, OLD if height <= 3 else changes), head_digest(CHAIN, head)
        steps.append(Step(head, changes if height == 3 else None))
    assert certificate is not None
    return steps, certificate


def follow(steps: Sequence[Step], tip: CommitCertificate, pinned: Point = GENESIS, now: Millis = NOW) -> Point:
    return verified(CHAIN, pinned, steps, tip, verify, now, AGE_MS)


def refuses(code: str, steps: Sequence[Step], tip: CommitCertificate, pinned: Point = GENESIS) -> None:
    with pytest.raises(Refused) as refused:
        follow(steps, tip, pinned)
    assert refused.value.code == code


def resealed(steps: list[Step], at: int, certificate: CommitCertificate) -> list[Step]:
    """The same chain, but that the head after `at` carries another certificate."""
    after = steps[at + 1]
    return [*steps[: at + 1], after._replace(head=changed(after.head, commit_certificate=certificate))]


def test_heads_are_verified_from_genesis_across_disjoint_committees() -> None:
    steps, tip = chain()
    point = follow(steps, tip)
    assert (point.height, point.digest, point.committee) == (6, tip.digest, NEW)


@pytest.mark.parametrize("cut", range(1, 6))
def test_any_verified_point_may_be_gone_on_from(cut: int) -> None:
    steps, tip = chain()
    embedded = steps[cut].head.commit_certificate
    assert embedded is not None
    pinned = follow(steps[:cut], embedded)
    assert follow(steps[cut:], tip, pinned) == follow(steps, tip)


def test_a_checkpoint_that_is_too_old_is_refused() -> None:
    steps, tip = chain()
    assert follow(steps, tip, now=Millis(NOW + AGE_MS)).height == 6
    with pytest.raises(Refused) as refused:
        follow(steps, tip, now=Millis(NOW + AGE_MS + 1))
    assert refused.value.code == "checkpoint_old"


def test_a_change_signed_by_the_new_committee_is_refused() -> None:
    steps, _ = chain()
    refuses("seal_forged", steps[:3], signed(steps[2].head, NEW))
    by_new = signed(steps[2].head, NEW)
    later = resealed(steps, 2, by_new)
    refuses("seal_forged", later, signed(later[-1].head, NEW))


def test_the_old_committee_certifies_nothing_more() -> None:
    steps, _ = chain()
    refuses("seal_forged", steps[:4], signed(steps[3].head, OLD))


def test_a_change_that_is_left_out_or_made_up_is_refused() -> None:
    steps, tip = chain()
    left_out = [step._replace(committee=None) for step in steps]
    refuses("seal_forged", left_out, tip)
    early = [*steps[:1], steps[1]._replace(committee=committee(1, 3, (4, 5, 6, 7))), *steps[2:]]
    refuses("seal_forged", early, tip)
    for wrong in (committee(0, 4, (4, 5, 6, 7)), committee(1, 5, (4, 5, 6, 7))):
        refuses("chain_altered", [*steps[:2], steps[2]._replace(committee=wrong)], signed(steps[2].head, OLD))


@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize(
    ("places", "code"),
    [
        ((0, 1), "signers_wrong"),
        ((0, 0, 1), "signers_wrong"),
        ((1, 0, 2), "signers_wrong"),
        ((0, 1, 2, 3), "signers_wrong"),
    ],
)
def test_signers_are_exactly_a_quorum_each_once(at: int, places: tuple[int, ...], code: str) -> None:
    steps, _ = chain()
    by = OLD if at < 3 else NEW
    refuses(code, steps[: at + 1], signed(steps[at].head, by, places))
    later = resealed(steps, at, signed(steps[at].head, by, places))
    refuses(code, later, signed(later[-1].head, OLD if at + 1 < 3 else NEW))


def test_foreign_and_forged_signers_are_refused() -> None:
    steps, tip = chain()
    refuses("signers_wrong", steps, changed(tip, seals=(*tip.seals[:2], Seal(9, tip.seals[2].signature))))
    refuses("seal_forged", steps, changed(tip, seals=(*tip.seals[:2], Seal(3, tip.seals[2].signature))))
    refuses("seal_forged", steps, changed(tip, seals=(*tip.seals[:2], Seal(2, bytes(64)))))
    refuses("seal_forged", steps, changed(tip, view=1))


def test_gaps_are_refused() -> None:
    steps, tip = chain()
    refuses("chain_altered", [], tip)
    refuses("chain_altered", steps[1:], tip)
    refuses("chain_altered", [*steps[:2], *steps[3:]], tip)
    refuses("chain_altered", [*steps[:2], steps[1], *steps[2:]], tip)


def test_a_fork_is_refused() -> None:
    steps, tip = chain()
    other = changed(steps[-1].head, payload_digest=b"other")
    refuses("evidence_wrong", [*steps[:-1], Step(other, None)], tip)
    elsewhere = Head(5, bytes(32), steps[4].head.commit_certificate, b"x")
    refuses("chain_altered", [*steps[:4], Step(elsewhere, None)], signed(elsewhere, NEW))


def test_a_head_carries_the_certificate_of_the_one_before_and_the_first_none() -> None:
    steps, tip = chain()
    first = changed(steps[0].head, commit_certificate=tip)
    refuses("evidence_wrong", [Step(first, None)], signed(first, OLD))
    for wrong in (None, tip):
        head = changed(steps[4].head, commit_certificate=wrong)
        refuses("evidence_wrong", [*steps[:4], Step(head, None)], signed(head, NEW))
