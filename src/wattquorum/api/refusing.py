"""Refusals as answers: code, field, value and remedy, with a status that says who can do something about it.

4xx is the asker's: 404 what is not there, 408 what comes too slowly, 413 what is too large, 429 what has to wait for
the asker's own earlier requests, 422 what a rule does not admit, 400 what cannot be read at all. 5xx is the node's, and
another node, or this one later, may do it: such answers say after how many seconds to ask again.
"""

from __future__ import annotations

import base64
import binascii
import logging
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException
from litestar.openapi.datastructures import ResponseSpec

from wattquorum.api.shapes import RefusalShape
from wattquorum.foundation.refusals import Refused

RETRY_S: Final = 1
STATUS: Final = {
    503: (
        "node_halted",
        "node_stopped",
        "node_failed",
        "not_ordering",
        "pool_full",
        "disk_full",
        "disk_failed",
        "undecided",
        "chain_altered",  # the node's own copy, which another one may have whole
        "chain_truncated",
        "chain_unclosed",
        "file_unreadable",
    ),
    404: ("account_unknown", "transaction_unknown", "block_unknown", "record_unknown", "day_unknown"),
    413: ("transaction_oversized",),
    429: ("pending_too_many",),
}
_OF_CODE: Final = {code: status for status, codes in STATUS.items() for code in codes}
_SAYS: Final = {
    400: "The request cannot be read.",
    404: "It is not there.",
    408: "It did not come in time.",
    413: "It is larger than it may be.",
    422: "A rule does not admit it.",
    429: "Too much of this sender's waits: ask again after the seconds in Retry-After.",
    503: "This node cannot now: ask another one, or this one after the seconds in Retry-After.",
}
_log = logging.getLogger("wattquorum")


def status_of(refused: Refused) -> int:
    """The HTTP status of a refusal."""
    return _OF_CODE.get(refused.code, 422)


def answers(
    shape: Any, *statuses: int, says: str = "What was asked for.", media: str = "application/json"
) -> dict[int, ResponseSpec]:
    """What a path may answer, for the OpenAPI: its shape, and refusals with these statuses."""
    told = {
        status: ResponseSpec(RefusalShape, generate_examples=False, description=_SAYS[status]) for status in statuses
    }
    if shape is not None:
        told[200] = ResponseSpec(shape, generate_examples=False, description=says, media_type=media)
    return told


def _answer(refused: Refused, status: int, headers: dict[str, str] | None = None) -> Response[RefusalShape]:
    shape = RefusalShape(refused.code, refused.field, refused.value, refused.remedy)
    later = {"Retry-After": str(RETRY_S)} if status in (429, 503) else {}
    return Response(shape, status_code=status, headers={**(headers or {}), **later}, media_type="application/json")


def refusal(_: Request[Any, Any, Any], refused: Refused) -> Response[RefusalShape]:
    """A refusal as an answer."""
    return _answer(refused, status_of(refused))


def unreadable(_: Request[Any, Any, Any], fault: HTTPException) -> Response[RefusalShape]:
    """What the framework could not read, in the same shape."""
    extra = fault.extra[0] if isinstance(fault.extra, list) and fault.extra else {}
    field = str(extra.get("key", "request")) if isinstance(extra, dict) else "request"
    refused = Refused("request_unreadable", field, fault.detail, "See /schema for what is taken.")
    headers = dict(fault.headers or {})
    if fault.status_code == 408:
        headers["Connection"] = "close"  # the rest of it is not waited for
    return _answer(refused, fault.status_code, headers)


class Asked(Request[Any, Any, Any]):
    """A request whose body is read as strictly as the framework describes it."""

    async def json(self) -> Any:
        """What its JSON says; what cannot be read for its bytes or its depth is unreadable as anything else is."""
        try:
            return await super().json()
        except (UnicodeDecodeError, RecursionError) as fault:
            raise SerializationException(str(fault)) from None


def failed(request: Request[Any, Any, Any], fault: Exception) -> Response[RefusalShape]:
    """A defect: it is written to the node's log, and whoever asked is told that it is none of theirs."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=fault)
    return _answer(Refused("node_failed", "interface", type(fault).__name__), 500)


def digits(text: str, field: str, size: int | None = None) -> bytes:
    """Bytes from hexadecimal digits; Refused("encoding_unreadable")."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if found.hex() != text.lower() or not found or (size is not None and len(found) != size):
        wanted = f"{2 * size} hexadecimal digits" if size else "hexadecimal digits"
        raise Refused("encoding_unreadable", field, text, f"Give {wanted}.")
    return found


def from_base64(text: str, field: str) -> bytes:
    """Bytes from base64; Refused("encoding_unreadable")."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("encoding_unreadable", field, text, "Give base64.") from None
