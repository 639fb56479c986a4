"""The block log: the chain's segments as files, appended to in batches and read back strictly.

A batch is one write and one fdatasync; it is in the log when `append` returns and nothing of it is otherwise. What an
interrupted write left at the end of the last segment is a torn tail and is cut when the log is opened for writing;
anything else that is not intact is refused with its segment, byte and block. The form of the bytes is
`replica.log_format`; what the blocks say is not looked at here.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.foundation.refusals import Refused
from wattquorum.node.chain_files import BLOCKS, segment_name
from wattquorum.node.disk import is_full, read_file, refusal, sync_file, write_all, write_files
from wattquorum.replica.log_format import SEGMENT_HEAD_BYTES, Fault, Mark, framed, frames, head_fault, segment_head

SEGMENT_BYTES: Final = 64 * 1024 * 1024  # a new segment is begun once the last is this large
MARKED: Final = 256  # blocks, of which one's place is remembered: reading begins at most so many before what is asked


class Position(NamedTuple):
    """Where a block stands: its segment (a path in the chain folder), the byte where its frame begins, its height."""

    segment: str
    offset: int
    height: int


class Torn(NamedTuple):
    """A torn tail: where it begins, how many bytes it has, and why it is no frame."""

    position: Position
    size: int
    reason: str


class BlockLog:
    """The segments in one folder. Heights rise by one from 1 without a gap, over all segments."""

    __slots__ = (
        "_broken",
        "_chain_id",
        "_descriptor",
        "_end",
        "_firsts",
        "_folder",
        "_marks",
        "_seen",
        "_segment_bytes",
    )

    def __init__(self, folder: Path, chain_id: bytes, names: Sequence[str], segment_bytes: int = SEGMENT_BYTES) -> None:
        """A log over the segments that are in the folder, by name; `walk` checks them."""
        self._folder = folder
        self._chain_id = chain_id
        self._firsts = sorted(int(name.partition(".")[0]) for name in names)
        self._segment_bytes = segment_bytes
        self._descriptor = -1
        self._end = 0
        self._broken = False
        self._seen: list[Mark] = []  # by the last walk over all blocks
        self._marks: list[Mark] = []  # rising; of a log that is written to, where what stands is never taken back

    def walk(self, first: int = 1) -> Iterator[tuple[Position, bytes] | Torn]:
        """Every block from a height on with its position, read from the disk; at the end the torn tail, if any.

        Raises Refused("chain_altered") at the first byte that is neither intact nor part of a torn tail, and
        Refused("chain_truncated") where a segment is missing.
        """
        if first == 1 and self._descriptor < 0:
            self._seen = []
        for number, begins in enumerate(self._firsts):
            last = number == len(self._firsts) - 1
            follows = 0 if last else self._firsts[number + 1]
            if number == 0 and begins != 1:
                raise Refused("chain_truncated", _path(1), "nothing")
            if last or follows > first:
                yield from self._walk_segment(begins, follows, first)

    def _walk_segment(self, begins: int, follows: int, first: int) -> Iterator[tuple[Position, bytes] | Torn]:
        path = _path(begins)
        data = read_file(self._folder / segment_name(begins), path)
        if wrong := head_fault(data, self._chain_id, begins):
            raise Refused("chain_altered", path, wrong)
        height, begin = begins - 1, self._mark_before(begins, first)
        for found in frames(data, begins, begin):
            if isinstance(found, Fault):
                position = Position(path, found.offset, found.height)
                if follows or not found.torn:
                    raise altered(position, found.reason)
                yield Torn(position, len(data) - found.offset, found.reason)
                return
            height = found.height
            if height % MARKED == 0 and first == 1 and self._descriptor < 0:
                self._seen.append(Mark(height, found.start, found.batch))
            if height >= first:
                yield Position(path, found.start, height), data[found.data_start : found.end]
        if follows and follows != height + 1:
            raise Refused("chain_truncated", _path(height + 1), f"block {height}, then {_path(follows)}")

    def _mark_before(self, begins: int, first: int) -> Mark | None:
        """The last place in a segment at or before a height that is remembered."""
        number = bisect_right(self._marks, first, key=lambda mark: mark.height)
        return self._marks[number - 1] if number and self._marks[number - 1].height >= begins else None

    def begin_writing(self, torn: Torn | None) -> None:
        """Opens the last segment for appending and cuts the torn tail that `walk` found, durably."""
        if self._firsts:
            self._open(self._firsts[-1])
            if torn is not None:
                self._end = torn.position.offset
            self._take_back()  # durable in any case: what a process wrote that was killed may be in memory alone
        self._marks, self._seen = self._seen, []

    def _open(self, first: int) -> None:
        try:
            descriptor = os.open(self._folder / segment_name(first), os.O_RDWR)
        except OSError as fault:
            raise refusal(fault, _path(first)) from None
        self.close()
        self._descriptor, self._end = descriptor, os.fstat(descriptor).st_size

    def append(self, height: int, blocks: Sequence[bytes]) -> None:
        """Makes a batch durable: encoded blocks from `height` on, which follows the last block in the log.

        Raises Refused("disk_full"): nothing of the batch is in the log, and the same call works once there is room.
        Raises Refused("disk_failed"): the disk is not to be trusted; the log has to be opened again.
        """
        if self._broken:
            raise Refused("disk_failed", _path(self._firsts[-1]), "an earlier write failed")
        if not self._firsts or (self._end >= self._segment_bytes and self._end > SEGMENT_HEAD_BYTES):
            write_files(self._folder, {segment_name(height): segment_head(self._chain_id, height)})
            self._open(height)
            self._firsts.append(height)
        data = framed(self._firsts[-1], self._end, height, blocks)
        try:
            write_all(self._descriptor, data, self._end)
        except OSError as fault:
            # After a failed fdatasync nobody knows which pages are on the disk, so that even a later success would
            # prove nothing; for want of room the bytes are taken back and written anew.
            self._broken = not is_full(fault)
            self._take_back()
            raise refusal(fault, _path(self._firsts[-1])) from None
        if not self._marks or height - self._marks[-1].height >= MARKED:
            self._marks.append(Mark(height, self._end, height))
        self._end += len(data)

    def _take_back(self) -> None:
        """Cuts the segment at the end of its last batch."""
        try:
            os.ftruncate(self._descriptor, self._end)
            sync_file(self._descriptor)
        except OSError as fault:
            self._broken = True
            raise refusal(fault, _path(self._firsts[-1])) from None

    def close(self) -> None:
        """Lets the segment's file go; everything is durable already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _path(first: int) -> str:
    return f"{BLOCKS}/{segment_name(first)}"


def altered(position: Position, reason: str) -> Refused:
    """Refused("chain_altered") with the place and the reason."""
    return Refused("chain_altered", position.segment, place(position, reason))


def place(position: Position, reason: str) -> str:
    """A place in a segment and what is wrong there, for people."""
    return f"byte {position.offset}, block {position.height}: {reason}"
