"""Document A's rounds on the product's Raft: leaders, times and valid replies are those of the fast path."""

from __future__ import annotations

import numpy as np
import pytest

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.paper import engines
from wattquorum.lab.paper.agreement import Case, cases, plain_elected
from wattquorum.lab.paper.claims import unevenness
from wattquorum.lab.paper.engines import Cluster, pace

LINKS = [[0, 20_001, 40_000], [20_001, 0, 30_000], [40_000, 30_000, 0]]


@pytest.fixture(scope="module")
def tried() -> list[Case]:
    return cases(1, after=(1, 200))


def test_where_ranks_wait_for_each_other_the_real_engine_does_what_the_fast_path_says(tried: list[Case]) -> None:
    own = [case for case in tried if case.situation in ("apart", "equal", "crash")]
    assert len(own) == 5
    assert all(case.agrees for case in own)


def test_who_weighs_nothing_gives_the_paper_a_reply_and_the_ledger_none() -> None:
    """In seed 75 node 30 weighs nothing in the first round, and answers early."""
    own = [case for case in cases(75, after=(1,)) if case.situation == "apart"]
    assert [(case.fast_us == case.real_us, case.same_replies, case.same_weighty) for case in own] == [
        (True, False, True)
    ]


def test_who_lacks_an_entry_is_not_elected_however_heavy(tried: list[Case]) -> None:
    own = [case for case in tried if case.situation == "behind"]
    assert len(own) == 2
    for case in own:
        assert case.leader != case.ranked
        assert case.fast_us == case.real_us
        assert case.same_replies


@pytest.mark.unmeasured
def test_with_equal_votes_the_engine_ranks_at_first_and_draws_after_elections_that_failed(tried: list[Case]) -> None:
    """Drawn elections: chi-square against equal odds, 29 degrees of freedom, below its 99.9 % quantile."""
    assert [case.leader for case in tried if case.situation == "equal"] == [1]
    elected = [each for seed in range(24) for each in plain_elected(seed)]
    counts = np.bincount([each.leader for each in elected], minlength=31)[1:]
    assert counts.size == 30
    assert unevenness(counts) < 58.3
    assert np.count_nonzero(counts) > 25  # of 120 elections; 0.5 nodes are expected to win none
    assert plain_elected(3)[2:] == elected[17:20]


def test_who_hears_nobody_leads_nobody() -> None:
    cluster = Cluster([9, 3, 3], LINKS, 1, pace(100, 150))
    cluster.stand_in_vain(60_000_000)
    assert (cluster.now_us, cluster.leader) == (60_000_000, 1)  # with more than half of all votes nobody is needed
    cluster = Cluster([3, 3, 3], LINKS, 1, pace(100, 150))
    cluster.stand_in_vain(60_000_000)
    assert cluster.leader is None
    assert cluster.elect().took_us < 3 * 8 * 100_000 + 150_000 + 100_000


def test_with_the_papers_step_several_nodes_stand(tried: list[Case]) -> None:
    own = [case for case in tried if case.situation == "paper"]
    assert all(case.stood > 1 for case in own)
    assert all(case.fast_us == case.real_us and case.same_replies for case in own)


def test_a_heavy_leader_decides_with_the_follower_that_is_needed() -> None:
    cluster = Cluster([5, 3, 3], LINKS, 1, pace(100, 150))
    election = cluster.elect()
    assert (election.leader, election.terms, election.stood) == (1, 1, 1)
    cluster.settle()
    assert cluster.commit(1) == (20_001, (2,))


def test_a_leader_with_more_than_half_decides_alone() -> None:
    cluster = Cluster([9, 3, 3], LINKS, 1, pace(100, 150))
    assert cluster.elect().leader == 1
    cluster.settle()
    assert cluster.commit(1) == (0, ())


def test_nobody_is_elected_where_no_majority_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "END_US", 5_000_000)
    cluster = Cluster([3, 3, 3], LINKS, 1, pace(100, 150))
    cluster.cut = {1, 2}
    with pytest.raises(Refused, match="Nobody was elected"):
        cluster.elect()


def test_of_followers_that_answer_together_the_smaller_number_counts_first() -> None:
    links = [[0, 20_001, 20_001], [20_001, 0, 20_001], [20_001, 20_001, 0]]
    for weights, expected in (([3, 2, 2], (2,)), ([2, 3, 2], (1,)), ([2, 2, 3], (1,))):
        cluster = Cluster(weights, links, 1, pace(100, 150))
        leader = cluster.elect().leader
        assert leader == weights.index(3) + 1
        cluster.settle()
        assert cluster.commit(leader) == (20_001, expected)
