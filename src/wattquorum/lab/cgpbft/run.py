"""The run: measures what work takes, does all trials over processes, and writes what came out.

In the output folder: report.html, cgpbft.md with its pictures, and tables/ with a CSV file of every kind of outcome.
`costs.csv` among them can be given to another run, which then finds the same: only what forming groups took, which has
a file of its own, differs. Live nodes are timed when that is asked for, before anything else is tried; `live.csv` keeps
what came of it for later runs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from joblib import delayed

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.cgpbft import costs as measuring
from wattquorum.lab.cgpbft.live import PLAN, Connect, Lived, Plan, check_pairs, lived
from wattquorum.lab.cgpbft.pages import as_html, as_markdown
from wattquorum.lab.cgpbft.told import parts_of
from wattquorum.lab.cgpbft.told.targets import Target, targets_of
from wattquorum.lab.cgpbft.trials import Found, done, found_of, tasks
from wattquorum.lab.drawing import Picture
from wattquorum.lab.outcome import outcome
from wattquorum.lab.parts import picture_file
from wattquorum.lab.report.shell import write_page
from wattquorum.lab.sweeps.running import Where, on, results
from wattquorum.simulation.assembly import Costs

REPORT: Final = "report.html"
PAGE: Final = "cgpbft.md"
TABLES: Final = "tables"
COSTS: Final = "costs.csv"
LIVE: Final = "live.csv"
NODES: Final = "live"  # where nodes' folders are while they run
PREFIX: Final = "cgpbft-"  # of the pictures' files
COMMAND: Final = "wattquorum lab cgpbft --live --docs docs"
PICTURES: Final = ("messages", "pace", "conduct", "outages", "division")
CSVS: Final = (
    COSTS,
    "messages.csv",
    "pace.csv",
    "steps.csv",
    "conduct.csv",
    "recovery.csv",
    "faults.csv",
    "groups.csv",
    "groups_took.csv",
)
Progress = Callable[[str, int, int], None]  # (what is done, how much of it, of how much)


class Options(NamedTuple):
    """What a run was asked for."""

    out: Path
    seeds: int
    largest: int  # members of the largest community
    jobs: int = -1  # processes; -1: one for each processor
    costs: Path | None = None  # those of an earlier run, in place of measuring
    docs: Path | None = None  # a folder that gets the page and its pictures, too
    connect: Connect | None = None  # a client of live nodes; without one none are started
    live: Path | None = None  # what came of those of an earlier run; without it, what stands in `out`
    plan: Plan = PLAN  # of live nodes


class Written(NamedTuple):
    """What a run wrote, and what it aimed at."""

    report: Path
    page: Path
    tables: Path
    pictures: tuple[Path, ...]
    costs: Costs
    targets: tuple[Target, ...]


def run(options: Options, progress: Progress) -> Written:
    """Tries everything and writes it. Refused as `outcome` says, and for what is read."""
    out = options.out
    given = None if options.costs is None else read_costs(options.costs)
    kept = _kept(options)
    if options.docs is not None and not options.docs.is_dir():
        raise Refused("file_unreadable", "docs", f"{options.docs}: not a folder", "Name the folder of the pages.")
    with outcome(out, (NODES,)) as coming:
        progress("measuring costs", 0, 1)
        costs = measuring.measured(coming) if given is None else given
        live = kept if options.connect is None else lived(out / NODES, options.plan, options.connect, progress)
        found = _tried(options, measuring.machine() if given is None else "", costs, live, progress)
        pictures = _written(options._replace(out=coming), found)
    shown = tuple(out / picture_file(picture, PREFIX) for picture in pictures)
    return Written(out / REPORT, out / PAGE, out / TABLES, shown, found.costs, tuple(targets_of(found)))


def _kept(options: Options) -> list[Lived]:
    """What is known of live nodes before anything is tried; the documentation's page is not written without any."""
    here = options.out / TABLES / LIVE
    if options.live is not None:
        return read_live(options.live)
    if options.connect is None and here.exists():
        return read_live(here)
    if options.connect is None and options.docs is not None:
        remedy = f"The page tells of live nodes: add --live, or --live-results with {TABLES}/{LIVE} of an earlier run."
        raise Refused("out_of_range", "--docs", f"{options.docs} without --live", remedy)
    return []


def _tried(options: Options, machine: str, costs: Costs, live: list[Lived], progress: Progress) -> Found:
    asked = tasks(options.seeds, options.largest, costs)
    order = sorted(range(len(asked)), key=lambda place: -asked[place].weight)  # the longest first
    total = sum(task.weight for task in asked)
    outcomes: list[Any] = [None] * len(asked)
    where, so_far = Where(jobs=options.jobs), 0
    progress("trying", so_far, total)
    with on(where) as workers:
        these = [delayed(done)(place, asked[place]) for place in order]
        for place, found in results(these, where, min(workers, len(these))):
            outcomes[place] = found
            so_far += asked[place].weight
            progress("trying", so_far, total)
    return found_of(options.seeds, options.largest, machine, costs, live, asked, outcomes)


# Files --------------------------------------------------------------------------------------------------------------


def _written(options: Options, found: Found) -> list[Picture]:
    out, parts = options.out, parts_of(found)
    folder = out / TABLES
    folder.mkdir(exist_ok=True)
    for name, text in csvs(found).items():
        write_page(folder / name, text)
    pictures = [item for part in parts for item in part.items if isinstance(item, Picture)]
    for place in (out, options.docs) if options.docs is not None else (out,):
        for picture in pictures:
            write_page(place / picture_file(picture, PREFIX), picture.svg)
        write_page(place / PAGE, as_markdown(parts, COMMAND, PREFIX))
    write_page(out / REPORT, as_html(found, parts))
    return pictures


def csvs(found: Found) -> dict[str, str]:
    """Every outcome as a row, by the name of its file; of live nodes where there were some."""
    counts = (
        (each.members, each.agents, each.blocks, kind, number, each.size[kind])
        for each in found.counts
        for kind, number in sorted(each.messages.items())
    )
    epochs = (
        (each.stakes, each.fails, each.seed, number, *epoch)
        for each in found.courses
        for number, epoch in enumerate(each.epochs)
    )
    conduct_heads = (
        "stakes",
        "fails_ppm",
        "seed",
        "epoch",
        "faulty_agents",
        "failed_agents",
        "agents",
        "faulty_primary",
    )
    tables: dict[str, tuple[Sequence[str], Iterable[Sequence[Any]]]] = {
        COSTS: (("cost", "value"), found.costs._asdict().items()),
        "messages.csv": (("members", "agents", "blocks", "kind", "messages", "bytes"), counts),
        "pace.csv": (
            ("members", "agents", "links", "transactions", "certified_ns", "everywhere_ns", "block_ns"),
            found.paces,
        ),
        "steps.csv": (("members", "agents", "step", "block_ns"), found.steps),
        "conduct.csv": ((*conduct_heads, "trust_faulty", "trust_others"), epochs),
        "recovery.csv": (
            ("members", "agents", "timeout_ms", "agreed_ms", "everywhere_ms", "timeouts_later"),
            found.recoveries,
        ),
        "faults.csv": (("agents", "bad", "fault", "ending"), found.trials),
        "groups.csv": (
            ("way", "nodes", "groups", "traded_ppm", "trust_ppm", "bound_ppm"),
            (each[:6] for each in found.evens),
        ),
        "groups_took.csv": (("way", "nodes", "took_ns"), ((e.way, e.nodes, e.took_ns) for e in found.evens)),
        **({LIVE: (Lived._fields, found.live)} if found.live else {}),
    }
    return {name: _csv(heads, rows) for name, (heads, rows) in tables.items()}


def _csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return text.getvalue()


def read_costs(path: Path) -> Costs:
    """The costs that an earlier run measured; Refused("file_unreadable") for anything else."""
    remedy = f"Give {TABLES}/{COSTS} of an earlier run."
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        found = {name: int(value) for name, _, value in (line.partition(",") for line in lines)}
    except (OSError, ValueError) as fault:
        raise Refused("file_unreadable", "costs", f"{path}: {fault}", remedy) from None
    if sorted(found) != sorted(Costs._fields) or any(value < 0 for value in found.values()):
        raise Refused("file_unreadable", "costs", path, remedy)
    return Costs(**found)


def read_live(path: Path) -> list[Lived]:
    """What an earlier run's live nodes came to; Refused("file_unreadable") for anything else."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        found = [Lived(*(_cell(*pair) for pair in zip(Lived._fields, row, strict=True))) for row in rows]
        if tuple(head) != Lived._fields:
            raise ValueError(f"columns {', '.join(head)}")
        check_pairs(found)
    except (OSError, ValueError, csv.Error) as fault:
        remedy = f"Give {TABLES}/{LIVE} of an earlier run."
        raise Refused("file_unreadable", "live_results", f"{path}: {fault}", remedy) from None
    return found


def _cell(name: str, text: str) -> Any:
    """A number that is no less than it can be, or a word."""
    if name in ("machine", "engine"):
        return text
    if int(text) < (name not in ("busy_ppm", "pair", "messages")):
        raise ValueError(f"{name} {text}")
    return int(text)
