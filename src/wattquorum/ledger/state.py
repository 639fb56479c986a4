"""The state: tables of immutable records, a journal to undo them, and the digests that prove them.

One writer at a time changes the state through `put` and `drop`; every change is journalled, so that a refused
transaction or an uncommitted block can be taken back to a mark. At the end of a block the changed entries, sorted,
are hashed onto the previous digest; at the end of an epoch the Merkle root over all sorted entries is taken, and
snapshots are compared with it. The index is derived, is rebuilt on load, and never enters a digest; with it a page, a
correction or a debtor's payment looks at what concerns it and not at the whole market.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any, Final

from wattquorum.foundation.codec import Address, Decoder, Digest, Record, Signed, Unsigned, encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.proofs import leaf_hash, root_of_hashes
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
    SETTLING = 2  # from the first settlement on: promises and faults stand
    CLOSED = 3


class Chain(Record, frozen=True):
    """What the ledger remembers of itself."""

    epoch: Unsigned
    epoch_started_ms: Unsigned
    parameter_starts: tuple[Unsigned, ...]  # the first height of each version of the parameters; never falling
    days_closed: Unsigned
    approvals_needed: Unsigned


def version_in_force(chain: Chain, height: int) -> int:
    """The version of the parameters that holds at a height (L-25)."""
    return bisect_right(chain.parameter_starts, height) - 1


class MemberSide(Record, frozen=True):
    """What an account can inject or withdraw, and what it earned on that side (A-9, A-11, A-15, B-1, L-12)."""

    meters: tuple[str, ...]
    feeder: str  # of its first meter: the page on which it is settled
    limit_w: Unsigned
    credit: Unsigned  # C
    trust: Unsigned  # T
    traded: Unsigned  # N [Wh]
    volume: Unsigned  # of the last closed day (A-11) [millionths of a point]
    transmissions: Unsigned  # N_i of A-15: intervals in which it promised energy, over all closed days
    failed: Unsigned  # F_i of A-15: those of them under a recorded line fault


class Meter(Record, frozen=True):
    """A registered meter point, whose it is, and since when."""

    member: Address
    point: MeterPoint
    since_ms: Unsigned

    def counts_on(self, day: Day, owner: Account) -> bool:
        """Whether its readings belong to a day.

        It was registered before the day began, on one of the day's feeders, and its owner had not left when the day
        was published (L-24).
        """
        joined = self.since_ms <= day.window.start_ms and self.point.feeder in day.feeders
        return joined and (not owner.left_ms or day.published_ms <= owner.left_ms)


class Proposal(Record, frozen=True):
    """An action that governors are deciding on."""

    action: Action
    approvals: tuple[Address, ...]
    expires_ms: Unsigned


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
    published_ms: Unsigned
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
    credit_beyond: Signed  # what corrections of the day would have changed beyond 0..100 points
    trust_beyond: Signed


class Sealed(Record, frozen=True):
    """That a day was sealed, and when; so much stays of it, for disputes (L-11)."""

    moment_ms: Unsigned


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
    bars: bool  # from trading, until it is paid; not where a correction took back a share of somebody else's fine


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
    SEALED = 18


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
    Table.SEALED: Sealed,
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


# Under which places an entry is listed: a day, a member or its side on a day, a meter on a day, a feeder, a debtor
# alone or with its creditor, who asked for a payout, a name. An entry keeps its places for as long as it is there,
# however its record changes.
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
}


class Entry(Record, frozen=True):
    """One entry of the state as it is hashed and stored; an empty value means that it was dropped."""

    table: Unsigned
    key: bytes
    value: bytes


_Change = tuple[Table, bytes, Any]


class State:
    """All tables, with a journal. `get` returns records that nobody can change."""

    __slots__ = ("_index", "_journal", "_leaves", "_tables")

    def __init__(self) -> None:
        self._tables: dict[Table, dict[bytes, Any]] = {table: {} for table in Table}
        self._index: dict[Table, dict[bytes, dict[bytes, None]]] = {table: {} for table in _PLACES}
        self._journal: list[_Change] = []
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
        letters (accounts).
        """
        return sorted(self._index[table].get(place, ()))

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
