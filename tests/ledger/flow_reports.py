"""Reports of a power flow for ledger tests: four intervals that balance, changed at will."""

from __future__ import annotations

from typing import Any

from tests.ledger.world import START
from wattquorum.foundation.codec import changed
from wattquorum.foundation.vectors import pack_energy
from wattquorum.ledger.transactions import Extreme, FlowKind, ReportFlow

GRID = bytes(range(32))
VECTORS = (
    *("generation", "consumption", "losses", "supply", "returned"),
    *("lowest_voltage", "highest_voltage", "loading"),
)


def flow_report(
    day: int = START, kind: FlowKind = FlowKind.PLANNED, version: int = 1, *, times: int = 1, **fields: Any
) -> ReportFlow:
    """Four intervals: supplied, returned, neither, both ends of the band; `times` over. Lists become packed vectors."""
    report = ReportFlow(
        day,
        kind,
        version,
        GRID,
        generation=pack_energy([1_000, 5_000, 2_020, 0]),
        consumption=pack_energy([3_000, 3_000, 2_000, 4_000]),
        losses=pack_energy([50, 60, 20, 70]),
        supply=pack_energy([2_050, 0, 0, 4_070]),
        returned=pack_energy([0, 1_940, 0, 0]),
        lowest_voltage=pack_energy([1_010_000, 1_020_000, 1_020_000, 990_000]),
        highest_voltage=pack_energy([1_020_000, 1_050_000, 1_025_000, 1_020_000]),
        loading=pack_energy([300_000, 500_000, 200_000, 500_000]),
        lowest_at=Extreme(3, "node 9"),
        highest_at=Extreme(1, "node 4"),
        loaded_at=Extreme(1, "line 7"),
        branches=pack_energy([100_000, 500_000, 0]),
    )
    repeated = {name: getattr(report, name) * times for name in VECTORS}
    given = {name: pack_energy(value) if isinstance(value, list) else value for name, value in fields.items()}
    return changed(report, **{**repeated, **given})
