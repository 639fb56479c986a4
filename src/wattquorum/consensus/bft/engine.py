"""BFT: the engine that agrees although up to a third of its committee lies.

PBFT (Castro and Liskov 1999), one height at a time, with the rules of PROTOCOLS, part 3, each of which something broke
without. A primary proposes a block for the height above the tip; who finds it good prepares it; who knows that a
quorum prepared it commits it; a quorum's COMMITs make it the tip. Where that takes too long, the committee changes its
view, and the next in its order proposes, bound by what may have been decided already. Nothing here trusts a sender:
what is told is signed, and what is concluded from it is concluded again by everybody.

One writer for each piece of state: `Chain` has what is certified, `Round` and `Votes` what is under way above it,
`Agreement` leads from one to the other, `ViewChanges` has the view and its timers, `Fetching` and `CatchingUp` get
blocks from others, `Audience` and `HandOver` give them away, `Reading` and `Reads` say how far a read must see,
`Outbox` has what is to be kept and said. `views` is pure. This class turns inputs into calls, and settles what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from wattquorum.consensus.bft.agreement import Agreement
from wattquorum.consensus.bft.audience import Audience
from wattquorum.consensus.bft.blocks import Block, Chained
from wattquorum.consensus.bft.catching_up import CatchingUp
from wattquorum.consensus.bft.chain import Chain, Means
from wattquorum.consensus.bft.committee import Committee, Installed, installed
from wattquorum.consensus.bft.desk import Desk, Fault
from wattquorum.consensus.bft.fetching import Fetching
from wattquorum.consensus.bft.handover import HandOver
from wattquorum.consensus.bft.messages import (
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
)
from wattquorum.consensus.bft.outbox import Outbox
from wattquorum.consensus.bft.reading import Reading
from wattquorum.consensus.bft.records import kept
from wattquorum.consensus.bft.round import Round
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.consensus.bft.view_changes import ViewChanges
from wattquorum.consensus.bft.votes import Equivocation
from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.engine import Durable, Output
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import Millis
from wattquorum.foundation.refusals import Refused

__all__ = ["Bft", "Means"]
NOBODY: Final = b""


class Bft:
    """An `Engine` that agrees with others by signatures, and survives any f of its committee."""

    __slots__ = (
        "_agreement",
        "_audience",
        "_catching_up",
        "_chain",
        "_chance",
        "_desk",
        "_fetching",
        "_handover",
        "_means",
        "_next_committee",
        "_outbox",
        "_poll_ms",
        "_reading",
        "_settings",
        "_views",
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
        self._means = means
        self._settings = settings or Settings()
        found = kept(records, chain, installed(founding, means.keys), means.outline)
        if applied > found.height:
            raise Refused("input_unexpected", "applied", applied, f"The records end with height {found.height}.")
        seals = Seals(chain, means.sign, means.verify)
        self._chain = Chain(me, chain, means, seals, self._settings.blocks_kept, found, applied)
        self._outbox = Outbox(found.position)
        self._desk = Desk(self._chain, seals, self._settings, self._outbox, int(now))
        self._chance = Chance(seed)
        self._catching_up = CatchingUp()
        view = found.viewed.view if found.viewed.epoch == self._chain.committee.epoch else 0
        self._views = ViewChanges(self._desk, self._catching_up, max([view, *found.accepted]))
        self._audience = Audience(self._desk)
        self._agreement = Agreement(self._desk, self._catching_up, self._views, self._audience)
        self._fetching = Fetching(self._desk, self._catching_up, self._views, self._agreement)
        life = self._chance.stream(f"life from {found.position} at {int(now)}").bits() >> 1
        self._reading = Reading(self._desk, self._catching_up, life)
        self._next_committee: Installed | None = None
        self._handover = HandOver(self._desk)
        self._agreement.resume(found)
        self._handover.resume()
        self._views.resume()
        self._poll_ms = self._desk.now + self._chance.below(self._settings.poll_ms) + 1
        self._settle()

    # What can be seen -----------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> Configuration:
        """The configuration of the height above the tip, as far as it is known."""
        return self._chain.committees.installed[-1].configuration

    @property
    def term(self) -> int:
        """The view."""
        return self._views.view

    @property
    def leader(self) -> bytes:
        """The view's primary; empty until the view is established."""
        return self._views.primary if self._views.established else NOBODY

    @property
    def takes(self) -> bool:
        """Whether it may propose now: primary of an established view, with everything below applied."""
        return self._agreement.takes

    @property
    def quorum_ms(self) -> None:
        """Nothing: the time of a block is the primary's, and voters refuse one that is `skew_ms` from theirs."""
        return None

    @property
    def height(self) -> int:
        """The tip's."""
        return self._chain.height

    @property
    def established(self) -> bool:
        """Whether the view has begun, as far as this replica knows."""
        return self._views.established

    @property
    def new_view(self) -> NewView | None:
        """What has opened the view, for who checks it; None where a certificate has, or nothing yet."""
        return self._views.new_view

    @property
    def round(self) -> Round:
        """What is under way, for who checks it; only the engine changes it."""
        return self._chain.round

    @property
    def faults(self) -> dict[bytes, int]:
        """How often a peer did what no correct one does; under an empty address those that the chain does not name."""
        found: dict[bytes, int] = {}
        for (peer, _), count in self._desk.faults.items():
            found[peer] = found.get(peer, 0) + count
        return found

    @property
    def faults_by_kind(self) -> Mapping[tuple[bytes, Fault], int]:
        """The same by what it did."""
        return self._desk.faults

    def committee_at(self, height: int) -> Committee:
        """Who agrees on a height, as far as it is known."""
        return self._chain.committees.at(height)

    def block(self, height: int) -> Chained | None:
        """A certified block with its certificate, as it is served to others."""
        return self._chain.block(height)

    @property
    def claims(self) -> dict[bytes, int]:
        """Who says that it has later blocks, and up to which height. To say so costs nothing."""
        return self._catching_up.claims

    def unserved(self) -> dict[bytes, int]:
        """Hands out, once, who asked for blocks above a height that are certified and not here any more."""
        found, self._desk.lacking = self._desk.lacking, {}
        return found

    def blame(self, peer: bytes) -> None:
        """Counts what the driver found out: a peer gave a state, or the way to one, that is not the chain's."""
        self._desk.blame(peer, Fault.FALSE_STATE)

    def proposed(self, digest: bytes) -> Block | None:
        """A block that was handed out to be judged, with its embedded certificate."""
        return self._agreement.proposed(digest)

    def accusations(self) -> tuple[Equivocation, ...]:
        """Hands out, once, what members proved of themselves: evidence for B-6."""
        return self._agreement.accusations()

    def own_commit(self, height: int) -> tuple[int, bytes] | None:
        """View and signature of this replica's COMMIT on the block that was certified at a height.

        None where it took no part, or so long ago that it is not kept. It has sent this COMMIT, or a primary kept it
        from that by showing it no proposal, while f+1 others told it of theirs.
        """
        found = self._chain.commits.get(height)
        if found is None:
            return None
        view, digest = found
        return view, self._desk.seals.make(self._chain.committees.at(height), height, view, Phase.COMMIT, digest)

    # Inputs ---------------------------------------------------------------------------------------------------------

    def receive(self, sender: bytes, frame: bytes, now: Millis, /) -> None:
        """A frame from another replica. One that no correct replica can have sent is dropped, and counted."""
        self._desk.now = int(now)
        if sender == self._chain.me:
            return
        try:
            message = from_frame(frame)
        except Refused:
            self._desk.blame(sender, Fault.UNREADABLE)
            return
        self._take(sender, message)
        self._settle()

    def propose(self, payloads: Sequence[bytes], now: Millis, /) -> None:
        """Proposes the first payload at the height above the tip, if this replica may; the others are lost.

        Refused("input_unexpected") for a payload that cannot be read, or whose time is not above the block's before.
        """
        self._desk.now = int(now)
        if self.takes and payloads:
            self._agreement.propose(payloads[0])
            self._settle()

    def persisted(self, position: int, now: Millis, /) -> None:
        """Records up to this position are durable: what was promised in them counts from now on."""
        self._desk.now = int(now)
        if position > self._outbox.position:
            remedy = f"The last record is {self._outbox.position}."
            raise Refused("input_unexpected", "position", position, remedy)
        self._agreement.kept(position)
        self._settle()

    def applied(self, index: int, _digest: bytes, now: Millis, /) -> None:
        """Everything certified up to `index` is applied, and a committee that it names was told before.

        Refused("input_unexpected") for what is not certified.
        """
        self._desk.now = int(now)
        if index > self._chain.height:
            raise Refused("input_unexpected", "index", index, f"The tip is {self._chain.height}.")
        if index <= self._chain.applied:
            return
        self._chain.applied = index
        if self._chain.ready:
            self._install()
            self._agreement.begin()
            self._fetching.go_on()
        self._settle()

    def judged(self, digest: bytes, verdict: bool, now: Millis, /) -> None:
        """Whether a proposed block is good, executed on the tip.

        Refused("input_unexpected") for one that was not handed out. A verdict that comes too late changes nothing.
        """
        self._desk.now = int(now)
        self._agreement.judged(digest, verdict=verdict)
        self._settle()

    def demand(self, oldest_ms: Millis | None, now: Millis, /) -> None:
        """Since when the oldest admissible payload that is in no *certified* block has waited; None: there is none.

        What is in a proposal that is not certified counts too, and so do an epoch's end and a tick that are due.
        One that was left out of a block with room, though it had waited for `censor_ms` when the block was proposed,
        ends the view.
        """
        self._desk.now = int(now)
        self._agreement.asked_anew()
        self._views.demand(None if oldest_ms is None else int(oldest_ms))
        self._settle()

    def read(self, read: int, now: Millis, /) -> None:
        """A read, at any replica. Refused("input_unexpected") when too many wait already."""
        self._desk.now = int(now)
        self._reading.add(read)
        self._settle()

    def transfer(self, to: bytes, _now: Millis, /) -> None:
        """Refused("input_unexpected"): views change when a primary fails, not when somebody asks."""
        raise Refused("input_unexpected", "to", to, "A committee's order says who proposes.")

    def reconfigure(self, configuration: Configuration, now: Millis, /) -> None:
        """The committee that the block at `basis_index` names, before that block is said to be applied.

        It begins with the next height. Refused("configuration_invalid") for one that could not decide by heads, and
        Refused("diverged") where this replica has another of that version, or comes too late with it.
        """
        self._desk.now = int(now)
        found = installed(configuration, self._means.keys)
        newest = self._chain.committees.installed[-1]
        if configuration.version <= newest.configuration.version:
            known = {each.configuration.version: each for each in self._chain.committees.installed}
            if known.get(configuration.version, found) != found:
                raise Refused("diverged", "configuration", configuration.version, "This replica has another.")
            return
        early = configuration.basis_index == self._chain.height and not self._chain.round.pending
        if configuration.basis_index <= self._chain.applied and not early:
            raise Refused("diverged", "configuration", configuration.version, "Its first height is under way.")
        self._next_committee = found
        if self._chain.ready:
            self._install()
            self._settle()

    def serve(self, audience: Sequence[bytes], now: Millis, /) -> None:
        """From now on tells each of these replicas, which are not in the committee, of every block as it is certified.

        Whoever is told takes the block by its certificate, as one that it fetched; what gets lost it fetches.
        """
        self._desk.now = int(now)
        self._audience.serve(audience)

    def snapshot(self, index: int, state: bytes, now: Millis, /) -> None:
        """The driver's state after `index`: records before it are not needed any more.

        Refused("input_unexpected") for an index that is not applied or lies below the last one.
        """
        self._desk.now = int(now)
        self._outbox.keep(self._chain.base(index, state, self._views.view))

    def take_over(self, chained: Chained, committees: Sequence[Installed], state: bytes, now: Millis, /) -> None:
        """Goes on from a later block, which the driver has proven, and from the state after it: hands it out as any
        state to go on from, once its record is one that a restart begins with.

        Nothing that this replica promised is lost: all of it lies at heights that are decided by then. `committees`
        are those of the block and of the next one. Refused as `Chain.take_over`.
        """
        self._desk.now = int(now)
        same = committees[-1].configuration.version == self._chain.committee.epoch
        base = self._chain.take_over(chained, committees, state, self._views.view if same else 0)
        self._next_committee = None
        if not same:
            self._views.install()
            self._agreement.install()
            self._reading.install()
        self._fetching.forget()
        self._outbox.keep(base)
        self._views.certified(chained.commit_certificate, None)
        self._handover.resume()
        self._settle()

    def tick(self, now: Millis, /) -> None:
        """Changes the view, says again, asks: whatever is due."""
        self._desk.now = int(now)
        if self._views.timer_ms is not None and self._desk.now >= self._views.timer_ms:
            self._views.change(self._views.view + 1)
        if self._views.resend_ms is not None and self._desk.now >= self._views.resend_ms:
            self._agreement.say_again()
        if self._desk.now >= self._poll_ms:
            self._poll_ms = self._desk.now + self._settings.poll_ms
            self._outbox.ask(self._polled(), Poll(self._chain.height))
        self._handover.tick()
        self._settle()

    def _polled(self) -> list[bytes]:
        """Whose tips are asked for: of who agrees any other's, and from outside those of f+1, of whom one is honest.

        They are drawn anew each time, so that nobody is at the mercy of the same few for long.
        """
        others = self._chain.others
        self._chance.shuffle(others)
        return others[: 1 if self._chain.place is not None else self._chain.committee.faults + 1]

    def drain(self) -> Output:
        """Hands out, once, what there is to do."""
        self._fetching.give()
        self._reading.answer()
        records, messages = self._outbox.drain()
        restore, decided = self._chain.drain()
        judge, wanted = self._agreement.drain()
        due = [self._views.timer_ms, self._views.resend_ms, self._poll_ms, self._handover.due_ms]
        due += [self._fetching.due_ms, self._reading.due_ms]
        deadline = min(each for each in due if each is not None)
        self._desk.end_turn()
        return Output(records, messages, restore, decided, judge, wanted, self._reading.take(), deadline)

    # What follows ---------------------------------------------------------------------------------------------------

    def _take(self, sender: bytes, message: BftMessage) -> None:
        match message:
            case PrePrepare():
                self._agreement.pre_prepare(sender, message)
            case Vote():
                self._agreement.vote(sender, message)
            case ViewChange():
                self._views.heard(sender, message)
            case NewView():
                self._views.opened(sender, message)
            case Poll(height):
                self._audience.polled(sender, height)
                self._desk.tell_tip(sender, height)
            case Tip(certificate):
                self._agreement.told(sender, certificate)
            case AskBlocks(height):
                self._fetching.serve(sender, height)
            case Blocks():
                self._fetching.blocks(sender, message)
            case AskBlock(height, digest):
                self._fetching.serve_one(sender, height, digest)
            case GiveBlock(block):
                self._fetching.block(sender, block)
            case AskRead():
                self._reading.asked(sender, message)
            case GiveRead():
                self._reading.answered(sender, message)

    def _install(self) -> None:
        """A new committee begins, in its first view."""
        found = self._next_committee
        if found is None or found.configuration.basis_index != self._chain.height:
            return
        self._next_committee = None
        old = self._chain.committee
        self._chain.install(found)
        self._outbox.keep(found)
        self._views.install()
        self._agreement.install()
        self._reading.install()
        self._handover.begin(old)

    def _settle(self) -> None:
        """What any input may have made possible or necessary."""
        self._views.settle()
        self._agreement.settle()
        self._fetching.ask()
        self._reading.ask()
        self._agreement.gather_accusations()
        self._agreement.want()
        self._views.set_timers()
