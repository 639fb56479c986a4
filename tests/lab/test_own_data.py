"""Users' own readings, members and strategies: a prosumer, a spring day of 92 quarter-hours, a class of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.own_files import MEMBERS, STRATEGY, readings
from tests.lab.runs import run
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import length
from wattquorum.lab.places import clear
from wattquorum.lab.run import RunOptions, plan_of
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.facts import (
    ContractApproved,
    ContractMade,
    ContractSettled,
    FlowReported,
    MemberJudged,
    OfferMade,
    ReadingTaken,
)
from wattquorum.ledger.readings import Quality
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.records.file_faults import FileFaults
from wattquorum.traders.forecast import Kind


@pytest.fixture
def own(tmp_path: Path) -> RunOptions:
    readings(tmp_path / "readings.csv")
    (tmp_path / "members.toml").write_text(MEMBERS, encoding="utf-8")
    (tmp_path / "own.py").write_text(STRATEGY, encoding="utf-8")
    return RunOptions(
        tmp_path / "out", tmp_path / "readings.csv", tmp_path / "members.toml", days=2, forecast=Kind.WEATHER
    )


def test_own_readings_trade_through_a_day_of_23_hours(own: RunOptions, tmp_path: Path) -> None:
    plan = plan_of(own)
    blocks = run(plan, tmp_path / "chain")
    facts = [fact for each in blocks for told in each.facts for fact in told]
    made = [fact for fact in facts if isinstance(fact, ContractMade)]
    lengths = sorted({length(fact.energy) for fact in made})
    assert lengths == [92, 96]
    assert sum(isinstance(fact, ContractSettled) for fact in facts) >= len(made)
    # These readings come without a grid: nothing is computed, and every contract is approved.
    assert plan.grid is None
    assert not any(isinstance(fact, FlowReported) for fact in facts)
    assert sum(isinstance(fact, ContractApproved) for fact in facts) == len(made)
    with ChainFolder(tmp_path / "chain") as folder:
        assert audit_folder(folder, verify_each).height == len(blocks)


def test_what_users_marked_as_estimated_is_so_on_the_ledger_and_nothing_else(own: RunOptions, tmp_path: Path) -> None:
    """Nobody defaults by estimates; and no outage is modelled on readings that have their own."""
    assert own.data
    lines = own.data.read_text(encoding="utf-8").splitlines()
    marked = [line.replace(";measured;", ";estimated;") if line.startswith("town-in") else line for line in lines]
    own.data.write_text("\n".join(marked) + "\n", encoding="utf-8")
    facts = [fact for each in run(plan_of(own), tmp_path / "chain") for told in each.facts for fact in told]
    taken = [fact for fact in facts if isinstance(fact, ReadingTaken)]
    assert {(fact.meter, quality) for fact in taken for quality in set(fact.quality)} == {
        ("mill-out", Quality.MEASURED),
        ("farm-out", Quality.MEASURED),
        ("farm-in", Quality.MEASURED),
        ("town-in", Quality.ESTIMATED),
    }
    town = next(fact.member for fact in taken if fact.meter == "town-in")
    judged = [fact for fact in facts if isinstance(fact, MemberJudged) and fact.member == town]
    assert judged
    assert not any(fact.promised or fact.defaulted for fact in judged)


@pytest.mark.parametrize("name", ["grid", "Fines", "cashier", "Mill"])
def test_a_name_that_is_taken_is_a_fault_of_the_members_file(own: RunOptions, name: str) -> None:
    assert own.members
    own.members.write_text(MEMBERS.replace('name = "town"', f'name = "{name}"'), encoding="utf-8")
    with pytest.raises(FileFaults) as told:
        plan_of(own)
    assert "member[3].name" in str(told.value)


def test_a_damaged_chain_in_the_output_folder_is_said_with_what_to_do(own: RunOptions, tmp_path: Path) -> None:
    run(plan_of(own), own.out / "chain")
    segment = next((own.out / "chain" / "blocks").iterdir())
    data = bytearray(segment.read_bytes())
    data[1_000] ^= 1
    segment.write_bytes(data)
    with pytest.raises(Refused) as told:
        clear(own.out)
    assert told.value.code == "folder_exists"
    assert "remove the folder" in told.value.remedy
    assert segment.read_bytes() == data


def test_a_prosumer_is_judged_on_each_side_and_never_trades_with_itself(own: RunOptions, tmp_path: Path) -> None:
    blocks = run(plan_of(own), tmp_path / "chain")
    facts = [fact for each in blocks for told in each.facts for fact in told]
    sides: dict[bytes, set[Side]] = {}
    for fact in facts:
        if isinstance(fact, MemberJudged):
            sides.setdefault(fact.member, set()).add(fact.side)
    assert {Side.SELL, Side.BUY} in list(sides.values())
    assert all(fact.seller != fact.buyer for fact in facts if isinstance(fact, ContractMade))


def test_a_class_of_ones_own_decides(own: RunOptions, tmp_path: Path) -> None:
    blocks = run(plan_of(own), tmp_path / "chain")
    prices = {fact.price for each in blocks for told in each.facts for fact in told if isinstance(fact, OfferMade)}
    assert (550_000).to_bytes(4, "little") in prices


def test_readings_without_their_members_are_refused_by_name(own: RunOptions) -> None:
    with pytest.raises((Refused, FileFaults)) as told:
        plan_of(RunOptions(own.out, own.data))
    assert "members" in str(told.value)


def test_members_without_readings_are_refused_by_name(own: RunOptions) -> None:
    assert own.members
    own.members.write_text(MEMBERS.replace('meter_id = "town-in"', 'meter_id = "city-in"'), encoding="utf-8")
    with pytest.raises((Refused, FileFaults)) as told:
        plan_of(own)
    assert "meter_unknown" in str(told.value)


OFFER = "Offer(situation.day, situation.side, b'', {}, pack_prices([550_000]), situation.gate_ms)"


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('no wind')",
        "return [42]",
        "return None",
        "return [Accept(situation.day, 'a name')]",
        "return [Accept(situation.day, b'short')]",
        "return [Accept(-1, bytes(16))]",
        "return [Accept(2.5, bytes(16))]",
        "return [Accept(2**70, bytes(16))]",
        f"return [{OFFER.format('[1, 2, 3]')}]",
        f"return [{OFFER.format('None')}]",
        f"return [{OFFER.format('bytes(100_000)')}]",
        f"return [{OFFER.format('pack_energy([1] * 96)')}] * 100_000",
    ],
)
def test_a_strategy_that_fails_is_named_with_its_member(own: RunOptions, tmp_path: Path, body: str) -> None:
    broken = STRATEGY.replace("        answers = [", f"        {body}\n        answers = [")
    (tmp_path / "own.py").write_text(broken, encoding="utf-8")
    with pytest.raises(Refused) as told:
        run(plan_of(own), tmp_path / "chain")
    assert (told.value.code, told.value.field) == ("strategy_failed", "mill")
    assert told.value.value.startswith("half: ")


def test_a_new_run_does_not_remove_what_is_no_chain_of_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "out" / "chain" / "thesis.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("years of work", encoding="utf-8")
    with pytest.raises(Refused):
        clear(tmp_path / "out")
    assert kept.read_text(encoding="utf-8") == "years of work"
