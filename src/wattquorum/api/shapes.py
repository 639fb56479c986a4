"""Shapes: what requests and answers of the interface look like."""

from __future__ import annotations

from dataclasses import dataclass

from wattquorum.foundation.codec import Record, Unsigned
from wattquorum.node import engines
from wattquorum.node.node import Decided, Node


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


def status_shape(node: Node) -> StatusShape:
    """A node's state as it is told."""
    engine, ledger = node.engine, node.ledger
    effective = engine.configuration
    fewest, most = engines.quorum_sizes(engine, effective)
    return StatusShape(
        node.address.hex(),
        node.chain_id.hex(),
        engines.role(engine, node.address),
        engine.term,
        engine.leader.hex(),
        ledger.height,
        ledger.digest.hex(),
        node.archive.height,
        engines.decided(engine),
        str(node.halted or ""),
        node.runtime.full or node.archive.full,
        node.clock.apart_ms,
        node.replica.waiting,
        effective.version,
        effective.old is not None,
        [VoterShape(voter.replica.hex(), voter.power) for voter in effective.new],
        [replica.hex() for replica in effective.learners],
        fewest,
        most,
        [
            PeerShape(
                peer.address.hex(),
                f"{peer.host}:{peer.port}",
                peer.connected_ms is not None,
                peer.heard_ms is not None,
                round(peer.round_trips_ms[-1], 3) if peer.round_trips_ms else None,
                peer.backlog_bytes,
                peer.dropped_messages,
                peer.last_error,
            )
            for peer in node.transport.peers()
        ],
        dict(sorted(node.transport.counters.turned_away.items())),
    )
