"""Trials: everything that the evaluation of document B tries, as tasks that any process can do in any order.

A task's outcome depends on its arguments alone, so the same seeds and costs give the same outcomes however many
processes share the work; only what forming groups took is a time of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from wattquorum.foundation.quantities import Ppm
from wattquorum.lab.cgpbft import conduct, division, messages, outages, pace
from wattquorum.lab.cgpbft.live import Lived
from wattquorum.simulation.assembly import Costs

FAILS: Final = (Ppm(100_000), Ppm(200_000), Ppm(500_000), Ppm(1_000_000))  # of a faulty agent's epochs in office
DRAWN_FAILS: Final = (FAILS[0], FAILS[2])  # what pictures show
RECOVERING: Final = (16, 4)  # members, and agents among groups
DELAYED_MOST: Final = 100  # members of worlds with delays; more would take minutes and show the same
NODES_EACH: Final = 25  # nodes to be divided, for each member of the largest community
FEW_FROM, MANY_TO = 200, 10  # members that agree; so many and more take long, so many and fewer no time


class Course(NamedTuple):
    """One course of conduct."""

    stakes: str
    fails: Ppm
    seed: int
    epochs: list[conduct.Epoch]


class Found(NamedTuple):
    """All outcomes, in the order of their tasks."""

    seeds: int
    largest: int
    machine: str  # on which costs were measured; empty: not known any more
    costs: Costs
    counts: list[messages.Counted]
    paces: list[pace.Pace]
    steps: list[pace.Stepped]
    courses: list[Course]
    recoveries: list[outages.Recovery]
    trials: list[outages.Trial]
    evens: list[division.Even]
    live: list[Lived]  # no tasks: nodes run alone on the machine


class Task(NamedTuple):
    """A function of this package with its arguments; `weight` is about how long it takes [messages]."""

    kind: str
    what: Callable[..., Any]
    arguments: tuple[Any, ...]
    weight: int = 1_000


def course(stakes: str, fails: Ppm, seed: int) -> Course:
    """A course, with what it was."""
    manners = conduct.Manners(fails=fails)
    return Course(stakes, fails, seed, conduct.course(seed, conduct.STAKES[stakes], manners))


def sides(members: int) -> list[int]:
    """Agents in plain PBFT, and among groups; one where both are the same."""
    return list(dict.fromkeys((members, messages.groups_of(members))))


def tasks(seeds: int, largest: int, costs: Costs) -> list[Task]:
    """Everything there is to do with communities of up to `largest` members."""
    return [
        *_counts(largest),
        *_paces(largest, costs),
        *(
            Task("steps", pace.stepped, (1, pace.TARGET_MEMBERS, agents, step, costs, 6), 3_000)
            for step in pace.Step
            for agents in sides(pace.TARGET_MEMBERS)
        ),
        *(
            Task("courses", course, (stakes, fails, seed), 10_000)
            for fails in FAILS
            for stakes in conduct.STAKES
            for seed in range(seeds)
        ),
        *(
            Task("recoveries", outages.recovered, (seed, RECOVERING[0], agents, timeout), 8_000)
            for agents in RECOVERING
            for timeout in outages.TIMEOUTS_MS
            for seed in range(seeds)
        ),
        *(Task("trials", outages.tried, (1, *trial), 10_000) for trial in outages.trials(largest // 2)),
        *(
            Task("evens", division.divided, (way, seed, nodes), nodes)
            for nodes in division.NODES
            if nodes <= largest * NODES_EACH
            for way in division.WAYS
            for seed in range(min(seeds, 5))
        ),
    ]


def _counts(largest: int) -> Iterator[Task]:
    for members in messages.SIZES:
        for agents in sides(members) if members <= largest else ():
            blocks = 1 if agents >= FEW_FROM else 3
            weight = blocks * messages.formula(members, agents)
            yield Task("counts", messages.counted, (1, members, agents, 1, blocks), weight)


def _paces(largest: int, costs: Costs) -> Iterator[Task]:
    for members in pace.MEMBERS:
        for world in pace.World:
            if members > largest or (world is not pace.World.NONE and members > DELAYED_MOST):
                continue
            for agents in sides(members):
                for transactions in pace.TRANSACTIONS:
                    blocks = 2 if agents >= FEW_FROM else 12 if agents <= MANY_TO else 4
                    arguments = (1, members, agents, world, transactions, costs, blocks)
                    yield Task("paces", pace.paced, arguments, blocks * messages.formula(members, agents))


def done(place: int, task: Task) -> tuple[int, Any]:
    """Does a task; the place tells which it was."""
    return place, task.what(*task.arguments)


def found_of(
    seeds: int,
    largest: int,
    machine: str,
    costs: Costs,
    live: list[Lived],
    asked: Sequence[Task],
    outcomes: Sequence[Any],
) -> Found:
    """Outcomes by kind."""
    by_kind: dict[str, list[Any]] = {task.kind: [] for task in asked}
    for task, outcome in zip(asked, outcomes, strict=True):
        by_kind[task.kind].append(outcome)
    return Found(
        seeds,
        largest,
        machine,
        costs,
        by_kind["counts"],
        by_kind["paces"],
        by_kind["steps"],
        by_kind["courses"],
        by_kind["recoveries"],
        by_kind["trials"],
        by_kind["evens"],
        live,
    )
