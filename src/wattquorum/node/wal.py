"""The write-ahead log: where a running node keeps its engine's records.

Segments are files of one size, allocated before they are needed, so that making a batch durable is one write and one
fdatasync which has no metadata to carry. Their form is `replica.log_format`, with a record's position in place of a
block's height: batches tell a torn tail from damage. What an interrupted write left is cut when the log is opened;
anything else that is not intact is refused with its file, byte and record, and never cut.

    0000000000000001.wal          a segment, named by its first record's position
    0000000000004242-origin.wal   one that begins with an origin: no record before it is needed
    spare.wal                     the next segment, allocated already; what stands in it means nothing

Three rules keep it safe. A segment is synced before the next one is created, so that nothing is durable behind a gap.
A spare gets its new head, durably, before it gets its name; frames that it still has of its former life name another
segment in their checksums. And after a torn tail the rest of the segment is emptied before anything is appended, so
that a frame of the torn batch can never follow what is written now.

`write` belongs to one thread; `sync` may run in another meanwhile, and covers what was written before it began.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.consensus.engine import Durable
from wattquorum.foundation.refusals import Refused
from wattquorum.node.chain_files import locked
from wattquorum.node.disk import is_full, make_folder, read_file, refusal, sync_file, sync_folder, write_all
from wattquorum.replica.log_format import (
    FRAME_HEAD_BYTES,
    SEGMENT_HEAD_BYTES,
    Fault,
    framed,
    frames,
    head_fault,
    segment_head,
)

SEGMENT_BYTES: Final = 64 * 1024 * 1024
CHECKED_BYTES: Final = 1 << 16
SPARE: Final = "spare.wal"
_NAME: Final = re.compile(r"(\d{16})(-origin)?\.wal", re.ASCII)


class Segment(NamedTuple):
    """A file of the log: the position of its first record, and whether that one is an origin."""

    first: int
    origin: bool

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.first:016d}{'-origin' if self.origin else ''}.wal"


class Place(NamedTuple):
    """Where a record stands."""

    segment: Segment
    start: int
    end: int


class Tail(NamedTuple):
    """What stands behind the last record: where, the record expected there, and why it is none; empty for zeros."""

    segment: Segment
    offset: int
    position: int
    reason: str


def segments(folder: Path) -> list[Segment]:
    """The segments in a folder by position; Refused("file_unknown") for anything else that is there."""
    found = []
    for entry in sorted(folder.iterdir()):
        name = _NAME.fullmatch(entry.name)
        if name is not None and entry.is_file() and not entry.is_symlink():
            found.append(Segment(int(name[1]), bool(name[2])))
        elif entry.name != SPARE:
            raise Refused("file_unknown", "file", entry.name)
    return sorted(found)


def walk(folder: Path, chain_id: bytes, named: Sequence[Segment]) -> Iterator[tuple[Place, Durable] | Tail]:
    """Every record of these segments, in order, and at the end what stands behind the last.

    Raises Refused("log_damaged") for whatever is not intact and no torn tail, with the file as its field.
    """
    position = named[0].first if named else 1
    for number, segment in enumerate(named):
        last = number == len(named) - 1
        if segment.first != position:
            raise Refused("log_damaged", segment.name, f"record {position} is expected here")
        data = read_file(folder / segment.name, segment.name)
        if wrong := head_fault(data, chain_id, segment.first):
            raise Refused("log_damaged", segment.name, wrong)
        end = SEGMENT_HEAD_BYTES
        for found in frames(data, segment.first):
            if isinstance(found, Fault):
                empty = _is_empty(data, found.offset)
                if not found.torn or not (last or empty or named[number + 1].first == position):
                    reason = f"byte {found.offset}, record {found.height}: {found.reason}"
                    raise Refused("log_damaged", segment.name, reason)
                if last:
                    yield Tail(segment, found.offset, found.height, "" if empty else found.reason)
                    return
                break  # zeros, or frames of the file's former life
            origin = segment.origin and found.height == segment.first
            record = Durable(found.height, data[found.data_start : found.end], origin)
            yield Place(segment, found.start, found.end), record
            position, end = found.height + 1, found.end
        if last:
            yield Tail(segment, end, position, "")


def _is_empty(data: bytes, offset: int) -> bool:
    return not any(data[at : at + CHECKED_BYTES].strip(b"\0") for at in range(offset, len(data), CHECKED_BYTES))


class Wal:
    """An open log. `close` it."""

    __slots__ = (
        "_broken",
        "_chain_id",
        "_descriptor",
        "_durable",
        "_end",
        "_folder",
        "_guard",
        "_lock",
        "_records",
        "_segment_bytes",
        "_segments",
        "_spare",
        "_written",
        "torn",
    )

    def __init__(self, folder: Path, chain_id: bytes, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Opens a log, or begins one in a folder that is empty or absent; its torn tail, if any, is cut.

        Raises Refused: chain_in_use; file_unknown; log_damaged, with the file as field and byte, record and reason as
        value; disk_full or disk_failed.
        """
        make_folder(folder)
        self._folder, self._chain_id, self._segment_bytes = folder, chain_id, segment_bytes
        self._lock = locked(folder, writing=True)
        self._guard = threading.Lock()  # who syncs, and who changes files
        self._descriptor = -1
        self._end = 0
        self._broken = False
        self._segments: list[Segment] = []
        self._spare = (folder / SPARE).exists()
        self.torn: Tail | None = None  # the tail that was cut
        try:
            self._records = self._recover()
        except BaseException:
            self.close()
            raise
        self._written = self._durable = self._records[-1].position if self._records else self._before

    @property
    def _before(self) -> int:
        return self._segments[0].first - 1 if self._segments else 0

    def records(self) -> list[Durable]:
        """The records that the log had when it was opened, from its last origin on. Handed out once."""
        found, self._records = self._records, []
        return found

    @property
    def written(self) -> int:
        """The position of the last record that was written, durable or not."""
        return self._written

    # Recovery -------------------------------------------------------------------------------------------------------

    def _recover(self) -> list[Durable]:
        """Reads from the last origin that is whole; what came before it was on its way out when the log was closed."""
        there = segments(self._folder)
        origins = [number for number, segment in enumerate(there) if segment.origin]
        needed = next((number for number in reversed(origins) if self._begins_whole(there[number], there)), 0)
        if there and not there[needed].origin and there[needed].first != 1:
            raise Refused("log_damaged", there[needed].name, "the records before it are missing")
        self._segments = there[needed:]
        records: list[Durable] = []
        for found in walk(self._folder, self._chain_id, self._segments):
            if isinstance(found, Tail):
                self._cut(found)
            else:
                records.append(found[1])
        for segment in there[:needed]:
            self._retire(segment)
        return records

    def _begins_whole(self, segment: Segment, there: Sequence[Segment]) -> bool:
        """Whether a segment has its first record, or is needed to say what is wrong with it."""
        if segment != there[-1]:
            return True
        data = read_file(self._folder / segment.name, segment.name)
        if head_fault(data, self._chain_id, segment.first):
            return True
        first = next(frames(data, segment.first), None)
        return first is not None and not (isinstance(first, Fault) and first.torn)

    def _cut(self, tail: Tail) -> None:
        """Empties what stands behind the last record, and goes on writing there."""
        if tail.offset == SEGMENT_HEAD_BYTES and len(self._segments) > 1:
            self._remove(self._segments.pop())  # nothing in it was ever durable, and an origin may not follow now
            tail = next(
                found for found in walk(self._folder, self._chain_id, self._segments[-1:]) if isinstance(found, Tail)
            )
        path = self._folder / tail.segment.name
        try:
            self._descriptor = os.open(path, os.O_RDWR)
            size = os.fstat(self._descriptor).st_size
            if tail.reason:
                self.torn = tail
                os.ftruncate(self._descriptor, tail.offset)
                sync_file(self._descriptor)
            if tail.reason or size < self._segment_bytes:
                _allocate(self._descriptor, max(size, self._segment_bytes))
            os.fsync(self._descriptor)  # what a process wrote that was killed may be in memory alone until now
        except OSError as fault:
            raise refusal(fault, tail.segment.name) from None
        self._end = tail.offset

    # Writing --------------------------------------------------------------------------------------------------------

    def write(self, records: Sequence[Durable]) -> None:
        """Writes records, which follow those that were written last, as one batch; `sync` makes them durable.

        Raises Refused("disk_full"): give the same records again once there is room; what was written of them is not
        written twice. Raises Refused("disk_failed"): the log has to be opened again.
        """
        self._check()
        rest = [record for record in records if record.position > self._written]
        while rest:
            first = rest[0]
            if first.position != self._written + 1:
                raise Refused("input_unexpected", "position", first.position, f"Give record {self._written + 1} next.")
            if self._descriptor < 0 or first.origin or not self._has_room(first):
                self._roll(Segment(first.position, first.origin and first.position > 1), first)
            count = self._fitting(rest)
            batch = self._durable + 1
            data = framed(self._segments[-1].first, self._end, batch, [each.data for each in rest[:count]])
            try:
                _write(self._descriptor, data, self._end)
            except OSError as fault:
                self._broken = not is_full(fault)
                raise refusal(fault, self._segments[-1].name) from None
            self._end += len(data)
            self._written = rest[count - 1].position
            rest = rest[count:]

    def _has_room(self, record: Durable) -> bool:
        return self._end + FRAME_HEAD_BYTES + len(record.data) <= self._segment_bytes

    def _fitting(self, records: Sequence[Durable]) -> int:
        """How many of these go into the present segment: the first in any case, and up to the next origin."""
        end = self._end
        for count, record in enumerate(records):
            end += FRAME_HEAD_BYTES + len(record.data)
            if count and (end > self._segment_bytes or record.origin):
                return count
        return len(records)

    def _roll(self, segment: Segment, record: Durable) -> None:
        """Begins a segment for a record; everything before it is durable first."""
        self.sync()
        size = max(self._segment_bytes, SEGMENT_HEAD_BYTES + FRAME_HEAD_BYTES + len(record.data))
        with self._guard:
            try:
                self._prepare(size)
                descriptor = os.open(self._folder / SPARE, os.O_RDWR)
                try:
                    write_all(descriptor, segment_head(self._chain_id, segment.first))
                    (self._folder / SPARE).rename(self._folder / segment.name)
                    self._spare = False
                    sync_folder(self._folder)
                except BaseException:
                    os.close(descriptor)
                    raise
            except OSError as fault:
                raise refusal(fault, segment.name) from None
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor, self._end = descriptor, SEGMENT_HEAD_BYTES
            self._segments.append(segment)

    def _prepare(self, size: int) -> None:
        """Sees to it that there is a spare of at least this size. OSError where there is no room for it."""
        path = self._folder / SPARE
        if self._spare and path.stat().st_size >= size:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _allocate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._spare = True

    def sync(self) -> int:
        """Makes everything that was written before durable, and tells up to which position that is.

        Raises Refused("disk_failed"), now and ever after: a sync that failed says nothing of what is on the disk, and
        neither does one that succeeds after it.
        """
        with self._guard:
            self._check()
            written, segment = self._written, self._segments[-1] if self._segments else None
            if written > self._durable:
                assert segment is not None
                try:
                    sync_file(self._descriptor)
                except OSError as fault:
                    self._broken = True
                    raise Refused("disk_failed", segment.name, os.strerror(fault.errno or 0)) from None
                self._durable = written
                self._forget()
            if self._end > self._segment_bytes // 2 and not self._spare:
                try:
                    self._prepare(self._segment_bytes)
                except OSError as fault:
                    if not is_full(fault):
                        raise refusal(fault, SPARE) from None  # want of room is told when the room is needed
            return written

    def _forget(self) -> None:
        """Lets go of the segments before the last origin that is durable."""
        origins = [number for number, each in enumerate(self._segments) if each.origin and each.first <= self._durable]
        if origins and origins[-1]:
            retired, self._segments = self._segments[: origins[-1]], self._segments[origins[-1] :]
            for segment in retired:
                self._retire(segment)

    def _retire(self, segment: Segment) -> None:
        """A segment that nothing needs becomes the spare, or goes."""
        path = self._folder / segment.name
        try:
            if self._spare or path.stat().st_size != self._segment_bytes:
                path.unlink()
            else:
                path.rename(self._folder / SPARE)
                self._spare = True
        except OSError as fault:
            raise refusal(fault, segment.name) from None

    def _remove(self, segment: Segment) -> None:
        """A segment that nothing needs goes, so that no segment of the same beginning has its frames."""
        try:
            (self._folder / segment.name).unlink()
        except OSError as fault:
            raise refusal(fault, segment.name) from None
        sync_folder(self._folder)

    def _check(self) -> None:
        if self._broken:
            raise Refused("disk_failed", str(self._folder), "an earlier write failed")

    def close(self) -> None:
        """Lets the files and the folder go. What was written and not synced may be lost."""
        with self._guard:
            for descriptor in (self._descriptor, self._lock):
                if descriptor >= 0:
                    os.close(descriptor)
            self._descriptor = self._lock = -1
            self._broken = True


def _write(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _allocate(descriptor: int, size: int) -> None:
    """Reserves a file's space, as far as the system can: then writing into it needs none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, max(size, os.fstat(descriptor).st_size))
