"""Changes of powers and members by joint configurations (6 of the paper), and the basis that every replica compares."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.consensus.raft.bench import A, B, Bench, C, D, E, ask, nothing, of, payload, records_with, voters
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.raft.engine import Role
from wattquorum.consensus.raft.entries import Kind, configuration_entry
from wattquorum.consensus.raft.messages import Append, AskVote, Campaign, GiveVote, Stored
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

THREE = of(1, 1, 1)
HEAVY_C = of(1, 1, 5, version=1)
JOINT = changed(HEAVY_C, old=THREE.new)


def heard(bench: Bench) -> None:
    """Everybody answers a heartbeat."""
    bench.wait(bench.settings.heartbeat_ms)
    bench.store(*bench.others)


def changing() -> Bench:
    """A leader that has just appended the joint configuration, at 2."""
    bench = Bench(THREE)
    bench.reign()
    heard(bench)
    bench.know(HEAVY_C)
    assert bench.engine.configuration == JOINT
    assert bench.engine.log.last == 2
    return bench


def test_6_a_change_is_joint_first_and_new_after_the_joint_one_is_committed() -> None:
    bench = changing()
    bench.store(B)  # enough for the old half
    assert (bench.engine.commit, bench.engine.configuration) == (1, JOINT)
    bench.store(C)
    assert bench.engine.commit == 2
    assert bench.engine.configuration == HEAVY_C
    assert [entry.kind for entry in bench.engine.log.entries(1)] == [
        Kind.NOTHING,
        Kind.CONFIGURATION,
        Kind.CONFIGURATION,
    ]


def test_6_the_new_half_alone_does_not_commit_a_joint_configuration() -> None:
    bench = Bench(of(1, 1, 1, 1, 1))
    bench.reign()
    heard(bench)
    bench.know(of(1, 1, 7, 1, 1, version=1))
    bench.store(C)
    assert bench.engine.commit == 1
    bench.store(D)
    assert bench.engine.commit == 2


def test_6_payloads_behind_a_joint_configuration_need_both_halves() -> None:
    bench = changing()
    bench.propose(b"x")
    bench.store(B)
    assert bench.payloads == []
    bench.store(C)
    assert bench.payloads == [b"x"]


def test_6_the_new_configuration_is_committed_by_itself() -> None:
    bench = changing()
    bench.store(C)
    assert bench.engine.log.last == 3
    bench.store(B)
    assert bench.engine.commit == 2
    bench.store(C)
    assert bench.engine.commit == 3


def test_6_the_next_change_waits_until_new_is_committed() -> None:
    bench = changing()
    bench.know(of(1, 1, 6, version=2))
    heard(bench)
    assert bench.engine.configuration == HEAVY_C
    heard(bench)
    assert bench.engine.configuration == changed(of(1, 1, 6, version=2), old=HEAVY_C.new)
    heard(bench)
    assert bench.engine.configuration == of(1, 1, 6, version=2)


def test_6_a_follower_acts_under_a_configuration_as_soon_as_it_has_it() -> None:
    bench = Bench(of(0, 1, 1))
    bench.follow(B, 1, configuration_entry(1, changed(of(1, 1, 1, version=1), old=of(0, 1, 1).new)))
    assert bench.engine.commit == 0
    bench.campaign()
    assert bench.said(AskVote) != []


def test_6_a_configuration_that_is_cut_off_was_never_there() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, payload(1), configuration_entry(1, JOINT))
    assert bench.engine.configuration == JOINT
    bench.hear(C, Append(2, 1, 1, 1, 0, (payload(2),)))
    assert bench.engine.configuration == THREE
    assert Bench(THREE, bench.records).engine.configuration == THREE


def test_6_in_a_change_a_candidate_needs_both_halves() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, configuration_entry(1, changed(of(0, 0, 0, 1, 1, version=1), old=THREE.new)))
    bench.stand()
    for voter in (B, C, D):
        bench.hear(voter, GiveVote(2, 2, False, True))
        assert bench.plays(Role.CANDIDATE)
    bench.hear(E, GiveVote(2, 2, False, True))
    assert bench.plays(Role.LEADER)


def test_6_in_a_change_both_halves_are_asked_for_votes_and_sent_entries_each_once() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, configuration_entry(1, changed(of(1, 1, 0, 1, version=1, learners=(E,)), old=THREE.new)))
    bench.campaign()
    assert bench.receivers(AskVote) == [B, C, D]
    bench.lead()
    assert set(bench.receivers(Append)) == {B, C, D, E}


def test_6_who_is_leaving_is_fed_until_the_new_configuration_stands_in_the_log() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, configuration_entry(1, changed(of(1, 1, version=1), old=THREE.new)))
    bench.lead()
    assert set(bench.receivers(Append)) == {B, C}


def test_6_a_new_leader_inside_a_change_goes_on_with_it_after_an_entry_of_its_own() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, configuration_entry(1, JOINT))
    bench.know(HEAVY_C)
    bench.lead()
    bench.store(C, index=1)
    bench.store(B, index=1)
    assert (bench.engine.commit, bench.engine.configuration) == (0, JOINT)
    bench.store(C)
    assert (bench.engine.commit, bench.engine.configuration) == (2, HEAVY_C)
    assert bench.engine.log.entry(3) == configuration_entry(2, HEAVY_C)


# When a change may begin


def test_no_change_before_an_entry_of_its_own_term_is_committed() -> None:
    bench = Bench(THREE, records_with([1]))
    bench.know(HEAVY_C)
    bench.lead()
    bench.store(B, C, index=1)
    assert bench.engine.configuration == THREE
    bench.store(B)
    assert bench.engine.configuration == JOINT


def test_no_change_to_a_vector_of_which_no_quorum_answered_lately() -> None:
    bench = Bench(THREE)
    bench.lead()
    bench.know(HEAVY_C)
    for _ in range(5):
        bench.wait(bench.settings.heartbeat_ms)
        bench.store(B)
    assert bench.engine.configuration == THREE
    bench.store(C, index=0, round_=bench.round)
    assert bench.engine.configuration == JOINT


def test_what_it_answered_before_an_election_timeout_does_not_begin_a_change() -> None:
    bench = Bench(THREE)
    bench.reign()
    heard(bench)
    for _ in range(11):
        bench.wait(bench.settings.heartbeat_ms)
        bench.store(B)
    bench.know(HEAVY_C)
    assert bench.engine.configuration == THREE


def test_a_new_member_has_to_be_a_learner_that_answers_before_it_votes() -> None:
    bench = Bench(THREE)
    bench.reign()
    heard(bench)
    wanted = of(1, 1, 1, 9, version=1)
    bench.know(wanted)
    heard(bench)
    assert bench.engine.configuration == THREE
    bench.know(changed(THREE, version=2, learners=(D,)))
    assert bench.engine.configuration.learners == (D,)
    heard(bench)
    bench.store(D)
    bench.know(changed(wanted, version=3))
    assert bench.engine.configuration == changed(wanted, version=3, old=THREE.new)


def test_learners_alone_change_in_one_step() -> None:
    bench = Bench(THREE)
    bench.reign()
    learning = changed(THREE, version=1, learners=(E,))
    bench.know(learning)
    assert bench.engine.configuration == learning
    bench.store(B)
    assert bench.engine.commit == 2
    assert bench.engine.configuration == learning
    bench.store(E)
    assert bench.engine.log.last == 2


def test_a_learner_is_sent_everything_and_decides_nothing() -> None:
    bench = Bench(of(1, 1, 1, learners=(E,)))
    bench.reign()
    bench.store(E)
    bench.propose(b"x")
    assert bench.receivers(Append) == [B, C, E]
    bench.store(E)
    assert bench.payloads == []
    bench.store(C)
    assert bench.payloads == [b"x"]


def test_an_older_configuration_than_the_effective_one_is_not_installed() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, configuration_entry(1, changed(HEAVY_C, version=5)))
    bench.know(changed(HEAVY_C, version=5))
    bench.know(of(2, 1, 1, version=4))
    bench.lead()
    heard(bench)
    assert bench.engine.configuration == changed(HEAVY_C, version=5)


def test_only_whole_configurations_can_be_asked_for() -> None:
    bench = Bench(THREE)
    for wrong in (JOINT, of(0, 0), Configuration(1, None, (), (), 0, b""), changed(THREE, new=(Voter(A, 1),) * 2)):
        with pytest.raises(Refused) as caught:
            bench.know(wrong)
        assert caught.value.code == "configuration_invalid"


# Who is not in it any more


def leaving(founding: Configuration = THREE) -> Bench:
    """A leader that has appended a configuration without itself, at 3, and has not committed it."""
    without = Configuration(2, None, founding.new[1:], (), 2, bytes(32))
    bench = Bench(founding)
    bench.reign()
    heard(bench)
    bench.know(without)
    bench.store(*bench.others)
    assert bench.engine.configuration == without
    bench.told()
    return bench


def test_6_a_leader_outside_the_new_vector_does_not_count_itself() -> None:
    bench = leaving()
    bench.store(B)
    assert (bench.engine.commit, bench.role) == (2, Role.LEADER)
    bench.store(C)
    assert bench.engine.commit == 3


def test_a_leader_outside_the_new_vector_wants_no_payloads() -> None:
    """The ledger would refuse its blocks under a version without it, and whatever is committed must be executed."""
    bench = leaving()
    bench.engine.demand(Millis(5), Millis(bench.now))
    bench.settle()
    assert bench.output.wanted is None
    joint = Bench(THREE)
    joint.reign()
    heard(joint)
    joint.know(Configuration(2, None, voters(1, 1, 1)[1:], (), 2, bytes(32)))
    joint.engine.demand(Millis(5), Millis(joint.now))
    joint.settle()
    assert joint.engine.configuration.old is not None
    assert joint.output.wanted is not None  # while the change is joint it still votes


def test_6_it_steps_down_when_new_is_committed_and_asks_the_best_to_campaign() -> None:
    bench = leaving()
    bench.store(C)
    assert bench.role is Role.LEADER
    bench.told()
    bench.store(B)
    assert (bench.role, bench.engine.leader, bench.engine.term) == (Role.FOLLOWER, b"", 1)
    told = bench.told()
    assert [said.to for said in told if isinstance(said.message, Campaign)] == [B]
    farewells = [said.message for said in told if isinstance(said.message, Append)]
    assert {append.committed for append in farewells} == {3}  # nobody else would tell them


def test_6_it_asks_only_who_has_everything() -> None:
    bench = leaving(of(1, 1, 1, 1))
    bench.told()
    bench.store(D, C)
    assert bench.receivers(Campaign) == [C]  # B would come first, and lacks the last entry


def test_it_orders_nothing_under_a_configuration_in_which_it_has_no_vote() -> None:
    bench = leaving()
    bench.engine.demand(Millis(bench.now), Millis(bench.now))
    assert bench.engine.drain().wanted is None
    bench.propose(b"x")
    assert bench.engine.log.last == 3


def test_6_who_was_dismissed_votes_at_once_however_shortly_it_led() -> None:
    """What kept it from voting was that it led; the leader before it asked for its election, and is as good as gone."""
    bench = Bench(THREE)
    bench.follow(B, 1, nothing(1))
    bench.hear(B, Campaign(1))
    bench.hear(B, GiveVote(2, 2, False, True))
    bench.store(B, C)
    bench.know(of(0, 1, 1, version=1))
    bench.store(B, C)
    bench.store(B, C)
    assert (bench.now, bench.role) == (0, Role.FOLLOWER)
    bench.hear(C, ask(3, bench.engine.log.last, 2, pre=True))
    assert [vote.granted for vote in bench.said(GiveVote, to=C)] == [True]


def test_computed_configurations_are_let_go_of_when_a_later_one_is_in_force() -> None:
    bench = Bench(THREE)
    bench.reign()
    for version in range(1, 4):
        heard(bench)
        bench.know(of(1, 1, 1 + version, version=version))
        for _ in range(2):
            bench.store(B, C)
    assert bench.engine.configuration.version == 3
    assert list(bench.engine._known) == [3]


def test_6_who_was_dismissed_never_stands_again() -> None:
    bench = leaving()
    bench.store(B, C)
    bench.told()
    for _ in range(10):
        bench.campaign()
    assert bench.told() == []


def test_6_who_left_is_sent_nothing_more() -> None:
    bench = Bench(THREE)
    bench.reign()
    heard(bench)
    bench.know(of(1, 1, version=1))
    bench.store(B, C)
    bench.store(B)
    bench.told()
    heard(bench)
    bench.propose(b"x")
    assert set(bench.receivers(Append)) == {B}
    bench.store(C)
    bench.hear(C, Stored(1, bench.round, True, bench.engine.log.last, 0, 0))
    assert bench.payloads == []


# The basis


def diverges(act: Callable[[], None]) -> bool:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.code == "diverged"


def with_change(computed: Configuration | None) -> Bench:
    """A follower that has a payload and then a joint configuration committed, and has applied neither."""
    bench = Bench(THREE)
    if computed is not None:
        bench.know(computed)
    bench.follow(B, 1, payload(1), configuration_entry(1, JOINT), committed=2)
    return bench


def test_a_configuration_is_compared_when_it_is_applied_and_not_before() -> None:
    bench = with_change(of(1, 1, 4, version=1))
    assert bench.engine.configuration == JOINT  # one that is behind could not compute it yet
    assert diverges(bench.apply)


@pytest.mark.parametrize(
    "other",
    [
        of(1, 1, 4, version=1),
        changed(HEAVY_C, basis_index=2),
        changed(HEAVY_C, basis_digest=b"\x01" * 32),
        changed(HEAVY_C, learners=(D,)),
        of(1, 1, 5, 1, version=1),
    ],
)
def test_any_difference_stops_the_replica(other: Configuration) -> None:
    assert diverges(with_change(other).apply)


def test_a_configuration_that_this_replica_never_computed_stops_it() -> None:
    assert diverges(with_change(None).apply)
    assert diverges(with_change(changed(HEAVY_C, version=0)).apply)


def test_the_same_configuration_passes_joint_and_new() -> None:
    bench = with_change(HEAVY_C)
    bench.apply()
    bench.follow(B, 1, configuration_entry(1, HEAVY_C), committed=3)
    bench.follow(B, 1, payload(1, b"y"), committed=4)
    assert bench.payloads == [b"x", b"y"]


def test_one_that_differs_stops_it_also_when_nothing_lies_before_it() -> None:
    bench = Bench(THREE)
    bench.know(of(1, 1, 4, version=1))
    bench.follow(B, 1, nothing(1), configuration_entry(1, JOINT))
    assert diverges(lambda: bench.follow(B, 1, committed=2))


def test_what_was_computed_before_this_replicas_state_began_is_not_compared() -> None:
    bench = Bench(THREE)
    bench.know(of(2, 2, 2, version=7))
    bench.follow(B, 1, configuration_entry(1, JOINT), configuration_entry(1, HEAVY_C), committed=2)
    assert bench.engine.commit == 2


def test_only_what_is_committed_can_be_applied() -> None:
    bench = Bench(THREE)
    bench.follow(B, 1, payload(1), payload(1), committed=1)
    with pytest.raises(Refused) as caught:
        bench.engine.applied(2, bytes(32), Millis(0))
    assert caught.value.code == "input_unexpected"
    bench.apply()


def test_6_a_leader_that_keeps_its_place_but_no_power_orders_nothing_more_and_leaves() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.know(of(0, 1, 1, version=1))
    heard(bench)
    bench.engine.demand(Millis(0), Millis(bench.now))
    bench.settle()
    assert (bench.role, bench.output.wanted) == (Role.LEADER, None)
    bench.told()
    heard(bench)
    assert bench.plays(Role.FOLLOWER)
    assert bench.receivers(Campaign) == [B]
