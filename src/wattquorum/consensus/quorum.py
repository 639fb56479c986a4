"""Quorum: who decides under a configuration. One predicate for every vote and every commit.

A set of replicas decides when it holds more than half of the power of the vector in force; while a change is under way,
of the old and of the new one. It stands apart because everything else in an engine may be clever, and this may not.
Votes that are out and entries that are known to be stored are the same question asked in two more ways.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum

from wattquorum.consensus.configuration import Configuration, Voter


class Verdict(Enum):
    """What votes amount to so far."""

    WON = "won"
    PENDING = "pending"
    LOST = "lost"


def decides(configuration: Configuration, replicas: Collection[bytes]) -> bool:
    """Whether these replicas decide; strangers among them count nothing, and an empty half never decides."""
    if configuration.old is not None and not _holds_half(configuration.old, replicas):
        return False
    return _holds_half(configuration.new, replicas)


def _holds_half(voters: Sequence[Voter], replicas: Collection[bytes]) -> bool:
    total = sum(voter.power for voter in voters)
    return 2 * sum(voter.power for voter in voters if voter.replica in replicas) > total


def vote_result(configuration: Configuration, votes: Mapping[bytes, bool]) -> Verdict:
    """Whether those who said yes decide, or still can with those who said nothing yet. Silence is no vote."""
    if decides(configuration, [replica for replica, yes in votes.items() if yes]):
        return Verdict.WON
    halves = configuration.new if configuration.old is None else (*configuration.old, *configuration.new)
    possible = [voter.replica for voter in halves if votes.get(voter.replica, True)]
    return Verdict.PENDING if decides(configuration, possible) else Verdict.LOST


def committed_index(configuration: Configuration, stored: Mapping[bytes, int], floor: int = 0) -> int:
    """The highest index up to which a quorum is known to have stored everything; `floor` where none is above it.

    `stored` gives, by replica, the last index that it is known to have; nothing is known of the others. While a change
    is under way it is the lower one of its halves. `floor` is what is committed already: most answers do not raise it,
    and then nothing needs to be sorted.
    """
    index = _half_index(configuration.new, stored, floor)
    if configuration.old is None or index == floor:
        return index
    return min(index, _half_index(configuration.old, stored, floor))


def _half_index(voters: Sequence[Voter], stored: Mapping[bytes, int], floor: int) -> int:
    """The index whose holders, from the furthest down, are the first to have more than half of the power."""
    total = above = 0
    known = []
    for voter in voters:
        power, index = voter.power, stored.get(voter.replica, 0)
        total += power
        if index > floor:
            above += power
            known.append((index, power))
    if 2 * above <= total:
        return floor
    known.sort(reverse=True)
    held = 0
    for index, power in known:
        held += power
        if 2 * held > total:
            return index
    return floor
