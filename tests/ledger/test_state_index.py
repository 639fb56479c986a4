"""What the state lists by place is what its entries say, whatever was put, changed, dropped and taken back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.codec import changed
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import Contract, ContractStatus, Debt, Fault, MemberSide
from wattquorum.ledger.holdings import Bundle, BundleStatus, Sale
from wattquorum.ledger.state import State, Table, day_key, expiry_place, restored, side_key

MEMBERS = [bytes([i]) * 20 for i in (1, 2, 3)]
DAYS = (0, 86_400_000)
FEEDERS = ("f1", "f2")
METERS = (b"m", b"mm")

members, days = st.sampled_from(MEMBERS), st.sampled_from(DAYS)


@st.composite
def entries(draw: st.DrawFn) -> tuple[Table, bytes, Any]:
    """An entry of one of the tables that are listed by more than a day; equal keys have equal places."""
    number = draw(st.integers(0, 3))
    day, member = draw(days), MEMBERS[number % 3]
    table = draw(st.sampled_from([Table.CONTRACT, Table.FAULT, Table.SIDE, Table.DEBT, Table.BUNDLE, Table.SALE]))
    if table is Table.CONTRACT:
        buyer = MEMBERS[(number + 1) % 3]
        status = draw(st.sampled_from(ContractStatus))
        record: Any = Contract(member, buyer, b"", b"\0" * 4, status, b"", 0, 0, 0, 0)
        return table, day_key(day) + bytes([number]) * 16, record
    if table is Table.FAULT:
        first = draw(st.integers(0, 3))
        key = day_key(day) + METERS[number % 2] + first.to_bytes(2, "big") + (first + 1).to_bytes(2, "big")
        return table, key, Fault(first, first + 1, "storm")
    if table is Table.SIDE:
        side = Side.SELL if number % 2 else Side.BUY
        record = MemberSide((), FEEDERS[number % 2], draw(st.integers(0, 9)), 0, 0, 0, 0, 0, 0)
        return table, side_key(member, side), record
    if table is Table.BUNDLE:
        # What changes of a bundle is its status; its expiry is its own for good.
        bundle = Bundle("m", 1, 0, 5, 0, 1, number * MS_PER_DAY, draw(st.sampled_from(BundleStatus)), counted=False)
        return table, member + bytes([number]) * 16, bundle
    if table is Table.SALE:
        return table, bytes([number]) * 16, Sale(member, bytes(16), draw(st.integers(1, 9)), b"", 5, 1)
    debt = Debt(member, MEMBERS[0], draw(st.integers(1, 9)), 3, day, b"", bars=True)
    return table, bytes([number]) * 16, debt


steps = st.lists(st.tuples(st.sampled_from(["put", "drop", "mark", "roll back", "commit"]), entries()), max_size=40)


def belongs(table: Table, key: bytes, record: Any, place: bytes) -> bool:
    """Whether an entry is to be found at a place, said without the index."""
    match table:
        case Table.CONTRACT:
            day = key[:8]
            return place in (day, day + record.seller + b"\x01", day + record.buyer + b"\x02")
        case Table.FAULT:
            return place in (key[:8], key[:-4])
        case Table.SIDE:
            return bool(place == record.feeder.encode())
        case Table.BUNDLE:
            return place in (key[:20], expiry_place(record.expires_ms // MS_PER_DAY))
        case Table.SALE:
            return bool(place == record.seller)
        case _:
            return bool(place == record.debtor)


def places(table: Table) -> list[bytes]:
    of_days = [day_key(day) for day in DAYS]
    match table:
        case Table.CONTRACT:
            return of_days + [day + side_key(member, side) for day in of_days for member in MEMBERS for side in Side]
        case Table.FAULT:
            return of_days + [day + meter for day in of_days for meter in METERS]
        case Table.SIDE:
            return [feeder.encode() for feeder in FEEDERS]
        case Table.BUNDLE:
            return [*MEMBERS, *(expiry_place(day) for day in range(4))]
        case _:
            return MEMBERS


def check(state: State) -> None:
    for table in (Table.CONTRACT, Table.FAULT, Table.SIDE, Table.DEBT, Table.BUNDLE, Table.SALE):
        for place in places(table):
            expected = [key for key, record in state.items(table) if belongs(table, key, record, place)]
            assert state.listed(table, place) == expected


@given(steps)
def test_entries_are_listed_where_they_belong(taken: list[tuple[str, tuple[Table, bytes, Any]]]) -> None:
    state, marks = State(), [0]
    for step, (table, key, record) in taken:
        match step:
            case "put":
                state.put(table, key, record)
            case "drop":
                state.drop(table, key)
            case "mark":
                marks.append(state.mark())
            case "roll back":
                state.roll_back(marks.pop() if len(marks) > 1 else 0)
            case _:
                state.commit()
                marks = [0]
        check(state)
    check(restored(state.entries()))


def test_a_record_that_changes_stays_listed_where_it_was() -> None:
    state, key = State(), day_key(0) + bytes(16)
    made = Contract(MEMBERS[0], MEMBERS[1], b"", bytes(4), ContractStatus.ACCEPTED, b"", 5, 5, 5, 5)
    state.put(Table.CONTRACT, key, made)
    mark = state.mark()
    state.put(Table.CONTRACT, key, changed(made, status=ContractStatus.SETTLED))
    assert state.listed(Table.CONTRACT, day_key(0) + side_key(MEMBERS[0], Side.SELL)) == [key]
    state.roll_back(mark)
    assert state.listed(Table.CONTRACT, day_key(0) + side_key(MEMBERS[1], Side.BUY)) == [key]
    state.roll_back(0)
    assert state.listed(Table.CONTRACT, day_key(0)) == []
