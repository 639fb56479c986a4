"""A small real chain for tests of files: a market day with a contract, readings, settlement and ended epochs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.ledger.world import START, World
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger import snapshots
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.transactions import CommitReadings, Received
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode

KWH = 1_000


class SmallChain(NamedTuple):
    """A chain as it was executed: blocks in order, the entries they came from, and snapshots by height."""

    world: World
    genesis: bytes
    blocks: tuple[Executed, ...]
    snapshots: dict[int, bytes]


@cache
def small_chain() -> SmallChain:
    """The same chain every time; whoever reads it must not change its world."""
    world = World(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    world.approve(world.contract("g", "c", [KWH] * 4))
    world.read({"g-sell": [KWH] * 4, "c-buy": [KWH] * 4})
    world.close(day=START)
    ledger, taken = Ledger(world.genesis_bytes), {}
    for entry in world.entries:
        ledger.execute(entry, verify_each)
        if ledger.tip is not None and ledger.tip.state_root:
            taken[ledger.height] = snapshots.take(ledger)
    return SmallChain(world, world.genesis_bytes, tuple(world.executed), taken)


def stored(path: Path, *, blocks: int = 99, batch: int = 3, snapshot: bool = True, signed: bool = True) -> Path:
    """The small chain in a folder: its first blocks in batches, its newest snapshot among them, closed cleanly."""
    chain = small_chain()
    folder = ChainFolder.create(path, chain.genesis, segment_bytes=1_000)
    kept = chain.blocks[:blocks]
    for at in range(0, len(kept), batch):
        folder.append(kept[at : at + batch])
    heights = [height for height in chain.snapshots if height <= len(kept)]
    if snapshot and heights:
        folder.put_snapshot(heights[-1], chain.snapshots[heights[-1]])
    folder.close(chain.world.proposer if signed else None)
    return path


def fed(node: LoneNode, first: int, last: int = 99) -> list[Executed]:
    """Gives a node the small chain's transactions, block by block; returns what it finished."""
    finished = list[Executed]()
    for executed in small_chain().blocks[first - 1 : last]:
        now = Millis(executed.block.header.time_ms)
        rows = iter(executed.rows)
        for data in executed.block.transactions:
            commits = isinstance(Received(data).body.payload, CommitReadings)
            refused = node.accept(data, next(rows) if commits else None, now)
            assert refused is None, refused
        node.cut(now)
        finished += node.write(now).finished
    return finished
