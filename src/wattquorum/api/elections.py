"""`GET /v1/elections`: who agrees for whom, how groups vote, and what a member may say now (B-3 to B-6)."""

from __future__ import annotations

from litestar import get
from litestar.datastructures import State as AppState

from wattquorum.api.reading import Address, Stale, listed_of
from wattquorum.api.refusing import answers, digits
from wattquorum.api.shapes import AgentShape, BoothShape, ChoiceShape, ElectionsShape, ElectorShape
from wattquorum.foundation.identities import ADDRESS_BYTES
from wattquorum.ledger.accounts import Account
from wattquorum.ledger.attendance import agents_of
from wattquorum.ledger.elections import running
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.offices import Agents, Elector
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.seats import Validator
from wattquorum.ledger.state import Table
from wattquorum.ledger.trust import owner_of
from wattquorum.ledger.weighing import members
from wattquorum.standing.voters import voters
from wattquorum.traders.ballots import booth_of


def elections_shape(ledger: Ledger) -> ElectionsShape:
    """Agents, groups and votes of a ledger; where nobody is elected, who agrees."""
    state, parameters = ledger.state, ledger.parameters
    chain: Chain = state.get(Table.CHAIN, b"")
    elected = ledger.consensus is Consensus.CGPBFT
    agents = agents_of(state) if elected else Agents((), 0, 0, 0, (), 0, 0, ())
    known = {each.replica: each for each in agents.agents}
    agreeing = []
    for voter in ledger.configuration.new:
        validator: Validator = state.get(Table.VALIDATOR, voter.replica)
        agent = known.get(voter.replica)
        group, votes = (agent.group, agent.votes) if agent is not None else (0, 0)
        accused = voter.replica in agents.accused
        agreeing.append(AgentShape(voter.replica.hex(), validator.member.hex(), group, votes, accused))
    people = {each.owner: each for each in voters(members(state, parameters))}
    replicas, electors = running(state), []
    for address, each in state.items(Table.ELECTOR):
        elector: Elector = each
        account: Account = state.get(Table.ACCOUNT, address)
        owner = owner_of(state, address)
        person = people.get(owner)
        trust, traded = (int(person.trust), int(person.traded)) if person is not None else (0, 0)
        electors.append(
            ElectorShape(
                address.hex(),
                account.name,
                elector.group,
                trust,
                traded,
                replicas.get(owner, b"").hex(),
                elector.stood,
                elector.candidate.hex(),
            )
        )
    name = ledger.consensus.name.lower()
    return ElectionsShape(ledger.height, name, chain.epoch, agents.closing, parameters.stand_blocks, agreeing, electors)


def booth_shape(ledger: Ledger, member: bytes) -> BoothShape:
    """What a member may say now."""
    if ledger.consensus is not Consensus.CGPBFT:
        return BoothShape(ledger.height, 0, ledger.parameters.stand_blocks, False, False, [])
    booth = booth_of(ledger, member)
    choices = booth.paper.choices if booth.paper is not None else ()
    return BoothShape(
        booth.height,
        booth.closing,
        booth.stand_blocks,
        booth.may_stand,
        booth.paper is not None,
        [
            ChoiceShape(each.member.hex(), int(each.trust), int(each.traded), each.tie.hex(), each.stands)
            for each in choices
        ],
    )


@get(
    "/v1/elections",
    summary="Who agrees for whom, and how groups vote",
    responses=answers(None, 400, 503),
    tags=["state"],
)
async def elections(state: AppState, stale: Stale = False) -> ElectionsShape:
    """With everything that was decided before the question, or with what this node has at hand."""
    return elections_shape(await listed_of(state, stale=stale))


@get(
    "/v1/elections/{address:str}",
    summary="What a member may say in an election now",
    responses=answers(None, 400, 422, 503),
    tags=["state"],
)
async def booth(state: AppState, address: Address, stale: Stale = False) -> BoothShape:
    """Whether it may stand, and for whom it may vote; nothing for who carries no vote."""
    member = digits(address, "address", ADDRESS_BYTES)
    return booth_shape(await listed_of(state, stale=stale), member)
