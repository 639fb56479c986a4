"""Grid: what the wires carried, as the grid operator signed it (A-3, L-8, L-9).

The power flow is no computation of the ledger; its numbers are the operator's. Where nodes lie on the map is not on the
chain either: records that were rebuilt from a chain alone have the flows and no map, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import select

from wattquorum.foundation.quantities import Energy, format_energy
from wattquorum.grid.flow import STEP_PPM
from wattquorum.lab.report.markup import Section, behind, chart, chooser, panel, paragraph, table
from wattquorum.lab.report.week import Week
from wattquorum.records import grid_tables as gt
from wattquorum.records.database import AnyRow
from wattquorum.records.views import curtailments

KINDS: Final = ("metered", "planned")  # as scripts number them
SAYS: Final = {"metered": "as metered", "planned": "as planned the day before"}
LIMITS: Final = ("grid_voltage_low_ppm", "grid_voltage_high_ppm", "grid_loading_ppm")
MAP: Final = "Map of the grid; the colour of a line is its loading in the day's worst interval"
LEAD: Final = (
    "The grid operator computes the power flow through the whole grid, of members and of all others: the day before "
    "from what was contracted, after delivery from what was metered. Contracts that the grid cannot carry are "
    "curtailed, the last one first and no more than it takes. Line losses are a line of their own: the operator "
    "supplies them, and no bill of a contract contains them."
)


def grid(week: Week) -> Section:
    """The map at each day's worst interval, losses, voltages and loading over time, and what was curtailed."""
    flows = _in_force(week)
    if not flows:
        body = paragraph("No power flow of any day was reported.") + _curtailments(week)
        return Section("grid", "Grid", "What the wires carried", LEAD, body, {})
    body = (
        '<div class="choosers">'
        + chooser("grid-day", "Day", [(day.number, day.label) for day in week.days])
        + chooser("grid-kind", "Flow", [(number, SAYS[kind]) for number, kind in enumerate(KINDS)])
        + "</div>"
        + chart("grid-map", MAP, height=560)
        + panel("grid-says")
        + "<h3>Losses, day by day</h3>"
        + chart("grid-losses", "Line losses of each day, planned and metered", height=260)
        + "<h3>Voltage and loading, every quarter-hour</h3>"
        + chart("grid-voltages", "Lowest and highest voltage of the grid over time", height=280)
        + chart("grid-loading", "Loading of the most loaded line or transformer over time", height=240)
        + _curtailments(week)
        + _beyond(week)
        + behind("Balance of every day", _balance(week, flows))
        + behind("Extremes of every day", _extremes(week, flows))
    )
    return Section("grid", "Grid", "What the wires carried", LEAD, body, _drawn(week, flows))


CURTAILMENT_HEADINGS = ("day", "seller", "buyer", "promised", "cut", "reason")
CURTAILMENT_SIDES = "lllrrt"


def _curtailments(week: Week) -> str:
    rows = curtailment_rows(week)
    return table("Contracts that the grid operator curtailed", CURTAILMENT_HEADINGS, rows, sides=CURTAILMENT_SIDES)


def curtailment_rows(week: Week) -> list[list[str]]:
    """What was cut of each contract and why; terminal and report show the same."""
    return [
        [
            week.days[week.day_number[row.day_start_ms]].label,
            week.name_of[row.seller],
            week.name_of[row.buyer],
            format_energy(Energy(row.before_wh)),
            format_energy(Energy(row.cut_wh)),
            row.reason,
        ]
        for row in week.rows(select(curtailments).order_by(curtailments.c.height, curtailments.c.contract))
    ]


def _in_force(week: Week) -> list[AnyRow]:
    """The flows that no later version superseded, by day and kind."""
    return week.rows(
        select(gt.flows)
        .where(gt.flows.c.superseded_height.is_(None))
        .order_by(gt.flows.c.day_start_ms, gt.flows.c.kind)
    )


BEYOND_HEADINGS = ("flow", "limit", "allowed", "intervals", "worst", "when, where")
BEYOND_SIDES = "llrrrt"
BEYOND_NONE: Final = "Both planned and metered flows keep every limit of voltage and loading."
BEYOND_PLANNED: Final = (
    "What is planned beyond a limit, others than these contracts break alone: no curtailment cures it, and no contract "
    "may make it worse."
)
BEYOND_METERED: Final = (
    "A metered flow can go beyond what was planned, because curtailment cuts contracts and not injection: what members "
    "meter beyond their promises is no part of any contract."
)
BEYOND_EVERYWHERE: Final = (
    "Planned flows break a limit in every interval: these limits do not fit this grid. Compare them with its sources' "
    "u_ref and with the ratings in its file."
)


class _Limit(NamedTuple):
    """A limit as told: its name and columns, and which way lies beyond it (+1 or -1)."""

    name: str
    column: str  # of `flow_intervals`; in `flows` the worst one
    extreme: str  # in `flows`: when and where the worst is
    place: str
    sign: int


_LIMITED: Final = (
    _Limit("lowest voltage", "lowest_voltage_ppm", "lowest_voltage", "node", -1),
    _Limit("highest voltage", "highest_voltage_ppm", "highest_voltage", "node", 1),
    _Limit("loading", "loading_ppm", "loading", "branch", 1),
)


class Beyond(NamedTuple):
    """Limits that stay broken after curtailment: rows of a table, and what to say about them."""

    rows: list[list[str]]
    says: list[str]


def beyond_limits(week: Week) -> Beyond | None:
    """Where flows in force lie beyond the operator's limits; None where the records do not tell the limits.

    Values on the chain are rounded to steps, and so is a limit before it is compared: what keeps it is never told as
    broken. Connections and reactive power of members are not in a report of the flow, and not looked at here.
    """
    flows, bounds = _in_force(week), _limits(week.run)
    if not flows or not bounds:
        return None
    spread = _spread(week)
    rows, everywhere = [], False
    for kind in reversed(KINDS):
        own = [row for row in flows if row.kind == kind]
        every = [(row, each) for row in own for each in spread[row.day_start_ms, kind, row.version]]
        broken: set[tuple[int, int]] = set()
        for limit, bound in zip(_LIMITED, bounds, strict=True):
            told = (bound + STEP_PPM // 2) // STEP_PPM * STEP_PPM
            beyond = [each for _, each in every if limit.sign * (getattr(each, limit.column) - told) > 0]
            if beyond:
                broken |= {(each.day_start_ms, each.interval) for each in beyond}
                worst = max(own, key=lambda row: limit.sign * getattr(row, limit.column))
                rows.append(_beyond_row(week, limit, bound, f"{len(beyond)} of {len(every)}", worst))
        everywhere |= kind == "planned" and bool(every) and len(broken) == len(every)
    found = {row[0] for row in rows}
    told_of = (("planned", BEYOND_PLANNED), ("metered", BEYOND_METERED))
    says = [BEYOND_EVERYWHERE] if everywhere else []
    says += [text for kind, text in told_of if kind in found] or [BEYOND_NONE]
    return Beyond(rows, says)


def _beyond_row(week: Week, limit: _Limit, bound: int, count: str, worst: AnyRow) -> list[str]:
    """One limit of one kind of flow, and the worst that was found."""
    day = week.days[week.day_number[worst.day_start_ms]]
    when = f"{day.label} {day.stamps[getattr(worst, f'{limit.extreme}_interval')][-5:]}"
    where = getattr(worst, f"{limit.extreme}_{limit.place}")
    shown = _ratio if limit.place == "branch" else _per_unit
    return [worst.kind, limit.name, shown(bound), count, shown(getattr(worst, limit.column)), f"{when}, {where}"]


def _ratio(ppm: int) -> str:
    return f"{ppm / 10_000:.2f} %"


def _per_unit(ppm: int) -> str:
    return f"{ppm / 1_000_000:.4f} p.u."


def _beyond(week: Week) -> str:
    found = beyond_limits(week)
    if found is None:
        return ""
    caption = "Limits that are broken after curtailment"
    shown = table(caption, BEYOND_HEADINGS, found.rows, sides=BEYOND_SIDES) if found.rows else ""
    return f"<h3>Beyond the limits</h3>{''.join(paragraph(each) for each in found.says)}{shown}"


def _balance(week: Week, flows: list[AnyRow]) -> str:
    rows = []
    for row in flows:
        lost = f"{row.losses_wh * 10_000 // row.consumption_wh / 100:.2f} %" if row.consumption_wh else ""
        sums = (row.generation_wh, row.supply_wh, row.consumption_wh, row.losses_wh, row.returned_wh)
        label = week.days[week.day_number[row.day_start_ms]].label
        rows.append([label, row.kind, *(format_energy(Energy(value)) for value in sums), lost])
    headings = ["day", "flow", "generation", "from above", "consumption", "losses", "to above", "losses of use"]
    caption = "Generation + from the upper grid = consumption + losses + to the upper grid"
    return table(caption, headings, rows, sides="llrrrrrr")


def _extremes(week: Week, flows: list[AnyRow]) -> str:
    rows = []
    for row in flows:
        day = week.days[week.day_number[row.day_start_ms]]
        found: list[str | int] = [day.label, row.kind]
        for name, place in (("lowest_voltage", "node"), ("highest_voltage", "node"), ("loading", "branch")):
            value, interval = getattr(row, f"{name}_ppm"), getattr(row, f"{name}_interval")
            shown = _ratio(value) if name == "loading" else f"{value / 1_000_000:.4f}"
            found += [shown, f"{day.stamps[interval][-5:]}, {getattr(row, f'{name}_{place}')}"]
        rows.append(found)
    headings = [
        "day",
        "flow",
        "lowest voltage",
        "when, where",
        "highest voltage",
        "when, where",
        "loading",
        "when, where",
    ]
    caption = "Voltages in units of the rated voltage; loading of the most loaded line or transformer, of its rating"
    return table(caption, headings, rows, sides="llrlrlrl")


def _drawn(week: Week, flows: list[AnyRow]) -> dict[str, Any]:
    """What the drawings need: the map of the latest flow's grid, and every flow in force."""
    key = flows[-1].grid
    loadings: dict[tuple[int, str, int], list[int]] = {}
    for row in week.rows(select(gt.flow_branches).order_by(gt.flow_branches.c.branch)):
        loadings.setdefault((row.day_start_ms, row.kind, row.version), []).append(row.loading_ppm)
    spread = _spread(week)
    drawn = []
    for row in flows:
        place = (row.day_start_ms, row.kind, row.version)
        each = spread[place]
        drawn.append(
            {
                "day": week.day_number[row.day_start_ms],
                "kind": KINDS.index(row.kind),
                "losses": row.losses_wh,
                "consumption": row.consumption_wh,
                "worst": row.loading_interval,
                "where": row.loading_branch,
                "branches": loadings.get(place, []) if row.grid == key else [],
                "low": [one.lowest_voltage_ppm for one in each],
                "high": [one.highest_voltage_ppm for one in each],
                "loading": [one.loading_ppm for one in each],
            }
        )
    return {"flows": drawn, "limits": _limits(week.run), **_map(week, key)}


def _spread(week: Week) -> dict[tuple[int, str, int], list[AnyRow]]:
    """Intervals of every flow, by day, kind and version."""
    spread: dict[tuple[int, str, int], list[AnyRow]] = {}
    for row in week.rows(select(gt.flow_intervals).order_by(gt.flow_intervals.c.interval)):
        spread.setdefault((row.day_start_ms, row.kind, row.version), []).append(row)
    return spread


def _limits(run: Mapping[str, str]) -> list[int]:
    """Lowest and highest voltage and loading that the operator plans with; empty where the run does not say."""
    known = [run.get(name, "") for name in LIMITS]
    return [int(value) for value in known] if all(value.isdecimal() for value in known) else []


def _map(week: Week, key: str) -> dict[str, Any]:
    """Nodes [longitude, latitude, name, feeder, members there] and branches [start, end, name, kind]."""
    nodes = week.rows(select(gt.grid_nodes).where(gt.grid_nodes.c.grid == key).order_by(gt.grid_nodes.c.node))
    placed = all(row.longitude_microdegrees is not None and row.latitude_microdegrees is not None for row in nodes)
    if not nodes or not placed:
        return {"nodes": [], "branches": []}
    owner = {row.meter: week.number_of[row.member] for row in week.meters}
    there: dict[int, list[int]] = {}
    for row in week.rows(select(gt.grid_meters).where(gt.grid_meters.c.grid == key).order_by(gt.grid_meters.c.meter)):
        if row.meter in owner:
            there.setdefault(row.node, []).append(owner[row.meter])
    return {
        "nodes": [
            [row.longitude_microdegrees, row.latitude_microdegrees, row.name, row.feeder, there.get(row.node, [])]
            for row in nodes
        ],
        "branches": [
            [row.start_node, row.end_node, row.name, row.kind]
            for row in week.rows(
                select(gt.grid_branches).where(gt.grid_branches.c.grid == key).order_by(gt.grid_branches.c.branch)
            )
        ],
    }
