"""The signed tip: where a chain ended when it was closed cleanly.

Blocks prove what came before them and nothing proves what came after, so a chain that was cut at the end of a block
looks like a shorter chain. A proposer that closes its chain therefore signs height, block hash and state digest. A
tip that is older than the chain, because the chain went on and was not closed again, still proves that far.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from wattquorum.foundation.codec import INT64_MAX, Digest, Record, Unsigned, encode
from wattquorum.foundation.identities import Signed, SigningKey, is_signed, signed_bytes
from wattquorum.foundation.refusals import Refused

FORMAT: Final = 1
PURPOSE: Final = "tip"
FIELD: Final = "tip.json"


class Tip(NamedTuple):
    """Where the chain ended: the last block, its hash, and the state digest after it."""

    height: int
    block: bytes
    state: bytes


class _Ended(Record, frozen=True):
    chain: bytes
    height: Unsigned
    block: Digest
    state: Digest


def sealed(tip: Tip, chain_id: bytes, key: SigningKey) -> bytes:
    """The content of tip.json, signed."""
    return _written(tip, key.public, key.sign(PURPOSE, _message(tip, chain_id)))


def opened(data: bytes, chain_id: bytes, proposers: frozenset[bytes]) -> tuple[Tip, bytes]:
    """The tip in a tip.json and the public key of who signed it.

    Refused("chain_altered") unless it is exactly what a proposer of this chain wrote.
    """
    try:
        content = json.loads(data)
        height: object = content["height"]
        if not isinstance(height, int) or not 0 < height <= INT64_MAX:
            raise ValueError(height)
        tip = Tip(height, bytes.fromhex(content["block"]), bytes.fromhex(content["state"]))
        proposer, signature = bytes.fromhex(content["proposer"]), bytes.fromhex(content["signature"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("chain_altered", FIELD, "it cannot be read") from None
    if _written(tip, proposer, signature) != data:
        raise Refused("chain_altered", FIELD, "it is not in the form in which it is written")
    if proposer not in proposers:
        raise Refused("chain_altered", FIELD, f"{proposer.hex()} is no proposer of this chain")
    if not is_signed(Signed(proposer, signed_bytes(PURPOSE, _message(tip, chain_id)), signature)):
        raise Refused("chain_altered", FIELD, "its signature does not belong to its proposer")
    return tip, proposer


def _message(tip: Tip, chain_id: bytes) -> bytes:
    return encode(_Ended(chain_id, tip.height, tip.block, tip.state))


def _written(tip: Tip, proposer: bytes, signature: bytes) -> bytes:
    content = {
        "format": FORMAT,
        "height": tip.height,
        "block": tip.block.hex(),
        "state": tip.state.hex(),
        "proposer": proposer.hex(),
        "signature": signature.hex(),
    }
    return json.dumps(content, indent=2).encode("ascii") + b"\n"
