"""The report's votes are the ledger's: one for each legal owner, however its accounts write its name (L-17)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.world import World
from tests.records.market import record
from wattquorum.lab.report.standing import members, standing
from wattquorum.lab.report.week import Week
from wattquorum.ledger import weighing
from wattquorum.ledger.accounts import Side
from wattquorum.records.database import opened


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.member("mill", Side.SELL, owner="Miller")
    world.member("small-mill", Side.SELL, owner="MILLER")
    world.member("bakery", Side.BUY)
    world.member("yard", Side.SELL, Side.BUY)
    world.member("idle", Side.BUY)
    world.publish()
    made = [
        world.contract("mill", "bakery", [700] * 4),
        world.contract("small-mill", "yard", [10] * 4),
        world.contract("yard", "bakery", [90] * 4),
    ]
    world.approve(*made)
    sold = {"mill-sell": [700] * 4, "small-mill-sell": [10] * 4, "yard-sell": [60] * 4}
    world.read({**sold, "bakery-buy": [790] * 4, "yard-buy": [10] * 4, "idle-buy": [5] * 4})
    world.close()
    return world


def test_the_report_weighs_accounts_as_the_ledger_does(world: World, tmp_path: Path) -> None:
    with opened(record(world, tmp_path / "market.sqlite")) as engine:
        assert members(Week(engine)) == weighing.members(world.ledger.state, world.ledger.parameters)


def test_the_report_names_who_carries_an_owners_vote(world: World, tmp_path: Path) -> None:
    with opened(record(world, tmp_path / "market.sqlite")) as engine:
        week = Week(engine)
        section = standing(week)
    # Both mills stand as their owner does, and the smaller address carries its vote.
    carries, other = sorted(("mill", "small-mill"), key=world.address)
    assert f"Without a vote: {other} ({carries} carries its owner's)." in section.lead
    carriers = [week.names[row[0]] for row in section.data["power"]]
    assert sorted(carriers) == sorted(["bakery", "idle", carries, "yard"])
    assert "any 1 of 4" in section.body
    assert ">4 groups of voters" in section.body
    assert f">{other}<" not in section.body.partition("<h3>Groups</h3>")[2]
