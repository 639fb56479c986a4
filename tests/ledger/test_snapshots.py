"""Snapshots: what is restored executes what follows to the same blocks, and nothing altered is restored."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.random_market import RandomMarket
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import HOUR, QUARTER, START
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import decode_ordered, header_hash
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.snapshots import read, restore, rows_needed, take
from wattquorum.ledger.state import Entry, Table
from wattquorum.ledger.transactions import ClosePage, SealDay

KWH = 1_000
FOUR = [KWH] * 4
END = START + 4 * QUARTER
FINAL = END + 48 * HOUR


def kept_rows(executed: list[Executed]) -> dict[bytes, bytes]:
    """All rows that were kept beside the chain, by root."""
    return {root_of_rows(decode_rows(rows)): rows for each in executed for rows in each.rows}


def goes_on(world: WatchedWorld, snapshot: bytes) -> None:
    """A restored ledger executes everything after its snapshot as the first one did."""
    ledger = restore(world.genesis_bytes, snapshot)
    rows = kept_rows(world.executed)
    for root in rows_needed(ledger):
        ledger.shelf.load(rows[root], root)
    height = ledger.height
    for entry, executed in zip(world.entries[height:], world.executed[height:], strict=True):
        again = changed(decode_ordered(entry), attachments=executed.rows)
        assert ledger.execute_ordered(again, verify_each) == executed
    assert ledger.digest == world.ledger.digest
    assert list(ledger.state.entries()) == list(world.ledger.state.entries())
    # The first one still has rows that corrections have replaced, until the next day is sealed.
    assert dict.fromkeys(rows_needed(ledger)).keys() <= dict.fromkeys(ledger.shelf.roots()).keys()
    assert dict.fromkeys(ledger.shelf.roots()).keys() <= dict.fromkeys(world.ledger.shelf.roots()).keys()


def midway() -> WatchedWorld:
    """A day with a contract, a closed page, readings to correct, a debt, and an epoch that has just ended."""
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY, feeder="f2")
    world.member("low", Side.BUY, money=MILLION)
    world.publish(feeders=("f1", "f2"))
    world.publish(START + 24 * HOUR, feeders=("f1", "f2"))
    world.contract("g", "c", FOUR)
    world.contract("g", "c", FOUR, day=START + 24 * HOUR)
    world.read({"g-sell": FOUR, "low-buy": FOUR})
    world.read({"c-buy": FOUR}, feeder="f2")
    world.done("operator", ClosePage(START, "f1"))
    world.block([], at=world.now + 24 * HOUR)
    assert world.ledger.tip is not None
    assert world.ledger.tip.state_root != b""
    return world


def test_a_restored_ledger_executes_what_follows_to_the_same_blocks() -> None:
    world = midway()
    snapshot = take(world.ledger)
    assert len(rows_needed(world.ledger)) == 2
    world.read({"g-sell": [0] * 4}, version=2)
    world.close(feeders=("f2",))
    world.read({"c-buy": [500] * 4}, feeder="f2", version=2)
    world.done("operator", SealDay(START), at=FINAL)
    goes_on(world, snapshot)


def test_an_epoch_ends_with_the_first_block_at_its_length_and_only_then_a_snapshot_can_be_taken() -> None:
    world = WatchedWorld(parameters={"epoch_ms": 10_000})
    created = world.ledger.genesis.created_ms
    roots = []
    for moment in (9_999, 10_000, 10_001, 19_999, 25_000, 34_999, 35_000):
        world.now = created + moment - 1
        header = world.block([]).block.header
        roots.append((header.epoch, header.state_root != b""))
        if not header.state_root:
            with pytest.raises(Refused) as caught:
                take(world.ledger)
            assert caught.value.code == "snapshot_wrong"
        else:
            assert header.state_root == world.ledger.state.root()
            assert restore(world.genesis_bytes, take(world.ledger)).tip_hash == world.ledger.tip_hash
    # An epoch begins when the last one has ended, late or not: 10,000 to 20,000, then 25,000 to 35,000.
    assert roots == [(0, False), (0, True), (1, False), (1, False), (1, True), (2, False), (2, True)]


def test_before_the_first_block_there_is_no_snapshot() -> None:
    with pytest.raises(Refused) as caught:
        take(WatchedWorld().ledger)
    assert caught.value.code == "snapshot_wrong"


@pytest.mark.unmeasured
def test_no_altered_byte_of_a_snapshot_goes_unnoticed() -> None:
    world = midway()
    snapshot = take(world.ledger)
    wanted = world.ledger.tip_hash
    for place in range(0, len(snapshot), 7):
        for flip in (1, 128):
            altered = snapshot[:place] + bytes((snapshot[place] ^ flip,)) + snapshot[place + 1 :]
            restored = attempted(world, altered)
            # A header can be altered in itself; but then it is not the header that the chain has.
            assert restored is None or restored.tip_hash != wanted


def attempted(world: WatchedWorld, snapshot: bytes) -> Ledger | None:
    """The restored ledger, or nothing when the snapshot is refused."""
    try:
        return restore(world.genesis_bytes, snapshot)
    except Refused:
        return None


@pytest.mark.parametrize("how", ["dropped", "added", "swapped", "raised", "emptied"])
def test_a_snapshot_with_other_entries_is_refused(how: str) -> None:
    world = midway()
    found = read(take(world.ledger))
    entries = list(found.entries)
    place = next(i for i, entry in enumerate(entries) if entry.key == world.address("low"))
    if how == "dropped":
        del entries[place]
    elif how == "added":
        entries.append(Entry(Table.POSITION, b"\xff" * 29, entries[-1].value))
    elif how == "swapped":
        entries[place], entries[place + 1] = entries[place + 1], entries[place]
    elif how == "raised":
        account = changed(world.account("low"), balance=10**15)
        entries[place] = changed(entries[place], value=encode(account))
    else:
        entries = []
    with pytest.raises(Refused) as caught:
        restore(world.genesis_bytes, encode(changed(found, entries=tuple(entries))))
    assert caught.value.code == "snapshot_wrong"


def test_a_snapshot_of_another_format_is_refused() -> None:
    world = midway()
    with pytest.raises(Refused) as caught:
        restore(world.genesis_bytes, encode(changed(read(take(world.ledger)), format=2)))
    assert (caught.value.code, caught.value.field) == ("snapshot_wrong", "format")


def test_a_snapshot_whose_header_ended_no_epoch_is_refused() -> None:
    world = midway()
    found = read(take(world.ledger))
    with pytest.raises(Refused) as caught:
        restore(world.genesis_bytes, encode(changed(found, header=changed(found.header, state_root=b""))))
    assert caught.value.code == "snapshot_wrong"


def test_a_restored_ledger_without_the_rows_it_needs_says_so() -> None:
    world = midway()
    ledger = restore(world.genesis_bytes, take(world.ledger))
    world.done("operator", ClosePage(START, "f2"))
    executed = ledger.execute(world.entries[-1], verify_each)
    assert executed.block.receipts[0].code == "rows_missing"
    assert executed.data != world.executed[-1].data


def test_the_header_names_what_the_chain_knows() -> None:
    world = midway()
    found = read(take(world.ledger))
    world.block([])
    assert world.executed[-1].block.header.previous == header_hash(found.header)


@settings(max_examples=8)
@given(st.randoms(use_true_random=False))
def test_random_markets_go_on_from_every_snapshot_of_theirs(chance: Random) -> None:
    market = RandomMarket(chance)
    snapshots: list[bytes] = []
    world = market.world
    block = world.block

    def snapping(*arguments: object, **options: object) -> Executed:
        executed = block(*arguments, **options)  # type: ignore[arg-type]
        if executed.block.header.state_root:
            snapshots.append(take(world.ledger))
        return executed

    world.block = snapping  # type: ignore[method-assign]
    market.live()
    assert snapshots
    for snapshot in snapshots:
        goes_on(world, snapshot)
