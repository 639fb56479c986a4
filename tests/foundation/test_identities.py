"""Tagged hashes, addresses and signatures, forged ones included."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation.identities import (
    ADDRESS_BYTES,
    SIGNATURE_BYTES,
    SIGNING_PREFIX,
    Signed,
    SigningKey,
    address_of,
    is_signed,
    signed_bytes,
    tagged_hash,
    verify_each,
)

ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group that Ed25519 signs in (RFC 8032)
KEY = SigningKey(bytes(range(32)))
MESSAGE = b"1 MWh tomorrow"


def signed(message: bytes = MESSAGE, purpose: str = "transaction") -> Signed:
    return Signed(KEY.public, signed_bytes(purpose, message), KEY.sign(purpose, message))


# Hashes and addresses -----------------------------------------------------------------------------------------------


def test_a_tagged_hash_is_sha256_over_the_length_prefixed_tag_and_the_parts() -> None:
    assert tagged_hash("address", b"ab", b"c") == hashlib.sha256(b"\x07addressabc").digest()


@given(st.text("abc", min_size=1, max_size=3), st.text("abc", min_size=1, max_size=3), st.binary(), st.binary())
def test_hashes_of_different_tags_differ_even_when_tag_and_content_run_together(
    tag: str, other: str, part: bytes, other_part: bytes
) -> None:
    if tag != other:
        assert tagged_hash(tag, part) != tagged_hash(other, other_part)
    assert tagged_hash(tag, part) != tagged_hash(tag + "a", part[1:])


def test_an_address_depends_on_chain_and_first_key() -> None:
    address = address_of(b"c" * 16, KEY.public)
    assert address == tagged_hash("address", b"c" * 16, KEY.public)[:ADDRESS_BYTES]
    assert len(address) == ADDRESS_BYTES
    assert address != address_of(b"d" * 16, KEY.public)


# Signatures ---------------------------------------------------------------------------------------------------------


def test_the_first_test_vector_of_rfc_8032() -> None:
    """The library is the one that we think it is: section 7.1, TEST 1, an empty message."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )
    assert SigningKey(seed).public == public
    assert is_signed(Signed(public, b"", signature))


def test_a_signature_covers_a_prefix_the_purpose_and_the_message() -> None:
    assert signed().message == b"WattQuorum signature 1\x00transaction\x00" + MESSAGE
    assert signed().message.startswith(SIGNING_PREFIX)
    assert is_signed(signed())


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    assert not is_signed(Signed(KEY.public, signed_bytes("block", MESSAGE), KEY.sign("transaction", MESSAGE)))


def test_signing_twice_gives_the_same_signature() -> None:
    assert KEY.sign("transaction", MESSAGE) == SigningKey(bytes(range(32))).sign("transaction", MESSAGE)


@given(st.integers(0, 8 * SIGNATURE_BYTES - 1))
def test_a_signature_with_one_bit_turned_is_refused(bit: int) -> None:
    check = signed()
    turned = bytearray(check.signature)
    turned[bit // 8] ^= 1 << bit % 8
    assert not is_signed(check._replace(signature=bytes(turned)))


@given(st.integers(0, 8 * 32 - 1))
def test_another_key_is_refused(bit: int) -> None:
    check = signed()
    turned = bytearray(check.key)
    turned[bit // 8] ^= 1 << bit % 8
    assert not is_signed(check._replace(key=bytes(turned)))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_signature_belongs_to_one_message(message: bytes, other: bytes) -> None:
    check = signed(message)
    assert is_signed(check)
    assert is_signed(check._replace(message=signed_bytes("transaction", other))) == (message == other)


@pytest.mark.parametrize("times", [1, 2, 7])
def test_the_same_scalar_written_larger_by_the_group_order_is_refused(times: int) -> None:
    """S + L verifies under the equation alone; were it accepted, anyone could change a signed transaction's id."""
    check = signed()
    scalar = int.from_bytes(check.signature[32:], "little") + times * ORDER
    malleable = check.signature[:32] + scalar.to_bytes(32, "little")
    assert scalar < 2**256
    assert not is_signed(check._replace(signature=malleable))


@pytest.mark.parametrize(
    "point",
    [
        bytes(32),  # order 4
        b"\x01" + bytes(31),  # the neutral element
        b"\xec" + b"\xff" * 30 + b"\x7f",  # order 2
        b"\xed" + b"\xff" * 30 + b"\x7f",  # p, a second way to write 0
        b"\xee" + b"\xff" * 30 + b"\x7f",  # p + 1, a second way to write 1
    ],
)
def test_keys_of_small_order_or_written_twice_sign_nothing(point: bytes) -> None:
    """Under the neutral element R = S*B would verify for every message."""
    zero = bytes(32)
    for commitment in (b"\x01" + bytes(31), point):
        assert not is_signed(Signed(point, MESSAGE, commitment + zero))


@pytest.mark.parametrize("cut", [0, 1, 63, 65, 128])
def test_a_signature_that_is_cut_or_longer_is_refused(cut: int) -> None:
    check = signed()
    assert not is_signed(check._replace(signature=(check.signature + bytes(64))[:cut]))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    check = signed()
    assert not is_signed(check._replace(key=(check.key + bytes(1))[:size]))


def test_bytes_moved_from_the_message_into_the_signature_are_refused() -> None:
    check = signed()
    joined = check.signature + check.message
    assert not is_signed(Signed(check.key, joined[65:], joined[:65]))


def test_many_are_verified_each_for_itself_in_order() -> None:
    good, bad = signed(), signed()._replace(message=b"")
    assert verify_each([good, bad, good]) == [True, False, True]
    assert verify_each([]) == []


def test_a_seed_of_another_size_makes_no_key() -> None:
    with pytest.raises(ValueError, match="seed"):
        SigningKey(b"short")


def test_the_secret_half_is_never_shown() -> None:
    assert bytes(range(32)).hex() not in repr(KEY)
    assert not hasattr(KEY, "__dict__")
