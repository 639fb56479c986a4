"""Half of a committee is gone for good: those whom governors name go on, and nobody goes along who was not told so."""

from __future__ import annotations

import pytest

from tests.simulation.bft_stage import Stage
from wattquorum.consensus.bft.committee import installed
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import restart_in
from wattquorum.ledger.blocks import decode_block
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.restart import Act
from wattquorum.node.restarting import approve, plan
from wattquorum.simulation.disk import Disk


def ledger_of(stage: Stage, number: int) -> Ledger:
    replica = stage.hosts[number].replica
    assert replica is not None
    return replica.ledger


def act_of(stage: Stage, *numbers: int, attempt: int = 1) -> Act:
    """What the governor signs: that these go on from where host 0 is."""
    act = plan(ledger_of(stage, 0), [stage.hosts[number].address.hex() for number in numbers], attempt)
    return approve(act, stage.world.founding.governor_key)


def believed(stage: Stage, act: Act) -> None:
    """The act is in every operator's hands, and the world's own judge knows it."""
    ledger = ledger_of(stage, 0)
    made = installed(ledger.restarted_by(act.restart), ledger.key_of)
    height, judge = act.restart.height, stage.world.checkers
    judge._committees.add(made)
    said = judge.testimony  # what the old committee said of later heights binds the new one to nothing
    said._statements = {key: digest for key, digest in said._statements.items() if key[1] <= height}
    said._commits = {key: signers for key, signers in said._commits.items() if key[0] <= height}
    said._supported = {at: views for at, views in said._supported.items() if at <= height}
    said._possible = {at: decided for at, decided in said._possible.items() if at <= height}
    stage.world.plan.restarts.append(act)


def again(stage: Stage, *numbers: int) -> None:
    for number in numbers:
        if stage.hosts[number].runs:
            stage.crash(stage.hosts[number])
        stage.start(stage.hosts[number])


def test_those_who_are_left_go_on_and_who_comes_back_follows() -> None:
    stage = Stage(tick_ms=200, epoch_ms=1_500)
    stage.run(2_500)
    stage.crash(stage.hosts[2])
    stage.crash(stage.hosts[3])
    stage.run(2_000)
    height = ledger_of(stage, 0).height
    assert stage.heights() == [height, height]
    data = stage.deposit()
    stage.hand_in(stage.hosts[0], data)
    stage.run(2_000)
    assert stage.heights() == [height, height], "two of four decide nothing"

    act = act_of(stage, 0, 1)
    believed(stage, act)
    again(stage, 0, 1)
    stage.run(500)
    stage.hand_in(stage.hosts[1], data)
    stage.run(3_000)
    assert (stage.stands_in(data) or 0) > height
    found = restart_in(
        decode_block(stage.world.plan.folders[stage.hosts[0].address].blocks[height + 1]).header.evidence
    )
    assert found is not None
    assert found.restart == act.restart

    stage.start(stage.hosts[2])  # with its old log, and the act
    stage.run(2_000)
    assert max(stage.heights()) - min(stage.heights()) <= 1
    stage.world.plan.restarts.clear()
    late = stage.hosts[3]
    for host in stage.hosts[:3]:
        stage.world.checkers.testimony.suspect(host.address)
    late.disk = Disk(stage.world.checkers.chain)
    stage.start(late)  # with nothing, and nobody told it
    stage.run(2_000)
    assert ledger_of(stage, 3).height == height
    stage.world.plan.restarts.append(act)
    again(stage, 3)
    stage.run(2_000)
    assert max(stage.heights()) - min(stage.heights()) <= 1
    assert min(stage.heights()) > height


def test_a_replica_whose_chain_went_on_otherwise_stops() -> None:
    stage = Stage(tick_ms=200)
    stage.run(1_500)
    act = act_of(stage, 0, 1)
    stage.run(1_500)
    assert ledger_of(stage, 1).height > act.restart.height + 1
    host = stage.hosts[1]
    stage.crash(host)
    records = host.disk.read()
    stage.world.plan.restarts.append(act)
    now = Millis(host.clock.read(stage.world.now))
    _, replica = stage.world.plan.start(host.key, records, 1, now)
    with pytest.raises(Refused) as refused:
        replica.drain(now)
    assert refused.value.code == "diverged"
