"""Assembly: BFT engines of one committee, and of members behind it, on machines whose work takes time.

What a message costs is a question of its own, beside whether a protocol is right: here the engines that a node runs
agree on blocks, each on a machine with one processor and one disk that take what `Costs` say for every message, byte,
signature and transaction, over links of given delays. Whatever waits, waits in the order in which it came. Nothing is
lost and no clock is wrong; machines may end, and some may lie. Every message is counted by what it is for.

Signatures are keyed hashes (`keyed_hash`): their number is what counts, and their cost is charged. A block's
transactions are numbers: their bytes and the work of checking and executing them are charged, not done. Time is in
nanoseconds of the world. One seed decides everything.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from wattquorum.consensus.bft.blocks import Block, Chained, Outline
from wattquorum.consensus.bft.committee import Committee, committee_of, installed
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.messages import (
    AskBlock,
    AskBlocks,
    AskRead,
    Blocks,
    GiveBlock,
    GiveRead,
    NewView,
    Poll,
    PrePrepare,
    Tip,
    ViewChange,
    Vote,
    from_frame,
)
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Message, Output
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import Decoder, Record, Unsigned, encode
from wattquorum.foundation.identities import ADDRESS_BYTES, Signed, tagged_hash
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.simulation.keyed_hash import KeyedHash, key_of, secret_of

CHAIN: Final = b"an assembly"
START_MS: Final = 1_000_000
NS_PER_MS: Final = 1_000_000
NS_PER_US: Final = 1_000
PS_PER_NS: Final = 1_000
TRANSACTION_BYTES: Final = 190  # of a signed payment
PATIENT: Final = Settings(  # no timer speaks while nothing fails: what is counted then is what agreement itself takes
    timeout_ms=10_000_000,
    timeout_max_ms=10_000_000,
    resend_ms=10_000_000,
    fetch_ms=100,
    poll_ms=10_000_000,
    skew_ms=100_000_000,
    censor_ms=100_000_000,
)
_PAYLOAD: Final = "assembly payload"


class Costs(NamedTuple):
    """What work takes of a machine: of its processor, and of its disk."""

    send_ns: int  # a message, at its sender
    receive_ns: int  # a message, at its receiver
    byte_sent_ps: int  # each byte of it, at its sender [picoseconds]
    byte_received_ps: int
    engine_ns: int  # what an engine and the loop around it do about a message that it hears
    sign_ns: int
    check_ns: int  # a signature
    transaction_ns: int  # checking and executing one
    sync_ns: int  # until what was written to the disk is durable; the processor is free meanwhile


FREE: Final = Costs(0, 0, 0, 0, 0, 0, 0, 0, 0)


class Links(NamedTuple):
    """How long messages are under way: each ordered pair of machines draws its own delay [us]."""

    low_us: int
    high_us: int


class Load(NamedTuple):
    """What waits to be agreed on. `every_ms`: a transaction comes to everybody so often; 0: full blocks always wait."""

    transactions: int  # of a full block
    every_ms: int = 0


class Payload(Record, frozen=True):
    """A block's transactions: so many, from this number on."""

    time_ms: Unsigned
    first: Unsigned
    transactions: Unsigned
    salt: Unsigned = 0


_payloads: Final = Decoder[Payload](Payload, "payload")
read_payload: Final = _payloads.decode


def outline(data: bytes) -> Outline | None:
    """What agreement needs to know of a payload. No block says that it had room: it may have been full."""
    try:
        payload = read_payload(data)
    except Refused:
        return None
    return Outline(tagged_hash(_PAYLOAD, data), payload.time_ms, room=False)


POLLS: Final = "polls"  # how tips are asked for, and the answers: counted apart
TIPS: Final = "tips"
VOTES: Final = {2: "prepare", 3: "commit"}
KINDS: Final[dict[type[Record], str]] = {
    PrePrepare: "pre-prepare",
    ViewChange: "views",
    NewView: "views",
    Poll: POLLS,
    Tip: TIPS,
    AskBlocks: "asks",
    AskBlock: "asks",
    AskRead: "reads",
    GiveRead: "reads",
    Blocks: "blocks",
    GiveBlock: "blocks",
}


class Sort(NamedTuple):
    """What a frame is for, and the bytes that it stands for."""

    kind: str
    size: int


@dataclass
class Tally:
    """Messages and their bytes, by what they are for."""

    messages: Counter[str] = field(default_factory=Counter)
    size: Counter[str] = field(default_factory=Counter)

    def count(self, sort: Sort) -> None:
        """One more."""
        self.messages[sort.kind] += 1
        self.size[sort.kind] += sort.size


def transactions_in(message: object) -> int:
    """How many transactions travel in a message."""
    blocks: Sequence[Block] = ()
    if isinstance(message, PrePrepare | GiveBlock):
        blocks = (message.block,)
    elif isinstance(message, Blocks):
        blocks = message.blocks
    return sum(read_payload(block.payload).transactions for block in blocks)


Wire = Callable[[int, bytes, bytes], None]  # (number of the sender, to, frame)
Lie = Callable[["Assembly", "Machine", bytes, bytes], Sequence[tuple[bytes, bytes]]]


@dataclass
class Machine:
    """A processor with an inbox, a disk, and the engine on it; what it did, by height."""

    number: int
    address: bytes
    engine: Bft | None = None
    lie: Lie | None = None  # what it says in place of what its engine wants to say
    inbox: deque[tuple[Callable[..., None], tuple[object, ...]]] = field(default_factory=deque)
    busy: bool = False
    checks: int = 0  # since the engine was told something last
    signs: int = 0
    written: int = 0
    durable: int = 0
    syncing: bool = False
    waiting: list[Message] = field(default_factory=list)
    outputs: deque[tuple[int, Output]] = field(default_factory=deque)
    included: int = 0  # transactions executed
    worked: int = 0  # transactions checked, up to this number
    last_ms: int = 0  # the last block's time
    tick_ms: int | None = None
    executed: dict[int, int] = field(default_factory=dict)  # when [ns]
    digests: dict[int, bytes] = field(default_factory=dict)
    views: dict[int, int] = field(default_factory=dict)  # in which it was certified


def address_of(number: int) -> bytes:
    """A machine's."""
    return number.to_bytes(ADDRESS_BYTES, "big")


class Assembly:
    """Machines, their links, and what was said and decided."""

    def __init__(
        self,
        seed: int,
        members: int,
        agents: int,
        load: Load,
        *,
        links: Links,
        costs: Costs = FREE,
        settings: Settings = PATIENT,
        blocks: int = 1 << 40,
        gone: Sequence[int] = (),
        lies: Mapping[int, Lie] | None = None,
        wire: Wire | None = None,
    ) -> None:
        """Of `members`, the first `agents` are the committee: all of them in plain PBFT.

        The others are in as many groups as there are agents, dealt in turn. After `blocks` nobody proposes. Machines
        that are `gone` never start; `lies` are what others say, by number. `wire` takes frames in place of links:
        whoever gives it says when one `arrives`.
        """
        self.now = 0
        self.members, self.agents, self.load, self.blocks = members, agents, load, blocks
        self.costs, self.settings = costs, settings
        self.tally = Tally()
        self.reached: Counter[int] = Counter()  # by height, how many have executed it
        self.wire = wire
        chance = Chance(seed).stream("assembly")
        self._links, self._way = links, chance.stream("links").bits()
        self._drawn: dict[tuple[int, int], int] = {}
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._next = 0
        self._spent = 0  # of the processor that works now, since it began with the input
        self._arrived = 0  # transactions
        self._sorted = (b"", Sort("", 0))
        self._polled: Counter[tuple[bytes, bytes]] = Counter()  # polls without an answer: (who asks, who is asked)
        self.addresses = [address_of(number) for number in range(members)]
        self.secrets = [secret_of(address) for address in self.addresses]
        self.seals = KeyedHash(self.secrets)
        self._keys = {address: key_of(secret) for address, secret in zip(self.addresses, self.secrets, strict=True)}
        self.founding = self._founding()
        self.committee: Committee = committee_of(installed(self.founding, self.key_of))
        self.machines = [Machine(number, address) for number, address in enumerate(self.addresses)]
        for machine in self.machines:
            seed = chance.bits() >> 1
            machine.lie = (lies or {}).get(machine.number)
            if machine.number not in gone:
                self._start(machine, seed)
        if load.every_ms:
            self._comes()

    def _founding(self) -> Configuration:
        voters = tuple(Voter(address, 1) for address in self.addresses[: self.agents])
        return Configuration(0, None, voters, tuple(self.addresses[self.agents :]), 0, b"")

    def key_of(self, address: bytes) -> bytes:
        """A machine's key."""
        return self._keys[address]

    def group_of(self, agent: int) -> range:
        """The members that are not agents of an agent's group."""
        return range(self.agents + agent, self.members, self.agents)

    def _start(self, machine: Machine, seed: int) -> None:
        sign = self.seals.signer(self.secrets[machine.number])

        def signed(purpose: str, message: bytes) -> bytes:
            machine.signs += 1
            return sign(purpose, message)

        def checked(checks: Sequence[Signed]) -> list[bool]:
            machine.checks += len(checks)
            return self.seals.verify(checks)

        means = Means(signed, checked, self.key_of, outline)
        machine.engine = Bft(machine.address, CHAIN, self.founding, means, (), seed, self.time, 0, self.settings)
        if machine.number < self.agents:
            machine.engine.serve([self.addresses[member] for member in self.group_of(machine.number)], self.time)
        self._give(machine, self._demand)

    # Time -----------------------------------------------------------------------------------------------------------

    @property
    def time(self) -> Millis:
        """What every machine's clock says."""
        return Millis(START_MS + self.now // NS_PER_MS)

    def at(self, when: int, act: Callable[..., None], *arguments: object) -> None:
        """Something that happens at a time [ns]."""
        self._next += 1
        heapq.heappush(self._heap, (when, self._next, act, arguments))

    def run(self, until: int, holds: Callable[[], bool] | None = None) -> bool:
        """Until a time [ns], or until something holds: whether it does."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, act, arguments = heapq.heappop(self._heap)
            act(*arguments)
            if holds is not None and holds():
                return True
        self.now = max(self.now, until)
        return holds is not None and holds()

    def crash(self, number: int) -> None:
        """A machine ends, for good."""
        machine = self.machines[number]
        machine.engine = None
        machine.inbox.clear()

    @property
    def alive(self) -> list[Machine]:
        """Machines that run and do not lie."""
        return [machine for machine in self.machines if machine.engine is not None and machine.lie is None]

    # Work -----------------------------------------------------------------------------------------------------------

    def _give(self, machine: Machine, act: Callable[..., None], *arguments: object) -> None:
        """Something for a machine to do, after what came before it."""
        if machine.engine is None:
            return
        machine.inbox.append((act, arguments))
        if not machine.busy:
            self._work(machine)

    def _work(self, machine: Machine) -> None:
        """The next thing in the inbox; the processor is busy with it for as long as it takes."""
        while machine.inbox:
            act, arguments = machine.inbox.popleft()
            machine.busy, self._spent = True, 0
            act(machine, *arguments)
            if self._spent:
                self.at(self.now + self._spent, self._done, machine)
                return
            machine.busy = False

    def _done(self, machine: Machine) -> None:
        machine.busy = False
        self._work(machine)

    def _call(self, machine: Machine, input_: Callable[..., None], *arguments: object) -> None:
        """Tells an engine something, now, and charges what it signed and checked."""
        machine.checks = machine.signs = 0
        input_(*arguments, self.time)
        self._spent += machine.checks * self.costs.check_ns + machine.signs * self.costs.sign_ns

    def _charge(self, machine: Machine, payload: Payload) -> None:
        """Every machine checks and executes a transaction once, at its proposal or when it is committed."""
        end = payload.first + payload.transactions
        self._spent += max(end - machine.worked, 0) * self.costs.transaction_ns
        machine.worked = max(end, machine.worked)

    # Driving an engine, in the order that its contract asks for -----------------------------------------------------

    def _after_input(self, machine: Machine) -> None:
        engine = machine.engine
        if engine is None:
            return
        output = engine.drain()
        if output.records:
            machine.written = output.records[-1].position
        machine.waiting += output.messages
        if output.committed or output.judge or output.wanted:
            machine.outputs.append((machine.written, output))
        self._wake(machine, output.deadline)
        if not self.costs.sync_ns:
            machine.durable = machine.written
        elif machine.durable < machine.written and not machine.syncing:
            machine.syncing = True
            self.at(self.now + self._spent + self.costs.sync_ns, self._give, machine, self._synced, machine.written)
        self._flush(machine)
        if output.records and not self.costs.sync_ns:
            self._synced(machine, machine.written)

    def _synced(self, machine: Machine, position: int) -> None:
        assert machine.engine is not None
        machine.syncing, machine.durable = False, position
        self._call(machine, machine.engine.persisted, position)
        self._after_input(machine)

    def _flush(self, machine: Machine) -> None:
        durable = machine.durable
        ready = [each for each in machine.waiting if each.after <= durable]
        machine.waiting = [each for each in machine.waiting if each.after > durable]
        for message in ready:
            self._say(machine, message.to, message.data)
        while machine.outputs and machine.outputs[0][0] <= durable:
            self._do(machine, machine.outputs.popleft()[1])

    def _do(self, machine: Machine, output: Output) -> None:
        engine = machine.engine
        assert engine is not None
        for committed in output.committed:
            payload = read_payload(committed.payload)
            self._charge(machine, payload)
            machine.included += payload.transactions
            machine.last_ms = payload.time_ms
            chained = engine.block(committed.index)
            assert chained is not None
            self._executed(machine, committed.index, chained)
            self._call(machine, engine.applied, committed.index, b"")
            self._call(machine, engine.demand, self._oldest(machine))
            self._after_input(machine)
        for judged in output.judge:
            payload = read_payload(judged.payload)
            self._charge(machine, payload)
            self._call(machine, engine.judged, judged.digest, payload.first == machine.included)
            self._after_input(machine)
        if output.wanted is not None and engine.takes and engine.height < self.blocks:
            payload = self._block(machine)
            if payload.transactions:
                self._charge(machine, payload)
                self._call(machine, engine.propose, (encode(payload),))
                self._after_input(machine)

    def _executed(self, machine: Machine, height: int, chained: Chained) -> None:
        machine.executed[height] = self.now + self._spent
        machine.digests[height] = chained.commit_certificate.digest
        machine.views[height] = chained.commit_certificate.view
        self.reached[height] += 1

    # Transactions ---------------------------------------------------------------------------------------------------

    def _block(self, machine: Machine) -> Payload:
        """What a machine would propose."""
        time = max(int(self.time), machine.last_ms + 1)
        arrived = self._arrived - machine.included if self.load.every_ms else self.load.transactions
        return Payload(time, machine.included, min(arrived, self.load.transactions))

    def _oldest(self, machine: Machine) -> Millis | None:
        """Since when the oldest transaction that it has not executed has waited."""
        if not self.load.every_ms:
            return self.time
        if machine.included >= self._arrived:
            return None
        return Millis(START_MS + machine.included * self.load.every_ms)

    def _demand(self, machine: Machine) -> None:
        assert machine.engine is not None
        self._call(machine, machine.engine.demand, self._oldest(machine))
        self._after_input(machine)

    def _comes(self) -> None:
        """A transaction is at every machine."""
        self._arrived += 1
        for machine in self.machines:
            self._give(machine, self._demand)
        self.at(self._arrived * self.load.every_ms * NS_PER_MS, self._comes)

    # Messages -------------------------------------------------------------------------------------------------------

    def _say(self, machine: Machine, to: bytes, frame: bytes) -> None:
        if machine.lie is None:
            self.send(machine, to, frame)
            return
        for each, data in machine.lie(self, machine, to, frame):
            self.send(machine, each, data)

    def send(self, machine: Machine, to: bytes, frame: bytes) -> None:
        """A frame on its way."""
        sort = self._sort_of(frame)
        if sort.kind == POLLS:
            self._polled[machine.address, to] += 1
        elif sort.kind == TIPS and self._polled[to, machine.address]:
            self._polled[to, machine.address] -= 1
            sort = Sort(POLLS, sort.size)
        self.tally.count(sort)
        if self.wire is not None:
            self.wire(machine.number, to, frame)
            return
        self._spent += self.costs.send_ns + sort.size * self.costs.byte_sent_ps // PS_PER_NS
        target = self.machines[int.from_bytes(to, "big")]
        arrives = self.now + self._spent + self._delay_ns(machine.number, target.number)
        self.at(arrives, self.arrives, target, machine.address, frame, sort.size)

    def arrives(self, machine: Machine, sender: bytes, frame: bytes, size: int) -> None:
        """A frame is at a machine."""
        self._give(machine, self._hear, sender, frame, size)

    def _hear(self, machine: Machine, sender: bytes, frame: bytes, size: int) -> None:
        assert machine.engine is not None
        self._spent += self.costs.receive_ns + size * self.costs.byte_received_ps // PS_PER_NS + self.costs.engine_ns
        self._call(machine, machine.engine.receive, sender, frame)
        self._after_input(machine)

    def _sort_of(self, frame: bytes) -> Sort:
        """What a frame is; one that goes to many is looked at once."""
        if self._sorted[0] is not frame:
            message = from_frame(frame)
            kind = VOTES[message.phase] if isinstance(message, Vote) else KINDS[type(message)]
            self._sorted = (frame, Sort(kind, len(frame) + transactions_in(message) * TRANSACTION_BYTES))
        return self._sorted[1]

    def _delay_ns(self, sender: int, receiver: int) -> int:
        link = (sender, receiver)
        if link not in self._drawn:
            drawn = Chance(self._way + (sender << 32) + receiver)  # whoever else talks, and in whatever order
            self._drawn[link] = drawn.between(self._links.low_us, self._links.high_us) * NS_PER_US
        return self._drawn[link]

    # Timers ---------------------------------------------------------------------------------------------------------

    def _wake(self, machine: Machine, deadline: int | None) -> None:
        if deadline is not None and (machine.tick_ms is None or deadline < machine.tick_ms):
            machine.tick_ms = deadline
            self.at(max((deadline - START_MS) * NS_PER_MS, self.now), self._ring, machine, deadline)

    def _ring(self, machine: Machine, deadline: int) -> None:
        if machine.tick_ms == deadline:
            machine.tick_ms = None
            self._give(machine, self._tick)

    def _tick(self, machine: Machine) -> None:
        assert machine.engine is not None
        self._call(machine, machine.engine.tick)
        self._after_input(machine)
