"""Quorum: who decides under a configuration. One predicate for every vote and every commit.

A set of replicas decides when it holds more than half of the power of the vector in force; while a change is under way,
of the old and of the new one. It stands apart because everything else in an engine may be clever, and this may not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wattquorum.consensus.configuration import Configuration, Voter


def decides(configuration: Configuration, replicas: Collection[bytes]) -> bool:
    """Whether these replicas decide; strangers among them count nothing, and an empty half never decides."""
    if configuration.old is not None and not _holds_half(configuration.old, replicas):
        return False
    return _holds_half(configuration.new, replicas)


def _holds_half(voters: Sequence[Voter], replicas: Collection[bytes]) -> bool:
    total = sum(voter.power for voter in voters)
    return 2 * sum(voter.power for voter in voters if voter.replica in replicas) > total
