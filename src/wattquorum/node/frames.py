"""Frames between nodes: what they say to each other on a connection, and how bytes become frames again.

A frame is its length in four bytes, big-endian, and the encoding of one record. Messages travel many to a frame, so
that framing, encoding and checking are paid once for a batch and not once for each. The first frame of each side is
its hello; the form of a hello and of a farewell stays the same in every version, so that a node of another version can
be told why it is turned away. What a message says is not looked at here.
"""

from __future__ import annotations

from typing import Annotated, Final

from wattquorum.foundation.codec import Address, Decoder, Meta, Record, Text, Unsigned, encode
from wattquorum.foundation.identities import CHAIN_ID_BYTES
from wattquorum.foundation.refusals import Refused

VERSION: Final = 1
LENGTH_BYTES: Final = 4
MESSAGES_MAX: Final = 4_096  # in one frame: tiny messages must not become more objects than their bytes pay for
MESSAGE_HEAD_BYTES: Final = 5  # what a message needs beside its bytes, at most
BATCH_HEAD_BYTES: Final = 8  # what a batch needs beside its messages, at most

ChainId = Annotated[bytes, Meta(min_length=CHAIN_ID_BYTES, max_length=CHAIN_ID_BYTES)]


class Hello(Record, frozen=True, tag=0):
    """The first frame of each side: which form it speaks, of which chain it is, and who it is."""

    version: Unsigned
    chain_id: ChainId
    address: Address


class Farewell(Record, frozen=True, tag=1):
    """The last frame to a side that is turned away: why."""

    reason: Text


class Batch(Record, frozen=True, tag=2):
    """Messages in the order in which they were sent."""

    messages: Annotated[tuple[bytes, ...], Meta(max_length=MESSAGES_MAX)]


class Ping(Record, frozen=True, tag=3):
    """Asks for a pong with the same number."""

    number: Unsigned


class Pong(Record, frozen=True, tag=4):
    """Answers a ping."""

    number: Unsigned


Said = Hello | Farewell | Batch | Ping | Pong
_frames: Final = Decoder[Said](Said, "frame")
decode_frame: Final = _frames.decode


def frame_of(said: Said) -> bytes:
    """A record as a frame: its length and its encoding."""
    data = encode(said)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


class Framing:
    """Cuts a stream of bytes into frames, wherever the network broke it."""

    __slots__ = ("_pending", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        """`bytes_max` bounds a frame without its length; it may be changed between calls."""
        self.bytes_max = bytes_max
        self._pending = bytearray()

    def cut(self, data: bytes) -> list[bytes]:
        """The frames that are complete with these bytes; Refused("frame_oversized") as soon as a length says so."""
        pending = self._pending
        pending += data
        found: list[bytes] = []
        start, end = 0, len(pending)
        with memoryview(pending) as view:
            while end - start >= LENGTH_BYTES:
                size = int.from_bytes(view[start : start + LENGTH_BYTES], "big")
                if size > self.bytes_max:
                    raise Refused("frame_oversized", "frame", f"{size} bytes", f"Send {self.bytes_max} at most.")
                begin = start + LENGTH_BYTES
                if end - begin < size:
                    break
                start = begin + size
                found.append(bytes(view[begin:start]))
        del pending[:start]
        return found
