"""Proof files: true ones are believed with nothing else; forged ones are not, however consistent they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ledger.world import World, key_of
from wattquorum.foundation.codec import Decoder, changed, encode
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import (
    PROPOSAL_PURPOSE,
    Applied,
    Block,
    Header,
    Outcome,
    Proposed,
    header_hash,
    receipts_root,
)
from wattquorum.ledger.inclusion import Voucher, check_inclusion, prove_inclusion, prove_vouched
from wattquorum.ledger.proofs import root_of
from wattquorum.ledger.tip import Tip, sealed
from wattquorum.ledger.transactions import Deposit, Received, sign, transaction_hash


@pytest.fixture
def world() -> World:
    made = World()
    made.member("g", Side.SELL)
    payloads = [made.signed("operator", Deposit(made.address("g"), 5, f"x{i}"), ahead=i) for i in range(3)]
    made.block(payloads)
    made.block([])
    made.block([])
    return made


def tip_of(world: World, header: Header, key: SigningKey) -> bytes:
    return sealed(Tip(header.height, header_hash(header), header.state_digest), world.ledger.chain_id, key)


def proof_of(world: World, blocks: list[Block], position: int = 1, key: SigningKey | None = None) -> bytes:
    later = [block.header for block in blocks[1:]]
    tip = tip_of(world, blocks[-1].header, key or world.proposer)
    return prove_inclusion(world.genesis_bytes, blocks[0], later, tip, position)


def test_a_proof_is_believed_with_nothing_else(world: World) -> None:
    blocks = [executed.block for executed in world.executed[-3:]]
    included = check_inclusion(proof_of(world, blocks))
    assert included.chain_id == world.ledger.chain_id
    assert included.received.data == blocks[0].transactions[1]
    assert included.receipt.outcome is Outcome.DONE
    assert included.height == blocks[0].header.height
    assert included.end_hash == world.ledger.tip_hash
    founder = world.proposer.public
    assert included.voucher == Voucher(founder, address_of(world.ledger.chain_id, founder), closed=True)


def test_a_forged_receipt_under_consistent_headers_is_not_believed(world: World) -> None:
    blocks = [executed.block for executed in world.executed[-3:]]
    lie = changed(blocks[0].receipts[1], outcome=Outcome.REFUSED, code="balance_short")
    receipts = (blocks[0].receipts[0], lie, blocks[0].receipts[2])
    first = changed(
        blocks[0], receipts=receipts, header=changed(blocks[0].header, receipts_root=receipts_root(receipts))
    )
    forged = [first]
    for block in blocks[1:]:
        forged.append(changed(block, header=changed(block.header, previous=header_hash(forged[-1].header))))
    true_tip = tip_of(world, blocks[-1].header, world.proposer)
    with pytest.raises(Refused) as told:
        check_inclusion(prove_inclusion(world.genesis_bytes, first, [each.header for each in forged[1:]], true_tip, 1))
    assert (told.value.code, told.value.field) == ("proof_wrong", "tip")
    with pytest.raises(Refused) as told:
        check_inclusion(proof_of(world, forged, key=key_of("somebody else")))
    assert told.value.code == "chain_altered"


def test_a_proof_of_another_genesis_proves_another_chain(world: World) -> None:
    other = World(parameters={"fee": 7})
    proof: dict[str, Any] = json.loads(proof_of(world, [executed.block for executed in world.executed[-3:]]))
    proof["genesis"] = other.genesis_bytes.hex()
    with pytest.raises(Refused):
        check_inclusion(json.dumps(proof).encode())


@pytest.mark.parametrize("field", ["genesis", "headers", "tip", "transaction", "receipt"])
def test_any_altered_part_is_found(world: World, field: str) -> None:
    whole: dict[str, Any] = json.loads(proof_of(world, [executed.block for executed in world.executed[-3:]]))
    text = whole[field][0] if field == "headers" else whole[field]
    for place in range(0, len(text), max(1, len(text) // 40)):
        broken = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
        altered = {**whole, field: [broken, *whole["headers"][1:]] if field == "headers" else broken}
        with pytest.raises(Refused):
            check_inclusion(json.dumps(altered).encode())


def test_a_path_to_another_place_is_found(world: World) -> None:
    whole: dict[str, Any] = json.loads(proof_of(world, [executed.block for executed in world.executed[-3:]]))
    other: dict[str, Any] = json.loads(proof_of(world, [executed.block for executed in world.executed[-3:]], 2))
    with pytest.raises(Refused):
        check_inclusion(
            json.dumps({**whole, "receipt": other["receipt"], "receipt_path": other["receipt_path"]}).encode()
        )
    assert encode(world.executed[-3].block.receipts[1]).hex() == whole["receipt"]


def vouched(blocks: list[Block], genesis: bytes) -> bytes:
    return prove_vouched(genesis, blocks[0], [blocks[1].header], blocks[2].header, 1)


def test_a_later_proposal_vouches_where_there_is_no_tip(world: World) -> None:
    blocks = [executed.block for executed in world.executed[-3:]]
    included = check_inclusion(vouched(blocks, world.genesis_bytes))
    assert (included.chain_id, included.received.data) == (world.ledger.chain_id, blocks[0].transactions[1])
    assert (included.end_height, included.end_hash) == (blocks[1].header.height, header_hash(blocks[1].header))
    founder = blocks[2].header.proposer
    assert included.voucher == Voucher(founder, address_of(world.ledger.chain_id, founder), closed=False)


@pytest.mark.parametrize("closed", [True, False])
def test_a_founder_alone_can_vouch_for_what_no_block_has_and_is_named(world: World, closed: bool) -> None:
    """What a proof rests on: one founder's word. Who relies on it is told whose."""
    blocks = [executed.block for executed in world.executed[-3:]]
    stranger = SigningKey(b"\x07" * 32)
    chain_id = world.ledger.chain_id
    payload = Deposit(world.address("g"), 10**12, "never-made")
    data = sign(stranger, changed(Received(blocks[0].transactions[1]).body, payload=payload))
    lie = changed(blocks[0].receipts[1], transaction=transaction_hash(data))
    transactions, receipts = (data,), (lie,)
    roots = {"transactions_root": root_of(transactions), "receipts_root": receipts_root(receipts)}
    header = changed(blocks[0].header, **roots)
    forged = changed(blocks[0], header=header, transactions=transactions, receipts=receipts)
    if closed:
        proof = prove_inclusion(world.genesis_bytes, forged, [], tip_of(world, header, world.proposer), 0)
    else:
        later = changed(blocks[1].header, applied=Applied(header.height, header_hash(header)))
        proposed = Proposed(
            chain_id, later.time_ms, later.applied, later.round, later.evidence, later.transactions_root
        )
        later = changed(later, proposal_signature=world.proposer.sign(PROPOSAL_PURPOSE, encode(proposed)))
        proof = prove_vouched(world.genesis_bytes, forged, [], later, 0)
    founder = world.proposer.public
    assert check_inclusion(proof).voucher == Voucher(founder, address_of(chain_id, founder), closed)


def test_a_voucher_has_to_be_signed_by_a_founder_over_the_last_header(world: World) -> None:
    blocks = [executed.block for executed in world.executed[-3:]]
    last = blocks[2].header
    for wrong in (
        changed(last, proposal_signature=bytes(64)),
        changed(last, proposer=key_of("somebody else").public),
        changed(last, time_ms=last.time_ms + 1),
        blocks[1].header,
    ):
        with pytest.raises(Refused) as told:
            check_inclusion(prove_vouched(world.genesis_bytes, blocks[0], [blocks[1].header], wrong, 1))
        assert (told.value.code, told.value.field) == ("proof_wrong", "voucher")
    whole: dict[str, Any] = json.loads(vouched(blocks, world.genesis_bytes))
    for altered in ({"voucher": ""}, {"format": 1}, {"format": 3}, {"headers": whole["headers"][:1]}):
        with pytest.raises(Refused):
            check_inclusion(json.dumps({**whole, **altered}).encode())
    parts = ("genesis", "voucher", "transaction", "receipt")
    for field in parts:
        for place in range(0, len(whole[field]), max(1, len(whole[field]) // 30)):
            text = whole[field]
            broken = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
            if field == "voucher" and _is_recomputed(text, broken):
                continue
            with pytest.raises(Refused):
                check_inclusion(json.dumps({**whole, field: broken}).encode())


def _is_recomputed(text: str, broken: str) -> bool:
    """Whether an alteration of a voucher hits what its proposer does not sign, and nothing here relies on."""
    signed = ("time_ms", "applied", "proposer", "proposal_signature", "round", "evidence", "transactions_root")
    decoder = Decoder[Header](Header, "header")
    try:
        before, after = decoder.decode(bytes.fromhex(text)), decoder.decode(bytes.fromhex(broken))
    except Refused:
        return False
    return all(getattr(before, name) == getattr(after, name) for name in signed)
