"""The one encoding: what decodes encodes to the same bytes, and nothing else decodes."""

from __future__ import annotations

import json
from contextlib import suppress
from enum import IntEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.codec import (
    INT64_MAX,
    INT64_MIN,
    Address,
    Decoder,
    Digest,
    Name,
    Record,
    Signed,
    Text,
    Unsigned,
    announced,
    changed,
    encode,
    from_json,
    to_json,
)
from wattquorum.foundation.refusals import Refused


class Colour(IntEnum):
    RED = 1
    BLUE = 7


class Leaf(Record, frozen=True):
    count: Unsigned
    name: Name


class Tree(Record, frozen=True):
    balance: Signed
    owner: Address
    root: Digest
    note: Text
    colour: Colour
    leaves: tuple[Leaf, ...]
    parent: bytes | None


names = st.text("abcXYZ019._:-", min_size=1, max_size=64)
leaves = st.builds(Leaf, st.integers(0, INT64_MAX), names)
trees = st.builds(
    Tree,
    st.integers(INT64_MIN, INT64_MAX),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=32, max_size=32),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=256),
    st.sampled_from(Colour),
    st.lists(leaves, max_size=4).map(tuple),
    st.none() | st.binary(max_size=50),
)
TREE: Decoder[Tree] = Decoder(Tree, "tree")
LEAF: Decoder[Leaf] = Decoder(Leaf, "leaf")


def refusal_of(decoder: Decoder[Any], data: bytes) -> Refused:
    with pytest.raises(Refused) as refusal:
        decoder.decode(data)
    return refusal.value


# Round trips --------------------------------------------------------------------------------------------------------


@given(trees)
def test_what_is_encoded_decodes_to_the_same_value(tree: Tree) -> None:
    assert TREE.decode(encode(tree)) == tree


@given(trees, st.data())
def test_bytes_that_decode_are_the_one_encoding_of_their_value(tree: Tree, data: st.DataObject) -> None:
    """Turn any bit: either it is refused, or it is another value that encodes to exactly these bytes."""
    altered = bytearray(encode(tree))
    bit = data.draw(st.integers(0, 8 * len(altered) - 1))
    altered[bit // 8] ^= 1 << bit % 8
    with suppress(Refused):
        value = TREE.decode(bytes(altered))
        assert value != tree
        assert encode(value) == altered


@given(trees, st.data())
def test_what_is_cut_or_longer_is_refused(tree: Tree, data: st.DataObject) -> None:
    encoded = encode(tree)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    assert refusal_of(TREE, encoded[:cut]).code == "encoding_unreadable"
    assert refusal_of(TREE, encoded + data.draw(st.binary(min_size=1, max_size=3))).code == "encoding_unreadable"


@given(st.binary(max_size=60))
def test_noise_is_refused_and_never_crashes(noise: bytes) -> None:
    with suppress(Refused):
        assert encode(LEAF.decode(noise)) == noise


# Shortest forms alone -----------------------------------------------------------------------------------------------

# Leaf(5, "a") is 92 05 a161; each of these says the same in more bytes.
LONGER = {
    "array 16": "dc0002 05 a161",
    "array 32": "dd00000002 05 a161",
    "uint 8": "92 cc05 a161",
    "uint 16": "92 cd0005 a161",
    "uint 32": "92 ce00000005 a161",
    "uint 64": "92 cf0000000000000005 a161",
    "int 8": "92 d005 a161",
    "int 64": "92 d30000000000000005 a161",
    "str 8": "92 05 d90161",
    "str 16": "92 05 da000161",
}


def test_the_shortest_form_is_the_one() -> None:
    assert encode(Leaf(5, "a")) == bytes.fromhex("9205a161")


@pytest.mark.parametrize("form", LONGER)
def test_a_longer_form_of_the_same_value_is_refused(form: str) -> None:
    data = bytes.fromhex(LONGER[form])
    assert msgspec.msgpack.decode(data) == [5, "a"]
    refusal = refusal_of(LEAF, data)
    assert (refusal.code, refusal.value) == ("encoding_noncanonical", data[:16].hex())


def test_a_longer_form_of_bytes_is_refused() -> None:
    blob: Decoder[bytes] = Decoder(bytes, "blob")
    assert blob.decode(bytes.fromhex("c40161")) == b"a"
    assert refusal_of(blob, bytes.fromhex("c5000161")).code == "encoding_noncanonical"
    assert refusal_of(blob, bytes.fromhex("a161")).code == "encoding_unreadable"


@pytest.mark.parametrize(
    "value",
    [
        {"count": 5, "name": "a"},
        {},
        [5.0, "a"],
        [True, "a"],
        [None, "a"],
        ["5", "a"],
        [5, b"a"],
        [5],
        [5, "a", 0],
        [[5, "a"]],
        [-1, "a"],
        [INT64_MAX + 1, "a"],
        [2**64 - 1, "a"],
        [5, ""],
        [5, "a" * 65],
        [5, "a b"],
        [5, "a\n"],  # where a `$` would have let it pass
        [5, "ä"],
    ],
)
def test_values_of_another_kind_or_outside_their_bounds_are_refused(value: object) -> None:
    assert refusal_of(LEAF, encode(value)).code == "encoding_unreadable"


def test_text_that_is_no_utf8_is_refused() -> None:
    for text in ("a1ff", "a2c080", "a3eda080"):  # a stray byte, an overlong NUL, half of a pair
        assert refusal_of(LEAF, bytes.fromhex("9205" + text)).code == "encoding_unreadable"


@pytest.mark.parametrize("colour", [0, 2, -1, 255])
def test_a_number_that_an_enumeration_does_not_have_is_refused(colour: int) -> None:
    kind: Decoder[Colour] = Decoder(Colour, "colour")
    assert kind.decode(encode(Colour.BLUE)) is Colour.BLUE
    assert refusal_of(kind, encode(colour)).code == "encoding_unreadable"


def test_integers_at_the_bounds_of_64_bits_pass_and_beyond_them_nothing_can_be_written() -> None:
    number: Decoder[int] = Decoder(Signed, "number")
    for value in (INT64_MIN, -1, 0, INT64_MAX):
        assert number.decode(encode(value)) == value
    assert refusal_of(number, encode(INT64_MAX + 1)).code == "encoding_unreadable"
    for value in (2**64, INT64_MIN - 1):
        with pytest.raises(OverflowError):
            encode(value)


def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack() -> None:
    anything: Decoder[Any] = Decoder(Any, "anything")
    assert refusal_of(anything, b"\x91" * 100_000 + b"\x01").code == "encoding_unreadable"


def test_a_refusals_value_depends_on_the_bytes_alone_and_the_remedy_tells_the_fault() -> None:
    """Values go into receipts, which must not change with a library's wording."""
    refusal = refusal_of(LEAF, encode([5.0, "a"]))
    assert refusal.value == encode([5.0, "a"])[:16].hex()
    assert "$[0]" in refusal.remedy


# Records ------------------------------------------------------------------------------------------------------------


def test_a_record_cannot_be_changed_but_copied_with_other_fields() -> None:
    leaf = Leaf(5, "a")
    with pytest.raises(AttributeError):
        leaf.count = 6  # type: ignore[misc]
    assert changed(leaf, count=6) == Leaf(6, "a")
    assert leaf == Leaf(5, "a")


def test_records_are_exported_with_their_names() -> None:
    tree = Tree(-3, b"o" * 20, b"r" * 32, "hé", Colour.BLUE, (Leaf(1, "x"),), None)
    assert json.loads(to_json({b"\x01": [tree]})) == {
        "01": [
            {
                "balance": -3,
                "owner": "6f" * 20,
                "root": "72" * 32,
                "note": "hé",
                "colour": 7,
                "leaves": [{"count": 1, "name": "x"}],
                "parent": None,
            }
        ]
    }


class Written(msgspec.Struct, forbid_unknown_fields=True):
    count: Unsigned
    name: Name = "none"


def test_a_file_that_people_write_is_read_by_names() -> None:
    assert from_json(b'{"count": 5}', Written, "genesis") == Written(5)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"count": -1}', b'{"count": 1.5}', b'{"count": 1, "colour": 2}', b'{"name": "x"}', b"\xff"]
)
def test_a_file_that_does_not_fit_is_refused_with_its_fault(data: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        from_json(data, Written, "genesis")
    assert (refusal.value.code, refusal.value.field) == ("encoding_unreadable", "genesis")


@given(st.integers(0, 70_000), st.binary(max_size=8))
def test_how_many_items_an_array_has_is_known_from_its_head(count: int, before: bytes) -> None:
    data = before + encode([None] * count)
    assert announced(data, "list", len(before)) == count
    head = data[len(before) : -count or None]
    assert announced(before + head, "list", len(before)) == count
    for cut in range(len(head)):
        with pytest.raises(Refused, match="encoding_unreadable"):
            announced(before + head[:cut], "list", len(before))


@pytest.mark.parametrize("other", [5, "text", b"bytes", None, {}])
def test_what_is_no_array_has_no_items(other: object) -> None:
    with pytest.raises(Refused, match="encoding_unreadable"):
        announced(encode(other), "list")
