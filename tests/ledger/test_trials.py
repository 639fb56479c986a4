"""An entry that is tried out leaves nothing, and executing it afterwards gives what executing it at once gives."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.random_market import RandomMarket
from tests.ledger.world import World
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.agreed import entry_digest
from wattquorum.ledger.blocks import Outcome, decode_ordered, order
from wattquorum.ledger.execution import TRIALS_MAX, Executed, Ledger
from wattquorum.ledger.transactions import Deposit


def look(ledger: Ledger) -> tuple[object, ...]:
    """Everything of a ledger that could have changed."""
    return ledger.height, ledger.digest, ledger.tip_hash, ledger.state.root(), ledger.shelf.roots(), ledger.state.mark()


@settings(max_examples=8)
@given(st.randoms(use_true_random=False))
def test_trials_change_nothing_and_what_was_tried_is_executed_alike(chance: Random) -> None:
    market = RandomMarket(chance)
    market.live()
    world = market.world
    ledger = Ledger(world.genesis_bytes)
    for entry, executed in zip(world.entries, world.executed, strict=True):
        tried = chance.random()
        if tried < 0.7:
            before = look(ledger) if tried < 0.1 else None
            other = at_another_time(world, entry)
            ledger.try_out(other, verify_each)
            assert ledger.try_out(entry, verify_each) == executed
            if before is not None:
                assert look(ledger) == before
        assert ledger.execute(entry, verify_each) == executed
    assert look(ledger) == look(world.ledger)


def at_another_time(world: World, entry: bytes) -> bytes:
    """The same transactions, ordered a little later."""
    of = decode_ordered(entry)
    return order(
        world.proposer, world.ledger.chain_id, of.time_ms + 1, of.applied, of.transactions, of.attachments, of.round
    )


def entries_of(world: World, count: int) -> list[bytes]:
    """Entries that could be the next one, each with the same deposit at another time."""
    data = world.signed("operator", Deposit(world.address("a"), 5, "paid"))
    return [
        order(world.proposer, world.ledger.chain_id, world.now + 1 + at, world.ledger.applied, (data,))
        for at in range(count)
    ]


def small() -> World:
    world = World()
    world.member("a", Side.BUY)
    return world


def test_few_trials_are_remembered_and_a_forgotten_one_is_executed_all_the_same() -> None:
    world = small()
    entries = entries_of(world, TRIALS_MAX + 2)
    tried = [world.ledger.try_out(entry, verify_each) for entry in entries]
    assert len(world.ledger._trials) == TRIALS_MAX
    assert world.ledger.execute(entries[0], verify_each) == tried[0]
    assert not world.ledger._trials, "what was tried on another tip is worth nothing"


def test_a_trial_of_another_tip_is_not_taken_for_one_of_this() -> None:
    world = small()
    first, second = entries_of(world, 2)
    alone = world.ledger.try_out(second, verify_each)
    assert alone.block.receipts[0].outcome is Outcome.DONE
    world.ledger.execute(first, verify_each)
    after = world.ledger.execute(second, verify_each)
    assert after.block.receipts[0].outcome is Outcome.INADMISSIBLE, "its nonce is used"


def test_an_entry_that_is_refused_leaves_nothing() -> None:
    world = small()
    before = look(world.ledger)
    late = order(world.proposer, world.ledger.chain_id, 1, world.ledger.applied, ())
    with pytest.raises(Refused, match="time_ms"):
        world.ledger.try_out(late, verify_each)
    forged = bytearray(entries_of(world, 1)[0])
    forged[-80] ^= 1
    with pytest.raises(Refused):
        world.ledger.try_out(bytes(forged), verify_each)
    assert look(world.ledger) == before


def test_a_signature_is_checked_once_for_a_trial_and_its_execution() -> None:
    world = small()
    entry = entries_of(world, 1)[0]
    asked: list[int] = []

    def counting(checks: object) -> list[bool]:
        asked.append(1)
        return verify_each(checks)  # type: ignore[arg-type]

    executed: Executed = world.ledger.try_out(entry, counting)
    assert world.ledger.execute(entry, counting) == executed
    assert len(asked) == 1
    assert len(entry_digest(entry)) == 32
