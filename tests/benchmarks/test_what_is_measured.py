"""What `make bench` measures is the real thing: chains on which everything is done, floors that do the same work."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import registry, rounds, throughput
from benchmarks.__main__ import _show, told
from benchmarks.batches import Batch, settled_on_a_ledger
from benchmarks.chains import recorded
from benchmarks.measuring import Line, Section, of_pairs
from benchmarks.throughput import Round, rate_of
from benchmarks.town import INTERVALS, Town
from wattquorum.foundation.identities import verify_each
from wattquorum.lab.paper.scale import wide
from wattquorum.ledger.audit import audit
from wattquorum.ledger.blocks import Outcome, decode_block
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import DaySealed, FineCharged
from wattquorum.ledger.transactions import PAYLOAD_TYPES
from wattquorum.market.settlement import settle_rows


def test_everything_in_a_town_is_done_down_to_the_sealed_day() -> None:
    town = Town(members=40, contracts=80, feeders=3, default_every=10)
    ledger, kinds, facts = Ledger(town.genesis), list[str](), list[object]()
    for step in town.steps():
        executed = ledger.execute(step.entry, verify_each)
        assert [receipt.code for receipt in executed.block.receipts if receipt.outcome is not Outcome.DONE] == []
        assert len(executed.block.transactions) == step.transactions
        kinds.append(step.kind.__name__)
        facts.extend(fact for facts in executed.facts for fact in facts)
    assert {"Register", "Offer", "Counter", "Accept", "WithdrawOffer", "Cancel", "ClosePage", "CloseDay"} <= {*kinds}
    assert any(isinstance(fact, FineCharged) for fact in facts)
    assert isinstance(facts[-1], DaySealed)


def test_a_recorded_chain_replays_and_audits_to_its_digest() -> None:
    town = Town(members=10, contracts=10, feeders=2)
    chain = recorded(town.genesis, [step.entry for step in town.steps()])
    found = audit(chain.genesis, chain.blocks, chain.rows.get, {}, verify_each)
    assert (found.digest, found.transactions) == (chain.digest, chain.transactions)
    assert len(chain.checks) == chain.transactions + len(chain.entries)
    times = [decode_block(data).header.time_ms for data in chain.blocks]
    assert all(before < after for before, after in pairwise(times))


def test_the_floor_of_settlement_settles_what_is_settled() -> None:
    batch = Batch(contracts=300)
    ours = settle_rows(batch.promised, batch.generated, batch.consumed, batch.terms)
    assert all(np.array_equal(mine, bare) for mine, bare in zip(ours, batch.settled_by_numpy(), strict=True))
    assert all(np.array_equal(mine, bare) for mine, bare in zip(ours, batch.incomes_by_numpy(), strict=False))
    assert batch.promised.shape == (300, INTERVALS)


def test_a_ratio_is_the_middle_one_of_neighbours() -> None:
    assert of_pairs([(1.0, 2.0), (10.0, 50.0), (1.0, 3.0)]) == (3.0, 1.0, 3.0)


def test_a_share_is_of_the_floor_and_its_ceiling_is_the_longer_of_both() -> None:
    rate = rate_of([Round(floor=2.0, executing=4.0, ours=8.0), Round(1.0, 0.5, 2.0), Round(2.0, 4.0, 5.0)])
    assert rate == (5.0, 40.0, 50.0)


def test_what_a_contract_costs_on_a_ledger_is_of_all_contracts_that_its_pages_settled() -> None:
    cost, settled = settled_on_a_ledger(members=40, contracts=80, feeders=3)
    assert settled == 80
    assert cost > 0


def test_types_of_the_towns_day_are_measured_and_all_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MEMBERS", 220), ("CONTRACTS", 220), ("FEEDERS", 3), ("TYPE_ROUNDS", 1)):
        monkeypatch.setattr(throughput, name, value)
    *lines, last = throughput._types(verify_each).lines
    day = {step.kind.__name__ for step in Town(220, 220, 3).steps()}
    assert {line.name for line in lines} == day
    assert len(day) == 14
    notes = {line.name: line.note for line in lines}
    assert "only 3 in a block" in notes["ClosePage"]
    assert "only" not in notes["Offer"]
    assert last.name == "types that are not measured"
    assert {*last.note.split(", ")} == {kind.__name__ for kind in PAYLOAD_TYPES} - day
    assert (last.value, last.unit) == (len(PAYLOAD_TYPES) - len(day), f"of {len(PAYLOAD_TYPES)}")


def test_rounds_in_plain_numpy_end_with_the_same_weights() -> None:
    for nodes in (40, 2_400):  # few are sorted, many are counted in bins
        inputs = wide(nodes, 32)
        assert np.array_equal(rounds.played(inputs), rounds.plain(inputs))


def test_the_numbers_can_be_written_as_json() -> None:
    found = told([Section("a title", [Line("a name", 1.5, "x", "a note")])])
    assert json.loads(json.dumps(found))["sections"] == [
        {"title": "a title", "lines": [{"name": "a name", "value": 1.5, "unit": "x", "note": "a note"}]}
    ]


def test_a_town_is_the_same_town_each_time() -> None:
    first, second = (Town(members=10, contracts=20, feeders=2) for _ in range(2))
    assert [step.entry for step in first.steps()] == [step.entry for step in second.steps()]


def test_a_registry_splits_moves_and_retires_what_its_owners_hold() -> None:
    section = registry.measured(bundles=600, owners=7, actions=50)
    assert [line.name for line in section.lines] == ["splits", "transfers", "retirements", "a bundle, encoded"]
    assert all(line.value > 0 for line in section.lines)


def test_a_ratio_is_shown_as_finely_as_its_target_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    _show(Section("a title", [Line("a ratio", 0.024, "x", "target 0.1"), Line("a time", 2.04, "ms")]))
    _, _, ratio, time = capsys.readouterr().out.splitlines()
    assert ratio.split()[2:4] == ["0.02", "x"]
    assert time.split()[2:4] == ["2.0", "ms"]
