"""Writing what a command was asked for, with a refusal instead of a trace when that fails."""

from __future__ import annotations

import errno
from pathlib import Path

from wattquorum.foundation.refusals import Refused


def write_out(path: Path, data: bytes) -> None:
    """Writes a file; Refused("disk_full") or Refused("file_unreadable")."""
    try:
        path.write_bytes(data)
    except OSError as fault:
        code = "disk_full" if fault.errno == errno.ENOSPC else "file_unreadable"
        raise Refused(code, "out", f"{path}: {fault.strerror}") from None
