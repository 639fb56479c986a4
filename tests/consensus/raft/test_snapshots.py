"""Snapshots (7 of the paper): in place of entries, in chunks, and with the configuration that holds there."""

from __future__ import annotations

import pytest

from tests.consensus.raft.bench import A, B, Bench, C, ask, nothing, of, payload
from wattquorum.consensus.engine import Restore
from wattquorum.consensus.raft.engine import Role
from wattquorum.consensus.raft.entries import configuration_entry
from wattquorum.consensus.raft.messages import Append, Campaign, Chunk, Chunked, GiveVote, Stored
from wattquorum.consensus.raft.records import kept
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

THREE = of(1, 1, 1)
JOINT = changed(of(1, 1, 5, version=1), old=THREE.new)
SMALL = Settings(chunk_bytes=4, trailing_max=0)
STATE = b"0123456789"


def snapshot(bench: Bench, index: int, state: bytes = STATE) -> None:
    bench.engine.snapshot(index, state, Millis(bench.now))
    bench.settle()


def leader(settings: Settings = SMALL) -> Bench:
    """A leader with entries up to 4, all committed and applied, and a snapshot at 3; B answers, C does not."""
    bench = Bench(THREE, settings=settings)
    bench.lead()
    bench.store(B)
    bench.propose(b"x", b"y", b"z")
    bench.store(B)
    bench.apply()
    snapshot(bench, 3)
    bench.told()
    return bench


def chunk(offset: int, data: bytes, index: int = 5, term: int = 1, round_: int = 1) -> Chunk:
    return Chunk(term, round_, index, 1, JOINT, len(STATE), offset, data)


# Taking one


def test_7_a_snapshot_takes_the_place_of_what_it_covers() -> None:
    bench = leader()
    assert (bench.engine.log.first, bench.engine.log.last) == (4, 4)
    assert bench.records[-1].origin
    base = kept(bench.records[-1:], THREE).base
    assert base is not None
    assert (base.index, base.term, base.state, base.configuration) == (3, 1, STATE, THREE)
    assert base.entries == (payload(1, b"z"),)


def test_7_a_tail_is_kept_for_those_who_are_a_little_behind() -> None:
    bench = leader(Settings(trailing_max=2))
    assert (bench.engine.log.first, bench.engine.log.last) == (2, 4)


def test_7_only_what_is_applied_and_new_can_be_a_snapshot() -> None:
    bench = leader()
    bench.propose(b"committed")
    bench.store(B)
    bench.propose(b"not even committed")
    for index in (7, 6, 5, 3, 2):
        with pytest.raises(Refused) as caught:
            snapshot(bench, index)
        assert caught.value.code == "input_unexpected"
    snapshot(bench, 4)


def test_7_a_chunk_from_an_earlier_term_is_rejected() -> None:
    bench = Bench(THREE)
    bench.follow(C, 2)
    bench.told()
    install(bench)
    assert bench.said(Stored) == [Stored(2, 0, False, 0, 0, 0)] * 3
    assert (bench.restores, bench.engine.leader) == ([], C)


def test_7_a_joint_configuration_is_in_the_snapshot_with_both_halves() -> None:
    bench = Bench(THREE)
    bench.know(of(1, 1, 5, version=1))
    bench.follow(B, 1, payload(1), configuration_entry(1, JOINT), configuration_entry(1, changed(JOINT, old=None)))
    bench.follow(B, 1, committed=3)
    bench.apply()
    snapshot(bench, 2)
    again = kept(bench.records[-1:], THREE)
    assert again.log.configurations == ((2, JOINT), (3, changed(JOINT, old=None)))


# Sending one


def test_7_who_needs_what_is_gone_gets_the_state_chunk_by_chunk() -> None:
    bench = leader()
    bench.wait(100)
    sent = []
    for offset in (4, 8, 8):
        sent += bench.said(Chunk, to=C)
        bench.hear(C, Chunked(1, bench.round, 3, offset))
    assert [(each.offset, each.data) for each in sent] == [(0, b"0123"), (4, b"4567"), (8, b"89")]
    assert {(each.index, each.last_term, each.size, each.configuration) for each in sent} == {(3, 1, 10, THREE)}
    bench.store(C, index=3)
    (append,) = bench.said(Append, to=C)
    assert (append.index, append.previous, append.entries) == (3, 1, (payload(1, b"z"),))


def test_7_a_chunk_that_got_lost_is_sent_again_when_a_heartbeat_was_answered_without_it() -> None:
    bench = leader()
    bench.wait(100)
    bench.hear(C, Chunked(1, bench.round, 3, 4))
    bench.told()
    bench.store(B)
    assert bench.said(Chunk) == []
    bench.wait(100)
    assert [(each.offset, each.data) for each in bench.said(Chunk, to=C)] == [(4, b"")]
    bench.hear(C, Chunked(1, bench.round, 3, 4))
    assert [(each.offset, each.data) for each in bench.said(Chunk, to=C)] == [(4, b"4567")]


def test_7_one_chunk_is_under_way_however_slow_the_link_is() -> None:
    """Else every heartbeat on a link slower than heartbeats would add a copy, and each copy's answer another chunk."""
    bench, follower = leader(), Bench(THREE, me=C)
    bench.wait(100)
    sent, under_way = 0, bench.said(Chunk, to=C)
    while not follower.restores:
        for _ in range(5):
            bench.wait(100)
            bench.store(B)
            under_way += bench.said(Chunk, to=C)
        assert sum(bool(each.data) for each in under_way) == 1
        sent += 1
        follower.hear(A, *under_way)
        bench.hear(C, *follower.said(Chunked))
        under_way = bench.said(Chunk, to=C)
    assert (sent, follower.restores) == (3, [Restore(3, STATE)])


def test_7_a_newer_snapshot_does_not_change_what_is_being_sent() -> None:
    bench = leader()
    bench.wait(100)
    snapshot(bench, 4, b"another")
    bench.told()
    bench.hear(C, Chunked(1, bench.round, 3, 4))
    assert [(each.index, each.data) for each in bench.said(Chunk, to=C)] == [(3, b"4567")]
    bench.store(C, index=3)  # and now 4 is gone too
    assert [(each.index, each.data) for each in bench.said(Chunk, to=C)] == [(4, b"anot")]


def test_7_who_is_only_a_little_behind_gets_entries() -> None:
    bench = leader()
    bench.store(C, index=3)
    assert [append.entries for append in bench.said(Append, to=C)] == [(payload(1, b"z"),)]
    bench.wait(100)
    assert bench.said(Chunk) == []


# Getting one


def install(bench: Bench, term: int = 1) -> None:
    for offset in (0, 4, 8):
        bench.hear(B, chunk(offset, STATE[offset : offset + 4], term=term))


def test_7_a_whole_snapshot_replaces_the_log_and_is_handed_out_and_kept() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, payload(1), payload(1), committed=1)
    bench.told()
    install(bench)
    assert bench.said(Chunked) == [Chunked(1, 1, 5, 4), Chunked(1, 1, 5, 8)]
    assert bench.said(Stored) == [Stored(1, 1, True, 5, 0, 0)]
    assert bench.restores == [Restore(5, STATE)]
    assert (bench.engine.log.first, bench.engine.log.last, bench.engine.commit) == (6, 5, 5)
    assert bench.engine.configuration == JOINT
    again = Bench(THREE, [bench.records[-1]])
    assert (again.engine.configuration, again.restores, again.engine.term) == (JOINT, [Restore(5, STATE)], 1)


def test_7_a_vote_survives_a_snapshot_that_came_after_it() -> None:
    bench = Bench(THREE)
    bench.now = bench.settings.election_ms
    bench.hear(C, ask(1, 6, 1))
    install(bench)
    assert bench.records[-1].origin
    again = Bench(THREE, bench.records[-1:])
    again.now = again.settings.election_ms
    again.hear(B, ask(1, 6, 1))
    again.hear(C, ask(1, 6, 1))
    assert [vote.granted for vote in again.said(GiveVote)] == [False, True]


def test_7_what_follows_a_snapshot_is_handed_out_after_it() -> None:
    bench = Bench(THREE)
    install(bench)
    bench.follow(B, 1, payload(1, b"next"), committed=6)
    assert [(each.index, each.payload) for each in bench.committed] == [(6, b"next")]
    bench.know(of(1, 1, 5, version=1))
    bench.apply()
    bench.engine.snapshot(6, b"later", Millis(bench.now))


def test_7_an_acknowledgement_of_a_snapshot_waits_for_its_record() -> None:
    bench = Bench(THREE)
    bench.disk_writes = False
    install(bench)
    stored = bench.told()[-1]
    assert stored.message == Stored(1, 1, True, 5, 0, 0)
    assert stored.after == bench.records[-1].position
    assert bench.records[-1].origin


def test_7_chunks_out_of_order_ask_for_what_is_missing() -> None:
    bench = Bench(THREE)
    bench.hear(B, chunk(4, b"4567"), chunk(0, b"0123"), chunk(0, b"0123"), chunk(8, b"89"))
    assert [each.offset for each in bench.said(Chunked)] == [0, 4, 4, 4]
    assert bench.restores == []
    bench.hear(B, chunk(4, b"4567"), chunk(8, b"89"))
    assert bench.restores == [Restore(5, STATE)]


def test_7_chunks_of_two_snapshots_or_of_two_leaders_are_not_mixed() -> None:
    bench = Bench(THREE)
    bench.hear(B, chunk(0, b"0123"), chunk(4, b"4567", index=6))
    assert [(each.index, each.offset) for each in bench.said(Chunked)] == [(5, 4), (6, 0)]
    bench.hear(B, chunk(0, b"0123"))
    bench.hear(C, chunk(4, b"4567", term=2))
    assert [(each.index, each.offset) for each in bench.said(Chunked, to=C)] == [(5, 0)]


def test_7_chunks_of_two_terms_of_one_leader_are_not_mixed() -> None:
    bench = Bench(THREE)
    bench.hear(B, chunk(0, b"0123"), chunk(4, b"abcd", term=2))
    assert bench.said(Chunked) == [Chunked(1, 1, 5, 4), Chunked(2, 1, 5, 0)]


def test_7_whose_log_has_its_last_entry_needs_no_snapshot_and_loses_nothing() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, *[payload(1)] * 7)
    bench.told()
    bench.hear(B, chunk(0, b"0123"))
    assert (bench.engine.log.first, bench.engine.log.last, bench.engine.commit) == (1, 7, 5)
    assert bench.said(Stored) == [Stored(1, 1, True, 5, 0, 0)]
    assert (len(bench.committed), bench.restores) == (5, [])


def test_7_an_old_snapshot_takes_nothing_back() -> None:
    bench = Bench(THREE)
    bench.follow(B, 9, *[payload(1)] * 7, committed=6)
    bench.told()
    bench.hear(B, changed(chunk(0, b"0123", term=9), last_term=9))
    assert bench.said(Stored) == [Stored(9, 1, True, 6, 0, 0)]
    assert bench.engine.log.last == 7


def test_7_a_snapshot_replaces_a_log_that_has_another_entry_there() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, *[payload(1)] * 7)
    for offset in (0, 4, 8):
        bench.hear(C, changed(chunk(offset, STATE[offset : offset + 4], term=3), last_term=2))
    assert (bench.engine.log.first, bench.engine.log.last, bench.engine.log.last_term) == (6, 5, 2)
    again = Bench(THREE, bench.records)
    assert (again.engine.log.first, again.engine.log.last) == (6, 5)


def test_7_entries_that_a_snapshot_covers_are_passed_over() -> None:
    bench = Bench(THREE)
    install(bench)
    bench.told()
    sent = (*[payload(1)] * 3, payload(1, b"6"), payload(1, b"7"))
    bench.hear(B, Append(1, 1, 2, 1, 7, sent))
    assert bench.said(Stored) == [Stored(1, 1, True, 7, 0, 0)]
    assert bench.payloads == [b"6", b"7"]
    bench.hear(B, Append(1, 1, 0, 0, 7, (payload(1),)))
    assert bench.said(Stored) == [Stored(1, 1, True, 7, 0, 0)]  # all of that is committed
    assert bench.engine.log.last == 7


def test_7_an_empty_state_is_a_state() -> None:
    bench = Bench(THREE)
    bench.hear(B, changed(chunk(0, b""), size=0))
    assert bench.restores == [Restore(5, b"")]


def test_7_whoever_began_with_a_snapshot_can_lead() -> None:
    bench = Bench(THREE)
    install(bench)
    bench.follow(B, 1, nothing(1), committed=6)
    bench.hear(B, Campaign(1))
    bench.lead()
    assert bench.role is Role.LEADER
    bench.hear(A, Stored(2, 1, True, 0, 0, 0))
    bench.hear(C, Stored(bench.engine.term, bench.round, False, 6, 0, 0))
    assert [each.data for each in bench.said(Chunk, to=C)] == [STATE]


def test_7_a_snapshot_from_the_leader_takes_no_vote_back() -> None:
    bench = Bench(THREE)
    bench.wait(bench.settings.election_ms)
    bench.hear(C, ask(7))
    for offset in (0, 4, 8):
        bench.hear(C, chunk(offset, STATE[offset : offset + 4], term=7))
    assert bench.restores != []
    restarted = Bench(THREE, bench.records)
    restarted.wait(restarted.settings.election_ms)
    restarted.hear(B, ask(7, 9, 7))
    assert restarted.said(GiveVote) == [GiveVote(7, 7, False, False)]


def test_7_a_snapshot_that_is_too_large_is_not_even_begun_and_told_of_until_it_is_needed_no_more() -> None:
    bench = Bench(THREE, settings=Settings(snapshot_bytes_max=len(STATE) - 1))
    assert bench.engine.oversized == 0
    install(bench)
    assert (bench.restores, bench.said(Chunked), bench.said(Stored)) == ([], [], [])
    assert bench.engine.log.last == 0
    assert bench.engine.oversized == len(STATE)
    bench.follow(B, 1, payload(1))
    assert bench.engine.oversized == 0
    bench = Bench(THREE, settings=Settings(snapshot_bytes_max=len(STATE)))
    install(bench)
    assert [each.state for each in bench.restores] == [STATE]
