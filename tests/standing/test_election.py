"""Votes weigh trust, ties go to energy and then to a hash, and misconduct in office costs more than conduct brings."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import POINTS_MAX, Energy, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.standing.election import (
    Ballot,
    Elector,
    Outcome,
    Seat,
    Stakes,
    after_idleness,
    after_office,
    after_voting,
    check_stakes,
    elect,
    tie,
)

POINT = 1_000_000
STAKES = Stakes(Points(POINT), Points(5 * POINT), Points(POINT // 2), Points(2 * POINT))


def electors(trust: Sequence[int], traded: Sequence[int] = (), standing: Sequence[int] | None = None) -> list[Elector]:
    return [
        Elector(
            Points(points * POINT),
            Energy(traded[i] if traded else 0),
            i.to_bytes(32, "big"),
            standing is None or i in standing,
        )
        for i, points in enumerate(trust)
    ]


# Votes


def test_a_vote_weighs_its_voters_trust() -> None:
    # Two voters of 30 and 25 points for 0 against one of 50 for 1.
    members = electors([10, 50, 30, 25])
    ballots = [Ballot(2, 0), Ballot(3, 0), Ballot(1, 1)]
    assert elect(members, [[0, 1, 2, 3]], ballots) == Outcome([Seat(0, 1, 55 * POINT)], [0])


def test_agents_are_ordered_by_their_votes_then_energy_then_tie() -> None:
    members = electors([50, 50, 50, 40], traded=[5, 9, 5, 99])
    ballots = [Ballot(place, place) for place in range(4)]
    outcome = elect(members, [[0], [1], [2], [3]], ballots)
    assert outcome.order == [1, 0, 2, 3]


def test_nobodys_vote_leaves_the_order_to_energy_and_tie() -> None:
    assert elect(electors([50] * 3, traded=[1, 3, 3]), [[0, 1, 2]], []).seats == [Seat(1, 2, 0)]


def test_only_who_stands_is_elected_and_a_group_where_nobody_stands_has_no_seat_to_fill() -> None:
    members = electors([50] * 4, standing=[1, 3])
    ballots = [Ballot(0, 0), Ballot(1, 0), Ballot(2, 2), Ballot(3, 2)]
    outcome = elect(members, [[0, 1, 3], [2]], [*ballots[:2], ballots[2]])
    assert outcome.seats == [Seat(1, 3, 0), Seat(None, None, 0)]
    assert outcome.order == [0, 1]


@pytest.mark.parametrize(
    ("ballots", "field"),
    [([(0, 1), (0, 0)], "voter"), ([(0, 2)], "candidate"), ([(7, 0)], "candidate"), ([(0, 7)], "candidate")],
)
def test_second_votes_and_votes_outside_the_group_are_refused(ballots: list[tuple[int, int]], field: str) -> None:
    with pytest.raises(Refused) as refused:
        elect(electors([50] * 4), [[0, 1], [2, 3]], [Ballot(*each) for each in ballots])
    assert (refused.value.code, refused.value.field) == ("vote_invalid", field)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 5)), min_size=4, max_size=16), st.randoms())
def test_the_order_of_ballots_changes_nothing(rows: list[tuple[int, int]], chance: Random) -> None:
    members = electors([row[0] for row in rows], [row[1] for row in rows])
    groups = [list(range(0, len(rows), 2)), list(range(1, len(rows), 2))]
    ballots = [Ballot(voter, chance.choice(groups[voter % 2])) for voter in range(len(rows))]
    outcome = elect(members, groups, ballots)
    chance.shuffle(ballots)
    assert elect(members, groups, ballots) == outcome
    assert sum(seat.votes for seat in outcome.seats) <= sum(each.trust for each in members)


def test_ties_change_with_chain_and_epoch() -> None:
    found = {tie(chain, epoch, bytes(20)) for chain in (b"a" * 16, b"b" * 16) for epoch in (0, 1)}
    assert len(found) == 4


# Conduct


def test_office_by_hand() -> None:
    fifty = Points(50 * POINT)
    assert after_office(fifty, STAKES, behaved=True) == 51 * POINT
    assert after_office(fifty, STAKES, behaved=False) == 45 * POINT
    assert after_voting(fifty, STAKES, behaved=True) == 50_500_000
    assert after_voting(fifty, STAKES, behaved=False) == 48 * POINT
    assert after_office(Points(3 * POINT), STAKES, behaved=False) == 0
    assert after_voting(Points(POINTS_MAX), STAKES, behaved=True) == POINTS_MAX


def test_idleness_costs_two_percent() -> None:
    assert after_idleness(Points(50 * POINT), Ppm(980_000)) == 49 * POINT


@given(st.integers(10 * POINT, 90 * POINT).map(Points))
def test_one_misconduct_is_not_made_good_by_one_term_of_conduct(trust: Points) -> None:
    assert after_office(after_office(trust, STAKES, behaved=False), STAKES, behaved=True) < trust
    assert after_voting(after_voting(trust, STAKES, behaved=False), STAKES, behaved=True) < trust


@pytest.mark.parametrize("wrong", [(5, 5, 1, 2), (0, 5, 1, 2), (1, 5, 2, 2), (1, 5, 3, 2)])
def test_stakes_that_make_misconduct_cheap_are_refused(wrong: Sequence[int]) -> None:
    check_stakes(STAKES)
    with pytest.raises(Refused) as refused:
        check_stakes(Stakes(*map(Points, wrong)))
    assert refused.value.code == "parameter_out_of_range"
