"""A run of the trading week, from files to files: readings in; chain, records, Parquet and report out.

The output folder is written whole: a new run replaces an earlier run's folder and nothing else. The report and the
tables are made from the records after the chain is closed; no object of the run reaches them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.intervals import MS_PER_MINUTE, QUARTER_HOUR, Window
from wattquorum.foundation.quantities import MILLION, Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.grid.curtailment import PLANNING, Limits
from wattquorum.lab.calendar import ZONE, days_from, trading_day, zone_of
from wattquorum.lab.cluster import ROUND_TRIPS_MS, Cluster, Replicas, measured_rows
from wattquorum.lab.comparison import trial_rows
from wattquorum.lab.grid_files import check_grid, read_grid
from wattquorum.lab.grid_operator import Grid
from wattquorum.lab.grid_profiles import GridProfiles, read_profiles
from wattquorum.lab.live import Connect, LiveCluster, live_rows
from wattquorum.lab.members import Member, energy_limits, read_members
from wattquorum.lab.offices import PROPOSER
from wattquorum.lab.places import CHAIN, NODES, PARQUET, RECORDS, REPORT, begin, clear, finish
from wattquorum.lab.report import write_report
from wattquorum.lab.shipped import shipped_grid, shipped_members, shipped_network, shipped_profiles, shipped_week
from wattquorum.lab.week import Ordering, Week, WeekPlan, last_days, strategy_of
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.protocols import Protocol
from wattquorum.node.lone import LoneNode
from wattquorum.records.annotations import MemberInfo, annotate
from wattquorum.records.measured_entries import put_measured
from wattquorum.records.meter_files import read_meter_file
from wattquorum.records.meter_table import MeterTable
from wattquorum.records.parquet import export_parquet
from wattquorum.records.projection import Projection
from wattquorum.traders.forecast import Kind

FORECASTS: Final = {
    Kind.WEATHER: "Forecasts are modelled: the metered profile with a day-ahead error of stated size by technology.",
    Kind.HISTORY: "Forecasts are the mean of a member's own readings so far, with their spread.",
    Kind.PERFECT: "Forecasts are the metered profile itself: a bound that no member could reach.",
}

VOTES: Final = {
    Protocol.WEIGHTED_RAFT: "weighted Raft: a replica's vote weighs what its member's standing is worth",
    Protocol.RAFT: "plain Raft: all votes are equal",
    Protocol.PBFT: "PBFT: everybody agrees, and a third of them may lie",
    Protocol.CGPBFT: "CGPBFT: agents of groups agree, and a third of them may lie",
}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line chose; None stands for what is shipped."""

    out: Path
    data: Path | None = None
    members: Path | None = None
    days: int = 7
    forecast: Kind = Kind.WEATHER
    seed: int = 1
    zone: str = ZONE
    interval_ms: Millis = QUARTER_HOUR
    limits: Limits = PLANNING  # of the grid operator
    grid: Path | None = None
    grid_profiles: Path | None = None
    replicas: Replicas | None = None
    connect: Connect | None = None  # replicas are live nodes, of which this makes a client; None: a simulated world


class Written(NamedTuple):
    """Where a run's results stand."""

    chain: Path
    records: Path
    parquet: Path
    report: Path
    height: int
    digest: str
    chain_id: str
    replicas: int  # that hold it, to the byte; 0: one sequencer alone
    ended: int = 0  # of them, nodes that did not run to the end


Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all


def run_week(options: RunOptions, verify: Verifier, progress: Progress) -> Written:
    """Trades the week and writes everything.

    Raises FileFaults for files that cannot be used; Refused for a folder that holds something else, for days that the
    readings do not cover, for a full disk.
    """
    progress("reading", 0, 1)
    plan = plan_of(options)
    runners = plan.run_by()
    out = options.out
    clear(out)
    begin(out)
    with Projection(out / RECORDS) as projection:
        node = _node(options, plan, verify)
        with node:
            projection.begin(node.ledger.genesis, node.ledger.founding_facts)

            def told(executed: Executed) -> None:
                projection.apply(executed.block, executed.facts, executed.told)

            week = Week(plan, node, told)
            for done, _ in enumerate(week.run(), 1):
                progress("trading", done, week.steps)
            node.close()
    ledger = node.ledger
    addresses = {member.name: week.address(member.name).hex() for member in plan.members}
    infos = [_member_info(each, addresses, options) for each in plan.members]
    grid = week.grid_operator.described() if week.grid_operator else None
    annotate(out / RECORDS, _run_info(options, plan), infos, grid)
    if not isinstance(node, LoneNode):
        run_by = [addresses[member.name] for member in runners]
        measured = measured_rows(node, run_by) if isinstance(node, Cluster) else live_rows(node, run_by)
        put_measured(out / RECORDS, {**measured, **trial_rows(options.seed)})
    progress("writing tables", 0, 1)
    export_parquet(out / RECORDS, out / PARQUET)
    progress("writing the report", 0, 1)
    write_report(out / RECORDS, out / REPORT)
    finish(out)
    progress("done", 1, 1)
    return Written(
        out / CHAIN,
        out / RECORDS,
        out / PARQUET,
        out / REPORT,
        ledger.height,
        ledger.digest.hex(),
        ledger.chain_id.hex(),
        len(runners),
        sum(not each.running for each in node.ended) if isinstance(node, LiveCluster) else 0,
    )


def _node(options: RunOptions, plan: WeekPlan, verify: Verifier) -> Ordering:
    """Who orders: one sequencer, or replicas in a simulated world, or as processes on this machine."""
    path, genesis = options.out / CHAIN, plan.genesis()
    if plan.replicas is None:
        return LoneNode.create(path, genesis, plan.secrets.key(PROPOSER), verify)
    if options.connect is None:
        return Cluster(path, genesis, plan.replica_keys(), plan.replicas, plan.seed)
    nodes, seeds = options.out / NODES, plan.replica_seeds()
    return LiveCluster(path, nodes, genesis, seeds, plan.replicas, verify, options.connect)


def plan_of(options: RunOptions) -> WeekPlan:
    """What is to be traded, from the shipped files or the user's."""
    zone = zone_of(options.zone)
    members = read_members(options.members) if options.members else shipped_members()
    table = _readings(options, members)
    for member in members:
        for meter in member.meters:
            table.span(meter.meter_id, meter.direction)  # refuses members without readings
    folder = options.members.parent if options.members else None
    first = last_days(table, zone, options.days)
    *_, last = days_from(first, options.days)
    start, end = (trading_day(day, zone, options.interval_ms).window for day in (first, last))
    window = Window(start.start_ms, end.end_ms, options.interval_ms)
    grid = _grid(options, members, table, window)
    shipped = options.data is None
    days, seed, several = options.days, options.seed, options.replicas
    return WeekPlan(members, table, zone, first, days, options.forecast, seed, folder, shipped, grid, several)


def _grid(options: RunOptions, members: tuple[Member, ...], table: MeterTable, window: Window) -> Grid | None:
    """The grid that members trade on over a window: the user's, else the shipped one under the shipped readings."""
    path = options.grid or options.grid_profiles
    if path is None and options.data is None:
        return shipped_grid(options.limits)
    if options.grid is None and options.data is not None:
        if path is not None or options.limits != PLANNING:
            remedy = "Limits and profiles are those of a grid: name yours with --grid, or leave them out."
            raise Refused("grid_meter_unknown", "data", options.data, remedy)
        return None
    assert path is not None
    network = read_grid(options.grid) if options.grid else shipped_network()
    grid = Grid(network, _profiles(options), options.limits)
    check_grid(path, grid, members, table, window)
    return grid


def _profiles(options: RunOptions) -> GridProfiles:
    """The user's profiles, else the shipped ones under the shipped readings, else none."""
    if options.grid_profiles:
        return read_profiles(options.grid_profiles)
    return shipped_profiles() if options.data is None else GridProfiles(0, options.interval_ms, {})


def _readings(options: RunOptions, members: tuple[Member, ...]) -> MeterTable:
    if options.data is None:
        if options.interval_ms != QUARTER_HOUR:
            minutes = f"{options.interval_ms // MS_PER_MINUTE} minutes"
            raise Refused("time_misaligned", "interval", minutes, "The shipped readings have 15 minutes.")
        return shipped_week()
    if options.members is None:
        remedy = "Describe who trades behind your meters in a members file and name it with --members."
        raise Refused("members_missing", "members", options.data, remedy)
    limits = energy_limits(members, options.interval_ms)
    return read_meter_file(
        options.data, zone=options.zone, interval_ms=options.interval_ms, meters=limits, limits_wh=limits
    )


def _run_info(options: RunOptions, plan: WeekPlan) -> dict[str, str]:
    if options.data is None:
        data = (
            "Readings are profiles of the benchmark data set SimBench (rural medium-voltage grid, Germany, June 2016), "
            "which its authors made from measurements and models; Open Database License 1.0. The ledger treats them as "
            "measured. Meter outages are modelled and marked as estimated."
        )
    else:
        data = f"Readings and their qualities come from {options.data.name}."
    return {
        "title": f"{plan.days} days of peer-to-peer power trading",
        "time_zone": options.zone,
        "data": data,
        "forecast": FORECASTS[options.forecast],
        "tariff": "Prices follow a published Chinese tariff (0.40 / 0.75 / 0.04 CNY/kWh): data and tariffs come from "
        "different countries.",
        "seed": str(options.seed),
        **_grid_info(plan.grid, options.grid),
        **(_replicas_info(options.replicas) if options.connect is None else _live_info(options.replicas)),
    }


def _replicas_info(replicas: Replicas | None) -> dict[str, str]:
    """How blocks were ordered, if not by one sequencer alone."""
    if replicas is None:
        return {}
    low, high = ROUND_TRIPS_MS[replicas.links]
    return {
        "consensus": f"{replicas.count} replicas ordered the blocks by {VOTES[replicas.engine]}. They ran in a "
        f"simulated world: static links of {low} to {high} ms round trip, drawn from the seed, a simulated disk at "
        "each, and nothing that fails. Its times say what links and votes cost, not what a machine would.",
        "consensus_engine": replicas.engine.value,
        "consensus_round_trip_ms": f"{low} to {high}",
    }


def _live_info(replicas: Replicas | None) -> dict[str, str]:
    """The same where replicas are live nodes."""
    assert replicas is not None
    return {
        "consensus": f"{replicas.count} nodes ordered the blocks by {VOTES[replicas.engine]}. Each was a process on "
        "one machine, with its own log on its disk and connections under TLS. The market's time was declared with each "
        "step; what the week took them is the machine's.",
        "consensus_engine": replicas.engine.value,
    }


def _grid_info(grid: Grid | None, own: Path | None) -> dict[str, str]:
    """What the grid operator plans with: a sentence, and the numbers for drawings."""
    if grid is None:
        return {"grid": "No grid is known to these readings: the operator approved every contract unseen."}
    low, high, loading = grid.limits
    over = "the whole shipped grid" if own is None else own.name
    others = "their SimBench profiles" if own is None else "their profiles or ratings"
    says = (
        f"Power flow over {over}: members by what they promised or metered, all other units by {others}. The operator "
        f"plans with {low:g} to {high:g} of the rated voltage and {loading * 100:g} % of each line's and transformer's "
        "rating."
    )
    names = ("grid_voltage_low_ppm", "grid_voltage_high_ppm", "grid_loading_ppm")
    return {"grid": says, **{name: str(round(value * MILLION)) for name, value in zip(names, grid.limits, strict=True)}}


def _member_info(member: Member, addresses: dict[str, str], options: RunOptions) -> MemberInfo:
    technology = "+".join(dict.fromkeys(meter.technology for meter in member.meters))
    return MemberInfo(addresses[member.name], technology, strategy_of(member)[0], options.forecast.value)
