"""Worlds in which up to f members lie: what holds does, and everything is executed everywhere once only they fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.consensus.bft.courses import ambushed, course, deceived, dethroned, handed_over, hostile
from tests.consensus.bft.liars import equivocates, pre_prepare_of, silent, vote_of, votes_twice
from tests.consensus.bft.world import CHAIN, START_MS, Host, World, outline
from wattquorum.consensus.bft.blocks import proposal_of
from wattquorum.consensus.bft.messages import PrePrepare, from_frame, to_frame
from wattquorum.consensus.bft.statements import Phase
from wattquorum.simulation.checkers import Broken

SEEDS = [
    *((course, seed) for seed in range(8)),
    *((hostile, seed) for seed in range(6)),
    *((ambushed, seed) for seed in range(6)),
    *((deceived, seed) for seed in (9, 15, 21, 51)),
    *((handed_over, seed) for seed in range(4)),
    *((dethroned, seed) for seed in range(2)),
]


@pytest.mark.unmeasured
@pytest.mark.parametrize(("kind", "seed"), SEEDS, ids=[f"{kind.__name__}-{seed}" for kind, seed in SEEDS])
def test_a_world_holds(kind: Callable[[int], World], seed: int) -> None:
    assert kind(seed).height > 0


def test_one_seed_is_one_course() -> None:
    one, other = course(3), course(3)
    assert (one.messages, one.now, one.digests) == (other.messages, other.now, other.digests)


def executed(world: World, transactions: int) -> bool:
    return all(len(world.done.get(each, ())) == len(world.honest) for each in range(transactions))


def test_a_dead_primary_costs_one_timeout_not_one_per_height() -> None:
    world = World(1, 4, {0: silent}, faults=False)
    for transaction in range(8):
        world.after(300 * transaction, world.submit, transaction)
    assert world.run(START_MS + 3_000, lambda: executed(world, 8))
    assert world.height >= 7
    assert {host.engine.term for host in world.honest if host.engine is not None} == {1}


def test_two_dead_primaries_cost_two_timeouts() -> None:
    world = World(1, 7, {0: silent, 1: silent}, faults=False)
    world.submit(0)
    assert world.run(START_MS + 2_000, lambda: executed(world, 1))
    assert {host.engine.term for host in world.honest if host.engine is not None} == {2}


def test_an_equivocating_primary_is_left_and_proves_it_itself() -> None:
    world = World(2, 4, {0: equivocates}, faults=False)
    world.submit(0)
    assert world.run(START_MS + 10_000, lambda: executed(world, 1))


def test_everybody_crashes_after_preparing_and_nothing_is_lost() -> None:
    world = World(3, 4, faults=False)
    world.submit(0)

    def prepared() -> bool:
        return sum(bool(host.engine and host.engine.round.prepared) for host in world.hosts) >= 2

    assert world.run(START_MS + 1_000, prepared)
    for host in world.hosts:
        host.crash()
    for host in world.hosts:
        host.restart(world.chance)
    assert world.run(START_MS + 5_000, lambda: executed(world, 1))


@pytest.mark.parametrize(("members", "gone"), [(4, 2), (6, 3), (7, 3)])
def test_with_fewer_than_a_quorum_left_it_stops_and_does_not_fork(members: int, gone: int) -> None:
    world = World(4, members, dict.fromkeys(range(gone), silent), faults=False)
    world.submit(0)
    world.run(START_MS + 10_000)
    assert world.height == 0


def split(world: World, host: Host, to: bytes, frame: bytes) -> list[tuple[bytes, bytes]]:
    """Each side of the honest gets a block of its own, and every liar's votes for it."""
    message = from_frame(frame)
    if not isinstance(message, PrePrepare):
        return []
    from tests.consensus.bft.liars import other_block

    block = other_block(world, message.block, to[0] % 2, good=True)
    proposal = proposal_of(CHAIN, block, outline)
    assert proposal is not None
    view, height = message.view, block.height
    said = [(to, to_frame(pre_prepare_of(world, host.name, view, block)))]
    for name in world.bad:
        liar = next(each for each in world.hosts if each.name == name)
        for phase in (Phase.PREPARE, Phase.COMMIT):
            if (phase, name) != (Phase.PREPARE, host.name):
                vote = to_frame(vote_of(world, name, phase, height, view, proposal.digest))
                world.after(2, world.carry, liar, to, vote)
    return said


def test_where_the_promise_ends_two_of_four_that_collude_can_fork_and_two_of_five_cannot() -> None:
    four = World(5, 4, {0: split, 1: silent}, faults=False)
    four.submit(0)
    with pytest.raises(Broken, match="I8"):
        four.run(START_MS + 2_000)
    five = World(5, 5, {0: split, 1: silent}, faults=False)
    five.submit(0)
    five.run(START_MS + 2_000)  # the checkers find no two blocks that could be certified


def test_votes_for_everything_win_nothing() -> None:
    world = World(6, 4, {2: votes_twice}, faults=False)
    for transaction in range(3):
        world.after(100 * transaction, world.submit, transaction)
    assert world.run(START_MS + 10_000, lambda: executed(world, 3))
