"""Credit: what keeping or breaking a promise does to a node's credit C and trust T, and what time does to both.

Two measures stand side by side because two documents define one each: C of document A (A-9, A-10), which carries
weight in the market's Raft, and T of document B (B-2), which carries votes in CGPBFT; N is the energy that B counts
for a node. All are updated once per node, role and delivery day on the day's sums (L-5), so that ten small contracts
count like one large one. Credit and trust lie in 0..100 points. Every formula is rounded once, toward zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Energy, Points, Ppm, portion


class Kept(NamedTuple):
    """What a side's legal owners delivered of promises that they kept on a day: the sum [Wh] and that of squares.

    Their ratio is the mean as a Wh sees it: a tiny promise has next to no part in it, and an owner's has the same
    however it is divided.
    """

    total: int
    squares: int


def kept_of(delivered: Iterable[Energy]) -> Kept:
    """The sums over owners."""
    each = list(delivered)
    return Kept(sum(each), sum(energy * energy for energy in each))


class CreditAfterDefault(NamedTuple):
    """What a default leaves."""

    credit: Points  # after the default
    loss: Points  # dC of A-10, before the minimum: what the fine counts


def credit_after_performance(
    credit: Points, delivered: Energy, kept: Kept, reference_side: int, max_share: Ppm
) -> Points:
    """C after a day on which an owner kept its promises: `C + (100 - C) * share` (A-9, share by L-5).

    `share = clip(delivered / (reference_side * mean), 0, max_share)`, the mean being that of the side's kept promises,
    each owner's weighed by its energy: `kept.squares / kept.total`. With 15 owners of one size and reference_side 15 it
    is A-9's share of the total; neither does a sole trader jump to 100, nor does standing fade to nothing among a
    thousand members. Only what was delivered of kept promises counts, owners count once, and a Wh as much as any other:
    so neither an absurd promise, nor a tiny one, nor energy that is withheld, nor a member split into many accounts
    moves much of what others earn [chosen]. A day without promises changes nothing.
    """
    reference = reference_side * kept.squares
    if reference == 0:
        return credit
    missing = POINTS_MAX - credit
    own = delivered * kept.total
    if own * MILLION >= max_share * reference:
        return Points(credit + missing * max_share // MILLION)
    return Points(credit + missing * own // reference)


def credit_after_performance_paper(credit: Points, promised: Energy, side_promised: Energy) -> Points:
    """C after a kept promise as document A has it: `C + (100 - C) * promised / side_promised` (A-9, shape deduced)."""
    if side_promised == 0:
        return credit
    return Points(credit + (POINTS_MAX - credit) * promised // side_promised)


def credit_after_default(
    credit: Points, delivered: Energy, promised: Energy, minimum_credit_loss: Points
) -> CreditAfterDefault:
    """C after a default: A-10's `C * delivered / promised`, but lower by at least the minimum loss, and not below 0.

    0 <= delivered < promised [Wh], both sums of the day. The shape of A-10 is deduced; the minimum (1 point, so that a
    default is never free) is chosen.
    """
    loss = credit - credit * delivered // promised
    return CreditAfterDefault(Points(credit - min(credit, max(minimum_credit_loss, loss))), Points(loss))


def trust_after(trust: Points, delivered: Energy, promised: Energy, m: Points) -> Points:
    """T after a trade: `T - m * (E - e) / E` for a side that delivered e < E, otherwise unchanged; in 0..100 (B-2).

    `m` is what delivering nothing costs [points]. The direction is stated, the size chosen.
    """
    if delivered >= promised:
        return trust
    return Points(max(0, trust * promised - m * (promised - delivered)) // promised)


def traded_after(traded: Energy, delivered: Energy, promised: Energy) -> Energy:
    """N after a trade: grows by what was delivered, at most what was promised [Wh] (B-2, L-21)."""
    return Energy(traded + min(delivered, promised))


def decay(value: Points, eta: Ppm) -> Points:
    """A measure after one decay: `eta * value` (A-16)."""
    return Points(portion(value, eta))


class Corrected(NamedTuple):
    """A measure after a correction of one day."""

    points: Points
    beyond: int  # what the day's corrections would have changed beyond 0..100 points; below zero for what was not lost


def correct_points(points: Points, change: int, beyond: int) -> Corrected:
    """A measure after a day's correction changes it from now on (L-11), in 0..100 points.

    What would lead beyond is kept, and a correction in the other direction takes it back first: one that is undone
    leaves everything as it was, and cannot wash away what another day has cost [chosen].
    """
    if change * beyond < 0:
        back = min(abs(change), abs(beyond))
        change, beyond = (change - back, beyond + back) if change > 0 else (change + back, beyond - back)
    after = min(max(points + change, 0), POINTS_MAX)
    return Corrected(Points(after), beyond + points + change - after)
