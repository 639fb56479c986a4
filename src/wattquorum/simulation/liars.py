"""Liars: ways in which a member of a committee, or who follows one, breaks the protocol, with a key of its own.

Nothing that a node runs can reach this: it is for simulated worlds, and for tests of live communities.

A liar's machine runs the engine that everybody runs; what it says is changed on its way out, and it may say more. It
can sign whatever it likes as itself and nothing as others. Several ways combine, and liars of one world know each
other and what they heard. What a payload is, a world says: of whole replicas `another` makes one up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from wattquorum.consensus.bft.blocks import Block, Outliner, Proposal, proposal_of
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.committee import Committee
from wattquorum.consensus.bft.engine import Bft
from wattquorum.consensus.bft.messages import (
    BftMessage,
    Blocks,
    Change,
    GiveBlock,
    GiveRead,
    NewView,
    PrePrepare,
    Tip,
    ViewChange,
    Vote,
    from_frame,
    new_view_digest,
    to_frame,
    view_change_digest,
)
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.identities import SigningKey, Verifier
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.agreed import Agreed, decode_agreed
from wattquorum.ledger.blocks import decode_ordered, header_hash, order
from wattquorum.ledger.execution import Ledger

HEARD_MAX: Final = 2_000
Said = list[tuple[bytes, bytes]]  # to whom, and the frame
Another = Callable[[bytes, Block, int], Block]  # a block in a block's place, as this liar makes it (see `another`)


class Signer(Protocol):
    """Whatever signs as somebody."""

    def sign(self, purpose: str, message: bytes, /) -> bytes:
        """The signature of a message."""


class Liar(Protocol):
    """Somebody who lies: the key that it signs with, and the engine that it runs, while it runs."""

    @property
    def key(self) -> Signer:
        """What it signs with."""

    @property
    def address(self) -> bytes:
        """Who it is."""

    @property
    def engine(self) -> Bft | None:
        """Its engine."""


class Conspiracy:
    """What the liars of a world know together, and what they need to make things up."""

    def __init__(self, chain_id: bytes, chance: Chance, verify: Verifier, outline: Outliner, other: Another) -> None:
        self.chain_id = chain_id
        self.chance = chance
        self.verify = verify
        self.outline = outline
        self.other = other
        self.liars: list[Liar] = []
        self.heard: list[bytes] = []
        self.proposals: dict[bytes, Proposal] = {}  # all that were seen, by digest
        self.opened: NewView | None = None  # the last new view that came to one of them
        self.prepared: PreparedCertificate | None = None  # the first one that did, of long ago by and by
        self.now = 0
        self.later: Callable[[Liar, bytes, bytes, int], None] = lambda _host, _to, _frame, _wait: None

    def hear(self, frame: bytes) -> None:
        """A frame came to one of them."""
        if len(self.heard) < HEARD_MAX:
            self.heard.append(frame)
        try:
            message = from_frame(frame)
        except Refused:
            return
        if isinstance(message, PrePrepare):
            self.note(message.block)
        elif isinstance(message, NewView):
            self.opened = message
        elif isinstance(message, ViewChange):
            self.prepared = self.prepared or message.prepared

    def note(self, block: Block) -> Proposal | None:
        """A block that they know of."""
        proposal = proposal_of(self.chain_id, block, self.outline)
        if proposal is not None:
            self.proposals[proposal.digest] = proposal
        return proposal

    def seals_of(self, host: Liar) -> Seals:
        """A liar signs as itself."""
        return Seals(self.chain_id, host.key.sign, self.verify)

    def committee(self, host: Liar) -> Committee:
        """Who agrees, as far as a liar knows."""
        assert host.engine is not None
        return host.engine.committee_at(host.engine.height + 1)

    def vote(self, host: Liar, phase: Phase, height: int, view: int, digest: bytes) -> Vote:
        """A vote of a liar's."""
        signature = self.seals_of(host).make(self.committee(host), height, view, phase, digest)
        return Vote(2 if phase is Phase.PREPARE else 3, height, view, digest, signature)

    def pre_prepare(self, host: Liar, view: int, block: Block) -> PrePrepare:
        """A proposal of a liar's."""
        proposal = self.note(block)
        digest = proposal.digest if proposal is not None else bytes(32)
        signature = self.seals_of(host).make(self.committee(host), block.height, view, Phase.PRE_PREPARE, digest)
        return PrePrepare(view, block, signature)

    def view_change(
        self, host: Liar, view: int, tip: CommitCertificate | None, prepared: PreparedCertificate | None
    ) -> ViewChange:
        """A view change of a liar's."""
        height = 0 if tip is None else tip.height
        digest = view_change_digest(tip, prepared)
        signature = self.seals_of(host).make(self.committee(host), height, view, Phase.VIEW_CHANGE, digest)
        return ViewChange(view, tip, prepared, signature)

    def tip_of(self, host: Liar, below: int = 0) -> CommitCertificate | None:
        """The certificate of a liar's tip, or of a block below it."""
        assert host.engine is not None
        chained = host.engine.block(host.engine.height - below) if host.engine.height > below else None
        return None if chained is None else chained.commit_certificate


def another(key: SigningKey, ledger: Ledger, verify: Verifier, block: Block, kind: int) -> Block:
    """Another block in a block's place: 0, 1, 2, ... good ones, that differ in time; from -1 downwards bad ones.

    One that its liar has made unreadable already stays as it is.
    """
    try:
        agreed = decode_agreed(block.payload)
        ordered = decode_ordered(agreed.entry)
    except Refused:
        return block
    junk = (b"no transaction",) if kind == -2 else ()
    time_ms = ordered.time_ms + abs(kind) + (3_600_000 if kind == -4 else 0)
    evidence = b"other" if kind == -3 else ordered.evidence
    entry = order(key, ledger.chain_id, time_ms, ordered.applied, junk, (), ordered.round, evidence)
    header = bytes(32)
    if kind != -1 and ledger.height + 1 == block.height:
        try:
            header = header_hash(ledger.try_out(entry, verify).block.header)
        except Refused:
            header = bytes(32)
    return changed(block, payload=encode(Agreed(entry, header)))


Lie = Callable[[Conspiracy, Liar, bytes, BftMessage, bytes], Said]


def silent(_: Conspiracy, _host: Liar, _to: bytes, _message: BftMessage, _frame: bytes) -> Said:
    """Says nothing."""
    return []


def flaky(them: Conspiracy, _host: Liar, to: bytes, _message: BftMessage, frame: bytes) -> Said:
    """Says little."""
    return [(to, frame)] if them.chance.happens(300_000) else []


def slow(them: Conspiracy, host: Liar, to: bytes, _message: BftMessage, frame: bytes) -> Said:
    """Says everything late."""
    them.later(host, to, frame, them.chance.between(100, 1_500))
    return []


def starves_one(them: Conspiracy, host: Liar, to: bytes, _message: BftMessage, frame: bytes) -> Said:
    """Says nothing to one of the others."""
    victim = next(each for each in them.committee(host).members if each != host.address)
    return [] if to == victim else [(to, frame)]


def withholds(_: Conspiracy, _host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Gives away no certificates and blocks."""
    return [] if isinstance(message, Tip | Blocks | GiveBlock | GiveRead) else [(to, frame)]


def equivocates(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Half of the others get another block, and votes for it."""
    odd = to[0] % 2 == them.now // 5_000 % 2
    if isinstance(message, PrePrepare) and odd:
        return [(to, to_frame(them.pre_prepare(host, message.view, them.other(host.address, message.block, 1))))]
    if isinstance(message, Vote) and odd:
        return [(to, each) for each in votes_for_all(them, host, message)]
    return [(to, frame)]


def proposes_bad(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Its blocks have a wrong header, what is inadmissible, evidence that is none, or a time that has not come."""
    if isinstance(message, PrePrepare):
        block = them.other(host.address, message.block, -them.chance.between(1, 4))
        return [(to, to_frame(them.pre_prepare(host, message.view, block)))]
    return [(to, frame)]


def votes_for_all(them: Conspiracy, host: Liar, message: Vote) -> list[bytes]:
    """Votes for every block that is known at this height."""
    found = [digest for digest, each in them.proposals.items() if each.block.height == message.height][-4:]
    votes = [
        them.vote(host, phase, message.height, message.view, digest)
        for digest in found
        for phase in (Phase.PREPARE, Phase.COMMIT)
    ]
    them.chance.shuffle(votes)
    return [to_frame(vote) for vote in votes]


def votes_twice(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Votes for what everybody votes for, and for everything else."""
    said = [(to, frame)]
    if isinstance(message, Vote):
        said += [(to, each) for each in votes_for_all(them, host, message)]
    return said


def replays(them: Conspiracy, _host: Liar, to: bytes, _message: BftMessage, frame: bytes) -> Said:
    """Says old things again, its own and, as if they were its own, others'."""
    said = [(to, frame)]
    them.hear(frame)
    if them.chance.happens(300_000):
        said.append((to, them.chance.pick(them.heard)))
    return said


def hides_prepared(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Its view changes know of nothing prepared, or of an older tip."""
    if isinstance(message, ViewChange):
        tip = message.tip
        if them.chance.happens(500_000) and tip is not None and tip.height > 1:
            tip = them.tip_of(host, 1) or tip
        return [(to, to_frame(them.view_change(host, message.view, tip, None)))]
    return [(to, frame)]


def spams_views(them: Conspiracy, host: Liar, to: bytes, _message: BftMessage, frame: bytes) -> Said:
    """Wants a later view all the time."""
    said = [(to, frame)]
    if host.engine is not None and them.chance.happens(200_000):
        view = host.engine.term + them.chance.pick([1, 1, 2, 3, 1_000])
        said.append((to, to_frame(them.view_change(host, view, them.tip_of(host), None))))
    return said


def opens_wrongly(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """As a new primary it chooses what does not follow, makes up view changes, and proposes what it likes."""
    if isinstance(message, NewView):
        return [(to, to_frame(_wrong_new_view(them, host, message)))]
    if isinstance(message, PrePrepare) and message.view:
        block = them.other(host.address, message.block, 2 + to[0] % 2)
        return [(to, to_frame(them.pre_prepare(host, message.view, block))), (to, frame)]
    return [(to, frame)]


def _wrong_new_view(them: Conspiracy, host: Liar, message: NewView) -> NewView:
    kind = them.chance.below(5)
    height, digest, changes = message.height, message.digest, message.changes
    if kind == 0:
        digest = b""
    elif kind == 1:
        digest = b"\x07" * 32
    elif kind == 2:
        height = max(0, height - 1)
    elif kind == 3:  # the honest ones' view changes without what they had prepared, as if nobody looked
        digest = b""
        changes = tuple(Change(each.member, changed(each.view_change, prepared=None)) for each in changes)
    else:  # its own view change as often as it takes
        mine = them.view_change(host, message.view, changes[0].view_change.tip, None)
        digest, changes = b"", tuple(Change(each.member, mine) for each in changes)
    told = new_view_digest(digest, changes)
    signature = them.seals_of(host).make(them.committee(host), height, message.view, Phase.NEW_VIEW, told)
    return NewView(message.view, height, digest, changes, signature)


def forges(them: Conspiracy, host: Liar, to: bytes, message: BftMessage, frame: bytes) -> Said:
    """Certificates of too few, of one many times, of strangers; for blocks of its own."""
    said = [(to, frame)]
    if not them.chance.happens(150_000) or host.engine is None or not them.proposals:
        return said
    last = them.chance.pick(list(them.proposals.values())[-3:])
    block = them.other(host.address, last.block, them.chance.pick([-1, 4]))
    proposal = them.note(block)
    if proposal is None:
        return said
    forged = _forged(them, host, block.height, them.chance.between(0, 3), proposal.digest)
    said += [(to, to_frame(Tip(forged))), (to, to_frame(Blocks((block,), forged)))]
    if isinstance(message, ViewChange):
        said.append((to, to_frame(them.view_change(host, message.view, forged, None))))
        prepared = PreparedCertificate(forged.height, forged.view, forged.digest, forged.seals)
        said.append((to, to_frame(them.view_change(host, message.view, message.tip, prepared))))
    return said


def _forged(them: Conspiracy, host: Liar, height: int, view: int, digest: bytes) -> CommitCertificate:
    committee = them.committee(host)
    own = them.vote(host, Phase.COMMIT, height, view, digest).signature
    signatures = {}
    for each in them.liars:
        place = committee.place(each.address)
        if place is not None:
            signatures[place] = self_signed(them, each, committee, height, view, digest)
    mine = committee.place(host.address) or 0
    kind = them.chance.below(3)
    if kind == 0:
        seals = tuple(Seal(mine, own) for _ in range(committee.quorum))
    elif kind == 1:
        seals = tuple(Seal(place, signatures.get(place, own)) for place in range(committee.quorum))
    else:
        seals = tuple(Seal(place, signature) for place, signature in sorted(signatures.items()))
    return CommitCertificate(height, view, digest, seals)


def self_signed(them: Conspiracy, host: Liar, committee: Committee, height: int, view: int, digest: bytes) -> bytes:
    """A liar's COMMIT on anything."""
    return them.seals_of(host).make(committee, height, view, Phase.COMMIT, digest)


def garbage(them: Conspiracy, _host: Liar, to: bytes, _message: BftMessage, frame: bytes) -> Said:
    """Some of its frames are cut or have a bit turned."""
    if not frame or not them.chance.happens(200_000):
        return [(to, frame)]
    at = them.chance.below(len(frame))
    turned = frame[:at] + bytes([frame[at] ^ (1 << them.chance.below(8))]) + frame[at + 1 :]
    return [(to, them.chance.pick([frame[:at], turned]))]


LIES: Final[tuple[Lie, ...]] = (
    silent,
    flaky,
    slow,
    starves_one,
    withholds,
    equivocates,
    proposes_bad,
    votes_twice,
    replays,
    hides_prepared,
    spams_views,
    opens_wrongly,
    forges,
    garbage,
)
TOGETHER: Final[tuple[Lie, ...]] = (equivocates, votes_twice, hides_prepared, opens_wrongly)  # what makes forks


def lied(lies: Sequence[Lie], them: Conspiracy, host: Liar, to: bytes, frame: bytes) -> Said:
    """What becomes of a frame when somebody lies in several ways at once: what one says, the next changes."""
    said = [(to, frame)]
    for lie in lies:
        following: Said = []
        for target, data in said:
            try:
                message = from_frame(data)
            except Refused:
                following.append((target, data))
                continue
            following += lie(them, host, target, message, data)
        said = following
    return said


def drawn(chance: Chance) -> tuple[Lie, ...]:
    """Up to three ways of lying."""
    return tuple(chance.pick(LIES) for _ in range(chance.between(1, 3)))
