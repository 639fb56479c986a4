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
from wattquorum.ledger.transactions import Received, RotateKey, WithdrawMoney, rotation_message


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
        if checks:
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
    assert sum(asked) == sum(1 + len(decode_ordered(entry).transactions) for entry in world.entries)
    if together == 1:
        assert len(asked) == len(world.entries)
    elif together == 512:
        # The operator, known from the genesis, signed five transactions in five signed proposals. Members are not known
        # before: their six blocks are checked one by one, each with its proposal.
        assert asked == [10, 2, 2, 2, 2, 2, 3]


@pytest.mark.parametrize("together", [1, 2, 512])
def test_signatures_by_known_senders_are_checked_ahead_and_again_where_a_key_changed(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "TOGETHER", together)
    world = lived()
    first = next(i for i, each in enumerate(world.executed) if _sender_of(world, each) == world.address("a"))
    ledger, given = Ledger(world.genesis_bytes), [decode_ordered(entry) for entry in world.entries]
    for ordered in given[:first]:
        ledger.execute_ordered(ordered, verify_each)
    asked: list[tuple[int, int, int]] = []  # at which height how many checks came, and how many of them were good

    def verify(checks: Sequence[Signed]) -> list[bool]:
        found = verify_each(checks)
        asked.append((ledger.height - first, len(checks), sum(found)))
        return found

    done = list(replayed(ledger, given[first:], verify))
    assert done == world.executed[first:]
    codes = [receipt.code for executed in done for receipt in executed.block.receipts]
    assert codes.count("signature_forged") == 2
    if together == 512:
        # a's offer, b's acceptance, a's new key, what the new key signs (prepared for the old one), what the old one
        # signs (good for the old one), and a block of two of which one is forged.
        assert asked[0] == (0, 13, 11)


def _sender_of(world: World, executed: Executed) -> bytes:
    """Who sent the first transaction of a block."""
    return Received(executed.block.transactions[0]).body.sender


def test_checks_of_the_next_entries_are_handed_over_before_the_first_verdict_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "TOGETHER", 1)
    world = World()
    for amount in range(3):
        world.do("operator", WithdrawMoney(amount))
    ledger, told = Ledger(world.genesis_bytes), list[str]()

    def verify(checks: Sequence[Signed]) -> Iterator[bool]:
        told.append(f"{len(checks)} asked")
        return taken(checks)

    def taken(checks: Sequence[Signed]) -> Iterator[bool]:
        for verdict in verify_each(checks):
            told.append("taken")
            yield verdict

    done = list(replayed(ledger, [decode_ordered(entry) for entry in world.entries], verify))
    assert done == world.executed
    assert told == ["2 asked", "2 asked", "taken", "taken", "2 asked", "taken", "taken", "0 asked", "taken", "taken"]


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
