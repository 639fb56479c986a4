"""Extremes: the two nodes of figure 8, and the limits that their credit has in closed form (A-9, A-10, A-12, A-16).

Node A begins with a credit of 0 and always performs, node B begins with 100 and always defaults. A promises what node
11 does in the same round, B what node 27 does, so that they live in the same market.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper import rules
from wattquorum.lab.paper.draws import Draws, between
from wattquorum.lab.paper.rounds import Played

A_IS_LIKE, B_IS_LIKE = 11, 27
BEGINS: Final = (0, int(POINTS_MAX))


def always(played: Played) -> tuple[Int64s, Int64s]:
    """Credit of A and of B in every round, before its decay [millionths of a point], [seeds, rounds]."""
    inputs = played.inputs
    depths = Draws(played.seeds, "always default", 1)
    side = played.promised[:, :, : inputs.pairs].sum(axis=2)
    a, b = (np.full(len(played.seeds), begins, dtype=np.int64) for begins in BEGINS)
    found = np.empty((2, len(played.seeds), inputs.rounds), dtype=np.int64)
    for number in range(inputs.rounds):
        own = played.promised[:, number, A_IS_LIKE - 1]
        a = rules.credit_after_performance_paper(a, own, side[:, number])
        other = played.promised[:, number, B_IS_LIKE - 1]
        depth = between(depths.row(number)[:, 0], *inputs.depth_ppm)
        b = rules.credit_after_default(b, other * (MILLION - depth) // MILLION, other, inputs.minimum_credit_loss)
        found[0, :, number], found[1, :, number] = a, b
        if (number + 1) % inputs.decay_every == 0:
            rules.decay(a, inputs.eta)
            rules.decay(b, inputs.eta)
    return found[0], found[1]


def credit_peak(share: Fraction, eta: Fraction, rounds: int) -> Fraction:
    """What credit tends to just before a decay when a share of what is missing is earned every round [points].

    The fixed point of A-16 over A-9: `100 (1 - q) / (1 - eta q)`, with `q = (1 - share)^l`.
    """
    q = (1 - share) ** rounds
    return 100 * (1 - q) / (1 - eta * q)


def participation_peak(rho: Fraction, eta: Fraction, rounds: int) -> Fraction:
    """The same for participation: `rho l / (1 - eta)`, at most 100 points (A-12, A-16)."""
    return min(Fraction(100), rho * rounds / (1 - eta))
