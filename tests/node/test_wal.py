"""The write-ahead log: what was durable is there after whatever happens, and damage is never taken for its end."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.consensus.engine import Durable
from wattquorum.foundation.refusals import Refused
from wattquorum.node import wal as module
from wattquorum.node.wal import SPARE, Tail, Wal, segments, walk
from wattquorum.replica.log_format import SEGMENT_HEAD_BYTES

CHAIN = b"c" * 16
SMALL = 600  # bytes of a segment


def record(position: int, size: int = 20, *, origin: bool = False) -> Durable:
    return Durable(position, bytes([position % 251]) * size, origin)


def records(first: int, last: int) -> list[Durable]:
    return [record(position) for position in range(first, last + 1)]


def opened(folder: Path) -> Wal:
    return Wal(folder, CHAIN, segment_bytes=SMALL)


def reopened(folder: Path) -> list[Durable]:
    wal = opened(folder)
    try:
        return wal.records()
    finally:
        wal.close()


def written(folder: Path, batches: Sequence[Sequence[Durable]]) -> None:
    wal = opened(folder)
    for batch in batches:
        wal.write(batch)
        wal.sync()
    wal.close()


def refusal(folder: Path) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        opened(folder).close()
    return refused.value.code, refused.value.field


def read_or_refused(folder: Path) -> list[Durable] | Refused:
    try:
        return [item[1] for item in walk(folder, CHAIN, segments(folder)) if not isinstance(item, Tail)]
    except Refused as refused:
        return refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "wal"


def test_what_was_written_is_read_back_over_several_segments(folder: Path) -> None:
    written(folder, [records(1, 3), records(4, 4), records(5, 40)])
    assert len(segments(folder)) > 2
    assert reopened(folder) == records(1, 40)
    written(folder, [records(41, 60)])
    assert reopened(folder) == records(1, 60)


def test_a_sync_tells_up_to_where_and_covers_nothing_that_came_later(folder: Path) -> None:
    wal = opened(folder)
    wal.write(records(1, 2))
    assert wal.sync() == 2
    wal.write(records(3, 3))
    wal.write(records(4, 4))
    assert wal.written == 4
    assert wal.sync() == 4
    wal.close()


def test_what_follows_an_origin_needs_nothing_before_it(folder: Path) -> None:
    wal = opened(folder)
    wal.write(records(1, 30))
    before = len(segments(folder))
    wal.write([record(31), record(32, 100, origin=True), record(33)])
    assert len(segments(folder)) > before
    wal.sync()
    assert [each.name for each in segments(folder)] == ["0000000000000032-origin.wal"]
    wal.close()
    assert reopened(folder) == [record(32, 100, origin=True), record(33)]


def test_segments_that_are_not_needed_any_more_are_used_again_and_their_old_frames_mean_nothing(folder: Path) -> None:
    wal = opened(folder)
    position, spare = 0, 0
    for _ in range(20):
        batch = records(position + 1, position + 30)
        wal.write(batch)
        wal.write([record(position + 31, 50, origin=True)])
        wal.sync()
        position += 31
        inodes = [os.stat(folder / each.name).st_ino for each in segments(folder)]
        spare = os.stat(folder / SPARE).st_ino
        assert spare not in inodes
        position += 1
        wal.write([record(position), *(record(position + number) for number in range(1, 20))])
        position += 19
        assert os.stat(folder / segments(folder)[1].name).st_ino == spare, "what was let go of is written to again"
    wal.close()
    assert [each.position for each in reopened(folder)] == list(range(position - 19 - 1, position + 1))


def test_a_record_larger_than_a_segment_has_one_of_its_own(folder: Path) -> None:
    batch = [record(1), record(2, 5 * SMALL), record(3)]
    written(folder, [batch])
    assert reopened(folder) == batch


def test_cut_anywhere_it_has_the_whole_records_before_the_cut(folder: Path, tmp_path: Path) -> None:
    """Of the last segment any part may be missing; what is left is a beginning, and it can be gone on with."""
    written(folder, [records(1, 2), records(3, 5), records(6, 14)])
    last = segments(folder)[-1]
    whole = (folder / last.name).read_bytes()
    for size in range(SEGMENT_HEAD_BYTES, len(whole), 3):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        os.truncate(copy / last.name, size)
        found = reopened(copy)
        assert found == records(1, len(found))
        assert len(found) >= last.first - 1
        written(copy, [records(len(found) + 1, len(found) + 2)])
        assert reopened(copy) == records(1, len(found) + 2)
        shutil.rmtree(copy)


def test_a_flipped_bit_anywhere_is_found_or_was_in_the_last_batch(folder: Path) -> None:
    written(folder, [records(1, 3), records(4, 6), records(7, 20), records(21, 22)])
    for segment in segments(folder):
        data = (folder / segment.name).read_bytes()
        for at in range(len(data.rstrip(b"\0"))):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            (folder / segment.name).write_bytes(changed)
            found = read_or_refused(folder)
            if isinstance(found, Refused):
                assert (found.code, found.field) == ("log_damaged", segment.name)
            else:
                assert found == records(1, len(found))
                assert len(found) >= 20
        (folder / segment.name).write_bytes(data)


def test_a_torn_batch_does_not_come_back_behind_what_is_written_in_its_place(folder: Path) -> None:
    """The first frame of the last batch is lost, the second is on the disk; then another first frame is written."""
    written(folder, [records(1, 2), records(3, 4)])
    (segment,) = segments(folder)
    places = [found[0] for found in walk(folder, CHAIN, [segment]) if not isinstance(found, Tail)]
    with (folder / segment.name).open("r+b") as file:
        file.seek(places[2].start)
        file.write(bytes(10))
    assert reopened(folder) == records(1, 2)
    other = Durable(3, b"!" * 20, origin=False)
    written(folder, [[other]])
    assert reopened(folder) == [*records(1, 2), other]


def test_an_origin_that_is_torn_was_never_durable_and_what_came_before_it_is_there(folder: Path) -> None:
    written(folder, [records(1, 5)])
    wal = opened(folder)
    wal.write([record(6, 100, origin=True), record(7)])
    wal.close()
    name = segments(folder)[-1].name
    with (folder / name).open("r+b") as file:
        file.seek(SEGMENT_HEAD_BYTES)
        file.write(bytes(8))
    assert reopened(folder) == records(1, 5)
    written(folder, [[record(6)], [record(7)]])  # not an origin this time
    assert reopened(folder) == records(1, 7)


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda folder: (folder / "0000000000000001.wal").unlink(), "0000000000000013.wal"),
        (lambda folder: (folder / "0000000000000013.wal").unlink(), "0000000000000025.wal"),
        (lambda folder: (folder / "notes.txt").touch(), "file"),
        (
            lambda folder: (folder / "0000000000000013.wal").rename(folder / "0000000000000014.wal"),
            "0000000000000014.wal",
        ),
        (lambda folder: (folder / "0000000000000013.wal").write_bytes(b""), "0000000000000013.wal"),
    ],
)
def test_a_missing_misnamed_or_foreign_segment_is_named(folder: Path, spoil: object, field: str) -> None:
    written(folder, [records(1, 30)])
    assert [each.first for each in segments(folder)] == [1, 13, 25]
    assert callable(spoil)
    spoil(folder)
    assert refusal(folder) == ("file_unknown" if field == "file" else "log_damaged", field)


def test_a_log_of_another_chain_or_format_is_refused(folder: Path) -> None:
    written(folder, [records(1, 2)])
    with pytest.raises(Refused, match="belongs to chain"):
        Wal(folder, b"d" * 16)
    name = segments(folder)[0].name
    data = bytearray((folder / name).read_bytes())
    data[7] = 9
    (folder / name).write_bytes(data)
    with pytest.raises(Refused, match="format 1"):
        opened(folder)


def test_two_processes_do_not_write_one_log(folder: Path) -> None:
    wal = opened(folder)
    assert refusal(folder) == ("chain_in_use", "path")
    wal.close()


def test_records_come_in_order(folder: Path) -> None:
    wal = opened(folder)
    with pytest.raises(Refused) as refused:
        wal.write(records(2, 3))
    assert refused.value.code == "input_unexpected"
    wal.write(records(1, 2))
    wal.write(records(1, 3))  # what is written already is not written again
    wal.sync()
    wal.close()
    assert reopened(folder) == records(1, 3)


def test_after_a_failed_sync_nothing_is_believed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wal = opened(folder)
    wal.write(records(1, 1))
    wal.sync()
    wal.write(records(2, 2))

    def fails(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "sync_file", fails)
    for action in (wal.sync, lambda: wal.write(records(3, 3)), wal.sync):
        with pytest.raises(Refused) as refused:
            action()
        assert refused.value.code == "disk_failed"
        monkeypatch.undo()
    wal.close()


def test_without_room_for_a_segment_nothing_is_lost_and_the_same_records_are_taken_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wal = opened(folder)
    wal.write(records(1, 5))
    wal.sync()

    def full(_descriptor: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_allocate", full)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            wal.write(records(6, 30))
        assert refused.value.code == "disk_full"
    monkeypatch.undo()
    wal.write(records(6, 30))
    wal.sync()
    wal.close()
    assert reopened(folder) == records(1, 30)


def test_a_sync_in_another_thread_and_writes_meanwhile(folder: Path) -> None:
    wal = opened(folder)
    told: list[int] = []
    stop = threading.Event()

    def syncs() -> None:
        while not stop.is_set():
            told.append(wal.sync())

    thread = threading.Thread(target=syncs)
    thread.start()
    for first in range(1, 2_000, 5):
        wal.write(records(first, first + 4))
    stop.set()
    thread.join(10)
    assert wal.sync() == 2_000
    assert told == sorted(told)
    wal.close()
    assert reopened(folder) == records(1, 2_000)


class Pages:
    """A disk whose writes stay in memory until they are synced; a crash keeps any of the sectors that were not."""

    SECTOR = 64

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unsynced: dict[int, list[tuple[int, bytes]]] = {}
        self._pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", self.pwrite)
        monkeypatch.setattr(os, "fdatasync", self.sync)
        monkeypatch.setattr(os, "fsync", self.sync)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        before = os.pread(descriptor, len(data), offset)
        number = os.fstat(descriptor).st_ino
        self.unsynced.setdefault(number, []).append((offset, before.ljust(len(data), b"\0")))
        return self._pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        self.unsynced.pop(os.fstat(descriptor).st_ino, None)

    def crash(self, folder: Path, keeps: Iterator[bool]) -> None:
        """Of what was not synced some sectors go back to what was there before."""
        for entry in sorted(folder.iterdir()):
            lost = self.unsynced.pop(entry.stat().st_ino, [])
            with entry.open("r+b") as file:
                for offset, before in reversed(lost):
                    for at in range(0, len(before), self.SECTOR):
                        if not next(keeps):
                            file.seek(offset + at)
                            file.write(before[at : at + self.SECTOR])


@given(st.data())
def test_whatever_a_crash_loses_what_was_synced_is_there_and_nothing_else_is_made_up(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "wal"
        pages = Pages(patch)
        log: list[Durable] = []
        for _ in range(data.draw(st.integers(1, 4))):
            wal = opened(folder)
            found = wal.records()
            start = next((at for at, each in enumerate(log) if each == found[0]), 0) if found else 0
            assert found == log[start : start + len(found)], "a record that nobody wrote, or one in between is missing"
            del log[start + len(found) :]
            durable = len(log)
            for _ in range(data.draw(st.integers(1, 8))):
                size = data.draw(st.integers(0, 200))
                origin = data.draw(st.integers(0, 5)) == 0
                count = 1 if origin else data.draw(st.integers(1, 6))
                batch = [
                    Durable(len(log) + 1 + number, os.urandom(size), origin and len(log) > 0) for number in range(count)
                ]
                wal.write(batch)
                log += batch
                if data.draw(st.booleans()):
                    assert wal.sync() == len(log)
                    durable = len(log)
            wal.close()
            pages.crash(folder, iter(lambda: data.draw(st.booleans()), None))
            wal = opened(folder)
            assert wal.written >= durable, "what was durable is gone"
            wal.close()


def test_a_spare_is_ready_before_it_is_needed(folder: Path) -> None:
    wal = opened(folder)
    wal.write(records(1, 8))
    wal.sync()
    assert (folder / SPARE).stat().st_size == SMALL
    wal.close()
    assert reopened(folder) == records(1, 8)
