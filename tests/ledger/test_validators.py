"""Who runs a replica, and with how much power it votes (L-17, PROTOCOLS parts 1 and 2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.voting_world import VotingWorld
from tests.ledger.world import HOUR, START, key_of
from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.facts import ValidatorChanged, VectorMade
from wattquorum.ledger.seats import Seat
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import Action, AddValidator, Leave, Propose, RemoveValidator, SetStatus
from wattquorum.ledger.validators import distance
from wattquorum.ledger.weighing import participation_points


def powers(world: VotingWorld) -> list[int]:
    return [voter.power for voter in world.newest.voters]


def joined(**parameters: int) -> tuple[VotingWorld, bytes]:
    """Four founding replicas and a member with a learner."""
    world = VotingWorld(4, members=True, **parameters)
    world.member("late", Side.BUY, money=0)
    return world, world.admit("late", "box")


def closed_day(world: VotingWorld) -> None:
    day = world.publish(START + 30 * 24 * HOUR)
    world.read({f"m{number}-buy": [0] * 4 for number in range(4)}, day=day)
    world.close(day=day)


# Who runs a replica


def test_the_founding_replicas_vote_with_equal_power_and_are_nobodys() -> None:
    world = VotingWorld(3, members=False)
    assert world.newest.voters == tuple(Voter(world.r(number), 1) for number in range(3))
    assert {world.validator(world.r(number)).member for number in range(3)} == {b""}
    told = [fact for fact in world.ledger.founding_facts if isinstance(fact, ValidatorChanged)]
    assert [(fact.replica, fact.key) for fact in told] == [(world.r(n), world.replicas[n].public) for n in range(3)]
    assert VectorMade(0, world.newest.voters, ()) in world.ledger.founding_facts


def test_a_founding_replica_that_is_given_to_a_member_goes_on_voting() -> None:
    world = VotingWorld(3)
    for number in range(3):
        found = world.validator(world.r(number))
        assert (found.member, found.seat) == (world.address(f"m{number}"), Seat.VOTER)
    assert world.seats.newest == 0


def test_a_replica_is_admitted_as_a_learner_and_votes_when_its_member_says_that_it_is_ready() -> None:
    world, box = joined()
    assert (world.validator(box).seat, world.newest.learners, len(world.newest.voters)) == (Seat.LEARNER, (box,), 4)
    world.ready("late", box)
    assert (world.validator(box).seat, world.newest.learners) == (Seat.VOTER, ())
    assert box in [voter.replica for voter in world.newest.voters]
    changes = [fact for fact in world.facts(ValidatorChanged) if isinstance(fact, ValidatorChanged)]
    assert [fact.seat for fact in changes if fact.replica == box] == [Seat.LEARNER, Seat.VOTER]


def test_voters_and_learners_stand_in_the_order_of_addresses() -> None:
    world, box = joined()
    world.member("later", Side.BUY, money=0)
    other = world.admit("later", "another box")
    assert world.newest.learners == tuple(sorted((box, other)))
    world.ready("late", box)
    replicas = [voter.replica for voter in world.newest.voters]
    assert replicas == sorted(replicas)


def test_a_removed_replica_votes_no_more_and_its_member_may_have_another() -> None:
    world, box = joined()
    world.remove(box)
    assert world.validator(box).seat is Seat.REMOVED
    assert box not in world.newest.learners
    again = world.admit("late", "a new box")
    assert world.newest.learners == (again,)


def test_who_has_another_replica_does_not_keep_the_participation_of_the_removed_one() -> None:
    world = VotingWorld()
    world.round(1, 2)
    world.end_epoch()
    assert world.points()[1] == MILLION
    world.remove(world.r(1))
    world.admit("m1", "a new box")
    assert participation_points(world.ledger.state)[world.address("m1")] == 0


def test_a_member_that_leaves_loses_its_seat_in_the_same_block() -> None:
    world = VotingWorld()
    executed = world.block([world.signed("m2", Leave())])
    assert world.validator(world.r(2)).seat is Seat.REMOVED
    assert [voter.replica for voter in world.newest.voters] == [world.r(0), world.r(1), world.r(3)]
    (made,) = executed.told
    assert isinstance(made, VectorMade)
    assert made.version == world.seats.newest


def test_the_last_that_votes_keeps_its_seat_when_its_member_leaves() -> None:
    world = VotingWorld(1)
    world.done("m0", Leave())
    assert world.validator(world.r(0)).seat is Seat.VOTER


def test_a_suspended_members_replica_goes_on_voting() -> None:
    world = VotingWorld()
    world.done("operator", SetStatus(world.address("m2"), Status.SUSPENDED, "late papers"))
    assert world.validator(world.r(2)).seat is Seat.VOTER
    assert world.seats.newest == 0


# Vectors


def test_a_block_that_changes_who_votes_makes_a_vector_and_others_make_none() -> None:
    world, box = joined()
    assert world.seats.newest == 1
    world.block()
    assert world.seats.newest == 1
    world.ready("late", box)
    assert world.seats.newest == 2
    made = world.vector(2)
    assert made.height == world.ledger.height
    assert made.digest == world.executed[-2].block.header.state_digest
    assert sum(powers(world)) == MILLION


def test_what_changes_and_changes_back_inside_a_block_makes_no_vector() -> None:
    world = VotingWorld()
    world.member("late", Side.BUY, money=0)
    box = world.address_of_key("box")
    actions: list[Action] = [AddValidator(world.address("late"), key_of("box").public), RemoveValidator(box)]
    world.block([world.signed("operator", Propose(action), ahead=ahead) for ahead, action in enumerate(actions)])
    assert world.validator(box).seat is Seat.REMOVED
    assert world.seats.newest == 0


def test_at_an_epochs_end_powers_follow_participation() -> None:
    """R of 0, 1, 1, 0: u of 1, 2, 2, 1 of 6. The most that one may have with t = 1 is far: shares are u / 6."""
    world = VotingWorld()
    world.round(1, 2)
    executed = world.end_epoch()
    assert powers(world) == [166_667, 333_333, 333_333, 166_667]
    assert isinstance(executed.told[-1], VectorMade)
    assert world.seats.newest == 1
    assert world.seats.new == 0  # made, and not in force before a round says so


def test_powers_that_moved_less_than_the_hysteresis_stay() -> None:
    """From a quarter each to 1/6, 1/3, 1/3, 1/6: half of 4 * 1/12 is 166,667 ppm."""
    for hysteresis, version in ((166_666, 1), (166_667, 0)):
        world = VotingWorld(hysteresis=hysteresis)
        world.round(1, 2)
        world.end_epoch()
        assert world.seats.newest == version, hysteresis


def test_the_distance_is_to_the_version_in_force_and_not_to_one_that_waits() -> None:
    world = VotingWorld(hysteresis=100_000)
    world.round(1, 2)
    world.end_epoch()
    assert world.seats.newest == 1
    world.end_epoch()
    assert world.seats.newest == 1  # the same powers again make no version
    world.round(3, 1)
    world.end_epoch()
    assert (world.seats.newest, world.seats.new) == (2, 0)


def test_while_a_change_is_joint_the_distance_is_to_the_version_that_is_being_left() -> None:
    """Standing is back where it was: that is no distance from what is installed, though some from what comes."""
    world = VotingWorld(hysteresis=166_000)
    world.round(1, 2)
    world.end_epoch()
    world.block(old=0, new=1)
    world.block(by=1, old=0)
    chain = world.ledger.state.get(Table.CHAIN, b"")
    ends = chain.epoch_started_ms + world.ledger.parameters.epoch_ms
    world.block(by=1, old=0, evidence=world.evidence(3, 0), at=ends)
    assert len(dict.fromkeys(world.points())) == 1, world.points()
    assert (world.seats.old, world.seats.new, world.seats.newest) == (0, 1, 1)


def test_a_learner_changes_no_power_so_that_its_admission_needs_no_joint_configuration() -> None:
    world = VotingWorld(hysteresis=500_000)
    world.round(1, 2)
    world.end_epoch()
    assert world.seats.newest == 0  # standing moved, and less than the hysteresis
    world.member("late", Side.BUY, money=0)
    box = world.admit("late", "box")
    assert (world.seats.newest, world.newest.learners) == (1, (box,))
    assert world.newest.voters == world.vector(0).voters


def test_there_are_no_more_seats_than_the_parameters_say() -> None:
    world = VotingWorld(validators_max=5)
    for name in ("late", "later"):
        world.member(name, Side.BUY, money=0)
    box = world.admit("late", "box")
    refused = world.do("operator", Propose(AddValidator(world.address("later"), key_of("crate").public)))
    assert refused.code == "validators_too_many"
    world.remove(box)
    world.admit("later", "crate")
    assert len(world.newest.learners) == 1


def test_a_genesis_names_no_more_proposers_than_may_have_a_seat() -> None:
    with pytest.raises(Refused) as refused:
        VotingWorld(4, validators_max=3)
    assert refused.value.code == "validators_too_many"


def test_in_probation_a_replica_has_the_power_of_no_weight() -> None:
    world = VotingWorld(probation_days=1)
    world.round(1, 2)
    world.end_epoch()
    assert world.seats.newest == 0  # all are equal still
    closed_day(world)
    world.end_epoch()
    assert powers(world)[1] > powers(world)[0]


def test_probation_begins_again_with_another_replica() -> None:
    world = VotingWorld(probation_days=1)
    closed_day(world)
    world.remove(world.r(3))
    world.ready("m3", world.admit("m3", "a new box"))
    assert world.validator(world.address_of_key("a new box")).days_closed == 1


def test_with_equal_voting_standing_moves_nothing() -> None:
    world, box = joined(voting=2)
    world.round(1, 2)
    world.end_epoch()
    world.ready("late", box)
    assert powers(world) == [1] * 5


def test_more_voters_lost_than_can_be_means_plain_majorities() -> None:
    world = VotingWorld(3, voters_lost=1_000)
    world.round(1)
    world.end_epoch()
    world.round(1)
    world.end_epoch()
    assert all(2 * power < MILLION for power in powers(world))


def test_versions_that_no_round_needs_leave_the_state_and_those_in_force_stay() -> None:
    world, box = joined()
    world.ready("late", box)
    assert [version for version in range(4) if world.has_vector(version)] == [0, 1, 2]
    world.install()
    for _ in range(64):
        world.block()
    world.remove(box)
    world.install()
    assert [version for version in range(4) if world.has_vector(version)] == [2, 3]
    for version in (world.seats.old, world.seats.new, world.seats.newest):
        assert world.has_vector(version)


def test_a_ledger_from_a_snapshot_has_the_same_configuration_and_goes_on_alike() -> None:
    world, box = joined()
    world.ready("late", box)
    world.round(1, 2, 3)
    world.end_epoch()
    again = snapshots.restore(world.genesis_bytes, snapshots.take(world.ledger))
    assert again.configuration == world.ledger.configuration
    world.now += 1
    entry = world.entry(old=0, new=world.seats.newest)
    assert again.execute(entry, verify_each).data == world.ledger.execute(entry, verify_each).data


def test_a_ledger_tells_an_engine_the_newest_version_and_its_basis() -> None:
    world, box = joined()
    told = world.ledger.configuration
    assert (told.version, told.old, told.learners, told.basis_index) == (1, None, (box,), world.ledger.height)
    assert told.basis_digest == world.executed[-2].block.header.state_digest


def test_a_joint_configuration_is_named_by_the_versions_of_its_halves() -> None:
    world, box = joined()
    world.ready("late", box)
    ledger = world.ledger
    joint = changed(ledger.configuration, old=world.vector(0).voters)
    assert ledger.round_of(joint, 7).new == 2
    assert ledger.round_of(ledger.configuration, 7).old == 2
    named = world.vector(ledger.round_of(joint, 7).old)
    assert named.voters == world.vector(0).voters


def test_of_two_versions_with_the_same_voters_the_newer_one_is_named() -> None:
    """Version 2 has the voters of version 0 again: whoever names the halves of a change to version 3 says 2."""
    world, box = joined(voting=2)
    world.remove(box)
    world.ready("late", world.admit("late", "another box"))
    assert world.vector(2).voters == world.vector(0).voters
    joint = changed(world.ledger.configuration, old=world.vector(0).voters)
    assert world.ledger.round_of(joint, 7).old == world.seats.newest - 1


def test_a_ledger_that_is_behind_names_no_round_and_strangers_are_no_old_half() -> None:
    world, _ = joined()
    told = world.ledger.configuration
    with pytest.raises(Refused, match="Execute what is decided first"):
        world.ledger.round_of(changed(told, version=told.version + 1, old=told.new), 7)
    with pytest.raises(Refused, match="No version has these voters"):
        world.ledger.round_of(changed(told, old=(Voter(bytes(20), 1),)), 7)


# Distance

Voters = tuple[Voter, ...]
VECTORS = st.dictionaries(st.integers(0, 5), st.integers(1, 1_000), min_size=1).map(
    lambda found: tuple(Voter(bytes([key]) * 20, power) for key, power in sorted(found.items()))
)


@given(VECTORS, VECTORS, VECTORS)
def test_distance_is_a_metric_of_shares(one: Voters, two: Voters, three: Voters) -> None:
    assert distance(one, one) == 0
    assert distance(one, two) == distance(two, one)
    assert 0 <= distance(one, two) <= MILLION
    assert distance(one, three) <= distance(one, two) + distance(two, three) + 2  # each is rounded down
    doubled = tuple(Voter(voter.replica, 2 * voter.power) for voter in one)
    assert distance(one, doubled) == 0


def test_vectors_without_a_common_voter_are_as_far_apart_as_can_be() -> None:
    one, two = (Voter(bytes(20), 5),), (Voter(b"x" * 20, 1), Voter(b"y" * 20, 2))
    assert distance(one, two) == MILLION


def test_addresses_of_replicas_follow_from_their_keys() -> None:
    world = VotingWorld()
    for replica, validator in world.ledger.state.items(Table.VALIDATOR):
        assert replica == address_of(world.ledger.chain_id, validator.key)
