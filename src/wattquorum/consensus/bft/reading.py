"""Reading: asks the committee how far a read must see, and answers others who ask.

What waits for what is kept by `Reads`; why a quorum's answers are enough, it says there.
"""

from __future__ import annotations

from wattquorum.consensus.bft.catching_up import PEERS_MAX, CatchingUp
from wattquorum.consensus.bft.certificates import is_valid
from wattquorum.consensus.bft.desk import Desk, Fault
from wattquorum.consensus.bft.messages import AskRead, GiveRead
from wattquorum.consensus.bft.reads import Reads
from wattquorum.foundation.refusals import Refused


class Reading:
    """The questions of reads. `life` tells this replica's from those before its last restart."""

    __slots__ = ("_askers", "_catching_up", "_chain", "_desk", "_life", "_outbox", "_reads", "_seals", "_settings")

    def __init__(self, desk: Desk, catching_up: CatchingUp, life: int) -> None:
        self._desk, self._chain, self._outbox = desk, desk.chain, desk.outbox
        self._seals, self._settings = desk.seals, desk.settings
        self._catching_up = catching_up
        self._life = life
        self._reads = Reads()
        self._askers: dict[bytes, AskRead] = {}  # the last question of each, since the last drain

    def add(self, read: int) -> None:
        """A read. Refused("input_unexpected") when too many wait already."""
        if len(self._reads) >= self._settings.reads_max:
            raise Refused("input_unexpected", "read", read, f"{len(self._reads)} reads wait already; ask again later.")
        self._reads.add(read)

    def install(self) -> None:
        """A new committee begins: it is asked."""
        self._reads.begin_anew()

    def take(self) -> tuple[int, ...]:
        """Reads that may answer now."""
        return tuple(self._reads.take(self._chain.applied))

    @property
    def due_ms(self) -> int | None:
        """When who has not answered is asked again."""
        return self._reads.asked_ms + self._settings.resend_ms if self._reads.asking else None

    @property
    def _promised(self) -> int:
        """The height that this replica knows to be certified, or may have helped to certify."""
        return self._chain.round.height if self._chain.round.prepared is not None else self._chain.height

    def ask(self) -> None:
        """Begins a round of questions for all reads that wait, or asks again who has not answered."""
        reads = self._reads
        committee = self._chain.committee
        if not reads.asking:
            if not reads.begin(self._promised, self._desk.now):
                return
            if self._chain.place is not None:
                reads.answer(self._chain.me, self._promised, committee.quorum)
        elif self._desk.now < reads.asked_ms + self._settings.resend_ms:
            return
        if reads.asking:
            reads.asked_ms = self._desk.now
            asked = [member for member in reads.unanswered(committee.members) if member != self._chain.me]
            self._outbox.ask(asked, AskRead(reads.round, self._life, self._chain.height))

    def asked(self, sender: bytes, message: AskRead) -> None:
        """Somebody asks. Of several questions in a turn its last is answered: no replica asks again before its earlier
        round is over, or has waited for long.

        Whoever reaches this replica may ask: who follows, who is about to be admitted, and who was a member once have
        reads as well, and which of them a peer is can be known too late here.
        """
        if sender in self._askers or len(self._askers) < PEERS_MAX:
            self._askers[sender] = message

    def answer(self) -> None:
        """A member answers who asked, each once, with what it can prove by now."""
        askers, self._askers = self._askers, {}
        if self._chain.place is None:
            return
        for sender, message in askers.items():
            tip = self._chain.certificate if self._chain.height > message.height else None
            prepared = self._chain.round.prepared if self._chain.round.height > message.height else None
            self._outbox.say([sender], GiveRead(message.round, message.life, tip, prepared))

    def answered(self, sender: bytes, message: GiveRead) -> None:
        """An answer counts as far as it proves itself; one that proves nothing says that there is nothing above.

        What a committee may have signed that is not known here yet is no answer, and no lie: its sender is asked for
        blocks, and then again.
        """
        reads, committee = self._reads, self._chain.committee
        if not reads.asking or (message.round, message.life) != (reads.round, self._life):
            return
        if committee.place(sender) is None:
            return
        height = 0
        for certificate in (message.tip, message.prepared):
            if certificate is not None and certificate.height > self._chain.height:
                if not is_valid(certificate, self._chain.committees.at(certificate.height), self._seals):
                    if self._chain.knows_committee(certificate.height):
                        self._desk.blame(sender, Fault.FALSE_CERTIFICATE)
                    else:
                        self._catching_up.claim(sender, certificate.height)
                    return
                height = max(height, certificate.height)
        if height > self._chain.height:
            self._catching_up.claim(sender, height if message.tip is not None else height - 1)
        reads.answer(sender, height, committee.quorum)
