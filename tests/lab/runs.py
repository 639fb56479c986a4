"""Short real runs for tests: the shipped market over a day or two, on a real folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from wattquorum.foundation.identities import verify_each
from wattquorum.lab.calendar import ZONE, zone_of
from wattquorum.lab.members import Member
from wattquorum.lab.offices import PROPOSER
from wattquorum.lab.shipped import shipped_members, shipped_week
from wattquorum.lab.week import Week, WeekPlan, last_days
from wattquorum.ledger.execution import Executed
from wattquorum.node.lone import LoneNode
from wattquorum.records.meter_table import MeterTable
from wattquorum.traders.forecast import Kind


def plan(
    days: int = 1,
    *,
    seed: int = 1,
    forecast: Kind = Kind.WEATHER,
    table: MeterTable | None = None,
    members: Sequence[Member] | None = None,
) -> WeekPlan:
    """The last days of the shipped fortnight, or of other readings."""
    readings = table or shipped_week()
    zone = zone_of(ZONE)
    first = last_days(readings, zone, days)
    return WeekPlan(tuple(members or shipped_members()), readings, zone, first, days, forecast, seed)


def run(wanted: WeekPlan, chain: Path, told: Callable[[Executed], None] = lambda _: None) -> list[Executed]:
    """Trades a plan on a chain in a folder and closes it; every executed block."""
    blocks: list[Executed] = []

    def both(executed: Executed) -> None:
        blocks.append(executed)
        told(executed)

    with LoneNode.create(chain, wanted.genesis(), wanted.secrets.key(PROPOSER), verify_each) as node:
        for _ in Week(wanted, node, both).run():
            pass
        node.close()
    return blocks


def changed_from(table: MeterTable, start_ms: int, factor: int) -> MeterTable:
    """The same readings, but multiplied (integer division by 4) from a moment on."""
    energy = pl.col("energy_wh")
    changed = pl.when(pl.col("interval_start_ms") >= start_ms).then(energy * factor // 4).otherwise(energy)
    return MeterTable(table.frame.with_columns(changed.alias("energy_wh")), table.interval_ms)


def chain_bytes(chain: Path) -> dict[str, bytes]:
    """Every file of a chain folder."""
    return {str(path.relative_to(chain)): path.read_bytes() for path in sorted(chain.rglob("*")) if path.is_file()}
