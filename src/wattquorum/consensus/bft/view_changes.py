"""View changes: which view this replica is in, whether it has begun, and how long it may take.

A view ends when it takes too long, when its primary leaves out what it could have proposed, or when f+1 others have
left it; the next begins with a quorum's view changes, or with a certificate. What it is bound to then, `views` computes
from those alone. Which rule breaks what: PROTOCOLS, part 3.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.catching_up import CatchingUp
from wattquorum.consensus.bft.certificates import CommitCertificate, is_valid
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.desk import Desk, Fault
from wattquorum.consensus.bft.messages import NewView, Tip, ViewChange, view_change_digest
from wattquorum.consensus.bft.records import Viewed
from wattquorum.consensus.bft.statements import Phase
from wattquorum.consensus.bft.views import Choice, is_justified, is_opened, is_signed, is_sound, new_view

DOUBLINGS_MAX: Final = 32


class ViewChanges:
    """The view, and its timers. `choice` is what it is bound to; None: nothing that is known here."""

    __slots__ = (
        "_catching_up",
        "_chain",
        "_changes",
        "_desk",
        "_failures",
        "_outbox",
        "_seals",
        "_settings",
        "choice",
        "demanded",
        "established",
        "new_view",
        "resend_ms",
        "room_ms",
        "timer_ms",
        "view",
    )

    def __init__(self, desk: Desk, catching_up: CatchingUp, view: int) -> None:
        self._desk, self._chain, self._outbox = desk, desk.chain, desk.outbox
        self._seals, self._settings = desk.seals, desk.settings
        self._catching_up = catching_up
        self.view = view
        self.established = view == 0  # above it, what a new view was bound to is forgotten
        self.choice: Choice | None = None
        self.new_view: NewView | None = None
        self._changes: dict[int, ViewChange] = {}  # the last of each member, by place
        self._failures = 0
        self.demanded: int | None = None  # since when what is not certified has waited
        self.room_ms: int | None = None  # when the last block with room was proposed, in this view
        self.timer_ms: int | None = None  # when the view has taken too long
        self.resend_ms: int | None = None  # when what is not certified is said again

    def resume(self) -> None:
        """After a restart: what is not certified is said again at once."""
        self.resend_ms = self._desk.now if self._chain.round.pending or not self.established else None

    @property
    def primary(self) -> bytes:
        """Who proposes in this view."""
        return self._chain.committee.primary(self.view)

    @property
    def leads(self) -> bool:
        """Whether this replica is the primary of an established view, with everything below applied."""
        return self.established and self._chain.ready and self.primary == self._chain.me

    def _enter(self, view: int) -> None:
        """Takes part in nothing below this view any more, durably."""
        self._failures = min(self._failures + view - self.view, DOUBLINGS_MAX)
        self.view, self.established, self.choice, self.new_view = view, False, None, None
        self._chain.round.leave_view()
        self.room_ms, self.timer_ms = None, None
        self._outbox.keep(Viewed(self._chain.committee.epoch, view))

    def change(self, view: int) -> None:
        """Leaves for a later view, and says so."""
        self._enter(view)
        self.say()

    def say(self) -> None:
        """VIEW-CHANGE with the tip and what is prepared by now: to say it again with a higher tip is legal."""
        place = self._chain.place
        if place is None:
            return
        tip, prepared = self._chain.certificate, self._chain.round.prepared
        own = self._changes.get(place)
        if own is None or (own.view, own.tip, own.prepared) != (self.view, tip, prepared):
            digest = view_change_digest(tip, prepared)
            signature = self._seals.make(
                self._chain.committee, self._chain.height, self.view, Phase.VIEW_CHANGE, digest
            )
            own = self._changes[place] = ViewChange(self.view, tip, prepared, signature)
        self._outbox.say(self._chain.others, own)
        self.said()

    def heard(self, sender: bytes, message: ViewChange) -> None:
        """A VIEW-CHANGE: its sender's newest counts, once it is proven."""
        if message.height > self._chain.height:  # also where a stranger says so: it may be of a later committee
            self._catching_up.claim(sender, message.height)
        place = self._chain.committee.place(sender)
        if place is None:
            return
        if self._is_of_earlier_epoch(message.height):  # its sender is behind
            self._desk.tell_tip(sender, message.height)
            return
        known = self._changes.get(place)
        repeated = known is not None and message.view <= known.view
        if message != known and (known is None or (message.view, message.height) >= (known.view, known.height)):
            if not is_sound(message, place, self._chain.committees, self._seals):
                if self._is_false(sender, message):
                    self._desk.blame(sender, Fault.FALSE_VIEW_CHANGE)
                return
            self._changes[place] = message
        if self._chain.height > message.height:
            self._desk.tell_tip(sender, message.height)
        waits = message.view == self.view and self.established  # two that wait would answer each other for ever
        if repeated and (message.view < self.view or waits):
            self.tell(sender)

    def tell(self, sender: bytes) -> None:
        """Answers somebody who is in an earlier view, or waits for this one to begin."""
        place = self._chain.place
        if not self._desk.may_answer(sender):
            return
        if self.established and self.new_view is not None:
            self._outbox.say([sender], self.new_view)
        elif self._chain.certificate is not None and self.established:
            self._outbox.say([sender], Tip(self._chain.certificate))
        elif place is not None and place in self._changes and not self.established:
            self._outbox.say([sender], self._changes[place])

    def settle(self) -> None:
        """Joins a later view that f+1 others are in; opens one as its primary with a quorum's view changes."""
        place, committee = self._chain.place, self._chain.committee
        if place is None:
            return
        others = [change.view for each, change in self._changes.items() if each != place]
        later = sorted((view for view in others if view > self.view), reverse=True)
        if len(later) > committee.faults:
            self.change(later[committee.faults])
        if self.established or self.primary != self._chain.me:
            return
        mine = self._changes.get(place)
        if mine is None or mine.view != self.view:
            return
        same = sorted((each, change) for each, change in self._changes.items() if change.view == self.view)
        if len(same) >= committee.quorum:
            chosen = [(place, mine), *[each for each in same if each[0] != place]][: committee.quorum]
            message = new_view(self.view, sorted(chosen, key=lambda each: each[0]), committee, self._seals)
            self._outbox.say(self._chain.others, message)
            self._establish(message)

    def opened(self, sender: bytes, message: NewView) -> None:
        """A NEW-VIEW, from whomever it comes: recomputed, then followed."""
        if message.view < self.view or (message.view == self.view and self.established) or message.view == 0:
            return
        if self._is_of_earlier_epoch(message.height):
            return
        if self._chain.place is None or self._chain.committee.place(sender) is None:
            self._catching_up.claim(sender, message.height)
            return
        if not is_justified(message, self._chain.committees, self._seals):
            known = all(self._is_known(change.view_change) for change in message.changes)
            if known and not self._opened_before(message):
                self._desk.blame(sender, Fault.FALSE_NEW_VIEW)
            return
        if message.view > self.view:
            self._enter(message.view)
        if message.height > self._chain.height:
            self._catching_up.claim(sender, message.height)
            for change in message.changes:
                if change.view_change.height == message.height:
                    self._catching_up.claim(self._chain.committee.members[change.member], message.height)
        self._establish(message)

    def _establish(self, message: NewView) -> None:
        self.established, self.new_view = True, message
        self.choice = Choice(message.height + 1, message.digest)
        self.timer_ms = None

    def establish_by(self, certificate: CommitCertificate) -> None:
        """A certificate of a higher view, or of an unestablished one, establishes it from here on; none lowers it.

        One of an earlier epoch, such as a boundary's, says nothing of this one's views: by it a replica would be free
        to choose in a view that no quorum has gone to, whatever was prepared below it.
        """
        if self._is_of_earlier_epoch(certificate.height - 1):
            return
        if certificate.view > self.view:
            self._enter(certificate.view)
        if certificate.view == self.view and not self.established:
            self.established, self.choice, self.new_view, self.timer_ms = True, None, None, None

    def _is_of_earlier_epoch(self, tip: int) -> bool:
        """Whether who says so at this tip speaks of the views of an earlier committee, which are others than these."""
        return tip + 1 < self._chain.committee.first

    def _before(self, tip: int) -> Committee | None:
        """The committee before this one, where a tip is the block that named this one: who has not applied that block
        speaks as a member of the other still.
        """
        return self._chain.committees.at(tip) if tip and tip + 1 == self._chain.committee.first else None

    def _is_known(self, message: ViewChange) -> bool:
        """Whether the committees that a view change is of, and its tip, are known here."""
        tip, knows = message.tip, self._chain.knows_committee
        return knows(message.height + 1) and (tip is None or knows(tip.height))

    def _is_false(self, sender: bytes, message: ViewChange) -> bool:
        """Whether a view change that is not sound is a lie: what a committee said that is not known here is none."""
        tip, chain = message.tip, self._chain
        if not self._is_known(message):
            known = tip is not None and chain.knows_committee(tip.height)
            return known and tip is not None and not is_valid(tip, chain.committees.at(tip.height), self._seals)
        before = self._before(message.height)
        place = before.place(sender) if before is not None else None
        return before is None or place is None or not is_signed(message, place, before, self._seals)

    def _opened_before(self, message: NewView) -> bool:
        """Whether a new view is one of the committee before."""
        before = self._before(message.height)
        return before is not None and is_opened(message, before, self._seals)

    def _is_waiting(self) -> bool:
        """Whether the timer has to run: a later view once a quorum is there, this one while anything is to be done."""
        if self._chain.place is None:
            return False
        if not self.established:
            there = sum(change.view >= self.view for change in self._changes.values())
            return there >= self._chain.committee.quorum
        return self.demanded is not None or self._chain.round.pending

    def demand(self, oldest_ms: int | None) -> None:
        """Since when the oldest has waited. Left out of a block with room for so long, it ends the view."""
        self.demanded = oldest_ms
        room = self.room_ms
        told = oldest_ms is not None and room is not None and oldest_ms + self._settings.censor_ms <= room
        if told and self._chain.ready and self.established and self._chain.place is not None:
            self.change(self.view + 1)

    def certified(self, certificate: CommitCertificate, room_ms: int | None) -> None:
        """A height is done. `room_ms` is when its block was proposed, if that was in this view and it had room."""
        self.room_ms = room_ms
        self._failures, self.timer_ms, self.resend_ms = 0, None, None
        self.establish_by(certificate)

    def install(self) -> None:
        """A new committee begins, in its first view."""
        self.view, self.established, self.choice, self.new_view = 0, True, None, None
        self._changes = {}
        self._failures, self.timer_ms, self.room_ms = 0, None, None

    def said(self) -> None:
        """What is not certified is being said, and will be again."""
        self.resend_ms = self._desk.now + self._settings.resend_ms

    def set_timers(self) -> None:
        """Lets the timers run that have to, and no others."""
        if not self._is_waiting():
            self.timer_ms = None
        elif self.timer_ms is None:
            timeout = self._settings.timeout_ms << self._failures
            self.timer_ms = self._desk.now + min(timeout, self._settings.timeout_max_ms)
        saying = self._chain.place is not None and (self._chain.round.pending or not self.established)
        if not saying:
            self.resend_ms = None
        elif self.resend_ms is None:
            self.said()
