"""The week on replicas: one chain everywhere, audited; powers that standing moves; times that can be explained."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page

from tests.cli.runs import printed, wattquorum
from tests.lab.runs import chain_bytes, plan
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.foundation.quantities import MILLION, Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.cluster import Cluster, Links, Replicas, replica_name, wide_area
from wattquorum.lab.comparison import WRITES
from wattquorum.lab.members import Member
from wattquorum.lab.report import write_report
from wattquorum.lab.report.consensus import consensus
from wattquorum.lab.report.week import Week as Read
from wattquorum.lab.run import RunOptions, Written, run_week
from wattquorum.lab.shipped import shipped_members
from wattquorum.lab.week import WeekPlan
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.protocols import Protocol
from wattquorum.ledger.rounds import decode_evidence
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Table
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import ledger_of
from wattquorum.records import measured_tables as m
from wattquorum.records.database import AnyRow, opened, sorted_rows
from wattquorum.records.green_tables import bundles

COUNT = 5


class Ran(NamedTuple):
    """A day on five replicas."""

    engine: Protocol
    written: Written

    def rows(self, table: Any) -> list[AnyRow]:
        with opened(self.written.records) as engine:
            return sorted_rows(engine, table)


def silent(_doing: str, _done: int, _total: int) -> None:
    """No progress is shown."""


def ran(out: Path, engine: Protocol) -> Ran:
    return Ran(engine, run_week(RunOptions(out, days=1, replicas=Replicas(COUNT, engine)), verify_each, silent))


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tmp_path_factory.mktemp("weighted") / "week", Protocol.WEIGHTED_RAFT)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tmp_path_factory.mktemp("plain") / "week", Protocol.RAFT)


@pytest.fixture(params=[Protocol.WEIGHTED_RAFT, pytest.param(Protocol.RAFT, marks=pytest.mark.unmeasured)])
def either(request: pytest.FixtureRequest) -> Ran:
    fixture = "weighted" if request.param is Protocol.WEIGHTED_RAFT else "plain"
    found: Ran = request.getfixturevalue(fixture)
    return found


def test_an_audit_of_the_chain_that_replicas_wrote_gives_the_digest_that_all_of_them_have(either: Ran) -> None:
    with ChainFolder(either.written.chain) as folder:
        audited = audit_folder(folder, verify_each)
        assert audited.digest.hex() == either.written.digest
        assert audited.height == either.written.height == audited.vouched
        assert len(folder.genesis.proposers) == either.written.replicas == COUNT


def test_every_block_says_under_which_votes_it_was_ordered_and_who_completed_the_quorum_before(either: Ran) -> None:
    with ChainFolder(either.written.chain) as folder:
        headers = [decode_block(data).header for _, data in folder.read()]
    assert all(header.round.term >= 1 and header.round.old == header.round.new for header in headers)
    assert [header.round.new for header in headers] == sorted(header.round.new for header in headers)
    told = [decode_evidence(header.evidence).height for header in headers if header.evidence]
    assert told == list(range(1, len(headers)))  # each block's, by the next one of the same leader


def test_every_replica_is_given_to_a_member_of_its_own(either: Ran) -> None:
    with ChainFolder(either.written.chain) as folder:
        ledger = ledger_of(folder, verify_each)
    validators: list[Validator] = [each for _, each in ledger.state.items(Table.VALIDATOR)]
    names = [account.name for each in validators if (account := ledger.account(each.member))]
    assert sorted(names) == sorted(member.name for member in shipped_members()[:COUNT])
    assert sum(each.participation > 0 for each in validators) >= COUNT // 2


@pytest.mark.unmeasured
def test_the_same_seed_gives_the_same_chain_bytes_and_the_same_measurements(weighted: Ran, tmp_path: Path) -> None:
    again = ran(tmp_path / "week", Protocol.WEIGHTED_RAFT)
    assert chain_bytes(again.written.chain) == chain_bytes(weighted.written.chain)
    for table in m.MEASURED:
        assert again.rows(table) == weighted.rows(table)


def test_nobody_adds_to_a_chain_of_several_replicas_alone(weighted: Ran, tmp_path: Path) -> None:
    bundle = next(row.bundle for row in weighted.rows(bundles) if row.status == "active")
    words = ("certificates", "transfer", bundle, "wind-1", "--chain", weighted.written.chain, "--seed", "1")
    assert "orders_alone" in wattquorum(*words, folder=tmp_path, check=2).stderr


def test_weights_move_with_standing_and_equal_votes_do_not(weighted: Ran, plain: Ran) -> None:
    versions = {row.version for row in weighted.rows(m.powers_measured)}
    assert len(versions) > 1
    for version in versions - {0}:
        powers = [row.power for row in weighted.rows(m.powers_measured) if row.version == version]
        assert sum(powers) == MILLION
        assert len(set(powers)) > 1
    assert {(row.version, row.power) for row in plain.rows(m.powers_measured)} == {(0, 1)}


def test_under_equal_votes_a_block_is_committed_when_a_majority_has_it(plain: Ran) -> None:
    rounds = plain.rows(m.rounds_measured)
    assert len(rounds) == plain.written.height
    assert all(row.consensus_world_ms == row.majority_world_ms for row in rounds)
    assert {row.quorum for row in rounds[:-1]} == {COUNT // 2 + 1}
    assert rounds[-1].quorum is None  # no later block tells


def test_consensus_takes_a_round_trip_to_who_completes_the_quorum_and_two_syncs_at_most(plain: Ran) -> None:
    network = wide_area(COUNT, (10, 50), Chance(1).stream("cluster").stream("network"))
    numbers = {row.replica: row.number for row in plain.rows(m.replicas_measured)}
    completed = {row.height: row.replica for row in plain.rows(m.quorums_measured)}  # the last of each
    for row in plain.rows(m.rounds_measured)[:-1]:
        leader, last = numbers[row.leader], numbers[completed[row.height]]
        there = network.arrivals(leader, last, 0)[0]
        back = network.arrivals(last, leader, 0)[0]
        assert there + back <= row.consensus_world_ms <= there + back + 4


def test_both_engines_begin_with_the_same_leader_in_the_same_world(weighted: Ran, plain: Ran) -> None:
    first = [each.rows(m.elections_measured)[0] for each in (weighted, plain)]
    numbers = [
        {row.replica: row.number for row in each.rows(m.replicas_measured)}[election.leader]
        for each, election in zip((weighted, plain), first, strict=True)
    ]
    assert numbers == [0, 0]
    assert first[0].won_world_ms == first[1].won_world_ms


def test_links_are_static_and_the_way_there_and_back_takes_10_to_50_ms() -> None:
    network = wide_area(4, (10, 50), Chance(3))
    for one in range(4):
        for other in range(4):
            if one != other:
                trips = {network.arrivals(one, other, 0)[0] + network.arrivals(other, one, 0)[0] for _ in range(3)}
                assert len(trips) == 1
                assert 10 <= trips.pop() <= 50


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    wanted = replicated(3)
    with Cluster(tmp_path / "chain", wanted.genesis(), wanted.replica_keys(), Replicas(3), 1) as made:
        yield made


def replicated(count: int, members: tuple[Member, ...] | None = None) -> WeekPlan:
    base = plan(1, members=members)
    return WeekPlan(base.members, base.table, base.zone, base.first, 1, base.forecast, 1, replicas=Replicas(count))


def test_an_empty_block_is_the_same_on_all_replicas_too(cluster: Cluster) -> None:
    before = cluster.ledger.genesis.created_ms
    for block in range(1, 4):
        cluster.cut(Millis(before + block))
        (executed,) = cluster.write(Millis(before + block)).finished
        assert executed.block.header.time_ms == before + block
    written = hashlib.sha256(b"".join(data for _, data in cluster.folder.read())).digest()
    assert {each.digest() for each in cluster.machines.blocks} == {written}
    cluster.close()
    assert [row.height for row in cluster.measured] == [1, 2, 3]


def test_half_of_an_even_number_of_replicas_is_no_majority(tmp_path: Path) -> None:
    wanted = replicated(4)
    with Cluster(tmp_path / "chain", wanted.genesis(), wanted.replica_keys(), Replicas(4), 1) as cluster:
        cluster.cut(Millis(cluster.ledger.genesis.created_ms + 1))
        cluster.write(Millis(0))
        (first,) = cluster.measured
    assert first.majority_ms == first.consensus_ms  # votes are equal at first


def test_a_replica_that_wrote_another_block_is_found_before_the_chain_is_signed(cluster: Cluster) -> None:
    cluster.cut(Millis(cluster.ledger.genesis.created_ms + 1))
    cluster.write(Millis(0))
    cluster.machines.blocks[2].update(b"another")
    with pytest.raises(Refused) as refused:
        cluster.close()
    assert (refused.value.code, refused.value.field) == ("diverged", "replica 2")


def test_the_leader_refuses_what_a_lone_node_would(cluster: Cluster) -> None:
    refused = cluster.accept(b"no transaction", None, Millis(0))
    assert refused is not None
    assert refused.code == "encoding_unreadable"


def test_an_owner_of_several_members_runs_one_replica() -> None:
    first, second, third, *rest = shipped_members()
    shared = Member(second.name, first.owner.upper(), second.meters, second.strategy, second.options, second.recurring)
    runners = replicated(3, (first, shared, third, *rest)).run_by()
    assert [member.name for member in runners] == [first.name, third.name, rest[0].name]


@pytest.mark.parametrize("count", [0, 31])
def test_there_are_as_many_replicas_as_owners_at_most_and_one_at_least(count: int) -> None:
    with pytest.raises(Refused) as refused:
        replicated(count).run_by()
    assert (refused.value.code, refused.value.field) == ("out_of_range", "replicas")
    assert "1 to 30" in refused.value.remedy


def test_replicas_stand_in_the_order_of_their_addresses_which_no_member_can_take() -> None:
    wanted = replicated(4)
    chain_id = chain_id_of(wanted.genesis())
    addresses = [address_of(chain_id, key.public) for key in wanted.replica_keys()]
    assert addresses == sorted(addresses)
    assert "/" in replica_name(0)


def test_the_voting_parameter_is_the_genesis_s() -> None:
    assert Replicas(3, Protocol.RAFT).parameters == {"voting": 2, "probation_days": 0}
    assert Replicas(3, Protocol.WEIGHTED_RAFT, Links.WAN).parameters == {"voting": 1, "probation_days": 0}


# The report -------------------------------------------------------------------------------------------------------


def section(records: Path) -> tuple[str, str, dict[str, Any]]:
    with opened(records) as engine:
        found = consensus(Read(engine))
    return found.lead, found.body, found.data


def test_the_report_tells_rounds_powers_and_leaders_as_measured(either: Ran) -> None:
    lead, body, data = section(either.written.records)
    assert f"{COUNT} replicas agreed on {either.written.height} blocks by {either.engine.value}" in lead
    assert "simulated world" in lead
    assert len(data["rounds"]) == either.written.height
    assert sum(data["proposed"]) == either.written.height
    assert data["names"] == [member.name for member in shipped_members()[:COUNT]]
    completed = either.rows(m.quorums_measured)
    assert sum(data["completed"]) == len(completed)
    assert "Elections and leaders" in body


def test_the_report_shows_what_weights_can_do_at_best_and_that_a_change_of_power_fails_no_write(weighted: Ran) -> None:
    writes = {
        engine: [row.took_world_ms for row in weighted.rows(m.writes_measured) if row.engine == engine]
        for engine in ("raft", "weighted-raft")
    }
    assert [len(took) for took in writes.values()] == [WRITES, WRITES]
    assert not any(None in took for took in writes.values())
    equal, weighed = (sorted(took[-(WRITES // 3) :]) for took in writes.values())
    assert 10 * weighed[len(weighed) // 2] <= equal[len(equal) // 2]
    _, body, _ = section(weighted.written.records)
    table = body[body.index("Writes to five replicas while powers change") :]
    cells = re.findall(r"<td[^>]*>([^<]*)", table)[:14]
    assert (cells[0], cells[1], cells[6]) == ("raft", "1 1 1 1 1", "0")
    assert (cells[7], cells[8], cells[13]) == ("weighted-raft", "4 4 1 1 1", "0")
    assert (int(cells[3]), int(cells[10])) == (
        equal[(len(equal) * 50 - 1) // 100],
        weighed[(len(weighed) * 50 - 1) // 100],
    )


def test_equal_powers_need_no_picture(plain: Ran, page: Page) -> None:
    page.goto(plain.written.report.as_uri())
    page.locator("#consensus-replies").scroll_into_view_if_needed()
    page.wait_for_selector("#consensus-replies .main-svg", state="attached")
    assert page.locator("#consensus-power").count() == 0
    assert "All 5 replicas had the same power" in page.locator("#consensus").inner_text()


def test_a_lone_sequencer_is_told_in_one_line(traded: Path) -> None:
    lead, body, data = section(traded / "out" / "week" / "market.sqlite")
    assert (lead, data) == ("", {})
    assert body == "<p>One sequencer ordered all 29 blocks: nobody voted, and there was nothing to agree on.</p>"


def test_records_that_are_made_again_from_the_chain_hold_no_times_and_say_so(weighted: Ran, tmp_path: Path) -> None:
    printed("records", weighted.written.chain, "--out", tmp_path / "again.sqlite", folder=tmp_path)
    lead, body, data = section(tmp_path / "again.sqlite")
    assert (lead, data) == ("", {})
    assert body.startswith(f"<p>{weighted.written.height} blocks by 1 proposer: how long replicas may have taken")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_charts_are_drawn_and_fit(weighted: Ran, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(weighted.written.report.as_uri())
    for name in ("consensus-time", "consensus-size", "consensus-power", "consensus-replies"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#{name} .main-svg", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text = page.locator("#consensus").inner_text()
    assert "NaN" not in text
    assert "undefined" not in text
    stars = page.evaluate("document.getElementById('consensus-power').data[1].y")
    assert set(stars) <= {member.name for member in shipped_members()[:COUNT]}


def test_the_page_can_be_written_again_from_the_records(weighted: Ran, tmp_path: Path) -> None:
    write_report(weighted.written.records, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == weighted.written.report.read_bytes()
