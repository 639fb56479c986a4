"""Situations: what a member can know, and nothing else."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import wattquorum.traders
from tests.ledger.world import HOUR, QUARTER, START, World
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.transactions import Accept, Counter, Offer
from wattquorum.traders.forecast import from_history
from wattquorum.traders.situation import Board, Rounds, SeenOffer, Situation, directory_of, look, past_days

DAY = 24 * HOUR
PACKAGE = Path(wattquorum.traders.__file__).parent
NO_DAYS = np.zeros((0, 4), dtype=np.int64)


def test_a_situation_has_these_fields_and_no_others() -> None:
    # Own account, the day and its tariffs, own past readings, the forecast, and what the ledger shows to everybody or
    # to this member. Whoever adds a field adds it here and says why a member could know it.
    assert {field.name for field in fields(Situation)} == {
        *("address", "name", "owner", "side", "technology", "feeder", "limit_w"),
        *("day", "window", "now_ms", "gate_ms", "rounds"),
        *("feed_in", "grid_price", "over_grid_fee", "parameters"),
        *("credit", "balance", "locked", "history", "forecast", "promised"),
        *("offers", "own_offers", "directory", "outcomes"),
    }


def names_of(tree: ast.AST) -> set[str]:
    """Every name that a module's code uses, attributes and imports included; not its texts."""
    found = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.add(value)
    return found


def test_the_forecast_service_alone_handles_actuals() -> None:
    users = {
        file.name
        for file in PACKAGE.glob("*.py")
        if any("actual" in name.lower() for name in names_of(ast.parse(file.read_text(encoding="utf-8"))))
    }
    assert users == {"forecast.py"}


def test_no_strategy_can_reach_the_service_the_lab_or_a_clock() -> None:
    allowed = {"__future__", "collections", "dataclasses", "enum", "hashlib", "math", "numpy", "statistics", "typing"}
    loading = {"importlib", "pathlib", "sys", "types"}  # how a user's own class is found
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                top, _, rest = module.partition(".")
                if top == "wattquorum":
                    assert rest.split(".")[0] in ("foundation", "market", "standing", "ledger", "traders"), (
                        file.name,
                        module,
                    )
                else:
                    assert top in allowed | (loading if file.name == "strategy.py" else set()), (file.name, module)
        if file.name not in ("forecast.py", "situation.py"):
            assert "ForecastService" not in names_of(ast.parse(file.read_text(encoding="utf-8")))


def market() -> World:
    world = World(intervals=4)
    world.member("s", Side.SELL)
    world.member("s2", Side.SELL, owner="s")
    world.member("b", Side.BUY)
    world.member("b2", Side.BUY)
    world.member("twin", Side.BUY, owner="s")
    world.publish()
    return world


def seen_by(world: World, name: str, side: Side, now: int | None = None) -> Situation:
    moment = world.now if now is None else now
    state = world.ledger.state
    forecast = from_history(NO_DAYS, 4)
    return look(
        state,
        Board(state, START, moment),
        directory_of(state),
        world.address(name),
        side,
        day=START,
        now_ms=moment,
        rounds=Rounds(0, 11, QUARTER),
        history=NO_DAYS,
        forecast=forecast,
    )


def ids(offers: tuple[SeenOffer, ...]) -> set[bytes]:
    return {each.id for each in offers}


def test_a_member_sees_public_offers_and_its_own_mail_but_not_that_of_others() -> None:
    world = market()
    public = world.offer("s", Side.SELL, [1_000] * 4)
    to_b = world.offer("s", Side.SELL, [2_000] * 4, partner="b")
    to_b2 = world.offer("s", Side.SELL, [3_000] * 4, partner="b2")
    bid = world.offer("b", Side.BUY, [500] * 4)
    assert ids(seen_by(world, "b", Side.BUY).offers) == {public, to_b}
    assert ids(seen_by(world, "b2", Side.BUY).offers) == {public, to_b2}
    assert ids(seen_by(world, "s", Side.SELL).offers) == {bid}
    assert ids(seen_by(world, "s", Side.SELL).own_offers) == {public, to_b, to_b2}
    assert seen_by(world, "twin", Side.BUY).offers == ()  # nobody trades with itself


def test_what_is_accepted_answered_or_out_of_time_is_no_longer_seen() -> None:
    world = market()
    taken = world.offer("s", Side.SELL, [1_000] * 4, partner="b")
    world.done("b", Accept(START, taken))
    answered = world.offer("s", Side.SELL, [2_000] * 4, partner="b")
    answer = world.done("b", Counter(START, answered, pack_energy([100] * 4), pack_prices([450_000]), START))
    short = Offer(START, Side.SELL, b"", pack_energy([1] * 4), pack_prices([500_000]), world.now + 1_000)
    brief = world.done("s", short)
    assert ids(seen_by(world, "b", Side.BUY).offers) == {brief}
    assert seen_by(world, "b", Side.BUY, now=world.now + 2_000).offers == ()
    assert ids(seen_by(world, "s", Side.SELL, now=world.now + 2_000).offers) == {answer}
    assert seen_by(world, "b", Side.BUY).promised.tolist() == [1_000] * 4


def test_a_member_sees_its_own_account_tariffs_and_limit() -> None:
    world = market()
    situation = seen_by(world, "b", Side.BUY)
    assert (situation.name, situation.owner, situation.technology, situation.feeder) == ("b", "b", "load", "f1")
    assert situation.balance == world.account("b").balance
    assert situation.credit == 50_000_000
    assert situation.limit_wh == 10_000_000 // 4
    assert situation.feed_in.tolist() == [400_000] * 4
    assert situation.gate_ms == START - 12 * HOUR
    assert situation.directory[world.address("s2")].owner == "s"


def test_nothing_in_a_situation_can_be_written_to() -> None:
    situation = seen_by(market(), "b", Side.BUY)
    for name in ("feed_in", "grid_price", "over_grid_fee", "history", "promised"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(situation, name)[...] = 1
    with pytest.raises(AttributeError):
        situation.balance = 1  # type: ignore[misc]


def test_an_unknown_day_or_side_is_refused() -> None:
    world = market()
    state, directory = world.ledger.state, directory_of(world.ledger.state)
    board = Board(state, START, world.now)
    for address, side, day, code in (
        (world.address("b"), Side.BUY, START + DAY, "day_unknown"),
        (b"?" * 20, Side.BUY, START, "account_unknown"),
        (world.address("b"), Side.SELL, START, "side_impossible"),
    ):
        with pytest.raises(Refused) as refused:
            look(
                state,
                board,
                directory,
                address,
                side,
                day=day,
                now_ms=world.now,
                rounds=Rounds(0, 1, QUARTER),
                history=NO_DAYS,
                forecast=from_history(NO_DAYS, 4),
            )
        assert refused.value.code == code


def test_past_days_hold_only_readings_that_are_due() -> None:
    day = [np.arange(96, dtype=np.int64) + 1_000 * number for number in range(4)]
    readings = {START - (4 - number) * DAY: day[number] for number in range(4)}
    window = Window(START, START + DAY, QUARTER)
    rows = past_days(readings, window, START - DAY)
    assert rows.tolist() == [row.tolist() for row in day[:3]]
    assert past_days(readings, window, START).tolist() == [row.tolist() for row in day]
    assert past_days({}, window, START).shape == (0, 96)


def test_past_days_keep_the_time_of_day_when_clocks_change() -> None:
    # A day of 23 hours follows days of 24: its rows lie whole days before it, each with its own 92 intervals.
    readings = {START - 2 * DAY: np.arange(192, dtype=np.int64)}
    short = Window(START, START + 23 * HOUR, QUARTER)
    assert past_days(readings, short, START).tolist() == [list(range(92)), list(range(96, 188))]
    # After a day of 25 hours the window begins an hour later; a block that does not cover the row is left out.
    late = Window(START + HOUR, START + HOUR + DAY, QUARTER)
    assert past_days(readings, late, START).tolist() == [list(range(4, 100))]
