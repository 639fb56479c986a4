"""Study: everything that is played for the report, as tasks that any process can do in any order.

A task's outcome depends on its arguments alone, and every seed's on that seed alone, so the same seeds bring the same
results however they are shared out. Two sets of inputs are played: the one that was chosen to show what the paper
shows, and, seed by seed, one that is drawn (`inputs.drawn`). Variants take single favours away from the chosen set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import Points, Ppm
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper.agreement import Case, Elected, cases, plain_elected
from wattquorum.lab.paper.claims import (
    CLAIMS,
    FIGURE_7,
    FIGURE_9,
    FIGURE_10,
    Pair,
    course,
)
from wattquorum.lab.paper.draws import Draws
from wattquorum.lab.paper.extremes import always
from wattquorum.lab.paper.inputs import LEADERS, PAPER, Inputs, Span, drawn
from wattquorum.lab.paper.rounds import Played, play
from wattquorum.lab.paper.transacting import Account, transacted
from wattquorum.lab.sweeps.store import code_digest
from wattquorum.standing.weight import Coefficients

CHUNK: Final = 20  # seeds that are played together
VARIANTS: Final[dict[str, Inputs]] = {
    "as chosen": PAPER,
    "1, 2, 5 trade no more than others": replace(PAPER, larger=()),
    "1, 2, 5 are no cleaner": replace(PAPER, clean=()),
    "1, 2, 5 default as often as others": replace(PAPER, reliable=()),
    "2 and 5 earn no certificates": replace(PAPER, renewable=(1, 3, 7, 9)),
    "none of these favours": replace(PAPER, larger=(), clean=(), reliable=(), renewable=(3, 7, 9, 11)),
    "participation earns nothing": replace(PAPER, rho=Points(0)),
    "participation alone counts": replace(  # carbon is 100 points for everybody
        PAPER,
        carbon_g=Span(0, 0),
        clean=(),
        generator=Coefficients(Ppm(0), Ppm(0), Ppm(150_000), Ppm(0), Ppm(850_000), Ppm(0)),
        consumer=Coefficients(Ppm(0), Ppm(0), Ppm(200_000), Ppm(0), Ppm(800_000), Ppm(0)),
    ),
    "links of 20 to 40 ms": replace(PAPER, round_trip_us=Span(20_000, 40_000)),
    "links of 28 to 32 ms": replace(PAPER, round_trip_us=Span(28_000, 32_000)),
}


class Traces(NamedTuple):
    """What figures show of a seed, int64."""

    plain_us: Int64s  # [leaders, rounds]
    weighted_us: Int64s
    credit: Int64s  # [rounds, nodes of figure 7]
    pair: Int64s  # [2, rounds]
    certificates: Int64s  # [rounds, nodes of figure 9]
    weights: Int64s  # [rounds, nodes of figure 10]


class Run(NamedTuple):
    """A seed's outcome."""

    seed: int
    values: tuple[tuple[float, ...], ...]  # of each claim's measure
    led: tuple[int, ...]  # elections won by each node, table 4
    led_plain: tuple[int, ...]  # table 3
    accounts: tuple[Account, ...]  # tables 1 and 2; empty where inputs are drawn
    traces: Traces | None


def middle_of(runs: Sequence[Run]) -> int:
    """The place of the run that is drawn beside the first one.

    Node 1 wins its median of elections in it, or nearest to that; of such runs it is the one whose saving, in the mean
    of the scenarios, is nearest to the median, and then the first.
    """
    saves = [claim.key for claim in CLAIMS].index("saves")
    won = np.array([run.led[LEADERS[0] - 1] for run in runs])
    saved = np.array([np.mean(run.values[saves]) for run in runs])
    return int(np.lexsort((np.abs(saved - np.median(saved)), np.abs(won - np.median(won))))[0])


class Variant(NamedTuple):
    """What a seed brings when a favour is taken away."""

    name: str
    seed: int
    led: tuple[int, ...]  # elections won by 1, 2 and 5
    saved: tuple[float, ...]  # of all rounds' time, with each leader [share]


def plain_elections(inputs: Inputs, seeds: Sequence[int]) -> Int64s:
    """Whom plain Raft elects in each election, [seeds, rounds]: the node with the shortest of random timeouts."""
    draws = Draws(seeds, "timeouts", inputs.nodes)
    return np.stack([draws.row(number).argmin(axis=1) + 1 for number in range(inputs.rounds)], axis=1)


def runs_of(played: Played, *, traced: bool) -> Iterator[Run]:
    """The runs of seeds that were played; figures' traces and tables' accounts only where they are shown."""
    inputs = played.inputs
    elections, (performs, defaults) = plain_elections(inputs, played.seeds), always(played)
    for at, seed in enumerate(played.seeds):
        accounts = transacted(inputs, seed)
        own = course(played, at, accounts, elections[at], Pair(performs[at], defaults[at]))
        yield Run(
            seed,
            tuple(tuple(map(float, claim.measure(own))) for claim in CLAIMS),
            _counts(own.elected, inputs.nodes),
            _counts(own.plain_elected, inputs.nodes),
            tuple(accounts) if traced else (),
            Traces(
                own.plain_us,
                own.weighted_us,
                _nodes(own.credit, FIGURE_7),
                np.stack(own.pair),
                _nodes(own.certificates, FIGURE_9),
                _nodes(own.weights, FIGURE_10),
            )
            if traced
            else None,
        )


def _counts(elected: Int64s, nodes: int) -> tuple[int, ...]:
    return tuple(np.bincount(elected, minlength=nodes + 1)[1:].tolist())


def _nodes(values: Int64s, who: Iterable[int]) -> Int64s:
    found: Int64s = values[:, [node - 1 for node in who]]
    return found


# Tasks --------------------------------------------------------------------------------------------------------------


def chosen_runs(seeds: Sequence[int]) -> list[Run]:
    """Runs with the inputs that show the paper's results."""
    return list(runs_of(play(PAPER, seeds), traced=True))


def drawn_runs(seeds: Sequence[int]) -> list[Run]:
    """Runs each with inputs of its own."""
    return [run for seed in seeds for run in runs_of(play(drawn(seed), [seed]), traced=False)]


def variant_runs(name: str, seeds: Sequence[int]) -> list[Variant]:
    """What is left of leaders and saving without a favour."""
    played = play(VARIANTS[name], seeds)
    saved = 1 - played.weighted_us.sum(axis=2) / played.plain_us.sum(axis=2)
    return [
        Variant(
            name,
            seed,
            tuple(int(np.count_nonzero(played.elected[at] == node)) for node in LEADERS),
            tuple(saved[:, at].tolist()),
        )
        for at, seed in enumerate(seeds)
    ]


class Task(NamedTuple):
    """A function of this package with its arguments; `weight` is about how long it takes."""

    kind: str
    what: Callable[..., list[Any]]
    arguments: tuple[Any, ...]
    weight: int


class Found(NamedTuple):
    """All outcomes, each kind in the order of its seeds."""

    seeds: int
    chosen: list[Run]
    drawn: list[Run]
    variants: list[Variant]
    cases: list[Case]
    plain: list[Elected]


KINDS: Final = ("chosen", "drawn", "variants", "cases", "plain")


def tasks(seeds: int) -> list[Task]:
    """Everything that is to be done for so many seeds."""
    chunks = [tuple(range(first, min(first + CHUNK, seeds))) for first in range(0, seeds, CHUNK)]
    return [
        *(Task("chosen", chosen_runs, (chunk,), 2 * len(chunk)) for chunk in chunks),
        *(Task("drawn", drawn_runs, (chunk,), 6 * len(chunk)) for chunk in chunks),
        *(Task("variants", variant_runs, (name, chunk), len(chunk)) for name in VARIANTS for chunk in chunks),
        *(Task("cases", cases, (seed,), 30) for seed in range(seeds)),
        *(Task("plain", plain_elected, (seed,), 14) for seed in range(seeds)),
    ]


class Done(NamedTuple):
    """A task's outcome."""

    place: int  # which task it was
    code: str  # of whoever did it
    outcome: list[Any]


def done(place: int, task: Task) -> Done:
    """Does a task, on whichever machine this is."""
    return Done(place, code_digest(), task.what(*task.arguments))


def found_of(seeds: int, asked: Sequence[Task], outcomes: Sequence[list[Any]]) -> Found:
    """Outcomes by kind."""
    by_kind: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for task, outcome in zip(asked, outcomes, strict=True):
        by_kind[task.kind] += outcome
    return Found(seeds, *(by_kind[kind] for kind in KINDS))
