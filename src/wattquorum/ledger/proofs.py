"""Merkle trees and proofs: of transactions, receipts, readings and the state.

Leaves, nodes and roots are hashed under different tags, an odd node is carried up unchanged, and the root covers how
many leaves there are, so that no tree has the root of another and a proof says where its leaf stands. A proof is a
leaf's path to the root; whoever holds a block header can check it with nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wattquorum.foundation.codec import INT64_MAX, Digest, Record, Unsigned
from wattquorum.foundation.identities import hasher, tagged_hash

SIZE_BYTES: Final = 8

leaf_hash: Final = hasher("merkle leaf")
_node_hash: Final = hasher("merkle node")  # of two nodes, one after the other


def _parents(level: Sequence[bytes]) -> list[bytes]:
    above = [_node_hash(level[i] + level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        above.append(level[-1])
    return above


def _root(top: bytes, size: int) -> bytes:
    return tagged_hash("merkle root", size.to_bytes(SIZE_BYTES, "big"), top)


def root_of_hashes(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, in order; there may be none."""
    level = list(leaves)
    while len(level) > 1:
        level = _parents(level)
    return _root(b"".join(level), len(leaves))


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf data, in order; there may be none."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


class Proof(Record, frozen=True):
    """That a leaf stands at `position` of a tree with `size` leaves: the sibling hashes from the leaf upward."""

    position: Unsigned
    size: Unsigned
    siblings: tuple[Digest, ...]


def prove(leaves: Sequence[bytes], position: int) -> Proof:
    """The proof for one leaf of a tree."""
    level, at, siblings = [leaf_hash(leaf) for leaf in leaves], position, []
    while len(level) > 1:
        if at ^ 1 < len(level):
            siblings.append(level[at ^ 1])
        level, at = _parents(level), at // 2
    return Proof(position, len(leaves), tuple(siblings))


def holds(proof: Proof, leaf: bytes, root: bytes) -> bool:
    """Whether the proof leads from the leaf to the root."""
    if not 0 <= proof.position < proof.size <= INT64_MAX:
        return False
    node, at, width, rest = leaf_hash(leaf), proof.position, proof.size, list(proof.siblings)
    while width > 1:
        if at ^ 1 < width:
            if not rest:
                return False
            sibling = rest.pop(0)
            node = _node_hash(sibling + node) if at % 2 else _node_hash(node + sibling)
        at, width = at // 2, (width + 1) // 2
    return not rest and _root(node, proof.size) == root
