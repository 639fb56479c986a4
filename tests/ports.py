"""Ports on the loopback for nodes that a test starts."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from random import SystemRandom

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on, below those that outgoing connections are given.

    By a random source of its own, so that tests side by side, which hypothesis begins alike, take others.
    """
    while True:
        first = SystemRandom().randrange(10_000, 32_000)
        with ExitStack() as probes, suppress(OSError):
            for port in range(first, first + count):
                probes.enter_context(socket.socket()).bind((LOOPBACK, port))
            return first


def free_port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)
