"""Each rule of Byzantine agreement, by itself: one engine, and everybody else played."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.consensus.bft.bench import NOW, SETTINGS, Bench, digest_of
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
from wattquorum.consensus.bft.blocks import Block, Outline
from wattquorum.consensus.bft.catching_up import PEERS_MAX
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.committee import Committee, committee_of, installed, quorum_of, tolerated
from wattquorum.consensus.bft.desk import STRANGERS, Fault
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.messages import (
    AskBlock,
    AskBlocks,
    AskRead,
    BftMessage,
    Blocks,
    Change,
    GiveBlock,
    GiveRead,
    NewView,
    Poll,
    PrePrepare,
    Tip,
    ViewChange,
    Vote,
    new_view_digest,
    to_frame,
    view_change_digest,
)
from wattquorum.consensus.bft.records import Accepted, Certified, Held, Prepared, Viewed, decode_record
from wattquorum.consensus.bft.statements import Phase, phase_of
from wattquorum.consensus.bft.votes import CONFLICTS_MAX
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import Signed, tagged_hash
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


def handed_over(me: int, old: Sequence[int], new: Sequence[int]) -> Bench:
    """A bench whose first block names another committee."""
    bench = Bench(members=len(old), me=me)
    bench.applies = False
    block = bench.block()
    bench.hear(2, Blocks((block,), bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    bench.engine.reconfigure(configured(new, 1, 1), Millis(bench.now))
    bench.engine.applied(1, b"", Millis(bench.now))
    bench.drain()
    return bench


@pytest.mark.parametrize("me", [1, 4])
def test_a_boundary_is_told_to_the_whole_new_committee_until_its_first_block(me: int) -> None:
    bench = handed_over(me, range(4), (4, 5, 6, 7))
    told = {to for to, each, _ in bench.said if isinstance(each, Blocks)}
    assert told == {4, 5, 6, 7} - {me}
    for _ in range(3):
        bench.said.clear()
        bench.pass_ms(SETTINGS.poll_ms)
        assert {to for to, each, _ in bench.said if isinstance(each, Tip)} == told
    after = bench.block(5, bench.now)
    by_new = committee_of(installed(configured((4, 5, 6, 7), 1, 1), key_of))
    seals = tuple(
        Seal(place, seals_of(4 + place).make(by_new, 2, 0, Phase.COMMIT, digest_of(after))) for place in range(3)
    )
    bench.hear(5, Blocks((after,), CommitCertificate(2, 0, digest_of(after), seals)))
    assert bench.engine.height == 2
    bench.said.clear()
    bench.pass_ms(SETTINGS.poll_ms)
    assert not bench.kept(Tip)


def test_a_boundarys_certificate_establishes_no_view_of_the_new_epoch() -> None:
    bench = handed_over(1, range(4), (1, 4, 5, 6))
    tip = bench.engine.block(1)
    assert tip is not None
    bench.hear(2, Tip(bench.certificate(1, 3, tip.commit_certificate.digest, (0, 2, 3))))  # in view 3 of the old one
    assert (bench.engine.term, bench.engine.established) == (0, True)


def test_view_changes_and_new_views_of_the_old_epoch_move_nobody_in_the_new_one() -> None:
    bench = handed_over(1, range(4), range(4))  # the same members: places and keys fit, only the epoch does not
    old = {name: bench.change(name, 2) for name in (0, 2, 3)}
    for name, change in old.items():
        bench.hear(name, change)
    bench.hear(2, bench.new_view(2, old))
    assert (bench.engine.term, bench.engine.established) == (0, True)


def test_a_new_view_of_this_epoch_is_not_made_of_view_changes_of_the_old_one() -> None:
    bench = handed_over(1, range(4), range(4))
    tip = bench.engine.block(1)
    assert tip is not None
    new = committee_of(installed(configured(range(4), 1, 1), key_of))
    digest = view_change_digest(tip.commit_certificate, None)
    seals = seals_of(2)
    own = ViewChange(2, tip.commit_certificate, None, seals.make(new, 1, 2, Phase.VIEW_CHANGE, digest))
    changes = tuple(Change(name, own if name == 2 else bench.change(name, 2)) for name in (0, 2, 3))
    signature = seals.make(new, 1, 2, Phase.NEW_VIEW, new_view_digest(b"", changes))
    bench.hear(2, NewView(2, 1, b"", changes, signature))
    assert (bench.engine.term, bench.engine.established) == (0, True)


def test_who_was_in_neither_committee_hands_nothing_over() -> None:
    bench = handed_over(9, range(4), (4, 5, 6, 7))
    bench.pass_ms(SETTINGS.poll_ms)
    assert not bench.kept(Tip)
    assert not bench.kept(Blocks)


def test_a_message_of_a_later_epoch_is_a_reason_to_ask_its_sender() -> None:
    bench = Bench(me=1)
    bench.vote(7, Phase.PREPARE, 3, 0, bytes(32))  # no member of the committee that is known here
    bench.pass_ms(SETTINGS.fetch_ms)
    assert [to for to, each, _ in bench.said if isinstance(each, AskBlocks)] == [7]


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


def test_the_view_is_durable_before_the_view_change() -> None:
    bench = Bench()
    bench.demand(NOW)
    bench.pass_ms(100)
    ((_, _, after), *_) = [each for each in bench.said if isinstance(each[1], ViewChange)]
    assert decode_record(bench.records[after - 1].data) == Viewed(0, 1)


def test_views_do_not_run_apart() -> None:
    bench = Bench()
    bench.demand(NOW)
    bench.pass_ms(100)
    for _ in range(5):
        bench.pass_ms(10_000)
    assert bench.engine.term == 1
    bench.hear(2, bench.change(2, 1))
    bench.pass_ms(10_000)
    assert bench.engine.term == 1
    bench.hear(3, bench.change(3, 3))  # a quorum for views of 1 and above: now it may go on, after twice the time
    bench.pass_ms(199)
    assert bench.engine.term == 1
    bench.pass_ms(1)
    assert bench.engine.term == 2


def test_timeouts_double_and_a_commit_resets_them() -> None:
    bench = Bench()
    bench.hear(2, bench.new_view(2, {name: bench.change(name, 2) for name in (0, 2, 3)}))
    bench.demand(NOW)
    bench.pass_ms(399)
    assert bench.engine.term == 2
    bench.decide(view=2)
    bench.demand(NOW)
    bench.pass_ms(99)
    assert bench.engine.term == 2
    bench.pass_ms(1)
    assert bench.engine.term == 3


def test_f_plus_one_others_are_joined_and_f_are_not() -> None:
    bench = Bench()
    bench.hear(2, bench.change(2, 5))
    assert bench.engine.term == 0
    bench.hear(3, bench.change(3, 3))
    assert bench.engine.term == 3


def test_a_view_change_is_what_its_sender_signed_and_proves() -> None:
    bench = Bench()
    block = bench.block()
    digest = digest_of(block)
    good = bench.change(3, 2)
    for bad in (
        changed(good, signature=bytes(64)),
        bench.change(2, 2),  # another's
        bench.change(3, 2, CommitCertificate(1, 0, digest, good_seals(bench, digest, (0, 1)))),
        bench.change(3, 2, None, bench.prepared(1, 0, digest, (0, 2))),
        bench.change(3, 2, None, bench.prepared(2, 0, digest, (0, 2, 3))),
        bench.change(3, 2, None, bench.prepared(1, 3, digest, (0, 2, 3))),
    ):
        bench.hear(3, bad)
    assert bench.engine.faults[address(3)] == 6
    bench.hear(2, bench.change(2, 2))
    assert bench.engine.term == 0
    bench.hear(3, good)
    assert bench.engine.term == 2


def good_seals(bench: Bench, digest: bytes, names: tuple[int, ...]) -> tuple[Seal, ...]:
    return bench.certificate(1, 0, digest, names).seals


def test_after_a_view_change_nothing_lower_is_supported_but_a_certificate_is() -> None:
    bench = Bench()
    block = bench.block()
    digest = digest_of(block)
    bench.demand(NOW)
    bench.pass_ms(100)
    bench.propose_as(0, 0, block)
    bench.vote(2, Phase.PREPARE, 1, 0, digest)
    bench.vote(3, Phase.PREPARE, 1, 0, digest)
    assert not bench.votes(2)
    assert not bench.votes(3)
    for name in (0, 2, 3):
        bench.vote(name, Phase.COMMIT, 1, 0, digest)
    bench.hear(0, GiveBlock(block))
    assert bench.committed == [block.payload]
    assert bench.engine.term == 1  # a certificate never lowers a view
    assert not bench.engine.established


def test_a_certificate_of_a_later_view_establishes_it() -> None:
    bench = Bench()
    block = bench.block()
    for name in (0, 2, 3):
        bench.vote(name, Phase.COMMIT, 1, 2, digest_of(block))
    bench.hear(0, GiveBlock(block))
    assert (bench.engine.term, bench.engine.established) == (2, True)
    bench.propose_as(2, 2, bench.block(1, NOW + 1))
    assert bench.votes(2)


def test_a_new_view_is_recomputed() -> None:
    bench = Bench()
    block = bench.block()
    digest = digest_of(block)
    changes = {name: bench.change(name, 2) for name in (0, 2, 3)}
    changes[3] = bench.change(3, 2, None, bench.prepared(1, 0, digest, (0, 2, 3)))
    good = bench.new_view(2, changes)
    assert good.digest == digest

    def signed(height: int, choice: bytes, told: tuple[Change, ...]) -> NewView:
        made = seals_of(2).make(bench.committee, height, 2, Phase.NEW_VIEW, new_view_digest(choice, told))
        return NewView(2, height, choice, told, made)

    bare = changed(changes[3], prepared=None)
    for bad in (
        signed(0, b"", good.changes),
        signed(1, b"", good.changes),
        signed(0, digest, good.changes[1:]),
        signed(0, digest, (good.changes[2],) * 3),
        signed(0, b"", (*good.changes[:2], Change(3, bare))),
        changed(good, signature=bytes(64)),
        bench.new_view(2, {**changes, 0: bench.change(0, 3)}),
    ):
        bench.hear(2, bad)
        assert bench.engine.term == 0
    bench.hear(3, good)  # whoever passes it on
    assert (bench.engine.term, bench.engine.established) == (2, True)
    bench.propose_as(2, 2, bench.block(5))
    assert not bench.votes(2)
    bench.propose_as(2, 2, block)
    assert bench.votes(2) == [(1, 2, digest)]


def test_a_bound_proposals_time_may_be_old() -> None:
    bench = Bench()
    block = bench.block()
    changes = {name: bench.change(name, 2) for name in (0, 2)}
    changes[3] = bench.change(3, 2, None, bench.prepared(1, 0, digest_of(block), (0, 2, 3)))
    bench.now += 90_000
    bench.hear(2, bench.new_view(2, changes))
    bench.propose_as(2, 2, block)
    assert bench.votes(2)


def test_a_primary_that_forgot_its_new_view_in_a_crash_is_bound_otherwise_and_not_blamed() -> None:
    """Its proposal is durable and its NEW-VIEW is not, so that it opens the view again, of other view changes."""
    primary, block = Bench(), Bench().block(7)
    for name in (0, 2):
        primary.hear(name, primary.change(name, 1))
    primary.propose(primary.block().payload)
    again = Bench(records=primary.records, settings=replace(SETTINGS, resend_ms=10))
    again.pass_ms(0)
    again.hear(2, again.change(2, 1))
    again.hear(3, again.change(3, 1, None, again.prepared(1, 0, digest_of(block), (0, 2, 3))))
    (free,), (bound,) = primary.kept(NewView), again.kept(NewView)
    assert (free.digest, bound.digest) == (b"", digest_of(block))
    again.pass_ms(10)
    (first,), (second,) = primary.kept(PrePrepare), again.kept(PrePrepare)
    assert (first.block, first.signature) == (second.block, second.signature)
    for opened, supported in ((free, [(1, 1, digest_of(first.block))]), (bound, [])):
        backup = Bench(me=2)
        for message in (opened, first, second):
            backup.hear(1, message)
        assert backup.engine.term == 1
        assert backup.votes(2) == supported
        assert not backup.engine.faults


def test_what_was_prepared_at_a_decided_height_binds_nobody_and_nothing_is_proposed_below() -> None:
    bench = Bench()
    first, other = bench.block(1), bench.block(2)
    tip = bench.certificate(1, 0, digest_of(first), (0, 2, 3))
    changes = {
        0: bench.change(0, 2, tip),
        2: bench.change(2, 2, tip),
        3: bench.change(3, 2, None, bench.prepared(1, 1, digest_of(other), (0, 2, 3))),
    }
    opened = bench.new_view(2, changes)
    assert (opened.height, opened.digest) == (1, b"")
    bench.hear(2, opened)
    bench.propose_as(2, 2, other)
    assert not bench.judged


def test_the_highest_view_wins() -> None:
    bench = Bench()
    old, late = digest_of(bench.block(1)), digest_of(bench.block(2))
    changes = {
        0: bench.change(0, 6, None, bench.prepared(1, 1, old, (0, 1, 2))),
        2: bench.change(2, 6, None, bench.prepared(1, 4, late, (0, 1, 2))),
        3: bench.change(3, 6),
    }
    assert bench.new_view(6, changes).digest == late


def test_a_new_primary_fetches_what_it_is_bound_to_and_proposes_the_same_bytes() -> None:
    bench = Bench()
    block = bench.block()
    bench.now += 5_000
    for name in (2, 3):
        prepared = bench.prepared(1, 0, digest_of(block), (0, 2, 3)) if name == 3 else None
        bench.hear(name, bench.change(name, 1, None, prepared))
    assert bench.kept(NewView)
    assert not bench.kept(PrePrepare)
    assert bench.kept(AskBlock)
    bench.demand(NOW)
    assert not bench.wanted
    bench.hear(3, GiveBlock(block))
    (proposed,) = bench.kept(PrePrepare)
    assert proposed.block == block
    assert bench.judged == [digest_of(block)]


def test_views_outlast_heights_so_that_a_dead_primary_costs_one_timeout() -> None:
    bench = Bench()
    bench.hear(2, bench.new_view(2, {name: bench.change(name, 2) for name in (0, 2, 3)}))
    for height in range(1, 6):
        bench.now += 1
        bench.decide(height, view=2)
    assert (bench.engine.height, bench.engine.term) == (5, 2)


def test_a_prepared_certificate_survives_and_is_told() -> None:
    bench = Bench()
    block = bench.block()
    bench.propose_as(0, 0, block)
    bench.vote(2, Phase.PREPARE, 1, 0, digest_of(block))
    again = Bench(records=bench.records)
    again.demand(NOW)
    again.pass_ms(100)
    (change,) = again.kept(ViewChange)
    assert change.prepared is not None
    assert change.prepared.digest == digest_of(block)


def test_after_a_restart_a_view_above_0_waits_to_be_established() -> None:
    bench = Bench()
    opened = bench.new_view(2, {name: bench.change(name, 2) for name in (0, 2, 3)})
    bench.hear(2, opened)
    again = Bench(records=bench.records)
    assert (again.engine.term, again.engine.established) == (2, False)
    again.propose_as(2, 2, again.block())
    assert not again.votes(2)
    again.hear(2, opened)
    assert again.votes(2)  # what came early was kept


def test_after_a_restart_no_second_proposal_is_supported_in_a_view() -> None:
    bench = Bench()
    bench.propose_as(0, 0, bench.block(1))
    again = Bench(records=bench.records)
    again.propose_as(0, 0, again.block(2))
    assert not again.votes(2)


def test_a_certificate_inside_a_stored_block_counts_after_a_restart() -> None:
    bench = Bench()
    bench.decide()
    bench.now += 1
    bench.propose_as(0, 0, bench.block(1))
    found = [decode_record(each.data) for each in bench.records]
    kept = [each for each in found if not isinstance(each, Certified)]
    records = [Durable(at, encode(each)) for at, each in enumerate(kept, 1)]
    assert Bench(records=records).engine.height == 1


def test_a_gap_in_the_records_is_refused() -> None:
    bench = Bench()
    bench.decide()
    with pytest.raises(Refused, match="input_unexpected"):
        Bench(records=bench.records[1:])
    with pytest.raises(Refused, match="input_unexpected"):
        Bench(records=[bench.records[0], *bench.records[2:]])


def test_later_blocks_are_fetched_with_their_certificates() -> None:
    source, bench = Bench(), Bench(me=3)
    blocks = []
    for at in range(4):
        source.now += 1
        blocks.append(source.decide(at))
    proof = source.engine.block(4)
    assert proof is not None
    bench.hear(0, Tip(proof.commit_certificate))
    bench.pass_ms(100)
    bench.hear(0, Blocks(tuple(blocks), changed(proof.commit_certificate, height=5)))
    assert len(bench.committed) == 3  # each but the last is certified by the next
    assert bench.engine.faults == {address(0): 1}
    bench.hear(2, Tip(proof.commit_certificate))
    bench.pass_ms(100)
    bench.hear(2, Blocks((blocks[3],), proof.commit_certificate))
    assert bench.committed == [block.payload for block in blocks]


def test_blocks_prove_themselves_whoever_gives_them_and_however_late() -> None:
    source, bench = Bench(), Bench(me=3)
    blocks = []
    for at in range(3):
        source.now += 1
        blocks.append(source.decide(at))
    first, last = source.engine.block(1), source.engine.block(3)
    assert first is not None
    assert last is not None
    bench.hear(2, Blocks((blocks[0],), first.commit_certificate))  # nobody asked
    assert bench.committed == [blocks[0].payload]
    bench.hear(0, Tip(last.commit_certificate))
    bench.hear(1, Tip(last.commit_certificate))
    bench.pass_ms(100)
    bench.pass_ms(150)  # the one that was asked first is too late, and another is asked
    bench.hear(0, Blocks(tuple(blocks[1:]), last.commit_certificate))
    assert bench.committed == [block.payload for block in blocks]
    assert not bench.engine.faults


def test_a_block_is_told_to_those_who_follow_once_and_not_to_who_has_it() -> None:
    bench = Bench()
    bench.engine.serve([address(8), address(9), address(2)], Millis(bench.now))  # one of them agrees itself
    bench.hear(9, Poll(7))
    block = bench.block()
    bench.propose_as(0, 0, block)
    bench.hear(3, Tip(bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    told = [(to, message.blocks) for to, message, _ in bench.said if isinstance(message, Blocks)]
    assert told == [(8, (block,))]


def test_who_follows_takes_what_it_is_told_and_asks_for_what_got_lost() -> None:
    source, bench = Bench(), Bench(me=9)
    blocks, proofs = [], []
    for at in range(4):
        source.now += 1
        blocks.append(source.decide(at))
        chained = source.engine.block(at + 1)
        assert chained is not None
        proofs.append(chained.commit_certificate)
    bench.hear(2, Blocks((blocks[0],), proofs[0]))
    assert bench.committed == [blocks[0].payload]
    bench.hear(2, Blocks((blocks[3],), proofs[3]))  # two were lost on the way
    assert bench.committed == [blocks[0].payload]
    assert not bench.engine.faults
    bench.pass_ms(100)
    assert bench.kept(AskBlocks) == [AskBlocks(1)]
    bench.hear(2, Blocks(tuple(blocks[1:]), proofs[3]))
    assert bench.committed == [block.payload for block in blocks]


def test_blocks_that_are_told_in_a_row_wait_for_a_driver_that_is_slow() -> None:
    source, bench = Bench(), Bench(me=9)
    bench.applies = False
    blocks = []
    for at in range(3):
        source.now += 1
        blocks.append(source.decide(at))
        chained = source.engine.block(at + 1)
        assert chained is not None
        bench.hear(2, Blocks((blocks[at],), chained.commit_certificate))
    assert bench.committed == [blocks[0].payload]
    bench.applies = True
    bench.engine.applied(1, b"", Millis(bench.now))
    bench.drain()
    assert bench.committed == [block.payload for block in blocks]


def test_who_follows_asks_f_plus_one_for_their_tips() -> None:
    bench = Bench(me=9, settings=replace(SETTINGS, poll_ms=100))
    seen: dict[frozenset[int], None] = {}
    for _ in range(12):
        bench.said.clear()
        bench.pass_ms(200)
        polled = [to for to, message, _ in bench.said if isinstance(message, Poll)]
        assert len(polled) == len(set(polled)) == 2
        seen[frozenset(polled)] = None
    assert len(seen) > 2


def test_a_told_certificate_counts_when_it_holds() -> None:
    bench = Bench()
    block = bench.block()
    bench.propose_as(0, 0, block)
    proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
    forged = changed(proof, seals=(changed(proof.seals[0], signature=bytes(64)), *proof.seals[1:]))
    bench.hear(3, Tip(forged))
    assert not bench.committed
    bench.hear(3, Tip(proof))
    assert bench.committed == [block.payload]


def test_fetched_blocks_count_when_their_certificates_hold() -> None:
    bench = Bench()
    block = bench.block()
    proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
    forged = changed(proof, seals=(changed(proof.seals[0], signature=bytes(64)), *proof.seals[1:]))
    for told in (forged, proof):
        bench.hear(3, Tip(proof))
        bench.pass_ms(100)
        assert not bench.committed
        bench.hear(3, Blocks((block,), told))
    assert bench.committed == [block.payload]


def test_a_censored_transaction_ends_the_view_and_a_full_block_does_not() -> None:
    for room in (True, False):
        bench = Bench()
        bench.now = NOW + 20_000
        bench.decide(room=room)
        bench.demand(NOW)
        assert bool(bench.kept(ViewChange)) is room


def test_reads_wait_for_what_a_quorum_proves() -> None:
    bench = Bench()
    bench.engine.read(7, Millis(bench.now))
    bench.drain()
    (asked,) = bench.kept(AskRead)
    block = bench.block()
    prepared = bench.prepared(1, 0, digest_of(block), (0, 2, 3))
    bench.hear(2, GiveRead(asked.round, asked.life + 1, None, None))
    bench.hear(3, GiveRead(asked.round, asked.life, None, changed(prepared, height=9)))
    bench.hear(2, GiveRead(asked.round, asked.life, None, None))
    assert not bench.answered
    bench.hear(0, GiveRead(asked.round, asked.life, None, prepared))
    assert not bench.answered
    bench.decide()
    assert bench.answered == [7]


def test_a_read_asks_the_committee_that_begins_meanwhile() -> None:
    """The one before need not know what its successor certified before the read was asked for."""
    bench = Bench()
    bench.applies = False
    block = bench.block()
    proof = bench.certificate(1, 0, digest_of(block), (0, 2, 3))
    bench.engine.read(7, Millis(bench.now))
    bench.engine.read(8, Millis(bench.now))
    bench.drain()
    (asked,) = bench.kept(AskRead)
    for name in (0, 2, 3):
        bench.hear(name, GiveRead(asked.round, asked.life, proof, None))
    bench.engine.read(9, Millis(bench.now))
    bench.drain()
    bench.hear(2, Blocks((block,), proof))
    bench.engine.reconfigure(configured((4, 5, 6, 7), 1, 1), Millis(bench.now))
    bench.engine.applied(1, b"", Millis(bench.now))
    bench.said.clear()
    bench.drain()
    assert not bench.answered
    (asked,) = bench.kept(AskRead)
    assert {to for to, each, _ in bench.said if each == asked} == {4, 5, 6, 7}
    for name in (4, 0, 5, 6):
        assert not bench.answered
        bench.hear(name, GiveRead(asked.round, asked.life, None, None))
    assert bench.answered == [7, 8, 9]


def test_a_read_needs_a_quorum() -> None:
    bench = Bench()
    bench.engine.read(1, Millis(bench.now))
    bench.drain()
    (asked,) = bench.kept(AskRead)
    bench.hear(2, GiveRead(asked.round, asked.life, None, None))
    bench.hear(2, GiveRead(asked.round, asked.life, None, None))
    assert not bench.answered
    bench.hear(3, GiveRead(asked.round, asked.life, None, None))
    assert bench.answered == [1]


def test_no_more_signatures_are_checked_than_complete_a_quorum() -> None:
    checked: list[int] = []

    def counting(checks: Sequence[Signed]) -> list[bool]:
        checked.append(len(checks))
        return verify(checks)

    bench = Bench(7, 1)
    means = Means(sign_as(1), counting, key_of, outline)
    bench.engine = Bft(address(1), CHAIN, everybody(7), means, [], 1, Millis(NOW))
    block = bench.decide()
    assert bench.committed == [block.payload]
    assert checked == [1, 3, 4]  # pre-prepare; with it and its own, three PREPAREs; beside its own, four COMMITs


def test_of_votes_that_wait_no_more_are_checked_than_complete_a_quorum() -> None:
    bench = Bench(7, 1)
    block = bench.block()
    for name in (2, 3, 4, 5, 6):
        bench.vote(name, Phase.PREPARE, 1, 0, digest_of(block))
    bench.propose_as(0, 0, block)
    prepared = bench.engine.round.prepared
    assert prepared is not None
    assert len(prepared.seals) == 5


def test_one_member_alone_agrees_with_itself() -> None:
    bench = Bench(1, 0)
    bench.demand(NOW)
    bench.propose(bench.block().payload)
    assert bench.engine.height == 1


def test_a_named_committee_begins_with_the_next_height_in_view_0() -> None:
    bench = Bench(5, 1)
    bench.applies = False
    bench.decide()
    bench.engine.reconfigure(everybody(4, 1, 1), Millis(bench.now))
    assert bench.engine.committee_at(2).epoch == 0
    bench.engine.applied(1, b"", Millis(bench.now))
    bench.drain()
    assert (bench.engine.committee_at(1).epoch, bench.engine.committee_at(2).epoch) == (0, 1)
    assert Bench(5, 1, records=bench.records).engine.committee_at(2).epoch == 1
    bench.committee = bench.engine.committee_at(2)
    bench.members = 4
    bench.applies = True
    bench.now += 1
    block = bench.block(1)
    embedded = block.commit_certificate
    assert embedded is not None
    assert len(embedded.seals) == 4  # the old committee's quorum
    bench.decide(1)
    assert bench.engine.height == 2


def test_garbage_changes_nothing() -> None:
    bench = Bench()
    for frame in (b"", b"\x00", encode((1, 2, 3)), encode((2, 2, 1, 1 << 50, bytes(32), bytes(64), False))):
        bench.engine.receive(address(2), frame, Millis(bench.now))
    bench.drain()
    assert bench.engine.faults == {address(2): 4}
    assert not bench.records


def test_answers_that_were_not_asked_for_are_refused() -> None:
    bench = Bench()
    acts: list[Callable[[], None]] = [
        lambda: bench.engine.judged(bytes(32), True, Millis(NOW)),
        lambda: bench.engine.persisted(9, Millis(NOW)),
        lambda: bench.engine.applied(9, b"", Millis(NOW)),
        lambda: bench.engine.transfer(address(2), Millis(NOW)),
        lambda: bench.engine.snapshot(1, b"", Millis(NOW)),
    ]
    for act in acts:
        with pytest.raises(Refused, match="input_unexpected"):
            act()


def test_votes_of_the_next_height_are_kept_a_few_of_each() -> None:
    bench = Bench()
    for salt in range(50):
        bench.vote(2, Phase.PREPARE, 2, 0, bytes([salt]) * 32)
    assert len(bench.engine._agreement._ahead[address(2)]) == 6
    assert isinstance(bench.block(), Block)


def test_of_proposals_whose_time_has_not_come_one_of_each_height_is_kept_and_the_present_primarys() -> None:
    bench = Bench(members=7)
    bench.hear(2, bench.new_view(2, {name: bench.change(name, 2) for name in (0, 2, 3, 4, 5)}))
    bench = Bench(members=7, records=bench.records)
    assert (bench.engine.term, bench.engine.established) == (2, False)
    payload, block = bytes(100_000), bench.block()
    tracemalloc.start()
    for name in range(7):
        for turn in range(10):
            for height in (1, 2, 3):
                made = changed(block, height=height, payload=payload + bytes([turn]))
                bench.hear(name, PrePrepare(name + 7 * turn, made, bytes(64)))  # each leads that view
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 * len(payload)  # two, and the last that the test made


def test_a_proposal_of_the_next_height_is_taken_up_when_its_time_comes() -> None:
    source, bench = Bench(), Bench(me=3)
    first = source.decide(1)
    source.now += 1
    second = source.decide(2)
    bench.propose_as(0, 0, second)
    assert not bench.judged
    bench.hear(2, Blocks((first,), bench.certificate(1, 0, digest_of(first), (0, 1, 2))))
    assert bench.votes(2) == [(2, 0, digest_of(second))]


def asked_in_one_turn(bench: Bench, *asked: tuple[int, BftMessage]) -> None:
    """Several peers' messages before the engine is drained."""
    for sender, message in asked:
        bench.engine.receive(address(sender), to_frame(message), Millis(bench.now))
    bench.drain()


def test_a_peer_is_given_one_answer_in_a_turn_however_often_it_asks() -> None:
    bench = Bench()
    block = bench.decide()
    ask = AskBlocks(0), AskBlock(1, digest_of(block)), AskRead(1, 1, 0)
    bench.said.clear()
    asked_in_one_turn(bench, *[(name, each) for name in (2, 3) for each in ask for _ in range(100)])
    for kind in (Blocks, GiveBlock, GiveRead):
        assert [to for to, message, _ in bench.said if isinstance(message, kind)] == [2, 3]
    asked_in_one_turn(bench, *[(2, each) for each in ask])
    for kind in (Blocks, GiveBlock, GiveRead):
        assert [to for to, message, _ in bench.said if isinstance(message, kind)] == [2, 3, 2]


def test_a_block_that_several_ask_for_is_encoded_once() -> None:
    bench = Bench()
    block = bench.decide()
    for name in (2, 3, 9):
        bench.engine.receive(address(name), to_frame(AskBlock(1, digest_of(block))), Millis(bench.now))
    frames = [each.data for each in bench.engine.drain().messages]
    assert len(frames) == 3
    assert len({id(frame) for frame in frames}) == 1


def test_no_more_peers_are_answered_in_a_turn_than_are_remembered() -> None:
    bench = Bench()
    block = bench.decide()
    for number in range(PEERS_MAX + 10):
        peer = number.to_bytes(20, "big")
        for message in (AskRead(1, 1, 0), AskBlock(1, digest_of(block))):
            bench.engine.receive(peer, to_frame(message), Millis(bench.now))
    assert len(bench.engine.drain().messages) == 2 * PEERS_MAX


def test_the_last_question_of_a_turn_is_answered_also_a_followers() -> None:
    bench = Bench()
    block = bench.decide()
    bench.said.clear()
    asked_in_one_turn(
        bench,
        (9, AskRead(1, 1, 0)),
        (9, AskRead(2, 1, 0)),
        (9, AskBlock(1, bytes(32))),
        (9, AskBlock(1, digest_of(block))),
    )
    (read,), (given,) = bench.kept(GiveRead), bench.kept(GiveBlock)
    assert read.round == 2
    assert given.block == block


def test_claims_of_no_more_peers_are_remembered_than_are_worth_it() -> None:
    bench = Bench()
    for number in range(PEERS_MAX + 10):
        bench.engine.receive(number.to_bytes(20, "big"), to_frame(Vote(3, 9, 0, bytes(32), bytes(64))), Millis(NOW))
    assert len(bench.engine.claims) == PEERS_MAX


def test_no_more_conflicts_of_a_member_are_looked_into_than_are_worth_it() -> None:
    checked: list[int] = []

    def counting(checks: Sequence[Signed]) -> list[bool]:
        checked.append(len(checks))
        return verify(checks)

    bench = Bench()
    means = Means(sign_as(1), counting, key_of, outline)
    bench.engine = Bft(address(1), CHAIN, everybody(4), means, [], 1, Millis(NOW))
    bench.vote(2, Phase.COMMIT, 1, 0, bytes(32))
    for salt in range(1, 51):
        bench.hear(2, Vote(3, 1, 0, bytes([salt]) * 32, bytes(64)))
    assert len(checked) == CONFLICTS_MAX
    assert bench.engine.accusations() == ()


# Who is blamed


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
    tip = CommitCertificate(1, 0, bytes(32), good_seals(bench, bytes(32), (0, 1)))
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
