"""Merkle trees: every leaf proves itself, nothing else does, and no two lists of leaves have one root."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.codec import changed
from wattquorum.foundation.identities import tagged_hash
from wattquorum.ledger.proofs import Proof, holds, leaf_hash, prove, root_of, root_of_hashes

SIZES = range(71)


def leaves_of(size: int) -> list[bytes]:
    return [b"leaf %d" % i for i in range(size)]


def test_a_root_of_three_leaves_worked_by_hand() -> None:
    # Two leaves have a parent, the third is carried up; the root covers the number of leaves.
    a, b, c = (leaf_hash(leaf) for leaf in (b"a", b"b", b"c"))
    top = tagged_hash("merkle node", tagged_hash("merkle node", a, b), c)
    assert root_of([b"a", b"b", b"c"]) == tagged_hash("merkle root", (3).to_bytes(8, "big"), top)


@pytest.mark.unmeasured
@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_proves_itself_and_nothing_else_does(size: int) -> None:
    leaves = leaves_of(size)
    root = root_of(leaves)
    for position in range(size):
        proof = prove(leaves, position)
        assert holds(proof, leaves[position], root)
        assert not holds(proof, b"another leaf", root)
        assert not holds(proof, leaves[position - 1], root) or size == 1
        assert not holds(proof, leaf_hash(leaves[position]), root)
        assert not holds(proof, leaves[position], root[:-1] + bytes((root[-1] ^ 1,)))
        assert not holds(proof, leaves[position], root_of([*leaves, b"more"]))


@pytest.mark.unmeasured
@pytest.mark.parametrize("size", SIZES)
def test_a_proof_with_another_position_or_size_does_not_hold(size: int) -> None:
    leaves = leaves_of(size)
    root = root_of(leaves)
    for position in range(size):
        proof = prove(leaves, position)
        for other in range(-1, size + 2):
            assert holds(changed(proof, position=other), leaves[position], root) is (other == position)
        for other in (*range(2 * size + 3), 2**62, 2**63, 2**80):
            assert holds(changed(proof, size=other), leaves[position], root) is (other == size)


@pytest.mark.unmeasured
@pytest.mark.parametrize("size", SIZES)
def test_a_proof_with_an_altered_missing_or_added_sibling_does_not_hold(size: int) -> None:
    leaves = leaves_of(size)
    root = root_of(leaves)
    for position in range(size):
        proof = prove(leaves, position)
        siblings = proof.siblings
        for i, sibling in enumerate(siblings):
            altered = bytes((sibling[0] ^ 128,)) + sibling[1:]
            for wrong in (
                (*siblings[:i], altered, *siblings[i + 1 :]),
                (*siblings[:i], *siblings[i + 1 :]),
                (*siblings[:i], sibling, sibling, *siblings[i + 1 :]),
            ):
                assert not holds(changed(proof, siblings=wrong), leaves[position], root)
        assert not holds(changed(proof, siblings=(*siblings, bytes(32))), leaves[position], root)


def test_a_proof_from_an_empty_tree_holds_for_nothing() -> None:
    assert not holds(Proof(0, 0, ()), b"", root_of([]))
    assert not holds(Proof(0, 1, ()), b"", root_of([]))


def test_lists_of_every_length_have_roots_of_their_own() -> None:
    roots = [root_of(leaves_of(size)) for size in SIZES] + [root_of([b""] * size) for size in SIZES if size]
    assert len(set(roots)) == len(roots)


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    # Without tags, the two children's hashes as one leaf would have the root of the two leaves.
    a, b = leaf_hash(b"a"), leaf_hash(b"b")
    assert root_of([a + b]) != root_of([b"a", b"b"])
    assert root_of([tagged_hash("merkle node", a, b)]) != root_of([b"a", b"b"])
    assert root_of_hashes([tagged_hash("merkle node", a, b)]) != root_of([b"a", b"b"])


leaf_lists = st.lists(st.sampled_from([b"", b"a", b"b", b"ab"]), max_size=9)


@given(leaf_lists, leaf_lists)
def test_two_lists_have_the_same_root_only_if_they_are_equal(one: list[bytes], other: list[bytes]) -> None:
    assert (root_of(one) == root_of(other)) is (one == other)
