"""A file layer in place of the system's: what is not synced is kept apart, and a crash keeps any part of it.

Files are real and hold what the page cache would. Beside them stands what the disk holds: for each sector of a file any
of its contents since the last sync, for a folder any of the changes of names since its last sync. Calls can be made to
fail, to stop half-way, or to let somebody else act while the disk is waited for.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

SECTOR = 64  # smaller than a real one, so that few bytes have many
CHANGING = ("open", "pwrite", "posix_fallocate", "ftruncate", "rename", "unlink")
SYNCING = ("fdatasync", "fsync")
_REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in (*CHANGING, *SYNCING)}


class Crash(BaseException):
    """The machine or the process stops here; nothing may catch it."""


class FickleDisk:
    """The layer under one folder.

    `before` is called with every call's name before it is done and may raise; `during` while a sync waits: what is
    written then is not covered by it. `bytes_left` is how many bytes are written until the process is killed.
    """

    def __init__(self, folder: Path, graveyard: Path) -> None:
        self.folder = folder
        self.before: Callable[[str], None] = lambda _name: None
        self.during: Callable[[], None] = lambda: None
        self.bytes_left = -1
        self._graveyard = graveyard  # files without a name stay, so that no number is used again
        self._buried = 0
        self._versions: dict[int, list[bytes]] = {}  # by inode: what was synced, and each content since
        self._names: dict[str, int] = {}  # as synced
        self._changes: list[tuple[str, str, int]] = []  # since: (old name, new name, inode), one of the names empty

    def adopt(self) -> None:
        """Takes what is in the folder for synced."""
        for path in self.folder.iterdir():
            self._names[path.name] = path.stat().st_ino
            self._versions[path.stat().st_ino] = [path.read_bytes()]

    @contextmanager
    def installed(self) -> Iterator[None]:
        with ExitStack() as patches:
            for name in _REAL:
                patches.enter_context(mock.patch.object(os, name, self._instead(name)))
            yield

    def _instead(self, name: str) -> Callable[..., Any]:
        own = getattr(self, f"_{name}")

        def call(target: Any, *arguments: Any, **named: Any) -> Any:
            if not self._is_ours(target):
                return _REAL[name](target, *arguments, **named)
            if name != "open" or arguments[0] & os.O_CREAT:
                self.before(name)
            return own(target, *arguments)

        return call

    def _is_ours(self, target: Any) -> bool:
        path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
        return path == str(self.folder) or path.startswith(f"{self.folder}/")

    def _open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        is_new = bool(flags & os.O_CREAT) and not os.path.exists(path)
        descriptor: int = _REAL["open"](path, flags, mode)
        if is_new:
            inode = os.fstat(descriptor).st_ino
            self._versions[inode] = [b""]
            self._changes.append(("", os.path.basename(path), inode))
        return descriptor

    def _pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        data = bytes(data)
        if 0 <= self.bytes_left < len(data):
            _REAL["pwrite"](descriptor, data[: self.bytes_left], offset)
            self._changed(descriptor)
            raise Crash
        self.bytes_left -= len(data) if self.bytes_left >= 0 else 0
        written: int = _REAL["pwrite"](descriptor, data, offset)
        self._changed(descriptor)
        return written

    def _ftruncate(self, descriptor: int, size: int) -> None:
        _REAL["ftruncate"](descriptor, size)
        self._changed(descriptor)

    def _posix_fallocate(self, descriptor: int, offset: int, size: int) -> None:
        if os.fstat(descriptor).st_size < offset + size:
            _REAL["ftruncate"](descriptor, offset + size)
        self._changed(descriptor)

    def _rename(self, old: Any, new: Any) -> None:
        inode = os.stat(old).st_ino
        _REAL["rename"](old, new)
        self._changes.append((os.path.basename(old), os.path.basename(new), inode))

    def _unlink(self, path: Any) -> None:
        inode = os.stat(path).st_ino
        self._buried += 1
        _REAL["rename"](path, self._graveyard / str(self._buried))
        self._changes.append((os.path.basename(path), "", inode))

    def _fdatasync(self, descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(self.folder):
            done = len(self._changes)
            self.during()
            for change in self._changes[:done]:
                self._apply(self._names, change)
            del self._changes[:done]
        else:
            versions = self._versions[os.fstat(descriptor).st_ino]
            done = len(versions) - 1
            self.during()
            del versions[:done]

    _fsync = _fdatasync

    def _changed(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self._versions[os.fstat(descriptor).st_ino].append(os.pread(descriptor, size, 0))

    @staticmethod
    def _apply(names: dict[str, int], change: tuple[str, str, int]) -> None:
        old, new, inode = change
        if old:
            if names.get(old) != inode:
                return
            del names[old]
        if new:
            names[new] = inode

    def crash(self, chance: random.Random) -> dict[str, bytes]:
        """What the disk may hold after the power failed now: files by name."""
        names = dict(self._names)
        skipping = chance.choice([0.0, 0.2, 1.0])
        for change in self._changes:
            if chance.random() >= skipping:
                self._apply(names, change)
        return {name: self._torn(self._versions[inode], chance) for name, inode in names.items()}

    @staticmethod
    def _torn(versions: list[bytes], chance: random.Random) -> bytes:
        length = len(chance.choice(versions))
        lean = chance.choice([0, 1, 2])  # towards what was synced, towards the last, or neither
        parts = []
        for at in range(0, length, SECTOR):
            version = chance.choice(versions)
            if lean and chance.random() < 0.8:
                version = versions[0 if lean == 1 else -1]
            parts.append(version[at : at + SECTOR].ljust(SECTOR, b"\0"))
        return b"".join(parts)[:length]


def laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    """A new folder with these files."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
