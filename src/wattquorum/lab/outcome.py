"""The outcome: how a run of the lab puts its files into a folder, in place of an earlier run's and of nothing else.

A hidden file in the folder lists what runs wrote, with the digest of each file. Whatever is not in that list as it now
is, is somebody's own: then the folder is refused and nothing is touched. One run at a time has a folder; it writes
into a hidden folder inside, and moves its files over when all are there, so that one that is ended leaves the earlier
one's whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.report.shell import write_page

LIST: Final = ".wattquorum.json"
COMING: Final = ".coming"  # what a run has written so far
AWAY: Final = "It is not what an earlier run wrote: move it away, or choose an empty folder or that of an earlier run."
Listed = dict[str, list[str]]  # a file's place in the folder, and the digests that runs gave it


@contextmanager
def outcome(out: Path, kept: Collection[str] = ()) -> Iterator[Path]:
    """A folder to write into, whose files replace those of an earlier run in `out` when the block ends well.

    `kept` are names in `out` that the block itself looks after and that are left as they are. Refused("folder_exists")
    for what no run wrote, Refused("folder_in_use") while another run is at it, Refused("file_unreadable") for a place
    that is no folder, Refused("disk_full"). After a refusal or an end nothing has changed.
    """
    if out.exists() and not out.is_dir():
        raise Refused("file_unreadable", "out", f"{out}: not a folder", "Name a folder, or one that is not there yet.")
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    held = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("folder_in_use", "out", out, "Wait for the other run, or name another folder.") from None
        listed = _checked(out, kept)
        began = not (out / LIST).exists()
        coming = out / COMING
        try:
            if began:
                write_list(out, listed)
            shutil.rmtree(coming, ignore_errors=True)  # of a run that was ended
            coming.mkdir()
            yield coming
            _moved(out, coming, _checked(out, kept))
        except BaseException:
            shutil.rmtree(coming, ignore_errors=True)
            if began and not read_list(out):
                _forget(out, made=made)
            raise
    finally:
        os.close(held)


def check(out: Path, kept: Collection[str] = ()) -> None:
    """Refuses as `outcome` does a folder with what no run wrote."""
    if out.is_dir():
        _checked(out, kept)


def _checked(out: Path, kept: Collection[str]) -> Listed:
    """What is listed; Refused("folder_exists") for anything that is not, or not like that."""
    listed = read_list(out)
    known = {parent.as_posix() for name in listed for parent in Path(name).parents}
    for folder, folders, names in os.walk(out):
        here = Path(folder).relative_to(out)
        if here == Path():
            ours = {*kept, COMING} if (out / LIST).is_file() else {*kept}
            folders[:] = [name for name in folders if name not in ours]
            names = [name for name in names if name not in kept and name != LIST]
        for name in sorted([*names, *folders]):
            path, place = out / here / name, (here / name).as_posix()
            if path.is_dir() and not path.is_symlink():
                strange = place not in known
            else:
                strange = not path.is_file() or path.is_symlink() or digest_of(path) not in listed.get(place, ())
            if strange:
                raise Refused("folder_exists", "out", path, AWAY)
    return listed


def _moved(out: Path, coming: Path, listed: Listed) -> None:
    """Puts every file in its place. Until all are, the list admits both, so that the next run can go on."""
    files = sorted(path for path in coming.rglob("*") if path.is_file())
    new = {path.relative_to(coming).as_posix(): [digest_of(path)] for path in files}
    both = {name: [*listed.get(name, ()), *new.get(name, ())] for name in {**listed, **new}}
    write_list(coming.parent, both)
    for path, name in zip(files, new, strict=True):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        path.replace(out / name)
    for name in listed.keys() - new.keys():
        (out / name).unlink(missing_ok=True)
    for folder in sorted({out / parent for name in listed for parent in Path(name).parents}, reverse=True):
        if folder != out and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    shutil.rmtree(coming)
    write_list(out, new)


def write_list(out: Path, listed: Mapping[str, list[str]]) -> None:
    """Says which files of a folder runs wrote, whole or not at all. Refused("disk_full")."""
    fresh = out / f"{LIST}.new"
    try:
        write_page(fresh, json.dumps({"format": 1, "files": listed}, indent=1, sort_keys=True) + "\n")
        fresh.replace(out / LIST)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def read_list(out: Path) -> Listed:
    """What runs wrote; nothing where no list is, or one that nobody can read."""
    try:
        found = json.loads((out / LIST).read_text(encoding="utf-8"))["files"]
        return {str(name): [str(each) for each in digests] for name, digests in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _forget(out: Path, *, made: bool) -> None:
    (out / LIST).unlink(missing_ok=True)
    if made and not any(out.iterdir()):
        out.rmdir()


def digest_of(path: Path) -> str:
    """What a file holds, in short."""
    return sha256(path.read_bytes()).hexdigest()
