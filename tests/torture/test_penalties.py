"""What lies cost, judged from a chain and what nodes told: each proven one accused and paid for, nobody else blamed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ledger.committee_world import in_office
from torture.penalties import HEALED, LIARS, PROVEN, SLOTS, Offices, proven, summary, unpaid
from wattquorum.foundation.codec import changed
from wattquorum.ledger.facts import Accused, TrustMoved
from wattquorum.ledger.offices import Why


@pytest.fixture
def offices() -> Offices:
    found = Offices()
    for executed in in_office().executed:
        found.note(executed)
    return found


def accused(offices: Offices) -> tuple[str, int]:
    """Who, and a committee of that epoch."""
    ((_, fact),) = offices.of(Accused)
    return fact.replica.hex(), next(version for version, epoch in offices.epochs.items() if epoch == fact.epoch)


def notes(liar: str, *proven: tuple[str, int]) -> list[dict[str, Any]]:
    told = [{"what": PROVEN, "replica": replica, "committee": version} for replica, version in proven]
    return [{"what": LIARS, "replicas": [liar]}, *told, {"what": HEALED}]


def test_a_lie_that_was_accused_and_paid_for_is_all_right(offices: Offices) -> None:
    liar, committee = accused(offices)
    told = notes(liar, (liar, committee), (liar, committee))
    assert unpaid(offices, told, elected=True) == []
    rows = dict(summary(offices, lambda replica: replica[:4]))
    assert rows["accused on the ledger"] == f"{liar[:4]} 1"
    assert proven(told, lambda replica: replica[:4]) == f"{liar[:4]} 2"


def test_what_is_wrong_is_told(offices: Offices) -> None:
    liar, committee = accused(offices)
    other = "ab" * 20
    (blamed,) = unpaid(offices, notes(liar, (other, committee)), elected=False)
    assert blamed == "abababab was proven to lie, and does not"
    wrong = unpaid(offices, notes(liar, (liar, committee), (liar, 0)), elected=True)
    assert wrong == [f"{liar[:8]} was proven to lie in committee 0, and nobody accused it"]
    late = [*notes(liar, (liar, committee)), {"what": PROVEN, "replica": liar, "committee": 0}]
    assert unpaid(offices, late, elected=True) == []
    offices.moved = [
        (height, fact) for height, fact in offices.moved if not isinstance(fact, TrustMoved) or fact.why is not Why.LIED
    ]
    (unpunished,) = unpaid(offices, notes(liar, (liar, committee)), elected=True)
    assert unpunished.endswith("and it cost nobody anything")


def test_who_is_honest_and_was_well_pays_for_no_absence(offices: Offices) -> None:
    """Nor does a stutter of its process excuse it, as being killed or cut off does."""
    paid = next(fact for _, fact in offices.of(TrustMoved) if fact.why is Why.LIED and not fact.backer)
    kept_out, liar = "ab" * 20, accused(offices)
    offices.moved.append((99, changed(paid, replica=bytes.fromhex(kept_out), why=Why.ABSENT)))
    told = [*notes(liar[0], liar), {"what": SLOTS, "of": [(liar[0], 0), (kept_out, 1)]}]
    stutter = {"what": "fault", "kind": "stutter", "slots": [1]}
    assert unpaid(offices, [*told, stutter], elected=True) == [
        "abababab paid for absence, and nothing kept it away but others"
    ]
    for hurt in ({"what": "kill", "slot": 1}, {"what": "fault", "kind": "pause", "slots": [0, 1]}):
        assert unpaid(offices, [*told, stutter, hurt], elected=True) == []
    assert unpaid(offices, [*told, {"what": LIARS, "replicas": [kept_out]}], elected=True) == []
