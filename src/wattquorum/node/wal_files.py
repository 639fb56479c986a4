"""The files of a write-ahead log, and how they are read: whole records, a torn tail, or damage with its place.

    00000001.wal    segments, named by the position of their first record
    17.spare        room for a next segment, empty or used before; nothing is ever read from one

A segment gets its name only once all records before it, its own head and its first record are durable. So only the
last one can have a torn tail, and never at its first record: everything else that is not intact is damage. A log
begins where the last origin does; segments before it are waiting for their removal. Reading changes nothing and needs
no lock, so that a log can be looked at while a node writes it. The form of the bytes is `replica.log_format`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from wattquorum.consensus.engine import Durable
from wattquorum.foundation.refusals import Refused
from wattquorum.node.disk import read_file
from wattquorum.replica.log_format import FRAME_HEAD_BYTES, SEGMENT_HEAD_BYTES, Fault, Frame, frames, read_head

VERSION: Final = 1
BEGINS: Final = b"WQSTART" + bytes([VERSION])  # a segment that an origin begins: a restart needs nothing before it
GOES_ON: Final = b"WQAFTER" + bytes([VERSION])  # a segment that follows the one before it, or the very first
SURVEYS_MAX: Final = 3  # looks at a log that seems damaged
_KINDS: Final = (BEGINS[:-1], GOES_ON[:-1])

_SEGMENT: Final = re.compile(r"(?:\d{8}|[1-9]\d{8,19})\.wal", re.ASCII)  # one position, one name
_SPARE: Final = re.compile(r"\d+\.spare", re.ASCII)


class Listed(NamedTuple):
    """What a log's folder holds: the first positions of its segments, ascending, and the names of spare files."""

    firsts: list[int]
    spares: list[str]


class Segment(NamedTuple):
    """A segment as it was read: the intact frames, and what ends them.

    `end` is where the next frame would stand; `fault` says why what stands there is none, unless it is a quiet end:
    the end of the file, or a frame's head of zeros. `is_clean` is whether nothing but zeros follows.
    """

    first: int
    origin: bool
    chain_id: bytes
    data: bytes
    frames: list[Frame]
    end: int
    fault: Fault | None
    is_clean: bool

    @property
    def name(self) -> str:
        """Its file's name."""
        return segment_name(self.first)

    @property
    def last(self) -> int:
        """The position of its last intact record."""
        return self.first + len(self.frames) - 1

    @property
    def unsettled(self) -> int:
        """Where the first frame stands that is not known to be on the disk: nobody wrote after it had been synced."""
        return self.frames[self.frames[-1].batch - self.first].start if self.frames else self.end

    @property
    def is_damaged(self) -> bool:
        """Whether something is missing that was durable, even if this is the last segment."""
        return not self.frames or (self.fault is not None and not self.fault.torn)

    def records(self) -> Iterator[Durable]:
        """Its intact records."""
        for frame in self.frames:
            data = self.data[frame.data_start : frame.end]
            yield Durable(frame.height, data, self.origin and frame.height == self.first)

    def damage(self) -> Refused:
        """Refused("wal_damaged") with the place where its intact records end."""
        reason = self.fault.reason if self.fault is not None else "no record stands here"
        return Refused("wal_damaged", self.name, f"byte {self.end}, record {self.last + 1}: {reason}")


def segment_name(first: int) -> str:
    """The file name of the segment that begins at a position."""
    return f"{first:08d}.wal"


def listed(folder: Path) -> Listed:
    """The files of a log; Refused("file_unknown") for anything that does not belong there."""
    firsts, spares = list[int](), list[str]()
    try:
        entries = sorted(folder.iterdir())
    except OSError as fault:
        raise Refused("file_unreadable", "path", f"{folder}: {fault.strerror}") from None
    for entry in entries:
        if entry.is_dir() or entry.is_symlink():
            raise Refused("file_unknown", "file", entry.name)
        if _SEGMENT.fullmatch(entry.name):
            firsts.append(int(entry.name.removesuffix(".wal")))
        elif _SPARE.fullmatch(entry.name):
            spares.append(entry.name)
        else:
            raise Refused("file_unknown", "file", entry.name)
    return Listed(sorted(firsts), spares)


def read_segment(folder: Path, first: int, chain_id: bytes | None) -> Segment:
    """A segment; None as chain takes any.

    Raises Refused: wal_damaged when its head is no head, wal_foreign when it is that of another chain or place,
    wal_format_unknown.
    """
    name = segment_name(first)
    data = read_file(folder / name, name)
    head = read_head(data)
    if head is None:
        raise Refused("wal_damaged", name, f"byte {len(data)}: its head of {SEGMENT_HEAD_BYTES} bytes is cut off")
    if head.magic[:-1] not in _KINDS:
        raise Refused("wal_damaged", name, "byte 0: it does not begin as a segment of a write-ahead log")
    if head.magic[-1] != VERSION:
        raise Refused("wal_format_unknown", name, f"byte {len(BEGINS) - 1}: format {head.magic[-1]}")
    if chain_id is not None and head.chain_id != chain_id:
        raise Refused("wal_foreign", name, f"byte {len(BEGINS)}: it belongs to chain {head.chain_id.hex()}")
    if head.first != first:
        raise Refused("wal_foreign", name, f"byte {len(BEGINS) + len(head.chain_id)}: it begins at record {head.first}")
    return _walked(first, head.magic == BEGINS, head.chain_id, data)


def _walked(first: int, origin: bool, chain_id: bytes, data: bytes) -> Segment:
    whole, fault = list[Frame](), None
    for each in frames(data, first):
        if isinstance(each, Fault):
            fault = each
        else:
            whole.append(each)
    end = whole[-1].end if whole else SEGMENT_HEAD_BYTES
    is_clean = fault is None or not data[end:].strip(b"\0")
    if fault is not None and fault.torn and not any(data[end : end + FRAME_HEAD_BYTES]):
        fault = None
    return Segment(first, origin, chain_id, data, whole, end, fault, is_clean)


def read_log(folder: Path, chain_id: bytes, firsts: list[int]) -> list[Segment]:
    """The segments from the last origin on, each whole but for a torn tail of the last.

    Raises what `read_segment` raises, and Refused("wal_damaged") for anything that is missing or not intact.
    """
    found = list[Segment]()
    for first in reversed(firsts):
        segment = read_segment(folder, first, chain_id)
        check_follows(segment, found[-1] if found else None)
        found.append(segment)
        if segment.origin:
            break
    if found:
        check_begins(found[-1])
    return found[::-1]


def check_follows(segment: Segment, next_one: Segment | None) -> None:
    """Refused("wal_damaged") unless a segment is intact, up to the one that follows it if one does."""
    if segment.is_damaged or (next_one is not None and segment.fault is not None):
        raise segment.damage()
    if next_one is not None and next_one.first != segment.last + 1:
        place = f"byte {segment.end}: its last record is {segment.last}, then comes {next_one.name}"
        raise Refused("wal_damaged", segment.name, place)


def check_begins(segment: Segment) -> None:
    """Refused("wal_damaged") unless a log can begin with this segment."""
    if not segment.origin and segment.first != 1:
        place = f"byte 0: the log begins with it, but record {segment.first - 1} and those before it are missing"
        raise Refused("wal_damaged", segment.name, place)


class Survey(NamedTuple):
    """Everything in a log's folder, for people: every segment that can be read, in order, the position where the log
    begins, files for next segments, and the first damage."""

    segments: list[Segment]
    begins: int
    spares: list[str]
    damage: Refused | None


def survey(folder: Path) -> Survey:
    """Looks at a log, of whatever chain. A node may be writing it; so what looks like damage is looked at again.

    Raises Refused("file_unknown", "file_unreadable"), where there is no log.
    """
    found = _surveyed(folder)
    for _ in range(SURVEYS_MAX - 1):
        if found.damage is None:
            break
        found = _surveyed(folder)
    return found


def _surveyed(folder: Path) -> Survey:
    firsts, spares = listed(folder)
    found = list[Segment]()
    begins, chain_id, follower, damage = 0, None, None, None
    for first in reversed(firsts):
        try:
            segment = read_segment(folder, first, chain_id)
        except Refused as refused:
            damage, follower = (damage if begins else refused), None
            continue
        found.append(segment)
        if begins:
            continue
        chain_id = segment.chain_id
        try:
            check_follows(segment, follower)
            if segment.origin or first == firsts[0]:
                begins = first
                check_begins(segment)
        except Refused as refused:
            damage = refused
        follower = segment
    return Survey(found[::-1], begins, spares, damage)
