"""The HTTP interface of a node: JSON for people and programs, one binary path for gateways that submit thousands.

Refusals are answers: code, field, value and remedy, with a status that says who can do something about it (4xx the
client, 5xx the node). A transaction that was handed in is answered when its block is decided; whoever hears nothing
hands the same one in again, anywhere. Reads are linearizable unless `stale=true` asks for what this node has at hand.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State as AppState
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, RawBody
from litestar.response import Stream

from wattquorum import __version__
from wattquorum.api.members import members
from wattquorum.api.metrics import exposition
from wattquorum.api.shapes import (
    AccountShape,
    BatchItem,
    BatchOutcome,
    ReceiptShape,
    RefusalShape,
    StatusShape,
    SubmitShape,
    receipt_shape,
    status_shape,
)
from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.identities import ADDRESS_BYTES
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.execution import Executed
from wattquorum.node.node import Decided, Node

SUBMIT_S: Final = 30.0
UNAVAILABLE: Final = frozenset(
    {"node_halted", "node_stopped", "node_failed", "not_ordering", "pool_full", "disk_full", "disk_failed", "undecided"}
)
HASH_BYTES: Final = 32
BATCH_MAX: Final = 10_000
BACKLOG_BLOCKS: Final = 1_000

_batches: Final = Decoder[tuple[BatchItem, ...]](tuple[BatchItem, ...], "batch")


def status_of(refused: Refused) -> int:
    """The HTTP status of a refusal."""
    if refused.code in UNAVAILABLE:
        return 503
    return 404 if refused.code in ("account_unknown", "transaction_unknown") else 422


def refusal(_: Request[Any, Any, Any], refused: Refused) -> Response[RefusalShape]:
    """A refusal as an answer."""
    shape = RefusalShape(refused.code, refused.field, refused.value, refused.remedy)
    return Response(shape, status_code=status_of(refused))


def unreadable(_: Request[Any, Any, Any], fault: HTTPException) -> Response[RefusalShape]:
    """What the framework could not read, in the same shape."""
    extra = fault.extra[0] if isinstance(fault.extra, list) and fault.extra else {}
    field = str(extra.get("key", "request")) if isinstance(extra, dict) else "request"
    shape = RefusalShape("request_unreadable", field, fault.detail, "See /schema for what is taken.")
    return Response(shape, status_code=fault.status_code, headers=fault.headers)


def _bytes(text: str, field: str, size: int | None = None) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if not found or (size is not None and len(found) != size):
        digits = f"{2 * size} hexadecimal digits" if size else "hexadecimal digits"
        raise Refused("encoding_unreadable", field, text, f"Give {digits}.")
    return found


def _base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("encoding_unreadable", field, text, "Give base64.") from None


async def _decided(node: Node, data: bytes, rows: bytes | None) -> Decided:
    try:
        async with asyncio.timeout(SUBMIT_S):
            return await node.submit(data, rows)
    except TimeoutError:
        raise Refused("undecided", "transaction", f"after {SUBMIT_S:.0f} s") from None


@post("/v1/transactions", status_code=200, summary="Hand in a signed transaction and wait for its receipt")
async def submit(state: AppState, data: JSONBody[SubmitShape]) -> ReceiptShape:
    """The same transaction may be handed in again, at any node: it is decided once, and its receipt told again."""
    rows = None if data.rows is None else _base64(data.rows, "rows")
    return receipt_shape(await _decided(state.node, _base64(data.transaction, "transaction"), rows))


@post(
    "/v1/batch",
    status_code=200,
    media_type="application/msgpack",
    summary="Hand in many signed transactions at once, as msgpack",
)
async def batch(state: AppState, body: RawBody) -> Response[bytes]:
    """An array of [transaction, rows or nil]; answered by an array of [height, outcome, code, field, value]."""
    items = _batches.decode(body)
    if len(items) > BATCH_MAX:
        raise Refused("out_of_range", "batch", len(items), f"Send at most {BATCH_MAX} at once.")

    async def one(item: BatchItem) -> BatchOutcome:
        try:
            decided = await _decided(state.node, item.transaction, item.rows)
        except Refused as refused:
            return BatchOutcome(
                0, Outcome.REFUSED if status_of(refused) < 500 else 0, refused.code, refused.field, refused.value
            )
        receipt = decided.receipt
        return BatchOutcome(decided.height, receipt.outcome, receipt.code, receipt.field, receipt.value)

    outcomes = await asyncio.gather(*map(one, items))
    return Response(encode(outcomes), media_type="application/msgpack")


@get("/v1/transactions/{transaction:str}", summary="What became of a transaction")
async def receipt(state: AppState, transaction: FromPath[str]) -> ReceiptShape:
    """By its hash, among the last ones that this node has seen."""
    found = state.node.receipt(_bytes(transaction, "transaction", HASH_BYTES))
    if found is None:
        raise Refused("transaction_unknown", "transaction", transaction)
    return receipt_shape(found)


@get("/v1/accounts/{address:str}", summary="An account")
async def account(state: AppState, address: FromPath[str], stale: FromQuery[bool] = False) -> AccountShape:
    """With everything that was decided before the question, or with what this node has at hand."""
    node: Node = state.node
    key = _bytes(address, "address", ADDRESS_BYTES)
    ledger = node.ledger if stale else await node.read()
    found = ledger.account(key)
    if found is None:
        raise Refused("account_unknown", "address", address)
    return AccountShape(
        address,
        found.name,
        found.owner,
        found.status.name.lower(),
        found.balance,
        found.locked,
        found.nonce,
        ledger.height,
    )


@get("/v1/blocks", media_type="application/x-ndjson", summary="Blocks as they are decided")
async def blocks(state: AppState, first: Annotated[int, QueryParameter(ge=0)] = 0) -> Stream:
    """One JSON object in a line: height and the encoded block in base64; from `first` on, or from the next one."""
    return Stream(_lines(state.node, first), media_type="application/x-ndjson")


async def _lines(node: Node, first: int) -> AsyncIterator[bytes]:
    queue: asyncio.Queue[Executed] = asyncio.Queue(BACKLOG_BLOCKS)

    def put(executed: Executed) -> None:
        if not queue.full():  # who does not keep up is told no more, and sees the gap in the heights
            queue.put_nowait(executed)

    unwatch = node.watch(put)
    try:
        height = first - 1 if first else node.ledger.height
        while height < node.chain.height:
            found = await asyncio.to_thread(_stored, node, height + 1)
            if not found:
                break
            for data in found:
                height += 1
                yield _line(height, data)
        while True:
            executed = await queue.get()
            at = executed.block.header.height
            if at == height + 1:
                height = at
                yield _line(at, executed.data)
            elif at > height + 1:
                return
    finally:
        unwatch()


def _stored(node: Node, first: int) -> list[bytes]:
    found: list[bytes] = []
    for _, data in node.chain.read(first):
        found.append(data)
        if len(found) >= BACKLOG_BLOCKS:
            break
    return found


def _line(height: int, data: bytes) -> bytes:
    return b'{"height": %d, "block": "%s"}\n' % (height, base64.b64encode(data))


@get("/v1/status", summary="How it stands with this node")
async def status(state: AppState) -> StatusShape:
    """Who leads, who votes with how much power, who is connected, and what waits."""
    return status_shape(state.node)


@get("/metrics", media_type="text/plain; version=0.0.4", summary="Metrics for Prometheus")
async def metrics(state: AppState) -> str:
    """Counters and gauges of this node."""
    return exposition(state.node)


@get("/health/live", summary="Whether the process answers")
async def live() -> dict[str, str]:
    """Always, while it does."""
    return {"status": "live"}


@get("/health/ready", summary="Whether this node can take transactions")
async def ready(state: AppState) -> Response[dict[str, str]]:
    """Ready while it takes part and knows who leads."""
    node: Node = state.node
    why = str(node.halted) if node.halted else ""
    if not why and not node.engine.leader:
        why = "no leader is known"
    return Response({"status": why or "ready"}, status_code=503 if why else 200)


def application(node: Node) -> Litestar:
    """The interface of a node."""
    handlers = [submit, batch, receipt, account, members, blocks, status, metrics, live, ready]
    openapi = OpenAPIConfig(title="WattQuorum node", version=__version__)
    return Litestar(
        handlers,
        state=AppState({"node": node}),
        openapi_config=openapi,
        exception_handlers={Refused: refusal, HTTPException: unreadable},
    )
