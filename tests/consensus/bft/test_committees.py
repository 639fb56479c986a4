"""What passes from one committee to the next: one engine, and everybody else played."""

from __future__ import annotations

import pytest

from tests.consensus.bft.bench import SETTINGS, Bench, digest_of, handed_over
from tests.consensus.bft.world import (
    configured,
    everybody,
    key_of,
    seals_of,
)
from wattquorum.consensus.bft.certificates import CommitCertificate, Seal
from wattquorum.consensus.bft.committee import committee_of, installed
from wattquorum.consensus.bft.messages import (
    AskBlocks,
    Blocks,
    Change,
    NewView,
    Tip,
    ViewChange,
    new_view_digest,
    view_change_digest,
)
from wattquorum.consensus.bft.statements import Phase
from wattquorum.foundation.quantities import Millis


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
