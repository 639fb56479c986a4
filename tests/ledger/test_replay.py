"""Replaying many entries at once gives what executing one after the other gives, whatever happens to keys between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.ledger.world import World, key_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import Signed, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import replay
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Ordered, Outcome, decode_ordered
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.membership import ROTATION_PURPOSE
from wattquorum.ledger.replay import replayed
from wattquorum.ledger.transactions import RotateKey, WithdrawMoney, rotation_message


def lived() -> World:
    """A short chain: members open their accounts and act at once, one changes its key, and one is signed for."""
    world = World()
    world.publish()
    world.member("a", Side.SELL)
    world.member("b", Side.BUY)
    world.contract("a", "b", [1_000] * 4)
    new = key_of("a's second")
    proof = new.sign(ROTATION_PURPOSE, rotation_message(world.ledger.chain_id, world.address("a")))
    world.done("a", RotateKey(new.public, proof))
    world.keys["a"] = new
    world.done("a", WithdrawMoney(MILLION))
    world.keys["a"] = key_of("a")
    forged = world.do("a", WithdrawMoney(MILLION))
    assert (forged.outcome, forged.code) == (Outcome.INADMISSIBLE, "signature_forged")
    del world.keys["a"]
    world.keys["b"] = key_of("nobody")
    world.block([world.signed("b", WithdrawMoney(1)), world.signed("operator", WithdrawMoney(0))])
    return world


def again(world: World, entries: Sequence[Ordered] | None = None) -> tuple[Ledger, list[Executed], list[int]]:
    """A second ledger that replays entries, what they did, and how many signatures were checked at a time."""
    ledger, asked = Ledger(world.genesis_bytes), list[int]()

    def verify(checks: Sequence[Signed]) -> list[bool]:
        asked.append(len(checks))
        return verify_each(checks)

    given = [decode_ordered(entry) for entry in world.entries] if entries is None else entries
    return ledger, list(replayed(ledger, given, verify)), asked


@pytest.mark.parametrize("together", [1, 2, 3, 5, 512])
def test_a_replay_gives_the_same_blocks_however_far_it_looks_ahead(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "TOGETHER", together)
    world = lived()
    ledger, done, asked = again(world)
    assert done == world.executed
    assert list(ledger.state.entries()) == list(world.ledger.state.entries())
    if together == 1:
        assert len(asked) == len(world.entries)
    elif together == 512:
        # The operator, known from the genesis, signed five transactions in five signed proposals. Members are not known
        # before: their six blocks are checked one by one, each with its proposal.
        assert asked == [10, 2, 2, 2, 2, 2, 3]


def test_signatures_of_blocks_whose_senders_are_known_are_checked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "TOGETHER", 5)
    world = lived()
    _, _, asked = again(world)
    assert asked == [10, 10, 3]


def test_no_entries_do_nothing() -> None:
    world = World()
    ledger, done, asked = again(world, [])
    assert (done, asked, ledger.height) == ([], [], 0)


def test_a_forged_proposal_is_refused_after_everything_before_it_was_executed() -> None:
    world = lived()
    entries = [decode_ordered(entry) for entry in world.entries]
    entries[3] = changed(entries[3], signature=bytes(64))
    ledger, done = Ledger(world.genesis_bytes), list[Executed]()
    with pytest.raises(Refused) as refusal:
        done.extend(replayed(ledger, entries, verify_each))
    assert (refusal.value.code, refusal.value.field) == ("signature_forged", "proposal_signature")
    assert ledger.height == 3
    assert ledger.digest == world.executed[2].block.header.state_digest


def test_what_reading_an_entry_raises_is_raised_at_its_turn() -> None:
    world = lived()

    def told() -> Iterator[Ordered]:
        for entry in world.entries[:4]:
            yield decode_ordered(entry)
        raise Refused("chain_altered", "block", 5)

    ledger, done = Ledger(world.genesis_bytes), list[Executed]()
    with pytest.raises(Refused) as refusal:
        done.extend(replayed(ledger, told(), verify_each))
    assert refusal.value.code == "chain_altered"
    assert done == world.executed[:4]


def test_an_entry_may_be_prepared_before_the_entries_ahead_of_it() -> None:
    world = lived()
    ledger = Ledger(world.genesis_bytes)
    prepared = [ledger.prepare(decode_ordered(entry)) for entry in world.entries]
    assert [len(each.checks) for each in prepared[1:3]] == [2, 2]  # the operator, known from the genesis, signed
    assert ledger.height == 0
    done = [ledger.execute_prepared(each, verify_each(each.checks)) for each in prepared]
    assert done == world.executed
