"""The state against a plain dictionary: journal, marks, changes, digests, day index, and what is restored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.entities import Debt, Fault, Payout, Promise, ReadingSet, Reference
from wattquorum.ledger.proofs import root_of
from wattquorum.ledger.state import Entry, State, Table, day_key, next_digest, restored

Place = tuple[Table, bytes]
DAYS = (0, 1, 2**40)
keys = st.sampled_from([b"", b"a", b"b", b"aa", b"\x00", b"\xff"])
numbers = st.integers(0, 2**63 - 1)


PEOPLE = (bytes(20), b"\x01" * 20)


@st.composite
def puts(draw: st.DrawFn) -> tuple[Table, bytes, Any]:
    """A table, a key and a record; some tables list their entries under places: a day, a meter, a debtor."""
    key, number = draw(keys), draw(numbers)
    day = day_key(draw(st.sampled_from(DAYS)))
    meter = draw(st.sampled_from([b"m", b"m1", b"m\x00"]))
    debtor = PEOPLE[len(key) % 2]  # an entry keeps its places
    return draw(
        st.sampled_from(
            [
                (Table.REFERENCE, key, Reference(number)),
                (Table.PAYOUT, key, Payout(bytes(20), number)),
                (Table.PROMISE, day + key, Promise(bytes(4))),
                (Table.READING, day + key, ReadingSet(bytes(32), number % 7, 1)),
                (Table.FAULT, day + meter + bytes((0, 1, 0, 2)), Fault(1, 2, str(number))),
                (Table.DEBT, key, Debt(debtor, PEOPLE[0], number, 3, 0, b"", True)),
            ]
        )
    )


class StateAgainstDictionary(RuleBasedStateMachine):
    """Random writes, drops, rollbacks and commits, on a state and on a dictionary that is copied whole."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.now: dict[Place, Any] = {}
        self.committed: dict[Place, Any] = {}
        self.marks: list[tuple[int, dict[Place, Any]]] = []

    @rule(put=puts())
    def put(self, put: tuple[Table, bytes, Any]) -> None:
        table, key, record = put
        self.state.put(table, key, record)
        self.now[table, key] = record

    @rule(put=puts())
    def drop(self, put: tuple[Table, bytes, Any]) -> None:
        table, key, _ = put
        self.state.drop(table, key)
        self.now.pop((table, key), None)

    @rule()
    def mark(self) -> None:
        self.marks.append((self.state.mark(), dict(self.now)))

    @rule(which=st.integers(0, 9))
    def roll_back(self, which: int) -> None:
        if self.marks:
            place = which % len(self.marks)
            mark, before = self.marks[place]
            self.state.roll_back(mark)
            self.now = dict(before)
            del self.marks[place + 1 :]

    @rule()
    def commit(self) -> None:
        self.state.commit()
        self.committed = dict(self.now)
        self.marks.clear()

    @invariant()
    def entries_are_those_of_the_dictionary(self) -> None:
        expected = [Entry(table, key, encode(self.now[table, key])) for table, key in sorted(self.now)]
        assert list(self.state.entries()) == expected
        assert self.state.root() == root_of([encode(each) for each in expected])
        for (table, key), record in self.now.items():
            assert self.state.get(table, key) is record
        for table in Table:
            assert self.state.count(table) == sum(each == table for each, _ in self.now)

    @invariant()
    def what_is_listed_is_what_the_keys_say(self) -> None:
        for table in (Table.PROMISE, Table.READING):
            for day in DAYS:
                expected = sorted(key for each, key in self.now if each == table and key[:8] == day_key(day))
                assert self.state.of_day(table, day) == expected
        for meter in (b"m", b"m1", b"m\x00"):
            place = day_key(DAYS[1]) + meter
            expected = sorted(key for each, key in self.now if each == Table.FAULT and key[:-4] == place)
            assert self.state.listed(Table.FAULT, place) == expected
        for debtor in PEOPLE:
            expected = sorted(
                key for (each, key), record in self.now.items() if each == Table.DEBT and record.debtor == debtor
            )
            assert self.state.listed(Table.DEBT, debtor) == expected

    @invariant()
    def changes_lead_from_the_last_commit_to_now(self) -> None:
        changes = self.state.changes()
        assert [(each.table, each.key) for each in changes] == sorted({(each.table, each.key) for each in changes})
        result = {place: encode(record) for place, record in self.committed.items()}
        for each in changes:
            if each.value:
                result[Table(each.table), each.key] = each.value
            else:
                # An empty value says that the entry was there before.
                del result[Table(each.table), each.key]
        assert result == {place: encode(record) for place, record in self.now.items()}

    @invariant()
    def what_is_restored_is_equal(self) -> None:
        again = restored(self.state.entries())
        assert list(again.entries()) == list(self.state.entries())
        assert again.changes() == []
        for table in (Table.PROMISE, Table.READING):
            for day in DAYS:
                assert again.of_day(table, day) == self.state.of_day(table, day)


StateAgainstDictionary.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestStateAgainstDictionary = StateAgainstDictionary.TestCase


def test_an_entry_that_came_and_went_between_two_commits_leaves_no_change() -> None:
    state = State()
    state.put(Table.REFERENCE, b"a", Reference(1))
    state.drop(Table.REFERENCE, b"a")
    assert state.changes() == []
    state.drop(Table.REFERENCE, b"never there")
    assert state.mark() == 2


def test_an_entry_that_is_what_it_was_at_the_last_commit_is_no_change() -> None:
    state = State()
    state.put(Table.REFERENCE, b"a", Reference(1))
    state.commit()
    state.put(Table.REFERENCE, b"a", Reference(2))
    state.put(Table.REFERENCE, b"a", Reference(1))
    assert state.changes() == []
    state.drop(Table.REFERENCE, b"a")
    state.put(Table.REFERENCE, b"a", Reference(1))
    assert state.changes() == []


def test_an_entry_that_was_dropped_is_a_change_with_an_empty_value() -> None:
    state = State()
    state.put(Table.REFERENCE, b"a", Reference(1))
    state.commit()
    state.drop(Table.REFERENCE, b"a")
    assert state.changes() == [Entry(Table.REFERENCE, b"a", b"")]


def test_the_digest_is_chained_and_covers_table_key_and_value() -> None:
    one, other = Entry(1, b"k", b"v"), Entry(2, b"k", b"v")
    assert next_digest(b"p", [one]) == tagged_hash("state", b"p", encode(one))
    digests = {
        next_digest(previous, changes)
        for previous in (bytes(32), bytes(31) + b"\x01")
        for changes in ([], [one], [other], [one, other], [Entry(1, b"k", b"")], [Entry(1, b"kv", b"")])
    }
    assert len(digests) == 12


GOOD = [Entry(Table.PAYOUT, b"a", encode(Payout(bytes(20), 1))), Entry(Table.REFERENCE, b"a", encode(Reference(1)))]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([GOOD[1], GOOD[0]], "snapshot_wrong"),
        ([GOOD[0], GOOD[0]], "snapshot_wrong"),
        ([GOOD[0], Entry(99, b"a", GOOD[0].value)], "snapshot_wrong"),
        ([Entry(Table.PAYOUT, b"a", b"")], "encoding_unreadable"),
        ([Entry(Table.PAYOUT, b"a", GOOD[0].value + b"\x00")], "encoding_unreadable"),
        ([Entry(Table.PAYOUT, b"a", GOOD[1].value)], "encoding_unreadable"),
        # 1 as a two-byte integer: the same value, not the same bytes.
        ([Entry(Table.REFERENCE, b"a", b"\x91\xcc\x01")], "encoding_noncanonical"),
    ],
)
def test_entries_that_are_unsorted_repeated_unknown_or_not_canonical_restore_nothing(
    entries: list[Entry], code: str
) -> None:
    with pytest.raises(Refused) as caught:
        restored(entries)
    assert caught.value.code == code


@given(st.lists(puts(), max_size=8), st.lists(puts(), max_size=8))
def test_a_rollback_to_a_mark_is_as_if_nothing_had_happened(
    before: list[tuple[Table, bytes, Any]], after: list[tuple[Table, bytes, Any]]
) -> None:
    state = State()
    for put in before:
        state.put(*put)
    entries, changes, mark = list(state.entries()), state.changes(), state.mark()
    for i, (table, key, record) in enumerate(after):
        if i % 3 == 2:
            state.drop(table, key)
        else:
            state.put(table, key, record)
    state.roll_back(mark)
    assert (list(state.entries()), state.changes(), state.mark()) == (entries, changes, mark)
