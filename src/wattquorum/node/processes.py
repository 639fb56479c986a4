"""Processes: the nodes of a community on this machine, each in a process of its own, which end with their owner.

Each runs `wattquorum node run` in a session of its own, so that Ctrl-C reaches the owner alone, which ends the nodes in
order. Who started them and was killed could not end them: beside each node's configuration stands the id of its
process, by which the next owner finds what still runs there, and ends it before anything is removed. A folder of nodes
has one owner at a time, so that what it finds has none any more.
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
from wattquorum.node.chain_files import locked
from wattquorum.node.disk import make_folder

NODE_FILE: Final = "node.toml"
LOG: Final = "node.log"
PROCESS: Final = "process"
STOP_S: Final = 22.0  # a process ends itself after 20 s, and says where it stood (`api.ending`)
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

    def ended(self) -> dict[int, int]:
        """Those that have ended, by number: with which exit status, or minus the signal that ended them."""
        statuses = {number: each.poll() for number, each in enumerate(self._started)}
        return {number: status for number, status in statuses.items() if status is not None}

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
            _forget(node, each.pid)


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """A folder of nodes that nobody else starts or ends as long as the context lasts; it is made when it is not there.

    Refused("chain_in_use") with the process that has it now.
    """
    made = not folder.exists()
    make_folder(folder)
    try:
        descriptor = locked(folder, writing=True)
    except Refused as refused:
        if refused.code != "chain_in_use":
            raise
        owner = _noted(folder)
        who = f"{folder}, by process {owner}" if owner is not None else folder
        raise Refused("chain_in_use", "folder", who, "Its nodes run there; end that process first.") from None
    try:
        _note(folder, os.getpid())
        yield
    finally:
        _forget(folder, os.getpid())
        if made:
            with suppress(OSError):  # it is kept unless nothing came of it
                folder.rmdir()
        os.close(descriptor)


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
    command = [sys.executable, "-m", "wattquorum", "node", "run", "--config", str((node / NODE_FILE).resolve())]
    with (node / LOG).open("ab") as log:
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    _note(node, started.pid)
    return started


def _note(folder: Path, process: int) -> None:
    (folder / PROCESS).write_text(f"{process}\n", encoding="ascii")


def _noted(folder: Path) -> int | None:
    try:
        return int((folder / PROCESS).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _forget(folder: Path, process: int) -> None:
    """Removes a note of this process; another one's is left."""
    if _noted(folder) == process:
        (folder / PROCESS).unlink(missing_ok=True)


def end_left_over(nodes: Sequence[Path]) -> int:
    """Ends what an owner that was killed left running in these folders; how many there were.

    Only a process that runs this very configuration is touched. Whoever calls this owns the folder: see `owned`.
    Refused("chain_in_use") for one that does not end.
    """
    found = [(node, process) for node in nodes if (process := _left_over(node)) is not None]
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        for node, process in found:
            if _left_over(node) == process:
                with suppress(ProcessLookupError):
                    os.kill(process, signal_)
        until = time.monotonic() + STOP_S
        while not all(_has_ended(process) for _, process in found) and time.monotonic() < until:
            time.sleep(LOOK_S)
    for node, process in found:
        if _left_over(node) is not None:
            raise Refused("chain_in_use", "process", process, f"End it; it runs {node / NODE_FILE}.")
        _forget(node, process)
    return len(found)


def _has_ended(process: int) -> bool:
    """Whether a process has closed its files, ports and locks too: it forgets its command line before these."""
    try:
        stats = [path.read_text("ascii", "replace") for path in Path(f"/proc/{process}/task").glob("*/stat")]
    except OSError:
        return False  # it ends just now
    return all(stat.rpartition(") ")[2][:1] in "ZX" for stat in stats)


def _left_over(node: Path) -> int | None:
    """The process that runs a node's configuration, if it is the one that was started last and still runs."""
    process = _noted(node)
    if process is None:
        return None
    at = Path(f"/proc/{process}")
    try:
        words = (at / "cmdline").read_bytes().split(b"\0")
        before = at / "cwd"  # paths are as the process was told them, from where it stands
        named = [(before / os.fsdecode(word)).resolve() for word in words if word.endswith(os.fsencode(NODE_FILE))]
    except OSError:
        return None
    return process if (node / NODE_FILE).resolve() in named else None
