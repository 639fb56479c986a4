"""Sums that must close do, on any market, and each of them opens when a row is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.ledger.world import START, World
from tests.records.market import eventful, record
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.state import Table
from wattquorum.records.database import opened, rows_of
from wattquorum.records.sums import sums
from wattquorum.records.tables import transfers
from wattquorum.records.views import balances, cashier_days, energy_balance, penalties, shares


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(eventful(), tmp_path_factory.mktemp("sums") / "market.sqlite")


def open_sums(place: Path) -> list[str]:
    with opened(place) as engine:
        return [each.name for each in sums(engine) if each.difference]


def test_all_sums_of_an_eventful_market_close(records: Path) -> None:
    assert open_sums(records) == []
    with opened(records) as engine:
        found = sums(engine)
        gaps = [(row.injected_gap_wh, row.withdrawn_gap_wh) for row in rows_of(engine, select(energy_balance))]
    assert all(each.left for each in found if each.name != "all accounts together")
    assert gaps == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ("UPDATE positions SET metered_wh = metered_wh + 1 WHERE side = 'sell'", "all that was injected"),
        ("UPDATE positions SET residual_wh = residual_wh - 1 WHERE side = 'buy'", "all that was withdrawn"),
        ("UPDATE intervals SET matched_wh = matched_wh + 1", "settled energy, every column"),
        ("UPDATE intervals SET grid_sale_millionths = 1", "settled money, every column"),
        ("DELETE FROM transfers WHERE kind = 'energy'", "paid or owed: energy"),
        ("DELETE FROM transfers WHERE kind = 'over_grid_fee'", "paid or owed: over-grid fee"),
        ("DELETE FROM transfers WHERE kind = 'grid_purchase'", "paid or owed: grid purchase"),
        ("DELETE FROM transfers WHERE kind = 'grid_sale'", "paid or owed: grid sale"),
        (
            "UPDATE settlements SET buyer_compensation_millionths = 1 + buyer_compensation_millionths",
            "paid or owed: compensation by buyers",
        ),
        ("DELETE FROM transfers WHERE kind = 'compensation'", "paid or owed: compensation by sellers"),
        ("DELETE FROM transfers WHERE kind = 'compensation'", "paid or owed: compensation by buyers"),
        ("DELETE FROM transfers WHERE kind = 'fine'", "paid or owed: fines"),
        ("DELETE FROM transfers WHERE kind = 'share'", "paid or owed: shares"),
        ("DELETE FROM transfers WHERE kind = 'residual_sale'", "paid or owed: residual sale"),
        ("UPDATE debts SET recorded_millionths = recorded_millionths - 1", "paid or owed: residual purchase"),
        ("DELETE FROM transfers WHERE kind = 'deposit'", "the cashier's deposits"),
        ("UPDATE deposits SET amount_millionths = amount_millionths + 1", "the cashier's deposits"),
        ("DELETE FROM accounts WHERE name = 'mill'", "all accounts together"),
        ('UPDATE bundles SET "end" = "end" + 1 WHERE status = \'withdrawn\'', "certificates"),
        ("UPDATE bundles SET status = 'active' WHERE status = 'split'", "certificates"),
        ("DELETE FROM transfers WHERE kind = 'certificates'", "paid for certificates"),
        ("UPDATE carbon_accounts SET sold_g = sold_g - 1 WHERE sold_g > 0", "carbon allowances"),
    ],
)
def test_a_wrong_row_opens_its_sum(records: Path, tmp_path: Path, wrong: str, name: str) -> None:
    place = Path(copy(records, tmp_path))
    with sqlite3.connect(place) as connection:
        connection.execute(wrong)
    connection.close()
    assert name in open_sums(place)


@pytest.mark.parametrize(("more", "less"), [(1, 1), (-1, -1), (7, -7)])
def test_equal_errors_on_both_sides_of_compensation_open_both_its_sums(
    records: Path, tmp_path: Path, more: int, less: int
) -> None:
    place = Path(copy(records, tmp_path))
    wrong = """UPDATE transfers SET amount_millionths = amount_millionths + ? WHERE (height, sequence) = (
        SELECT t.height, t.sequence FROM transfers t JOIN contracts c ON c.contract = t.contract AND c.{} = t.payer
        WHERE t.kind = 'compensation' ORDER BY t.height, t.sequence LIMIT 1)"""
    with sqlite3.connect(place) as connection:
        connection.execute(wrong.format("seller"), [more])
        connection.execute(wrong.format("buyer"), [less])
    connection.close()
    opened_sums = [name for name in open_sums(place) if "compensation" in name]
    assert opened_sums == ["paid or owed: compensation by sellers", "paid or owed: compensation by buyers"]


def test_both_sums_of_compensation_are_what_penalties_say_and_corrections_count_in_neither(records: Path) -> None:
    with opened(records) as engine:
        found = {each.name: each for each in sums(engine)}
        for side, word in (("sell", "sellers"), ("buy", "buyers")):
            query = select(func.sum(penalties.c.compensation_millionths)).where(penalties.c.side == side)
            ((owed,),) = rows_of(engine, query)
            each = found[f"paid or owed: compensation by {word}"]
            assert each.left == each.right == owed > 0
        moved = select(func.sum(transfers.c.amount_millionths)).where(transfers.c.kind == "compensation")
        ((gross,),) = rows_of(engine, moved)
    assert gross > sum(found[f"paid or owed: compensation by {word}"].left for word in ("sellers", "buyers"))


def test_the_cashiers_days_tell_deposits_withdrawals_and_returns_apart(records: Path) -> None:
    with opened(records) as engine:
        found = rows_of(engine, select(cashier_days).order_by(cashier_days.c.posted_day_ms))
    assert [row.deposits for row in found] == [8, 1]
    assert all(row.difference_millionths == 0 for row in found)
    # The mill asked for 7, 3 and 1; the 7 were paid, the 3 returned.
    assert (found[1].set_aside_millionths, found[1].paid_out_millionths) == (8 * MILLION, 7 * MILLION)


def test_a_correction_takes_shares_back(records: Path) -> None:
    """The mill's readings are corrected, it is no defaulter any more: its fine and the shares of it are undone."""
    with opened(records) as engine:
        found = [row for row in rows_of(engine, select(shares)) if row.day_start_ms == START]
        (fined,) = rows_of(
            engine, select(func.sum(penalties.c.fine_millionths)).where(penalties.c.day_start_ms == START)
        )
    assert any(row.amount_millionths > 0 for row in found)
    assert any(row.amount_millionths < 0 for row in found)
    assert sum(row.amount_millionths for row in found) == (fined[0] or 0)


ENERGIES = st.lists(st.integers(0, 2_000), min_size=3, max_size=3)


@settings(max_examples=8)
@given(
    promised=st.lists(ENERGIES.filter(any), min_size=4, max_size=4),
    metered=st.lists(ENERGIES, min_size=4, max_size=4),
    corrected=ENERGIES,
    price=st.integers(402_000, 708_000),
    policy=st.sampled_from((1, 2, 3)),
)
def test_any_market_closes_and_has_the_ledgers_balances(
    promised: list[list[int]], metered: list[list[int]], corrected: list[int], price: int, policy: int
) -> None:
    world = World(intervals=3, parameters={"policy": policy})
    sellers, buyers = ("mill", "dam"), ("bakery", "forge")
    for name in (*sellers, *buyers):
        world.member(name, Side.SELL if name in sellers else Side.BUY)
    world.publish()
    pairs = [(seller, buyer) for seller in sellers for buyer in buyers]
    contracts = [world.contract(*pair, energy, price) for pair, energy in zip(pairs, promised, strict=True)]
    world.approve(*contracts)
    meters = ("mill-sell", "dam-sell", "bakery-buy", "forge-buy")
    readings: dict[str, Sequence[int]] = dict(zip(meters, metered, strict=True))
    world.read(readings)
    world.close()
    world.read({"dam-sell": corrected}, version=2)
    with TemporaryDirectory() as folder:
        place = record(world, Path(folder) / "market.sqlite")
        assert open_sums(place) == []
        with opened(place) as engine:
            found = {row.account: row.balance_millionths for row in rows_of(engine, select(balances))}
    accounts = world.ledger.state.items(Table.ACCOUNT)
    assert found == {key.hex(): account.balance + account.locked for key, account in accounts}
