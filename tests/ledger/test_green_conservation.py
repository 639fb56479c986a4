"""No Wh ever backs two certificates, and nothing is lost: over random lives, watched after every block.

The laws are those of the world that watches (`green_world`), by books of the tests' own, and those of the audit; here
chance decides what happens between them (A-5, A-13, A-14, L-11, L-19, L-20, L-22).
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.random_green import RandomGreen
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import verify_each
from wattquorum.ledger.audit import audit
from wattquorum.ledger.blocks import Outcome, decode_ordered
from wattquorum.ledger.conservation import Books
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.snapshots import restore, rows_needed, take
from wattquorum.ledger.transactions import PAYLOAD_TYPES, Received

chances = st.randoms(use_true_random=False)


@settings(max_examples=20)
@given(chances)
def test_certificates_and_allowances_are_conserved_at_every_block_of_a_random_life(chance: Random) -> None:
    RandomGreen(chance).live()


@settings(max_examples=6)
@given(chances)
def test_a_second_ledger_an_audit_and_one_from_every_snapshot_get_the_same_blocks(chance: Random) -> None:
    market = RandomGreen(chance)
    world, snapshots = market.world, dict[int, bytes]()
    block = world.block

    def snapping(*arguments: object, **options: object) -> Executed:
        executed = block(*arguments, **options)  # type: ignore[arg-type]
        if executed.block.header.state_root:
            snapshots[world.ledger.height] = take(world.ledger)
        return executed

    world.block = snapping  # type: ignore[method-assign]
    market.live()
    assert snapshots
    kept = {root_of_rows(decode_rows(rows)): rows for each in world.executed for rows in each.rows}
    told = audit(world.genesis_bytes, (each.data for each in world.executed), kept.get, snapshots, verify_each)
    assert (told.digest, told.tip_hash) == (world.ledger.digest, world.ledger.tip_hash)
    for height, snapshot in snapshots.items():
        ledger = restore(world.genesis_bytes, snapshot)
        for root in rows_needed(ledger):
            ledger.shelf.load(kept[root], root)
        books = Books()
        books.adopt(ledger.state, ledger.shelf)
        for entry, executed in zip(world.entries[height:], world.executed[height:], strict=True):
            again = changed(decode_ordered(entry), attachments=executed.rows)
            assert ledger.execute_ordered(again, verify_each) == executed
            for facts, receipt in zip(executed.facts, executed.block.receipts, strict=True):
                books.enter(facts, receipt.transfers, executed.block.header.time_ms)
            books.check(ledger.state, ledger._reserved)
        assert ledger.digest == world.ledger.digest


@pytest.mark.unmeasured
def test_random_lives_do_everything_that_can_be_done_with_certificates_and_carbon() -> None:
    done: Counter[str] = Counter()
    for seed in range(10):
        market = RandomGreen(Random(seed))
        market.live()
        for executed in market.world.executed:
            for data, receipt in zip(executed.block.transactions, executed.block.receipts, strict=True):
                if receipt.outcome is Outcome.DONE:
                    done[type(Received(data).body.payload).__name__] += 1
    wanted = [kind.__name__ for kind in PAYLOAD_TYPES if 30 <= kind.__struct_config__.tag <= 42]
    assert len(wanted) == 13
    assert [name for name in wanted if done[name] < 5] == []
    assert done["SealDay"] >= 3


@pytest.mark.unmeasured
def test_a_second_ledger_without_a_word_of_the_first_one() -> None:
    market = RandomGreen(Random(7))
    market.live()
    again = Ledger(market.world.genesis_bytes)
    for entry, executed in zip(market.world.entries, market.world.executed, strict=True):
        assert again.execute(entry, verify_each).data == executed.data
