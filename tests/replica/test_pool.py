"""What waits was admissible, keeps its order, is bounded, and goes when it can no longer be admitted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.ledger.world import HOUR, START, World, key_of
from wattquorum.foundation.identities import Signed, verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.readings import encode_rows, root_of_rows
from wattquorum.ledger.transactions import (
    CommitReadings,
    Deposit,
    Payload,
    Received,
    RotateKey,
    WithdrawMoney,
    rotation_message,
    sign,
)
from wattquorum.replica import pool
from wattquorum.replica.pool import Checked, Limits, Pool


class Market(World):
    """A world with members a and b, and a pool beside its ledger."""

    def __init__(self, limits: Limits | None = None, **parameters: int) -> None:
        super().__init__(parameters=parameters)
        self.member("a", Side.BUY)
        self.member("b", Side.SELL)
        self.checks = 0
        self.pool = Pool(self.ledger, self.count_checks, limits or Limits())

    def count_checks(self, checks: Sequence[Signed]) -> list[bool]:
        self.checks += len(checks)
        return verify_each(checks)

    def offered(self, name: str, ahead: int = 0, payload: Payload | None = None, **body: int) -> bytes:
        return self.signed(name, payload or WithdrawMoney(1 + ahead), ahead=ahead, **body)

    def waits_since(self) -> Millis | None:
        return self.pool.oldest_ms

    def accept(self, data: bytes, attachment: bytes | None = None) -> str:
        try:
            self.pool.accept(data, attachment, Millis(self.now))
        except Refused as refused:
            return refused.code
        return ""

    def take(self) -> list[bytes]:
        return [pending.received.data for pending in self.pool.take(Millis(self.now + 1))]

    def dropped(self) -> list[str]:
        return [dropped.reason.code for dropped in self.pool.dropped()]


def test_transactions_leave_in_the_order_in_which_they_came() -> None:
    market = Market()
    sent = [market.offered("a"), market.offered("b"), market.offered("a", 1), market.offered("b", 1)]
    assert [market.accept(data) for data in sent] == ["", "", "", ""]
    assert market.take() == sent
    assert len(market.pool) == 0


def test_what_is_taken_is_reserved_until_its_block_is_executed() -> None:
    market = Market()
    first, second = market.offered("a"), market.offered("a", 1)
    assert market.accept(first) == ""
    assert market.take() == [first]
    assert market.accept(first) == "already_pending"
    assert market.accept(second) == "", "its nonce follows on the reserved one"
    assert market.take() == [second]
    executed = market.block([first, second])
    market.pool.executed(executed.block)
    assert market.accept(first) == "nonce_wrong"
    assert market.accept(market.offered("a")) == ""


def test_a_duplicate_is_refused() -> None:
    market = Market()
    data = market.offered("a")
    assert market.accept(data) == ""
    assert market.accept(data) == "already_pending"
    assert len(market.pool) == 1


def test_only_the_next_free_nonce_is_taken() -> None:
    market = Market()
    assert market.accept(market.offered("a", 1)) == "nonce_wrong"
    assert market.accept(market.offered("a")) == ""
    assert market.accept(market.offered("a", payload=WithdrawMoney(9))) == "nonce_wrong"
    assert market.accept(market.offered("a", 1)) == ""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"expiry_height": 3}, "expired"),
        ({"expiry_ms": START - 41 * HOUR}, "expired"),
        ({"expiry_height": 10**9}, "expiry_too_far"),
    ],
)
def test_what_has_expired_or_expires_too_late_is_refused(body: dict[str, int], code: str) -> None:
    market = Market()
    assert market.accept(market.signed("a", WithdrawMoney(1), **body)) == code


def test_forged_foreign_and_unreadable_transactions_are_refused() -> None:
    market = Market()
    good = market.offered("a")
    assert market.accept(good[:-1]) == "encoding_unreadable"
    assert market.accept(good[:-1] + bytes((good[-1] ^ 1,))) == "signature_forged"
    assert market.accept(bytes(100_000)) == "transaction_oversized"
    assert market.accept(market.offered("stranger")) == "sender_unknown"
    other = World(parameters={"fee": 7})
    other.member("a", Side.BUY)
    assert market.accept(other.signed("a", WithdrawMoney(1))) == "chain_wrong"
    assert market.accept(good) == "", "none of them changed anything"


def test_a_commitment_needs_its_rows_and_nothing_else_may_bring_any() -> None:
    market = Market(Limits(attachment_bytes_max=1_000))
    rows = market.rows({"a-buy": [1] * 4})
    data, other = encode_rows(rows), encode_rows(market.rows({"a-buy": [2] * 4}))
    commit = market.offered("operator", payload=CommitReadings(START, "f1", root_of_rows(rows), 1))
    assert market.accept(commit) == "rows_missing"
    assert market.accept(commit, other) == "commitment_wrong"
    assert market.accept(commit, b"noise") == "encoding_unreadable"
    assert market.accept(commit, bytes(1_001)) == "transaction_oversized"
    assert market.accept(market.offered("a"), data) == "commitment_wrong"
    assert market.accept(commit, data) == ""
    (pending,) = market.pool.take(Millis(market.now))
    assert pending.attachment == data


def test_rows_are_read_last_and_no_more_of_them_than_their_commitment_says() -> None:
    market = Market(Limits(attachment_rows_max=2))
    rows = market.rows({"a-buy": [1] * 4})

    def commit(number: int) -> bytes:
        return market.offered("operator", payload=CommitReadings(START, "f1", root_of_rows(rows), number))

    forged = sign(key_of("a"), Received(commit(2)).body)
    assert market.accept(forged, b"no rows at all") == "signature_forged"
    unread = b"\xdc\x00\x02 and nothing that could be decoded"
    assert market.accept(commit(1), unread) == "commitment_wrong"
    assert market.accept(commit(3), unread) == "transaction_oversized"
    assert market.accept(commit(2), unread) == "encoding_unreadable"
    assert market.accept(commit(1), encode_rows(rows)) == ""


def test_a_signature_that_was_checked_before_is_checked_again_only_for_another_key() -> None:
    market = Market()
    data = market.offered("a")
    received = Received(data)
    for name, checks in (("a", 0), ("b", 1)):
        fresh = Pool(market.ledger, market.count_checks, Limits())
        fresh.accept(data, None, Millis(market.now), Checked(received, received.check(key_of(name).public)))
        assert market.checks == checks


def test_a_sender_may_have_as_many_pending_as_the_ledger_says() -> None:
    market = Market(pending_max=3)
    assert [market.accept(market.offered("a", ahead)) for ahead in range(3)] == [""] * 3
    assert market.accept(market.offered("a", 3)) == "pending_too_many"
    assert market.accept(market.offered("b")) == "", "one sender's flood is not another's"
    market.take()
    assert market.accept(market.offered("a", 3)) == "pending_too_many", "reserved ones count until their block"


def test_the_whole_pool_is_bounded_in_number_and_bytes() -> None:
    market = Market(Limits(pending_max=2))
    assert [market.accept(market.offered("a", ahead)) for ahead in range(3)] == ["", "", "pool_full"]
    size = len(market.offered("a"))
    market = Market(Limits(pending_bytes_max=2 * size + 1))
    assert [market.accept(market.offered("a", ahead)) for ahead in range(3)] == ["", "", "pool_full"]
    market.pool.executed(market.block(market.take()).block)
    assert market.accept(market.offered("a")) == "", "a block makes room"


def test_a_block_takes_no_more_than_fits_but_always_the_first() -> None:
    market = Market(Limits(block_transactions_max=2))
    sent = [market.offered("a", ahead) for ahead in range(5)]
    assert [market.accept(data) for data in sent] == [""] * 5
    assert [market.take(), market.take(), market.take(), market.take()] == [sent[:2], sent[2:4], sent[4:], []]
    market = Market(Limits(block_bytes_max=10))
    assert [market.accept(data) for data in sent[:2]] == ["", ""]
    assert [market.take(), market.take()] == [sent[:1], sent[1:2]]


def test_what_expires_while_it_waits_is_dropped_with_what_followed_it() -> None:
    market = Market()
    short = market.offered("a", expiry_ms=market.now + 5)
    follower, other = market.offered("a", 1), market.offered("b")
    assert [market.accept(data) for data in (short, follower, other)] == ["", "", ""]
    market.now += 6
    assert market.take() == [other]
    assert market.dropped() == ["nonce_wrong", "expired"]
    assert market.dropped() == []
    assert market.accept(market.offered("a")) == "", "its nonce is free again"


def test_what_was_signed_with_a_key_that_is_gone_is_dropped() -> None:
    market = Market()
    assert market.accept(market.offered("a")) == ""
    proof = key_of("a new").sign("rotation", rotation_message(market.ledger.chain_id, market.address("a")))
    receipt = market.do("a", RotateKey(key_of("a new").public, proof))
    assert receipt.code == ""
    assert market.take() == []
    assert market.dropped() == ["signature_forged"]


def test_what_cannot_follow_on_an_executed_block_is_dropped() -> None:
    # Another transaction with the same nonce was in the block: what waits behind it never gets its turn.
    market = Market()
    first, second = market.offered("a"), market.offered("a", 1)
    assert [market.accept(first), market.accept(second)] == ["", ""]
    block = market.block([market.offered("a", payload=WithdrawMoney(99)), first]).block
    market.pool.executed(block)
    assert market.take() == [second], "after the rival's nonce the second one fits again"
    assert market.dropped() == []
    late = market.offered("b")
    assert market.accept(late) == ""
    assert market.accept(market.offered("b", 1)) == ""
    market.block([market.offered("b", payload=WithdrawMoney(98)), market.offered("b", 1, payload=WithdrawMoney(97))])
    market.pool.executed(market.block([late]).block)
    assert market.dropped() == ["nonce_wrong"]


def test_what_no_later_block_can_hold_is_dropped_also_where_nothing_is_taken() -> None:
    market = Market()
    short, kept = market.offered("a", expiry_ms=market.now + 5), market.offered("b")
    assert [market.accept(short), market.accept(kept)] == ["", ""]
    market.block([], at=market.now + 4)
    market.pool.expire()
    assert market.dropped() == [], "the next block may come within its last millisecond"
    market.block([])
    market.pool.expire()
    assert market.dropped() == ["expired"]
    assert market.take() == [kept]


def test_a_long_queue_is_looked_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SWEPT_MAX", 2)
    market = Market()
    lasting = [market.offered("b", ahead) for ahead in range(3)]
    short = [market.offered("a", ahead, expiry_ms=market.now + 5) for ahead in range(2)]
    assert [market.accept(data) for data in (*lasting, *short)] == [""] * 5
    market.block([], at=market.now + 6)
    dropped = []
    for _ in range(3):
        market.pool.expire()
        dropped.append(len(market.dropped()))
    assert dropped == [0, 2, 0], "the later one goes with the one that it follows on"
    assert market.accept(market.offered("a", expiry_ms=market.now + 5)) == ""
    market.block([], at=market.now + 6)
    market.pool.expire()
    market.pool.expire()
    assert market.dropped() == ["expired"], "after the end it begins anew"
    assert market.take() == lasting


def test_whoever_gave_another_transaction_to_another_replica_is_not_held_up_by_the_first() -> None:
    market = Market()
    assert market.accept(market.offered("a")) == ""
    market.pool.executed(market.block([market.offered("a", payload=WithdrawMoney(99))]).block)
    assert market.dropped() == ["nonce_wrong"]
    assert market.waits_since() is None, "nobody could propose it, so nobody may be asked to"
    assert market.accept(market.offered("a")) == ""


def test_where_many_wait_what_another_transaction_has_ousted_goes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REALIGNED_MAX", 0)
    market = Market()
    assert [market.accept(market.offered(name)) for name in ("a", "b")] == ["", ""]
    market.pool.executed(market.block([market.offered("a", payload=WithdrawMoney(99))]).block)
    assert market.dropped() == []
    market.pool.expire()
    assert market.dropped() == ["nonce_wrong"]


def test_over_a_restored_state_what_was_used_is_not_called_lost_and_what_follows_on_it_stays() -> None:
    market = Market()
    sent = [market.offered("a", ahead) for ahead in range(3)]
    assert [market.accept(data) for data in sent] == [""] * 3
    other = market.offered("b")
    assert market.accept(other) == ""
    assert len(market.take()) == 4
    market.block(sent[:2])  # blocks that this pool is not told of
    market.pool.move_to(market.ledger)
    assert market.dropped() == ["outcome_unseen"] * 2
    assert market.take() == [sent[2], other]


def test_a_signature_that_was_checked_when_it_came_is_not_checked_again_in_the_block() -> None:
    market = Market()
    data = market.offered("a")
    assert market.accept(data) == ""
    check = Received(data).check(key_of("a").public)
    forged = Signed(check.key, check.message, bytes(64))
    before = market.checks
    assert market.pool.verify([check, forged, check]) == [True, False, True]
    assert market.checks == before + 1
    market.pool.executed(market.block(market.take()).block)
    assert market.pool.verify([check]) == [True]
    assert market.checks == before + 2, "what has left the pool is checked like any other"


@example([(0, 0, 499)])  # until the very time that is asked for
@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 4), st.integers(0, 3_000)), min_size=1, max_size=25))
def test_the_oldest_of_what_lasts_is_what_looking_at_all_would_find(steps: list[tuple[int, int, int]]) -> None:
    """Whatever comes, expires, is decided or dropped while time rises."""
    market = Market()
    for passed, kind, lasts in steps:
        market.now += passed
        known = market.pool._known
        if kind < 3:
            name = "ab"[kind % 2]
            ahead = len(market.pool._senders.get(market.address(name), ()))
            market.accept(market.offered(name, ahead, expiry_ms=market.now + 1 + lasts))
        elif kind == 3:
            market.pool.executed(market.block(market.take()).block)
        else:
            market.block([])
            market.pool.expire()
        at = Millis(market.now + 500)
        looked = [each.arrived_ms for each in known.values() if each.received.body.expiry_ms >= at]
        assert market.pool.oldest_undecided_ms(at) == next(iter(looked), None)


def test_what_has_gone_is_not_remembered_for_ever_where_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LASTING_MORE", 2)
    market = Market()
    for _ in range(9):
        assert market.accept(market.offered("a")) == ""
        market.pool.executed(market.block(market.take()).block)
    assert len(market.pool._lasting) <= 4


def test_the_oldest_says_since_when_it_waits() -> None:
    market = Market()
    assert market.waits_since() is None
    assert market.accept(market.offered("a")) == ""
    came, market.now = market.now, market.now + 10
    assert market.accept(market.offered("b")) == ""
    assert market.waits_since() == came
    market.take()
    assert market.waits_since() is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.booleans()), max_size=25))
def test_whatever_is_sent_every_block_that_is_cut_from_a_pool_is_admissible(sent: list[tuple[str, int, bool]]) -> None:
    market = MARKET
    for name, ahead, cut in sent:
        market.accept(market.offered(name, ahead, Deposit(bytes(20), ahead, f"x{ahead}")))
        if cut:
            executed = market.block(market.take())
            market.pool.executed(executed.block)
            assert [receipt.code for receipt in executed.block.receipts if receipt.outcome == 2] == []
    market.pool.executed(market.block(market.take()).block)
    assert market.dropped() == []


MARKET = Market()
