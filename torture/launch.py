"""Runs `wattquorum` with a wall clock that jumps: `python -m torture.launch CLOCK node run --config FILE`.

CLOCK is a file of eight bytes, how many nanoseconds this process's wall clock is ahead (little-endian, signed), which
may be changed while it runs. What Python calls `time.time` and `time.time_ns` is moved; the monotonic clock is not, as
on a machine whose clock is set.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path
from typing import Final

AHEAD: Final = struct.Struct("<q")


def set_clock(path: Path, ahead_ns: int) -> None:
    """Moves the clock of who runs with this file."""
    if path.exists():
        with path.open("r+b") as file:
            file.write(AHEAD.pack(ahead_ns))
    else:
        path.write_bytes(AHEAD.pack(ahead_ns))


def ahead_ns(path: Path) -> int:
    """How far the clock of who runs with this file is ahead."""
    return int(AHEAD.unpack(path.read_bytes())[0])


def move_clock(path: Path) -> None:
    """Moves this process's clock from now on by what the file says."""
    with path.open("rb") as file:
        ahead = mmap.mmap(file.fileno(), AHEAD.size, access=mmap.ACCESS_READ)
    time_ns = time.time_ns

    def moved_ns() -> int:
        return time_ns() + int(AHEAD.unpack_from(ahead)[0])

    time.time_ns = moved_ns
    time.time = lambda: moved_ns() / 1_000_000_000
    loaded = sys.modules.get("wattquorum.node.steady_clock")
    if loaded is not None:  # in a process that starts warm: it has the real clock as its default already
        loaded.SteadyClock.__init__.__defaults__ = (moved_ns, time.monotonic_ns)


def main() -> None:
    """Moves the clock before anything looks at it, and becomes the command."""
    move_clock(Path(sys.argv[1]))
    del sys.argv[1]
    from wattquorum.cli.app import main as command  # noqa: PLC0415 - what it imports has to see the moved clock

    command()


if __name__ == "__main__":
    main()
