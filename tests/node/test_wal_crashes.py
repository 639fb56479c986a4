"""The write-ahead log and crashes: whatever a disk keeps of what was not synced, what was durable comes back."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.node.fickle_disk import Crash, FickleDisk, laid_out
from tests.node.wal_writers import SEGMENT, record
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.refusals import Refused
from wattquorum.node import wal as wal_module
from wattquorum.node.wal import Wal

ROOT = Path(__file__).parent.parent.parent
CHAIN = bytes(range(16))
SMALL = 400  # bytes of a segment


def since_origin(records: list[Durable]) -> list[Durable]:
    """What a log hands out of all that was written."""
    begins = max((i for i, record in enumerate(records) if record.origin), default=0)
    return records[begins:]


def opened(folder: Path, segment_bytes: int = SMALL) -> Wal:
    return Wal(folder, CHAIN, segment_bytes=segment_bytes)


class Worlds(RuleBasedStateMachine):
    """A log on a fickle disk beside a list of what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = mock.patch.object(wal_module, "WRITTEN_AHEAD_BYTES", 60)
        self.ahead.start()
        self.place = Path(tempfile.mkdtemp(prefix="wal-"))
        self.life = 0
        self.written: list[Durable] = []
        self.durable = 0
        self.begin({})

    def begin(self, files: dict[str, bytes]) -> None:
        """A start from what a disk holds."""
        self.life += 1
        folder = laid_out(self.place / str(self.life), files)
        graves = self.place / f"{self.life}-graves"
        graves.mkdir()
        self.disk = FickleDisk(folder, graves)
        self.disk.adopt()
        self.open()

    def open(self) -> None:
        """A start on the disk as it is, of which not everything need be synced."""
        with self.disk.installed():
            self.wal = opened(self.disk.folder)
        found = self.wal.records()
        assert self.wal.written >= self.durable, "nothing durable is lost"
        del self.written[self.wal.written :]
        assert found == since_origin(self.written)
        self.durable = self.wal.written

    def batch(self, count: int, size: int, origin: bool) -> list[Durable]:
        begins = len(self.written) + 1
        # Contents repeat over lives, so that a stale frame would often be a valid one.
        return [
            Durable(p, bytes([p % 7]) * size, origin and p == begins + count // 2)
            for p in range(begins, begins + count)
        ]

    def write(self, count: int, size: int, origin: bool) -> None:
        made = self.batch(count, size, origin)
        self.wal.write(made)
        self.written += made

    @rule(
        count=st.integers(1, 12),
        size=st.sampled_from([0, 11, 11, 11, 40, 500]),
        origin=st.sampled_from([False] * 5 + [True]),
    )
    def writes(self, count: int, size: int, origin: bool) -> None:
        with self.disk.installed():
            self.write(count, size, origin)

    @rule()
    def syncs(self) -> None:
        with self.disk.installed():
            assert self.wal.sync() == len(self.written)
        self.durable = len(self.written)

    @rule(count=st.integers(1, 6), at=st.integers(0, 6), origin=st.booleans())
    def syncs_while_others_are_written(self, count: int, at: int, origin: bool) -> None:
        before, waits = len(self.written), 0

        def during() -> None:
            nonlocal waits
            if waits == at:
                self.write(count, 11, origin)
            waits += 1

        self.disk.during = during
        with self.disk.installed():
            self.durable = self.wal.sync()
        self.disk.during = lambda: None
        assert before <= self.durable <= len(self.written)

    @rule(
        seed=st.integers(0, 2**16),
        calls=st.integers(0, 12),
        batches=st.integers(0, 4),
        origin=st.booleans(),
        power=st.booleans(),
    )
    def crashes(self, seed: int, calls: int, batches: int, origin: bool, power: bool) -> None:
        """After some more calls, amid a write or a sync or between them: the machine, or the process alone."""
        left = calls

        def before(_name: str) -> None:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1

        self.disk.before = before
        with self.disk.installed():
            try:
                for number in range(batches):
                    made = self.batch(1 + (seed + number) % 5, 11, origin and number == 2)
                    self.written += made  # some of it may be there
                    self.wal.write(made)
                    if (seed >> number) % 4 == 0:
                        self.durable = self.wal.sync()
            except Crash:
                self.durable = max(self.durable, self.wal.durable)
        self.disk.before = lambda _name: None
        files = self.disk.crash(random.Random(seed))
        self.wal.close()
        if power:
            self.begin(files)
        else:
            self.open()

    def teardown(self) -> None:
        self.ahead.stop()
        self.wal.close()
        shutil.rmtree(self.place)


TestWorlds = Worlds.TestCase
TestWorlds.settings = settings(max_examples=80, stateful_step_count=30)


def test_what_opening_hands_out_is_durable_though_its_writer_never_synced_it(tmp_path: Path) -> None:
    """The process ends right after it named a segment, another one opens the log, then the power fails."""
    (tmp_path / "wal").mkdir()
    (tmp_path / "graves").mkdir()
    disk = FickleDisk(tmp_path / "wal", tmp_path / "graves")
    renamed = False

    def before(name: str) -> None:
        nonlocal renamed
        if renamed:
            raise Crash
        renamed = name == "rename"

    disk.before = before
    with disk.installed():
        with opened(disk.folder) as wal:
            wal.write([Durable(1, b"one")])
            with pytest.raises(Crash):
                wal.sync()
            assert wal.durable == 0
        disk.before = lambda _name: None
        with opened(disk.folder) as wal:
            assert wal.records() == [Durable(1, b"one")]
    for seed in range(20):
        assert list(disk.crash(random.Random(seed))) == ["00000001.wal"]


@pytest.mark.unmeasured
def test_a_writer_killed_after_any_byte_leaves_a_prefix_with_all_that_was_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page cache has what was written up to that byte, whatever was synced."""
    monkeypatch.setattr(wal_module, "WRITTEN_AHEAD_BYTES", 30)
    batches = [[1, 2], [3], [4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [14], [15, 16]]
    written = [Durable(i, bytes([i]) * 9, i == 15) for batch in batches for i in batch]
    killed, bytes_ = True, -1
    while killed:
        bytes_ += 1
        folder, graves = tmp_path / str(bytes_), tmp_path / f"{bytes_}-graves"
        folder.mkdir()
        graves.mkdir()
        disk = FickleDisk(folder, graves)
        disk.adopt()
        disk.bytes_left = bytes_
        killed = False
        with disk.installed():
            wal = opened(folder)
            try:
                for numbers in batches:
                    wal.write(written[numbers[0] - 1 : numbers[-1]])
                    if numbers[0] != 3:
                        wal.sync()
            except Crash:
                killed = True
            durable = wal.durable
            wal.close()
            disk.bytes_left = -1
            with opened(folder) as again:
                assert again.written >= durable
                assert again.records() == since_origin(written[: again.written])
        shutil.rmtree(folder)
        shutil.rmtree(graves)
    assert bytes_ > len(written) * 33


def writer(kind: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.node.wal_writers", kind, str(folder)]


def check_killed(folder: Path, durable: int, segment_bytes: int) -> int:
    """A log holds what its writer wrote up to some record, and what was durable; that record."""
    with opened(folder, segment_bytes) as wal:
        records = wal.records()
        assert wal.written >= durable
        begins = wal.written // 50 * 50 or 1
        assert records == [record(position) for position in range(begins, wal.written + 1)]
        wal.write([record(wal.written + 1)])
        wal.sync()
    return wal.written


def test_a_process_killed_at_any_call_that_changes_the_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    ran = subprocess.run(writer("dying", tmp_path), cwd=ROOT, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(told) > 60
    assert told[-1][1] > 100
    for call, durable in told:
        check_killed(tmp_path / str(call), durable, SEGMENT)


def test_a_busy_process_killed_at_random_moments_loses_nothing_acknowledged(tmp_path: Path) -> None:
    last = 0
    for round_ in range(6):
        with subprocess.Popen(writer("busy", tmp_path), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = [process.stdout.readline()]
            time.sleep(random.Random(round_).random() / 5)
            process.kill()
            told += process.stdout
        durable = int(next(line for line in reversed(told) if line.endswith("\n")))
        assert durable >= last
        last = check_killed(tmp_path, durable, 20_000)


class Platter:
    """What a disk holds of files whose pages are clean, as on Linux, after every sync, even one that failed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails = False
        self.content: dict[int, bytearray] = {}
        self._dirty: dict[int, list[tuple[int, bytes | None]]] = {}  # by inode; None: the file is cut there
        self._pwrite, self._ftruncate = os.pwrite, os.ftruncate
        for name, instead in (
            ("pwrite", self.pwrite),
            ("ftruncate", self.ftruncate),
            ("fsync", self.sync),
            ("fdatasync", self.sync),
        ):
            monkeypatch.setattr(os, name, instead)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        written = self._pwrite(descriptor, data, offset)
        self._dirty.setdefault(os.fstat(descriptor).st_ino, []).append((offset, bytes(data[:written])))
        return written

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._ftruncate(descriptor, size)
        self._dirty.setdefault(os.fstat(descriptor).st_ino, []).append((size, None))

    def sync(self, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        dirty = self._dirty.pop(inode, [])
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        content = self.content.setdefault(inode, bytearray())
        for offset, data in dirty:
            if data is None:
                del content[offset:]
            else:
                content.extend(bytes(max(0, offset + len(data) - len(content))))
                content[offset : offset + len(data)] = data


@pytest.mark.parametrize("more", [0, 1])
def test_what_a_failed_sync_left_in_memory_alone_is_on_the_disk_once_the_log_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    platter = Platter(monkeypatch)
    records = [Durable(position, b"promise %d" % position) for position in range(1, 5 + more)]
    with Wal(tmp_path / "wal", CHAIN, segment_bytes=1 << 12) as wal:
        wal.write(records[:2])
        wal.sync()
        wal.write(records[2:4])
        platter.fails = True
        with pytest.raises(Refused, match="disk_failed"):
            wal.sync()
    platter.fails = False
    with Wal(tmp_path / "wal", CHAIN, segment_bytes=1 << 12) as wal:
        assert wal.records() == records[:4]
        wal.write(records[4:])
        assert wal.sync() == wal.durable == 4 + more
    (file,) = (tmp_path / "wal").glob("*.wal")
    (tmp_path / "after").mkdir()
    (tmp_path / "after" / file.name).write_bytes(platter.content[file.stat().st_ino])
    with Wal(tmp_path / "after", CHAIN, segment_bytes=1 << 12) as wal:
        assert wal.records() == records
