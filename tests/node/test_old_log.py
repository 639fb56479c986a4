"""A node does not go on from a log that lacks what it had, wherever in its life the log is from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.node.live import Village, run, until
from tests.node.small_chain import small_chain, stored
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.refusals import Refused
from wattquorum.node.archive import Archive
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.node import Node


async def deposits(village: Village, count: int) -> None:
    await village.leader()
    for _ in range(count):
        await village.nodes[0].submit(village.deposit())


def is_refused(village: Village) -> bool:
    with pytest.raises(Refused) as caught:
        Node(village.config(0), verify_each)
    return caught.value.code == "log_missing"


def test_an_older_log_and_one_without_its_end_are_refused_and_the_latest_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        village = Village(tmp_path, 1)
        wal, kept = tmp_path / "node-0" / "wal", tmp_path / "kept"
        async with village.running():
            await deposits(village, 2)
        shutil.copytree(wal, kept)
        async with village.running():
            await deposits(village, 2)
        wal.rename(tmp_path / "newest")
        shutil.copytree(kept, wal)
        assert is_refused(village)
        shutil.rmtree(wal)
        shutil.copytree(tmp_path / "newest", wal)
        (segment,) = wal.glob("*.wal")
        os.truncate(segment, len(segment.read_bytes().rstrip(b"\0")) - 1)
        assert is_refused(village)
        shutil.rmtree(wal)
        (tmp_path / "newest").rename(wal)
        async with village.running():
            await deposits(village, 1)
            await until(lambda: village.balance(0) == 25)

    run(story())


@pytest.mark.parametrize("at", [1, 2])
def test_a_block_that_is_decided_anew_is_the_one_in_the_folder(tmp_path: Path, at: int) -> None:
    blocks = small_chain().blocks
    archive = Archive(ChainFolder(stored(tmp_path / "chain", blocks=3, signed=False), writing=True))
    block = blocks[at - 1].block
    other = changed(block, header=changed(block.header, time_ms=block.header.time_ms + 1))
    for each in blocks[: at - 1]:
        archive.add(each)
    with pytest.raises(Refused, match="diverged"):
        archive.add(blocks[at - 1]._replace(block=other))
    for each in blocks[at - 1 :]:
        archive.add(each)
    archive.close(None)


def test_a_note_of_a_log_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "chain", blocks=2, signed=False)
    with ChainFolder(folder, writing=True) as chain:
        chain.note_log(7)
        chain.note_log(5)
    with ChainFolder(folder) as chain:
        assert chain.log_reached == 7
    (folder / "log.json").write_bytes(b"{}")
    with pytest.raises(Refused) as caught:
        ChainFolder(folder)
    assert (caught.value.code, caught.value.field) == ("chain_altered", "log.json")
