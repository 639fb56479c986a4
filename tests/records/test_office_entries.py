"""The records tell groups, votes, who was elected, how agents held their office, and what that did to trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.ledger.committee_world import in_office
from tests.records.market import record
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger import facts as told
from wattquorum.ledger.state import Table
from wattquorum.records import office_tables as t
from wattquorum.records.database import AnyRow, opened, rows_of
from wattquorum.records.tables import credit


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(in_office(), tmp_path_factory.mktemp("records") / "office.sqlite")


def read(place: Path, query: Any) -> list[AnyRow]:
    with opened(place) as engine:
        return rows_of(engine, query)


def facts(kind: type[Any]) -> list[tuple[int, Any]]:
    """The facts of a kind, each with the height of its block."""
    found = []
    for executed in in_office().executed:
        everything = (*(each for facts in executed.facts for each in facts), *executed.told)
        found += [(executed.block.header.height, fact) for fact in everything if isinstance(fact, kind)]
    return found


def test_the_groups_of_the_running_epoch_are_those_of_the_state(records: Path) -> None:
    world = in_office()
    rows = read(records, select(t.electors).where(t.electors.c.epoch == world.chain.epoch))
    state = {address.hex(): each.group for address, each in world.electors().items()}
    assert {row.member: row.group_number for row in rows} == state
    formed = read(records, select(t.groups).where(t.groups.c.epoch == world.chain.epoch))
    sizes = [sum(group == row.number for group in state.values()) for row in formed]
    assert [row.members for row in formed] == sizes
    trust = [row.trust_points_millionths for row in formed]
    assert 0 < sum(trust) <= len(state) * 100 * MILLION


def test_votes_and_stands_are_told_with_their_epoch_and_group(records: Path) -> None:
    votes = read(records, select(t.votes))
    cast = [fact for _, fact in facts(told.VoteCast)]
    assert sorted((row.voter, row.candidate, row.epoch) for row in votes) == sorted(
        (fact.voter.hex(), fact.candidate.hex(), fact.epoch) for fact in cast
    )
    stands = read(records, select(t.stands))
    assert {row.replica for row in stands} == {in_office().replica_of(f"m{number}").hex() for number in range(8)}
    assert {row.epoch for row in stands} == {1}


def test_the_agents_of_every_version_are_there_in_their_order(records: Path) -> None:
    world = in_office()
    rows = read(records, select(t.agents).where(t.agents.c.version == world.version).order_by(t.agents.c.place))
    assert [row.replica for row in rows] == [replica.hex() for replica in world.order]
    everything = read(records, select(t.agents))
    assert {row.version for row in everything} == set(range(world.version + 1))
    elected = [row for row in everything if row.version == 2]
    assert [row.votes_points_millionths > 0 for row in elected].count(True) >= 3


def test_conduct_is_told_with_its_proof(records: Path) -> None:
    ((height, accused),) = facts(told.Accused)
    (row,) = read(records, select(t.accusations))
    assert (row.replica, row.height, row.phase, row.told_height) == (accused.replica.hex(), accused.height, 3, height)
    ((height, attested),) = facts(told.Attested)
    (row,) = read(records, select(t.attestations))
    assert (row.height, row.replica, row.told_height) == (attested.height, attested.replica.hex(), height)
    ((height, failed),) = facts(told.ViewFailed)
    (row,) = read(records, select(t.failed_views))
    assert (row.told_height, row.replica, row.views) == (height, failed.replica.hex(), 1)


def test_offices_say_how_much_of_their_epoch_was_attended(records: Path) -> None:
    rows = read(records, select(t.offices).order_by(t.offices.c.epoch))
    assert len(rows) == len(facts(told.OfficeSettled)) >= 12
    for row in rows:
        assert 0 <= row.attended <= row.heights <= row.epoch_heights
    assert [row.replica for row in rows if row.lied] == [facts(told.Accused)[0][1].replica.hex()]


def test_trust_is_moved_row_by_row_to_where_it_is(records: Path) -> None:
    rows = read(records, select(t.trust).order_by(t.trust.c.height, t.trust.c.sequence))
    assert {row.why for row in rows} == {"behaved", "absent", "lied", "failed_view", "idle"}
    assert {row.backer for row in rows if row.why == "lied"} == {0, 1}
    now: dict[tuple[str, str], int] = {}
    for row in rows:
        assert row.before_points_millionths == now.get((row.member, row.side), 50 * MILLION)
        now[row.member, row.side] = row.after_points_millionths
    for key, side in in_office().ledger.state.items(Table.SIDE):
        assert now.get((key[:-1].hex(), "buy"), 50 * MILLION) == side.trust
    posted = read(records, select(credit).where(credit.c.event == "trust"))
    assert sorted((row.height, row.sequence, row.trust_now_points_millionths) for row in posted) == [
        (row.height, row.sequence, row.after_points_millionths) for row in rows
    ]
