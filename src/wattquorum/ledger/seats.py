"""Seats: what the state keeps of validators, of their voting power, and of the rounds in which they took part.

A validator is a replica that a member runs (L-17). Vectors say who votes with how much power; every change makes a new
version, and which one is in force a block says by its round: the engine knows first, and the ledger learns it from
what the proposer signs.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from wattquorum.consensus.configuration import Voter
from wattquorum.foundation.codec import Address, Meta, Record, Unsigned

VERSION_KEY_BYTES: Final = 8
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Seat(IntEnum):
    """What a validator may do."""

    LEARNER = 1  # it is sent everything and does not vote yet
    VOTER = 2
    REMOVED = 3


class Validator(Record, frozen=True):
    """A replica, who runs it, and what it earned by taking part (A-12, A-16)."""

    key: Key
    member: Annotated[bytes, Meta(max_length=20)]  # whose standing carries its vote; empty: nobody's yet
    seat: Seat
    participation: Unsigned  # R [millionths of a point]
    replies: Unsigned  # valid ones in the running epoch
    days_closed: Unsigned  # on the ledger when its member was named


class Vector(Record, frozen=True):
    """A version of who votes: in the order of addresses, or that in which the members of a committee propose."""

    voters: tuple[Voter, ...]
    learners: tuple[Address, ...]
    height: Unsigned  # of the block that made it; 0: the genesis
    digest: Annotated[bytes, Meta(max_length=32)]  # of the state before that block; empty: the genesis


class Seats(Record, frozen=True):
    """What there is one of: the newest version, those that the last block named, and how far evidence has come."""

    newest: Unsigned
    old: Unsigned  # of the last block's round
    new: Unsigned
    evidenced: Unsigned  # the last height of which evidence was counted, or whose certificate is on the chain
    rounds: Unsigned  # counted in the running epoch
    epochs: Unsigned  # that have ended


class KeptRound(Record, frozen=True):
    """A block of which evidence may still come."""

    proposer: Address
    term: Unsigned
    old: Unsigned
    new: Unsigned
