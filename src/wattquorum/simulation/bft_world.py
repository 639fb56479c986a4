"""Worlds in which a committee agrees although up to a third of it lie, and so may any of those who follow it.

Beside everything that fails in any world, some members are liars, in ways that their seed draws, or run twice with one
key (Twins). They go on lying when faults freeze: those who are honest must agree, and go on, all the same. In harder
worlds trouble comes when it hurts most, clocks wander, some disks are slow for good, and liars are more cunning.

Where agents are elected any number of the other members may lie too (`bystanders`), to those who follow and to those
who agree. What a committee promises is about its own members, and whoever stands may be elected into it. So these liars
never stand; they vote, for one who lies where they can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wattquorum.consensus.bft.blocks import Block, proposal_of
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.messages import PrePrepare, from_frame
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Seals
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import decode_agreed
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.transactions import Body, sign
from wattquorum.replica.agreeing import Outliner
from wattquorum.replica.pool import Limits
from wattquorum.replica.recovery import recovered
from wattquorum.replica.replica import Kind, Work, engine_frame, framed, read_frame
from wattquorum.replica.states import decode_state_message
from wattquorum.simulation.ambush import Ambush
from wattquorum.simulation.bft_checkers import BftCheckers
from wattquorum.simulation.bft_plan import BftPlan
from wattquorum.simulation.bystanders import Talk, drawn_answers, drawn_talks
from wattquorum.simulation.checkers import must
from wattquorum.simulation.cunning import drawn_cunning
from wattquorum.simulation.founding import Founding
from wattquorum.simulation.host import Host
from wattquorum.simulation.liars import TOGETHER, Conspiracy, Liar, Lie, another, drawn, lied
from wattquorum.simulation.state_lies import STATE_LIES
from wattquorum.simulation.verified import Verified
from wattquorum.simulation.world import Nature, Outcome, World, name
from wattquorum.traders.ballots import ballot, booth_of
from wattquorum.traders.voting import Paper, most_trusted

WANDER_PPM = 50_000
BALLOT_BLOCKS, BALLOT_MS = 100, 60_000  # how long a ballot may wait for a block
TALKS_MS = 50, 600  # from one thing that a lying member says unasked to the next


@dataclass(frozen=True, kw_only=True, slots=True)
class BftNature(Nature):
    """What may go wrong in such a world, and within which times its engines work."""

    settings: Settings
    liars: int = 0  # of the hosts; more than a third of a committee break its promise
    twins: int = 0  # of the liars: they are honest, but run twice
    hostile: bool = False  # liars help each other to make a fork
    tick_ms: int = 0
    agents: int = 0  # who agree for all, whom members elect; 0: everybody agrees
    bystanders: int = 0  # of the hosts that do not agree at first: they never stand, and lie
    ambush_ppm: int = 0  # how often whoever has just prepared a block, or begins to lead, is struck at once
    wander_ms: int = 0  # how far right clocks wander; 0: they go on as they began
    slow_disks: int = 0  # of the hosts: their disks are slow for good
    slow_sync_ms: tuple[int, int] = (0, 0)
    cunning: bool = False  # liars aim at single checks


class BftWorld(World[Bft]):
    """One seed's world."""

    nature: BftNature
    checkers: BftCheckers

    def __init__(self, seed: int, nature: BftNature) -> None:
        self._bad: list[int] = []
        self._bystanders: list[int] = []
        self._lies: dict[int, tuple[Lie, ...]] = {}
        self._talks: dict[int, tuple[Talk, ...]] = {}
        self.lies_told = 0  # that bystanders told
        self._verified = Verified()
        super().__init__(seed, nature)
        self._views: dict[int, tuple[int, bool]] = {}  # by host, as told last
        self._by_address: dict[bytes, list[int]] = {}
        for host in self.hosts:
            self._by_address.setdefault(host.address, []).append(host.number)
        lying = self.chance.stream("liars")
        self._them = Conspiracy(self.checkers.chain, lying, self._verified, Outliner(Limits()), self._another)
        self._them.liars = [host for host in self.hosts if not self._is_judged(host)]
        self._them.later = self._say_later
        twins = self._bad[: nature.twins]
        for number in self._bad[nature.twins : nature.liars]:
            ways = drawn_cunning if nature.cunning else drawn
            self._lies[number] = TOGETHER if nature.hostile and not nature.cunning else ways(lying)
        chatter = self.chance.stream("bystanders")
        alike = (drawn_answers(chatter), drawn_talks(chatter)) if chatter.happens(500_000) else None
        for number in self._bystanders:
            self._lies[number], self._talks[number] = alike or (drawn_answers(chatter), drawn_talks(chatter))
        self._chatter = chatter
        self.twins = twins
        harder = self.chance.stream("harder")
        self._ambush = Ambush(self, harder.stream("ambush"), nature.ambush_ppm, nature.settings.timeout_ms)
        self._wandering = harder.stream("clocks")
        slow = list(range(nature.hosts))
        harder.shuffle(slow)
        self._slow = slow[: nature.slow_disks]

    def begin(self) -> None:
        """Starts everything, and where agents are elected the programs of all members."""
        super().begin()
        if self.nature.wander_ms:
            for host in self.hosts:
                if host.number not in self._apart:
                    self.put(0, "wander", -1, host.number)
        if self.nature.agents:
            for number in range(self.nature.hosts):
                self.put(self.chance.below(500), "elector", -1, number)
        for number in self._bystanders:
            self.put(self._chatter.between(*TALKS_MS), "talk", number)

    def run(self) -> Outcome:
        """As every world, and tells how many members lied without agreeing, and how often."""
        outcome = super().run()
        return outcome._replace(counts=outcome.counts._replace(liars=len(self._bystanders), lies=self.lies_told))

    def _on_talk(self, host: Host[Bft], _: None) -> None:
        """A lying member says something unasked: to everybody, or to a few."""
        if host.engine is not None:
            self._them.now = self.now
            frames = self._chatter.pick(self._talks[host.number])(self._them, host)
            others = [other for other in range(len(self.hosts)) if other != host.number]
            if self._chatter.happens(500_000):
                self._chatter.shuffle(others)
                others = others[:2]
            for other in others:
                self.lies_told += len(frames)
                for frame in frames:
                    self._carry(host.number, other, frame)
        self.put(self.now + self._chatter.between(*TALKS_MS), "talk", host.number)

    def _on_elector(self, _: None, number: int) -> None:
        """A member's program looks at some replica's ledger, and says what it should say by it."""
        key = self.founding.member_keys[number]
        me = address_of(self.checkers.chain, key.public)
        running = [host for host in self.hosts if host.runs and not host.paused]
        if running:
            host = self.chance.pick(running)
            assert host.replica is not None
            ledger = host.replica.ledger
            booth = booth_of(ledger, me)
            if number in self._bystanders:
                account, said = ledger.account(me), ballot(booth._replace(may_stand=False), self._accomplice)
            else:
                account, said = ledger.account(me), ballot(booth)
            if account is not None and said is not None:
                now = self.local(host)
                body = Body(ledger.chain_id, me, account.nonce, ledger.height + BALLOT_BLOCKS, now + BALLOT_MS, said)
                host.replica.accept(sign(key, body), None, now)
                host.replica.turn(now)
                self._step(host)
        self.put(self.now + self.chance.between(50, 250), "elector", -1, number)

    def _accomplice(self, paper: Paper) -> bytes | None:
        """For whom a lying member votes: for one of its group that stands and lies, if there is one."""
        keys = [self.founding.member_keys[number] for number in self._bad[: self.nature.liars]]
        lying = [address_of(self.checkers.chain, key.public) for key in keys]
        standing = [each.member for each in paper.choices if each.stands and each.member in lying]
        return standing[0] if standing else most_trusted(paper)

    def _on_wander(self, _: None, number: int) -> None:
        """A clock runs otherwise fast or slow, and back towards the right time when it is too far from that."""
        host = self.hosts[number]
        apart = self.local(host) - self.created_ms - self.now
        drift = self._wandering.between(-WANDER_PPM, WANDER_PPM)
        if abs(apart) > self.nature.wander_ms:
            drift = -abs(drift) if apart > 0 else abs(drift)
        host.clock.drift(self.now, drift)
        self.put(self.now + self._wandering.between(100, 1_000), "wander", -1, number)

    def _on_alone(self, host: Host[Bft], length: int) -> None:
        """All links pass again but this host's, for so long."""
        if self._frozen:
            return
        self.network.heal()
        for other in range(len(self.hosts)):
            if other != host.number:
                self.network.cut(other, host.number)
                self.network.cut(host.number, other)
        self.put(self.now + length, "heal")

    def _sync_ms(self, host: Host[Bft]) -> tuple[int, int]:
        return self.nature.slow_sync_ms if host.number in self._slow else self.nature.sync_ms

    def _plan(self, genesis: bytes) -> BftPlan:
        self.plan = BftPlan(genesis, self._verified, self.nature.settings, self.nature.tick_ms)
        return self.plan

    def _host_keys(self, founding: Founding) -> Sequence[SigningKey]:
        """Twins come after all others."""
        names = list(range(self.nature.hosts))
        self.chance.stream("who lies").shuffle(names)
        if self.nature.bystanders:  # who agrees at first may lie as one that agrees, and all others as bystanders
            ledger = Ledger(founding.genesis)
            agreeing = [voter.replica for voter in ledger.configuration.new]
            addresses = [address_of(ledger.chain_id, key.public) for key in founding.host_keys]
            names.sort(key=lambda number: addresses[number] not in agreeing)
            self._bystanders = names[len(agreeing) :][: self.nature.bystanders]
        self._bad = names[: self.nature.liars]
        twins = [founding.host_keys[number] for number in self._bad[: self.nature.twins]]
        self._bad += range(self.nature.hosts, self.nature.hosts + len(twins))
        return [*founding.host_keys, *twins]

    def _checkers(self, ledger: Ledger) -> BftCheckers:
        bad = dict.fromkeys(self.hosts[number].address for number in [*self._bad, *self._bystanders])
        return BftCheckers(ledger, Seals(ledger.chain_id, _unsigned, self._verified), self._verified, list(bad))

    def _lost_at_most(self) -> int:
        """Of the honest: as many as may fail and do not lie already."""
        return max(0, ((self.nature.agents or self.nature.hosts) - 1) // 3 - self.nature.liars)

    def _doomed(self) -> list[Host[Bft]]:
        honest = [host for host in self.hosts if self._is_judged(host)]
        self._troubles.shuffle(honest)
        return honest[: self._troubles.below(self._lost_at_most() + 1)]

    def _orders(self, host: Host[Bft]) -> bool:
        return host.engine is not None and host.engine.leader == host.address

    def _is_judged(self, host: Host[Bft]) -> bool:
        return host.number not in self._bad and host.number not in self._bystanders

    def _late_ms(self) -> int:
        return super()._late_ms() + self.nature.settings.skew_ms

    def _says(self, frame: bytes) -> object:
        return from_frame(frame)

    def _another(self, liar: bytes, block: Block, kind: int) -> Block:
        """As the one of this name would make it that is furthest, of twins."""
        running = [self.hosts[number] for number in self._by_address[liar]]
        host = max(running, key=lambda each: each.replica.ledger.height if each.replica is not None else -1)
        assert host.replica is not None
        return another(host.key, host.replica.ledger, self._verified, block, kind)

    # What is said ---------------------------------------------------------------------------------------------------

    def _send(self, host: Host[Bft], to: bytes, frame: bytes) -> None:
        kind, data = read_frame(frame)
        if kind is Kind.ENGINE and self._is_judged(host):
            self._look_at(host, data)
        lies = self._lies.get(host.number)
        said = [(to, frame)]
        if lies is not None and host.engine is not None:
            self._them.now = self.now
            if kind is Kind.ENGINE:
                said = [(target, engine_frame(each)) for target, each in lied(lies, self._them, host, to, data)]
            elif kind is Kind.STATE and host.number in self._bystanders:
                told = self._chatter.pick(STATE_LIES)(decode_state_message(data))
                said = [] if told is None else [(to, framed(kind, encode(told)))]
            elif self._them.chance.happens(500_000):
                said = []  # what others entrusted to it
        if host.number in self._bystanders:
            self.lies_told += said != [(to, frame)]
        for target, each in said:
            for number in self._by_address[target]:
                if number != host.number:
                    self._carry(host.number, number, each)

    def _look_at(self, host: Host[Bft], data: bytes) -> None:
        message = from_frame(data)
        digest = b""
        if isinstance(message, PrePrepare):
            proposal = proposal_of(self.checkers.chain, message.block, self._them.outline)
            assert proposal is not None
            self._them.note(message.block)
            digest = proposal.digest
        self.checkers.testimony.said(host.address, message, digest)

    def _say_later(self, liar: Liar, to: bytes, data: bytes, wait_ms: int) -> None:
        sender = next(host.number for host in self.hosts if host is liar)
        for number in self._by_address[to]:
            self.put(self.now + wait_ms, "frame", number, (sender, number, engine_frame(data)))

    def _on_frame(self, host: Host[Bft], what: tuple[int, int, bytes]) -> None:
        if host.number in self._lies:
            try:
                kind, data = read_frame(what[2])
            except Refused:
                return
            if kind is Kind.ENGINE:
                self._them.hear(data)
        super()._on_frame(host, what)

    # What is done ---------------------------------------------------------------------------------------------------

    def _engine_did(self, host: Host[Bft], work: Work) -> None:
        engine, replica = host.engine, host.replica
        assert engine is not None
        assert replica is not None
        for executed in work.finished:
            self.plan.folders[host.address].keep(executed)
        for executed in work.finished if self._is_judged(host) else ():
            chained = engine.block(executed.block.header.height)
            assert chained is not None
            entry = decode_agreed(chained.block.payload).entry
            self.checkers.certified(executed, entry, chained)
        if self._is_judged(host):
            self.checkers.testimony.stands(host.address, host.crashes, engine)
        if self.nature.ambush_ppm and not self._frozen:
            struck = self._ambush.look(host)
            if struck:
                self._tell(f"ambush: {struck}")
        view = engine.term, engine.established
        if self._views.get(host.number) != view:
            self._views[host.number] = view
            self._tell(f"{name(host.number)} is in view {view[0]}{'' if view[1] else ', which has not begun'}")

    def _did(self, host: Host[Bft], work: Work) -> None:
        super()._did(host, work)
        if self._is_judged(host):
            assert host.replica is not None
            self.checkers.untouched(host.replica.ledger)

    def _progress(self) -> None:
        super()._progress()
        agreed = [member for each in self.checkers.committees for member in each]
        standing = any(self.hosts[number].address in agreed for number in self._bystanders)
        must(not standing, "f", "a member agrees that never stood and lies: this world promises nothing")
        ledgers = self._members_ledgers()
        whole = [
            folder
            for host in self.hosts
            if self._is_judged(host) and (folder := self.plan.folders[host.address]).steps.height >= ledgers[0].height
        ]
        if not whole:  # everybody has taken a state over since, and nobody fetches what lies before it here
            return
        folder = whole[0]
        blocks = [folder.blocks[height] for height in range(1, ledgers[0].height + 1)]
        again = recovered(self.plan.genesis, None, blocks, folder.rows.get, self._verified)
        self.checkers.alike([ledger for ledger in ledgers if ledger.height == again.height], again)


def _unsigned(_purpose: str, _message: bytes) -> bytes:
    raise AssertionError("a checker signs nothing")
