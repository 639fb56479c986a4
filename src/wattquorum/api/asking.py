"""Asking: how a client gets its answer from a community, whatever becomes of single nodes; without sockets or clocks.

Each conversation is a generator: it hands out what is to be asked of which node, or how long to wait, and is given
the answer. `Client` and `AsyncClient` drive the same conversations, one in a thread and one in a loop.

What a client may believe: an answer below 400 is what was decided. A refusal with 4xx is final, with two exceptions
that are settled here. A transaction that may have reached a node before, as when a connection broke off, can still be
decided while another node refuses it; and one that a node finds expired by its clock can be in a block whose time lies
before. Such a refusal is passed on only when the chain shows that the transaction can never be decided: its nonce is
used or its time is over, and no block has it. Everything else is asked again, elsewhere, until patience ends.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import httpx

from wattquorum.api.shapes import AccountShape, BatchItem, BatchOutcome, ReceiptShape, Step
from wattquorum.api.terms import LEADER_HEADER, REPLICA_HEADER, TIME_HEADER
from wattquorum.foundation.codec import Decoder, encode, from_json
from wattquorum.foundation.refusals import CODES, Refused
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.inclusion import Included, check_inclusion
from wattquorum.ledger.transactions import Body, Received, transaction_hash

PAUSE_FIRST_S: Final = 0.02
PAUSE_MAX_S: Final = 1.0
ANSWER_S: Final = 35.0  # a node waits 30 s for a block
CONNECT_S: Final = 2.0
BATCH_ITEMS: Final = 5_000
BATCH_BYTES: Final = 16 * 1024 * 1024
NOT_TAKEN: Final = ("not_ordering", "pool_full", "pending_too_many")  # refusals after which nothing waits at a node
MSGPACK: Final = {"content-type": "application/msgpack"}

T = TypeVar("T")
_outcomes: Final = Decoder[tuple[BatchOutcome, ...]](tuple[BatchOutcome, ...], "outcomes")


class Ask(NamedTuple):
    """A request to one node; the answer, or the httpx error, is given back."""

    node: str
    method: str
    path: str
    how: Mapping[str, Any]


class Pause(NamedTuple):
    """To wait."""

    seconds: float


Conversation = Generator[Ask | Pause, Any, T]


class Told(NamedTuple):
    """What became of a transaction."""

    transaction: str
    height: int
    outcome: str
    code: str
    field: str
    value: str


class Proved(NamedTuple):
    """A proof file, as `wattquorum verify` takes it, and what it was found to prove."""

    file: bytes
    included: Included


class Asking:
    """A community as a client knows it: its nodes, which of them leads, and how to get an answer."""

    def __init__(self, nodes: Sequence[str], patience_s: float, clock: Callable[[], float]) -> None:
        """Refused("out_of_range") without a node."""
        if not nodes:
            raise Refused("out_of_range", "nodes", "none", "Name at least one node.")
        self._nodes = [node.rstrip("/") for node in nodes]
        self._patience_s = patience_s
        self._clock = clock
        self._at = 0
        self._of_replica: dict[str, str] = {}
        self._leader = ""
        self._time_ms = 0  # of the last block, as the last answer told it

    @property
    def node(self) -> str:
        """The node that is asked next."""
        return self._nodes[self._at % len(self._nodes)]

    def leave(self) -> None:
        """Asks another node from now on."""
        self._at = (self._at + 1) % len(self._nodes)

    def _heard(self, node: str, answer: httpx.Response) -> None:
        replica, self._leader = answer.headers.get(REPLICA_HEADER, ""), answer.headers.get(LEADER_HEADER, "")
        if replica:
            self._of_replica[replica] = node
        time = answer.headers.get(TIME_HEADER, "")
        self._time_ms = int(time) if time.isdecimal() else 0

    def asked(self, method: str, path: str, **how: Any) -> Conversation[httpx.Response]:
        """Asks one node after another until one answers for itself; raises its refusal, or why none answered."""
        answer, _ = yield from self._asked(method, path, **how)
        return answer

    def _asked(
        self, method: str, path: str, until: float | None = None, *, unsure: bool = False, **how: Any
    ) -> Conversation[tuple[httpx.Response, bool]]:
        """The answer, and whether an earlier attempt may have reached a node. A final refusal says so as well.

        `until` is when patience ends, where this is a part of something that is tried for so long as a whole, and
        `unsure` whether it was tried before. Whatever the last node says then, what may have been taken by an earlier
        one is undecided.
        """
        pause = PAUSE_FIRST_S
        until = self._clock() + self._patience_s if until is None else until
        last = Refused("undecided", "nodes", "not asked")
        while True:
            node, wait = self.node, 0.0
            try:
                answer: httpx.Response = yield Ask(node, method, path, how)
            except httpx.HTTPError as fault:
                remedy = "" if method == "POST" else "Look whether the node runs, or ask another."
                last = Refused("undecided", "nodes", f"{node}: {type(fault).__name__} {fault}".rstrip(), remedy)
                unsure = unsure or not isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout)
            else:
                self._heard(node, answer)
                if answer.status_code < 400:
                    return answer, unsure
                last = refused_of(answer)
                if is_final(answer):
                    raise _Final(last, unsure)
                unsure = unsure or last.code not in NOT_TAKEN
                wait = _retry_after(answer) if answer.status_code == 429 else 0.0
            self.leave()
            if self._clock() > until:
                raise _undecided(last) if unsure and method == "POST" else last
            yield Pause(max(pause, min(wait, PAUSE_MAX_S)))
            pause = min(2 * pause, PAUSE_MAX_S)

    def read(self, path: str, kind: type[T], **parameters: Any) -> Conversation[T]:
        """An answer of this kind."""
        told = {name: str(value).lower() if isinstance(value, bool) else value for name, value in parameters.items()}
        try:
            answer, _ = yield from self._asked("GET", path, params=told)
        except _Final as final:
            raise final.refused from None
        return from_json(answer.content, kind, "answer")

    def to_leader(self) -> Conversation[None]:
        """Turns to the node that leads, where that is known: what is handed in there has the shortest way."""
        found = self._of_replica.get(self._leader) if self._leader else None
        strangers = [node for node in self._nodes if node not in self._of_replica.values()]
        while found is None and self._leader and strangers:
            node = strangers.pop()
            try:
                answer = yield Ask(node, "GET", "/health/live", {"timeout": CONNECT_S})
            except httpx.HTTPError:
                continue
            self._heard(node, answer)
            found = self._of_replica.get(self._leader)
        if found is not None:
            self._at = self._nodes.index(found)

    # Transactions ---------------------------------------------------------------------------------------------------

    def submitted(
        self, transaction: bytes, rows: bytes | None, *, unsure: bool = False, until: float | None = None
    ) -> Conversation[Told]:
        """Hands in a signed transaction until it is decided, or never can be; `unsure`: it was handed in before."""
        what = {"transaction": base64.b64encode(transaction).decode("ascii")}
        if rows is not None:
            what["rows"] = base64.b64encode(rows).decode("ascii")
        until = self._clock() + self._patience_s if until is None else until
        pause = PAUSE_FIRST_S
        yield from self.to_leader()
        while True:
            try:
                answer, _ = yield from self._asked("POST", "/v1/transactions", until, unsure=unsure, json=what)
                return _told(from_json(answer.content, ReceiptShape, "receipt"))
            except _Final as final:
                refused, unsure = final.refused, unsure or final.unsure
            if not unsure and refused.code != "expired":
                raise refused
            try:
                settled = yield from self._settled(transaction)
            except Refused as fault:  # nobody tells what became of it
                raise _undecided(fault) from None
            if isinstance(settled, Told):
                return settled
            if settled:
                raise refused
            if self._clock() > until:
                raise Refused("undecided", "transaction", transaction_hash(transaction))
            yield Pause(pause)
            pause = min(2 * pause, PAUSE_MAX_S)

    def _settled(self, transaction: bytes) -> Conversation[Told | bool]:
        """What became of a transaction, or whether nothing can become of it any more."""
        try:
            body: Body = Received(transaction).body
        except Refused:
            return True
        try:
            account = yield from self.read(f"/v1/accounts/{body.sender.hex()}", AccountShape)
        except Refused as refused:
            if refused.code != "account_unknown":
                raise
            return True
        over = account.nonce > body.nonce or self._time_ms > body.expiry_ms
        try:
            return (yield from self.receipt(transaction_hash(transaction)))
        except Refused as refused:
            if refused.code != "transaction_unknown":
                raise
            return over

    def receipt(self, transaction: bytes) -> Conversation[Told]:
        """What became of a transaction, by its hash; Refused("transaction_unknown")."""
        return _told((yield from self.read(f"/v1/transactions/{transaction.hex()}", ReceiptShape)))

    def submitted_all(self, items: Sequence[tuple[bytes, bytes | None]]) -> Conversation[list[BatchOutcome]]:
        """Hands in many at once; those without an answer again, in order, until each is decided or never can be."""
        found: list[BatchOutcome | None] = [None] * len(items)
        until, unsure, pause = self._clock() + self._patience_s, False, 0.0
        yield from self.to_leader()
        while missing := _portion(items, found):
            if self._clock() > until and any(outcome is not None for outcome in found):
                return _with_rest(found, Refused("undecided", "patience", f"{self._patience_s:g} s"))
            content = encode([BatchItem(*items[number]) for number in missing])
            try:
                answer, again = yield from self._asked("POST", "/v1/batch", until, content=content, headers=MSGPACK)
            except (_Final, Refused) as fault:
                refused = fault.refused if isinstance(fault, _Final) else fault
                if all(outcome is None for outcome in found):
                    raise refused from None
                return _with_rest(found, refused)  # what became of those before is told
            unsure, before = unsure or again, len(missing)
            for number, outcome in zip(missing, _outcomes.decode(answer.content), strict=True):
                if outcome.height == 0 and outcome.outcome and (unsure or outcome.code == "expired"):
                    found[number] = yield from self._outcome(*items[number], until)
                elif outcome.height or outcome.outcome or self._clock() > until:
                    found[number] = outcome
                before -= found[number] is not None
            if before:
                unsure = True
                pause = min(max(2 * pause, PAUSE_FIRST_S), PAUSE_MAX_S)
                yield Pause(pause)
        return [outcome for outcome in found if outcome is not None]

    def stepped(self, time_ms: int, items: Sequence[tuple[bytes, bytes | None]]) -> Conversation[bytes]:
        """The block that a step became. It may be handed in again: it is made once."""
        content = encode(Step(time_ms, tuple(BatchItem(*item) for item in items)))
        yield from self.to_leader()
        try:
            answer, _ = yield from self._asked("POST", "/v1/steps", content=content, headers=MSGPACK)
        except _Final as final:
            raise final.refused from None
        return answer.content

    def _outcome(self, transaction: bytes, rows: bytes | None, until: float) -> Conversation[BatchOutcome]:
        try:
            told = yield from self.submitted(transaction, rows, unsure=True, until=until)
        except Refused as refused:
            outcome = 0 if refused.code == "undecided" else Outcome.REFUSED
            return BatchOutcome(0, outcome, refused.code, refused.field, refused.value)
        return BatchOutcome(told.height, Outcome[told.outcome.upper()], told.code, told.field, told.value)

    def proved(self, transaction: bytes, chain: bytes | None) -> Conversation[Proved]:
        """A proof of what became of a transaction, checked here; Refused("proof_wrong") from a node that lies."""
        try:
            answer, _ = yield from self._asked("GET", f"/v1/transactions/{transaction.hex()}/proof")
        except _Final as final:
            raise final.refused from None
        included = check_inclusion(answer.content)
        if included.received.hash != transaction:
            raise Refused("proof_wrong", "transaction", included.received.hash, "It proves another transaction.")
        if chain is not None and included.chain_id != chain:
            raise Refused("proof_wrong", "chain", included.chain_id, "It proves what stands in another chain.")
        return Proved(answer.content, included)


def _undecided(last: Refused) -> Refused:
    """That it is not known what became of something, and what was heard last."""
    return last if last.code == "undecided" else Refused("undecided", "nodes", last)


class _Final(Exception):
    """A refusal that no other node would take back, and whether an earlier attempt may have reached a node."""

    def __init__(self, refused: Refused, unsure: bool) -> None:
        self.refused, self.unsure = refused, unsure
        super().__init__(refused)


def _with_rest(found: Sequence[BatchOutcome | None], refused: Refused) -> list[BatchOutcome]:
    """What was found, and of the rest that it is not known that anything became of it."""
    rest = BatchOutcome(0, 0, refused.code, refused.field, refused.value)
    return [outcome if outcome is not None else rest for outcome in found]


def _portion(items: Sequence[tuple[bytes, bytes | None]], found: Sequence[object]) -> list[int]:
    """Numbers of the first that have no outcome, as many as one batch takes."""
    portion: list[int] = []
    size = 0
    for number, outcome in enumerate(found):
        if outcome is None:
            transaction, rows = items[number]
            size += len(transaction) + len(rows or b"")
            if portion and (size > BATCH_BYTES or len(portion) >= BATCH_ITEMS):
                break
            portion.append(number)
    return portion


def _told(receipt: ReceiptShape) -> Told:
    return Told(receipt.transaction, receipt.height, receipt.outcome, receipt.code, receipt.field, receipt.value)


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0


def is_final(answer: httpx.Response) -> bool:
    """Whether no other node, and no later time, would answer a refused request otherwise."""
    return 400 <= answer.status_code < 500 and answer.status_code != 429


def refused_of(answer: httpx.Response) -> Refused:
    """The refusal that an answer holds."""
    try:
        found = answer.json()
        code = found["code"] if found["code"] in CODES else "request_unreadable"
        return Refused(code, str(found["field"]), found["value"], str(found["remedy"]))
    except (ValueError, KeyError, TypeError):
        return Refused("undecided", "answer", f"{answer.status_code} {answer.text[:80]}")
