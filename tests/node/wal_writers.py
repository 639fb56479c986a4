"""Writers of a log that are killed: `python -m tests.node.wal_writers dying FOLDER` and `... busy FOLDER`.

The dying one forks a writer for each call that changes the disk, which kills itself there; of a write it does half. The
busy one syncs in a thread while it goes on writing, until somebody kills it. What is durable they print.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wattquorum.consensus.engine import Durable
from wattquorum.node.wal import Wal

CHAIN = bytes(range(16))
SEGMENT = 2_000
CALLS = ("pwrite", "fdatasync", "fsync", "rename", "ftruncate", "posix_fallocate", "unlink")
BATCHES = 12


def record(position: int) -> Durable:
    """The same at every writer: some are larger than a segment, every 50th is an origin."""
    size = 3_000 if position % 41 == 0 else position * 7 % 90
    return Durable(position, position.to_bytes(8, "big") + bytes([position % 251]) * size, position % 50 == 0)


def batch(after: int) -> list[Durable]:
    return [record(position) for position in range(after + 1, after + 2 + after % 9)]


def dying_at(call: int) -> None:
    left = call

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                if name == "pwrite":
                    descriptor, data, offset = arguments
                    real(descriptor, bytes(data)[: len(data) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return counting

    for name in CALLS:
        setattr(os, name, counted(name, getattr(os, name)))


def write_and_die(folder: Path, call: int, told: int) -> None:
    dying_at(call)
    with Wal(folder, CHAIN, segment_bytes=SEGMENT) as wal:
        for _ in range(BATCHES):
            wal.write(batch(wal.written))
            wal.write(batch(wal.written))
            os.write(told, b"%d\n" % wal.sync())


def dying(place: Path) -> None:
    """Prints [call, durable] for each call at which a writer was killed, until one is not."""
    call, killed = 0, True
    while killed:
        call += 1
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write_and_die(place / str(call), call, told)
            finally:
                os._exit(0)
        os.close(told)
        with os.fdopen(heard) as pipe:
            durable = [int(line) for line in pipe.read().split()]
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        print(json.dumps([call, durable[-1] if durable else 0]), flush=True)


def busy(folder: Path) -> None:
    with Wal(folder, CHAIN, segment_bytes=20_000) as wal, ThreadPoolExecutor(1) as pool:
        running = pool.submit(wal.sync)
        while True:
            wal.write(batch(wal.written))
            if running.done():
                print(running.result(), flush=True)
                running = pool.submit(wal.sync)


if __name__ == "__main__":
    {"dying": dying, "busy": busy}[sys.argv[1]](Path(sys.argv[2]))
