"""`wattquorum chaos`: worlds in which everything goes wrong, one for each seed, and whether the protocol held."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wattquorum.foundation.refusals import Refused

if TYPE_CHECKING:
    from wattquorum.simulation.chaos import Rules
    from wattquorum.simulation.world import Outcome

BROKEN: Final = 1
SEEDS: Final = re.compile(r"([0-9]+):([0-9]+)")
TOLD_MAX: Final = 3  # failures told with their events
ALL_SEEDS: Final = "0:200"
LINES: Final = 10  # of progress where there is no terminal
PROGRESS: Final = "I13"
COMMITTEE_MIN: Final = 4
SHOWN: Final = 40  # of the last events before a failure


class EngineName(StrEnum):
    """Whose protocol is tried."""

    RAFT = "raft"
    PBFT = "pbft"
    CGPBFT = "cgpbft"


def chaos(
    engine: Annotated[
        EngineName,
        typer.Option(
            help="Whose protocol is tried; in worlds of pbft up to a third lie, of cgpbft of agents, and any others."
        ),
    ] = EngineName.RAFT,
    seeds: Annotated[
        str | None, typer.Option(help=f"From the first to before the last; {ALL_SEEDS} if not given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="One seed alone, instead of --seeds.", min=0)] = None,
    nodes: Annotated[
        int, typer.Option(help="How many replicas every world has; 0: a few, drawn by its seed.", min=0, max=100)
    ] = 0,
    literal: Annotated[
        bool, typer.Option("--literal", help="Document A's own rules: weights at hand, that change at once.")
    ] = False,
    twins: Annotated[
        bool, typer.Option("--twins", help="Of pbft: replicas that run twice with one key; seeds count the cases.")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="With --seed: print every event.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes; -1: one for each processor.", min=-1)] = -1,
) -> None:
    """Try a protocol in worlds where networks, disks, clocks and machines fail, and say which invariant broke, if any.

    A world is decided by its seed: the same seed gives the same events and the same trace on every machine. First
    anything may fail at any time; then faults freeze and progress is required of a core that can decide. Exit status: 0
    all held, 1 an invariant broke, 2 wrong usage.
    """
    from joblib import delayed

    from wattquorum.ledger.protocols import Protocol
    from wattquorum.simulation.chaos import Rules, outcome_of, world_of

    console = Console(highlight=False, soft_wrap=True)
    protocol = Protocol.WEIGHTED_RAFT if engine is EngineName.RAFT else Protocol(engine)
    rules = Rules(nodes, literal, protocol, twins)
    _check_engine(engine, nodes, literal=literal, twins=twins)
    _check_seeds(seed, seeds, trace=trace)
    if jobs == 0:
        raise Refused("out_of_range", "--jobs", jobs, "Name how many processes, or -1.")
    if seed is not None:
        world = world_of(seed, rules)
        if trace:
            world.on_event = lambda line: console.print(line, markup=False)
        outcomes = [world.run()]
    else:
        wanted = _range(ALL_SEEDS if seeds is None else seeds)
        workers = min(jobs if jobs > 0 else os.cpu_count() or 1, len(wanted))
        outcomes = []
        with _progress(len(wanted)) as done:
            try:
                for outcome in _played([delayed(outcome_of)(each, rules) for each in wanted], workers):
                    outcomes.append(outcome)
                    done(sum(each.breach is not None for each in outcomes))
            except KeyboardInterrupt:
                held = sum(each.breach is None for each in outcomes)
                console.print(f"{len(outcomes)} of {len(wanted)} seeds were tried, {held} of them held")
                raise
    outcomes.sort(key=lambda outcome: outcome.seed)
    _tell_broken(console, outcomes, _again(engine, rules), trace=trace)
    if seed is not None:
        console.print(f"trace {outcomes[0].trace}")
    total = [sum(values) for values in zip(*(outcome.counts for outcome in outcomes), strict=True)]
    events, blocks, elections, versions, crashes, world_ms, liars, lies = total or [0] * 8
    leaders = "elections" if engine is EngineName.RAFT else "views that decided"
    seeds_tried = "1 seed" if len(outcomes) == 1 else f"{len(outcomes)} seeds"
    changes = "weights that change at every block" if literal else f"{versions} changes of who decides"
    broken = sum(outcome.breach is not None for outcome in outcomes)
    lied = f", {liars} members who do not agree lied {lies} times" if engine is EngineName.CGPBFT else ""
    console.print(
        f"{seeds_tried}, {broken} broken: {events} events, {blocks} blocks, {elections} {leaders}, "
        f"{changes}, {crashes} crashes{lied} in {world_ms // 1_000} simulated seconds"
    )
    if broken:
        raise typer.Exit(BROKEN)


def _played(tasks: Sequence[Any], workers: int) -> Iterator[Outcome]:
    """What joblib's tasks come to, in any order; their processes end with this one, however it ends."""
    from joblib import Parallel
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    from wattquorum.simulation.workers import end_with

    many: dict[str, Any] = {"initializer": end_with, "initargs": (os.getpid(),)} if workers > 1 else {}
    try:
        yield from Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1, **many)(tasks)
    except TerminatedWorkerError:
        remedy = "Look for what ended one of them, such as too little memory, and try fewer with --jobs."
        raise Refused("backend_failed", "--jobs", f"{workers} processes", remedy) from None


def _tell_broken(console: Console, outcomes: Sequence[Outcome], again: str, *, trace: bool) -> None:
    """Says which worlds broke, how the first of each invariant came to it, and how to see that again."""
    from wattquorum.simulation.world import ERROR

    broken = [outcome for outcome in outcomes if outcome.breach is not None]
    told = _worth_telling(broken)
    for outcome in told:
        assert outcome.breach is not None
        what = "ends with an" if outcome.breach.invariant == ERROR else "breaks"
        console.print(f"seed {outcome.seed} {what} {outcome.breach.invariant}: {outcome.breach.found}", markup=False)
        if not trace:
            for line in outcome.breach.story[-SHOWN:]:
                console.print(f"  {line}", markup=False)
        console.print(f"  replay: wattquorum chaos {again}--seed {outcome.seed} --trace")
    rest = [outcome for outcome in broken if outcome not in told]
    if rest:
        console.print(
            "more broken seeds: " + ", ".join(f"{each.seed} ({each.breach.invariant})" for each in rest if each.breach)
        )


def _check_seeds(seed: int | None, seeds: str | None, *, trace: bool) -> None:
    if trace and seed is None:
        raise Refused("out_of_range", "--trace", "without --seed", "Name the seed whose events are to be printed.")
    if seed is not None and seeds is not None:
        raise Refused("out_of_range", "--seeds", f"{seeds} beside --seed {seed}", "Give one of the two.")


def _check_engine(engine: EngineName, nodes: int, *, literal: bool, twins: bool) -> None:
    if twins and engine is not EngineName.PBFT:
        raise Refused("out_of_range", "--twins", f"with --engine {engine}", "Twins are tried with --engine pbft.")
    if twins and nodes:
        raise Refused("out_of_range", "--nodes", f"{nodes} beside --twins", "Its cases say how many there are.")
    if engine is EngineName.RAFT:
        return
    if literal:
        raise Refused("out_of_range", "--literal", f"with --engine {engine}", "Only Raft has document A's own rules.")
    if 0 < nodes < COMMITTEE_MIN:
        raise Refused("out_of_range", "--nodes", nodes, f"A committee needs {COMMITTEE_MIN} or more.")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many worlds are done, and how many of them broke; a line now and then where there is no terminal."""
    errors = Console(stderr=True, highlight=False)
    tried = 0
    if not errors.is_terminal:

        def line(broken: int) -> None:
            nonlocal tried
            tried += 1
            if tried * LINES // total > (tried - 1) * LINES // total:
                errors.print(f"{tried} of {total} worlds, {broken} broken")

        yield line
        return
    columns = (TextColumn("worlds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[broken]}"), console=errors, transient=True) as progress:
        task = progress.add_task("worlds", total=total, broken="")
        yield lambda broken: progress.update(task, advance=1, broken=f"{broken} broken" if broken else "")


def _worth_telling(broken: Sequence[Outcome]) -> list[Outcome]:
    """The first of each invariant, those of safety before that of progress, and then others up to a few."""
    first = {outcome.breach.invariant: outcome for outcome in reversed(broken) if outcome.breach}
    by_kind = sorted(first.values(), key=lambda outcome: (outcome is first.get(PROGRESS), outcome.seed))
    others = [outcome for outcome in broken if outcome not in by_kind]
    return [*by_kind, *others][: max(TOLD_MAX, len(by_kind))]


def _again(engine: EngineName, rules: Rules) -> str:
    other = "" if engine is EngineName.RAFT else f"--engine {engine} "
    given = (f"--nodes {rules.hosts} " if rules.hosts else "", "--literal " if rules.literal else "")
    return f"{other}{''.join(given)}{'--twins ' if rules.twins else ''}"


def _range(text: str) -> range:
    found = SEEDS.fullmatch(text)
    if found is None or int(found[1]) >= int(found[2]):
        raise Refused("out_of_range", "--seeds", text, "Write FIRST:END, as in 0:200; END is not among them.")
    return range(int(found[1]), int(found[2]))
