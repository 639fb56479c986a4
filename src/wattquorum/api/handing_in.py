"""Handing in: one signed transaction as JSON, or thousands at once as msgpack for gateways.

Both are answered when the blocks are decided, and both may be repeated as they are, here or at another node: a
transaction is decided once, and what became of it is told again. A node that cannot take more says so before it has
read everything, and after how long to ask again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from litestar import Response, post
from litestar.datastructures import State as AppState
from litestar.params import JSONBody, RawBody

from wattquorum.api.packed import MSGPACK, taking
from wattquorum.api.refusing import answers, from_base64, status_of
from wattquorum.api.shapes import BatchItem, BatchOutcome, ReceiptShape, SubmitShape, receipt_shape
from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.transactions import Received
from wattquorum.node.node import Decided, Node

SUBMIT_S: Final = 30.0
BATCH_MAX: Final = 10_000
UNDER_WAY_MAX: Final = 40_000  # transactions of batches that wait for their blocks at a node
SUBMIT_BYTES_MAX: Final = 24 * 1024 * 1024  # the rows beside one transaction are 16 MiB at most, and this is base64
BATCH_BYTES_MAX: Final = 32 * 1024 * 1024
TURN_ITEMS: Final = 50  # that are looked at in one turn of the loop: a node that leads has to be heard meanwhile

_batches: Final = Decoder[tuple[BatchItem, ...]](tuple[BatchItem, ...], "batch")


async def _decided(node: Node, data: bytes, rows: bytes | None) -> Decided:
    try:
        async with asyncio.timeout(SUBMIT_S):
            return await node.submit(data, rows)
    except TimeoutError:
        raise _undecided() from None


def _undecided() -> Refused:
    return Refused("undecided", "transaction", f"after {SUBMIT_S:.0f} s")


@post(
    "/v1/transactions",
    status_code=200,
    summary="Hand in a signed transaction and wait for its receipt",
    responses=answers(None, 400, 413, 422, 429, 503),
    request_max_body_size=SUBMIT_BYTES_MAX,
    tags=["transactions"],
)
async def submit(state: AppState, data: JSONBody[SubmitShape]) -> ReceiptShape:
    """The same transaction may be handed in again, at any node: it is decided once, and its receipt told again."""
    rows = None if data.rows is None else from_base64(data.rows, "rows")
    return receipt_shape(await _decided(state.node, from_base64(data.transaction, "transaction"), rows))


@post(
    "/v1/batch",
    status_code=200,
    media_type=MSGPACK,
    summary="Hand in many signed transactions at once, as msgpack",
    responses=answers(bytes, 400, 413, 422, 503, says="One outcome for each transaction.", media=MSGPACK),
    request_max_body_size=BATCH_BYTES_MAX,
    operation_class=taking("An array of [transaction, rows or nil]."),
    tags=["transactions"],
)
async def batch(state: AppState, body: RawBody) -> Response[bytes]:
    """An array of [transaction, rows or nil]; answered by an array of [height, outcome, code, field, value], in order.

    Outcome 0 with a height is done, 1 and 2 are refused and inadmissible; 0 without a height is not decided: hand that
    one in again. A refusal of the whole batch means that nothing of it was taken.
    """
    node: Node = state.node
    check_takes(node)
    items = _batches.decode(body)
    if len(items) > BATCH_MAX:
        raise Refused("out_of_range", "batch", len(items), f"Send at most {BATCH_MAX} at once.")
    if state.under_way + len(items) > UNDER_WAY_MAX and state.under_way:
        raise Refused("pool_full", "batches", f"{state.under_way} transactions wait for their blocks")
    state.under_way += len(items)
    try:
        outcomes = await _outcomes(node, items)
    finally:
        state.under_way -= len(items)
    return Response(encode(outcomes), media_type=MSGPACK)


def check_takes(node: Node) -> None:
    """Refuses for a node that could take nothing now, before anything is read."""
    if node.halted is not None:
        raise Refused("node_halted", "node", str(node.halted))
    if not node.engine.leader:
        raise Refused("not_ordering", "leader", "none is known", "Ask again when a quorum has a leader.")
    if node.runtime.full:
        raise Refused("disk_full", "node", node.address)


async def _outcomes(node: Node, items: tuple[BatchItem, ...]) -> list[BatchOutcome]:
    tasks: list[asyncio.Task[Decided]] = []
    try:
        for item in items:
            tasks.append(asyncio.create_task(node.submit(item.transaction, item.rows)))
            if len(tasks) % TURN_ITEMS == 0:
                await asyncio.sleep(0)
        if tasks:
            await asyncio.wait(tasks, timeout=SUBMIT_S)
    finally:
        for task in tasks:
            task.cancel()  # those that are done take no notice
    await asyncio.gather(*tasks, return_exceptions=True)
    outcomes = [_outcome(task) for task in tasks]
    return outcomes if all(each.height or each.outcome for each in outcomes) else _follow_ups(items, outcomes)


def _follow_ups(items: tuple[BatchItem, ...], outcomes: list[BatchOutcome]) -> list[BatchOutcome]:
    """Outcomes where what follows on a transaction that is not decided is not decided either.

    Its nonce is wrong only for as long as the earlier one is missing.
    """
    waiting: dict[bytes, None] = {}
    found = []
    for item, outcome in zip(items, outcomes, strict=True):
        if not outcome.height and (not outcome.outcome or (waiting and outcome.code == "nonce_wrong")):
            sender = _sender(item.transaction)
            if not outcome.outcome:
                waiting[sender] = None
            elif sender in waiting:
                remedy = _undecided()
                outcome = BatchOutcome(0, 0, remedy.code, remedy.field, "an earlier one of its sender is not decided")
        found.append(outcome)
    return found


def _sender(transaction: bytes) -> bytes:
    try:
        return Received(transaction).body.sender
    except Refused:
        return b""


def _outcome(task: asyncio.Future[Decided]) -> BatchOutcome:
    fault = _undecided() if task.cancelled() else task.exception()
    if fault is None:
        decided = task.result()
        receipt = decided.receipt
        return BatchOutcome(decided.height, receipt.outcome, receipt.code, receipt.field, receipt.value)
    if not isinstance(fault, Refused):
        raise fault
    later = status_of(fault) in (429, 503)
    return BatchOutcome(0, 0 if later else Outcome.REFUSED, fault.code, fault.field, fault.value)
