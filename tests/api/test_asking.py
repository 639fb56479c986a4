"""What a client believes: conversations with nodes that answer by a script, without sockets or clocks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from wattquorum.api import asking
from wattquorum.api.asking import Ask, Asking, Conversation, Pause, refused_of
from wattquorum.api.shapes import BatchItem, BatchOutcome
from wattquorum.api.terms import LEADER_HEADER, REPLICA_HEADER, TIME_HEADER
from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.identities import SigningKey, address_of
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.transactions import Body, Deposit, sign, transaction_hash

KEY, CHAIN = SigningKey(bytes(32)), bytes(16)
SENDER = address_of(CHAIN, KEY.public)
EXPIRY_MS = 1_000
SIGNED = sign(KEY, Body(CHAIN, SENDER, 3, 100, EXPIRY_MS, Deposit(SENDER, 5, "x")))
HASH = transaction_hash(SIGNED).hex()
DONE = {"transaction": HASH, "height": 7, "outcome": "done", "code": "", "field": "", "value": ""}
NODES = ["http://a", "http://b"]
ITEMS = Decoder[tuple[BatchItem, ...]](tuple[BatchItem, ...], "batch")

Answer = httpx.Response | httpx.HTTPError
Script = Callable[[Ask], Answer]


def ok(content: Any, **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.Response(200, content=body, headers=headers)


def no(status: int, code: str, **headers: str) -> httpx.Response:
    shape = {"code": code, "field": "nonce", "value": "3", "remedy": "Wait."}
    return httpx.Response(status, content=json.dumps(shape).encode(), headers=headers)


def account(nonce: int, time_ms: int = 0) -> httpx.Response:
    shape = {"address": SENDER.hex(), "name": "g", "owner": "g", "status": "active", "roles": []}
    return ok({**shape, "balance": 0, "locked": 0, "nonce": nonce, "height": 9}, **{TIME_HEADER: str(time_ms)})


class Played:
    """Holds a conversation: nodes answer by a script, and pauses make time go on."""

    def __init__(self, script: Script, patience_s: float = 5.0) -> None:
        self.script, self.now, self.asked = script, 0.0, list[Ask]()
        self.asking = Asking(NODES, patience_s, lambda: self.now)

    def hold(self, conversation: Conversation[Any]) -> Any:
        given: Answer | None = None
        while True:
            try:
                fault = isinstance(given, httpx.HTTPError)
                step = conversation.throw(given) if fault else conversation.send(given)  # type: ignore[arg-type]
            except StopIteration as ended:
                return ended.value
            given = None
            if isinstance(step, Pause):
                assert step.seconds > 0
                self.now += step.seconds
            else:
                self.asked.append(step)
                assert len(self.asked) < 1_000
                given = self.script(step)


def of(*answers: Answer) -> Script:
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


BROKEN_OFF = httpx.ReadError("reset")
NOT_REACHED = httpx.ConnectError("refused")


def test_who_was_never_reached_leaves_no_doubt() -> None:
    played = Played(of(NOT_REACHED, no(422, "nonce_wrong")))
    with pytest.raises(Refused, match="nonce_wrong"):
        played.hold(played.asking.submitted(SIGNED, None))
    assert [ask.node for ask in played.asked] == ["http://a", "http://b"]


def test_a_refusal_after_an_answer_that_was_lost_is_not_believed_while_a_block_may_have_it() -> None:
    answers = of(BROKEN_OFF, no(422, "nonce_wrong"), account(4), ok(DONE))
    played = Played(answers)
    assert played.hold(played.asking.submitted(SIGNED, None)).height == 7
    assert [ask.path.split("/")[2] for ask in played.asked] == [
        "transactions",
        "transactions",
        "accounts",
        "transactions",
    ]


@pytest.mark.parametrize("final", [account(4), account(3, EXPIRY_MS + 1), no(404, "account_unknown")])
def test_a_refusal_is_believed_once_nothing_can_become_of_it(final: httpx.Response) -> None:
    played = Played(of(BROKEN_OFF, no(422, "nonce_wrong"), final, no(404, "transaction_unknown")))
    with pytest.raises(Refused, match="nonce_wrong"):
        played.hold(played.asking.submitted(SIGNED, None))
    assert len(played.asked) <= 4


def test_what_may_yet_be_decided_is_handed_in_again_until_patience_ends() -> None:
    def script(ask: Ask) -> Answer:
        if ask.method == "POST":
            return BROKEN_OFF if len(played.asked) == 1 else no(422, "nonce_wrong")
        return account(3, EXPIRY_MS) if "accounts" in ask.path else no(404, "transaction_unknown")

    played = Played(script)
    with pytest.raises(Refused, match="undecided"):
        played.hold(played.asking.submitted(SIGNED, None))
    assert 5.0 < played.now < 8.0


def test_expired_by_one_nodes_clock_may_still_be_in_a_block() -> None:
    late = Played(of(no(422, "expired"), account(3, EXPIRY_MS), no(404, "transaction_unknown"), ok(DONE)))
    assert late.hold(late.asking.submitted(SIGNED, None)).outcome == "done"
    over = Played(of(no(422, "expired"), account(3, EXPIRY_MS + 1), no(404, "transaction_unknown")))
    with pytest.raises(Refused, match="expired"):
        over.hold(over.asking.submitted(SIGNED, None))


def test_patience_ends_with_why_nobody_answered() -> None:
    for fault, code in ((NOT_REACHED, "undecided"), (no(503, "node_halted"), "node_halted")):
        played = Played(of(fault))
        with pytest.raises(Refused, match=code):
            played.hold(played.asking.submitted(SIGNED, None))
        assert {ask.node for ask in played.asked} == set(NODES)
    played = Played(of(NOT_REACHED))
    with pytest.raises(Refused, match="Look whether the node runs"):
        played.hold(played.asking.asked("GET", "/v1/status"))


@pytest.mark.parametrize("then", [no(503, "not_ordering"), no(503, "pool_full"), no(429, "pending_too_many")])
def test_what_an_earlier_node_may_have_taken_is_undecided_whatever_the_last_one_says(then: Answer) -> None:
    played = Played(of(BROKEN_OFF, then))
    with pytest.raises(Refused, match="undecided") as told:
        played.hold(played.asking.submitted(SIGNED, None))
    assert told.value.code == "undecided"
    played = Played(of(then))
    with pytest.raises(Refused) as told:
        played.hold(played.asking.submitted(SIGNED, None))
    assert told.value.code == refused_of(then).code  # type: ignore[arg-type]  # nothing of it waits anywhere


def test_what_was_in_a_batch_that_was_broken_off_is_not_told_as_refused_for_want_of_an_answer() -> None:
    refused = BatchOutcome(0, 1, "nonce_wrong", "nonce", "3")
    played = Played(of(BROKEN_OFF, ok(encode([refused])), no(503, "not_ordering")))
    (found,) = played.hold(played.asking.submitted_all([(SIGNED, None)]))
    assert (found.height, found.outcome, found.code) == (0, 0, "undecided")
    played = Played(of(BROKEN_OFF, no(422, "nonce_wrong"), no(503, "not_ordering")))
    with pytest.raises(Refused, match="undecided") as told:
        played.hold(played.asking.submitted(SIGNED, None))
    assert told.value.code == "undecided"


def test_an_answer_that_makes_no_sense_is_no_answer() -> None:
    for nonsense in (b"", b"[]", b"{}", b"\xff", b'{"transaction": 5}'):
        played = Played(of(ok(nonsense)))
        with pytest.raises(Refused, match="encoding_unreadable"):
            played.hold(played.asking.submitted(SIGNED, None))
        played = Played(of(httpx.Response(404, content=nonsense)))
        with pytest.raises(Refused, match="undecided"):
            played.hold(played.asking.receipt(bytes(32)))


def test_it_goes_to_the_leader_also_if_it_has_to_look_for_it() -> None:
    of_a = {REPLICA_HEADER: "aa", LEADER_HEADER: "bb"}
    of_b = {REPLICA_HEADER: "bb", LEADER_HEADER: "bb"}

    def script(ask: Ask) -> Answer:
        headers = of_a if ask.node == "http://a" else of_b
        return ok({"status": "live"} if "health" in ask.path else DONE, **headers)

    played = Played(script)
    for _ in range(3):
        played.hold(played.asking.submitted(SIGNED, None))
    assert [(ask.node, ask.method) for ask in played.asked] == [
        ("http://a", "POST"),
        ("http://b", "GET"),
        ("http://b", "POST"),
        ("http://b", "POST"),
    ]


def test_of_a_batch_only_what_has_no_outcome_is_handed_in_again() -> None:
    done, later, refused = (
        BatchOutcome(5, 0, "", "", ""),
        BatchOutcome(0, 0, "pool_full", "pool", "9"),
        BatchOutcome(0, 1, "signature_forged", "signature", "x"),
    )
    sent: list[tuple[bytes, ...]] = []

    def script(ask: Ask) -> Answer:
        items = ITEMS.decode(ask.how["content"])
        sent.append(tuple(item.transaction for item in items))
        return ok(encode([done, later, refused] if len(sent) == 1 else [done]))

    played = Played(script)
    found = played.hold(played.asking.submitted_all([(b"a", None), (b"b", None), (b"c", None)]))
    assert found == [done, done, refused]
    assert sent == [(b"a", b"b", b"c"), (b"b",)]


def test_a_batch_that_nobody_takes_is_told_as_it_stands_when_patience_ends() -> None:
    later = BatchOutcome(0, 0, "pool_full", "pool", "9")
    played = Played(of(ok(encode([later]))))
    assert played.hold(played.asking.submitted_all([(SIGNED, None)])) == [later]
    assert played.now > 5.0


@pytest.mark.parametrize("then", [NOT_REACHED, no(503, "not_ordering"), no(413, "transaction_oversized")])
def test_what_became_of_earlier_portions_is_told_though_nobody_takes_later_ones(
    monkeypatch: pytest.MonkeyPatch, then: Answer
) -> None:
    monkeypatch.setattr(asking, "BATCH_ITEMS", 2)
    done = BatchOutcome(5, 0, "", "", "")
    played = Played(of(ok(encode([done, done])), then))
    found = played.hold(played.asking.submitted_all([(bytes([number]), None) for number in range(7)]))
    assert found[:2] == [done, done]
    assert len(found) == 7
    assert {(each.height, each.outcome) for each in found[2:]} == {(0, 0)}
    assert found[2].code == ("undecided" if then is NOT_REACHED else refused_of(then).code)  # type: ignore[arg-type]


def test_patience_is_for_all_portions_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "BATCH_ITEMS", 1)
    done = BatchOutcome(5, 0, "", "", "")

    def script(_: Ask) -> Answer:
        played.now += 2.0
        return ok(encode([done]))

    played = Played(script)
    found = played.hold(played.asking.submitted_all([(bytes([number]), None) for number in range(20)]))
    assert [each.code for each in found] == [""] * 3 + ["undecided"] * 17


def test_a_client_loads_nothing_of_a_server() -> None:
    """Of a node neither; whoever reads a meter or a price should not wait for either."""
    code = "import sys, wattquorum.api.client; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "httpx" in loaded
    servers = ("litestar", "uvicorn", "cryptography", "wattquorum.node", "wattquorum.consensus.raft")
    assert [each for each in loaded if each.startswith(servers)] == []
