"""Interval vectors: one entry for each interval of a delivery day, packed.

A day has 92, 96 or 100 quarter-hours and a city a million contracts a day, so vectors are not lists: they are byte
strings of little-endian 32-bit integers, unsigned for energy and signed for prices. A packed vector has exactly one
encoding, is read without a copy, and becomes a numpy int64 array in a microsecond. The bounds (1 GWh per interval,
1,000 per kWh) keep a product of two entries inside 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Final, NewType

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, PRICE_MAX, Energy, Price
from wattquorum.foundation.refusals import Refused

EnergyVector = NewType("EnergyVector", bytes)
PriceVector = NewType("PriceVector", bytes)
Int64s = npt.NDArray[np.int64]

BYTES_PER_ENTRY: Final = 4
ENERGY_TYPE: Final = np.dtype("<u4")
PRICE_TYPE: Final = np.dtype("<i4")


def pack_energy(energies: Iterable[int], field: str = "energy") -> EnergyVector:
    """Energies [Wh] as a packed vector; refuses what lies outside 0..1 GWh."""
    return EnergyVector(_pack(energies, 0, ENERGY_PER_INTERVAL_MAX, ENERGY_TYPE, field))


def pack_prices(prices: Iterable[int], field: str = "price") -> PriceVector:
    """Prices [millionths per kWh] as a packed vector; refuses what lies outside +-1,000 per kWh."""
    return PriceVector(_pack(prices, -PRICE_MAX, PRICE_MAX, PRICE_TYPE, field))


def _pack(values: Iterable[int], low: int, high: int, kind: np.dtype[np.integer], field: str) -> bytes:
    if isinstance(values, np.ndarray):
        array = values
        if array.dtype.kind not in "iu":
            raise TypeError(f"{field}: {array.dtype} is not an integer type")
    else:
        try:
            array = np.fromiter(map(index, values), dtype=np.int64)  # `index` lets no float pass
        except OverflowError:
            raise Refused("overflow", field, "more than 64 bits") from None
    if array.size and (lowest(array) < low or highest(array) > high):
        worst = lowest(array) if lowest(array) < low else highest(array)
        code = "energy_negative" if low == 0 and worst < 0 else "out_of_range"
        raise Refused(code, field, worst, f"Choose a value from {low} to {high}.")
    return array.astype(kind).tobytes()


def energies(vector: bytes) -> Int64s:
    """A packed energy vector as int64 [Wh], one entry per interval."""
    return np.frombuffer(vector, ENERGY_TYPE).astype(np.int64)


def packed(array: Int64s) -> EnergyVector:
    """Energies that are known to lie in 0..1 GWh [Wh], as a packed vector."""
    return EnergyVector(array.astype(ENERGY_TYPE).tobytes())


def highest(array: Int64s) -> int:
    """The greatest entry; on a hundred entries three times as fast as numpy's `max`."""
    return array.item(array.argmax())


def lowest(array: Int64s) -> int:
    """The least entry; see `highest`."""
    return array.item(array.argmin())


def prices(vector: bytes) -> Int64s:
    """A packed price vector as int64 [millionths per kWh], one entry per interval."""
    return np.frombuffer(vector, PRICE_TYPE).astype(np.int64)


def energy_list(vector: bytes) -> list[Energy]:
    """A packed energy vector as plain integers [Wh]."""
    return [Energy(value) for value in np.frombuffer(vector, ENERGY_TYPE).tolist()]


def price_list(vector: bytes) -> list[Price]:
    """A packed price vector as plain integers [millionths per kWh]."""
    return [Price(value) for value in np.frombuffer(vector, PRICE_TYPE).tolist()]


def length(vector: bytes) -> int:
    """How many intervals a packed vector has."""
    return len(vector) // BYTES_PER_ENTRY


def check_length(vector: bytes, intervals: int, field: str) -> None:
    """Refuses a vector that does not have one entry for each of `intervals`."""
    if len(vector) != intervals * BYTES_PER_ENTRY:
        found = f"{len(vector)} bytes" if len(vector) % BYTES_PER_ENTRY else f"{length(vector)} entries"
        raise Refused("vector_length", field, found, f"Give one entry for each of the {intervals} intervals.")


def check_energies(vector: bytes, intervals: int, field: str) -> Int64s:
    """The energies [Wh] of a vector from outside, checked for length and for 1 GWh per interval."""
    check_length(vector, intervals, field)
    array = energies(vector)
    if array.size and highest(array) > ENERGY_PER_INTERVAL_MAX:
        raise Refused(
            "out_of_range", field, highest(array), f"Promise at most {ENERGY_PER_INTERVAL_MAX} Wh per interval."
        )
    return array


def check_prices(vector: bytes, intervals: int, field: str) -> Int64s:
    """The prices of a vector from outside, checked for +-1,000 per kWh: one for all intervals, or one each."""
    if len(vector) != BYTES_PER_ENTRY:
        check_length(vector, intervals, field)
    array = prices(vector)
    if array.size and (highest(array) > PRICE_MAX or lowest(array) < -PRICE_MAX):
        worst = highest(array) if highest(array) > PRICE_MAX else lowest(array)
        raise Refused(
            "out_of_range", field, worst, f"Choose prices from {-PRICE_MAX} to {PRICE_MAX} millionths per kWh."
        )
    return array
