"""Forgetting rows of readings once their retention has passed (L-23).

The chain keeps their roots for ever and needs the rows no more, as long as a replay can begin at a snapshot that was
taken after them. Rows that days still open in that snapshot may be settled on stay, however old they are.
"""

from __future__ import annotations

from wattquorum.ledger import snapshots
from wattquorum.node.chain_folder import ChainFolder


def forget_rows(folder: ChainFolder, before_ms: int) -> list[bytes]:
    """Deletes rows of blocks before a moment, but for those that the newest snapshot needs; returns their roots.

    The folder is open for writing. Raises Refused("snapshot_missing") when rows would go that only the blocks after
    the newest snapshot can be replayed with.
    """
    taken = folder.snapshots()
    needed: list[bytes] = []
    if taken:
        restored = snapshots.restore(folder.genesis_bytes, folder.snapshot(taken[-1]))
        needed = snapshots.rows_needed(restored)
    return folder.prune_rows(before_ms, needed)
