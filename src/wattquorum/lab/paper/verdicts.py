"""Verdicts: what all runs together say of each claim, with the chosen inputs and with drawn ones.

A claim holds where it does in at least 95 % of the runs. One that holds with the inputs that were chosen and not with
drawn ones hangs on something that the paper does not state. Where the paper gives a number, it has to lie in the
band of 90 % of our runs, and, with drawn inputs, between their quartiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

import numpy as np

from wattquorum.lab.paper.claims import CLAIMS, Claim, Floats
from wattquorum.lab.paper.study import Run

ENOUGH: Final = 0.95  # of the runs
HALF: Final = 0.5
LOW, HIGH = 5, 95  # percentiles of a band


class Finding(Enum):
    """In short."""

    HOLDS = "holds"
    DEPENDS = "depends on an input that the paper does not state"
    MOSTLY = "holds in most runs, not in all"
    FAILS = "does not hold"


class Spread(NamedTuple):
    """A claim's measure over runs."""

    low: float
    quarter: float  # below it lies a quarter of the runs
    median: float
    three_quarters: float
    high: float
    held: float  # share of the measures that pass the claim's test; of a number: 1 if it lies in the band, else 0


class Verdict(NamedTuple):
    """What is said of a claim."""

    claim: Claim
    chosen: Spread
    drawn: Spread

    @property
    def finding(self) -> Finding:
        """In short."""
        if self.claim.holds is None:
            if not self.chosen.held:
                return Finding.FAILS
            return Finding.HOLDS if is_usual(self.claim, self.drawn) else Finding.DEPENDS
        if self.chosen.held <= HALF:
            return Finding.FAILS
        if self.chosen.held >= ENOUGH:
            return Finding.HOLDS if self.drawn.held >= ENOUGH else Finding.DEPENDS
        return Finding.MOSTLY if self.drawn.held > HALF else Finding.DEPENDS

    @property
    def words(self) -> str:
        """In a sentence."""
        chosen, drawn = (held_of(self.claim, spread) for spread in self[1:])
        if self.claim.holds is None:
            usual = "an ordinary one" if is_usual(self.claim, self.drawn) else "not an ordinary one"
            return f"{self.finding.value}: the paper's number lies {chosen}; with drawn inputs {drawn}, and is {usual}"
        return f"{self.finding.value}: in {chosen} of runs, with drawn inputs in {drawn}"


def spread_of(claim: Claim, values: Sequence[float]) -> Spread:
    """Of a claim's measures."""
    array: Floats = np.array(values, dtype=np.float64)
    low, quarter, half, three_quarters, high = (float(each) for each in np.percentile(array, (LOW, 25, 50, 75, HIGH)))
    if claim.holds is None:
        assert claim.paper_value is not None
        held = float(low <= claim.paper_value <= high)
    else:
        held = sum(map(claim.holds, array.tolist())) / array.size
    return Spread(low, quarter, half, three_quarters, high, held)


def is_usual(claim: Claim, spread: Spread) -> bool:
    """Whether the paper's number lies between the quartiles: a band of 90 % may hold nearly anything."""
    assert claim.paper_value is not None
    return spread.quarter <= claim.paper_value <= spread.three_quarters


def held_of(claim: Claim, spread: Spread) -> str:
    """In how many runs a claim holds, or where the paper's number lies."""
    if claim.holds is not None:
        return _percent(spread.held)
    assert claim.paper_value is not None
    if spread.held:
        return "in our band"
    return "above our band" if claim.paper_value > spread.high else "below our band"


def verdicts_of(chosen: Sequence[Run], drawn: Sequence[Run]) -> list[Verdict]:
    """All claims, in their order."""
    return [
        Verdict(claim, *(spread_of(claim, _values(runs, place)) for runs in (chosen, drawn)))
        for place, claim in enumerate(CLAIMS)
    ]


def _values(runs: Sequence[Run], place: int) -> list[float]:
    return [value for run in runs for value in run.values[place]]


def _percent(share: float) -> str:
    """Whole per cent, and neither all nor nothing where it is not so."""
    if 0 < share < 1:
        return f"{min(max(100 * share, 1), 99):.0f} %"
    return f"{100 * share:.0f} %"
