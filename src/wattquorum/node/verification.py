"""Checking many signatures at once: over a small pool of threads, or over processes beside it.

PyNaCl releases the interpreter's lock while it checks, so that threads make use of every core while the caller waits
for the verdicts. They do not make it possible to execute at the same time: a thread needs the interpreter's lock
between two checks, and one that executes gives it away too seldom. Processes do. They take some tenths of a second to
start and are worth it where thousands of signatures are checked, as in an audit or when a node starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from fcntl import F_SETPIPE_SZ, fcntl
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Final

from wattquorum.foundation.identities import Signed, Verifier, verify_each
from wattquorum.node.checker import question

CHUNK_MIN: Final = 16  # so many checks outweigh handing them to a thread
CHUNK_MAX: Final = 64  # so few that no thread is waited for for long
MANY: Final = 32  # so many checks outweigh asking a process for them, and are asked for at a time
PROCESSES_MAX: Final = 2  # they check faster than one thread executes
PIPE_BYTES: Final = 1 << 20  # a pipe holds what is asked ahead, so that asking does not wait for answers
UNANSWERED_MAX: Final = 4_096  # checks asked of a process; a pipe of any size holds so many verdicts


@contextmanager
def threads(workers: int | None = None) -> Iterator[Verifier]:
    """A verifier over `workers` threads, one for each core by default; the threads end with the context."""
    number = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(number, "verify") as pool:

        def verify(checks: Sequence[Signed]) -> list[bool]:
            size = min(CHUNK_MAX, max(CHUNK_MIN, -(-len(checks) // number)))
            if number == 1 or len(checks) <= size:
                return verify_each(checks)
            chunks = [checks[i : i + size] for i in range(0, len(checks), size)]
            return [verdict for verdicts in pool.map(verify_each, chunks) for verdict in verdicts]

        yield verify


@contextmanager
def processes(workers: int | None = None) -> Iterator[Verifier]:
    """A verifier that checks many signatures in processes while the caller goes on, and few of them by `threads`.

    There are as many processes as cores beside the caller's, two at most; where there is no other core, threads check
    everything. They start when many signatures are to be checked for the first time, which are still checked by
    threads, and end with the context. A verdict that cannot be had any more raises CheckerEnded.
    """
    number = min(PROCESSES_MAX, (os.cpu_count() or 1) - 1) if workers is None else workers
    with threads() as few, ExitStack() as ends:
        checkers: list[_Checker] = []
        starting = Lock()

        def verify(checks: Sequence[Signed]) -> Iterable[bool]:
            if not number or len(checks) < MANY:
                return few(checks)
            with starting:
                if not checkers:
                    checkers.extend([ends.enter_context(closing(_Checker())) for _ in range(number)])
                    return few(checks)
            chunks = [checks[i : i + MANY] for i in range(0, len(checks), MANY)]
            asked = [checkers[place % number].ask(chunk) for place, chunk in enumerate(chunks)]
            return chain.from_iterable(map(_Asked.verdicts, asked))

        yield verify


class CheckerEnded(RuntimeError):
    """A process that checks signatures ended before it had answered."""


class _Asked:
    """Checks that a process was asked for; `answer` is empty until it has come."""

    __slots__ = ("answer", "checker", "number")

    def __init__(self, checker: _Checker, number: int) -> None:
        self.checker = checker
        self.number = number
        self.answer = b""

    def verdicts(self) -> Iterator[bool]:
        """One verdict for each check, once they have come."""
        self.checker.wait(self)
        return map(bool, self.answer)


class _Checker:
    """A process that checks. It answers in the order in which it is asked; several threads may ask."""

    __slots__ = ("_input", "_lock", "_output", "_process", "_unanswered", "_waiting")

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "wattquorum.node.checker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(place).resolve()) for place in sys.path)},
            process_group=0,  # Ctrl-C is for the caller alone, who ends this
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        with suppress(OSError):  # a smaller pipe does as well, if more slowly
            fcntl(self._input, F_SETPIPE_SZ, PIPE_BYTES)
        self._lock = Lock()
        self._waiting = deque[_Asked]()
        self._unanswered = 0  # checks

    def ask(self, checks: Sequence[Signed]) -> _Asked:
        """Asks without waiting, unless very much was asked before."""
        asked = _Asked(self, len(checks))
        with self._lock, self._whole():
            while self._unanswered and self._unanswered + asked.number > UNANSWERED_MAX:
                self._read()
            self._input.write(question(checks))
            self._input.flush()
            self._waiting.append(asked)
            self._unanswered += asked.number
        return asked

    def wait(self, asked: _Asked) -> None:
        """Waits until this was answered, and with it what was asked before it."""
        with self._lock:
            if not asked.answer:
                with self._whole():
                    while not asked.answer:
                        self._read()

    def _read(self) -> None:
        first = self._waiting[0]
        answer = self._output.read(first.number)
        if len(answer) < first.number:
            raise BrokenPipeError
        self._waiting.popleft().answer = answer
        self._unanswered -= first.number

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What is written or read here is so to its end, or never again: no verdict may be taken for another's."""
        try:
            if self._process.returncode is not None:
                raise BrokenPipeError
            yield
        except BrokenPipeError:
            self.close()
            said = f"A process that checks signatures ended with status {self._process.returncode}. Start again."
            raise CheckerEnded(said) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the process, whatever it is doing: nobody waits for what it was asked."""
        self._process.kill()
        self._process.wait()
        self._output.close()
        with suppress(BrokenPipeError):
            self._input.close()
