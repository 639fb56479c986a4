"""Restart: governors name who goes on where so many of a committee are gone for good that it never agrees again.

The act is signed by as many governors as must agree, of those that the state knows after a block, and says that the
chain goes on from that very block with these replicas, in this order. It stands in the evidence of the next block for
ever, beside the certificate of the one before, so nobody can take a chain that was restarted for one that was not: a
replica goes along only if its operator gave it this act, a light client only if it is told to trust it.

Who is not named follows from then on, as a learner, and may become ready again. Versions of committees that were
restarted from one block differ, so that no signature of one attempt is good in another.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import Signed, address_of, is_signed, signed_bytes
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account, Role
from wattquorum.ledger.agreed import RESTART_PURPOSE, Approval, Restart, restart_message
from wattquorum.ledger.blocks import Header, header_hash
from wattquorum.ledger.committees import seat
from wattquorum.ledger.elections import take_office
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.facts import Fact, ValidatorChanged
from wattquorum.ledger.offices import Agent
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.seats import Seat, Validator
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.validators import seats_of


class Act(NamedTuple):
    """A restart with what approves it, as an operator hands it to a replica."""

    restart: Restart
    approvals: tuple[Approval, ...]


VERSIONS_AHEAD_MAX: Final = 1_000  # of a restart's version above the newest


def approval_check(restart: Restart, key: bytes, signature: bytes) -> Signed:
    """What must hold for an approval to be the one of the governor with this key."""
    return Signed(key, signed_bytes(RESTART_PURPOSE, restart_message(restart)), signature)


def members_of(restart: Restart) -> list[bytes]:
    """The addresses of those who go on, in their order."""
    return [address_of(restart.chain, key) for key in restart.keys]


def check_restart(state: State, chain_id: bytes, consensus: Consensus, tip: Header | None, restart: Restart) -> None:
    """Refuses an act that cannot be carried out after this block, whoever signed it.

    evidence_wrong: it is of another block; out_of_range: its version or its order; validator_unknown: it names a
    replica without a seat, or one twice.
    """
    block = (chain_id, tip.height, header_hash(tip)) if tip is not None else None
    if block != (restart.chain, restart.height, restart.block):
        raise Refused("evidence_wrong", "restart", restart.height, "It goes on from another block.")
    newest = seats_of(state).newest
    if not newest < restart.version <= newest + VERSIONS_AHEAD_MAX:
        remedy = f"Choose from {newest + 1} to {newest + VERSIONS_AHEAD_MAX}."
        raise Refused("out_of_range", "restart.version", restart.version, remedy)
    members = members_of(restart)
    if not members or len(dict.fromkeys(members)) < len(members):
        raise Refused("validator_unknown", "restart.keys", len(members), "Name at least one, each once.")
    for member in members:
        found: Validator | None = state.get(Table.VALIDATOR, member)
        if found is None or found.seat is Seat.REMOVED:
            raise Refused("validator_unknown", "restart.keys", member)
    if consensus is Consensus.PBFT and members != sorted(members):
        raise Refused("out_of_range", "restart.keys", "not by address", "Where everybody agrees, addresses ascend.")


def check_approvals(state: State, act: Act) -> None:
    """Refuses an act that too few governors have signed: approvals_missing, role_missing, signature_forged."""
    chain: Chain = state.get(Table.CHAIN, b"")
    governors = [each.governor for each in act.approvals]
    if len(governors) < chain.approvals_needed or any(one >= other for one, other in pairwise(governors)):
        value = f"{len(dict.fromkeys(governors))} of {chain.approvals_needed}"
        raise Refused("approvals_missing", "approvals", value, "Each governor once, by ascending address.")
    for each in act.approvals:
        account: Account | None = state.get(Table.ACCOUNT, each.governor)
        if account is None or not account.has(Role.GOVERNOR):
            raise Refused("role_missing", "approvals", each.governor, "It is no governor after this block.")
        if not is_signed(approval_check(act.restart, account.key, each.signature)):
            raise Refused("signature_forged", "approvals", each.governor)


def carry_out(state: State, consensus: Consensus, restart: Restart, digest: bytes) -> list[Fact]:
    """Seats those whom a checked act names; `digest` is of the state before. Who agrees is told last."""
    members, told = members_of(restart), list[Fact]()
    validators: list[tuple[bytes, Validator]] = list(state.items(Table.VALIDATOR))
    for replica, before in validators:
        wanted = Seat.VOTER if replica in members else Seat.LEARNER
        if before.seat not in (Seat.REMOVED, wanted):
            state.put(Table.VALIDATOR, replica, changed(before, seat=wanted))
            told.append(ValidatorChanged(replica, before.key, before.member, wanted))
    state.put(Table.SEATS, b"", changed(seats_of(state), newest=restart.version - 1))
    if consensus is Consensus.CGPBFT:
        chain: Chain = state.get(Table.CHAIN, b"")
        agents = [Agent(member, 0, 0, ()) for member in members]
        return [*told, *take_office(state, agents, restart.height, digest, chain.epoch)]
    return [*told, seat(state, members, restart.height, digest)]
