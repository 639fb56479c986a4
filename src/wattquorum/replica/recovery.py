"""Recovery: a ledger from what its chain left on a disk.

A snapshot, if there is one, and then every later block: the entry that was ordered is told again from the block and
the rows beside it, executed, and the block that comes out must be the stored one to the last byte. So a replica never
goes on from a state that its own chain does not prove. An audit checks more (see `ledger.audit`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.blocks import Block, Header, Ordered, decode_block, ordered_of, read_rows
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.replay import replayed
from wattquorum.ledger.transactions import CommitReadings, Received

Rows = Callable[[bytes], bytes | None]


def recovered(
    genesis_bytes: bytes, snapshot: bytes | None, blocks: Iterable[bytes], rows: Rows, verify: Verifier, signed: int = 0
) -> Ledger:
    """The ledger after the last of `blocks`.

    `blocks` are the encoded blocks of one chain, in order: from the first, or from the one that the snapshot was
    taken after. `rows` gives the rows of a root, or None. A snapshot is gone on from only if a proposer vouches for
    its block: by a tip signed at height `signed`, or by a later proposal. Raises Refused: snapshot_wrong,
    rows_missing, chain_altered with the height as value, or what a genesis is refused for.
    """
    rest = iter(blocks)
    ledger = Ledger(genesis_bytes) if snapshot is None else _restored(genesis_bytes, snapshot, next(rest, b""), rows)
    begun = ledger.height
    stored: deque[tuple[Header, bytes]] = deque()

    def ordered() -> Iterator[Ordered]:
        for data in rest:
            block = decode_block(data)
            stored.append((block.header, data))
            yield ordered_again(block, rows)

    for executed in replayed(ledger, ordered(), verify):
        header, data = stored.popleft()
        if header.proposer.hex() in ledger.genesis.proposers:  # a snapshot may make up voters, but no founders
            signed = max(signed, header.applied.height)
        if executed.data != data:
            raise Refused("chain_altered", "block", header.height, "Executing it again gives another block.")
    if signed < begun:
        raise Refused("snapshot_wrong", "height", begun, "No proposer has signed anything over its block.")
    return ledger


def _restored(genesis_bytes: bytes, snapshot: bytes, at: bytes, rows: Rows) -> Ledger:
    ledger = snapshots.restore(genesis_bytes, snapshot)
    if not at or decode_block(at).header != ledger.tip:
        raise Refused("snapshot_wrong", "height", ledger.height)
    for root in snapshots.rows_needed(ledger):
        data = rows(root)
        if data is None:
            raise Refused("rows_missing", "root", root)
        ledger.shelf.load(data, root)
    return ledger


def ordered_again(block: Block, rows: Rows) -> Ordered:
    """The entry that a block was made from, but for attachments that nothing in it looked at."""
    attachments: dict[bytes, bytes] = {}
    for data, receipt in zip(block.transactions, block.receipts, strict=True):
        payload = Received(data).body.payload if read_rows(receipt) else None
        if isinstance(payload, CommitReadings):
            found = rows(payload.root)
            if found is None:
                raise Refused(
                    "rows_missing", f"block {block.header.height}", payload.root, "Begin at a later snapshot."
                )
            attachments[payload.root] = found
    return ordered_of(block, attachments.values())
