"""Nodes that start warm: forked from a process that has loaded everything, instead of loading it each time.

A node's start costs most of a second of a core, nearly all of it for loading; where thousands of starts are wanted that
is what limits them. What is forked has opened nothing and started no thread; it becomes the same command as a cold
start, and is ended as hard.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import IO, Final

LOADED: Final = [
    *(
        "torture.clients",
        "torture.judge",
        "wattquorum.simulation.liars",
        "torture.lossy",
        "torture.namespaces",
        "torture.trouble",
        "rich.live",
    ),
    *(
        "wattquorum.cli.app",
        "wattquorum.cli.nodes",
        "wattquorum.api.service",
        "wattquorum.node.config",
        "wattquorum.node.verification",
    ),
    *("uvloop", "uvicorn.loops.auto", "uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto"),
]
_context: Final = get_context("forkserver")
_context.set_forkserver_preload(LOADED)


def _become(said: Connection, module: str, arguments: list[str]) -> None:
    for descriptor in (1, 2):
        os.dup2(said.fileno(), descriptor)
    said.close()
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)  # it is run as a command, whatever was loaded under its name
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class Warm:
    """A process, as `subprocess.Popen` has it."""

    def __init__(self, module: str, arguments: list[str]) -> None:
        heard, said = _context.Pipe(duplex=False)
        self._process: ForkServerProcess = _context.Process(target=_become, args=(said, module, arguments))
        self._process.start()
        said.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.stdout: IO[bytes] = os.fdopen(os.dup(heard.fileno()), "rb")
        heard.close()

    def poll(self) -> int | None:
        """Its status, if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its status, once it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a node", timeout or 0)
        return self._process.exitcode

    def send_signal(self, what: signal.Signals) -> None:
        """Sends it a signal, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, what)

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def terminate(self) -> None:
        """Asks it to end."""
        self._process.terminate()
