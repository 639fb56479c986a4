"""A ledger on which a committee agrees: tests say who proposes and who certifies, with real keys and signatures."""

from __future__ import annotations

from collections.abc import Sequence

from tests.ledger.world import World, key_of
from wattquorum.consensus.bft.certificates import CommitCertificate, Seal
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import PURPOSE, Phase, Statement
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.agreed import agreed_digest, entry_digest, evidence_for
from wattquorum.ledger.agreement import committee_at
from wattquorum.ledger.blocks import Round, order
from wattquorum.ledger.entities import Chain
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.seats import Validator, Vector
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import AddValidator, Propose, ReadyValidator, RemoveValidator
from wattquorum.ledger.validators import seats_of, vector_of

RAFT, PBFT, CGPBFT = 1, 2, 3
EPOCH = 1_000


class CommitteeWorld(World):
    """Founding replicas r0, r1, ... in the order of their addresses, and members m0, m1, ... who run them."""

    def __init__(
        self, replicas: int = 4, *, consensus: int = CGPBFT, members: int | None = None, **parameters: int
    ) -> None:
        settings = {"consensus": consensus, "epoch_ms": EPOCH, "stand_blocks": 4, "notice_blocks": 0, **parameters}
        keys = [key_of(f"replica {number}") for number in range(replicas)]
        super().__init__(parameters=settings, proposers=keys)
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
