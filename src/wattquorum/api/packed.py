"""Paths that take msgpack: what the framework does not describe of them by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

MSGPACK: Final = "application/msgpack"


def taking(content: str) -> type[Operation]:
    """The OpenAPI of a path whose body is msgpack with this content."""

    @dataclass
    class Packed(Operation):
        def __post_init__(self) -> None:
            schema = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description=content)
            self.request_body = RequestBody({MSGPACK: OpenAPIMediaType(schema)}, required=True)

    return Packed
