"""`GET /v1/members`: who is a member and who runs a replica, with standing, power and state, as the ledger has it."""

from __future__ import annotations

from litestar import get
from litestar.datastructures import State as AppState

from wattquorum.api.reading import Stale, listed_of
from wattquorum.api.refusing import answers
from wattquorum.api.shapes import MemberShape, MembersShape, ProposalShape, ReplicaShape
from wattquorum.ledger.accounts import Account, Role
from wattquorum.ledger.entities import Chain, Proposal
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Table
from wattquorum.ledger.validators import seats_of
from wattquorum.ledger.weighing import members as weighed
from wattquorum.standing.voters import voters


def members_shape(ledger: Ledger) -> MembersShape:
    """Members, replicas and open proposals of a ledger."""
    state, seats = ledger.state, seats_of(ledger.state)
    chain: Chain = state.get(Table.CHAIN, b"")
    weights = {voter.owner: int(voter.weight) for voter in voters(weighed(state, ledger.parameters))}
    power = {voter.replica: voter.power for voter in ledger.configuration.new}
    members, replicas, proposals = [], [], []
    for address, each in state.items(Table.ACCOUNT):
        account: Account = each
        if account.key:
            roles = [role.name or "" for role in Role if account.has(role)]
            weight = weights.get(account.legal_owner)
            status = account.status.name.lower()
            members.append(
                MemberShape(address.hex(), account.key.hex(), account.name, account.owner, status, roles, weight)
            )
    for replica, each in state.items(Table.VALIDATOR):
        validator: Validator = each
        seat, member = validator.seat.name.lower(), validator.member.hex()
        replicas.append(ReplicaShape(replica.hex(), member, seat, power.get(replica, 0), validator.participation))
    for key, each in state.items(Table.PROPOSAL):
        proposal: Proposal = each
        approvals = [governor.hex() for governor in proposal.approvals]
        proposals.append(ProposalShape(key.hex(), type(proposal.action).__name__, approvals, proposal.expires_ms))
    in_force = [seats.old, seats.new]
    return MembersShape(
        ledger.height, chain.epoch, seats.newest, in_force, chain.approvals_needed, members, replicas, proposals
    )


@get(
    "/v1/members",
    summary="Members, replicas and what governors are deciding on",
    responses=answers(None, 400, 503),
    tags=["state"],
)
async def members(state: AppState, stale: Stale = False) -> MembersShape:
    """With everything that was decided before the question, or with what this node has at hand."""
    return members_shape(await listed_of(state, stale=stale))
