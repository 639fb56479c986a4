"""Flows: the grid operator's signed power flow of a day (A-3, L-9).

Power flow is computed beside the ledger, in floats, from a grid that the ledger does not know; what enters is its
result in whole watt-hours and parts per million, and the operator answers for it. The ledger checks what it can: whose
signature, which day and when, lengths and bounds, that the balance of A-3 closes in every interval to the last Wh, and
that the extremes lie where they are said to lie. It settles nothing by a report: losses stand as a line of their own.
"""

from __future__ import annotations

from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import (
    BYTES_PER_ENTRY,
    Int64s,
    check_energies,
    check_length,
    energies,
    highest,
    lowest,
)
from wattquorum.ledger.accounts import Role
from wattquorum.ledger.context import Context
from wattquorum.ledger.facts import FlowReported
from wattquorum.ledger.state import Day, FlowVersion, Table, day_key
from wattquorum.ledger.transactions import Extreme, FlowKind, ReportFlow

RATIO_MAX = 1_000_000_000  # a thousand times the rating [ppm]


def report_flow(context: Context, payload: ReportFlow) -> None:
    """The grid operator reports a day's flow: planned between gate and start, metered after the end (L-9)."""
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    _check_time(context, day, payload)
    key = day_key(payload.day) + bytes((payload.kind,))
    before: FlowVersion | None = context.state.get(Table.FLOW, key)
    expected = before.version + 1 if before else 1
    if payload.version != expected:
        raise Refused("version_not_higher", "version", payload.version, f"The next version is {expected}.")
    _check_balance(payload, day.window.intervals)
    _check_extremes(payload, day.window.intervals)
    context.state.put(Table.FLOW, key, FlowVersion(payload.version))
    context.tell(FlowReported(payload))


def _check_time(context: Context, day: Day, payload: ReportFlow) -> None:
    if context.now < day.gate_ms:
        raise Refused("gate_open", "day", payload.day)
    if payload.kind is FlowKind.PLANNED and context.now >= day.window.start_ms:
        raise Refused("started", "day", payload.day)
    if payload.kind is FlowKind.METERED and context.now < day.window.end_ms:
        raise Refused("readings_early", "day", payload.day)


def _check_balance(payload: ReportFlow, intervals: int) -> None:
    """Generation + supply = consumption + losses + what is returned, in every interval (A-3)."""
    names = ("generation", "consumption", "losses", "supply", "returned")
    generation, consumption, losses, supply, returned = (
        check_energies(getattr(payload, name), intervals, name) for name in names
    )
    gap = generation + supply - consumption - losses - returned
    if gap.any():
        interval = int(gap.nonzero()[0][0])
        raise Refused("energy_unbalanced", "losses", interval, f"{gap[interval]} Wh are left over in this interval.")
    both = (supply > 0) & (returned > 0)
    if both.any():
        remedy = "An interval supplies or returns; give the difference."
        raise Refused("energy_unbalanced", "returned", int(both.argmax()), remedy)


def _check_extremes(payload: ReportFlow, intervals: int) -> None:
    """Voltages and loadings have the day's length and bounds, and lie where the report says."""
    low, high, loading = (
        _ratios(getattr(payload, name), intervals, name) for name in ("lowest_voltage", "highest_voltage", "loading")
    )
    if (low > high).any():
        raise Refused("out_of_range", "lowest_voltage", lowest(high - low), "The lowest is at most the highest.")
    for name, vector, value in (
        ("lowest_at", low, lowest(low)),
        ("highest_at", high, highest(high)),
        ("loaded_at", loading, highest(loading)),
    ):
        at: Extreme = getattr(payload, name)
        if at.interval >= intervals or vector[at.interval] != value:
            raise Refused("out_of_range", name, at.interval, f"Name an interval that has the extreme, {value} ppm.")
    branches = _ratios(payload.branches, len(payload.branches) // BYTES_PER_ENTRY, "branches")
    if branches.size and highest(branches) != highest(loading):
        raise Refused("out_of_range", "branches", highest(branches), f"The most loaded one has {highest(loading)} ppm.")


def _ratios(vector: bytes, entries: int, field: str) -> Int64s:
    check_length(vector, entries, field)
    array = energies(vector)
    if array.size and highest(array) > RATIO_MAX:
        raise Refused("out_of_range", field, highest(array), f"Give at most {RATIO_MAX} ppm.")
    return array
