"""What docs/traders.md says of forecasts and strategies is what the code does."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from tests.ledger.world import QUARTER
from tests.traders.cases import situation
from wattquorum.ledger.transactions import Offer
from wattquorum.traders.forecast import ERRORS
from wattquorum.traders.negotiation import APPROACHED_AT_ONCE, HASTE, OPENING, REACH, RESERVE
from wattquorum.traders.quantile import STANDING
from wattquorum.traders.situation import Rounds
from wattquorum.traders.strategy import SHIPPED, load_strategy
from wattquorum.traders.streams import stream

PAGE = (Path(__file__).parents[2] / "docs" / "traders.md").read_text(encoding="utf-8")


def rows(head: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    found = re.search(rf"^\| {re.escape(head)}.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


def test_the_table_of_forecast_errors_is_the_one_in_use() -> None:
    told = [
        (tuple(name.split(", ")), float(size), float(Fraction(shape)), float(memory), zero == "yes")
        for name, size, shape, memory, zero, *_ in rows("technology")
    ]
    assert told == [(e.technologies, e.size, e.shape, e.memory_h, e.zero_known) for e in ERRORS]


def test_the_table_of_strategies_names_the_shipped_ones() -> None:
    assert sorted(re.findall(r"`(\w+)`", row[0])[0] for row in rows("name")) == sorted(SHIPPED)


def test_the_numbers_of_the_negotiation_are_the_ones_in_use() -> None:
    ranges = [f"{low:.2f}-{high:.2f}" for low, high in (OPENING, RESERVE)] + ["{}-{}".format(*HASTE)]
    for text in (*ranges, f"({REACH} of the band)", f"The default, {STANDING},"):
        assert text in PAGE
    assert APPROACHED_AT_ONCE == 4
    assert "at most four offers" in PAGE


def test_the_class_in_the_text_trades(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code
    (tmp_path / "careful.py").write_text(code[1], encoding="utf-8")
    strategy = load_strategy("careful:Careful", {"level": 0.05}, tmp_path)
    random = stream(1)
    made = [
        step
        for number in range(3)
        for step in strategy.decide(situation(rounds=Rounds(number, 11 - number, QUARTER)), random)
    ]
    assert made
    assert all(isinstance(step, Offer) for step in made)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.technologies[0])
def test_every_technology_of_the_table_says_what_it_was_set_to(error: object) -> None:
    figure = re.match(r"RMSE \d+ %", error.figure)  # type: ignore[attr-defined]
    assert figure
    assert figure[0] in PAGE
