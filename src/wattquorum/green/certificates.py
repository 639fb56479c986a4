"""Certificates: how much metered energy may be certified, and how Wh become whole certificates (A-5, L-22).

Energy is certified in granular bundles of Wh, each for one device and a production period. A holder rolls 1,000,000 Wh
of one device up to a whole certificate; what is left stays granular and is the remainder that A-5 carries. So one Wh
stands in a granular bundle or in a whole certificate and never in both.

What a device may still certify is its carry: measured less certified, over the days that are not final. A correction
that takes energy away after it was certified makes the carry negative, and as much of the next energy is withheld.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import Energy
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s

WHOLE: Final = Energy(1_000_000)  # what a whole certificate stands for [Wh] (A-5, stated)

# Renewable sources by a meter's technology. Hydro is renewable and earns no certificates (A-5, stated).
SOURCES: Final = {
    "biogas": "biomass",
    "biomass": "biomass",
    "geothermal": "geothermal",
    "lv-feeder-pv": "sun",
    "pv": "sun",
    "solar": "sun",
    "wind": "wind",
    "wind-offshore": "wind",
}


def source_of(technology: str) -> str:
    """The renewable source of a technology; Refused("technology_ineligible") where there is none."""
    found = SOURCES.get(technology)
    if found is None:
        raise Refused("technology_ineligible", "technology", technology, f"Eligible are: {', '.join(SOURCES)}.")
    return found


def issuable(measured: Int64s, certified: Int64s, carry: int) -> Int64s:
    """What can be certified of a device's day now [Wh per interval].

    `measured` counts in intervals with measured readings alone (L-11), `certified` is what bundles of the day stand
    for already. In no interval is more certified than was measured, and in sum no more than the carry; where the carry
    holds back, the earliest energy is withheld.
    """
    gap = np.maximum(measured - certified, 0)
    withheld = int(gap.sum()) - min(int(gap.sum()), max(carry, 0))
    found: Int64s = np.clip(np.cumsum(gap) - withheld, 0, gap)
    return found


def by_period(energy: Int64s, every: int) -> list[Energy]:
    """Sums over each `every` intervals, the last of which may be shorter [Wh]."""
    return [Energy(int(part)) for part in np.add.reduceat(energy, np.arange(0, energy.size, every))]


class RollUp(NamedTuple):
    """Whole certificates out of granular bundles, taken in order."""

    certificates: int
    used: int  # how many bundles are used up whole or in part
    rest: Energy  # of the last one that is used


def roll_up(sizes: Sequence[Energy]) -> RollUp:
    """As many whole certificates as the bundles' Wh make up; Refused("certificate_short") if not one (A-5)."""
    certificates = sum(sizes) // WHOLE
    if not certificates:
        raise Refused("certificate_short", "bundles", sum(sizes), f"A whole certificate takes {WHOLE} Wh.")
    left, used = certificates * WHOLE, 0
    while left > 0:
        left -= sizes[used]
        used += 1
    return RollUp(certificates, used, Energy(-left))


def sealed_carry(carry: int, uncertified: int) -> int:
    """The carry once a day is final: no more than what the other days have that is measured and not certified [Wh].

    So what was not certified of the final day backs no certificate any more, and what was withheld of it to make up for
    a deficit is not taken from the other days a second time.
    """
    return min(carry, uncertified)
