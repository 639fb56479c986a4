"""Blocks: what was ordered, what became of it, and the header that commits to both.

A proposer orders transactions and signs what nobody can recompute: chain, time, evidence and the transactions' root.
The rest of the header follows from executing: height, previous hash, epoch, receipts root, the state digest and, at
an epoch's end, the root of the whole state. Every transaction of a block has a receipt, admissible or not.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from wattquorum.foundation.codec import Decoder, Digest, Meta, Record, Unsigned, encode
from wattquorum.foundation.identities import Signed, SigningKey, signed_bytes, tagged_hash
from wattquorum.ledger.proofs import root_of
from wattquorum.ledger.transactions import Key, Signature

PROPOSAL_PURPOSE: Final = "proposal"


class Ordered(Record, frozen=True):
    """What a proposer orders: the entry that a consensus engine carries as opaque bytes."""

    time_ms: Unsigned
    proposer: Key
    signature: Signature
    evidence: bytes
    transactions: tuple[bytes, ...]
    attachments: tuple[bytes, ...]  # rows of readings; they stand beside the block, never in it


class Outcome(IntEnum):
    """What became of a transaction."""

    DONE = 0
    REFUSED = 1  # its payload was refused; the nonce is used
    INADMISSIBLE = 2  # nothing was changed


class Receipt(Record, frozen=True):
    """A transaction's outcome; for a refusal its code, field and value, otherwise the digest of its transfers."""

    transaction: Digest
    outcome: Outcome
    code: str
    field: str
    value: str
    transfers: bytes  # H over the transfers it posted; empty when there were none


WITHOUT_ROWS: Final = ("role_missing", "rows_missing")


def read_rows(receipt: Receipt) -> bool:
    """Whether a commitment to readings looked at its rows: a replay needs them then, even if it was refused."""
    return receipt.outcome is not Outcome.INADMISSIBLE and receipt.code not in WITHOUT_ROWS


class Header(Record, frozen=True):
    """What a block commits to."""

    height: Unsigned
    previous: Digest
    time_ms: Unsigned
    epoch: Unsigned
    proposer: Key
    proposal_signature: Signature
    evidence: bytes
    transactions_root: Digest
    receipts_root: Digest
    state_digest: Digest
    state_root: Annotated[bytes, Meta(max_length=32)]  # empty but at an epoch's end
    commit_certificate: bytes  # of the previous block; empty where no quorum signs


class Block(Record, frozen=True):
    """A header, the transactions and their receipts."""

    header: Header
    transactions: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]


_blocks: Final = Decoder[Block](Block, "block")
_ordered: Final = Decoder[Ordered](Ordered, "ordered entry")


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


class _Proposed(Record, frozen=True):
    chain: bytes
    time_ms: int
    evidence: bytes
    transactions_root: bytes


def proposal_check(chain_id: bytes, time_ms: int, evidence: bytes, root: bytes, key: bytes, signature: bytes) -> Signed:
    """What must hold for a proposal to be its proposer's."""
    message = encode(_Proposed(chain_id, time_ms, evidence, root))
    return Signed(key, signed_bytes(PROPOSAL_PURPOSE, message), signature)


def order(
    key: SigningKey,
    chain_id: bytes,
    time_ms: int,
    transactions: tuple[bytes, ...],
    attachments: tuple[bytes, ...] = (),
    evidence: bytes = b"",
) -> bytes:
    """A signed entry for the consensus engine."""
    message = encode(_Proposed(chain_id, time_ms, evidence, transactions_root(transactions)))
    signature = key.sign(PROPOSAL_PURPOSE, message)
    return encode(Ordered(time_ms, key.public, signature, evidence, transactions, attachments))
