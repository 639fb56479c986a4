"""Proofs of inclusion: that a transaction and its receipt stand in a chain, for somebody who has no chain (L-27).

A proof is one JSON file: the genesis, the transaction and its receipt with their Merkle paths, the block's header, the
headers from there to the end of the chain, and the signed tip that names that end. Checking it needs this file alone:
the genesis's hash is the chain's id, the headers name each other, and a proposer that the genesis names has signed the
hash of the last one (a proposal's signature alone covers no receipt). Whoever checks compares one thing with what it
knows: the chain's id.

While a chain goes on it has no signed tip. Then a later block vouches for the last header: its proposal is signed over
the height and hash of the block that its proposer had executed last.

So a proof rests on the one signature of the founder who vouches, and on nothing else. Nobody without the secret key of
a founder can make one of what no block has. Whoever has such a key can, of any transaction in any sender's name, since
a sender's key stands in the state and not in the proof. `Included.voucher` says who vouches, to hold it against them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from wattquorum.foundation.codec import Decoder, Named, changed, encode, from_json, to_named_json
from wattquorum.foundation.identities import address_of, is_signed
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Applied, Block, Header, Proposed, Receipt, header_hash
from wattquorum.ledger.genesis import chain_id_of, decode_genesis
from wattquorum.ledger.proofs import Proof, holds, prove
from wattquorum.ledger.tip import opened
from wattquorum.ledger.transactions import Received

FORMAT = 1
FORMAT_VOUCHED = 2  # by a later proposal in place of a signed tip

_headers = Decoder[Header](Header, "header")
_receipts = Decoder[Receipt](Receipt, "receipt")


class Path(Named, frozen=True):
    """A Merkle path: the leaf's place, the tree's size, and the sibling hashes in hexadecimal."""

    position: int
    size: int
    siblings: tuple[str, ...]


class InclusionProof(Named, frozen=True, omit_defaults=True):
    """The content of a proof file; encoded values are in hexadecimal."""

    format: int
    genesis: str
    headers: tuple[str, ...]  # the block's, and every later one up to the end
    tip: str  # the signed tip as it is stored; empty in format 2
    transaction: str
    transaction_path: Path
    receipt: str
    receipt_path: Path
    voucher: str = ""  # format 2: the header of a later block, whose proposal names the last of `headers`


class Voucher(NamedTuple):
    """Whose word a proof is as good as."""

    key: bytes  # public, one of the genesis's proposers
    address: bytes  # of its replica
    closed: bool  # it signed that the chain ended there; otherwise it proposed a later block and named this one


class Included(NamedTuple):
    """What a proof proves, if the one who vouches for it tells the truth."""

    chain_id: bytes
    height: int
    time_ms: int
    received: Received
    receipt: Receipt
    end_height: int
    end_hash: bytes
    voucher: Voucher


def prove_inclusion(genesis_bytes: bytes, block: Block, later: list[Header], tip: bytes, position: int) -> bytes:
    """The proof file of one transaction of a block; `later` are the headers that follow, up to the one of the tip."""
    return to_named_json(_proof(FORMAT, genesis_bytes, block, later, tip, position))


def prove_vouched(genesis_bytes: bytes, block: Block, later: list[Header], voucher: Header, position: int) -> bytes:
    """The same with a later block's header in place of a tip: its proposal names the last of the headers."""
    proof = _proof(FORMAT_VOUCHED, genesis_bytes, block, later, b"", position)
    return to_named_json(changed(proof, voucher=encode(voucher).hex()))


def _proof(
    format_: int, genesis_bytes: bytes, block: Block, later: list[Header], tip: bytes, position: int
) -> InclusionProof:
    receipts = [encode(receipt) for receipt in block.receipts]
    return InclusionProof(
        format_,
        genesis_bytes.hex(),
        tuple(encode(header).hex() for header in (block.header, *later)),
        tip.hex(),
        block.transactions[position].hex(),
        _path(prove(block.transactions, position)),
        receipts[position].hex(),
        _path(prove(receipts, position)),
    )


def _path(proof: Proof) -> Path:
    return Path(proof.position, proof.size, tuple(each.hex() for each in proof.siblings))


def check_inclusion(data: bytes) -> Included:
    """What a proof file proves, and on whose word; Refused("proof_wrong") when it does not prove anything."""
    proof = from_json(data, InclusionProof, "proof")
    if proof.format not in (FORMAT, FORMAT_VOUCHED):
        raise Refused(
            "proof_wrong", "format", proof.format, f"This version reads format {FORMAT} and {FORMAT_VOUCHED}."
        )
    genesis_bytes = _bytes(proof.genesis, "genesis")
    genesis = decode_genesis(genesis_bytes)
    chain_id = chain_id_of(genesis_bytes)
    headers = [_headers.decode(_bytes(each, "headers")) for each in proof.headers]
    if not headers:
        raise Refused("proof_wrong", "headers", "none")
    for before, after in pairwise(headers):
        if after.previous != header_hash(before) or after.height != before.height + 1:
            raise Refused("proof_wrong", "headers", after.height, "The headers do not follow each other.")
    founders = frozenset(bytes.fromhex(each) for each in genesis.proposers)
    named = (headers[-1].height, header_hash(headers[-1]))
    if proof.format == FORMAT_VOUCHED:
        later = _headers.decode(_bytes(proof.voucher, "voucher"))
        _check_voucher(later, chain_id, founders, Applied(*named))
        founder = later.proposer
    else:
        end, founder = opened(_bytes(proof.tip, "tip"), chain_id, founders)
        if (end.height, end.block) != named:
            raise Refused("proof_wrong", "tip", end.height, "The signed tip names another block than the last header.")
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
        Voucher(founder, address_of(chain_id, founder), proof.format == FORMAT),
    )


def _check_voucher(voucher: Header, chain_id: bytes, founders: frozenset[bytes], named: Applied) -> None:
    proposed = Proposed(
        chain_id, voucher.time_ms, voucher.applied, voucher.round, voucher.evidence, voucher.transactions_root
    )
    if voucher.applied != named:
        raise Refused("proof_wrong", "voucher", voucher.applied.height, "It names another block than the last header.")
    if voucher.proposer not in founders:
        raise Refused("proof_wrong", "voucher", voucher.proposer, "The genesis does not name its proposer.")
    if not is_signed(proposed.check(voucher.proposer, voucher.proposal_signature)):
        raise Refused("proof_wrong", "voucher", voucher.proposal_signature, "Its proposer did not sign it.")


def _bytes(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused("proof_wrong", field, text, "Give hexadecimal digits.") from None


def _check_path(path: Path, leaf: bytes, root: bytes, field: str) -> None:
    proof = Proof(path.position, path.size, tuple(_bytes(each, field) for each in path.siblings))
    if not holds(proof, leaf, root):
        raise Refused("proof_wrong", field, path.position, "It does not lead to the header's root.")
