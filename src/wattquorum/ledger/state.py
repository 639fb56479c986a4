"""The state: tables of immutable records, a journal to undo them, and the digests that prove them.

One writer at a time changes the state through `put` and `drop`; every change is journalled, so that a refused
transaction or an uncommitted block can be taken back to a mark. At the end of a block the changed entries, sorted,
are hashed onto the previous digest; at the end of an epoch the Merkle root over all sorted entries is taken, and
snapshots are compared with it. Indexes by day are derived, are rebuilt on load, and never enter a digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, Final

from wattquorum.foundation.codec import Address, Decoder, Digest, Record, Signed, Unsigned, encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.proofs import root_of
from wattquorum.ledger.transactions import Action, Energies, MeterPoint, Prices


class OfferStatus(IntEnum):
    """What became of an offer."""

    OPEN = 1
    ACCEPTED = 2
    WITHDRAWN = 3
    COUNTERED = 4


class ContractStatus(IntEnum):
    """Where a contract stands."""

    ACCEPTED = 1
    APPROVED = 2
    CANCELLED = 3
    LAPSED = 4
    SETTLED = 5


class DayStatus(IntEnum):
    """Where a delivery day stands."""

    OPEN = 1
    CLOSED = 2


class Chain(Record, frozen=True):
    """What the ledger remembers of itself."""

    epoch: Unsigned
    epoch_started_ms: Unsigned
    parameter_starts: tuple[Unsigned, ...]  # from which height each version of the parameters is in force
    days_closed: Unsigned
    approvals_needed: Unsigned


def version_in_force(chain: Chain, height: int) -> int:
    """The version of the parameters that holds at a height (L-25)."""
    return max(version for version, start in enumerate(chain.parameter_starts) if start <= height)


class MemberSide(Record, frozen=True):
    """What an account can inject or withdraw, and what it earned on that side (A-9, B-1, L-12)."""

    meters: tuple[str, ...]
    feeder: str  # of its first meter: the page on which it is settled
    limit_w: Unsigned
    credit: Unsigned  # C
    trust: Unsigned  # T
    traded: Unsigned  # N [Wh]


class Meter(Record, frozen=True):
    """A registered meter point, whose it is, and since when: it counts on days that begin from then on."""

    member: Address
    point: MeterPoint
    since_ms: Unsigned

    def counts_on(self, day: Day) -> bool:
        """Whether its readings belong to a day: registered before it began, and on one of its feeders."""
        return self.since_ms <= day.window.start_ms and self.point.feeder in day.feeders


class Proposal(Record, frozen=True):
    """An action that governors are deciding on."""

    action: Action
    approvals: tuple[Address, ...]


class Day(Record, frozen=True):
    """A published delivery day; tariffs never change once it is published (L-6, L-13)."""

    window: Window
    feeders: tuple[str, ...]
    feed_in: Prices
    grid_price: Prices
    over_grid_fee: Prices
    gate_ms: Unsigned
    readings_due_ms: Unsigned
    substitute_ms: Unsigned
    final_ms: Unsigned
    parameters_version: Unsigned
    status: DayStatus
    pages: tuple[str, ...]  # feeders whose page is closed, ascending


class OpenOffer(Record, frozen=True):
    """An offer or counter-offer."""

    author: Address
    side: Side
    partner: bytes  # empty: public
    energy: Energies
    price: Prices
    valid_until_ms: Unsigned
    answers: bytes  # the offer that it counters; empty for a first offer
    status: OfferStatus


class Contract(Record, frozen=True):
    """A promise by both sides for one delivery day."""

    seller: Address
    buyer: Address
    energy: Energies  # what is promised now, after curtailments
    price: Prices
    status: ContractStatus
    cancelled_by: bytes  # the side that asked first; empty
    seller_lock: Unsigned  # collateral still locked
    buyer_lock: Unsigned
    seller_stake: Unsigned  # collateral as locked at acceptance
    buyer_stake: Unsigned


class Settled(Record, frozen=True):
    """A contract's settlement in sums over its intervals; what a correction is the difference to (L-11)."""

    energy: Signed
    over_grid_fee: Signed
    grid_purchase: Signed
    grid_sale: Signed
    seller_compensation: Unsigned
    buyer_compensation: Unsigned
    seller_tested: Unsigned  # promised in tested intervals [Wh]
    buyer_tested: Unsigned
    seller_shortfall: Unsigned  # [Wh]
    buyer_shortfall: Unsigned
    seller_fine: Unsigned
    buyer_fine: Unsigned
    revision: Unsigned


class Position(Record, frozen=True):
    """A member's energy beyond its promises: one grid position per side and interval (L-2), in sums."""

    metered: Unsigned  # [Wh]
    residual: Unsigned  # [Wh]
    money: Signed  # from the member to the grid when buying, from the grid when selling
    revision: Unsigned


class MemberDay(Record, frozen=True):
    """What a day did to a member's standing on one side; the basis of fines and of corrections (L-5)."""

    promised: Unsigned
    delivered: Unsigned
    defaulted: Unsigned  # 1 or 0
    credit_before: Unsigned
    credit_after: Unsigned
    trust_before: Unsigned
    trust_after: Unsigned
    fine_points: Unsigned


class ReadingSet(Record, frozen=True):
    """Where a meter's readings of a day stand: the root on the chain and the place among its rows."""

    root: Digest
    position: Unsigned
    version: Unsigned


class Fault(Record, frozen=True):
    """A recorded line fault at one meter for intervals [first, end)."""

    first: Unsigned
    end: Unsigned
    reason: str


class Debt(Record, frozen=True):
    """What a debtor could not pay (L-7)."""

    debtor: Address
    creditor: Address
    amount: Unsigned
    kind: Unsigned
    day: Unsigned
    contract: bytes


class Payout(Record, frozen=True):
    """Money set aside for a withdrawal."""

    member: Address
    amount: Unsigned


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


class Promise(Record, frozen=True):
    """A member's promises of a day and side, summed over its contracts."""

    energy: Energies


class Reference(Record, frozen=True):
    """A cashier's reference that was used."""

    moment_ms: Unsigned


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
}

DAY_KEY_BYTES: Final = 8
_BY_DAY: Final = frozenset(
    {
        Table.OFFER,
        Table.CONTRACT,
        Table.PROMISE,
        Table.READING,
        Table.FAULT,
        Table.MEMBER_DAY,
        Table.SETTLED,
        Table.POSITION,
    }
)


def day_key(day: int) -> bytes:
    """The key of a delivery day: its start [ms] as eight big-endian bytes, so that keys sort by time."""
    return day.to_bytes(DAY_KEY_BYTES, "big")


def side_key(address: bytes, side: Side) -> bytes:
    """The key of one side of a member."""
    return address + bytes((side,))


class Entry(Record, frozen=True):
    """One entry of the state as it is hashed and stored; an empty value means that it was dropped."""

    table: Unsigned
    key: bytes
    value: bytes


_Change = tuple[Table, bytes, Any]


class State:
    """All tables, with a journal. `get` returns records that nobody can change."""

    __slots__ = ("_day_index", "_journal", "_tables")

    def __init__(self) -> None:
        self._tables: dict[Table, dict[bytes, Any]] = {table: {} for table in Table}
        self._day_index: dict[Table, dict[bytes, dict[bytes, None]]] = {
            table: {} for table in Table if table in _BY_DAY
        }
        self._journal: list[_Change] = []

    def get(self, table: Table, key: bytes) -> Any:
        """The record at a key, or None."""
        return self._tables[table].get(key)

    def put(self, table: Table, key: bytes, record: Any) -> None:
        """Writes a record, journalled."""
        entries = self._tables[table]
        before = entries.get(key)
        self._journal.append((table, key, before))
        entries[key] = record
        if before is None and table in _BY_DAY:
            self._day_index[table].setdefault(key[:DAY_KEY_BYTES], {})[key] = None

    def drop(self, table: Table, key: bytes) -> None:
        """Removes a record, journalled."""
        before = self._tables[table].pop(key, None)
        if before is not None:
            self._journal.append((table, key, before))
            self._unindex(table, key)

    def _unindex(self, table: Table, key: bytes) -> None:
        if table in _BY_DAY:
            day = key[:DAY_KEY_BYTES]
            keys = self._day_index[table][day]
            del keys[key]
            if not keys:
                del self._day_index[table][day]

    def of_day(self, table: Table, day: int) -> list[bytes]:
        """The keys of a table that belong to a delivery day, ascending."""
        return sorted(self._day_index[table].get(day_key(day), {}))

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
            if before is None:
                del self._tables[table][key]
                self._unindex(table, key)
            else:
                if key not in self._tables[table] and table in _BY_DAY:
                    self._day_index[table].setdefault(key[:DAY_KEY_BYTES], {})[key] = None
                self._tables[table][key] = before

    def changes(self) -> list[Entry]:
        """What changed since the last commit, sorted by table and key, with the values of now.

        An entry that was created and dropped in between is left out; one that was dropped has an empty value.
        """
        first: dict[tuple[Table, bytes], Any] = {}
        for table, key, before in self._journal:
            first.setdefault((table, key), before)
        entries = []
        for (table, key), before in sorted(first.items(), key=_by_place):
            now = self._tables[table].get(key)
            if now is not None:
                entries.append(Entry(table, key, encode(now)))
            elif before is not None:
                entries.append(Entry(table, key, b""))
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
        return root_of([encode(entry) for entry in self.entries()])


def _by_place(item: tuple[tuple[Table, bytes], Any]) -> tuple[Table, bytes]:
    return item[0]


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
