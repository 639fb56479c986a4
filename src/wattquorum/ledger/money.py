"""Money on the ledger: posting transfers, locking collateral, debts, deposits and payouts (L-1, L-7, L-24).

Everything here keeps one law: the balances of all accounts, locked collateral and the reserved accounts
included, add up to zero. No balance but the grid's and the outside's goes below zero; what a payer lacks becomes a
recorded debt to the payee and bars the payer, and nobody else's balance is touched.
"""

from __future__ import annotations

from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import MONEY_MAX, Money
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind, Transfer
from wattquorum.ledger.accounts import Account, Role, Side, Status, check_active
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Debt, Payout, Reference
from wattquorum.ledger.facts import DebtRecorded, Moved, StatusChanged
from wattquorum.ledger.holdings import CarbonAccount
from wattquorum.ledger.metering import counting
from wattquorum.ledger.state import Table, side_key
from wattquorum.ledger.transactions import Deposit, PayOut, SettleDebt, WithdrawMoney, identifier


def available(context: Context, address: bytes) -> int:
    """What an account can pay now without its collateral; the grid's credit limit included [millionths]."""
    account = context.account(address)
    if address == context.reserved.grid:
        return account.balance + context.parameters().grid_credit_limit
    if address == context.reserved.outside:
        return account.balance + MONEY_MAX
    return account.balance


def post(
    context: Context, kind: Kind, payer: bytes, payee: bytes, amount: int, day: int = 0, contract: bytes = b""
) -> None:
    """Moves free money; Refused("balance_short") when the payer lacks it. Nothing happens for zero."""
    if amount == 0:
        return
    if amount > available(context, payer):
        raise Refused("balance_short", "balance", available(context, payer), f"{amount} millionths are needed.")
    _move(context, payer, payee, amount, 0)
    tell_moved(context, kind, payer, payee, amount, day, contract)


def _move(context: Context, payer: bytes, payee: bytes, amount: int, from_lock: int) -> None:
    """Moves money, `from_lock` of it from the payer's collateral."""
    account = context.account(payer)
    context.put_account(
        payer, changed(account, balance=account.balance - (amount - from_lock), locked=account.locked - from_lock)
    )
    account = context.account(payee)
    context.put_account(payee, changed(account, balance=account.balance + amount))


def tell_moved(
    context: Context, kind: Kind, payer: bytes, payee: bytes, amount: int, day: int, contract: bytes
) -> None:
    """Puts a transfer of money that was moved on record."""
    context.transfers.append(Transfer(kind, payer, payee, amount))
    context.tell(Moved(kind, payer, payee, amount, day, contract))


def lock(context: Context, address: bytes, amount: Money) -> None:
    """Sets collateral aside; Refused("collateral_short") when the free balance is too small."""
    account = context.account(address)
    if account.balance < amount:
        short = amount - account.balance
        remedy = f"{amount} millionths are needed for {account.name}; deposit {short} more or promise less."
        raise Refused("collateral_short", "balance", account.balance, remedy)
    context.change_account(address, balance=account.balance - amount, locked=account.locked + amount)


def unlock(context: Context, address: bytes, amount: int) -> None:
    """Releases collateral."""
    if amount:
        account = context.account(address)
        context.change_account(address, balance=account.balance + amount, locked=account.locked - amount)


def pay(
    context: Context, kind: Kind, payer: bytes, payee: bytes, amount: int, day: int, contract: bytes, locked: int = 0
) -> int:
    """Pays from `locked` collateral first, then from free money; the rest becomes a debt (L-7).

    Returns how much of the locked collateral was used.
    """
    if amount <= 0:
        return 0
    from_lock = min(amount, locked)
    paid = from_lock + max(0, min(amount - from_lock, available(context, payer)))
    if paid:
        _move(context, payer, payee, paid, from_lock)
        tell_moved(context, kind, payer, payee, paid, day, contract)
    if amount > paid:
        owe(context, Debt(payer, payee, amount - paid, kind, day, contract, bars=True))
    return from_lock


def owe(context: Context, debt: Debt) -> None:
    """Records a debt; a transaction that records any ends with `strike`, which bars who still owes then (L-7)."""
    # A transaction records all its debts before it drops any, so that the number of open ones tells its debts apart.
    key = tagged_hash("debt", context.hash, context.state.count(Table.DEBT).to_bytes(8, "big"))[:16]
    context.state.put(Table.DEBT, key, debt)
    context.owing[debt.debtor, debt.creditor] = None
    context.tell(DebtRecorded(key, debt.debtor, debt.creditor, debt.amount, Kind(debt.kind), debt.day, debt.contract))


def has_debt(context: Context, address: bytes) -> bool:
    """Whether an account owes anything."""
    return bool(context.state.listed(Table.DEBT, address))


def is_barred(context: Context, address: bytes) -> bool:
    """Whether an account owes anything that keeps it from trading."""
    return any(context.state.get(Table.DEBT, key).bars for key in context.state.listed(Table.DEBT, address))


def pay_debts(context: Context, address: bytes) -> None:
    """Pays what an account owes from its free money, as far as it goes: earlier days first, then by id (L-7)."""
    debts = [(context.state.get(Table.DEBT, key), key) for key in context.state.listed(Table.DEBT, address)]
    for debt, key in sorted(debts, key=_by_day):
        amount = min(debt.amount, available(context, address))
        if amount <= 0:
            break
        _pay_debt(context, key, debt, amount)


def _by_day(each: tuple[Debt, bytes]) -> tuple[int, bytes]:
    return each[0].day, each[1]


def deposit(context: Context, payload: Deposit) -> None:
    """The cashier credits money from outside, once per reference (L-24, L-27)."""
    context.need(Role.CASHIER)
    account = context.account(payload.account)
    if not account.key:
        raise Refused("out_of_range", "account", account.name, "Deposit to an account that has a key.")
    if payload.amount == 0:
        raise Refused("amount_not_positive", "amount", payload.amount)
    key = payload.reference.encode("ascii")
    if context.state.get(Table.REFERENCE, key) is not None:
        raise Refused("reference_used", "reference", payload.reference)
    if payload.amount > available(context, context.reserved.outside):
        raise Refused("overflow", "amount", payload.amount)
    context.state.put(Table.REFERENCE, key, Reference(context.now))
    post(context, Kind.DEPOSIT, context.reserved.outside, payload.account, payload.amount)


def withdraw_money(context: Context, payload: WithdrawMoney) -> None:
    """A member's money is set aside until the cashier has paid it outside (L-24)."""
    account = context.account(context.sender)
    if payload.amount == 0:
        raise Refused("amount_not_positive", "amount", payload.amount)
    if account.status is Status.LEAVING:
        check_settled(context)
    else:
        check_active(account, "sender")
    post(context, Kind.WITHDRAWAL, context.sender, context.reserved.payouts, payload.amount)
    context.state.put(Table.PAYOUT, identifier(context.hash), Payout(context.sender, payload.amount))


def check_settled(context: Context) -> None:
    """Refuses a leaving member's withdrawal while anything of its is open (L-24).

    Open is a day in the state on which its meters count or it has a contract, locked money, a debt, a payout, more
    certified than measured, or an allowance account that was not settled without a deficit since it left.
    """
    state, address = context.state, context.sender
    account = context.account(address)
    counts = any(
        counting(context, day, address, side) or state.listed(Table.CONTRACT, key + side_key(address, side))
        for key, day in state.items(Table.DAY)
        for side in Side
    )
    green = _owes_energy(context, address) or _owes_carbon(context, account, address)
    if account.locked or counts or green or has_debt(context, address) or state.listed(Table.PAYOUT, address):
        raise Refused("obligations_open", "sender", account.name)


def _owes_energy(context: Context, address: bytes) -> bool:
    """Whether a device of the account's was certified for more than it was measured to generate (L-22)."""
    side = context.side(address, Side.SELL)
    devices = [context.state.get(Table.DEVICE, name.encode("ascii")) for name in (side.meters if side else ())]
    return any(device is not None and device.carry < 0 for device in devices)


def _owes_carbon(context: Context, account: Account, address: bytes) -> bool:
    """Whether an obliged account was not settled since it left, or with a deficit (L-19)."""
    carbon: CarbonAccount | None = context.state.get(Table.CARBON, address)
    return carbon is not None and (carbon.closed_ms <= account.left_ms or carbon.carried < 0)


def pay_out(context: Context, payload: PayOut) -> None:
    """The cashier reports a withdrawal as paid, or returns the money."""
    context.need(Role.CASHIER)
    payout: Payout | None = context.state.get(Table.PAYOUT, payload.payout)
    if payout is None:
        raise Refused("payout_unknown", "payout", payload.payout)
    context.state.drop(Table.PAYOUT, payload.payout)
    target = context.reserved.outside if payload.paid else payout.member
    post(context, Kind.WITHDRAWAL, context.reserved.payouts, target, payout.amount)


def settle_debt(context: Context, payload: SettleDebt) -> None:
    """A debtor pays a debt; the last one paid makes its account active again (L-7).

    The grid account has no key: the grid operator pays its debts, from what the grid account can pay.
    """
    debt: Debt | None = context.state.get(Table.DEBT, payload.debt)
    if debt is None:
        raise Refused("debt_unknown", "debt", payload.debt)
    if debt.debtor == context.reserved.grid:
        context.need(Role.GRID_OPERATOR)
    elif debt.debtor != context.sender:
        raise Refused("debt_unknown", "debt", payload.debt)
    if not 0 < payload.amount <= debt.amount:
        raise Refused("out_of_range", "amount", payload.amount, f"Pay from 1 to {debt.amount} millionths.")
    _pay_debt(context, payload.debt, debt, payload.amount)


def _pay_debt(context: Context, key: bytes, debt: Debt, amount: int) -> None:
    """Pays a part of a debt or all of it; the last one that bars makes an indebted account active again."""
    post(context, Kind.DEBT_PAYMENT, debt.debtor, debt.creditor, amount, debt.day, debt.contract)
    _lower(context, key, debt, amount)
    if debt.creditor == context.reserved.fines:
        pay_debts(context, debt.creditor)  # what was owed to a day's fines is owed by them


def strike(context: Context) -> None:
    """Strikes what two accounts owe each other, as far as it is the same, once a transaction has recorded its debts.

    No money moves. What is left of the day's fines then pays whom they owe (A-19), and who still owes what bars it is
    barred from trading until it has paid (L-7).
    """
    for debtor, creditor in context.owing:
        _strike_pair(context, debtor, creditor)
    pay_debts(context, context.reserved.fines)
    for debtor in dict.fromkeys(debtor for debtor, _ in context.owing):
        account = context.account(debtor)
        if account.key and account.status is Status.ACTIVE and is_barred(context, debtor):
            context.change_account(debtor, status=Status.INDEBTED)
            context.tell(StatusChanged(debtor, Status.INDEBTED, "a debt was recorded"))
    context.owing = {}


def _strike_pair(context: Context, one: bytes, other: bytes) -> None:
    """Earlier days first, then by id; who was barred by nothing else is active again (L-7)."""
    mine, theirs = _owed(context, one, other), _owed(context, other, one)
    while mine and theirs:
        amount = min(mine[-1][0].amount, theirs[-1][0].amount)
        for debts in (mine, theirs):
            debt, key = debts.pop()
            _lower(context, key, debt, amount)
            if debt.amount > amount:
                debts.append((changed(debt, amount=debt.amount - amount), key))


def _owed(context: Context, debtor: bytes, creditor: bytes) -> list[tuple[Debt, bytes]]:
    """The debts of one account to another with their ids, the first to be struck last."""
    keys = context.state.listed(Table.DEBT, debtor + creditor)
    return sorted(((context.state.get(Table.DEBT, key), key) for key in keys), key=_by_day, reverse=True)


def _lower(context: Context, key: bytes, debt: Debt, amount: int) -> None:
    """Lowers a debt that was paid or struck, in part or whole."""
    left = debt.amount - amount
    if left:
        context.state.put(Table.DEBT, key, changed(debt, amount=left))
    else:
        context.state.drop(Table.DEBT, key)
    context.tell(DebtRecorded(key, debt.debtor, debt.creditor, left, Kind(debt.kind), debt.day, debt.contract))
    if context.account(debt.debtor).status is Status.INDEBTED and not is_barred(context, debt.debtor):
        context.change_account(debt.debtor, status=Status.ACTIVE)
        context.tell(StatusChanged(debt.debtor, Status.ACTIVE, "all debts are paid"))
