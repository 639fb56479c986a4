"""Statements: what members sign, and whether they did.

A signature covers chain, epoch, height, view, phase and digest, so that it can never be taken for one of another
chain, committee, height, view or phase. Checking is a callable from above that takes many at once; what was found good
once is not checked again, for the same signatures come back in certificates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final

from wattquorum.consensus.bft.committee import Committee
from wattquorum.foundation.codec import Record, Unsigned, encode
from wattquorum.foundation.identities import Signed, Verifier, signed_bytes

PURPOSE: Final = "bft"
KNOWN_MAX: Final = 8_192  # good signatures remembered at least; twice as many at most

Sign = Callable[[str, bytes], bytes]  # (purpose, message): this replica's signature


class Phase(IntEnum):
    """What a statement is for."""

    PRE_PREPARE = 1
    PREPARE = 2
    COMMIT = 3
    VIEW_CHANGE = 4
    NEW_VIEW = 5


class Statement(Record, frozen=True):
    """What a signature covers."""

    chain: bytes
    epoch: Unsigned
    height: Unsigned
    view: Unsigned
    phase: Phase
    digest: bytes


def phase_of(committee: Committee, place: int, view: int, phase: Phase) -> Phase:
    """The phase that a member's support has: the primary's pre-prepare is its PREPARE."""
    if phase is Phase.PREPARE and place == committee.primary_place(view):
        return Phase.PRE_PREPARE
    return phase


def statement_check(
    chain: bytes,
    committee: Committee,
    place: int,
    height: int,
    view: int,
    phase: Phase,
    digest: bytes,
    signature: bytes,
) -> Signed:
    """What must hold for a signature to be this member's."""
    statement = Statement(chain, committee.epoch, height, view, phase, digest)
    return Signed(committee.keys[place], signed_bytes(PURPOSE, encode(statement)), signature)


class Seals:
    """Makes this replica's signatures, checks others' and remembers which were good."""

    __slots__ = ("_chain", "_earlier", "_known", "_sign", "_verify")

    def __init__(self, chain: bytes, sign: Sign, verify: Verifier) -> None:
        self._chain = chain
        self._sign = sign
        self._verify = verify
        self._known: dict[Signed, None] = {}
        self._earlier: dict[Signed, None] = {}

    def make(self, committee: Committee, height: int, view: int, phase: Phase, digest: bytes) -> bytes:
        """This replica's signature."""
        return self._sign(PURPOSE, encode(Statement(self._chain, committee.epoch, height, view, phase, digest)))

    def check(
        self, committee: Committee, place: int, height: int, view: int, phase: Phase, digest: bytes, signature: bytes
    ) -> Signed:
        """What must hold for a signature to be this member's."""
        return statement_check(self._chain, committee, place, height, view, phase, digest, signature)

    def verdicts(self, checks: Sequence[Signed]) -> list[bool]:
        """Which of these hold; those not known to hold are checked together."""
        unknown = [each for each in checks if each not in self._known and each not in self._earlier]
        if unknown:
            for each, good in zip(unknown, self._verify(unknown), strict=True):
                if good:
                    self._known[each] = None
        verdicts = [each in self._known or each in self._earlier for each in checks]
        if len(self._known) > KNOWN_MAX:
            self._known, self._earlier = {}, self._known
        return verdicts

    def hold(self, checks: Sequence[Signed]) -> bool:
        """Whether all of these hold."""
        return all(self.verdicts(checks))
