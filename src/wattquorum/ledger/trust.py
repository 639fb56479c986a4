"""Trust: how office, votes and idleness move T (B-5, B-7).

T stands on both sides of an account, and a legal owner's is the least over its accounts. A change is posted on every
side of every account of the owner, each kept in 0..100 points [chosen]: so what the owner votes with moves by exactly
what the rule says, and no account of its is left where it was.
"""

from __future__ import annotations

from collections.abc import Callable

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Points, Ppm
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.entities import MemberSide
from wattquorum.ledger.facts import Fact, TrustMoved
from wattquorum.ledger.offices import Backers, Why, office_key
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import State, Table
from wattquorum.standing.election import Stakes, after_idleness, moved


class Trusts:
    """All owners' trust, while a block moves some of it; tells what it does."""

    __slots__ = ("_epoch", "_sides", "_state", "told")

    def __init__(self, state: State, epoch: int) -> None:
        """`epoch` is the one whose conduct is judged."""
        self._state = state
        self._epoch = epoch
        self._sides: dict[str, list[bytes]] = {}
        self.told: list[Fact] = []

    def judge(self, replica: bytes, stakes: Stakes, why: Why, *, behaved: bool = False, times: int = 1) -> None:
        """An agent's conduct: what it earns or costs its owner and, each, those who voted for it."""
        own = stakes.alpha if behaved else -stakes.beta
        others = stakes.delta if behaved else -stakes.gamma
        validator: Validator = self._state.get(Table.VALIDATOR, replica)
        if validator.member:
            self._post(validator.member, lambda trust: moved(trust, own * times), why, replica, backer=False)
        backers: Backers | None = self._state.get(Table.BACKERS, office_key(self._epoch, replica))
        for voter in backers.voters if backers else ():
            self._post(voter, lambda trust: moved(trust, others * times), why, replica, backer=True)

    def idle(self, voter: bytes, kappa: Ppm) -> None:
        """What idleness costs (B-7)."""
        self._post(voter, lambda trust: after_idleness(trust, kappa), Why.IDLE, b"", backer=False)

    def _post(
        self, address: bytes, after: Callable[[Points], Points], why: Why, replica: bytes, *, backer: bool
    ) -> None:
        for key in self._of_owner(address):
            side: MemberSide = self._state.get(Table.SIDE, key)
            trust = after(Points(side.trust))
            if trust != side.trust:
                self._state.put(Table.SIDE, key, changed(side, trust=int(trust)))
                told = TrustMoved(self._epoch, key[:-1], Side(key[-1]), why, replica, backer, side.trust, int(trust))
                self.told.append(told)

    def _of_owner(self, address: bytes) -> list[bytes]:
        if not self._sides:
            for key, _ in self._state.items(Table.SIDE):
                self._sides.setdefault(owner_of(self._state, key[:-1]), []).append(key)
        return self._sides.get(owner_of(self._state, address), [])


def owner_of(state: State, address: bytes) -> str:
    """The legal owner of an account."""
    account: Account = state.get(Table.ACCOUNT, address)
    return account.legal_owner
