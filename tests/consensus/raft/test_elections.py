"""Terms and elections: the paper's 5.1, 5.2 and 5.4.1, by weight; timeouts by rank (A-6)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.consensus.raft.bench import (
    EVERYBODY,
    A,
    B,
    Bench,
    C,
    D,
    E,
    ask,
    nothing,
    of,
    records_of,
    records_with,
)
from wattquorum.consensus.raft.engine import Role
from wattquorum.consensus.raft.messages import Append, AskRead, AskVote, Campaign, Chunked, GiveRead, GiveVote, Stored
from wattquorum.consensus.raft.records import Ballot
from wattquorum.consensus.raft.settings import AT_LEAST_ONE, Settings
from wattquorum.foundation.refusals import Refused

THREE, FIVE = of(1, 1, 1), of(1, 1, 1, 1, 1)


# 5.1: terms


def in_role(role: Role) -> Bench:
    """A replica in term 1 and this role."""
    bench = Bench(THREE)
    if role is Role.FOLLOWER:
        bench.follow(B, 1)
    elif role is Role.PROSPECT:
        bench.follow(B, 1)
        bench.campaign()
    elif role is Role.CANDIDATE:
        bench.stand()
    else:
        bench.reign()
    bench.told()
    assert (bench.role, bench.engine.term) == (role, 1)
    return bench


@pytest.mark.parametrize("role", Role)
def test_5_1_whoever_hears_from_the_leader_of_a_later_term_follows_it(role: Role) -> None:
    bench = in_role(role)
    bench.hear(C, Append(2, 1, 0, 0, 0, ()))
    assert (bench.role, bench.engine.term, bench.engine.leader) == (Role.FOLLOWER, 2, C)
    assert bench.records[-1] == records_of(*[Ballot(2, b"")] * len(bench.records))[-1]


@pytest.mark.parametrize("role", Role)
def test_5_1_an_answer_from_a_later_term_ends_what_it_was(role: Role) -> None:
    for answer in (GiveVote(5, 2, False, False), GiveVote(5, 2, True, False), Stored(5, 1, False, 0, 0, 0)):
        bench = in_role(role)
        bench.hear(C, answer)
        assert (bench.role, bench.engine.term, bench.engine.leader) == (Role.FOLLOWER, 5, b"")


@pytest.mark.parametrize("role", Role)
def test_5_1_what_comes_from_an_earlier_term_is_rejected(role: Role) -> None:
    bench = in_role(role)
    bench.hear(B, Append(2, 1, 0, 0, 0, ()))
    bench.told()
    before = bench.engine.log.last, bench.engine.commit
    bench.hear(C, Append(1, 1, 0, 0, 1, (nothing(1),)))
    bench.hear(C, Campaign(1), GiveVote(1, 1, False, True), AskRead(1, 1), GiveRead(1, 1, 1), Chunked(1, 1, 1, 1))
    assert (bench.engine.log.last, bench.engine.commit) == before
    assert (bench.role, bench.engine.term, bench.engine.leader) == (Role.FOLLOWER, 2, B)
    assert bench.said(Stored, to=C) == [Stored(2, 0, False, 0, 0, 0)]  # so that it learns that its term is over


# 5.2: elections and heartbeats


def test_5_2_everybody_begins_as_a_follower_of_nobody() -> None:
    bench = Bench(THREE)
    assert (bench.role, bench.engine.term, bench.engine.leader) == (Role.FOLLOWER, 0, b"")


def test_5_2_a_leader_speaks_to_everybody_at_every_heartbeat() -> None:
    bench = Bench(FIVE)
    bench.reign()
    for _ in range(3):
        bench.wait(bench.settings.heartbeat_ms - 1)
        assert bench.told() == []
        assert bench.deadline == bench.now + 1
        bench.wait(1)
        assert bench.receivers(Append) == [B, C, D, E]


def test_5_2_who_hears_nothing_stands_in_the_next_term_and_votes_for_itself() -> None:
    bench = Bench(THREE, records_with([3, 3], term=4), me=B)
    bench.stand()
    assert (bench.role, bench.engine.term) == (Role.CANDIDATE, 5)
    assert bench.records[-1].data == records_of(Ballot(5, B))[0].data
    assert bench.said(AskVote, to=A)[-1] == bench.said(AskVote, to=C)[-1] == AskVote(5, 2, 3, False, False)


def test_5_2_a_candidate_that_is_not_elected_stands_again_in_a_later_term() -> None:
    bench = Bench(THREE)
    bench.stand()
    bench.stand()
    assert (bench.role, bench.engine.term) == (Role.CANDIDATE, 2)


def test_5_2_nobody_stands_before_its_time() -> None:
    bench = Bench(THREE)
    bench.wait(bench.deadline - 1)
    assert bench.told() == []
    bench.wait(1)
    assert bench.receivers(AskVote) == [B, C]


@pytest.mark.parametrize(
    ("powers", "votes", "role"),
    [
        ((1, 1, 1), {B: True}, Role.LEADER),
        ((1, 1, 1), {}, Role.CANDIDATE),
        ((1, 1, 1), {B: False}, Role.CANDIDATE),
        ((1, 1, 1), {B: False, C: False}, Role.FOLLOWER),
        ((1, 1, 1, 1, 1), {B: True}, Role.CANDIDATE),
        ((1, 1, 1, 1, 1), {B: True, C: True}, Role.LEADER),
        ((1, 1, 1, 1), {B: True}, Role.CANDIDATE),
        ((1, 1, 1, 1), {B: True, C: False, D: False}, Role.FOLLOWER),
        ((4, 4, 1, 1, 1), {B: True}, Role.LEADER),
        ((4, 4, 1, 1, 1), {C: True}, Role.CANDIDATE),
        ((4, 4, 1, 1, 1), {C: True, D: True}, Role.LEADER),
        ((4, 4, 1, 1, 1), {B: False, C: True, D: False}, Role.CANDIDATE),
        ((4, 4, 1, 1, 1), {B: False, C: True, D: False, E: False}, Role.FOLLOWER),
        ((1, 4, 4, 0, 0), {D: True, E: True}, Role.CANDIDATE),
        ((1, 4, 4, 0, 0), {B: False, C: False}, Role.FOLLOWER),
        ((5, 1, 1, 1, 1), {}, Role.LEADER),
    ],
)
def test_5_2_more_than_half_of_the_power_elects_in_one_round(
    powers: tuple[int, ...], votes: dict[bytes, bool], role: Role
) -> None:
    bench = Bench(of(*powers))
    bench.stand()
    for voter, granted in votes.items():
        bench.hear(voter, GiveVote(1, 1, False, granted))
    assert bench.role is role


def test_5_2_a_vote_counts_once_and_only_for_the_term_and_the_question_it_answers() -> None:
    bench = Bench(FIVE)
    bench.stand()
    bench.hear(B, *[GiveVote(1, 1, False, True)] * 3)
    bench.hear(C, GiveVote(1, 1, True, True))  # that it would be elected
    bench.hear(D, GiveVote(0, 0, False, True))
    bench.hear(b"x" * 20, GiveVote(1, 1, False, True))
    assert bench.role is Role.CANDIDATE


def test_5_2_a_vote_for_an_earlier_candidacy_does_not_count_in_a_later_one() -> None:
    bench = Bench(THREE)
    bench.stand()
    bench.stand()
    bench.hear(B, GiveVote(1, 1, False, True))
    assert (bench.role, bench.engine.term) == (Role.CANDIDATE, 2)


@pytest.mark.parametrize("vote", [b"", B, C])
@pytest.mark.parametrize("candidate", [B, C])
def test_5_2_a_replica_votes_once_in_a_term_first_come_first_served(vote: bytes, candidate: bytes) -> None:
    bench = Bench(THREE, records_of(Ballot(1, vote)))
    bench.now = bench.settings.election_ms
    bench.hear(candidate, ask(1))
    assert bench.said(GiveVote, to=candidate) == [GiveVote(1, 1, False, vote in (b"", candidate))]


def test_5_2_a_vote_survives_a_restart() -> None:
    bench = Bench(THREE)
    bench.now = bench.settings.election_ms
    bench.hear(B, ask(1))
    again = Bench(THREE, bench.records)
    again.now = again.settings.election_ms
    again.hear(C, ask(1))
    again.hear(B, ask(1))
    assert [vote.granted for vote in again.said(GiveVote)] == [False, True]


def test_5_2_a_candidate_yields_to_the_leader_of_its_term() -> None:
    for term in (1, 2):
        bench = Bench(THREE)
        bench.stand()
        bench.hear(C, Append(term, 1, 0, 0, 0, ()))
        assert (bench.role, bench.engine.term, bench.engine.leader) == (Role.FOLLOWER, term, C)


def test_5_2_a_candidate_votes_for_no_other_in_its_term() -> None:
    bench = Bench(THREE)
    bench.stand()
    bench.hear(B, ask(1))
    assert bench.said(GiveVote) == [GiveVote(1, 1, False, False)]
    assert bench.role is Role.CANDIDATE


def test_whoever_asks_is_answered_also_when_no_configuration_here_knows_it() -> None:
    bench = Bench(THREE)
    bench.now = bench.settings.election_ms
    bench.hear(E, ask(1, pre=True))
    bench.hear(E, ask(1))
    assert [vote.granted for vote in bench.said(GiveVote, to=E)] == [True, True]
    bench.follow(E, 2, nothing(2))
    assert bench.said(Stored, to=E) == [Stored(2, 1, True, 1, 0, 0, bench.now)]


# 5.4.1: the election restriction


@pytest.mark.parametrize(
    ("own", "index", "last_term", "granted"),
    [
        ([1], 1, 1, True),
        ([1], 2, 1, True),
        ([1, 1], 1, 1, False),
        ([1], 1, 2, True),
        ([1], 2, 2, True),
        ([1, 1], 1, 2, True),
        ([2], 1, 1, False),
        ([2], 2, 1, False),
        ([2, 2], 1, 1, False),
        ([2, 2], 9, 1, False),
        ([], 0, 0, True),
        ([1], 0, 0, False),
    ],
)
@pytest.mark.parametrize("pre", [True, False])
def test_5_4_1_who_lacks_entries_gets_no_vote(
    own: list[int], index: int, last_term: int, granted: bool, pre: bool
) -> None:
    bench = Bench(THREE, records_with(own, term=2))
    bench.now = bench.settings.election_ms
    bench.hear(B, ask(3, index, last_term, pre=pre))
    assert bench.said(GiveVote) == [GiveVote(2 if pre else 3, 3, pre, granted)]


def test_5_4_1_neither_rank_nor_weight_is_a_reason_to_refuse() -> None:
    for powers in ((100, 1, 1), (1, 100, 1), (2, 1, 0)):
        bench = Bench(of(*powers))
        bench.now = bench.settings.election_ms
        bench.hear(C, ask(1))
        assert bench.said(GiveVote) == [GiveVote(1, 1, False, True)]


# when to stand


def slot(bench: Bench) -> int:
    """In which slot after the shortest silence it would stand."""
    return (bench.deadline - bench.now - bench.settings.election_ms) // bench.settings.slot_ms


def test_a_6_who_has_more_power_stands_earlier_each_in_a_slot_of_its_own() -> None:
    powers = of(1, 3, 2, 3, 0)
    slots = {me: {slot(Bench(powers, me=me, seed=seed)) for seed in range(20)} for me in EVERYBODY}
    assert slots == {B: {0}, D: {1}, C: {2}, A: {3}, E: {4}}


def test_a_6_the_place_within_a_slot_is_drawn() -> None:
    deadlines = {Bench(THREE, seed=seed).deadline for seed in range(200)}
    settings = Settings()
    assert settings.election_ms <= min(deadlines)
    assert max(deadlines) < settings.election_ms + settings.slot_ms
    assert len(deadlines) > 60


def test_a_6_the_leader_that_is_gone_keeps_no_slot() -> None:
    for me, expected in ((B, 0), (C, 1)):
        bench = Bench(of(3, 2, 1), me=me)
        bench.follow(A, 1)
        assert slot(bench) == expected


def test_a_6_a_stranger_waits_for_all_voters() -> None:
    assert slot(Bench(THREE, me=E)) == 3


def test_a_6_after_an_election_without_a_winner_all_draw_from_all_slots() -> None:
    slots = set()
    for seed in range(60):
        bench = Bench(of(4, 3, 2, 1), seed=seed)
        bench.campaign()
        slots.add(slot(bench))
    assert slots == {0, 1, 2, 3}


def test_a_6_the_more_elections_fail_the_wider_the_draw_up_to_a_bound() -> None:
    reached = []
    for failures in range(1, 8):
        slots = []
        for seed in range(60):
            bench = Bench(THREE, seed=seed)
            for _ in range(failures):
                bench.campaign()
            slots.append(slot(bench))
        reached.append(max(slots))
    assert reached[0] < 3 <= reached[1] < 6 <= reached[2] < 12 <= reached[3]
    assert max(reached) < 3 * 8
    assert all(earlier < later for earlier, later in pairwise(reached[:4]))


def test_a_6_a_leader_ends_the_back_off() -> None:
    bench = Bench(THREE, me=C)
    for _ in range(5):
        bench.campaign()
    bench.follow(A, 1)
    assert slot(bench) == 1


def test_a_6_every_word_of_the_leader_begins_the_wait_anew() -> None:
    bench = Bench(THREE, me=B)
    bench.follow(A, 1)
    for _ in range(50):
        bench.wait(bench.settings.election_ms - 1)
        bench.follow(A, 1)
    assert bench.role is Role.FOLLOWER
    assert bench.said(AskVote) == []


def test_a_6_whoever_voted_waits_anew() -> None:
    bench = Bench(THREE, records_of(Ballot(1, b"")))
    bench.now = bench.deadline - 1
    bench.hear(B, ask(1))
    assert bench.deadline >= bench.now + bench.settings.election_ms


def test_who_has_no_power_never_stands_unless_some_half_weighs_it() -> None:
    powerless = Bench(of(0, 1, 1))
    for _ in range(20):
        powerless.campaign()
    assert powerless.said(AskVote) == []
    assert powerless.engine.term == 0
    stranger = Bench(THREE, me=E)
    stranger.campaign()
    assert stranger.said(AskVote) == []


def test_the_powerless_are_not_asked() -> None:
    bench = Bench(of(1, 1, 0, 1))
    bench.stand()
    assert set(bench.receivers(AskVote)) == {B, D}


def test_times_under_which_no_leader_could_stay_and_bounds_that_let_nothing_through_are_refused() -> None:
    for wrong in (
        {"heartbeat_ms": 501},
        {"heartbeat_ms": 0},
        {"slot_ms": 0},
        {"slot_min_ms": 0},
        {"slot_min_ms": 50, "slot_max_ms": 49},
        {"lease_ms": 501},
        {"lease_ms": -1},
        *({name: 0} for name in AT_LEAST_ONE),
        {"trailing_max": -1},
        {"cooldown_ms": -1},
    ):
        with pytest.raises(Refused) as caught:
            Settings(**wrong)
        assert caught.value.code == "out_of_range"
    Settings(heartbeat_ms=500, slot_ms=1, lease_ms=500)
