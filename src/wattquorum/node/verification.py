"""Checking many signatures at once: a small pool of threads. PyNaCl releases the interpreter's lock while it checks.

Threads make use of every core while the caller waits for the verdicts. They do not make it possible to execute at the
same time: a thread needs the interpreter's lock between two checks, and one that executes gives it away too seldom.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from wattquorum.foundation.identities import Signed, Verifier, verify_each

CHUNK_MIN: Final = 16  # so many checks outweigh handing them to a thread
CHUNK_MAX: Final = 64  # so few that no thread is waited for for long


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
