"""How a node's metered energy is shared among its contracts of an interval."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import energies, energy_array
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, Energy
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.market.allotment import allot, allot_rows

promise_lists = st.lists(energies, max_size=8)


def keys_of(promises: list[Energy]) -> list[bytes]:
    return [bytes([i]) for i in range(len(promises))]


def shared(metered: int, *promises: int) -> list[int]:
    given_promises = [Energy(promise) for promise in promises]
    return list(allot(Energy(metered), given_promises, keys_of(given_promises)))


# Worked by hand -----------------------------------------------------------------------------------------------------


def test_what_is_missing_is_missed_in_proportion() -> None:
    # 100 over 70, 50, 30 of 150: 46.67, 33.33, 20. The one left over goes to the largest remainder.
    assert shared(100, 70, 50, 30) == [47, 33, 20]


def test_equal_claims_to_the_last_unit_go_by_contract_id() -> None:
    assert shared(10, 7, 7, 7) == [4, 3, 3]
    promises = [Energy(7)] * 3
    assert allot(Energy(10), promises, [b"c", b"b", b"a"]) == [3, 3, 4]
    assert allot(Energy(11), promises, [b"c", b"b", b"a"]) == [3, 4, 4]


def test_the_largest_remainder_goes_first() -> None:
    # 7 over 5, 3, 1 of 9: 3.89, 2.33, .78, so the two left over go to the first and the third.
    assert shared(7, 5, 3, 1) == [4, 2, 1]


def test_nobody_is_allotted_more_than_promised() -> None:
    assert shared(1_000, 70, 50, 30) == [70, 50, 30]
    assert shared(150, 70, 50, 30) == [70, 50, 30]
    assert shared(149, 70, 50, 30) == [69, 50, 30]  # 69.53, 49.67 and 29.8: two units for .67 and .8


def test_a_node_without_promises_or_without_energy_allots_nothing() -> None:
    assert shared(0, 70, 50) == [0, 0]
    assert shared(100, 0, 0) == [0, 0]
    assert shared(100) == []


# The rule -----------------------------------------------------------------------------------------------------------


@given(energies, promise_lists)
def test_all_that_was_promised_and_metered_is_allotted_and_nobody_gets_more_than_promised(
    metered: Energy, promises: list[Energy]
) -> None:
    parts = allot(metered, promises, keys_of(promises))
    assert sum(parts) == min(metered, sum(promises))
    assert all(0 <= part <= promise for part, promise in zip(parts, promises, strict=True))


@given(energies, promise_lists)
def test_each_part_is_within_one_wh_of_its_proportion(metered: Energy, promises: list[Energy]) -> None:
    parts = allot(metered, promises, keys_of(promises))
    share = min(Fraction(1), Fraction(metered, sum(promises) or 1))
    assert all(abs(part - promise * share) < 1 for part, promise in zip(parts, promises, strict=True))


@given(energies, promise_lists, st.randoms(use_true_random=False))
def test_the_order_in_which_contracts_are_listed_changes_nothing(
    metered: Energy, promises: list[Energy], chance: Random
) -> None:
    listed = list(zip(promises, keys_of(promises), strict=True))
    parts = dict(zip(keys_of(promises), allot(metered, promises, keys_of(promises)), strict=True))
    chance.shuffle(listed)
    shuffled = allot(metered, [promise for promise, _ in listed], [key for _, key in listed])
    assert {key: part for (_, key), part in zip(listed, shuffled, strict=True)} == parts


@given(energies, energies, st.integers(1, 8), st.randoms(use_true_random=False))
def test_relabelling_equal_partners_changes_only_who_gets_the_last_unit(
    metered: Energy, promise: Energy, partners: int, chance: Random
) -> None:
    promises = [promise] * partners
    relabelled = keys_of(promises)
    chance.shuffle(relabelled)
    parts, others = allot(metered, promises, keys_of(promises)), allot(metered, promises, relabelled)
    assert sorted(parts) == sorted(others)
    assert all(abs(part - other) <= 1 for part, other in zip(parts, others, strict=True))


# Many nodes at once -------------------------------------------------------------------------------------------------


@st.composite
def feeders(draw: st.DrawFn) -> tuple[Int64s, Int64s, Int64s]:
    """(metered, promised, node of each contract); energies tight, so that many nodes fall short."""
    nodes, contracts, intervals = draw(st.integers(1, 4)), draw(st.integers(0, 9)), draw(st.integers(1, 5))
    node_of = draw(st.lists(st.integers(0, nodes - 1), min_size=contracts, max_size=contracts))
    promised = draw(energy_array((contracts, intervals)))
    return draw(energy_array((nodes, intervals))), promised, np.array(node_of, dtype=np.int64)


def node_by_node(metered: Int64s, promised: Int64s, node_of: Int64s) -> Int64s:
    allotted = np.zeros_like(promised)
    for node, interval in np.ndindex(metered.shape):
        contracts = [row for row, its_node in enumerate(node_of.tolist()) if its_node == node]
        promises = [Energy(int(promised[row, interval])) for row in contracts]
        keys = [row.to_bytes(4, "big") for row in contracts]
        parts = allot(Energy(int(metered[node, interval])), promises, keys)
        for row, part in zip(contracts, parts, strict=True):
            allotted[row, interval] = part
    return allotted


@given(feeders())
def test_many_nodes_are_allotted_like_each_of_them_alone(feeder: tuple[Int64s, Int64s, Int64s]) -> None:
    assert allot_rows(*feeder).tolist() == node_by_node(*feeder).tolist()


def test_a_full_feeder_is_allotted_like_its_nodes_alone() -> None:
    nodes, contracts, intervals = 11, 120, 24
    spread = np.arange(contracts * intervals, dtype=np.int64).reshape(contracts, intervals)
    promised = spread * spread % 1_009
    node_of = np.arange(contracts, dtype=np.int64) * 7 % nodes
    metered = np.arange(nodes * intervals, dtype=np.int64).reshape(nodes, intervals) * 37 % 6_007
    allotted = allot_rows(metered, promised, node_of)
    assert allotted.tolist() == node_by_node(metered, promised, node_of).tolist()
    short = allotted < promised
    assert short.any()
    assert not short.all()


@given(feeders())
def test_twenty_idle_nodes_and_contracts_that_promise_nothing_change_nobodys_allotment(
    feeder: tuple[Int64s, Int64s, Int64s],
) -> None:
    metered, promised, node_of = feeder
    idle = np.full((20, metered.shape[1]), 5, dtype=np.int64)
    empty = np.zeros((len(metered), metered.shape[1]), dtype=np.int64)
    more = allot_rows(
        np.concatenate((metered, idle)),
        np.concatenate((promised, empty)),
        np.concatenate((node_of, np.arange(len(metered)))),
    )
    assert more[: len(promised)].tolist() == allot_rows(metered, promised, node_of).tolist()
    assert not more[len(promised) :].any()


@given(feeders())
def test_the_inputs_are_neither_changed_nor_shared(feeder: tuple[Int64s, Int64s, Int64s]) -> None:
    before = [each.copy() for each in feeder]
    allot_rows(*feeder)[:] = -1
    assert all(np.array_equal(each, earlier) for each, earlier in zip(feeder, before, strict=True))


@pytest.mark.parametrize(
    ("metered", "promised", "code", "field"),
    [
        (-1, 5, "energy_negative", "metered"),
        (5, -1, "energy_negative", "promised"),
        (ENERGY_PER_INTERVAL_MAX + 1, 5, "out_of_range", "metered"),
        (5, ENERGY_PER_INTERVAL_MAX + 1, "out_of_range", "promised"),
    ],
)
def test_energies_below_zero_or_beyond_the_bound_are_refused(
    metered: int, promised: int, code: str, field: str
) -> None:
    with pytest.raises(Refused) as refusal:
        allot_rows(np.array([[metered]]), np.array([[promised]]), np.array([0]))
    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_a_reading_below_zero_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        shared(-3, 5)
    assert (refusal.value.code, refusal.value.field, refusal.value.value) == ("energy_negative", "metered", "-3")
