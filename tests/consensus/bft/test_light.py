"""Light: what certificates alone prove, across committees that share nobody, and what they do not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.consensus.bft.liars import seals_of
from tests.consensus.bft.world import CHAIN, address, key_of, verify
from wattquorum.consensus.bft.blocks import Head, genesis_digest, head_digest
from wattquorum.consensus.bft.certificates import CommitCertificate, Seal
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.light import Checkpoint, Named, Step, follow, forks, genesis
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import Signed, tagged_hash
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

CREATED, AGE_MAX = 1_000, 10_000
FIRST, SECOND, THIRD = range(4), range(4, 11), range(2, 7)  # the second shares nobody with the first


def named(version: int, names: Sequence[int]) -> Named:
    return Named(version, tuple(key_of(address(name)) for name in names))


class Branch:
    """A chain that its committees agree on, whatever they agree on."""

    def __init__(self, names: Sequence[int] = FIRST, chain: bytes = CHAIN) -> None:
        self.chain = chain
        self.names, self.version = list(names), 0
        self.steps: list[Step] = []
        self.tips: list[CommitCertificate] = []  # of each height
        self.digest = genesis_digest(chain)
        self.next: Sequence[int] | None = None

    @property
    def committee(self) -> Committee:
        keys = [key_of(address(name)) for name in self.names]
        return Committee(self.version, 1, keys, keys)

    @property
    def height(self) -> int:
        return len(self.steps)

    def copy(self) -> Branch:
        other = Branch(self.names, self.chain)
        other.version, other.digest, other.next = self.version, self.digest, self.next
        other.steps, other.tips = list(self.steps), list(self.tips)
        return other

    def sign(self, places: Sequence[int] | None = None, view: int = 0) -> CommitCertificate:
        """A certificate of the tip by these places of its committee."""
        committee = self.committee
        chosen = range(committee.quorum) if places is None else places
        made = [(place, seals_of(self.names[place])) for place in chosen]
        args = (committee, self.height, view, Phase.COMMIT, self.digest)
        return CommitCertificate(
            self.height, view, self.digest, tuple(Seal(place, each.make(*args)) for place, each in made)
        )

    def grow(self, name: Sequence[int] | None = None, salt: int = 0) -> None:
        """The next block; `name`, who agrees after it."""
        if self.next is not None:
            self.names, self.version, self.next = list(self.next), self.version + 1, None
        embedded = self.tips[-1] if self.tips else None
        height = self.height + 1
        payload = tagged_hash("payload of a test", bytes([height, salt, *(name or ())]))
        head = Head(height, self.digest, embedded, payload)
        follower = None if name is None else named(self.version + 1, name)
        self.steps.append(Step(head, CREATED + height, follower))
        self.digest, self.next = head_digest(self.chain, head), name
        self.tips.append(self.sign())


def across() -> Branch:
    """Eight blocks: the third and the sixth name others."""
    branch = Branch()
    for name in (None, None, SECOND, None, None, THIRD, None, None):
        branch.grow(name)
    return branch


def start() -> Checkpoint:
    return genesis(CHAIN, Millis(CREATED), named(0, FIRST))


def proven(
    steps: Sequence[Step], tip: CommitCertificate | None, trusted: Checkpoint | None = None, now: int = CREATED
) -> Checkpoint:
    return follow(CHAIN, trusted or start(), iter(steps), tip, verify, Millis(now), Millis(AGE_MAX))


def refused(
    steps: Sequence[Step], tip: CommitCertificate | None, trusted: Checkpoint | None = None, now: int = CREATED
) -> tuple[str, str]:
    with pytest.raises(Refused) as found:
        proven(steps, tip, trusted, now)
    return found.value.code, found.value.field


def test_a_chain_is_proven_across_committees_and_from_every_point_on_it() -> None:
    branch = across()
    points = [start(), *(proven(branch.steps[: at + 1], tip) for at, tip in enumerate(branch.tips))]
    assert [point.height for point in points] == list(range(9))
    assert [len(point.committee.members) for point in points] == [4, 4, 4, 7, 7, 7, 5, 5, 5]
    assert [point.committee.epoch for point in points] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for point in points:
        for target in points[point.height + 1 :]:
            found = proven(branch.steps[point.height : target.height], branch.tips[target.height - 1], point)
            assert found[:3] == target[:3]
            assert (found.committee.keys, found.committee.epoch) == (target.committee.keys, target.committee.epoch)
            assert found.committee.first <= target.height + 1
        assert proven([], None, point) == point


def test_signatures_are_checked_once_for_each_committee_however_long_the_chain() -> None:
    branch, asked = across(), []

    def counting(checks: Sequence[Signed]) -> list[bool]:
        asked.append(len(checks))
        return verify(checks)

    follow(CHAIN, start(), branch.steps, branch.tips[-1], counting, Millis(CREATED), Millis(AGE_MAX))
    assert asked == [3, 5, 4]  # the quorums of 4, 7, and 5


@pytest.mark.parametrize("height", [3, 6, 8])
def test_what_hands_over_or_ends_a_chain_needs_a_quorum_of_who_agreed_on_it(height: int) -> None:
    branch = Branch()
    for each in across().steps[:height]:
        branch.grow(None if each.named is None else (SECOND if each.named.version == 1 else THIRD))
    good, quorum = branch.tips[-1], branch.committee.quorum
    seals = good.seals

    def as_tip_and_within(bad: CommitCertificate) -> list[tuple[str, str]]:
        """As the tip's, and where another block follows that embeds it."""
        found = [refused(branch.steps, bad)]
        later = branch.copy()
        later.tips[-1] = bad
        later.grow()
        if branch.next is not None:
            found.append(refused(later.steps, later.tips[-1]))
        return found

    def expect(bad: CommitCertificate, code: str) -> None:
        assert dict.fromkeys(as_tip_and_within(bad)) == {(code, "certificate"): None}

    expect(changed(good, seals=(seals[0], *seals[:-1])), "signers_wrong")  # one twice, and so one fewer
    expect(changed(good, seals=seals[:-1]), "signers_wrong")
    expect(branch.sign(range(quorum + 1)), "signers_wrong") if quorum < len(branch.names) else None
    expect(changed(good, seals=seals[::-1]), "signers_wrong")
    foreign = changed(seals[-1], member=len(branch.names))
    expect(changed(good, seals=(*seals[:-1], foreign)), "signers_wrong")
    expect(changed(good, seals=(*seals[:-1], changed(seals[-1], signature=bytes(64)))), "seal_forged")
    other = changed(seals[-1], signature=seals[0].signature)
    expect(changed(good, seals=(*seals[:-1], other)), "seal_forged")
    expect(changed(good, view=1), "seal_forged")
    assert proven(branch.steps, branch.sign(range(len(branch.names))[-quorum:], view=3)).digest == branch.digest


@pytest.mark.parametrize("after", [SECOND, THIRD, range(4)], ids=["disjoint", "overlapping", "the same"])
def test_a_change_is_signed_by_those_before_it_and_not_by_those_after(after: Sequence[int]) -> None:
    branch = Branch()
    branch.grow(after)
    signed = branch.copy()
    signed.names, signed.version = list(after), 1
    by_the_new = signed.sign()
    assert refused(branch.steps, by_the_new)[0] in {"signers_wrong", "seal_forged"}
    branch.tips[-1] = by_the_new
    branch.grow()
    assert refused(branch.steps, branch.tips[-1])[0] in {"signers_wrong", "seal_forged"}


@pytest.mark.parametrize("after", [SECOND, THIRD, range(4)], ids=["disjoint", "overlapping", "the same"])
def test_a_block_after_a_change_is_signed_by_the_new_and_not_by_the_old(after: Sequence[int]) -> None:
    branch = Branch()
    branch.grow(after)
    branch.grow()
    branch.names, branch.version = list(FIRST), 0
    assert refused(branch.steps, branch.sign())[0] in {"signers_wrong", "seal_forged"}


def test_gaps_repeated_blocks_other_branches_and_other_chains_do_not_follow() -> None:
    branch, length = across(), 8
    tip = branch.tips[-1]
    for at in range(length):
        code = refused([*branch.steps[:at], *branch.steps[at + 1 :]], tip)
        assert code == (("evidence_wrong", "certificate") if at == length - 1 else ("chain_altered", "head.height"))
        repeated = refused([*branch.steps[: at + 1], *branch.steps[at:]], tip)
        assert repeated == ("chain_altered", "head.height")
    other = Branch()
    for each in branch.steps:
        other.grow(None if each.named is None else (SECOND if each.named.version == 1 else THIRD), salt=1)
    for at in range(1, length):
        crossed = [*branch.steps[:at], *other.steps[at:]]
        assert refused(crossed, other.tips[-1]) == ("chain_altered", "head.previous")
    foreign = Branch(chain=b"another chain")
    foreign.grow()
    assert refused(foreign.steps, foreign.tips[-1]) == ("chain_altered", "head.previous")
    stranger = changed(foreign.steps[0].head, previous=genesis_digest(CHAIN))
    step = foreign.steps[0]._replace(head=stranger)
    assert refused([step], foreign.tips[-1]) == ("evidence_wrong", "certificate")
    foreign.digest = head_digest(CHAIN, stranger)
    seals = [
        Seal(place, seals_of(place).make(foreign.committee, 1, 0, Phase.COMMIT, foreign.digest)) for place in range(3)
    ]
    good = CommitCertificate(1, 0, foreign.digest, tuple(seals))
    assert proven([step], good).height == 1


def test_two_branches_from_one_point_both_hold_only_where_a_quorum_lies_and_are_told_apart() -> None:
    first, second = across(), across().copy()
    first.grow(salt=1)
    second.grow(salt=2)
    one, other = proven(first.steps, first.tips[-1]), proven(second.steps, second.tips[-1])
    assert forks(one, other)
    assert not forks(one, one)
    assert not forks(one, proven(first.steps[:-1], first.tips[-2]))
    assert refused(first.steps, second.tips[-1]) == ("evidence_wrong", "certificate")
    following = second.copy()
    following.grow()
    assert refused(following.steps[-1:], following.tips[-1], one) == ("chain_altered", "head.previous")


def test_embedded_certificates_are_of_the_block_before() -> None:
    branch = across()
    for at in range(1, 8):
        for wrong in (None, branch.tips[at - 2] if at > 1 else None, changed(branch.tips[at - 1], height=at + 5)):
            step = branch.steps[at]
            bad = step._replace(head=changed(step.head, commit_certificate=wrong))
            assert refused([*branch.steps[:at], bad], branch.tips[at]) == ("evidence_wrong", "head.commit_certificate")
    first = branch.steps[0]
    early = first._replace(head=changed(first.head, commit_certificate=branch.tips[0]))
    assert refused([early], branch.tips[0]) == ("evidence_wrong", "head.commit_certificate")


def test_an_altered_head_proves_nothing() -> None:
    branch = across()
    for at in range(8):
        step = branch.steps[at]
        bad = step._replace(head=changed(step.head, payload_digest=bytes(32)))
        wrong = refused([*branch.steps[:at], bad, *branch.steps[at + 1 :]], branch.tips[-1])
        handed = (("evidence_wrong", "certificate"), ("chain_altered", "head.previous"))
        assert wrong in handed


def test_a_chain_without_its_tips_certificate_is_cut_off_and_a_certificate_without_blocks_proves_nothing() -> None:
    branch = across()
    for height in (1, 3, 8):
        assert refused(branch.steps[:height], None) == ("chain_truncated", "certificate")
    assert refused([], branch.tips[0]) == ("evidence_wrong", "certificate")


def test_a_checkpoint_is_believed_for_as_long_as_its_bound_says() -> None:
    branch = across()
    point = proven(branch.steps[:4], branch.tips[3])
    steps, tip = branch.steps[4:], branch.tips[-1]
    assert proven(steps, tip, point, now=point.time_ms + AGE_MAX).height == 8
    assert refused(steps, tip, point, now=point.time_ms + AGE_MAX + 1) == ("checkpoint_old", "checkpoint.time_ms")
    assert refused([], None, point, now=point.time_ms + AGE_MAX + 1) == ("checkpoint_old", "checkpoint.time_ms")
    assert refused(branch.steps, tip, start(), now=CREATED + AGE_MAX + 1)[0] == "checkpoint_old"


def test_times_rise() -> None:
    branch = across()
    for at in range(8):
        early = branch.steps[at]._replace(time_ms=CREATED + at)
        assert refused([*branch.steps[:at], early], branch.tips[at]) == ("chain_altered", "time_ms")


def test_a_committee_that_is_named_is_a_later_one_of_distinct_members() -> None:
    branch = Branch()
    branch.grow(SECOND)
    step, tip = branch.steps[0], branch.tips[0]
    for follower, field in (
        (named(0, SECOND), "committee.version"),
        (named(1, []), "committee.keys"),
        (named(1, [4, 5, 6, 4]), "committee.keys"),
    ):
        assert refused([step._replace(named=follower)], tip) == ("configuration_invalid", field)
    with pytest.raises(Refused, match=r"committee\.keys"):
        genesis(CHAIN, Millis(CREATED), named(0, [1, 1]))


@given(
    st.lists(st.one_of(st.none(), st.lists(st.integers(0, 40), min_size=1, max_size=9, unique=True)), max_size=12),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_chain_is_proven_in_any_pieces_and_no_altered_piece_is(
    changes: list[list[int] | None], data: st.DataObject
) -> None:
    branch = Branch()
    for change in changes:
        branch.grow(change)
    cuts = data.draw(st.lists(st.integers(0, branch.height), max_size=3).map(sorted))
    point, at = start(), 0
    for cut in [*cuts, branch.height]:
        steps = branch.steps[at:cut]
        point = proven(steps, branch.tips[cut - 1] if steps else None, point)
        at = cut
    assert (point.height, point.digest) == (branch.height, branch.digest)
    if branch.height:
        signers = data.draw(st.lists(st.integers(0, 12), max_size=10))
        tip = branch.tips[-1]
        by_place = dict(enumerate(seals_of(name) for name in branch.names))
        args = (branch.committee, branch.height, 0, Phase.COMMIT, branch.digest)
        made = tuple(Seal(each, by_place[each].make(*args) if each in by_place else bytes(64)) for each in signers)
        fine = len(signers) == branch.committee.quorum and signers == sorted(dict.fromkeys(signers))
        if fine and all(each in by_place for each in signers):
            assert proven(branch.steps, changed(tip, seals=made)).digest == branch.digest
        else:
            assert refused(branch.steps, changed(tip, seals=made)) == ("signers_wrong", "certificate")
