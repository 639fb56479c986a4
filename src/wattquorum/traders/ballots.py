"""Ballots: what a member's program says while agents are elected: it stands if it can, and votes by a policy (B-4).

Who runs a replica stands as soon as the epoch closes, so that it is eligible. A vote waits until others had time to
stand, since one for somebody who does not is worth little. The policy is the member's own affair; the one here votes
for whom its group trusts most [chosen].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from wattquorum.ledger.attendance import agents_of
from wattquorum.ledger.elections import elector_of, running
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.offices import Elector
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import Stand, Vote
from wattquorum.ledger.trust import owner_of
from wattquorum.ledger.weighing import members
from wattquorum.standing.election import tie
from wattquorum.standing.voters import voters


class Candidate(NamedTuple):
    """One of a group whose replica may agree for it: its trust T [millionths of a point] and traded energy N [Wh]."""

    member: bytes
    trust: int
    traded: int
    stood: bool
    tie: bytes


Policy = Callable[[bytes, Sequence[Candidate]], bytes | None]


def most_trusted(me: bytes, candidates: Sequence[Candidate]) -> bytes | None:
    """For who stands before who does not, then by largest T, largest N, smallest tie; for itself where it is alone.

    None where there is nobody.
    """
    others = [each for each in candidates if each.member != me] or list(candidates)
    best = min(others, key=lambda each: (not each.stood, -each.trust, -each.traded, each.tie), default=None)
    return best.member if best is not None else None


class Booth(NamedTuple):
    """What a member's program looks at: how far the epoch is, and its member's group."""

    height: int
    closing: int  # the epoch's last height; 0: not announced yet
    stand_blocks: int  # from the announcement to it
    voted: bool  # or nothing to vote in
    may_stand: bool
    candidates: Sequence[Candidate]


def ballot(me: bytes, booth: Booth, policy: Policy = most_trusted) -> Vote | Stand | None:
    """What a member should say now; None: nothing, or nothing yet."""
    if not booth.closing:
        return None
    if booth.may_stand:
        return Stand()
    if booth.voted or booth.closing - booth.height > booth.stand_blocks // 2:
        return None
    chosen = policy(me, booth.candidates)
    return None if chosen is None else Vote(chosen)


def booth_of(ledger: Ledger, me: bytes) -> Booth:
    """The same by a ledger's state."""
    own = elector_of(ledger.state, me)
    return Booth(
        ledger.height,
        agents_of(ledger.state).closing,
        ledger.parameters.stand_blocks,
        own is None or bool(own.candidate),
        _may_stand(ledger, me),
        candidates(ledger, own.group) if own is not None else (),
    )


def _may_stand(ledger: Ledger, me: bytes) -> bool:
    """Whether a member runs a replica that votes, and nobody of its owner has stood."""
    account = ledger.account(me)
    if account is None:
        return False
    replica = running(ledger.state).get(account.legal_owner)
    validator: Validator | None = ledger.state.get(Table.VALIDATOR, replica) if replica is not None else None
    if validator is None or validator.member != me:
        return False
    electors: list[tuple[bytes, Elector]] = list(ledger.state.items(Table.ELECTOR))
    own = [each for address, each in electors if owner_of(ledger.state, address) == account.legal_owner]
    return bool(own) and not own[0].stood


def candidates(ledger: Ledger, group: int) -> list[Candidate]:
    """Those of a group who run a replica that votes, by address."""
    state, epoch = ledger.state, _epoch(ledger)
    able = running(state)
    whole = {each.owner: each for each in voters(members(state, ledger.parameters))}
    found = []
    electors: list[tuple[bytes, Elector]] = list(state.items(Table.ELECTOR))
    for address, each in electors:
        owner = owner_of(state, address)
        if each.group == group and owner in able:
            standing = whole.get(owner)
            trust, traded = (standing.trust, standing.traded) if standing is not None else (0, 0)
            found.append(Candidate(address, trust, traded, each.stood, tie(ledger.chain_id, epoch, address)))
    return found


def _epoch(ledger: Ledger) -> int:
    chain: Chain = ledger.state.get(Table.CHAIN, b"")
    return chain.epoch
