"""Views: what people ask of the records, as queries that every user of the database can run.

A bill is a sum of transfers and nothing else (L-1): a line for every transfer and side, added up per account, day and
kind. What a day traded, who owes whom a penalty, and whether every sum closes follow in the same way. The definitions
are SQLAlchemy's, so that they are the same on every database.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.selectable import CompoundSelect

from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.records import tables as t
from wattquorum.records.columns import SUPERSEDED

Query = Select[Any] | CompoundSelect[Any]


class View(NamedTuple):
    """A view: its query, and the table that reads it, with comments on view and columns."""

    table: Table
    query: Query


view_metadata: Final = MetaData()
VIEWS: Final[list[View]] = []


def _view(name: str, says: str, query: Query, /, **columns: str) -> Table:
    """Declares a view; `columns` say what each column of the query is, in order."""
    selected = list(query.selected_columns)
    if [column.name for column in selected] != list(columns):
        raise AssertionError(f"{name}: {[column.name for column in selected]} are declared as {list(columns)}")
    made: list[Column[Any]] = [
        Column(column.name, String if isinstance(column.type, String) else BigInteger, comment=columns[column.name])
        for column in selected
    ]
    table = Table(name, view_metadata, *made, comment=says)
    VIEWS.append(View(table, query))
    return table


def create_views(connection: Connection) -> None:
    """Creates all views in the order of their declaration."""
    for view in VIEWS:
        compiled = view.query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        connection.exec_driver_sql(f"CREATE VIEW {view.table.name} AS {compiled}")


def drop_views(connection: Connection) -> None:
    """Drops all views that are there."""
    for view in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view.table.name}")


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    """A sum that is an integer on every database, and 0 over nothing."""
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


def _zero(column: ColumnElement[int]) -> ColumnElement[int]:
    """The value, or 0 where a join found none."""
    return cast(func.coalesce(column, 0), BigInteger)


def _returned(payee: Column[str]) -> ColumnElement[bool]:
    """Whether money that was set aside goes back to a member instead of outside."""
    outside = select(t.accounts.c.account).where(t.accounts.c.reserved == 1, t.accounts.c.name == "outside")
    return payee != outside.scalar_subquery()


_moved, _made, _day = t.transfers, t.contracts, t.days
_in_force: Final = {table.name: table.c[SUPERSEDED].is_(None) for table in (t.settlements, t.positions, t.fines)}

# Bills ------------------------------------------------------------------------------------------------------------


def _lines(account: Column[str], counterparty: Column[str], amount: ColumnElement[int]) -> Select[Any]:
    return select(
        account.label("account"),
        _moved.c.height,
        _moved.c.sequence,
        _moved.c.day_start_ms,
        _moved.c.kind,
        counterparty.label("counterparty"),
        _moved.c.contract,
        amount.label("amount_millionths"),
    )


_amount = _moved.c.amount_millionths

bill_lines: Final = _view(
    "bill_lines",
    "Every transfer as a line on the bill of both its sides (L-27); all lines of all accounts add up to zero.",
    union_all(
        _lines(_moved.c.payee, _moved.c.payer, _amount),
        _lines(_moved.c.payer, _moved.c.payee, -_amount),
    ),
    account="whose bill",
    height="block of the transfer",
    sequence="its place among the block's facts",
    day_start_ms="delivery day that caused it; empty for deposits and withdrawals",
    kind="what it is for",
    counterparty="who paid or was paid",
    contract="contract that caused it; empty when none did",
    amount_millionths="above zero when the account is paid, below when it pays",
)

bills: Final = _view(
    "bills",
    "Bill lines added up per account, delivery day and kind; a bill's total is their sum.",
    select(
        bill_lines.c.account,
        bill_lines.c.day_start_ms,
        bill_lines.c.kind,
        cast(func.count(), BigInteger).label("lines"),
        _sum(bill_lines.c.amount_millionths).label("amount_millionths"),
    ).group_by(bill_lines.c.account, bill_lines.c.day_start_ms, bill_lines.c.kind),
    account="whose bill",
    day_start_ms="delivery day; empty for deposits and withdrawals",
    kind="what the lines are for",
    lines="how many lines",
    amount_millionths="their sum",
)


_by_account: Final = (
    select(
        bill_lines.c.account,
        _sum(case((bill_lines.c.kind == "deposit", bill_lines.c.amount_millionths), else_=0)).label("deposited"),
        _sum(case((bill_lines.c.kind == "withdrawal", bill_lines.c.amount_millionths), else_=0)).label("withdrawn"),
        _sum(bill_lines.c.amount_millionths).label("balance"),
    )
    .group_by(bill_lines.c.account)
    .subquery()
)
_owed: Final = (
    select(t.debts.c.debtor, _sum(t.debts.c.open_millionths).label("owed")).group_by(t.debts.c.debtor).subquery()
)

balances: Final = _view(
    "balances",
    "Each account's money: what its bill adds up to, locked collateral included; all accounts add up to zero.",
    select(
        t.accounts.c.account,
        t.accounts.c.name,
        _zero(_by_account.c.deposited).label("deposited_millionths"),
        _zero(_by_account.c.withdrawn).label("withdrawn_millionths"),
        _zero(_by_account.c.balance - _by_account.c.deposited - _by_account.c.withdrawn).label("traded_millionths"),
        _zero(_by_account.c.balance).label("balance_millionths"),
        _zero(_owed.c.owed).label("owed_millionths"),
    ).select_from(
        t.accounts.outerjoin(_by_account, _by_account.c.account == t.accounts.c.account).outerjoin(
            _owed, _owed.c.debtor == t.accounts.c.account
        )
    ),
    account="address",
    name="name",
    deposited_millionths="lines of kind deposit",
    withdrawn_millionths="lines of kind withdrawal, below zero for a member",
    traded_millionths="all other lines",
    balance_millionths="the sum of the three: free money and locked collateral",
    owed_millionths="open debts; they are not part of the balance",
)

_payouts: Final = (
    select(t.accounts.c.account).where(t.accounts.c.reserved == 1, t.accounts.c.name == "payouts").scalar_subquery()
)
_block_day: Final = (t.blocks.c.time_ms // MS_PER_DAY * MS_PER_DAY).label("posted_day_ms")
_none: Final = literal(0)
_posted: Final = union_all(
    select(
        _block_day,
        literal(1).label("deposits"),
        t.deposits.c.amount_millionths.label("signed"),
        _none.label("posted"),
        _none.label("set_aside"),
        _none.label("paid_out"),
    ).join_from(t.deposits, t.blocks, t.deposits.c.height == t.blocks.c.height),
    select(
        _block_day,
        _none,
        _none,
        case((_moved.c.kind == "deposit", _amount), else_=0),
        case(
            (and_(_moved.c.kind == "withdrawal", _moved.c.payee == _payouts), _amount),
            (and_(_moved.c.kind == "withdrawal", _moved.c.payer == _payouts, _returned(_moved.c.payee)), -_amount),
            else_=0,
        ),
        case(
            (and_(_moved.c.kind == "withdrawal", _moved.c.payer == _payouts, ~_returned(_moved.c.payee)), _amount),
            else_=0,
        ),
    )
    .join_from(_moved, t.blocks, _moved.c.height == t.blocks.c.height)
    .where(_moved.c.kind.in_(("deposit", "withdrawal"))),
).subquery()

cashier_days: Final = _view(
    "cashier_days",
    "What the cashier signed against what was posted, by UTC day of the block (L-27).",
    select(
        _posted.c.posted_day_ms,
        _sum(_posted.c.deposits).label("deposits"),
        _sum(_posted.c.signed).label("signed_millionths"),
        _sum(_posted.c.posted).label("posted_millionths"),
        _sum(_posted.c.signed - _posted.c.posted).label("difference_millionths"),
        _sum(_posted.c.set_aside).label("set_aside_millionths"),
        _sum(_posted.c.paid_out).label("paid_out_millionths"),
    ).group_by(_posted.c.posted_day_ms),
    posted_day_ms="start of the UTC day",
    deposits="how many deposits the cashier signed",
    signed_millionths="their sum, as signed, one reference each",
    posted_millionths="deposits as transfers",
    difference_millionths="signed less posted: zero, or something is wrong",
    set_aside_millionths="withdrawals asked for, less those returned",
    paid_out_millionths="withdrawals paid outside",
)

# Delivery and penalties -------------------------------------------------------------------------------------------

_position, _settled = t.positions, t.settlements
_sold_or_used: Final = (
    select(
        _position.c.day_start_ms,
        _sum(case((_position.c.side == "sell", _position.c.metered_wh), else_=0)).label("injected"),
        _sum(case((_position.c.side == "buy", _position.c.metered_wh), else_=0)).label("withdrawn"),
        _sum(case((_position.c.side == "sell", _position.c.residual_wh), else_=0)).label("residual_sold"),
        _sum(case((_position.c.side == "buy", _position.c.residual_wh), else_=0)).label("residual_bought"),
    )
    .where(_in_force["positions"])
    .group_by(_position.c.day_start_ms)
    .subquery()
)
_traded: Final = (
    select(
        _settled.c.day_start_ms,
        _sum(_settled.c.promised_wh).label("promised"),
        _sum(_settled.c.generated_wh).label("generated"),
        _sum(_settled.c.consumed_wh).label("consumed"),
        _sum(_settled.c.matched_wh).label("matched"),
    )
    .where(_in_force["settlements"])
    .group_by(_settled.c.day_start_ms)
    .subquery()
)
_matched: Final = _zero(_traded.c.matched)
_to_grid: Final = _zero(_traded.c.generated) - _matched + _zero(_sold_or_used.c.residual_sold)
_from_grid: Final = _zero(_traded.c.consumed) - _matched + _zero(_sold_or_used.c.residual_bought)

energy_balance: Final = _view(
    "energy_balance",
    "Each day's energy: injected is traded or goes to the grid, withdrawn is traded or comes from it.",
    select(
        _day.c.day_start_ms,
        _zero(_traded.c.promised).label("promised_wh"),
        _zero(_sold_or_used.c.injected).label("injected_wh"),
        _zero(_sold_or_used.c.withdrawn).label("withdrawn_wh"),
        _matched.label("matched_wh"),
        _to_grid.label("to_grid_wh"),
        _from_grid.label("from_grid_wh"),
        (_zero(_sold_or_used.c.injected) - _matched - _to_grid).label("injected_gap_wh"),
        (_zero(_sold_or_used.c.withdrawn) - _matched - _from_grid).label("withdrawn_gap_wh"),
    ).select_from(
        _day.outerjoin(_sold_or_used, _sold_or_used.c.day_start_ms == _day.c.day_start_ms).outerjoin(
            _traded, _traded.c.day_start_ms == _day.c.day_start_ms
        )
    ),
    day_start_ms="delivery day",
    promised_wh="promised by contracts, after curtailments",
    injected_wh="metered at generators",
    withdrawn_wh="metered at consumers",
    matched_wh="traded between members",
    to_grid_wh="sold to the grid, on contracts and beyond them",
    from_grid_wh="bought from the grid, on contracts and beyond them",
    injected_gap_wh="injected less traded less to the grid: zero once every page is closed",
    withdrawn_gap_wh="withdrawn less traded less from the grid: zero once every page is closed",
)


def _penalties_of(side: str, payer: Column[str], partner: Column[str]) -> Select[Any]:
    """Compensation and fine of one side of every contract."""
    role = "seller" if side == "sell" else "buyer"
    compensation = _settled.c[f"{role}_compensation_millionths"]
    fine = _zero(t.fines.c.amount_millionths)
    fined = and_(t.fines.c.contract == _made.c.contract, t.fines.c.payer == payer, _in_force["fines"])
    return (
        select(
            _made.c.contract,
            _made.c.day_start_ms,
            literal(side).label("side"),
            payer.label("payer"),
            partner.label("partner"),
            _settled.c.promised_wh,
            _settled.c[f"{role}_shortfall_wh"].label("shortfall_wh"),
            compensation.label("compensation_millionths"),
            fine.label("fine_millionths"),
        )
        .select_from(
            _made.join(_settled, and_(_settled.c.contract == _made.c.contract, _in_force["settlements"])).outerjoin(
                t.fines, fined
            )
        )
        .where(or_(compensation != 0, fine != 0))
    )


penalties: Final = _view(
    "penalties",
    "What one side of a contract owes for falling short: compensation to its partner, and the fine (A-18, L-3).",
    union_all(
        _penalties_of("sell", _made.c.seller, _made.c.buyer), _penalties_of("buy", _made.c.buyer, _made.c.seller)
    ),
    contract="id",
    day_start_ms="delivery day",
    side="the side that fell short: sell or buy",
    payer="who fell short",
    partner="the other side of the contract",
    promised_wh="promised by the contract",
    shortfall_wh="what the side missed in tested intervals",
    compensation_millionths="to the partner, for its true loss",
    fine_millionths="shared among the members that performed",
)

_fines: Final = (
    select(t.accounts.c.account).where(t.accounts.c.reserved == 1, t.accounts.c.name == "fines").scalar_subquery()
)

shares: Final = _view(
    "shares",
    "Who got how much of a day's fines (A-19); below zero where a correction took a part of a share back.",
    select(
        _moved.c.height,
        _moved.c.sequence,
        _moved.c.day_start_ms,
        case((_moved.c.payer == _fines, _moved.c.payee), else_=_moved.c.payer).label("receiver"),
        case((_moved.c.payer == _fines, _amount), else_=-_amount).label("amount_millionths"),
    ).where(_moved.c.kind == "share"),
    height="block of the transfer",
    sequence="its place among the block's facts",
    day_start_ms="delivery day",
    receiver="who got the share; the community when nobody performed",
    amount_millionths="the share",
)

_owes: Final = t.debts.c.recorded_millionths
_due: Final = union_all(
    select(bill_lines.c.account, bill_lines.c.day_start_ms, bill_lines.c.amount_millionths.label("amount")).where(
        bill_lines.c.kind != "debt_payment"
    ),
    select(t.debts.c.debtor, t.debts.c.day_start_ms, -_owes),
    select(t.debts.c.creditor, t.debts.c.day_start_ms, _owes),
).subquery()
_result: Final = (
    select(_due.c.account, _due.c.day_start_ms, _sum(_due.c.amount).label("result"))
    .where(_due.c.day_start_ms.is_not(None))
    .group_by(_due.c.account, _due.c.day_start_ms)
    .subquery()
)
_alone: Final = (
    select(
        _position.c.member,
        _position.c.day_start_ms,
        _sum(
            case(
                (_position.c.side == "sell", _position.c.grid_alone_millionths),
                else_=-_position.c.grid_alone_millionths,
            )
        ).label("alone"),
    )
    .where(_in_force["positions"])
    .group_by(_position.c.member, _position.c.day_start_ms)
    .subquery()
)

member_days: Final = _view(
    "member_days",
    "What a delivery day brought a member, against what the grid alone would have.",
    select(
        _alone.c.day_start_ms,
        _alone.c.member,
        _zero(_result.c.result).label("result_millionths"),
        _alone.c.alone.label("grid_alone_millionths"),
        (_zero(_result.c.result) - _alone.c.alone).label("gain_millionths"),
    ).select_from(
        _alone.outerjoin(
            _result, and_(_result.c.account == _alone.c.member, _result.c.day_start_ms == _alone.c.day_start_ms)
        )
    ),
    day_start_ms="delivery day",
    member="address",
    result_millionths="sum of its bill of the day, debts counted when they arose; below zero when it pays",
    grid_alone_millionths="what its metered energy would have brought or cost with the grid alone",
    gain_millionths="the difference: what trading was worth to it",
)

_version, _before = t.contract_versions, t.contract_versions.alias("before")

curtailments: Final = _view(
    "curtailments",
    "What the grid operator cut from contracts, and why (L-8).",
    select(
        _version.c.contract,
        _version.c.version,
        _version.c.day_start_ms,
        _made.c.seller,
        _made.c.buyer,
        _before.c.energy_wh.label("before_wh"),
        _version.c.energy_wh.label("after_wh"),
        (_before.c.energy_wh - _version.c.energy_wh).label("cut_wh"),
        _version.c.refund_millionths,
        _version.c.reason,
        _version.c.height,
    ).select_from(
        _version.join(
            _before, and_(_before.c.contract == _version.c.contract, _before.c.version == _version.c.version - 1)
        ).join(_made, _made.c.contract == _version.c.contract)
    ),
    contract="id",
    version="the version of the contract that this made",
    day_start_ms="delivery day",
    seller="generator's address",
    buyer="consumer's address",
    before_wh="promised before, over the day",
    after_wh="promised after",
    cut_wh="the difference",
    refund_millionths="handling fee paid back to each side",
    reason="the limit that would be broken, where and when, as the grid operator gave it",
    height="block",
)
