"""Courses: what happens in a world of one seed: everything at once, then the network heals and progress is required."""

from __future__ import annotations

from tests.consensus.bft.world import Breach, Host, World, address
from wattquorum.consensus.bft.committee import tolerated
from wattquorum.foundation.chance import Chance
from wattquorum.simulation.liars import TOGETHER, drawn

STORM_MS = 8_000
CALM_MS = 60_000  # within which everything is executed everywhere, once only liars fail
TRANSACTIONS = 12


def course(seed: int) -> World:
    """Runs a world to its end. Raises Breach."""
    chance = Chance(seed).stream("course")
    members = chance.pick([4, 4, 4, 5, 6, 7])
    count = chance.between(0, tolerated(members))
    names = list(range(members))
    chance.shuffle(names)
    twins = [name for name in names[:count] if chance.happens(250_000)]
    lies = {name: drawn(chance) for name in names[:count] if name not in twins}
    world = World(seed, members, lies, twins=twins)
    storm(world, chance)
    world.run(world.now + STORM_MS)
    calm(world)
    return world


def hostile(seed: int) -> World:
    """A world made for forks: f liars that help each other, views that end all the time, disks that forget."""
    chance = Chance(seed).stream("hostile")
    members = chance.pick([4, 4, 5, 7])
    names = list(range(members))
    chance.shuffle(names)
    world = World(seed, members, dict.fromkeys(names[: tolerated(members)], TOGETHER))
    world.loss_ppm = chance.pick([100_000, 250_000, 400_000])
    world.delay_ms = chance.pick([100, 200])
    for _ in range(chance.between(2, 8)):
        host = chance.pick(world.honest)
        at = chance.between(1, STORM_MS)
        world.after(at, crash, host)
        world.after(at + chance.between(1, 500), restart, host, chance)
    storm(world, chance)
    world.run(world.now + STORM_MS)
    calm(world)
    return world


def handed_over(seed: int) -> World:
    """A world of ten whose committees change, overlapping or not, in size too; one of them may lie all the time."""
    chance = Chance(seed).stream("handed over")
    names = list(range(10))
    epochs: list[tuple[int, list[int]]] = []
    height = 0
    for _ in range(4):
        chance.shuffle(names)
        last = epochs[-1][1] if epochs else []
        others = [name for name in names if name not in last]
        chosen = others if len(others) >= 4 and chance.happens(500_000) else names
        epochs.append((height, chosen[: chance.between(4, 7)]))
        height += chance.between(1, 3)
    lies = {chance.below(10): drawn(chance)} if chance.happens(500_000) else {}
    world = World(seed, 10, lies, epochs=epochs)
    storm(world, chance)
    world.run(world.now + STORM_MS)
    calm(world)
    return world


def storm(world: World, chance: Chance) -> None:
    """Transactions, reads, crashes and partitions."""
    for transaction in range(TRANSACTIONS):
        world.after(chance.between(1, STORM_MS), world.submit, transaction)
    for read in range(6):
        host = chance.pick(world.honest)
        world.after(chance.between(1, STORM_MS), host.read, read)
    for _ in range(chance.pick([0, 1, 3, 8])):
        host = chance.pick(world.hosts)
        at = chance.between(1, STORM_MS)
        world.after(at, crash, host)
        world.after(at + chance.between(1, 2_000), restart, host, chance)
    if chance.happens(150_000):  # everybody at once
        at = chance.between(1, STORM_MS)
        for host in world.hosts:
            world.after(at, crash, host)
            world.after(at + chance.between(1, 300), restart, host, chance)
    for _ in range(chance.pick([0, 1, 3])):
        at = chance.between(1, STORM_MS)
        sides = {address(name): chance.below(2) for name in range(world.members)}
        world.after(at, part, world, sides)
        world.after(at + chance.between(100, 3_000), part, world, {})
    if chance.happens(300_000):
        one_way = (address(chance.below(world.members)), address(chance.below(world.members)))
        world.after(chance.between(1, STORM_MS), way, world, one_way)


def crash(host: Host) -> None:
    if host.engine is not None:
        host.crash()


def restart(host: Host, chance: Chance) -> None:
    if host.engine is None:
        host.restart(chance)


def part(world: World, sides: dict[bytes, int]) -> None:
    world.parts = sides


def way(world: World, one_way: tuple[bytes, bytes]) -> None:
    world.one_way = one_way


def calm(world: World) -> None:
    """Faults freeze but for the liars; everything submitted from now on, and all before, is executed everywhere."""
    world.parts, world.one_way, world.loss_ppm, world.delay_ms = {}, None, 0, 10
    for host in world.hosts:
        restart(host, world.chance)
    for transaction in range(TRANSACTIONS, TRANSACTIONS + 3):
        world.submit(transaction)
    for host in world.honest:
        world.after(5, host.read, 1_000)
    everybody = {host.name for host in world.honest}
    asked = range(TRANSACTIONS + 3)
    for transaction in range(TRANSACTIONS):
        world.submit(transaction)

    def executed() -> bool:
        return all(world.done.get(each, set()) >= everybody for each in asked) and all(
            1_000 not in host.reads for host in world.honest
        )

    if not world.run(world.now + CALM_MS, executed):
        late = [each for each in asked if world.done.get(each, set()) != everybody]
        where = [
            (host.name, host.engine.height, host.engine.term, host.engine.established)
            for host in world.hosts
            if host.engine is not None
        ]
        raise Breach("I13", f"not executed: {late}; (name, height, view, established): {where}")
