"""Courses: what happens in a world of one seed: everything at once, then the network heals and progress is required."""

from __future__ import annotations

from dataclasses import replace

from tests.consensus.bft.world import QUICK, Host, World, address
from wattquorum.consensus.bft.committee import tolerated
from wattquorum.consensus.bft.messages import BftMessage, PrePrepare, to_frame
from wattquorum.foundation.chance import Chance
from wattquorum.simulation.checkers import Broken
from wattquorum.simulation.cunning import (
    CUNNING,
    censors,
    certifies_alone,
    changes_its_mind,
    embeds_badly,
    leaves_badly,
    opens_falsely,
)
from wattquorum.simulation.liars import (
    TOGETHER,
    Conspiracy,
    Liar,
    Lie,
    Said,
    drawn,
    equivocates,
    forges,
    hides_prepared,
    opens_wrongly,
    proposes_bad,
    votes_twice,
)

STORM_MS = 8_000
SOON_MS = 5_000
CALM_MS = 60_000  # within which everything is executed everywhere, once only liars fail
TRANSACTIONS = 12


def dates_back(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Its blocks have a time before the last block's."""
    if not isinstance(message, PrePrepare):
        return [(to, frame)]
    return [(to, to_frame(them.pre_prepare(host, message.view, them.other(host.address, message.block, -3))))]


def dates_ahead(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Its blocks have a time that has not come."""
    if not isinstance(message, PrePrepare):
        return [(to, frame)]
    return [(to, to_frame(them.pre_prepare(host, message.view, them.other(host.address, message.block, -4))))]


WAYS: tuple[tuple[Lie, ...], ...] = (
    *((lie,) for lie in (*CUNNING, dates_back, dates_ahead, forges, proposes_bad, hides_prepared)),
    (equivocates, votes_twice, opens_wrongly),
)
BLOCK_WAYS: tuple[Lie, ...] = (
    embeds_badly,
    dates_back,
    dates_ahead,
    proposes_bad,
    censors,
    changes_its_mind,
    certifies_alone,
)
VIEW_WAYS: tuple[Lie, ...] = (opens_falsely, leaves_badly, hides_prepared)


def told(chance: Chance, ways: tuple[tuple[Lie, ...], ...], count: int) -> tuple[Lie, ...]:
    """So many ways of lying at once."""
    return tuple(lie for _ in range(count) for lie in chance.pick(ways))


def course(seed: int) -> World:
    """Runs a world to its end. Raises Broken."""
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


def truthful(seed: int) -> World:
    """The same, and nobody lies: so nobody may be blamed by anybody, whoever is behind or in another committee."""
    chance = Chance(seed).stream("truthful")
    names = list(range(10))
    epochs: list[tuple[int, list[int]]] = []
    height = 0
    for _ in range(4):
        chance.shuffle(names)
        epochs.append((height, names[: chance.between(4, 7)]))
        height += chance.between(1, 3)
    world = World(seed, 10, epochs=epochs)
    storm(world, chance)
    world.run(world.now + STORM_MS)
    calm(world)
    return world


def ambushed(seed: int) -> World:
    """Who has just prepared a block, or begins to lead, is struck at once; liars are cunning, disks and ways slow."""
    chance = Chance(seed).stream("ambushed")
    members = chance.pick([4, 4, 4, 5, 6, 7])
    names = list(range(members))
    chance.shuffle(names)
    bad = names[: chance.between(0, tolerated(members))]
    lies = {name: told(chance, WAYS, chance.between(1, 2)) for name in bad}
    world = World(seed, members, lies)
    world.loss_ppm = chance.pick([0, 20_000, 200_000])
    world.slow_disk_ms = chance.pick([5, 40, 150])
    ambush = Ambush(world, chance, chance.pick([50_000, 150_000, 400_000]))
    world.watch = ambush.look
    if chance.happens(500_000):
        for host in world.hosts:
            wander(world, host, chance)
    for transaction in range(TRANSACTIONS):
        world.after(chance.between(1, STORM_MS), world.submit, transaction)
    world.run(world.now + STORM_MS)
    world.watch = None
    calm(world, delay_ms=chance.pick([10, 400]))
    return world


def deceived(seed: int) -> World:
    """As many lie as may, in the one way whose turn it is by the seed, and are soon primaries; little else goes wrong
    but that views change."""
    chance = Chance(seed).stream("deceived")
    members = chance.pick([4, 4, 5, 7])
    turn, views = divmod(seed // len(COURSES), 2)
    ways, first = (VIEW_WAYS, 1) if views else (BLOCK_WAYS, 0)
    names = range(first, first + tolerated(members))
    world = World(seed, members, dict.fromkeys(names, (ways[turn % len(ways)],)))
    world.loss_ppm, world.slow_disk_ms = chance.pick([0, 50_000]), chance.pick([1, 5])
    world.delay_ms = chance.pick([5, 20, 80])
    for transaction in range(TRANSACTIONS):
        world.after(chance.between(1, STORM_MS // 3), world.submit, transaction)
    for _ in range(4):
        at = chance.between(1, STORM_MS)
        world.after(at, cut_primary, world)
        world.after(at + chance.between(300, 1_000), part, world, {})
    world.run(world.now + STORM_MS)
    calm(world)
    return world


def dethroned(seed: int) -> World:
    """Every primary is cut off as it begins to lead, again and again, with blocks in between; the last one for good,
    and still the others go on as soon as after the first."""
    chance = Chance(seed).stream("dethroned")
    world = World(seed, chance.pick([4, 5, 7]), settings=replace(QUICK, timeout_ms=100, timeout_max_ms=1 << 20))
    world.loss_ppm, world.delay_ms, world.slow_disk_ms = 0, chance.pick([5, 20]), 1
    for turn in range(8):  # each long enough for several doublings, if nothing undoes them
        at = turn * 3_500
        world.after(at, world.submit, turn)
        world.after(at + chance.between(1, 60), cut_primary, world)
        world.after(at + chance.between(2_800, 3_200), part, world, {})
    world.run(world.now + 8 * 3_500)
    cut_primary(world)
    world.submit(TRANSACTIONS)
    alive = [host.name for host in world.honest if not world.parts.get(host.address)]
    if not world.run(world.now + SOON_MS, lambda: world.done.get(TRANSACTIONS, set()) >= set(alive)):
        raise Broken("I13", f"a primary that fails after others did is not replaced in {SOON_MS} ms")
    calm(world)
    return world


def cut_primary(world: World) -> None:
    """Whom most take to lead is heard by nobody."""
    leaders = [host.engine.leader for host in world.honest if host.engine is not None and host.engine.leader]
    if leaders:
        part(world, {max(leaders, key=leaders.count): 1})


def wander(world: World, host: Host, chance: Chance) -> None:
    """A clock runs otherwise fast or slow, and back when it is too far off."""
    apart = host.now - world.now
    drift = chance.between(-50_000, 50_000)
    if abs(apart) > 80:
        drift = -abs(drift) if apart > 0 else abs(drift)
    host.clock.drift(world.now, drift)
    world.after(chance.between(100, 1_000), wander, world, host, chance)


class Ambush:
    """Strikes when it hurts most: see `simulation.ambush`, which does so to whole replicas."""

    def __init__(self, world: World, chance: Chance, often_ppm: int) -> None:
        self.world, self.chance, self.often_ppm = world, chance, often_ppm
        self.seen: dict[tuple[str, int], tuple[int, ...]] = {}

    def look(self, host: Host) -> None:
        engine = host.engine
        assert engine is not None
        view, prepared = engine.term, engine.round.prepared
        epoch = engine.committee_at(engine.height + 1).epoch
        if prepared is not None and self._is_new("prepared", host, prepared.height, prepared.view):
            self._strike(host, self.often_ppm)
        elif view and engine.leader == host.address and self._is_new("leads", host, epoch, view):
            self._strike(host, self.often_ppm * 2)
        elif (view and not engine.established and self._is_new("left", host, epoch, view)) or (
            view in engine.round.accepted and self._is_new("accepted", host, engine.round.height, view)
        ):
            self._may_fall(host)

    def _is_new(self, what: str, host: Host, *where: int) -> bool:
        before = self.seen.get((what, host.seed))
        self.seen[what, host.seed] = where
        return before != where

    def _may_fall(self, host: Host) -> None:
        if self.chance.happens(self.often_ppm):
            self._falls(host, self.chance.pick([0, 0, 5, 30]), 400)

    def _strike(self, host: Host, often_ppm: int) -> None:
        world, chance = self.world, self.chance
        if not chance.happens(often_ppm):
            return
        long = chance.between(200, 1_500)
        kind = chance.below(6)
        if kind == 0:
            self._falls(host, chance.pick([0, 0, 5, 30]), 400)
        elif kind == 1:
            for each in world.hosts:
                self._falls(each, chance.below(40), 100)
        elif kind == 2:
            world.after(chance.pick([0, 0, 10, 60]), part, world, {host.address: 1})
            world.after(long, part, world, {})
        elif kind == 3:  # it alone hears the others, and then nobody hears it
            world.deaf = [each.address for each in world.hosts if each is not host]
            world.after(chance.between(50, 300), self._alone, host, long)
        elif kind == 4:  # the primaries of some views are heard by nobody
            assert host.engine is not None
            committee = host.engine.committee_at(host.engine.height + 1)
            views = range(host.engine.term, host.engine.term + chance.between(1, 3))
            part(world, {committee.primary(view): 1 + turn for turn, view in enumerate(views)})
            world.after(long, part, world, {})
        else:  # all are alone
            part(world, {each.address: number for number, each in enumerate(world.hosts)})
            world.after(long, part, world, {})

    def _falls(self, host: Host, wait: int, within: int) -> None:
        self.world.after(wait, crash, host)
        self.world.after(wait + self.chance.between(5, within), restart, host, self.chance)

    def _alone(self, host: Host, long: int) -> None:
        self.world.deaf = []
        part(self.world, {host.address: 1})
        self.world.after(long, part, self.world, {})


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
    world.parts, world.deaf = sides, []


def way(world: World, one_way: tuple[bytes, bytes]) -> None:
    world.one_way = one_way


COURSES = (course, hostile, ambushed, deceived, handed_over, dethroned)


def by_seed(seed: int) -> World:
    """A world of the kind that its seed says."""
    return COURSES[seed % len(COURSES)](seed)


def calm(world: World, delay_ms: int = 10) -> None:
    """Faults freeze but for the liars; everything submitted from now on, and all before, is executed everywhere."""
    world.parts, world.deaf, world.one_way, world.loss_ppm, world.delay_ms = {}, [], None, 0, delay_ms
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
        raise Broken("I13", f"not executed: {late}; (name, height, view, established): {where}")
