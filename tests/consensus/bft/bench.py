"""One engine on a bench: the test plays the other members, the disk, the driver and the clock.

The disk writes at once, and the driver applies and judges at once, unless the test says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from tests.consensus.bft.world import (
    CHAIN,
    Payload,
    address,
    committee,
    configured,
    everybody,
    key_of,
    outline,
    seals_of,
    sign_as,
    verify,
)
from wattquorum.consensus.bft.blocks import Block, genesis_digest, proposal_of
from wattquorum.consensus.bft.certificates import CommitCertificate, PreparedCertificate, Seal
from wattquorum.consensus.bft.engine import Bft, Means
from wattquorum.consensus.bft.messages import (
    BftMessage,
    Blocks,
    NewView,
    PrePrepare,
    ViewChange,
    Vote,
    from_frame,
    to_frame,
    view_change_digest,
)
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Phase, phase_of
from wattquorum.consensus.bft.views import new_view
from wattquorum.consensus.engine import Durable
from wattquorum.foundation.codec import encode
from wattquorum.foundation.quantities import Millis

M = TypeVar("M", bound=BftMessage)
NOW = 10_000
SETTINGS = Settings(timeout_ms=100, timeout_max_ms=800, resend_ms=1_000_000, poll_ms=1_000_000, skew_ms=50)


class Bench:
    """The engine of `me` among `members`; the others are whoever the test plays."""

    def __init__(self, members: int = 4, me: int = 1, records: Iterable[Durable] = (), settings: Settings = SETTINGS):
        self.members, self.me = members, me
        self.committee = committee(members)
        self.now = NOW
        self.good = True
        self.applies = self.syncs = True
        self.records = list(records)
        self.said: list[tuple[int, BftMessage, int]] = []  # (to, message, after)
        self.committed: list[bytes] = []
        self.judged: list[bytes] = []
        self.wanted: list[tuple[int, int]] = []
        self.answered: list[int] = []
        means = Means(sign_as(me), verify, key_of, outline)
        self.engine = Bft(address(me), CHAIN, everybody(members), means, self.records, 1, Millis(NOW), 0, settings)
        self.drain()

    def drain(self) -> None:
        while True:
            output = self.engine.drain()
            self.records += output.records
            self.said += [(each.to[0] - 65, from_frame(each.data), each.after) for each in output.messages]
            if output.records and self.syncs:
                self.engine.persisted(output.records[-1].position, Millis(self.now))
            self.answered += output.reads
            if output.wanted is not None:
                self.wanted.append((output.wanted.height, output.wanted.view))
            for committed in output.committed:
                self.committed.append(committed.payload)
                if self.applies:
                    self.engine.applied(committed.index, b"", Millis(self.now))
            for judged in output.judge:
                self.judged.append(judged.digest)
                self.engine.judged(judged.digest, self.good, Millis(self.now))
            if not (output.committed or output.judge or output.records):
                return

    def sync(self) -> None:
        """Everything that was kept is durable."""
        self.engine.persisted(self.records[-1].position, Millis(self.now))
        self.drain()

    def hear(self, sender: int, message: BftMessage) -> None:
        self.engine.receive(address(sender), to_frame(message), Millis(self.now))
        self.drain()

    def pass_ms(self, wait: int) -> None:
        self.now += wait
        self.engine.tick(Millis(self.now))
        self.drain()

    def demand(self, oldest: int | None) -> None:
        self.engine.demand(None if oldest is None else Millis(oldest), Millis(self.now))
        self.drain()

    def propose(self, payload: bytes) -> None:
        self.engine.propose((payload,), Millis(self.now))
        self.drain()

    def kept(self, kind: type[M]) -> list[M]:
        """What was said of this kind, each once."""
        return list(dict.fromkeys(each for _, each, _ in self.said if isinstance(each, kind)))

    def votes(self, phase: int) -> list[tuple[int, int, bytes]]:
        return [(each.height, each.view, each.digest) for each in self.kept(Vote) if each.phase == phase]

    # What others say

    def block(self, salt: int = 0, time_ms: int | None = None, *, room: bool = True) -> Block:
        """A block on the tip."""
        payload = Payload(self.now if time_ms is None else time_ms, True, room, (), salt)
        height = self.engine.height
        chained = self.engine.block(height) if height else None
        previous = genesis_digest(CHAIN) if chained is None else chained.commit_certificate.digest
        return Block(height + 1, previous, chained.commit_certificate if chained else None, encode(payload))

    def propose_as(self, name: int, view: int, block: Block) -> None:
        self.hear(name, self.pre_prepare(name, view, block))

    def pre_prepare(self, name: int, view: int, block: Block) -> PrePrepare:
        signature = seals_of(name).make(self.committee, block.height, view, Phase.PRE_PREPARE, digest_of(block))
        return PrePrepare(view, block, signature)

    def vote(self, name: int, phase: Phase, height: int, view: int, digest: bytes) -> None:
        signature = seals_of(name).make(self.committee, height, view, phase, digest)
        self.hear(name, Vote(2 if phase is Phase.PREPARE else 3, height, view, digest, signature))

    def certificate(self, height: int, view: int, digest: bytes, names: Iterable[int]) -> CommitCertificate:
        return CommitCertificate(height, view, digest, self._seals(Phase.COMMIT, height, view, digest, names))

    def prepared(self, height: int, view: int, digest: bytes, names: Iterable[int]) -> PreparedCertificate:
        return PreparedCertificate(height, view, digest, self._seals(Phase.PREPARE, height, view, digest, names))

    def _seals(self, phase: Phase, height: int, view: int, digest: bytes, names: Iterable[int]) -> tuple[Seal, ...]:
        return tuple(
            Seal(
                name,
                seals_of(name).make(self.committee, height, view, phase_of(self.committee, name, view, phase), digest),
            )
            for name in names
        )

    def change(
        self, name: int, view: int, tip: CommitCertificate | None = None, prepared: PreparedCertificate | None = None
    ) -> ViewChange:
        digest = view_change_digest(tip, prepared)
        height = 0 if tip is None else tip.height
        return ViewChange(
            view, tip, prepared, seals_of(name).make(self.committee, height, view, Phase.VIEW_CHANGE, digest)
        )

    def new_view(self, view: int, changes: dict[int, ViewChange]) -> NewView:
        primary = self.committee.primary_place(view)
        return new_view(view, sorted(changes.items()), self.committee, seals_of(primary))

    def decide(self, salt: int = 0, view: int = 0, *, room: bool = True, time_ms: int | None = None) -> Block:
        """A whole height, all others agreeing; the test's engine is no primary of that view."""
        block = self.block(salt, time_ms, room=room)
        primary = self.committee.primary_place(view)
        self.propose_as(primary, view, block)
        others = [name for name in range(self.members) if name not in (self.me, primary)]
        for name in others:
            self.vote(name, Phase.PREPARE, block.height, view, digest_of(block))
        for name in [primary, *others]:
            self.vote(name, Phase.COMMIT, block.height, view, digest_of(block))
        return block


def digest_of(block: Block) -> bytes:
    proposal = proposal_of(CHAIN, block, outline)
    assert proposal is not None
    return proposal.digest


def handed_over(me: int, old: Sequence[int], new: Sequence[int]) -> Bench:
    """A bench whose first block names another committee."""
    bench = Bench(members=len(old), me=me)
    bench.applies = False
    block = bench.block()
    bench.hear(2, Blocks((block,), bench.certificate(1, 0, digest_of(block), (0, 2, 3))))
    bench.engine.reconfigure(configured(new, 1, 1), Millis(bench.now))
    bench.engine.applied(1, b"", Millis(bench.now))
    bench.drain()
    return bench
