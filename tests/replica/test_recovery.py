"""A replica goes on only from a state that its own chain proves."""

from __future__ import annotations

import pytest

from tests.ledger.usurpation import usurped
from tests.ledger.world import START, World
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.readings import decode_rows, encode_rows, root_of_rows
from wattquorum.ledger.transactions import ReportFault
from wattquorum.replica.recovery import recovered

KWH = 1_000


class Stored:
    """A settled day as it would lie on a disk: blocks, rows by root, and the newest snapshot."""

    def __init__(self) -> None:
        world = World(parameters={"fee": 0})
        world.member("g", Side.SELL)
        world.member("c", Side.BUY)
        world.publish()
        world.approve(world.contract("g", "c", [KWH] * 4))
        world.read({"g-sell": [KWH] * 4, "c-buy": [KWH] * 4})
        world.close()
        # A correction that is refused (its version is not higher), and rows sent again that are there already.
        assert world.read({"g-sell": [0] * 4}).outcome is Outcome.REFUSED
        assert world.read({"g-sell": [KWH] * 4, "c-buy": [KWH] * 4}).outcome is Outcome.REFUSED
        assert world.read({"g-sell": [0] * 4}, version=2).outcome is Outcome.DONE
        world.do("operator", ReportFault(START, ("g-sell",), 0, 1, "storm"))
        world.block([], at=START + 30 * 3_600_000)
        assert world.ledger.tip is not None
        assert world.ledger.tip.state_root, "the last block ends an epoch"
        self.world = world
        self.ledger = world.ledger
        self.snapshot = snapshots.take(world.ledger)
        world.deposit("g", 5)
        self.blocks = [executed.data for executed in world.executed]
        self.rows = {root_of_rows(decode_rows(data)): data for executed in world.executed for data in executed.rows}


STORED = Stored()


def refused(*, snapshot: bytes | None = None, blocks: list[bytes], rows: dict[bytes, bytes]) -> str:
    with pytest.raises(Refused) as caught:
        recovered(STORED.world.genesis_bytes, snapshot, blocks, rows.get, verify_each)
    return caught.value.code


def same(ledger: Ledger) -> bool:
    return (ledger.tip_hash, ledger.state.root()) == (STORED.ledger.tip_hash, STORED.ledger.state.root())


def test_a_ledger_is_recovered_from_all_its_blocks() -> None:
    ledger = recovered(STORED.world.genesis_bytes, None, STORED.blocks, STORED.rows.get, verify_each)
    assert same(ledger)
    assert ledger.shelf.roots() == STORED.ledger.shelf.roots()


def test_a_ledger_is_recovered_from_a_snapshot_and_the_blocks_after_it() -> None:
    blocks = STORED.blocks[-2:]
    ledger = recovered(STORED.world.genesis_bytes, STORED.snapshot, blocks, STORED.rows.get, verify_each)
    assert same(ledger)
    assert ledger.shelf.roots() == STORED.ledger.shelf.roots()


def test_a_chain_without_blocks_is_its_genesis() -> None:
    assert recovered(STORED.world.genesis_bytes, None, [], STORED.rows.get, verify_each).height == 0


def test_a_block_that_executes_to_another_one_is_named() -> None:
    wrong = STORED.blocks[2].replace(STORED.world.executed[2].block.header.state_digest, bytes(32))
    with pytest.raises(Refused) as caught:
        recovered(STORED.world.genesis_bytes, None, [*STORED.blocks[:2], wrong], STORED.rows.get, verify_each)
    assert (caught.value.code, caught.value.field, caught.value.value) == ("chain_altered", "block", "3")


def test_rows_that_are_missing_are_named_with_their_block() -> None:
    some = dict(list(STORED.rows.items())[1:])
    assert refused(blocks=STORED.blocks, rows=some) == "rows_missing"
    assert refused(snapshot=STORED.snapshot, blocks=STORED.blocks[-2:], rows={}) == "rows_missing"


def test_a_snapshot_of_another_block_is_refused() -> None:
    assert refused(snapshot=STORED.snapshot, blocks=STORED.blocks[-3:], rows=STORED.rows) == "snapshot_wrong"
    assert refused(snapshot=STORED.snapshot, blocks=[], rows=STORED.rows) == "snapshot_wrong"


def test_a_snapshot_that_only_voters_of_its_own_making_vouch_for_is_refused() -> None:
    """Whose word counts may not follow from the state that it is to prove: founders' does."""
    made_up = usurped(STORED.world.genesis_bytes, STORED.world.entries[:-1])
    blocks = made_up.blocks[made_up.height - 1 :]
    assert refused(snapshot=made_up.snapshot, blocks=blocks, rows=STORED.rows) == "snapshot_wrong"


def test_rows_under_a_wrong_root_are_refused() -> None:
    other = encode_rows(STORED.world.rows({"g-sell": [1] * 4}))
    wrong = dict.fromkeys(STORED.rows, other)
    assert refused(snapshot=STORED.snapshot, blocks=STORED.blocks[-2:], rows=wrong) == "commitment_wrong"
    assert refused(blocks=STORED.blocks, rows=wrong) == "chain_altered"
