"""A chain whose snapshot was made up: its state names a stranger as the only voter, and the stranger vouches for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.ledger.world import key_of
from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.ledger import snapshots
from wattquorum.ledger.blocks import order
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.seats import Seat, Validator, Vector
from wattquorum.ledger.state import Table
from wattquorum.ledger.validators import version_place


class Usurped(NamedTuple):
    """The blocks of such a chain, and the snapshot after the block at `height`."""

    executed: tuple[Executed, ...]
    height: int
    snapshot: bytes

    @property
    def blocks(self) -> list[bytes]:
        return [each.data for each in self.executed]


def usurped(genesis_bytes: bytes, entries: Sequence[bytes]) -> Usurped:
    """The last entry's block gets the root of a state in which the stranger votes; the stranger orders two more."""
    ledger = Ledger(genesis_bytes)
    executed = [ledger.execute(entry, verify_each) for entry in entries]
    thief = key_of("thief")
    replica = address_of(ledger.chain_id, thief.public)
    ledger.state.put(Table.VECTOR, version_place(0), Vector((Voter(replica, 1),), (), 0, b""))
    ledger.state.put(Table.VALIDATOR, replica, Validator(thief.public, b"", Seat.VOTER, 0, 0, 0))
    ledger.state.commit()
    last = executed.pop()
    block = changed(last.block, header=changed(last.block.header, state_root=ledger.state.root()))
    executed.append(last._replace(block=block, data=encode(block)))
    ledger.stand_at(block.header)
    height, snapshot = ledger.height, snapshots.take(ledger)
    for _ in range(2):
        assert ledger.tip is not None
        entry = order(thief, ledger.chain_id, ledger.tip.time_ms + 1, ledger.applied, ())
        executed.append(ledger.execute(entry, verify_each))
    return Usurped(tuple(executed), height, snapshot)
