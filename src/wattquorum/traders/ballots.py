"""Ballots: what a member's program says while agents are elected: it stands if it can, and votes by a policy (B-4).

Who runs a replica stands as soon as the epoch closes, so that it is eligible. A vote waits until others had time to
stand, since one for somebody who does not is worth little [chosen].
"""

from __future__ import annotations

from typing import NamedTuple

from wattquorum.ledger.attendance import agents_of
from wattquorum.ledger.elections import running
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.offices import Elector
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import Stand, Vote
from wattquorum.ledger.trust import owner_of
from wattquorum.traders.voting import Paper, VotePolicy, most_trusted, paper_of


class Booth(NamedTuple):
    """What a member's program looks at: how far the epoch is, and what its member may do."""

    height: int
    closing: int  # the epoch's last height; 0: not announced yet
    stand_blocks: int  # from the announcement to it
    may_stand: bool
    paper: Paper | None  # None: it carries no vote, or has voted


def ballot(booth: Booth, policy: VotePolicy = most_trusted) -> Vote | Stand | None:
    """What a member should say now; None: nothing, or nothing yet."""
    if not booth.closing:
        return None
    if booth.may_stand:
        return Stand()
    if booth.paper is None or booth.closing - booth.height > booth.stand_blocks // 2:
        return None
    chosen = policy(booth.paper)
    return None if chosen is None else Vote(chosen)


def booth_of(ledger: Ledger, me: bytes) -> Booth:
    """The same by a ledger's state."""
    closing, blocks = agents_of(ledger.state).closing, ledger.parameters.stand_blocks
    return Booth(ledger.height, closing, blocks, _may_stand(ledger, me), paper_of(ledger, me))


def _may_stand(ledger: Ledger, me: bytes) -> bool:
    """Whether a member runs a replica that votes, and nobody of its owner has stood."""
    account = ledger.account(me)
    replica = running(ledger.state).get(account.legal_owner) if account is not None else None
    validator: Validator | None = ledger.state.get(Table.VALIDATOR, replica) if replica is not None else None
    if account is None or validator is None or validator.member != me:
        return False
    electors: list[tuple[bytes, Elector]] = list(ledger.state.items(Table.ELECTOR))
    own = [each for address, each in electors if owner_of(ledger.state, address) == account.legal_owner]
    return bool(own) and not own[0].stood
