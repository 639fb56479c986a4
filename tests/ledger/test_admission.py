"""What is admitted: an inadmissible transaction leaves a receipt and nothing else, a refused one its nonce (L-26)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.watched import WatchedWorld, snapshot_of
from tests.ledger.world import HOUR, key_of
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import SigningKey, address_of, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Applied, Outcome, decode_ordered, order
from wattquorum.ledger.execution import APPLIED_LAG_MAX
from wattquorum.ledger.membership import ROTATION_PURPOSE
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    PURPOSE,
    TRANSACTION_BYTES_MAX,
    Body,
    Dispute,
    Payload,
    Register,
    RotateKey,
    Transaction,
    WithdrawMoney,
    rotation_message,
    sign,
    transaction_hash,
)

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
PAYLOAD = WithdrawMoney(MILLION)


def world() -> WatchedWorld:
    made = WatchedWorld()
    made.member("m", Side.BUY)
    return made


def body(at: WatchedWorld, **fields: object) -> Body:
    values: dict[str, object] = {
        "chain": at.ledger.chain_id,
        "sender": at.address("m"),
        "nonce": at.account("m").nonce,
        "expiry_height": at.ledger.height + 100,
        "expiry_ms": at.now + HOUR,
        "payload": PAYLOAD,
        **fields,
    }
    return Body(**values)  # type: ignore[arg-type]


def envelope(encoded: bytes, key: SigningKey | None = None) -> bytes:
    """Body bytes as they are, correctly signed."""
    return encode(Transaction(encoded, (key or key_of("m")).sign(PURPOSE, encoded)))


def leaves_no_trace(at: WatchedWorld, data: bytes, code: str, field: str) -> None:
    before, height = snapshot_of(at.ledger.state), at.ledger.height
    executed = at.block([data])
    (receipt,) = executed.block.receipts
    assert (receipt.outcome, receipt.code, receipt.field) == (Outcome.INADMISSIBLE, code, field)
    assert receipt.transaction == transaction_hash(data)
    assert receipt.transfers == b""
    assert executed.facts == ((),)
    assert snapshot_of(at.ledger.state) == before
    assert at.ledger.height == height + 1


def test_a_correct_transaction_is_done() -> None:
    at = world()
    (receipt,) = at.block([envelope(encode(body(at)))]).block.receipts
    assert receipt.outcome is Outcome.DONE


def forged(at: WatchedWorld) -> bytes:
    return envelope(encode(body(at)), key_of("somebody else"))


def flipped_signature(at: WatchedWorld) -> bytes:
    encoded = encode(body(at))
    signature = bytearray(key_of("m").sign(PURPOSE, encoded))
    signature[5] ^= 1
    return encode(Transaction(encoded, bytes(signature)))


def signature_with_the_group_order_added(at: WatchedWorld) -> bytes:
    """The same point and scalar, the scalar written as s + L: a verifier that does not reduce would accept it."""
    encoded = encode(body(at))
    signature = key_of("m").sign(PURPOSE, encoded)
    scalar = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    return encode(Transaction(encoded, signature[:32] + scalar.to_bytes(32, "little")))


def signed_for_another_purpose(at: WatchedWorld) -> bytes:
    encoded = encode(body(at))
    return encode(Transaction(encoded, key_of("m").sign("proposal", encoded)))


def signed_over_other_bytes(at: WatchedWorld) -> bytes:
    signature = key_of("m").sign(PURPOSE, encode(body(at)))
    return encode(Transaction(encode(body(at, payload=WithdrawMoney(2 * MILLION))), signature))


@pytest.mark.parametrize(
    "make",
    [
        forged,
        flipped_signature,
        signature_with_the_group_order_added,
        signed_for_another_purpose,
        signed_over_other_bytes,
    ],
)
def test_a_signature_that_is_not_the_senders_leaves_no_trace(make: Callable[[WatchedWorld], bytes]) -> None:
    at = world()
    leaves_no_trace(at, make(at), "signature_forged", "signature")


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"chain": bytes(16)}, "chain_wrong", "chain"),
        ({"sender": bytes(20)}, "sender_unknown", "sender"),
        ({"nonce": 1}, "nonce_wrong", "nonce"),
        ({"nonce": 2**63 - 1}, "nonce_wrong", "nonce"),
    ],
)
def test_another_chain_an_unknown_sender_or_a_wrong_nonce_leaves_no_trace(
    fields: dict[str, object], code: str, field: str
) -> None:
    at = world()
    leaves_no_trace(at, envelope(encode(body(at, **fields))), code, field)


def test_a_nonce_that_was_used_leaves_no_trace() -> None:
    at = world()
    again = envelope(encode(body(at)))
    at.block([again])
    leaves_no_trace(at, again, "nonce_wrong", "nonce")


def test_the_same_transaction_twice_in_a_block_is_done_once() -> None:
    at = world()
    data = envelope(encode(body(at)))
    receipts = at.block([data, data]).block.receipts
    assert [each.outcome for each in receipts] == [Outcome.DONE, Outcome.INADMISSIBLE]
    assert at.account("m").nonce == 1


def test_expiry_by_height_and_by_time_is_inclusive() -> None:
    at = world()
    next_height, next_time = at.ledger.height + 1, at.now + 1
    leaves_no_trace(at, envelope(encode(body(at, expiry_height=next_height - 1))), "expired", "expiry_height")
    leaves_no_trace(at, envelope(encode(body(at, expiry_ms=at.now))), "expired", "expiry_ms")
    assert at.account("m").nonce == 0  # an expired transaction uses no nonce
    next_height, next_time = at.ledger.height + 1, at.now + 1
    last = envelope(encode(body(at, expiry_height=next_height, expiry_ms=next_time)))
    assert at.block([last]).block.receipts[0].outcome is Outcome.DONE


def test_an_expiry_too_far_ahead_leaves_no_trace() -> None:
    at = world()
    furthest = at.ledger.height + 1 + 1_000_000
    leaves_no_trace(at, envelope(encode(body(at, expiry_height=furthest + 1))), "expiry_too_far", "expiry_height")
    (receipt,) = at.block([envelope(encode(body(at, expiry_height=furthest + 1)))]).block.receipts
    assert receipt.outcome is Outcome.DONE  # one block later it is just not too far


def with_longer_integer(encoded: bytes) -> bytes:
    """The amount 1,000,000 at the end, as a 64-bit instead of a 32-bit integer."""
    short = b"\xce" + MILLION.to_bytes(4, "big")
    assert encoded.endswith(short)
    return encoded[: -len(short)] + b"\xcf" + MILLION.to_bytes(8, "big")


def with_extra_element(encoded: bytes) -> bytes:
    assert encoded[0] == 0x96  # an array of six
    return b"\x97" + encoded[1:] + b"\x00"


def as_map(encoded: bytes) -> bytes:
    names = ("chain", "sender", "nonce", "expiry_height", "expiry_ms", "payload")
    return msgspec.msgpack.encode(dict(zip(names, msgspec.msgpack.decode(encoded), strict=True)))


def with_long_array_head(encoded: bytes) -> bytes:
    return b"\xdc\x00\x06" + encoded[1:]


def with_overflow(encoded: bytes) -> bytes:
    """The amount as 2**63, which an unsigned 64-bit integer of the wire could carry."""
    return encoded[:-5] + b"\xcf" + (2**63).to_bytes(8, "big")


def with_negative(encoded: bytes) -> bytes:
    return encoded[:-5] + b"\xff"


def with_float(encoded: bytes) -> bytes:
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(encoded)[:-1], [21, 1e6]])


def with_unknown_tag(encoded: bytes) -> bytes:
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(encoded)[:-1], [99, MILLION]])


@pytest.mark.parametrize(
    ("alter", "code"),
    [
        (with_longer_integer, "encoding_noncanonical"),
        (with_long_array_head, "encoding_noncanonical"),
        (with_extra_element, "encoding_unreadable"),
        (lambda encoded: encoded + b"\x00", "encoding_unreadable"),
        (lambda encoded: encoded[:-1], "encoding_unreadable"),
        (lambda _: b"", "encoding_unreadable"),
        (as_map, "encoding_unreadable"),
        (with_overflow, "encoding_unreadable"),
        (with_negative, "encoding_unreadable"),
        (with_float, "encoding_unreadable"),
        (with_unknown_tag, "encoding_unreadable"),
    ],
)
def test_a_body_that_is_not_in_the_one_encoding_leaves_no_trace(alter: Callable[[bytes], bytes], code: str) -> None:
    at = world()
    # The signature is right: it covers exactly the altered bytes.
    leaves_no_trace(at, envelope(alter(encode(body(at)))), code, "transaction body")


@pytest.mark.parametrize(
    ("alter", "code"),
    [
        (lambda data: data + b"\x00", "encoding_unreadable"),
        (lambda data: data[:-1], "encoding_unreadable"),
        (lambda data: b"\xdc\x00\x02" + data[1:], "encoding_noncanonical"),
        (lambda data: b"\x93" + data[1:] + b"\x00", "encoding_unreadable"),
        (lambda data: b"\x92\xc6" + len(data[3:]).to_bytes(4, "big") + data[3:], "encoding_unreadable"),
        (lambda _: b"", "encoding_unreadable"),
        (lambda _: b"\xc0", "encoding_unreadable"),
        (lambda data: data + bytes(TRANSACTION_BYTES_MAX), "transaction_oversized"),
    ],
)
def test_an_envelope_that_is_not_in_the_one_encoding_leaves_no_trace(
    alter: Callable[[bytes], bytes], code: str
) -> None:
    at = world()
    leaves_no_trace(at, alter(envelope(encode(body(at)))), code, "transaction")


def test_the_largest_transaction_is_read_and_one_byte_more_is_not() -> None:
    at = world()
    empty = envelope(encode(body(at))) + b""
    padding = bytes(TRANSACTION_BYTES_MAX - len(empty))
    leaves_no_trace(at, empty + padding, "encoding_unreadable", "transaction")
    leaves_no_trace(at, empty + padding + b"\x00", "transaction_oversized", "transaction")


def test_reserved_accounts_send_nothing() -> None:
    at = world()
    for name in ("grid", "community", "payouts", "outside"):
        address = getattr(at.ledger._reserved, name)
        leaves_no_trace(at, envelope(encode(body(at, sender=address, nonce=0))), "sender_unknown", "sender")


def rotation(at: WatchedWorld, name: str, new: SigningKey) -> RotateKey:
    return RotateKey(new.public, new.sign(ROTATION_PURPOSE, rotation_message(at.ledger.chain_id, at.address(name))))


def test_in_the_block_of_a_rotation_the_old_key_ends_and_the_new_one_begins() -> None:
    at, new = world(), key_of("new")
    first = body(at, payload=rotation(at, "m", new))
    by_old = body(at, nonce=1, payload=WithdrawMoney(1))
    by_new = body(at, nonce=1, payload=WithdrawMoney(2))
    executed = at.block([envelope(encode(first)), envelope(encode(by_old)), envelope(encode(by_new), new)])
    outcomes = [(each.outcome, each.code) for each in executed.block.receipts]
    assert outcomes == [(Outcome.DONE, ""), (Outcome.INADMISSIBLE, "signature_forged"), (Outcome.DONE, "")]
    assert at.account("m").nonce == 2
    leaves_no_trace(at, envelope(encode(body(at))), "signature_forged", "signature")


def test_an_account_can_be_used_in_the_block_that_registers_it() -> None:
    at, key = world(), key_of("late")
    address = address_of(at.ledger.chain_id, key.public)
    early = Body(at.ledger.chain_id, address, 0, at.ledger.height + 9, at.now + HOUR, WithdrawMoney(1))
    registered = at.signed("operator", Register(key.public, "late", "late", ()))
    executed = at.block([sign(key, early), registered, sign(key, early)])
    outcomes = [(each.outcome, each.code) for each in executed.block.receipts]
    assert outcomes == [
        (Outcome.INADMISSIBLE, "sender_unknown"),
        (Outcome.DONE, ""),
        (Outcome.REFUSED, "balance_short"),
    ]
    found = at.ledger.account(address)
    assert found is not None
    assert found.nonce == 1


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (WithdrawMoney(10**15), "balance_short"),
        (WithdrawMoney(0), "amount_not_positive"),
        (Dispute(1, b"", ""), "day_unknown"),
    ],
)
def test_a_refused_transaction_changes_nothing_but_its_senders_nonce(payload: Payload, code: str) -> None:
    at = world()
    before = snapshot_of(at.ledger.state)
    receipt = at.do("m", payload)
    assert (receipt.outcome, receipt.code) == (Outcome.REFUSED, code)
    after = snapshot_of(at.ledger.state)
    changed = [place for place in after if after[place] != before.get(place)]
    assert changed == [(Table.ACCOUNT, at.address("m"))]
    assert at.account("m").nonce == 1
    assert len(after) == len(before)


def test_one_bad_transaction_does_not_stop_the_others_of_its_block() -> None:
    at = world()
    good, later = body(at), body(at, nonce=1, payload=WithdrawMoney(7))
    receipts = at.block([envelope(encode(good)), b"rubbish", envelope(encode(later))]).block.receipts
    assert [each.outcome for each in receipts] == [Outcome.DONE, Outcome.INADMISSIBLE, Outcome.DONE]


# Entries: what a proposer orders


@pytest.mark.parametrize("which", ["proposer", "signature", "time", "trailing", "chain"])
def test_an_entry_that_no_proposer_signed_or_that_is_not_later_changes_nothing(which: str) -> None:
    at = world()
    key = key_of("not a proposer") if which == "proposer" else at.proposer
    time = at.now if which == "time" else at.now + 1
    chain = bytes(16) if which == "chain" else at.ledger.chain_id
    entry = order(key, chain, time, at.ledger.applied, (at.signed("m", PAYLOAD),))
    if which == "signature":
        entry = entry.replace((at.now + 1).to_bytes(8, "big"), (at.now + 2).to_bytes(8, "big"))
    if which == "trailing":
        entry += b"\x00"
    before, tip = snapshot_of(at.ledger.state), at.ledger.tip
    with pytest.raises(Refused) as caught:
        at.ledger.execute(entry, verify_each)
    codes = {
        "proposer": "role_missing",
        "signature": "signature_forged",
        "time": "out_of_range",
        "trailing": "encoding_unreadable",
        "chain": "signature_forged",
    }
    assert caught.value.code == codes[which]
    assert snapshot_of(at.ledger.state) == before
    assert at.ledger.tip is tip
    assert at.ledger.state.changes() == []


def test_a_proposal_names_a_block_that_is_there_and_not_too_long_ago() -> None:
    at = world()
    tip, height = at.ledger.applied, at.ledger.height

    def proposed(applied: Applied) -> bytes:
        return order(at.proposer, at.ledger.chain_id, at.now + 1, applied, (at.signed("m", PAYLOAD),))

    for applied, code in (
        (Applied(height, bytes(32)), "diverged"),
        (Applied(height - 1, tip.hash), "diverged"),
        (Applied(height + 1, tip.hash), "out_of_range"),
    ):
        before = snapshot_of(at.ledger.state)
        with pytest.raises(Refused) as caught:
            at.ledger.execute(proposed(applied), verify_each)
        assert caught.value.code == code
        assert snapshot_of(at.ledger.state) == before
    entry = proposed(tip)
    for _ in range(APPLIED_LAG_MAX + 1):
        at.block([])
    late = order(at.proposer, at.ledger.chain_id, at.now + 1, tip, ())
    with pytest.raises(Refused) as caught:
        at.ledger.execute(late, verify_each)
    assert (caught.value.code, caught.value.field) == ("out_of_range", "applied.height")
    # The signature covers what was executed: the same entry for another block is nobody's.
    moved = changed(decode_ordered(entry), applied=at.ledger.applied, time_ms=at.now + 1)
    with pytest.raises(Refused) as caught:
        at.ledger.execute_ordered(moved, verify_each)
    assert caught.value.code == "signature_forged"


def test_a_proposer_may_lag_behind_as_far_as_the_bound() -> None:
    at = world()
    applied = at.ledger.applied
    for _ in range(APPLIED_LAG_MAX):
        at.ledger.execute(order(at.proposer, at.ledger.chain_id, at.now + 1, applied, ()), verify_each)
        at.now += 1
    assert at.ledger.height == applied.height + APPLIED_LAG_MAX


# Fuzzing

mutations = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert"]), st.integers(0, 2**16), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, changes: list[tuple[str, int, int]], first: int = 0) -> bytes:
    """Bytes after a few changes, all at or behind `first`."""
    result = bytearray(data)
    for how, place, value in changes:
        at = first + place % (len(result) - first)
        if how == "set":
            result[at] = value
        elif how == "insert" or len(result) - first == 1:
            result.insert(at, value)
        else:
            del result[at]
    return bytes(result)


@settings(max_examples=100)
@given(st.one_of(st.binary(max_size=300), mutations), st.booleans())
def test_random_and_mutated_bytes_leave_inadmissible_receipts_and_never_raise(
    change: bytes | list[tuple[str, int, int]], dispute: bool
) -> None:
    at = world()
    seed = envelope(encode(body(at, payload=Dispute(5, bytes(16), "text") if dispute else PAYLOAD)))
    candidate = change if isinstance(change, bytes) else mutated(seed, change)
    if candidate == seed:
        return
    before = snapshot_of(at.ledger.state)
    (receipt,) = at.block([candidate]).block.receipts
    assert receipt.outcome is Outcome.INADMISSIBLE
    assert snapshot_of(at.ledger.state) == before


CHAIN_AND_SENDER_BYTES = 1 + 2 + 16 + 2 + 20


@settings(max_examples=150)
@given(st.integers(0, 3), mutations)
def test_signed_bodies_that_were_mutated_are_done_refused_or_inadmissible_and_never_raise(
    which: int, changes: list[tuple[str, int, int]]
) -> None:
    at = world()
    payloads = (
        PAYLOAD,
        Dispute(5, bytes(16), "text"),
        rotation(at, "m", key_of("m")),
        at.offer_payload(Side.SELL, [1, 2, 3, 4], partner="m"),
    )
    encoded = mutated(encode(body(at, payload=payloads[which])), changes, first=CHAIN_AND_SENDER_BYTES)
    before = snapshot_of(at.ledger.state)
    (receipt,) = at.block([envelope(encoded)]).block.receipts
    after = snapshot_of(at.ledger.state)
    changed = [place for place in after if after[place] != before.get(place)]
    if receipt.outcome is Outcome.INADMISSIBLE:
        assert changed == []
    elif receipt.outcome is Outcome.REFUSED:
        assert changed == [(Table.ACCOUNT, at.address("m"))]
