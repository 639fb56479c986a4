"""Replicas whose clocks are wrong: as long as a quorum's are right, a chain's time is, and it goes on (L-26)."""

from __future__ import annotations

from typing import Final

import pytest

from tests.replica.cluster import HOUR, Cluster, Site
from tests.replica.test_cluster import deposits
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.transactions import Propose, SetParameters

YEARS: Final = 10 * 365 * 24 * HOUR
DRIFT: Final = 2_000  # as a genesis has it
WRONG: Final = (YEARS, 5 * HOUR, -5 * HOUR, -YEARS)


def led_by(cluster: Cluster, number: int) -> Site:
    """A site that leads, by transfer if another does."""
    site, leader = cluster.sites[number], cluster.leader()
    if leader is not site:
        leader.engine.transfer(site.address, leader.now)
        cluster.until(lambda: cluster.leader() is site)
    return site


def time_of(site: Site) -> int:
    assert site.ledger.tip is not None
    return site.ledger.tip.time_ms


def finish(cluster: Cluster, site: Site, data: list[bytes]) -> None:
    cluster.until(lambda: cluster.done(site, data))


def wrong(cluster: Cluster, site: Site, by_ms: int) -> None:
    """The clock of a site shows something else from now on; one that was set back is first read at its next start."""
    site.ahead_ms = by_ms
    if by_ms < 0:
        site.start()


@pytest.mark.parametrize("by_ms", WRONG)
def test_a_leader_whose_clock_is_wrong_moves_no_time_and_stops_nothing(by_ms: int) -> None:
    cluster = Cluster()
    wrong(cluster, cluster.sites[0], by_ms)
    leader = led_by(cluster, 0)
    cluster.run(200)  # until all have said what their clocks show
    for client in range(3):
        before = cluster.now
        given = cluster.followers()[0] if client else leader
        data = deposits(cluster, 1, client, lives_ms=HOUR)  # they expire long before what a clock ahead shows
        cluster.give(given, *data)
        finish(cluster, given, data)
        assert before - 200 <= time_of(leader) <= cluster.now + DRIFT
        cluster.run(500)
    assert cluster.leader() is leader
    assert cluster.same()


def test_a_clock_that_leaps_while_its_replica_leads_costs_an_election_at_most() -> None:
    cluster = Cluster()
    leader = cluster.leader()
    data = deposits(cluster, 2)
    cluster.give(leader, data[0])
    leader.ahead_ms = YEARS
    leader.replica.turn(leader.now)
    cluster.give(leader, data[1])
    cluster.until(lambda: cluster.done(leader, data), 3_000)
    assert time_of(leader) <= cluster.now + DRIFT


@pytest.mark.parametrize("by_ms", WRONG)
def test_an_idle_chain_ticks_as_often_as_it_should_under_a_leader_whose_clock_is_wrong(by_ms: int) -> None:
    cluster = Cluster(tick_ms=400)
    wrong(cluster, cluster.sites[0], by_ms)
    leader = led_by(cluster, 0)
    cluster.run(1_000)
    height, time_ms = leader.ledger.height, time_of(leader)
    cluster.run(4_000)
    assert 7 <= leader.ledger.height - height <= 10
    assert 3_000 <= time_of(leader) - time_ms <= 5_000
    work = leader.replica.drain(leader.now)
    assert work.deadline is not None
    assert work.deadline > leader.now  # and its driver sleeps in between


def test_a_follower_whose_clock_is_wrong_takes_what_has_not_expired_and_follows() -> None:
    cluster = Cluster()
    leader = cluster.leader()
    ahead, behind = cluster.followers()
    ahead.ahead_ms = YEARS
    wrong(cluster, behind, -YEARS)
    cluster.run(1_000)
    leader = cluster.leader()
    for client, site in enumerate((ahead, behind)):
        data = deposits(cluster, 1, client, lives_ms=HOUR)
        cluster.give(site, *data)
        finish(cluster, site, data)
    (expired,) = deposits(cluster, 1, 2, lives_ms=-HOUR)
    refused = behind.replica.accept(expired, None, behind.now)
    assert refused is not None
    assert refused.code == "expired"
    assert cluster.now - 500 <= time_of(leader) <= cluster.now + DRIFT


def test_a_chain_goes_on_from_a_time_that_a_quorum_has_set_too_far_and_until_then_by_the_least_step() -> None:
    """Nothing that was decided is refused for its time: clocks that were all wrong cost time and no block."""
    cluster = Cluster()
    for site in cluster.sites:
        site.ahead_ms = HOUR
        site.start()
    leader = cluster.leader()
    data = deposits(cluster, 3)
    cluster.give(leader, data[0])
    cluster.until(lambda: cluster.done(leader, data[:1]))
    for site in cluster.sites:
        site.ahead_ms = 0
        site.start()
    leader = cluster.leader()
    cluster.until(lambda: leader.ledger.height == 1)  # it is read from their logs again
    lifted = time_of(leader)
    assert lifted > cluster.now + HOUR // 2
    for at in (1, 2):
        cluster.give(leader, data[at])
        finish(cluster, leader, data[at : at + 1])
    assert time_of(leader) == lifted + 2
    cluster.run(100)
    assert cluster.same()


def test_how_far_it_may_lie_ahead_is_the_parameter_in_force() -> None:
    cluster = Cluster(parameters={"drift_ms": 100, "notice_blocks": 1})
    wrong(cluster, cluster.sites[0], HOUR)
    leader = led_by(cluster, 0)
    cluster.run(200)
    change = SetParameters((("drift_ms", 60_000),), leader.ledger.height + 3)
    data = [cluster.sign(cluster.founding.governor_key, Propose(change))]
    cluster.give(leader, *data)
    finish(cluster, leader, data)
    assert cluster.now - 100 < time_of(leader) <= cluster.now + 100
    for client in range(3):
        data = deposits(cluster, 1, client)
        cluster.give(leader, *data)
        finish(cluster, leader, data)
    assert cluster.now + 59_000 < time_of(leader) <= cluster.now + 60_000


def test_a_calendar_is_nobodys_clock() -> None:
    cluster = Cluster()
    leader = cluster.leader()
    cluster.give(leader)
    noon = Millis(cluster.now + YEARS)
    leader.replica.cut(leader.now, noon)
    cluster.until(lambda: leader.ledger.height == 1)
    assert time_of(leader) == noon
