"""Rounds of document A's model: 100,000 nodes, beside the same rules as one writes them down in numpy.

The plain kernel draws the same days and does the same sums with one expression for each rule: it sorts all answers to
find the one that completes a quorum, and all remainders to share certificates. Both end with the same weights, which is
checked. The bound is one partial sort of the answers in each round. The reproduction is timed with all processors and
with one.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.measuring import Line, Section, beside, seconds
from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.foundation.vectors import Int64s
from wattquorum.green.certificates import WHOLE
from wattquorum.lab.paper.draws import Draws, below
from wattquorum.lab.paper.inputs import Inputs
from wattquorum.lab.paper.rounds import round_trips, rounds
from wattquorum.lab.paper.run import Options, run
from wattquorum.lab.paper.scale import partial_sorts, wide
from wattquorum.lab.paper.trading import Cast

NODES: Final = 100_000
ROUNDS: Final = 200
SEEDS: Final = 60


def played(inputs: Inputs) -> Int64s:
    """Ours: the weights of the last round."""
    (last,) = deque(rounds(inputs, [0], [1]), maxlen=1)
    weights: Int64s = last.weights[0]
    return weights


def plain(inputs: Inputs) -> Int64s:
    """The same course in plain numpy."""
    cast, pairs, nodes = Cast(inputs, [0]), inputs.pairs, inputs.nodes
    links = round_trips(inputs, [0], [1])[0]
    jitter = Draws([0], "jitter", nodes)
    renewable = np.isin(np.arange(1, pairs + 1), inputs.renewable)
    sellers, buyers = (np.array([getattr(sale, who) for sale in inputs.sales]) - 1 for who in ("seller", "buyer"))
    credit, participation, held = np.zeros((3, nodes), dtype=np.int64)
    energy, failed = np.zeros((2, pairs), dtype=np.int64)
    a, b = inputs.generator, inputs.consumer
    weights = credit
    for k in range(inputs.rounds):
        promised, delivered, defaults = (each[0] for each in cast.day(k))
        total = np.repeat([promised[:pairs].sum(), promised[pairs:].sum()], pairs)
        performed = credit + (POINTS_MAX - credit) * promised // total
        lost = np.maximum(credit - credit * delivered // promised, inputs.minimum_credit_loss)
        credit = np.where(defaults, credit - np.minimum(lost, credit), performed)
        low = np.repeat([delivered[:pairs].min(), delivered[pairs:].min()], pairs)
        width = np.repeat([np.ptp(promised[:pairs]), np.ptp(promised[pairs:])], pairs)
        volume = np.clip(inputs.factor * 100 * (delivered - low) // width, 0, POINTS_MAX)
        energy += np.where(renewable, delivered[:pairs], 0)
        held[:pairs] += energy // WHOLE
        energy %= WHOLE
        if (k + 1) % inputs.sold_every == 0:
            sold = held[sellers] * inputs.sold_ppm // MILLION
            held[sellers] -= sold
            held[buyers] += sold
        shares = np.zeros(nodes, dtype=np.int64)
        if held.any():
            shares = held * POINTS_MAX // held.sum()
            remainders = held * POINTS_MAX % held.sum()
            shares[np.argsort(-remainders, kind="stable")[: POINTS_MAX - shares.sum()]] += 1
        failed += cast.faults(k)[0]
        line = POINTS_MAX * (k + 1 - failed) // (k + 1)
        rest = np.concatenate((a.line * line, np.zeros(pairs, dtype=np.int64)))
        factors = np.repeat(np.array([a, b]), pairs, axis=0).T
        parts = (credit, volume, participation, shares, cast.carbon[0])
        sums = sum((factor * part for factor, part in zip(factors, parts, strict=False)), rest)
        weights = np.minimum(sums // MILLION, POINTS_MAX)
        times = links + below(jitter.row(k)[0], inputs.jitter_us + 1)
        order = np.argsort(times[1:], kind="stable") + 1
        reached = 2 * (weights[0] + np.cumsum(weights[order])) > weights.sum()
        valid = order[: np.argmax(reached) + 1]
        np.sort(times[1:])[nodes // 2 - 1]
        participation[valid] = np.minimum(participation[valid] + inputs.rho, POINTS_MAX)
        if (k + 1) % inputs.decay_every == 0:
            credit, participation = credit * inputs.eta // MILLION, participation * inputs.eta // MILLION
    return weights


def measured(nodes: int = NODES, count: int = ROUNDS, seeds: int = SEEDS) -> Section:
    """A course beside the plain one and the bound; the reproduction with all processors beside one."""
    inputs = wide(nodes, count)
    if not np.array_equal(played(inputs), plain(inputs)):
        raise AssertionError("both kernels must end with the same weights")
    course = beside(lambda: played(inputs), lambda: plain(inputs), rounds=3)
    bound = beside(lambda: played(inputs), lambda: partial_sorts(nodes, count), rounds=3)
    with tempfile.TemporaryDirectory() as folder:

        def reproduce(jobs: int) -> None:
            run(Options(Path(folder), seeds, jobs, largest=1_000), lambda *_: None)

        all_, one = seconds(lambda: reproduce(-1)), seconds(lambda: reproduce(1))
    return Section(
        f"Document A: {count} rounds of {nodes:,} nodes, and its reproduction",
        [
            Line("the round model", course.ours, "s"),
            Line("   against the same kernel in plain numpy", course.times, "x"),
            Line("   against one partial sort a round", bound.times, "x"),
            Line(f"reproduction of {seeds} seeds", all_, "s", f"{os.cpu_count()} processors; target of 200: under 180"),
            Line("   against one process", all_ / one, "x"),
        ],
    )
