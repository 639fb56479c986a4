"""Runs a node whose disk loses, when the power fails, what was not synced.

    python -m torture.lossy NODE-FOLDER JOURNAL-FOLDER [SYNCS]
        runs `wattquorum node run --config NODE-FOLDER/node.toml`; it kills itself when its sync of that number begins
    drop(NODE-FOLDER, JOURNAL-FOLDER, seed)
        once that process was killed: the power failed

Files are real and hold what the page cache would. Of everything that the process changes below the node's folder, a
journal beside it keeps what was there before, until the file (or, for names, the folder) is synced. `drop` then takes
back a seeded part of it: of each sector the disk has any content that it had since it was synced, of a file any of its
sizes, of a folder's changes of names any part or, as with a file system that keeps a journal, a beginning. Whatever
was synced stays. A process that is killed and started again with the same journal has unsynced data of its former
life; without `drop` nothing is lost. What would be changed without the journal's knowing is an error.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

from wattquorum.cli import main as command

SECTORS: Final = (512, 4096)
JOURNAL: Final = "journal"
GRAVES: Final = "graves"  # a second name for each file that lost its own, until that is durable
COMPACT_BYTES: Final = 1 << 24
CHANGING: Final = ("open", "pwrite", "write", "ftruncate", "posix_fallocate", "rename", "replace", "unlink", "remove")
CALLS: Final = (*CHANGING, "mkdir", "fdatasync", "fsync")
FORBIDDEN: Final = {"os.link": 1, "os.symlink": 1, "os.truncate": 0, "os.rmdir": 0, "os.rename": 0, "os.remove": 0}
_REAL: Final[dict[str, Callable[..., Any]]] = {name: getattr(os, name) for name in CALLS}
_LENGTHS: Final = 8  # bytes before each record: its length and checksum


class Content(msgspec.Struct, tag="content", frozen=True):
    """A change of a file: the range that was changed, what stood there (zeros are left out), and its sizes."""

    number: int
    inode: int
    is_cut: bool
    start: int
    end: int
    size_before: int
    size: int
    before: list[tuple[int, bytes]]

    @property
    def key(self) -> str:
        """What has to be synced for it."""
        return str(self.inode)


class Name(msgspec.Struct, tag="name", frozen=True):
    """A change in a folder: a name that came, went or was changed; the file that had the new name before, or 0."""

    number: int
    folder: str
    old: str  # empty: it came
    new: str  # empty: it went
    inode: int
    replaced: int
    is_folder: bool

    @property
    def key(self) -> str:
        """What has to be synced for it."""
        return f"/{self.folder}"


class Synced(msgspec.Struct, tag="synced", frozen=True):
    """All changes of a file or folder up to a number are on the disk."""

    key: str
    number: int


Change = Content | Name
_decoder: Final = msgspec.msgpack.Decoder(Content | Name | Synced)
_encode: Final = msgspec.msgpack.Encoder().encode


def _packed(record: Change | Synced) -> bytes:
    data = _encode(record)
    return len(data).to_bytes(4, "big") + zlib.crc32(data).to_bytes(4, "big") + data


def unsynced(journal: Path) -> dict[str, list[Change]]:
    """What is not on the disk yet, by what has to be synced for it, in order."""
    found: dict[str, list[Change]] = {}
    path = journal / JOURNAL
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while len(data) - at >= _LENGTHS:
        end = at + _LENGTHS + int.from_bytes(data[at : at + 4], "big")
        record = data[at + _LENGTHS : end]
        if len(data) < end or zlib.crc32(record) != int.from_bytes(data[at + 4 : at + 8], "big"):
            break  # the process was killed amid it, before what it tells of was done
        told = _decoder.decode(record)
        if isinstance(told, Synced):
            _forget(found, told)
        else:
            found.setdefault(told.key, []).append(told)
        at = end
    return found


def _forget(changes: dict[str, list[Change]], synced: Synced) -> list[Change]:
    """Takes out what is on the disk."""
    there = changes.pop(synced.key, [])
    rest = [change for change in there if change.number > synced.number]
    if rest:
        changes[synced.key] = rest
    return there[: len(there) - len(rest)]


class Journal:
    """Stands between a process and one folder."""

    def __init__(self, folder: Path, place: Path, syncs: int = 0) -> None:
        """Goes on with what is not synced of a former life. The two must be on one file system.

        The process is killed when its sync of this number begins; 0: never.
        """
        self._syncs_left = syncs
        self._folder, self._place = folder.resolve(), place.resolve()
        (self._place / GRAVES).mkdir(parents=True, exist_ok=True)
        self._device = self._folder.stat().st_dev
        if self._place.stat().st_dev != self._device:
            raise SystemExit(f"{place} has to be on the same file system as {folder}")
        self._unsynced = unsynced(self._place)
        self._number = max((change.number for each in self._unsynced.values() for change in each), default=0)
        self._ours: set[int] = {path.stat().st_ino for path in self._folder.rglob("*") if path.is_file()}
        self._guard = threading.Lock()
        self._told = threading.local()
        self._size = 0
        self._file = -1
        self._compact()
        for grave in (self._place / GRAVES).iterdir():
            self._bury(int(grave.name))

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Everything that the process changes goes through here."""
        sys.addaudithook(self._audit)
        with mock.patch.multiple(os, **{name: getattr(self, f"_{name}") for name in CALLS}):
            yield

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuses changes that do not come through here."""
        if event == "open":
            path, _, flags = arguments
            changes = flags is not None and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        elif event in FORBIDDEN:
            path, changes = arguments[FORBIDDEN[event]], True
        else:
            return
        if changes and not getattr(self._told, "is_ours", False) and self._inside(path) is not None:
            raise RuntimeError(f"{event} of {path} would not be known to the journal")

    def _really(self, name: str, *arguments: Any) -> Any:
        self._told.is_ours = True
        try:
            return _REAL[name](*arguments)
        finally:
            self._told.is_ours = False

    def _inside(self, path: Any) -> str | None:
        """A path's place in the folder, None for one elsewhere."""
        if isinstance(path, int):
            return None
        whole = os.path.abspath(os.fsdecode(path))
        root = str(self._folder)
        return os.path.relpath(whole, root) if whole == root or whole.startswith(root + os.sep) else None

    # The journal ----------------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _note(self, record: Change | Synced) -> None:
        if isinstance(record, Synced):
            done = _forget(self._unsynced, record)
        else:
            done = []
            self._unsynced.setdefault(record.key, []).append(record)
        data = _packed(record)
        self._append(data)
        for change in done:
            if isinstance(change, Name):
                self._bury(change.inode)
                self._bury(change.replaced)
        if self._size > COMPACT_BYTES:
            self._compact()

    def _append(self, data: bytes) -> None:
        self._size += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[_REAL["write"](self._file, rest) :]

    def _bury(self, inode: int) -> None:
        """Lets a file go that has no name for certain, and will not be told of again."""
        grave = self._place / GRAVES / str(inode)
        names = (change for each in self._unsynced.values() for change in each if isinstance(change, Name))
        if not grave.exists() or any(inode in (change.inode, change.replaced) for change in names):
            return
        if grave.stat().st_nlink == 1:
            self._ours.discard(inode)
            self._unsynced.pop(str(inode), None)
            self._append(_packed(Synced(str(inode), self._number)))
        _REAL["unlink"](grave)

    def _compact(self) -> None:
        """Writes the journal anew with what still counts."""
        new = self._place / "journal.new"
        descriptor = _REAL["open"](new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = descriptor, 0
        changes = sorted((change for each in self._unsynced.values() for change in each), key=lambda each: each.number)
        self._append(b"".join(_packed(change) for change in changes))
        _REAL["rename"](new, self._place / JOURNAL)
        self._size = 0  # what still counts is no reason to compact again

    # In place of the system's calls ---------------------------------------------------------------------------------

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._inside(path)
        if place is None or dir_fd is not None:
            return int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))
        with self._guard:
            is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
            reads = flags ^ os.O_WRONLY ^ os.O_RDWR if flags & os.O_WRONLY else flags  # what was there is read
            descriptor = int(self._really("open", path, reads & ~os.O_TRUNC, mode))
            if os.path.isfile(path):
                inode = os.fstat(descriptor).st_ino
                self._ours.add(inode)
                if is_new:
                    folder, name = os.path.split(place)
                    self._note(Name(self._next(), folder, "", name, inode, 0, False))
                elif flags & os.O_TRUNC:
                    self._cut(descriptor, 0)
            return descriptor

    def _is_ours(self, descriptor: int) -> bool:
        found = os.fstat(descriptor)
        return found.st_dev == self._device and found.st_ino in self._ours

    def _pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        with self._guard:
            if self._is_ours(descriptor):
                self._change(descriptor, offset, offset + len(data))
            return int(_REAL["pwrite"](descriptor, data, offset))

    def _write(self, descriptor: int, data: Any) -> int:
        if not self._is_ours(descriptor):
            return int(_REAL["write"](descriptor, data))
        with self._guard:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
            self._change(descriptor, offset, offset + len(data))
            return int(_REAL["write"](descriptor, data))

    def _change(self, descriptor: int, start: int, end: int) -> None:
        found = os.fstat(descriptor)
        before = os.pread(descriptor, end - start, start)
        size = max(found.st_size, end)
        kept = [(start, before)] if before.strip(b"\0") else []
        self._note(Content(self._next(), found.st_ino, False, start, end, found.st_size, size, kept))

    def _ftruncate(self, descriptor: int, size: int) -> None:
        with self._guard:
            if self._is_ours(descriptor):
                self._cut(descriptor, size)
            else:
                _REAL["ftruncate"](descriptor, size)

    def _cut(self, descriptor: int, size: int) -> None:
        found = os.fstat(descriptor)
        kept = []
        for at in range(size, found.st_size, 1 << 16):
            part = os.pread(descriptor, min(1 << 16, found.st_size - at), at)
            if part.strip(b"\0"):
                kept.append((at, part))
        end = max(found.st_size, size)
        is_cut = size < found.st_size
        self._note(Content(self._next(), found.st_ino, is_cut, size, end, found.st_size, size, kept))
        _REAL["ftruncate"](descriptor, size)

    def _posix_fallocate(self, descriptor: int, offset: int, length: int) -> None:
        with self._guard:
            found = os.fstat(descriptor)
            size = max(found.st_size, offset + length)
            if self._is_ours(descriptor) and size > found.st_size:
                self._note(Content(self._next(), found.st_ino, False, size, size, found.st_size, size, []))
            _REAL["posix_fallocate"](descriptor, offset, length)

    def _rename(self, old: Any, new: Any, **folders: Any) -> None:
        from_, to = self._inside(old), self._inside(new)
        if from_ is None and to is None:
            _REAL["rename"](old, new, **folders)
            return
        if from_ is None or to is None or os.path.dirname(from_) != os.path.dirname(to) or os.path.isdir(old):
            raise RuntimeError(f"{old} to {new}: the journal knows renames of files within one folder alone")
        with self._guard:
            replaced = self._keep(new) if os.path.exists(new) else 0
            inode = self._keep(old)
            self._really("rename", old, new)
            folder, name = os.path.split(to)
            self._note(Name(self._next(), folder, os.path.basename(from_), name, inode, replaced, False))

    _replace = _rename

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        place = self._inside(path)
        if place is None or dir_fd is not None:
            _REAL["unlink"](path, dir_fd=dir_fd)
            return
        with self._guard:
            inode = self._keep(path)
            self._really("unlink", path)
            folder, name = os.path.split(place)
            self._note(Name(self._next(), folder, name, "", inode, 0, False))

    _remove = _unlink

    def _keep(self, path: Any) -> int:
        """Gives a file a second name, since it may be back after the power failed."""
        inode = os.stat(path).st_ino
        grave = self._place / GRAVES / str(inode)
        if not grave.exists():
            self._told.is_ours = True
            os.link(path, grave)
            self._told.is_ours = False
        return inode

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        place = self._inside(path)
        if place is None or dir_fd is not None:
            _REAL["mkdir"](path, mode, dir_fd=dir_fd)
            return
        with self._guard:
            _REAL["mkdir"](path, mode)
            folder, name = os.path.split(place)
            self._note(Name(self._next(), folder, "", name, os.stat(path).st_ino, 0, True))

    def _fsync(self, descriptor: Any) -> None:
        self._sync("fsync", descriptor)

    def _fdatasync(self, descriptor: Any) -> None:
        self._sync("fdatasync", descriptor)

    def _sync(self, name: str, descriptor: Any) -> None:
        key = self._key(descriptor if isinstance(descriptor, int) else descriptor.fileno())
        with self._guard:
            number = self._number  # what is written from now on may not be covered
            if key in self._unsynced:
                self._syncs_left -= 1
                if self._syncs_left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        _REAL[name](descriptor)
        with self._guard:
            if key in self._unsynced:
                self._note(Synced(key, number))

    def _key(self, descriptor: int) -> str:
        if self._is_ours(descriptor):
            return str(os.fstat(descriptor).st_ino)
        place = self._inside(os.readlink(f"/proc/self/fd/{descriptor}"))
        return "" if place is None else "/" if place == "." else f"/{place}"


# The power fails ----------------------------------------------------------------------------------------------------


def drop(folder: Path, journal: Path, seed: int) -> int:
    """Takes back a part of what was not synced, chosen by the seed; how many changes were not.

    The process must have ended. Afterwards everything that is there is on the disk.
    """
    chance = random.Random(seed)
    if not journal.exists():
        return 0
    changes = unsynced(journal)
    sector = chance.choice(SECTORS)
    files = {path.stat().st_ino: path for path in (journal / GRAVES).glob("*")}
    files |= {path.stat().st_ino: path for path in folder.rglob("*") if path.is_file()}
    for each in changes.values():
        contents = [change for change in each if isinstance(change, Content)]
        if contents and contents[0].inode in files:
            _drop_content(files[contents[0].inode], contents, sector, chance)
    for each in sorted(changes.values(), key=lambda each: each[0].key):
        names = [change for change in each if isinstance(change, Name)]
        if names and (folder / names[0].folder).is_dir():
            _drop_names(folder / names[0].folder, names, journal / GRAVES, chance)
    shutil.rmtree(journal)
    return sum(map(len, changes.values()))


def _drop_content(path: Path, changes: list[Content], sector: int, chance: random.Random) -> None:
    sizes = [changes[0].size_before, *(change.size for change in changes)]
    done = chance.choice([0, len(changes), chance.randint(0, len(changes))])  # so many changes of its size are durable
    leaning = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])  # how likely a sector is not written
    touching: dict[int, list[tuple[int, Content]]] = {}
    for place, change in enumerate(changes):
        ranges = [(at, at + len(data)) for at, data in change.before] if change.is_cut else [(change.start, change.end)]
        sectors = {at for start, end in ranges for at in range(start // sector, -(-end // sector))}
        for at in sectors:
            touching.setdefault(at, []).append((place, change))
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, max(sizes))
        for at, touched in sorted(touching.items()):
            for _, change in touched[_kept(touched, done, leaning, chance) :][::-1]:
                _take_back(descriptor, change, at * sector, (at + 1) * sector)
        os.ftruncate(descriptor, sizes[done])
    finally:
        os.close(descriptor)


def _kept(touched: list[tuple[int, Content]], done: int, leaning: float, chance: random.Random) -> int:
    """How many of a sector's changes are on the disk. A cut is where the size says so, and nowhere else."""
    least = max((i + 1 for i, (place, change) in enumerate(touched) if change.is_cut and place < done), default=0)
    kept = chance.randint(least, len(touched)) if chance.random() < leaning else len(touched)
    while kept > least and touched[kept - 1][1].is_cut:
        kept -= 1
    return kept


def _take_back(descriptor: int, change: Content, start: int, end: int) -> None:
    start, end = max(start, change.start), min(end, change.end)
    data = bytearray(max(end - start, 0))
    for at, before in change.before:
        low, high = max(at, start), min(at + len(before), end)
        if low < high:
            data[low - start : high - start] = before[low - at : high - at]
    os.pwrite(descriptor, data, start)


def _drop_names(folder: Path, changes: list[Name], graves: Path, chance: random.Random) -> None:
    there = {path.name: path.stat().st_ino for path in folder.iterdir()}
    names = dict(there)
    for change in reversed(changes):
        if change.new:
            names.pop(change.new, None)
            if change.replaced:
                names[change.new] = change.replaced
        if change.old:
            names[change.old] = change.inode
    for change in _durable(changes, chance):
        if change.old and names.get(change.old) == change.inode:
            del names[change.old]
        if change.new:
            names[change.new] = change.inode
    folders = {change.inode for change in changes if change.is_folder}
    for name, inode in there.items():
        if not (folder / name).is_dir() and not (graves / str(inode)).exists():
            os.link(folder / name, graves / str(inode))
    for name, inode in there.items():
        if names.get(name) != inode:
            if inode in folders:
                shutil.rmtree(folder / name)
            else:
                (folder / name).unlink()
    for name, inode in names.items():
        if there.get(name) != inode and (graves / str(inode)).exists():
            os.link(graves / str(inode), folder / name)


def _durable(changes: list[Name], chance: random.Random) -> Iterable[Name]:
    if chance.random() < 0.5:
        return changes[: chance.randint(0, len(changes))]
    skipping = chance.choice([0.2, 0.5, 1.0])
    return [change for change in changes if chance.random() >= skipping]


def main() -> None:
    """The command."""
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    folder, place, syncs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    sys.argv = ["wattquorum", "node", "run", "--config", str(folder / "node.toml")]
    with Journal(folder, place, syncs).installed():
        command()


if __name__ == "__main__":
    main()
