"""Steps: how a demo whose time is declared is played at real nodes.

A step is what happens at one moment of the demo: its time and its transactions, in order. It is answered by the block
that it became, which holds these transactions and no others, so that time goes on only when everything before is
decided. The same step may be handed in again, at any node: the one that leads makes it once.
"""

from __future__ import annotations

import asyncio
from typing import Final

from litestar import Response, post
from litestar.datastructures import State as AppState
from litestar.params import RawBody

from wattquorum.api.handing_in import BATCH_BYTES_MAX
from wattquorum.api.packed import MSGPACK, taking
from wattquorum.api.refusing import answers
from wattquorum.api.shapes import Step
from wattquorum.foundation.codec import Decoder, announced
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused
from wattquorum.node.node import Node

STEP_S: Final = 30.0

_ITEMS_AT: Final = {b"\xcc": 3, b"\xcd": 4, b"\xce": 6, b"\xcf": 10}  # the items follow on the time: by its form

_steps: Final = Decoder[Step](Step, "step")


@post(
    "/v1/steps",
    status_code=200,
    media_type=MSGPACK,
    summary="Make the next block of a demo whose time is declared",
    responses=answers(bytes, 400, 408, 413, 422, 429, 503, says="The encoded block.", media=MSGPACK),
    request_max_body_size=BATCH_BYTES_MAX,
    operation_class=taking("An array of the time [ms] and an array of [transaction, rows or nil]."),
    tags=["transactions"],
)
async def step(state: AppState, body: RawBody) -> Response[bytes]:
    """An array of the time [ms] and an array of [transaction, rows or nil]; answered by the encoded block."""
    node: Node = state.node
    node.check_declared()
    most = node.config.limits.block_transactions_max
    if (count := announced(body, "step", _ITEMS_AT.get(body[1:2], 2))) > most:
        raise Refused("out_of_range", "step", count, f"A block takes at most {most}.")
    wanted = _steps.decode(body)
    items = [(item.transaction, item.rows) for item in wanted.items]
    try:
        async with asyncio.timeout(STEP_S):
            block = await node.step(items, Millis(wanted.time_ms))
    except TimeoutError:
        raise Refused("undecided", "step", f"after {STEP_S:.0f} s") from None
    return Response(block, media_type=MSGPACK)
