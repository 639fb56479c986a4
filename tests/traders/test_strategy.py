"""Finding strategies: the shipped ones, a user's own class, and what is wrong said plainly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traders.cases import situation
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.transactions import Offer
from wattquorum.traders.strategy import SHIPPED, OwnStrategy, Strategy, load_strategy
from wattquorum.traders.streams import stream

OWN_CLASS = '''
"""A member that offers a fixed share of its forecast to everybody, once a day."""
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.transactions import Offer


class Once:
    name = "once"

    def __init__(self, *, percent=50):
        self.percent = percent

    def decide(self, situation, random):
        if situation.rounds.number:
            return ()
        energy = situation.forecast.mean * self.percent // 100
        price = (situation.feed_in + situation.grid_price) // 2
        return [Offer(situation.day, situation.side, b"", pack_energy(energy), pack_prices(price), situation.gate_ms)]


class Mute:
    name = "mute"
'''


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_shipped_strategy_is_found_by_its_name(name: str) -> None:
    strategy = load_strategy(name, {})
    assert isinstance(strategy, Strategy)
    assert strategy.name == name


def test_options_reach_the_strategy() -> None:
    assert load_strategy("quantile", {"standing": 2.0, "opening": 0.9}).name == "quantile"
    assert load_strategy("history", {"of": "mean"}).name == "history"
    assert load_strategy("recurring", {"share_of_forecast": 500_000, "partners": ("b",)}).name == "recurring"


def test_a_users_own_class_beside_the_members_file_trades(tmp_path: Path) -> None:
    (tmp_path / "own_agents.py").write_text(OWN_CLASS, encoding="utf-8")
    strategy = load_strategy("own_agents:Once", {"percent": 25}, tmp_path)
    from tests.ledger.world import QUARTER
    from wattquorum.traders.situation import Rounds

    (step,) = strategy.decide(situation(rounds=Rounds(0, 11, QUARTER)), stream(1))
    assert isinstance(step, Offer)
    assert step.energy == (2_500).to_bytes(4, "little") * 4
    again = load_strategy("own_agents:Once", {}, tmp_path)
    assert isinstance(strategy, OwnStrategy)
    assert isinstance(again, OwnStrategy)
    assert type(again._own) is type(strategy._own)


def test_a_class_on_pythons_path_is_found_too() -> None:
    assert load_strategy("wattquorum.traders.naive:AsForecast", {}).name == "forecast"


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("clever", {}, "strategy_unknown"),
        ("no_such_module_anywhere:Clever", {}, "strategy_unknown"),
        ("wattquorum.traders.naive:Clever", {}, "strategy_unknown"),
        ("quantile", {"cleverness": 3}, "strategy_options"),
        ("quantile", {"standing": -1}, "strategy_options"),
        ("wattquorum.traders.forecast:Metered", {"technology": "wind", "limit_w": 1}, "strategy_options"),
    ],
)
def test_what_cannot_be_a_strategy_is_refused(name: str, options: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        load_strategy(name, options)
    assert refused.value.code == code
