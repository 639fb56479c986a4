"""Verdicts: what all runs together say of each claim, with the chosen inputs and with drawn ones.

A claim holds where it does in at least 95 % of the runs. One that holds with the inputs that were chosen and not with
drawn ones hangs on something that the paper does not state. Where the paper gives a number, it is compared with the
band in which 90 % of our runs lie.
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
    median: float
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
        if self.chosen.held >= ENOUGH:
            return Finding.HOLDS if self.drawn.held >= ENOUGH else Finding.DEPENDS
        return Finding.MOSTLY if self.chosen.held > HALF else Finding.FAILS

    @property
    def words(self) -> str:
        """In a sentence."""
        claim, chosen, drawn = self
        if claim.holds is None:
            return f"{_number(self.finding)}: {_side(claim, chosen)}; with drawn inputs {_side(claim, drawn)}"
        shares = f"in {_percent(chosen.held)} of runs, with drawn inputs in {_percent(drawn.held)}"
        return f"{self.finding.value}: {shares}"


def spread_of(claim: Claim, values: Sequence[float]) -> Spread:
    """Of a claim's measures."""
    array: Floats = np.array(values, dtype=np.float64)
    low, median, high = (float(each) for each in np.percentile(array, (LOW, 50, HIGH)))
    if claim.holds is None:
        assert claim.paper_value is not None
        return Spread(low, median, high, float(low <= claim.paper_value <= high))
    return Spread(low, median, high, sum(map(claim.holds, array.tolist())) / array.size)


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


def _number(finding: Finding) -> str:
    return "does not come out" if finding is Finding.FAILS else finding.value


def _side(claim: Claim, spread: Spread) -> str:
    assert claim.paper_value is not None
    if spread.held:
        return "the paper's number lies in our band"
    return "it lies above our band" if claim.paper_value > spread.high else "it lies below our band"
