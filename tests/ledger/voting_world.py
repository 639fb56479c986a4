"""A ledger that several replicas order: tests say who proposes, in which term, under which versions, what evidence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tests.ledger.world import World, key_of
from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import address_of, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Round, order
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.genesis import decode_genesis, encode_genesis
from wattquorum.ledger.rounds import evidence_of
from wattquorum.ledger.seats import Seats, Validator, Vector
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import AddValidator, Propose, ReadyValidator, RemoveValidator
from wattquorum.ledger.validators import seats_of, vector_of, version_place

EPOCH = 1_000
BY_PARTICIPATION = {
    **{f"a_{name}": 0 for name in ("credit", "volume", "certificates", "carbon", "line")},
    **{f"b_{name}": 0 for name in ("credit", "volume", "certificates", "carbon")},
    "a_participation": MILLION,
    "b_participation": MILLION,
}
LIVELY = {**BY_PARTICIPATION, "hysteresis": 0, "probation_days": 0, "epoch_ms": EPOCH}


class VotingWorld(World):
    """Founding replicas r0, r1, ... in the order of their addresses, and members m0, m1, ... who run them."""

    def __init__(self, replicas: int = 4, *, members: bool = True, **parameters: int) -> None:
        super().__init__(parameters={**LIVELY, "epoch_ms": 1_000_000_000, **parameters})
        keys = [key_of(f"replica {number}") for number in range(replicas)]
        proposers = tuple(key.public.hex() for key in keys)
        self.genesis_bytes = encode_genesis(changed(decode_genesis(self.genesis_bytes), proposers=proposers))
        self.ledger = Ledger(self.genesis_bytes)
        self.replicas = sorted(keys, key=lambda key: address_of(self.ledger.chain_id, key.public))
        self.proposer = self.replicas[0]
        self.term = 1
        if members:
            for number, key in enumerate(self.replicas):
                self.member(f"m{number}", Side.BUY, money=0)
                self.done("operator", Propose(AddValidator(self.address(f"m{number}"), key.public)))

    def r(self, number: int) -> bytes:
        """The address of a founding replica."""
        return address_of(self.ledger.chain_id, self.replicas[number].public)

    def address_of_key(self, name: str) -> bytes:
        return address_of(self.ledger.chain_id, key_of(name).public)

    @property
    def seats(self) -> Seats:
        return seats_of(self.ledger.state)

    def validator(self, replica: bytes) -> Validator:
        found: Validator = self.ledger.state.get(Table.VALIDATOR, replica)
        return found

    def vector(self, version: int) -> Vector:
        found = vector_of(self.ledger.state, version)
        assert found is not None
        return found

    @property
    def newest(self) -> Vector:
        return self.vector(self.seats.newest)

    def has_vector(self, version: int) -> bool:
        return self.ledger.state.get(Table.VECTOR, version_place(version)) is not None

    def entry(
        self,
        transactions: Sequence[bytes] = (),
        rows: Sequence[bytes] = (),
        *,
        by: int = 0,
        term: int | None = None,
        old: int | None = None,
        new: int | None = None,
        evidence: bytes = b"",
    ) -> bytes:
        """An entry as a replica would sign it; by default in the term and under the versions of the last block."""
        seats = self.seats
        round_ = Round(
            self.term if term is None else term, seats.new if old is None else old, seats.new if new is None else new
        )
        key, applied = self.replicas[by], self.ledger.applied
        return order(key, self.ledger.chain_id, self.now, applied, tuple(transactions), tuple(rows), round_, evidence)

    def block(
        self,
        transactions: Sequence[bytes] = (),
        rows: Sequence[bytes] = (),
        *,
        at: int | None = None,
        by: int = 0,
        term: int | None = None,
        old: int | None = None,
        new: int | None = None,
        evidence: bytes = b"",
    ) -> Executed:
        self.now = max(self.now + 1, at if at is not None else 0)
        entry = self.entry(transactions, rows, by=by, term=term, old=old, new=new, evidence=evidence)
        executed = self.ledger.execute(entry, verify_each)
        self.entries.append(entry)
        self.executed.append(executed)
        return executed

    def install(self) -> None:
        """The newest version comes into force, by a joint round and one without the old."""
        self.block(old=self.seats.new, new=self.seats.newest)
        self.block(old=self.seats.new, new=self.seats.new)

    def end_epoch(self) -> Executed:
        """One more block, which ends the epoch."""
        chain = self.ledger.state.get(Table.CHAIN, b"")
        return self.block(at=chain.epoch_started_ms + self.ledger.parameters.epoch_ms)

    def round(self, *followers: int, by: int = 0) -> Executed:
        """A block, and another that tells who completed the quorum for it; the second one."""
        self.block(by=by)
        return self.block(by=by, evidence=self.evidence(*followers))

    def evidence(self, *followers: int, back: int = 0) -> bytes:
        """Evidence of the last block, or of one further back."""
        return evidence_of(self.ledger.height - back, tuple(map(self.r, followers)))

    def replies(self) -> list[int]:
        return [self.validator(self.r(number)).replies for number in range(len(self.replicas))]

    def points(self) -> list[int]:
        """Participation of the founding replicas [millionths of a point]."""
        return [self.validator(self.r(number)).participation for number in range(len(self.replicas))]

    def admit(self, member: str, key: str) -> bytes:
        """A learner of a member."""
        self.done("operator", Propose(AddValidator(self.address(member), key_of(key).public)))
        return self.address_of_key(key)

    def ready(self, member: str, replica: bytes) -> None:
        self.done(member, ReadyValidator(replica))

    def remove(self, replica: bytes) -> None:
        self.done("operator", Propose(RemoveValidator(replica)))


@cache
def voted() -> VotingWorld:
    """Rounds, an epoch's end and powers that follow from them, a new replica and one that goes; do not change it."""
    world = VotingWorld()
    world.round(1, 2)
    world.round(2, 3)
    world.end_epoch()
    world.install()
    world.member("late", Side.BUY, money=0)
    box = world.admit("late", "box")
    world.ready("late", box)
    world.install()
    world.remove(world.r(3))
    world.install()
    return world
