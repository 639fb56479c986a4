"""Transfers: the only way money moves (L-1).

A transfer names who pays, who is paid, how much, and what for; incomes and bills are sums of transfers and never
formulas of their own. What is paid is received, so every set of transfers sums to zero over all accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from wattquorum.foundation.codec import Address, Record, Unsigned
from wattquorum.foundation.quantities import Money


class Kind(IntEnum):
    """What a transfer is for; the bill line it becomes."""

    DEPOSIT = 1
    WITHDRAWAL = 2
    ENERGY = 3  # consumer to generator, p * m
    OVER_GRID_FEE = 4  # consumer to grid, po * m
    GRID_PURCHASE = 5  # member to grid, pb * shortage, on a contract
    GRID_SALE = 6  # grid to member, ps * surplus, on a contract
    RESIDUAL_PURCHASE = 7  # member to grid: what it used beyond its promises (L-2)
    RESIDUAL_SALE = 8  # grid to member: what it generated beyond its promises (L-2)
    COMPENSATION = 9  # defaulting side to its partner (A-18, L-3)
    SHARE = 10  # of a day's fines, paid to a member that performed
    HANDLING_FEE = 11  # side to community
    HANDLING_FEE_REFUND = 12  # community to side, on curtailment or lapse
    DEBT_PAYMENT = 13  # debtor to creditor (L-7)
    FINE = 14  # defaulting side to the day's fines
    CERTIFICATES = 15  # buyer to seller of certificates (L-22)


class Transfer(Record, frozen=True):
    """`amount` > 0 millionths from `payer` to `payee`."""

    kind: Kind
    payer: Address
    payee: Address
    amount: Unsigned


def transfer(kind: Kind, payer: bytes, payee: bytes, amount: Money) -> Transfer | None:
    """A transfer in the direction of the money: a negative amount swaps the sides, nothing moves for zero."""
    if amount == 0:
        return None
    if amount < 0:
        return Transfer(kind, payee, payer, -amount)
    return Transfer(kind, payer, payee, amount)


def net(transfers: Iterable[Transfer]) -> dict[bytes, Money]:
    """What each account gains or pays in sum; the values add up to zero."""
    totals: dict[bytes, Money] = {}
    for each in transfers:
        totals[each.payer] = Money(totals.get(each.payer, 0) - each.amount)
        totals[each.payee] = Money(totals.get(each.payee, 0) + each.amount)
    return totals
