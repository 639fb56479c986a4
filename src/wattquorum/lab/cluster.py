"""The cluster: the week's ledger on replicas in a simulated world, with the face of a node that orders alone.

Whoever runs the market hands it transactions and asks for a block; the world then runs until the leader has committed
and executed it, and a few heartbeats more, until every replica has, and whatever follows from the block (a change of
powers, a hand-over of leadership) is done. Block times are the market calendar's, which jumps by hours; the world's
time runs only while something happens, so that idle days cost nothing. Nothing fails in this world: links are static,
disks are fast, nobody crashes. What may fail, and that nothing breaks then, is for `wattquorum chaos`.

What it measures, consensus time, is the world's: from the proposal to the commit at the leader, by its links and disks
alone. Computing takes no time in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, Self

from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.messages import Stored, from_frame
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.quantities import MILLION, Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger import snapshots
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.genesis import chain_id_of
from wattquorum.ledger.protocols import Protocol
from wattquorum.ledger.rounds import decode_evidence
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import Done
from wattquorum.replica.replica import Kind, Work, read_frame
from wattquorum.simulation.clock import Clock
from wattquorum.simulation.course import Course
from wattquorum.simulation.host import Host
from wattquorum.simulation.network import Network, Weather
from wattquorum.simulation.raft_plan import RaftPlan
from wattquorum.simulation.verified import Verified

QUIET_BEATS: Final = 2  # heartbeats without news after which nothing more will come of a block
STALLED_MS: Final = 60_000  # of the world's time, after which something is wrong: nothing fails in it
MARGIN_SHARE: Final = 10  # leadership moves for a tenth of an equal share of all power


class Links(StrEnum):
    """Worlds by their links."""

    WAN = "wan"


ROUND_TRIPS_MS: Final = {Links.WAN: (10, 50)}


@dataclass(frozen=True, slots=True)
class Replicas:
    """How a chain is to be ordered by several: how many replicas, by which votes, over which links."""

    count: int
    engine: Protocol = Protocol.WEIGHTED_RAFT
    links: Links = Links.WAN

    @property
    def parameters(self) -> dict[str, int]:
        """What the genesis says: by which votes, and that standing counts from the first epoch's end on."""
        return {**self.engine.parameters(), "probation_days": 0}

    @property
    def settings(self) -> Settings:
        """The engines': as they ship, but that leadership moves sooner, since a week has seven epochs alone."""
        return Settings(**self.live_settings)

    @property
    def live_settings(self) -> dict[str, int]:
        """The same as what differs from how engines ship."""
        return {"heaviest_for": 2, "heaviest_margin_ppm": MILLION // MARGIN_SHARE}


def replica_name(number: int) -> str:
    """By what a demo derives the key of a replica, from 0; no member can have such a name."""
    return f"replica/{number}"


def wide_area(hosts: int, round_trip_ms: tuple[int, int], chance: Chance) -> Network:
    """Links of which each pair draws its round trip once; the way there and back are half of it each."""
    network = Network(hosts, Weather(delay_ms=(0, 0), jitter_ms=0, ordered=True), chance)
    for one in range(hosts):
        for other in range(one + 1, hosts):
            there_and_back = chance.between(*round_trip_ms)
            network.set_delay(one, other, there_and_back // 2)
            network.set_delay(other, one, there_and_back - there_and_back // 2)
    return network


class Election(NamedTuple):
    """Who came to lead which term, when in the world's time, and how many blocks its ledger had then."""

    term: int
    leader: bytes
    won_ms: int
    height: int


class Measured(NamedTuple):
    """A block's round: who led, when it proposed in the world's time, and how long it took [ms].

    Consensus is reached when the leader knows of the commit. Beside it stands when more than half of all replicas had
    stored the block, whatever their votes weigh: what equal votes would have taken with the same leader.
    """

    height: int
    term: int
    leader: bytes
    proposed_ms: int
    consensus_ms: int
    majority_ms: int


class Proposal(NamedTuple):
    """What a leader has proposed: the entry's place in the log and its record's, when, and who has stored it since."""

    leader: Host[Raft]
    entry: int
    position: int
    at: int
    stored: dict[int, int]  # by the number of the replica; the leader's own disk is one of them


class Voted(NamedTuple):
    """A version of voting powers: the block that made it, and power by replica."""

    version: int
    height: int
    powers: tuple[tuple[bytes, int], ...]


class Quorum(NamedTuple):
    """Who completed the quorum for a block, after its leader, in the order of their answers, as a later block says."""

    height: int
    followers: tuple[bytes, ...]


class Machines(Course[Raft]):
    """The replicas of one chain on their hosts, all of which run from the beginning to the end."""

    def __init__(
        self, genesis: bytes, keys: Sequence[SigningKey], network: Network, settings: Settings, chance: Chance
    ) -> None:
        ledger = Ledger(genesis)
        plan = RaftPlan(genesis, Verified(), settings, Raft)
        clock = Clock(ledger.genesis.created_ms, 0)
        hosts = [
            Host(number, key, ledger.chain_id, plan, clock, chance.stream(f"host {number}"))
            for number, key in enumerate(keys)
        ]
        super().__init__(hosts, network)
        self.keys = {host.address: key for host, key in zip(hosts, keys, strict=True)}
        self.elections: list[Election] = []
        self.blocks = [hashlib.sha256() for _ in keys]  # over all blocks of each host
        self.first: Callable[[Host[Raft], Executed], None] = lambda _host, _executed: None  # to have executed a block
        self.proposal: Proposal | None = None
        self._height = 0
        self._heartbeat_ms = settings.heartbeat_ms
        for host in hosts:
            self.put(0, "start", host.number)

    def _did(self, host: Host[Raft], work: Work) -> None:
        engine = host.engine
        assert engine is not None
        if engine.role is Role.LEADER and (not self.elections or engine.term > self.elections[-1].term):
            self.elections.append(Election(engine.term, host.address, self.now, self._height))
        for executed in work.finished:
            self.blocks[host.number].update(executed.data)
            if executed.block.header.height > self._height:
                self._height = executed.block.header.height
                self.first(host, executed)

    def propose(self, leader: Host[Raft], time_ms: Millis) -> None:
        """Lets the leader propose what waits there as a block of this time."""
        assert leader.replica is not None
        assert leader.engine is not None
        before = leader.engine.log.last
        leader.replica.cut(self.local(leader), time_ms)
        if leader.engine.log.last != before + 1:
            raise AssertionError("a leader that is at rest proposes")
        self.proposal = Proposal(leader, before + 1, leader.disk.last + 1, self.now, {})
        self._step(leader)

    def _on_frame(self, host: Host[Raft], what: tuple[int, int, bytes]) -> None:
        if self.proposal is not None and host is self.proposal.leader:
            sender, _, frame = what
            kind, data = read_frame(frame)
            message = from_frame(data) if kind is Kind.ENGINE else None
            if isinstance(message, Stored) and message.fits and message.index >= self.proposal.entry:
                self.proposal.stored.setdefault(sender, self.now)
        super()._on_frame(host, what)

    def _kept(self, host: Host[Raft]) -> None:
        if self.proposal is not None and host is self.proposal.leader and host.durable >= self.proposal.position:
            self.proposal.stored.setdefault(host.number, self.now)

    def majority_ms(self) -> int:
        """When more than half of all replicas had stored what was proposed last, as its leader heard it."""
        assert self.proposal is not None
        return sorted(self.proposal.stored.values())[len(self.hosts) // 2]

    def submit(self, host: Host[Raft], data: bytes) -> Refused | None:
        """Hands a host a signed transaction, to be ordered as soon as may be; None, or why it does not take it."""
        assert host.replica is not None
        refused = host.replica.accept(data, None, self.local(host))
        if refused is None:
            host.replica.turn(self.local(host))
            self._step(host)
        return refused

    def run_until_committed(self, height: int) -> None:
        """Until somebody, the leader, has executed this block."""
        end = self.now + STALLED_MS
        while self._height < height:
            if self.now > end:
                raise Refused("diverged", "height", height, f"No quorum within {STALLED_MS} ms of the world.")
            self.happen_next()

    def rest(self) -> Host[Raft]:
        """Lets the world run until nothing more will come of what has happened; the leader, who can propose then.

        That is: one leads and everybody follows, all have executed the same, powers are those that the ledger wants;
        and it stays so for some heartbeats, in each of which the leader would begin to hand over if it ever will.
        """
        end, quiet, before = self.now + STALLED_MS, 0, -1
        while quiet <= QUIET_BEATS:
            if self.now > end:
                raise Refused("diverged", "height", self._height, f"No rest within {STALLED_MS} ms of the world.")
            self.happen_until(self.now + self._heartbeat_ms)
            leader = self._at_rest()
            term = leader.engine.term if leader is not None and leader.engine is not None else -1
            quiet = 0 if leader is None else quiet + 1 if term == before else 1
            before = term
        assert leader is not None
        return leader

    def _at_rest(self) -> Host[Raft] | None:
        """The leader whom everybody follows and who has nothing left to do; None where there is any."""
        engines = [host.engine for host in self.hosts if host.engine is not None]
        leader = self.by_address.get(engines[0].leader)
        if leader is None or leader.engine is None or leader.replica is None:
            return None
        wanted, last = leader.replica.ledger.configuration.version, leader.engine.log.last
        for host, engine in zip(self.hosts, engines, strict=True):
            assert host.replica is not None
            configuration = engine.configuration
            if (engine.term, engine.leader) != (leader.engine.term, leader.address) or engine.commit != last:
                return None
            if configuration.old is not None or configuration.version != wanted:
                return None
            if host.replica.ledger.height != self._height:
                return None
        return leader


class Cluster:
    """Replicas that take transactions as one, and the chain that they write. As with a `LoneNode`, `close` signs."""

    def __init__(self, path: Path, genesis: bytes, keys: Sequence[SigningKey], wanted: Replicas, seed: int) -> None:
        """A new chain in a new folder, ordered by replicas with these keys, the proposers of its genesis."""
        chance = Chance(seed).stream("cluster")
        network = wide_area(len(keys), ROUND_TRIPS_MS[wanted.links], chance.stream("network"))
        self.wanted = wanted
        self.folder = ChainFolder.create(path, genesis)
        self.machines = Machines(genesis, keys, network, wanted.settings, chance)
        self.machines.first = self._first
        self.replicas = [address_of(chain_id_of(genesis), key.public) for key in keys]
        self.measured: list[Measured] = []
        self.quorums: list[Quorum] = []
        self.voted: list[Voted] = []
        self._finished: list[Executed] = []
        self._leader = self.machines.rest()
        self._note_powers()

    @property
    def ledger(self) -> Ledger:
        """The leader's ledger."""
        assert self._leader.replica is not None
        return self._leader.replica.ledger

    def accept(self, data: bytes, attachment: bytes | None, now: Millis) -> Refused | None:
        """Hands a signed transaction to the leader; None, or why it does not take it. `now` is the market's."""
        assert self._leader.replica is not None
        return self._leader.replica.accept(data, attachment, now)

    def cut(self, now: Millis) -> None:
        """Lets the leader propose what waits as the next block, at the market's time `now`."""
        self.machines.propose(self._leader, now)

    def write(self, _now: Millis) -> Done:
        """Runs the world until what was proposed is committed, stores the block, and lets everybody catch up."""
        self.machines.run_until_committed(self.folder.height + 1)
        finished, self._finished = tuple(self._finished), []
        self.folder.append(finished)
        self._leader = self.machines.rest()
        last = self.measured[-1]
        self.measured[-1] = last._replace(majority_ms=self.machines.majority_ms() - last.proposed_ms)
        for executed in finished:
            if executed.block.header.state_root:
                self.folder.put_snapshot(self.ledger.height, snapshots.take(self.ledger))
                self.folder.sign_tip(self._key)
        self._note_powers()
        return Done(finished, (), (), None)

    def _first(self, host: Host[Raft], executed: Executed) -> None:
        """A block is committed and executed where it was proposed, or by who leads by now."""
        proposal, header = self.machines.proposal, executed.block.header
        assert proposal is not None
        took = self.machines.now - proposal.at
        self._finished.append(executed)
        self.measured.append(Measured(header.height, header.round.term, host.address, proposal.at, took, 0))
        if header.evidence:
            self.quorums.append(Quorum(*_told(header.evidence)))

    def _note_powers(self) -> None:
        newest = self.ledger.configuration
        if not self.voted or newest.version != self.voted[-1].version:
            powers = tuple((voter.replica, voter.power) for voter in newest.new)
            self.voted.append(Voted(newest.version, newest.basis_index, powers))

    @property
    def elections(self) -> list[Election]:
        """Who led, in order."""
        return self.machines.elections

    @property
    def _key(self) -> SigningKey:
        return self.machines.keys[self._leader.address]

    def check(self) -> None:
        """Refused("diverged") unless every replica has the state and wrote the blocks, to the byte, that all have."""
        blocks = self.machines.blocks[self._leader.number].digest()
        for host in self.machines.hosts:
            assert host.replica is not None
            found = host.replica.ledger.digest
            if (found, self.machines.blocks[host.number].digest()) != (self.ledger.digest, blocks):
                raise Refused("diverged", f"replica {host.number}", found)

    def close(self) -> None:
        """Compares all replicas, signs where the chain ends with the leader's key, and lets the folder go."""
        self.check()
        self.folder.close(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.folder.__exit__()


def _told(evidence: bytes) -> tuple[int, tuple[bytes, ...]]:
    found = decode_evidence(evidence)
    return found.height, found.followers


def measured_rows(cluster: Cluster, members: Sequence[str]) -> dict[str, list[dict[str, int | str | None]]]:
    """The rows of `records.measured_tables`, by table; `members` are addresses, of who runs each replica."""
    quorums = {quorum.height: quorum.followers for quorum in cluster.quorums}
    return {
        "replicas_measured": [
            {"replica": replica.hex(), "number": number, "member": member}
            for number, (replica, member) in enumerate(zip(cluster.replicas, members, strict=True))
        ],
        "elections_measured": [
            {"term": each.term, "leader": each.leader.hex(), "won_world_ms": each.won_ms, "height": each.height}
            for each in cluster.elections
        ],
        "rounds_measured": [
            {
                "height": each.height,
                "term": each.term,
                "leader": each.leader.hex(),
                "proposed_world_ms": each.proposed_ms,
                "consensus_world_ms": each.consensus_ms,
                "majority_world_ms": each.majority_ms,
                "quorum": len(quorums[each.height]) + 1 if each.height in quorums else None,
            }
            for each in cluster.measured
        ],
        "quorums_measured": [
            {"height": height, "place": place, "replica": replica.hex()}
            for height, followers in quorums.items()
            for place, replica in enumerate(followers)
        ],
        "powers_measured": [
            {"version": each.version, "replica": replica.hex(), "height": each.height, "power": power}
            for each in cluster.voted
            for replica, power in each.powers
        ],
    }
