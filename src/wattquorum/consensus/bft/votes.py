"""Votes: who supports what at one height, bounded by member, checked only when it can complete a quorum.

Of each member the first statement of each phase and view is kept, for a few of its newest views; a lying member fills
its own slots and nobody else's. Two signed statements of one phase and view on different digests prove that their
signer lies; that is evidence (B-6), for which a VIEW-CHANGE can never be.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from wattquorum.consensus.bft.certificates import Seal, Signature
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.statements import Phase, Seals, phase_of
from wattquorum.foundation.codec import Address, Decoder, Digest, Meta, Record, Unsigned
from wattquorum.foundation.identities import Signed

VIEWS_KEPT: Final = 4  # of each member, the newest it voted in
CONFLICTS_MAX: Final = 4  # of each member at a height: how many are looked into


class Equivocation(Record, frozen=True):
    """Two statements of one member that exclude each other."""

    member: Address
    epoch: Unsigned
    height: Unsigned
    view: Unsigned
    phase: Annotated[int, Meta(ge=1, le=3)]
    digests: tuple[Digest, Digest]
    signatures: tuple[Signature, Signature]


_equivocations: Final = Decoder[Equivocation](Equivocation, "evidence")
decode_equivocation: Final = _equivocations.decode
Slot = tuple[int, Literal[Phase.PREPARE, Phase.COMMIT]]  # view and phase


class Votes:
    """The votes of one height."""

    __slots__ = ("_committee", "_conflicts", "_good", "_height", "_seals", "_slots", "_support", "equivocations")

    def __init__(self, height: int, committee: Committee, seals: Seals) -> None:
        self._height = height
        self._committee = committee
        self._seals = seals
        self._slots: dict[int, dict[Slot, tuple[bytes, bytes]]] = {}  # by place: (digest, signature)
        self._support: dict[tuple[Slot, bytes], int] = {}  # how many votes there are in the slots, by what they say
        self._good: dict[tuple[int, Slot], None] = {}  # whose signature is known to hold
        self._conflicts: dict[int, int] = {}
        self.equivocations: list[Equivocation] = []  # to be handed out

    def add(self, place: int, slot: Slot, digest: bytes, signature: bytes, *, own: bool = False) -> None:
        """A member's vote. Its first one stays, unless that was never signed."""
        slots = self._slots.setdefault(place, {})
        first = slots.get(slot)
        if first is not None and first[0] != digest:
            self._conflict(place, slot, first, (digest, signature))
            return
        if first is None:
            self._support[slot, digest] = self._support.get((slot, digest), 0) + 1
        if first is None or (place, slot) not in self._good:
            slots[slot] = (digest, signature)
            if own:
                self._good[place, slot] = None
        views = sorted({view for view, _ in slots})
        if len(views) > VIEWS_KEPT:
            for stale in [each for each in slots if each[0] == views[0]]:
                self._drop(place, stale)

    def _drop(self, place: int, slot: Slot) -> None:
        """A vote leaves its slot."""
        digest, _ = self._slots[place].pop(slot)
        self._good.pop((place, slot), None)
        self._support[slot, digest] -= 1
        if not self._support[slot, digest]:
            del self._support[slot, digest]

    def has(self, place: int, slot: Slot, digest: bytes) -> bool:
        """Whether a member is known to have voted so."""
        return self._slots.get(place, {}).get(slot, (b"", b""))[0] == digest

    def count(self, slot: Slot, digest: bytes) -> int:
        """How many members are known to have voted so, whether or not their signatures were checked."""
        return self._support.get((slot, digest), 0)

    def quorum(self, slot: Slot, digest: bytes) -> tuple[Seal, ...] | None:
        """A quorum's good signatures on this digest, if there is one; no more of them are checked than it takes."""
        need = self._committee.quorum
        while self.count(slot, digest) >= need:
            votes = [
                (place, slots[slot][1])
                for place, slots in sorted(self._slots.items())
                if slot in slots and slots[slot][0] == digest
            ]
            votes.sort(key=lambda vote: ((vote[0], slot) not in self._good, vote[0]))
            chosen = sorted(votes[:need])
            unknown = [vote for vote in chosen if (vote[0], slot) not in self._good]
            verdicts = self._seals.verdicts([self._check(place, slot, digest, each) for place, each in unknown])
            for (place, _), good in zip(unknown, verdicts, strict=True):
                if good:
                    self._good[place, slot] = None
                else:
                    self._drop(place, slot)
            if all(verdicts):
                return tuple(Seal(place, signature) for place, signature in chosen)
        return None

    def _check(self, place: int, slot: Slot, digest: bytes, signature: bytes) -> Signed:
        view, phase = slot
        phase_signed = phase_of(self._committee, place, view, phase)
        return self._seals.check(self._committee, place, self._height, view, phase_signed, digest, signature)

    def _conflict(self, place: int, slot: Slot, first: tuple[bytes, bytes], second: tuple[bytes, bytes]) -> None:
        looked = self._conflicts.get(place, 0)
        if looked >= CONFLICTS_MAX:
            return
        self._conflicts[place] = looked + 1
        verdicts = self._seals.verdicts([self._check(place, slot, *first), self._check(place, slot, *second)])
        if not verdicts[0]:
            self._drop(place, slot)
            if verdicts[1]:
                self.add(place, slot, *second)
            return
        if verdicts[1]:
            view, phase = slot
            self.equivocations.append(
                Equivocation(
                    self._committee.members[place],
                    self._committee.epoch,
                    self._height,
                    view,
                    phase_of(self._committee, place, view, phase),
                    (first[0], second[0]),
                    (first[1], second[1]),
                )
            )
            self._conflicts[place] = CONFLICTS_MAX

    def supported(self, phase: Literal[Phase.PREPARE, Phase.COMMIT]) -> list[tuple[int, bytes]]:
        """The views and digests that anybody supports in this phase."""
        found = [
            (slot[0], digest)
            for _, slots in sorted(self._slots.items())
            for slot, (digest, _) in slots.items()
            if slot[1] is phase
        ]
        return list(dict.fromkeys(found))
