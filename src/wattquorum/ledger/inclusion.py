"""Proofs of inclusion: that a transaction and its receipt stand in a chain, for somebody who has no chain (L-27).

A proof is one JSON file: the genesis, the transaction and its receipt with their Merkle paths, the block's header, and
the headers from there to the signed end of the chain. Checking it needs this file alone: the genesis's hash is the
chain's id, the headers name each other, and the end is signed by a proposer that the genesis names. Whoever checks
compares one thing with what it knows: the chain's id.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from wattquorum.foundation.codec import Decoder, Named, encode, from_json, to_named_json
from wattquorum.foundation.identities import is_signed
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Block, Header, Receipt, header_hash, proposal_check
from wattquorum.ledger.genesis import chain_id_of, decode_genesis
from wattquorum.ledger.proofs import Proof, holds, prove
from wattquorum.ledger.transactions import Received

FORMAT = 1

_headers = Decoder[Header](Header, "header")
_receipts = Decoder[Receipt](Receipt, "receipt")


class Path(Named, frozen=True):
    """A Merkle path: the leaf's place, the tree's size, and the sibling hashes in hexadecimal."""

    position: int
    size: int
    siblings: tuple[str, ...]


class InclusionProof(Named, frozen=True):
    """The content of a proof file; encoded values are in hexadecimal."""

    format: int
    genesis: str
    headers: tuple[str, ...]  # the block's, and every later one up to the end
    transaction: str
    transaction_path: Path
    receipt: str
    receipt_path: Path


class Included(NamedTuple):
    """What a proof proves."""

    chain_id: bytes
    height: int
    time_ms: int
    received: Received
    receipt: Receipt
    end_height: int
    end_hash: bytes


def prove_inclusion(genesis_bytes: bytes, block: Block, later: list[Header], position: int) -> bytes:
    """The proof file of one transaction of a block; `later` are the headers that follow, up to the end."""
    receipts = [encode(receipt) for receipt in block.receipts]
    proof = InclusionProof(
        FORMAT,
        genesis_bytes.hex(),
        tuple(encode(header).hex() for header in (block.header, *later)),
        block.transactions[position].hex(),
        _path(prove(block.transactions, position)),
        receipts[position].hex(),
        _path(prove(receipts, position)),
    )
    return to_named_json(proof)


def _path(proof: Proof) -> Path:
    return Path(proof.position, proof.size, tuple(each.hex() for each in proof.siblings))


def check_inclusion(data: bytes) -> Included:
    """What a proof file proves; Refused("proof_wrong") when it does not prove anything."""
    proof = from_json(data, InclusionProof, "proof")
    if proof.format != FORMAT:
        raise Refused("proof_wrong", "format", proof.format, f"This version reads format {FORMAT}.")
    genesis_bytes = _bytes(proof.genesis, "genesis")
    genesis = decode_genesis(genesis_bytes)
    chain_id = chain_id_of(genesis_bytes)
    headers = [_headers.decode(_bytes(each, "headers")) for each in proof.headers]
    if not headers:
        raise Refused("proof_wrong", "headers", "none")
    for before, after in pairwise(headers):
        if after.previous != header_hash(before) or after.height != before.height + 1:
            raise Refused("proof_wrong", "headers", after.height, "The headers do not follow each other.")
    for header in headers:
        check = proposal_check(
            chain_id,
            header.time_ms,
            header.evidence,
            header.transactions_root,
            header.proposer,
            header.proposal_signature,
        )
        if header.proposer.hex() not in genesis.proposers or not is_signed(check):
            raise Refused("proof_wrong", "proposal_signature", header.height, "No proposer of the genesis signed it.")
    transaction, receipt = _bytes(proof.transaction, "transaction"), _bytes(proof.receipt, "receipt")
    _check_path(proof.transaction_path, transaction, headers[0].transactions_root, "transaction_path")
    _check_path(proof.receipt_path, receipt, headers[0].receipts_root, "receipt_path")
    received = Received(transaction)
    decoded = _receipts.decode(receipt)
    if decoded.transaction != received.hash or proof.receipt_path.position != proof.transaction_path.position:
        raise Refused("proof_wrong", "receipt", decoded.transaction, "The receipt is another transaction's.")
    return Included(
        chain_id,
        headers[0].height,
        headers[0].time_ms,
        received,
        decoded,
        headers[-1].height,
        header_hash(headers[-1]),
    )


def _bytes(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused("proof_wrong", field, text, "Give hexadecimal digits.") from None


def _check_path(path: Path, leaf: bytes, root: bytes, field: str) -> None:
    proof = Proof(path.position, path.size, tuple(_bytes(each, field) for each in path.siblings))
    if not holds(proof, leaf, root):
        raise Refused("proof_wrong", field, path.position, "It does not lead to the header's root.")
