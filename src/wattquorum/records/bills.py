"""Bills: what a member paid and was paid, line by line, and the way back from every line to the meters (L-1, L-27).

A line is a transfer seen from one side, so a bill adds up to the change of the account's balance and cannot do
otherwise. The trail of a line leads over the settlement that posted it and its intervals (allotment) to the readings
that the ledger had at that moment, with root and place, so that anyone who holds the rows can check them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Engine, Table, and_, or_, select

from wattquorum.foundation.refusals import Refused
from wattquorum.records.database import AnyRow, AnySelect, rows_of
from wattquorum.records.tables import (
    accounts,
    contracts,
    credit,
    fines,
    intervals,
    position_intervals,
    positions,
    reading_sets,
    readings,
    settlements,
    transfers,
)
from wattquorum.records.views import bill_lines


def words_of(kind: str) -> str:
    """What people read for a kind of transfer, as the glossary has it; report and terminal say the same."""
    return kind.replace("over_grid", "over-grid").replace("_", " ")


class BillLine(NamedTuple):
    """One line: `amount_millionths` is above zero when the account is paid."""

    height: int
    sequence: int
    day_start_ms: int | None
    kind: str
    counterparty: str
    counterparty_name: str
    contract: str
    amount_millionths: int


class Bill(NamedTuple):
    """An account's lines of a day, or of all days, in the order in which they were posted."""

    account: str
    day_start_ms: int | None
    lines: tuple[BillLine, ...]

    @property
    def total_millionths(self) -> int:
        """What the account gained, or paid when below zero."""
        return sum(line.amount_millionths for line in self.lines)

    def by_kind(self) -> dict[str, int]:
        """The sum of each kind of line [millionths], in the order in which kinds first appear."""
        sums: dict[str, int] = {}
        for line in self.lines:
            sums[line.kind] = sums.get(line.kind, 0) + line.amount_millionths
        return sums


def bill_of(engine: Engine, account: str, day_start_ms: int | None = None) -> Bill:
    """The bill of an account (hexadecimal address) for one delivery day; without a day, everything it ever paid or got.

    Raises Refused("account_unknown") for an account that the records do not have.
    """
    if not rows_of(engine, select(accounts.c.account).where(accounts.c.account == account)):
        raise Refused("account_unknown", "account", account)
    query = (
        select(
            bill_lines.c.height,
            bill_lines.c.sequence,
            bill_lines.c.day_start_ms,
            bill_lines.c.kind,
            bill_lines.c.counterparty,
            accounts.c.name,
            bill_lines.c.contract,
            bill_lines.c.amount_millionths,
        )
        .join_from(bill_lines, accounts, accounts.c.account == bill_lines.c.counterparty)
        .where(bill_lines.c.account == account)
        .order_by(bill_lines.c.height, bill_lines.c.sequence)
    )
    if day_start_ms is not None:
        query = query.where(bill_lines.c.day_start_ms == day_start_ms)
    return Bill(account, day_start_ms, tuple(BillLine._make(row) for row in rows_of(engine, query)))


class Trail(NamedTuple):
    """What stands behind one transfer. Lists are empty where nothing of the kind led to it."""

    transfer: AnyRow
    contract: AnyRow | None
    settlement: AnyRow | None  # the revision that posted it, or the position
    intervals: list[AnyRow]  # of that revision: allotment and money
    fines: list[AnyRow]  # in force when it was posted: the contract's, or all of the day behind a share
    reading_sets: list[AnyRow]  # the versions that counted, with root and place on the chain
    readings: list[AnyRow]  # their intervals; none for a side whose meters were silent
    judged: list[AnyRow]  # behind a share: the day's judgements, by whose credit fines are shared


def trail(engine: Engine, height: int, sequence: int) -> Trail:
    """The way back from a transfer to the readings (L-27); Refused("out_of_range") when there is no such transfer."""
    found = rows_of(engine, select(transfers).where(transfers.c.height == height, transfers.c.sequence == sequence))
    if not found:
        raise Refused("out_of_range", "transfer", f"block {height}, fact {sequence}", "Take both from a bill line.")
    moved = found[0]
    if moved.day_start_ms is None:
        return Trail(moved, None, None, [], [], [], [], [])
    if moved.contract:
        return _of_contract(engine, moved)
    if moved.kind == "share":
        return _of_share(engine, moved)
    return _of_position(engine, moved)


def _of_contract(engine: Engine, moved: AnyRow) -> Trail:
    contract = rows_of(engine, select(contracts).where(contracts.c.contract == moved.contract))[0]
    settled = _standing_at(engine, settlements, settlements.c.contract == moved.contract, moved)
    if settled is None:  # a handling fee is paid before anything is delivered
        return Trail(moved, contract, None, [], [], [], [], [])
    spread = select(intervals).where(intervals.c.contract == moved.contract, intervals.c.revision == settled.revision)
    charged = _in_force_at(select(fines).where(fines.c.contract == moved.contract), fines, moved)
    sides = or_(
        and_(reading_sets.c.member == contract.seller, reading_sets.c.side == "sell"),
        and_(reading_sets.c.member == contract.buyer, reading_sets.c.side == "buy"),
    )
    sets, rows = _readings_at(engine, select(reading_sets).where(sides), moved)
    return Trail(
        moved,
        contract,
        settled,
        rows_of(engine, spread.order_by(intervals.c.interval)),
        rows_of(engine, charged),
        sets,
        rows,
        [],
    )


def _of_share(engine: Engine, moved: AnyRow) -> Trail:
    """All fines and judgements of the day: the credits of those that performed, and what there was to share."""
    charged = select(fines).where(fines.c.day_start_ms == moved.day_start_ms)
    charged = _in_force_at(charged.order_by(fines.c.contract, fines.c.payer), fines, moved)
    judged = select(credit).where(credit.c.day_start_ms == moved.day_start_ms, credit.c.event == "day")
    judged = _in_force_at(judged.order_by(credit.c.member, credit.c.side), credit, moved)
    return Trail(moved, None, None, [], rows_of(engine, charged), [], [], rows_of(engine, judged))


def _in_force_at(query: AnySelect, table: Table, moved: AnyRow) -> AnySelect:
    """The rows that stood when the transfer was posted; blocks that revise them post the differences."""
    later = or_(table.c.superseded_height.is_(None), table.c.superseded_height > moved.height)
    return query.where(table.c.height <= moved.height, later)


def _of_position(engine: Engine, moved: AnyRow) -> Trail:
    side = "sell" if moved.kind == "residual_sale" else "buy"
    query = positions.c.side == side
    member = or_(positions.c.member == moved.payer, positions.c.member == moved.payee)
    settled = _standing_at(
        engine, positions, and_(query, member, positions.c.day_start_ms == moved.day_start_ms), moved
    )
    if settled is None:
        return Trail(moved, None, None, [], [], [], [], [])
    spread = select(position_intervals).where(
        position_intervals.c.day_start_ms == moved.day_start_ms,
        position_intervals.c.member == settled.member,
        position_intervals.c.side == side,
        position_intervals.c.revision == settled.revision,
    )
    own = select(reading_sets).where(reading_sets.c.member == settled.member, reading_sets.c.side == side)
    sets, rows = _readings_at(engine, own, moved)
    spread_rows = rows_of(engine, spread.order_by(position_intervals.c.interval))
    return Trail(moved, None, settled, spread_rows, [], sets, rows, [])


def _standing_at(engine: Engine, table: Table, condition: Any, moved: AnyRow) -> AnyRow | None:
    """The revision that was in force once the transfer's transaction was done."""
    query = select(table).where(condition, _not_after(table, moved)).order_by(table.c.revision.desc()).limit(1)
    found = rows_of(engine, query)
    return found[0] if found else None


def _not_after(table: Table, moved: AnyRow) -> Any:
    same_block = and_(table.c.height == moved.height, table.c.place <= moved.place)
    return or_(table.c.height < moved.height, same_block)


def _readings_at(engine: Engine, query: AnySelect, moved: AnyRow) -> tuple[list[AnyRow], list[AnyRow]]:
    """The latest versions that the ledger had at the transfer, and their intervals."""
    query = query.where(reading_sets.c.day_start_ms == moved.day_start_ms, _not_after(reading_sets, moved))
    latest = {row.meter: row for row in rows_of(engine, query.order_by(reading_sets.c.version))}
    rows: list[AnyRow] = []
    for each in latest.values():
        of_set = select(readings).where(
            readings.c.day_start_ms == each.day_start_ms,
            readings.c.meter == each.meter,
            readings.c.version == each.version,
        )
        rows.extend(rows_of(engine, of_set.order_by(readings.c.interval)))
    return list(latest.values()), rows
