"""Conservation over random markets: after every block money, collateral, promises and energy add up (L-1, L-2, A-3).

The checks themselves are those of the watched world; here chance decides what happens between them.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.random_market import RandomMarket
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import verify_each
from wattquorum.ledger import settling
from wattquorum.ledger.accounts import Account
from wattquorum.ledger.audit import audit
from wattquorum.ledger.blocks import decode_ordered
from wattquorum.ledger.entities import Day, DayStatus
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.state import Table

chances = st.randoms(use_true_random=False)


@settings(max_examples=24)
@given(chances)
def test_money_energy_and_promises_are_conserved_at_every_block_of_a_random_market(chance: Random) -> None:
    market = RandomMarket(chance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "SETTLED_AT_ONCE_MAX", chance.choice([1, 2, 10_000]))
        market.live()
    days: list[tuple[bytes, Day]] = list(market.world.ledger.state.items(Table.DAY))
    assert all(day.status is DayStatus.CLOSED for _, day in days)
    accounts: list[tuple[bytes, Account]] = list(market.world.ledger.state.items(Table.ACCOUNT))
    assert all(account.locked == 0 for _, account in accounts)


@settings(max_examples=10)
@given(chances)
def test_a_second_ledger_and_an_audit_get_the_same_blocks_from_what_is_kept(chance: Random) -> None:
    market = RandomMarket(chance)
    market.live()
    world = market.world
    again = Ledger(world.genesis_bytes)
    kept = {}
    for entry, executed in zip(world.entries, world.executed, strict=True):
        with_kept_rows = changed(decode_ordered(entry), attachments=executed.rows)
        assert again.execute_ordered(with_kept_rows, verify_each) == executed
        kept.update({root_of_rows(decode_rows(rows)): rows for rows in executed.rows})
    assert list(again.state.entries()) == list(world.ledger.state.entries())
    assert again.shelf.roots() == world.ledger.shelf.roots()
    told = audit(world.genesis_bytes, (each.data for each in world.executed), kept.get, {}, verify_each)
    assert (told.digest, told.tip_hash) == (world.ledger.digest, world.ledger.tip_hash)
