"""The one encoding: msgpack arrays in their shortest forms, decoded strictly.

Everything that is signed, hashed, stored or sent is encoded here and nowhere else, so that bytes have one meaning and
a meaning has one encoding. Records are arrays of their fields in order (no maps, no names); unions carry a small
integer first. Decoding re-encodes what it read and refuses bytes that differ: a longer integer form, trailing bytes
or a float never pass. Integers on the wire are signed 64-bit.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from wattquorum.foundation.refusals import Refused

T = TypeVar("T")
Meta = msgspec.Meta

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
SHOWN_BYTES: Final = 16  # of what could not be decoded

Signed = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
Unsigned = Annotated[int, Meta(ge=0, le=INT64_MAX)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Address = Annotated[bytes, Meta(min_length=20, max_length=20)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9._:-]+\Z")]
Text = Annotated[str, Meta(max_length=256)]

_encoder: Final = msgspec.msgpack.Encoder()
encode = _encoder.encode


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value with named fields, encoded as an array; immutable, so that it can be shared between states."""


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value for files that people read and write: JSON objects with field names, unknown ones refused."""


changed: Final = msgspec.structs.replace  # changed(record, field=value, ...): a copy with some fields replaced


class Decoder(Generic[T]):
    """Decodes one type strictly: what it returns encodes to exactly the bytes it was given."""

    def __init__(self, kind: Any, field: str) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._field = field

    def decode(self, data: bytes) -> T:
        """The value of `data`; Refused("encoding_unreadable" or "encoding_noncanonical") otherwise.

        What the library says of the fault goes into the remedy, not into the value: values may be kept in receipts,
        and must not depend on a library's version.
        """
        try:
            value: T = self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
            remedy = f"Check that it was not cut or altered on its way: {fault}."
            raise Refused("encoding_unreadable", self._field, data[:SHOWN_BYTES], remedy) from None
        if encode(value) != data:
            raise Refused("encoding_noncanonical", self._field, data[:SHOWN_BYTES])
        return value


def announced(data: bytes, field: str, start: int = 0) -> int:
    """How many items the array that begins at `start` says that it has: to be known before any of them is decoded.

    Refused("encoding_unreadable") where no array begins there.
    """
    head = data[start : start + 5]
    if head and head[0] & 0xF0 == 0x90:
        return head[0] & 0x0F
    if head[:1] == b"\xdc" and len(head) >= 3:
        return int.from_bytes(head[1:3], "big")
    if head[:1] == b"\xdd" and len(head) == 5:
        return int.from_bytes(head[1:], "big")
    raise Refused("encoding_unreadable", field, data[:SHOWN_BYTES], "Begin with an array.")


def to_json(value: Any) -> bytes:
    """Any record as indented JSON with names where the type has them: for export and people, never for hashing."""
    return msgspec.json.format(msgspec.json.encode(_named(value)), indent=2)


def _named(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_named(item) for item in value]
    if isinstance(value, dict):
        return {_named(key): _named(item) for key, item in value.items()}
    return value


def to_named_json(value: Named) -> bytes:
    """The one form in which a named value is stored: indented JSON and a newline."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def from_json(data: bytes, kind: type[T], field: str) -> T:
    """A value of `kind` from JSON whose objects use field names; for files that people write, such as a genesis."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise Refused("encoding_unreadable", field, str(fault)) from None
