"""Twins: cases go through everything in turn, the protocol holds in them, and one that votes twice does not."""

from __future__ import annotations

import pytest

from wattquorum.consensus.bft.agreement import Agreement
from wattquorum.consensus.bft.messages import PrePrepare
from wattquorum.ledger.protocols import Protocol
from wattquorum.simulation.chaos import Rules, outcome_of
from wattquorum.simulation.twins import PAIRS, case_of, partitions

TWINS = Rules(protocol=Protocol.PBFT, twins=True)


def test_networks_part_in_every_way_once() -> None:
    assert sorted(partitions(3)) == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 1, 2)]
    assert len(dict.fromkeys(partitions(5))) == 1 + 15 + 25


def test_cases_go_through_all_pairs_of_ways_and_all_places_in_turn() -> None:
    cases = [case_of(number) for number in range(2_000)]
    assert len(dict.fromkeys(cases)) == 2_000
    assert sorted(map(repr, [case.ways[0] for case in cases[: len(PAIRS)]])) == sorted(map(repr, PAIRS))
    for pair in PAIRS:
        assert len(dict.fromkeys(case.twins[0] for case in cases if case.ways[0] == pair)) >= 4
    assert {case.members for case in cases} == {4, 7}
    assert all(len(dict.fromkeys(case.twins)) == case.members // 3 for case in cases)
    rounds = dict.fromkeys(each for case in cases for each in case.rounds if case.members == 4)
    assert len(dict.fromkeys(each.parts for each in rounds)) == 41
    assert len(dict.fromkeys((each.phase, each.favoured) for each in rounds)) == 3 * 5


@pytest.mark.unmeasured
@pytest.mark.parametrize("number", range(0, 120, 15))
def test_a_case_holds(number: int) -> None:
    outcome = outcome_of(number, TWINS)
    assert outcome.breach is None
    assert outcome.counts.blocks > 2


def test_a_case_is_decided_by_its_number() -> None:
    one, other = outcome_of(0, TWINS), outcome_of(0, TWINS)
    assert (one.trace, one.counts) == (other.trace, other.counts)


def test_an_engine_that_votes_twice_in_a_view_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    considered = Agreement._consider

    def forgetful(agreement: Agreement, sender: bytes, message: PrePrepare) -> None:
        agreement._chain.round.accepted.pop(message.view, None)
        considered(agreement, sender, message)

    monkeypatch.setattr(Agreement, "_consider", forgetful)
    broken = (outcome_of(number, TWINS).breach for number in range(10))
    assert any(breach is not None and breach.invariant == "I9" for breach in broken)
