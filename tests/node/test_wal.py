"""The write-ahead log: what was durable comes back, what a crash tore is cut, and damage is refused with its place."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.node.disks import Disk
from tests.node.fickle_disk import laid_out
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.refusals import Refused
from wattquorum.node import wal as wal_module
from wattquorum.node.wal import SPARES_KEPT, Torn, Wal
from wattquorum.node.wal_files import BEGINS, GOES_ON
from wattquorum.replica.log_format import FRAME_HEAD_BYTES, MARK, SEGMENT_HEAD_BYTES, framed, segment_head

CHAIN = bytes(range(16))
SMALL = 400  # bytes of a segment: some ten records


def record(position: int, size: int = 12, *, origin: bool = False) -> Durable:
    return Durable(position, bytes([position % 251 + 1]) * size, origin)


def opened(folder: Path, segment_bytes: int = SMALL) -> Wal:
    return Wal(folder, CHAIN, segment_bytes=segment_bytes)


def found(folder: Path) -> list[Durable]:
    with opened(folder) as wal:
        return wal.records()


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.code


def refused(folder: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        opened(folder)
    return caught.value


def test_what_was_synced_is_there_again(tmp_path: Path) -> None:
    with opened(tmp_path / "wal") as wal:
        assert wal.records() == []
        wal.write([record(1), record(2)])
        assert wal.durable == 0
        assert wal.sync() == 2
        wal.write([record(3, 0)])
        assert (wal.written, wal.durable) == (3, 2)
        assert wal.sync() == wal.sync() == 3
    assert found(tmp_path / "wal") == [record(1), record(2), record(3, 0)]


def test_a_log_goes_on_over_many_segments_and_restarts(tmp_path: Path) -> None:
    position, whole = 0, list[Durable]()
    for size in (1, 3, 20, 7, 60):
        with opened(tmp_path) as wal:
            assert wal.records() == whole
            batch = [record(position + i, 5 * i % 40) for i in range(1, size + 1)]
            wal.write(batch)
            position += size
            assert wal.sync() == position
            whole += batch
    assert found(tmp_path) == whole
    assert len(list(tmp_path.glob("*.wal"))) > 5


def test_a_record_larger_than_a_segment_has_its_own(tmp_path: Path) -> None:
    batch = [record(1), record(2, 5_000), record(3)]
    with opened(tmp_path) as wal:
        wal.write(batch)
        assert wal.sync() == 3
    assert found(tmp_path) == batch
    assert (tmp_path / "00000002.wal").stat().st_size > 5_000


def test_an_origin_begins_a_segment_and_what_came_before_it_goes(tmp_path: Path) -> None:
    with opened(tmp_path) as wal:
        wal.write([record(i) for i in range(1, 100)])
        wal.sync()
        wal.write([record(100), record(101, origin=True), record(102)])
        assert (tmp_path / "00000001.wal").exists()
        assert wal.sync() == 102
        assert sorted(path.name for path in tmp_path.glob("*.wal")) == ["00000101.wal"]
        assert len(list(tmp_path.glob("*.spare"))) == 2
    assert found(tmp_path) == [record(101, origin=True), record(102)]


def test_an_origin_in_a_batch_of_many_segments_leaves_what_follows_it(tmp_path: Path) -> None:
    batch = [record(i, origin=i in (40, 90)) for i in range(1, 150)]
    with opened(tmp_path) as wal:
        wal.write(batch)
        assert wal.sync() == 149
    assert found(tmp_path) == batch[89:]


def test_a_log_may_begin_with_an_origin_anywhere(tmp_path: Path) -> None:
    with opened(tmp_path) as wal:
        wal.write([record(7_000_000_001, origin=True), record(7_000_000_002)])
        wal.sync()
    assert found(tmp_path) == [record(7_000_000_001, origin=True), record(7_000_000_002)]
    assert (tmp_path / "7000000001.wal").exists()


def test_records_that_do_not_follow_are_refused_and_change_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as wal:
        for batch in ([record(2)], [record(1), record(3)], [record(0, origin=True)]):
            assert attempted(wal, batch) == "input_unexpected"
        wal.write([])
        wal.write([record(1)])
        assert code_of(lambda: wal.write([record(1)])) == "input_unexpected"
        assert code_of(lambda: wal.write([record(9, origin=True)])) == "input_unexpected"
        assert wal.sync() == 1
    assert code_of(lambda: wal.write([record(2)])) == "input_unexpected"
    assert code_of(wal.sync) == "input_unexpected"


def test_a_record_that_no_frame_can_tell_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_module, "RECORD_BYTES_MAX", 20)
    with opened(tmp_path) as wal:
        assert code_of(lambda: wal.write([record(1, 21)])) == "out_of_range"
        wal.write([record(1, 20)])


def test_records_are_handed_out_once(tmp_path: Path) -> None:
    with opened(tmp_path) as wal:
        wal.records()
        assert code_of(wal.records) == "input_unexpected"


def test_a_log_is_open_once(tmp_path: Path) -> None:
    with opened(tmp_path):
        assert refused(tmp_path).code == "chain_in_use"
    opened(tmp_path).close()


# Cuts and flips


def whole_log(folder: Path) -> tuple[list[Durable], dict[str, bytes]]:
    """A log of an origin and two segments in several batches, and its files, without the zeros at the end."""
    with opened(folder) as wal:
        wal.write([record(1), record(2)])
        wal.sync()
        written = [record(3, 20, origin=True), *(record(i, 20) for i in range(4, 14))]
        for i in range(0, len(written), 2):
            wal.write(written[i : i + 2])
            wal.sync()
    names = sorted(path.name for path in folder.glob("*.wal"))
    assert names == ["00000003.wal", "00000011.wal"]
    return written, {name: (folder / name).read_bytes().rstrip(b"\0") for name in names}


def outcome(folder: Path, files: dict[str, bytes]) -> list[Durable] | Refused:
    """What a log of these files gives: records, or why it is refused."""
    laid_out(folder, files)
    try:
        return found(folder)
    except Refused as refusal:
        return refusal
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of logs are opened that no power can fail under."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.mark.unmeasured
@pytest.mark.usefixtures("no_sync")
def test_a_log_cut_at_any_byte_is_a_prefix_or_refused(tmp_path: Path) -> None:
    written, files = whole_log(tmp_path / "wal")
    first, last = files
    for cut in range(len(files[first])):
        got = outcome(tmp_path / "cut", {**files, first: files[first][:cut]})
        assert isinstance(got, Refused), "a segment that is not the last was durable to its end"
        assert (got.code, got.field) == ("wal_damaged", first)
        got = outcome(tmp_path / "cut", {first: files[first][:cut]})
        if isinstance(got, list):
            assert got == written[: len(got)]
            assert got
        else:
            assert (got.code, got.field) == ("wal_damaged", first)
            assert cut < SEGMENT_HEAD_BYTES + FRAME_HEAD_BYTES + 20, "the first record was durable before the name"
    for cut in range(len(files[last])):
        got = outcome(tmp_path / "cut", {**files, last: files[last][:cut]})
        if isinstance(got, list):
            assert got == written[: len(got)]
            assert len(got) >= 9
        else:
            assert cut < SEGMENT_HEAD_BYTES + FRAME_HEAD_BYTES + 20


@pytest.mark.unmeasured
@pytest.mark.usefixtures("no_sync")
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_log_with_any_byte_flipped_is_refused_with_its_place_or_has_a_torn_last_batch(
    tmp_path: Path, flip: int
) -> None:
    written, files = whole_log(tmp_path / "wal")
    last = max(files)
    for name, data in files.items():
        for at in range(len(data)):
            bad = bytearray(data)
            bad[at] ^= flip
            got = outcome(tmp_path / "bad", {**files, name: bytes(bad)})
            if isinstance(got, list):
                assert name == last, "only what the last sync made durable looks as if it had never been"
                assert at >= SEGMENT_HEAD_BYTES + 2 * (FRAME_HEAD_BYTES + 20)
                assert got == written[: len(got)]
                assert len(got) >= 10
            else:
                assert got.field == name
                assert got.code in ("wal_damaged", "wal_foreign", "wal_format_unknown")
                place = int(re.match(r"byte (\d+)", got.value)[1])  # type: ignore[index]
                assert place <= at < place + max(SEGMENT_HEAD_BYTES, FRAME_HEAD_BYTES + 20)


def test_what_is_wrong_with_a_segment_is_said(tmp_path: Path) -> None:
    _, files = whole_log(tmp_path / "wal")
    first, last = files
    head = SEGMENT_HEAD_BYTES

    def wrong(**changed: bytes | None) -> tuple[str, str, str]:
        given = {**files, **{f"{name[1:]}.wal": data for name, data in changed.items()}}
        got = outcome(tmp_path / "wrong", {name: data for name, data in given.items() if data is not None})
        assert isinstance(got, Refused)
        return got.code, got.field, got.value

    assert wrong(_00000003=None) == (
        "wal_damaged",
        last,
        "byte 0: the log begins with it, but record 10 and those before it are missing",
    )
    middle = segment_head(CHAIN, 20, GOES_ON) + framed(20, head, 20, [b"x"])
    assert wrong(_00000020=middle) == ("wal_damaged", last, "byte 164: its last record is 13, then comes 00000020.wal")
    assert wrong(_00000014=files[last]) == ("wal_foreign", "00000014.wal", "byte 24: it begins at record 11")
    other = segment_head(bytes(16), 11, GOES_ON) + files[last][head:]
    assert wrong(_00000011=other) == ("wal_foreign", last, f"byte 8: it belongs to chain {bytes(16).hex()}")
    later = BEGINS[:-1] + b"\x02" + files[first][len(BEGINS) :]
    assert wrong(_00000003=later) == ("wal_format_unknown", first, "byte 7: format 2")
    blocks = segment_head(CHAIN, 11) + files[last][head:]
    assert wrong(_00000011=blocks)[2] == "byte 0: it does not begin as a segment of a write-ahead log"
    assert wrong(_00000011=b"") == ("wal_damaged", last, f"byte 0: its head of {head} bytes is cut off")
    assert wrong(_00000011=files[last][:head])[2] == f"byte {head}, record 11: no record stands here"


def test_a_file_that_does_not_belong_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    for name in ("1.wal", "000000001.wal", "notes.txt", "x.spare"):
        (tmp_path / name).write_bytes(b"")
        assert (refused(tmp_path).code, refused(tmp_path).value) == ("file_unknown", name)
        (tmp_path / name).unlink()
    (tmp_path / "00000001.wal").mkdir()
    assert refused(tmp_path).code == "file_unknown"


def test_a_torn_tail_is_told_and_cut_before_anything_is_appended(tmp_path: Path) -> None:
    with opened(tmp_path) as wal:
        wal.write([record(1), record(2)])
        wal.sync()
        end = SEGMENT_HEAD_BYTES + 2 * (FRAME_HEAD_BYTES + 12)
    path = tmp_path / "00000001.wal"
    with path.open("r+b") as file:
        file.seek(end)
        file.write(framed(1, end, 3, [b"torn", b"not torn"]).replace(b"torn", b"gone", 1))
    with opened(tmp_path) as wal:
        assert wal.torn == Torn("00000001.wal", end, 3, "its checksum does not match")
        assert path.read_bytes()[end:] == bytes(SMALL - end), "nothing of it is left, and its room is reserved"
        assert wal.records() == [record(1), record(2)]
        wal.write([record(3, 4)])
        wal.sync()
    with opened(tmp_path) as wal:
        assert wal.torn is None
        assert wal.records() == [record(1), record(2), record(3, 4)]


# Recycled files


def test_stale_frames_of_a_recycled_file_are_never_records(tmp_path: Path) -> None:
    """Whatever stands in a used file, frames of every shape at every place that a new one can end at."""
    for size in range(30):
        folder = tmp_path / str(size)
        with opened(folder) as wal:
            wal.write([record(i, 8) for i in range(1, 40)])  # files full of frames of 8 bytes
            wal.sync()
            wal.write([record(40, 8, origin=True)])
            wal.sync()
            used = [path.read_bytes() for path in folder.glob("*.spare")]
            assert used
            assert all(data.count(MARK) > 5 for data in used)
            written = [record(41, size, origin=True), record(42, size)]
            wal.write(written)
            wal.sync()
        data = (folder / "00000041.wal").read_bytes()
        assert data.count(MARK) > 4, "this is a used file"
        assert found(folder) == written
        with opened(folder) as wal:
            assert wal.torn is None, "it ended quietly"
            wal.write([record(43, 8)])
            wal.sync()
        assert found(folder) == [*written, record(43, 8)]


def test_files_are_used_again_and_few_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as wal:
        wal.write([record(1)])
        wal.sync()
        position = 1
        numbers = set[int]()
        for _ in range(10):
            batch = [record(position + 1, origin=True), *(record(position + i) for i in range(2, 60))]
            wal.write(batch)
            position = wal.sync()
            numbers |= {path.stat().st_ino for path in tmp_path.iterdir()}
            assert len(list(tmp_path.glob("*.spare"))) <= SPARES_KEPT
        assert len(list(tmp_path.glob("*.wal"))) < 10
    opened(tmp_path).close()
    assert list(tmp_path.glob("*.spare")) == [], "who opens a log does not know what is in them"


def test_the_next_file_is_there_before_the_present_one_is_full(tmp_path: Path) -> None:
    with opened(tmp_path) as wal:
        for position in range(1, 9):
            assert list(tmp_path.glob("*.spare")) == []
            wal.write([record(position)])
            wal.sync()
        (spare,) = tmp_path.glob("*.spare")
        assert spare.stat().st_size == SMALL
        wal.write([record(i) for i in range(9, 13)])
        wal.sync()
        assert not spare.exists()
        assert len(list(tmp_path.glob("*.wal"))) == 2


@pytest.mark.parametrize("failing", ["missing", errno.EOPNOTSUPP, errno.EINVAL])
def test_a_system_that_reserves_no_room_works_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int | str
) -> None:
    def refusing(*_arguments: int) -> None:
        raise OSError(failing, "no")

    if failing == "missing":
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refusing)
    with opened(tmp_path) as wal:
        wal.write([record(i) for i in range(1, 30)])
        wal.sync()
    assert found(tmp_path) == [record(i) for i in range(1, 30)]


# Threads


def test_others_write_while_one_syncs_and_only_what_was_there_counts(tmp_path: Path) -> None:
    """`sync` runs in a thread, over rolls and origins, while this one writes as fast as it can."""
    with opened(tmp_path / "wal", 20_000) as wal, ThreadPoolExecutor(1) as pool:
        position, last_origin = 0, 1
        running = pool.submit(wal.sync)
        asked = 0
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            batch = [record(position + i, (position + i) % 30) for i in range(1, 1 + position % 7 + 1)]
            if position % 997 == 0:
                batch[0] = record(position + 1, (position + 1) % 30, origin=True)
                last_origin = position + 1
            wal.write(batch)
            position += len(batch)
            if running.done():
                assert asked <= running.result() <= position
                asked = position
                running = pool.submit(wal.sync)
        running.result()
        assert wal.sync() == position == wal.durable
        assert position > 1_000
    with opened(tmp_path / "wal", 20_000) as wal:
        got = wal.records()
        assert [each.position for each in got] == list(range(last_origin, position + 1))
        assert all(each == record(each.position, each.position % 30, origin=each.origin) for each in got)


def test_what_is_written_after_a_sync_began_is_not_covered_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, go_on = threading.Event(), threading.Event()
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        waiting.set()
        assert go_on.wait(10)
        real(descriptor)

    with opened(tmp_path) as wal, ThreadPoolExecutor(2) as pool:
        wal.write([record(1)])
        wal.sync()
        monkeypatch.setattr(os, "fdatasync", slow)
        wal.write([record(2)])
        first = pool.submit(wal.sync)
        assert waiting.wait(10)
        wal.write([record(3)])  # does not wait for the disk
        second = pool.submit(wal.sync)
        assert wal.durable == 1
        go_on.set()
        assert (first.result(), second.result()) == (2, 3)


# Full and failing disks


def test_a_log_that_found_no_room_goes_on_once_there_is_some(tmpfs: Disk) -> None:
    size = 64 * 1024
    written = list[Durable]()
    with opened(tmpfs.path, size) as wal:
        for _ in range(2):
            with tmpfs.full():
                while attempted(wal, batch := [record(len(written) + i, 1_000) for i in range(1, 6)]) is None:
                    written += batch
                assert wal.durable == wal.written == len(written), "room that was reserved was there"
                assert code_of(lambda: wal.write(batch)) == "disk_full"
                assert wal.sync() == len(written) == wal.written
            wal.write(batch)
            written += batch
            assert wal.sync() == len(written)
    with opened(tmpfs.path, size) as wal:
        assert wal.records() == written
        assert wal.torn is None


def test_a_log_opens_on_a_full_disk(tmpfs: Disk) -> None:
    with opened(tmpfs.path) as wal:
        wal.write([record(i) for i in range(1, 6)])
        wal.sync()
    with (tmpfs.path / "00000001.wal").open("r+b") as file:
        file.seek(300)
        file.write(b"torn")
    with tmpfs.full():
        assert found(tmpfs.path) == [record(i) for i in range(1, 6)]
    assert found(tmpfs.path) == [record(i) for i in range(1, 6)]


CALLS = ("open", "pwrite", "posix_fallocate", "ftruncate", "rename", "unlink", "fsync", "fdatasync")
BATCHES = [
    [record(1), record(2)],
    [record(3)],
    [record(i) for i in range(4, 30)],
    [record(30), record(31, origin=True), record(32)],
    [record(33, 700)],
    [record(34)],
]


class FailingCall:
    """Makes the n-th of the calls that change the disk fail; of a write half is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, number: int, fault: int) -> None:
        self.left, self.fault, self.failed = number, fault, ""
        self.folder = folder
        for name in CALLS:
            monkeypatch.setattr(os, name, self.counted(name, getattr(os, name)))

    def counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not str(arguments[0]).startswith(str(self.folder)):
                return call(*arguments, **named)
            self.left -= 1
            if self.left == 0:
                self.failed = name
                if name == "pwrite":
                    descriptor, data, offset = arguments
                    call(descriptor, bytes(data)[: len(data) // 2], offset)
                raise OSError(self.fault, os.strerror(self.fault))
            return call(*arguments, **named)

        return counting


def attempted(wal: Wal, batch: list[Durable], tries: int = 1) -> str | None:
    """Writes and syncs a batch, each again if there was no room; the code with which it was refused, if it was."""
    for call in (lambda: wal.write(batch), wal.sync):
        code: str | None = "disk_full"
        for _ in range(tries):
            if code == "disk_full":
                try:
                    call()
                    code = None
                except Refused as refusal:
                    code = refusal.code
        if code is not None:
            return code
    return None


@pytest.mark.unmeasured
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_any_call_may_fail_once(tmp_path: Path, fault: int) -> None:
    """For want of room: the same call succeeds afterwards, unless it was a sync. Anything else is the end, for good."""
    seen = set[str]()
    number = 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        wal = opened(folder)
        durable = 0
        with pytest.MonkeyPatch.context() as patch:
            failing = FailingCall(patch, folder, number, fault)
            for batch in BATCHES:
                code = attempted(wal, batch, tries=2)
                if code is not None:
                    break
                durable = batch[-1].position
        if not failing.failed:
            wal.close()
            break
        seen.add(failing.failed)
        fatal = fault == errno.EIO or failing.failed in ("fsync", "fdatasync", "ftruncate")
        if fatal and code is None:
            assert failing.failed in ("unlink", "ftruncate", "posix_fallocate")
        if code is not None:
            assert fatal, failing.failed
            assert code == "disk_failed"
            assert code_of(lambda: wal.write([record(wal.written + 1)])) == "disk_failed"  # noqa: B023 - called at once
            assert code_of(wal.sync) == "disk_failed"
        wal.close()
        got = found(folder)
        everything = [each for batch in BATCHES for each in batch]
        last = got[-1].position if got else 0
        assert last >= durable
        begins = 31 if last >= 31 else 1
        assert got == everything[begins - 1 : last]
    assert {"open", "pwrite", "posix_fallocate", "rename", "fsync", "fdatasync"} <= seen
