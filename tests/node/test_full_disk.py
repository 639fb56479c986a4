"""A full disk stops acknowledgements and nothing else: the chain stays whole and goes on once there is room."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.node.disks import Disk
from tests.node.live import Village, run, until
from tests.node.small_chain import fed, small_chain
from tests.node.test_chain_folder import proved
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.execution import Executed
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode
from wattquorum.node.wal import Wal

CHAIN = small_chain()


@pytest.fixture
def limited(tmp_path: Path) -> Disk:
    """A limit on the size of files that this process writes, just above the chain's last segment: works everywhere."""

    @contextmanager
    def full() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        segment = max((tmp_path / "chain" / "blocks").iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 100, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return Disk(tmp_path / "chain", full)


@pytest.fixture(params=["tmpfs", "limited"])
def disk(request: pytest.FixtureRequest) -> Disk:
    found: Disk = request.getfixturevalue(request.param)
    return found


def refused(write: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        write()
    return caught.value.code


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_blocks_that_found_no_room_are_not_in_the_chain_and_are_written_later(disk: Disk) -> None:
    rest = CHAIN.blocks[3:]
    with ChainFolder.create(disk.path, CHAIN.genesis) as folder:
        folder.append(CHAIN.blocks[:3])
        before = contents(disk.path / "blocks")
        with disk.full():
            assert refused(lambda: folder.append(rest)) == "disk_full"
            assert refused(lambda: folder.append(rest)) == "disk_full"
            assert contents(disk.path / "blocks") == before
            assert folder.height == 3
            assert len(list(folder.read())) == 3
        folder.append(rest)
        folder.close(CHAIN.world.proposer)
    proved(disk.path)


def test_a_chain_that_stops_on_a_full_disk_opens_where_it_was(disk: Disk) -> None:
    with ChainFolder.create(disk.path, CHAIN.genesis) as folder:
        folder.append(CHAIN.blocks[:3])
        with disk.full():
            assert refused(lambda: folder.append(CHAIN.blocks[3:])) == "disk_full"
    with ChainFolder(disk.path, writing=True) as folder:
        assert folder.height == 3
        assert folder.torn is None
        folder.append(CHAIN.blocks[3:])
        folder.close(CHAIN.world.proposer)
    proved(disk.path)


def test_a_new_segment_that_finds_no_room_leaves_the_old_one_as_it_was(tmpfs: Disk) -> None:
    with ChainFolder.create(tmpfs.path, CHAIN.genesis, segment_bytes=100) as folder:
        folder.append(CHAIN.blocks[:3])
        with tmpfs.full():
            assert refused(lambda: folder.append(CHAIN.blocks[3:])) == "disk_full"
        folder.append(CHAIN.blocks[3:])
        folder.close(CHAIN.world.proposer)
    proved(tmpfs.path)


def test_a_snapshot_and_a_tip_that_find_no_room_leave_the_older_ones(tmpfs: Disk) -> None:
    with ChainFolder.create(tmpfs.path, CHAIN.genesis) as folder:
        folder.append(CHAIN.blocks)
        height = max(CHAIN.snapshots)
        with tmpfs.full():
            assert refused(lambda: folder.put_snapshot(height, CHAIN.snapshots[height])) == "disk_full"
            assert folder.snapshots() == []
            assert refused(lambda: folder.close(CHAIN.world.proposer)) == "disk_full"
    with ChainFolder(tmpfs.path) as folder:
        assert folder.ended is None
        assert folder.height == len(CHAIN.blocks)


def test_a_node_acknowledges_nothing_while_its_disk_is_full_and_loses_nothing(disk: Disk) -> None:
    with LoneNode.create(disk.path, CHAIN.genesis, CHAIN.world.proposer, verify_each) as node:
        fed(node, 1, 3)
        block = CHAIN.blocks[3]
        now = Millis(block.block.header.time_ms)
        with disk.full():
            for data in block.block.transactions:
                assert node.accept(data, None, now) is None
            written = written_until_full(node, now)
            node.read(1, now)
            assert refused(lambda: node.write(now)) == "disk_full"
            assert refused(lambda: node.cut(now)) == "disk_full"
            assert node.folder.height == 3 + len(written)
        done = node.write(now)
        assert [each.block.header.height for each in done.finished] == [node.folder.height]
        assert done.reads == (1,)
        transactions = [data for each in (*written, *done.finished) for data in each.block.transactions]
        assert transactions == list(block.block.transactions)
        assert len(list(node.folder.read())) == 3 + len(written) + 1
        node.close()
    proved(disk.path)


def written_until_full(node: LoneNode, now: Millis) -> list[Executed]:
    """Cuts blocks until one finds no room: the last page of a file may still take a few. What was finished."""
    finished = list[Executed]()
    for _ in range(100):
        node.cut(now)
        try:
            finished += node.write(now).finished
        except Refused:
            return finished
    raise AssertionError("the disk was never full")


@contextmanager
def files_left(number: int) -> Iterator[None]:
    """While only so many more files can be opened."""
    first = os.open(os.devnull, os.O_RDONLY)
    os.close(first)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first + number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("left", range(4))
def test_a_chain_that_finds_no_file_to_open_goes_on_when_it_does(tmp_path: Path, left: int) -> None:
    with ChainFolder.create(tmp_path / "chain", CHAIN.genesis, segment_bytes=100) as folder:
        folder.append(CHAIN.blocks[:3])
        with files_left(left):
            assert tried(lambda: folder.append(CHAIN.blocks[3:])) in ("", "disk_full")
        folder.append(CHAIN.blocks[folder.height :])
        height = max(CHAIN.snapshots)
        with files_left(left):
            assert tried(lambda: folder.put_snapshot(height, CHAIN.snapshots[height])) in ("", "disk_full")
        if not folder.snapshots():
            folder.put_snapshot(height, CHAIN.snapshots[height])
        folder.close(CHAIN.world.proposer)
    proved(tmp_path / "chain")


def tried(write: Callable[[], object]) -> str:
    try:
        write()
    except Refused as refused:
        return refused.code
    return ""


def test_a_log_that_finds_no_file_to_open_goes_on_when_it_does(tmp_path: Path) -> None:
    chain, records = bytes(16), [Durable(position, bytes([position]) * 100, False) for position in range(1, 60)]
    with Wal(tmp_path, chain, segment_bytes=400) as log:
        for record in records:
            left = 0
            while log.durable < record.position:
                with files_left(left):
                    if log.written < record.position:
                        assert tried(lambda: log.write([record])) in ("", "disk_full")  # noqa: B023  # called at once
                    assert tried(log.sync) in ("", "disk_full")
                left += 1
    with Wal(tmp_path, chain, segment_bytes=400) as log:
        assert log.records() == records


def test_a_leader_whose_disk_is_full_leads_no_more_and_keeps_no_more_than_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        village = Village(tmp_path)
        write = Wal.write
        async with village.running():
            full = village.nodes[await village.leader()]
            others = [node for node in village.nodes.values() if node is not full]

            def limited(wal: Wal, records: Sequence[Durable]) -> None:
                if wal is full.wal:
                    raise Refused("disk_full", "wal", "no room")
                write(wal, records)

            monkeypatch.setattr(Wal, "write", limited)
            waiting = asyncio.create_task(full.submit(village.deposit()))
            await until(lambda: full.runtime.full)
            kept = full.runtime.unsynced
            await until(lambda: {node.engine.leader for node in others} < {node.address for node in others})
            for _ in range(5):
                await others[0].submit(village.deposit(1))
            assert full.runtime.unsynced <= kept
            monkeypatch.setattr(Wal, "write", write)
            await until(lambda: village.all_have(25, 1) and full.runtime.unsynced == 0)
            await waiting

    run(story())
