"""The client: hands in transactions and asks for state at any of a community's nodes.

It turns to the node that leads, keeps to it while that one answers, and goes to the next when it does not. A
transaction that was handed in and not answered is handed in again, which is safe: it has one nonce and is decided once.
What a rule refuses is raised as `Refused` with code, field, value and remedy; how the two are told apart, and what a
client may believe, stands in `asking`. A client may be used by several threads, an `AsyncClient` by several tasks.

    with Client(["https://10.0.0.1:8100", "https://10.0.0.2:8100"], verify="authority.pem") as client:
        told = client.submit(signed)            # decided: Told(height=..., outcome="done", ...)
        client.account(address).balance         # with everything that was decided before
        proved = client.proof(bytes.fromhex(told.transaction))
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx

from wattquorum.api.asking import (
    ANSWER_S,
    CONNECT_S,
    PAUSE_FIRST_S,
    PAUSE_MAX_S,
    Asking,
    Conversation,
    Pause,
    Proved,
    Told,
    is_final,
    refused_of,
)
from wattquorum.api.shapes import (
    AccountShape,
    BatchOutcome,
    BoothShape,
    ElectionsShape,
    MembersShape,
    StatusShape,
    TipShape,
    WitnessShape,
)
from wattquorum.api.state_shapes import (
    BlockShape,
    CertificatesShape,
    DaysShape,
    DebtsShape,
    EntriesShape,
    EntryShape,
    HeaderShape,
    ListedShape,
    ParametersShape,
    StandingShape,
    TradesShape,
    ValidatorsShape,
)
from wattquorum.api.terms import COUNT_MAX, IDLE_S, NO_KEY, PAGE_MAX
from wattquorum.foundation.codec import from_json
from wattquorum.foundation.refusals import CODES, Refused

__all__ = ["AsyncClient", "Client", "Proved", "Told"]

T = TypeVar("T")
Verify = str | Path | ssl.SSLContext | bool
PATIENCE_S: Final = 60.0
QUIET_S: Final = 3 * IDLE_S  # a stream that says nothing for so long is taken up elsewhere


def _trusted(verify: Verify) -> ssl.SSLContext | bool:
    """By what the nodes' certificates are checked: a file of authorities, or as httpx takes it."""
    if isinstance(verify, str | Path):
        try:
            return ssl.create_default_context(cafile=str(verify))
        except (OSError, ssl.SSLError) as fault:
            raise Refused("file_unreadable", "verify", f"{verify}: {fault}") from None
    return verify


class Client:
    """Talks to a community by the addresses of its nodes' interfaces, such as "http://127.0.0.1:8100"."""

    def __init__(
        self,
        nodes: Sequence[str],
        *,
        patience_s: float = PATIENCE_S,
        verify: Verify = True,
        chain: bytes | None = None,
    ) -> None:
        """`patience_s` is for how long anything is tried, over all nodes together.

        `verify`: a file with the authorities by which nodes' certificates are checked. `chain`: the id of the chain
        that is meant; proofs of another one are refused.
        """
        self._asking = Asking(nodes, patience_s, time.monotonic)
        self._chain = chain
        self._http = httpx.Client(timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), verify=_trusted(verify))

    def submit(self, transaction: bytes, rows: bytes | None = None) -> Told:
        """Hands in a signed transaction, again and elsewhere until it is decided; `rows` stand beside a commitment.

        Raises Refused with a rule's code where it can never be decided, and Refused("undecided") when patience ends:
        then it may be decided later, so hand in the same one again.
        """
        return self._held(self._asking.submitted(transaction, rows))

    def submit_all(self, items: Sequence[tuple[bytes, bytes | None]]) -> list[BatchOutcome]:
        """Hands in many at once, as pairs of transaction and rows; tells what became of each, in order.

        Those that cannot be taken now are handed in again. An outcome without a height and with `outcome` 0 is one
        that is not decided when patience ends.
        """
        return self._held(self._asking.submitted_all(items))

    def step(self, time_ms: int, items: Sequence[tuple[bytes, bytes | None]]) -> bytes:
        """The next block of a demo whose time is declared: of these transactions, at this time; again until it is."""
        return self._held(self._asking.stepped(time_ms, items))

    def reached(self) -> tuple[int, str]:
        """How many blocks the node that answers has executed, and the digest of the state after them."""
        status = self.status()
        return status.height, status.state

    def receipt(self, transaction: bytes) -> Told:
        """What became of a transaction, by its hash; Refused("transaction_unknown") where no block has it by now."""
        return self._held(self._asking.receipt(transaction))

    def proof(self, transaction: bytes) -> Proved:
        """A proof of what became of a transaction, by its hash. It was checked, with nothing but itself.

        `file` is what `wattquorum verify` takes, `included` what it proves. It rests on the signature of one founder,
        `included.voucher`: the node that answered need not be believed, but whoever has that founder's key can make a
        proof of what no block has. Unless this client was told which chain is meant, compare `included.chain_id` with
        the one that you know.
        """
        return self._held(self._asking.proved(transaction, self._chain))

    def account(self, address: bytes, *, stale: bool = False) -> AccountShape:
        """An account, with everything that was decided before; `stale`: with what the node has at hand."""
        return self._read(f"/v1/accounts/{address.hex()}", AccountShape, stale=stale)

    def standing(self, address: bytes, *, stale: bool = False) -> Any:
        """An account's credit, trust and trade, the replicas that it runs, and its allowances (`StandingShape`)."""
        return self._read(f"/v1/accounts/{address.hex()}/standing", StandingShape, stale=stale)

    def certificates(self, address: bytes, *, after: str = "", stale: bool = False) -> Any:
        """A page of an account's certificates behind `after`, the page before's `next` (`CertificatesShape`)."""
        path = f"/v1/accounts/{address.hex()}/certificates"
        return self._read(path, CertificatesShape, after=after, limit=PAGE_MAX, stale=stale)

    def trades(self, address: bytes, day: int, *, stale: bool = False) -> Any:
        """Offers, contracts, promises and positions of an account on a delivery day, by its start [ms]."""
        return self._read(f"/v1/accounts/{address.hex()}/trades", TradesShape, day=day, stale=stale)

    def debts(self, address: bytes, *, stale: bool = False) -> Any:
        """What an account owes, and what is set aside to be paid out to it (`DebtsShape`)."""
        return self._read(f"/v1/accounts/{address.hex()}/debts", DebtsShape, stale=stale)

    def days(self, *, stale: bool = False) -> Any:
        """The delivery days that are not sealed yet (`DaysShape`)."""
        return self._read("/v1/days", DaysShape, stale=stale)

    def parameters(self, *, stale: bool = False) -> Any:
        """The parameters in force, and their version (`ParametersShape`)."""
        return self._read("/v1/parameters", ParametersShape, stale=stale)

    def validators(self, *, stale: bool = False) -> Any:
        """Every replica that was admitted, and the newest version of who votes (`ValidatorsShape`)."""
        return self._read("/v1/validators", ValidatorsShape, stale=stale)

    def record(self, table: str, key: bytes, *, stale: bool = False) -> EntryShape:
        """Any record of the state; Refused("record_unknown")."""
        return self._read(f"/v1/state/{table}/{key.hex() or NO_KEY}", EntryShape, stale=stale)

    def records(self, table: str, *, at: bytes = b"", stale: bool = False) -> Iterator[ListedShape]:
        """The records of a table, or those listed at a place; each page is as the state is then."""
        after = ""
        while True:
            path = f"/v1/state/{table}"
            page = self._read(path, EntriesShape, at=at.hex(), after=after, limit=PAGE_MAX, stale=stale)
            yield from page.entries
            after = page.next
            if not after:
                return

    def block(self, height: int) -> BlockShape:
        """A block: header, transactions and receipts."""
        return self._read(f"/v1/blocks/{height}", BlockShape)

    def header(self, height: int) -> HeaderShape:
        """A block's header and hash."""
        return self._read(f"/v1/blocks/{height}/header", HeaderShape)

    def headers(self, first: int) -> list[bytes]:
        """Encoded headers from a height on, as many as one answer has; none where the chain ends before."""
        answer = self._asked("GET", "/v1/headers", params={"first": first, "count": COUNT_MAX})
        lines = [line for line in answer.text.splitlines() if line]
        try:
            return [base64.b64decode(json.loads(line)["header"], validate=True) for line in lines]
        except (ValueError, KeyError, TypeError):
            raise Refused("encoding_unreadable", "headers", answer.text[:80], "Ask another node.") from None

    def tip(self) -> TipShape:
        """Who certified the last block of the node that answers, where a committee agrees."""
        return self._read("/v1/tip", TipShape)

    def status(self) -> StatusShape:
        """How it stands with the node that answers."""
        return self._read("/v1/status", StatusShape)

    def members(self, *, stale: bool = False) -> MembersShape:
        """Members, replicas and open proposals."""
        return self._read("/v1/members", MembersShape, stale=stale)

    def elections(self, *, stale: bool = False) -> ElectionsShape:
        """Who agrees for whom, and how groups vote."""
        return self._read("/v1/elections", ElectionsShape, stale=stale)

    def booth(self, member: bytes, *, stale: bool = False) -> BoothShape:
        """What a member may say in an election now."""
        return self._read(f"/v1/elections/{member.hex()}", BoothShape, stale=stale)

    def testimony(self) -> WitnessShape:
        """What the node that answers can prove of who agrees; a client of one node asks that one."""
        return self._read("/v1/testimony", WitnessShape)

    def blocks(self, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """Blocks from a height on, or from the next, as they are decided: height and bytes. Goes on for ever.

        Where a node does not answer, or cannot go on, another one does, with the block that follows. Raises Refused for
        what no node would answer.
        """
        lines = _Lines(first)
        final: Refused | None = None
        while final is None:
            url = f"{self._asking.node}/v1/stream"
            try:
                with self._http.stream("GET", url, params={"first": lines.next}, timeout=_quiet()) as answer:
                    if is_final(answer):
                        answer.read()
                        final = refused_of(answer)
                        break
                    answer.raise_for_status()
                    for line in answer.iter_lines():
                        yield from lines.told(line)
            except (httpx.HTTPError, Refused):
                self._asking.leave()
            time.sleep(lines.pause())
        raise final

    def _read(self, path: str, kind: type[T], **parameters: Any) -> T:
        return self._held(self._asking.read(path, kind, **parameters))

    def _asked(self, method: str, path: str, **how: Any) -> httpx.Response:
        return self._held(self._asking.asked(method, path, **how))

    def _held(self, conversation: Conversation[T]) -> T:
        """Holds a conversation, and returns what came of it."""
        given: Any = None
        fault: httpx.HTTPError | None = None
        while True:
            try:
                step = conversation.throw(fault) if fault is not None else conversation.send(given)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]  # what the conversation says that it returns
            given = fault = None
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                continue
            try:
                given = self._http.request(step.method, step.node + step.path, **step.how)
            except httpx.HTTPError as raised:
                fault = raised

    def close(self) -> None:
        """Ends its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _fault: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """The same for programs with an event loop: each call is awaited, blocks come from an asynchronous iterator.

    async with AsyncClient(["http://127.0.0.1:8100"]) as client:
        told = await client.submit(signed)
        account = await client.read("/v1/accounts/" + address.hex(), AccountShape)
    """

    def __init__(
        self,
        nodes: Sequence[str],
        *,
        patience_s: float = PATIENCE_S,
        verify: Verify = True,
        chain: bytes | None = None,
    ) -> None:
        """As a `Client`."""
        self._asking = Asking(nodes, patience_s, time.monotonic)
        self._chain = chain
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), verify=_trusted(verify))

    async def submit(self, transaction: bytes, rows: bytes | None = None) -> Told:
        """As `Client.submit`."""
        return await self._held(self._asking.submitted(transaction, rows))

    async def submit_all(self, items: Sequence[tuple[bytes, bytes | None]]) -> list[BatchOutcome]:
        """As `Client.submit_all`."""
        return await self._held(self._asking.submitted_all(items))

    async def receipt(self, transaction: bytes) -> Told:
        """As `Client.receipt`."""
        return await self._held(self._asking.receipt(transaction))

    async def proof(self, transaction: bytes) -> Proved:
        """As `Client.proof`."""
        return await self._held(self._asking.proved(transaction, self._chain))

    async def account(self, address: bytes, *, stale: bool = False) -> AccountShape:
        """As `Client.account`."""
        return await self.read(f"/v1/accounts/{address.hex()}", AccountShape, stale=stale)

    async def status(self) -> StatusShape:
        """As `Client.status`."""
        return await self.read("/v1/status", StatusShape)

    async def read(self, path: str, kind: type[T], **parameters: Any) -> T:
        """Any other path of the interface that is read, as the shape that its answer has."""
        return await self._held(self._asking.read(path, kind, **parameters))

    async def blocks(self, first: int = 0) -> AsyncIterator[tuple[int, bytes]]:
        """As `Client.blocks`."""
        lines = _Lines(first)
        final: Refused | None = None
        while final is None:
            url = f"{self._asking.node}/v1/stream"
            try:
                async with self._http.stream("GET", url, params={"first": lines.next}, timeout=_quiet()) as answer:
                    if is_final(answer):
                        await answer.aread()
                        final = refused_of(answer)
                        break
                    answer.raise_for_status()
                    async for line in answer.aiter_lines():
                        for told in lines.told(line):
                            yield told
            except (httpx.HTTPError, Refused):
                self._asking.leave()
            await asyncio.sleep(lines.pause())
        raise final

    async def _held(self, conversation: Conversation[T]) -> T:
        given: Any = None
        fault: httpx.HTTPError | None = None
        while True:
            try:
                step = conversation.throw(fault) if fault is not None else conversation.send(given)
            except StopIteration as ended:
                return ended.value  # type: ignore[no-any-return]  # what the conversation says that it returns
            given = fault = None
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                continue
            try:
                given = await self._http.request(step.method, step.node + step.path, **step.how)
            except httpx.HTTPError as raised:
                fault = raised

    async def close(self) -> None:
        """Ends its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _fault: BaseException | None, _at: TracebackType | None
    ) -> None:
        await self.close()


class _Lines:
    """The lines of a stream as a reader takes them, from node to node: each block once, in order."""

    def __init__(self, first: int) -> None:
        self.next = first
        self._idle = 0

    def told(self, line: str) -> Iterator[tuple[int, bytes]]:
        """The block of a line, if it has one; Refused for a line that is none, or says that the node cannot go on."""
        found = from_json(line.encode(), dict[str, Any], "stream")
        refused = found.get("refused")
        if isinstance(refused, Mapping):
            code = refused.get("code")
            raise Refused(code if code in CODES else "request_unreadable", "stream", refused.get("value"))
        height, block = found.get("height"), found.get("block")
        if not isinstance(height, int) or not isinstance(block, str):
            raise Refused("encoding_unreadable", "stream", line)
        if block:
            if self.next not in (0, height):
                raise Refused("encoding_unreadable", "stream", height, f"Block {self.next} was expected.")
            self.next, self._idle = height + 1, 0
            yield height, base64.b64decode(block)
        elif not self.next:
            self.next = height + 1  # so that none is missed when it has to be taken up elsewhere

    def pause(self) -> float:
        """How long to wait before it is taken up again."""
        self._idle += 1
        return min(PAUSE_FIRST_S * (1 << min(self._idle, 10)), PAUSE_MAX_S)


def _quiet() -> httpx.Timeout:
    return httpx.Timeout(QUIET_S, connect=CONNECT_S)
