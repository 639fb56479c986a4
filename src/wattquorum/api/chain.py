"""The chain: blocks as they are decided and as they were, what became of transactions, and proofs of it.

What a node tells here can be held against a founder: a block's header has the roots of its transactions and receipts,
and a proof ends in a founder's signature. `wattquorum verify` and `Client.proof` check one offline, with the chain's id
alone, so the node that answers need not be believed; the founder who signed has to be, and they say which it is.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.datastructures import State as AppState
from litestar.params import PathParameter, QueryParameter
from litestar.response import Stream

from wattquorum.api.reading import Stale, ledger_of
from wattquorum.api.refusing import answers, digits
from wattquorum.api.shapes import ProofShape, ReceiptShape, TipShape, receipt_shape
from wattquorum.api.sharing import in_streams
from wattquorum.api.state_shapes import BlockShape, HeaderShape, shown
from wattquorum.api.terms import COUNT_MAX, EXACT_MAX, IDLE_S
from wattquorum.consensus.bft.engine import Bft
from wattquorum.foundation.codec import INT64_MAX, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import Sealed, decode_agreed, entry_digest
from wattquorum.ledger.blocks import Block, decode_block, header_hash
from wattquorum.ledger.execution import Executed
from wattquorum.node.history import Found
from wattquorum.node.node import Decided, Node

HASH_BYTES: Final = 32
LINES: Final = "application/x-ndjson"
VOUCHED_S: Final = 10.0  # how long a proof waits for a block that vouches
AGAIN_S: Final = 0.1

_HASH: Final = {"pattern": f"^[0-9a-fA-F]{{{2 * HASH_BYTES}}}$"}
Hash = Annotated[str, PathParameter(description="A transaction's hash, in hexadecimal.", schema_extra=_HASH)]
Height = Annotated[int, PathParameter(ge=1, le=EXACT_MAX, description="A block's height, from 1.")]
_REFUSED: Final = (400, 404, 422, 503)


async def looked_up(node: Node, transaction: str, *, stale: bool) -> Decided:
    """What became of a transaction; Refused("transaction_unknown") where it is in no block that was decided by now."""
    key = digits(transaction, "transaction", HASH_BYTES)
    found = node.receipt(key)
    if found is None:
        await ledger_of(node, stale=stale)
        found = await node.look_up(key)
    if found is None:
        raise Refused("transaction_unknown", "transaction", transaction)
    return found


@get(
    "/v1/transactions/{transaction:str}",
    summary="What became of a transaction",
    responses=answers(None, *_REFUSED),
    tags=["chain"],
)
async def receipt(state: AppState, transaction: Hash, stale: Stale = False) -> ReceiptShape:
    """However long ago it was; `transaction_unknown`: no block has it that was decided before the question."""
    return receipt_shape(await looked_up(state.node, transaction, stale=stale))


@get(
    "/v1/transactions/{transaction:str}/proof",
    summary="Proof of what became of a transaction",
    responses=answers(ProofShape, *_REFUSED, says="A proof file, to be stored as it is."),
    tags=["chain"],
)
async def proof(state: AppState, transaction: Hash, stale: Stale = False) -> Response[bytes]:
    """A proof file: genesis, headers, Merkle paths, and a founder's signature over the last of the headers.

    It is as good as that one signature, which is not that of the node that answers, as a rule.
    """
    node: Node = state.node
    decided = await looked_up(node, transaction, stale=stale)
    found = await node.history.place(decided.receipt.transaction, decided.height)
    if found is None:
        raise _missing(node, decided.height)
    return Response(await _proved(node, found), media_type="application/json")


async def _proved(node: Node, found: Found) -> bytes:
    """The proof, once a founder has vouched for the block, which the next block does as a rule."""
    for _ in range(int(VOUCHED_S / AGAIN_S)):
        proved = await node.history.prove(found)
        if proved is not None:
            return proved
        await asyncio.sleep(AGAIN_S)
    remedy = "Ask again when the chain has gone on."
    raise Refused("chain_unclosed", "proof", f"block {found.block.header.height} is the last", remedy)


def _missing(node: Node, height: int) -> Refused:
    if height <= node.ledger.height:
        return Refused("undecided", "height", height, "This node is fetching it: ask again later, or another node.")
    return Refused("block_unknown", "height", height, f"The chain is at block {node.ledger.height} here.")


async def _block(node: Node, height: int) -> tuple[Block, bytes]:
    data = await node.history.block(height)
    if data is None:
        raise _missing(node, height)
    return decode_block(data), data


@get("/v1/blocks/{height:int}", summary="A block", responses=answers(None, *_REFUSED), tags=["chain"])
async def block(state: AppState, height: Height) -> BlockShape:
    """Header, transactions and receipts."""
    found, data = await _block(state.node, height)
    await state.turns.mine()
    return BlockShape(
        header_hash(found.header).hex(),
        shown(found.header),
        [_text(each) for each in found.transactions],
        [shown(each) for each in found.receipts],
        _text(data),
    )


@get("/v1/blocks/{height:int}/header", summary="A block's header", responses=answers(None, *_REFUSED), tags=["chain"])
async def header(state: AppState, height: Height) -> HeaderShape:
    """What the block commits to, and its hash."""
    found, _ = await _block(state.node, height)
    return HeaderShape(header_hash(found.header).hex(), shown(found.header))


First = Annotated[int, QueryParameter(ge=0, le=EXACT_MAX, description="From this height on; 0: the next block.")]


@get(
    "/v1/blocks",
    summary="Blocks that were decided",
    middleware=[in_streams],
    responses=answers(str, 400, 422, 429, 503, says="JSON objects, one in a line.", media=LINES),
    tags=["chain"],
)
async def blocks(
    state: AppState,
    first: First = 1,
    count: Annotated[int, QueryParameter(ge=1, le=COUNT_MAX, description="How many at most.")] = 100,
) -> Stream:
    """As lines of a stream, which ends with the last that there is, or that was asked for."""
    node: Node = state.node
    ends = min((first or node.ledger.height + 1) + count, node.ledger.height + 1)
    return Stream(lines(node, first, ends), media_type=LINES)


@get(
    "/v1/headers",
    summary="Headers of blocks that were decided",
    middleware=[in_streams],
    responses=answers(str, 400, 422, 429, 503, says="JSON objects, one in a line.", media=LINES),
    tags=["chain"],
)
async def headers(
    state: AppState,
    first: First = 1,
    count: Annotated[int, QueryParameter(ge=1, le=COUNT_MAX, description="How many at most.")] = COUNT_MAX,
) -> Stream:
    """As lines {"height", "tip", "header"}: the encoded header in base64. They are what a light client follows."""
    node: Node = state.node
    ends = min((first or node.ledger.height + 1) + count, node.ledger.height + 1)
    return Stream(lines(node, first, ends, _header_line), media_type=LINES)


@get("/v1/tip", summary="Who certified the last block", responses=answers(None, 404, 503), tags=["chain"])
async def tip(state: AppState) -> TipShape:
    """The certificate of this node's last block, which no header carries yet; where a committee agrees alone."""
    node: Node = state.node
    if not isinstance(node.engine, Bft):
        raise Refused("block_unknown", "consensus", "raft", "Nobody signs blocks on a chain of Raft.")
    height = node.ledger.height
    chained = node.engine.block(height) if height else None
    if chained is None:
        raise Refused("block_unknown", "height", height, "The chain has no block yet.")
    sealed = Sealed(chained.commit_certificate, entry_digest(decode_agreed(chained.block.payload).entry))
    return TipShape(height, _text(encode(sealed)))


@get(
    "/v1/stream",
    summary="Blocks as they are decided",
    middleware=[in_streams],
    responses=answers(str, 400, 422, 429, 503, says="JSON objects, one in a line, without an end.", media=LINES),
    tags=["chain"],
)
async def stream(state: AppState, first: First = 0) -> Stream:
    """Lines {"height", "tip", "block"}: the encoded block in base64, and how far the chain is.

    A line without a block is a sign of life. No block is left out. A reader that is slow is told by `tip` how far it is
    behind, and gets what it has missed from the disk. A stream that breaks off is taken up again with the height that
    follows the last one; where this node cannot go on, the last line has the refusal, as {"refused": {"code", "field",
    "value", "remedy"}}.
    """
    return Stream(lines(state.node, first), media_type=LINES)


async def lines(
    node: Node, first: int, end: int = INT64_MAX, told_as: Callable[[int, int, bytes], bytes] | None = None
) -> AsyncIterator[bytes]:
    """The lines of a stream, up to the block before `end`; `told_as` makes one of a block, in another way.

    It keeps no blocks for a reader: what is not at hand any more is read from the disk.
    """
    came = asyncio.Event()

    def tell(_: Executed) -> None:
        came.set()

    unwatch = node.watch(tell)
    try:
        height = first or node.ledger.height + 1
        while height < end:
            came.clear()
            found = await node.history.blocks(height)
            for data in found[: end - height]:
                yield (told_as or _line)(height, node.ledger.height, data)
                height += 1
            if not found:
                await _wait(node, came, height)
                if not came.is_set():
                    yield b'{"height": %d, "tip": %d, "block": ""}\n' % (height - 1, node.ledger.height)
    except Refused as refused:
        told = {"code": refused.code, "field": refused.field, "value": refused.value, "remedy": refused.remedy}
        yield json.dumps({"refused": told}).encode() + b"\n"
    finally:
        unwatch()


async def _wait(node: Node, came: asyncio.Event, height: int) -> None:
    """Until the next block, or for so long that a sign of life is due; Refused where none will come."""
    if node.halted is not None:
        raise Refused("node_halted", "node", str(node.halted))
    if height <= node.ledger.height:
        raise _missing(node, height)
    with suppress(TimeoutError):
        async with asyncio.timeout(IDLE_S):
            await came.wait()


def _line(height: int, tip: int, data: bytes) -> bytes:
    return b'{"height": %d, "tip": %d, "block": "%s"}\n' % (height, tip, base64.b64encode(data))


def _header_line(height: int, tip: int, data: bytes) -> bytes:
    header = base64.b64encode(encode(decode_block(data).header))
    return b'{"height": %d, "tip": %d, "header": "%s"}\n' % (height, tip, header)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


HANDLERS: Final[list[Any]] = [receipt, proof, block, header, blocks, headers, tip, stream]
