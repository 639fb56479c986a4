"""Clearing: what a correction makes due, paid all at once (L-7, L-11).

A correction turns payments round: who must pay one partner more gets money back from another, or from the grid. Paid
one after the other, the same amounts would make somebody a debtor, and suspend it, who in sum owes nothing. So here
what comes in can pay what goes out, and only what an account lacks after all becomes debt, its last dues first.
Collateral that is still locked for a contract pays that contract's dues before anything else. What is due to somebody
that owes the payer from before is set off against it: a correction and its undoing leave nobody in debt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wattquorum.foundation.codec import changed
from wattquorum.foundation.transfers import Kind
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Contract, Debt
from wattquorum.ledger.money import available, owe, strike, tell_moved
from wattquorum.ledger.state import Table, day_key


class Due(NamedTuple):
    """`amount` > 0 millionths that a payer owes a payee, and the contract that it is for, if it is for one."""

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
    struck = _against_debts(context, dues, from_lock)
    to_pay = [each._replace(amount=each.amount - off) for each, off in zip(dues, struck, strict=True)]
    paid = _payable(context, to_pay, from_lock)
    free: dict[bytes, int] = {}  # by what each account's free money and collateral change
    locked: dict[bytes, int] = {}
    for each, lock, amount in zip(dues, from_lock, paid, strict=True):
        if amount:
            free[each.payer] = free.get(each.payer, 0) - amount + lock
            free[each.payee] = free.get(each.payee, 0) + amount
            locked[each.payer] = locked.get(each.payer, 0) - lock
            tell_moved(context, each.kind, each.payer, each.payee, amount, day, each.contract)
        if each.amount > amount:  # what is set off among it, so that all that was due is on record
            # A share is taken back by somebody else's correction, from who had no part in the default.
            bars = not (each.kind is Kind.SHARE and each.payee == context.reserved.fines)
            owe(context, Debt(each.payer, each.payee, each.amount - amount, each.kind, day, each.contract, bars))
    for address, change in free.items():
        account = context.account(address)
        put = changed(account, balance=account.balance + change, locked=account.locked + locked.get(address, 0))
        context.put_account(address, put)
    strike(context)


def _against_debts(context: Context, dues: Sequence[Due], from_lock: Sequence[int]) -> list[int]:
    """How much of each due, beyond what collateral pays, its payee owes its payer from before."""
    left: dict[bytes, int] = {}  # by payee and payer
    struck = []
    for each, lock in zip(dues, from_lock, strict=True):
        pair = each.payee + each.payer
        if pair not in left:
            left[pair] = sum(
                context.state.get(Table.DEBT, key).amount for key in context.state.listed(Table.DEBT, pair)
            )
        off = min(each.amount - lock, left[pair])
        struck.append(off)
        left[pair] -= off
    return struck


def _use_locks(context: Context, day: int, dues: Sequence[Due]) -> list[int]:
    """How much of each due the payer's collateral pays; the contracts' locks are lowered by it."""
    contracts: dict[bytes, Contract] = {}
    locks: dict[tuple[bytes, bytes], int] = {}  # what is left for a contract, by the side that pays
    used = []
    for contract_id, payer, amount in ((each.contract, each.payer, each.amount) for each in dues):
        if contract_id and contract_id not in contracts:
            contract = contracts[contract_id] = context.contract(day, contract_id)
            locks[contract_id, contract.seller] = contract.seller_lock
            locks[contract_id, contract.buyer] = contract.buyer_lock
        lock = locks.get((contract_id, payer), 0)
        used.append(min(amount, lock))
        if lock:
            locks[contract_id, payer] = lock - used[-1]
    for contract_id, contract in contracts.items():
        seller_lock, buyer_lock = locks[contract_id, contract.seller], locks[contract_id, contract.buyer]
        left = changed(contract, seller_lock=seller_lock, buyer_lock=buyer_lock)
        context.state.put(Table.CONTRACT, day_key(day) + contract_id, left)
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
    lacking = any(left < 0 for left in room.values())
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
