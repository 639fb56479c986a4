"""`wattquorum lab`: what the mechanisms of the documents do, tried over seeds and told with pictures and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wattquorum.cli.files import writing

if TYPE_CHECKING:
    from wattquorum.lab.sweeps.running import Where

commands = typer.Typer()


@commands.callback()
def lab() -> None:
    """Try the mechanisms of the documents, over seeds, and write what came out.

    Begin with reproduce: in minutes it plays document A and writes out/lab/report.html, one page to open in a browser.

    To try something yourself: experiments lists what there is, experiments NAME what one takes, and sweep plays a file.
    """


class BackendName(StrEnum):
    """Who plays the cells of a sweep."""

    LOCAL = "local"
    DASK = "dask"
    RAY = "ray"


Out = Annotated[Path | None, typer.Option(help="Where results go, and what a run that was ended goes on with.")]
Jobs = Annotated[int, typer.Option(min=-1, help="Processes of this machine; -1: one for each processor.")]
BackendOption = Annotated[
    BackendName,
    typer.Option(help="Processes of this machine, or a cluster of Dask or Ray: wattquorum\\[dask] or \\[ray]."),
]
Address = Annotated[
    str | None, typer.Option(help="Of the cluster, such as tcp://10.0.0.1:8786. Default: one is begun on this machine.")
]


@commands.command("reproduce")
def reproduce(
    out: Annotated[Path, typer.Option(help="Where results go; an earlier run's are replaced.")] = Path("out/lab"),
    seeds: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="How many, from 0; each is played with chosen and with drawn inputs."),
    ] = 200,
    largest: Annotated[
        int, typer.Option(min=1_000, max=200_000, help="Nodes of the largest course of rounds that is timed.")
    ] = 100_000,
    docs: Annotated[
        Path | None, typer.Option(help="A folder that gets lab.md and its pictures, too: the documentation's.")
    ] = None,
    jobs: Jobs = -1,
    backend: BackendOption = BackendName.LOCAL,
    address: Address = None,
) -> None:
    """Reproduce document A: every table and figure of its section 5, over seeds, each claim with a verdict.

    Fifteen generators and fifteen consumers trade for 200 days and agree after each, plain and weighted, by the rules
    of the ledger. The paper does not state all it starts from: one set of inputs was chosen to show its results, and
    each seed is also played with inputs drawn from ranges, so that one sees which claims hang on what was chosen. The
    product's own Raft elects and decides with the same weights and links, beside the model that the rounds use.

    In the output folder: report.html (open it), tables/ and figures/ as CSV and SVG. The same seeds give the same
    files, whoever plays them; only tables/scale.csv and its picture are times of this machine.
    """
    from wattquorum.foundation.refusals import Refused
    from wattquorum.lab.paper.run import Options, run

    if largest % 2:
        raise Refused("out_of_range", "--largest", largest, "Half of the nodes are generators: choose an even number.")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with _progress() as progress, writing(out):
        written = run(Options(out, seeds, _where(backend, jobs, address), largest, docs), progress)
    for verdict in written.verdicts:
        console.print(f"{verdict.claim.where:<12}  {verdict.claim.says}\n{'':14}{verdict.words}")
    console.print(f"\nreport    {written.report}\ntables    {written.tables}/\nfigures   {written.figures}/")


@commands.command("beyond")
def beyond(
    out: Annotated[Path, typer.Option(help="Where results go; an earlier run's are gone on with.")] = Path(
        "out/beyond"
    ),
    seeds: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="How many, in place of those that each sweep says.")
    ] = None,
    docs: Annotated[
        Path | None, typer.Option(help="A folder that gets beyond.md and its pictures, too: the documentation's.")
    ] = None,
    jobs: Jobs = -1,
    backend: BackendOption = BackendName.LOCAL,
    address: Address = None,
) -> None:
    """Go where document A did not: safe rules and what they cost, other links and members, attacks, long runs.

    Every question is a sweep, in a folder of its own with cells, summary and pictures; report.html and beyond.md say
    what was found. A run that was ended goes on with the cells that are missing.
    """
    from wattquorum.lab.beyond.run import Options, run

    console = Console(highlight=False, markup=False, soft_wrap=True)
    with _progress() as progress, writing(out):
        written = run(Options(out, _where(backend, jobs, address), seeds, docs), progress)
    console.print(f"{written.cells:,} cells\nreport   {written.report}\npage     {written.page}\nsweeps   {out}/")


@commands.command("experiments")
def experiments(
    name: Annotated[str | None, typer.Argument(help="One of them: what it takes and measures.")] = None,
) -> None:
    """List what can be swept, or what one experiment takes, with units, ranges and defaults, and what it measures."""
    from wattquorum.foundation.refusals import Refused
    from wattquorum.lab.sweeps.registry import EXPERIMENTS

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if name is None:
        wide = max(map(len, EXPERIMENTS))
        for each in EXPERIMENTS.values():
            console.print(f"{each.name:<{wide}}  {each.what}")
        return
    if name not in EXPERIMENTS:
        raise Refused("experiment_unknown", "name", name, f"Name one of {', '.join(EXPERIMENTS)}.")
    experiment = EXPERIMENTS[name]
    names = (*(each.name for each in experiment.parameters), *(each.name for each in experiment.measures))
    wide = max(map(len, names))
    console.print(f"{experiment.what}\n\ntakes")
    for parameter in experiment.parameters:
        console.print(
            f"  {parameter.name:<{wide}}  {parameter.what}: {parameter.admits}; {parameter.default} if not given"
        )
    console.print("\nmeasures")
    for measure in experiment.measures:
        unit = f" [{measure.unit}]" if measure.unit else ""
        console.print(f"  {measure.name:<{wide}}  {measure.what}{unit}")


@commands.command("sweep")
def sweep(
    file: Annotated[Path, typer.Argument(help="What is tried over which parameters and seeds (TOML).")],
    out: Out = None,
    jobs: Jobs = -1,
    backend: BackendOption = BackendName.LOCAL,
    address: Address = None,
) -> None:
    """Try an experiment over any parameters and seeds, on this machine or a cluster.

    Results are the same bytes whoever plays which cell. A run that was ended goes on with the cells that are missing.
    In the output folder, out/NAME OF THE FILE by default: report.html (open it), results.parquet and results.csv with
    every cell, summary.csv, a picture of each measure.

    A file names an experiment, seeds, and in its table of parameters what is to be tried, such as experiment =
    "saving", seeds = 20, parameters = {spread = {from = 0, to = 20, step = 5}}. See wattquorum lab experiments, and
    docs/sweeps.md.
    """
    from wattquorum.lab.sweeps.plan import read_plan
    from wattquorum.lab.sweeps.registry import EXPERIMENTS
    from wattquorum.lab.sweeps.run import run

    console = Console(highlight=False, markup=False, soft_wrap=True)
    plan = read_plan(file, EXPERIMENTS)
    folder = Path("out") / file.stem if out is None else out
    with _progress() as progress, writing(folder):
        written = run(plan, folder, _where(backend, jobs, address), progress)
    stood = f", {written.stood:,} of them from before" if written.stood else ""
    console.print(f"{plan.size:,} cells of {plan.experiment.name}{stood}")
    console.print(f"report   {written.report}\ntables   {folder}/results.parquet, results.csv, summary.csv")


@commands.command("cgpbft")
def cgpbft(
    out: Annotated[Path, typer.Option(help="Where results go; an earlier run's are replaced.")] = Path("out/cgpbft"),
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="How many, of whatever chance decides.")] = 24,
    largest: Annotated[
        int, typer.Option(min=16, max=400, help="Members of the largest community; time grows with its square.")
    ] = 400,
    costs: Annotated[
        Path | None,
        typer.Option(help="What work takes, of an earlier run (tables/costs.csv). Default: it is measured now."),
    ] = None,
    docs: Annotated[
        Path | None, typer.Option(help="A folder that gets cgpbft.md and its pictures, too: the documentation's.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=-1, help="Processes; -1: one for each processor.")] = -1,
    live: Annotated[
        bool, typer.Option("--live", help="Also times real nodes, up to 16 processes on this machine; takes minutes.")
    ] = False,
    live_results: Annotated[
        Path | None,
        typer.Option(help="What came of live nodes in an earlier run (tables/live.csv). Default: what OUT has."),
    ] = None,
) -> None:
    """Evaluate document B: CGPBFT, in which elected agents of groups agree, beside PBFT, in which everybody does.

    Messages and bytes of a block; latency and throughput with what work takes on this machine; who comes to be an
    agent when some members are faulty; what a primary's crash costs and how many bad agents it takes; how even groups
    are. In the output folder: report.html (open it), cgpbft.md with its pictures, tables/ as CSV.

    Worlds are simulated and decided by their seeds; with --costs of an earlier run everything comes out the same but
    the time that forming groups took. With --live communities of 4 to 16 real nodes are founded, too, timed and ended:
    latency and throughput of both protocols in turns; --docs needs them, or what came of them earlier.
    """
    from wattquorum.api.client import AsyncClient
    from wattquorum.foundation.refusals import Refused
    from wattquorum.lab.cgpbft.costs import told
    from wattquorum.lab.cgpbft.live import PATIENCE_S
    from wattquorum.lab.cgpbft.run import Options, run

    if jobs == 0:
        raise Refused("out_of_range", "--jobs", jobs, "Name how many processes, or -1.")
    if live and live_results is not None:
        raise Refused("out_of_range", "--live-results", f"{live_results} with --live", "Leave out one of them.")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with _progress() as progress, writing(out):
        written = run(
            Options(
                out,
                seeds,
                largest,
                jobs,
                costs,
                docs,
                partial(AsyncClient, patience_s=PATIENCE_S) if live else None,
                live_results,
            ),
            progress,
        )
    for name, value in told(written.costs):
        console.print(f"{name:<46}{value:>10}")
    console.print()
    wide = max(len(target.what) for target in written.targets)
    for target in written.targets:
        ending = "met" if target.met else "missed"
        console.print(f"{target.what:<{wide}}  {target.target:>24}  {target.measured:>8}  {ending}")
    console.print(f"\nreport   {written.report}\npage     {written.page}\ntables   {written.tables}/")


def _where(backend: BackendName, jobs: int, address: str | None) -> Where:
    from wattquorum.foundation.refusals import Refused
    from wattquorum.lab.sweeps.running import Backend, Where

    if jobs == 0:
        raise Refused("out_of_range", "--jobs", jobs, "Name how many processes, or -1.")
    return Where(Backend(backend), jobs, address)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Shows what is done; without a terminal a line now and then."""
    errors = Console(stderr=True, highlight=False)
    if not errors.is_terminal:
        told = ("", 0)

        def line(doing: str, done: int, total: int) -> None:
            nonlocal told
            tenths = 10 * done // total
            if (doing, tenths) != told:
                told = (doing, tenths)
                errors.print(f"{doing}: {10 * tenths} %")

        yield line
        return
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda doing, done, total: bar.update(task, description=doing, completed=done, total=total)
