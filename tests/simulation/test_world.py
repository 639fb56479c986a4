"""A world is as quiet after its freeze as it says, asks for what it says, and has the clocks that it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from wattquorum.consensus.raft.leadership import Asked, Leadership
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.simulation.chaos import Rules, nature_of
from wattquorum.simulation.raft_checkers import RaftCheckers, lost_at_most
from wattquorum.simulation.raft_world import RaftNature, RaftWorld
from wattquorum.simulation.world import WRONG_MS

HOSTS: Final = 4


def calm() -> RaftNature:
    """A world without trouble, soon over."""
    quiet = replace(nature_of(1, Rules(HOSTS)), troubles=(), amnesia_ppm=0, spares=0, removals=0, wrong_clocks=False)
    return replace(quiet, hosts=HOSTS, safety_ms=2_000, clock_ahead_ms=50, clock_drift_ppm=0)


def test_a_crash_that_was_due_after_the_freeze_does_not_happen() -> None:
    nature = calm()
    world = RaftWorld(1, nature)
    for number in range(HOSTS):
        world.put(nature.safety_ms + 1, "crash", number)
        world.put(nature.safety_ms + 30, "start", number)
    assert world.run().breach is None
    assert sum(host.runs for host in world.hosts) >= HOSTS - 1


def test_reads_that_nobody_answers_are_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_: Leadership) -> list[Asked]:
        return []

    assert RaftWorld(1, calm()).run().breach is None
    monkeypatch.setattr(Leadership, "answered_reads", silent)
    breach = RaftWorld(1, replace(calm(), liveness_ms=5_000)).run().breach
    assert breach is not None
    assert (breach.invariant, breach.found) == ("I13", "a read waits for ever without faults")


@pytest.mark.parametrize("wrong_ms", WRONG_MS)
def test_a_clock_that_is_wrong_from_the_middle_on_moves_no_time(wrong_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leads then, its clock is set; blocks keep to the other clocks, and the chain goes on."""
    late: list[int] = []
    executed = RaftCheckers.executed

    def noted(self: RaftCheckers, done: Executed, ledger: Ledger) -> None:
        if done.block.header.height > self.height:
            late.append(done.block.header.time_ms - world.created_ms - world.now)
        executed(self, done, ledger)

    monkeypatch.setattr(RaftCheckers, "executed", noted)
    world = RaftWorld(1, replace(calm(), wrong_clocks=True))
    world.begin()
    world.happen_until(1_500)
    before = len(late)
    leader = next(host for host in world.hosts if host.engine is not None and host.engine.leader == host.address)
    world._wrong, world._apart = [leader.number], {leader.number: 0}
    world._set_apart(leader.number, wrong_ms)
    world.happen_until(6_000)
    world._freeze()
    world._progress()
    assert len(late) > before > 3
    assert -1_000 < min(late) <= max(late) <= 50 + world.checkers.parameters.drift_ms


def test_no_more_clocks_can_be_wrong_than_replicas_may_be_lost() -> None:
    found = [RaftWorld(seed, nature_of(seed, Rules())) for seed in range(12)]
    wrong = [world for world in found if world.nature.wrong_clocks]
    assert 2 < len(wrong) < 12
    for world in wrong:
        voters = world.nature.hosts - world.nature.spares - world.nature.removals
        assert len(world._wrong) == lost_at_most(world.checkers.parameters, voters) < world.nature.hosts / 2
        assert "wrong_clock" in world.nature.troubles
