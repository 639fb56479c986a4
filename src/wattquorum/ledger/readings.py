"""Meter readings beside the chain (L-11, L-23).

A row is one meter's delivery day: its energies, the quality of each interval, a version and a random salt. The chain
carries the Merkle root of the rows alone; the rows stand beside the block and are checked against the root before
anything is settled on them. A commitment's rows stand beside its own block: rows that came with another block do not
count, so that whoever replays a block needs nothing but what stands beside it. Once the retention period has passed
they can be deleted and no root breaks: a leaf without its row tells nothing, because of the salt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Annotated, Final

from wattquorum.foundation.codec import Decoder, Meta, Name, Record, Unsigned, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.proofs import root_of


class Quality(IntEnum):
    """How a reading came to be. Only measured ones cause default, credit or certificates (L-11)."""

    MEASURED = 0
    ESTIMATED = 1
    SUBSTITUTED = 2


class Row(Record, frozen=True):
    """One meter's delivery day."""

    meter: Name
    version: Unsigned  # 1 for the first, higher for each correction
    energy: Annotated[bytes, Meta(max_length=6_000)]  # packed [Wh] per interval
    quality: Annotated[bytes, Meta(max_length=1_500)]  # one byte per interval
    salt: Annotated[bytes, Meta(min_length=16, max_length=16)]


_rows: Final = Decoder[tuple[Row, ...]](tuple[Row, ...], "rows")


def encode_rows(rows: Sequence[Row]) -> bytes:
    """Rows as the bytes that travel and stand beside the block."""
    return encode(tuple(rows))


def decode_rows(data: bytes) -> tuple[Row, ...]:
    """The rows of an attachment, strictly decoded."""
    return _rows.decode(data)


def root_of_rows(rows: Iterable[Row]) -> bytes:
    """What the chain commits to: the Merkle root over the encoded rows, salts included."""
    return root_of([encode(row) for row in rows])


class Shelf:
    """The rows that stand beside the chain, by root. Not part of the state: its roots are."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[bytes, tuple[Row, ...]] = {}

    def copied(self) -> Shelf:
        """Another shelf with the same rows."""
        shelf = Shelf()
        shelf._rows = dict(self._rows)
        return shelf

    def put(self, data: bytes) -> bytes:
        """Keeps an attachment's rows and returns their root."""
        rows = decode_rows(data)
        root = root_of_rows(rows)
        self._rows[root] = rows
        return root

    def load(self, data: bytes, root: bytes) -> None:
        """Keeps rows that must have this root; Refused("commitment_wrong") when they do not."""
        rows = decode_rows(data)
        if root_of_rows(rows) != root:
            raise Refused("commitment_wrong", "rows", root)
        self._rows[root] = rows

    def get(self, root: bytes) -> tuple[Row, ...]:
        """The rows of a root; Refused("rows_missing") when they are not here."""
        rows = self._rows.get(root)
        if rows is None:
            raise Refused("rows_missing", "root", root)
        return rows

    def keep(self, roots: Iterable[bytes]) -> None:
        """Forgets all rows but those of these roots."""
        kept = dict.fromkeys(roots)
        self._rows = {root: rows for root, rows in self._rows.items() if root in kept}

    def roots(self) -> list[bytes]:
        """All roots whose rows are here, in ascending order."""
        return sorted(self._rows)
