"""`wattquorum lab`: what the mechanisms of the documents do, tried over seeds and told with pictures and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wattquorum.cli.files import writing

commands = typer.Typer(help="Try the mechanisms of the documents, over seeds, and write what came out.")


@commands.callback()
def lab() -> None:
    """Try the mechanisms of the documents, over seeds, and write what came out."""


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
) -> None:
    """Evaluate document B: CGPBFT, in which elected agents of groups agree, beside PBFT, in which everybody does.

    Messages and bytes of a block; latency and throughput with what work takes on this machine; who comes to be an
    agent when some members are faulty; what a primary's crash costs and how many bad agents it takes; how even groups
    are. In the output folder: report.html (open it), cgpbft.md with its pictures, tables/ as CSV.

    Worlds are simulated and decided by their seeds; with --costs of an earlier run everything comes out the same but
    the time that forming groups took.
    """
    from wattquorum.foundation.refusals import Refused
    from wattquorum.lab.cgpbft.costs import told
    from wattquorum.lab.cgpbft.run import Options, run

    if jobs == 0:
        raise Refused("out_of_range", "--jobs", jobs, "Name how many processes, or -1.")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with _progress() as progress, writing(out):
        written = run(Options(out, seeds, largest, jobs, costs, docs), progress)
    for name, value in told(written.costs):
        console.print(f"{name:<46}{value:>10}")
    console.print()
    wide = max(len(target.what) for target in written.targets)
    for target in written.targets:
        ending = "met" if target.met else "missed"
        console.print(f"{target.what:<{wide}}  {target.target:>24}  {target.measured:>8}  {ending}")
    console.print(f"\nreport   {written.report}\npage     {written.page}\ntables   {written.tables}/")


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
    jobs: Annotated[int, typer.Option(min=-1, help="Processes; -1: one for each processor.")] = -1,
) -> None:
    """Reproduce document A: every table and figure of its section 5, over seeds, each claim with a verdict.

    Fifteen generators and fifteen consumers trade for 200 days and agree after each, plain and weighted, by the rules
    of the ledger. The paper does not state all it starts from: one set of inputs was chosen to show its results, and
    each seed is also played with inputs drawn from ranges, so that one sees which claims hang on what was chosen. The
    product's own Raft elects and decides with the same weights and links, beside the model that the rounds use.

    In the output folder: report.html (open it), tables/ and figures/ as CSV and SVG. The same seeds give the same
    files, whatever --jobs; only tables/scale.csv and its picture are times of this machine.
    """
    from wattquorum.foundation.refusals import Refused
    from wattquorum.lab.paper.run import Options, run

    if jobs == 0:
        raise Refused("out_of_range", "--jobs", jobs, "Name how many processes, or -1.")
    if largest % 2:
        raise Refused("out_of_range", "--largest", largest, "Half of the nodes are generators: choose an even number.")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with _progress() as progress, writing(out):
        written = run(Options(out, seeds, jobs, largest, docs), progress)
    for verdict in written.verdicts:
        console.print(f"{verdict.claim.where:<12}  {verdict.claim.says}\n{'':14}{verdict.words}")
    console.print(f"\nreport    {written.report}\ntables    {written.tables}/\nfigures   {written.figures}/")


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
