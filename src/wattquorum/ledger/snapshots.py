"""Snapshots: the state of an epoch's last block, as bytes that prove themselves.

A snapshot holds the header it was taken at and every entry of the state, sorted. It is believed only when the Merkle
root over its entries is the header's state root and the header's hash is one the reader knows: from the next block,
or from somebody it trusts. Rows of readings that open days need stand beside it, as they stand beside the chain.
"""

from __future__ import annotations

from typing import Final

from wattquorum.foundation.codec import Decoder, Record, Unsigned, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Header
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.metering import rows_in_use
from wattquorum.ledger.proofs import root_of
from wattquorum.ledger.state import Entry, restored

FORMAT: Final = 1


class Snapshot(Record, frozen=True):
    """The state after a block that ended an epoch."""

    format: Unsigned
    header: Header
    entries: tuple[Entry, ...]


_snapshots: Final = Decoder[Snapshot](Snapshot, "snapshot")


def take(ledger: Ledger) -> bytes:
    """A snapshot of the tip; Refused("snapshot_wrong") when the tip did not end an epoch."""
    if ledger.tip is None or not ledger.tip.state_root:
        raise Refused("snapshot_wrong", "height", ledger.height, "Take snapshots after an epoch's last block.")
    return encode(Snapshot(FORMAT, ledger.tip, tuple(ledger.state.entries())))


def read(data: bytes) -> Snapshot:
    """A snapshot from its bytes, strictly."""
    snapshot = _snapshots.decode(data)
    if snapshot.format != FORMAT:
        raise Refused("snapshot_wrong", "format", snapshot.format, f"This version reads format {FORMAT}.")
    return snapshot


def restore(genesis_bytes: bytes, data: bytes) -> Ledger:
    """A ledger that goes on from a snapshot; Refused("snapshot_wrong") when its entries do not have the header's root.

    That the header belongs to the chain is for the caller to know. `rows_needed` names the rows to put on the shelf.
    """
    snapshot = read(data)
    if not snapshot.header.state_root or root_of(list(map(encode, snapshot.entries))) != snapshot.header.state_root:
        raise Refused("snapshot_wrong", "state_root", snapshot.header.state_root)
    ledger = Ledger(genesis_bytes)
    ledger.state = restored(snapshot.entries)
    ledger.stand_at(snapshot.header)
    return ledger


def rows_needed(ledger: Ledger) -> list[bytes]:
    """The roots of rows that open days may still settle on, ascending."""
    return rows_in_use(ledger.state)
