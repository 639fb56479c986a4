"""Disks that fill: small tmpfs under the folders of some nodes, a limit on the size of files for the others.

On a tmpfs the data folder is what is full: it is made as small as what is in it, so that not a page is left. It has to
be mounted, in a mount namespace of the torture's own (`unshare`), from which nothing is left when it ends. The limit
(RLIMIT_FSIZE, set on the running process from outside) needs no root: no file can be written beyond it, which a node is
told as it is told of a full disk, also in the middle of a write and in the middle of its log.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

DISK_BYTES: Final = 400 << 20  # segments of the log are allocated ahead, and one more while an old one goes
PAGE_BYTES: Final = 4096


class Disks:
    """Where the folders of the slots are, and how they are filled."""

    def __init__(self, folders: list[Path], small: Collection[int]) -> None:
        """These folders, of which those of `small` are moved onto small disks of their own."""
        self._folders = folders
        self._small = [slot for slot in range(len(folders)) if slot in small]
        self._full: dict[int, int] = {}  # slots, and the limit on their files
        for slot in self._small:
            folder, aside = folders[slot], folders[slot].with_suffix(".aside")
            folder.rename(aside)
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "none", str(folder)]
            subprocess.run(command, check=True, capture_output=True)
            shutil.copytree(aside, folder, dirs_exist_ok=True)
            shutil.rmtree(aside)

    def fill(self, slot: int, pid: int | None, limit_bytes: int) -> None:
        """No room from now on: to the last byte, or beyond this size of files where the disk is not small."""
        self._full[slot] = limit_bytes
        if slot not in self._small:
            self.started(slot, pid)
            return
        used = os.statvfs(self._folders[slot])
        self._resize(slot, (used.f_blocks - used.f_bfree) * used.f_frsize)

    def free(self, slot: int, pid: int | None) -> None:
        """There is room again."""
        if self._full.pop(slot, None) is None:
            return
        if slot in self._small:
            self._resize(slot, DISK_BYTES)
        else:
            _limit(pid, resource.RLIM_INFINITY)

    def _resize(self, slot: int, size_bytes: int) -> None:
        options = f"remount,size={max(size_bytes, PAGE_BYTES)}"
        subprocess.run(["mount", "-o", options, str(self._folders[slot])], check=False, capture_output=True)

    def is_full(self, slot: int) -> bool:
        """Whether there is no room."""
        return slot in self._full

    def started(self, slot: int, pid: int | None) -> None:
        """A process of this slot's has started: its disk is as full as before."""
        if slot in self._full and slot not in self._small:
            _limit(pid, self._full[slot])

    def stop(self, *, keep: bool) -> None:
        """Takes the small disks away; what is on them is copied to where they were, or lost."""
        for slot in self._small:
            folder, aside = self._folders[slot], self._folders[slot].with_suffix(".aside")
            if keep:
                subprocess.run(["cp", "-a", "--sparse=always", str(folder), str(aside)], check=True)
            subprocess.run(["umount", str(folder)], check=False, capture_output=True)
            if keep:
                folder.rmdir()
                aside.rename(folder)
        self._small = []


def _limit(pid: int | None, limit_bytes: int) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
