"""Clearing: what a correction makes due, paid all at once (L-7, L-11).

A correction turns payments round: who must pay one partner more gets money back from another, or from the grid. Paid
one after the other, the same amounts would make somebody a debtor, and suspend it, who in sum owes nothing. So here
what comes in can pay what goes out, and only what an account lacks after all becomes debt, its last dues first.
Collateral that is still locked for a contract pays that contract's dues before anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wattquorum.foundation.codec import changed
from wattquorum.foundation.transfers import Kind
from wattquorum.ledger.context import Context
from wattquorum.ledger.money import available, pay_in_part
from wattquorum.ledger.state import Contract, Table, day_key


class Due(NamedTuple):
    """`amount` > 0 millionths that a payer owes a payee, and the contract that it is for; empty for a position."""

    kind: Kind
    payer: bytes
    payee: bytes
    amount: int
    contract: bytes


def due(kind: Kind, payer: bytes, payee: bytes, amount: int, contract: bytes) -> list[Due]:
    """One due in the direction of the money: a negative amount swaps the sides, and nothing is due for zero."""
    if amount < 0:
        payer, payee, amount = payee, payer, -amount
    return [Due(kind, payer, payee, amount, contract)] if amount else []


def clear(context: Context, day: int, dues: Sequence[Due]) -> None:
    """Pays the dues of a day, given in the order of payment; what cannot be paid is recorded as debt."""
    from_lock = _use_locks(context, day, dues)
    paid = _payable(context, dues, from_lock)
    for each, locked, amount in zip(dues, from_lock, paid, strict=True):
        pay_in_part(context, each.kind, each.payer, each.payee, each.amount, amount, locked, day, each.contract)


def _use_locks(context: Context, day: int, dues: Sequence[Due]) -> list[int]:
    """How much of each due the payer's collateral pays; the contracts' locks are lowered by it."""
    used = []
    for each in dues:
        key = day_key(day) + each.contract
        contract: Contract | None = context.state.get(Table.CONTRACT, key) if each.contract else None
        amount = 0
        if contract is not None and each.payer == contract.seller:
            amount = min(each.amount, contract.seller_lock)
            context.state.put(Table.CONTRACT, key, changed(contract, seller_lock=contract.seller_lock - amount))
        elif contract is not None and each.payer == contract.buyer:
            amount = min(each.amount, contract.buyer_lock)
            context.state.put(Table.CONTRACT, key, changed(contract, buyer_lock=contract.buyer_lock - amount))
        used.append(amount)
    return used


def _payable(context: Context, dues: Sequence[Due], from_lock: Sequence[int]) -> list[int]:
    """How much of each due is paid: all of it, then less, from the last due backward, while an account lacks money."""
    paid = [each.amount for each in dues]
    room: dict[bytes, int] = {}
    for each in dues:
        for address in (each.payer, each.payee):
            if address not in room:
                room[address] = available(context, address)
    for each, locked in zip(dues, from_lock, strict=True):
        room[each.payer] -= each.amount - locked
        room[each.payee] += each.amount
    lacking = True
    while lacking:
        lacking = False
        for i in reversed(range(len(dues))):
            cut = min(-room[dues[i].payer], paid[i] - from_lock[i])
            if cut > 0:
                paid[i] -= cut
                room[dues[i].payer] += cut
                room[dues[i].payee] -= cut
                lacking = True
    return paid
