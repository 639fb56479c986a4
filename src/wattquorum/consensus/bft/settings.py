"""Settings: the times and bounds of one replica's engine.

They are no parameters of the ledger: replicas may differ in them without ever deciding differently. Sizes bound what a
slow or lying peer can make a replica hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wattquorum.foundation.refusals import Refused

AT_LEAST_ONE: Final = (
    "timeout_ms",
    "resend_ms",
    "fetch_ms",
    "poll_ms",
    "censor_ms",
    "blocks_kept",
    "behind_max",
    "snapshot_bytes_max",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in ms, sizes in bytes."""

    timeout_ms: int = 1_000  # how long a view may take for a block; doubled per view without a commit
    timeout_max_ms: int = 64_000
    resend_ms: int = 250  # how often what is not certified is said again
    fetch_ms: int = 100  # how long a later height is waited out, and then how long a peer has to answer
    poll_ms: int = 1_000  # how often some other member's tip is asked for
    skew_ms: int = 2_000  # how far a first proposal's time may be from now
    censor_ms: int = 10_000  # how long what waits may be left out of blocks with room
    block_bytes_max: int = 1 << 24  # of a block with its certificate
    chunk_bytes: int = 1 << 20  # of blocks in one answer; a single larger one goes alone
    blocks_kept: int = 64  # of the chain, in memory
    behind_max: int = 1_024  # blocks that are fetched one by one; who is further behind asks for a state
    snapshot_bytes_max: int = 1 << 30  # of a state that is taken over
    reads_max: int = 10_000  # reads that may wait at once

    def __post_init__(self) -> None:
        """Refused("out_of_range") for times under which views could not end or nothing would be said."""
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise Refused("out_of_range", name, getattr(self, name), "Choose 1 or more.")
        if self.timeout_max_ms < self.timeout_ms:
            raise Refused("out_of_range", "timeout_max_ms", self.timeout_max_ms, "Choose at least timeout_ms.")
        if self.skew_ms < 0:
            raise Refused("out_of_range", "skew_ms", self.skew_ms, "Choose 0 or more.")
