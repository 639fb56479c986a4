"""`wattquorum week` and `wattquorum report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wattquorum.cli.files import database, writing
from wattquorum.foundation.intervals import MS_PER_MINUTE
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.calendar import ZONE
from wattquorum.lab.cluster import Links, Replicas
from wattquorum.lab.places import NODES, RECORDS, REPORT
from wattquorum.ledger.protocols import Protocol
from wattquorum.node.verification import threads
from wattquorum.traders.forecast import Kind

if TYPE_CHECKING:
    from wattquorum.api.client import Client

LIVE: Final = 5  # nodes, where nobody says how many
COMMITTEE_MIN: Final = 4  # replicas
CLIENT_S: Final = 10.0  # after which the player looks whether nodes run at all


def week(
    data: Annotated[
        Path | None, typer.Option(help="Meter readings, CSV or Parquet. Default: the shipped fortnight of 30 meters.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days to trade: the last ones of the data.")] = 7,
    members: Annotated[Path | None, typer.Option(help="Who trades (members.toml). Default: the shipped 30.")] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            help="The grid that they trade on: power-grid-model input (JSON, SI units), each member's meter_id at a "
            "load or generator. Default: the shipped one; with --data none, and every contract is approved unseen."
        ),
    ] = None,
    grid_profiles: Annotated[
        Path | None,
        typer.Option(
            help="How the grid's other units run (Parquet): interval_start, and a column for each p_profile and "
            "q_profile, in units of a unit's rating. Units without a profile run at their ratings."
        ),
    ] = None,
    forecast: Annotated[
        Kind, typer.Option(help="What members expect: modelled weather forecasts, their own history, or the truth.")
    ] = Kind.WEATHER,
    seed: Annotated[int, typer.Option(min=0, help="Decides keys, forecasts and manners; the same gives the same.")] = 1,
    out: Annotated[Path, typer.Option(help="Where results go; an earlier run's are replaced.")] = Path("out/week"),
    zone: Annotated[str, typer.Option(help="The time zone whose midnights part the days.")] = ZONE,
    interval: Annotated[int, typer.Option(min=1, max=60, help="Length of the readings' intervals in minutes.")] = 15,
    voltage_min: Annotated[float, typer.Option(min=0.5, max=1.0, help="Lowest voltage the grid may have.")] = 0.965,
    voltage_max: Annotated[float, typer.Option(min=1.0, max=1.5, help="Highest voltage the grid may have.")] = 1.055,
    loading_max: Annotated[float, typer.Option(min=1, max=200, help="Highest loading of a line, in percent.")] = 100,
    replicas: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Order blocks by so many replicas, which the first members run, in a simulated world. Default: one "
            "sequencer orders alone.",
        ),
    ] = None,
    engine: Annotated[
        Protocol | None,
        typer.Option(
            help="How replicas agree: weighted-raft lets a member's standing carry its replica's vote (from the first "
            "day's end on); raft gives all the same; pbft and cgpbft, with --live alone, bear that a third of who "
            "agree lie. Default with --replicas: weighted-raft."
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live/--in-process",
            help="Replicas are nodes, a process each on this machine, played through the interface for clients. "
            "Default with --live: 5 of them.",
        ),
    ] = False,
    world: Annotated[
        Links | None,
        typer.Option(
            help="Where replicas run. wan: 10 to 50 ms round trip between any two, drawn from the seed; disks that "
            "sync within 2 ms; nothing fails. Default with --replicas: wan."
        ),
    ] = None,
) -> None:
    """Trade a week of power on a ledger: chain, tables and a report.

    Every member negotiates tomorrow's power with signed offers and counter-offers; the ledger settles what meters
    count. In the output folder: chain/ (audit it), market.sqlite and parquet/ (query them), report.html (open it).

    Your own market: --data with your readings and --members with who trades behind the meters. With --grid the grid
    operator computes its power flow, curtails what its lines cannot carry, and reports what it lost. Each file is
    checked whole before anything is traded, and all that is wrong with it is told; docs/formats.md describes them.

    With --replicas the ledger is not one operator's: replicas of the members agree on every block by Raft, in a
    simulated world whose time runs only while something happens. The run ends when all hold the same chain to the
    byte; the report shows elections, consensus time and voting power. docs/consensus.md says what this shows.

    With --live they are real nodes on this machine, with disks and TLS. What is traded, settled, fined and certified is
    the same to the unit as in the simulated world with as many replicas. Nodes may be killed meanwhile, as long as
    a quorum is left.
    """
    from wattquorum.grid.curtailment import Limits
    from wattquorum.lab.run import RunOptions, run_week
    from wattquorum.lab.tables import print_tables

    console = Console(highlight=False)
    limits = Limits(voltage_min, voltage_max, loading_max / 100)
    length = Millis(interval * MS_PER_MINUTE)
    several = _replicas(replicas, engine, world, live=live)
    connect = _connected if live else None
    options = RunOptions(
        out, data, members, days, forecast, seed, zone, length, limits, grid, grid_profiles, several, connect
    )
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar, threads() as verify:
        task = bar.add_task("starting", total=None)

        def progress(doing: str, done: int, total: int) -> None:
            bar.update(task, description=doing, completed=done, total=total)

        written = run_week(options, verify, progress)
    print_tables(written.records, console)
    console = Console(highlight=False, markup=False)
    console.print(f"\nchain    {written.chain}  (block {written.height}, id {written.chain_id})")
    console.print(f"digest   {written.digest}")
    if live:
        ran = written.replicas - written.ended
        lost = f"; {written.ended} ended before" if written.ended else ""
        console.print(f"nodes    {written.replicas}, {ran} with this digest{lost}  ({out / NODES}/)")
    elif written.replicas:
        console.print(f"replicas {written.replicas}, all with this digest and the same blocks to the byte")
    console.print(f"tables   {written.records}, {written.parquet}/")
    console.print(f"report   {written.report}")
    console.print(f"\nCheck it:  wattquorum audit {written.chain}")


def _connected(nodes: Sequence[str]) -> Client:
    from wattquorum.api.client import Client

    return Client(nodes, patience_s=CLIENT_S)


def _replicas(count: int | None, engine: Protocol | None, world: Links | None, *, live: bool) -> Replicas | None:
    """The replicas that were asked for; Refused("out_of_range") where their engine or world is named without them."""
    if live:
        if world is not None:
            remedy = "Live nodes run on this machine; leave the world out, or say --in-process."
            raise Refused("out_of_range", "--world", f"{world} with --live", remedy)
        wanted = Replicas(LIVE if count is None else count, engine or Protocol.WEIGHTED_RAFT)
        if wanted.engine.by_committee and wanted.count < COMMITTEE_MIN:
            raise Refused("out_of_range", "--replicas", wanted.count, f"A committee has {COMMITTEE_MIN} or more.")
        return wanted
    if engine is not None and engine.by_committee:
        raise Refused("out_of_range", "--engine", f"{engine} without --live", "Committees agree among live nodes.")
    if count is None:
        for option, value in (("--engine", engine), ("--world", world)):
            if value is not None:
                remedy = "One sequencer orders alone; say with --replicas how many are to agree."
                raise Refused("out_of_range", option, f"{value} without --replicas", remedy)
        return None
    return Replicas(count, engine or Protocol.WEIGHTED_RAFT, world or Links.WAN)


def report(
    records: Annotated[Path, typer.Argument(help="The records: market.sqlite of a run.")] = Path("out/week") / RECORDS,
    out: Annotated[
        Path | None, typer.Option(help="The page to write. Default: report.html beside the records.")
    ] = None,
) -> None:
    """Write the report again, from the records alone."""
    from wattquorum.lab.places import rewritten
    from wattquorum.lab.report import write_report

    page = out or records.parent / REPORT
    with database(records), writing(page):
        write_report(records, page)
        rewritten(page)
    typer.echo(f"report   {page}")
