"""Reads by read-index (6.4 of the thesis): none sees less than was committed before it was asked."""

from __future__ import annotations

import pytest

from tests.consensus.raft.bench import B, Bench, C, D, nothing, of, payload
from wattquorum.consensus.raft.engine import Role
from wattquorum.consensus.raft.messages import Append, AskRead, Campaign, GiveRead, GiveVote
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

THREE, FIVE = of(1, 1, 1), of(1, 1, 1, 1, 1)


def read(bench: Bench, number: int) -> None:
    bench.engine.read(number, Millis(bench.now))
    bench.settle()


def test_6_4_a_read_waits_for_a_quorum_that_answers_a_round_begun_after_it() -> None:
    bench = Bench(FIVE)
    bench.reign()
    before = bench.round
    read(bench, 7)
    assert bench.round == before + 1  # at once, not with the next heartbeat
    assert [append.round for append in bench.said(Append)] == [before + 1] * 4
    bench.store(B, C, D, round_=before)
    assert bench.reads == []
    bench.store(B)
    assert bench.reads == []
    bench.store(C)
    assert bench.reads == [7]


def test_6_4_power_confirms_a_read_not_heads() -> None:
    bench = Bench(of(4, 4, 1, 1, 1))
    bench.reign()
    read(bench, 7)
    bench.store(C)
    assert bench.reads == []
    bench.store(D)
    assert bench.reads == [7]


def test_6_4_a_leader_with_more_than_half_of_the_power_confirms_its_own_reads() -> None:
    bench = Bench(of(5, 1, 1))
    bench.lead()
    read(bench, 7)
    assert bench.reads == [7]


def test_6_4_a_read_waits_until_all_that_was_committed_before_it_is_applied() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.propose(b"x")
    bench.store(B)
    read(bench, 7)
    bench.store(B)
    assert bench.reads == []
    bench.apply()
    assert bench.reads == [7]


def test_6_4_a_new_leader_answers_nothing_before_an_entry_of_its_term_is_committed() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, payload(1))
    bench.lead()
    read(bench, 7)
    bench.store(B, index=1)
    assert bench.reads == []
    bench.store(B)
    assert bench.reads == []  # what an earlier leader may have committed comes first
    bench.apply()
    assert bench.reads == [7]


def test_6_4_many_reads_share_a_round() -> None:
    bench = Bench(THREE)
    bench.reign()
    before = bench.round
    for number in range(5):
        bench.engine.read(number, Millis(bench.now))
    bench.settle()
    assert bench.round == before + 1
    bench.store(B)
    assert bench.reads == [0, 1, 2, 3, 4]


def test_6_4_a_follower_asks_its_leader_what_its_reads_must_see() -> None:
    bench = Bench(THREE)
    read(bench, 7)
    bench.follow(B, 1, payload(1))
    assert bench.said(AskRead, to=B) == [AskRead(1, 7, bench.life)]
    bench.hear(B, GiveRead(0, 7, 0, bench.life), GiveRead(1, 8, 0, bench.life))
    bench.hear(C, GiveRead(1, 7, 0, bench.life))  # it does not lead
    bench.hear(B, GiveRead(1, 7, 1, bench.life))
    assert bench.reads == []
    bench.follow(B, 1, committed=1)
    assert bench.reads == []
    bench.apply()
    assert bench.reads == [7]
    bench.hear(B, GiveRead(1, 7, 1, bench.life))
    assert bench.reads == [7]


def test_6_4_a_leader_answers_its_followers_reads() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.propose(b"x")
    bench.store(B)
    bench.hear(C, AskRead(1, 9))
    assert bench.said(GiveRead) == []
    bench.store(B)
    assert bench.said(GiveRead, to=C) == [GiveRead(1, 9, 2)]
    assert bench.reads == []
    bench.hear(C, AskRead(0, 9))
    bench.store(B)
    assert bench.said(GiveRead) == []


def test_6_4_whoever_leads_next_is_asked_again() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1)
    read(bench, 7)
    bench.told()
    bench.follow(C, 2, nothing(2))
    assert bench.said(AskRead, to=C) == [AskRead(2, 7, bench.life)]


def test_6_4_whoever_leads_again_in_a_later_term_is_asked_again_at_once() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1)
    read(bench, 7)
    bench.told()
    bench.follow(B, 3)
    assert bench.said(AskRead, to=B) == [AskRead(3, 7, bench.life)]


def test_6_4_what_may_have_been_lost_is_asked_again_after_an_election_timeout_and_not_with_each_heartbeat() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1)
    read(bench, 7)
    bench.told()
    bench.follow(B, 1)
    assert bench.said(AskRead, to=B) == []
    bench.wait(Settings().election_ms)
    bench.follow(B, 1)
    assert bench.said(AskRead, to=B) == [AskRead(1, 7, bench.life)]


def test_6_4_a_read_that_is_repeated_hurries_no_round_and_takes_no_second_place() -> None:
    """A leader without a quorum and a follower that repeats itself would else talk as fast as the network lets them."""
    bench = Bench(FIVE, settings=Settings(reads_max=2))
    bench.reign()
    bench.hear(C, AskRead(1, 9))
    before = bench.round
    for _ in range(5):
        bench.hear(C, AskRead(1, 9))
    assert bench.round == before
    bench.hear(D, AskRead(1, 9))
    bench.store(B, C)
    assert bench.said(GiveRead, to=C) == [GiveRead(1, 9, 1)]
    assert bench.said(GiveRead, to=D) == [GiveRead(1, 9, 1)]
    bench.hear(C, AskRead(1, 9))  # the answer was lost
    bench.store(B, C)
    assert bench.said(GiveRead, to=C) == [GiveRead(1, 9, 1)]


def test_6_4_an_answer_to_a_read_of_a_former_life_is_none_to_the_one_that_bears_its_number_now() -> None:
    """A driver may count its reads from 1 again; then the old answer shows less than was committed since."""
    before = Bench(THREE)
    before.follow(B, 1, nothing(1), payload(1), committed=2)
    before.apply()
    read(before, 1)
    (asked,) = before.said(AskRead)
    for seed in (1, 2):
        bench = Bench(THREE, before.records, seed=seed)
        bench.follow(B, 1, payload(1, b"acknowledged"), committed=2)
        bench.apply()
        read(bench, 1)
        bench.hear(B, GiveRead(1, 1, 2, asked.life))
        assert bench.reads == []
        bench.hear(B, GiveRead(1, 1, 3, bench.life))
        bench.follow(B, 1, committed=3)
        bench.apply()
        assert bench.reads == [1]


def test_6_4_a_leader_tells_reads_of_different_lives_apart() -> None:
    bench = Bench(FIVE)
    bench.reign()
    before = bench.round
    bench.hear(C, AskRead(1, 1, 10))
    bench.propose(b"acknowledged")
    bench.store(B, D, round_=before)
    bench.hear(C, AskRead(1, 1, 11))
    bench.wait(100)
    bench.store(B, D)
    assert bench.said(GiveRead, to=C) == [GiveRead(1, 1, 1, 10), GiveRead(1, 1, 2, 11)]


def test_6_4_whoever_asked_and_then_leads_answers_itself() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1)
    read(bench, 7)
    bench.reign()
    read(bench, 8)
    bench.store(B)
    assert bench.reads == [7, 8]


def test_3_10_whoever_asked_and_is_made_the_leader_answers_itself() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, nothing(1))
    read(bench, 7)
    bench.hear(B, Campaign(1))
    bench.hear(C, GiveVote(2, 2, False, True))
    assert bench.role is Role.LEADER
    bench.store(C)
    assert bench.reads == [7]


def test_6_4_a_leader_that_steps_down_asks_the_next_for_its_own_reads() -> None:
    bench = Bench(THREE)
    bench.reign()
    read(bench, 7)
    bench.hear(C, Append(2, 1, 1, 1, 1, (nothing(2),)))
    assert bench.reads == []
    assert bench.said(AskRead, to=C) == [AskRead(2, 7, bench.life)]


def test_6_4_reads_that_wait_are_bounded() -> None:
    bench = Bench(THREE, settings=Settings(reads_max=3))
    for number in range(3):
        read(bench, number)
    with pytest.raises(Refused) as caught:
        read(bench, 3)
    assert caught.value.code == "input_unexpected"
    bench.lead()
    with pytest.raises(Refused):
        read(bench, 3)
    for number in range(9):
        bench.hear(C, AskRead(1, number))
    bench.store(B)
    assert bench.reads == [0, 1, 2]
    assert bench.said(GiveRead) == []


# Leases


LEASED = Settings(lease_ms=500)


def test_6_4_1_a_lease_answers_at_once_until_it_ends() -> None:
    bench = Bench(THREE, settings=LEASED)
    bench.reign()
    bench.wait(bench.settings.heartbeat_ms)
    bench.store(B)
    bench.now += 500
    read(bench, 7)
    assert bench.reads == [7]
    bench.now += 1
    read(bench, 8)
    assert bench.reads == [7]


def test_6_4_1_without_a_lease_every_read_asks() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.wait(bench.settings.heartbeat_ms)
    bench.store(B)
    read(bench, 7)
    assert bench.reads == []


def test_6_4_1_whoever_hands_over_has_no_lease_any_more() -> None:
    """The one it asks to campaign may be elected within the lease, since voters do not ignore it."""
    bench = Bench(THREE, settings=LEASED)
    bench.reign()
    bench.wait(bench.settings.heartbeat_ms)
    bench.store(B, C)
    bench.engine.transfer(B, Millis(bench.now))
    bench.settle()
    assert bench.said(Campaign, to=B) != []
    read(bench, 7)
    assert bench.reads == []
    for _ in range(20):  # it gives up, but its wish may still be on the way
        bench.wait(bench.settings.heartbeat_ms)
        bench.store(C)
    read(bench, 8)
    assert 8 not in bench.reads
    bench.store(C)
    assert 8 in bench.reads
