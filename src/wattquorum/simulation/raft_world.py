"""Worlds on Raft: what the checkers of its logs see, and the troubles that only it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft, Role
from wattquorum.consensus.raft.messages import from_frame
from wattquorum.consensus.raft.records import Ballot, decode_record
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.execution import Ledger
from wattquorum.replica.replica import Work
from wattquorum.simulation.host import Host
from wattquorum.simulation.raft_checkers import RaftCheckers, lost_at_most
from wattquorum.simulation.raft_plan import EngineOf, RaftPlan
from wattquorum.simulation.verified import Verified
from wattquorum.simulation.world import Nature, World, name


@dataclass(frozen=True, kw_only=True, slots=True)
class RaftNature(Nature):
    """What may go wrong in a world on Raft, and by which rules its replicas agree."""

    engine: EngineOf
    joint: bool  # whether that engine changes powers by joint entries
    settings: Settings
    amnesia_ppm: int = 0  # of those who vote crash at that moment


class RaftWorld(World[Raft]):
    """One seed's world on Raft."""

    nature: RaftNature
    checkers: RaftCheckers

    def __init__(self, seed: int, nature: RaftNature) -> None:
        super().__init__(seed, nature)
        self._roles: dict[int, tuple[str, int]] = {}  # by host, as told last
        self._decided = 0  # up to which index, as told last

    def _plan(self, genesis: bytes) -> RaftPlan:
        return RaftPlan(genesis, Verified(), self.nature.settings, self.nature.engine)

    def _checkers(self, ledger: Ledger) -> RaftCheckers:
        return RaftCheckers(ledger, [host.address for host in self.hosts], joint=self.nature.joint)

    def _lost_at_most(self) -> int:
        voters_min = self.nature.hosts - self.nature.spares - self.nature.removals
        return lost_at_most(self.checkers.parameters, voters_min)

    def _orders(self, host: Host[Raft]) -> bool:
        return host.engine is not None and host.engine.role is Role.LEADER

    def _says(self, frame: bytes) -> object:
        return from_frame(frame)

    def _started(self, host: Host[Raft]) -> None:
        assert host.engine is not None
        self.checkers.restarted(host.number, host.engine, host.disk.read())

    def _kept(self, host: Host[Raft]) -> None:
        self.checkers.shadows[host.number].synced(host.durable)

    def _engine_did(self, host: Host[Raft], work: Work) -> None:
        assert host.engine is not None
        self.checkers.stepped(host.number, host.engine, host.address, work.records)
        self._lose_votes(host, work.records)
        self._tell_of(host.number, host.engine)

    def _tell_of(self, host: int, engine: Raft) -> None:
        role = engine.role.value, engine.term
        if self._roles.get(host) != role:
            self._roles[host] = role
            self._tell(f"{name(host)} is a {role[0]} of term {role[1]}")
        if engine.role is Role.LEADER and engine.commit > self._decided:
            self._decided = engine.commit
            self._tell(f"{name(host)} knows that everything up to entry {engine.commit} is decided")

    def _make_transfer(self) -> None:
        """Somebody asks the leader to hand over."""
        for host in self.hosts:
            if host.engine is not None and host.engine.role is Role.LEADER and not host.paused:
                try:
                    host.engine.transfer(self._troubles.pick(self.hosts).address, self.local(host))
                except Refused:
                    continue
                self._step(host)

    def _lose_votes(self, host: Host[Raft], records: Sequence[Durable]) -> None:
        """Where votes are in danger, some who have just voted crash before their disk has it, and come back at once."""
        if self._frozen or not self.nature.amnesia_ppm:
            return
        voted = any(isinstance(decode_record(each.data), Ballot) for each in records)
        if voted and self._troubles.happens(self.nature.amnesia_ppm):
            self.put(self.now + self._troubles.below(4), "crash", host.number)
            self.put(self.now + self._troubles.between(4, 40), "start", host.number)
