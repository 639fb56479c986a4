"""Handing in: one signed transaction as JSON, or thousands at once as msgpack for gateways.

Both are answered when the blocks are decided, and both may be repeated as they are, here or at another node: a
transaction is decided once, and what became of it is told again. A node that cannot take more says so before it has
read everything, and after how long to ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from litestar import Response, post
from litestar.datastructures import State as AppState
from litestar.params import JSONBody, RawBody

from wattquorum.api.checking import checked
from wattquorum.api.packed import MSGPACK, taking
from wattquorum.api.refusing import answers, from_base64, status_of
from wattquorum.api.shapes import BatchItem, BatchOutcome, ReceiptShape, SubmitShape, receipt_shape
from wattquorum.foundation.codec import Decoder, announced, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.transactions import Received
from wattquorum.node.node import BEHIND, Decided, Node
from wattquorum.replica.pool import Checked

SUBMIT_S: Final = 30.0
BATCH_MAX: Final = 10_000
UNDER_WAY_MAX: Final = 40_000  # transactions of batches that wait for their blocks at a node
SUBMIT_BYTES_MAX: Final = 24 * 1024 * 1024  # the rows beside one transaction are 16 MiB at most, and this is base64
BATCH_BYTES_MAX: Final = 32 * 1024 * 1024
TURN_ITEMS: Final = 50  # that are looked at in one turn of the loop: a node that leads has to be heard meanwhile

Offered = Decided | Refused | asyncio.Future[Decided]

_batches: Final = Decoder[tuple[BatchItem, ...]](tuple[BatchItem, ...], "batch")


async def _decided(node: Node, data: bytes, rows: bytes | None) -> Decided:
    height = node.ledger.height
    try:
        async with asyncio.timeout(SUBMIT_S):
            return await node.submit(data, rows)
    except TimeoutError:
        raise _undecided(stalled=node.ledger.height == height) from None


def _undecided(*, stalled: bool = False) -> Refused:
    """What is neither decided nor refused after all that time; `stalled` where this node saw no block meanwhile."""
    if not stalled:
        return Refused("undecided", "transaction", f"after {SUBMIT_S:g} s")
    remedy = "This node sees no block decided: look at the nodes' status. Hand it in again as it is until it expires."
    return Refused("undecided", "transaction", f"stalled: after {SUBMIT_S:g} s without a block", remedy)


@post(
    "/v1/transactions",
    status_code=200,
    summary="Hand in a signed transaction and wait for its receipt",
    responses=answers(None, 400, 408, 413, 422, 429, 503),
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
    responses=answers(bytes, 400, 408, 413, 422, 429, 503, says="One outcome for each transaction.", media=MSGPACK),
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
    if (count := announced(body, "batch")) > BATCH_MAX:
        raise Refused("out_of_range", "batch", count, f"Send at most {BATCH_MAX} at once.")
    items = _batches.decode(body)
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
    until = asyncio.get_running_loop().time() + SUBMIT_S
    told: list[Offered | Checked | None] = list(await checked(node, [item.transaction for item in items]))
    try:
        await _offer(node, items, told, range(len(items)))
        behind = [place for place, each in enumerate(told) if isinstance(each, Refused) and each.code in BEHIND]
        if behind:
            await _offer_again(node, items, told, behind, until)
        waiting = [each for each in told if isinstance(each, asyncio.Future)]
        if waiting:
            await asyncio.wait(waiting, timeout=max(0.0, until - asyncio.get_running_loop().time()))
    finally:
        for each in told:
            if isinstance(each, asyncio.Future):
                each.cancel()  # those that are done take no notice
    outcomes = [_outcome(each) for each in told]
    return outcomes if all(each.height or each.outcome for each in outcomes) else _follow_ups(items, outcomes)


async def _offer(
    node: Node, items: Sequence[BatchItem], told: list[Offered | Checked | None], places: Sequence[int]
) -> None:
    """Hands these in, in order, but for those whose answer stands before they are."""
    for number, place in enumerate(places, 1):
        item, known = items[place], told[place]
        if not isinstance(known, Refused) or known.code in BEHIND:
            try:
                told[place] = node.offer(item.transaction, item.rows, known if isinstance(known, Checked) else None)
            except Refused as refused:
                told[place] = refused
        if number % TURN_ITEMS == 0:
            await asyncio.sleep(0)


async def _offer_again(
    node: Node, items: Sequence[BatchItem], told: list[Offered | Checked | None], places: Sequence[int], until: float
) -> None:
    """Hands these in again by a newer state, which is asked for once, and looks for those that were decided before."""
    try:
        async with asyncio.timeout_at(until):
            await node.read()
            await _offer(node, items, told, places)
            for place in places:
                known = told[place]
                if isinstance(known, Refused) and known.code in BEHIND:
                    told[place] = _undecided()
                    told[place] = await _before(node, items[place].transaction) or known
    except TimeoutError:
        pass  # what was found until then is told


async def _before(node: Node, transaction: bytes) -> Decided | Refused | None:
    try:
        return await node.decided_before(transaction)
    except Refused as refused:
        return refused


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


def _outcome(told: Offered | Checked | None) -> BatchOutcome:
    if isinstance(told, asyncio.Future):
        fault = told.exception() if told.done() and not told.cancelled() else _undecided()
        found: object = told.result() if fault is None else fault
    else:
        found = told
    if isinstance(found, Decided):
        receipt = found.receipt
        return BatchOutcome(found.height, receipt.outcome, receipt.code, receipt.field, receipt.value)
    fault = found if isinstance(found, Refused) else _undecided()
    later = status_of(fault) in (429, 503)
    return BatchOutcome(0, 0 if later else Outcome.REFUSED, fault.code, fault.field, fault.value)
