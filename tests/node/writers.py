"""Writers that are killed: `python -m tests.node.writers dying FOLDER` and `... busy FOLDER`.

The dying one forks a writer for each point at which it kills itself: before, after, or half-way through one of the
calls that change the disk. The busy one writes block after block until somebody kills it. What they acknowledge they
print, as a node tells its clients.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.node.small_chain import fed, small_chain
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import Millis
from wattquorum.ledger.transactions import Deposit
from wattquorum.node.chain_folder import ChainFolder
from wattquorum.node.lone import LoneNode

CALLS = ("pwrite", "fdatasync", "fsync", "rename", "ftruncate", "mkdir", "unlink")


class Countdown:
    """Kills this process at its n-th call that changes the disk."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, self.counted(name, getattr(os, name)))

    def counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if name == "pwrite":
                    descriptor, data, offset = arguments
                    call(descriptor, bytes(data)[: len(data) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counting


def write_and_die(path: Path, calls: int, told: int) -> None:
    Countdown(calls).install()
    chain = small_chain()
    folder = ChainFolder.create(path, chain.genesis, segment_bytes=2_000)
    node = LoneNode(folder, chain.world.proposer, verify_each)
    for height in range(1, len(chain.blocks) + 1):
        for executed in fed(node, height, height):
            os.write(told, b"%d\n" % executed.block.header.height)
    node.close()
    os.write(told, b"closed\n")


def dying(place: Path) -> None:
    """Prints [calls, acknowledged] for each number of calls after which a writer was killed, until one is not."""
    small_chain()  # once, for all children
    calls, killed = 0, True
    while killed:
        calls += 1
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write_and_die(place / str(calls), calls, told)
            finally:
                os._exit(0)
        os.close(told)
        with os.fdopen(heard) as pipe:
            acknowledged = pipe.read().split()
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        print(json.dumps([calls, acknowledged]), flush=True)


def busy(path: Path) -> None:
    """Writes blocks of 20 deposits for ever, and prints height and hash of each once it is durable."""
    world = small_chain().world
    node = LoneNode(ChainFolder(path, writing=True), world.proposer, verify_each)
    while True:
        tip, account = node.ledger.tip, node.ledger.account(world.address("operator"))
        assert tip is not None
        assert account is not None
        now = Millis(tip.time_ms + 1)
        for nonce in range(account.nonce, account.nonce + 20):
            deposit = Deposit(world.address("g"), 1, f"busy-{nonce}")
            refused = node.accept(world.signed("operator", deposit, nonce=nonce, expiry_height=10**6), None, now)
            assert refused is None, refused
        node.cut(now)
        for executed in node.write(now).finished:
            print(executed.block.header.height, node.ledger.tip_hash.hex(), flush=True)


if __name__ == "__main__":
    {"dying": dying, "busy": busy}[sys.argv[1]](Path(sys.argv[2]))
