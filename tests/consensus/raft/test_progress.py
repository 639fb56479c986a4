"""How a leader feeds one follower: three paces, a window, and old news that changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.consensus.raft.bench import of
from wattquorum.consensus.raft.progress import Pace, Progress
from wattquorum.consensus.raft.records import Ballot, Base

BASE = Base(Ballot(1, b""), 5, 1, of(1), b"state", ())


def replicating(match: int = 3) -> Progress:
    progress = Progress(match + 1, 0)
    progress.stored(match, 1)
    assert progress.pace is Pace.REPLICATE
    return progress


def test_while_it_probes_one_frame_is_out_at_a_time() -> None:
    progress = Progress(4, 0)
    assert progress.pace is Pace.PROBE
    assert progress.may_send(64)
    progress.sent(6)
    assert not progress.may_send(64)
    assert progress.next == 4  # nobody knows yet whether it arrives


def test_an_answer_that_fits_begins_to_replicate_from_there() -> None:
    progress = Progress(4, 0)
    progress.sent(6)
    assert progress.stored(6, 1)
    assert (progress.pace, progress.match, progress.next) == (Pace.REPLICATE, 6, 7)


def test_while_it_replicates_it_sends_ahead_of_the_answers_up_to_a_window() -> None:
    progress = replicating()
    for last in (4, 6, 7):
        assert progress.may_send(3)
        progress.sent(last)
    assert progress.next == 8
    assert not progress.may_send(3)
    progress.stored(3, 2)
    assert not progress.may_send(3)
    progress.stored(6, 3)  # answers the first two frames
    assert progress.may_send(3)
    progress.sent(8)
    progress.sent(9)
    assert not progress.may_send(3)


def test_a_large_entry_takes_the_place_of_several_frames_in_the_window() -> None:
    progress = replicating(match=3)
    progress.sent(4, 5)
    assert not progress.may_send(5)
    progress.stored(4, 2)
    assert progress.may_send(1)
    progress.sent(5, 5)
    progress.misfit(5, 4)
    progress.stored(4, 3)
    assert progress.may_send(1), "it was forgotten with what was under way"


def test_a_misfit_while_probing_goes_back_to_where_logs_may_agree() -> None:
    progress = Progress(9, 0)
    progress.sent(9)
    progress.misfit(8, 4)
    assert (progress.next, progress.may_send(1)) == (5, True)
    progress.misfit(4, 4)  # a hint that is no better still moves it on
    assert progress.next == 4


def test_a_misfit_while_replicating_probes_again_with_an_empty_window() -> None:
    progress = replicating()
    progress.sent(5)
    progress.sent(7)
    progress.misfit(7, 3)
    assert (progress.pace, progress.next, progress.match) == (Pace.PROBE, 4, 3)
    assert progress.may_send(1)
    progress.stored(4, 2)
    assert progress.may_send(1)


def test_old_rejections_change_nothing() -> None:
    progress = replicating(match=5)
    progress.misfit(5, 1)
    progress.misfit(2, 1)
    assert (progress.pace, progress.next) == (Pace.REPLICATE, 6)
    probing = Progress(9, 0)
    probing.sent(9)
    probing.misfit(6, 2)  # it does not answer what is out
    assert (probing.next, probing.may_send(1)) == (9, False)


def test_a_retry_never_goes_below_what_it_has() -> None:
    progress = replicating(match=5)
    progress.sent(8)
    progress.misfit(8, 1)
    assert progress.next == 6


def test_a_snapshot_goes_chunk_by_chunk_and_ends_when_it_has_it() -> None:
    progress = replicating(match=2)
    progress.sent(4)
    progress.send_snapshot(BASE)
    assert (progress.pace, progress.offset, progress.may_send(64)) == (Pace.SNAPSHOT, 0, True)
    progress.sent_chunk(1)
    assert not progress.may_send(64)
    progress.wants_chunk(4, 3, 1)  # of another snapshot
    progress.wants_chunk(5, 5, 1)  # nothing lies there
    assert (progress.offset, progress.may_send(64)) == (0, False)
    progress.wants_chunk(5, 3, 1)
    assert (progress.offset, progress.may_send(64)) == (3, True)
    progress.misfit(4, 2)
    progress.stored(3, 2)
    assert [progress.pace, progress.snapshot] == [Pace.SNAPSHOT, BASE]
    progress.stored(5, 3)
    assert (progress.pace, progress.snapshot, progress.match, progress.next) == (Pace.REPLICATE, None, 5, 6)


def test_a_chunk_goes_again_only_when_a_later_round_shows_that_it_did_not_come() -> None:
    progress = replicating(match=2)
    progress.send_snapshot(BASE)
    progress.sent_chunk(1)
    progress.wants_chunk(5, 3, 1)
    progress.sent_chunk(2)
    for offset, round_ in ((3, 1), (0, 1), (3, 2)):  # the first one came twice; what was asked before this one
        progress.wants_chunk(5, offset, round_)
        progress.stored(3, 2)  # or an answer to entries is late
        assert (progress.offset, progress.may_send(64)) == (3, False)
    progress.wants_chunk(5, 3, 3)
    assert (progress.offset, progress.may_send(64)) == (3, True)
    progress.sent_chunk(3)
    progress.wants_chunk(5, 0, 4)  # it was restarted
    assert (progress.offset, progress.may_send(64)) == (0, True)


def test_old_answers_are_no_news() -> None:
    progress = replicating(match=5)
    assert not progress.stored(4, 2)
    assert not progress.stored(5, 3)
    assert (progress.match, progress.next) == (5, 6)
    assert progress.stored(6, 4)


def test_the_first_answer_that_covers_an_entry_is_the_reply_to_it() -> None:
    progress = Progress(1, 0)
    progress.stored(2, 10)
    progress.stored(5, 20)
    assert [progress.arrival(index) for index in (1, 2, 3, 5, 6)] == [10, 10, 20, 20, None]
    progress.forget_arrivals(2)
    assert [progress.arrival(index) for index in (3, 6)] == [20, None]


@given(
    st.lists(
        st.tuples(st.sampled_from(["sent", "stored", "misfit"]), st.integers(0, 9), st.integers(0, 9)), max_size=30
    )
)
def test_whatever_it_hears_what_it_has_never_shrinks_and_what_comes_next_lies_above(
    steps: list[tuple[str, int, int]],
) -> None:
    progress, best = Progress(10, 0), 0
    for arrival, (what, index, other) in enumerate(steps):
        if what == "sent" and progress.may_send(4):
            progress.sent(progress.next + other)
        elif what == "stored":
            progress.stored(index, arrival)
            best = max(best, index)
        elif what == "misfit":
            progress.misfit(index, other)
        assert progress.match == best
        assert progress.next > progress.match
