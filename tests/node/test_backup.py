"""Backups and what comes back from them: whole, proven, and with no promise that it may have forgotten."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.node.founded import Hamlet
from tests.node.live import run, until
from wattquorum.consensus.raft.records import Ballot, decode_record
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.node import backup as backups
from wattquorum.node.auditing import audit_folder
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.control import ask
from wattquorum.node.lone import ledger_of
from wattquorum.node.node_folder import LEDGER_KEY
from wattquorum.node.restoring import TERMS_APART, recover, restore
from wattquorum.node.wal_files import survey

NOW = 1_700_000_000_000


async def asked(folder: Path, to: Path) -> backups.Copied:
    found: dict[str, Any] = await asyncio.to_thread(ask, folder, {"do": "backup", "to": str(to)}, 30.0)
    return backups.Copied(**found)


def audited(copy: Path, to: Path, copied: backups.Copied) -> backups.Manifest:
    with ChainFolder(copy / backups.CHAIN) as chain:
        audit_folder(chain, verify_each)
    return backups.finish(copy, to, copied, NOW, "1")


def balance(chain: Path, hamlet: Hamlet) -> int:
    with ChainFolder(chain) as folder:
        account = ledger_of(folder, verify_each).account(hamlet.address)
    assert account is not None
    return account.balance


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hamlet, Path, int]:
    """A community that is stopped, a backup made while it was written to, and what was acknowledged before it began."""
    folder = tmp_path_factory.mktemp("hamlet")
    hamlet = Hamlet(folder / "community")
    acknowledged = [0]
    before: list[int] = []

    async def story() -> None:
        await hamlet.start()
        leader = await hamlet.leader()
        ended: list[int] = []
        leader.watch(lambda executed: ended.append(1) if executed.block.header.state_root else None)

        async def write() -> None:
            while True:
                await hamlet.deposit(leader)
                acknowledged[0] += 1

        writing = asyncio.create_task(write())
        await until(lambda: acknowledged[0] >= 20 and leader.ledger.height > 20 and ended)
        follower = next(folder for folder, (node, _) in hamlet.nodes.items() if node is not leader)
        before.append(acknowledged[0])
        copied = await asked(follower, folder / "backup.new")
        assert copied.current
        later = acknowledged[0]
        await until(lambda: acknowledged[0] > later + 5)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await until(lambda: len({node.ledger.tip_hash for node, _ in hamlet.nodes.values()}) == 1)
        await asyncio.to_thread(audited, folder / "backup.new", folder / "backup", copied)
        await hamlet.stop()

    run(story())
    return hamlet, folder / "backup", before[0]


def test_a_backup_made_while_a_node_is_written_to_has_all_that_was_acknowledged_before(
    stopped: tuple[Hamlet, Path, int],
) -> None:
    hamlet, backup, before = stopped
    manifest = backups.read_manifest(backup)
    assert manifest.current
    assert manifest.chain == hamlet.chain_id.hex()
    assert balance(backup / "chain", hamlet) >= before
    with ChainFolder(backup / "chain") as chain:
        assert (chain.height, chain.tip_hash.hex()) == (manifest.height, manifest.block)
        assert chain.ended is not None
    assert sorted(path.name for path in backup.iterdir()) == ["chain", "manifest.json"]


def test_every_changed_missing_or_added_byte_of_a_backup_is_found(
    stopped: tuple[Hamlet, Path, int], tmp_path: Path
) -> None:
    _, backup, _ = stopped
    names = sorted(backups.read_manifest(backup).files)
    assert len(names) >= 3
    for number, name in enumerate(names):
        copy = tmp_path / str(number)
        shutil.copytree(backup, copy)
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(bytes(data))
        with pytest.raises(Refused, match="backup_altered") as refused:
            restore(copy, tmp_path / "node", verify_each)
        assert refused.value.field == name
        (copy / name).unlink()
        with pytest.raises(Refused, match="it is missing"):
            restore(copy, tmp_path / "node", verify_each)
    copy = tmp_path / "more"
    shutil.copytree(backup, copy)
    for extra in ("chain/blocks/note", "wal"):
        (copy / extra).write_bytes(b"")
        with pytest.raises(Refused, match="backup_altered"):
            restore(copy, tmp_path / "node", verify_each)
        (copy / extra).unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["state"] = "00" * 32
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Refused, match="backup_altered"):
        restore(copy, tmp_path / "node", verify_each)
    (copy / "manifest.json").unlink()
    with pytest.raises(Refused, match="file_unreadable"):
        restore(copy, tmp_path / "node", verify_each)
    assert not (tmp_path / "node").exists()


def test_a_node_that_is_restored_alone_promises_nothing_and_no_key_comes_back(
    stopped: tuple[Hamlet, Path, int], tmp_path: Path
) -> None:
    hamlet, backup, _ = stopped
    for node in hamlet.founded.nodes:
        old = tmp_path / node.name
        old.mkdir()
        shutil.copy(node / LEDGER_KEY, old / LEDGER_KEY)
        with pytest.raises(Refused, match="seat_taken"):
            restore(backup, old, verify_each)
        assert [path.name for path in old.iterdir()] == [LEDGER_KEY]
    found = restore(backup, tmp_path / "node", verify_each)
    assert found.new_key
    assert (tmp_path / "node" / LEDGER_KEY).stat().st_mode & 0o777 == 0o600
    wal = tmp_path / "node" / "wal"
    records = [record for segment in survey(wal).segments for record in segment.records()]
    assert [decode_record(record.data) for record in records] == [Ballot(0, b"")]
    with ChainFolder(tmp_path / "node" / "chain") as chain:
        assert audit_folder(chain, verify_each).height == found.manifest.height
    with pytest.raises(Refused, match="folder_exists"):
        restore(backup, tmp_path / "node", verify_each)


def test_a_node_whose_log_was_lost_does_not_start(stopped: tuple[Hamlet, Path, int], tmp_path: Path) -> None:
    hamlet, _, _ = stopped
    node = tmp_path / "node"
    shutil.copytree(hamlet.founded.nodes[0], node)
    shutil.rmtree(node / "wal")

    async def story() -> None:
        for _ in range(2):
            with pytest.raises(Refused, match="log_missing"):
                await Hamlet.start(hamlet, [node])

    run(story())


def test_a_community_comes_back_from_one_backup_and_who_keeps_an_old_log_stops(
    stopped: tuple[Hamlet, Path, int], tmp_path: Path
) -> None:
    hamlet, backup, before = stopped
    manifest = backups.read_manifest(backup)
    kept = tmp_path / "kept"
    shutil.copytree(hamlet.founded.nodes[2], kept)
    for node in hamlet.founded.nodes:
        with pytest.raises(Refused, match="folder_exists"):
            recover(backup, node, verify_each)
        shutil.rmtree(node / "chain")
        os.rename(node / "wal", tmp_path / f"{node.name}-wal")
        found = recover(backup, node, verify_each)
        assert found.term == manifest.term + TERMS_APART
    logs = [
        [record for segment in survey(node / "wal").segments for record in segment.records()]
        for node in hamlet.founded.nodes
    ]
    assert logs[0] == logs[1] == logs[2]
    assert logs[0]

    async def story() -> None:
        one, two, three = hamlet.founded.nodes
        await hamlet.start([one, two])
        leader = await hamlet.leader()
        ledger = await leader.read()
        assert ledger.height >= manifest.height
        account = ledger.account(hamlet.address)
        assert account is not None
        assert account.balance >= before
        hamlet.nonce = account.nonce
        for _ in range(5):
            await hamlet.deposit(leader)
        assert leader.engine.term > manifest.term + TERMS_APART
        await hamlet.start([three])
        await until(lambda: len({node.ledger.tip_hash for node, _ in hamlet.nodes.values()}) == 1)
        await hamlet.stop([three])
        shutil.rmtree(three)
        shutil.copytree(kept, three)  # its log has what was decided after the backup
        await hamlet.start([three])
        late = hamlet.nodes[three][0]
        for _ in range(3):
            await hamlet.deposit(leader)
        await until(lambda: late.halted is not None)
        assert late.halted is not None
        assert late.halted.code == "diverged"
        await hamlet.stop()

    run(story())
    for node in hamlet.founded.nodes[:2]:
        with ChainFolder(node / "chain") as chain:
            assert audit_folder(chain, verify_each).height > manifest.height


def test_a_recovery_is_for_voters_alone_and_counts(stopped: tuple[Hamlet, Path, int], tmp_path: Path) -> None:
    hamlet, backup, _ = stopped
    with pytest.raises(Refused, match="key_missing"):
        recover(backup, tmp_path, verify_each)
    (tmp_path / LEDGER_KEY).write_text("11" * 32)
    (tmp_path / LEDGER_KEY).chmod(0o600)
    with pytest.raises(Refused, match="validator_unknown"):
        recover(backup, tmp_path, verify_each)
    with pytest.raises(Refused, match="out_of_range"):
        recover(backup, tmp_path, verify_each, 0)
    shutil.copy(hamlet.founded.nodes[0] / LEDGER_KEY, tmp_path / LEDGER_KEY)
    assert recover(backup, tmp_path, verify_each, 2).term == backups.read_manifest(backup).term + 2 * TERMS_APART


def test_a_stopped_node_is_copied_from_its_folder_and_one_that_runs_is_not(tmp_path: Path) -> None:
    hamlet = Hamlet(tmp_path / "community", 1)
    (node,) = hamlet.founded.nodes

    async def story() -> None:
        await hamlet.start()
        leader = await hamlet.leader()
        for _ in range(3):
            await hamlet.deposit(leader)
        with pytest.raises(Refused, match="chain_in_use"):
            backups.copy_stopped(node, tmp_path / "copy", None)
        for wrong in ("", "relative/path", None, 5):
            with pytest.raises(Refused, match="request_unreadable"):
                await asyncio.to_thread(ask, node, {"do": "backup", "to": wrong})
        with pytest.raises(Refused, match="folder_exists"):
            await asked(node, tmp_path)
        term = leader.engine.term
        await hamlet.stop()
        copied = backups.copy_stopped(node, tmp_path / "copy", None)
        assert copied.term == term
        assert not copied.current
        manifest = audited(tmp_path / "copy", tmp_path / "backup", copied)
        assert manifest.height == copied.height >= 3
        for taken in ("backup", "copy"):
            (tmp_path / "copy.new").mkdir(exist_ok=True)
            with pytest.raises(Refused, match="folder_exists"):
                backups.unfinished(tmp_path / taken)

    run(story())
    assert balance(tmp_path / "backup" / "chain", hamlet) == 3
