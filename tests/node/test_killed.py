"""A process that is killed in the middle of any write loses nothing that it acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.node.small_chain import fed, small_chain
from tests.node.test_chain_folder import proved
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.blocks import decode_block, header_hash
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode

ROOT = Path(__file__).parent.parent.parent
CHAIN = small_chain()


def writer(kind: str, path: Path) -> list[str]:
    return [sys.executable, "-m", "tests.node.writers", kind, str(path)]


def test_a_writer_killed_at_any_call_that_changes_the_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    ran = subprocess.run(writer("dying", tmp_path), cwd=ROOT, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(told) > 50, "every block takes several calls"
    assert told[-1][1] == [*(str(height) for height in range(1, len(CHAIN.blocks) + 1)), "closed"]
    torn = 0
    for calls, heard in told:
        path = tmp_path / str(calls)
        acknowledged = sum(each != "closed" for each in heard)
        if not (path / "genesis.json").exists():
            assert acknowledged == 0, "it was killed before there was a chain"
            ChainFolder.create(path, CHAIN.genesis).close()
        with ChainFolder(path, writing=True, segment_bytes=2_000) as folder:
            torn += folder.torn is not None
            assert acknowledged <= folder.height <= len(CHAIN.blocks)
            node = LoneNode(folder, CHAIN.world.proposer, verify_each)
            fed(node, folder.height + 1)
            node.close()
        with ChainFolder(path) as folder:
            assert [data for _, data in folder.read()] == [executed.data for executed in CHAIN.blocks]
        proved(path)
    assert torn == len(CHAIN.blocks), "each block was written by half once"


def test_a_busy_writer_that_is_killed_from_outside_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    with LoneNode.create(path, CHAIN.genesis, CHAIN.world.proposer, verify_each) as node:
        fed(node, 1)
    for round_ in range(3):
        with subprocess.Popen(writer("busy", path), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = [process.stdout.readline()]
            time.sleep(0.05 * (round_ + 1))
            process.kill()
            told += process.stdout
        height, block = next(line for line in reversed(told) if line.endswith("\n")).split()
        with ChainFolder(path, writing=True) as folder:
            node = LoneNode(folder, CHAIN.world.proposer, verify_each)
            assert node.ledger.height == folder.height >= int(height) > len(CHAIN.blocks)
            hashes = {position.height: header_hash(decode_block(data).header) for position, data in folder.read()}
            assert hashes[int(height)].hex() == block
            node.cut(Millis(0))
            node.write(Millis(0))
            node.close()
        proved(path)
