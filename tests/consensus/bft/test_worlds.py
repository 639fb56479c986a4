"""Worlds in which up to f members lie: what holds does, and everything is executed everywhere once only they fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.consensus.bft.courses import ambushed, course, deceived, dethroned, handed_over, hostile, truthful
from tests.consensus.bft.world import START_MS, World
from wattquorum.consensus.bft.messages import BftMessage, PrePrepare, to_frame
from wattquorum.consensus.bft.statements import Phase
from wattquorum.simulation.checkers import Broken
from wattquorum.simulation.liars import Conspiracy, Liar, Said, silent, votes_twice

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


@pytest.mark.unmeasured
@pytest.mark.parametrize("first", range(0, 36, 6))
def test_where_nobody_lies_nobody_is_blamed(first: int) -> None:
    """Committees follow each other, and some replicas have not heard of the newest; checked after every input."""
    for seed in range(first, first + 6):
        world = truthful(seed)
        assert not any(host.engine.faults for host in world.hosts if host.engine is not None)


def test_one_seed_is_one_course() -> None:
    one, other = course(3), course(3)
    assert (one.messages, one.now, one.digests) == (other.messages, other.now, other.digests)


def executed(world: World, transactions: int) -> bool:
    return all(len(world.done.get(each, ())) == len(world.honest) for each in range(transactions))


@pytest.mark.parametrize(("members", "gone"), [(4, 2), (6, 3), (7, 3)])
def test_with_fewer_than_a_quorum_left_it_stops_and_does_not_fork(members: int, gone: int) -> None:
    world = World(4, members, dict.fromkeys(range(gone), (silent,)), faults=False)
    world.submit(0)
    world.run(START_MS + 10_000)
    assert world.height == 0


def split(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, _frame: bytes) -> Said:
    """Each side of the honest gets a block of its own, and every liar's votes for it."""
    if not isinstance(message, PrePrepare):
        return []
    block = them.other(host.address, message.block, to[0] % 2)
    proposal = them.note(block)
    assert proposal is not None
    for liar in them.liars:
        for phase in (Phase.PREPARE, Phase.COMMIT):
            if (phase, liar.address) != (Phase.PREPARE, host.address):
                vote = them.vote(liar, phase, block.height, message.view, proposal.digest)
                them.later(liar, to, to_frame(vote), 2)
    return [(to, to_frame(them.pre_prepare(host, message.view, block)))]


def test_where_the_promise_ends_two_of_four_that_collude_can_fork_and_two_of_five_cannot() -> None:
    four = World(5, 4, {0: (split,), 1: (silent,)}, faults=False)
    four.submit(0)
    with pytest.raises(Broken, match="I8"):
        four.run(START_MS + 2_000)
    five = World(5, 5, {0: (split,), 1: (silent,)}, faults=False)
    five.submit(0)
    five.run(START_MS + 2_000)  # the checkers find no two blocks that could be certified


def test_votes_for_everything_win_nothing() -> None:
    world = World(6, 4, {2: (votes_twice,)}, faults=False)
    for transaction in range(3):
        world.after(100 * transaction, world.submit, transaction)
    assert world.run(START_MS + 10_000, lambda: executed(world, 3))
