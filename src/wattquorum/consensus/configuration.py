"""Configuration: who votes, with how much power, in what order.

It is all that an engine is told about its members, and the one thing that comes down to it from above: the ledger's
standing makes the next one, the engine installs it. A change of power or of members is joint: while it is under way
`old` and `new` both decide, so that no two halves of the network can decide apart from each other. Both halves, the
learners and the block that the powers were computed from are one value, because a log entry carries it whole and
every replica compares it with its own when it gets there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from wattquorum.foundation.codec import INT64_MAX, Address, Record, Unsigned
from wattquorum.foundation.refusals import Refused

DIGEST_BYTES: Final = 32


class Voter(Record, frozen=True):
    """A replica that votes, and its power. With power 0 it decides nothing, but gets what the others get."""

    replica: Address
    power: Unsigned


class Configuration(Record, frozen=True):
    """Who votes from this version on. Where an engine needs an order of leaders, it is the order of `new`."""

    version: Unsigned
    old: tuple[Voter, ...] | None  # the vector that is being left, while a change is under way
    new: tuple[Voter, ...]
    learners: tuple[Address, ...]  # they are sent everything and decide nothing
    basis_index: Unsigned  # the entry whose execution yielded these powers; 0: the genesis
    basis_digest: bytes  # the state digest after that entry; empty: the genesis


def alone(replica: bytes) -> Configuration:
    """The first configuration of a replica that orders alone: one voter of power 1."""
    return Configuration(0, None, (Voter(replica, 1),), (), 0, b"")


def check(configuration: Configuration) -> None:
    """Refuses a configuration under which nobody, or nobody in particular, could decide.

    In each half voters are distinct and their powers add up to 1..2^63-1; learners are distinct and do not vote in
    `new`; the basis is the genesis or has a digest of 32 bytes. Raises Refused("configuration_invalid").
    """
    _check_half("configuration.new", configuration.new)
    if configuration.old is not None:
        _check_half("configuration.old", configuration.old)
    voting = [voter.replica for voter in configuration.new]
    _check_distinct("configuration.learners", [*configuration.learners, *voting])
    if len(configuration.basis_digest) != (DIGEST_BYTES if configuration.basis_index else 0):
        raise Refused("configuration_invalid", "configuration.basis_digest", configuration.basis_digest)


def _check_half(field: str, voters: Sequence[Voter]) -> None:
    _check_distinct(field, [voter.replica for voter in voters])
    total = sum(voter.power for voter in voters)
    if not 0 < total <= INT64_MAX:
        raise Refused("configuration_invalid", field, f"a total power of {total}")


def _check_distinct(field: str, replicas: Sequence[bytes]) -> None:
    ordered = sorted(replicas)
    for replica, follower in pairwise(ordered):
        if replica == follower:
            raise Refused("configuration_invalid", field, replica, "Name every replica once.")


def ranked(configuration: Configuration) -> list[bytes]:
    """The voters by rank in `new`: more power first, ties by address. The first is the one that should lead (A-6)."""
    return [voter.replica for voter in sorted(configuration.new, key=lambda voter: (-voter.power, voter.replica))]


def may_lead(configuration: Configuration, replica: bytes) -> bool:
    """Whether a replica has power in any half: only then may it stand for election."""
    return any(voter.replica == replica and voter.power for half in _halves(configuration) for voter in half)


def _halves(configuration: Configuration) -> tuple[tuple[Voter, ...], ...]:
    return (configuration.new,) if configuration.old is None else (configuration.old, configuration.new)
