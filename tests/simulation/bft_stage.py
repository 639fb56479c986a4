"""A stage for scenes among replicas that agree: quiet until a scene does something, and everything is looked at.

Replicas, ledgers and engines are those that ship, in the deterministic world of chaos with its checkers (I7 to I15). A
scene says which messages are lost, who crashes and who lies; what was said is kept, so that it can be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.messages import BftMessage, from_frame
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.attendance import agents_of
from wattquorum.ledger.blocks import Block, decode_block
from wattquorum.ledger.elections import elector_of
from wattquorum.ledger.entities import Chain, MemberSide
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.offices import Agents
from wattquorum.ledger.parameters import Consensus
from wattquorum.ledger.state import Table, side_key
from wattquorum.ledger.transactions import Body, Deposit, Payload, Stand, Vote, sign, transaction_hash
from wattquorum.replica.replica import Kind, Work, read_frame
from wattquorum.simulation.bft_world import BftNature, BftWorld
from wattquorum.simulation.bystanders import Talk
from wattquorum.simulation.checkers import must
from wattquorum.simulation.host import Host
from wattquorum.simulation.liars import Conspiracy, Lie
from wattquorum.simulation.network import Weather

M = TypeVar("M", bound=BftMessage)
QUICK = Settings(
    timeout_ms=400, timeout_max_ms=3_200, resend_ms=100, fetch_ms=50, poll_ms=300, skew_ms=1_000, censor_ms=1_500
)
DAY_MS = 86_400_000
TICK_MS, EPOCH_MS, STAND_BLOCKS = 150, 1_000, 3  # of a community

Actor = Host[Bft]
Loss = Callable[[Actor, Actor, BftMessage | None], bool]  # from, to, what; None: transactions


class Said(NamedTuple):
    """Something that left a replica, whether it came or not."""

    by: Actor
    to: Actor
    message: BftMessage


class StagedWorld(BftWorld):
    """A world whose network loses what a scene says."""

    def __init__(self, seed: int, nature: BftNature) -> None:
        self.losses: list[Loss] = []
        self.said: list[Said] = []
        self.lies: list[tuple[Actor, Equivocation]] = []  # that somebody can prove
        super().__init__(seed, nature)

    def _carry(self, sender: int, receiver: int, frame: bytes) -> None:
        by, to = self.hosts[sender], self.hosts[receiver]
        message = None
        try:
            kind, data = read_frame(frame)
            message = from_frame(data) if kind is Kind.ENGINE else None
        except Refused:
            super()._carry(sender, receiver, frame)  # of a liar, and nothing to anybody
            return
        if message is not None:
            self.said.append(Said(by, to, message))
        if not any(loses(by, to, message) for loses in self.losses):
            super()._carry(sender, receiver, frame)

    def _did(self, host: Actor, work: Work) -> None:
        super()._did(host, work)
        self.lies += [(host, each) for each in work.lies]

    def corrupt(self, host: Actor, *lies: Lie) -> None:
        """From now on somebody lies, and need not be right any more."""
        self._lies[host.number] = lies
        self._bad.append(host.number)
        self._them.liars.append(host)
        self.checkers.testimony._bad[host.address] = None

    def misleads(self, host: Actor, answers: Sequence[Lie], talks: Sequence[Talk]) -> None:
        """From now on somebody who follows answers like this, and says such things unasked; it stands no more."""
        self.corrupt(host, *answers)
        self._bystanders.append(host.number)
        self._talks[host.number] = tuple(talks)
        self.put(self.now + 1, "talk", host.number)

    @property
    def liars(self) -> Conspiracy:
        """What those know who lie."""
        return self._them


class Stage:
    """Replicas of one chain, and clients who sign deposits."""

    def __init__(
        self,
        hosts: int = 4,
        settings: Settings = QUICK,
        tick_ms: int = 0,
        epoch_ms: int = DAY_MS,
        *,
        seed: int = 1,
        consensus: Consensus = Consensus.PBFT,
        **parameters: int,
    ) -> None:
        chain = {"consensus": int(consensus), "drift_ms": settings.skew_ms, "epoch_ms": epoch_ms, "probation_days": 0}
        self.world = StagedWorld(
            seed,
            BftNature(
                hosts=hosts,
                weather=Weather(),
                settings=settings,
                parameters={**chain, **parameters},
                clients=2,
                tick_ms=tick_ms,
            ),
        )
        self.settings = settings
        self.nonces: dict[bytes, int] = {}
        self.world.clients.clear()
        self.world.begin()
        self.run(10)

    # Time

    def run(self, milliseconds: int) -> None:
        """Lets time pass."""
        self.world.happen_until(self.world.now + milliseconds)

    def until(self, holds: Callable[[], object], within_ms: int = 5_000) -> int:
        """Lets time pass until something is so, which it has to be soon. How long that took."""
        began = self.world.now
        while not holds():
            assert self.world.now < began + within_ms, "it did not come to that"
            self.run(1)
        return self.world.now - began

    # Who is there

    @property
    def hosts(self) -> list[Actor]:
        return self.world.hosts

    @property
    def alive(self) -> list[Actor]:
        return [host for host in self.hosts if host.runs]

    @property
    def committee(self) -> Committee:
        """Who agrees on the next block, by the engine that is furthest."""
        engine = max((engine_of(host) for host in self.alive), key=lambda engine: engine.height)
        return engine.committee_at(engine.height + 1)

    @property
    def order(self) -> list[Actor]:
        """The committee, in its order: the first is the primary of view 0."""
        return [self.world.by_address[member] for member in self.committee.members]

    @property
    def primary(self) -> Actor:
        """Who proposes, as most believe."""
        leaders = [engine_of(host).leader for host in self.alive if engine_of(host).leader]
        return self.world.by_address[max(leaders, key=leaders.count)]

    @property
    def backups(self) -> list[Actor]:
        return [host for host in self.hosts if host is not self.primary]

    # What there is

    @property
    def ledger(self) -> Ledger:
        """The one that is furthest."""
        return max((ledger_of(host) for host in self.alive), key=lambda ledger: ledger.height)

    def heights(self) -> list[int]:
        """Of all that run."""
        return [ledger_of(host).height for host in self.alive]

    def views(self) -> list[int]:
        """Of all that run."""
        return [engine_of(host).term for host in self.alive]

    def prepared(self) -> list[Actor]:
        """Who knows that a quorum prepared the block that is under way."""
        return [host for host in self.order if host.runs and engine_of(host).round.prepared is not None]

    def block(self, height: int) -> Block:
        """As the disk of somebody honest has it."""
        folders = [self.world.plan.folders[host.address] for host in self.hosts if self.world._is_judged(host)]
        return decode_block(next(folder.blocks[height] for folder in folders if height in folder.blocks))

    def certified_in(self, height: int) -> int:
        """The view in which a block was certified, as somebody honest has it."""
        found = [engine_of(host).block(height) for host in self.alive if self.world._is_judged(host)]
        return next(chained.commit_certificate.view for chained in found if chained is not None)

    def said(self, kind: type[M], by: Actor | None = None) -> list[M]:
        """What was said of a kind, each once."""
        found = [each.message for each in self.world.said if by is None or each.by is by]
        return list(dict.fromkeys(each for each in found if isinstance(each, kind)))

    def proven_by(self, host: Actor) -> list[Equivocation]:
        """What somebody can prove that others lied."""
        return [each for by, each in self.world.lies if by is host]

    # Transactions

    def signed(self, key: SigningKey, payload: Payload, *, expires_ms: int = DAY_MS) -> bytes:
        """A signed transaction, which nobody has yet."""
        me = address_of(self.world.checkers.chain, key.public)
        nonce = self.nonces.get(me, 0)
        self.nonces[me] = nonce + 1
        expires = self.world.created_ms + self.world.now + expires_ms
        return sign(key, Body(self.world.checkers.chain, me, nonce, 1_000_000, expires, payload))

    def deposit(self, client: int = 0, *, expires_ms: int = DAY_MS, amount: int = 100) -> bytes:
        """A client's next transaction."""
        key = self.world.founding.client_keys[client]
        me = address_of(self.world.checkers.chain, key.public)
        payload = Deposit(me, amount, f"paid-{client}-{self.nonces.get(me, 0)}-{amount}")
        return self.signed(key, payload, expires_ms=expires_ms)

    def hand_in(self, host: Actor, data: bytes) -> None:
        """Gives a transaction to a host."""
        assert host.replica is not None
        refused = host.replica.accept(data, None, self.world.local(host))
        must(refused is None or refused.code == "already_pending", "scene", f"{refused}")
        host.replica.turn(self.world.local(host))
        self.world._step(host)

    def hand_to_all(self, data: bytes) -> None:
        """Gives a transaction to everybody."""
        for host in self.alive:
            self.hand_in(host, data)

    def stands_in(self, data: bytes) -> int | None:
        """The block that has a transaction."""
        return self.world.checkers.stands(transaction_hash(data))

    def decided(self, data: bytes, within_ms: int = 5_000) -> int:
        """Until a transaction is in a block. How long that took."""
        return self.until(lambda: self.stands_in(data), within_ms)

    # What fails

    def crash(self, host: Actor) -> None:
        host.crash()

    def start(self, host: Actor) -> None:
        self.world.put(self.world.now, "start", host.number)

    def cut_off(self, *cut: Actor) -> None:
        """Nothing comes to these hosts from others, and nothing leaves them."""
        for host in cut:
            for other in self.hosts:
                if other not in cut:
                    self.world.network.cut(host.number, other.number)
                    self.world.network.cut(other.number, host.number)

    def lose(self, loses: Loss) -> None:
        """From now on the network loses this."""
        self.world.losses.append(loses)

    def heal(self) -> None:
        """Nothing is cut off any more, and nothing lost."""
        self.world.network.heal()
        self.world.losses.clear()


class Community(Stage):
    """Members who run a replica each, in groups that elect agents; the epoch of the first groups has begun."""

    def __init__(
        self,
        hosts: int = 8,
        *,
        seed: int = 1,
        members: int | None = None,
        groups: int = 4,
        settings: Settings = QUICK,
        epoch_ms: int = EPOCH_MS,
    ) -> None:
        super().__init__(
            hosts,
            settings,
            tick_ms=TICK_MS,
            epoch_ms=epoch_ms,
            seed=seed,
            consensus=Consensus.CGPBFT,
            groups=groups,
            stand_blocks=STAND_BLOCKS,
        )
        for appointed in self.world.founding.appointments()[:members]:
            for payload in appointed:
                self.say(self.world.founding.governor_key, payload)
        self.end_epoch()

    def say(self, key: SigningKey, payload: Payload) -> bytes:
        """Somebody signs something and gives it to the primary."""
        data = self.signed(key, payload)
        self.hand_in(self.primary, data)
        return data

    @property
    def epoch(self) -> int:
        chain: Chain = self.ledger.state.get(Table.CHAIN, b"")
        return chain.epoch

    @property
    def agents(self) -> Agents:
        return agents_of(self.ledger.state)

    @property
    def outsiders(self) -> list[Actor]:
        """Who does not agree itself."""
        return [host for host in self.hosts if host not in self.order]

    def end_epoch(self) -> None:
        """Until it has ended at everybody who runs."""
        before = self.epoch
        self.until(lambda: self.epoch > before)
        self.until(lambda: len(dict.fromkeys(self.heights())) == 1)

    def announced(self) -> None:
        """Until it is known which block ends the epoch."""
        self.until(lambda: self.agents.closing)

    def key_of(self, host: Actor) -> SigningKey:
        """That of the member who runs it."""
        return self.world.founding.member_keys[host.number]

    def member(self, host: Actor) -> bytes:
        return address_of(self.world.checkers.chain, self.key_of(host).public)

    def trust(self, host: Actor) -> int:
        """T of the member who runs it, who only buys [millionths of a point]."""
        side: MemberSide = self.ledger.state.get(Table.SIDE, side_key(self.member(host), Side.BUY))
        return side.trust

    def group(self, host: Actor) -> int:
        """That of the member who runs it."""
        found = elector_of(self.ledger.state, self.member(host))
        assert found is not None
        return found.group

    def group_of(self, host: Actor) -> list[Actor]:
        """The replicas of its group."""
        return [each for each in self.hosts if self.group(each) == self.group(host)]

    def vote_for(self, *candidates: Actor) -> None:
        """Each has the votes of its whole group."""
        for candidate in candidates:
            for host in self.group_of(candidate):
                self.say(self.key_of(host), Vote(self.member(candidate)))

    def elect(self, candidates: Sequence[Actor], standing: Sequence[Actor]) -> None:
        """Groups vote, these stand, and the epoch ends."""
        self.vote_for(*candidates)
        self.announced()
        for host in standing:
            self.say(self.key_of(host), Stand())
        self.end_epoch()


def engine_of(host: Actor) -> Bft:
    assert host.engine is not None
    return host.engine


def ledger_of(host: Actor) -> Ledger:
    assert host.replica is not None
    return host.replica.ledger
