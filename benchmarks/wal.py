"""The write-ahead log against its floor: the same bytes by bare pwrite and fdatasync into a file with reserved room."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measuring import Line, Section, beside
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.identities import CHAIN_ID_BYTES
from wattquorum.foundation.quantities import MILLION
from wattquorum.node.wal import Wal
from wattquorum.replica.log_format import FRAME_HEAD_BYTES, SEGMENT_HEAD_BYTES

RECORD: Final = 128  # bytes
BATCHES: Final = {1: 100, 64: 100, 1_024: 40}  # records in a batch: batches in a round
ROUNDS: Final = 5
ROOM: Final = 64 * 1024 * 1024


class Bare:
    """A file that is written to and synced, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.posix_fallocate(self._descriptor, 0, ROOM)
        os.fsync(self._descriptor)
        self._end = SEGMENT_HEAD_BYTES

    def commit(self, size: int, batches: int) -> None:
        for _ in range(batches):
            data = bytes(size)
            os.pwrite(self._descriptor, data, self._end)
            os.fdatasync(self._descriptor)
            self._end += size

    def close(self) -> None:
        os.close(self._descriptor)


def commit(wal: Wal, size: int, batches: int) -> None:
    """Batches of so many records, each synced before the next is written."""
    data = bytes(RECORD)
    for _ in range(batches):
        begins = wal.written + 1
        wal.write([Durable(position, data) for position in range(begins, begins + size)])
        if wal.sync() != wal.written:
            raise AssertionError("a batch is not durable")


def measured(batches: dict[int, int] = BATCHES, rounds: int = ROUNDS) -> Section:
    """How many times as long as the floor group commit takes, and records a second, by the size of a batch."""
    lines = []
    for size, count in batches.items():
        with TemporaryDirectory(dir=".") as folder:  # /tmp may be in memory
            bare = Bare(Path(folder) / "bare")
            with Wal(Path(folder) / "wal", bytes(CHAIN_ID_BYTES), segment_bytes=ROOM) as wal:
                frames = size * (FRAME_HEAD_BYTES + RECORD)
                found = beside(partial(commit, wal, size, count), partial(bare.commit, frames, count), rounds)
            bare.close()
        note = f"{size * count / found.ours:,.0f} records/s, a sync each {found.ours / count * MILLION:,.0f} us"
        lines.append(Line(f"batches of {size:,}", found.times, "x", note))
    return Section(f"Write-ahead log: {RECORD}-byte records, in times what bare pwrite and fdatasync take", lines)
