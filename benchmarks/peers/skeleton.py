"""The skeleton: what processes in Python can do at best, for there is nothing in it. NOT a consensus.

Three processes: one sends batches of entries to two others, all three write them to a file that was filled before, with
one fdatasync for each batch, and two of three answers decide. No elections, no terms, no checks, no encryption, no way
to start again. Clients speak as to our nodes, so the same program loads it.

    python -m benchmarks.peers.skeleton FOLDER        prints the port for clients; ends when its input does
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, cast

from benchmarks.loops import DONE, LENGTH, run_loop
from wattquorum.foundation.codec import encode

FILE_BYTES: Final = 128 << 20
BATCHES_MAX: Final = 2  # under way
REPLICAS: Final = 3


class File:
    """Where batches are made durable, from the beginning again when it is full."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        for at in range(0, FILE_BYTES, 1 << 20):
            os.pwrite(self._descriptor, bytes(1 << 20), at)
        os.fsync(self._descriptor)
        self._at = 0

    def keep(self, data: bytes) -> None:
        if self._at + len(data) > FILE_BYTES:
            self._at = 0
        os.pwrite(self._descriptor, data, self._at)
        self._at += len(data)
        os.fdatasync(self._descriptor)


class Framed(asyncio.Protocol):
    """A connection of frames with four bytes of length each."""

    def __init__(self) -> None:
        self._rest = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data, at, found = self._rest + data if self._rest else data, 0, []
        while len(data) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, at)
            if len(data) - at - LENGTH.size < length:
                break
            found.append(data[at + LENGTH.size : at + LENGTH.size + length])
            at += LENGTH.size + length
        self._rest = data[at:]
        if found:
            self.came(found)

    def came(self, frames: list[bytes]) -> None:
        """Whole frames have come."""
        raise NotImplementedError


class Follower(Framed):
    """Keeps what comes and says up to which batch."""

    def __init__(self, file: File) -> None:
        super().__init__()
        self._file, self._kept = file, 0

    def came(self, frames: list[bytes]) -> None:
        self._file.keep(b"".join(frames))
        self._kept += len(frames)
        self.transport.write(LENGTH.pack(8) + self._kept.to_bytes(8, "big"))


class Leader:
    """Sends what clients want as batches, and tells them."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self.kept = [0] * REPLICAS  # batches, by replica; its own first
        self.followers: list[asyncio.Transport] = []
        self._waiting: list[bytes] = []
        self._askers: list[tuple[asyncio.Transport, int]] = []
        self._batches: list[list[tuple[asyncio.Transport, int]]] = []
        self._sent = self._decided = 0
        self._scheduled = False

    def want(self, asker: asyncio.Transport, entries: list[bytes]) -> None:
        self._waiting += entries
        self._askers.append((asker, len(entries)))
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and len(self._batches) < BATCHES_MAX:
            self._scheduled = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._scheduled = False
        batch = encode(self._waiting)
        self._batches.append(self._askers)
        self._waiting, self._askers = [], []
        self._sent += 1
        for follower in self.followers:
            follower.write(LENGTH.pack(len(batch)) + batch)
        self._loop.call_soon(self._keep, batch, self._sent)

    def _keep(self, batch: bytes, number: int) -> None:
        self._file.keep(batch)
        self.told(0, number)

    def told(self, replica: int, number: int) -> None:
        """A replica has so many batches."""
        self.kept[replica] = number
        decided = sorted(self.kept)[1]
        while self._decided < decided:
            self._decided += 1
            for asker, count in self._batches.pop(0):
                asker.write(DONE * count)
        self._schedule()


class ToFollower(Framed):
    """The leader's end of a connection to a follower."""

    def __init__(self, leader: Leader, replica: int) -> None:
        super().__init__()
        self._leader, self._replica = leader, replica

    def came(self, frames: list[bytes]) -> None:
        self._leader.told(self._replica, int.from_bytes(frames[-1], "big"))


class Client(Framed):
    """A connection of clients."""

    def __init__(self, leader: Leader) -> None:
        super().__init__()
        self._leader = leader

    def came(self, frames: list[bytes]) -> None:
        self._leader.want(self.transport, frames)


async def follow(path: Path) -> None:
    """A follower, until the process is ended."""
    file = File(path)
    server = await asyncio.get_running_loop().create_server(lambda: Follower(file), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def lead(path: Path, ports: list[int]) -> None:
    """The leader, until the process is ended."""
    loop, leader = asyncio.get_running_loop(), Leader(File(path))
    for replica, port in enumerate(ports, 1):
        transport, _ = await loop.create_connection(
            lambda replica=replica: ToFollower(leader, replica),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        leader.followers.append(transport)
    server = await loop.create_server(lambda: Client(leader), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """The command."""
    folder, *ports = sys.argv[1:]
    if ports == ["follow"]:
        run_loop(follow(Path(folder)))
    elif ports:
        run_loop(lead(Path(folder), [int(port) for port in ports]))
    else:
        started: list[subprocess.Popen[str]] = []

        def start(name: str, *words: str) -> str:
            command = [sys.executable, "-m", "benchmarks.peers.skeleton", str(Path(folder) / name), *words]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
            started.append(process)
            assert process.stdout is not None
            return process.stdout.readline().strip()

        try:
            places = [start(f"follower-{number}", "follow") for number in range(1, REPLICAS)]
            print(start("leader", *places), flush=True)
            sys.stdin.read()
        finally:
            for process in started:
                process.kill()
                process.wait()


if __name__ == "__main__":
    main()
