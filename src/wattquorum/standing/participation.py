"""Participation: what taking part in consensus earns a validator (A-12, A-16, L-16).

A valid reply is one that helped a round to its quorum: followers in order of arrival, up to and including the one that
completes it; the leader gets none [stated]. A block carries this list as evidence, and since it is the leader's word,
its shape is checked before it counts: members of the configuration, each once, not the leader, a quorum with the leader
and none without the last. What a selfish leader gains by naming its friends is bounded by that shape; it cannot be
excluded where crashes are the only faults considered. On the clock of epochs participation grows with the share of
rounds that a validator helped, and decays.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.quorum import decides
from wattquorum.foundation.quantities import MILLION, POINTS_MAX, Points


def valid_replies(configuration: Configuration, leader: bytes, followers: Sequence[bytes]) -> tuple[bytes, ...]:
    """The followers whose replies count, or none where the evidence has not the shape of a round (A-12)."""
    voters = dict.fromkeys(
        voter.replica for half in (configuration.old or (), configuration.new) for voter in half if voter.power
    )
    named = dict.fromkeys(followers)
    if len(named) != len(followers) or leader in named or any(each not in voters for each in followers):
        return ()
    if not decides(configuration, [leader, *followers]) or (
        followers and decides(configuration, [leader, *followers[:-1]])
    ):
        return ()
    return tuple(followers)


def participation_paper(points: Points, rho: Points) -> Points:
    """R after one valid reply, as document A has it: `min(100, R + rho)` (A-12)."""
    return Points(min(POINTS_MAX, points + rho))


def participation_after(points: Points, rho: Points, replies: int, rounds: int) -> Points:
    """R after an epoch: `min(100, R + rho * replies / rounds)`, rounded once; unchanged without rounds (L-16).

    `replies` of the epoch's `rounds` were valid ones of this validator. rho is what helping in every round earns.
    """
    if not rounds:
        return points
    return Points(min(POINTS_MAX, points + rho * min(replies, rounds) // rounds))


def peak(rho: Points, eta_ppm: int, rounds: int) -> Points:
    """What participation tends to just before a decay when rho is earned every round and every `rounds` it decays.

    The closed form `rho * l / (1 - eta)` of A-16 over A-12, at most 100 points; a member reads off it what full
    attendance is worth in the long run.
    """
    return Points(min(POINTS_MAX, rho * rounds * MILLION // (MILLION - eta_ppm)))
