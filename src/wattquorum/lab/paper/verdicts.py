"""Verdicts: what all runs together say of each claim, with the chosen inputs and with drawn ones.

A run bears a claim out where all of its measures do, in each scenario or for each node that the claim speaks of. A
claim holds where at least 95 % of the runs bear it out. One that holds with the inputs that were chosen and not with
drawn ones hangs on something that the paper does not state.

A number of the paper is compared with the median, for it is told as what the mechanism brings and not as one course: it
is compatible where it lies within the 95 % interval of our median in every scenario. Within the band of 90 % of our
runs, and not there, one run may well show it and most do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from math import exp, fsum, inf, lgamma, log, log1p
from typing import Final, NamedTuple

import numpy as np

from wattquorum.lab.paper.claims import CLAIMS, Claim, Floats
from wattquorum.lab.paper.study import Run

ENOUGH: Final = 0.95  # of the runs
HALF: Final = 0.5
LOW, HIGH = 5, 95  # percentiles of a band
TAILS: Final = 40  # one of so many cases lies beyond each end of a 95 % interval
BISECTIONS: Final = 50


class Finding(Enum):
    """In short."""

    HOLDS = "holds"
    BUILT_IN = "holds by construction"
    DEPENDS = "depends on an input that the paper does not state"
    MOSTLY = "holds in most runs, not in all"
    COMPATIBLE = "compatible with our median"
    WITHIN = "within our spread, not our median"
    FAILS = "does not hold"


class Spread(NamedTuple):
    """One measure of a claim over runs."""

    low: float
    median: float
    high: float
    from_: float  # the 95 % interval of the median
    to: float


class Tally(NamedTuple):
    """In how many cases something holds."""

    held: int
    of: int

    @property
    def share(self) -> float:
        """Of all cases."""
        return self.held / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Between which odds lie, with 95 % confidence (Clopper and Pearson)."""
        return interval_of_odds(self.held, self.of)


class Evidence(NamedTuple):
    """What runs with one kind of inputs say of a claim."""

    spreads: tuple[Spread, ...]  # one for each scenario or node that the claim speaks of, or one
    runs: Tally  # that bear the claim out in every place
    places: Tally  # single places of runs; correlated within a run


class Verdict(NamedTuple):
    """What is said of a claim."""

    claim: Claim
    chosen: Evidence
    drawn: Evidence

    @property
    def finding(self) -> Finding:
        """In short."""
        return self._of_number() if self.claim.holds is None else self._of_test()

    def _of_test(self) -> Finding:
        chosen, drawn = self.chosen.runs.share, self.drawn.runs.share
        if chosen <= HALF:
            return Finding.FAILS
        if chosen >= ENOUGH:
            if drawn < ENOUGH:
                return Finding.DEPENDS
            return Finding.BUILT_IN if self.claim.built_in else Finding.HOLDS
        return Finding.MOSTLY if drawn > HALF else Finding.DEPENDS

    def _of_number(self) -> Finding:
        if not all(in_band(self.claim, self.chosen)):
            return Finding.FAILS
        if not all(in_band(self.claim, self.drawn)):
            return Finding.DEPENDS
        if not all(at_median(self.claim, self.chosen)):
            return Finding.WITHIN
        return Finding.COMPATIBLE if all(at_median(self.claim, self.drawn)) else Finding.DEPENDS

    @property
    def words(self) -> str:
        """In a sentence."""
        chosen, drawn = (told(self.claim, evidence) for evidence in self[1:])
        if self.claim.holds is None:
            return f"{self.finding.value}: the paper's number is {chosen}; with drawn inputs it is {drawn}"
        why = f" ({self.claim.built_in})" if self.finding is Finding.BUILT_IN else ""
        return f"{self.finding.value}{why}: {chosen}; with drawn inputs it {drawn}"


def evidence_of(claim: Claim, runs: Sequence[Sequence[float]]) -> Evidence:
    """Of a claim's measures in each run, one for each of its places; of a number, who reaches it is counted."""
    values: Floats = np.array(runs, dtype=np.float64)
    holds = claim.holds or (lambda value: value >= _number(claim))
    held = np.array([[holds(value) for value in run] for run in values.tolist()])
    spreads = tuple(spread_of(column) for column in values.T)
    every, single = held.all(axis=1), held.ravel()
    return Evidence(spreads, *(Tally(int(np.count_nonzero(each)), each.size) for each in (every, single)))


def spread_of(values: Floats) -> Spread:
    """Of one measure, over runs."""
    low, half, high = (float(each) for each in np.percentile(values, (LOW, 50, HIGH)))
    return Spread(low, half, high, *interval_of_median(values.tolist()))


def verdicts_of(chosen: Sequence[Run], drawn: Sequence[Run]) -> list[Verdict]:
    """All claims, in their order."""
    return [
        Verdict(claim, *(evidence_of(claim, [run.values[place] for run in runs]) for runs in (chosen, drawn)))
        for place, claim in enumerate(CLAIMS)
    ]


# A number of the paper ----------------------------------------------------------------------------------------------


def _number(claim: Claim) -> float:
    assert claim.paper_value is not None
    return claim.paper_value


def in_band(claim: Claim, evidence: Evidence) -> list[bool]:
    """Whether the paper's number lies in the band of 90 % of our runs, for each place."""
    return [each.low <= _number(claim) <= each.high for each in evidence.spreads]


def at_median(claim: Claim, evidence: Evidence) -> list[bool]:
    """Whether it lies within the 95 % interval of our median, for each place."""
    return [each.from_ <= _number(claim) <= each.to for each in evidence.spreads]


# Intervals ----------------------------------------------------------------------------------------------------------


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """Between which of the values the median lies with at least 95 % confidence, whatever their distribution.

    Exact, by order statistics: how many of n values lie below the median is binomial with even odds. Fewer than six
    values say nothing of it.
    """
    count, left, ways = len(values), 0, 1  # ways: in which exactly `left` of them lie below the median
    below = ways
    # As many values at each end are left out as keep the odds that the median is beyond them within the tail.
    while below * TAILS <= 1 << count:
        ways = ways * (count - left) // (left + 1)
        left += 1
        below += ways
    if not left:
        return -inf, inf
    ordered = sorted(values)
    return ordered[left - 1], ordered[-left]


def interval_of_odds(held: int, of: int) -> tuple[float, float]:
    """Between which odds something lies that happened so often, with at least 95 % confidence (Clopper and Pearson)."""
    return _least_odds(held, of), 1 - _least_odds(of - held, of)


def _least_odds(held: int, of: int) -> float:
    """The odds under which it happens so often or oftener in 2.5 % of cases."""
    ways = [lgamma(of + 1) - lgamma(often + 1) - lgamma(of - often + 1) for often in range(held)]
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS if held else 0):
        odds = (low + high) / 2
        yes, no = log(odds), log1p(-odds)
        rarer = fsum(exp(way + often * yes + (of - often) * no) for often, way in enumerate(ways))
        low, high = (odds, high) if (1 - rarer) * TAILS < 1 else (low, odds)
    return low


# Words --------------------------------------------------------------------------------------------------------------


def told(claim: Claim, evidence: Evidence) -> str:
    """In how many runs a claim holds, or where the paper's number lies."""
    runs, places = evidence.runs, evidence.places
    unit = claim.places[0].split()[0] if claim.places else ""
    if claim.holds is None:
        where = ", ".join(
            _where(claim, lies(claim, evidence), said)
            for lies, said in ((in_band, "in our band"), (at_median, "within the interval of our median"))
        )
        return f"{where}; {percent(places.share)} of {places.of} {unit + '-' if unit else ''}runs reach it"
    interval = range_of(*map(percent, runs.interval))
    said = f"holds in {percent(runs.share)} of {runs.of} runs ({interval})"
    return f"{said}, {percent(places.share)} of {places.of} {unit}-runs" if claim.places else said


def _where(claim: Claim, lies: Sequence[bool], said: str) -> str:
    """In which places it is so."""
    if len(set(lies)) == 1:
        return said if lies[0] else f"not {said}"
    return f"{said} in {', '.join(place for place, so in zip(claim.places, lies, strict=True) if so)} alone"


def range_of(low: str, high: str) -> str:
    """Both ends, their unit once, or one where they are the same."""
    if low == high:
        return low
    number, _, unit = low.partition(" ")
    return f"{number if unit and high.endswith(f' {unit}') else low} to {high}"


def percent(share: float) -> str:
    """One decimal where it tells something, and neither all nor nothing where it is not so."""
    if not 0 < share < 1:
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9):.1f}".removesuffix(".0") + " %"
