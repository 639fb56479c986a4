"""What a member's program says while agents are elected, and when."""

from __future__ import annotations

import pytest

from tests.ledger.committee_world import CommitteeWorld
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.attendance import agents_of
from wattquorum.ledger.transactions import Stand, Vote
from wattquorum.traders.ballots import ballot, booth_of


@pytest.fixture
def world() -> CommitteeWorld:
    world = CommitteeWorld(6)
    world.member("light", Side.BUY, money=0)
    world.end_epoch()
    return world


def said(world: CommitteeWorld, name: str) -> Vote | Stand | None:
    return ballot(booth_of(world.ledger, world.address(name)))


def close(world: CommitteeWorld) -> None:
    """Announces the epoch's end."""
    world.block(at=world.chain.epoch_started_ms + world.ledger.parameters.epoch_ms)
    assert agents_of(world.ledger.state).closing > world.ledger.height


def test_nothing_is_said_before_the_end_is_announced(world: CommitteeWorld) -> None:
    world.block()
    assert [said(world, name) for name in ("m0", "light", "nobody")] == [None] * 3


def test_who_runs_a_replica_stands_at_once_and_then_votes_with_the_others(world: CommitteeWorld) -> None:
    close(world)
    assert said(world, "light") is None, "others may still stand"
    names = [f"m{number}" for number in range(6)]
    assert [said(world, name) for name in names] == [Stand()] * 6
    world.block([world.signed(name, Stand()) for name in names])
    world.block()
    for name in [*names, "light"]:
        assert isinstance(said(world, name), Vote)
    vote = said(world, names[0])
    assert vote is not None
    world.done(names[0], vote)
    assert said(world, names[0]) is None, "it has voted"


def test_who_has_no_account_or_no_vote_says_nothing(world: CommitteeWorld) -> None:
    close(world)
    assert said(world, "nobody") is None
    assert said(world, "operator") is None
