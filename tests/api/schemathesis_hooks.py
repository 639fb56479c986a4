"""What schemathesis has to be told of our interface: msgpack goes over the wire as it is."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/msgpack")
def msgpack(ctx: Any, value: Any) -> Any:
    data = getattr(value, "data", value)
    return data if isinstance(data, bytes) else str(data).encode("utf-8", "surrogatepass")
