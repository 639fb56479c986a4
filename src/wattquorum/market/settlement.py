"""Settlement: the money of a contract, interval by interval (A-17, L-1, L-2) and the compensation due in it (L-3).

One interval is four transfers between consumer, generator and grid, each rounded once toward zero, so that what the
consumer pays is what generator and grid receive, to the last unit; incomes are sums of them and never formulas of
their own. The split into cases is deduced from the words of document A (section 4.3.1), the cap at the promise (L-2)
and compensation by true loss (L-3) are chosen. `settle_interval` is the rule as one reads it; `settle_rows` is the
same for a hundred thousand contracts at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.quantities import (
    ENERGY_PER_INTERVAL_MAX,
    PRICE_MAX,
    WH_PER_KWH,
    Energy,
    Money,
    cost,
)
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s, highest, lowest
from wattquorum.market.terms import Policy, TermRows, Terms

ENTRIES_PER_CHUNK: Final = 16_384  # 128 KiB an array: the arrays of one chunk stay in a core's cache

Bools = npt.NDArray[np.bool_]


class IntervalMoney(NamedTuple):
    """The money of one contract in one interval [millionths].

    The first four are signed in the direction named (a negative price turns it round); compensation is never negative.
    """

    energy: Money  # consumer to generator: price * m
    over_grid_fee: Money  # consumer to grid: over_grid_fee * m
    grid_purchase: Money  # consumer to grid: grid_price * (consumed - m)
    grid_sale: Money  # grid to generator: feed_in * (generated - m)
    seller_compensation: Money  # seller to buyer
    buyer_compensation: Money  # buyer to seller


class MoneyRows(NamedTuple):
    """`IntervalMoney` of many contracts: int64 arrays [contracts, intervals] in millionths."""

    energy: Int64s
    over_grid_fee: Int64s
    grid_purchase: Int64s
    grid_sale: Int64s
    seller_compensation: Int64s
    buyer_compensation: Int64s


def settle_interval(
    terms: Terms, promised: Energy, generated: Energy, consumed: Energy, policy: Policy = Policy.TRUE_LOSS
) -> IntervalMoney:
    """One contract's money in one interval: A-17 with m = min(generated, consumed, promised) (L-2).

    `generated` and `consumed` are the metered energy allotted to this contract [Wh]; they may exceed the promise, and
    the excess is then sold to or bought from the grid. Under TRUE_LOSS a side that delivered less than both had
    promised owes its partner the difference to the result with full delivery, as it would have been paid, rounding
    included, so that the partner is whole to the unit (L-3). PAPER's compensation needs to know who defaulted on the
    day (`paper_compensation`) and is zero here, as it is under OFF.

    Raises Refused("energy_negative") or Refused("out_of_range") for energies outside 0..1 GWh.
    """
    for field, given in (("promised", promised), ("generated", generated), ("consumed", consumed)):
        _check_energy(field, given, given)
    exchanged = min(generated, consumed, promised)
    energy, over_grid_fee, grid_purchase = _bought(terms, exchanged, consumed)
    _, grid_sale = _sold(terms, exchanged, generated)
    seller_compensation = buyer_compensation = 0
    if policy is Policy.TRUE_LOSS:
        expected = min(promised, consumed)  # what the seller owed this buyer
        paid = energy + over_grid_fee + grid_purchase
        seller_compensation = max(0, paid - sum(_bought(terms, expected, consumed)))
        expected = min(promised, generated)  # what the buyer owed this seller
        earned = energy + grid_sale
        buyer_compensation = max(0, sum(_sold(terms, expected, generated)) - earned)
    return IntervalMoney(
        energy, over_grid_fee, grid_purchase, grid_sale, Money(seller_compensation), Money(buyer_compensation)
    )


def _bought(terms: Terms, exchanged: Energy, consumed: Energy) -> tuple[Money, Money, Money]:
    """What the consumer pays: for energy, over-grid fee and grid purchase."""
    return (
        cost(exchanged, terms.price),
        cost(exchanged, terms.over_grid_fee),
        cost(Energy(consumed - exchanged), terms.grid_price),
    )


def _sold(terms: Terms, exchanged: Energy, generated: Energy) -> tuple[Money, Money]:
    """What the generator earns: from its partner and from the grid."""
    return cost(exchanged, terms.price), cost(Energy(generated - exchanged), terms.feed_in)


def settle_rows(
    promised: Int64s, generated: Int64s, consumed: Int64s, terms: TermRows, policy: Policy = Policy.TRUE_LOSS
) -> MoneyRows:
    """`settle_interval` for [contracts, intervals] at once; energies in Wh, same refusals, same result to the unit.

    Works on a few hundred rows at a time, in place, so that all but inputs and results stays in the cache.
    """
    contracts, intervals = promised.shape
    _check_prices(terms)
    money = MoneyRows(
        *(np.empty((contracts, intervals), dtype=np.int64) for _ in range(4)),
        *(np.zeros((contracts, intervals), dtype=np.int64) for _ in range(2)),
    )
    rows = max(1, ENTRIES_PER_CHUNK // max(1, intervals))
    scratch = _Scratch(min(rows, contracts), intervals, terms)
    for first in range(0, contracts, rows):
        chunk = slice(first, min(first + rows, contracts))
        _settle_chunk(
            promised[chunk],
            generated[chunk],
            consumed[chunk],
            TermRows(*(_rows_of(prices, chunk) for prices in terms)),
            policy,
            MoneyRows(*(amounts[chunk] for amounts in money)),
            scratch,
        )
    return money


class _Scratch:
    """Buffers that every chunk uses again, and which prices are ever negative."""

    __slots__ = ("buffers", "negative")

    def __init__(self, rows: int, intervals: int, terms: TermRows) -> None:
        self.buffers = np.empty((5, rows, intervals), dtype=np.int64)
        self.negative = tuple(bool(prices.size) and lowest(prices) < 0 for prices in terms)


def _settle_chunk(
    promised: Int64s,
    generated: Int64s,
    consumed: Int64s,
    terms: TermRows,
    policy: Policy,
    money: MoneyRows,
    scratch: _Scratch,
) -> None:
    """Writes the money of a few rows; the names are those of `settle_interval`."""
    _check_energies(promised, generated, consumed)
    price_negative, feed_in_negative, grid_price_negative, over_grid_fee_negative = scratch.negative
    exchanged, expected, rest, amount, total = scratch.buffers[:, : len(promised)]

    np.minimum(promised, consumed, out=expected)
    np.minimum(expected, generated, out=exchanged)
    _cost(exchanged, terms.price, price_negative, money.energy)
    _cost(exchanged, terms.over_grid_fee, over_grid_fee_negative, money.over_grid_fee)
    np.subtract(consumed, exchanged, out=rest)
    _cost(rest, terms.grid_price, grid_price_negative, money.grid_purchase)
    np.subtract(generated, exchanged, out=rest)
    _cost(rest, terms.feed_in, feed_in_negative, money.grid_sale)
    if policy is not Policy.TRUE_LOSS:
        return

    np.add(money.energy, money.over_grid_fee, out=total)
    total += money.grid_purchase
    _cost(expected, terms.price, price_negative, amount)
    total -= amount
    _cost(expected, terms.over_grid_fee, over_grid_fee_negative, amount)
    total -= amount
    np.subtract(consumed, expected, out=rest)
    if rest.any():  # allotted energy never exceeds the promise, so this is rare
        _cost(rest, terms.grid_price, grid_price_negative, amount)
        total -= amount
    np.maximum(total, 0, out=money.seller_compensation)

    np.minimum(promised, generated, out=expected)
    _cost(expected, terms.price, price_negative, total)
    total -= money.energy
    total -= money.grid_sale
    np.subtract(generated, expected, out=rest)
    if rest.any():
        _cost(rest, terms.feed_in, feed_in_negative, amount)
        total += amount
    np.maximum(total, 0, out=money.buyer_compensation)


def paper_compensation(
    promised: Int64s,
    generated: Int64s,
    consumed: Int64s,
    terms: TermRows,
    seller_defaults: Bools,
    buyer_defaults: Bools,
) -> tuple[Int64s, Int64s]:
    """A-18's k-term: what seller and buyer owe each other per interval, [contracts, intervals] each [millionths].

    `seller_defaults` and `buyer_defaults` are [contracts]. If exactly one side of a contract defaults (k = 1 [stated])
    it pays, for every Wh that it fell short in the interval, what the partner loses by dealing with the grid instead:
    `grid_price - price - over_grid_fee` to a consumer, `price - feed_in` to a generator [deduced]; never below 0
    [chosen: outside the band the partner loses nothing]. If both or none default nobody pays. Refuses what
    `settle_rows` refuses.
    """
    _check_prices(terms)
    _check_energies(promised, generated, consumed)
    alone = seller_defaults != buyer_defaults
    seller_pays = np.zeros(promised.shape, dtype=np.int64)
    buyer_pays = np.zeros(promised.shape, dtype=np.int64)
    for rows, delivered, rate, pays in (
        (alone & seller_defaults, generated, terms.grid_price - terms.price - terms.over_grid_fee, seller_pays),
        (alone & buyer_defaults, consumed, terms.price - terms.feed_in, buyer_pays),
    ):
        if not rows.any():
            continue
        short = np.maximum(promised[rows] - delivered[rows], 0)
        short *= np.maximum(np.broadcast_to(rate, promised.shape)[rows], 0)
        short //= WH_PER_KWH
        pays[rows] = short
    return seller_pays, buyer_pays


def cost_rows(energies: Int64s, prices: Int64s) -> Int64s:
    """`cost` for arrays that broadcast to one shape: energies of 0..1 GWh, prices within +-1,000 per kWh."""
    amounts = np.empty(np.broadcast_shapes(energies.shape, prices.shape), dtype=np.int64)
    _cost(energies, prices, bool((prices < 0).any()), amounts)
    return amounts


def _cost(energies: Int64s, prices: Int64s, negative: bool, out: Int64s) -> None:
    """`cost` for arrays: energies >= 0, so that only a negative price needs more than a floor to round toward zero."""
    np.multiply(energies, prices, out=out)
    if negative:
        np.add(out, WH_PER_KWH - 1, out=out, where=out < 0)
    np.floor_divide(out, WH_PER_KWH, out=out)


def _rows_of(prices: Int64s, chunk: slice) -> Int64s:
    """The rows of a price array that broadcasts to [contracts, intervals]."""
    return prices[chunk] if prices.ndim == 2 and len(prices) > 1 else prices


def _check_energy(field: str, lowest: int, highest: int) -> None:
    if lowest < 0:
        raise Refused("energy_negative", field, lowest)
    if highest > ENERGY_PER_INTERVAL_MAX:
        raise Refused("out_of_range", field, highest, f"Give at most {ENERGY_PER_INTERVAL_MAX} Wh per interval.")


def _check_energies(promised: Int64s, generated: Int64s, consumed: Int64s) -> None:
    """Keeps every product of an energy and the sum of three prices inside 64 bits."""
    for field, energies in (("promised", promised), ("generated", generated), ("consumed", consumed)):
        if energies.size:
            _check_energy(field, lowest(energies), highest(energies))


def _check_prices(terms: TermRows) -> None:
    for field, prices in zip(TermRows._fields, terms, strict=True):
        for worst in (lowest(prices), highest(prices)) if prices.size else ():
            if abs(worst) > PRICE_MAX:
                raise Refused("out_of_range", field, worst, f"Choose prices from {-PRICE_MAX} to {PRICE_MAX} per kWh.")
