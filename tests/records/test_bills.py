"""Bills add up to the account, and every line leads back to the meters (L-1, L-27)."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from tests.ledger.world import START, World
from tests.records.market import FIRST, MEMBERS, SECOND, eventful, record
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.transactions import CommitReadings, Received
from wattquorum.records import tables as t
from wattquorum.records.bills import Trail, bill_of, trail
from wattquorum.records.database import AnyRow, opened, rows_of
from wattquorum.records.sums import SETTLED_MONEY
from wattquorum.records.views import bills, member_days, penalties, shares


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(eventful(), tmp_path_factory.mktemp("bills") / "market.sqlite")


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One interval, 1 MWh promised at 0.50, 0.8 MWh generated, 1 MWh consumed; a third member performs."""
    world = World(intervals=1)
    for name, side in (("mill", Side.SELL), ("bakery", Side.BUY), ("dam", Side.SELL)):
        world.member(name, side, limit_w=10 * MILLION)
    world.publish()
    contracts = [world.contract("mill", "bakery", [1_000_000]), world.contract("dam", "bakery", [1_000])]
    world.approve(*contracts)
    world.read({"mill-sell": [800_000], "dam-sell": [1_000], "bakery-buy": [1_001_000]})
    world.close()
    return record(world, tmp_path_factory.mktemp("worked") / "market.sqlite")


def address(name: str) -> str:
    return eventful().address(name).hex()


def test_a_defaulters_bill_by_hand(worked: Path) -> None:
    with opened(worked) as engine:
        sold = bill_of(engine, _named(engine, "mill"), START)
        bought = bill_of(engine, _named(engine, "bakery"), START)
    # 800 kWh at 0.50; compensation (0.75 - 0.50 - 0.04) * 200 kWh; credit falls from 50 to 40, so the fine is
    # 0.005 * 10 points * 1000 kWh; the handling fee is 0.001 * 1000 kWh.
    assert sold.by_kind() == {
        "handling_fee": -1 * MILLION,
        "energy": 400 * MILLION,
        "compensation": -42 * MILLION,
        "fine": -50 * MILLION,
    }
    # The bakery bought 1 kWh from the dam as well.
    assert bought.by_kind() == {
        "handling_fee": -1_001_000,
        "energy": -400_500_000,
        "over_grid_fee": -32_040_000,
        "grid_purchase": -150 * MILLION,
        "compensation": 42 * MILLION,
    }
    assert sold.total_millionths == 307 * MILLION


def _named(engine: Engine, name: str) -> str:
    return str(rows_of(engine, select(t.accounts.c.account).where(t.accounts.c.name == name))[0][0])


def test_who_fell_short_and_who_got_what_by_hand(worked: Path) -> None:
    with opened(worked) as engine:
        names = {row.account: row.name for row in rows_of(engine, select(t.accounts))}
        (owed,) = rows_of(engine, select(penalties))
        (shared,) = rows_of(engine, select(shares))
    assert (names[owed.payer], names[owed.partner], owed.side) == ("mill", "bakery", "sell")
    assert (owed.shortfall_wh, owed.compensation_millionths, owed.fine_millionths) == (200_000, 42_000_000, 50_000_000)
    # The dam alone traded and performed beside the two, so that all of the fine is its.
    assert (names[shared.receiver], shared.amount_millionths) == ("dam", 50 * MILLION)


def test_what_trading_was_worth_by_hand(worked: Path) -> None:
    with opened(worked) as engine:
        names = {row.account: row.name for row in rows_of(engine, select(t.accounts))}
        days = {names[row.member]: row for row in rows_of(engine, select(member_days))}
    # The grid alone pays 0.40 for 800 kWh and takes 0.75 for 1001 kWh.
    assert (days["mill"].result_millionths, days["mill"].grid_alone_millionths) == (307 * MILLION, 320 * MILLION)
    assert days["mill"].gain_millionths == -13 * MILLION
    assert days["bakery"].grid_alone_millionths == -750_750_000


@pytest.mark.parametrize("name", MEMBERS)
def test_a_bill_adds_up_to_the_account(records: Path, name: str) -> None:
    account = eventful().account(name)
    with opened(records) as engine:
        bill = bill_of(engine, address(name))
        days = rows_of(engine, select(bills.c.amount_millionths).where(bills.c.account == address(name)))
    assert bill.total_millionths == account.balance + account.locked
    assert sum(bill.by_kind().values()) == sum(row.amount_millionths for row in days) == bill.total_millionths


def test_bills_of_days_and_of_none_make_the_whole(records: Path) -> None:
    with opened(records) as engine:
        whole = bill_of(engine, address("mill"))
        parts = [bill_of(engine, address("mill"), day) for day in (FIRST, SECOND)]
    cash = [line for line in whole.lines if line.day_start_ms is None]
    assert {line.kind for line in cash} == {"deposit", "withdrawal"}
    assert sum(part.total_millionths for part in parts) + sum(line.amount_millionths for line in cash) == (
        whole.total_millionths
    )


def test_a_bill_of_nobody_is_refused(records: Path) -> None:
    with opened(records) as engine, pytest.raises(Refused) as refused:
        bill_of(engine, "00" * 20)
    assert refused.value.code == "account_unknown"


# Trails -----------------------------------------------------------------------------------------------------------

COLUMN = {
    "energy": "energy_millionths",
    "over_grid_fee": "over_grid_fee_millionths",
    "grid_purchase": "grid_purchase_millionths",
    "grid_sale": "grid_sale_millionths",
}


@pytest.fixture(scope="module")
def trails(records: Path) -> list[Trail]:
    with opened(records) as engine:
        query = select(t.transfers).order_by(t.transfers.c.height, t.transfers.c.sequence)
        return [trail(engine, row.height, row.sequence) for row in rows_of(engine, query)]


def test_every_line_leads_to_readings_that_say_what_was_allotted(trails: list[Trail]) -> None:
    followed = 0
    for found in trails:
        if found.settlement is None or found.contract is None:
            continue
        followed += 1
        for side, column in (("sell", "generated_wh"), ("buy", "consumed_wh")):
            metered = _by_interval(found, side)
            for row in found.intervals:
                if metered:  # a silent meter is substituted by the promise
                    assert getattr(row, column) <= metered[row.interval]
                assert row.matched_wh <= getattr(row, column) <= row.promised_wh
        for name in SETTLED_MONEY:
            assert sum(getattr(row, name) for row in found.intervals) == getattr(found.settlement, name)
    assert followed > 20


def _by_interval(found: Trail, side: str) -> dict[int, int]:
    meters = {row.meter for row in found.reading_sets if row.side == side}
    sums: dict[int, int] = {}
    for row in found.readings:
        if row.meter in meters:
            sums[row.interval] = sums.get(row.interval, 0) + row.energy_wh
    return sums


def test_a_line_is_the_difference_between_two_revisions(records: Path, trails: list[Trail]) -> None:
    with opened(records) as engine:
        revisions = {(row.contract, row.revision): row for row in rows_of(engine, select(t.settlements))}
    posted: dict[tuple[str, int, str], int] = {}
    for found in trails:
        moved = found.transfer
        if found.settlement is not None and found.contract is not None and moved.kind in COLUMN:
            forward = moved.payer != found.contract.seller and moved.payee != found.contract.buyer
            key = (moved.contract, found.settlement.revision, moved.kind)
            posted[key] = posted.get(key, 0) + (moved.amount_millionths if forward else -moved.amount_millionths)
    for (contract, revision, kind), amount in posted.items():
        before = revisions.get((contract, revision - 1))
        then = getattr(before, COLUMN[kind]) if before is not None else 0
        assert amount == getattr(revisions[contract, revision], COLUMN[kind]) - then
    assert any(revision > 1 for _, revision, _ in posted)


def test_a_line_before_a_correction_leads_to_what_was_known_then(records: Path, trails: list[Trail]) -> None:
    corrected = _corrected_at(records)
    versions = set()
    for found in trails:
        for row in found.reading_sets:
            if row.meter == "mill-sell" and row.day_start_ms == FIRST:
                versions.add((row.version, found.transfer.height < corrected))
    assert versions == {(1, True), (2, False)}


def _corrected_at(records: Path) -> int:
    with opened(records) as engine:
        query = select(t.reading_sets.c.height).where(t.reading_sets.c.version == 2)
        return int(rows_of(engine, query)[0][0])


def test_what_went_past_all_promises_leads_to_its_position(trails: list[Trail]) -> None:
    found = [each for each in trails if each.transfer.kind in ("residual_sale", "residual_purchase")]
    assert found
    for each in found:
        assert each.contract is None
        assert each.settlement is not None
        residual = sum(row.residual_wh for row in each.intervals)
        assert residual == each.settlement.residual_wh
        metered = sum(row.energy_wh for row in each.readings) if each.readings else each.settlement.metered_wh
        assert metered == each.settlement.metered_wh


def test_a_share_leads_to_the_fine(trails: list[Trail]) -> None:
    found = [each for each in trails if each.transfer.kind == "share"]
    assert found
    first = min(found, key=_place)
    assert sum(row.amount_millionths for row in first.fines) >= first.transfer.amount_millionths
    kept = {row.member for row in first.judged} - {row.member for row in first.judged if row.defaulted}
    assert first.transfer.payee in kept


def test_a_fine_leads_to_its_contract_and_the_meters(trails: list[Trail]) -> None:
    found = [each for each in trails if each.transfer.kind == "fine"]
    assert found
    for each in found:
        assert each.contract is not None
        assert each.readings
    first = min(found, key=_place)
    own = [row.amount_millionths for row in first.fines if row.payer == first.transfer.payer]
    assert own == [first.transfer.amount_millionths]


def _place(found: Trail) -> tuple[int, int]:
    return (found.transfer.height, found.transfer.sequence)


def test_a_handling_fee_was_paid_before_delivery_and_a_deposit_has_no_contract(trails: list[Trail]) -> None:
    found: dict[str, Trail] = {}
    for each in trails:
        found.setdefault(each.transfer.kind, each)
    assert found["handling_fee"].settlement is None
    assert found["handling_fee"].contract is not None
    assert found["deposit"].contract is None


def test_no_trail_without_a_transfer(records: Path) -> None:
    with opened(records) as engine, pytest.raises(Refused) as refused:
        trail(engine, 1, 99)
    assert refused.value.code == "out_of_range"


def test_readings_name_root_and_place_that_the_chain_committed_to(records: Path) -> None:
    committed: set[tuple[str, int]] = set()
    for executed in eventful().executed:
        for data in executed.block.transactions:
            try:
                payload = Received(data).body.payload
            except Refused:
                continue
            if isinstance(payload, CommitReadings):
                committed.update((payload.root.hex(), place) for place in range(payload.rows))
    with opened(records) as engine:
        found: list[AnyRow] = rows_of(engine, select(t.reading_sets))
    assert {(row.root, row.position) for row in found} == committed
