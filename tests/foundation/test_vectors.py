"""Packed interval vectors: one encoding, checked bounds, and a numpy array that says the same."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, PRICE_MAX
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import (
    check_energies,
    check_length,
    check_prices,
    energies,
    energy_list,
    length,
    pack_energy,
    pack_prices,
    price_list,
    prices,
)

energy_lists = st.lists(st.integers(0, ENERGY_PER_INTERVAL_MAX), max_size=100)
price_lists = st.lists(st.integers(-PRICE_MAX, PRICE_MAX), max_size=100)


@given(energy_lists)
def test_energies_unpack_to_what_was_packed(values: list[int]) -> None:
    vector = pack_energy(values)
    assert vector == struct.pack(f"<{len(values)}I", *values) == pack_energy(np.array(values, dtype=np.int64))
    assert energy_list(vector) == values
    assert energies(vector).tolist() == values
    assert energies(vector).dtype == np.int64
    assert length(vector) == len(values)
    assert check_energies(vector, len(values), "energy").tolist() == values


@given(price_lists)
def test_prices_unpack_to_what_was_packed_with_their_sign(values: list[int]) -> None:
    vector = pack_prices(values)
    assert vector == struct.pack(f"<{len(values)}i", *values) == pack_prices(np.array(values, dtype=np.int64))
    assert price_list(vector) == values
    assert prices(vector).tolist() == values
    assert prices(vector).dtype == np.int64


def test_an_array_read_from_a_vector_may_be_changed_without_changing_the_vector() -> None:
    vector = pack_energy([1, 2, 3])
    energies(vector)[:] = 9
    assert energy_list(vector) == [1, 2, 3]


@pytest.mark.parametrize(
    ("values", "code", "found"),
    [
        ([5, -1, -2], "energy_negative", "-2"),
        ([5, ENERGY_PER_INTERVAL_MAX + 1], "out_of_range", "1000000001"),
        ([2**62], "out_of_range", str(2**62)),
        ([2**64], "overflow", "more than 64 bits"),
        ([-(2**64)], "overflow", "more than 64 bits"),
    ],
)
def test_energies_outside_their_bounds_are_refused_and_do_not_wrap(values: list[int], code: str, found: str) -> None:
    with pytest.raises(Refused) as refusal:
        pack_energy(values, "promise")
    assert (refusal.value.code, refusal.value.field, refusal.value.value) == (code, "promise", found)


@pytest.mark.parametrize("price", [PRICE_MAX + 1, -PRICE_MAX - 1, 2**40, -(2**40)])
def test_prices_outside_their_bounds_are_refused_packed_or_not(price: int) -> None:
    with pytest.raises(Refused) as refusal:
        pack_prices([0, price])
    assert (refusal.value.code, refusal.value.value) == ("out_of_range", str(price))
    if abs(price) < 2**31:
        with pytest.raises(Refused) as refusal:
            check_prices(struct.pack("<2i", 0, price), 2, "price")
        assert (refusal.value.code, refusal.value.value) == ("out_of_range", str(price))


def test_a_float_is_never_rounded_into_a_vector() -> None:
    with pytest.raises(TypeError):
        pack_energy([1.5])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        pack_energy(np.array([1.5]))
    with pytest.raises(TypeError):
        pack_energy(["7"])  # type: ignore[list-item]


@pytest.mark.parametrize("vector", [b"", b"\x00" * 380, b"\x00" * 388, b"\x00" * 383, b"\x00"])
def test_a_vector_without_one_entry_for_each_interval_is_refused(vector: bytes) -> None:
    for check in (check_length, check_energies):
        with pytest.raises(Refused) as refusal:
            check(vector, 96, "promise")
        assert (refusal.value.code, refusal.value.field) == ("vector_length", "promise")
    with pytest.raises(Refused):
        check_prices(vector, 96, "price")


def test_energies_from_outside_are_checked_for_their_bound() -> None:
    with pytest.raises(Refused) as refusal:
        check_energies(struct.pack("<2I", 5, ENERGY_PER_INTERVAL_MAX + 1), 2, "promise")
    assert (refusal.value.code, refusal.value.value) == ("out_of_range", str(ENERGY_PER_INTERVAL_MAX + 1))


def test_one_price_stands_for_every_interval() -> None:
    assert check_prices(pack_prices([-7]), 3, "price").tolist() == [-7]
    assert check_prices(pack_prices([1, 2, 3]), 3, "price").tolist() == [1, 2, 3]
    assert check_prices(pack_prices([4]), 1, "price").tolist() == [4]
