"""Frames that no correct replica sends: they are dropped, and cost neither the replica nor the cluster anything."""

from __future__ import annotations

import pytest

from tests.consensus.raft.bench import A, B, Bench, C, D, ask, nothing, of, payload
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.raft.entries import configuration_entry
from wattquorum.consensus.raft.messages import (
    Append,
    AskRead,
    Chunk,
    Chunked,
    GiveRead,
    GiveVote,
    RaftMessage,
    Stored,
    from_frame,
    to_frame,
)
from wattquorum.foundation.codec import INT64_MAX, changed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

THREE = of(1, 1, 1)
NOBODY_DECIDES = of(0, 0, 0, version=1)
NAMED_TWICE = changed(of(1, version=1), new=of(1).new * 2)


@pytest.mark.parametrize("index", [2, 1_000, INT64_MAX])
@pytest.mark.parametrize("fits", [True, False])
def test_a_follower_that_claims_more_than_its_leader_has_is_not_believed(index: int, fits: bool) -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.hear(B, Stored(1, bench.round, fits, index, index, 1))
    bench.propose(b"x")
    bench.wait(bench.settings.heartbeat_ms)
    assert [append.index for append in bench.said(Append, to=B)] == [1, 2]
    bench.store(B)
    assert bench.payloads == [b"x"]


@pytest.mark.parametrize(
    "message",
    [
        ask(INT64_MAX),
        ask(INT64_MAX, transfer=True),
        GiveVote(INT64_MAX, 1, True, False),
        Append(INT64_MAX, 1, 0, 0, 0, ()),
        Stored(INT64_MAX, 1, True, 0, 0, 0),
        Chunked(INT64_MAX, 1, 0, 0),
        Chunk(INT64_MAX, 1, 5, 1, THREE, 1, 0, b"x"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_no_frame_raises_the_term_so_far_that_no_later_one_could_be_kept(message: RaftMessage) -> None:
    bench = Bench(THREE)
    bench.wait(bench.settings.election_ms)
    bench.hear(B, message)
    assert bench.engine.term == 0
    bench.lead()
    assert Bench(THREE, bench.records).engine.term == 1


@pytest.mark.parametrize("configuration", [NOBODY_DECIDES, NAMED_TWICE], ids=["no power", "twice"])
def test_a_configuration_under_which_nobody_decides_is_not_taken_up(configuration: Configuration) -> None:
    bench = Bench(THREE)
    bench.hear(B, Append(1, 1, 0, 0, 1, (configuration_entry(1, configuration),)))
    bench.hear(B, Chunk(1, 1, 5, 1, configuration, 1, 0, b"x"))
    assert (bench.engine.configuration, bench.engine.log.last, bench.restores) == (THREE, 0, [])


@pytest.mark.parametrize(
    "message",
    [Append(1, 1, 0, 0, 0, (payload(1), payload(2))), Append(1, 1, 0, 2, 0, ()), Chunk(1, 1, 5, 2, THREE, 1, 0, b"x")],
    ids=["entries", "before them", "snapshot"],
)
def test_no_leader_has_entries_of_a_later_term_than_its_own(message: RaftMessage) -> None:
    with pytest.raises(Refused) as caught:
        from_frame(to_frame(message))
    assert caught.value.code == "out_of_range"
    bench = Bench(THREE)
    bench.hear(B, message)
    assert (bench.engine.term, bench.engine.log.last) == (0, 0)


def test_only_the_leader_says_what_a_read_must_see() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, nothing(1), committed=1)
    bench.engine.read(7, Millis(bench.now))
    bench.settle()
    (asked,) = bench.said(AskRead, to=B)
    for sender in (C, A, D):
        bench.hear(sender, GiveRead(1, 7, 0, asked.life))
    assert bench.reads == []
    bench.hear(B, GiveRead(1, 7, 1, asked.life))
    assert bench.reads == [7]
