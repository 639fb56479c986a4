"""Blocks: what was ordered, what became of it, and the header that commits to both.

A proposer orders transactions and signs what nobody can recompute: chain, time, evidence, the transactions' root, and
which block it had executed last, by height and hash. That last part ties a proposal to its place: blocks that are taken
out, put in or altered afterwards no longer have the hashes that later proposals were signed over.
The rest of the header follows from executing: height, previous hash, epoch, receipts root, the state digest and, at
an epoch's end, the root of the whole state. Every transaction of a block has a receipt, admissible or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Final

from wattquorum.foundation.codec import Decoder, Digest, Meta, Record, Unsigned, encode
from wattquorum.foundation.identities import Signed, SigningKey, signed_bytes, tagged_hash
from wattquorum.ledger.proofs import root_of
from wattquorum.ledger.transactions import Key, Signature

PROPOSAL_PURPOSE: Final = "proposal"


class Applied(Record, frozen=True):
    """The last block that a proposer had executed when it proposed: its height and hash; 0 and the genesis's hash."""

    height: Unsigned
    hash: Digest


class Round(Record, frozen=True):
    """Under which votes a block is ordered: the term that its proposer leads, and the versions in force.

    Both are one but while a change of power is joint. Whoever orders alone has 0 for all.
    """

    term: Unsigned
    old: Unsigned
    new: Unsigned


ALONE: Final = Round(0, 0, 0)


class Ordered(Record, frozen=True):
    """What a proposer orders: the entry that a consensus engine carries as opaque bytes."""

    time_ms: Unsigned
    applied: Applied
    proposer: Key
    signature: Signature
    round: Round
    evidence: bytes  # of who completed the quorum for an earlier block (`ledger.rounds`)
    transactions: tuple[bytes, ...]
    attachments: tuple[bytes, ...]  # rows of readings; they stand beside the block, never in it


class Outcome(IntEnum):
    """What became of a transaction."""

    DONE = 0
    REFUSED = 1  # its payload was refused; the nonce is used
    INADMISSIBLE = 2  # nothing was changed


class Receipt(Record, frozen=True):
    """A transaction's outcome; for a refusal its code, field and value, otherwise the digest of its transfers.

    A retirement of certificates is done with a value: what was retired.
    """

    transaction: Digest
    outcome: Outcome
    code: str
    field: str
    value: str
    transfers: bytes  # H over the transfers it posted; empty when there were none


WITHOUT_ROWS: Final = ("role_missing", "account_inactive", "rows_missing")


def read_rows(receipt: Receipt) -> bool:
    """Whether a commitment to readings looked at its rows: a replay needs them then, even if it was refused."""
    return receipt.outcome is not Outcome.INADMISSIBLE and receipt.code not in WITHOUT_ROWS


class Header(Record, frozen=True):
    """What a block commits to."""

    height: Unsigned
    previous: Digest
    time_ms: Unsigned
    applied: Applied  # what the proposer had executed
    epoch: Unsigned
    proposer: Key
    proposal_signature: Signature
    round: Round
    evidence: bytes
    transactions_root: Digest
    receipts_root: Digest
    state_digest: Digest
    state_root: Annotated[bytes, Meta(max_length=32)]  # empty but at an epoch's end
    committee: bytes  # that agrees from the next block on, encoded; empty where it stays, and where replicas do not lie


class NextCommittee(Record, frozen=True):
    """Who agrees from the next block on, in order: the first proposes first. Headers alone tell whose signatures count.

    So whoever knows a committee, and its certificate on the block that names the next, knows the next.
    """

    version: Unsigned
    keys: tuple[Key, ...]


class Block(Record, frozen=True):
    """A header, the transactions and their receipts."""

    header: Header
    transactions: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]


_blocks: Final = Decoder[Block](Block, "block")
_ordered: Final = Decoder[Ordered](Ordered, "ordered entry")
decode_header: Final = Decoder[Header](Header, "header").decode
decode_committee: Final = Decoder[NextCommittee](NextCommittee, "committee").decode


def decode_block(data: bytes) -> Block:
    """A block from its bytes, strictly."""
    return _blocks.decode(data)


def decode_ordered(data: bytes) -> Ordered:
    """An ordered entry from its bytes, strictly."""
    return _ordered.decode(data)


def header_hash(header: Header) -> bytes:
    """The hash by which the next block names this one."""
    return tagged_hash("header", encode(header))


def transactions_root(transactions: tuple[bytes, ...]) -> bytes:
    """The Merkle root over the transactions' bytes."""
    return root_of(transactions)


def receipts_root(receipts: tuple[Receipt, ...]) -> bytes:
    """The Merkle root over the encoded receipts."""
    return root_of([encode(receipt) for receipt in receipts])


class Proposed(Record, frozen=True):
    """What a proposer signs."""

    chain: bytes
    time_ms: Unsigned
    applied: Applied
    round: Round
    evidence: bytes
    transactions_root: bytes

    def check(self, key: bytes, signature: bytes) -> Signed:
        """What must hold for the proposal to be the key's."""
        return Signed(key, signed_bytes(PROPOSAL_PURPOSE, encode(self)), signature)


def ordered_of(block: Block, attachments: Iterable[bytes]) -> Ordered:
    """The entry that a block was made from, with the attachments that stand beside it."""
    header = block.header
    return Ordered(
        header.time_ms,
        header.applied,
        header.proposer,
        header.proposal_signature,
        header.round,
        header.evidence,
        block.transactions,
        tuple(attachments),
    )


def order(
    key: SigningKey,
    chain_id: bytes,
    time_ms: int,
    applied: Applied,
    transactions: tuple[bytes, ...],
    attachments: tuple[bytes, ...] = (),
    round_: Round = ALONE,
    evidence: bytes = b"",
) -> bytes:
    """A signed entry for the consensus engine."""
    proposed = Proposed(chain_id, time_ms, applied, round_, evidence, transactions_root(transactions))
    signature = key.sign(PROPOSAL_PURPOSE, encode(proposed))
    return encode(Ordered(time_ms, applied, key.public, signature, round_, evidence, transactions, attachments))
