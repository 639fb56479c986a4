"""Pages of many contracts: closed in parts, with the same outcome; settling begins with the first part (L-14)."""

from __future__ import annotations

import pytest

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import HOUR, START
from wattquorum.foundation.codec import encode
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import pack_energy
from wattquorum.ledger import settling
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import Day, DayStatus
from wattquorum.ledger.facts import ContractEnded, ContractSettled, PageClosed, PositionSettled
from wattquorum.ledger.parameters import Silence
from wattquorum.ledger.state import Table, day_key
from wattquorum.ledger.transactions import CloseDay, ClosePage, Curtail, ReportFault

KWH = 1_000
FOUR = [KWH] * 4
OVER = START + HOUR


def traded(contracts: int, **parameters: int) -> tuple[WatchedWorld, list[bytes]]:
    """g promises 4 kWh to c as often as asked, generates nothing in the first interval, and its day is over."""
    world = WatchedWorld(parameters={"fee": 1_000, **parameters})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    made = sorted(world.contract("g", "c", FOUR) for _ in range(contracts))
    world.block([], at=OVER)
    world.read({"g-sell": [0, *[contracts * KWH + 1] * 3], "c-buy": [contracts * KWH + 2] * 4})
    return world, made


def day_of(world: WatchedWorld) -> Day:
    found: Day = world.ledger.state.get(Table.DAY, day_key(START))
    return found


def settled(world: WatchedWorld) -> list[bytes]:
    return [fact.contract for fact in world.facts(ContractSettled) if isinstance(fact, ContractSettled)]


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "SETTLED_AT_ONCE_MAX", 2)


@pytest.mark.usefixtures("two_at_once")
def test_a_page_of_many_contracts_is_settled_in_parts_by_ascending_id_and_positions_come_last() -> None:
    world, made = traded(5)
    for count, pages in ((2, ()), (4, ()), (5, ("f1",))):
        assert world.facts(PositionSettled) == []
        assert world.do("operator", CloseDay(START)).code == "page_open"
        world.done("operator", ClosePage(START, "f1"))
        assert settled(world) == made[:count]
        assert (day_of(world).status, day_of(world).pages) == (DayStatus.SETTLING, pages)
    assert len(world.facts(PositionSettled)) == 2
    assert world.facts(PageClosed) == [PageClosed(START, "f1", 5)]
    assert world.do("operator", ClosePage(START, "f1")).code == "page_closed"
    world.done("operator", CloseDay(START))
    assert world.account("g").locked == world.account("c").locked == 0


@pytest.mark.usefixtures("two_at_once")
def test_a_page_of_exactly_as_many_contracts_as_fit_is_closed_at_once() -> None:
    world, made = traded(2)
    world.done("operator", ClosePage(START, "f1"))
    assert (settled(world), day_of(world).pages) == (made, ("f1",))


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_in_parts_everybody_has_what_it_has_at_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = []
    for limit, parts in ((10_000, 1), (at_once, -(-5 // at_once))):
        monkeypatch.setattr(settling, "SETTLED_AT_ONCE_MAX", limit)
        world, _ = traded(5)
        for _ in range(parts):
            world.done("operator", ClosePage(START, "f1"))
        world.done("operator", CloseDay(START))
        money = [each.balance for _, each in world.ledger.state.items(Table.ACCOUNT)]
        outcomes.append((money, encode(world.side("g", Side.SELL)), encode(world.side("c", Side.BUY))))
    assert outcomes[0] == outcomes[1]


@pytest.mark.usefixtures("two_at_once")
def test_once_the_first_part_is_settled_no_fault_is_recorded_and_nothing_is_curtailed() -> None:
    world, made = traded(3)
    world.done("operator", ReportFault(START, ("c-buy",), 0, 1, "storm"))
    world.done("operator", ClosePage(START, "f1"))
    assert world.do("operator", ReportFault(START, ("g-sell",), 0, 1, "storm")).code == "page_closed"
    lower = pack_energy([0, *FOUR[1:]])
    assert world.do("operator", Curtail(START, made[2], lower, "storm")).code == "page_closed"


@pytest.mark.usefixtures("two_at_once")
def test_a_correction_between_two_parts_settles_again_what_was_settled_and_the_rest_comes_right() -> None:
    world, made = traded(3)
    world.done("operator", ClosePage(START, "f1"))
    world.read({"g-sell": [3 * KWH] * 4}, version=2)
    assert settled(world) == [*made[:2], *made[:2]]  # the watcher compares revisions, bills and energy
    world.done("operator", ClosePage(START, "f1"))
    world.done("operator", CloseDay(START))
    assert world.account("g").balance == 10_000 * MILLION + 12 * (500_000 - 1_000)


@pytest.mark.usefixtures("two_at_once")
def test_silence_lapses_contracts_with_the_first_part_and_not_again() -> None:
    world, made = traded(3, silence=int(Silence.LAPSE))
    world.done("operator", ClosePage(START, "f1"))
    ended = [fact.contract for fact in world.facts(ContractEnded) if isinstance(fact, ContractEnded)]
    assert ended == made
    assert day_of(world).pages == ("f1",)
