"""Random streams: one for each purpose, so that nobody's luck depends on what somebody else did.

A stream is named, not numbered: its state comes from SHA-256 over the seed and the names. Who joins, leaves or draws
more often changes no other stream, and the same seed gives the same numbers on every run. Randomness lives on this
floor alone; what it leads to becomes signed transactions like anybody's.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

_DOMAIN: Final = b"wattquorum stream"


def stream(seed: int, *names: str) -> np.random.Generator:
    """The generator (PCG64) of these names under a seed: the same names give the same numbers, others independent ones.

    Every part is hashed with its length, so that ("ab", "c") and ("a", "bc") are two streams.
    """
    digest = hashlib.sha256(_DOMAIN)
    for part in (str(seed), *names):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest.digest(), "big")))
