"""Lies that a node can prove: one of each member and committee, kept over a restart, until the ledger knows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ledger.committee_world import CommitteeWorld
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.foundation.codec import changed
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.transactions import Accuse
from wattquorum.node.testimony import FILE, LIES_MAX, Lies


@pytest.fixture
def world() -> CommitteeWorld:
    world = CommitteeWorld(4)
    world.end_epoch()
    world.block()
    return world


def test_lies_are_told_once_each_and_until_the_ledger_knows_them(world: CommitteeWorld, tmp_path: Path) -> None:
    lies, told = Lies(tmp_path), list[Equivocation]()
    lies.watch(told.append)
    first, second = (world.lie(world.order[place]) for place in range(2))
    lies.heard([first, changed(first, height=1), second], world.ledger.state)
    lies.heard([first], world.ledger.state)
    assert told == [first, second] == lies.pending(world.ledger.state)
    assert lies.counted == {first.member: 3, second.member: 1}
    world.done("m3", Accuse(first))
    for kept in (lies, Lies(tmp_path)):
        assert kept.pending(world.ledger.state) == [second]
    lies.heard([first], world.ledger.state)
    assert told == [first, second]


def test_they_are_written_once_there_is_room_and_no_more_than_fit(world: CommitteeWorld, tmp_path: Path) -> None:
    lies, ahead = Lies(tmp_path / "away"), world.lie(world.order[0])
    found = [changed(ahead, epoch=ahead.epoch + number) for number in range(1, LIES_MAX + 3)]
    lies.heard(found, world.ledger.state)
    (tmp_path / "away").mkdir()
    lies._tried_s = 0.0
    lies.heard((), world.ledger.state)
    assert Lies(tmp_path / "away").pending(world.ledger.state) == found[2:]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"lies": ["!"]}', b'{"lies": ["kA=="]}', b'{"lies": [], "more": 1}'])
def test_a_file_that_holds_no_lies_is_refused_by_its_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(Refused) as refused:
        Lies(tmp_path)
    assert refused.value.code == "file_unreadable"
    assert str(tmp_path / FILE) in refused.value.value


def test_the_file_is_json_that_a_person_can_look_at(world: CommitteeWorld, tmp_path: Path) -> None:
    lies = Lies(tmp_path)
    lies.heard([world.lie(world.order[0])], world.ledger.state)
    assert len(json.loads((tmp_path / FILE).read_bytes())["lies"]) == 1
