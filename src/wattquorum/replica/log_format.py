"""The form of logs, the chain's of blocks and a node's write-ahead log of records: framed segments, as pure bytes.

A segment is a head (what it is, whose chain, its first block's height) and frames; a frame is a head and an encoded
block. Every frame names its batch: the first height that was not durable when it was written. That is what tells a torn
tail from damage: of what was never made durable any part may be missing and nothing was acknowledged; but where a frame
is damaged and an intact one of a batch that begins above it follows, the damaged one had been durable. In the
write-ahead log a record is what a block is here, and its position the height. The checksum of a frame's head covers its
place, so that frames that were moved, or that stand inside a block's data, are not taken for frames. Checksums find
accidents; forgery is found by hashes, signatures and replay.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from wattquorum.foundation.identities import CHAIN_ID_BYTES

MAGIC: Final = b"WQBLOCK\x01"  # the last byte is the format's version
MARK: Final = b"\xf7WQ\x00"  # opens every frame
_SEGMENT_HEAD: Final = struct.Struct(f">8s{CHAIN_ID_BYTES}sQ")
_FRAME_HEAD: Final = struct.Struct(">4sIQII")  # mark, length, batch, checksum of the data, checksum of the head
_COVERED: Final = struct.Struct(">QQIQI")  # first height, offset, length, batch, checksum of the data
SEGMENT_HEAD_BYTES: Final = _SEGMENT_HEAD.size
FRAME_HEAD_BYTES: Final = _FRAME_HEAD.size


class Head(NamedTuple):
    """What a segment's head says, true or not."""

    magic: bytes
    chain_id: bytes
    first: int


class Frame(NamedTuple):
    """An intact frame: its block's height, the batch it belongs to, and where it and its data lie in the segment."""

    height: int
    batch: int
    start: int
    data_start: int
    end: int


class Mark(NamedTuple):
    """Where an intact frame is known to begin: its height, its offset in the segment, and its batch."""

    height: int
    offset: int
    batch: int


class Fault(NamedTuple):
    """The first bytes that are no intact frame: where, the height expected there, what is wrong, and whether it is a
    torn tail (nothing that was ever durable is missing) or damage to what was durable."""

    offset: int
    height: int
    reason: str
    torn: bool


def segment_head(chain_id: bytes, first: int, magic: bytes = MAGIC) -> bytes:
    """How a segment begins whose first block has height `first`; other logs than the blocks' have their own magic."""
    return _SEGMENT_HEAD.pack(magic, chain_id, first)


def read_head(data: bytes) -> Head | None:
    """What the head of a segment says; None where it is cut."""
    return Head._make(_SEGMENT_HEAD.unpack_from(data)) if len(data) >= SEGMENT_HEAD_BYTES else None


def head_fault(data: bytes, chain_id: bytes, first: int) -> str:
    """What is wrong with a segment's head; empty when nothing is."""
    head = read_head(data)
    if head is None:
        return f"its head ends after {len(data)} of {SEGMENT_HEAD_BYTES} bytes"
    magic, chain, height = head
    if magic != MAGIC:
        return "it does not begin as a segment of format 1"
    if chain != chain_id:
        return f"it belongs to chain {chain.hex()}"
    if height != first:
        return f"it begins at block {height}"
    return ""


def framed(first: int, offset: int, batch: int, blocks: Sequence[bytes]) -> bytes:
    """Encoded blocks of one batch as frames, to be written at `offset` of the segment that begins at height `first`."""
    parts = []
    for block in blocks:
        checksum = zlib.crc32(block)
        head = zlib.crc32(_COVERED.pack(first, offset, len(block), batch, checksum))
        parts += [_FRAME_HEAD.pack(MARK, len(block), batch, checksum, head), block]
        offset += FRAME_HEAD_BYTES + len(block)
    return b"".join(parts)


def frames(data: bytes, first: int, begin: Mark | None = None) -> Iterator[Frame | Fault]:
    """The frames of a segment, in order, and after them the fault that ends them, if there is one.

    `data` is the whole segment, its head already checked, `first` its first height; what stands before `begin` is not
    looked at. Whether a fault is a torn tail is told from this segment alone; before a later segment it never is.
    """
    height, offset, batch = begin or Mark(first, SEGMENT_HEAD_BYTES, first)
    while offset < len(data):
        found = _read(data, first, offset)
        if isinstance(found, str):
            yield Fault(offset, height, found, not _later_batch_follows(data, first, offset, height))
            return
        length, batch_here = found
        if not batch <= batch_here <= height:
            yield Fault(offset, height, f"it names batch {batch_here}", torn=False)
            return
        batch, start = batch_here, offset + FRAME_HEAD_BYTES
        yield Frame(height, batch, offset, start, start + length)
        offset, height = start + length, height + 1


def _read(data: bytes, first: int, offset: int) -> tuple[int, int] | str:
    """Length and batch of the intact frame at an offset, or what is wrong with it."""
    if len(data) - offset < FRAME_HEAD_BYTES:
        return "the segment ends in the head of its frame"
    mark, length, batch, checksum, head = _FRAME_HEAD.unpack_from(data, offset)
    if mark != MARK or head != zlib.crc32(_COVERED.pack(first, offset, length, batch, checksum)):
        return "the head of its frame is damaged"
    start = offset + FRAME_HEAD_BYTES
    if len(data) - start < length:
        return f"the segment ends after {len(data) - start} of its {length} bytes"
    if zlib.crc32(memoryview(data)[start : start + length]) != checksum:
        return "its checksum does not match"
    return length, batch


def _later_batch_follows(data: bytes, first: int, offset: int, height: int) -> bool:
    """Whether an intact frame of a batch that began above `height` stands anywhere behind an offset."""
    at = data.find(MARK, offset + 1)
    while at >= 0:
        found = _read(data, first, at)
        if not isinstance(found, str) and found[1] > height:
            return True
        at = data.find(MARK, at + 1)
    return False
