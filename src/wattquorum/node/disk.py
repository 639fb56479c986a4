"""Durable files: written whole or not at all, and on the disk before anybody relies on them.

A file is written beside its name, made durable, and renamed; then its folder is made durable too, because a name is
content of the folder. What an interrupted write leaves behind ends in `.new` and can always be removed. A full disk
(or quota, or file size limit), and as many open files as there may be, are told apart from a failing disk, since only
the last does not get better by itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from wattquorum.foundation.refusals import Refused

UNFINISHED: Final = ".new"
OPEN: Final = 0o644
SECRET: Final = 0o600
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})


def is_full(fault: OSError) -> bool:
    """Whether a write failed for want of room, or of a descriptor to write with."""
    return fault.errno in _NO_ROOM | _NO_DESCRIPTOR


def refusal(fault: OSError, name: str) -> Refused:
    """Why a write failed, as disk_full or disk_failed."""
    if fault.errno in _NO_DESCRIPTOR:
        remedy = "It goes on by itself; let the process have more files open (ulimit -n), or close connections."
        return Refused("disk_full", name, os.strerror(fault.errno or 0), remedy)
    return Refused("disk_full" if is_full(fault) else "disk_failed", name, os.strerror(fault.errno or 0))


def read_file(path: Path, name: str) -> bytes:
    """A file's bytes; Refused("file_unreadable") when they cannot be had."""
    try:
        return path.read_bytes()
    except OSError as fault:
        raise Refused("file_unreadable", name, os.strerror(fault.errno or 0)) from None


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Writes all bytes at an offset, not durably yet; OSError otherwise, with any part of them written."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def write_all(descriptor: int, data: bytes, offset: int = 0) -> None:
    """Writes all bytes at an offset and makes them durable; OSError otherwise."""
    write_at(descriptor, data, offset)
    sync_file(descriptor)


def sync_file(descriptor: int) -> None:
    """Makes a file's content and length durable; with fsync where there is no fdatasync (macOS)."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def write_files(folder: Path, contents: Mapping[str, bytes], mode: int = OPEN) -> None:
    """Writes files by name into a folder, each whole or not at all, and returns when all of them are durable.

    `mode` is who may read them (0o600: their owner alone), before the first byte is there.
    Raises Refused("disk_full" or "disk_failed"); files named before the one that failed may be there then.
    """
    for name, data in contents.items():
        unfinished = folder / (name + UNFINISHED)
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            try:
                if mode != OPEN:
                    os.fchmod(descriptor, mode)  # one that an interrupted write left may have been open to others
                write_all(descriptor, data)
            finally:
                os.close(descriptor)
            unfinished.rename(folder / name)
        except OSError as fault:
            with suppress(OSError):
                unfinished.unlink()
            raise refusal(fault, name) from None
    if contents:
        sync_folder(folder)


def remove_files(folder: Path, names: list[str]) -> None:
    """Removes files by name and returns when their absence is durable."""
    for name in names:
        try:
            (folder / name).unlink()
        except OSError as fault:
            raise refusal(fault, name) from None
    if names:
        sync_folder(folder)


def make_folder(path: Path) -> None:
    """Makes a folder, if it is not there, and its name durable; its parents too."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        path.mkdir(exist_ok=True)
    except OSError as fault:
        raise refusal(fault, str(path)) from None
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as fault:
        raise refusal(fault, str(path)) from None
