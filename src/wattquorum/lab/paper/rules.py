"""Rules: the product's rules of standing for many nodes at once, the same to the unit.

`standing` and `green` say what each rule is, for one node or one side, in whole numbers; here the same sums are done on
int64 arrays, [seeds, nodes], so that two hundred courses, or a hundred thousand nodes, take seconds. Each function has
the name of its twin, which is its oracle in the tests. Bounds that keep every product inside 64 bits are those of
`Inputs`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.foundation.vectors import Int64s
from wattquorum.green.certificates import WHOLE
from wattquorum.lab.paper.draws import Bools
from wattquorum.standing.weight import Coefficients

_VOLUME_UNIT: Final = POINTS_MAX // MILLION  # A-11's 100 points over a factor in ppm


def divided(numerators: Int64s, divisors: Int64s) -> Int64s:
    """Rounded down; a divisor of all is several times as fast as one for each seed."""
    found: Int64s = numerators // (divisors.item() if divisors.size == 1 else divisors)
    return found


def credit_after_performance_paper(credit: Int64s, promised: Int64s, side_promised: Int64s) -> Int64s:
    """A-9: `C + (100 - C) * promised / side_promised`; the side's sum, above 0, is [seeds, 1]."""
    earned = POINTS_MAX - credit
    earned *= promised
    found = divided(earned, side_promised)
    found += credit
    return found


def credit_after_default(credit: Int64s, delivered: Int64s, promised: Int64s, minimum_loss: int) -> Int64s:
    """A-10: `C * delivered / promised`, lower by at least the minimum loss and not below 0."""
    loss = credit - credit * delivered // promised
    np.maximum(loss, minimum_loss, out=loss)
    np.minimum(loss, credit, out=loss)
    return credit - loss


def volume(delivered: Int64s, low: Int64s, width: Int64s, factor: int) -> Int64s:
    """A-11: `factor * 100 * (delivered - low) / width` in 0..100 points; 0 where the width is 0.

    The paper's low is the least delivered of a side, its width what lies between the least and the most promised:
    both [seeds, 1].
    """
    scaled = delivered - low
    scaled *= factor * _VOLUME_UNIT
    found = divided(scaled, np.maximum(width, 1))
    np.clip(found, 0, POINTS_MAX, out=found)
    if not width.all():
        found *= width > 0
    return found


def whole_certificates(energy: Int64s) -> Int64s:
    """A-5: how many whole certificates each node's energy makes; it is left with the rest."""
    whole: Int64s = energy // WHOLE
    energy -= whole * WHOLE
    return whole


def certificates(held: Int64s) -> Int64s:
    """A-13: each node's share of all that are held, together 100 points: largest remainder first, ties by number.

    `held` is [seeds, nodes], each below 2^33; 0 for all where nobody holds any.
    """
    whole = held.sum(axis=1, keepdims=True)
    scaled = held * int(POINTS_MAX)
    parts = divided(scaled, np.maximum(whole, 1))
    scaled -= parts * whole
    left = np.where(whole[:, 0] > 0, POINTS_MAX - parts.sum(axis=1), 0)
    for seed in np.flatnonzero(left):
        _hand_out(parts[seed], scaled[seed], int(left[seed]))
    return parts


def _hand_out(parts: Int64s, remainders: Int64s, left: int) -> None:
    """A unit more to each of the `left` largest remainders, the smaller number first where they are equal.

    No remainder of 0 is among them: remainders add up to `left` times a sum that each of them lies below.
    """
    somebody = np.flatnonzero(remainders)
    own = remainders[somebody]
    least = np.partition(own, own.size - left)[own.size - left]
    above = own > least
    parts[somebody[above]] += 1
    equal = somebody[own == least]
    parts[equal[: left - int(above.sum())]] += 1


def carbon(settled: Int64s) -> Int64s:
    """A-14: `100 * (S - S_min) / (S_max - S_min)`, 100 where all are equal, for settlements [seeds, nodes] in grams.

    The paper has everybody obliged and no bound for a surplus.
    """
    low, high = settled.min(axis=1, keepdims=True), settled.max(axis=1, keepdims=True)
    found: Int64s = POINTS_MAX * (settled - low) // np.maximum(high - low, 1)
    found[(high == low)[:, 0]] = POINTS_MAX
    return found


def line(transmissions: int, failed: Int64s) -> Int64s:
    """A-15: `100 * (N - F) / N` for N > 0 transmissions of each node."""
    found = transmissions - failed
    found *= POINTS_MAX
    found //= transmissions
    return found


def weighed(
    coefficients: Coefficients,
    credit: Int64s,
    volume: Int64s,
    certificates: Int64s,
    carbon: Int64s,
    line: Int64s | None,
) -> Int64s:
    """The sum of A-7 or A-8 before its rounding, without participation: [millionths of a millionth of a point]."""
    found = credit * coefficients.credit
    scratch = volume * coefficients.volume
    found += scratch
    np.multiply(certificates, coefficients.certificates, out=scratch)
    found += scratch
    np.multiply(carbon, coefficients.carbon, out=scratch)
    found += scratch
    if line is not None:
        np.multiply(line, coefficients.line, out=scratch)
        found += scratch
    return found


def weight(sums: Int64s) -> Int64s:
    """A-7 and A-8: the sum of all components, rounded once, in 0..100 points."""
    found: Int64s = sums // MILLION
    np.minimum(found, POINTS_MAX, out=found)
    return found


def participation_paper(points: Int64s, valid: Bools, rho: int) -> None:
    """A-12, in place: `min(100, R + rho)` for those whose reply was valid."""
    points += valid * np.int64(rho)  # several times as fast as adding where it is so
    np.minimum(points, POINTS_MAX, out=points)


def decay(points: Int64s, eta: int) -> None:
    """A-16, in place: `eta * value`."""
    points *= eta
    points //= MILLION
