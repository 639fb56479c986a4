"""Carbon on the ledger: obliged members' allowances over periods that the registry closes (A-14, L-19)."""

from __future__ import annotations

from typing import Final

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Carbon
from wattquorum.foundation.refusals import Refused
from wattquorum.green.carbon import Period, carried_over, settlement, transferable
from wattquorum.ledger.accounts import MEMBER, Role, check_active
from wattquorum.ledger.context import Context
from wattquorum.ledger.facts import AllowancesMoved, CarbonChanged, CarbonSettled
from wattquorum.ledger.holdings import CarbonAccount
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import CloseCarbonPeriod, GrantQuota, MoveAllowances, ReportEmissions

GRAMS_MAX: Final = 10**15  # a thousand million tonnes: what one amount, and a period's sum of them, may be
NO_ACCOUNT: Final = CarbonAccount(0, 0, 0, 0, 0, False, 0, 0, False, 0)


def period_of(account: CarbonAccount) -> Period:
    """An account's open period."""
    return Period(
        Carbon(account.carried),
        Carbon(account.quota),
        Carbon(account.bought),
        Carbon(account.sold),
        Carbon(account.emitted),
        account.reported,
    )


def grant_quota(context: Context, payload: GrantQuota) -> None:
    """The registry grants allowances; with the first ones a member becomes obliged (L-19)."""
    context.need(Role.REGISTRY)
    member = context.account(payload.member, "member")
    if not member.roles & MEMBER:
        raise Refused("role_missing", "member", member.name, "Only members are obliged.")
    before: CarbonAccount = context.state.get(Table.CARBON, payload.member) or NO_ACCOUNT
    _check_amount(payload.grams, before.quota)
    _put(context, payload.member, changed(before, quota=before.quota + payload.grams))


def move_allowances(context: Context, payload: MoveAllowances) -> None:
    """An obliged member moves allowances that it does not need itself to another obliged member."""
    check_active(context.account(context.sender), "sender")
    giver, taker = _account(context, context.sender, "sender"), _account(context, payload.to, "to")
    if payload.to == context.sender:
        raise Refused("self_trade", "to", payload.to)
    _check_amount(payload.grams, taker.bought)
    free = transferable(period_of(giver))
    if payload.grams > free:
        remedy = f"At most {free} g can be moved." if giver.reported else "Its emissions have to be verified first."
        raise Refused("allowance_short", "grams", free, remedy)
    _put(context, context.sender, changed(giver, sold=giver.sold + payload.grams))
    _put(context, payload.to, changed(taker, bought=taker.bought + payload.grams))
    period = context.registry().carbon_period
    context.tell(AllowancesMoved(period, context.sender, payload.to, payload.grams))


def report_emissions(context: Context, payload: ReportEmissions) -> None:
    """The registry records what was verified for the open period; a later report takes the place of an earlier one."""
    context.need(Role.REGISTRY)
    before = _account(context, payload.member, "member")
    _check_open(context, payload.period)
    if payload.grams > GRAMS_MAX:
        raise Refused("out_of_range", "grams", payload.grams, f"At most {GRAMS_MAX} g.")
    _put(context, payload.member, changed(before, emitted=payload.grams, reported=True))


def close_carbon_period(context: Context, payload: CloseCarbonPeriod) -> None:
    """Every account is settled, surplus lapses, deficits carry over, and the next period opens."""
    context.need(Role.REGISTRY)
    _check_open(context, payload.period)
    current = context.registry()
    context.state.put(Table.REGISTRY, b"", changed(current, carbon_period=current.carbon_period + 1))
    for key, each in list(context.state.items(Table.CARBON)):
        account: CarbonAccount = each
        period = period_of(account)
        settled = settlement(period)
        context.tell(CarbonSettled(key, payload.period, settled, account.reported))
        _put(
            context,
            key,
            CarbonAccount(
                carried_over(period), 0, 0, 0, 0, False, settled, account.quota, account.reported, context.now
            ),
        )


def _check_open(context: Context, period: int) -> None:
    current = context.registry().carbon_period
    if period != current:
        raise Refused("carbon_period", "period", period, f"Period {current} is open.")


def _account(context: Context, address: bytes, field: str) -> CarbonAccount:
    found: CarbonAccount | None = context.state.get(Table.CARBON, address)
    if found is None:
        raise Refused("allowance_missing", field, address)
    return found


def _check_amount(grams: int, before: int) -> None:
    if grams == 0:
        raise Refused("amount_not_positive", "grams", grams)
    if before + grams > GRAMS_MAX:
        raise Refused("out_of_range", "grams", grams, f"At most {GRAMS_MAX} g in a period.")


def _put(context: Context, address: bytes, account: CarbonAccount) -> None:
    context.state.put(Table.CARBON, address, account)
    context.tell(
        CarbonChanged(
            address,
            context.registry().carbon_period,
            account.carried,
            account.quota,
            account.bought,
            account.sold,
            account.emitted,
            account.reported,
        )
    )
