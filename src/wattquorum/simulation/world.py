"""The world: hosts, a network and clients under one seed, which decides everything that happens.

Events stand in one heap, ordered by time and then by when they were put there. Every event goes into a hash, so that
two runs are the same exactly if their hashes are. First comes the safety phase, in which anything may fail at any
time; then faults freeze: some hosts, as many as the voting powers let be lost, are dead for good, all others are
repaired and stay so, and within a bounded time every client must be answered again and all living ledgers agree (I13).
Liveness is asked of a frozen world, because a world that heals by itself hides livelocks.
"""

from __future__ import annotations

import hashlib
import heapq
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import SigningKey
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.transactions import ReadyValidator
from wattquorum.replica.replica import Kind, Work, read_frame
from wattquorum.simulation.checkers import Broken, Checkers, must
from wattquorum.simulation.clients import Client
from wattquorum.simulation.clock import Clock
from wattquorum.simulation.course import Course, Event
from wattquorum.simulation.founding import Founding
from wattquorum.simulation.host import E, Host, Plan
from wattquorum.simulation.network import Network, Weather

SHOWN_EVENTS: Final = 60
READY_TRIES: Final = 3
CONSERVED: Final = "I14"  # what a ledger refuses to go on from
DIVERGED: Final = "I7"
WRONG_MS: Final = tuple(sign * hours * 3_600_000 for hours in (1, 10, 10 * 365 * 24) for sign in (1, -1))
TIME_LATE_MS: Final = 1_000  # by how much a block's time may lie behind the right clocks, for answers under way
ERROR: Final = "error"  # no invariant: something raised what nothing should


@dataclass(frozen=True, kw_only=True, slots=True)
class Nature:
    """What may go wrong in a world, and how long it lasts."""

    hosts: int
    weather: Weather
    parameters: dict[str, int] = field(default_factory=dict)  # of the chain, beside the defaults
    spares: int = 0  # of the hosts: they do not vote at first
    removals: int = 0  # of the other hosts: governors take their votes away
    clients: int = 3
    clock_ahead_ms: int = 0  # how far clocks are apart at the beginning, at most
    clock_drift_ppm: int = 0
    wrong_clocks: bool = False  # whether as many clocks as replicas may be lost can be wrong by hours and years
    sync_ms: tuple[int, int] = (0, 3)
    trouble_ms: tuple[int, int] | None = None  # from one trouble to the next
    troubles: tuple[str, ...] = ()  # the kinds that exist
    linger_ms: int = (
        0  # how long a host may take in frames before it does what they ask, so that several cost one write
    )
    safety_ms: int = 15_000
    liveness_ms: int = 60_000


class Breach(NamedTuple):
    """An invariant that did not hold, what was found, and the last events in order."""

    invariant: str
    found: str
    story: tuple[str, ...]


class Counts(NamedTuple):
    """How much happened."""

    events: int
    blocks: int
    elections: int  # terms or views with a leader
    changes: int  # configurations that were in force after the first
    crashes: int
    world_ms: int
    liars: int = 0  # members who follow those who agree, and lie
    lies: int = 0  # that these told


class Outcome(NamedTuple):
    """How a world ended."""

    seed: int
    breach: Breach | None
    trace: str  # hexadecimal
    counts: Counts


class World(Course[E]):
    """One seed's world, whatever its protocol. `run` lets it happen."""

    checkers: Checkers
    nature: Nature

    def __init__(self, seed: int, nature: Nature) -> None:
        self.seed = seed
        self.nature = nature
        chance = Chance(seed)
        self.chance = chance.stream("world")
        self._troubles = chance.stream("troubles")
        founding = Founding(seed, nature.hosts, nature.clients, nature.parameters, nature.spares)
        self.created_ms = founding.created_ms
        self.founding = founding
        plan = self._plan(founding.genesis)
        ledger = Ledger(founding.genesis)
        hosts = [
            Host(number, key, ledger.chain_id, plan, self._clock(chance, number), chance.stream(f"host {number}"))
            for number, key in enumerate(self._host_keys(founding))
        ]
        super().__init__(hosts, Network(len(hosts), nature.weather, chance.stream("network")))
        self.clients: list[Client] = [
            Client(key, ledger.chain_id, chance.stream(f"client {number}"))
            for number, key in enumerate(founding.client_keys)
        ]
        governor = chance.stream("governor")
        appointments = founding.appointments(range(nature.removals))
        if nature.spares or nature.removals:
            governor.shuffle(appointments)
        signed = [payload for each in appointments for payload in each]
        self.clients.append(Client(founding.governor_key, ledger.chain_id, governor, signed, endless=False))
        for number in range(nature.hosts - nature.spares, nature.hosts):  # it may ask before it is admitted, in vain
            asks = [ReadyValidator(self.hosts[number].address)] * READY_TRIES
            member = chance.stream(f"member {number}")
            self.clients.append(Client(founding.member_keys[number], ledger.chain_id, member, asks, endless=False))
        self.checkers = self._checkers(ledger)
        self._hash = hashlib.sha256()
        self._recent: deque[tuple[Event | str, bool]] = deque(maxlen=SHOWN_EVENTS)  # and whether it is missed
        self._reads: dict[tuple[int, int, int], int] = {}  # (host, its life, read): what it must see
        self._asked: dict[tuple[int, int], int] = {}  # by (host, its life): how many reads began there
        self._frozen = False
        self._wrong = self._doubtful(chance.stream("wrong clocks"))
        self._apart = dict.fromkeys(self._wrong, 0)  # by host: how far its clock is from what it would show
        self.on_event: Callable[[str], None] | None = None

    def _clock(self, chance: Chance, number: int) -> Clock:
        own = chance.stream(f"clock {number}")
        ahead, drift = self.nature.clock_ahead_ms, self.nature.clock_drift_ppm
        return Clock(self.created_ms + own.below(ahead + 1), own.between(-drift, drift))

    def _doubtful(self, chance: Chance) -> list[int]:
        """The hosts whose clocks may be wrong in this world: together they are never a quorum."""
        hosts = list(range(self.nature.hosts))
        chance.shuffle(hosts)
        return sorted(hosts[: self._lost_at_most()]) if self.nature.wrong_clocks else []

    # What a protocol makes of it ------------------------------------------------------------------------------------

    def _plan(self, genesis: bytes) -> Plan[E]:
        """How replicas are put together."""
        raise NotImplementedError

    def _host_keys(self, founding: Founding) -> Sequence[SigningKey]:
        """The keys of the hosts, in their order."""
        return founding.host_keys

    def _checkers(self, ledger: Ledger) -> Checkers:
        """What must hold."""
        raise NotImplementedError

    def _lost_at_most(self) -> int:
        """How many may be lost, whoever votes by then."""
        raise NotImplementedError

    def _orders(self, host: Host[E]) -> bool:
        """Whether a host leads: it is hurt most by what happens to it."""
        raise NotImplementedError

    def _engine_did(self, host: Host[E], work: Work) -> None:
        """A host's engine took an input: whether everything that its protocol promises still holds."""
        raise NotImplementedError

    def _says(self, frame: bytes) -> object:
        """The protocol's message in an engine's frame. Refused for what none is."""
        raise NotImplementedError

    def _late_ms(self) -> int:
        """By how much a block's time may lie behind all right clocks."""
        return TIME_LATE_MS

    def _sync_ms(self, _host: Host[E]) -> tuple[int, int]:
        """How long a host's disk takes when nothing troubles it."""
        return self.nature.sync_ms

    def _is_judged(self, _host: Host[E]) -> bool:
        """Whether what a host has done has to be right."""
        return True

    # Time -----------------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Both phases; ends with the first invariant that does not hold."""
        breach = None
        try:
            self.begin()
            self.happen_until(self.nature.safety_ms)
            self._freeze()
            self._progress()
        except Broken as broken:
            breach = Breach(broken.invariant, broken.found, self.story())
        except Refused as refused:
            breach = Breach(
                CONSERVED if refused.code == "conservation_broken" else DIVERGED, str(refused), self.story()
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, this seed found it and others have to be tried
            breach = Breach(ERROR, _raised(error), self.story())
        return Outcome(
            self.seed,
            breach,
            self._hash.hexdigest(),
            Counts(
                self._order,
                self.checkers.height,
                self.checkers.elections,
                self.checkers.changes,
                sum(host.crashes for host in self.hosts),
                self.now,
            ),
        )

    def begin(self) -> None:
        """Starts all hosts and clients."""
        for host in self.hosts:
            host.sync_ms = self._sync_ms(host)
            self.put(0, "start", host.number)
        for number in range(len(self.clients)):
            self.put(self.chance.below(500), "client", -1, number)
        if self.nature.trouble_ms is not None and self.nature.troubles:
            self.put(self.chance.between(*self.nature.trouble_ms), "trouble")

    def _note(self, event: Event) -> None:
        what = event.what
        detail = hashlib.sha256(what[2]).hexdigest() if event.kind == "frame" else repr(what)
        self._hash.update(f"{event.at} {event.kind} {event.host} {detail}\n".encode())
        missed = event.kind == "frame" and not self._arrives(*what)
        if event.kind == "client" and not self.clients[what].waits_for:
            return  # it has nothing to say
        if event.kind != "trouble":  # what kind it is and whom it hits is told when it is known
            self._tell(event, missed=missed)

    def _tell(self, told: Event | str, *, missed: bool = False) -> None:
        """Something for the story, and for who listens; no part of the trace."""
        line = f"{self.now:>7} ms  {told}" if isinstance(told, str) else ""
        self._recent.append((line or told, missed))
        if self.on_event is not None:
            self.on_event(self._line(line or told, missed=missed))

    def _line(self, told: Event | str, *, missed: bool) -> str:
        return told if isinstance(told, str) else self.told(told, missed=missed)

    def _arrives(self, sender: int, receiver: int, _: bytes) -> bool:
        return self.hosts[receiver].runs and self.network.reaches(sender, receiver)

    def story(self) -> tuple[str, ...]:
        """The last events in order, one line each."""
        return tuple(self._line(event, missed=missed) for event, missed in self._recent)

    def told(self, event: Event, *, missed: bool) -> str:
        """An event as a line that a person reads; `missed`: a frame for a host that is down or cut off from it."""
        at = f"{event.at:>7} ms  "
        if event.kind == "frame":
            sender, _, frame = event.what
            verb = "misses" if missed else "gets"
            return f"{at}{name(event.host)} {verb} from {name(sender)}: {self.described(frame)}"
        who = name(event.host) if event.host >= 0 else ""
        about = "" if event.what is None else f" {event.what}"
        return f"{at}{who} {event.kind}{about}".rstrip()

    def described(self, frame: bytes) -> str:
        """What a frame says."""
        try:
            kind, data = read_frame(frame)
            message = self._says(data) if kind is Kind.ENGINE else None
        except Refused:
            return f"{len(frame)} bytes"
        return f"{kind.name.lower()}, {len(data)} bytes" if message is None else said(message)

    # What happens at hosts ------------------------------------------------------------------------------------------

    def _on_frame(self, host: Host[E], what: tuple[int, int, bytes]) -> None:
        sender, _, frame = what
        if host.replica is not None and self.network.reaches(sender, host.number):
            host.replica.receive(self.hosts[sender].address, frame, self.local(host))
            if self.nature.linger_ms:
                self.put(self.now + self.chance.below(self.nature.linger_ms + 1), "linger", host.number, host.crashes)
            else:
                self._step(host)

    def _on_linger(self, host: Host[E], life: int) -> None:
        if host.runs and life == host.crashes:
            self._step(host)

    def _did(self, host: Host[E], work: Work) -> None:
        """Looks whether everything still holds, and tells clients what was done."""
        assert host.replica is not None
        self._engine_did(host, work)
        if not self._is_judged(host):
            return
        for executed in work.finished:
            self.checkers.timed(executed.block.header, self._right_clocks())
            self.checkers.executed(executed, host.replica.ledger)
            self._tell_clients(host, executed.block.header.height, [r.transaction for r in executed.block.receipts])
        for read in work.reads:
            sees = self._reads.pop((host.number, host.crashes, read), 0)
            self.checkers.read(host.replica.ledger, sees)

    # Clients --------------------------------------------------------------------------------------------------------

    def _tell_clients(self, host: Host[E], height: int, transactions: list[bytes]) -> None:
        for client in self.clients:
            if client.waits_for in transactions and client.host == host.number:
                self.checkers.told(client.waits_for, height)
                client.told()

    def _on_client(self, _: None, number: int) -> None:
        client = self.clients[number]
        if not client.waits_for and not client.has_more:
            return
        if not client.waits_for:
            client.next(self.now, self.created_ms)
            self._submit(client)
        elif client.is_impatient(self.now):
            self._submit(client)
        if self.chance.happens(300_000):
            self._ask(self.chance.pick(self.hosts))
        self.put(self.now + self.chance.between(50, 400), "client", -1, number)

    def _submit(self, client: Client) -> None:
        """Sends it to any host that runs; one that does not lead passes it on."""
        running = [host for host in self.hosts if host.runs and not host.paused]
        if not running:
            return
        host = self.chance.pick(running)
        client.host, client.sent_ms = host.number, self.now
        assert host.replica is not None
        place = self.checkers.stands(client.waits_for)
        if (
            place is not None and place <= host.replica.ledger.height
        ):  # nodes keep their blocks, which are the same (I7)
            self._tell_clients(host, place, [client.waits_for])
            return
        host.replica.accept(client.data, None, self.local(host))
        host.replica.turn(self.local(host))
        self._step(host)

    def _ask(self, host: Host[E]) -> None:
        """Begins a read: it must show every block that anybody was told of before.

        Every life of a host counts its reads from 1, so that answers to a former one would be taken if they could.
        """
        if host.replica is None or host.paused:
            return
        life = host.number, host.crashes
        self._asked[life] = read = self._asked.get(life, 0) + 1
        self._reads[*life, read] = self.checkers.acknowledged
        host.replica.read(read, self.local(host))
        self._step(host)

    # Trouble --------------------------------------------------------------------------------------------------------

    def _on_trouble(self, _host: None, _what: None) -> None:
        if self._frozen or self.nature.trouble_ms is None:
            return
        kind = self._troubles.pick(self.nature.troubles)
        getattr(self, f"_make_{kind}")()
        self._tell(f"trouble: {kind.replace('_', ' ')}, so that {self._cuts()}")
        self.put(self.now + self._troubles.between(*self.nature.trouble_ms), "trouble")

    def _victim(self) -> Host[E]:
        """Half the time the leader, which it hurts most; otherwise anybody."""
        leaders = [host for host in self.hosts if self._orders(host)]
        if leaders and self._troubles.happens(500_000):
            return self._troubles.pick(leaders)
        return self._troubles.pick(self.hosts)

    def _cuts(self) -> str:
        hosts = range(len(self.hosts))
        cut = [f"{one}>{other}" for one in hosts for other in hosts if not self.network.reaches(one, other)]
        return f"nothing comes through {' '.join(cut)}" if cut else "everybody reaches everybody"

    def _make_crash(self) -> None:
        for _ in range(self._troubles.between(1, 2)):
            victim = self._victim()
            self.put(self.now, "crash", victim.number)
            self.put(self.now + self._troubles.between(20, 4_000), "start", victim.number)

    def _make_blackout(self) -> None:
        """All crash at once; what was not synced anywhere is gone everywhere."""
        for host in self.hosts:
            self.put(self.now, "crash", host.number)
            self.put(self.now + self._troubles.between(20, 2_000), "start", host.number)

    def _make_pause(self) -> None:
        victim = self._victim()
        until = self.now + self._troubles.between(50, 3_000)
        self.put(self.now, "pause", victim.number, until)

    def _make_split(self) -> None:
        """A part of the hosts and the rest hear nothing of each other, or only one way."""
        part = [host.number for host in self.hosts if self._troubles.happens(500_000)]
        one_way = self._troubles.happens(300_000)
        for inside in part:
            for outside in range(len(self.hosts)):
                if outside not in part:
                    self.network.cut(inside, outside)
                    if not one_way:
                        self.network.cut(outside, inside)
        self.put(self.now + self._troubles.between(200, 5_000), "heal")

    def _make_isolation(self) -> None:
        """One host hears nothing, or is not heard, or both."""
        victim = self._victim().number
        deaf, mute = self._troubles.pick([(True, True), (True, False), (False, True)])
        for other in range(len(self.hosts)):
            if other != victim and deaf:
                self.network.cut(other, victim)
            if other != victim and mute:
                self.network.cut(victim, other)
        self.put(self.now + self._troubles.between(200, 5_000), "heal")

    def _make_broken_link(self) -> None:
        """Two hosts do not hear each other, and all others do."""
        one, other = self._victim().number, self._troubles.below(len(self.hosts))
        if one != other:
            self.network.cut(one, other)
            self.network.cut(other, one)
            self.put(self.now + self._troubles.between(500, 6_000), "heal")

    def _make_slow_disk(self) -> None:
        victim = self._victim()
        victim.sync_ms = (self._troubles.between(20, 200), self._troubles.between(200, 800))
        self.put(self.now + self._troubles.between(500, 5_000), "fast", victim.number)

    def _make_clock_jump(self) -> None:
        self.put(self.now, "jump", self._victim().number, self._troubles.between(10, 3_000))

    def _make_wrong_clock(self) -> None:
        """A clock is wrong by hours or years from now on, otherwise wrong than before, or right again."""
        self._set_apart(self._troubles.pick(self._wrong), self._troubles.pick((0, *WRONG_MS)))

    def _set_apart(self, number: int, apart_ms: int) -> None:
        """Sets a clock; one that is set back is read again when its host starts again."""
        by_ms = apart_ms - self._apart[number]
        if by_ms < 0:
            self.put(self.now, "crash", number)
            self.put(self.now + self._troubles.between(20, 1_000), "start", number)
        self._apart[number] = apart_ms
        self.put(self.now, "jump", number, by_ms)

    def _right_clocks(self) -> list[int]:
        """What the clocks show that may be trusted."""
        return [self.local(host) for host in self.hosts if host.number not in self._apart]

    def _on_crash(self, host: Host[E], _: None) -> None:
        if host.runs:
            host.crash()

    def _on_pause(self, host: Host[E], until: int) -> None:
        if host.runs:
            host.paused, host.paused_until = True, until
            self.put(until, "resume", host.number)

    def _on_resume(self, host: Host[E], _: None) -> None:
        """It may still believe that it leads; what it is asked now must not be answered by what it had before."""
        host.paused = False
        self._ask(host)

    def _on_heal(self, _host: None, _what: None) -> None:
        self.network.heal()

    def _on_fast(self, host: Host[E], _: None) -> None:
        host.sync_ms = self._sync_ms(host)

    def _on_jump(self, host: Host[E], by_ms: int) -> None:
        host.clock.set(self.now, by_ms)
        if host.replica is not None:
            host.replica.turn(self.local(host))
            self._step(host)

    # Liveness -------------------------------------------------------------------------------------------------------

    def _freeze(self) -> None:
        """No faults from now on, but that as many hosts as may be lost are dead and stay so, whichever they are."""
        self._frozen = True
        self.network.heal()
        self.network.weather = Weather(self.nature.weather.delay_ms, self.nature.weather.jitter_ms)
        doomed = self._doomed()
        self._heap = [event for event in self._heap if event.kind not in ("start", "crash")]
        heapq.heapify(self._heap)
        for host in self.hosts:
            host.sync_ms, host.paused = self._sync_ms(host), False
            if host in doomed:
                self.put(self.now, "crash", host.number)
            elif not host.runs:
                self.put(self.now, "start", host.number)
        wrong = [number for number in self._wrong if self._apart[number] and self.hosts[number] not in doomed]
        for number in wrong[self._lost_at_most() - len(doomed) :]:  # who is wrong is as good as lost
            self._set_apart(number, 0)

    def _doomed(self) -> list[Host[E]]:
        """Who is lost for good."""
        doomed = list(self.hosts)
        self._troubles.shuffle(doomed)
        del doomed[self._troubles.below(self._lost_at_most() + 1) :]
        return doomed

    def _progress(self) -> None:
        """I13: every client is answered twice more, all that live end with one ledger, and their reads are answered."""
        goals = [client.done + 2 if client.endless else 0 for client in self.clients]
        end = self.now + self.nature.liveness_ms
        reached = min(self._right_clocks())
        while any(client.done < goal for client, goal in zip(self.clients, goals, strict=True)):
            must(self.now < end, "I13", f"no progress in {self.nature.liveness_ms} ms without faults")
            self.happen_until(self.now + 100)
        while len(dict.fromkeys(ledger.height for ledger in self._members_ledgers())) > 1:
            must(self.now < end, "I13", "ledgers stay apart without faults")
            self.happen_until(self.now + 10)
        self.checkers.went_on(self._members_ledgers()[0], reached - self._late_ms())
        waiting = list(self._reads_of_members())
        while any(read in self._reads for read in waiting):
            must(self.now < end, "I13", "a read waits for ever without faults")
            self.happen_until(self.now + 10)

    def _members_ledgers(self) -> list[Ledger]:
        """The ledgers of all that live and vote or learn, by the ledger that is furthest. Others are sent nothing."""
        alive = [
            (host.address, host.replica.ledger)
            for host in self.hosts
            if host.replica is not None and self._is_judged(host)
        ]
        configuration = max((ledger for _, ledger in alive), key=lambda ledger: ledger.height).configuration
        members = [*(voter.replica for voter in configuration.new), *configuration.learners]
        return [ledger for address, ledger in alive if address in members]

    def _reads_of_members(self) -> Iterator[tuple[int, int, int]]:
        """The reads that wait at hosts which live and vote or learn, in this life of theirs."""
        ledgers = self._members_ledgers()
        for number, life, read in self._reads:
            host = self.hosts[number]
            if host.replica is not None and host.crashes == life and any(host.replica.ledger is one for one in ledgers):
                yield number, life, read


def _raised(error: Exception) -> str:
    """What was raised, and where."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (in {where.name}, {PurePath(where.filename).name}:{where.lineno})"


def name(number: int) -> str:
    """What a host is called in a story."""
    return f"host {number}"


def said(message: Any) -> str:
    """A message in short."""
    parts = []
    for field_name in message.__struct_fields__:
        value = getattr(message, field_name)
        if isinstance(value, tuple):
            value = f"{len(value)}"
        elif isinstance(value, bytes):
            value = f"{len(value)} bytes"
        elif field_name == "configuration":
            value = f"version {value.version}"
        elif hasattr(value, "__struct_fields__"):
            value = f"of {getattr(value, 'height', '?')}"
        parts.append(f"{field_name} {value}")
    return f"{type(message).__name__} {', '.join(parts)}"
