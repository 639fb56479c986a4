"""The client: hands in transactions and asks for state at any of a community's nodes.

It keeps to one node while that one answers, and goes to the next when it does not. A transaction that was handed in
and not answered is handed in again, which is safe: it has one nonce and is decided once. What a rule refuses is raised
as `Refused` with code, field, value and remedy; only what another node may do better is tried elsewhere.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import httpx

from wattquorum.api.shapes import BatchItem, BatchOutcome
from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.refusals import CODES, Refused

PAUSE_FIRST_S: Final = 0.02
PAUSE_MAX_S: Final = 1.0
ANSWER_S: Final = 35.0

_outcomes: Final = Decoder[tuple[BatchOutcome, ...]](tuple[BatchOutcome, ...], "outcomes")


class Told(NamedTuple):
    """What became of a transaction."""

    transaction: str
    height: int
    outcome: str
    code: str
    field: str
    value: str


class Client:
    """Talks to a community by the addresses of its nodes' interfaces, such as "http://127.0.0.1:8100"."""

    def __init__(self, nodes: Sequence[str], *, patience_s: float = 60.0) -> None:
        """`patience_s` is for how long anything is tried, over all nodes together."""
        if not nodes:
            raise Refused("out_of_range", "nodes", "none", "Name at least one node.")
        self._nodes = list(nodes)
        self._at = 0
        self._patience_s = patience_s
        self._http = httpx.Client(timeout=httpx.Timeout(ANSWER_S, connect=2.0))

    def submit(self, transaction: bytes, rows: bytes | None = None) -> Told:
        """Hands in a signed transaction, again and elsewhere until it is decided."""
        body = {"transaction": base64.b64encode(transaction).decode()}
        if rows is not None:
            body["rows"] = base64.b64encode(rows).decode()
        return Told(**self._json("POST", "/v1/transactions", json=body))

    def submit_all(self, items: Sequence[tuple[bytes, bytes | None]]) -> list[BatchOutcome]:
        """Hands in many at once; those without an answer again, in order, until each is decided."""
        found: list[BatchOutcome | None] = [None] * len(items)
        until = time.monotonic() + self._patience_s
        while missing := [number for number, outcome in enumerate(found) if outcome is None]:
            content = encode([BatchItem(*items[number]) for number in missing])
            headers = {"content-type": "application/msgpack"}
            answer = self._asked("POST", "/v1/batch", content=content, headers=headers)
            for number, outcome in zip(missing, _outcomes.decode(answer.content), strict=True):
                if outcome.height or outcome.outcome or time.monotonic() > until:
                    found[number] = outcome
        return [outcome for outcome in found if outcome is not None]

    def account(self, address: bytes, *, stale: bool = False) -> dict[str, Any]:
        """An account, with everything that was decided before; `stale`: with what the node has at hand."""
        return self._json("GET", f"/v1/accounts/{address.hex()}", params={"stale": str(stale).lower()})

    def status(self) -> dict[str, Any]:
        """How it stands with the node that answers."""
        return self._json("GET", "/v1/status")

    def members(self) -> dict[str, Any]:
        """Members, replicas and open proposals, with everything that was decided before."""
        return self._json("GET", "/v1/members")

    def blocks(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """Blocks from a height on, or from the next, as they are decided: height and bytes. Goes on for ever."""
        height = first
        while True:
            node = self._nodes[self._at]
            try:
                with self._http.stream("GET", f"{node}/v1/blocks", params={"first": height}, timeout=None) as answer:
                    for line in answer.iter_lines():
                        found = httpx.Response(200, content=line).json()
                        height = found["height"] + 1
                        yield found["height"], base64.b64decode(found["block"])
            except httpx.HTTPError:
                self._at = (self._at + 1) % len(self._nodes)
                time.sleep(PAUSE_FIRST_S)

    def _json(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._asked(method, path, **what).json()
        return found

    def _asked(self, method: str, path: str, **what: Any) -> httpx.Response:
        """Asks one node after another until one answers for itself."""
        until, pause = time.monotonic() + self._patience_s, PAUSE_FIRST_S
        last: Exception | None = None
        while True:
            try:
                answer = self._http.request(method, self._nodes[self._at] + path, **what)
                if answer.status_code < 400:
                    return answer
                refused = _refused(answer)
                if answer.status_code < 500:
                    raise refused
                last = refused
            except httpx.HTTPError as fault:
                last = fault
            self._at = (self._at + 1) % len(self._nodes)
            if time.monotonic() > until:
                raise last if isinstance(last, Refused) else Refused("undecided", "nodes", str(last)) from None
            time.sleep(pause)
            pause = min(2 * pause, PAUSE_MAX_S)

    def close(self) -> None:
        """Ends its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _fault: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()


def _refused(answer: httpx.Response) -> Refused:
    try:
        found = answer.json()
        code = found["code"] if found["code"] in CODES else "request_unreadable"
        return Refused(code, found["field"], found["value"], found["remedy"])
    except (ValueError, KeyError, TypeError):
        return Refused("undecided", "answer", f"{answer.status_code} {answer.text[:80]}")
