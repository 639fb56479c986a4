"""Settings: the times and bounds of one replica's engine.

They are no parameters of the ledger: replicas may differ in them without ever deciding differently, since they move
when something happens and never what is allowed to. Sizes bound what one slow or hostile peer can make a replica hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wattquorum.foundation.refusals import Refused

AT_LEAST_ONE: Final = (
    "append_bytes_max",
    "inflight_max",
    "proposals_max",
    "chunk_bytes",
    "snapshot_bytes_max",
    "reads_max",
    "heaviest_for",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in ms, sizes in bytes."""

    election_ms: int = 1_000  # the shortest silence after which a follower campaigns: t_min of A-6
    slot_ms: int = 100  # what one rank waits longer than the one before it, until a leader has measured what it takes
    slot_min_ms: int = 10  # what is measured counts within these bounds
    slot_max_ms: int = 1_000
    heartbeat_ms: int = 100  # how often a leader says that it is there
    append_bytes_max: int = 1 << 20  # of entries in one frame; a single larger entry still goes alone
    inflight_max: int = 64  # frames of that size that a follower has not answered yet
    proposals_max: int = 8  # entries of its own that a leader lets be uncommitted before it wants no more
    chunk_bytes: int = 1 << 18  # of a snapshot in one frame
    snapshot_bytes_max: int = 1 << 30  # of a whole snapshot that a leader may send
    trailing_max: int = 1_024  # entries kept below a snapshot for followers that are a little behind
    reads_max: int = 10_000  # reads that may wait at once
    lease_ms: int = 0  # for how long after a quorum's word a leader answers reads alone; 0: it asks every time
    heaviest_for: int = 3  # installed configurations for which a voter was heaviest before leadership goes to it
    heaviest_margin_ppm: int = 250_000  # by how much of an equal share of power it must be heavier than the leader
    cooldown_ms: int = 10_000  # after a transfer that failed, before the next is tried

    def __post_init__(self) -> None:
        """Refused("out_of_range") for times under which no leader could stay or no lease would be safe, and for bounds
        that would let nothing through."""
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise Refused("out_of_range", name, getattr(self, name), "Choose 1 or more.")
        for name in ("trailing_max", "heaviest_margin_ppm", "cooldown_ms"):
            if getattr(self, name) < 0:
                raise Refused("out_of_range", name, getattr(self, name), "Choose 0 or more.")
        if not 0 < self.heartbeat_ms * 2 <= self.election_ms:
            raise Refused("out_of_range", "heartbeat_ms", self.heartbeat_ms, "Choose at most half of election_ms.")
        if self.slot_ms < 1:
            raise Refused("out_of_range", "slot_ms", self.slot_ms, "Choose 1 ms or more.")
        if not 1 <= self.slot_min_ms <= self.slot_max_ms:
            remedy = f"Choose at least 1 ms and at most slot_max_ms, {self.slot_max_ms}."
            raise Refused("out_of_range", "slot_min_ms", self.slot_min_ms, remedy)
        if not 0 <= self.lease_ms * 2 <= self.election_ms:
            raise Refused("out_of_range", "lease_ms", self.lease_ms, "Choose at most half of election_ms, or 0.")
