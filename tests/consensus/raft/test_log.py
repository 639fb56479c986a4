"""The log against a plain list of everything that was ever in it (I4 with it)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.consensus.raft.bench import A, nothing, of, payload, records_with
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.raft.entries import Entry, configuration_entry
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.records import kept
from wattquorum.foundation.codec import changed
from wattquorum.foundation.refusals import Refused

FOUNDING = of(1, 1, 1)


def log_with(terms: list[int]) -> Log:
    return kept(records_with(terms), FOUNDING).log


class Model:
    """A log as a list from index 1 on, and how many of its entries were let go of."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.forgotten = 0

    def configuration(self, index: int) -> Configuration:
        found = FOUNDING
        for entry in self.entries[:index]:
            if entry in CONFIGURATIONS:
                found = CONFIGURATIONS[entry]
        return found


def joint_or_not(version: int, powers: tuple[int, ...]) -> Configuration:
    plain = of(*powers, version=version)
    return changed(plain, old=(Voter(A, 1),)) if version % 2 else plain


CONFIGURATIONS = {
    configuration_entry(term, joint_or_not(version, (version, 1))): joint_or_not(version, (version, 1))
    for version in range(1, 6)
    for term in range(1, 6)
}
entries = (
    st.builds(payload, st.integers(1, 5)) | st.builds(nothing, st.integers(1, 5)) | st.sampled_from([*CONFIGURATIONS])
)
appends = st.tuples(st.just("append"), st.lists(entries, max_size=4))
cuts = st.tuples(st.just("truncate") | st.just("forget"), st.integers(0, 12))


@given(st.lists(appends | cuts, max_size=12))
def test_whatever_is_done_to_it_it_is_the_list_that_it_stands_for(steps: list[tuple[str, object]]) -> None:
    log, model = Log(0, 0, FOUNDING), Model()
    for what, argument in steps:
        if isinstance(argument, list):
            log.append(argument)
            model.entries += argument
        elif isinstance(argument, int):
            index = model.forgotten + 1 + argument
            if what == "truncate" and index <= len(model.entries) + 1:
                log.truncate(index)
                del model.entries[index - 1 :]
            elif what == "forget" and index <= len(model.entries):
                log.forget(index)
                model.forgotten = index
        first, last = model.forgotten + 1, len(model.entries)
        terms = [0, *(entry.term for entry in model.entries)]
        assert (log.first, log.last, log.last_term) == (first, last, terms[-1])
        assert log.entries(first) == tuple(model.entries[model.forgotten :])
        assert log.configuration == model.configuration(last)
        for index in range(last + 3):
            known = model.forgotten <= index <= last
            assert log.term_at(index) == (terms[index] if known else None)
            if known:
                assert log.configuration_at(index) == model.configuration(index)
        in_force = [log.configuration_at(at) == configuration for at, configuration in log.configurations]
        assert all(in_force)
        assert log.configurations[-1] == (log.configured_at, log.configuration)
        assert [at for at, _ in log.configurations] == sorted({at for at, _ in log.configurations})


sorted_terms = st.lists(st.integers(1, 4), max_size=8).map(sorted)


@given(sorted_terms, sorted_terms, st.integers(0, 8))
def test_a_conflict_is_the_first_place_where_entries_differ_or_go_beyond(
    own: list[int], sent: list[int], after: int
) -> None:
    log = log_with(own)
    after = min(after, len(own))
    found = log.conflict(after + 1, [payload(term) for term in sent])
    agreed = 0
    while agreed < len(sent) and own[after + agreed : after + agreed + 1] == [sent[agreed]]:
        agreed += 1
    assert found == (after + agreed + 1 if agreed < len(sent) else None)


@given(sorted_terms, st.integers(0, 10), st.integers(0, 5))
def test_a_hint_leaves_out_only_what_cannot_match(own: list[int], index: int, term: int) -> None:
    log = log_with(own)
    hint = log.hint(index, term)
    terms = [0, *own]
    assert hint == max(at for at in range(min(index, len(own)) + 1) if terms[at] <= term)


def test_a_hint_never_goes_below_what_is_known() -> None:
    log = log_with([3, 3, 3, 3])
    log.forget(2)
    assert log.hint(4, 1) == 2


@given(sorted_terms, st.integers(0, 9), st.integers(0, 5))
def test_the_later_term_is_ahead_and_in_one_term_the_longer_log(own: list[int], index: int, term: int) -> None:
    last_term = own[-1] if own else 0
    ahead = term > last_term or (term == last_term and index >= len(own))
    assert log_with(own).is_behind(index, term) == ahead


def test_entries_fill_a_frame_but_one_always_fits() -> None:
    log = Log(0, 0, FOUNDING)
    log.append([payload(1, b"xxx"), payload(1, b"yyy"), payload(1, b"z")])
    assert len(log.fitting(1, 7)[0]) == 3
    assert len(log.fitting(1, 6)[0]) == 2
    assert len(log.fitting(1, 5)[0]) == 1
    assert len(log.fitting(1, 0)[0]) == 1
    assert len(log.fitting(2, 3)[0]) == 1
    assert log.fitting(4, 100)[0] == ()


def test_cutting_off_rolls_configurations_back_one_by_one() -> None:
    log = Log(0, 0, FOUNDING)
    first, second = of(2, 1, version=1), of(3, 1, version=2)
    log.append([payload(1), configuration_entry(1, first), payload(1), configuration_entry(2, second)])
    assert (log.configuration, log.configured_at) == (second, 4)
    log.truncate(4)
    assert (log.configuration, log.configured_at) == (first, 2)
    log.truncate(3)
    assert (log.configuration, log.configured_at) == (first, 2)
    log.truncate(2)
    assert (log.configuration, log.configured_at) == (FOUNDING, 0)


def test_letting_go_keeps_the_configuration_that_holds_there() -> None:
    log = Log(0, 0, FOUNDING)
    log.append([configuration_entry(1, of(2, 1, version=1)), payload(1), configuration_entry(2, of(3, 1, version=2))])
    log.forget(2)
    assert log.configurations == ((2, of(2, 1, version=1)), (3, of(3, 1, version=2)))
    log.truncate(3)
    assert log.configuration == of(2, 1, version=1)


def test_only_what_is_there_can_be_let_go_of() -> None:
    log = log_with([1, 1])
    for index in (0, 3):
        with pytest.raises(Refused) as caught:
            log.forget(index)
        assert caught.value.code == "out_of_range"
