"""A seeded world in which up to f members lie: engines on disks that lose what was not synced, a network that loses,
doubles, reorders and parts, clocks that differ, and checkers outside the protocol.

Payloads are lists of transaction ids, signatures keyed hashes (`simulation.keyed_hash`). One seed decides everything.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from wattquorum.consensus.bft.blocks import Block, Chained, Outline, proposal_of
from wattquorum.consensus.bft.committee import Committee, Committees, committee_of, installed
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.messages import PrePrepare, from_frame
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Durable, Message, Output
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import Decoder, Record, changed, encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.simulation import keyed_hash
from wattquorum.simulation.checkers import Broken
from wattquorum.simulation.clock import Clock
from wattquorum.simulation.liars import Conspiracy, Liar, Lie, lied
from wattquorum.simulation.testimony import Testimony, quorum

CHAIN = b"chain of a world"
START_MS = 1_000_000
MESSAGES_MAX = 250_000  # of one world: many times what any takes
QUICK = Settings(
    timeout_ms=200,
    timeout_max_ms=3_200,
    resend_ms=60,
    fetch_ms=30,
    poll_ms=250,
    skew_ms=400,
    censor_ms=1_500,
    chunk_bytes=400,
    blocks_kept=5,
)


class Payload(Record, frozen=True):
    time_ms: int
    good: bool
    room: bool
    transactions: tuple[int, ...]
    salt: int = 0


_payloads = Decoder[Payload](Payload, "payload")


def outline(data: bytes) -> Outline | None:
    try:
        payload = _payloads.decode(data)
    except Refused:
        return None
    return Outline(tagged_hash("payload", data), payload.time_ms, payload.room)


def secret_of(name: int) -> bytes:
    return keyed_hash.secret_of(bytes([name]))


def address(name: int) -> bytes:
    return bytes([65 + name]) * 20


def key_of(replica: bytes) -> bytes:
    return keyed_hash.key_of(secret_of(replica[0] - 65))


_SEALS = keyed_hash.KeyedHash(map(secret_of, range(64)))
verify = _SEALS.verify


def sign_as(name: int) -> Callable[[str, bytes], bytes]:
    return _SEALS.signer(secret_of(name))


class Signing(NamedTuple):
    """Whoever a world knows by this number, as it signs."""

    sign: Callable[[str, bytes], bytes]


def seals_of(name: int) -> Seals:
    """What somebody says, whom a test plays."""
    return Seals(CHAIN, sign_as(name), lambda checks: [True for _ in checks])


def everybody(count: int, version: int = 0, basis: int = 0) -> Configuration:
    return Configuration(
        version,
        None,
        tuple(Voter(address(name), 1) for name in range(count)),
        (),
        basis,
        bytes(32) if basis else b"",
    )


def configured(names: Sequence[int], version: int, basis: int) -> Configuration:
    voters = tuple(Voter(address(name), 1) for name in names)
    return Configuration(version, None, voters, (), basis, bytes(32) if basis else b"")


def committee(count: int) -> Committee:
    return committee_of(installed(everybody(count), key_of))


@dataclass
class Host:
    """One process: an engine, its disk, its pool and the chain that it executed."""

    world: World
    name: int
    seed: int
    twin: int = 0
    clock: Clock = field(default_factory=lambda: Clock(0, 0))
    honest: bool = True
    engine: Bft | None = None
    disk: list[Durable] = field(default_factory=list)  # durable
    unsynced: list[Durable] = field(default_factory=list)
    syncing: bool = False
    outputs: list[tuple[int, Output]] = field(default_factory=list)  # with the last record beside it
    waiting: list[Message] = field(default_factory=list)
    chain: list[bytes] = field(default_factory=list)  # executed payloads, kept by the driver
    proven: dict[int, int] = field(default_factory=dict)  # by height: the record without which its block is forgotten
    archive: dict[int, Chained] = field(default_factory=dict)
    pool: dict[int, int] = field(default_factory=dict)  # transaction: since when
    life: int = 0
    tick_ms: int | None = None
    reads: dict[int, tuple[int, int]] = field(default_factory=dict)  # read: (height to see, when asked)
    answered: int = 0

    @property
    def address(self) -> bytes:
        return address(self.name)

    @property
    def key(self) -> Signing:
        return Signing(sign_as(self.name))

    @property
    def now(self) -> Millis:
        return Millis(self.clock.read(self.world.now))

    @property
    def position(self) -> int:
        return self.disk[-1].position if self.disk else 0

    def start(self, applied: int) -> None:
        self.life += 1
        means = Means(sign_as(self.name), verify, key_of, outline, self.archive.get)
        self.chain = self.chain[:applied]
        self.engine = Bft(
            self.address,
            CHAIN,
            self.world.founding,
            means,
            self.disk,
            self.seed + self.life,
            self.now,
            applied,
            self.world.settings,
        )
        for height in range(1, applied + 1):
            self.world.tell_committee(self.engine, height, self.now)
        self.after_input()

    def crash(self) -> None:
        self.engine = None
        self.life += 1
        while self.chain and self.proven[len(self.chain)] > self.position:
            self.archive.pop(len(self.chain), None)
            self.chain.pop()
        self.unsynced, self.outputs, self.waiting, self.syncing = [], [], [], False
        self.reads, self.tick_ms = {}, None

    def restart(self, chance: Chance) -> None:
        self.start(len(self.chain) if chance.happens(500_000) else 0)

    # Driving the engine, in the order that its contract asks for

    def after_input(self) -> None:
        engine = self.engine
        if engine is None:
            return
        output = engine.drain()
        if self.honest:
            self.world.testimony.stands(self.address, self.life, engine)
            for accusation in engine.accusations():
                self.world.accused(accusation)
        self.unsynced += output.records
        position = self.unsynced[-1].position if self.unsynced else self.position
        self.waiting += output.messages
        if output.committed or output.judge or output.wanted or output.reads or output.restore:
            self.outputs.append((position, output))
        self.wake(output.deadline)
        if self.unsynced and not self.syncing:
            self.syncing = True
            self.world.after(self.world.sync_ms(), self.synced, self.life, position)
        self.flush()
        if self.world.watch is not None and self.engine is not None:
            self.world.watch(self)

    def synced(self, life: int, position: int) -> None:
        if life != self.life or self.engine is None:
            return
        self.syncing = False
        for record in [each for each in self.unsynced if each.position <= position]:
            if record.origin:
                self.disk = []
            self.disk.append(record)
        self.unsynced = [each for each in self.unsynced if each.position > position]
        self.engine.persisted(position, self.now)
        self.after_input()

    def flush(self) -> None:
        durable = self.position
        ready = [each for each in self.waiting if each.after <= durable]
        self.waiting = [each for each in self.waiting if each.after > durable]
        for message in ready:
            self.world.say(self, message.to, message.data)
        while self.outputs:
            self.do(*self.outputs.pop(0))

    def do(self, position: int, output: Output) -> None:
        """What there is to do at once, whatever the disk has yet."""
        engine = self.engine
        if engine is None:
            return
        if output.restore is not None:
            self.chain = list(_chains.decode(output.restore.state))
            self.proven |= dict.fromkeys(range(1, len(self.chain) + 1), position)
            for height in range(1, output.restore.index + 1):
                self.world.tell_committee(engine, height, self.now)
            engine.applied(output.restore.index, b"", self.now)
            self.after_input()
        for committed in output.committed:
            assert committed.index == len(self.chain) + 1, "committed in order"
            self.proven[committed.index] = position
            self.execute(committed.payload)
            chained = engine.block(committed.index)
            assert chained is not None
            self.archive[committed.index] = chained
            self.world.committed(self, committed.index, chained)
            self.world.tell_committee(engine, committed.index, self.now)
            engine.applied(committed.index, b"", self.now)
            if self.world.snapshots and self.world.chance.happens(150_000):
                engine.snapshot(committed.index, encode(tuple(self.chain)), self.now)
            engine.demand(self.demanded, self.now)
            self.after_input()
        for judged in output.judge:
            engine.judged(judged.digest, self.finds_good(judged.payload), self.now)
            self.after_input()
        if output.wanted is not None and engine.takes:
            payload = self.world.payload_of(self)
            if payload is not None:
                engine.propose((payload,), self.now)
                self.after_input()
        for read in output.reads:
            needs, _ = self.reads.pop(read)
            self.answered += 1
            if self.honest and len(self.chain) < needs:
                raise Broken("reads", f"{self.name} answered at {len(self.chain)}, certified was {needs}")

    def execute(self, data: bytes) -> None:
        self.chain.append(data)
        for transaction in _payloads.decode(data).transactions:
            self.pool.pop(transaction, None)
            self.world.executed(self, transaction)

    @property
    def demanded(self) -> Millis | None:
        return Millis(min(self.pool.values())) if self.pool else None

    def finds_good(self, data: bytes) -> bool:
        if not self.honest:
            return True
        payload = _payloads.decode(data)
        return payload.good and not any(each in self.included() for each in payload.transactions)

    def included(self) -> set[int]:
        return {each for data in self.chain for each in _payloads.decode(data).transactions}

    # Inputs

    def receive(self, sender: bytes, frame: bytes) -> None:
        if self.engine is not None:
            self.engine.receive(sender, frame, self.now)
            self.after_input()

    def take(self, transaction: int) -> None:
        if transaction in self.pool or transaction in self.included():
            return
        self.pool[transaction] = self.now
        if self.engine is not None:
            self.engine.demand(self.demanded, self.now)
            self.after_input()

    def read(self, number: int) -> None:
        if self.engine is not None:
            self.reads[number] = (self.world.height, self.world.now)
            self.engine.read(number, self.now)
            self.after_input()

    def wake(self, deadline: int | None) -> None:
        if deadline is None:
            return
        at = self.clock.when(deadline)
        if self.tick_ms is None or at < self.tick_ms:
            self.tick_ms = at
            self.world.at(max(at, self.world.now), self.tick, self.life)

    def tick(self, life: int) -> None:
        if life != self.life or self.engine is None or self.tick_ms is None or self.world.now < self.tick_ms:
            return
        self.tick_ms = None
        self.engine.demand(self.demanded, self.now)
        self.engine.tick(self.now)
        self.after_input()


def another(_liar: bytes, block: Block, kind: int) -> Block:
    """Another block in its place, as liars make them: good ones; bad ones, with the time of long ago, or in an hour."""
    last = outline(block.payload)
    assert last is not None
    time_ms = {-3: 1, -4: last.time_ms + 3_600_000}.get(kind, last.time_ms)
    return changed(block, payload=encode(Payload(time_ms, kind not in (-1, -2), True, (), 100 + kind)))


_chains = Decoder[tuple[bytes, ...]](tuple[bytes, ...], "chain")


class World:
    """Hosts, their network and what must hold."""

    def __init__(
        self,
        seed: int,
        members: int,
        lies: Mapping[int, Sequence[Lie]] | None = None,
        *,
        twins: Sequence[int] = (),
        settings: Settings = QUICK,
        faults: bool = True,
        epochs: Sequence[tuple[int, Sequence[int]]] = (),
    ) -> None:
        """`lies` by name of who tells them; of `twins` two processes run with one key.

        `epochs` are committees by name, each with the height whose block names it; 0 for the first, if not everybody.
        """
        self.chance = Chance(seed).stream("world")
        self.now = START_MS
        self.members = members
        self.settings = settings
        made = [configured(names, epoch, basis) for epoch, (basis, names) in enumerate(epochs)]
        self.founding = made[0] if made else everybody(members)
        self.named = {each.basis_index: each for each in made[1:]}
        self.committees = Committees([installed(each, key_of) for each in made or [self.founding]])
        self.committee = self.committees.at(0)
        self.lies = dict(lies or {})
        self.twins = tuple(twins)
        self.bad = sorted({*self.lies, *self.twins})
        self.faults = faults
        self.snapshots = faults and self.chance.happens(500_000)
        self.loss_ppm = self.chance.pick([0, 20_000, 100_000, 250_000]) if faults else 0
        self.double_ppm = self.chance.pick([0, 50_000]) if faults else 0
        self.delay_ms = self.chance.pick([5, 20, 80, 200]) if faults else 5
        self.slow_disk_ms = self.chance.pick([1, 5, 40]) if faults else 1
        self._heap: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self._next = 0
        self.parts: dict[bytes, int] = {}
        self.deaf: list[bytes] = []  # who hears nobody
        self.one_way: tuple[bytes, bytes] | None = None
        self.digests: dict[int, bytes] = {}  # by height, certified at somebody honest
        self.height = 0
        self.watch: Callable[[Host], None] | None = None  # looks at every host after every input
        self.them = Conspiracy(CHAIN, Chance(seed).stream("liars"), verify, outline, another)
        self.done: dict[int, set[int]] = {}  # transaction: honest names that executed it
        self.seals = Seals(CHAIN, sign_as(0), verify)
        self.testimony = Testimony(self.seals, verify, map(address, self.bad), self.committees)
        self.hosts: list[Host] = []
        self.messages = 0
        for name in range(members):
            for twin in range(2 if name in self.twins else 1):
                clock = Clock(self.chance.between(-100, 100) if faults else 0, 0)
                host = Host(self, name, seed * 1_000 + name * 10 + twin * 5, twin, clock, name not in self.bad)
                self.hosts.append(host)
        self.them.liars = [host for host in self.hosts if not host.honest]
        self.them.later = self.say_later
        for host in self.hosts:
            host.start(0)

    @property
    def honest(self) -> list[Host]:
        return [host for host in self.hosts if host.honest]

    def at(self, when: int, act: Callable[..., None], *arguments: object) -> None:
        self._next += 1
        heapq.heappush(self._heap, (when, self._next, act, arguments))

    def after(self, wait: int, act: Callable[..., None], *arguments: object) -> None:
        self.at(self.now + wait, act, *arguments)

    def sync_ms(self) -> int:
        return self.chance.between(0, self.slow_disk_ms)

    def run(self, until: int, holds: Callable[[], bool] | None = None) -> bool:
        """Until a time, or until something holds."""
        while self._heap and self._heap[0][0] <= until:
            when, _, act, arguments = heapq.heappop(self._heap)
            self.now = when
            act(*arguments)
            if holds is not None and holds():
                return True
        self.now = max(self.now, until)
        return holds is not None and holds()

    # Network

    def say(self, host: Host, to: bytes, frame: bytes) -> None:
        if not host.honest:
            self.them.now = self.now
            for each, data in lied(self.lies.get(host.name, ()), self.them, host, to, frame):
                self.carry(host, each, data)
            return
        self.check_said(host, frame)
        self.carry(host, to, frame)

    def say_later(self, liar: Liar, to: bytes, frame: bytes, wait_ms: int) -> None:
        self.after(wait_ms, self.carry, self.hosts_of(liar.address)[0], to, frame)

    def hosts_of(self, replica: bytes) -> list[Host]:
        return [each for each in self.hosts if each.address == replica]

    def carry(self, host: Host, to: bytes, frame: bytes) -> None:
        self.messages += 1
        if self.messages > MESSAGES_MAX:
            raise Broken("bounds", f"{self.messages} messages after {self.now - START_MS} ms")
        times = 1 + self.chance.happens(self.double_ppm)
        for _ in range(times):
            if self.chance.happens(self.loss_ppm) or self.parted(host.address, to):
                continue
            for target in self.hosts_of(to):
                self.after(self.chance.between(1, self.delay_ms), self.deliver, target, host.address, frame)

    def deliver(self, target: Host, sender: bytes, frame: bytes) -> None:
        if not target.honest:
            self.them.hear(frame)
        target.receive(sender, frame)

    def parted(self, sender: bytes, to: bytes) -> bool:
        if self.one_way == (sender, to) or to in self.deaf:
            return True
        return self.parts.get(sender, 0) != self.parts.get(to, 0)

    # Payloads

    def payload_of(self, host: Host) -> bytes | None:
        last = _payloads.decode(host.chain[-1]).time_ms if host.chain else 0
        included = host.included()
        waiting = tuple(each for each in sorted(host.pool) if each not in included)[:5]
        if not waiting:
            return None
        return encode(Payload(max(host.now, last + 1), good=True, room=True, transactions=waiting, salt=host.twin))

    def tell_committee(self, engine: Bft, height: int, now: Millis) -> None:
        if height in self.named:
            engine.reconfigure(self.named[height], now)

    # Checkers

    def check_said(self, host: Host, frame: bytes) -> None:
        message = from_frame(frame)
        digest = b""
        if isinstance(message, PrePrepare):
            proposal = self.them.note(message.block)
            assert proposal is not None
            digest = proposal.digest
        self.testimony.said(host.address, message, digest)

    def committed(self, host: Host, height: int, chained: Chained) -> None:
        if not host.honest:
            return
        proposal = proposal_of(CHAIN, chained.block, outline)
        assert proposal is not None
        if self.digests.setdefault(height, proposal.digest) != proposal.digest:
            raise Broken("I8", f"{host.name} committed another block at height {height}")
        certificate = chained.commit_certificate
        self.testimony.can_be(height, certificate.view, proposal.digest)
        signers, members = self.testimony.signers(certificate), len(self.committees.at(height).members)
        if (certificate.height, certificate.digest) != (height, proposal.digest) or signers < quorum(members):
            raise Broken("I8", f"a certificate of {signers} at height {height}")
        embedded = chained.block.commit_certificate
        if embedded is not None and not self.testimony.is_signed(embedded):
            raise Broken("I8", f"block {height} carries a certificate that is none")
        payload = _payloads.decode(chained.block.payload)
        if payload.time_ms > self.now + self.settings.skew_ms + 200:
            raise Broken("I15", f"block {height} is of {payload.time_ms - self.now} ms from now")
        if len(host.chain) > 1 and payload.time_ms <= _payloads.decode(host.chain[-2]).time_ms:
            raise Broken("I15", f"block {height} is no later than the one before it")
        if not payload.good:
            raise Broken("validity", f"a bad block at height {height}")
        if len(set(host.chain)) != len(host.chain):
            raise Broken("validity", f"a payload twice at {host.name}")
        self.height = max(self.height, height)

    def accused(self, found: Equivocation) -> None:
        """Evidence proves itself, and nobody honest is accused."""
        committee = next(
            each for each in map(self.committees.at, range(1, self.height + 3)) if each.epoch == found.epoch
        )
        place, phase = committee.place(found.member), Phase(found.phase)
        assert place is not None
        two = list(zip(found.digests, found.signatures, strict=True))
        checks = [self.seals.check(committee, place, found.height, found.view, phase, *each) for each in two]
        if found.digests[0] == found.digests[1] or not all(verify(checks)):
            raise Broken("evidence", f"it does not prove that {found.member!r} lies")
        if found.member not in map(address, self.bad):
            raise Broken("evidence", f"{found.member!r} is honest")

    def executed(self, host: Host, transaction: int) -> None:
        if host.honest:
            self.done.setdefault(transaction, set()).add(host.name)

    def submit(self, transaction: int) -> None:
        for host in self.hosts:
            self.after(self.chance.between(1, 60), host.take, transaction)
