"""The state: tables of immutable records, a journal to undo them, and the digests that prove them.

One writer at a time changes the state through `put` and `drop`; every change is journalled, so that a refused
transaction or an uncommitted block can be taken back to a mark. At the end of a block the changed entries, sorted,
are hashed onto the previous digest; at the end of an epoch the Merkle root over all sorted entries is taken, and
snapshots are compared with it. The index is derived, is rebuilt on load, and never enters a digest; with it a page, a
correction or a debtor's payment looks at what concerns it and not at the whole market.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any, Final

from wattquorum.foundation.codec import Decoder, Record, Unsigned, encode
from wattquorum.foundation.identities import ADDRESS_BYTES, tagged_hash
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.entities import (
    Chain,
    Contract,
    Day,
    Debt,
    Fault,
    FlowVersion,
    MemberDay,
    MemberSide,
    Meter,
    OpenOffer,
    Payout,
    Position,
    Promise,
    Proposal,
    ReadingSet,
    Reference,
    Sealed,
    Settled,
)
from wattquorum.ledger.holdings import Bundle, CarbonAccount, Certified, Device, Holding, Registry, Sale
from wattquorum.ledger.offices import Agents, Attended, Backers, Elector, Office
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.proofs import leaf_hash, root_of_hashes
from wattquorum.ledger.seats import KeptRound, Seats, Validator, Vector


class Table(IntEnum):
    """The tables of the state; the number is part of every digest."""

    CHAIN = 0
    ACCOUNT = 1
    METER = 2
    PARAMETERS = 3
    PROPOSAL = 4
    DAY = 5
    OFFER = 6
    CONTRACT = 7
    PROMISE = 8
    READING = 9
    FAULT = 10
    SIDE = 11
    MEMBER_DAY = 12
    DEBT = 13
    PAYOUT = 14
    REFERENCE = 15
    SETTLED = 16
    POSITION = 17
    SEALED = 18
    CERTIFIED = 20
    DEVICE = 21
    BUNDLE = 22
    SALE = 23
    HOLDING = 24
    REGISTRY = 25
    CARBON = 26
    FLOW = 30
    VALIDATOR = 40
    VECTOR = 41
    SEATS = 42
    ROUND = 43
    AGENTS = 44
    ELECTOR = 45
    OFFICE = 46
    BACKERS = 47
    ATTENDED = 48


KINDS: Final[dict[Table, Any]] = {
    Table.CHAIN: Chain,
    Table.ACCOUNT: Account,
    Table.METER: Meter,
    Table.PARAMETERS: Parameters,
    Table.PROPOSAL: Proposal,
    Table.DAY: Day,
    Table.OFFER: OpenOffer,
    Table.CONTRACT: Contract,
    Table.PROMISE: Promise,
    Table.READING: ReadingSet,
    Table.FAULT: Fault,
    Table.SIDE: MemberSide,
    Table.MEMBER_DAY: MemberDay,
    Table.DEBT: Debt,
    Table.PAYOUT: Payout,
    Table.REFERENCE: Reference,
    Table.SETTLED: Settled,
    Table.POSITION: Position,
    Table.SEALED: Sealed,
    Table.CERTIFIED: Certified,
    Table.DEVICE: Device,
    Table.BUNDLE: Bundle,
    Table.SALE: Sale,
    Table.HOLDING: Holding,
    Table.REGISTRY: Registry,
    Table.CARBON: CarbonAccount,
    Table.FLOW: FlowVersion,
    Table.VALIDATOR: Validator,
    Table.VECTOR: Vector,
    Table.SEATS: Seats,
    Table.ROUND: KeptRound,
    Table.AGENTS: Agents,
    Table.ELECTOR: Elector,
    Table.OFFICE: Office,
    Table.BACKERS: Backers,
    Table.ATTENDED: Attended,
}

DAY_KEY_BYTES: Final = 8
INTERVAL_KEY_BYTES: Final = 2  # of a fault's first interval, and of its end


def day_key(day: int) -> bytes:
    """The key of a delivery day: its start [ms] as eight big-endian bytes, so that keys sort by time."""
    return day.to_bytes(DAY_KEY_BYTES, "big")


_SIDE_BYTES: Final = {side: bytes((side,)) for side in Side}


def side_key(address: bytes, side: Side) -> bytes:
    """The key of one side of a member."""
    return address + _SIDE_BYTES[side]


def _of_day(key: bytes, _record: Any) -> tuple[bytes, ...]:
    return (key[:DAY_KEY_BYTES],)


def _of_account(_key: bytes, account: Account) -> tuple[bytes, ...]:
    return (account.name.lower().encode("ascii"),)


def _of_offer(key: bytes, offer: OpenOffer) -> tuple[bytes, ...]:
    day = key[:DAY_KEY_BYTES]
    return day, day + offer.author


def _of_contract(key: bytes, contract: Contract) -> tuple[bytes, ...]:
    day = key[:DAY_KEY_BYTES]
    return day, day + side_key(contract.seller, Side.SELL), day + side_key(contract.buyer, Side.BUY)


def _of_fault(key: bytes, _record: Fault) -> tuple[bytes, ...]:
    return key[:DAY_KEY_BYTES], key[: -2 * INTERVAL_KEY_BYTES]


def _of_side(_key: bytes, member: MemberSide) -> tuple[bytes, ...]:
    return (member.feeder.encode("ascii"),)


def _of_debt(_key: bytes, debt: Debt) -> tuple[bytes, ...]:
    return debt.debtor, debt.debtor + debt.creditor


def _of_payout(_key: bytes, payout: Payout) -> tuple[bytes, ...]:
    return (payout.member,)


def expiry_place(day: int) -> bytes:
    """Where bundles are listed that expire on a day, counted from 1970."""
    return day.to_bytes(INTERVAL_KEY_BYTES + DAY_KEY_BYTES, "big")


def _of_bundle(key: bytes, bundle: Bundle) -> tuple[bytes, ...]:
    return key[:ADDRESS_BYTES], expiry_place(bundle.expires_ms // MS_PER_DAY)


def _of_sale(_key: bytes, sale: Sale) -> tuple[bytes, ...]:
    return (sale.seller,)


# Under which places an entry is listed: a day, a member or its side on a day, a meter on a day, a feeder, a debtor
# alone or with its creditor, who asked for a payout, a name, an owner, a day of expiry, a seller. An entry keeps its
# places for as long as it is there, however its record changes.
_PLACES: Final[dict[Table, Callable[[bytes, Any], tuple[bytes, ...]]]] = {
    Table.ACCOUNT: _of_account,
    Table.OFFER: _of_offer,
    Table.CONTRACT: _of_contract,
    Table.PROMISE: _of_day,
    Table.READING: _of_day,
    Table.FAULT: _of_fault,
    Table.SIDE: _of_side,
    Table.MEMBER_DAY: _of_day,
    Table.DEBT: _of_debt,
    Table.PAYOUT: _of_payout,
    Table.SETTLED: _of_day,
    Table.POSITION: _of_day,
    Table.CERTIFIED: _of_day,
    Table.BUNDLE: _of_bundle,
    Table.SALE: _of_sale,
    Table.FLOW: _of_day,
}


class Entry(Record, frozen=True):
    """One entry of the state as it is hashed and stored; an empty value means that it was dropped."""

    table: Unsigned
    key: bytes
    value: bytes


Change = tuple[Table, bytes, Any]  # an entry and the record that it had, or is to have; None: none


class State:
    """All tables, with a journal. `get` returns records that nobody can change."""

    __slots__ = ("_index", "_journal", "_leaves", "_tables")

    def __init__(self) -> None:
        self._tables: dict[Table, dict[bytes, Any]] = {table: {} for table in Table}
        self._index: dict[Table, dict[bytes, dict[bytes, None]]] = {table: {} for table in _PLACES}
        self._journal: list[Change] = []
        # The leaf hashes of entries that did not change since the root was computed last: most of them, in most epochs.
        self._leaves: dict[Table, dict[bytes, bytes]] = {table: {} for table in Table}

    def get(self, table: Table, key: bytes) -> Any:
        """The record at a key, or None."""
        return self._tables[table].get(key)

    def put(self, table: Table, key: bytes, record: Any) -> None:
        """Writes a record, journalled."""
        entries = self._tables[table]
        before = entries.get(key)
        self._journal.append((table, key, before))
        entries[key] = record
        self._leaves[table].pop(key, None)
        if before is None:
            self._list(table, key, record)

    def drop(self, table: Table, key: bytes) -> None:
        """Removes a record, journalled."""
        before = self._tables[table].pop(key, None)
        if before is not None:
            self._journal.append((table, key, before))
            self._leaves[table].pop(key, None)
            self._unlist(table, key, before)

    def _list(self, table: Table, key: bytes, record: Any) -> None:
        places_of = _PLACES.get(table)
        if places_of is not None:
            listed = self._index[table]
            for place in places_of(key, record):
                listed.setdefault(place, {})[key] = None

    def _unlist(self, table: Table, key: bytes, record: Any) -> None:
        places_of = _PLACES.get(table)
        if places_of is not None:
            listed = self._index[table]
            for place in places_of(key, record):
                del listed[place][key]
                if not listed[place]:
                    del listed[place]

    def listed(self, table: Table, place: bytes) -> list[bytes]:
        """The keys of a table's entries at a place, ascending.

        Places: a day; a day and a member (offers), one side of a member (contracts), or a meter (faults); a feeder
        (members' sides); a debtor, alone or followed by its creditor (debts); a member (payouts); a name in small
        letters (accounts); an owner or a day of expiry (bundles); a seller (sales).
        """
        return sorted(self._index[table].get(place, ()))

    def lists(self, table: Table) -> bool:
        """Whether a table's entries are listed at places."""
        return table in self._index

    def count_at(self, table: Table, place: bytes) -> int:
        """How many of a table's entries are listed at a place."""
        return len(self._index[table].get(place, ()))

    def of_day(self, table: Table, day: int) -> list[bytes]:
        """The keys of a table that belong to a delivery day, ascending."""
        return self.listed(table, day_key(day))

    def items(self, table: Table) -> Iterator[tuple[bytes, Any]]:
        """All entries of a table by ascending key."""
        entries = self._tables[table]
        for key in sorted(entries):
            yield key, entries[key]

    def count(self, table: Table) -> int:
        """How many entries a table has."""
        return len(self._tables[table])

    # Marks and digests

    def mark(self) -> int:
        """A point to roll back to."""
        return len(self._journal)

    def roll_back(self, mark: int) -> None:
        """Takes back every change since the mark."""
        while len(self._journal) > mark:
            table, key, before = self._journal.pop()
            entries = self._tables[table]
            self._leaves[table].pop(key, None)
            if before is None:
                self._unlist(table, key, entries.pop(key))
            else:
                if key not in entries:
                    self._list(table, key, before)
                entries[key] = before

    def take_back(self, mark: int) -> tuple[Change, ...]:
        """Takes back every change since the mark, and tells them, so that `redo` can make them again on this state."""
        touched = dict.fromkeys((table, key) for table, key, _ in self._journal[mark:])
        made = tuple((table, key, self._tables[table].get(key)) for table, key in touched)
        self.roll_back(mark)
        return made

    def redo(self, changes: Iterable[Change]) -> None:
        """Makes changes again that were taken back, journalled."""
        for table, key, record in changes:
            if record is None:
                self.drop(table, key)
            else:
                self.put(table, key, record)

    def changes(self) -> list[Entry]:
        """What changed since the last commit, sorted by table and key, with the values of now.

        An entry that is what it was, or was created and dropped in between, is left out, so that a digest tells of the
        state and not of the way there; one that was dropped has an empty value.
        """
        first: dict[Table, dict[bytes, Any]] = {}
        for table, key, before in self._journal:
            first.setdefault(table, {}).setdefault(key, before)
        entries = []
        for table in sorted(first):
            current, before_of = self._tables[table], first[table]
            for key in sorted(before_of):
                now, before = current.get(key), before_of[key]
                if now != before:
                    entries.append(Entry(table, key, b"" if now is None else encode(now)))
        return entries

    def commit(self) -> None:
        """Forgets the journal: what was done stays."""
        self._journal.clear()

    def entries(self) -> Iterator[Entry]:
        """All entries, sorted by table and key."""
        for table in Table:
            for key, record in self.items(table):
                yield Entry(table, key, encode(record))

    def root(self) -> bytes:
        """The Merkle root over all sorted entries."""
        hashes = []
        for table, entries in self._tables.items():
            leaves = self._leaves[table]
            for key in sorted(entries):
                leaf = leaves.get(key)
                if leaf is None:
                    leaf = leaves[key] = leaf_hash(encode(Entry(table, key, encode(entries[key]))))
                hashes.append(leaf)
        return root_of_hashes(hashes)


def next_digest(previous: bytes, changes: Iterable[Entry]) -> bytes:
    """H(previous digest, sorted changes)."""
    return tagged_hash("state", previous, *(encode(entry) for entry in changes))


_decoders: Final[dict[Table, Decoder[Any]]] = {
    table: Decoder(kind, table.name.lower()) for table, kind in KINDS.items()
}


def restored(entries: Iterable[Entry]) -> State:
    """A state from its sorted entries; Refused when they are not sorted, not unique or not canonical."""
    state, last = State(), (-1, b"")
    for entry in entries:
        place = (entry.table, entry.key)
        if place <= last or entry.table not in KINDS:
            raise Refused("snapshot_wrong", "entry", entry.key, "Entries must be unique and sorted by table and key.")
        last = place
        table = Table(entry.table)
        state.put(table, entry.key, _decoders[table].decode(entry.value))
    state.commit()
    return state
