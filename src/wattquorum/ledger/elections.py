"""Elections: members vote in groups for the agents that agree for them (B-3, B-4, B-6, B-7).

At an epoch's end members are divided into groups by what they traded and how far they are trusted; during the next one
they vote in these groups, and at its end the votes name the committee that follows, and new groups are formed. When an
epoch has lasted for its time, its end is announced: it closes `stand_blocks` blocks later, and in these blocks who runs
a replica may stand, so that nobody is elected who is not there [chosen: so everybody knows from when to when]. Every
vote weighs its voter's trust as it is at the end.

A seat that nobody was elected to is kept by one who is in office, so that a committee never shrinks because some are
absent or not let through. Whoever was proven to lie keeps a seat only where there is nobody else.

An agent that was proven to lie, or lost its seat as a validator, is replaced before the epoch ends, at most once in
`stand_blocks` blocks: the next of its group that stood comes last in the order. The epoch, its groups, votes and stands
go on, so that no number of such ends keeps an epoch from ending.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Energy, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Account, Status, check_active
from wattquorum.ledger.attendance import agents_of, office_of
from wattquorum.ledger.committees import need_agents, seat, with_seat
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.facts import AgentSeated, Fact, GroupFormed, Stood, VoteCast
from wattquorum.ledger.offices import ATTEST_BLOCKS, Agent, Agents, Backers, Due, Elector, Runner, office_key
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.seats import Seat, Validator
from wattquorum.ledger.state import State, Table
from wattquorum.ledger.transactions import Stand, Vote
from wattquorum.ledger.trust import Trusts, owner_of
from wattquorum.ledger.weighing import members
from wattquorum.standing.election import Ballot, elect, tie, votes_of
from wattquorum.standing.election import Elector as Standing
from wattquorum.standing.groups import GROUPS_MIN, Candidate, group_count, grouped
from wattquorum.standing.voters import Member, voters

TRADED_BITS: Final = 60  # of all energy, as groups are formed: far more than any market trades


# What members say ---------------------------------------------------------------------------------------------------


def vote(context: Context, payload: Vote) -> None:
    """A member votes in its group for the one whose replica is to agree for them; once in an epoch."""
    need_agents(context)
    account = context.account(context.sender)
    check_active(account, "sender")
    own = elector_of(context.state, context.sender)
    if own is None:
        raise Refused("voter_unknown", "sender", account.name)
    if own.candidate:
        raise Refused("vote_second", "sender", account.name)
    other = elector_of(context.state, payload.candidate)
    if other is None or other.group != own.group:
        raise Refused("vote_outside", "candidate", payload.candidate)
    if owner_of(context.state, payload.candidate) not in running(context.state):
        raise Refused("candidate_unseated", "candidate", payload.candidate)
    context.state.put(Table.ELECTOR, context.sender, changed(own, candidate=payload.candidate))
    context.tell(VoteCast(context.chain().epoch, own.group, context.sender, payload.candidate))


def stand(context: Context, _: Stand) -> None:
    """Who runs a replica that votes stands for election, in the blocks in which the epoch closes."""
    need_agents(context)
    state, account = context.state, context.account(context.sender)
    check_active(account, "sender")
    replica = running(state).get(account.legal_owner)
    validator: Validator | None = state.get(Table.VALIDATOR, replica) if replica else None
    if replica is None or validator is None or validator.member != context.sender:
        raise Refused("stand_outsider", "sender", account.name)
    if not agents_of(state).closing:
        raise Refused("stand_early", "height", context.height)
    electors: list[tuple[bytes, Elector]] = list(state.items(Table.ELECTOR))
    for address, own in electors:
        if owner_of(state, address) == account.legal_owner:
            if own.stood:
                raise Refused("stand_second", "sender", account.name)
            state.put(Table.ELECTOR, address, changed(own, stood=True))
            context.tell(Stood(context.chain().epoch, own.group, address, replica))
            return
    raise Refused("voter_unknown", "sender", account.name)


def elector_of(state: State, address: bytes) -> Elector | None:
    """An account's place in the groups of the running epoch, if it carries a vote."""
    found: Elector | None = state.get(Table.ELECTOR, address)
    return found


def running(state: State) -> dict[str, bytes]:
    """The replicas that vote and are somebody's, by legal owner."""
    found: list[tuple[bytes, Validator]] = list(state.items(Table.VALIDATOR))
    return {owner_of(state, each.member): key for key, each in found if each.seat is Seat.VOTER and each.member}


# When an epoch ends -------------------------------------------------------------------------------------------------


def closes(state: State, parameters: Parameters, height: int, time_ms: int) -> bool:
    """Whether a block ends its epoch; the first one past an epoch's length announces which block will."""
    chain: Chain = state.get(Table.CHAIN, b"")
    agents = agents_of(state)
    if not agents.closing and time_ms >= chain.epoch_started_ms + parameters.epoch_ms:
        agents = changed(agents, closing=height + parameters.stand_blocks)
        state.put(Table.AGENTS, b"", agents)
    return 0 < agents.closing <= height


class Hall(NamedTuple):
    """Everybody who may vote at an epoch's end, by place, and what they did."""

    addresses: list[bytes]
    electors: list[Standing]
    records: list[Elector]
    replicas: list[bytes]  # those that they run, empty for those who run none that votes
    groups: list[list[int]]  # places by group
    ballots: list[Ballot]


def elect_agents(
    state: State, parameters: Parameters, chain_id: bytes, height: int, digest: bytes, epoch: int
) -> list[Fact]:
    """What the last block of an epoch does: the tally, the next committee, what idleness costs, the next groups.

    `digest` is of the state before the block. The new committee is told last.
    """
    before, hall = agents_of(state), _hall(state, parameters, chain_id, epoch)
    barred = dict.fromkeys(before.accused)
    agents = _elected(hall)
    kept, vacant = list[bytes](), _vacant(hall, agents)
    voting = with_seat(state, Seat.VOTER)
    seated = dict.fromkeys(agent.replica for agent in agents)
    present = [agent for agent in before.agents if agent.replica in voting and agent.replica not in seated]
    wanted = len(hall.groups) or len(before.agents)
    ranking = {
        hall.replicas[place]: number for number in vacant for place in hall.groups[number] if hall.replicas[place]
    }
    present.sort(key=lambda agent: (agent.replica in barred, agent.replica not in ranking))
    least = min(wanted, len(before.agents))
    for agent in present:
        count = len(agents) + len(kept)
        if count < (least if agent.replica in barred else wanted):
            kept.append(agent.replica)
    for replica in _drawn(voting, before, chain_id, epoch):
        if len(agents) + len(kept) >= max(least, GROUPS_MIN):
            break
        if replica not in seated and replica not in kept:
            kept.append(replica)
    told = [*agents, *_in_vacant(hall, kept, vacant, ranking)]
    facts = take_office(state, told, height, digest, epoch + 1)
    after = agents_of(state)
    due = Due(epoch, height - before.first + 1, height + ATTEST_BLOCKS + 1)
    accused = tuple(replica for replica in before.accused if replica in kept)
    after = changed(after, first=height + 1, closing=0, accused=accused, due=(*after.due, due))
    state.put(Table.AGENTS, b"", after)
    _keep_backers(state, hall, epoch + 1)
    idle = _charge_idle(state, parameters, hall, epoch)
    groups = form_groups(state, parameters, chain_id, epoch + 1)
    return [*idle, *groups, *facts]


def _hall(state: State, parameters: Parameters, chain_id: bytes, epoch: int) -> Hall:
    people = {each.owner: each for each in voters(members(state, parameters))}
    replicas, barred = running(state), dict.fromkeys(agents_of(state).accused)
    found: list[tuple[bytes, Elector]] = list(state.items(Table.ELECTOR))
    places = {address: place for place, (address, _) in enumerate(found)}
    count = max((each.group for _, each in found), default=0)
    hall = Hall([address for address, _ in found], [], [each for _, each in found], [], [[] for _ in range(count)], [])
    for place, (address, record) in enumerate(found):
        owner = owner_of(state, address)
        own: Member | None = people.get(owner)
        replica = replicas.get(owner, b"")
        trust, traded = (own.trust, own.traded) if own else (Points(0), Energy(0))
        stands = record.stood and bool(replica) and replica not in barred
        hall.electors.append(Standing(trust, traded, tie(chain_id, epoch, address), stands))
        hall.replicas.append(replica)
        hall.groups[record.group - 1].append(place)
        if record.candidate:
            hall.ballots.append(Ballot(place, places[record.candidate]))
    return hall


def _elected(hall: Hall) -> list[Agent]:
    """The agents that the votes name, in their order."""
    outcome = elect(hall.electors, hall.groups, hall.ballots)
    agents = []
    for number in outcome.order:
        seat_ = outcome.seats[number]
        if seat_.agent is not None:
            runners = _runners(hall, number, hall.replicas[seat_.agent])
            agents.append(Agent(hall.replicas[seat_.agent], number + 1, seat_.votes, runners))
    return agents


def _runners(hall: Hall, number: int, agent: bytes) -> tuple[Runner, ...]:
    """The other replicas of a group, by votes, energy and tie."""
    votes = votes_of(hall.electors, hall.ballots)
    places = [place for place in hall.groups[number] if hall.replicas[place] and hall.replicas[place] != agent]
    places.sort(key=lambda place: (-votes[place], -hall.electors[place].traded, hall.electors[place].tie))
    return tuple(Runner(hall.replicas[place], hall.electors[place].stands) for place in places)


def _vacant(hall: Hall, agents: Sequence[Agent]) -> list[int]:
    filled = [agent.group - 1 for agent in agents]
    return [number for number in range(len(hall.groups)) if number not in filled]


def _in_vacant(hall: Hall, kept: Sequence[bytes], vacant: Sequence[int], ranking: dict[bytes, int]) -> list[Agent]:
    """Those who keep a seat, for groups without an agent: for their own where it is one of them."""
    left = [number for number in vacant if number not in [ranking.get(replica) for replica in kept]]
    found, taken = [], dict[int, None]()
    for replica in kept:
        number = ranking.get(replica)
        if number is None or number in taken:
            number = left.pop(0) if left else None
        if number is None:
            found.append(Agent(replica, 0, 0, ()))
        else:
            taken[number] = None
            found.append(Agent(replica, number + 1, 0, _runners(hall, number, replica)))
    return found


def take_office(state: State, agents: Sequence[Agent], height: int, digest: bytes, epoch: int) -> list[Fact]:
    """A new version with these agents; views begin again."""
    before = agents_of(state)
    state.put(Table.AGENTS, b"", changed(before, agents=tuple(agents), view=0, view_before=before.view))
    made = seat(state, [agent.replica for agent in agents], height, digest)
    told: list[Fact] = [
        AgentSeated(made.version, place, epoch, agent.replica, agent.group, agent.votes)
        for place, agent in enumerate(agents)
    ]
    return [*told, made]


def _keep_backers(state: State, hall: Hall, epoch: int) -> None:
    backers: dict[bytes, list[bytes]] = {}
    for ballot in hall.ballots:
        replica = hall.replicas[ballot.candidate]
        if replica:
            backers.setdefault(replica, []).append(hall.addresses[ballot.voter])
    for replica, own in backers.items():
        state.put(Table.BACKERS, office_key(epoch, replica), Backers(tuple(own)))


def _charge_idle(state: State, parameters: Parameters, hall: Hall, epoch: int) -> list[Fact]:
    """B-7, for those who could have voted: in their group somebody runs a replica [chosen]."""
    trusts = Trusts(state, epoch)
    for own in hall.groups:
        if not any(hall.replicas[place] for place in own):
            continue
        for place in own:
            record, replica = hall.records[place], hall.replicas[place]
            took_part = record.stood or (replica and office_of(state, epoch, replica).attended)
            if not record.candidate and not took_part:
                trusts.idle(hall.addresses[place], Ppm(parameters.kappa))
    return trusts.told


# Groups -------------------------------------------------------------------------------------------------------------


def form_groups(state: State, parameters: Parameters, chain_id: bytes, epoch: int) -> list[Fact]:
    """The groups of an epoch, by N and T as they are now (B-3); none of fewer than four who carry a vote."""
    for key, _ in list(state.items(Table.ELECTOR)):
        state.drop(Table.ELECTOR, key)
    people = _electorate(state, parameters)
    if len(people) < GROUPS_MIN:
        return []
    # All energy together stays inside the bits that grouping has, however much was traded.
    spare = max(0, sum(each.traded for _, each in people).bit_length() - TRADED_BITS)
    candidates = [
        Candidate(Energy(each.traded >> spare), each.trust, tie(chain_id, epoch, address)) for address, each in people
    ]
    count = group_count(parameters.groups, len(people))
    told: list[Fact] = []
    divided = grouped(candidates, count, Ppm(parameters.tau_traded), Ppm(parameters.tau_trust))
    for number, places in enumerate(divided, 1):
        own = [people[place] for place in places]
        for address, _ in own:
            state.put(Table.ELECTOR, address, Elector(number, b"", False))
        traded, trust = sum(each.traded for _, each in own), sum(each.trust for _, each in own)
        told.append(GroupFormed(epoch, number, tuple(address for address, _ in own), traded, trust))
    return told


def _electorate(state: State, parameters: Parameters) -> list[tuple[bytes, Member]]:
    """Every legal owner with an active account, by the address that carries its vote: its heaviest, if active."""
    accounts = members(state, parameters)
    active: dict[str, list[Member]] = {}
    for each in accounts:
        account: Account = state.get(Table.ACCOUNT, each.address)
        if account.status is Status.ACTIVE:
            active.setdefault(each.owner, []).append(each)
    found = []
    for whole in voters(accounts):
        own = active.get(whole.owner)
        if own:
            carrier = min(own, key=lambda each: (each.address != whole.address, -each.weight, each.address))
            found.append((carrier.address, whole))
    return sorted(found, key=lambda each: each[0])


# Replacing one before the epoch ends --------------------------------------------------------------------------------


def replace_agents(
    state: State, parameters: Parameters, chain_id: bytes, height: int, digest: bytes, epoch: int
) -> list[Fact]:
    """What a block does that does not end its epoch: replaces who lied or lost its seat, if it may and can (B-6)."""
    agents = agents_of(state)
    voting = with_seat(state, Seat.VOTER)
    gone = [agent for agent in agents.agents if agent.replica not in voting]
    lying = [agent for agent in agents.agents if agent.replica in agents.accused and agent not in gone]
    if not (gone or lying) or (agents.early and height < agents.early + parameters.stand_blocks):
        return []
    left = [agent for agent in agents.agents if agent not in gone and agent not in lying]
    taken = dict.fromkeys(agent.replica for agent in agents.agents)
    stands = _standing_now(state)
    called, staying = [], []
    for agent in [*gone, *lying]:
        runner = _first(agent.runners, voting, taken, agents.accused, stands)
        if runner is not None:
            taken[runner] = None
            others = tuple(each for each in agent.runners if each.replica != runner)
            called.append(Agent(runner, agent.group, 0, others))
        elif agent in lying:
            staying.append(agent)
    spare = [replica for replica in _drawn(voting, agents, chain_id, epoch) if replica not in taken]
    # In the place of a removed one in whose group nobody stood comes another that votes, if there is any.
    while len(left) + len(staying) + len(called) < min(len(agents.agents), len(voting)):
        called.append(Agent(spare.pop(0), 0, 0, ()))
    if not called and not gone:
        return []  # nobody can come in the place of those who lied: they stay
    order = [agent for agent in agents.agents if agent in left or agent in staying] + called
    facts = take_office(state, order, height, digest, epoch)
    state.put(Table.AGENTS, b"", changed(agents_of(state), early=height))
    return facts


def _drawn(voting: Iterable[bytes], agents: Agents, chain_id: bytes, epoch: int) -> list[bytes]:
    """Those who vote, in the order in which they are drawn for seats that nobody else takes: liars last."""
    return sorted(voting, key=lambda replica: (replica in agents.accused, tie(chain_id, epoch, replica)))


def _standing_now(state: State) -> dict[bytes, None]:
    """The replicas whose members stand in the running epoch."""
    replicas = running(state)
    electors: list[tuple[bytes, Elector]] = list(state.items(Table.ELECTOR))
    found = [replicas.get(owner_of(state, address), b"") for address, each in electors if each.stood]
    return dict.fromkeys(found)


def _first(
    runners: Sequence[Runner],
    voting: Sequence[bytes],
    taken: Iterable[bytes],
    accused: Sequence[bytes],
    stands: dict[bytes, None],
) -> bytes | None:
    """The first of a group that stood then or stands now, votes, and is free."""
    for each in runners:
        free = each.replica in voting and each.replica not in taken and each.replica not in accused
        if free and (each.stood or each.replica in stands):
            return each.replica
    return None
