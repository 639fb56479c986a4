"""Members vote in groups for agents; agents attend, are paid, are caught lying, and are replaced (B-3 to B-7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger import mutate
from tests.ledger.committee_world import CommitteeWorld
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.ledger import snapshots
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.accusing import is_news
from wattquorum.ledger.attendance import left_out
from wattquorum.ledger.audit import audit
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.committees import with_seat
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.facts import (
    Accused,
    AgentSeated,
    Attested,
    Fact,
    GroupFormed,
    OfficeSettled,
    TrustMoved,
    VectorMade,
    ViewFailed,
)
from wattquorum.ledger.offices import ATTEST_BLOCKS, Why
from wattquorum.ledger.seats import Seat
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import Accuse, Attest, OwnCommit, Payload, Stand, Vote

POINT = MILLION
K = 4


def grouped(replicas: int = 6, lights: int = 6, **parameters: int) -> CommitteeWorld:
    """Members with replicas and members without; the second epoch has begun, with groups."""
    world = CommitteeWorld(replicas, **parameters)
    for number in range(lights):
        world.member(f"l{number}", Side.BUY, money=0)
    world.end_epoch()
    return world


def names(world: CommitteeWorld, group: int) -> list[str]:
    return [world.name_of(address) for address, each in world.electors().items() if each.group == group]


def runners(world: CommitteeWorld, group: int) -> list[str]:
    return [name for name in names(world, group) if name.startswith("m")]


def told(world: CommitteeWorld, kind: type[Any]) -> list[Any]:
    """The facts of a kind, of transactions and of blocks."""
    return [fact for executed in world.executed for fact in of(executed, kind)]


def of(executed: Executed, kind: type[Any]) -> list[Any]:
    facts: list[Fact] = [*(fact for facts in executed.facts for fact in facts), *executed.told]
    return [fact for fact in facts if isinstance(fact, kind)]


def everybody_votes(world: CommitteeWorld) -> dict[int, str]:
    """In each group all vote for the first that runs a replica; who that is, by group."""
    chosen = {}
    for group in range(1, 5):
        if runners(world, group):
            chosen[group] = runners(world, group)[0]
            for name in names(world, group):
                world.vote(name, chosen[group])
    return chosen


def all_stand(world: CommitteeWorld, members: Iterable[str]) -> None:
    """They stand, in one block."""
    world.block([world.signed(name, Stand()) for name in members])


# Groups


def test_an_epochs_end_forms_groups_of_everybody_who_carries_a_vote() -> None:
    world = CommitteeWorld(6)
    for number in range(5):
        world.member(f"l{number}", Side.BUY, money=0)
    world.member("l0b", Side.BUY, money=0, owner="l0")
    assert world.electors() == {}
    executed = world.end_epoch()
    formed = of(executed, GroupFormed)
    assert [each.group for each in formed] == [1, 2, 3, 4]
    assert sorted(len(each.members) for each in formed) == [2, 3, 3, 3]
    everybody = sorted(address for each in formed for address in each.members)
    assert everybody == sorted(world.electors())
    owners = [world.ledger.account(address).owner for address in everybody]  # type: ignore[union-attr]
    assert sorted(owners) == sorted([*(f"m{n}" for n in range(6)), *(f"l{n}" for n in range(5))])


def test_fewer_than_four_who_could_vote_form_no_groups_and_the_agents_stay() -> None:
    world = CommitteeWorld(4, members=3)
    order = world.order
    world.end_epoch()
    world.end_epoch()
    assert (world.electors(), world.order, world.version) == ({}, order, 2)


# The end of an epoch


def test_an_epoch_announces_its_end_and_closes_k_blocks_later() -> None:
    world = grouped()
    world.block()
    assert world.ledger.closing == 0
    world.announce()
    announced = world.ledger.height
    assert world.ledger.closing == announced + K
    executed = world.run_out()
    assert executed.block.header.height == announced + K
    assert (world.ledger.closing, world.chain.epoch) == (0, 2)


def test_who_stands_and_has_most_votes_agrees_and_most_votes_come_first() -> None:
    world = grouped()
    chosen = everybody_votes(world)
    world.announce()
    all_stand(world, chosen.values())
    weights = {group: sum(world.trust(name) for name in names(world, group)) for group in chosen}
    executed = world.run_out()
    elected = [world.member_of(replica) for replica in world.order][: len(chosen)]
    assert sorted(elected) == sorted(chosen.values())
    seats = {each.replica: each for each in of(executed, AgentSeated)}
    votes = [seats[replica].votes for replica in world.order]
    assert votes == sorted(votes, reverse=True)
    for group, name in chosen.items():
        assert (seats[world.replica_of(name)].group, seats[world.replica_of(name)].votes) == (group, weights[group])


def test_votes_weigh_trust_and_one_that_does_not_stand_is_not_elected() -> None:
    world = grouped(8, 8)
    group = next(group for group in range(1, 5) if len(runners(world, group)) >= 2)
    first, second = runners(world, group)[:2]
    for name in names(world, group):
        world.vote(name, first)
    world.announce()
    world.done(second, Stand())
    world.run_out()
    assert world.replica_of(second) in world.order
    seat = next(each for each in world.agents.agents if each.replica == world.replica_of(second))
    assert (seat.group, seat.votes) == (group, 0)
    assert seat.runners[0].replica == world.replica_of(first)
    assert not seat.runners[0].stood


def test_where_nobody_stands_the_agents_stay_in_their_order() -> None:
    world = grouped()
    everybody_votes(world)
    order = world.order
    for _ in range(3):
        world.end_epoch()
        assert len(world.order) == 4
    assert sorted(world.order) == sorted(order)


def test_the_elected_come_before_those_who_keep_a_seat() -> None:
    world = grouped()
    group, name = next(
        (group, name)
        for group in range(1, 5)
        for name in runners(world, group)
        if world.replica_of(name) not in world.order
    )
    before = world.order
    world.vote(names(world, group)[0], name)
    world.announce()
    world.done(name, Stand())
    world.run_out()
    assert world.order[0] == world.replica_of(name)
    assert len(world.order) == 4
    assert all(replica in before for replica in world.order[1:])


# Attendance


def settled(world: CommitteeWorld, epoch: int) -> dict[bytes, OfficeSettled]:
    return {each.replica: each for each in told(world, OfficeSettled) if each.epoch == epoch}


def wait_for_settling(world: CommitteeWorld, epoch: int) -> None:
    while not settled(world, epoch):
        world.lent = list(range(world.committee().quorum))
        world.block()


def test_seals_and_attestations_are_attendance_and_earn_alpha_and_delta() -> None:
    world = grouped(epoch_ms=100_000_000)  # the second epoch ends when the test says so
    epoch = world.chain.epoch
    chosen = everybody_votes(world)
    world.announce()
    all_stand(world, chosen.values())
    world.run_out()
    agent = world.order[0]
    name = world.member_of(agent)
    backers = [each for each in chosen if chosen[each] == name]
    voters = names_of_group(world, told(world, GroupFormed), epoch, backers[0])
    first = world.ledger.height + 1
    commits = []
    for _ in range(6):  # the agent at place 0 is named by no certificate
        world.lent = [1, 2, 3]
        committee, height = world.committee(), world.ledger.height
        commits.append(OwnCommit(height, 0, world.committed(committee, 0, height, 0, world.tip_digest())))
        world.block()
    world.lent = [1, 2, 3]
    own = [each for each in commits if each.height >= first]
    world.done(name, Attest(tuple(own)))
    assert [each.replica for each in told(world, Attested)] == [agent] * len(own)
    assert world.office(agent).attended == len(own)
    world.announce()
    while world.chain.epoch == epoch + 1:
        world.lent = [1, 2, 3]
        world.block()
    last = world.ledger.height
    wait_for_settling(world, epoch + 1)
    assert world.ledger.height == last + ATTEST_BLOCKS + 1
    found = settled(world, epoch + 1)[agent]
    # Five heights attested, and the last one, whose certificate names it: six of twelve.
    assert (found.heights, found.of, found.attended) == (12, 12, 6)
    for each in voters:
        moves = [fact for fact in told(world, TrustMoved) if fact.member == world.address(each)]
        paid = [fact.after - fact.before for fact in moves if (fact.replica, fact.epoch) == (agent, epoch + 1)]
        assert paid == ([POINT, POINT // 2] if each == name else [POINT // 2])


def names_of_group(world: CommitteeWorld, formed: Sequence[GroupFormed], epoch: int, group: int) -> list[str]:
    (own,) = [each for each in formed if (each.epoch, each.group) == (epoch, group)]
    return [world.name_of(address) for address in own.members]


def test_half_of_the_heights_earn_and_less_does_not() -> None:
    for share, why in ((2, Why.BEHAVED), (3, None)):
        world = grouped()
        agent = world.order[3]
        for number in range(30):
            world.lent = [0, 1, 3] if number % share == 0 else [0, 1, 2]
            world.block()
        while world.chain.epoch == 1:
            world.lent = [0, 1, 2]
            world.announce() if not world.ledger.closing else world.block()
        heights, attended = world.office(agent, 1).heights, world.office(agent, 1).attended
        wait_for_settling(world, 1)
        found = settled(world, 1)[agent]
        assert found.attended >= attended
        paid = [each.why for each in told(world, TrustMoved) if each.replica == agent and each.epoch == 1]
        earns = 2 * found.attended >= found.of
        assert paid == ([Why.BEHAVED] if earns else []), (share, why, heights, found)


def test_no_attendance_in_a_whole_epoch_costs_beta() -> None:
    world = grouped()
    agent = world.order[3]
    name = world.member_of(agent)
    while world.chain.epoch == 1:
        world.lent = [0, 1, 2]
        world.announce() if not world.ledger.closing else world.block()
    world.lent = [0, 1, 2]
    world.block()
    before = world.trust(name)
    wait_for_settling(world, 1)
    assert settled(world, 1)[agent].attended == 0
    moves = [each for each in told(world, TrustMoved) if each.why is Why.ABSENT and each.epoch == 1]
    assert [(each.member, each.before - each.after, each.replica) for each in moves] == [
        (world.address(name), 5 * POINT, agent)
    ]
    assert before >= world.trust(name)


def test_epochs_are_settled_once_each_and_then_forgotten() -> None:
    world = grouped()
    for _ in range(12):
        world.end_epoch()
    world.blocks(2 * ATTEST_BLOCKS)
    by_epoch = [each.epoch for each in told(world, OfficeSettled)]
    assert by_epoch == sorted(by_epoch)
    keys = [(each.epoch, each.replica) for each in told(world, OfficeSettled)]
    assert len(keys) == len(dict.fromkeys(keys))
    assert world.ledger.state.count(Table.ATTENDED) <= ATTEST_BLOCKS + 1
    left = dict.fromkeys(key[:8] for key, _ in world.ledger.state.items(Table.OFFICE))
    assert len(left) == 1 + len(world.agents.due)


# Views


def test_the_primaries_of_failed_views_are_charged_once() -> None:
    world = grouped()
    order = world.order
    world.block()  # its evidence is of the version before
    before = {replica: world.trust(world.member_of(replica)) for replica in order}
    executed = world.block(view=2, evidence=world.evidence(view=2))
    assert [(each.replica, each.views) for each in of(executed, ViewFailed)] == [(order[0], 1), (order[1], 1)]
    world.block(view=2, evidence=world.evidence(view=2))
    world.block(view=7, evidence=world.evidence(view=7))  # 2, 3, 0, 1, 2
    lost = {replica: before[replica] - world.trust(world.member_of(replica)) for replica in order}
    assert list(lost.values()) == [4 * POINT, 4 * POINT, 4 * POINT, 2 * POINT]
    world.block(view=0, evidence=world.evidence(view=3))  # a lower view afterwards charges nobody again
    assert sum(each.views for each in told(world, ViewFailed)) == 7


def test_a_failed_view_of_an_epochs_last_block_is_charged_too() -> None:
    world = grouped()
    old = world.order
    world.announce()
    world.run_out()
    executed = world.block(evidence=world.evidence(view=1))
    assert [each.replica for each in of(executed, ViewFailed)] == [old[0]]


def test_who_voted_for_a_primary_that_failed_pays_less() -> None:
    world = grouped()
    chosen = everybody_votes(world)
    voters = {group: names(world, group) for group in chosen}
    world.announce()
    all_stand(world, chosen.values())
    world.run_out()
    world.block()
    primary = world.member_of(world.order[0])
    group = next(group for group, name in chosen.items() if name == primary)
    before = {name: world.trust(name) for name in voters[group]}
    world.block(view=1, evidence=world.evidence(view=1))
    for name in voters[group]:
        own = 2 * POINT if name == primary else 0
        assert before[name] - world.trust(name) == own + 800_000, name


# Lies


def with_runner_up() -> tuple[CommitteeWorld, bytes, bytes]:
    """An agent that was elected, and the next of its group, who stood as well."""
    world = grouped(8, 4)
    group = next(group for group in range(1, 5) if len(runners(world, group)) >= 2)
    first, second = runners(world, group)[:2]
    world.vote(first, first)
    world.announce()
    world.block([world.signed(name, Stand()) for name in (first, second)])
    world.run_out()
    agent, next_one = world.replica_of(first), world.replica_of(second)
    assert agent in world.order
    assert next_one not in world.order
    world.blocks(2)
    return world, agent, next_one


def test_a_liar_pays_at_once_and_the_next_of_its_group_comes_last() -> None:
    world, agent, next_one = with_runner_up()
    name, order, version = world.member_of(agent), world.order, world.version
    before = world.trust(name)
    executed = world.block([world.signed("l0", Accuse(world.lie(agent)))])
    assert before - world.trust(name) == (5 + 2) * POINT  # it voted for itself
    assert world.order == [*(each for each in order if each != agent), next_one]
    assert (world.version, world.newest.height) == (version + 1, executed.block.header.height)
    assert [each.replica for each in told(world, Accused)] == [agent]
    assert isinstance(executed.told[-1], VectorMade)
    assert not executed.block.header.state_root  # the epoch itself goes on
    world.blocks(3)


def test_a_liar_that_was_replaced_is_not_elected_again_at_the_end_of_that_epoch() -> None:
    world, agent, _ = with_runner_up()
    name = world.member_of(agent)
    world.done("l0", Accuse(world.lie(agent)))
    assert world.agents.accused == (agent,)
    world.vote(name, name)
    world.announce()
    world.done(name, Stand())
    world.run_out()
    assert agent not in world.order
    assert not world.agents.accused, "it may stand in the next one"


def test_a_liar_that_was_replaced_is_drawn_last_when_seats_become_free() -> None:
    world, agent, _ = with_runner_up()
    world.done("l0", Accuse(world.lie(agent)))
    epoch, between = world.chain.epoch, world.ledger.parameters.stand_blocks + 1
    others = [each for each in with_seat(world.ledger.state, Seat.VOTER) if each != agent]
    while len(others) > 4:  # of eight, one of whom lied
        gone = next(each for each in world.order if each in others)
        world.blocks(between)
        world.remove(gone)
        others.remove(gone)
        world.blocks(between)
        assert (world.chain.epoch, len(world.order)) == (epoch, 4)
        assert agent not in world.order
    world.remove(others[0])
    world.blocks(between)
    assert agent in world.order, "there is nobody else"


def test_a_late_liar_of_the_committee_before_pays_and_nobody_is_replaced() -> None:
    world, agent, _ = with_runner_up()
    lie = world.lie(agent)
    world.done("l0", Accuse(lie))
    assert agent not in world.order
    other = world.order[0]
    late = world.lie(other)
    world.announce()
    world.run_out()
    world.blocks(2)
    before = world.trust(world.member_of(other))
    world.done("l0", Accuse(late))
    assert before - world.trust(world.member_of(other)) >= 5 * POINT


def test_without_a_runner_up_the_seat_stays_until_somebody_stands() -> None:
    world = grouped(4, 4)
    liar = world.order[2]
    world.block()
    order, version = world.order, world.version
    world.done("l0", Accuse(world.lie(liar)))
    world.blocks(2 * K)
    assert (world.order, world.version, world.agents.accused) == (order, version, (liar,))


def test_who_did_not_stand_is_called_when_it_does() -> None:
    world = grouped(8, 4)
    group = next(group for group in range(1, 5) if len(runners(world, group)) >= 2)
    first = runners(world, group)[0]
    world.vote(first, first)
    world.announce()
    world.done(first, Stand())
    world.run_out()
    agent = world.replica_of(first)
    seat = next(each for each in world.agents.agents if each.replica == agent)
    assert seat.runners
    assert not any(each.stood for each in seat.runners)
    world.block()
    world.done("l0", Accuse(world.lie(agent)))
    world.blocks(K)
    assert agent in world.order
    free = next(each.replica for each in seat.runners if each.replica not in world.order)
    world.announce()
    world.done(world.member_of(free), Stand())
    assert (agent in world.order, world.order[-1]) == (False, free)


def test_a_liar_earns_nothing_with_its_attendance() -> None:
    world = grouped(4, 4)
    liar = world.order[0]
    world.blocks(3)
    world.done("l0", Accuse(world.lie(liar)))
    world.end_epoch()
    wait_for_settling(world, 1)
    found = settled(world, 1)[liar]
    assert (found.lied, 2 * found.attended >= found.of) == (True, True)
    paid = [each.why for each in told(world, TrustMoved) if each.replica == liar and each.epoch == 1]
    assert dict.fromkeys(paid) == {Why.LIED: None}
    others = [each.replica for each in told(world, TrustMoved) if each.why is Why.BEHAVED and each.epoch == 1]
    assert liar not in others
    assert world.order[1] in others


def test_a_second_replacement_waits_for_k_blocks() -> None:
    world, agent, _ = with_runner_up()
    world.done("l0", Accuse(world.lie(agent)))
    early = world.ledger.height
    assert world.agents.early == early
    gone = world.order[0]
    world.remove(gone)
    while world.ledger.height < early + K - 1:
        assert gone in world.order
        world.block()
    assert gone in world.order
    world.block()
    assert (world.agents.early, gone in world.order, len(world.order)) == (early + K, False, 4)


def test_an_end_that_is_early_and_normal_is_normal_and_the_liar_is_not_eligible() -> None:
    world, agent, _ = with_runner_up()
    world.announce()
    world.done(world.member_of(agent), Stand())
    while world.ledger.height + 1 < world.ledger.closing:
        world.block()
    executed = world.block([world.signed("l0", Accuse(world.lie(agent)))])
    assert executed.block.header.state_root
    assert world.chain.epoch == 3
    seat = next((each for each in world.agents.agents if each.replica == agent), None)
    assert seat is None or (seat.votes, agent in world.agents.accused) == (0, True)
    assert len([fact for fact in executed.told if isinstance(fact, VectorMade)]) == 1


def test_a_removed_agent_is_replaced_by_one_that_votes() -> None:
    world = grouped()
    gone = world.order[1]
    world.remove(gone)
    assert gone not in world.order
    assert len(world.order) == 4
    assert all(world.validator(replica).seat is Seat.VOTER for replica in world.order)


# Idleness


def test_who_neither_votes_nor_takes_part_loses_a_part_of_its_trust() -> None:
    world = grouped()
    group = next(group for group in range(1, 5) if runners(world, group))
    voter = next(name for name in names(world, group) if name.startswith("l"))
    world.vote(voter, runners(world, group)[0])
    replicas = {name: world.replica_of(name) for g in range(1, 5) for name in runners(world, g)}
    electorate = {name: g for g in range(1, 5) for name in names(world, g)}
    before = {name: world.trust(name) for name in electorate}
    world.end_epoch()
    for name, own in electorate.items():
        attended = name in replicas and world.office(replicas[name], 1).attended > 0
        idle = bool(runners_then(electorate, own)) and name != voter and not attended
        assert world.trust(name) == (before[name] * 980_000 // MILLION if idle else before[name]), name


def test_who_had_nobody_to_vote_for_is_not_idle() -> None:
    world = CommitteeWorld(4, members=1)
    for number in range(7):
        world.member(f"l{number}", Side.BUY, money=0)
    world.end_epoch()
    with_choice = world.group_of("m0")
    assert len(with_choice) == 2
    world.end_epoch()
    idle = dict.fromkeys(fact.member for fact in told(world, TrustMoved) if fact.why is Why.IDLE)
    attended = world.office(world.replica_of("m0"), 1).attended > 0
    assert sorted(idle) == sorted(each for each in with_choice if each != world.address("m0") or not attended)


def runners_then(electorate: dict[str, int], group: int) -> list[str]:
    return [name for name, own in electorate.items() if own == group and name.startswith("m")]


# Whatever happens

Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "block",
                "block",
                "block",
                "vote",
                "vote",
                "stand",
                "announce",
                "end",
                "accuse",
                "view",
                "attest",
                "remove",
            ]
        ),
        st.integers(0, 11),
        st.integers(0, 11),
    ),
    min_size=10,
    max_size=45,
)


def play(world: CommitteeWorld, script: Sequence[Step]) -> None:
    """Steps that may be refused; the ledger is to bear them all."""
    everybody = [*(f"m{n}" for n in range(6)), *(f"l{n}" for n in range(6))]
    for kind, one, two in script:
        committee = world.committee()
        size = len(committee.members)
        old = world.committee(world.ledger.tip.round.new) if world.ledger.tip else committee
        world.lent = sorted((one + two * 5 + i) % len(old.members) for i in range(old.quorum))
        name, other = everybody[one], everybody[two]
        if kind == "vote":
            mates = world.group_of(name) if world.address(name) in world.electors() else []
            candidate = mates[two % len(mates)] if mates else world.address(other)
            world.do(name, Vote(candidate))
        elif kind == "stand":
            world.block([world.signed(f"m{n}", Stand()) for n in range(6) if n != two])
        elif kind == "announce":
            world.announce()
        elif kind == "end":
            world.end_epoch()
        elif kind == "accuse":
            world.do(name, Accuse(world.lie(committee.members[two % size], view=one, phase=1 + one % 3)))
        elif kind == "view":
            world.view = one
            world.block(evidence=world.evidence(world.lent, view=two))
        elif kind == "attest":
            height = world.ledger.height
            place = two % len(old.members)
            signature = world.committed(old, place, height, 0, world.tip_digest())
            world.block()
            world.do(world.member_of(old.members[place]), Attest((OwnCommit(height, 0, signature),)))
        elif kind == "remove" and one < 3:
            world.remove_if_possible(world.r(two % 6))
        else:
            world.block()


def check_trust(world: CommitteeWorld) -> None:
    """T lies in its bounds, and what moved it adds up to what it is; each loss has its proof."""
    moves: dict[tuple[bytes, Side], int] = {}
    proven = {(each.epoch, each.replica) for each in told(world, Accused)}
    failed = {(each.epoch, each.replica) for each in told(world, ViewFailed)}
    absent = {(each.epoch, each.replica) for each in told(world, OfficeSettled) if not each.attended}
    behaved = {
        (each.epoch, each.replica)
        for each in told(world, OfficeSettled)
        if 2 * each.attended >= each.of and not each.lied
    }
    grounds = {Why.LIED: proven, Why.FAILED_VIEW: failed, Why.ABSENT: absent, Why.BEHAVED: behaved}
    for each in told(world, TrustMoved):
        assert 0 <= each.after <= POINTS_MAX
        assert each.why is Why.IDLE or (each.epoch, each.replica) in grounds[each.why]
        assert (each.after > each.before) == (each.why is Why.BEHAVED)
        key = (each.member, each.side)
        assert each.before == moves.get(key, 50 * POINT)
        moves[key] = each.after
    for place, side in world.ledger.state.items(Table.SIDE):
        assert side.trust == moves.get((place[:-1], Side(place[-1])), 50 * POINT)


@given(steps)
@settings(max_examples=25, deadline=None)
def test_whatever_members_and_agents_do_the_chain_names_a_committee_that_can_agree(script: list[Step]) -> None:
    world = grouped()
    play(world, script)
    check_trust(world)
    for executed in world.executed:
        for made in of(executed, VectorMade):
            members = [voter.replica for voter in made.voters]
            assert len(dict.fromkeys(members)) == len(members) == 4
    again = Ledger(world.genesis_bytes)
    for entry, executed in zip(world.entries, world.executed, strict=True):
        mine = again.execute(entry, verify_each)
        assert (mine.data, mine.facts, mine.told) == (executed.data, executed.facts, executed.told)
    assert again.configuration == world.ledger.configuration
    version = 0
    for executed in world.executed:
        assert executed.block.header.round.new == version
        version += bool(executed.block.header.committee)


@given(steps)
@settings(max_examples=8, deadline=None)
def test_an_audit_and_a_snapshot_lead_to_the_same_agents(script: list[Step]) -> None:
    world = grouped()
    play(world, script)
    world.end_epoch()
    blocks = [executed.data for executed in world.executed]
    assert audit(world.genesis_bytes, blocks, lambda _: None, {}, verify_each).digest == world.ledger.digest
    again = snapshots.restore(world.genesis_bytes, snapshots.take(world.ledger))
    for _ in range(3):
        made = world.block()
        assert again.execute(world.entries[-1], verify_each).data == made.data


def test_a_lie_is_news_until_it_is_accused_and_as_long_as_its_committee_can_be_judged() -> None:
    world = grouped()
    world.block()
    liar, other = world.order[0], world.order[1]
    lie, later = world.lie(liar), world.lie(other)
    ahead = changed(lie, epoch=lie.epoch + 1)
    assert [is_news(world.ledger.state, each) for each in (lie, later, ahead)] == [True] * 3
    world.done("l0", Accuse(lie))
    assert [is_news(world.ledger.state, each) for each in (lie, later)] == [False, True]
    world.end_epoch()
    world.blocks(ATTEST_BLOCKS)
    assert is_news(world.ledger.state, later)
    world.blocks(2)
    assert not is_news(world.ledger.state, later)
    assert world.do("l0", Accuse(later)).code == "evidence_outsider"


def test_what_a_certificate_leaves_out_can_be_attested_for_64_blocks_and_once() -> None:
    world = grouped()
    world.block()
    first, out = world.ledger.height, world.order[3]
    assert first not in left_out(world.ledger.state, out)
    assert left_out(world.ledger.state, b"nobody") == []
    signature = world.committed(world.committee(), 3, first, 0, world.tip_digest())
    world.block()
    assert left_out(world.ledger.state, out)[-1] == first
    assert first not in left_out(world.ledger.state, world.order[0])
    world.done(world.member_of(out), Attest((OwnCommit(first, 0, signature),)))
    assert [each for each in left_out(world.ledger.state, out) if each >= first] == [first + 1]
    world.blocks(ATTEST_BLOCKS + 5)
    own = left_out(world.ledger.state, world.order[3])
    assert (len(own), own[0]) == (ATTEST_BLOCKS, world.ledger.height - ATTEST_BLOCKS)


@pytest.mark.parametrize("seen", [0, 1, 3, 9])
@pytest.mark.parametrize("view", [0, 1, 2, 4, 8, 13])
def test_every_failed_view_is_charged_to_its_primary(seen: int, view: int) -> None:
    world = grouped()
    world.block()
    for at in (seen, view):
        world.block(evidence=world.evidence(view=at))
    charged = dict.fromkeys(world.order, 0)
    for fact in told(world, ViewFailed):
        charged[fact.replica] += fact.views
    expected = dict.fromkeys(world.order, 0)
    for each in range(max(seen, view)):
        expected[world.order[each % 4]] += 1
    assert charged == expected


# Whatever is said


def anything(world: CommitteeWorld) -> st.SearchStrategy[Payload]:
    """Payloads about agents, with numbers and addresses that are near what counts."""
    addresses = st.sampled_from([*world.electors(), *world.order, bytes(20)])
    number = st.one_of(st.integers(0, 3), st.integers(world.ledger.height - 3, world.ledger.height + 3))
    digest, signature = st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64)
    commit = st.builds(OwnCommit, number, number, signature)
    evidence = st.builds(
        Equivocation,
        addresses,
        number,
        number,
        number,
        st.integers(1, 3),
        st.tuples(digest, digest),
        st.tuples(signature, signature),
    )
    return st.one_of(
        st.builds(Vote, addresses),
        st.just(Stand()),
        st.builds(Attest, st.lists(commit, max_size=3).map(tuple)),
        st.builds(Accuse, evidence),
    )


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_payload_about_agents_is_done_or_refused_and_the_chain_goes_on(data: st.DataObject) -> None:
    world = grouped()
    if data.draw(st.booleans()):
        world.announce()
    world.block()
    for _ in range(6):
        sender = data.draw(st.sampled_from(["operator", "m0", "m3", "l0", "l5"]))
        receipt = world.do(sender, data.draw(anything(world)))
        assert receipt.outcome in (Outcome.DONE, Outcome.REFUSED), receipt
    world.end_epoch()
    check_trust(world)


def test_every_mutant_of_these_rules_changes_something() -> None:
    assert {each.id: each.places() for each in mutate.read() if each.places() != 1} == {}
    assert len({each.id for each in mutate.read()}) == len(mutate.read())
