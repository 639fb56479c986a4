"""Leadership is handed over (3.10 of the thesis), and goes to the heaviest when it has been that for long."""

from __future__ import annotations

import pytest

from tests.consensus.raft.bench import A, B, Bench, C, D, E, of, payload
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.raft.engine import Role
from wattquorum.consensus.raft.messages import Append, Campaign
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

THREE = of(1, 1, 1)


def transfer(bench: Bench, to: bytes) -> None:
    bench.engine.transfer(to, Millis(bench.now))
    bench.settle()


def refused(bench: Bench, to: bytes, code: str = "input_unexpected") -> bool:
    with pytest.raises(Refused) as caught:
        transfer(bench, to)
    return caught.value.code == code


def test_3_10_who_has_everything_is_asked_to_campaign_at_once() -> None:
    bench = Bench(THREE)
    bench.reign()
    transfer(bench, B)
    assert bench.receivers(Campaign) == [B]


def test_3_10_who_is_behind_catches_up_first() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.propose(b"x")
    transfer(bench, B)
    assert bench.said(Campaign) == []
    bench.store(B, index=1)
    bench.store(C)
    assert bench.said(Campaign) == []
    bench.store(B)
    assert bench.said(Campaign, to=B) != []


def test_3_10_while_it_hands_over_it_takes_no_proposals() -> None:
    bench = Bench(THREE)
    bench.reign()
    transfer(bench, B)
    bench.propose(b"x")
    bench.engine.demand(Millis(0), Millis(bench.now))
    bench.settle()
    assert (bench.engine.log.last, bench.output.wanted) == (1, None)
    assert refused(bench, C, "undecided")


def test_3_10_after_an_election_timeout_it_goes_on_leading() -> None:
    bench = Bench(THREE)
    bench.reign()
    transfer(bench, B)
    for _ in range(9):
        bench.wait(100)
        bench.store(C)
        bench.propose(b"x")
    assert bench.engine.log.last == 1
    bench.wait(100)
    bench.store(C)
    bench.propose(b"x")
    assert (bench.role, bench.engine.log.last) == (Role.LEADER, 2)
    transfer(bench, C)  # what somebody asks for need not wait


@pytest.mark.parametrize("to", [A, D, E])
def test_3_10_only_another_voter_with_power_can_take_over(to: bytes) -> None:
    bench = Bench(of(1, 1, 1, 0, learners=(E,)))
    bench.reign()
    bench.store(D, E)
    assert refused(bench, to)
    assert bench.role is Role.LEADER


def test_3_10_who_does_not_lead_cannot_hand_over() -> None:
    bench = Bench(THREE)
    assert refused(bench, B)
    bench.follow(B, 1)
    assert refused(bench, C)


def test_3_10_not_before_it_knows_what_is_committed() -> None:
    bench = Bench(THREE)
    bench.lead()
    assert refused(bench, B, "undecided")
    bench.store(B)
    transfer(bench, B)


def test_3_10_never_while_a_configuration_is_uncommitted() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.wait(100)
    bench.store(B, C)
    bench.know(of(1, 2, 2, version=1))
    assert refused(bench, B, "undecided")
    bench.store(B)  # the joint one
    assert refused(bench, B, "undecided")
    bench.store(B, C)
    transfer(bench, B)


def test_no_change_begins_during_a_transfer() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.wait(100)
    bench.store(B, C)
    transfer(bench, B)
    bench.know(of(1, 2, 2, version=1))
    assert bench.engine.configuration == THREE


# Of its own accord


def install(bench: Bench, *configurations: Configuration) -> None:
    for configuration in configurations:
        bench.wait(100)
        if bench.role is Role.LEADER:
            bench.store(*bench.others)
        bench.know(configuration)
        for _ in range(2):
            bench.store(*bench.others)
        assert bench.engine.configuration == configuration


def lighter(heaviest_for: int = 3) -> Bench:
    bench = Bench(THREE, settings=Settings(heaviest_for=heaviest_for))
    bench.reign()
    return bench


def heavy(*versions: int, powers: tuple[int, ...] = (1, 3, 2)) -> list[Configuration]:
    return [of(*powers, version=version) for version in versions]


def handed_over(bench: Bench) -> bool:
    bench.told()
    bench.wait(100)
    bench.store(*bench.others)
    return bench.said(Campaign) != []


def test_leadership_goes_to_who_was_heaviest_for_three_configurations() -> None:
    bench = lighter()
    install(bench, *heavy(1, 2))
    assert not handed_over(bench)
    install(bench, *heavy(3))
    bench.told()
    bench.wait(100)
    assert bench.receivers(Campaign)[:1] == [B]


def test_whoever_is_not_heaviest_in_between_begins_to_count_again() -> None:
    bench = lighter()
    install(bench, *heavy(1, 2), of(1, 2, 3, version=3), *heavy(4, 5))
    assert not handed_over(bench)
    install(bench, *heavy(6))
    assert handed_over(bench)


def test_two_who_are_equally_heavy_are_none() -> None:
    bench = lighter()
    install(bench, *heavy(1, 2, 3, 4, powers=(1, 3, 3)))
    assert not handed_over(bench)


def test_a_small_difference_is_not_worth_a_transfer() -> None:
    bench = lighter(1)
    install(bench, *heavy(1, powers=(100, 110, 90)))  # a tenth of an equal share
    assert not handed_over(bench)
    install(bench, *heavy(2, powers=(100, 125, 75)))  # a quarter, and no more
    assert not handed_over(bench)
    install(bench, *heavy(3, powers=(100, 126, 74)))
    assert handed_over(bench)


def test_the_heaviest_leads_on() -> None:
    bench = lighter(1)
    install(bench, *heavy(1, powers=(3, 1, 1)))
    assert not handed_over(bench)


def test_who_lags_behind_what_is_committed_is_not_given_the_lead() -> None:
    bench = lighter(1)
    install(bench, *heavy(1, powers=(2, 3, 2)))
    bench.propose(b"x")
    bench.store(C)
    before = bench.engine.log.last - 1
    bench.told()
    bench.wait(100)
    bench.store(C)
    bench.store(B, index=before)
    bench.propose(b"y")
    assert bench.engine.log.last == before + 2  # it goes on as if nothing were to be handed over
    assert bench.said(Campaign) == []
    bench.store(C)
    bench.store(B)
    assert handed_over(bench)


def test_who_has_not_answered_for_an_election_timeout_is_not_given_the_lead() -> None:
    """On an idle chain it lacks nothing, however long it has been dead; and while it is asked nobody orders."""
    bench = Bench(THREE, settings=Settings(heaviest_for=1, cooldown_ms=500))
    bench.reign()
    install(bench, *heavy(1, powers=(2, 3, 2)))
    taken = []
    for _ in range(60):
        bench.wait(100)
        bench.store(C)
        taken.append(bench.engine.takes)
    assert taken == [False] * 10 + [True] * 50, "the first try gives up after an election timeout"
    assert bench.engine.leader == A
    bench.store(B)
    assert handed_over(bench)


def test_after_a_failure_it_waits_before_the_next_try() -> None:
    bench = lighter(1)
    install(bench, *heavy(1))
    assert handed_over(bench)
    began = bench.now
    cooldown = bench.settings.election_ms + bench.settings.cooldown_ms
    tries = []
    while bench.now < began + cooldown + 500:
        if handed_over(bench):
            tries.append(bench.now - began)
    assert max(at for at in tries if at < cooldown) <= bench.settings.election_ms
    assert any(at >= cooldown - 100 for at in tries)


def test_a_campaigner_gets_the_entries_before_it_is_asked() -> None:
    bench = Bench(THREE)
    bench.reign()
    bench.propose(b"x")
    transfer(bench, B)
    assert bench.said(Append, to=B)[-1].entries == (payload(1, b"x"),)


def test_a_joint_configuration_is_none_that_is_installed() -> None:
    bench = lighter(2)
    install(bench, *heavy(1))
    bench.wait(100)
    bench.store(B, C)
    bench.know(of(1, 4, 2, version=2))
    assert bench.engine.configuration == changed(of(1, 4, 2, version=2), old=of(1, 3, 2).new)
    bench.store(B, index=bench.engine.log.last)  # the joint one is committed, new is not
    assert bench.engine.configuration.old is None
    assert not any(isinstance(said.message, Campaign) for said in bench.told())


def test_3_10_it_gives_up_in_time_however_many_frames_keep_the_driver_from_its_tick() -> None:
    bench = Bench(THREE)
    bench.reign()
    transfer(bench, B)
    while bench.now < 3 * bench.settings.election_ms:
        bench.now = bench.deadline
        bench.store(C)
    bench.propose(b"x")
    bench.store(C)
    assert (bench.role, bench.payloads) == (Role.LEADER, [b"x"])
