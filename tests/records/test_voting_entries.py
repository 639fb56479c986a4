"""The records tell who votes, with how much power, who helped in which round, and what it earned by that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.ledger.voting_world import voted
from tests.records.market import record
from wattquorum.ledger.seats import Seat
from wattquorum.ledger.state import Table
from wattquorum.records import voting_tables as t
from wattquorum.records.database import AnyRow, opened, rows_of


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(voted(), tmp_path_factory.mktemp("records") / "voted.sqlite")


def read(place: Path, query: Any) -> list[AnyRow]:
    with opened(place) as engine:
        return rows_of(engine, query)


def test_validators_in_force_are_those_of_the_state(records: Path) -> None:
    rows = read(records, select(t.validators).where(t.validators.c.superseded_height.is_(None)))
    told = {row.replica: (row.public_key, row.member, row.seat) for row in rows}
    assert len(told) == len(rows)
    assert told == {
        replica.hex(): (each.key.hex(), each.member.hex(), each.seat.name.lower())
        for replica, each in voted().ledger.state.items(Table.VALIDATOR)
    }


def test_every_change_of_a_validator_keeps_its_row(records: Path) -> None:
    box = voted().address_of_key("box").hex()
    rows = read(records, select(t.validators).where(t.validators.c.replica == box).order_by(t.validators.c.height))
    assert [row.seat for row in rows] == ["learner", "voter"]
    assert [row.superseded_height for row in rows] == [rows[1].height, None]
    founding = read(records, select(t.validators).where(t.validators.c.height == 0))
    assert {(row.member, row.seat) for row in founding} == {("", "voter")}


def test_every_version_of_powers_is_there_also_those_that_left_the_state(records: Path) -> None:
    world = voted()
    rows = read(records, select(t.vectors))
    newest = world.seats.newest
    assert {row.version for row in rows} == set(range(newest + 1))
    last = {row.replica: row.power for row in rows if row.version == newest and not row.learner}
    assert last == {voter.replica.hex(): voter.power for voter in world.newest.voters}
    learned = [row for row in rows if row.learner]
    assert {row.replica for row in learned} == {world.address_of_key("box").hex()}
    assert [row.height for row in rows if row.version == newest] == [world.newest.height] * len(last)


def test_rounds_name_the_leader_and_the_followers_in_the_order_of_their_answers(records: Path) -> None:
    world = voted()
    rows = read(records, select(t.rounds).order_by(t.rounds.c.height))
    replicas = [[world.r(1).hex(), world.r(2).hex()], [world.r(2).hex(), world.r(3).hex()]]
    assert [row.followers.split() for row in rows] == replicas
    assert {(row.term, row.old_version, row.new_version, row.proposer) for row in rows} == {(1, 0, 0, world.r(0).hex())}
    assert all(row.told_height == row.height + 1 for row in rows)


def test_participation_has_an_epochs_replies_and_what_they_made_of_it(records: Path) -> None:
    world = voted()
    rows = read(records, select(t.participation))
    assert len({row.height for row in rows}) == 1
    told = {row.replica: (row.replies, row.rounds, row.after_points_millionths) for row in rows}
    points = [told[world.r(number).hex()] for number in range(4)]
    assert points == [(0, 2, 0), (1, 2, 500_000), (2, 2, 1_000_000), (1, 2, 500_000)]
    assert world.validator(world.r(3)).seat is Seat.REMOVED
    assert {row.decayed for row in rows} == {0}
