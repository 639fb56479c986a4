"""Voters: which accounts carry a vote when members vote, and with what standing (L-12, L-17).

An account is not a vote: it costs a registration, and an owner that split itself over many would gain by it. Each legal
owner has one vote, with the best side that any of its accounts has as a generator and as a consumer, averaged by what
all of them traded on either side, as for one account with both; its account of most weight carries it [chosen]. Who
owns what is for the ledger to know; here an owner is a word, and two accounts of the same word have one vote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wattquorum.foundation.quantities import Energy, Points
from wattquorum.standing.weight import prosumer_weight


class OneSide(NamedTuple):
    """What was earned as a generator or as a consumer."""

    weight: Points
    traded: Energy  # N [Wh]
    trust: Points  # T


class Member(NamedTuple):
    """An account, or an owner with all of its accounts, over the sides that it has, of which there is at least one."""

    address: bytes
    owner: str
    generator: OneSide | None
    consumer: OneSide | None

    @property
    def weight(self) -> Points:
        """A-7 or A-8; a prosumer's are averaged by what it traded on either side (L-12)."""
        if self.generator is not None and self.consumer is not None:
            return prosumer_weight(
                self.generator.weight, self.generator.traded, self.consumer.weight, self.consumer.traded
            )
        return self._only.weight

    @property
    def traded(self) -> Energy:
        """N of B-2, of both sides [Wh]."""
        return Energy(sum(side.traded for side in (self.generator, self.consumer) if side is not None))

    @property
    def trust(self) -> Points:
        """T of B-2; the mean of both sides [chosen]."""
        if self.generator is not None and self.consumer is not None:
            return Points((self.generator.trust + self.consumer.trust) // 2)
        return self._only.trust

    @property
    def _only(self) -> OneSide:
        side = self.generator or self.consumer
        assert side is not None
        return side


def voters(members: Iterable[Member]) -> list[Member]:
    """Each owner's vote, under the address of the account that carries it, by address (L-17).

    An owner's account of most weight carries its vote, the one of the smallest address where several have most.
    """
    accounts: dict[str, list[Member]] = {}
    for each in members:
        accounts.setdefault(each.owner, []).append(each)
    return sorted((_whole(owner, own) for owner, own in accounts.items()), key=lambda voter: voter.address)


def _whole(owner: str, accounts: Sequence[Member]) -> Member:
    carrier = min(accounts, key=lambda account: (-account.weight, account.address))
    generators = [account.generator for account in accounts if account.generator is not None]
    consumers = [account.consumer for account in accounts if account.consumer is not None]
    return Member(carrier.address, owner, _together(generators), _together(consumers))


def _together(sides: Sequence[OneSide]) -> OneSide | None:
    """The best of an owner's sides of one kind, with what all of them traded; its trust is the least."""
    if not sides:
        return None
    return OneSide(
        max(side.weight for side in sides),
        Energy(sum(side.traded for side in sides)),
        min(side.trust for side in sides),
    )
