"""Replies: by whose answers a round is decided, and when: the quorum of `consensus.quorum` for many rounds at once.

Followers answer in the order of their round-trip times, ties by number. With equal votes the round is decided by the
follower that makes the leader and those before it more than half of all; weighted, by the one that gives them more than
half of the weight. The paper calls it the intermediate node, its reply and all before it valid (A-12).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.vectors import Int64s, highest, lowest
from wattquorum.lab.paper.draws import Bools


class Decided(NamedTuple):
    """Rounds, decided: arrays [rows] and [rows, nodes]."""

    plain_us: Int64s  # with equal votes
    weighted_us: Int64s
    replies: Int64s  # valid ones in the weighted round
    valid: Bools  # whose they are
    decided: Bools  # False: all weight is 0, nobody decides, and the last reply ends the round


class Order:
    """In which order followers answer, for rows of leaders and seeds: [rows, nodes] of round-trip times [us].

    The leader's own time is 0 and not looked at.
    """

    __slots__ = ("_leaders", "_order", "_place", "_rows", "_sorted_us")

    def __init__(self, round_trips_us: Int64s, leaders: Int64s) -> None:
        """`leaders` are places of nodes, [rows]."""
        rows, nodes = round_trips_us.shape
        self._rows, self._leaders = np.arange(rows), leaders
        keyed = round_trips_us.copy()
        keyed[self._rows, leaders] = np.iinfo(np.int64).max  # the leader answers nobody
        order = np.argsort(keyed, axis=1, kind="stable")
        self._order = order[:, : nodes - 1]
        self._sorted_us = np.take_along_axis(keyed, self._order, axis=1)
        self._place = np.empty_like(order)
        np.put_along_axis(self._place, order, np.arange(nodes)[None, :], axis=1)

    def decide(self, powers: Int64s) -> Decided:
        """Rounds in which nodes have these powers, [rows, nodes]."""
        rows, nodes = self._rows, powers.shape[1]
        held = np.take_along_axis(powers, self._order, axis=1)
        np.cumsum(held, axis=1, out=held)
        own = powers[rows, self._leaders]
        total = held[:, -1] + own if nodes > 1 else own
        held += own[:, None]
        held *= 2
        replies = np.count_nonzero(held <= total[:, None], axis=1) + 1  # the first above half completes it
        replies[2 * own > total] = 0
        decided = total > 0
        replies[~decided] = nodes - 1
        last = self._sorted_us[rows, np.maximum(replies - 1, 0)]
        return Decided(
            self._sorted_us[:, nodes // 2 - 1],
            np.where(replies > 0, last, 0),
            replies,
            (self._place < replies[:, None]) & decided[:, None],
            decided,
        )


# Many nodes ---------------------------------------------------------------------------------------------------------

SORTED_UP_TO: Final = 2_000  # nodes; among more, times are counted in bins, and one bin is sorted
BINS_BITS: Final = 12
EXACT: Final = 1 << 53  # sums of doubles below it are those of whole numbers


def decide_once(round_trips_us: Int64s, leaders: Int64s, powers: Int64s) -> Decided:
    """Rounds whose round-trip times hold for them alone: as `Order` would decide them, in a time linear in nodes."""
    if powers.shape[1] <= SORTED_UP_TO or int(powers.sum(axis=1).max()) >= EXACT:
        return Order(round_trips_us, leaders).decide(powers)
    rows = [_selected(*row) for row in zip(round_trips_us, leaders.tolist(), powers, strict=True)]
    plain, weighted, replies, valid, decided = zip(*rows, strict=True)
    return Decided(
        np.array(plain, dtype=np.int64),
        np.array(weighted, dtype=np.int64),
        np.array(replies, dtype=np.int64),
        np.stack(valid),
        np.array(decided),
    )


def _selected(times: Int64s, leader: int, powers: Int64s) -> tuple[int, int, int, Bools, bool]:
    """One round: bins are counted until one completes the quorum, and only its followers are put in order."""
    low, high = lowest(times), highest(times)
    bins = (times - low) >> max(0, (high - low).bit_length() - BINS_BITS)
    beyond = int(highest(bins)) + 1
    bins[leader] = beyond  # it answers nobody
    counts = np.bincount(bins)[:beyond].cumsum()
    held = np.bincount(bins, weights=powers)
    own, total = int(held[beyond]), int(held.sum())
    majority = powers.size // 2  # of followers, who with the leader are more than half
    bin_, inside, before = _bin(bins, times, counts, majority)
    plain = int(times[inside[majority - before - 1]])
    if 2 * own > total:
        return plain, 0, 0, np.zeros(powers.size, dtype=np.bool_), True
    if not total:
        followers = np.delete(times, leader)
        return plain, int(highest(followers)), powers.size - 1, np.zeros(powers.size, dtype=np.bool_), False
    sums = held[:beyond].cumsum()
    needed = total // 2 + 1 - own  # the least that is more than half
    bin_, inside, _ = _bin(bins, times, sums, needed)
    so_far = int(sums[bin_ - 1]) if bin_ else 0
    last = int(np.searchsorted(powers[inside].cumsum(), needed - so_far))
    valid = bins < bin_
    valid[inside[: last + 1]] = True
    replies = (int(counts[bin_ - 1]) if bin_ else 0) + last + 1
    return plain, int(times[inside[last]]), replies, valid, True


def _bin(bins: Int64s, times: Int64s, sums: npt.NDArray[np.generic], needed: int) -> tuple[int, Int64s, int]:
    """The first bin up to which sums reach what is needed, who is in it in the order of answers, the sum before it."""
    bin_ = int(np.searchsorted(sums, needed))
    inside = np.flatnonzero(bins == bin_)
    return bin_, inside[np.argsort(times[inside], kind="stable")], int(sums[bin_ - 1]) if bin_ else 0
