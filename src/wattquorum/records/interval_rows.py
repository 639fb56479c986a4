"""Interval rows: settlements and grid positions spread out over their intervals, all of a block in bulk.

Facts carry energies per interval and money in sums; the money of each interval follows from the same settlement rule
(A-17, L-1 to L-3) that the ledger used, so that intervals add up to the sums that were posted. This is the part of
L-27 between a reading and a transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.vectors import Int64s, energies
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.facts import ContractSettled, PositionSettled
from wattquorum.market.settlement import MoneyRows, paper_compensation, settle_rows
from wattquorum.market.terms import Policy, TermRows
from wattquorum.records.batch import Batch, Row
from wattquorum.records.block_entries import side_word
from wattquorum.records.known import Known, KnownDay
from wattquorum.records.tables import intervals, position_intervals, positions


def add_intervals(batch: Batch, known: Known, settled: Sequence[ContractSettled]) -> None:
    """The rows of `intervals` for settlements of one block."""
    for day, facts in _by_day(settled).items():
        batch.extend(intervals, _interval_rows(known, day, facts))


def _by_day(facts: Sequence[ContractSettled]) -> dict[int, list[ContractSettled]]:
    days: dict[int, list[ContractSettled]] = {}
    for fact in facts:
        days.setdefault(fact.day, []).append(fact)
    return days


def _interval_rows(known: Known, day: int, facts: Sequence[ContractSettled]) -> list[Row]:
    tariff = known.day(day)
    promised, generated, consumed = (
        np.array([energies(getattr(fact, field)) for fact in facts]) for field in ("promised", "generated", "consumed")
    )
    price = np.array([known.contract(day, fact.contract.hex()).price for fact in facts])
    terms = TermRows(price, tariff.feed_in, tariff.grid_price, tariff.over_grid_fee)
    money = settle_rows(promised, generated, consumed, terms, tariff.policy)
    if tariff.policy is Policy.PAPER:
        # Under A-18 exactly one side pays, and only if it alone defaulted: the sums tell which.
        seller_pays, buyer_pays = (
            np.array([getattr(fact, field) > 0 for fact in facts])
            for field in ("seller_compensation", "buyer_compensation")
        )
        pays = paper_compensation(promised, generated, consumed, terms, seller_pays, buyer_pays)
        money = MoneyRows(*money[:4], *pays)
    matched = np.minimum(np.minimum(promised, generated), consumed)
    rows, places = np.nonzero(promised)
    columns = [array[rows, places].tolist() for array in (promised, generated, consumed, matched, price, *money)]
    ids = [(fact.contract.hex(), fact.revision) for fact in facts]
    return [
        (*ids[row], place, *rest) for row, place, *rest in zip(rows.tolist(), places.tolist(), *columns, strict=True)
    ]


class _Priced(NamedTuple):
    """A position's money, interval by interval."""

    residual: Int64s
    grid_alone: Int64s


def _priced(tariff: KnownDay, side: Side, metered: Int64s, residual: Int64s) -> _Priced:
    """What residual and metered energy cost or earn with the grid: a contract that promises nothing, settled."""
    energy = np.stack((residual, metered))
    nothing = np.zeros_like(energy)
    terms = TermRows(np.zeros(1, dtype=np.int64), tariff.feed_in, tariff.grid_price, tariff.over_grid_fee)
    if side is Side.SELL:
        money = settle_rows(nothing, energy, nothing, terms, Policy.OFF).grid_sale
    else:
        money = settle_rows(nothing, nothing, energy, terms, Policy.OFF).grid_purchase
    return _Priced(money[0], money[1])


def add_positions(batch: Batch, height: int, known: Known, settled: Sequence[tuple[int, PositionSettled]]) -> None:
    """The rows of `positions` and `position_intervals` for (place, fact) of one block."""
    for place, fact in settled:
        metered, residual = energies(fact.metered), energies(fact.residual)
        priced = _priced(known.day(fact.day), fact.side, metered, residual)
        member, side = fact.member.hex(), side_word(fact.side)
        row: Row = (
            fact.day,
            member,
            side,
            fact.revision,
            int(metered.sum()),
            int(residual.sum()),
            fact.money,
            int(priced.grid_alone.sum()),
            height,
            place,
            None,
        )
        batch.revise(positions, ("day_start_ms", "member", "side"), row)
        columns = zip(metered.tolist(), residual.tolist(), priced.residual.tolist(), strict=True)
        key = (fact.day, member, side, fact.revision)
        batch.extend(position_intervals, [(*key, interval, *rest) for interval, rest in enumerate(columns)])
