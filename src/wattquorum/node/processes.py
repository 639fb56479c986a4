"""Processes: the nodes of a community on this machine, each in a process of its own, which end with their owner.

Each runs `wattquorum node run` in a session of its own, so that Ctrl-C reaches the owner alone, which ends the nodes in
order. Who started them and was killed could not end them: beside each node's configuration stands the id of its
process, by which the next owner finds what still runs there, and ends it before anything is removed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from wattquorum.foundation.refusals import Refused

NODE_FILE: Final = "node.toml"
LOG: Final = "node.log"
PROCESS: Final = "process"
STOP_S: Final = 15.0
LOOK_S: Final = 0.05


class Processes:
    """Nodes that run, by their number."""

    def __init__(self, nodes: Sequence[Path]) -> None:
        self.nodes = tuple(nodes)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Starts a process for each node's folder."""
        for node in self.nodes:
            self._started.append(_started(node))

    def running(self) -> list[int]:
        """The numbers of those that have not ended."""
        return [number for number, each in enumerate(self._started) if each.poll() is None]

    def stop(self) -> None:
        """Asks all to end, which hand over what they lead, and kills what does not within a time."""
        for each in self._started:
            if each.poll() is None:
                each.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_S
        for node, each in zip(self.nodes, self._started, strict=False):
            try:
                each.wait(max(until - time.monotonic(), LOOK_S))
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
            (node / PROCESS).unlink(missing_ok=True)


@contextmanager
def processes(nodes: Sequence[Path]) -> Iterator[Processes]:
    """Nodes that run as long as the context lasts, however it is left, SIGTERM included."""
    before = signal.getsignal(signal.SIGTERM)
    with suppress(ValueError):  # only the main thread hears signals
        signal.signal(signal.SIGTERM, _interrupted)
    try:
        started = Processes(nodes)
        try:
            started.start()
            yield started
        finally:
            started.stop()
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, before)


def _interrupted(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _started(node: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "wattquorum", "node", "run", "--config", str(node / NODE_FILE)]
    with (node / LOG).open("ab") as log:
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (node / PROCESS).write_text(f"{started.pid}\n", encoding="ascii")
    return started


def end_left_over(nodes: Sequence[Path]) -> int:
    """Ends what an owner that was killed left running in these folders; how many there were.

    Only a process that runs this very configuration is touched. Refused("chain_in_use") for one that does not end.
    """
    found = [(node, process) for node in nodes if (process := _left_over(node)) is not None]
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        for _, process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal_)
        until = time.monotonic() + STOP_S
        while any(_left_over(node) for node, _ in found) and time.monotonic() < until:
            time.sleep(LOOK_S)
    for node, process in found:
        if _left_over(node) is not None:
            raise Refused("chain_in_use", "process", process, f"End it; it runs {node / NODE_FILE}.")
    return len(found)


def _left_over(node: Path) -> int | None:
    """The process that runs a node's configuration, if it is the one that was started last and still runs."""
    try:
        process = int((node / PROCESS).read_text(encoding="ascii"))
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return process if str(node / NODE_FILE).encode() in words else None
