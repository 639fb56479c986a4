"""Flow rows: a report of the power flow as a row of sums and extremes, and spread over intervals and branches.

It stands apart from the other entries because a report is vectors throughout and needs nothing of earlier blocks.
"""

from __future__ import annotations

from wattquorum.foundation.vectors import energies, highest, lowest
from wattquorum.ledger.transactions import FlowKind, ReportFlow
from wattquorum.records.batch import Batch, Row
from wattquorum.records.tables import flow_branches, flow_intervals, flows


def add_flow(batch: Batch, place: int, report: ReportFlow) -> None:
    """The rows of `flows`, `flow_intervals` and `flow_branches` for a report by the transaction at `place`."""
    key = (report.day, FlowKind(report.kind).name.lower(), report.version)
    exchanged = [
        energies(vector)
        for vector in (report.generation, report.consumption, report.losses, report.supply, report.returned)
    ]
    low, high, loading = (energies(each) for each in (report.lowest_voltage, report.highest_voltage, report.loading))
    row: Row = (
        *key,
        report.grid.hex(),
        *(int(vector.sum()) for vector in exchanged),
        *(lowest(low), report.lowest_at.interval, report.lowest_at.place),
        *(highest(high), report.highest_at.interval, report.highest_at.place),
        *(highest(loading), report.loaded_at.interval, report.loaded_at.place),
        *(batch.height, place, None),
    )
    batch.revise(flows, ("day_start_ms", "kind"), row)
    columns = zip(*(vector.tolist() for vector in (*exchanged, low, high, loading)), strict=True)
    batch.extend(flow_intervals, [(*key, interval, *each) for interval, each in enumerate(columns)])
    branches = energies(report.branches).tolist()
    batch.extend(flow_branches, [(*key, branch, ppm) for branch, ppm in enumerate(branches)])
