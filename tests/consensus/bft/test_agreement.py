"""From a proposal to a certified block, rule by rule: one engine, and everybody else played."""

from __future__ import annotations

import pytest

from tests.consensus.bft.bench import NOW, Bench, digest_of
from tests.consensus.bft.world import (
    address,
    seals_of,
)
from wattquorum.consensus.bft.committee import quorum_of, tolerated
from wattquorum.consensus.bft.messages import (
    AskBlock,
    AskRead,
    Blocks,
    GiveBlock,
    PrePrepare,
    ViewChange,
    Vote,
)
from wattquorum.consensus.bft.records import Accepted, Certified, Held, Prepared, decode_record
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused


def test_any_two_quorums_share_somebody_who_does_not_lie() -> None:
    for n in range(1, 200):
        assert 2 * quorum_of(n) - n >= tolerated(n) + 1
        assert quorum_of(n) <= n - tolerated(n)
        assert 2 * (quorum_of(n) - 1) - n < tolerated(n) + 1  # and one fewer would not do


def test_a_height_goes_from_pre_prepare_to_the_next_tip() -> None:
    bench = Bench()
    block = bench.decide()
    assert bench.committed == [block.payload]
    assert bench.engine.height == 1
    digest = digest_of(block)
    assert bench.votes(2) == bench.votes(3) == [(1, 0, digest)]
    proof = bench.engine.block(1)
    assert proof is not None
    assert len(proof.commit_certificate.seals) == bench.committee.quorum


def test_what_is_said_waits_for_what_makes_it_true() -> None:
    bench = Bench()
    bench.decide()
    kinds = {each.position: type(decode_record(each.data)) for each in bench.records}
    waits = {message.phase: after for _, message, after in bench.said if isinstance(message, Vote)}
    assert [kinds[at] for at in range(1, waits[2] + 1)] == [Held, Accepted]
    assert kinds[waits[3]] is Prepared
    assert kinds[max(kinds)] is Certified


def test_its_own_commit_counts_once_its_record_is_durable() -> None:
    """With two others it is a quorum of four: if one of these lies and it forgets, one alone keeps the block."""
    bench = Bench()
    bench.syncs = False
    block = bench.block()
    bench.propose_as(0, 0, block)
    for name in (2, 3):
        bench.vote(name, Phase.PREPARE, 1, 0, digest_of(block))
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    assert bench.votes(3), "it is prepared"
    assert not bench.committed
    forgetful = Bench(records=[each for each in bench.records if type(decode_record(each.data)) is not Prepared])
    assert not forgetful.committed
    bench.sync()
    assert bench.committed == [block.payload]


def test_a_quorum_of_others_needs_no_promise_of_its_own() -> None:
    bench = Bench()
    bench.syncs = False
    block = bench.block()
    bench.propose_as(0, 0, block)
    for name in (0, 2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    assert bench.committed == [block.payload]


def test_what_only_asks_waits_for_no_disk() -> None:
    bench = Bench()
    bench.decide()
    bench.engine.read(1, Millis(bench.now))
    bench.drain()
    assert [after for _, message, after in bench.said if isinstance(message, AskRead)] == [0, 0, 0]


def test_a_primary_keeps_its_own_proposal_before_it_is_sent() -> None:
    bench = Bench(me=0)
    bench.demand(NOW)
    assert bench.wanted == [(1, 0)]
    bench.propose(bench.block().payload)
    ((_, _, after), *_) = [each for each in bench.said if isinstance(each[1], PrePrepare)]
    assert [type(decode_record(each.data)) for each in bench.records if each.position <= after] == [Held, Accepted]
    again = Bench(me=0, records=bench.records)
    assert not again.engine.takes


def test_the_digest_leaves_the_view_out() -> None:
    one, other = Bench(), Bench()
    block = one.block()
    one.propose_as(0, 0, block)
    other.hear(2, other.new_view(2, {name: other.change(name, 2) for name in (0, 2, 3)}))
    other.propose_as(2, 2, block)
    assert one.votes(2)[0][2] == other.votes(2)[0][2]


def test_only_the_primary_of_the_view_proposes() -> None:
    bench = Bench()
    bench.propose_as(2, 0, bench.block())
    assert not bench.votes(2)
    assert bench.engine.faults


def test_a_second_proposal_of_a_view_is_evidence_and_not_supported() -> None:
    bench = Bench()
    bench.propose_as(0, 0, bench.block(1))
    bench.propose_as(0, 0, bench.block(2))
    assert len(bench.votes(2)) == 1
    (evidence,) = bench.engine.accusations()
    assert (evidence.member, evidence.phase, evidence.height) == (address(0), 1, 1)
    assert bench.engine.accusations() == ()


def test_two_votes_are_evidence_and_a_forged_second_one_is_none() -> None:
    bench = Bench()
    bench.vote(2, Phase.COMMIT, 1, 0, b"\x01" * 32)
    bench.hear(2, Vote(3, 1, 0, b"\x02" * 32, bytes(64)))
    assert bench.engine.accusations() == ()
    bench.vote(2, Phase.COMMIT, 1, 0, b"\x03" * 32)
    assert len(bench.engine.accusations()) == 1


def test_a_replica_can_show_what_it_committed_and_nothing_that_it_did_not_also_after_a_restart() -> None:
    bench = Bench()
    first = bench.decide()
    second = bench.block()
    bench.hear(0, Blocks((second,), bench.certificate(2, 0, digest_of(second), (0, 2, 3))))
    assert bench.engine.height == 2
    for engine in (bench.engine, Bench(records=bench.records).engine):
        found = engine.own_commit(1)
        assert found is not None
        mine = seals_of(1).make(bench.committee, 1, 0, Phase.COMMIT, digest_of(first))
        assert found == (0, mine)
        assert engine.own_commit(2) is None
        assert engine.own_commit(3) is None
    other, third = bench.block(1, NOW + 1), bench.block(2, NOW + 1)
    bench.propose_as(0, 0, other)
    for name in (2, 3):
        bench.vote(name, Phase.PREPARE, 3, 0, digest_of(other))
    assert bench.votes(3)[-1] == (3, 0, digest_of(other))
    bench.hear(2, Blocks((third,), bench.certificate(3, 1, digest_of(third), (0, 2, 3))))
    assert bench.engine.height == 3
    for engine in (bench.engine, Bench(records=bench.records).engine):
        assert engine.own_commit(3) is None, "what it committed was not certified"


def test_a_primary_that_leaves_a_member_out_does_not_keep_it_from_attending() -> None:
    """It is shown no proposal, or a bad one in its place; what f+1 others tell it says that it was there."""
    for shown in (False, True):
        bench = Bench()
        bench.good = not shown
        if shown:
            bench.propose_as(0, 0, bench.block(9))
        block = bench.block()
        proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
        bench.vote(2, Phase.COMMIT, 1, 0, digest_of(block))
        alone = Bench(records=bench.records)
        alone.vote(2, Phase.COMMIT, 1, 0, digest_of(block))
        alone.hear(2, Blocks((block,), proof))
        assert alone.engine.own_commit(1) is None, "one other may lie, or have told it long ago"
        bench.vote(3, Phase.COMMIT, 1, 0, digest_of(block))
        assert bench.votes(3) == []
        bench.hear(2, Blocks((block,), proof))
        mine = seals_of(1).make(bench.committee, 1, 0, Phase.COMMIT, digest_of(block))
        assert bench.engine.own_commit(1) == (0, mine)
        assert bench.votes(3) == [], "it is shown, and not said"


def test_who_supported_another_block_in_that_view_signs_no_second_one() -> None:
    bench = Bench()
    bench.propose_as(0, 0, bench.block(1))
    block = bench.block(2)
    for name in (0, 2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    bench.hear(2, Blocks((block,), bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    assert bench.engine.height == 1
    assert bench.engine.own_commit(1) is None


def test_who_found_a_block_bad_signs_it_not_when_it_is_certified_either() -> None:
    bench = Bench()
    bench.good = False
    block = bench.block()
    bench.propose_as(0, 0, block)
    assert bench.judged
    for name in (2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    bench.hear(2, Blocks((block,), bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    assert bench.engine.height == 1
    assert bench.engine.own_commit(1) is None


def test_who_follows_has_nothing_to_show() -> None:
    bench = Bench(members=4, me=5)
    block = bench.block()
    for name in (2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    bench.hear(2, Blocks((block,), bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    assert bench.engine.height == 1
    assert bench.engine.own_commit(1) is None


def test_a_bad_block_is_not_prepared() -> None:
    bench = Bench()
    bench.good = False
    bench.propose_as(0, 0, bench.block())
    assert bench.judged
    assert not bench.votes(2)
    assert address(0) in bench.engine.faults


def test_a_bad_block_ends_its_view_at_once_and_no_later_one() -> None:
    bench = Bench()
    bench.good = False
    bench.propose_as(0, 0, bench.block())
    assert [each.view for each in bench.kept(ViewChange)] == [1]
    bench.propose_as(0, 0, bench.block(1))
    bench.demand(NOW)
    bench.pass_ms(10_000)
    assert [each.view for each in bench.kept(ViewChange)] == [1]  # alone it goes nowhere else


def test_who_alone_was_shown_a_bad_block_goes_on_with_the_others() -> None:
    bench = Bench()
    bench.good = False
    bench.propose_as(0, 0, bench.block())
    assert not bench.engine.established
    good = bench.block(1)
    bench.hear(2, Blocks((good,), bench.certificate(1, 0, digest_of(good), (0, 2, 3))))
    assert bench.committed == [good.payload]


def test_a_stranger_cannot_end_a_view_by_a_bad_block() -> None:
    bench = Bench()
    bench.good = False
    bench.hear(0, bench.pre_prepare(2, 0, bench.block()))  # said by the primary, signed by another
    bench.propose_as(2, 0, bench.block())
    assert not bench.judged
    assert not bench.kept(ViewChange)


@pytest.mark.parametrize("off_ms", [-51, 51])
def test_a_first_proposals_time_is_near_now(off_ms: int) -> None:
    bench = Bench()
    bench.propose_as(0, 0, bench.block(time_ms=NOW + off_ms))
    assert not bench.judged
    bench.propose_as(0, 0, bench.block(time_ms=NOW + off_ms - off_ms // abs(off_ms)))
    assert bench.judged


def test_time_is_strictly_above_the_block_befores() -> None:
    bench = Bench()
    bench.decide()
    bench.propose_as(0, 0, bench.block(1, time_ms=NOW))
    assert len(bench.judged) == 1
    bench.propose_as(0, 0, bench.block(1, time_ms=NOW + 1))
    assert len(bench.judged) == 2


def test_the_next_height_carries_a_valid_certificate_of_this_one() -> None:
    bench = Bench()
    bench.decide()
    block = bench.block(1, NOW + 1)
    proof = block.commit_certificate
    assert proof is not None
    forged = changed(proof.seals[0], signature=bytes(64))
    for bad in (
        None,
        changed(proof, seals=proof.seals[1:]),
        changed(proof, seals=(proof.seals[0], *proof.seals[:2])),
        changed(proof, seals=(forged, *proof.seals[1:])),
        changed(proof, seals=(*proof.seals[:2], changed(proof.seals[2], member=9))),
        changed(proof, digest=bytes(32)),
        changed(proof, view=1),
        bench.certificate(1, 0, bytes(32), (0, 2, 3)),  # signed by a quorum, for another block
    ):
        bench.propose_as(0, 0, changed(block, commit_certificate=bad))
    assert len(bench.judged) == 1
    other = bench.certificate(1, 0, proof.digest, (0, 2, 3))  # other signers than this replica knows of
    bench.propose_as(0, 0, changed(block, commit_certificate=other))
    assert len(bench.judged) == 2


def test_no_commit_without_a_quorum_of_prepares() -> None:
    bench = Bench()
    block = bench.block()
    bench.propose_as(0, 0, block)
    assert not bench.votes(3)
    bench.hear(2, Vote(2, 1, 0, digest_of(block), bytes(64)))  # signed by nobody
    assert not bench.votes(3)
    bench.vote(3, Phase.PREPARE, 1, 0, digest_of(block))
    assert bench.votes(3)


def test_no_commit_without_the_block() -> None:
    bench = Bench()
    for name in (0, 2, 3):
        bench.vote(name, Phase.PREPARE, 1, 0, b"\x05" * 32)
    assert not bench.votes(3)


def test_a_certified_block_that_is_missing_is_asked_for_and_taken() -> None:
    bench = Bench()
    block = bench.block()
    for name in (0, 2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest_of(block))
    assert bench.kept(AskBlock)
    bench.hear(3, GiveBlock(changed(block, payload=bench.block(7).payload)))
    assert not bench.committed
    bench.hear(2, GiveBlock(block))
    assert bench.committed == [block.payload]


def test_no_timer_runs_while_there_is_nothing_to_do() -> None:
    bench = Bench()
    bench.pass_ms(500_000)
    assert not bench.kept(ViewChange)
    bench.demand(NOW)
    bench.pass_ms(99)
    assert not bench.kept(ViewChange)
    bench.pass_ms(1)
    assert [each.view for each in bench.kept(ViewChange)] == [1]


def test_an_accepted_proposal_keeps_the_timer_running_whatever_waits_otherwise() -> None:
    bench = Bench()
    bench.propose_as(0, 0, bench.block())
    bench.demand(None)
    bench.pass_ms(100)
    assert [each.view for each in bench.kept(ViewChange)] == [1]


def test_a_gap_in_the_records_is_refused() -> None:
    bench = Bench()
    bench.decide()
    with pytest.raises(Refused, match="input_unexpected"):
        Bench(records=bench.records[1:])
    with pytest.raises(Refused, match="input_unexpected"):
        Bench(records=[bench.records[0], *bench.records[2:]])


def test_one_member_alone_agrees_with_itself() -> None:
    bench = Bench(1, 0)
    bench.demand(NOW)
    bench.propose(bench.block().payload)
    assert bench.engine.height == 1
