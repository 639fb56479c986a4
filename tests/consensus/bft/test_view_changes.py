"""What ends a view and what the next one is bound to: one engine, and everybody else played."""

from __future__ import annotations

from dataclasses import replace

from tests.consensus.bft.bench import NOW, SETTINGS, Bench, digest_of
from tests.consensus.bft.world import (
    address,
    seals_of,
)
from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.consensus.bft.messages import (
    AskBlock,
    Change,
    GiveBlock,
    NewView,
    PrePrepare,
    ViewChange,
    new_view_digest,
)
from wattquorum.consensus.bft.records import Certified, Viewed, decode_record
from wattquorum.consensus.bft.statements import Phase
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.codec import changed, encode


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
        bench.change(3, 2, CommitCertificate(1, 0, digest, bench.certificate(1, 0, digest, (0, 1)).seals)),
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


def test_a_censored_transaction_ends_the_view_and_a_full_block_does_not() -> None:
    for room in (True, False):
        bench = Bench()
        bench.now = NOW + 20_000
        bench.decide(room=room)
        bench.demand(NOW)
        assert bool(bench.kept(ViewChange)) is room
