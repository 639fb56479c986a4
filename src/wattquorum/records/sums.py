"""Sums that must close: what the tables say twice has to be the same twice (L-1, L-9, L-27).

Each check is two sums over all rows, made in different ways, that must leave no difference: meters against trade and
grid, settlements against their intervals, settlements against what was paid and is still owed, the cashier's
signatures against what was posted. A report prints them, and anyone can run them against any records.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    union_all,
)

from wattquorum.records import green_tables as g
from wattquorum.records import grid_tables as gt
from wattquorum.records import tables as t
from wattquorum.records.bills import words_of
from wattquorum.records.views import balances, cashier_days, energy_balance


class Sum(NamedTuple):
    """One check: `left` and `right` are what their names say, in Wh, millionths or grams (`unit` is Wh, money or g)."""

    name: str
    left_name: str
    left: int
    right_name: str
    right: int
    unit: str

    @property
    def difference(self) -> int:
        """What is wrong; zero if nothing is."""
        return self.left - self.right


def sums(engine: Engine) -> list[Sum]:
    """All checks, those of energy first."""
    with engine.connect() as connection:
        return [
            *_energy(connection),
            *_grid(connection),
            *_intervals(connection),
            *_paid(connection),
            *_accounts(connection),
            *_certificates(connection),
        ]


def _total(connection: Connection, column: Any, *conditions: ColumnElement[bool]) -> int:
    query = select(cast(func.coalesce(func.sum(column), 0), BigInteger)).where(*conditions)
    return int(connection.execute(query).scalar_one())


_settled, _spread, _positions = t.settlements, t.intervals, t.positions
_in_force: Final = _settled.c.superseded_height.is_(None)


def _energy(connection: Connection) -> list[Sum]:
    days = energy_balance.c
    found = []
    for metered, grid, way in (
        (days.injected_wh, days.to_grid_wh, "to"),
        (days.withdrawn_wh, days.from_grid_wh, "from"),
    ):
        word = metered.name.removesuffix("_wh")
        right = _total(connection, days.matched_wh + grid)
        found.append(
            Sum(f"all that was {word}", word, _total(connection, metered), f"traded + {way} the grid", right, "Wh")
        )
    return found


def _grid(connection: Connection) -> list[Sum]:
    """The balance of every reported power flow in force, in sums against interval by interval (A-3, L-9)."""
    flows, spread = gt.flows.c, gt.flow_intervals.c
    left = _total(connection, flows.generation_wh + flows.supply_wh, flows.superseded_height.is_(None))
    told = select(flows.day_start_ms).where(
        flows.day_start_ms == spread.day_start_ms,
        flows.kind == spread.kind,
        flows.version == spread.version,
        flows.superseded_height.is_(None),
    )
    right = _total(connection, spread.consumption_wh + spread.losses_wh + spread.returned_wh, told.exists())
    return [Sum("power flow as reported", "generation + supply", left, "use + losses + returned", right, "Wh")]


SETTLED_WH: Final = ("promised_wh", "generated_wh", "consumed_wh", "matched_wh")
SETTLED_MONEY: Final = (
    "energy_millionths",
    "over_grid_fee_millionths",
    "grid_purchase_millionths",
    "grid_sale_millionths",
    "seller_compensation_millionths",
    "buyer_compensation_millionths",
)


def _intervals(connection: Connection) -> list[Sum]:
    """Settlements in force against the sum of their intervals."""
    own = and_(_spread.c.contract == _settled.c.contract, _spread.c.revision == _settled.c.revision)
    found = []
    for columns, unit in ((SETTLED_WH, "Wh"), (SETTLED_MONEY, "money")):
        left = sum(_total(connection, _settled.c[name], _in_force) for name in columns)
        right = sum(_total(connection, _spread.c[name], _in_force, own) for name in columns)
        word = "energy" if unit == "Wh" else "money"
        found.append(Sum(f"settled {word}, every column", "settlements", left, "their intervals", right, unit))
    return found


# What was due: what was paid when it was due, and what became a debt then, paid later or still open.
_due: Final = union_all(
    select(
        t.transfers.c.kind,
        t.transfers.c.payer,
        t.transfers.c.payee,
        t.transfers.c.contract,
        t.transfers.c.amount_millionths.label("amount"),
    ),
    select(
        t.debts.c.kind,
        t.debts.c.debtor,
        t.debts.c.creditor,
        t.debts.c.contract,
        t.debts.c.recorded_millionths,
    ),
).subquery("due")


def _net(connection: Connection, kind: str, forward: ColumnElement[bool]) -> int:
    """What was due of a kind on contracts, less what corrections made due in the other direction."""
    source: FromClause = _due.join(t.contracts, t.contracts.c.contract == _due.c.contract)
    signed = case((forward, _due.c.amount), else_=-_due.c.amount)
    query = select(cast(func.coalesce(func.sum(signed), 0), BigInteger)).select_from(source).where(_due.c.kind == kind)
    return int(connection.execute(query).scalar_one())


def _gross(connection: Connection, kind: str, forward: ColumnElement[bool]) -> int:
    """What was due of a kind on contracts in one direction."""
    source: FromClause = _due.join(t.contracts, t.contracts.c.contract == _due.c.contract)
    query = select(cast(func.coalesce(func.sum(_due.c.amount), 0), BigInteger)).select_from(source)
    return int(connection.execute(query.where(_due.c.kind == kind, forward)).scalar_one())


def _taken_back(connection: Connection) -> int:
    """By how much corrections lowered compensation of either side.

    Compensation goes both ways on a contract, and so a seller pays its own and returns what it got before a correction
    lowered its buyer's. What was taken back was paid once in each direction and counts in neither.
    """
    before = t.settlements.alias("before")
    source = _settled.join(
        before, and_(before.c.contract == _settled.c.contract, before.c.revision == _settled.c.revision - 1)
    )
    lowered = 0
    for name in ("seller_compensation_millionths", "buyer_compensation_millionths"):
        less = before.c[name] - _settled.c[name]
        total = select(cast(func.coalesce(func.sum(case((less > 0, less), else_=0)), 0), BigInteger))
        lowered += int(connection.execute(total.select_from(source)).scalar_one())
    return lowered


def _paid(connection: Connection) -> list[Sum]:
    """Settlements, positions and fines in force against what was transferred and what is owed."""
    seller, buyer = t.contracts.c.seller, t.contracts.c.buyer
    by_buyer, by_seller = _due.c.payer == buyer, _due.c.payer == seller
    money = _settled.c
    settled = (
        ("energy", money.energy_millionths, by_buyer),
        ("over_grid_fee", money.over_grid_fee_millionths, by_buyer),
        ("grid_purchase", money.grid_purchase_millionths, by_buyer),
        ("grid_sale", money.grid_sale_millionths, _due.c.payee == seller),
    )
    name, right = "paid or owed: {}", "transferred + owed"
    found = [
        Sum(
            name.format(words_of(kind)),
            "settled",
            _total(connection, column, _in_force),
            right,
            _net(connection, kind, forward),
            "money",
        )
        for kind, column, forward in settled
    ]
    taken_back = _taken_back(connection)
    for side, column, forward in (
        ("sellers", money.seller_compensation_millionths, by_seller),
        ("buyers", money.buyer_compensation_millionths, by_buyer),
    ):
        left = _total(connection, column, _in_force)
        paid = _gross(connection, "compensation", forward) - taken_back
        found.append(Sum(name.format(f"compensation by {side}"), "settled", left, right, paid, "money"))
    fined = _total(connection, t.fines.c.amount_millionths, t.fines.c.superseded_height.is_(None))
    into = _net(connection, "fine", or_(by_seller, by_buyer))
    found.append(Sum(name.format("fines"), "fined", fined, right, into, "money"))
    members = select(t.accounts.c.account).where(t.accounts.c.name != "fines")
    out = case((_due.c.payee.in_(members), _due.c.amount), else_=-_due.c.amount)
    shared = _total(connection, out, _due.c.kind == "share")
    found.append(Sum(name.format("shares"), "fined", fined, right, shared, "money"))
    for side, kind in (("sell", "residual_sale"), ("buy", "residual_purchase")):
        in_force = and_(_positions.c.side == side, _positions.c.superseded_height.is_(None))
        member = _due.c.payee if side == "sell" else _due.c.payer
        members = select(t.accounts.c.account).where(t.accounts.c.reserved == 0)
        signed = case((member.in_(members), _due.c.amount), else_=-_due.c.amount)
        found.append(
            Sum(
                name.format(words_of(kind)),
                "settled",
                _total(connection, _positions.c.residual_millionths, in_force),
                right,
                _total(connection, signed, _due.c.kind == kind),
                "money",
            )
        )
    return found


def _accounts(connection: Connection) -> list[Sum]:
    everything = _total(connection, balances.c.balance_millionths)
    signed = _total(connection, cashier_days.c.signed_millionths)
    posted = _total(connection, cashier_days.c.posted_millionths)
    return [
        Sum("all accounts together", "sum of balances", everything, "what it must be", 0, "money"),
        Sum("the cashier's deposits", "signed", signed, "posted", posted, "money"),
    ]


def _certificates(connection: Connection) -> list[Sum]:
    """Every certified Wh stands in one bundle that nothing else was made of, and allowances leave nobody's account
    that do not enter another's."""
    certified = _total(connection, g.certified.c.energy_wh)
    size = (g.bundles.c.end - g.bundles.c.first) * g.bundles.c.unit_wh
    kept = _total(connection, size, g.bundles.c.status.not_in(("split", "rolled_up")))
    paid = _total(connection, g.bundle_moves.c.amount_millionths)
    moved = _total(connection, t.transfers.c.amount_millionths, t.transfers.c.kind == "certificates")
    accounts, in_force = g.carbon_accounts.c, g.carbon_accounts.c.superseded_height.is_(None)
    bought, sold = _total(connection, accounts.bought_g, in_force), _total(connection, accounts.sold_g, in_force)
    return [
        Sum("certificates", "certified", certified, "in bundles", kept, "Wh"),
        Sum("paid for certificates", "with bundles", paid, "transferred", moved, "money"),
        Sum("carbon allowances", "received", bought, "given", sold, "g"),
    ]
