"""A process that checks signatures for another one: what it is asked comes in at its input, verdicts go out.

It stands apart because it is run by itself, `python -m wattquorum.node.checker`, and loads nothing but what checking
needs. A question is its length in four bytes and the encoded checks; the answer is one byte for each, 1 or 0. The
process ends when its input does, so that none outlives who asks, however that one ended.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Final

from wattquorum.foundation.codec import Decoder, encode
from wattquorum.foundation.identities import Signed, verify_each

LENGTH_BYTES: Final = 4

_questions: Final = Decoder[list[Signed]](list[Signed], "checks")


def question(checks: Sequence[Signed]) -> bytes:
    """Checks as the bytes that a process is asked with."""
    data = encode(checks)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Answers question after question until there are no more."""
    while length := int.from_bytes(asked.read(LENGTH_BYTES), "big"):
        data = asked.read(length)
        if len(data) < length:  # who asks has ended
            break
        told.write(bytes(verify_each(_questions.decode(data))))
        told.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks is interrupted, and ends this
    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)
