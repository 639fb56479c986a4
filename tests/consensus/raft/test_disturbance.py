"""Who disturbs nobody: pre-vote (9.6 of the thesis), stickiness (6 of the paper), check-quorum (6.2 of the thesis)."""

from __future__ import annotations

import pytest

from tests.consensus.raft.bench import A, B, Bench, C, D, E, ask, nothing, of, payload, records_of, records_with
from wattquorum.consensus.raft.engine import Role
from wattquorum.consensus.raft.messages import Append, AskVote, Campaign, Chunk, GiveVote, Stored
from wattquorum.consensus.raft.records import Ballot
from wattquorum.foundation.codec import changed

THREE, FIVE = of(1, 1, 1), of(1, 1, 1, 1, 1)
ELECTION_MS = Bench(THREE).settings.election_ms


# Pre-vote


def test_9_6_it_asks_first_and_raises_no_term_for_it() -> None:
    bench = Bench(THREE, records_with([3], term=4))
    bench.campaign()
    assert (bench.role, bench.engine.term) == (Role.PROSPECT, 4)
    assert bench.said(AskVote) == [AskVote(5, 1, 3, True, False)] * 2
    assert len(bench.records) == 2  # nothing new is kept for it


def test_9_6_it_stands_when_more_than_half_of_the_power_would_elect_it() -> None:
    for powers, sayers, stands in (
        ((1, 1, 1), [], False),
        ((1, 1, 1), [B], True),
        ((4, 4, 1, 1, 1), [C], False),
        ((4, 4, 1, 1, 1), [C, D], True),
        ((5, 1, 1), [], True),
    ):
        bench = Bench(of(*powers))
        bench.campaign()
        for sayer in sayers:
            bench.hear(sayer, GiveVote(0, 1, True, True))
        assert bench.engine.term == int(stands), (powers, sayers)


def test_9_6_it_goes_back_to_wait_when_too_many_would_not() -> None:
    bench = Bench(THREE)
    bench.campaign()
    bench.hear(B, GiveVote(0, 1, True, False))
    assert bench.role is Role.PROSPECT
    bench.hear(C, GiveVote(0, 1, True, False))
    assert (bench.role, bench.engine.term) == (Role.FOLLOWER, 0)


def test_9_6_a_vote_of_before_is_no_answer_to_it() -> None:
    bench = Bench(THREE, records_of(Ballot(1, A)))
    bench.campaign()
    bench.hear(B, GiveVote(1, 1, True, True), GiveVote(1, 2, False, True), GiveVote(1, 1, False, True))
    assert (bench.role, bench.engine.term) == (Role.PROSPECT, 1)


def test_9_6_saying_that_one_would_is_no_vote() -> None:
    bench = Bench(THREE)
    bench.now = ELECTION_MS
    bench.hear(B, ask(1, pre=True))
    bench.hear(C, ask(1, pre=True))
    assert [vote.granted for vote in bench.said(GiveVote)] == [True, True]
    assert (bench.engine.term, bench.records) == (0, [])
    bench.hear(C, ask(1))
    assert bench.said(GiveVote) == [GiveVote(1, 1, False, True)]


def test_9_6_nobody_is_told_yes_for_a_term_that_is_over() -> None:
    bench = Bench(THREE, records_of(Ballot(5, b"")))
    bench.now = ELECTION_MS
    bench.hear(B, ask(5, pre=True))
    bench.hear(B, ask(4, pre=True))
    assert bench.said(GiveVote) == [GiveVote(5, 5, True, False), GiveVote(5, 4, True, False)]


# Stickiness


@pytest.mark.parametrize("pre", [True, False])
def test_6_whoever_hears_from_a_leader_answers_no_candidate(pre: bool) -> None:
    bench = Bench(THREE)
    bench.follow(B, 1)
    bench.told()
    bench.now += ELECTION_MS - 1
    bench.hear(C, ask(9, 9, 9, pre=pre))
    assert (bench.told(), bench.engine.term, bench.engine.leader) == ([], 1, B)
    bench.now += 1
    bench.hear(C, ask(9, 9, 9, pre=pre))
    assert [vote.granted for vote in bench.said(GiveVote)] == [True]


def test_6_a_snapshots_chunk_is_the_leaders_word_as_well() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1)
    bench.now += ELECTION_MS - 1
    bench.hear(B, Chunk(1, 1, 5, 1, THREE, 10, 0, b"x"))
    bench.told()
    bench.now += ELECTION_MS - 1
    bench.hear(C, ask(2, 9, 9))
    assert bench.told() == []


def test_6_a_leader_answers_no_candidate_while_it_leads() -> None:
    bench = Bench(THREE)
    bench.reign()
    while bench.now < 3 * ELECTION_MS:
        bench.wait(bench.settings.heartbeat_ms)
        bench.store(B)
    bench.hear(C, ask(9, 9, 9), ask(9, 9, 9, pre=True))
    assert (bench.said(GiveVote), bench.role, bench.engine.term) == ([], Role.LEADER, 1)


def test_6_after_a_restart_it_may_have_promised_a_leader_to_be_silent() -> None:
    bench = Bench(THREE, records_of(Ballot(1, b"")))
    bench.hear(C, ask(2))
    assert bench.told() == []
    bench.now += ELECTION_MS
    bench.hear(C, ask(2))
    assert bench.said(GiveVote) == [GiveVote(2, 2, False, True)]


def test_3_10_the_leaders_own_wish_is_stronger() -> None:
    for role in (Role.FOLLOWER, Role.LEADER):
        bench = Bench(THREE)
        if role is Role.LEADER:
            bench.reign()
        else:
            bench.follow(B, 1)
        bench.hear(C, ask(2, 9, 9, transfer=True))
        assert bench.said(GiveVote) == [GiveVote(2, 2, False, True)]
        assert (bench.role, bench.engine.term) == (Role.FOLLOWER, 2)


def test_6_who_asks_for_a_term_that_is_over_is_told_so_also_by_those_with_a_leader() -> None:
    bench = Bench(THREE, records_of(Ballot(3, b"")))
    bench.follow(B, 3)
    for pre in (True, False):
        bench.hear(C, ask(2, 9, 9, pre=pre))
        assert bench.said(GiveVote) == [GiveVote(3, 2, pre, False)]


def test_6_a_leader_that_stepped_down_may_vote_at_once() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.wait(ELECTION_MS + 1)
    assert bench.role is Role.FOLLOWER
    bench.hear(C, ask(2, 9, 9))
    assert bench.said(GiveVote)[-1].granted


def test_6_a_leader_of_an_earlier_term_steps_down_when_its_followers_are_further() -> None:
    """Whoever stood in vain is in a later term; its answer makes the others elect again, with it."""
    bench = Bench(THREE)
    bench.stand()
    bench.stand()
    bench.told()
    bench.hear(B, Append(1, 5, 0, 0, 0, ()))
    assert bench.said(Stored) == [Stored(2, 0, False, 0, 0, 0)]
    leader = Bench(THREE)
    leader.reign()
    leader.hear(B, Stored(2, 0, False, 0, 0, 0))
    assert (leader.role, leader.engine.term) == (Role.FOLLOWER, 2)


# Check-quorum


def beat(bench: Bench, *answering: bytes) -> None:
    bench.wait(bench.settings.heartbeat_ms)
    if bench.role is Role.LEADER:
        bench.store(*answering, index=1)


@pytest.mark.parametrize(
    ("powers", "answering", "stays"),
    [
        ((1, 1, 1), (B,), True),
        ((1, 1, 1), (), False),
        ((1, 1, 1, 1), (B,), False),
        ((4, 4, 1, 1, 1), (C,), False),
        ((4, 4, 1, 1, 1), (C, D), True),
        ((4, 4, 1, 1, 1), (B,), True),
        ((1, 4, 4, 1, 1), (B,), False),
        ((5, 1, 1), (), True),
    ],
)
def test_6_2_a_leader_without_answers_from_half_of_the_power_steps_down(
    powers: tuple[int, ...], answering: tuple[bytes, ...], stays: bool
) -> None:
    bench = Bench(of(*powers))
    bench.reign()
    began = bench.now
    while bench.now < began + ELECTION_MS:
        beat(bench, *answering)
        assert bench.role is Role.LEADER
    beat(bench, *answering)
    assert (bench.role is Role.LEADER) == stays
    assert bench.engine.term == 1


def test_6_2_an_answer_proves_that_it_was_followed_when_its_round_began_and_no_later() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.wait(bench.settings.heartbeat_ms)
    asked, began = bench.round, bench.now
    bench.wait(ELECTION_MS - 150)
    bench.store(B, index=1, round_=asked)  # late
    bench.wait(began + ELECTION_MS - bench.now)
    assert bench.plays(Role.LEADER)
    bench.wait(1)
    assert bench.plays(Role.FOLLOWER)


def test_6_2_in_a_change_both_halves_must_answer() -> None:
    for answering, stays in (((B, C, D), False), ((D, E), False), ((B, D), False), ((B, D, E), True)):
        bench = Bench(of(1, 1, 1, learners=(D, E)))
        bench.reign()
        bench.store(D, E)
        new = of(0, 0, 0, 1, 1, version=1)
        bench.know(new)
        assert bench.engine.configuration == changed(new, old=of(1, 1, 1).new)
        for _ in range(11):
            beat(bench, *answering)
        assert (bench.role is Role.LEADER) == stays, answering


def test_who_never_answers_costs_a_leader_nothing_in_the_long_run() -> None:
    bench = Bench(THREE)
    bench.reign()
    for _ in range(1_000):
        beat(bench, B)
    assert bench.engine._leadership is not None
    assert len(bench.engine._leadership._rounds) <= 1 + ELECTION_MS // bench.settings.heartbeat_ms


def test_a_campaign_is_asked_for_by_the_leader_alone() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, payload(1))
    for sender, term in ((C, 1), (B, 0), (B, 2)):
        bench.hear(sender, Campaign(term))
    assert (bench.role, bench.engine.term) == (Role.FOLLOWER, 1)
    bench.hear(B, Campaign(1))
    assert (bench.role, bench.engine.term) == (Role.CANDIDATE, 2)
    assert bench.said(AskVote) == [AskVote(2, 1, 1, False, True)] * 2  # no pre-vote, and not to be ignored
    bench.hear(B, Campaign(1), Campaign(2))
    assert bench.engine.term == 2


def test_who_has_no_vote_does_not_campaign_when_asked() -> None:
    for bench in (Bench(of(0, 1, 1)), Bench(THREE, me=E)):
        bench.follow(B, 1, nothing(1))
        bench.hear(B, Campaign(1))
        assert (bench.role, bench.engine.term) == (Role.FOLLOWER, 1)


def test_6_2_a_stranger_s_frames_keep_no_leader_in_office() -> None:
    bench = Bench(THREE)
    bench.reign()
    while bench.now < 3 * ELECTION_MS and bench.plays(Role.LEADER):
        bench.now = bench.deadline  # the driver gets frames at every deadline, and never comes to its tick
        bench.hear(D, Stored(0, 0, False, 0, 0, 0))
    assert bench.plays(Role.FOLLOWER)
