"""The end of a service: every step has its time, and so has the process.

A node that is asked to end may meet a peer that never closes, a disk that never answers or a defect of its own. None of
that may keep its process for ever: who ends it waits, and a node that is neither up nor gone is worse than one that was
killed, from which everything that was told can be recovered. So a step that is not over in time is told, with where
every task stands, and the next one begins; and if even that does not come about, since the loop itself is held up, the
process writes where its threads stand and ends by SIGALRM.

SIGUSR1 makes it write the same at any time, and go on.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

PROCESS_S: Final = 20  # for all steps and whatever threads there are, after which the process ends anyhow
STDERR: Final = 2  # by its number: handlers of signals can write to nothing else

Say = Callable[..., None]


class Step(NamedTuple):
    """Something to be done at the end, for which there is so much time [s]."""

    name: str
    do: Callable[[], Awaitable[Any]]
    seconds: float


def watch_stacks(loop: asyncio.AbstractEventLoop) -> None:
    """SIGUSR1 writes where threads and tasks stand: threads at once, tasks if the loop still turns."""
    loop.add_signal_handler(signal.SIGUSR1, write_tasks, loop)
    faulthandler.register(signal.SIGUSR1, STDERR, all_threads=True, chain=True)


def write_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Writes where every task stands to the standard error."""
    for task in asyncio.all_tasks(loop):
        task.print_stack(file=sys.stderr)


async def end(steps: Sequence[Step], say: Say) -> None:
    """Takes every step in turn, whatever became of those before, and raises the first fault once all are taken.

    From here on the process has PROCESS_S to end, which nothing but its end stops.
    """
    faulthandler.register(signal.SIGALRM, STDERR, all_threads=True, chain=True)  # and then it ends the process
    signal.alarm(PROCESS_S)
    faults: list[Exception] = []
    for name, do, seconds in steps:
        try:
            async with asyncio.timeout(seconds) as limit:
                await do()
        except Exception as fault:  # noqa: BLE001 - it is raised below
            if limit.expired():
                say("not_ended", step=name, seconds=seconds)
                write_tasks(asyncio.get_running_loop())
            else:
                faults.append(fault)
    if faults:
        raise faults[0]
