"""What honest members say has to hold together: each way in which it may not is noticed, and what is legal is not."""

from __future__ import annotations

import pytest

from tests.consensus.bft.world import CHAIN, address, everybody, key_of, sign_as, verify
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.committee import Committee, Committees, installed
from wattquorum.consensus.bft.messages import BftMessage, ViewChange, Vote, view_change_digest
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.consensus.bft.views import new_view
from wattquorum.foundation.codec import changed
from wattquorum.simulation import testimony
from wattquorum.simulation.checkers import Broken

ONE, OTHER = b"\x01" * 32, b"\x02" * 32
LIAR = 3


class Hearing:
    """Four members, of whom the last lies, and what they say."""

    def __init__(self) -> None:
        self.committees = Committees([installed(everybody(4), key_of)])
        self.testimony = testimony.Testimony(self.seals(0), verify, [address(LIAR)], self.committees)

    def seals(self, name: int) -> Seals:
        return Seals(CHAIN, sign_as(name), verify)

    @property
    def committee(self) -> Committee:
        return self.committees.at(1)

    def says(self, name: int, message: BftMessage) -> None:
        self.testimony.said(address(name), message, b"")

    def vote(self, name: int, phase: Phase, height: int, view: int, digest: bytes) -> Vote:
        signature = self.seals(name).make(self.committee, height, view, phase, digest)
        return Vote(2 if phase is Phase.PREPARE else 3, height, view, digest, signature)

    def commits(self, name: int, height: int, view: int, digest: bytes) -> None:
        self.says(name, self.vote(name, Phase.COMMIT, height, view, digest))

    def prepares(self, name: int, height: int, view: int, digest: bytes) -> None:
        self.says(name, self.vote(name, Phase.PREPARE, height, view, digest))

    def prepared(self, height: int, view: int, digest: bytes) -> PreparedCertificate:
        def seal(name: int) -> bytes:
            phase = Phase.PRE_PREPARE if name == view % 4 else Phase.PREPARE
            return self.seals(name).make(self.committee, height, view, phase, digest)

        return PreparedCertificate(height, view, digest, tuple(Seal(name, seal(name)) for name in range(3)))

    def certified(self, height: int, view: int, digest: bytes) -> CommitCertificate:
        seals = [
            Seal(name, self.seals(name).make(self.committee, height, view, Phase.COMMIT, digest)) for name in range(3)
        ]
        return CommitCertificate(height, view, digest, tuple(seals))

    def change(
        self, name: int, view: int, tip: CommitCertificate | None = None, prepared: PreparedCertificate | None = None
    ) -> ViewChange:
        digest = view_change_digest(tip, prepared)
        height = 0 if tip is None else tip.height
        signature = self.seals(name).make(self.committee, height, view, Phase.VIEW_CHANGE, digest)
        return ViewChange(view, tip, prepared, signature)


def test_a_lock_that_is_told_and_held_is_in_order() -> None:
    hearing = Hearing()
    for name in (0, 1):
        hearing.commits(name, 1, 0, ONE)
        hearing.says(name, hearing.change(name, 1, None, hearing.prepared(1, 0, ONE)))
    hearing.prepares(2, 1, 1, ONE)
    hearing.commits(0, 1, 1, ONE)
    hearing.says(0, hearing.change(0, 2, hearing.certified(1, 1, ONE)))
    hearing.prepares(2, 2, 2, OTHER)


def test_nobody_forgets_what_it_committed_when_it_leaves_a_view() -> None:
    hearing = Hearing()
    hearing.commits(0, 1, 0, ONE)
    with pytest.raises(Broken, match=r"I9: .* commits at 1 in view 0, and left for 1 without that"):
        hearing.says(0, hearing.change(0, 1))


def test_nobody_commits_in_a_view_that_it_left() -> None:
    hearing = Hearing()
    hearing.says(0, hearing.change(0, 2))
    with pytest.raises(Broken, match="I9"):
        hearing.commits(0, 1, 1, ONE)


def test_nobody_prepares_in_a_view_that_it_left() -> None:
    hearing = Hearing()
    hearing.prepares(1, 1, 0, ONE)
    hearing.says(1, hearing.change(1, 2))
    hearing.prepares(1, 1, 0, ONE)  # said again
    with pytest.raises(Broken, match=r"I9: .* supports a block in view 1 after it left for 2"):
        hearing.prepares(1, 1, 1, ONE)


def test_nobody_prepares_another_block_above_a_view_that_can_decide() -> None:
    hearing = Hearing()
    hearing.commits(0, 1, 0, ONE)
    hearing.prepares(2, 1, 1, OTHER)  # one honest member and the liar are no quorum
    with pytest.raises(Broken, match="I8: somebody supports another block of height 1 than view 0 can decide on"):
        hearing.commits(1, 1, 0, ONE)


def test_two_blocks_cannot_be_certified() -> None:
    hearing = Hearing()
    hearing.commits(0, 1, 0, ONE)
    hearing.commits(1, 1, 0, ONE)
    hearing.commits(1, 1, 1, OTHER)
    with pytest.raises(Broken, match="I8"):
        hearing.commits(2, 1, 1, OTHER)


def test_a_new_view_follows_from_what_a_quorum_says() -> None:
    hearing = Hearing()
    told = [(name, hearing.change(name, 1)) for name in (1, 2)]
    told.insert(0, (0, hearing.change(0, 1, None, hearing.prepared(1, 0, ONE))))
    good = new_view(1, told, hearing.committee, hearing.seals(1))
    assert good.digest == ONE
    hearing.says(1, good)
    forged = changed(hearing.prepared(1, 0, OTHER), seals=hearing.prepared(1, 0, ONE).seals)
    tip = changed(hearing.certified(1, 0, OTHER), seals=hearing.certified(1, 0, ONE).seals)
    for wrong in (
        changed(good, digest=b""),
        changed(good, changes=good.changes[:2]),
        changed(good, signature=bytes(64)),
        new_view(1, [*told[:2], (2, told[1][1])], hearing.committee, hearing.seals(1)),
        new_view(1, [*told[:2], (2, hearing.change(2, 2))], hearing.committee, hearing.seals(1)),
        new_view(1, [*told[:2], (2, hearing.change(2, 1, None, forged))], hearing.committee, hearing.seals(1)),
        new_view(1, [*told[:2], (2, hearing.change(2, 1, tip))], hearing.committee, hearing.seals(1)),
    ):
        with pytest.raises(Broken, match="I10"):
            hearing.says(1, wrong)
