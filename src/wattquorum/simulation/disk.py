"""Disks: what a simulated host keeps when it crashes.

Records are written as the bytes of the log format that real disks hold, and read back with the code that reads those.
What was not synced when the host crashed is lost, kept or torn: any prefix of it may be there, and the last sectors
may hold something else. What was synced is there for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wattquorum.consensus.engine import Durable
from wattquorum.foundation.chance import Chance
from wattquorum.replica.log_format import SEGMENT_HEAD_BYTES, Fault, framed, frames, head_fault, segment_head

SECTOR: Final = 512


class Segment:
    """A file: its first record's position, its bytes, how many of them are synced, and where later records end."""

    __slots__ = ("data", "first", "last", "synced", "unsynced")

    def __init__(self, chain_id: bytes, first: int) -> None:
        self.first = first
        self.last = first - 1  # the last record written
        self.data = bytearray(segment_head(chain_id, first))
        self.synced = 0
        self.unsynced: list[tuple[int, int]] = []  # (position, end)


class Disk:
    """The record log of one host."""

    __slots__ = ("_chain_id", "_segments")

    def __init__(self, chain_id: bytes) -> None:
        self._chain_id = chain_id
        self._segments: list[Segment] = []

    def write(self, records: Sequence[Durable]) -> None:
        """Writes records, each an origin or not, as one batch; nothing of it is safe before `synced`."""
        batch = records[0].position
        for record in records:
            if not self._segments or record.origin:
                self._segments.append(Segment(self._chain_id, record.position))
                batch = record.position
            segment = self._segments[-1]
            segment.data += framed(segment.first, len(segment.data), batch, [record.data])
            segment.last = record.position
            segment.unsynced.append((record.position, len(segment.data)))

    @property
    def last(self) -> int:
        """The position of the last record that was written."""
        return self._segments[-1].last if self._segments else 0

    def synced(self, position: int) -> None:
        """Everything written up to this position survives from now on; what an origin made superfluous is deleted."""
        for segment in self._segments:
            covered = [end for at, end in segment.unsynced if at <= position]
            if covered:
                segment.synced = covered[-1]
                del segment.unsynced[: len(covered)]
        while len(self._segments) > 1 and self._segments[1].first <= position:
            del self._segments[0]

    def crash(self, chance: Chance) -> None:
        """Of what was not synced, any prefix is left, and the sectors where it ends may hold anything."""
        for number, segment in enumerate(self._segments):
            unsynced = len(segment.data) - segment.synced
            kept = segment.synced + chance.below(unsynced + 1)
            if kept == len(segment.data) and chance.happens(500_000):
                continue
            del segment.data[kept:]
            if kept > segment.synced and chance.happens(300_000):  # a torn sector
                start = max(segment.synced, kept - SECTOR)
                for at in range(start, kept):
                    segment.data[at] ^= chance.below(256)
            del self._segments[number + 1 :]  # a file is created after the one before it was written
            break

    def read(self) -> list[Durable]:
        """The records that are there, once what is torn is cut off. Damage to what was synced fails loudly."""
        found: list[Durable] = []
        for number, segment in enumerate(self._segments):
            data = bytes(segment.data)
            if len(data) < SEGMENT_HEAD_BYTES or head_fault(data, self._chain_id, segment.first):
                if segment.synced:
                    raise AssertionError("a synced segment lost its head")
                del self._segments[number:]
                break
            segment.last = segment.first - 1
            for frame in frames(data, segment.first):
                if isinstance(frame, Fault):
                    if frame.offset < segment.synced or not frame.torn:
                        raise AssertionError(f"synced records are damaged: {frame}")
                    del segment.data[frame.offset :]
                    break
                origin = frame.height == segment.first > 1
                found.append(Durable(frame.height, data[frame.data_start : frame.end], origin))
                segment.last = frame.height
            if number and segment.last < segment.first:
                # Its origin was never safe. What is written now may be none, and then needs what came before it.
                del self._segments[number:]
                break
            segment.synced, segment.unsynced = len(segment.data), []
        return found
