"""Scenes among replicas of whom some fail or lie, by their names in the protocol's description."""

from __future__ import annotations

from dataclasses import replace

from tests.simulation.bft_stage import QUICK, Stage
from wattquorum.foundation.refusals import Refused


def test_a_block_takes_three_turns_of_messages_and_an_idle_chain_none() -> None:
    stage = Stage()
    data = stage.deposit()
    stage.hand_in(stage.primary, data)
    stage.run(200)
    assert stage.stands_in(data) == 1
    assert stage.heights() == [1, 1, 1, 1]
    stage.run(5_000)
    assert stage.heights() == [1, 1, 1, 1]


def test_an_idle_chain_ticks_under_any_primary() -> None:
    stage = Stage(tick_ms=500)
    stage.run(3_000)
    ticked = min(stage.heights())
    assert ticked >= 4
    stage.crash(stage.primary)
    stage.run(5_000)
    assert min(stage.heights()) > ticked + 4


def test_only_transaction_in_lost_proposal() -> None:
    """The only transaction there is stands in a proposal that nobody gets, and its primary is gone."""
    stage = Stage()
    first = stage.primary
    data = stage.deposit()
    stage.hand_in(stage.backups[0], data)
    stage.run(3)  # it is on its way to the primary
    stage.cut_off(first)
    stage.run(50)
    assert stage.stands_in(data) is None
    stage.crash(first)
    stage.run(3_000)
    assert stage.stands_in(data) == 1
    assert stage.heights() == [1, 1, 1]
    stage.heal()
    stage.start(first)
    stage.run(2_000)
    assert stage.heights() == [1, 1, 1, 1]


def test_a_proposal_that_nobody_supports_leaves_nothing_and_frees_what_it_reserved() -> None:
    stage = Stage()
    lonely = stage.primary
    stage.cut_off(lonely)
    data = stage.deposit()
    stage.hand_in(lonely, data)
    stage.run(100)
    assert lonely.replica is not None
    assert lonely.replica.waiting == 0, "it is reserved"
    ledger = lonely.replica.ledger
    assert (ledger.height, ledger.state.mark()) == (0, 0)
    for host in stage.hosts:
        if host is not lonely:
            stage.hand_in(host, data)
    stage.run(2_000)
    assert stage.stands_in(data) == 1
    stage.heal()
    stage.run(2_000)
    assert lonely.replica.waiting == 0
    assert lonely.replica.drain(stage.world.local(lonely)).dropped == ()
    assert stage.heights() == [1, 1, 1, 1]


def test_duplicate_after_leader_change() -> None:
    """A client gives one transaction to everybody, and again after its primary fell: it is in one block."""
    stage = Stage()
    data, following = stage.deposit(), stage.deposit()
    for host in stage.hosts:
        stage.hand_in(host, data)
    stage.run(4)
    fallen = stage.primary
    stage.crash(fallen)
    stage.run(3_000)
    place = stage.stands_in(data)
    assert place is not None
    for host in stage.hosts:
        if host.replica is not None:
            refused = host.replica.accept(data, None, stage.world.local(host))
            assert isinstance(refused, Refused)
            assert refused.code == "nonce_wrong"
    stage.start(fallen)
    stage.hand_in(stage.backups[0], following)
    stage.run(4_000)
    assert stage.stands_in(following) == place + 1
    assert stage.heights() == [place + 1] * 4


def test_stalled_then_expired() -> None:
    """While too few are there nothing is decided; what has expired by then is told so, and is in no block ever."""
    stage = Stage()
    gone = stage.backups[:2]
    for host in gone:
        stage.crash(host)
    there = next(host for host in stage.backups if host.runs)
    dying, living = stage.deposit(expires_ms=2_000), stage.deposit()
    stage.hand_in(there, dying)
    stage.hand_in(there, living)
    stage.run(4_000)
    assert stage.heights() == [0, 0]
    for host in gone:
        stage.start(host)
    stage.run(8_000)
    assert stage.stands_in(dying) is None, "its time was over before anybody could agree"
    assert stage.stands_in(living) is None, "it follows on one that never came"
    assert there.replica is not None
    refused = there.replica.accept(dying, None, stage.world.local(there))
    assert refused is not None
    assert refused.code == "expired"


def test_f_plus_one_bad_stops_not_forks() -> None:
    """With two of four gone silent nothing is decided by anybody, and the chain goes on when they are back."""
    stage = Stage()
    before = stage.deposit()
    stage.hand_in(stage.primary, before)
    stage.run(500)
    silent = stage.hosts[2:]
    for host in silent:
        stage.cut_off(host)
    data = stage.deposit()
    for host in stage.hosts:
        stage.hand_in(host, data)
    stage.run(10_000)
    assert stage.heights() == [1] * 4
    stage.heal()
    stage.run(8_000)
    assert stage.stands_in(data) == 2
    assert stage.heights() == [2] * 4


def test_dead_primary_many_heights_one_timeout() -> None:
    """A dead primary costs one timeout, and not one for each height."""
    stage = Stage()
    stage.crash(stage.primary)
    alive = [host for host in stage.hosts if host.runs]
    taken = []
    for number in range(6):
        data = stage.deposit()
        for host in alive:
            stage.hand_in(host, data)
        began = stage.world.now
        while stage.stands_in(data) is None:
            stage.run(5)
        taken.append(stage.world.now - began)
        assert stage.stands_in(data) == number + 1
    assert taken[0] >= QUICK.timeout_ms
    assert max(taken[1:]) < QUICK.timeout_ms // 2


def test_two_dead_primaries() -> None:
    stage = Stage(hosts=7)
    stage.crash(stage.primary)
    data = stage.deposit()
    for host in [host for host in stage.hosts if host.runs]:
        stage.hand_in(host, data)
    while not stage.primary.runs:
        stage.run(20)
    stage.crash(stage.primary)
    stage.run(8_000)
    assert stage.stands_in(data) == 1
    assert stage.heights() == [1] * 5


def test_reproposal_identical_bytes_old_time() -> None:
    """What was prepared by some is proposed again by the next primary, to the byte, though its time is long past."""
    stage = Stage(settings=replace(QUICK, skew_ms=300))
    first = stage.primary
    data = stage.deposit()
    stage.hand_in(first, data)
    began = stage.world.now
    while not any(host.engine is not None and host.engine.round.prepared for host in stage.hosts):
        stage.run(1)
    for host in stage.hosts:  # nobody hears of anybody's COMMIT
        stage.cut_off(host)
    stage.run(50)
    prepared = [host for host in stage.hosts if host.engine is not None and host.engine.round.prepared]
    assert prepared
    assert stage.heights() == [0] * 4
    stage.crash(first)
    stage.run(1_000)
    stage.heal()
    stage.cut_off(first)
    stage.run(6_000)
    assert stage.stands_in(data) == 1
    survivor = next(host for host in stage.hosts if host.runs)
    assert survivor.replica is not None
    assert survivor.replica.ledger.tip is not None
    assert survivor.replica.ledger.tip.time_ms < stage.world.created_ms + began + 300, "the time of its first proposal"
    assert survivor.replica.ledger.tip.proposer == first.key.public


def test_crash_after_prepare_before_commit() -> None:
    """All crash when some have prepared: what they prepared is on their disks, and is decided afterwards."""
    stage = Stage()
    data = stage.deposit()
    stage.hand_in(stage.primary, data)
    while not any(host.engine is not None and host.engine.round.prepared for host in stage.hosts):
        stage.run(1)
    stage.run(3)
    for host in stage.hosts:
        stage.crash(host)
    for host in stage.hosts:
        stage.start(host)
    stage.run(5_000)  # nobody hands it in again, and no pool has it any more
    assert stage.stands_in(data) == 1
    assert stage.heights() == [1] * 4


def test_a_restart_goes_on_from_the_state_at_an_epochs_end() -> None:
    """Its log begins with that state; what came before it is served from the chain's folder alone."""
    stage = Stage(settings=replace(QUICK, blocks_kept=2), tick_ms=200, epoch_ms=1_000)
    data = [stage.deposit() for _ in range(3)]
    for each in data:
        stage.hand_in(stage.primary, each)
        stage.run(300)
    stage.run(2_500)
    host = stage.backups[0]
    first = host.disk.read()[0]
    assert first.origin, "its log begins with a state"
    stage.crash(host)
    stage.run(500)
    stage.start(host)
    stage.run(1_000)
    assert len(dict.fromkeys(stage.heights())) == 1
    assert host.engine is not None
    assert host.engine.block(1) is not None, "it serves what is in its folder"
    assert all(stage.stands_in(each) is not None for each in data)
