"""A ledger on which a committee agrees: tests say who proposes and who certifies, with real keys and signatures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tests.ledger.world import HOUR, START, World, key_of
from wattquorum.consensus.bft.certificates import CommitCertificate, Seal
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import PURPOSE, Phase, Statement
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.agreed import agreed_digest, entry_digest, evidence_for
from wattquorum.ledger.agreement import committee_at
from wattquorum.ledger.attendance import agents_of, office_of
from wattquorum.ledger.blocks import Round, order
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.offices import ATTEST_BLOCKS, Agents, Elector, Office
from wattquorum.ledger.seats import Validator, Vector
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    Accuse,
    AddValidator,
    Attest,
    OwnCommit,
    Propose,
    ReadyValidator,
    RemoveValidator,
    Stand,
    Vote,
)
from wattquorum.ledger.validators import seats_of, vector_of

RAFT, PBFT, CGPBFT = 1, 2, 3
EPOCH = 1_000


class CommitteeWorld(World):
    """Founding replicas r0, r1, ... in the order of their addresses, and members m0, m1, ... who run them."""

    GOVERNORS: Sequence[str] = ("operator",)
    APPROVALS_NEEDED = 1

    def __init__(
        self, replicas: int = 4, *, consensus: int = CGPBFT, members: int | None = None, **parameters: int
    ) -> None:
        settings = {"consensus": consensus, "epoch_ms": EPOCH, "stand_blocks": 4, "notice_blocks": 0, **parameters}
        keys = [key_of(f"replica {number}") for number in range(replicas)]
        super().__init__(
            parameters=settings,
            governors=self.GOVERNORS,
            approvals_needed=self.APPROVALS_NEEDED,
            proposers=keys,
        )
        self.now = START - 48 * HOUR  # when the first epoch begins
        self.replicas = sorted(keys, key=lambda key: address_of(self.ledger.chain_id, key.public))
        self.replica_keys = {address_of(self.ledger.chain_id, key.public): key for key in keys}
        self.view = 0
        self.lent: list[int] | None = None  # the places that certify; the first that are enough
        for number in range(replicas if members is None else members):
            self.member(f"m{number}", Side.BUY, money=0)
            self.done("operator", Propose(AddValidator(self.address(f"m{number}"), self.replicas[number].public)))

    def r(self, number: int) -> bytes:
        """The address of a founding replica."""
        return address_of(self.ledger.chain_id, self.replicas[number].public)

    def validator(self, replica: bytes) -> Validator:
        found: Validator = self.ledger.state.get(Table.VALIDATOR, replica)
        return found

    @property
    def chain(self) -> Chain:
        found: Chain = self.ledger.state.get(Table.CHAIN, b"")
        return found

    @property
    def version(self) -> int:
        return seats_of(self.ledger.state).newest

    @property
    def newest(self) -> Vector:
        found = vector_of(self.ledger.state, self.version)
        assert found is not None
        return found

    @property
    def order(self) -> list[bytes]:
        """Who agrees on the next block, in order."""
        return [voter.replica for voter in self.newest.voters]

    def committee(self, version: int | None = None) -> Committee:
        return committee_at(self.ledger.state, self.version if version is None else version)

    # Certificates

    def committed(self, committee: Committee, place: int, height: int, view: int, digest: bytes) -> bytes:
        """A member's COMMIT."""
        return self.stated(committee, self.replica_keys[committee.members[place]], height, view, Phase.COMMIT, digest)

    def stated(
        self, committee: Committee, key: SigningKey, height: int, view: int, phase: Phase, digest: bytes
    ) -> bytes:
        statement = Statement(self.ledger.chain_id, committee.epoch, height, view, phase, digest)
        return key.sign(PURPOSE, encode(statement))

    def tip_digest(self) -> bytes:
        """What the committee of the last block signs for it."""
        assert self.ledger.tip is not None
        return agreed_digest(self.ledger.chain_id, self.ledger.tip, entry_digest(self.entries[-1]))

    def certificate(self, places: Sequence[int] | None = None, view: int | None = None) -> CommitCertificate | None:
        """The last block's, by its committee's members at these places; by default the first that are enough."""
        tip = self.ledger.tip
        if tip is None:
            return None
        committee = self.committee(tip.round.new)
        chosen = places if places is not None else range(committee.quorum)
        at = tip.round.term if view is None else view
        digest = self.tip_digest()
        seals = tuple(Seal(place, self.committed(committee, place, tip.height, at, digest)) for place in chosen)
        return CommitCertificate(tip.height, at, digest, seals)

    def evidence(self, places: Sequence[int] | None = None, view: int | None = None) -> bytes:
        certificate = self.certificate(places, view)
        return evidence_for(certificate, entry_digest(self.entries[-1]) if self.entries else b"")

    # Blocks

    def entry(
        self,
        transactions: Sequence[bytes] = (),
        rows: Sequence[bytes] = (),
        *,
        view: int | None = None,
        by: bytes | None = None,
        version: int | None = None,
        evidence: bytes | None = None,
    ) -> bytes:
        """An entry as the primary of a view would sign it, with the certificate of the block before."""
        at, newest = self.view if view is None else view, self.version if version is None else version
        proposer = self.order[at % len(self.order)] if by is None else by
        return order(
            self.replica_keys[proposer],
            self.ledger.chain_id,
            self.now,
            self.ledger.applied,
            tuple(transactions),
            tuple(rows),
            Round(at, newest, newest),
            self.evidence(self.lent) if evidence is None else evidence,
        )

    def block(
        self,
        transactions: Sequence[bytes] = (),
        rows: Sequence[bytes] = (),
        *,
        at: int | None = None,
        view: int | None = None,
        by: bytes | None = None,
        version: int | None = None,
        evidence: bytes | None = None,
    ) -> Executed:
        self.now = max(self.now + 1, at if at is not None else 0)
        entry = self.entry(transactions, rows, view=view, by=by, version=version, evidence=evidence)
        executed = self.ledger.execute(entry, verify_each)
        self.entries.append(entry)
        self.executed.append(executed)
        if executed.block.header.committee:
            self.view, self.lent = 0, None
        return executed

    def end_epoch(self) -> Executed:
        """Blocks up to the one that ends the epoch; that one."""
        epoch = self.chain.epoch
        executed = self.block(at=self.chain.epoch_started_ms + self.ledger.parameters.epoch_ms)
        while self.chain.epoch == epoch:
            executed = self.block()
        return executed

    # Groups and what happens in them

    @property
    def agents(self) -> Agents:
        return agents_of(self.ledger.state)

    def electors(self) -> dict[bytes, Elector]:
        return dict(self.ledger.state.items(Table.ELECTOR))

    def group_of(self, name: str) -> list[bytes]:
        """The addresses in a member's group."""
        electors = self.electors()
        own = electors[self.address(name)].group
        return [address for address, each in electors.items() if each.group == own]

    def name_of(self, address: bytes) -> str:
        found = self.ledger.account(address)
        assert found is not None
        return found.name

    def member_of(self, replica: bytes) -> str:
        return self.name_of(self.validator(replica).member)

    def replica_of(self, name: str) -> bytes:
        address = self.address(name)
        return next(key for key, each in self.ledger.state.items(Table.VALIDATOR) if each.member == address)

    def office(self, replica: bytes, epoch: int | None = None) -> Office:
        return office_of(self.ledger.state, self.chain.epoch if epoch is None else epoch, replica)

    def trust(self, name: str) -> int:
        """T of a member that only buys [millionths of a point]."""
        return self.side(name, Side.BUY).trust

    def vote(self, voter: str, candidate: str) -> None:
        self.done(voter, Vote(self.address(candidate)))

    def announce(self) -> None:
        """The block that announces the epoch's end."""
        self.block(at=self.chain.epoch_started_ms + self.ledger.parameters.epoch_ms)

    def run_out(self) -> Executed:
        """Blocks up to the one that ends the epoch; that one."""
        assert self.agents.closing
        executed = self.block()
        while not executed.block.header.state_root:
            executed = self.block()
        return executed

    def blocks(self, count: int) -> None:
        for _ in range(count):
            self.block()

    def lie(self, replica: bytes, *, height: int | None = None, view: int = 0, phase: int = 3) -> Equivocation:
        """Two statements of a member of the newest committee that exclude each other."""
        committee = self.committee()
        at = self.ledger.height if height is None else height
        digests = (bytes(31) + b"\x01", bytes(31) + b"\x02")
        first, second = (
            self.stated(committee, self.replica_keys[replica], at, view, Phase(phase), digest) for digest in digests
        )
        return Equivocation(replica, committee.epoch, at, view, phase, digests, (first, second))

    # Seats

    def admit(self, member: str, key: str) -> bytes:
        """A replica of a member, as a learner."""
        self.done("operator", Propose(AddValidator(self.address(member), key_of(key).public)))
        replica = address_of(self.ledger.chain_id, key_of(key).public)
        self.replica_keys[replica] = key_of(key)
        return replica

    def ready(self, member: str, replica: bytes) -> None:
        self.done(member, ReadyValidator(replica))

    def remove(self, replica: bytes) -> None:
        self.done("operator", Propose(RemoveValidator(replica)))

    def remove_if_possible(self, replica: bytes) -> None:
        self.do("operator", Propose(RemoveValidator(replica)))


@cache
def in_office() -> CommitteeWorld:
    """Groups, votes, an election, a failed view, an attestation, a lie, and what all that pays; do not change it."""
    world = CommitteeWorld(8)
    for number in range(4):
        world.member(f"l{number}", Side.BUY, money=0)
    world.end_epoch()
    by_group: dict[int, list[str]] = {}
    for address, each in world.electors().items():
        by_group.setdefault(each.group, []).append(world.name_of(address))
    runners = {group: [name for name in names if name.startswith("m")] for group, names in by_group.items()}
    for group, names in by_group.items():
        for name in names[:2]:
            world.vote(name, runners[group][0])
    world.announce()
    world.block([world.signed(name, Stand()) for names in runners.values() for name in names])
    world.run_out()
    world.block()
    world.block(view=1, evidence=world.evidence(view=1))
    committee, height = world.committee(), world.ledger.height
    own = OwnCommit(height, 1, world.committed(committee, 3, height, 1, world.tip_digest()))
    world.block(evidence=world.evidence(view=1))
    world.done(world.member_of(committee.members[3]), Attest((own,)))
    liar = next(agent for agent in world.agents.agents if agent.runners)
    world.done("l0", Accuse(world.lie(liar.replica)))
    world.end_epoch()
    world.blocks(ATTEST_BLOCKS + 2)
    return world
