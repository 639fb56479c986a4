"""Checking many signatures at once: a small pool of threads. PyNaCl releases the interpreter's lock while it checks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from wattquorum.foundation.identities import Signed, Verifier, is_signed, verify_each

CHUNK: Final = 64  # so many checks outweigh handing them to a thread


@contextmanager
def threads(workers: int | None = None) -> Iterator[Verifier]:
    """A verifier over `workers` threads, one for each core by default; the threads end with the context."""
    with ThreadPoolExecutor(workers or os.cpu_count() or 1, "verify") as pool:

        def verify(checks: Sequence[Signed]) -> list[bool]:
            if len(checks) <= CHUNK:
                return verify_each(checks)
            chunks = [checks[i : i + CHUNK] for i in range(0, len(checks), CHUNK)]
            return [verdict for verdicts in pool.map(_verify_chunk, chunks) for verdict in verdicts]

        yield verify


def _verify_chunk(checks: Sequence[Signed]) -> list[bool]:
    return [is_signed(check) for check in checks]
