"""BFT: the engine that agrees although up to a third of its committee lies.

PBFT (Castro and Liskov 1999), one height at a time, with the rules of PROTOCOLS, part 3, each of which something broke
without. A primary proposes a block for the height above the tip; who finds it good prepares it; who knows that a
quorum prepared it commits it; a quorum's COMMITs make it the tip. Where that takes too long, the committee changes its
view, and the next in its order proposes, bound by what may have been decided already. Nothing here trusts a sender:
what is told is signed, and what is concluded from it is concluded again by everybody.

One writer for each piece of state: `Round` has what is under way at one height, `Votes` who supports what, `CatchingUp`
whom to ask for blocks, `Reads` what a read waits for, `Outbox` what is to be kept and said. `views` is pure. This class
owns tip, view, and the timers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from wattquorum.consensus.bft.blocks import (
    Block,
    Chained,
    Outliner,
    Proposal,
    genesis_digest,
    proposal_of,
)
from wattquorum.consensus.bft.catching_up import CatchingUp
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, checks_of, is_valid
from wattquorum.consensus.bft.committee import Committee, Installed, Keys, installed
from wattquorum.consensus.bft.messages import (
    PHASES,
    AskBlock,
    AskBlocks,
    AskRead,
    BftMessage,
    Blocks,
    GiveBlock,
    GiveRead,
    NewView,
    Poll,
    PrePrepare,
    Tip,
    ViewChange,
    Vote,
    from_frame,
    view_change_digest,
)
from wattquorum.consensus.bft.outbox import Outbox
from wattquorum.consensus.bft.reads import Reads
from wattquorum.consensus.bft.records import Accepted, Base, Certified, Held, Kept, Prepared, Viewed, kept
from wattquorum.consensus.bft.round import Candidate, Round
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Phase, Seals, Sign
from wattquorum.consensus.bft.views import FREE, Choice, is_justified, is_sound, new_view
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Committed, Durable, Judged, Output, Restore, Wanted
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

NOBODY: Final = b""
INCOMING_MAX: Final = 256  # blocks that wait to be taken, before more of the same peer's are let go
AHEAD_MAX: Final = 6  # messages of the height after the present one, kept of each member
DOUBLINGS_MAX: Final = 32
ACCUSATIONS_MAX: Final = 1_024


def _no_archive(_height: int) -> Chained | None:
    return None


class Means(NamedTuple):
    """What an engine is handed to compute with; none of it has a state that it could change."""

    sign: Sign
    verify: Verifier
    keys: Keys
    outline: Outliner
    archive: Callable[[int], Chained | None] = _no_archive  # blocks that it keeps no longer


class Bft:
    """An `Engine` that agrees with others by signatures, and survives any f of its committee."""

    __slots__ = (
        "_accusations",
        "_ahead",
        "_applied",
        "_asked",
        "_audience",
        "_base_index",
        "_catching_up",
        "_certificate",
        "_chain",
        "_chained",
        "_chance",
        "_changes",
        "_choice",
        "_committees",
        "_decided",
        "_demanded",
        "_early",
        "_established",
        "_failures",
        "_faults",
        "_found",
        "_heights",
        "_incoming",
        "_incoming_from",
        "_judge",
        "_life",
        "_me",
        "_means",
        "_missing",
        "_missing_due_ms",
        "_missing_turn",
        "_new_view",
        "_next_committee",
        "_now",
        "_outbox",
        "_poll_ms",
        "_reads",
        "_resend_ms",
        "_restore",
        "_room_ms",
        "_round",
        "_seals",
        "_served",
        "_settings",
        "_timer_ms",
        "_tip",
        "_view",
        "_wanted",
        "_wanted_for",
    )

    def __init__(
        self,
        me: bytes,
        chain: bytes,
        founding: Configuration,
        means: Means,
        records: Iterable[Durable],
        seed: int,
        now: Millis,
        applied: int = 0,
        settings: Settings | None = None,
    ) -> None:
        """Starts or restarts.

        `chain` is the chain's id, `founding` its first configuration, `records` are the durable ones from the last
        origin on or from the beginning. `applied` is the last height whose effect the driver still has. Raises
        Refused("input_unexpected") for records with a gap, or that end below it, and Refused("configuration_invalid").
        """
        self._me, self._chain, self._means = me, chain, means
        self._settings = settings or Settings()
        self._seals = Seals(chain, means.sign, means.verify)
        self._chance = Chance(seed)
        self._now = int(now)
        found = kept(records, chain, installed(founding, means.keys), means.outline)
        if applied > found.height:
            raise Refused("input_unexpected", "applied", applied, f"The records end with height {found.height}.")
        self._committees = found.committees
        self._tip = found.tip
        self._chained = {height: Chained(each.block, proof) for height, (each, proof) in found.chained.items()}
        self._certificate = found.chained[found.height][1] if found.tip is not None else None
        self._applied = found.height
        self._decided: list[Committed] = []
        self._restore: Restore | None = None
        self._base_index = found.base.index if found.base is not None else 0
        self._hand_out_again(found, applied)
        self._outbox = Outbox(found.position)
        self._life = Chance(seed).stream(f"life from {found.position} at {self._now}").bits() >> 1
        self._view = found.viewed.view if found.viewed.epoch == self._committee.epoch else 0
        self._view = max([self._view, *found.accepted])
        self._established = self._view == 0  # above it, what a new view was bound to is forgotten
        self._choice: Choice | None = None
        self._new_view: NewView | None = None
        self._changes: dict[int, ViewChange] = {}  # the last of each member, by place
        self._failures = 0
        self._round = self._next_round(found)
        self._asked: dict[bytes, int] = {}  # handed out to be judged: the height
        self._judge: list[Judged] = []
        self._early: dict[bytes, PrePrepare] = {}  # of a view that this replica is not in yet, one of each member
        self._ahead: dict[bytes, list[BftMessage]] = {}  # of the height after the present one
        self._incoming: list[Chained] = []  # fetched, of one peer
        self._incoming_from = NOBODY
        self._catching_up = CatchingUp()
        self._audience: tuple[bytes, ...] = ()
        self._heights: dict[bytes, int] = {}  # how far those of the audience are, as they said
        self._found: Proposal | None = None
        self._missing = NOBODY
        self._missing_due_ms = 0
        self._missing_turn = 0
        self._reads = Reads()
        self._served: dict[bytes, None] = {}  # who was given blocks since the last drain
        self._accusations: list[Equivocation] = []
        self._faults: dict[bytes, int] = {}
        self._demanded: int | None = None
        self._room_ms: int | None = None  # when the last block with room was proposed, in this view
        self._wanted: Wanted | None = None
        self._wanted_for = (0, 0)
        self._next_committee: Installed | None = None
        self._timer_ms: int | None = None
        self._resend_ms: int | None = self._now if self._round.pending or not self._established else None
        self._poll_ms = self._now + self._chance.below(self._settings.poll_ms) + 1
        self._settle()

    def _hand_out_again(self, found: Kept, applied: int) -> None:
        """What was certified before the restart and the driver has lost."""
        if found.base is not None and found.base.index > applied:
            self._restore = Restore(found.base.index, found.base.state)
            applied = found.base.index
        self._applied = applied
        for height in range(applied + 1, found.height + 1):
            proposal, proof = found.chained[height]
            self._decided.append(Committed(height, proof.view, proposal.block.payload, ()))
        if self._restore is not None:
            self._applied = -1  # until the driver says that it has taken it over

    def _next_round(self, found: Kept | None = None) -> Round:
        """The round of the height above the tip; after a restart with what was promised in it."""
        round_ = Round(self.height + 1, self._committee, self._seals)
        if found is None:
            return round_
        round_.blocks, round_.accepted, round_.prepared = found.blocks, found.accepted, found.prepared
        round_.verdicts = dict.fromkeys([each.digest for each in found.accepted.values()], True)
        for view, accepted in sorted(found.accepted.items()):
            self._support(round_, view, accepted)
        if round_.prepared is not None:
            self._commit_to(round_, round_.prepared)
        return round_

    # What can be seen -----------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> Configuration:
        """The configuration of the height above the tip, as far as it is known."""
        return self._committees.installed[-1].configuration

    @property
    def term(self) -> int:
        """The view."""
        return self._view

    @property
    def leader(self) -> bytes:
        """The view's primary; empty until the view is established."""
        return self._committee.primary(self._view) if self._established else NOBODY

    @property
    def takes(self) -> bool:
        """Whether it may propose now: primary of an established view, with everything below applied."""
        round_, choice = self._round, self._choice
        if not self._established or not self._ready or self._committee.primary(self._view) != self._me:
            return False
        if self._view in round_.accepted or round_.candidate is not None or round_.certificate is not None:
            return False
        if choice is None:
            return True
        return choice.height < round_.height or (choice.height == round_.height and choice.digest == FREE)

    @property
    def quorum_ms(self) -> None:
        """Nothing: the time of a block is the primary's, and voters refuse one that is `skew_ms` from theirs."""
        return None

    @property
    def height(self) -> int:
        """The tip's."""
        return 0 if self._tip is None else self._tip.block.height

    @property
    def established(self) -> bool:
        """Whether the view has begun, as far as this replica knows."""
        return self._established

    @property
    def round(self) -> Round:
        """What is under way, for who checks it; only the engine changes it."""
        return self._round

    @property
    def faults(self) -> dict[bytes, int]:
        """How often a peer sent what no correct one sends."""
        return self._faults

    def committee_at(self, height: int) -> Committee:
        """Who agrees on a height, as far as it is known."""
        return self._committees.at(height)

    def block(self, height: int) -> Chained | None:
        """A certified block with its certificate, as it is served to others."""
        return self._chained.get(height) or self._means.archive(height)

    def proposed(self, digest: bytes) -> Block | None:
        """A block that was handed out to be judged, with its embedded certificate."""
        proposal = self._known(digest)
        return proposal.block if proposal is not None else None

    def accusations(self) -> tuple[Equivocation, ...]:
        """Hands out, once, what members proved of themselves: evidence for B-6."""
        found = tuple(self._accusations)
        self._accusations = []
        return found

    @property
    def _committee(self) -> Committee:
        return self._committees.at(self.height + 1)

    @property
    def _place(self) -> int | None:
        return self._committee.place(self._me)

    @property
    def _ready(self) -> bool:
        """Whether the driver is where the tip is: only then the next height can be judged, and its committee known."""
        return self._applied == self.height

    @property
    def _others(self) -> list[bytes]:
        return [member for member in self._committee.members if member != self._me]

    @property
    def _tip_digest(self) -> bytes:
        return genesis_digest(self._chain) if self._tip is None else self._tip.digest

    # Inputs ---------------------------------------------------------------------------------------------------------

    def receive(self, sender: bytes, frame: bytes, now: Millis, /) -> None:
        """A frame from another replica. One that no correct replica can have sent is dropped, and counted."""
        self._now = int(now)
        if sender == self._me:
            return
        try:
            message = from_frame(frame)
        except Refused:
            self._fault(sender)
            return
        self._take(sender, message)
        self._settle()

    def propose(self, payloads: Sequence[bytes], now: Millis, /) -> None:
        """Proposes the first payload at the height above the tip, if this replica may; the others are lost.

        Refused("input_unexpected") for a payload that cannot be read, or whose time is not above the block's before.
        """
        self._now = int(now)
        if not self.takes or not payloads:
            return
        round_ = self._round
        block = Block(round_.height, self._tip_digest, self._certificate, payloads[0])
        proposal = proposal_of(self._chain, block, self._means.outline)
        if proposal is None or not self._is_later(proposal):
            raise Refused("input_unexpected", "payload", payloads[0][:16], "Give it a time above the last block's.")
        self._candidate(proposal, good=True)
        self._settle()

    def persisted(self, position: int, now: Millis, /) -> None:
        """Records up to this position are durable. Every message waits for its records, so nothing follows here."""
        self._now = int(now)
        if position > self._outbox.position:
            remedy = f"The last record is {self._outbox.position}."
            raise Refused("input_unexpected", "position", position, remedy)

    def applied(self, index: int, _digest: bytes, now: Millis, /) -> None:
        """Everything certified up to `index` is applied, and a committee that it names was told before.

        Refused("input_unexpected") for what is not certified.
        """
        self._now = int(now)
        if index > self.height:
            raise Refused("input_unexpected", "index", index, f"The tip is {self.height}.")
        if index <= self._applied:
            return
        self._applied = index
        if self._ready:
            self._install()
            self._begin()
        self._settle()

    def judged(self, digest: bytes, verdict: bool, now: Millis, /) -> None:
        """Whether a proposed block is good, executed on the tip.

        Refused("input_unexpected") for one that was not handed out. A verdict that comes too late changes nothing.
        """
        self._now = int(now)
        if digest not in self._asked:
            raise Refused("input_unexpected", "digest", digest)
        round_ = self._round
        if self._asked.pop(digest) != round_.height:
            return
        round_.verdicts[digest] = verdict
        candidate = round_.candidate
        if candidate is not None and candidate.proposal.digest == digest:
            if verdict:
                self._accept(candidate)
            else:
                round_.candidate = None
                self._fault(self._committee.primary(candidate.view))
        self._settle()

    def demand(self, oldest_ms: Millis | None, now: Millis, /) -> None:
        """Since when the oldest admissible payload that is in no *certified* block has waited; None: there is none.

        What is in a proposal that is not certified counts too, and so do an epoch's end and a tick that are due.
        One that was left out of a block with room, though it had waited for `censor_ms` when the block was proposed,
        ends the view.
        """
        self._now = int(now)
        self._demanded = None if oldest_ms is None else int(oldest_ms)
        self._wanted_for = (0, 0)
        room = self._room_ms
        told = oldest_ms is not None and room is not None and oldest_ms + self._settings.censor_ms <= room
        if told and self._ready and self._established and self._place is not None:
            self._change_view(self._view + 1)
        self._settle()

    def read(self, read: int, now: Millis, /) -> None:
        """A read, at any replica. Refused("input_unexpected") when too many wait already."""
        self._now = int(now)
        if len(self._reads) >= self._settings.reads_max:
            raise Refused("input_unexpected", "read", read, f"{len(self._reads)} reads wait already; ask again later.")
        self._reads.add(read)
        self._settle()

    def transfer(self, to: bytes, _now: Millis, /) -> None:
        """Refused("input_unexpected"): views change when a primary fails, not when somebody asks."""
        raise Refused("input_unexpected", "to", to, "A committee's order says who proposes.")

    def reconfigure(self, configuration: Configuration, now: Millis, /) -> None:
        """The committee that the block at `basis_index` names, before that block is said to be applied.

        It begins with the next height. Refused("configuration_invalid") for one that could not decide by heads, and
        Refused("diverged") where this replica has another of that version, or comes too late with it.
        """
        self._now = int(now)
        found = installed(configuration, self._means.keys)
        newest = self._committees.installed[-1]
        if configuration.version <= newest.configuration.version:
            known = [each for each in self._committees.installed if each.configuration.version == configuration.version]
            if known and known[0] != found:
                raise Refused("diverged", "configuration", configuration.version, "This replica has another.")
            return
        early = configuration.basis_index == self.height and not self._round.pending
        if configuration.basis_index <= self._applied and not early:
            raise Refused("diverged", "configuration", configuration.version, "Its first height is under way.")
        self._next_committee = found
        if self._ready:
            self._install()
            self._settle()

    def serve(self, audience: Sequence[bytes], now: Millis, /) -> None:
        """From now on tells each of these replicas, which are not in the committee, of every block as it is certified.

        Whoever is told takes the block by its certificate, as one that it fetched; what gets lost it fetches.
        """
        self._now = int(now)
        members = self._committee.members
        self._audience = tuple(each for each in audience if each not in members and each != self._me)
        self._heights = {each: self._heights.get(each, 0) for each in self._audience}

    def snapshot(self, index: int, state: bytes, now: Millis, /) -> None:
        """The driver's state after `index`: records before it are not needed any more.

        Refused("input_unexpected") for an index that is not applied or lies below the last one.
        """
        self._now = int(now)
        chained = self._chained.get(index)
        if not self._base_index < index <= self._applied or chained is None:
            raise Refused("input_unexpected", "index", index, f"Applied up to {self._applied}.")
        self._base_index = index
        above: list[bytes] = []
        for height in range(index + 1, self.height + 1):
            above += [
                encode(Held(self._chained[height].block)),
                encode(Certified(self._chained[height].commit_certificate)),
            ]
        above += [encode(record) for record in self._round.records()]
        viewed = Viewed(self._committee.epoch, self._view)
        self._outbox.keep(Base(self._committees.since(index), viewed, chained, state, index, tuple(above)))

    def tick(self, now: Millis, /) -> None:
        """Changes the view, says again, asks: whatever is due."""
        self._now = int(now)
        if self._timer_ms is not None and self._now >= self._timer_ms:
            self._change_view(self._view + 1)
        if self._resend_ms is not None and self._now >= self._resend_ms:
            self._resend()
        if self._now >= self._poll_ms:
            self._poll_ms = self._now + self._settings.poll_ms
            self._outbox.say(self._polled(), Poll(self.height))
        self._settle()

    def _polled(self) -> list[bytes]:
        """Whose tips are asked for: of who agrees any other's, and from outside those of f+1, of whom one is honest.

        They are drawn anew each time, so that nobody is at the mercy of the same few for long.
        """
        others = self._others
        self._chance.shuffle(others)
        return others[: 1 if self._place is not None else self._committee.faults + 1]

    def drain(self) -> Output:
        """Hands out, once, what there is to do."""
        records, messages = self._outbox.drain()
        reads = tuple(self._reads.take(self._applied))
        fetch_ms = None if self._incoming else self._catching_up.due_ms  # what came already waits for the driver
        due = [self._timer_ms, self._resend_ms, self._poll_ms, fetch_ms]
        due += [self._missing_due_ms if self._missing else None]
        due += [self._reads.asked_ms + self._settings.resend_ms if self._reads.asking else None]
        deadline = min(each for each in due if each is not None)
        restore, self._restore = self._restore, None
        output = Output(
            records, messages, restore, tuple(self._decided), tuple(self._judge), self._wanted, reads, deadline
        )
        self._decided, self._judge, self._wanted, self._served = [], [], None, {}
        return output

    # Taking messages ------------------------------------------------------------------------------------------------

    def _take(self, sender: bytes, message: BftMessage) -> None:
        match message:
            case PrePrepare():
                self._pre_prepare(sender, message)
            case Vote():
                self._vote(sender, message)
            case ViewChange():
                self._view_change(sender, message)
            case NewView():
                self._opened(sender, message)
            case Poll(height):
                if sender in self._heights:
                    self._heights[sender] = height
                self._tell_tip(sender, height)
            case Tip(certificate):
                self._told_tip(sender, certificate)
            case AskBlocks(height):
                self._serve(sender, height)
            case Blocks():
                self._blocks(sender, message)
            case AskBlock(height, digest):
                self._serve_one(sender, height, digest)
            case GiveBlock(block):
                self._block(sender, block)
            case AskRead():
                self._asked_to_read(sender, message)
            case GiveRead():
                self._read_answered(sender, message)

    def _fault(self, sender: bytes) -> None:
        if sender in self._faults or len(self._faults) < ACCUSATIONS_MAX:
            self._faults[sender] = self._faults.get(sender, 0) + 1

    def _is_due(self, sender: bytes, height: int, message: PrePrepare | Vote) -> bool:
        """Whether a message is about the height that is worked on.

        Who is behind and says so again is told the tip; one of the next height is kept, a few of each member; of later
        heights only that they exist.
        """
        if height <= self.height:
            if message.again:
                self._tell_tip(sender, height - 1)
            return False
        if height == self._round.height:
            return True
        self._catching_up.claim(sender, height - 1)
        if height == self._round.height + 1 and self._committee.place(sender) is not None:
            waiting = self._ahead.setdefault(sender, [])
            if len(waiting) < AHEAD_MAX:
                waiting.append(message)
        return False

    # Agreement ------------------------------------------------------------------------------------------------------

    def _pre_prepare(self, sender: bytes, message: PrePrepare) -> None:
        block = message.block
        if len(block.payload) > self._settings.block_bytes_max:
            self._fault(sender)
            return
        if not self._is_due(sender, block.height, message):
            embedded = block.commit_certificate
            if embedded is not None and embedded.height == self._round.height:
                self._told_tip(sender, embedded)
            return
        if sender != self._committee.primary(message.view):
            self._fault(sender)
        elif message.view > self._view or not (self._established and self._ready):
            if message.view >= self._view:
                self._early[sender] = message
        elif message.view == self._view:
            self._consider(sender, message)
        elif message.again:
            self._tell_view(sender)

    def _consider(self, sender: bytes, message: PrePrepare) -> None:
        """A pre-prepare of the present view and height: checked, then judged by the driver, then accepted."""
        round_, view = self._round, self._view
        proposal = proposal_of(self._chain, message.block, self._means.outline)
        if proposal is None:
            self._fault(sender)
            return
        digest = proposal.digest
        place = self._committee.primary_place(view)
        if view in round_.accepted or round_.candidate is not None:
            round_.votes.add(place, (view, Phase.PREPARE), digest, message.signature)  # another one is evidence
            return
        if not self._may_stand(sender, proposal):
            return
        checks = [
            self._seals.check(self._committee, place, round_.height, view, Phase.PRE_PREPARE, digest, message.signature)
        ]
        embedded = message.block.commit_certificate
        if embedded is not None:
            checks += checks_of(embedded, self._committees.at(embedded.height), self._seals) or []
        if not self._seals.hold(checks):
            self._fault(sender)
            return
        round_.votes.add(place, (view, Phase.PREPARE), digest, message.signature)
        round_.candidate = Candidate(view, proposal, message.signature)
        self._have_judged(proposal)

    def _may_stand(self, sender: bytes, proposal: Proposal) -> bool:
        """Whether a proposal may stand here and now, before anything is executed."""
        block, choice = proposal.block, self._choice
        if choice is not None and block.height < choice.height:
            return False  # that height is decided, whatever this replica has of it
        bound = choice is not None and block.height == choice.height and choice.digest != FREE
        if choice is not None and bound and proposal.digest != choice.digest:
            self._fault(sender)
            return False
        if not self._follows(block) or not self._is_later(proposal):
            self._fault(sender)
            return False
        first = not bound
        return not first or abs(proposal.time_ms - self._now) <= self._settings.skew_ms

    def _follows(self, block: Block) -> bool:
        """Whether a block is on top of the tip and carries a certificate of it, whosever signatures are in it."""
        embedded = block.commit_certificate
        if block.height != self.height + 1 or block.previous != self._tip_digest:
            return False
        if embedded is None:
            return self._tip is None
        committee = self._committees.at(embedded.height)
        of_tip = (embedded.height, embedded.digest) == (self.height, self._tip_digest)
        return of_tip and self._tip is not None and checks_of(embedded, committee, self._seals) is not None

    def _is_later(self, proposal: Proposal) -> bool:
        return self._tip is None or proposal.time_ms > self._tip.time_ms

    def _have_judged(self, proposal: Proposal) -> None:
        """Hands a block out to be judged, unless it was at this height."""
        round_ = self._round
        verdict = round_.verdicts.get(proposal.digest)
        if verdict is None:
            if proposal.digest not in self._asked:
                self._asked[proposal.digest] = round_.height
                self._judge.append(Judged(proposal.digest, proposal.block.payload))
        elif verdict and round_.candidate is not None:
            self._accept(round_.candidate)
        else:
            round_.candidate = None

    def _candidate(self, proposal: Proposal, *, good: bool) -> None:
        """This replica, the view's primary, is about to propose a block."""
        round_, view = self._round, self._view
        signature = self._seals.make(self._committee, round_.height, view, Phase.PRE_PREPARE, proposal.digest)
        round_.candidate = Candidate(view, proposal, signature)
        if good:
            round_.verdicts[proposal.digest] = True
        self._have_judged(proposal)

    def _accept(self, candidate: Candidate) -> None:
        """The one pre-prepare that is supported in this view: durable with its block before anything is said."""
        round_, choice = self._round, self._choice
        view, proposal, signature = candidate
        round_.candidate = None
        if round_.hold(proposal):
            self._outbox.keep(Held(proposal.block))
        accepted = Accepted(round_.height, view, proposal.digest, signature)
        self._outbox.keep(accepted)
        round_.accepted[view] = accepted
        if choice is None or choice.height != round_.height or choice.digest == FREE:
            round_.proposed_ms = self._now
        self._support(round_, view, accepted)
        place = self._place
        if place is None:
            return
        if place == self._committee.primary_place(view):
            self._outbox.say(self._others, PrePrepare(view, proposal.block, signature))
        else:
            self._outbox.say(self._others, self._own_vote(round_, Phase.PREPARE, view, proposal.digest))
        self._try_prepare()

    def _support(self, round_: Round, view: int, accepted: Accepted) -> None:
        """Counts the primary's pre-prepare, and this replica's own PREPARE."""
        committee, slot = round_.committee, (view, Phase.PREPARE)
        primary, place = committee.primary_place(view), committee.place(self._me)
        round_.votes.add(primary, (view, Phase.PREPARE), accepted.digest, accepted.signature, own=True)
        if place is not None and place != primary:
            own = self._own_vote(round_, Phase.PREPARE, *slot[:1], accepted.digest)
            round_.votes.add(place, (view, Phase.PREPARE), accepted.digest, own.signature, own=True)

    def _own_vote(self, round_: Round, phase: Phase, view: int, digest: bytes, *, again: bool = False) -> Vote:
        signature = self._seals.make(round_.committee, round_.height, view, phase, digest)
        return Vote(2 if phase is Phase.PREPARE else 3, round_.height, view, digest, signature, again)

    def _vote(self, sender: bytes, message: Vote) -> None:
        place = self._committee.place(sender)
        if place is None:
            return
        if not self._is_due(sender, message.height, message):
            return
        round_, view = self._round, message.view
        if PHASES[message.phase] is Phase.COMMIT:  # of any view: a certificate is good whatever view one is in
            round_.votes.add(place, (view, Phase.COMMIT), message.digest, message.signature)
            self._try_certify(view, message.digest)
        elif view >= self._view and place != self._committee.primary_place(view):
            round_.votes.add(place, (view, Phase.PREPARE), message.digest, message.signature)
            self._try_prepare()
        elif message.again and view < self._view:
            self._tell_view(sender)

    def _try_prepare(self) -> None:
        """A quorum's support for what is accepted in this view: durable, then COMMIT."""
        round_, view = self._round, self._view
        accepted = round_.accepted.get(view)
        if accepted is None or not self._established or self._place is None:
            return
        if round_.prepared is not None and round_.prepared.view >= view:
            return
        seals = round_.votes.quorum((view, Phase.PREPARE), accepted.digest)
        if seals is None:
            return
        round_.prepared = PreparedCertificate(round_.height, view, accepted.digest, seals)
        self._outbox.keep(Prepared(round_.prepared))
        self._outbox.say(self._others, self._commit_to(round_, round_.prepared))
        self._try_certify(view, accepted.digest)

    def _commit_to(self, round_: Round, prepared: PreparedCertificate) -> Vote:
        """This replica's COMMIT, counted."""
        vote = self._own_vote(round_, Phase.COMMIT, prepared.view, prepared.digest)
        place = round_.committee.place(self._me)
        if place is not None:
            round_.votes.add(place, (prepared.view, Phase.COMMIT), prepared.digest, vote.signature, own=True)
        return vote

    def _try_certify(self, view: int, digest: bytes) -> None:
        if not self._ready:
            return
        seals = self._round.votes.quorum((view, Phase.COMMIT), digest)
        if seals is not None:
            self._certified(CommitCertificate(self._round.height, view, digest, seals))

    # The chain ------------------------------------------------------------------------------------------------------

    def _known(self, digest: bytes) -> Proposal | None:
        """A block of the height that is worked on, held or not."""
        round_ = self._round
        if digest in round_.blocks:
            return round_.blocks[digest]
        loose = [round_.candidate.proposal if round_.candidate is not None else None, self._found]
        return next((each for each in loose if each is not None and each.digest == digest), None)

    def _certified(self, certificate: CommitCertificate) -> None:
        """A valid certificate of the height that is worked on: its block becomes the tip, once it is here."""
        proposal = self._known(certificate.digest)
        if proposal is None or proposal.block.height != certificate.height:
            self._round.certificate = certificate
            return
        round_ = self._round
        if proposal.digest not in round_.blocks:
            self._outbox.keep(Held(proposal.block))
        self._outbox.keep(Certified(certificate))
        fresh = certificate.view == self._view and round_.proposed_ms is not None and self._established
        self._room_ms = round_.proposed_ms if fresh and proposal.room else None
        self._gather_accusations()
        self._tip, self._certificate = proposal, certificate
        self._chained[certificate.height] = Chained(proposal.block, certificate)
        self._chained.pop(certificate.height - self._settings.blocks_kept, None)
        self._decided.append(Committed(certificate.height, certificate.view, proposal.block.payload, ()))
        told = [each for each in self._audience if self._heights[each] < certificate.height]
        if told:
            self._outbox.say(told, Blocks((proposal.block,), certificate))
        self._failures, self._timer_ms, self._resend_ms = 0, None, None
        self._establish_by(certificate)
        self._found = None
        self._round = self._next_round()

    def _establish_by(self, certificate: CommitCertificate) -> None:
        """A certificate of a higher view, or of an unestablished one, establishes it from here on; none lowers it."""
        if certificate.view > self._view:
            self._enter(certificate.view)
        if certificate.view == self._view and not self._established:
            self._established, self._choice, self._new_view, self._timer_ms = True, None, None, None

    def _begin(self) -> None:
        """The driver is at the tip: what came early for the next height is taken up."""
        self._early = {by: each for by, each in self._early.items() if each.block.height >= self._round.height}
        ahead, self._ahead = self._ahead, {}
        for sender, messages in sorted(ahead.items()):
            for message in messages:
                self._take(sender, message)
        for view, digest in self._round.votes.supported(Phase.COMMIT):
            if self._ready:
                self._try_certify(view, digest)
        if not self._take_incoming():
            self._disappointed(self._incoming_from)

    def _install(self) -> None:
        """A new committee begins, in its first view."""
        found = self._next_committee
        if found is None or found.configuration.basis_index != self.height:
            return
        self._next_committee = None
        self._committees.add(found)
        self._outbox.keep(found)
        self._view, self._established, self._choice, self._new_view = 0, True, None, None
        self._changes, self._early, self._ahead = {}, {}, {}
        self._failures, self._timer_ms, self._room_ms = 0, None, None
        self._round = self._next_round()

    # Views ----------------------------------------------------------------------------------------------------------

    def _enter(self, view: int) -> None:
        """Takes part in nothing below this view any more, durably."""
        self._failures = min(self._failures + view - self._view, DOUBLINGS_MAX)
        self._view, self._established, self._choice, self._new_view = view, False, None, None
        self._round.candidate, self._round.proposed_ms, self._room_ms = None, None, None
        self._timer_ms = None
        self._outbox.keep(Viewed(self._committee.epoch, view))

    def _change_view(self, view: int) -> None:
        self._enter(view)
        self._say_view_change()

    def _say_view_change(self) -> None:
        """VIEW-CHANGE with the tip and what is prepared by now: to say it again with a higher tip is legal."""
        place = self._place
        if place is None:
            return
        tip, prepared = self._certificate, self._round.prepared
        own = self._changes.get(place)
        if own is None or (own.view, own.tip, own.prepared) != (self._view, tip, prepared):
            digest = view_change_digest(tip, prepared)
            signature = self._seals.make(self._committee, self.height, self._view, Phase.VIEW_CHANGE, digest)
            own = self._changes[place] = ViewChange(self._view, tip, prepared, signature)
        self._outbox.say(self._others, own)
        self._resend_ms = self._now + self._settings.resend_ms

    def _view_change(self, sender: bytes, message: ViewChange) -> None:
        place = self._committee.place(sender)
        if place is None:
            return
        if message.height > self.height:
            self._catching_up.claim(sender, message.height)
        if message.height + 1 < self._committee.first:  # of a former committee's view: its sender is behind
            self._tell_tip(sender, message.height)
            return
        known = self._changes.get(place)
        repeated = known is not None and message.view <= known.view
        if message != known and (known is None or (message.view, message.height) >= (known.view, known.height)):
            if not is_sound(message, place, self._committees, self._seals):
                self._fault(sender)
                return
            self._changes[place] = message
        if self.height > message.height:
            self._tell_tip(sender, message.height)
        waits = message.view == self._view and self._established  # two that wait would answer each other for ever
        if repeated and (message.view < self._view or waits):
            self._tell_view(sender)

    def _tell_view(self, sender: bytes) -> None:
        """Answers somebody who is in an earlier view, or waits for this one to begin."""
        place = self._place
        if sender in self._served:
            return
        self._served[sender] = None
        if self._established and self._new_view is not None:
            self._outbox.say([sender], self._new_view)
        elif self._certificate is not None and self._established:
            self._outbox.say([sender], Tip(self._certificate))
        elif place is not None and place in self._changes and not self._established:
            self._outbox.say([sender], self._changes[place])

    def _consider_views(self) -> None:
        """Joins a later view that f+1 others are in; opens one as its primary with a quorum's view changes."""
        place, committee = self._place, self._committee
        if place is None:
            return
        others = [change.view for each, change in self._changes.items() if each != place]
        later = sorted((view for view in others if view > self._view), reverse=True)
        if len(later) > committee.faults:
            self._change_view(later[committee.faults])
        if self._established or committee.primary(self._view) != self._me:
            return
        mine = self._changes.get(place)
        if mine is None or mine.view != self._view:
            return
        same = sorted((each, change) for each, change in self._changes.items() if change.view == self._view)
        if len(same) >= committee.quorum:
            chosen = [(place, mine), *[each for each in same if each[0] != place]][: committee.quorum]
            message = new_view(self._view, sorted(chosen, key=lambda each: each[0]), committee, self._seals)
            self._outbox.say(self._others, message)
            self._establish(message)

    def _opened(self, sender: bytes, message: NewView) -> None:
        """A NEW-VIEW, from whomever it comes: recomputed, then followed."""
        if message.view < self._view or (message.view == self._view and self._established) or message.view == 0:
            return
        if self._place is None or message.height + 1 < self._committee.first:  # or of a former committee's view
            return
        if not is_justified(message, self._committees, self._seals):
            self._fault(sender)
            return
        if message.view > self._view:
            self._enter(message.view)
        if message.height > self.height:
            self._catching_up.claim(sender, message.height)
            for change in message.changes:
                if change.view_change.height == message.height:
                    self._catching_up.claim(self._committee.members[change.member], message.height)
        self._establish(message)

    def _establish(self, message: NewView) -> None:
        self._established, self._new_view = True, message
        self._choice = Choice(message.height + 1, message.digest)
        self._timer_ms, self._wanted_for = None, (0, 0)

    def _is_waiting(self) -> bool:
        """Whether the timer has to run: a later view once a quorum is there, this one while anything is to be done."""
        if self._place is None:
            return False
        if not self._established:
            there = sum(change.view >= self._view for change in self._changes.values())
            return there >= self._committee.quorum
        return self._demanded is not None or self._round.pending

    # Catching up ----------------------------------------------------------------------------------------------------

    def _tell_tip(self, sender: bytes, above: int) -> None:
        if self._certificate is not None and self.height > above and sender not in self._served:
            self._served[sender] = None
            self._outbox.say([sender], Tip(self._certificate))

    def _told_tip(self, sender: bytes, certificate: CommitCertificate) -> None:
        """A certificate, whatever its view: it is taken when its block is here, or its block is fetched."""
        height = certificate.height
        if height > self.height:
            self._catching_up.claim(sender, height)
        if height == self._round.height and self._ready and self._known(certificate.digest) is not None:
            if is_valid(certificate, self._round.committee, self._seals):
                self._certified(certificate)
            else:
                self._fault(sender)
        elif height == self.height and certificate.digest == self._tip_digest and height >= self._committee.first:
            # A former committee's views say nothing of this one's.
            later = certificate.view > self._view or (certificate.view == self._view and not self._established)
            if later and is_valid(certificate, self._committees.at(height), self._seals):
                self._establish_by(certificate)

    def _serve(self, sender: bytes, height: int) -> None:
        """Blocks above a height, as many as fit into an answer; one answer to each in a turn."""
        if sender in self._served:
            return
        self._served[sender] = None
        blocks: list[Block] = []
        size, last = 0, None
        for at in range(height + 1, self.height + 1):
            chained = self.block(at)
            if chained is None or (blocks and size + len(chained.block.payload) > self._settings.chunk_bytes):
                break
            blocks.append(chained.block)
            size += len(chained.block.payload)
            last = chained.commit_certificate
        if last is not None:
            self._outbox.say([sender], Blocks(tuple(blocks), last))

    def _blocks(self, sender: bytes, message: Blocks) -> None:
        """Blocks, whoever gives them and however late: they prove themselves. Some at a time."""
        if not message.blocks or message.blocks[-1].height <= self.height:
            return
        reached = self._incoming[-1].block.height if self._incoming else self.height
        first = message.blocks[0].height
        if first > reached + 1:
            self._catching_up.claim(sender, message.blocks[-1].height)
            return
        continued = sender == self._incoming_from and first == reached + 1 and len(self._incoming) < INCOMING_MAX
        if self._incoming and sender != self._catching_up.asked and not continued:
            return
        self._catching_up.answered(sender, self._now)
        certificates = [block.commit_certificate for block in message.blocks[1:]]
        found = [
            Chained(block, certificate)
            for block, certificate in zip(message.blocks, [*certificates, message.commit_certificate], strict=True)
            if certificate is not None and block.height > self.height
        ]
        self._incoming = [*self._incoming, *found] if continued else found
        self._incoming_from = sender
        if not self._take_incoming():
            self._disappointed(sender)

    def _disappointed(self, sender: bytes) -> None:
        self._catching_up.disappointed(sender)
        self._fault(sender)

    def _take_incoming(self) -> bool:
        """Takes fetched blocks, one whenever the driver is at the tip; False: the next one is not what follows."""
        while self._incoming and self._ready:
            chained = self._incoming.pop(0)
            if chained.block.height <= self.height:
                continue
            proposal = proposal_of(self._chain, chained.block, self._means.outline)
            certificate = chained.commit_certificate
            good = proposal is not None and self._follows(chained.block)
            good = (
                good
                and proposal is not None
                and (certificate.height, certificate.digest)
                == (
                    proposal.block.height,
                    proposal.digest,
                )
            )
            if not good or not is_valid(certificate, self._round.committee, self._seals):
                self._incoming = []
                return False
            self._found = proposal
            self._certified(certificate)
        return True

    def _fetch(self) -> None:
        """Asks whoever has later blocks, when that is due; and members for one block that is missing."""
        wait = self._settings.fetch_ms
        if not self._incoming:
            self._catching_up.schedule(self.height, self._now, wait)
            peer = self._catching_up.next(self.height, self._now, wait)
            if peer is not None:
                self._outbox.say([peer], AskBlocks(self.height))
        missing = self._missing_block()
        if missing != self._missing:
            self._missing, self._missing_due_ms = missing, self._now
        if missing and self._now >= self._missing_due_ms and self._others:
            self._missing_turn += 1
            self._missing_due_ms = self._now + wait
            peer = self._others[self._missing_turn % len(self._others)]
            self._outbox.say([peer], AskBlock(self._round.height, missing))

    def _missing_block(self) -> bytes:
        """The digest of a block without which nothing goes on: a certified one, or what a new primary is bound to."""
        round_, choice = self._round, self._choice
        if round_.certificate is not None:
            return round_.certificate.digest
        if not (self._established and self._ready) or self._committee.primary(self._view) != self._me:
            return NOBODY
        if choice is None or choice.height != round_.height or choice.digest == FREE:
            return NOBODY
        return NOBODY if self._known(choice.digest) is not None else choice.digest

    def _serve_one(self, sender: bytes, height: int, digest: bytes) -> None:
        proposal = self._round.blocks.get(digest)
        chained = self.block(height) if height <= self.height else None
        if proposal is not None:
            self._outbox.say([sender], GiveBlock(proposal.block))
        elif chained is not None and chained.commit_certificate.digest == digest:
            self._outbox.say([sender], GiveBlock(chained.block))

    def _block(self, sender: bytes, block: Block) -> None:
        if not self._missing or block.height != self._round.height:
            return
        proposal = proposal_of(self._chain, block, self._means.outline)
        if proposal is None or proposal.digest != self._missing:
            self._fault(sender)
            return
        self._found = proposal
        certificate = self._round.certificate
        if certificate is not None and self._ready:
            self._certified(certificate)

    # Reads ----------------------------------------------------------------------------------------------------------

    @property
    def _promised(self) -> int:
        """The height that this replica knows to be certified, or may have helped to certify."""
        return self._round.height if self._round.prepared is not None else self.height

    def _ask_reads(self) -> None:
        reads = self._reads
        committee = self._committee
        if not reads.asking:
            if not reads.begin(self._promised, self._now):
                return
            if self._place is not None:
                reads.answer(self._me, self._promised, committee.quorum)
        elif self._now < reads.asked_ms + self._settings.resend_ms:
            return
        if reads.asking:
            reads.asked_ms = self._now
            asked = [member for member in reads.unanswered(committee.members) if member != self._me]
            self._outbox.say(asked, AskRead(reads.round, self._life, self.height))

    def _asked_to_read(self, sender: bytes, message: AskRead) -> None:
        if self._place is None:
            return
        tip = self._certificate if self.height > message.height else None
        prepared = self._round.prepared if self._round.height > message.height else None
        self._outbox.say([sender], GiveRead(message.round, message.life, tip, prepared))

    def _read_answered(self, sender: bytes, message: GiveRead) -> None:
        """An answer counts as far as it proves itself; one that proves nothing says that there is nothing above."""
        reads, committee = self._reads, self._committee
        if not reads.asking or (message.round, message.life) != (reads.round, self._life):
            return
        if committee.place(sender) is None:
            return
        height = 0
        for certificate in (message.tip, message.prepared):
            if certificate is not None and certificate.height > self.height:
                if not is_valid(certificate, self._committees.at(certificate.height), self._seals):
                    self._fault(sender)
                    return
                height = max(height, certificate.height)
        if height > self.height:
            self._catching_up.claim(sender, height if message.tip is not None else height - 1)
        reads.answer(sender, height, committee.quorum)

    # What follows from everything -----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """What any input may have made possible or necessary."""
        self._consider_views()
        self._take_early()
        self._repropose()
        self._fetch()
        self._ask_reads()
        self._gather_accusations()
        if self.takes and self._demanded is not None:
            key = (self._round.height, self._view + 1)
            if self._wanted_for != key:
                self._wanted_for, self._wanted = key, Wanted(self._round.height, self._view)
        else:
            self._wanted = None
        if not self._is_waiting():
            self._timer_ms = None
        elif self._timer_ms is None:
            timeout = self._settings.timeout_ms << self._failures
            self._timer_ms = self._now + min(timeout, self._settings.timeout_max_ms)
        saying = self._place is not None and (self._round.pending or not self._established)
        if not saying:
            self._resend_ms = None
        elif self._resend_ms is None:
            self._resend_ms = self._now + self._settings.resend_ms

    def _gather_accusations(self) -> None:
        found, self._round.votes.equivocations = self._round.votes.equivocations, []
        self._accusations += found[: ACCUSATIONS_MAX - len(self._accusations)]

    def _take_early(self) -> None:
        """A pre-prepare that came before its view had begun here, or before the tip was applied."""
        if not self._established or not self._ready:
            return
        primary = self._committee.primary(self._view)
        early = self._early.get(primary)
        if early is not None and early.view <= self._view:
            del self._early[primary]
            if (early.view, early.block.height) == (self._view, self._round.height):
                self._consider(primary, early)
                self._try_prepare()

    def _repropose(self) -> None:
        """What a new view binds its primary to is proposed again, to the byte, once it is here and found good."""
        round_, choice = self._round, self._choice
        if choice is None or choice.height != round_.height or choice.digest == FREE:
            return
        if not (self._established and self._ready) or self._committee.primary(self._view) != self._me:
            return
        proposal = self._known(choice.digest)
        if self._view in round_.accepted or round_.candidate is not None or proposal is None:
            return
        if self._follows(proposal.block):
            self._candidate(proposal, good=False)

    def _resend(self) -> None:
        """Says again what is not certified yet; who is further answers."""
        self._resend_ms = self._now + self._settings.resend_ms
        round_, view, place = self._round, self._view, self._place
        if place is None:
            return
        if not self._established:
            self._say_view_change()
        accepted = round_.accepted.get(view)
        if accepted is not None and self._established:
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
                self._outbox.say(self._others, again)
        if round_.prepared is not None:
            prepared = round_.prepared
            again = self._own_vote(round_, Phase.COMMIT, prepared.view, prepared.digest, again=True)
            self._outbox.say(self._others, again)
