"""The audit's own checks: blocks that are framed and hashed consistently and yet say what is not so."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.ledger.usurpation import usurped
from tests.ledger.voting_world import VotingWorld
from tests.ledger.world import HOUR, START, World, key_of
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import tagged_hash, verify_each
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind, Transfer
from wattquorum.ledger import snapshots
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.audit import Audited, AuditFault, audit
from wattquorum.ledger.blocks import Block, Outcome, Proposed, decode_ordered, order, receipts_root, transactions_root
from wattquorum.ledger.conservation import Books
from wattquorum.ledger.facts import ContractSettled, Moved
from wattquorum.ledger.readings import decode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import Deposit, SealDay
from wattquorum.market.terms import Policy

KWH = 1_000


@pytest.fixture(scope="module")
def world() -> World:
    """A day from offer to closing, and three deposits in a last block of their own."""
    made = World()
    made.member("g", Side.SELL)
    made.member("c", Side.BUY)
    made.publish()
    made.approve(made.contract("g", "c", [KWH] * 4))
    made.read({"g-sell": [800] * 4, "c-buy": [KWH] * 4})
    made.close()
    made.block([made.signed("operator", Deposit(made.address("g"), 5, f"x{i}"), ahead=i) for i in range(3)])
    return made


def audited(world: World, last: Block | None = None) -> Audited:
    """Audits the world's chain, with another last block if one is given."""
    blocks = [executed.data for executed in world.executed]
    if last is not None:
        blocks[-1] = encode(last)
    rows = {root_of_rows(decode_rows(data)): data for executed in world.executed for data in executed.rows}
    return audit(world.genesis_bytes, blocks, rows.get, {}, verify_each)


def refused(world: World, last: Block) -> Refused:
    with pytest.raises(AuditFault) as told:
        audited(world, last)
    assert told.value.where == f"block {world.ledger.height}"
    return told.value.reason


def with_header(block: Block, **fields: object) -> Block:
    return changed(block, header=changed(block.header, **fields))


def test_an_honest_chain_is_sound(world: World) -> None:
    found = audited(world)
    assert found.digest == world.ledger.digest
    assert (found.height, found.replayed_from, found.forgotten) == (world.ledger.height, 1, 0)


OTHER = bytes(31) + b"\x01"
ALTERED: dict[str, Callable[[Block], Block]] = {
    "height": lambda b: with_header(b, height=b.header.height + 1),
    "previous": lambda b: with_header(b, previous=OTHER),
    "time_ms": lambda b: with_header(b, time_ms=1),
    "applied": lambda b: with_header(b, applied=changed(b.header.applied, hash=OTHER)),
    "epoch": lambda b: with_header(b, epoch=b.header.epoch + 1),
    "transactions_root": lambda b: with_header(b, transactions_root=OTHER),
    "receipts_root": lambda b: with_header(b, receipts_root=OTHER),
    "state_digest": lambda b: with_header(b, state_digest=OTHER),
    "state_root": lambda b: with_header(b, state_root=OTHER),
    "committee": lambda b: with_header(b, committee=b"x"),
}


@pytest.mark.parametrize("field", ALTERED)
def test_every_field_of_a_header_is_compared(world: World, field: str) -> None:
    assert refused(world, ALTERED[field](world.executed[-1].block)).field == field


@pytest.mark.parametrize("field", ["proposal_signature", "evidence"])
def test_what_the_proposer_signed_cannot_be_changed(world: World, field: str) -> None:
    block = world.executed[-1].block
    value = bytes(64) if field == "proposal_signature" else b"x"
    assert refused(world, with_header(block, **{field: value})).code == "signature_forged"


def test_somebody_else_cannot_propose(world: World) -> None:
    block, key = world.executed[-1].block, key_of("somebody")
    header = block.header
    proposed = Proposed(
        world.ledger.chain_id,
        header.time_ms,
        header.applied,
        header.round,
        header.evidence,
        header.transactions_root,
    )
    signature = key.sign("proposal", encode(proposed))
    assert refused(world, with_header(block, proposer=key.public, proposal_signature=signature)).code == "role_missing"


def test_a_receipt_that_is_not_so_is_found_although_its_root_fits(world: World) -> None:
    block = world.executed[-1].block
    lie = changed(block.receipts[1], outcome=Outcome.REFUSED, code="balance_short")
    receipts = (block.receipts[0], lie, block.receipts[2])
    forged = changed(with_header(block, receipts_root=receipts_root(receipts)), receipts=receipts)
    assert refused(world, forged).field == "receipt 1"


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_receipt_too_many_or_too_few_is_a_fault_and_no_crash(world: World, count: int) -> None:
    block = world.executed[-1].block
    receipts = (block.receipts * 2)[:count]
    forged = changed(with_header(block, receipts_root=receipts_root(receipts)), receipts=receipts)
    assert refused(world, forged).field == "receipts"


def test_a_transaction_cannot_be_taken_out(world: World) -> None:
    block = world.executed[-1].block
    left, receipts = block.transactions[:2], block.receipts[:2]
    fitting = with_header(block, transactions_root=transactions_root(left), receipts_root=receipts_root(receipts))
    forged = changed(fitting, transactions=left, receipts=receipts)
    assert refused(world, forged).code == "signature_forged"


# The auditor's own books


def test_the_books_refuse_transfers_that_the_receipt_does_not_name(world: World) -> None:
    moved = Moved(Kind.DEPOSIT, world.address("c"), world.address("g"), 5, 0, b"")
    with pytest.raises(Refused) as told:
        Books().enter([moved], b"", 0)
    assert told.value.code == "conservation_broken"


def test_the_books_find_fines_that_were_not_shared(world: World) -> None:
    state, special = world.ledger.state, world.ledger._reserved
    books = Books()
    books.adopt(state, world.ledger.shelf)
    books.enter([moved := Moved(Kind.FINE, world.address("g"), special.fines, 5, 0, b"")], _digest_of(moved), world.now)
    mark = state.mark()
    for address, change in ((world.address("g"), -5), (special.fines, 5)):
        account = state.get(Table.ACCOUNT, address)
        state.put(Table.ACCOUNT, address, changed(account, balance=account.balance + change))
    try:
        with pytest.raises(Refused) as told:
            books.check(state, special)
        assert (told.value.code, told.value.field) == ("conservation_broken", "fines")
    finally:
        state.roll_back(mark)


def _digest_of(moved: Moved) -> bytes:
    return tagged_hash("transfers", encode([Transfer(moved.kind, moved.payer, moved.payee, moved.amount)]))


@pytest.mark.parametrize("field", ["balance", "locked"])
@pytest.mark.parametrize("change", [1, -1])
def test_the_books_find_money_that_no_transfer_moved(world: World, field: str, change: int) -> None:
    state, special = world.ledger.state, world.ledger._reserved
    books = Books()
    books.adopt(state, world.ledger.shelf)
    books.check(state, special)
    mark = state.mark()
    account = world.account("g")
    state.put(
        Table.ACCOUNT, world.address("g"), changed(account, **{field: getattr(account, field) + change * MILLION})
    )
    try:
        with pytest.raises(Refused) as told:
            books.check(state, special)
        assert told.value.code == "conservation_broken"
    finally:
        state.roll_back(mark)


@pytest.mark.parametrize("policy", Policy)
def test_an_audit_that_begins_at_a_snapshot_knows_the_parameters_of_before(policy: Policy) -> None:
    """Rows of the first day are gone; the second, in default, is settled under the policy that the genesis chose."""
    made = World(parameters={"policy": int(policy), "epoch_ms": 1_000})
    made.member("g", Side.SELL)
    made.member("c", Side.BUY)
    second = START + 4 * 24 * HOUR
    for day in (START, second):
        made.publish(day)
        made.approve(made.contract("g", "c", [KWH] * 4, day=day), day=day)
        made.read({"g-sell": [800 if day == START else 700] * 4, "c-buy": [KWH] * 4}, day=day)
        made.close(day=day)
        if day == START:
            made.done("operator", SealDay(START), at=START + 3 * 24 * HOUR)
            snapshot, height = snapshots.take(made.ledger), made.ledger.height
    rows = {root_of_rows(decode_rows(data)): data for executed in made.executed[height:] for data in executed.rows}
    blocks = [executed.data for executed in made.executed]
    found = audit(made.genesis_bytes, blocks, rows.get, {height: snapshot}, verify_each, None, made.ledger.height)
    assert (found.digest, found.replayed_from) == (made.ledger.digest, height + 1)


def test_the_books_find_money_that_was_locked_for_no_contract(world: World) -> None:
    """The account's money is what the books say; only how much of it is free is not."""
    state, special = world.ledger.state, world.ledger._reserved
    books = Books()
    books.adopt(state, world.ledger.shelf)
    mark = state.mark()
    account = world.account("g")
    state.put(
        Table.ACCOUNT, world.address("g"), changed(account, balance=account.balance - 1, locked=account.locked + 1)
    )
    try:
        with pytest.raises(Refused) as told:
            books.check(state, special)
        assert (told.value.code, told.value.field) == ("conservation_broken", "account")
        assert told.value.remedy == "Its collateral is not the sum over its contracts."
    finally:
        state.roll_back(mark)


MONEY = ("energy", "over_grid_fee", "grid_purchase", "grid_sale", "seller_compensation", "buyer_compensation")


@pytest.mark.parametrize("field", MONEY)
@pytest.mark.parametrize("policy", [Policy.TRUE_LOSS, Policy.OFF])
def test_the_books_find_a_contracts_money_that_does_not_follow_from_its_energy(policy: Policy, field: str) -> None:
    """One millionth more in what a settlement says; the transfers fit their receipt."""
    made = short_day(policy)
    enter_all(made)
    with pytest.raises(Refused) as told:
        enter_all(made, lambda fact: changed(fact, **{field: getattr(fact, field) + 1}))
    assert (told.value.code, told.value.field) == ("conservation_broken", "contract")


def test_what_the_policy_of_the_paper_compensates_follows_from_the_whole_day_and_not_from_intervals() -> None:
    made = short_day(Policy.PAPER)
    settled = [fact for fact in made.facts(ContractSettled) if isinstance(fact, ContractSettled)]
    assert settled[-1].seller_compensation > 0
    enter_all(made)
    with pytest.raises(Refused):
        enter_all(made, lambda fact: changed(fact, energy=fact.energy + 1))


@cache
def short_day(policy: Policy) -> World:
    """A closed day on which the seller fell short by a fifth; whoever reads it must not change it."""
    made = World(parameters={"policy": int(policy)})
    made.member("g", Side.SELL)
    made.member("c", Side.BUY)
    made.publish()
    made.approve(made.contract("g", "c", [KWH] * 4))
    made.read({"g-sell": [800] * 4, "c-buy": [KWH] * 4})
    made.close()
    return made


def enter_all(made: World, altered: Callable[[ContractSettled], ContractSettled] = lambda fact: fact) -> None:
    """All facts of a world into new books, with what settlements say altered."""
    books = Books()
    books.enter(made.ledger.founding_facts, b"", 0)
    for executed in made.executed:
        for facts, receipt in zip(executed.facts, executed.block.receipts, strict=True):
            told = [altered(fact) if isinstance(fact, ContractSettled) else fact for fact in facts]
            books.enter(told, receipt.transfers, executed.block.header.time_ms)


# Blocks that are skipped, because rows were forgotten


@pytest.fixture(scope="module")
def forgotten() -> tuple[World, dict[int, bytes]]:
    """A day that was sealed, so that its rows are needed no more, and a snapshot after it."""
    made = World()
    made.member("g", Side.SELL)
    made.member("c", Side.BUY)
    made.publish()
    made.approve(made.contract("g", "c", [KWH] * 4))
    made.read({"g-sell": [KWH] * 4, "c-buy": [KWH] * 4})
    made.close()
    made.done("operator", SealDay(START), at=START + 96 * HOUR)
    made.block([], at=made.now + 24 * HOUR)
    taken = {made.ledger.height: snapshots.take(made.ledger)}
    made.block([], at=made.now + 1)
    return made, taken


def no_rows(root: bytes) -> None:
    """What is beside a chain whose rows were deleted."""


def test_a_chain_without_its_rows_is_replayed_from_the_snapshot(forgotten: tuple[World, dict[int, bytes]]) -> None:
    world, taken = forgotten
    blocks = [executed.data for executed in world.executed]
    found = audit(world.genesis_bytes, blocks, no_rows, taken, verify_each)
    assert (found.height, found.replayed_from) == (len(blocks), len(blocks))


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"proposal_signature": bytes(64)}, "proposal_signature"), ({"evidence": b"x"}, "proposal_signature")],
)
def test_a_forged_proposal_is_found_in_a_block_that_is_skipped(
    forgotten: tuple[World, dict[int, bytes]], fields: dict[str, bytes], named: str
) -> None:
    world, taken = forgotten
    commits = next(place for place, executed in enumerate(world.executed) if executed.rows)
    for place in range(commits, len(world.executed) - 1):
        blocks = [executed.data for executed in world.executed]
        blocks[place] = encode(with_header(world.executed[place].block, **fields))
        with pytest.raises(AuditFault) as told:
            audit(world.genesis_bytes, blocks, no_rows, taken, verify_each)
        assert (told.value.where, told.value.reason.field) == (f"block {place + 1}", named)


def test_a_made_up_snapshot_whose_made_up_voters_vouch_for_it_is_not_believed(
    forgotten: tuple[World, dict[int, bytes]],
) -> None:
    """Where rows were deleted a state cannot be recomputed; who vouches for it must be known from before."""
    world, _ = forgotten
    made_up = usurped(world.genesis_bytes, world.entries[:-1])
    with pytest.raises(AuditFault) as told:
        audit(world.genesis_bytes, made_up.blocks, no_rows, {made_up.height: made_up.snapshot}, verify_each)
    assert told.value.reason.code == "snapshot_wrong"


@pytest.fixture(scope="module")
def widened() -> tuple[VotingWorld, dict[int, bytes], int]:
    """A chain whose rows were deleted; a replica that was admitted after them ordered a block before the snapshot."""
    made = VotingWorld()
    made.member("g", Side.SELL)
    made.member("c", Side.BUY)
    made.publish()
    made.approve(made.contract("g", "c", [KWH] * 4))
    made.read({**{f"m{number}-buy": [0] * 4 for number in range(4)}, "g-sell": [KWH] * 4, "c-buy": [KWH] * 4})
    made.close()
    made.done("operator", SealDay(START), at=START + 96 * HOUR)
    made.ready("c", made.admit("c", "box"))
    made.replicas.append(key_of("box"))
    made.install()
    made.block(by=4)
    height = made.ledger.height
    made.end_epoch()
    taken = {made.ledger.height: snapshots.take(made.ledger)}
    made.block()
    return made, taken, height


def test_a_replica_that_governors_admitted_in_skipped_blocks_may_order_them(
    widened: tuple[VotingWorld, dict[int, bytes], int],
) -> None:
    world, taken, _ = widened
    blocks = [executed.data for executed in world.executed]
    found = audit(world.genesis_bytes, blocks, no_rows, taken, verify_each)
    assert (found.height, found.replayed_from) == (len(blocks), len(blocks))


@pytest.mark.parametrize("name", ["stranger", "operator"])
def test_a_stranger_orders_no_block_that_is_skipped(
    widened: tuple[VotingWorld, dict[int, bytes], int], name: str
) -> None:
    world, taken, height = widened
    good = world.executed[height - 1].block.header
    entry = order(key_of(name), world.ledger.chain_id, good.time_ms, good.applied, (), (), good.round, good.evidence)
    signature = decode_ordered(entry).signature
    blocks = [executed.data for executed in world.executed]
    fields = {"proposer": key_of(name).public, "proposal_signature": signature}
    blocks[height - 1] = encode(with_header(world.executed[height - 1].block, **fields))
    with pytest.raises(AuditFault) as told:
        audit(world.genesis_bytes, blocks, no_rows, taken, verify_each)
    assert (told.value.where, told.value.reason.field) == (f"block {height}", "proposer")
