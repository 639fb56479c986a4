"""The trading week: deterministic, auditable to the byte, blind to the future, and all of it on the ledger."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab.runs import chain_bytes, changed_from, plan, run
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.foundation.refusals import Refused
from wattquorum.lab import week
from wattquorum.lab.calendar import days_from, trading_day
from wattquorum.lab.offices import PROPOSER
from wattquorum.lab.shipped import shipped_members, shipped_week
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.audit import AuditFault
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.facts import ContractMade, OfferMade, ReadingTaken
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.transactions import Accept, Offer, Received
from wattquorum.ledger.transactions import Counter as CounterOffer
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode, ledger_of
from wattquorum.simulation.demo_keys import DemoSecrets
from wattquorum.traders.forecast import Kind
from wattquorum.traders.situation import Board, Known, Situation, look


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Executed]]:
    chain = tmp_path_factory.mktemp("two") / "chain"
    return chain, run(plan(2), chain)


@pytest.mark.unmeasured
def test_the_same_seed_gives_the_same_chain_bytes_under_any_hash_seed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.lab.runs import plan, run;"
        "run(plan(1, seed=int(sys.argv[1])), Path(sys.argv[2]))"
    )
    digests = []
    for hash_seed, seed in (("0", "7"), ("4242", "7"), ("random", "8")):
        chain = tmp_path / f"{hash_seed}-{seed}"
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", script, seed, str(chain)], check=True, env=environment, timeout=60)
        whole = hashlib.sha256()
        for name, data in chain_bytes(chain).items():
            whole.update(name.encode() + data)
        digests.append(whole.hexdigest())
    assert digests[0] == digests[1]
    assert digests[2] != digests[0]


def test_the_audit_replays_to_the_same_digest(two_days: tuple[Path, list[Executed]]) -> None:
    chain, blocks = two_days
    with ChainFolder(chain) as folder:
        audited = audit_folder(folder, verify_each)
        assert audited.digest == blocks[-1].block.header.state_digest
        assert audited.height == len(blocks)
        assert ledger_of(folder, verify_each).digest == audited.digest


@pytest.mark.unmeasured
def test_every_flipped_byte_is_found(two_days: tuple[Path, list[Executed]]) -> None:
    chain, _ = two_days
    dice = random.Random(5)
    places = []
    for path in sorted(each for each in chain.rglob("*") if each.is_file()):
        size = path.stat().st_size
        # Each of the others costs a replay; test_chain_folder flips every byte of every file of a small chain.
        ends = {0, size - 1} if path.suffix == ".blocks" else set[int]()
        picks = {*ends, *(dice.randrange(size) for _ in range(6 if path.suffix == ".blocks" else 1))}
        places += [(path, pick) for pick in sorted(picks)]
    for path, place in places:
        sound = path.read_bytes()
        broken = bytearray(sound)
        broken[place] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(broken))
        try:
            with pytest.raises((AuditFault, Refused)), ChainFolder(chain) as folder:
                audit_folder(folder, verify_each)
        finally:
            path.write_bytes(sound)


def test_a_fault_names_block_and_reason(two_days: tuple[Path, list[Executed]]) -> None:
    chain, _ = two_days
    segment = next((chain / "blocks").iterdir())
    sound = segment.read_bytes()
    broken = bytearray(sound)
    broken[len(sound) // 2] ^= 1
    segment.write_bytes(bytes(broken))
    try:
        with pytest.raises((AuditFault, Refused)) as told, ChainFolder(chain) as folder:
            audit_folder(folder, verify_each)
    finally:
        segment.write_bytes(sound)
    assert "block" in str(told.value)
    assert "checksum" in str(told.value)


def test_a_chain_cut_at_a_block_boundary_is_found(two_days: tuple[Path, list[Executed]]) -> None:
    chain, blocks = two_days
    segment = next((chain / "blocks").iterdir())
    sound = segment.read_bytes()
    segment.write_bytes(sound[: -len(blocks[-1].data) - 24])
    try:
        with pytest.raises(Refused) as told:
            ChainFolder(chain)
    finally:
        segment.write_bytes(sound)
    assert told.value.code == "chain_truncated"


@pytest.mark.unmeasured
def test_members_do_not_see_the_future(tmp_path: Path) -> None:
    """With forecasts from history, changing what a day's meters will count changes nothing before it is delivered."""
    table = shipped_week()
    true = plan(1, forecast=Kind.HISTORY, table=table)
    day = trading_day(true.first, true.zone)
    other = plan(1, forecast=Kind.HISTORY, table=changed_from(table, day.window.start_ms, 3))
    before = [run(each, tmp_path / str(i)) for i, each in enumerate((true, other))]
    until_gate = [[each.data for each in blocks if each.block.header.time_ms < day.readings_ms] for blocks in before]
    assert len(until_gate[0]) > 12
    assert until_gate[0] == until_gate[1]
    assert before[0][-1].data != before[1][-1].data


def test_members_are_shown_whole_past_days_of_their_own_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the morning before a day, each side's history is what its meters counted on every whole day that has ended.

    Of the day that is under way nothing is shown, although the table has it.
    """
    wanted = plan(1)
    first = trading_day(wanted.first, wanted.zone)
    shown: dict[tuple[bytes, Side], list[list[int]]] = {}

    def spy(
        state: State, board: Board, directory: Mapping[bytes, Known], address: bytes, side: Side, **more: Any
    ) -> Situation:
        shown[address, side] = more["history"].tolist()
        return look(state, board, directory, address, side, **more)

    monkeypatch.setattr(week, "look", spy)
    with LoneNode.create(tmp_path / "chain", wanted.genesis(), wanted.secrets.key(PROPOSER), verify_each) as node:
        running = week.Week(wanted, node, lambda _: None)
        steps = running.run()
        while not shown:
            next(steps)
        assert node.ledger.tip is not None
        assert node.ledger.tip.time_ms >= first.rounds_ms[0]
        start, _ = wanted.table.common_span
        past = [trading_day(day, wanted.zone).window for day in days_from(wanted.first - timedelta(days=30), 29)]
        past = [each for each in past if each.start_ms >= start]
        assert past[-1].end_ms < first.rounds_ms[0] < past[-1].end_ms + MS_PER_DAY
        for member in wanted.members:
            for side, direction in ((Side.SELL, "injection"), (Side.BUY, "withdrawal")):
                meters = [meter.meter_id for meter in member.meters if meter.direction == direction]
                if meters:
                    counted = [
                        sum(wanted.table.energy(meter, direction, each.start_ms, each.end_ms) for meter in meters)
                        for each in past
                    ]
                    own = shown.pop((running.address(member.name), side))
                    assert own == [np.asarray(day).tolist() for day in counted]
    assert len(past) > 5
    assert not shown


def test_each_side_of_each_member_draws_from_a_stream_of_its_own(tmp_path: Path) -> None:
    """Two streams that are one would make strangers act alike, and whoever joins would change what all others do."""
    cast = shipped_members()
    generators, consumers = cast[:3], cast[-3:]
    prosumers = tuple(
        replace(generator, meters=(*generator.meters, *consumer.meters))
        for generator, consumer in zip(generators, consumers, strict=True)
    )
    wanted, alone = plan(1, members=prosumers), plan(1, members=prosumers[1:2])
    drawn = []
    for number, each in enumerate((wanted, alone)):
        path = tmp_path / str(number)
        with LoneNode.create(path, each.genesis(), each.secrets.key(PROPOSER), verify_each) as node:
            drawn.append(
                {
                    (trader.member.name, trader.side): tuple(trader.random.integers(2**62, size=4).tolist())
                    for trader in week.Week(each, node, lambda _: None)._traders
                }
            )
    assert len(drawn[0]) == 6
    assert len(set(drawn[0].values())) == 6
    assert len(drawn[1]) == 2
    assert drawn[1].items() <= drawn[0].items()


def test_the_whole_negotiation_is_on_the_ledger(two_days: tuple[Path, list[Executed]]) -> None:
    _, blocks = two_days
    offers = {
        fact.offer: fact for each in blocks for facts in each.facts for fact in facts if isinstance(fact, OfferMade)
    }
    made = [fact for each in blocks for facts in each.facts for fact in facts if isinstance(fact, ContractMade)]
    sent: Counter[type] = Counter()
    refused: Counter[str] = Counter()
    for each in blocks:
        for data, receipt in zip(each.block.transactions, each.block.receipts, strict=True):
            sent[type(Received(data).body.payload)] += 1
            if receipt.outcome is not Outcome.DONE:
                refused[receipt.code] += 1
    assert len(made) > 50
    assert sent[Accept] >= len(made)
    assert sent[CounterOffer] > sent[Offer] > 0
    assert any(offers[contract.contract].answers for contract in made), "no contract came from a counter-offer"
    assert all(offers[contract.contract].author in (contract.seller, contract.buyer) for contract in made)
    assert set(refused) <= {"offer_closed", "promise_exceeds_limit", "collateral_short"}
    assert len(offers) > 2 * len(made), "negotiations also fail"


def test_outages_are_estimated_first_and_corrected_before_the_final_day(
    two_days: tuple[Path, list[Executed]],
) -> None:
    _, blocks = two_days
    taken = [fact for each in blocks for facts in each.facts for fact in facts if isinstance(fact, ReadingTaken)]
    corrected = [fact for fact in taken if fact.version == 2]
    first = {(fact.day, fact.meter): fact for fact in taken if fact.version == 1}
    assert corrected, "the last two days of the shipped week have an outage"
    for fact in corrected:
        assert set(fact.quality) == {0}
        assert 1 in first[fact.day, fact.meter].quality


def test_when_all_is_final_the_state_holds_no_day_and_no_collateral(two_days: tuple[Path, list[Executed]]) -> None:
    chain, _ = two_days
    with ChainFolder(chain) as folder:
        state = ledger_of(folder, verify_each).state
    assert [state.count(table) for table in (Table.DAY, Table.CONTRACT, Table.OFFER, Table.READING)] == [0] * 4
    accounts = [account for _, account in state.items(Table.ACCOUNT)]
    assert sum(account.balance for account in accounts) == 0
    assert not any(account.locked for account in accounts)
    assert sum(account.has(Role.GENERATOR) for account in accounts) == 15


def test_a_day_of_daylight_saving_has_92_or_100_quarter_hours() -> None:
    from datetime import date

    zone = plan(1).zone
    days = [
        trading_day(day, zone).window.intervals for day in (date(2016, 3, 27), date(2016, 10, 30), date(2016, 6, 13))
    ]
    assert days == [92, 100, 96]
    windows = [trading_day(day, zone).window for day in days_from(date(2016, 3, 26), 3)]
    assert windows[0].end_ms == windows[1].start_ms
    assert windows[1].end_ms == windows[2].start_ms


def test_seed_derived_keys_are_for_demos_alone() -> None:
    with pytest.raises(Refused) as told:
        DemoSecrets(1, demo=False)
    assert told.value.code == "demo_only"
