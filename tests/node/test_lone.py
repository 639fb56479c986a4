"""A node that orders alone tells nothing before it is on the disk, and goes on after a restart where it was."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.ledger.usurpation import usurped
from tests.ledger.world import START, key_of
from tests.node.small_chain import fed, small_chain
from tests.node.test_chain_folder import proved
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.transactions import Deposit, SealDay
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.forgetting import forget_rows
from wattquorum.node.lone import LoneNode, ledger_of

CHAIN = small_chain()
KEY = CHAIN.world.proposer
LAST = CHAIN.blocks[-1].block.header.time_ms


def created(path: Path) -> LoneNode:
    return LoneNode.create(path, CHAIN.genesis, KEY, verify_each)


def opened(path: Path) -> LoneNode:
    return LoneNode(ChainFolder(path, writing=True), KEY, verify_each)


def deposit(node: LoneNode, number: int) -> bytes:
    world = CHAIN.world
    account = node.ledger.account(world.address("operator"))
    assert account is not None
    payload = Deposit(world.address("g"), 1, f"more-{number}")
    return world.signed("operator", payload, nonce=account.nonce + number, expiry_ms=LAST + 10**6)


def test_a_node_makes_the_blocks_that_the_ledger_makes(tmp_path: Path) -> None:
    with created(tmp_path / "chain") as node:
        assert [executed.data for executed in fed(node, 1)] == [executed.data for executed in CHAIN.blocks]
        node.close()
    proved(tmp_path / "chain")
    with ChainFolder(tmp_path / "chain") as folder:
        assert [data for _, data in folder.read()] == [executed.data for executed in CHAIN.blocks]
        assert {height: folder.snapshot(height) for height in folder.snapshots()} == CHAIN.snapshots


@pytest.mark.parametrize("keep_snapshots", [True, False])
def test_a_restart_after_any_block_goes_on_to_the_same_chain(tmp_path: Path, keep_snapshots: bool) -> None:
    for stop in range(1, len(CHAIN.blocks)):
        path = tmp_path / str(stop)
        with created(path) as node:
            fed(node, 1, stop)
        if not keep_snapshots:
            for file in (path / "snapshots").iterdir():
                file.unlink()
        with opened(path) as node:
            assert node.ledger.height == stop
            fed(node, stop + 1)
            assert node.folder.tip_hash == node.ledger.tip_hash == CHAIN.world.ledger.tip_hash
            node.close()
        proved(path)


def test_a_node_restarts_from_a_snapshot_after_rows_were_forgotten(tmp_path: Path) -> None:
    path, late = tmp_path / "chain", Millis(LAST + 40 * 86_400_000)
    with created(path) as node:
        fed(node, 1)
        with pytest.raises(Refused) as caught:
            forget_rows(node.folder, late)
        assert caught.value.code == "snapshot_missing"
        node.cut(late)  # ends an epoch, so that there is a snapshot after the rows
        node.write(late)
        assert forget_rows(node.folder, late) == [], "the day is not sealed: it may be settled on them again"
        assert node.accept(CHAIN.world.signed("operator", SealDay(START), expiry_ms=late + 1), None, late) is None
        node.cut(late)
        node.cut(Millis(late + 86_400_001))  # another epoch's end
        sealing, _ = node.write(late).finished
        assert [receipt.code for receipt in sealing.block.receipts] == [""]
        (root,) = node.folder.roots()
        assert forget_rows(node.folder, late) == [root]
        node.close()
    proved(path)
    with opened(path) as node:
        assert node.ledger.height == len(CHAIN.blocks) + 3
        node.cut(Millis(late + 86_400_002))
        node.write(Millis(0))
        node.close()
    proved(path)


def test_rows_that_went_missing_keep_a_node_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    with created(path) as node:
        fed(node, 1)
    (file,) = (path / "rows").iterdir()
    file.unlink()
    with ChainFolder(path, writing=True) as folder, pytest.raises(Refused) as caught:
        LoneNode(folder, KEY, verify_each)
    assert caught.value.code == "rows_missing"


def test_several_blocks_are_one_write_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with created(tmp_path / "chain") as node:
        fed(node, 1)
        synced, real = list[int](), os.fdatasync

        def counted(descriptor: int) -> None:
            synced.append(descriptor)
            real(descriptor)

        monkeypatch.setattr(os, "fdatasync", counted)
        for number in range(5):
            assert node.accept(deposit(node, number), None, Millis(LAST + 1)) is None
            node.cut(Millis(LAST + 1))
        assert node.folder.height == len(CHAIN.blocks)
        finished = node.write(Millis(LAST + 1)).finished
        assert [len(executed.block.transactions) for executed in finished] == [1] * 5
        assert len(synced) == 1
        node.close()
    proved(tmp_path / "chain")


def test_transactions_are_gathered_and_written_in_turn(tmp_path: Path) -> None:
    with created(tmp_path / "chain") as node:
        fed(node, 1)
    with LoneNode(ChainFolder(tmp_path / "chain", writing=True), KEY, verify_each, gather_ms=20) as node:
        sent = [deposit(node, number) for number in range(2)]
        now = Millis(LAST + 100)
        assert node.accept(sent[0], None, now) is None
        done = node.turn(now)
        assert (done.finished, done.deadline) == ((), now + 20)
        assert node.accept(sent[1], None, Millis(now + 10)) is None
        (block,) = node.turn(Millis(now + 20)).finished
        assert list(block.block.transactions) == sent
        assert node.turn(Millis(now + 30)).finished == ()


def test_a_key_that_may_not_propose_is_refused(tmp_path: Path) -> None:
    with ChainFolder.create(tmp_path / "chain", CHAIN.genesis) as folder, pytest.raises(Refused) as caught:
        LoneNode(folder, key_of("somebody"), verify_each)
    assert caught.value.code == "role_missing"


def test_a_disk_that_fails_is_not_trusted_again_until_the_chain_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After a failed sync the kernel may drop the pages and report success the next time.
    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "chain"
    with created(path) as node:
        fed(node, 1, 3)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", failing)
            node.cut(Millis(LAST))
            with pytest.raises(Refused) as caught:
                node.write(Millis(LAST))
            assert caught.value.code == "disk_failed"
        with pytest.raises(Refused) as caught:
            node.write(Millis(LAST))
        assert caught.value.code == "disk_failed"
        assert node.folder.height == 3
    with opened(path) as node:
        assert node.ledger.height == 3
        fed(node, 4)
        node.close()
    proved(path)


def test_a_chain_that_executes_to_something_else_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    with created(path) as node:
        fed(node, 1)
    (snapshot,) = (path / "snapshots").iterdir()
    data = snapshot.read_bytes()
    snapshot.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    with ChainFolder(path) as folder, pytest.raises(Refused) as caught:
        ledger_of(folder, verify_each)
    assert caught.value.code in ("snapshot_wrong", "encoding_unreadable", "encoding_noncanonical")


def test_a_snapshot_that_only_voters_of_its_own_making_vouch_for_is_passed_over(tmp_path: Path) -> None:
    """Then the blocks before it are executed, and do not lead to what it says."""
    ends = max(CHAIN.snapshots)
    made_up = usurped(CHAIN.genesis, CHAIN.world.entries[:ends])
    with ChainFolder.create(tmp_path / "chain", CHAIN.genesis) as folder:
        folder.append(made_up.executed)
        folder.put_snapshot(made_up.height, made_up.snapshot)
        with pytest.raises(Refused) as caught:
            ledger_of(folder, verify_each)
    assert (caught.value.code, caught.value.value) == ("chain_altered", str(made_up.height))
