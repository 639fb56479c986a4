"""A forger who holds a chain folder but no key: everything that no signature covers is recomputed, and still found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.ledger.world import START
from tests.node.small_chain import small_chain, stored
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import Signed, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.audit import AuditFault
from wattquorum.ledger.blocks import Block, ordered_of
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.readings import decode_rows, encode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import ledger_of


def believed(checks: Sequence[Signed]) -> list[bool]:
    """A forger's own replay does not ask for signatures."""
    return [True] * len(checks)


def without(dropped: int) -> list[Executed]:
    """The small chain with one block left out: executed again, every hash, root and digest made to fit.

    What a proposer signed (time, what it had executed, transactions) stays as it was signed.
    """
    chain = small_chain()
    ledger, left = Ledger(chain.genesis), list[Executed]()
    for each in chain.blocks:
        if each.block.header.height != dropped:
            ordered = changed(ordered_of(each.block, each.rows), applied=ledger.applied)
            executed = ledger.execute_ordered(ordered, believed)
            header = changed(executed.block.header, applied=each.block.header.applied)
            ledger.stand_at(header)
            block = changed(executed.block, header=header)
            left.append(Executed(block, encode(block), (), (), executed.rows))
    return left


def written(path: Path, blocks: Sequence[Executed]) -> Path:
    with ChainFolder.create(path, small_chain().genesis) as folder:
        folder.append(blocks)
    return path


def fault_of(path: Path) -> str:
    with pytest.raises((AuditFault, Refused)) as told, ChainFolder(path) as folder:
        audit_folder(folder, verify_each)
    return str(told.value)


@pytest.mark.parametrize("dropped", range(1, len(small_chain().blocks)))
def test_a_block_that_is_left_out_is_found_although_everything_else_fits(tmp_path: Path, dropped: int) -> None:
    told = fault_of(written(tmp_path / "chain", without(dropped)))
    assert "applied" in told, told


def test_only_the_unsigned_end_can_be_cut_and_the_audit_says_how_far_it_is_vouched_for(tmp_path: Path) -> None:
    blocks = small_chain().blocks
    with ChainFolder(written(tmp_path / "chain", blocks[:-1])) as folder:
        audited = audit_folder(folder, verify_each)
    assert (audited.height, audited.vouched) == (len(blocks) - 1, len(blocks) - 2)


def enriched() -> tuple[list[Executed], bytes]:
    """The chain with a made-up state behind its last block, and the snapshot that goes with it."""
    chain = small_chain()
    ledger = Ledger(chain.genesis)
    for each in chain.blocks:
        ledger.execute_ordered(ordered_of(each.block, each.rows), verify_each)
    address, outside = chain.world.address("g"), ledger._reserved.outside
    for place, sign in ((address, 1), (outside, -1)):
        account = ledger.account(place)
        assert account is not None
        rich = changed(account, balance=account.balance + sign * 999 * MILLION)
        ledger.state.put(Table.ACCOUNT, place, rich)
    for key in ledger.state.of_day(Table.READING, START):
        ledger.state.drop(Table.READING, key)
    ledger.state.commit()
    last = chain.blocks[-1].block
    header = changed(last.header, state_root=ledger.state.root())
    ledger.stand_at(header)
    block = Block(header, last.transactions, last.receipts)
    rowless = [Executed(each.block, each.data, (), (), ()) for each in chain.blocks[:-1]]
    return [*rowless, Executed(block, encode(block), (), (), ())], snapshots.take(ledger)


def test_a_made_up_snapshot_is_not_believed_without_a_signature_over_its_block(tmp_path: Path) -> None:
    blocks, snapshot = enriched()
    path = written(tmp_path / "chain", blocks)
    with ChainFolder(path, writing=True) as folder:
        folder.put_snapshot(len(blocks), snapshot)
    assert "No proposer has signed anything" in fault_of(path)
    with pytest.raises(Refused) as told, ChainFolder(path) as folder:
        ledger_of(folder, verify_each)
    assert told.value.code == "rows_missing", "a node does not go on from it either"


@pytest.mark.parametrize("signed", [True, False])
def test_rows_that_no_block_commits_to_are_found_beside_a_chain(tmp_path: Path, signed: bool) -> None:
    """Intact rows under the name of their own root: only that no block names it tells that they do not belong."""
    path = stored(tmp_path / "chain", signed=signed)
    (sound,) = (path / "rows").iterdir()
    first, *others = decode_rows(sound.read_bytes())
    rows = [changed(first, salt=bytes(reversed(first.salt))), *others]
    root = root_of_rows(rows)
    (path / "rows" / f"{root.hex()}.rows").write_bytes(encode_rows(rows))
    told = fault_of(path)
    assert "chain_altered" in told
    assert f"rows/{root.hex()}.rows" in told
    assert told.endswith("No block commits to these rows.")


def test_a_number_has_one_file_name(tmp_path: Path) -> None:
    for name in ("blocks/000000001.blocks", "snapshots/000000008.snapshot"):
        path = written(tmp_path / name.partition("/")[0], small_chain().blocks)
        (path / name).write_bytes(b"anything")
        assert "file_unknown" in fault_of(path)
