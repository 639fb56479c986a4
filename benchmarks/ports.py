"""Ports on the loopback that nobody listens at, for what a benchmark starts."""

from __future__ import annotations

import random
import socket


def free(count: int) -> list[int]:
    """So many, anywhere."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def free_row(count: int) -> int:
    """The first of so many in a row."""
    while True:
        first = random.randrange(20_000, 30_000)
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
