"""Voters: which accounts carry a vote when members vote, and with what standing (L-12, L-17).

An account is not a vote: it costs a registration, and an owner that split itself over many would gain by it. Each legal
owner has one vote, and its account of most weight carries it, with that account's trust T and traded energy N [chosen].
Who owns what is for the ledger to know; here an owner is a word, and two accounts of the same word have one vote.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wattquorum.foundation.quantities import Energy, Points
from wattquorum.standing.weight import prosumer_weight


class OneSide(NamedTuple):
    """What an account earned as a generator or as a consumer."""

    weight: Points
    traded: Energy  # N [Wh]
    trust: Points  # T


class Member(NamedTuple):
    """An account with what it earned on all of its sides, and its legal owner."""

    address: bytes
    owner: str
    weight: Points
    traded: Energy  # N [Wh]
    trust: Points  # T


def member_of(address: bytes, owner: str, generator: OneSide | None, consumer: OneSide | None) -> Member:
    """An account over its sides, of which it has at least one.

    A prosumer's weights are averaged by what it traded on either side (L-12), its N is the sum and its T the mean of
    both [chosen].
    """
    if generator is not None and consumer is not None:
        weight = prosumer_weight(generator.weight, generator.traded, consumer.weight, consumer.traded)
        traded = Energy(generator.traded + consumer.traded)
        return Member(address, owner, weight, traded, Points((generator.trust + consumer.trust) // 2))
    only = generator or consumer
    assert only is not None
    return Member(address, owner, *only)


def voters(members: Iterable[Member]) -> list[Member]:
    """The accounts that carry a vote, one for each owner, by address (L-17).

    An owner's account of most weight carries its vote, the one of the smallest address where several have most.
    """
    best: dict[str, Member] = {}
    for each in members:
        other = best.get(each.owner)
        if other is None or _rank(each) < _rank(other):
            best[each.owner] = each
    return sorted(best.values())


def _rank(member: Member) -> tuple[int, bytes]:
    return -member.weight, member.address
