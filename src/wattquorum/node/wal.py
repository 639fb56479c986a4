"""The write-ahead log: the records of a node's engine on its disk, which a restart must give back.

`write` puts a batch into the kernel's page cache and does not wait; `sync` makes everything durable that was written
before it began. One thread writes, usually an event loop's; `sync` may run in another one at the same time, and two
syncs take turns. Every frame names the first position that was not known to be durable when it was written, so that a
restart tells what a crash tore from what the disk lost (`replica.log_format`, `wal_files`).

What does not fit into the present segment, and every origin, waits in memory with room reserved for it. The next sync
puts it into its file after everything before is durable, makes it durable, and only then gives the file its name. So a
later segment is never there while an earlier one's end is not, and no call of `write` waits for the disk's cache.
After a sync that failed nobody knows which pages are on the disk, and a second one would prove nothing: the log then
refuses everything, and whoever opens it next writes again what is not known to be there. Want of room is another
matter; nothing was lost, and the same call works once there is some.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from wattquorum.consensus.engine import Durable
from wattquorum.foundation.refusals import Refused
from wattquorum.node.chain_files import locked
from wattquorum.node.disk import is_full, make_folder, refusal, sync_file, write_at
from wattquorum.node.wal_files import BEGINS, GOES_ON, Segment, listed, read_log, segment_name
from wattquorum.replica.log_format import FRAME_HEAD_BYTES, SEGMENT_HEAD_BYTES, framed, segment_head

SEGMENT_BYTES: Final = 64 * 1024 * 1024  # room reserved for a segment at once
SPARES_KEPT: Final = 2  # files kept for next segments
RECORD_BYTES_MAX: Final = 2**32 - 1  # what a frame can tell
WRITTEN_AHEAD_BYTES: Final = 512 * 1024  # zeros, so that not every sync has to tell the disk which room is used now
_QUIET: Final = bytes(FRAME_HEAD_BYTES)  # ends a segment quietly, whatever an earlier use left behind
_NO_PREALLOCATION: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


class Torn(NamedTuple):
    """A torn tail that was cut when the log was opened: the segment, the byte where it began, the position that would
    have stood there, and why it was no record. Nothing of it had ever been durable."""

    segment: str
    offset: int
    position: int
    reason: str


class _Spare(NamedTuple):
    """A file for a next segment, and whether nothing but zeros was ever in it."""

    name: str
    is_new: bool


class _Open:
    """A segment that is being written.

    Frames are written up to `written`; with the records that wait they reach to `end`. `name` is what the file is
    called at present. Of a new file there is nothing but zeros behind the frames, and up to `ahead` they were written:
    room that is only reserved makes each sync that begins to use it slower, since the file system has to note it.
    """

    __slots__ = ("ahead", "descriptor", "end", "first", "is_new", "name", "origin", "size", "waiting", "written")

    def __init__(self, name: str, descriptor: int, size: int, first: int, origin: bool, is_new: bool) -> None:
        self.name = name
        self.is_new = is_new
        self.ahead = 0
        self.descriptor = descriptor
        self.size = size
        self.first = first
        self.origin = origin
        self.waiting: list[Durable] = []
        self.written = 0
        self.end = SEGMENT_HEAD_BYTES

    @property
    def is_named(self) -> bool:
        return self.name == segment_name(self.first)

    def write(self, data: bytes, offset: int) -> None:
        """Writes frames, with a quiet end behind them, into the page cache; OSError, with any part of it written."""
        end = offset + len(data)
        quiet = _QUIET
        if self.is_new:
            quiet = b"" if end + FRAME_HEAD_BYTES <= self.ahead else bytes(WRITTEN_AHEAD_BYTES)
        quiet = quiet[: max(0, self.size - end)]
        write_at(self.descriptor, data + quiet, offset)
        self.ahead = max(self.ahead, end + len(quiet))
        self.written = end


class Wal:
    """An open log. `close` it, or use it in a `with` statement.

    `written` is the position of the last record written, `durable` that of the last that survives a crash, `torn` the
    torn tail that opening cut.
    """

    __slots__ = (
        "_broken",
        "_chain_id",
        "_durable",
        "_firsts",
        "_found",
        "_lock",
        "_next_spare",
        "_planned",
        "_present",
        "_segment_bytes",
        "_spares",
        "_state",
        "_syncing",
        "_written",
        "folder",
        "torn",
    )

    def __init__(self, folder: Path, chain_id: bytes, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Opens a chain's log, or begins one; a torn tail is cut, and what is left is durable.

        Raises Refused: chain_in_use; file_unknown; wal_damaged, with the segment as field and byte, record and reason
        as value; wal_foreign; wal_format_unknown; file_unreadable; disk_full or disk_failed.
        """
        make_folder(folder)
        self.folder = folder
        self.torn: Torn | None = None
        self._chain_id = chain_id
        self._segment_bytes = segment_bytes
        self._lock = locked(folder, writing=True)
        self._state = threading.Lock()  # over everything below; never held while the disk is waited for
        self._syncing = threading.Lock()  # one sync at a time; taken before the other
        self._broken = ""
        self._written = self._durable = 0
        self._firsts: list[int] = []  # of the segments that have their names
        self._present: _Open | None = None  # the last of them
        self._planned: deque[_Open] = deque()  # the next ones; `write` appends to the last
        self._spares: list[_Spare] = []
        self._next_spare = 0
        self._found: list[Durable] | None = []
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    def _recover(self) -> None:
        firsts, spares = listed(self.folder)
        found = read_log(self.folder, self._chain_id, firsts)
        if found:
            self._take_up(found[-1])
        self._sync_folder()  # names that were given just before the end
        self._found = [record for segment in found for record in segment.records()]
        self._firsts = [segment.first for segment in found]
        # Files of unknown use may hold frames of the very segment that comes next: they are never used again.
        superfluous = [*spares, *(segment_name(first) for first in firsts if first not in self._firsts)]
        for name in superfluous:
            with self._changing(name):
                (self.folder / name).unlink()
        if superfluous:
            self._sync_folder()

    def _take_up(self, segment: Segment) -> None:
        """Goes on at the end of the last segment, once what follows its last record is gone for good."""
        with self._changing(segment.name):
            descriptor = os.open(self.folder / segment.name, os.O_RDWR)
        size = len(segment.data)
        # From now on nothing but zeros stands behind its end.
        present = _Open(segment.name, descriptor, max(size, self._segment_bytes), segment.first, segment.origin, True)
        present.written = present.end = segment.end
        self._present = present
        if segment.fault is not None:
            self.torn = Torn(segment.name, segment.end, segment.last + 1, segment.fault.reason)
        if not segment.is_clean:
            with self._hardening(segment.name):
                os.ftruncate(descriptor, segment.end)
        if size < self._segment_bytes or not segment.is_clean:
            try:
                _reserve(descriptor, self._segment_bytes)
            except OSError:
                present.ahead = present.size  # no room to reserve may still be room for the next record
        # What is read here may stand in the kernel's memory alone, even where nothing is left to be synced: a sync that
        # fails leaves its pages there as if they were on the disk. Written again, they are.
        with self._changing(segment.name):
            write_at(descriptor, segment.data[segment.unsettled : segment.end], segment.unsettled)
        with self._hardening(segment.name):
            os.fsync(descriptor)
        self._written = self._durable = segment.last

    def records(self) -> list[Durable]:
        """The durable records from the last origin on, as they were found; handed out once."""
        found, self._found = self._found, None
        if found is None:
            raise Refused(
                "input_unexpected", "records", "a second time", "They are handed out once; open the log again."
            )
        return found

    @property
    def written(self) -> int:
        """The position of the last record written; 0: none."""
        return self._written

    @property
    def durable(self) -> int:
        """The position up to which everything survives a crash; 0: nothing."""
        return self._durable

    def write(self, records: Sequence[Durable]) -> None:
        """Takes a batch; `sync` makes it durable. Positions go on after the last; an empty log begins with 1 or an
        origin.

        Raises Refused("disk_full"): nothing of the batch was taken, and the same call works once there is room.
        Raises Refused("disk_failed"): the log is not to be trusted any more. Refused("input_unexpected").
        """
        if not records:
            return
        with self._state:
            self._usable()
            self._check(records)
            self._take(records)
            self._written = records[-1].position

    def _check(self, records: Sequence[Durable]) -> None:
        expected = self._written + 1
        if not self._written and records[0].origin:
            expected = records[0].position
        for record in records:
            if record.position != expected or not record.position:
                raise Refused("input_unexpected", "position", record.position, f"Write record {expected} next.")
            if len(record.data) > RECORD_BYTES_MAX:
                raise Refused("out_of_range", "record", f"{len(record.data)} bytes", f"At most {RECORD_BYTES_MAX}.")
            expected += 1

    def _take(self, records: Sequence[Durable]) -> None:
        """Divides a batch among the last segment and new ones, whose room is reserved before anything is changed."""
        last = self._planned[-1] if self._planned else self._present
        end = last.end if last is not None else 0
        here, new = list[Durable](), list[_Open]()
        try:
            for record in records:
                need = FRAME_HEAD_BYTES + len(record.data)
                segment = new[-1] if new else last
                if segment is None or record.origin or (segment.end if new else end) + need > segment.size:
                    segment = self._reserved(record, SEGMENT_HEAD_BYTES + need)
                    new.append(segment)
                if new:
                    segment.waiting.append(record)
                    segment.end += need
                else:
                    here.append(record)
                    end += need
            if here and not self._planned:
                assert self._present is not None
                self._append(self._present, here)
        except Refused:
            for segment in new:
                os.close(segment.descriptor)
                with suppress(OSError):
                    (self.folder / segment.name).unlink()
            raise
        if here and self._planned:
            self._planned[-1].waiting += here
            self._planned[-1].end = end
        self._planned.extend(new)

    def _append(self, segment: _Open, records: list[Durable]) -> None:
        """Writes frames behind those of a segment, into the page cache."""
        data = framed(segment.first, segment.written, self._durable + 1, [record.data for record in records])
        try:
            segment.write(data, segment.written)
        except OSError as fault:
            if not is_full(fault):
                raise self._failed(segment.name, fault) from None
            # Part of it is there, and must never be found behind other records.
            with self._hardening(segment.name):
                os.ftruncate(segment.descriptor, segment.written)
                os.fsync(segment.descriptor)
            raise refusal(fault, segment.name) from None
        segment.end = max(segment.end, segment.written)

    def _reserved(self, record: Durable, need: int) -> _Open:
        """Room for a segment that begins with a record: a spare file, or a new one."""
        size = max(need, self._segment_bytes)
        if self._spares and size == self._segment_bytes:
            spare = self._spares.pop()
            with self._changing(spare.name):
                descriptor = os.open(self.folder / spare.name, os.O_RDWR)
        else:
            spare = _Spare(self._spare_name(), is_new=True)
            descriptor = self._created(spare.name, size)
        return _Open(spare.name, descriptor, size, record.position, record.origin, spare.is_new)

    def _spare_name(self) -> str:
        self._next_spare += 1
        return f"{self._next_spare}.spare"

    def _created(self, name: str, size: int) -> int:
        """The descriptor of a new file of this size."""
        path = self.folder / name
        with self._changing(name):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            with self._changing(name):
                _reserve(descriptor, size)
        except Refused:
            os.close(descriptor)
            with suppress(OSError):
                path.unlink()
            raise
        return descriptor

    def sync(self) -> int:
        """Makes durable what was written before it began; the position up to which everything is durable now.

        Raises Refused("disk_full"): the same call works once there is room; everything written is kept.
        Raises Refused("disk_failed"): the log is not to be trusted any more.
        """
        with self._syncing:
            while True:
                with self._state:
                    self._usable()
                    present, planned = self._present, self._planned[0] if self._planned else None
                    written = planned.first - 1 if planned is not None else self._written
                    is_behind = written > self._durable
                if present is not None and is_behind:
                    with self._hardening(present.name):
                        sync_file(present.descriptor)
                    with self._state:
                        self._usable()
                        self._durable = written
                if planned is None:
                    break
                self._begin(planned)
            self._prepare()
            return self._durable

    def _begin(self, segment: _Open) -> None:
        """Makes the next segment the present one. Everything before it is durable."""
        if not segment.is_named:
            with self._state:
                records = list(segment.waiting)
            head = segment_head(self._chain_id, segment.first, BEGINS if segment.origin else GOES_ON)
            data = head + framed(segment.first, len(head), segment.first, [record.data for record in records])
            with self._changing(segment.name):
                segment.write(data, 0)
            with self._hardening(segment.name):
                os.fsync(segment.descriptor)
            name = segment_name(segment.first)
            with self._changing(name):
                (self.folder / segment.name).rename(self.folder / name)
            self._sync_folder()
            with self._state:
                self._usable()
                segment.name = name
                del segment.waiting[: len(records)]
                self._firsts.append(segment.first)
                self._durable = records[-1].position
        with self._state:
            self._usable()
            if segment.waiting:  # written since
                self._append(segment, segment.waiting)
                segment.waiting = []
            before, self._present = self._present, segment
            self._planned.popleft()
        if before is not None:
            os.close(before.descriptor)
        if segment.origin:
            self._recycle()

    def _recycle(self) -> None:
        """Turns segments before the last into spare files, as many as are kept, and removes the others.

        It need not be durable: the last one is, with its origin, and under whatever names, nothing before it is read.
        """
        with self._state:
            superfluous, self._firsts = self._firsts[:-1], self._firsts[-1:]
            kept = len(self._spares)
        spares = list[_Spare]()
        for first in superfluous:
            path = self.folder / segment_name(first)
            with self._changing(path.name):
                if kept + len(spares) < SPARES_KEPT and path.stat().st_size == self._segment_bytes:
                    spares.append(_Spare(self._spare_name(), is_new=False))
                    path.rename(self.folder / spares[-1].name)
                else:
                    path.unlink()
        with self._state:
            self._spares += spares

    def _prepare(self) -> None:
        """Reserves room for the next segment while there is time, if the present one is nearly full."""
        with self._state:
            present = self._present
            if self._spares or self._planned or present is None or 4 * present.end < 3 * present.size:
                return
            name = self._spare_name()
        try:
            descriptor = self._created(name, self._segment_bytes)
        except Refused as refused:
            if refused.code == "disk_full":  # the write that needs it will say so
                return
            raise
        try:
            with self._hardening(name):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with self._state:
            self._spares.append(_Spare(name, is_new=True))

    def _usable(self) -> None:
        if self._broken:
            raise Refused("disk_failed", self._broken, "an earlier write or sync failed")
        if self._lock < 0:
            raise Refused("input_unexpected", "write-ahead log", self.folder, "It was closed; open it again.")

    @contextmanager
    def _changing(self, name: str) -> Iterator[None]:
        """Around calls that change files: for want of room they can be repeated, anything else is the end."""
        try:
            yield
        except OSError as fault:
            raise (refusal(fault, name) if is_full(fault) else self._failed(name, fault)) from None

    @contextmanager
    def _hardening(self, name: str) -> Iterator[None]:
        """Around calls that make something durable: whatever they fail for is the end."""
        try:
            yield
        except OSError as fault:
            raise self._failed(name, fault) from None

    def _failed(self, name: str, fault: OSError) -> Refused:
        self._broken = name
        return Refused("disk_failed", name, os.strerror(fault.errno or 0))

    def _sync_folder(self) -> None:
        with self._hardening(self.folder.name):
            os.fsync(self._lock)  # the lock is the folder's own descriptor

    def close(self) -> None:
        """Lets the files go once a sync that runs has ended. What was not synced may be lost."""
        with self._syncing, self._state:
            held = [self._present, *self._planned]
            self._present = None
            self._planned.clear()
            for segment in held:
                if segment is not None:
                    os.close(segment.descriptor)
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()


def _reserve(descriptor: int, size: int) -> None:
    """Reserves room for a whole file of zeros, where the file system can; otherwise it only gets its length."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except AttributeError:
        os.ftruncate(descriptor, size)
    except OSError as fault:
        if fault.errno not in _NO_PREALLOCATION:
            raise
        os.ftruncate(descriptor, size)
