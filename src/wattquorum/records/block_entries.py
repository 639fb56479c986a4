"""A block's rows under way: each kind of fact registers with `enter` which rows it becomes.

The kinds are told in `wattquorum.records.entries` and `wattquorum.records.green_entries`.
"""

from __future__ import annotations

from functools import singledispatch

from wattquorum.ledger import facts as told
from wattquorum.ledger.accounts import Role, Side
from wattquorum.records.batch import Batch
from wattquorum.records.known import Known


class BlockEntries:
    """The rows of one block under way: where the next fact stands, and settlements that wait to be done in bulk."""

    __slots__ = ("batch", "height", "known", "place", "positions", "sequence", "settlements", "time_ms")

    def __init__(self, batch: Batch, known: Known, time_ms: int) -> None:
        self.batch = batch
        self.known = known
        self.height = batch.height
        self.time_ms = time_ms
        self.place = -1
        self.sequence = -1
        self.settlements: list[told.ContractSettled] = []
        self.positions: list[tuple[int, told.PositionSettled]] = []

    def take(self, place: int, fact: told.Fact) -> None:
        """Adds the rows of the next fact, told by the transaction at `place`; -1: by none."""
        self.place = place
        self.sequence += 1
        enter(fact, self)


def side_word(side: Side) -> str:
    """sell or buy."""
    return side.name.lower()


def roles_in_words(roles: int) -> str:
    """Roles as words, in the order of their values."""
    return " ".join((role.name or "").lower() for role in Role if roles & role)


def day_or_none(day: int) -> int | None:
    """A delivery day's start, or None for the ledger's 'no day'."""
    return day or None


@singledispatch
def enter(fact: told.Fact, block: BlockEntries) -> None:
    """Adds a fact's rows; each kind of fact registers its own."""
    raise AssertionError(f"block {block.height}: no rows are known for {type(fact).__name__}")
