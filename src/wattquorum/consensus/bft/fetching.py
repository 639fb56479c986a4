"""Fetching: certified blocks of others for whoever is behind, and this replica's for others.

Blocks prove themselves, so it does not matter who gives them, or when; claims say only whom to ask. Every replica
serves any block that is certified, without end, whether it is in a committee or not.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.agreement import Agreement
from wattquorum.consensus.bft.blocks import Block, Chained, Proposal
from wattquorum.consensus.bft.catching_up import PEERS_MAX, CatchingUp
from wattquorum.consensus.bft.certificates import is_valid
from wattquorum.consensus.bft.desk import Desk, Fault
from wattquorum.consensus.bft.messages import AskBlock, AskBlocks, Blocks, GiveBlock
from wattquorum.consensus.bft.view_changes import ViewChanges
from wattquorum.consensus.bft.views import FREE

INCOMING_MAX: Final = 256  # blocks that wait to be taken, before more of the same peer's are let go
NOTHING: Final = b""


class Fetching:
    """What came and waits for the driver, and the block that is missing."""

    __slots__ = (
        "_agreement",
        "_askers",
        "_catching_up",
        "_chain",
        "_desk",
        "_incoming",
        "_incoming_from",
        "_missing",
        "_missing_due_ms",
        "_missing_turn",
        "_outbox",
        "_questions",
        "_questions_at",
        "_seals",
        "_settings",
        "_views",
    )

    def __init__(self, desk: Desk, catching_up: CatchingUp, views: ViewChanges, agreement: Agreement) -> None:
        self._desk, self._chain, self._outbox = desk, desk.chain, desk.outbox
        self._seals, self._settings = desk.seals, desk.settings
        self._catching_up, self._views, self._agreement = catching_up, views, agreement
        self._incoming: list[Chained] = []  # of one peer
        self._incoming_from = b""
        self._askers: dict[bytes, tuple[int, bytes]] = {}  # for one block, since the last drain: height and digest
        self._questions: dict[bytes, dict[bytes, None]] = {}  # which single blocks a peer was asked for
        self._questions_at = 0  # the height that those are of
        self._missing = NOTHING
        self._missing_due_ms = 0
        self._missing_turn = 0

    @property
    def due_ms(self) -> int | None:
        """When somebody is asked next; for who is further not while what came already waits for the driver."""
        due = [None if self._incoming else self._catching_up.due_ms, self._missing_due_ms if self._missing else None]
        return min((each for each in due if each is not None), default=None)

    def serve(self, sender: bytes, height: int) -> None:
        """Blocks above a height, as many as fit into an answer; one answer to each in a turn."""
        if not self._desk.may_answer(sender):
            return
        blocks: list[Block] = []
        size, last = 0, None
        for at in range(height + 1, self._chain.height + 1):
            chained = self._chain.block(at)
            if chained is None or (blocks and size + len(chained.block.payload) > self._settings.chunk_bytes):
                break
            blocks.append(chained.block)
            size += len(chained.block.payload)
            last = chained.commit_certificate
        if last is not None:
            self._outbox.say([sender], Blocks(tuple(blocks), last))
        elif height < self._chain.height:
            self._desk.lacks(sender, height)

    def serve_one(self, sender: bytes, height: int, digest: bytes) -> None:
        """Somebody asks for one block by its digest. Of several questions of a peer in a turn its last is answered."""
        if sender in self._askers or len(self._askers) < PEERS_MAX:
            self._askers[sender] = height, digest

    def give(self) -> None:
        """Gives who asked for one block that one, certified or not; each block is encoded once for all who get it."""
        asked: dict[tuple[int, bytes], list[bytes]] = {}
        for sender, question in self._askers.items():
            asked.setdefault(question, []).append(sender)
        self._askers = {}
        for (height, digest), peers in asked.items():
            proposal = self._chain.round.blocks.get(digest)
            chained = self._chain.block(height) if height <= self._chain.height else None
            if proposal is not None:
                self._outbox.say(peers, GiveBlock(proposal.block))
            elif chained is not None and chained.commit_certificate.digest == digest:
                self._outbox.say(peers, GiveBlock(chained.block))

    def blocks(self, sender: bytes, message: Blocks) -> None:
        """Blocks, whoever gives them and however late: they prove themselves. Some at a time."""
        if not message.blocks or message.blocks[-1].height <= self._chain.height:
            return
        reached = self._incoming[-1].block.height if self._incoming else self._chain.height
        first = message.blocks[0].height
        if first > reached + 1:
            self._catching_up.claim(sender, message.blocks[-1].height)
            return
        continued = sender == self._incoming_from and first == reached + 1 and len(self._incoming) < INCOMING_MAX
        if self._incoming and sender != self._catching_up.asked and not continued:
            return
        self._catching_up.answered(sender, self._desk.now)
        certificates = [block.commit_certificate for block in message.blocks[1:]]
        found = [
            Chained(block, certificate)
            for block, certificate in zip(message.blocks, [*certificates, message.commit_certificate], strict=True)
            if certificate is not None and block.height > self._chain.height
        ]
        self._incoming = [*self._incoming, *found] if continued else found
        self._incoming_from = sender
        if not self._take():
            self._disappointed(sender)

    def _disappointed(self, sender: bytes) -> None:
        self._catching_up.disappointed(sender)
        self._desk.blame(sender, Fault.FALSE_BLOCKS)

    def forget(self) -> None:
        """The tip is another one now: what came and waits is asked for again, if it is still needed."""
        self._incoming = []

    def go_on(self) -> None:
        """The driver is at the tip: what came already is taken."""
        if not self._take():
            self._disappointed(self._incoming_from)

    def _take(self) -> bool:
        """Takes fetched blocks, one whenever the driver is at the tip; False: the next one is not what follows."""
        while self._incoming and self._chain.ready:
            chained = self._incoming.pop(0)
            if chained.block.height <= self._chain.height:
                continue
            proposal = self._proven(chained)
            if proposal is None:
                self._incoming = []
                return False
            self._agreement.found(proposal)
            self._agreement.certify(chained.commit_certificate)
            self._catching_up.helped(self._incoming_from)
        return True

    def _proven(self, chained: Chained) -> Proposal | None:
        """A block on the tip that its certificate proves; None for any other.

        Anybody may send one, so what costs least is looked at first: signatures, then its digest, then its payload.
        """
        block, certificate = chained.block, chained.commit_certificate
        if certificate.height != block.height or not self._chain.follows(block):
            return None
        if not is_valid(certificate, self._chain.round.committee, self._seals):
            return None
        return self._chain.proposal(block) if self._chain.digest(block) == certificate.digest else None

    def ask(self) -> None:
        """Asks whoever has later blocks, when that is due; and members for one block that is missing."""
        wait = self._settings.fetch_ms
        if not self._incoming:
            self._catching_up.schedule(self._chain.height, self._desk.now, wait)
            peer = self._catching_up.next(self._chain.height, self._desk.now, wait)
            if peer is not None:
                self._outbox.ask([peer], AskBlocks(self._chain.height))
        missing = self._missing_block()
        if missing != self._missing:
            self._missing, self._missing_due_ms = missing, self._desk.now
        if missing and self._desk.now >= self._missing_due_ms and self._chain.others:
            self._missing_turn += 1
            self._missing_due_ms = self._desk.now + wait
            peer = self._chain.others[self._missing_turn % len(self._chain.others)]
            if self._chain.round.height != self._questions_at:
                self._questions, self._questions_at = {}, self._chain.round.height
            self._questions.setdefault(peer, {})[missing] = None
            self._outbox.ask([peer], AskBlock(self._chain.round.height, missing))

    def _missing_block(self) -> bytes:
        """The digest of a block without which nothing goes on: a certified one, or what a new primary is bound to."""
        round_, choice = self._chain.round, self._views.choice
        if round_.certificate is not None:
            return round_.certificate.digest
        if not self._views.leads:
            return NOTHING
        if choice is None or choice.height != round_.height or choice.digest == FREE:
            return NOTHING
        return NOTHING if self._agreement.known(choice.digest) is not None else choice.digest

    def block(self, sender: bytes, block: Block) -> None:
        """The block that is missing, whoever gives it."""
        if not self._missing or block.height != self._chain.round.height:
            return
        digest = self._chain.digest(block)
        if digest != self._missing:
            if sender in self._questions and digest not in self._questions[sender]:
                self._desk.blame(sender, Fault.OTHER_BLOCK)
            return
        proposal = self._chain.proposal(block)
        if proposal is None:
            return
        self._agreement.found(proposal)
        certificate = self._chain.round.certificate
        if certificate is not None and self._chain.ready:
            self._agreement.certify(certificate)
