"""Tolerance: what weight is worth at each promise of how many members may be lost.

Voting power is a projection of weights that keeps a promise: any `tolerance` members may be lost. The more it promises,
the less weights decide; at (n-1)//2 of an odd number they decide nothing. Weights as they are promise nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from wattquorum.foundation.quantities import Points, VotingPower
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.beyond.saving import US_PER_MS, saved
from wattquorum.lab.beyond.scenario import SCENARIO, inputs_of, lasts_ms, misfit
from wattquorum.lab.paper.rounds import rounds
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Misfit, Number, Parameter, Values
from wattquorum.standing.power import project, quorum_sizes, tolerance_max

OFF: Final = -1
TOLERANCE: Final = Parameter(
    "tolerance", "members", "members any of which may be lost; -1: weights vote as they are", OFF, OFF, 499
)


def powers_of(weights: Sequence[int], tolerance: int) -> list[VotingPower]:
    """What votes of members with these weights are worth, numbered members breaking ties."""
    if tolerance == OFF:
        return [VotingPower(weight) for weight in weights]
    addresses = [number.to_bytes(4, "big") for number in range(len(weights))]
    return project([Points(weight) for weight in weights], addresses, tolerance)


def bearable(powers: Sequence[int]) -> int:
    """How many members may be lost, whichever they are, with a majority left."""
    total = held = sum(powers)
    for count, power in enumerate(sorted(powers, reverse=True)):
        held -= power
        if 2 * held <= total:
            return count
    return len(powers)


def fits(values: Values) -> Misfit | None:
    """What does not go together."""
    wrong = misfit(values)
    if wrong is not None:
        return wrong
    most = tolerance_max(2 * values["pairs"])
    if values["tolerance"] > most:
        return Misfit("tolerance", f"Of {2 * values['pairs']} members at most {most} may be lost.")
    return None


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    inputs, tolerance = inputs_of(values), values["tolerance"]
    kept: list[list[VotingPower]] = []

    def powers(weights: Int64s) -> Int64s:
        kept.append(powers_of(weights[0].tolist(), tolerance))
        return np.array([kept[-1]], dtype=np.int64)

    plain = weighted = 0
    for each in rounds(inputs, [luck], [values["leader"]], powers):
        plain += int(each.decided.plain_us[0])
        weighted += int(each.decided.weighted_us[0])
    borne = [bearable(each) for each in kept]
    return {
        "saving": saved(plain, weighted),
        "time": weighted / inputs.rounds / US_PER_MS,
        "fewest": sum(quorum_sizes(each).fewest for each in kept) / len(kept),
        "borne": sum(borne) / len(borne),
        "borne_least": min(borne),
        "heaviest": sum(max(each) / max(sum(each), 1) for each in kept) / len(kept),
    }


TOLERANCES: Final = Experiment(
    "tolerance",
    "What weight is worth at each promise of how many members may be lost.",
    (TOLERANCE, *SCENARIO),
    (
        Measure("saving", "", "share of consensus time saved, over all rounds"),
        Measure("time", "ms", "a round, mean"),
        Measure("fewest", "members", "fewest that can decide, mean over rounds"),
        Measure("borne", "members", "members that may be lost, whichever they are, mean over rounds"),
        Measure(
            "borne_least", "members", "members that may be lost, whichever they are, in the worst round", whole=True
        ),
        Measure("heaviest", "", "the heaviest member's share of all votes, mean over rounds"),
    ),
    _play,
    lambda values: lasts_ms(values) * 1.6,
    fits,
)
