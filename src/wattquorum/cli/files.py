"""Files and databases that a command was given: a sentence with its remedy instead of a trace when they do not work."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wattquorum.foundation.refusals import Refused

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around writing a file that was asked for; Refused("disk_full") or Refused("file_unreadable")."""
    try:
        yield
    except OSError as fault:
        raise _unwritable(path, fault) from None
    except Refused as refused:
        if isinstance(refused.__cause__, OSError):
            raise _unwritable(path, refused.__cause__) from None
        raise


def _unwritable(path: Path, fault: OSError) -> Refused:
    if fault.errno == errno.ENOSPC:
        return Refused("disk_full", "out", f"{path}: {fault.strerror}")
    remedy = "Choose a file that can be written, in a folder that exists."
    return Refused("file_unreadable", "out", f"{path}: {fault.strerror}", remedy)


@contextmanager
def database(place: str | Path) -> Iterator[None]:
    """Around the use of records that were asked for; Refused("file_unreadable") when no database answers there."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as fault:
        raise _unusable(place, fault) from None
    except Refused as refused:
        if refused.code == "file_unreadable" and isinstance(refused.__cause__, SQLAlchemyError):
            raise _unusable(place, refused.__cause__) from None
        raise
    except ModuleNotFoundError as fault:
        if "://" not in str(place):
            raise
        remedy = f"Install {fault.name}, the driver of this database, or give the path of a SQLite file."
        raise Refused("file_unreadable", "records", place, remedy) from None


def is_of_database(fault: Exception) -> bool:
    """Whether a database raised it."""
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(fault, SQLAlchemyError)


def _unusable(place: str | Path, fault: SQLAlchemyError) -> Refused:
    from sqlalchemy.exc import DBAPIError

    said = fault.orig if isinstance(fault, DBAPIError) else fault
    remedy = "Give the path of market.sqlite or a database URL."
    return Refused("file_unreadable", "records", f"{place}: {said}", remedy)
