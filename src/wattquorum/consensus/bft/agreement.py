"""Agreement: proposals, PREPAREs, COMMITs, and the certificate that they end in, at the one height above the tip.

A primary proposes; who finds the block good prepares it; who knows that a quorum prepared it commits it; a quorum's
COMMITs make it the tip. Before anything is said it is durable, and no sender is trusted (PROTOCOLS, part 3).
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.audience import Audience
from wattquorum.consensus.bft.blocks import Block, Proposal
from wattquorum.consensus.bft.catching_up import CatchingUp
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, checks_of, is_valid
from wattquorum.consensus.bft.desk import Desk, Fault
from wattquorum.consensus.bft.messages import PHASES, PrePrepare, Vote
from wattquorum.consensus.bft.records import Accepted, Certified, Held, Kept, Prepared
from wattquorum.consensus.bft.round import Candidate, Round
from wattquorum.consensus.bft.statements import Phase
from wattquorum.consensus.bft.view_changes import ViewChanges
from wattquorum.consensus.bft.views import FREE
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.consensus.engine import Judged, Wanted
from wattquorum.foundation.refusals import Refused

AHEAD_MAX: Final = 6  # votes of the height after the present one, kept of each member
ACCUSATIONS_MAX: Final = 1_024


class Agreement:
    """What is under way above the tip; it alone changes the round, but that a view that ends empties it."""

    __slots__ = (
        "_accusations",
        "_ahead",
        "_asked",
        "_audience",
        "_catching_up",
        "_chain",
        "_desk",
        "_early",
        "_found",
        "_judge",
        "_next",
        "_outbox",
        "_promised",
        "_seals",
        "_settings",
        "_views",
        "_wanted",
        "_wanted_for",
    )

    def __init__(self, desk: Desk, catching_up: CatchingUp, views: ViewChanges, audience: Audience) -> None:
        self._desk, self._chain, self._outbox = desk, desk.chain, desk.outbox
        self._seals, self._settings = desk.seals, desk.settings
        self._catching_up, self._views, self._audience = catching_up, views, audience
        self._asked: dict[bytes, int] = {}  # handed out to be judged: the height
        self._judge: list[Judged] = []
        self._early: PrePrepare | None = None  # of the present view, before that has begun or the tip is applied
        self._next: PrePrepare | None = None  # the same, of the height after the present one
        self._ahead: dict[bytes, list[Vote]] = {}  # of the height after the present one
        self._found: Proposal | None = None  # fetched, and not held
        self._promised: list[tuple[int, Vote]] = []  # own COMMITs, each with the record without which it must not count
        self._accusations: list[Equivocation] = []
        self._wanted: Wanted | None = None
        self._wanted_for = (0, 0)

    def resume(self, found: Kept) -> None:
        """After a restart: what was promised at this height."""
        round_ = self._chain.round
        round_.blocks, round_.accepted, round_.prepared = found.blocks, found.accepted, found.prepared
        round_.verdicts = dict.fromkeys([each.digest for each in found.accepted.values()], True)
        for view, accepted in sorted(found.accepted.items()):
            self._support(round_, view, accepted)
        if round_.prepared is not None:
            self._count(self._own_vote(round_, Phase.COMMIT, round_.prepared.view, round_.prepared.digest))

    @property
    def takes(self) -> bool:
        """Whether it may propose now: primary of an established view, with everything below applied."""
        round_, choice = self._chain.round, self._views.choice
        if not self._views.leads:
            return False
        if self._views.view in round_.accepted or round_.candidate is not None or round_.certificate is not None:
            return False
        if choice is None:
            return True
        return choice.height < round_.height or (choice.height == round_.height and choice.digest == FREE)

    def proposed(self, digest: bytes) -> Block | None:
        """A block that was handed out to be judged, with its embedded certificate."""
        proposal = self.known(digest)
        return proposal.block if proposal is not None else None

    def accusations(self) -> tuple[Equivocation, ...]:
        """Hands out, once, what members proved of themselves: evidence for B-6."""
        found = tuple(self._accusations)
        self._accusations = []
        return found

    def propose(self, payload: bytes) -> None:
        """Proposes a payload at the height above the tip; asked only of who `takes` it.

        Refused("input_unexpected") for a payload that cannot be read, or whose time is not above the block's before.
        """
        round_ = self._chain.round
        block = Block(round_.height, self._chain.tip_digest, self._chain.certificate, payload)
        proposal = self._chain.proposal(block)
        if proposal is None or not self._chain.is_later(proposal):
            raise Refused("input_unexpected", "payload", payload[:16], "Give it a time above the last block's.")
        self._candidate(proposal, good=True)

    def judged(self, digest: bytes, *, verdict: bool) -> None:
        """Whether a proposed block is good, executed on the tip.

        Refused("input_unexpected") for one that was not handed out. A verdict that comes too late changes nothing.
        """
        if digest not in self._asked:
            raise Refused("input_unexpected", "digest", digest)
        round_ = self._chain.round
        if self._asked.pop(digest) != round_.height or self.known(digest) is None:
            return  # it was let go of meanwhile; if it comes again, it is judged again
        round_.verdicts[digest] = verdict
        candidate = round_.candidate
        if candidate is not None and candidate.proposal.digest == digest:
            if verdict:
                self._accept(candidate)
            else:
                self._reject(candidate)

    def pre_prepare(self, sender: bytes, message: PrePrepare) -> None:
        """A proposal: of this view and height it is considered; before that can be, one is kept.

        Nothing of a later view is: blocks are large, and everybody leads some view. Its primary says it again.
        """
        block = message.block
        if len(block.payload) > self._settings.block_bytes_max:
            self._desk.blame(sender, Fault.TOO_LARGE)
            return
        leads = message.view == self._views.view and sender == self._chain.committee.primary(message.view)
        if not self._is_due(sender, block.height, again=message.again):
            if leads and block.height == self._chain.round.height + 1:
                self._next = message
            embedded = block.commit_certificate
            if embedded is not None and embedded.height == self._chain.round.height:
                self.told(sender, embedded)
            return
        if sender != self._chain.committee.primary(message.view):
            if self._chain.knows_committee(block.height):
                self._desk.blame(sender, Fault.NOT_PRIMARY)
        elif message.view < self._views.view:
            if message.again:
                self._views.tell(sender)
        elif message.view == self._views.view:
            if self._views.established and self._chain.ready:
                self._consider(sender, message)
            else:
                self._early = message

    def _consider(self, sender: bytes, message: PrePrepare) -> None:
        """A pre-prepare of the present view and height: checked, then judged by the driver, then accepted."""
        round_, view = self._chain.round, self._views.view
        digest = self._chain.digest(message.block)
        if digest is None:
            self._desk.blame(sender, Fault.FALSE_PROPOSAL)
            return
        place = self._chain.committee.primary_place(view)
        if view in round_.accepted or round_.candidate is not None:
            round_.votes.add(place, (view, Phase.PREPARE), digest, message.signature)  # another one is evidence
            return
        choice = self._views.choice
        if choice is not None and round_.height < choice.height:
            return  # that height is decided, whatever this replica has of it
        bound = choice is not None and round_.height == choice.height and choice.digest != FREE
        if not self._chain.follows(message.block):
            self._desk.blame(sender, Fault.FALSE_PROPOSAL)
            return
        if choice is not None and bound and digest != choice.digest:
            return  # no proof of a lie: after a crash a primary opens its view again, of other view changes
        checks = [
            self._seals.check(
                self._chain.committee, place, round_.height, view, Phase.PRE_PREPARE, digest, message.signature
            )
        ]
        embedded = message.block.commit_certificate
        if embedded is not None:
            checks += checks_of(embedded, self._chain.committees.at(embedded.height), self._seals) or []
        proposal = self._chain.proposal(message.block) if self._seals.hold(checks) else None
        if proposal is None or not self._chain.is_later(proposal):
            self._desk.blame(sender, Fault.FALSE_PROPOSAL)
            return
        if not bound and abs(proposal.time_ms - self._desk.now) > self._settings.skew_ms:
            return
        round_.votes.add(place, (view, Phase.PREPARE), digest, message.signature)
        round_.candidate = Candidate(view, proposal, message.signature)
        self._have_judged(proposal)

    def _have_judged(self, proposal: Proposal) -> None:
        """Hands a block out to be judged, unless it was at this height."""
        round_ = self._chain.round
        verdict = round_.verdicts.get(proposal.digest)
        if verdict is None:
            if proposal.digest not in self._asked:
                self._asked[proposal.digest] = round_.height
                self._judge.append(Judged(proposal.digest, proposal.block.payload))
        elif round_.candidate is not None:
            if verdict:
                self._accept(round_.candidate)
            else:
                self._reject(round_.candidate)

    def _reject(self, candidate: Candidate) -> None:
        """A bad block ends its view at once: nothing good will come of it, so nobody need wait for the timer.

        Nobody but the view's primary can bring that about, for it has signed the block. Who leaves a view alone, since
        it alone was shown the bad one, is joined only when f+1 have left; it goes to a later view still only by a
        quorum's view changes, and takes certificates of every view. So a lying primary loses its view, and no more.
        """
        self._chain.round.candidate = None
        self._desk.blame(self._chain.committee.primary(candidate.view), Fault.BAD_BLOCK)
        if self._chain.place is not None:
            self._views.change(candidate.view + 1)

    def _candidate(self, proposal: Proposal, *, good: bool) -> None:
        """This replica, the view's primary, is about to propose a block."""
        round_, view = self._chain.round, self._views.view
        signature = self._seals.make(self._chain.committee, round_.height, view, Phase.PRE_PREPARE, proposal.digest)
        round_.candidate = Candidate(view, proposal, signature)
        if good:
            round_.verdicts[proposal.digest] = True
        self._have_judged(proposal)

    def _accept(self, candidate: Candidate) -> None:
        """The one pre-prepare that is supported in this view: durable with its block before anything is said."""
        round_, choice = self._chain.round, self._views.choice
        view, proposal, signature = candidate
        round_.candidate = None
        if round_.hold(proposal):
            self._outbox.keep(Held(proposal.block))
        accepted = Accepted(round_.height, view, proposal.digest, signature)
        self._outbox.keep(accepted)
        round_.accepted[view] = accepted
        if choice is None or choice.height != round_.height or choice.digest == FREE:
            round_.proposed_ms = self._desk.now
        self._support(round_, view, accepted)
        place = self._chain.place
        if place is None:
            return
        if place == self._chain.committee.primary_place(view):
            self._outbox.say(self._chain.others, PrePrepare(view, proposal.block, signature))
        else:
            self._outbox.say(self._chain.others, self._own_vote(round_, Phase.PREPARE, view, proposal.digest))
        self._try_prepare()

    def _support(self, round_: Round, view: int, accepted: Accepted) -> None:
        """Counts the primary's pre-prepare, and this replica's own PREPARE."""
        committee, slot = round_.committee, (view, Phase.PREPARE)
        primary, place = committee.primary_place(view), committee.place(self._chain.me)
        round_.votes.add(primary, (view, Phase.PREPARE), accepted.digest, accepted.signature, own=True)
        if place is not None and place != primary:
            own = self._own_vote(round_, Phase.PREPARE, *slot[:1], accepted.digest)
            round_.votes.add(place, (view, Phase.PREPARE), accepted.digest, own.signature, own=True)

    def _own_vote(self, round_: Round, phase: Phase, view: int, digest: bytes, *, again: bool = False) -> Vote:
        signature = self._seals.make(round_.committee, round_.height, view, phase, digest)
        return Vote(2 if phase is Phase.PREPARE else 3, round_.height, view, digest, signature, again)

    def vote(self, sender: bytes, message: Vote) -> None:
        """A PREPARE or COMMIT of a member."""
        due = self._is_due(sender, message.height, again=message.again)  # a stranger's too: of a later committee
        place = self._chain.committee.place(sender)
        if place is None:
            return
        round_, view = self._chain.round, message.view
        if not due:
            if message.height == round_.height + 1 and len(waiting := self._ahead.setdefault(sender, [])) < AHEAD_MAX:
                waiting.append(message)
            return
        if PHASES[message.phase] is Phase.COMMIT:  # of any view: a certificate is good whatever view one is in
            round_.votes.add(place, (view, Phase.COMMIT), message.digest, message.signature)
            self._try_certify(view, message.digest)
        elif view >= self._views.view and place != self._chain.committee.primary_place(view):
            round_.votes.add(place, (view, Phase.PREPARE), message.digest, message.signature)
            self._try_prepare()
        elif message.again and view < self._views.view:
            self._views.tell(sender)

    def _try_prepare(self) -> None:
        """A quorum's support for what is accepted in this view: durable, then COMMIT."""
        round_, view = self._chain.round, self._views.view
        accepted = round_.accepted.get(view)
        if accepted is None or not self._views.established or self._chain.place is None:
            return
        if round_.prepared is not None and round_.prepared.view >= view:
            return
        seals = round_.votes.quorum((view, Phase.PREPARE), accepted.digest)
        if seals is None:
            return
        round_.prepared = PreparedCertificate(round_.height, view, accepted.digest, seals)
        self._outbox.keep(Prepared(round_.prepared))
        vote = self._own_vote(round_, Phase.COMMIT, view, accepted.digest)
        self._outbox.say(self._chain.others, vote)
        self._promised.append((self._outbox.position, vote))
        self._try_certify(view, accepted.digest)

    def kept(self, position: int) -> None:
        """Records up to this position are durable.

        From then on this replica's own COMMIT counts. Before, a crash could make it forget what it has prepared, and a
        certificate that it alone knew, and of which it told its clients, would bind fewer than it has to.
        """
        ready = [vote for after, vote in self._promised if after <= position]
        self._promised = [each for each in self._promised if each[0] > position]
        for vote in ready:
            if vote.height == self._chain.round.height:
                self._count(vote)
                self._try_certify(vote.view, vote.digest)

    def _count(self, vote: Vote) -> None:
        """This replica's own COMMIT."""
        round_ = self._chain.round
        place = round_.committee.place(self._chain.me)
        if place is not None:
            round_.votes.add(place, (vote.view, Phase.COMMIT), vote.digest, vote.signature, own=True)

    def _try_certify(self, view: int, digest: bytes) -> None:
        if not self._chain.ready:
            return
        seals = self._chain.round.votes.quorum((view, Phase.COMMIT), digest)
        if seals is not None:
            self.certify(CommitCertificate(self._chain.round.height, view, digest, seals))

    def _is_due(self, sender: bytes, height: int, *, again: bool) -> bool:
        """Whether a message is about the height that is worked on.

        Who is behind and says so again is told the tip; who speaks of a later height has the blocks below it.
        """
        if height <= self._chain.height:
            if again:
                self._desk.tell_tip(sender, height - 1)
        elif height > self._chain.round.height:
            self._catching_up.claim(sender, height - 1)
        return height == self._chain.round.height

    def known(self, digest: bytes) -> Proposal | None:
        """A block of the height that is worked on, held or not."""
        round_ = self._chain.round
        if digest in round_.blocks:
            return round_.blocks[digest]
        loose = [round_.candidate.proposal if round_.candidate is not None else None, self._found]
        return next((each for each in loose if each is not None and each.digest == digest), None)

    def certify(self, certificate: CommitCertificate) -> None:
        """A valid certificate of the height that is worked on: its block becomes the tip, once it is here."""
        proposal = self.known(certificate.digest)
        if proposal is None or proposal.block.height != certificate.height:
            self._chain.round.certificate = certificate
            return
        round_ = self._chain.round
        if proposal.digest not in round_.blocks:
            self._outbox.keep(Held(proposal.block))
        self._outbox.keep(Certified(certificate))
        fresh = certificate.view == self._views.view and round_.proposed_ms is not None and self._views.established
        room_ms = round_.proposed_ms if fresh and proposal.room else None
        self.gather_accusations()
        self._chain.extend(proposal, certificate)
        self._audience.tell(proposal.block, certificate)
        self._views.certified(certificate, room_ms)
        self._found = None

    def told(self, sender: bytes, certificate: CommitCertificate) -> None:
        """A certificate, whatever its view: it is taken when its block is here, or its block is fetched."""
        height = certificate.height
        if height > self._chain.height:
            self._catching_up.claim(sender, height)
        if height == self._chain.round.height and self._chain.ready and self.known(certificate.digest) is not None:
            if is_valid(certificate, self._chain.round.committee, self._seals):
                self.certify(certificate)
            else:
                self._desk.blame(sender, Fault.FALSE_CERTIFICATE)
        elif height == self._chain.height and certificate.digest == self._chain.tip_digest:
            view, established = self._views.view, self._views.established
            later = certificate.view > view or (certificate.view == view and not established)
            if later and is_valid(certificate, self._chain.committees.at(height), self._seals):
                self._views.establish_by(certificate)

    def begin(self) -> None:
        """The driver is at the tip: what came early for the next height is taken up."""
        following, self._next = self._next, None
        if following is not None and following.view == self._views.view:
            self.pre_prepare(self._views.primary, following)
        ahead, self._ahead = self._ahead, {}
        for sender, messages in sorted(ahead.items()):
            for message in messages:
                self.vote(sender, message)
        for view, digest in self._chain.round.votes.supported(Phase.COMMIT):
            if self._chain.ready:
                self._try_certify(view, digest)

    def gather_accusations(self) -> None:
        """Takes over what members proved of themselves at this height."""
        found, self._chain.round.votes.equivocations = self._chain.round.votes.equivocations, []
        self._accusations += found[: ACCUSATIONS_MAX - len(self._accusations)]

    def _take_early(self) -> None:
        """A pre-prepare that came before its view had begun here, or before the tip was applied."""
        if not self._views.established or not self._chain.ready:
            return
        early, self._early = self._early, None
        if early is not None and (early.view, early.block.height) == (self._views.view, self._chain.round.height):
            self._consider(self._views.primary, early)
            self._try_prepare()

    def _repropose(self) -> None:
        """What a new view binds its primary to is proposed again, to the byte, once it is here and found good."""
        round_, choice = self._chain.round, self._views.choice
        if choice is None or choice.height != round_.height or choice.digest == FREE:
            return
        if not self._views.leads:
            return
        proposal = self.known(choice.digest)
        if self._views.view in round_.accepted or round_.candidate is not None or proposal is None:
            return
        if self._chain.follows(proposal.block):
            self._candidate(proposal, good=False)

    def say_again(self) -> None:
        """Says again what is not certified yet; who is further answers."""
        self._views.said()
        round_, view, place = self._chain.round, self._views.view, self._chain.place
        if place is None:
            return
        if not self._views.established:
            self._views.say()
        accepted = round_.accepted.get(view)
        if accepted is not None and self._views.established:
            if place == round_.committee.primary_place(view):
                silent = [
                    member
                    for each, member in enumerate(round_.committee.members)
                    if each != place and not round_.votes.has(each, (view, Phase.PREPARE), accepted.digest)
                ]
                block = round_.blocks[accepted.digest].block
                self._outbox.say(silent, PrePrepare(view, block, accepted.signature, again=True))
            else:
                again = self._own_vote(round_, Phase.PREPARE, view, accepted.digest, again=True)
                self._outbox.say(self._chain.others, again)
        if round_.prepared is not None:
            prepared = round_.prepared
            again = self._own_vote(round_, Phase.COMMIT, prepared.view, prepared.digest, again=True)
            self._outbox.say(self._chain.others, again)

    def found(self, proposal: Proposal) -> None:
        """A block of this height that was fetched; whether it counts, a certificate or a choice says."""
        self._found = proposal

    def install(self) -> None:
        """A new committee begins: what the old one's members said of later heights is theirs no more to say."""
        self._early, self._next, self._ahead = None, None, {}

    def settle(self) -> None:
        """What has become possible in the present view."""
        self._take_early()
        self._repropose()

    def asked_anew(self) -> None:
        """What waits has changed: the driver may be asked again for a payload of this height and view."""
        self._wanted_for = (0, 0)

    def want(self) -> None:
        """Asks the driver for a payload, once for each height and view, when one waits and may be proposed."""
        if self.takes and self._views.demanded is not None:
            key = (self._chain.round.height, self._views.view + 1)
            if self._wanted_for != key:
                self._wanted_for, self._wanted = key, Wanted(self._chain.round.height, self._views.view)
        else:
            self._wanted = None

    def drain(self) -> tuple[tuple[Judged, ...], Wanted | None]:
        """Hands out, once, what the driver has to judge and to propose."""
        judge, wanted = tuple(self._judge), self._wanted
        self._judge, self._wanted = [], None
        return judge, wanted
