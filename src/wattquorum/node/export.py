"""Export: a chain as JSON lines, for people and for programs that do not speak its encoding.

The first line is the genesis, then comes one line for each block, and after a block one for each attachment of rows
that it commits to and that is still here. Names stand for kinds, roles and outcomes, hexadecimal for bytes, lists for
interval vectors (Wh, or millionths per kWh). Nothing is ever read back from an export, and it proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, BinaryIO, Final

from wattquorum.foundation.codec import Record
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import BYTES_PER_ENTRY, energy_list, price_list
from wattquorum.ledger.accounts import Role
from wattquorum.ledger.blocks import Block, Outcome, Receipt, decode_block, header_hash
from wattquorum.ledger.readings import decode_rows
from wattquorum.ledger.transactions import CommitReadings, Received
from wattquorum.node.chain_folder import ChainFolder

_VECTORS: Final[dict[str, Callable[[bytes], list[Any]]]] = {
    "energy": energy_list,
    "price": price_list,
    "feed_in": price_list,
    "grid_price": price_list,
    "over_grid_fee": price_list,
    "quality": list,
}
_WITH_TYPE: Final = ("payload", "action")  # fields that hold one of several kinds


def export(folder: ChainFolder, out: BinaryIO) -> int:
    """Writes the whole chain as JSON lines, UTF-8, and returns the number of lines.

    Raises what reading the folder raises: Refused("chain_altered", "chain_truncated" or "file_unreadable").
    """
    count = 0
    for line in _lines(folder):
        out.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode("utf-8") + b"\n")
        count += 1
    return count


def _lines(folder: ChainFolder) -> Iterator[dict[str, Any]]:
    yield {"line": "genesis", "chain": folder.chain_id.hex(), "genesis": json.loads(folder.genesis_bytes)}
    shown: dict[bytes, None] = {}
    for _, data in folder.read():
        block = decode_block(data)
        received = [_received(each) for each in block.transactions]
        yield _block_line(block, received)
        for each in received:
            payload = each.body.payload if each is not None else None
            if isinstance(payload, CommitReadings) and payload.root not in shown:
                rows = folder.rows(payload.root)
                if rows is not None:
                    shown[payload.root] = None
                    yield {"line": "rows", "root": payload.root.hex(), "rows": _told(decode_rows(rows))}


def _received(data: bytes) -> Received | None:
    try:
        return Received(data)
    except Refused:
        return None


def _block_line(block: Block, received: list[Received | None]) -> dict[str, Any]:
    transactions = [
        _transaction(data, each, receipt)
        for data, each, receipt in zip(block.transactions, received, block.receipts, strict=True)
    ]
    return {
        "line": "block",
        "hash": header_hash(block.header).hex(),
        **_told(block.header),
        "transactions": transactions,
    }


def _transaction(data: bytes, received: Received | None, receipt: Receipt) -> dict[str, Any]:
    told: dict[str, Any] = {"hash": receipt.transaction.hex()}
    if received is None:
        told["unreadable"] = data.hex()
    else:
        told |= _told(received.body)
    told["outcome"] = _told(receipt.outcome)
    if receipt.outcome is not Outcome.DONE:
        told |= {"code": receipt.code, "field": receipt.field, "value": receipt.value}
    return told


def _told(value: Any, field: str = "") -> Any:
    """A value of the ledger as JSON has it."""
    if isinstance(value, Record):
        names = {"type": type(value).__name__} if field in _WITH_TYPE else {}
        return names | {name: _told(getattr(value, name), name) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        whole = field == "quality" or len(value) % BYTES_PER_ENTRY == 0
        return _VECTORS[field](value) if field in _VECTORS and whole else value.hex()
    if isinstance(value, Enum):
        return (value.name or str(value.value)).lower()
    if field == "role":
        return (Role(value).name or str(value)).lower()
    if isinstance(value, tuple | list):
        return [_told(item) for item in value]
    return value
