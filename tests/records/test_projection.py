"""Records are a projection of the chain: the same rows on every replay, whole blocks, and what the ledger has."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from tests.ledger.committee_world import in_office
from tests.ledger.voting_world import voted
from tests.ledger.world import START, World
from tests.records.market import FIRST, MEMBERS, SECOND, eventful, record
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import MemberSide
from wattquorum.ledger.facts import Fact
from wattquorum.ledger.state import Table, side_key
from wattquorum.ledger.transactions import Propose, SetParameters
from wattquorum.records import grid_tables as gt
from wattquorum.records import tables as t
from wattquorum.records.block_entries import enter
from wattquorum.records.database import AnyRow, connect, opened, rows_of, sorted_rows
from wattquorum.records.parquet import all_tables
from wattquorum.records.projection import Projection
from wattquorum.records.sums import sums
from wattquorum.records.views import balances, curtailments


def content(place: Path | str) -> list[str]:
    """Every row of every table as a line of text, in a fixed order."""
    with opened(place) as engine:
        return [f"{table.name} {tuple(row)!r}" for table in all_tables() for row in sorted_rows(engine, table)]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(eventful(), tmp_path_factory.mktemp("records") / "market.sqlite")


def read(place: Path, query: Any) -> list[AnyRow]:
    with opened(place) as engine:
        return rows_of(engine, query)


def address(name: str) -> str:
    return eventful().address(name).hex()


def test_every_kind_of_fact_has_rows() -> None:
    for kind in Fact.__args__:
        assert enter.dispatch(kind) is not enter.dispatch(object), kind


def test_the_market_of_these_tests_tells_every_kind_of_fact() -> None:
    world = eventful()
    told = [fact for executed in world.executed for facts in executed.facts for fact in facts]
    for office in (voted(), in_office()):
        told += [fact for executed in office.executed for fact in executed.told]
    told += [fact for executed in in_office().executed for facts in executed.facts for fact in facts]
    assert {type(fact) for fact in [*told, *world.ledger.founding_facts]} == set(Fact.__args__)


def test_a_replay_gives_the_same_rows(records: Path, tmp_path: Path) -> None:
    assert content(record(eventful(), tmp_path / "again.sqlite")) == content(records)


def test_records_that_were_closed_after_every_block_have_the_same_rows(records: Path, tmp_path: Path) -> None:
    world, place = eventful(), tmp_path / "often.sqlite"
    for i in range(len(world.executed)):
        record(world, place, blocks=[i])
    assert content(place) == content(records)


def test_a_block_that_is_there_is_passed_over(records: Path, tmp_path: Path) -> None:
    world, place = eventful(), tmp_path / "twice.sqlite"
    record(world, place, blocks=range(30))
    record(world, place)
    record(world, place)
    assert content(place) == content(records)


def test_dropped_records_are_rebuilt_from_the_chain(records: Path, tmp_path: Path) -> None:
    world = eventful()
    place = record(world, tmp_path / "dropped.sqlite")
    with Projection(place) as projection:
        projection.begin(world.ledger.genesis, world.ledger.founding_facts)
        projection.drop()
        projection.begin(world.ledger.genesis, world.ledger.founding_facts)
        assert projection.height == 0
        for executed in world.executed:
            projection.apply(executed.block, executed.facts, executed.told)
    assert content(place) == content(records)


def test_a_gap_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    world, place = eventful(), tmp_path / "gap.sqlite"
    record(world, place, blocks=range(3))
    before = content(place)
    with pytest.raises(Refused) as refused:
        record(world, place, blocks=[4])
    assert refused.value.code == "records_gap"
    assert content(place) == before


def test_records_of_another_chain_are_refused(tmp_path: Path) -> None:
    place = record(eventful(), tmp_path / "market.sqlite")
    other = World(parameters={"fee": 7})
    with pytest.raises(Refused) as refused:
        record(other, place)
    assert refused.value.code == "records_foreign"


def test_another_block_at_a_height_that_is_there_is_refused(tmp_path: Path) -> None:
    one, other = World(), World()
    one.member("mill", Side.SELL)
    other.member("farm", Side.SELL)
    place = record(one, tmp_path / "market.sqlite")
    with pytest.raises(Refused) as refused:
        record(other, place)
    assert refused.value.code == "records_foreign"


def test_records_of_another_format_are_refused(tmp_path: Path) -> None:
    place = record(eventful(), tmp_path / "market.sqlite")
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE chain SET records_format = 0")
    connection.close()
    with pytest.raises(Refused) as refused:
        record(eventful(), place)
    assert refused.value.code == "records_foreign"


def test_a_full_disk_says_so_and_leaves_whole_blocks(records: Path, tmp_path: Path) -> None:
    world, place = eventful(), tmp_path / "full.sqlite"
    record(world, place, blocks=range(45))
    whole = content(place)
    with Projection(place) as projection:
        projection.begin(world.ledger.genesis, world.ledger.founding_facts)

        @event.listens_for(projection._engine, "connect")
        def no_more_room(connection: Any, _record: object) -> None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count={pages}")

        def apply_the_rest() -> None:
            for executed in world.executed[45:]:
                projection.apply(executed.block, executed.facts, executed.told)

        with pytest.raises(Refused) as refused:
            apply_the_rest()
        assert refused.value.code == "disk_full"
        reached = projection.height
    assert reached >= 45
    assert (content(place) == whole) == (reached == 45)
    assert content(record(world, place)) == content(records)


def test_memory_is_a_place_as_well() -> None:
    world = eventful()
    with Projection("sqlite://") as projection:
        projection.begin(world.ledger.genesis, world.ledger.founding_facts)
        for executed in world.executed:
            projection.apply(executed.block, executed.facts, executed.told)
        assert projection.height == world.ledger.height


# What the ledger has ----------------------------------------------------------------------------------------------


def test_balances_are_those_of_the_ledger(records: Path) -> None:
    state = eventful().ledger.state
    found = {row.account: row.balance_millionths for row in read(records, select(balances))}
    assert found == {key.hex(): account.balance + account.locked for key, account in state.items(Table.ACCOUNT)}


def test_accounts_are_those_of_the_ledger(records: Path) -> None:
    found = {row.account: (row.name, row.owner, row.status) for row in read(records, select(t.accounts))}
    accounts = eventful().ledger.state.items(Table.ACCOUNT)
    assert found == {key.hex(): (account.name, account.owner, account.status.name.lower()) for key, account in accounts}


def test_credit_stands_as_on_the_ledger(records: Path) -> None:
    latest = {}
    for row in read(records, select(t.credit).order_by(t.credit.c.height, t.credit.c.sequence)):
        latest[row.member, row.side] = (
            row.credit_now_points_millionths,
            row.trust_now_points_millionths,
            row.traded_wh,
        )
    expected = {}
    for name in MEMBERS:
        for side in Side:
            found: MemberSide | None = eventful().ledger.state.get(Table.SIDE, side_key(eventful().address(name), side))
            if found:
                expected[address(name), side.name.lower()] = (found.credit, found.trust, found.traded)
    assert latest == expected


def test_a_memberenters_with_the_credit_of_the_parameters_in_force(tmp_path: Path) -> None:
    world = world_with_a_late_member()
    place = record(world, tmp_path / "late.sqlite")
    query = select(t.credit.c.credit_now_points_millionths).where(t.credit.c.event == "entry")
    found = [row[0] for row in read(place, query.order_by(t.credit.c.height))]
    assert found == [50_000_000, 50_000_000, 60_000_000]


def world_with_a_late_member() -> World:
    world = World(parameters={"notice_blocks": 1})
    world.member("early", Side.SELL, money=0)
    start = world.ledger.height + 4
    world.done("operator", Propose(SetParameters((("initial_credit", 60_000_000),), start)))
    world.member("noticed", Side.SELL, money=0)
    while world.ledger.height < start:
        world.block([])
    world.member("late", Side.SELL, money=0)
    return world


def test_debts_are_those_of_the_ledger(records: Path) -> None:
    debts = eventful().ledger.state.items(Table.DEBT)
    found = {row.debt: row.open_millionths for row in read(records, select(t.debts)) if row.open_millionths}
    assert found == {key.hex(): debt.amount for key, debt in debts}
    assert any(row.open_millionths < row.recorded_millionths for row in read(records, select(t.debts)))


# What happened ----------------------------------------------------------------------------------------------------


def test_a_chain_of_answers_keeps_its_thread_and_its_fates(records: Path) -> None:
    query = select(t.offers).where(t.offers.c.day_start_ms == FIRST).order_by(t.offers.c.height).limit(3)
    public, counter, again = read(records, query)
    assert [row.thread for row in (public, counter, again)] == [public.offer] * 3
    assert [row.round for row in (public, counter, again)] == [0, 1, 2]
    assert [row.answers for row in (public, counter, again)] == ["", public.offer, counter.offer]
    assert [row.status for row in (public, counter, again)] == ["open", "countered", "accepted"]
    assert public.partner == ""
    assert again.partner == address("bakery")


def test_the_mean_price_is_weighted_by_energy_and_its_range_is_that_of_promised_intervals(records: Path) -> None:
    query = select(t.contracts).where(t.contracts.c.seller == address("mill")).order_by(t.contracts.c.accepted_height)
    first = read(records, query)[0]
    # 900 Wh in each of eight intervals at 0.570, 0.571 ... 0.577: the mean is 0.5735.
    assert first.price_millionths_per_kwh == 573_500
    assert (first.lowest_price_millionths_per_kwh, first.highest_price_millionths_per_kwh) == (570_000, 577_000)


def test_offers_and_contracts_that_came_to_nothing_say_how(records: Path) -> None:
    statuses = [row.status for row in read(records, select(t.offers))]
    assert statuses.count("withdrawn") == 1
    ended = [row for row in read(records, select(t.contracts)) if row.status == "cancelled"]
    assert len(ended) == 1
    assert ended[0].ended_height is not None


def test_a_curtailment_keeps_what_was_promised_before(records: Path) -> None:
    versions = read(records, select(t.contract_versions).where(t.contract_versions.c.version > 1))
    assert [row.energy_wh for row in versions] == [2_401]
    (curtailed,) = versions
    promised = select(t.promises).where(t.promises.c.contract == curtailed.contract, t.promises.c.interval == 3)
    assert [row.energy_wh for row in read(records, promised.order_by(t.promises.c.version))] == [702, 400]
    now = read(records, select(t.contracts).where(t.contracts.c.contract == curtailed.contract))[0]
    assert (now.energy_wh, now.versions) == (2_401, 2)
    # 302 Wh less at 0.001 CNY/kWh: 2703 Wh cost 2703 millionths, 2401 Wh cost 2401.
    assert curtailed.refund_millionths == 302


def test_a_curtailment_is_shown_with_what_it_cut_and_why(records: Path) -> None:
    (found,) = read(records, select(curtailments))
    assert (found.before_wh, found.after_wh, found.cut_wh) == (2_703, 2_401, 302)
    assert (found.version, found.refund_millionths, found.reason) == (2, 302, "transformer T2 near its limit")
    made = read(records, select(t.contracts).where(t.contracts.c.contract == found.contract))[0]
    assert (found.seller, found.buyer) == (made.seller, made.buyer)


def test_a_power_flow_is_kept_in_sums_extremes_and_intervals(records: Path) -> None:
    query = select(gt.flows).where(gt.flows.c.kind == "planned")
    (flow,) = read(records, query)
    # Twice the four intervals of the report.
    sums = (flow.generation_wh, flow.consumption_wh, flow.losses_wh, flow.supply_wh, flow.returned_wh)
    assert sums == (16_040, 24_000, 400, 12_240, 3_880)
    assert flow.generation_wh + flow.supply_wh == flow.consumption_wh + flow.losses_wh + flow.returned_wh
    assert (flow.lowest_voltage_ppm, flow.lowest_voltage_interval, flow.lowest_voltage_node) == (990_000, 3, "node 9")
    assert (flow.highest_voltage_ppm, flow.highest_voltage_interval, flow.highest_voltage_node) == (
        *(1_050_000, 1, "node 4"),
    )
    assert (flow.loading_ppm, flow.loading_interval, flow.loading_branch) == (500_000, 1, "line 7")
    rows = read(records, select(gt.flow_intervals).where(gt.flow_intervals.c.kind == "planned"))
    assert [row.losses_wh for row in sorted(rows, key=lambda row: row.interval)] == [50, 60, 20, 70] * 2
    branches = read(records, select(gt.flow_branches).where(gt.flow_branches.c.kind == "planned"))
    assert [row.loading_ppm for row in sorted(branches, key=lambda row: row.branch)] == [100_000, 500_000, 0]


def test_a_later_flow_replaces_the_one_before_and_leaves_the_other_kind(records: Path) -> None:
    rows = read(records, select(gt.flows).order_by(gt.flows.c.kind, gt.flows.c.version))
    assert [(row.kind, row.version, row.losses_wh) for row in rows] == [
        ("metered", 1, 400),
        ("metered", 2, 402),
        ("planned", 1, 400),
    ]
    assert [row.superseded_height for row in rows] == [rows[1].height, None, None]


def test_a_correction_leaves_what_it_replaces(records: Path) -> None:
    query = select(t.settlements).join(t.contracts, t.contracts.c.contract == t.settlements.c.contract)
    query = query.where(t.contracts.c.seller == address("mill"), t.settlements.c.day_start_ms == FIRST)
    first, second = read(records, query.order_by(t.settlements.c.revision))
    assert (first.revision, second.revision) == (1, 2)
    assert first.superseded_height == second.height
    assert second.superseded_height is None
    assert second.generated_wh > first.generated_wh
    sets = select(t.reading_sets).where(t.reading_sets.c.meter == "mill-sell", t.reading_sets.c.day_start_ms == FIRST)
    old, new = read(records, sets.order_by(t.reading_sets.c.version))
    assert old.superseded_height == new.height
    assert new.superseded_height is None
    judged = select(t.credit).where(t.credit.c.member == address("mill"), t.credit.c.day_start_ms == FIRST)
    before, after = read(records, judged.where(t.credit.c.event == "day").order_by(t.credit.c.height))
    assert (before.defaulted, after.defaulted) == (1, 0)
    assert (before.corrected, after.corrected) == (0, 1)
    assert before.superseded_height == after.height


def test_what_was_not_measured_or_late_is_marked(records: Path) -> None:
    sets = {(row.day_start_ms, row.meter, row.version): row for row in read(records, select(t.reading_sets))}
    assert sets[FIRST, "farm-sell", 1].not_measured == 1
    assert sets[FIRST, "mill-sell", 1].late == 0
    assert sets[SECOND, "forge-buy", 1].late == 1
    query = select(t.readings).where(t.readings.c.meter == "farm-sell", t.readings.c.day_start_ms == FIRST)
    qualities = [row.quality for row in read(records, query.order_by(t.readings.c.interval))]
    assert qualities == ["measured", "estimated", *["measured"] * 6]


def test_refused_and_unreadable_transactions_are_on_record(records: Path) -> None:
    found = [row for row in read(records, select(t.transactions)) if row.outcome != "done"]
    assert [(row.type, row.outcome, row.code) for row in found] == [
        ("offer", "refused", "band_violated"),
        ("unreadable", "inadmissible", "encoding_unreadable"),
        ("leave", "inadmissible", "nonce_wrong"),
    ]
    assert found[0].day_start_ms == FIRST
    assert found[0].sender == address("dam")
    assert (found[1].sender, found[1].nonce, found[1].size_bytes) == ("", -1, 14)


def test_every_version_of_the_parameters_says_from_when_it_holds(records: Path) -> None:
    query = select(t.parameters).where(t.parameters.c.name == "fee").order_by(t.parameters.c.version)
    first, second = read(records, query)
    assert (first.value, first.from_height, first.height) == (1_000, 0, 0)
    assert second.value == 2_000
    assert second.from_height > second.height > 0
    versions = {row.day_start_ms: row.parameters_version for row in read(records, select(t.days))}
    assert versions == {FIRST: 0, SECOND: 1}


def test_a_day_is_called_by_the_date_of_its_middle(records: Path) -> None:
    # 2016-06-12T22:00Z to 2016-06-13T00:00Z: a short day that began at midnight in Berlin; its middle is 23:00Z.
    assert START == FIRST
    assert [row.date for row in read(records, select(t.days).order_by(t.days.c.day_start_ms))] == [
        "2016-06-12",
        "2016-06-13",
    ]


@pytest.mark.parametrize(("policy", "pays"), [(1, True), (2, True), (3, False)])
def test_intervals_add_up_under_every_penalty_policy(tmp_path: Path, policy: int, pays: bool) -> None:
    world = World(parameters={"policy": policy})
    for name, side in (("mill", Side.SELL), ("farm", Side.SELL), ("bakery", Side.BUY)):
        world.member(name, side)
    world.publish()
    contracts = [world.contract("mill", "bakery", [1_000] * 4), world.contract("farm", "bakery", [10] * 4)]
    world.approve(*contracts)
    world.read({"mill-sell": [800, 1_000, 0, 1_200], "farm-sell": [10] * 4, "bakery-buy": [1_010, 900, 1_010, 2_000]})
    world.close()
    world.read({"mill-sell": [850, 1_000, 0, 1_200]}, version=2)
    place = record(world, tmp_path / "policy.sqlite")
    with opened(place) as engine:
        assert [each.name for each in sums(engine) if each.difference] == []
    paid = read(place, select(t.transfers).where(t.transfers.c.kind == "compensation"))
    assert bool(paid) == pays


def test_readers_refuse_records_of_another_format(tmp_path: Path) -> None:
    place = record(World(), tmp_path / "market.sqlite")
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE chain SET records_format = 0")
    connection.close()
    with pytest.raises(Refused) as refused:
        content(place)
    assert refused.value.code == "records_foreign"


def test_readers_change_nothing(records: Path, tmp_path: Path) -> None:
    before = records.read_bytes()
    content(records)
    assert records.read_bytes() == before
    assert [path.name for path in records.parent.iterdir()] == ["market.sqlite"]


def test_a_place_can_be_a_path_or_a_url(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    assert connect(path).url.database == connect(f"sqlite:///{path}").url.database == str(path)


def test_no_records_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused, opened(tmp_path / "missing.sqlite"):
        pass
    assert refused.value.code == "file_unreadable"
    strange = tmp_path / "strange.sqlite"
    strange.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(Refused) as refused:
        content(strange)
    assert refused.value.code == "file_unreadable"
