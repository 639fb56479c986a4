"""Offices: what the state keeps of groups, of votes in them, and of the agents who agree for them (B-3 to B-7)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from wattquorum.foundation.codec import Address, Digest, Meta, Record, Unsigned

EPOCH_KEY_BYTES: Final = 8
HEIGHT_KEY_BYTES: Final = 8
ATTEST_BLOCKS: Final = 64  # after a height, in which a member of its committee may say that it took part


class Elector(Record, frozen=True):
    """Who votes in a group of the running epoch: one account for each legal owner (L-17)."""

    group: Unsigned  # from 1
    candidate: Annotated[bytes, Meta(max_length=20)]  # whom it voted for; empty: nobody yet
    stood: bool  # for election as its group's agent


class Runner(Record, frozen=True):
    """A replica that may come in an agent's place, and whether its member stood at the election."""

    replica: Address
    stood: bool


class Agent(Record, frozen=True):
    """A member of the committee."""

    replica: Address
    group: Unsigned  # for which it agrees, of those in which it was elected; 0: none
    votes: Unsigned  # T of those who voted for it [millionths of a point]
    runners: tuple[Runner, ...]  # the other replicas of its group, the one with most votes first


class Due(Record, frozen=True):
    """An epoch whose offices are not settled yet."""

    epoch: Unsigned
    heights: Unsigned  # that it had
    settled: Unsigned  # the block that settles it


class Agents(Record, frozen=True):
    """Those in office, in their order, and what is under way with them."""

    agents: tuple[Agent, ...]
    first: Unsigned  # height of the epoch
    closing: Unsigned  # the epoch's last height; 0: not known yet
    early: Unsigned  # the block that replaced an agent last; 0: none did
    accused: tuple[Address, ...]  # proven to lie: barred at this epoch's end, and for as long as they stay in office
    view: Unsigned  # below which the primacy of every view was charged
    view_before: Unsigned  # the same of the version before
    due: tuple[Due, ...]


class Office(Record, frozen=True):
    """How an agent holds its office in an epoch."""

    heights: Unsigned  # certified while it was in the committee
    attended: Unsigned  # those of them for which it is known to have signed
    lied: bool  # proven and paid for


class Backers(Record, frozen=True):
    """Who voted for a replica's member when the offices of an epoch were given."""

    voters: tuple[Address, ...]


class Attended(Record, frozen=True):
    """Who is known to have signed for a height; kept as long as others may say that they did."""

    epoch: Unsigned
    version: Unsigned
    digest: Digest  # that was certified
    places: bytes  # one byte for each member of the committee, in order: 1 or 0


class Why(IntEnum):
    """Why trust was moved at another time than a delivery day's end."""

    BEHAVED = 1  # the agent attended at least half of the epoch's heights
    ABSENT = 2  # it attended none
    LIED = 3  # it signed two statements that exclude each other
    FAILED_VIEW = 4  # nothing was certified in a view in which it was primary
    IDLE = 5  # neither voted nor took part (B-7)


def office_key(epoch: int, replica: bytes) -> bytes:
    """The key of an office, and of those who voted for it."""
    return epoch.to_bytes(EPOCH_KEY_BYTES, "big") + replica


def height_key(height: int) -> bytes:
    """The key of a height's attendance."""
    return height.to_bytes(HEIGHT_KEY_BYTES, "big")
