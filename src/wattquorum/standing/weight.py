"""Weight: what standing a member's conduct adds up to (A-7, A-8, A-11, A-13 to A-15, L-12, L-17 to L-20).

Six components of 0 to 100 points each, weighed by coefficients that add up to one: credit, volume, participation,
certificates and carbon for everybody, and line faults for generators. Credit has its own module and participation too,
since time and consensus move them; here are the ones that follow from a day's or a period's numbers. What each formula
takes is stated in the document, their shapes are deduced but for volume, which is chosen, and each is rounded once,
toward zero. All are functions of one side of the market at once: a component compares members with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Carbon, Energy, Points, Ppm, apportion
from wattquorum.foundation.refusals import Refused

NEUTRAL: Final = Points(50 * MILLION)  # carbon of a member that is not obliged (L-19)
NOTHING: Final = Points(0)
LOW_PERCENT, HIGH_PERCENT = 5, 95  # of the energy of kept promises: what replaces P_min and P_max (L-18)


class Scale(IntEnum):
    """What certificates held are compared with (L-20)."""

    SHARE = 1  # all certificates: the paper's
    MAX = 2  # the most that anybody holds


class Components(NamedTuple):
    """A side's components [millionths of a point]."""

    credit: Points
    volume: Points
    participation: Points
    certificates: Points
    carbon: Points
    line: Points  # 0 for consumers, whose coefficient is 0


class Coefficients(NamedTuple):
    """The coefficients a or b of the components [ppm]; they add up to one million."""

    credit: Ppm
    volume: Ppm
    participation: Ppm
    certificates: Ppm
    carbon: Ppm
    line: Ppm


def check_coefficients(coefficients: Coefficients) -> None:
    """Refuses coefficients below zero, or that do not add up to one: Refused("parameter_out_of_range")."""
    for name, value in coefficients._asdict().items():
        if value < 0:
            raise Refused("parameter_out_of_range", name, value, "A coefficient is zero or more.")
    if sum(coefficients) != MILLION:
        remedy = "The coefficients of a side must add up to 1,000,000 ppm."
        raise Refused("parameter_out_of_range", "coefficients", sum(coefficients), remedy)


def weight(components: Components, coefficients: Coefficients) -> Points:
    """The weight of one side of a member: A-7 for a generator, A-8 for a consumer; in 0..100 points."""
    credit, volume_, participation, certificates_, carbon_, line_ = components
    a1, a2, a3, a4, a5, a6 = coefficients
    total = a1 * credit + a2 * volume_ + a3 * participation + a4 * certificates_ + a5 * carbon_ + a6 * line_
    return Points(min(total // MILLION, POINTS_MAX))


def prosumer_weight(as_generator: Points, sold: Energy, as_consumer: Points, bought: Energy) -> Points:
    """Both weights averaged by what was traded on either side [Wh]; evenly where nothing was (L-12)."""
    if not sold + bought:
        return Points((as_generator + as_consumer) // 2)
    return Points((as_generator * sold + as_consumer * bought) // (sold + bought))


class VolumeScale(NamedTuple):
    """Between which volumes a side's component runs from 0 to 100 points [Wh]."""

    low: Energy
    high: Energy


def volume_scale(kept: Sequence[Energy]) -> VolumeScale:
    """Between which sizes the middle nine tenths of a side's energy lie: 5 and 95 % of it, by owners' size (L-18).

    `kept` is what each legal owner delivered of promises that it kept on a day; 0 and 0 where nobody kept any. Energy
    is counted and not owners: neither an absurd promise, nor a tiny one, nor many small accounts of one owner move what
    others' volume is compared with, however small the side [chosen].
    """
    total, passed = sum(kept), 0
    low = high = Energy(0)
    for each in sorted(kept):
        if passed * 100 < total * LOW_PERCENT:
            low = each
        if passed * 100 < total * HIGH_PERCENT:
            high = each
        passed += each
    return VolumeScale(low, high)


def volume(delivered: Energy, scale: VolumeScale, factor: Ppm) -> Points:
    """A-11: `factor * 100 * (delivered - low) / (high - low)`, in 0..100 points; 0 where low and high are the same."""
    width = scale.high - scale.low
    if width <= 0:
        return Points(0)
    scaled = factor * POINTS_MAX * (delivered - scale.low) // (MILLION * width)
    return Points(min(max(scaled, 0), POINTS_MAX))


def certificates(held: Sequence[int], addresses: Sequence[bytes], scale: Scale) -> list[Points]:
    """A-13: what each holds, of all or of the most that anybody holds; 0 for all where nobody holds any.

    `held` is in any one unit, zero or more, such as certificate-seconds of the delivery day (L-20). Shares add up to
    100 points exactly: largest remainder first, ties by address.
    """
    most = max(held, default=0)
    if not most:
        return [Points(0)] * len(held)
    if scale is Scale.MAX:
        return [Points(POINTS_MAX * each // most) for each in held]
    return [Points(part) for part in apportion(POINTS_MAX, held, addresses)]


class CarbonOutcome(NamedTuple):
    """A member's carbon of the last closed period [g]; `settled` is None where no verified report came in time."""

    obliged: bool
    quota: Carbon
    settled: Carbon | None  # quota + bought - sold - emitted


def carbon(accounts: Sequence[CarbonOutcome]) -> list[Points]:
    """A-14: `100 * (S - S_min) / (S_max - S_min)` among the obliged that reported; 100 for all if all are equal.

    S counts up to the quota, so that surplus bought beyond it earns nothing. Who is not obliged gets a neutral 50 and
    stays out of the extremes; who is and did not report gets 0 (L-19, chosen).
    """
    counted = [min(each.settled, each.quota) for each in accounts if each.obliged and each.settled is not None]
    low, high = min(counted, default=Carbon(0)), max(counted, default=Carbon(0))
    found = []
    for each in accounts:
        if not each.obliged:
            found.append(NEUTRAL)
        elif each.settled is None:
            found.append(Points(0))
        elif low == high:
            found.append(Points(POINTS_MAX))
        else:
            found.append(Points(POINTS_MAX * (min(each.settled, each.quota) - low) // (high - low)))
    return found


def line(transmissions: int, failed: int, untried: Points = NOTHING) -> Points:
    """A-15: `100 * (N - F) / N` for N transmissions of which F failed; `untried` while N is 0 (0, in the paper 100)."""
    if not 0 <= failed <= transmissions:
        raise Refused("out_of_range", "failed", failed, f"From 0 to {transmissions} of them can have failed.")
    return Points(POINTS_MAX * (transmissions - failed) // transmissions) if transmissions else untried
