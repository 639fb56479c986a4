"""Each invariant is seen to break: a world that is well is spoiled in one place, and the checker names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.entries import Entry, Kind
from wattquorum.consensus.raft.records import Appended, Ballot
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.state import Table
from wattquorum.simulation.chaos import ONLY_PARTICIPATION
from wattquorum.simulation.checkers import Broken
from wattquorum.simulation.host import Host
from wattquorum.simulation.network import Weather
from wattquorum.simulation.raft_world import RaftNature, RaftWorld
from wattquorum.simulation.world import CONSERVED

QUIET = RaftNature(
    hosts=3,
    engine=Raft,
    joint=True,
    settings=Settings(election_ms=200, slot_ms=20, heartbeat_ms=40),
    weather=Weather(),
    parameters={**ONLY_PARTICIPATION, "epoch_ms": 1_000, "rho": 40_000_000, "probation_days": 0, "hysteresis": 0},
)


def well(milliseconds: int = 4_000) -> RaftWorld:
    world = RaftWorld(1, QUIET)
    world.begin()
    world.happen_until(milliseconds)
    assert world.checkers.height > 5
    assert world.checkers.changes > 0
    return world


def leader(world: RaftWorld) -> Host[Raft]:
    return next(host for host in world.hosts if host.engine is not None and host.engine.role is Role.LEADER)


def engine_of(host: Host[Raft]) -> Raft:
    assert host.engine is not None
    return host.engine


def two_leaders(world: RaftWorld) -> None:
    world.checkers._leaders[engine_of(leader(world)).term] = b"x" * 20
    world.checkers._led.clear()


def two_votes(world: RaftWorld) -> None:
    shadow = world.checkers.shadows[0]
    at = Durable(10**6, encode(Ballot(max(shadow.ballots, default=1), b"y" * 20)))
    shadow.ballots.setdefault(max(shadow.ballots, default=1), b"x" * 20)
    shadow.written(at)
    shadow.synced(10**6)


def other_entry(world: RaftWorld) -> None:
    log = engine_of(leader(world)).log
    entry = Entry(log.last_term, Kind.PAYLOAD, b"another")
    world.checkers._entered(0, Durable(10**6, encode(Appended(log.last, (entry,)))))


def lost_commit(world: RaftWorld) -> None:
    index = len(world.checkers._committed) - 1
    known = world.checkers._committed[index]
    world.checkers._committed[index] = known._replace(term=known.term + 7)
    world.checkers._led.clear()


def stale_read(world: RaftWorld) -> None:
    host = leader(world)
    assert host.replica is not None
    world.checkers.read(host.replica.ledger, world.checkers.acknowledged + 100)


def not_acknowledged(world: RaftWorld) -> None:
    world.checkers.told(b"h" * 32, 3)


def other_configuration(world: RaftWorld) -> None:
    log = engine_of(next(host for host in world.hosts if host is not leader(world))).log
    at, configuration = log._configurations[-1]
    log._configurations[-1] = (at, changed(configuration, version=configuration.version + 1))


def at_once(world: RaftWorld) -> None:
    engine = engine_of(leader(world))
    voters = tuple(changed(voter, power=voter.power + number) for number, voter in enumerate(engine.configuration.new))
    after = Configuration(99, None, voters, (), 1, bytes(32))
    world.checkers._changes(engine, engine.log.last + 1, engine.term, after)


def judge_powers(world: RaftWorld, *powers: int) -> None:
    voters = tuple(Voter(host.address, power) for host, power in zip(world.hosts, powers, strict=True))
    world.checkers._powers(Configuration(99, None, voters, (), 1, bytes(32)))


def unbalanced(world: RaftWorld) -> None:
    judge_powers(world, 600_000, 300_000, 100_000)


def inexact(world: RaftWorld) -> None:
    judge_powers(world, 400_000, 300_000, 299_999)


def out_of_order(world: RaftWorld) -> None:
    host = leader(world)
    assert host.replica is not None
    newest = host.replica.ledger.configuration
    turned = sorted((voter.power for voter in newest.new), reverse=True)
    seats = dict(host.replica.ledger.state.items(Table.VALIDATOR))
    by_standing = sorted(newest.new, key=lambda voter: int(seats[voter.replica].participation))
    spoiled = tuple(Voter(voter.replica, power) for voter, power in zip(by_standing, turned, strict=True))
    world.checkers._ordered(host.replica.ledger, changed(newest, new=spoiled))


def other_block(world: RaftWorld) -> None:
    world.checkers._blocks[-1] = b"x" * 32


def nonce_again(world: RaftWorld) -> None:
    for client in world.clients:
        world.checkers._nonces.update({(client.address, nonce): None for nonce in range(1_000)})


def money_made(world: RaftWorld) -> None:
    host = leader(world)  # who executes every block first
    assert host.replica is not None
    state = host.replica.ledger.state
    key, account = next(iter(state.items(Table.ACCOUNT)))
    state.put(Table.ACCOUNT, key, changed(account, balance=account.balance + 1))


def silence(world: RaftWorld) -> None:
    world.nature = replace(world.nature, liveness_ms=1)
    world._freeze()
    world._progress()


def lifted_time(world: RaftWorld) -> None:
    host = leader(world)
    assert host.replica is not None
    now = world.local(host)
    host.replica.cut(now, Millis(now + 3_600_000))
    world._step(host)


def time_behind(world: RaftWorld) -> None:
    world._right_clocks = lambda: [world.created_ms + 3_600_000]  # type: ignore[method-assign]
    world._freeze()
    world._progress()


@pytest.mark.parametrize(
    ("spoil", "invariant"),
    [
        (two_leaders, "I1"),
        (two_votes, "I1"),
        (other_entry, "I2"),
        (lost_commit, "I3"),
        (stale_read, "I3"),
        (not_acknowledged, "I3"),
        (other_configuration, "I4"),
        (at_once, "I5"),
        (unbalanced, "I6"),
        (inexact, "I6"),
        (out_of_order, "I6"),
        (other_block, "I7"),
        (nonce_again, "I12"),
        (silence, "I13"),
        (money_made, "I14"),
        (lifted_time, "I15"),
        (time_behind, "I15"),
    ],
)
def test_what_is_spoiled_is_found_by_its_invariant(spoil: Callable[[RaftWorld], None], invariant: str) -> None:
    world = well()

    def spoiled_world_goes_on() -> None:
        spoil(world)
        try:
            world.happen_until(world.now + 3_000)
        except Refused as refused:  # a ledger's own books, whose word a world takes for this
            raise Broken(CONSERVED if refused.code == "conservation_broken" else refused.code, str(refused)) from None

    with pytest.raises(Broken) as broken:
        spoiled_world_goes_on()
    assert broken.value.invariant == invariant, broken.value.found


def test_a_world_that_is_not_spoiled_stays_well() -> None:
    well().happen_until(7_000)
