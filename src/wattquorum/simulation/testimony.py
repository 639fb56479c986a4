"""Testimony: what the honest members of committees have said, and whether it holds together (I8 to I10).

Whoever is known to lie is granted every signature that it could make: it is asked not only whether two blocks of one
height were certified, but whether they could have been. And nothing waits for the fork: a lock that a member forgot, a
view that it went back to, a new view that it should not have followed each break something that it said before, or will
say later, whatever others make of it. Nor may anybody honest be blamed by another. Nothing here is the engine's code
but the forms of messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate
from wattquorum.consensus.bft.committee import Committee, Committees
from wattquorum.consensus.bft.desk import STRANGERS
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.messages import (
    BftMessage,
    NewView,
    PrePrepare,
    ViewChange,
    Vote,
    new_view_digest,
    to_frame,
    view_change_digest,
)
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.foundation.identities import Signed, Verifier
from wattquorum.simulation.checkers import must


class Told(NamedTuple):
    """A VIEW-CHANGE: for which view, with which tip, and what was prepared above it, if anything was."""

    view: int
    tip: int
    prepared_view: int  # -1: nothing
    prepared: bytes

    def knows(self, height: int, view: int, digest: bytes) -> bool:
        """Whether it leaves room for its sender's COMMIT of this in an earlier view."""
        if height <= self.tip:
            return True
        newer = (self.prepared_view, self.prepared) == (view, digest) or self.prepared_view > view
        return height == self.tip + 1 and newer


class Testimony:
    """What was said; every input is checked against all before it."""

    __slots__ = (
        "_bad",
        "_commits",
        "_committees",
        "_justified",
        "_left",
        "_opened",
        "_possible",
        "_seals",
        "_seen",
        "_statements",
        "_supported",
        "_suspects",
        "_told",
        "_verify",
        "_views",
        "_voted",
    )

    def __init__(self, seals: Seals, verify: Verifier, bad: Iterable[bytes], committees: Committees) -> None:
        """`bad` are those that lie, or run twice; what they say is not looked at. `committees` grows with the chain."""
        self._seals, self._verify = seals, verify
        self._bad = dict.fromkeys(bad)
        self._suspects: dict[bytes, None] = {}
        self._committees = committees
        self._statements: dict[tuple[bytes, int, int, int], bytes] = {}
        self._commits: dict[tuple[int, int, bytes], dict[bytes, None]] = {}  # by height, view and digest: who
        self._possible: dict[int, tuple[int, bytes]] = {}  # by height: the first view that can decide, and on what
        self._supported: dict[int, list[tuple[int, bytes]]] = {}  # by height: what somebody prepares, and in which view
        self._left: dict[tuple[bytes, int], int] = {}  # by member and epoch: the highest view it left others for
        self._told: dict[tuple[bytes, int], dict[Told, None]] = {}  # by member and epoch: its view changes
        self._voted: dict[tuple[bytes, int], list[Vote]] = {}  # by member and epoch: its COMMITs
        self._justified: dict[tuple[bytes, int], bool] = {}  # whether a new view is, in an epoch
        self._views: dict[tuple[bytes, int], tuple[int, int]] = {}  # by member and life: (epoch, view)
        self._opened: dict[bytes, NewView] = {}  # by member: the new view that it follows
        self._seen: dict[tuple[bytes, int], tuple[int, int, int]] = {}  # by member and life: what it accepted last

    def suspect(self, who: bytes) -> None:
        """From now on somebody may be blamed, though it does not lie in what is looked at here: it gives false states,
        or goes on by an act of governors that others were not given.
        """
        self._suspects[who] = None

    def said(self, who: bytes, message: BftMessage, digest: bytes) -> None:
        """A message that an honest replica sends; `digest` of the block that it proposes, if it does."""
        if isinstance(message, PrePrepare):
            self._supports(who, message.block.height, message.view, 1, digest)
        elif isinstance(message, Vote) and message.phase == 2:
            self._supports(who, message.height, message.view, 2, message.digest)
        elif isinstance(message, Vote):
            self._commits_to(who, message)
        elif isinstance(message, ViewChange):
            self._leaves(who, message)
        elif isinstance(message, NewView):
            self._opens(message)

    def stands(self, who: bytes, life: int, engine: Bft) -> None:
        """Where an honest replica's engine is after an input, in this life of its process."""
        for peer in engine.faults:
            lies = peer in self._bad or peer in self._suspects or (peer == STRANGERS and bool(self._bad))
            must(lies, "blame", f"{who.hex()[:8]} blames {peer.hex()[:8] or 'strangers'}, where that one does not lie")
        committee = engine.committee_at(engine.height + 1)
        view, opened = engine.term, engine.new_view
        epoch, before = self._views.get((who, life), (-1, 0))
        must(
            epoch != committee.epoch or before <= view, "I9", f"{who.hex()[:8]} goes back from view {before} to {view}"
        )
        self._views[who, life] = committee.epoch, view
        if opened is not None and self._opened.get(who) is not opened:
            self._opened[who] = opened
            must(self._is_justified(opened, committee), "I10", f"{who.hex()[:8]} follows a wrong NEW-VIEW({view})")
        accepted = engine.round.accepted.get(view)
        if accepted is None or self._seen.get((who, life)) == (committee.epoch, accepted.height, view):
            return
        self._seen[who, life] = committee.epoch, accepted.height, view
        if opened is not None:
            height, bound = opened.height + 1, opened.digest
            free = accepted.height > height or (accepted.height == height and bound in (b"", accepted.digest))
            must(free, "I10", f"{who.hex()[:8]} accepts what NEW-VIEW({view}) rules out")

    # One statement at a time ----------------------------------------------------------------------------------------

    def _stated(self, who: bytes, height: int, view: int, phase: int, digest: bytes) -> bool:
        """I9: nobody signs two digests. Whether it was said for the first time."""
        place = (who, height, view, phase)
        first = place not in self._statements
        before = self._statements.setdefault(place, digest)
        must(before == digest, "I9", f"{who.hex()[:8]} signs two digests at {height}, view {view}, phase {phase}")
        return first

    def _supports(self, who: bytes, height: int, view: int, phase: int, digest: bytes) -> None:
        if not self._stated(who, height, view, phase, digest):
            return
        committee = self._committees.at(height)
        left = self._left.get((who, committee.epoch), 0)
        must(left <= view, "I9", f"{who.hex()[:8]} supports a block in view {view} after it left for {left}")
        self._supported.setdefault(height, []).append((view, digest))
        self._is_locked(height)

    def _commits_to(self, who: bytes, vote: Vote) -> None:
        if not self._stated(who, vote.height, vote.view, 3, vote.digest):
            return
        committee = self._committees.at(vote.height)
        place = (who, committee.epoch)
        self._voted.setdefault(place, []).append(vote)
        for told in self._told.get(place, ()):
            self._agrees(who, told, vote)
        signers = self._commits.setdefault((vote.height, vote.view, vote.digest), {})
        signers[who] = None
        lying = sum(member in self._bad for member in committee.members)
        if len(signers) + lying >= quorum(len(committee.members)):
            self.can_be(vote.height, vote.view, vote.digest)

    def _leaves(self, who: bytes, message: ViewChange) -> None:
        committee = self._spoken_in(who, message)
        place = (who, committee.epoch)
        self._left[place] = max(self._left.get(place, 0), message.view)
        prepared = message.prepared
        told = Told(
            message.view,
            message.height,
            prepared.view if prepared is not None and prepared.height == message.height + 1 else -1,
            prepared.digest if prepared is not None else b"",
        )
        known = self._told.setdefault(place, {})
        if told not in known:
            known[told] = None
            for vote in self._voted.get(place, ()):
                self._agrees(who, told, vote)

    def _spoken_in(self, who: bytes, message: ViewChange) -> Committee:
        """The committee whose view it is: at a boundary the old one's still, for who has not applied it."""
        digest = view_change_digest(message.tip, message.prepared)
        for height in (message.height + 1, message.height):
            committee = self._committees.at(height)
            place = committee.place(who)
            if place is not None:
                args = (message.height, message.view, Phase.VIEW_CHANGE, digest, message.signature)
                if all(self._verify([self._seals.check(committee, place, *args)])):
                    return committee
        must(False, "I9", f"{who.hex()[:8]} signs a view change as a member of no committee")
        raise AssertionError

    def _agrees(self, who: bytes, told: Told, vote: Vote) -> None:
        """I9: who leaves a view says what it committed in earlier ones, and commits nothing in them later."""
        holds = vote.view >= told.view or told.knows(vote.height, vote.view, vote.digest)
        must(
            holds,
            "I9",
            f"{who.hex()[:8]} commits at {vote.height} in view {vote.view}, and left for {told.view} without that",
        )

    # All together ---------------------------------------------------------------------------------------------------

    def can_be(self, height: int, view: int, digest: bytes) -> None:
        """I8: with the help of all who lie this can be certified, or was."""
        first, decided = self._possible.setdefault(height, (view, digest))
        must(decided == digest, "I8", f"two blocks of height {height} can be certified")
        if view < first:
            self._possible[height] = (view, digest)
        self._is_locked(height)

    def _is_locked(self, height: int) -> None:
        """I8: above a view that can decide, nobody honest supports anything else at its height."""
        first, decided = self._possible.get(height, (0, b""))
        if decided:
            other = any(view > first and digest != decided for view, digest in self._supported.get(height, ()))
            must(not other, "I8", f"somebody supports another block of height {height} than view {first} can decide on")

    def _opens(self, message: NewView) -> None:
        """I10: what an honest primary opens follows from a quorum's words; at a boundary perhaps the old one's."""
        of = [self._committees.at(message.height + 1), self._committees.at(message.height)]
        holds = any(self._is_justified(message, committee) for committee in of)
        must(holds, "I10", f"view {message.view} above {message.height} is opened wrongly")

    def _is_justified(self, message: NewView, committee: Committee) -> bool:
        """Whether what a new view is bound to follows from a quorum's words in this committee, and all are proven."""
        key = to_frame(message), committee.epoch
        if key not in self._justified:
            self._justified[key] = self._follows(message, committee)
        return self._justified[key]

    def _follows(self, message: NewView, committee: Committee) -> bool:
        senders = dict.fromkeys(each.member for each in message.changes)
        count = len(committee.members)
        if (
            len(senders) != len(message.changes)
            or len(senders) < quorum(count)
            or any(each >= count for each in senders)
        ):
            return False
        changes = [each.view_change for each in message.changes]
        signed = [
            self._seals.check(
                committee,
                each.member,
                each.view_change.height,
                each.view_change.view,
                Phase.VIEW_CHANGE,
                view_change_digest(each.view_change.tip, each.view_change.prepared),
                each.view_change.signature,
            )
            for each in message.changes
        ]
        opened = new_view_digest(message.digest, message.changes)
        args = (message.height, message.view, Phase.NEW_VIEW, opened, message.signature)
        signed.append(self._seals.check(committee, message.view % count, *args))
        if not all(self._verify(signed)) or any(change.view != message.view for change in changes):
            return False
        if not all(self._is_proven(change) for change in changes):
            return False
        height = max(change.height for change in changes)
        prepared = [each.prepared for each in changes if each.prepared and each.prepared.height == height + 1]
        digest = max(prepared, key=lambda each: each.view).digest if prepared else b""
        return (message.height, message.digest) == (height, digest)

    def _is_proven(self, change: ViewChange) -> bool:
        tip, prepared = change.tip, change.prepared
        if tip is not None and not self.is_signed(tip):
            return False
        if prepared is None:
            return True
        return prepared.height == change.height + 1 and prepared.view <= change.view and self.is_signed(prepared)

    def is_signed(self, certificate: CommitCertificate | PreparedCertificate) -> bool:
        """Whether distinct members of its height's committee, a quorum, signed it."""
        committee = self._committees.at(certificate.height)
        return self.signers(certificate) >= quorum(len(committee.members))

    def signers(self, certificate: CommitCertificate | PreparedCertificate) -> int:
        """How many distinct members of its height's committee signed it."""
        committee = self._committees.at(certificate.height)
        count, view = len(committee.members), certificate.view
        checks: dict[int, list[Signed]] = {}
        for seal in certificate.seals:
            if seal.member < count:
                phase = Phase.COMMIT
                if isinstance(certificate, PreparedCertificate):
                    phase = Phase.PRE_PREPARE if seal.member == view % count else Phase.PREPARE
                args = (certificate.height, view, phase, certificate.digest, seal.signature)
                checks.setdefault(seal.member, []).append(self._seals.check(committee, seal.member, *args))
        return sum(any(self._verify(each)) for each in checks.values())


def quorum(members: int) -> int:
    """Said here once more, so that the engine is not its own judge."""
    faults = (members - 1) // 3
    return -(-(members + faults + 1) // 2)
