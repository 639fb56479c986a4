"""Replication: the paper's 5.3 and 5.4.2, the order of durable and sent, and who completed a quorum (A-12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.consensus.raft.bench import (
    A,
    B,
    Bench,
    C,
    D,
    E,
    ask,
    nothing,
    of,
    payload,
    records_of,
    records_with,
    voters,
)
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Committed, Wanted
from wattquorum.consensus.raft.engine import Role
from wattquorum.consensus.raft.entries import Entry, Kind, configuration_entry
from wattquorum.consensus.raft.messages import (
    Append,
    AskRead,
    AskVote,
    Campaign,
    Chunk,
    Chunked,
    GiveRead,
    GiveVote,
    RaftMessage,
    Stored,
)
from wattquorum.consensus.raft.records import Appended, Ballot, kept
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import INT64_MAX, changed, encode
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.standing.participation import valid_replies

THREE, FIVE = of(1, 1, 1), of(1, 1, 1, 1, 1)


# 5.3: a leader


def test_5_3_a_leader_begins_its_term_with_an_entry_that_says_nothing() -> None:
    bench = Bench(THREE, records_with([1, 1]))
    bench.lead()
    assert bench.engine.log.entry(3) == nothing(2)
    assert Append(2, 1, 2, 1, 0, (nothing(2),)) in bench.said(Append, to=B)


def test_5_3_a_leader_sends_a_proposal_to_everybody_after_the_entry_before_it() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.propose(b"x", b"y")
    sent = Append(1, bench.round, 1, 1, 1, (payload(1, b"x"), payload(1, b"y")))
    assert bench.said(Append, to=B) == [sent] == bench.said(Append, to=C)


def test_5_3_a_leader_commits_what_more_than_half_of_the_power_stored() -> None:
    for powers, stored, expected in (
        ((1, 1, 1), [], False),
        ((1, 1, 1), [B], True),
        ((1, 1, 1, 1, 1), [B], False),
        ((1, 1, 1, 1, 1), [B, E], True),
        ((1, 1, 1, 1), [B], False),
        ((4, 4, 1, 1, 1), [C], False),
        ((4, 4, 1, 1, 1), [B], True),
        ((4, 4, 1, 1, 1), [C, E], True),
        ((1, 4, 4, 0, 0), [D, E], False),
    ):
        bench = Bench(of(*powers))
        bench.reign()
        bench.propose(b"x")
        bench.store(*stored)
        assert (bench.payloads == [b"x"]) == expected, (powers, stored)


def test_5_3_a_leader_with_more_than_half_of_the_power_commits_alone() -> None:
    bench = Bench(of(5, 1, 1))
    bench.lead()
    bench.propose(b"x")
    assert bench.committed == [Committed(2, 1, b"x", ())]


def test_5_3_a_commit_covers_everything_before_it_in_order() -> None:
    for terms in ([], [2], [1, 2], [1, 1, 2]):
        bench = Bench(THREE, records_with(terms, term=2))
        bench.lead()
        bench.propose(b"x")
        bench.store(B)
        assert bench.payloads == [*(b"%d" % at for at in range(1, len(terms) + 1)), b"x"]
        assert [each.term for each in bench.committed] == [*terms, 3]


def test_5_3_followers_learn_from_the_next_frame_what_is_committed() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.propose(b"x")
    bench.store(B)
    bench.told()
    bench.wait(bench.settings.heartbeat_ms)
    assert [append.committed for append in bench.said(Append)] == [2, 2]


def test_5_3_an_answer_of_an_earlier_term_tells_a_leader_nothing() -> None:
    """What was stored then may have been cut off since."""
    bench = Bench(THREE, records_with([1]))
    bench.lead()
    bench.hear(B, Stored(1, 1, True, 2, 0, 0))
    assert bench.engine.commit == 0


def test_5_3_whoever_does_not_lead_takes_no_proposals() -> None:
    bench = Bench(THREE)
    bench.propose(b"x")
    bench.follow(B, 1)
    bench.propose(b"x")
    bench.stand()
    bench.propose(b"x")
    assert bench.engine.log.last == 0


# 5.3: a follower


@pytest.mark.parametrize(
    ("terms", "committed", "expected"),
    [([1], 1, [b"x0"]), ([1, 1], 2, [b"x0", b"x1"]), ([1, 1], 1, [b"x0"]), ([1], 9, [b"x0"]), ([1], 0, [])],
)
def test_5_3_a_follower_commits_what_the_leader_did_as_far_as_it_knows_the_entries(
    terms: list[int], committed: int, expected: list[bytes]
) -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, *(payload(term, b"x%d" % at) for at, term in enumerate(terms)), committed=committed)
    assert bench.payloads == expected
    assert all(each.evidence == () for each in bench.committed)


def test_5_3_a_heartbeat_commits_nothing_that_it_does_not_vouch_for() -> None:
    """Entries above those that the leader has spoken of may differ from its own."""
    bench = Bench(THREE, records_with([1, 1, 1]))
    bench.hear(B, Append(2, 1, 1, 1, 3, ()))
    assert bench.engine.commit == 1


@pytest.mark.parametrize(
    ("index", "term", "fits", "hint", "hint_term"),
    [
        (0, 0, True, 0, 0),
        (1, 1, True, 0, 0),
        (2, 2, True, 0, 0),
        (2, 1, False, 1, 1),
        (3, 3, False, 2, 2),
        (9, 1, False, 1, 1),
    ],
)
def test_5_3_a_follower_accepts_only_what_follows_an_entry_that_it_has(
    index: int, term: int, fits: bool, hint: int, hint_term: int
) -> None:
    bench = Bench(THREE, records_with([1, 2]))
    bench.hear(B, Append(3, 7, index, term, 0, ()))
    assert bench.said(Stored) == [Stored(3, 7, fits, index, hint, hint_term)]


@pytest.mark.parametrize(
    ("index", "previous", "sent", "expected"),
    [
        (2, 2, [3], [1, 2, 3]),
        (1, 1, [3, 4], [1, 3, 4]),
        (0, 0, [1], [1, 2]),
        (0, 0, [3], [3]),
        (0, 0, [1, 2], [1, 2]),
        (1, 1, [], [1, 2]),
    ],
)
def test_5_3_what_differs_is_replaced_and_what_agrees_stays(
    index: int, previous: int, sent: list[int], expected: list[int]
) -> None:
    bench = Bench(THREE, records_with([1, 2]))
    bench.hear(B, Append(4, 1, index, previous, 0, tuple(payload(term) for term in sent)))
    assert bench.terms == expected
    assert bench.said(Stored) == [Stored(4, 1, True, index + len(sent), 0, 0)]
    again = Bench(THREE, bench.records)
    assert again.terms == expected


def test_5_3_a_delayed_frame_cuts_off_nothing_that_agrees_with_it() -> None:
    bench = Bench(THREE)
    bench.hear(B, Append(1, 1, 0, 0, 0, (payload(1), payload(1), payload(1))))
    bench.hear(B, Append(1, 1, 0, 0, 0, (payload(1),)))
    assert bench.terms == [1, 1, 1]


def test_5_3_a_committed_entry_is_never_cut_off() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, payload(1), committed=1)
    with pytest.raises(Refused) as caught:
        bench.hear(C, Append(2, 1, 0, 0, 0, (payload(2),)))
    assert caught.value.code == "diverged"
    assert bench.terms == [1]


# Figure 7: a leader brings every log to its own


LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
FIGURE_7 = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
]


@pytest.mark.parametrize("terms", FIGURE_7)
def test_5_3_figure_7_a_leader_brings_any_log_to_its_own_in_a_few_exchanges(terms: list[int]) -> None:
    leader = Bench(THREE, records_with(LEADER, term=7))
    follower = Bench(THREE, records_with(terms, term=7), me=B)
    leader.lead(C)
    exchanges = 0
    while follower.terms != leader.terms:
        exchanges += 1
        for append in leader.said(Append, to=B):
            follower.hear(A, append)
        for stored in follower.said(Stored):
            leader.hear(B, stored)
        assert exchanges < 5  # terms are skipped, not entries
    assert follower.engine.log.entries(1) == leader.engine.log.entries(1)


# 5.4.2: only entries of the present term are counted


def test_5_4_2_entries_of_earlier_terms_are_committed_only_by_one_of_its_own() -> None:
    bench = Bench(THREE, records_with([1, 2], term=2))
    bench.lead()
    bench.store(B, index=1)
    bench.store(B, index=2)
    bench.store(C, index=2)
    assert bench.engine.commit == 0
    bench.store(B, index=3)
    assert bench.engine.commit == 3


# Durable and sent


def test_a_vote_waits_for_its_record() -> None:
    bench = Bench(THREE)
    bench.now = bench.settings.election_ms
    bench.disk_writes = False
    bench.hear(B, ask(1))
    (vote,) = [said for said in bench.told() if isinstance(said.message, GiveVote)]
    (record,) = bench.records
    assert (record.data, record.position, vote.after) == (encode(Ballot(1, B)), 1, 1)


def test_an_acknowledgement_waits_for_its_entries() -> None:
    bench = Bench(THREE)
    bench.disk_writes = False
    bench.follow(B, 1, payload(1))
    (stored,) = bench.told()
    assert [record.data for record in bench.records] == [encode(Ballot(1, b"")), encode(Appended(1, (payload(1),)))]
    assert stored.after == bench.records[-1].position == 2


def test_a_second_acknowledgement_of_the_same_entries_waits_for_the_first_record() -> None:
    bench = Bench(THREE)
    bench.disk_writes = False
    bench.follow(B, 1, payload(1))
    bench.told()
    bench.follow(B, 1)
    (stored,) = bench.told()
    assert stored.message == Stored(1, 1, True, 1, 0, 0)
    assert stored.after == 2


def test_a_candidate_asks_for_votes_when_its_own_is_durable_and_counts_it_then() -> None:
    bench = Bench(of(2, 1, 2), records_of(Ballot(1, b"")))
    bench.disk_writes = False
    bench.campaign()
    assert {said.after for said in bench.told()} == {0}  # to ask whether it would be elected promises nothing
    bench.hear(B, GiveVote(1, 2, True, True))
    asked = [said for said in bench.told() if isinstance(said.message, AskVote)]
    assert {said.after for said in asked} == {2}
    bench.hear(B, GiveVote(2, 2, False, True))
    assert bench.plays(Role.CANDIDATE)
    bench.write()
    assert bench.plays(Role.LEADER)


def test_a_vote_for_itself_in_an_earlier_term_does_not_count_when_it_becomes_durable() -> None:
    bench = Bench(THREE)
    bench.disk_writes = False
    bench.stand()
    first = bench.records[-1].position
    bench.stand()
    bench.hear(B, GiveVote(2, 2, False, True))
    bench.engine.persisted(first, Millis(bench.now))
    assert (bench.role, bench.engine.term) == (Role.CANDIDATE, 2)
    bench.write()
    assert bench.role is Role.LEADER


def test_a_leaders_entries_wait_for_nothing_and_it_counts_itself_when_they_are_durable() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.disk_writes = False
    bench.propose(b"x")
    assert {said.after for said in bench.told()} == {0}
    bench.store(B)
    assert bench.committed == []
    bench.write()
    assert bench.payloads == [b"x"]


def test_followers_may_commit_before_the_leaders_disk_is_done() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.disk_writes = False
    bench.propose(b"x")
    bench.store(B, C)
    assert bench.payloads == [b"x"]


def test_what_is_durable_of_a_log_that_was_cut_off_does_not_count_for_what_took_its_place() -> None:
    bench = Bench(THREE)
    bench.disk_writes = False
    bench.follow(B, 1, payload(1), payload(1), payload(1))
    bench.hear(B, Append(2, 1, 0, 0, 0, (payload(2),)))
    first = next(record.position for record in bench.records if record.data == encode(Ballot(2, b"")))
    bench.engine.persisted(first - 1, Millis(bench.now))  # the three entries of term 1
    bench.lead()  # the others decide without it
    bench.propose(b"x")
    bench.store(B)
    assert bench.engine.commit == 0
    bench.write()
    assert bench.engine.commit == 3


def test_what_was_durable_and_is_cut_off_does_not_count_for_what_took_its_place() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, payload(1), payload(1), payload(1))
    bench.disk_writes = False
    bench.hear(B, Append(2, 1, 0, 0, 0, (payload(2),)))
    bench.lead()
    bench.propose(b"x")
    bench.store(B)
    assert bench.engine.commit == 0


def test_many_frames_between_two_drains_cost_one_record() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1)
    before = len(bench.records)
    for index in range(5):
        frame = encode(Append(1, 1, index, min(index, 1), 0, (payload(1),)))
        bench.engine.receive(B, frame, Millis(0))
    bench.settle()
    assert [record.data for record in bench.records[before:]] == [encode(Appended(1, (payload(1),) * 5))]


def test_a_record_that_was_never_handed_out_cannot_be_durable() -> None:
    bench = Bench(THREE)
    with pytest.raises(Refused) as caught:
        bench.engine.persisted(1, Millis(0))
    assert caught.value.code == "input_unexpected"


# who completed the quorum


def committed_with_evidence(bench: Bench, *answers: bytes) -> tuple[bytes, ...]:
    bench.reign()
    bench.propose(b"x")
    bench.store(*answers)
    (found,) = bench.committed
    configuration = bench.engine.log.configuration_at(found.index)
    assert valid_replies(configuration, A, found.evidence) == found.evidence
    return found.evidence


def test_a_12_evidence_names_followers_in_order_of_reply_up_to_the_one_who_decides() -> None:
    assert committed_with_evidence(Bench(FIVE), D, B) == (D, B)
    assert committed_with_evidence(Bench(FIVE), B, D) == (B, D)
    assert committed_with_evidence(Bench(of(4, 4, 1, 1, 1)), C, D) == (C, D)
    assert committed_with_evidence(Bench(of(4, 4, 1, 1, 1)), C, B) == (C, B)
    assert committed_with_evidence(Bench(of(4, 4, 1, 1, 1)), B) == (B,)
    assert committed_with_evidence(Bench(of(5, 1, 1))) == ()


def test_a_12_evidence_is_minimal_also_when_the_leaders_own_disk_was_last() -> None:
    bench = Bench(FIVE)
    bench.reign()
    bench.disk_writes = False
    bench.propose(b"x")
    bench.store(D, C)
    assert bench.committed == []
    bench.store(B)
    assert bench.committed[0].evidence == (D, C)


def test_a_12_who_answers_twice_replied_once_and_at_first() -> None:
    bench = Bench(FIVE)
    bench.reign()
    bench.propose(b"x")
    bench.store(E, E, D)
    assert bench.committed[0].evidence == (E, D)


def test_a_12_an_answer_to_an_earlier_entry_is_no_reply_to_a_later_one() -> None:
    bench = Bench(FIVE)
    bench.reign()
    bench.propose(b"x")
    bench.propose(b"y")
    bench.store(E, index=2)
    bench.store(D, C)
    assert bench.payloads == [b"x", b"y"]
    assert [each.evidence for each in bench.committed] == [(E, D), (D, C)]


def test_a_12_who_has_no_vote_completes_no_quorum() -> None:
    """A list with a learner or a voter without power in it has a bad shape, and would count as empty."""
    for configuration in (of(1, 1, 1, learners=(D,)), of(1, 1, 1, 0)):
        bench = Bench(configuration)
        bench.reign()
        bench.propose(b"x")
        bench.store(D, B)
        assert bench.committed[0].evidence == (B,)


def test_a_12_in_a_change_evidence_decides_in_both_halves() -> None:
    bench = Bench(of(1, 1, 1, learners=(D, E)))
    bench.reign()
    bench.store(D, E)
    bench.know(Configuration(1, None, (*voters(1), *of(0, 0, 0, 3, 3).new[3:]), (B, C), 1, bytes(32)))
    bench.propose(b"x")
    at = bench.engine.log.last
    for each in (E, D, B):
        assert bench.committed == []
        bench.store(each, index=at)
    assert bench.committed[0].evidence == (E, D, B)
    joint = bench.engine.log.configuration_at(at)
    assert joint.old is not None
    assert valid_replies(joint, A, (E, D, B)) == (E, D, B)


def test_a_12_of_entries_of_another_leader_nothing_is_told() -> None:
    bench = Bench(THREE, records_with([1], term=1))
    bench.reign()
    assert bench.committed == [Committed(1, 1, b"1", ())]


def test_a_12_what_stands_under_the_joint_vectors_is_told_with_both_or_not_at_all() -> None:
    """Once the new vector is in the log it commits what is below it alone; that is no joint quorum."""
    bench = Bench(of(1, 1, 1, learners=(D, E)))
    bench.reign()
    bench.store(D, E)
    new = Configuration(1, None, (*voters(1), *of(0, 0, 0, 1, 1).new[3:]), (B, C), 1, bytes(32))
    bench.know(new)
    joint_at = bench.engine.log.last
    bench.propose(b"x")
    for each in (B, D):
        bench.store(each, index=joint_at)
    assert bench.engine.configuration == new
    bench.store(D, index=joint_at + 1)
    (found,) = bench.committed
    joint = bench.engine.log.configuration_at(found.index)
    assert joint == changed(new, old=voters(1, 1, 1))
    assert valid_replies(joint, A, found.evidence) == found.evidence == ()


# Room for more


def wanted(bench: Bench) -> list[Wanted]:
    return [] if bench.output.wanted is None else [bench.output.wanted]


def test_a_leader_wants_payloads_while_few_are_uncommitted_and_somebody_waits() -> None:
    bench = Bench(THREE, settings=Settings(proposals_max=2))
    bench.reign()
    assert not wanted(bench)
    bench.engine.demand(Millis(5), Millis(bench.now))
    bench.settle()
    assert wanted(bench) == [Wanted(2, 1)]
    bench.propose(b"x")
    assert not wanted(bench)  # it was answered
    bench.propose(b"y")
    bench.engine.demand(Millis(5), Millis(bench.now))
    bench.settle()
    assert not wanted(bench)  # no room
    bench.store(B)
    assert wanted(bench) == [Wanted(4, 1)]
    bench.engine.demand(None, Millis(bench.now))
    bench.settle()
    assert not wanted(bench)


def test_followers_want_nothing() -> None:
    bench = Bench(THREE)
    bench.engine.demand(Millis(5), Millis(0))
    bench.follow(B, 1)
    assert bench.output.wanted is None


def test_raft_has_nothing_judged() -> None:
    with pytest.raises(Refused) as caught:
        Bench(THREE).engine.judged(b"", True, Millis(0))
    assert caught.value.code == "input_unexpected"


def test_a_follower_that_is_behind_is_sent_no_more_at_once_than_a_window_of_frames() -> None:
    bench = Bench(THREE, settings=Settings(append_bytes_max=10, inflight_max=4, proposals_max=100))
    bench.reign()
    bench.propose(*[bytes(20)] * 9)
    assert [append.index for append in bench.said(Append, to=B)] == [1, 2]
    bench.store(B, index=2)
    assert [append.index for append in bench.said(Append, to=B)] == [3]


# Frames


def test_a_frame_that_cannot_be_read_is_dropped() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, nothing(1))
    bench.told()
    good = encode(Append(1, 1, 1, 1, 0, (payload(1),)))
    for bad in (b"", b"\xc1", good[:-1], good + b"\x00", b"\x99", encode([99, 1]), encode({}), encode(1)):
        bench.engine.receive(B, bad, Millis(bench.now))
    bench.settle()
    assert (bench.told(), bench.engine.log.last) == ([], 1)


def test_a_frame_with_a_configuration_that_cannot_be_read_is_dropped() -> None:
    bench = Bench(THREE)
    good = configuration_entry(1, of(1, 1, version=1))
    bench.follow(B, 1, changed(good, payload=good.payload[:-1]))
    assert (bench.told(), bench.engine.log.last, bench.engine.configuration) == ([], 0, THREE)


def test_a_frame_with_a_configuration_under_which_nobody_decides_is_dropped() -> None:
    bench = Bench(THREE)
    twice = changed(THREE, new=(*THREE.new, THREE.new[0]))
    for bad in (of(version=1), of(0, 0, version=1), twice, changed(THREE, old=())):
        bench.follow(B, 1, configuration_entry(1, bad))
        bench.hear(B, Chunk(1, 1, 5, 1, bad, 1, 0, b"s"))
    assert (bench.told(), bench.engine.log.last, bench.restores) == ([], 0, [])


def test_a_frame_with_entries_whose_terms_fall_or_are_yet_to_come_is_dropped() -> None:
    bench = Bench(THREE)
    bench.follow(B, 2, payload(2))
    bench.told()
    for terms in ((1,), (3,), (2, 1), (2, 3)):
        bench.follow(B, 2, *map(payload, terms))
    assert (bench.told(), bench.terms) == ([], [2])


def test_an_answer_to_what_was_not_asked_is_dropped() -> None:
    bench = Bench(FIVE)
    bench.reign()
    bench.propose(b"x")
    for message in (
        Stored(1, bench.round, True, 3, 0, 0),  # the log ends at 2
        Stored(1, bench.round + 1, True, 2, 0, 0),
        Stored(1, INT64_MAX, True, INT64_MAX, 0, 0),
        Chunked(1, bench.round, 1, 0),
        Chunked(1, INT64_MAX, INT64_MAX, INT64_MAX),
    ):
        for sender in (B, C, D):
            bench.hear(sender, message)
    bench.wait(100)
    assert (bench.engine.commit, bench.role) == (1, Role.LEADER)
    assert {append.index for append in bench.said(Append)} == {1, 2}
    bench.engine.read(7, Millis(bench.now))
    bench.settle()
    assert bench.reads == []
    bench.store(B, C)
    assert (bench.engine.commit, bench.reads) == (2, [7])


def test_a_term_that_no_number_of_elections_led_to_is_dropped() -> None:
    """Whoever followed the last term that there is could not stand in another, nor read its own record of it."""
    bench = Bench(of(1))
    for term in (INT64_MAX, 1 << 33):
        for message in (
            ask(term, pre=True),
            ask(term, transfer=True),
            GiveVote(term, 1, False, True),
            Append(term, 1, 0, 0, 0, ()),
            Stored(term, 1, True, 0, 0, 0),
            Chunk(term, 1, 5, 1, THREE, 1, 0, b"s"),
            Chunked(term, 1, 1, 0),
        ):
            bench.hear(B, message)
    assert (bench.told(), bench.engine.term) == ([], 0)
    bench.lead()
    assert kept(bench.records, THREE).ballot.term == bench.engine.term == 1


VALUES = st.one_of(st.integers(0, 6), st.sampled_from([1 << 32, INT64_MAX - 1, INT64_MAX]))
FLAGS = st.booleans()
BYTES = st.sampled_from([b"", b"state"])
ENTRIES = st.lists(
    st.one_of(
        st.builds(Entry, VALUES, st.sampled_from(Kind), BYTES),
        st.builds(configuration_entry, VALUES, st.sampled_from([of(1, 1, 1, version=1), of(version=2)])),
    ),
    max_size=3,
).map(tuple)
GARBAGE = st.one_of(
    st.builds(AskVote, VALUES, VALUES, VALUES, FLAGS, FLAGS),
    st.builds(GiveVote, VALUES, VALUES, FLAGS, FLAGS),
    st.builds(Append, VALUES, VALUES, VALUES, VALUES, VALUES, ENTRIES, VALUES),
    st.builds(Stored, VALUES, VALUES, FLAGS, VALUES, VALUES, VALUES),
    st.builds(Chunk, VALUES, VALUES, VALUES, VALUES, st.sampled_from([THREE, of()]), VALUES, VALUES, BYTES),
    st.builds(Chunked, VALUES, VALUES, VALUES, VALUES),
    st.builds(Campaign, VALUES),
    st.builds(AskRead, VALUES, VALUES, VALUES),
    st.builds(GiveRead, VALUES, VALUES, VALUES, VALUES),
)


@given(FLAGS, st.lists(st.tuples(st.sampled_from([B, C, E, b""]), GARBAGE, st.integers(0, 1_500)), max_size=12))
def test_whatever_numbers_a_frame_holds_a_replica_goes_on_or_says_why_not_and_can_be_restarted(
    leads: bool, frames: list[tuple[bytes, RaftMessage, int]]
) -> None:
    bench = Bench(THREE)
    if leads:
        bench.reign()
    try:
        for sender, message, later in frames:
            bench.hear(sender, message)
            bench.propose(b"x")
            if bench.committed or bench.restores:
                bench.apply()
            bench.wait(later)
    except Refused as refused:
        if refused.code != "diverged":
            raise
    assert kept(bench.records, THREE).ballot.term <= bench.engine.term
