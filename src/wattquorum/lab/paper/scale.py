"""Scale: the round model for a hundred thousand nodes, its time against their number and against a bound.

Every round needs the follower at which half of the weight is reached, among answers that come in another order each
time: at the least a partial sort of them, which `numpy.partition` does. So the bound of a course of rounds is one
partial sort in each. Times are this machine's and differ from run to run; nothing else that the lab writes does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from time import process_time
from typing import Final, NamedTuple

import numpy as np

from wattquorum.lab.paper.inputs import PAPER, Inputs, Sale
from wattquorum.lab.paper.rounds import rounds

SIZES: Final = (1_000, 3_000, 10_000, 30_000, 100_000)  # nodes
ROUNDS: Final = 200
RENEWABLE_EVERY: Final = 3  # generators
DEFAULTER_EVERY: Final = 15  # nodes, as in the paper
JITTER_US: Final = 5_000


class Took(NamedTuple):
    """What a course took, of a processor's time."""

    nodes: int
    rounds: int
    course_ns: int
    partial_sorts_ns: int  # one for each round


def wide(nodes: int, rounds_: int = ROUNDS) -> Inputs:
    """The paper's inputs for an even number of nodes: as many of them are renewable, and default often."""
    pairs = nodes // 2
    return replace(
        PAPER,
        pairs=pairs,
        rounds=rounds_,
        renewable=tuple(range(1, pairs + 1, RENEWABLE_EVERY)),
        defaulters=tuple(range(pairs + 2, nodes + 1, DEFAULTER_EVERY)),
        sales=tuple(Sale(seller, seller + pairs) for seller in range(1, pairs + 1, RENEWABLE_EVERY * 3)),
        larger=(),
        reliable=(),
        clean=(),
        jitter_us=JITTER_US,
    )


def took(nodes: int, rounds_: int = ROUNDS) -> Took:
    """Plays a course of one seed and one leader, and does nothing but partial sorts for as many rounds."""
    inputs = wide(nodes, rounds_)
    begun = process_time()
    deque(rounds(inputs, [0], [1]), maxlen=0)
    course = process_time() - begun
    return Took(nodes, rounds_, int(course * 1e9), int(partial_sorts(nodes, rounds_) * 1e9))


def partial_sorts(nodes: int, rounds_: int) -> float:
    """How long so many partial sorts of answers take that are there already [s of a processor]."""
    times = np.random.Generator(np.random.PCG64(0)).integers(10_000, 55_000, size=(8, nodes))
    begun = process_time()
    for number in range(rounds_):
        np.partition(times[number % 8], nodes // 2)
    return process_time() - begun
