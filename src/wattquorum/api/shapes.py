"""Shapes: what requests and answers of the interface look like, but for those that are made from records.

Both sides know them, a node and its clients, so they need nothing of either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wattquorum.foundation.codec import Record, Unsigned

if TYPE_CHECKING:
    from wattquorum.node.node import Decided


@dataclass(frozen=True, slots=True)
class SubmitShape:
    """A signed transaction and the rows beside it, in base64."""

    transaction: str
    rows: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptShape:
    """What became of a transaction. Code, field and value are empty unless it was refused."""

    transaction: str
    height: int
    outcome: str
    code: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class RefusalShape:
    """Why something was not done, and what would be admitted."""

    code: str
    field: str
    value: str
    remedy: str


@dataclass(frozen=True, slots=True)
class AccountShape:
    """An account, after the block at `height`. Money in millionths."""

    address: str
    name: str
    owner: str
    status: str
    roles: list[str]
    balance: int
    locked: int
    nonce: int
    height: int


@dataclass(frozen=True, slots=True)
class VoterShape:
    """Who votes with how much power."""

    replica: str
    power: int


@dataclass(frozen=True, slots=True)
class PeerShape:
    """How this node stands with another."""

    replica: str
    place: str
    connected: bool
    heard: bool
    round_trip_ms: float | None
    backlog_bytes: int
    dropped_messages: int
    fault: str


@dataclass(frozen=True, slots=True)
class StatusShape:
    """How it stands with a node."""

    replica: str
    chain: str
    role: str
    term: int
    leader: str
    height: int
    state: str
    archived: int
    commit: int
    halted: str
    disk_full: bool
    clock_apart_ms: int
    waiting: int
    version: int
    joint: bool
    voters: list[VoterShape]
    learners: list[str]
    fewest_in_a_quorum: int
    most_in_a_quorum: int
    peers: list[PeerShape]
    turned_away: dict[str, int]


class BatchItem(Record, frozen=True):
    """A transaction of a batch."""

    transaction: bytes
    rows: bytes | None


class Step(Record, frozen=True):
    """A moment of a demo, and what is signed at it."""

    time_ms: Unsigned
    items: tuple[BatchItem, ...]


class BatchOutcome(Record, frozen=True):
    """What became of it; height 0 where it is in no block."""

    height: Unsigned
    outcome: Unsigned
    code: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class TipShape:
    """The last block's height, and its certificate with its entry's digest: an encoded Sealed, in base64."""

    height: int
    sealed: str


@dataclass(frozen=True, slots=True)
class PathShape:
    """A Merkle path."""

    position: int
    size: int
    siblings: list[str]


@dataclass(frozen=True, slots=True)
class ProofShape:
    """A proof file, as docs/formats.md describes it and `wattquorum verify` checks it."""

    format: int
    genesis: str
    headers: list[str]
    tip: str
    transaction: str
    transaction_path: PathShape
    receipt: str
    receipt_path: PathShape
    voucher: str


@dataclass(frozen=True, slots=True)
class AgentShape:
    """One who agrees, in the order in which they propose. `member` is empty while the replica is nobody's."""

    replica: str
    member: str
    group: int
    votes: int
    accused: bool


@dataclass(frozen=True, slots=True)
class ElectorShape:
    """Who votes in a group: trust T [millionths of a point], traded energy N [Wh], its replica, and what it said."""

    member: str
    name: str
    group: int
    trust: int
    traded: int
    replica: str
    stood: bool
    voted_for: str


@dataclass(frozen=True, slots=True)
class ElectionsShape:
    """All of it after the block at `height`; `closing` is the epoch's last height, 0 while that is not announced."""

    height: int
    protocol: str
    epoch: int
    closing: int
    stand_blocks: int
    agents: list[AgentShape]
    electors: list[ElectorShape]


@dataclass(frozen=True, slots=True)
class ChoiceShape:
    """One for whom a member may vote."""

    member: str
    trust: int
    traded: int
    tie: str
    stands: bool


@dataclass(frozen=True, slots=True)
class BoothShape:
    """What a member may say now: stand, or vote for one of these."""

    height: int
    closing: int
    stand_blocks: int
    may_stand: bool
    may_vote: bool
    choices: list[ChoiceShape]


@dataclass(frozen=True, slots=True)
class MemberShape:
    """An account that somebody holds a key of. `weight` is its owner's standing in millionths of a point, if any."""

    address: str
    key: str
    name: str
    owner: str
    status: str
    roles: list[str]
    weight: int | None


@dataclass(frozen=True, slots=True)
class ReplicaShape:
    """A replica and its seat. `power` is that of the newest vector; `member` is empty while it is nobody's."""

    replica: str
    member: str
    seat: str
    power: int
    participation: int


@dataclass(frozen=True, slots=True)
class ProposalShape:
    """What governors are deciding on."""

    proposal: str
    action: str
    approvals: list[str]
    expires_ms: int


@dataclass(frozen=True, slots=True)
class MembersShape:
    """All of it after the block at `height`. Versions are those of vectors: the newest made, and those in force."""

    height: int
    epoch: int
    newest: int
    in_force: list[int]
    approvals_needed: int
    members: list[MemberShape]
    replicas: list[ReplicaShape]
    proposals: list[ProposalShape]


@dataclass(frozen=True, slots=True)
class LieShape:
    """Two statements of a member that exclude each other, and what they were about.

    `committee` is the version of voting powers of which it was a member; `evidence` is the encoded Equivocation, in
    base64, as an Accuse has it.
    """

    replica: str
    committee: int
    height: int
    view: int
    phase: str
    evidence: str


@dataclass(frozen=True, slots=True)
class OwnCommitShape:
    """A height at which the replica agreed and whose certificate leaves it out, with its signature, as an Attest has
    it."""

    height: int
    view: int
    signature: str


@dataclass(frozen=True, slots=True)
class WitnessShape:
    """After the block at `height`: what the ledger does not know yet, and can still be told.

    `replica` is the node's, `member` who runs it; empty while it is nobody's.
    """

    height: int
    replica: str
    member: str
    lies: list[LieShape]
    left_out: list[OwnCommitShape]


def receipt_shape(decided: Decided) -> ReceiptShape:
    """A receipt as it is told."""
    receipt = decided.receipt
    return ReceiptShape(
        receipt.transaction.hex(),
        decided.height,
        receipt.outcome.name.lower(),
        receipt.code,
        receipt.field,
        receipt.value,
    )
