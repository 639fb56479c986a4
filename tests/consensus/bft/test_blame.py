"""Who is blamed: only what nobody honest can have said."""

from __future__ import annotations

from tests.consensus.bft.bench import NOW, SETTINGS, Bench, digest_of, handed_over
from tests.consensus.bft.world import (
    CHAIN,
    address,
    configured,
    everybody,
    key_of,
    outline,
    seals_of,
    sign_as,
    verify,
)
from wattquorum.consensus.bft.blocks import Outline
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.committee import Committee, committee_of, installed
from wattquorum.consensus.bft.desk import STRANGERS, Fault
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.messages import (
    AskBlock,
    AskRead,
    Blocks,
    Change,
    GiveBlock,
    GiveRead,
    NewView,
    PrePrepare,
    ViewChange,
    new_view_digest,
    to_frame,
    view_change_digest,
)
from wattquorum.consensus.bft.statements import Phase, phase_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import Millis


def later_committee() -> Committee:
    """One that the bench has not heard of: it agrees from height 3 on, and shares members with the bench's."""
    return committee_of(installed(configured((2, 0, 3, 5), 1, 2), key_of))


def sealed(committee: Committee, phase: Phase, height: int, digest: bytes) -> tuple[Seal, ...]:
    """Its first three members' signatures in view 0."""
    names = [each[0] - 65 for each in committee.members[:3]]
    return tuple(
        Seal(place, seals_of(name).make(committee, height, 0, phase_of(committee, place, 0, phase), digest))
        for place, name in enumerate(names)
    )


def test_what_a_committee_says_that_is_not_known_here_is_a_claim_and_no_lie() -> None:
    later, digest = later_committee(), bytes(32)
    tip = CommitCertificate(3, 0, digest, sealed(later, Phase.COMMIT, 3, digest))
    told = view_change_digest(tip, None)
    changes = tuple(
        Change(place, ViewChange(1, tip, None, seals_of(name).make(later, 3, 1, Phase.VIEW_CHANGE, told)))
        for place, name in ((0, 2), (1, 0), (2, 3))
    )
    signature = seals_of(0).make(later, 3, 1, Phase.NEW_VIEW, new_view_digest(b"", changes))
    prepared = PreparedCertificate(4, 0, digest, sealed(later, Phase.PREPARE, 4, digest))
    for message in (
        changes[0].view_change,
        NewView(1, 3, b"", changes, signature),
        GiveRead(1, 0, tip, None),
        GiveRead(1, 0, None, prepared),
    ):
        bench = Bench()
        bench.engine.read(1, Millis(NOW))
        bench.drain()
        (asked,) = bench.kept(AskRead)
        bench.hear(2, changed(message, life=asked.life) if isinstance(message, GiveRead) else message)
        assert bench.engine.term == 0
        assert not bench.engine.faults
        assert isinstance(message, NewView) or bench.engine.claims[address(2)] >= 3
    bench.hear(0, GiveRead(asked.round, asked.life, None, None))
    bench.hear(2, GiveRead(asked.round, asked.life, tip, None))
    assert not bench.answered, "an answer that cannot be judged is none"


def test_a_first_proposal_of_a_committee_that_is_not_known_here_yet_is_no_lie() -> None:
    bench = Bench()
    bench.applies = False
    block = bench.block()
    bench.hear(2, Blocks((block,), bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    bench.propose_as(3, 0, bench.block(1, NOW + 1))  # the block at the tip may have named a committee that it leads
    assert not bench.engine.faults


def test_who_has_not_applied_the_block_that_names_a_committee_does_not_lie() -> None:
    bench = handed_over(1, range(4), (1, 2, 4, 5))
    chained = bench.engine.block(1)
    assert chained is not None
    changes = {name: bench.change(name, 2, chained.commit_certificate) for name in (0, 2, 3)}
    bench.hear(2, changes[2])
    bench.hear(2, bench.new_view(2, changes))
    assert (bench.engine.term, bench.engine.established) == (0, True)
    assert not bench.engine.faults
    bench.hear(2, changed(changes[2], view=3))
    bench.hear(2, changed(bench.new_view(2, changes), signature=bytes(64)))
    assert bench.engine.faults == {address(2): 2}


def test_a_false_certificate_of_a_height_that_is_known_here_is_a_lie_whatever_is_above_it() -> None:
    bench = Bench()
    tip = CommitCertificate(1, 0, bytes(32), bench.certificate(1, 0, bytes(32), (0, 1)).seals)
    bench.hear(3, bench.change(3, 2, tip))
    assert dict(bench.engine.faults_by_kind) == {(address(3), Fault.FALSE_VIEW_CHANGE): 1}


def test_a_block_that_was_let_go_of_before_it_was_judged_is_judged_again() -> None:
    bench = Bench()
    block = bench.block()
    bench.engine.receive(address(0), to_frame(bench.pre_prepare(0, 0, block)), Millis(NOW))
    changes = {name: bench.change(name, 2) for name in (0, 2)}
    changes[3] = bench.change(3, 2, None, bench.prepared(1, 0, digest_of(block), (0, 2, 3)))
    bench.engine.receive(address(2), to_frame(bench.new_view(2, changes)), Millis(NOW))
    bench.good = False  # a driver does not find a block that the engine has let go of
    bench.drain()
    bench.good = True
    bench.propose_as(2, 2, block)
    assert bench.judged == [digest_of(block)] * 2
    assert bench.votes(2) == [(1, 2, digest_of(block))]
    assert not bench.engine.faults


def test_strangers_are_counted_together() -> None:
    bench = Bench()
    for number in range(50):
        bench.engine.receive(number.to_bytes(20, "big"), b"", Millis(NOW))
    bench.engine.receive(address(2), b"", Millis(NOW))
    assert bench.engine.faults == {STRANGERS: 50, address(2): 1}


def test_of_one_block_that_was_asked_for_no_other_is_taken() -> None:
    bench = Bench()
    block, other = bench.block(), bench.block(7)
    for name in (0, 2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    ((asked, _, _),) = [each for each in bench.said if isinstance(each[1], AskBlock)]
    stranger = next(name for name in (0, 2, 3) if name != asked)
    bench.hear(stranger, GiveBlock(other))
    assert not bench.engine.faults
    bench.hear(asked, GiveBlock(other))
    assert dict(bench.engine.faults_by_kind) == {(address(asked), Fault.OTHER_BLOCK): 1}
    assert bench.engine.proposed(digest_of(other)) is None
    bench.hear(stranger, GiveBlock(block))
    assert bench.committed == [block.payload]


def test_nothing_in_a_payload_is_looked_at_that_nobody_can_have_signed() -> None:
    looked: list[bytes] = []

    def looking(payload: bytes) -> Outline | None:
        looked.append(payload)
        return outline(payload)

    bench = Bench()
    means = Means(sign_as(1), verify, key_of, looking, digest=lambda payload: tagged_hash("payload", payload))
    bench.engine = Bft(address(1), CHAIN, everybody(4), means, [], 1, Millis(NOW), 0, SETTINGS)
    block, other = bench.block(), bench.block(7)
    proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
    unsigned = changed(proof, seals=(changed(proof.seals[0], signature=bytes(64)), *proof.seals[1:]))
    bench.hear(2, Blocks((block,), unsigned))
    bench.hear(2, Blocks((other,), proof))
    bench.hear(0, PrePrepare(0, block, bytes(64)))
    for name in (0, 2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    bench.hear(3, GiveBlock(other))
    assert not looked
    bench.hear(2, GiveBlock(block))
    assert looked == [block.payload]
    assert bench.committed == [block.payload]


def test_who_goes_on_from_a_state_still_knows_the_committee_before() -> None:
    """Who is behind in an epoch leaves its view with the block that named the committee as its tip."""
    bench = handed_over(1, range(4), range(4))
    bench.committee = committee_of(installed(configured(range(4), 1, 1), key_of))
    boundary = bench.engine.block(1)
    assert boundary is not None
    bench.applies = True
    bench.decide(1, time_ms=NOW + 1)
    bench.engine.snapshot(2, b"state", Millis(bench.now))
    bench.drain()
    again = Bench(records=[each for each in bench.records if each.position >= bench.records[-1].position])
    again.committee = bench.committee
    assert again.engine.height == 2
    again.hear(2, bench.change(2, 5, boundary.commit_certificate))
    again.hear(3, bench.change(3, 5, boundary.commit_certificate))
    assert again.engine.term == 5
    assert not again.engine.faults


def test_what_a_committee_said_that_is_forgotten_here_is_no_lie() -> None:
    """A state that is taken over tells of the last committees alone."""
    bench = handed_over(1, range(4), range(4))
    bench.committee = committee_of(installed(configured(range(4), 1, 1), key_of))
    boundary = bench.engine.block(1)
    bench.applies = True
    bench.now += 1
    bench.decide(1)
    chained = bench.engine.block(2)
    assert boundary is not None
    assert chained is not None
    late = Bench()
    late.engine.take_over(chained, [installed(configured(range(4), 1, 1), key_of)], b"state", Millis(late.now))
    late.drain()
    late.engine.applied(2, b"", Millis(late.now))
    changes = {name: bench.change(name, 6, boundary.commit_certificate) for name in (0, 2, 3)}
    late.hear(3, changes[3])
    changes[0] = bench.change(0, 6, chained.commit_certificate)
    late.hear(2, bench.new_view(6, changes))
    assert not late.engine.faults
