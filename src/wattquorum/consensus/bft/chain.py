"""Chain: what is certified here, how far the driver has applied it, and the round of the height above.

Whoever holds a block with its certificate holds proof of it, so nothing here is ever taken back. Only the tip and a few
blocks before it are kept in memory; older ones the driver serves. `extend` and `install` are the only ways on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from wattquorum.consensus.bft.blocks import (
    Block,
    Chained,
    Outliner,
    Proposal,
    block_digest,
    genesis_digest,
    proposal_of,
)
from wattquorum.consensus.bft.certificates import CommitCertificate, checks_of
from wattquorum.consensus.bft.committee import Committee, Committees, Installed, Keys
from wattquorum.consensus.bft.records import Base, BftRecord, Certified, Held, Kept, Viewed
from wattquorum.consensus.bft.round import Round
from wattquorum.consensus.bft.statements import Phase, Seals, Sign
from wattquorum.consensus.engine import Committed, Restore
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import Verifier
from wattquorum.foundation.refusals import Refused

COMMITS_KEPT: Final = 128  # of this replica on what was certified, the newest


def _no_archive(_height: int) -> Chained | None:
    return None


class Means(NamedTuple):
    """What an engine is handed to compute with; none of it has a state that it could change."""

    sign: Sign
    verify: Verifier
    keys: Keys
    outline: Outliner
    archive: Callable[[int], Chained | None] = _no_archive  # blocks that it keeps no longer
    digest: Callable[[bytes], bytes | None] | None = None  # a payload's alone, where that costs less than its outline


class Chain:
    """The certified chain at one replica. `applied` is the height whose effect the driver has; -1: none, yet."""

    __slots__ = (
        "_archive",
        "_base_index",
        "_blocks_kept",
        "_chained",
        "_decided",
        "_outline",
        "_payload_digest",
        "_restore",
        "_seals",
        "applied",
        "certificate",
        "commits",
        "committees",
        "id",
        "me",
        "round",
        "tip",
    )

    def __init__(
        self, me: bytes, chain: bytes, means: Means, seals: Seals, blocks_kept: int, found: Kept, applied: int
    ) -> None:
        """As the records tell; what was certified and the driver has lost is handed out again."""
        self.me, self.id = me, chain
        self._outline, self._archive, self._seals, self._blocks_kept = means.outline, means.archive, seals, blocks_kept
        self._payload_digest = means.digest or self._outlined_digest
        self.committees = found.committees
        self.tip = found.tip
        self.certificate = found.chained[found.height][1] if found.tip is not None else None
        self._chained = {height: Chained(each.block, proof) for height, (each, proof) in found.chained.items()}
        self.commits = dict(list(found.commits.items())[-COMMITS_KEPT:])  # its own: view and digest, by height
        self._decided: list[Committed] = []
        self._restore: Restore | None = None
        self._base_index = found.base.index if found.base is not None else 0
        if found.base is not None and found.base.index > applied:
            self._restore = Restore(found.base.index, found.base.state)
            applied = found.base.index
        for height in range(applied + 1, found.height + 1):
            proposal, proof = found.chained[height]
            self._decided.append(Committed(height, proof.view, proposal.block.payload, ()))
        self.applied = applied if self._restore is None else -1  # until the driver says that it has taken it over
        self.round = self._next_round()

    def _next_round(self) -> Round:
        return Round(self.height + 1, self.committee, self._seals)

    @property
    def height(self) -> int:
        """The tip's."""
        return 0 if self.tip is None else self.tip.block.height

    def block(self, height: int) -> Chained | None:
        """A certified block with its certificate, as it is served to others."""
        return self._chained.get(height) or self._archive(height)

    @property
    def committee(self) -> Committee:
        """Who agrees on the height above the tip."""
        return self.committees.at(self.height + 1)

    @property
    def place(self) -> int | None:
        """This replica's place in it; None: it only follows."""
        return self.committee.place(self.me)

    @property
    def ready(self) -> bool:
        """Whether the driver is where the tip is: only then the next height can be judged, and its committee known."""
        return self.applied == self.height

    @property
    def others(self) -> list[bytes]:
        """Who else is in it."""
        return [member for member in self.committee.members if member != self.me]

    @property
    def tip_digest(self) -> bytes:
        """What the next block follows."""
        return genesis_digest(self.id) if self.tip is None else self.tip.digest

    def names(self, replica: bytes) -> bool:
        """Whether the newest configuration that is known here has it."""
        configuration = self.committees.installed[-1].configuration
        return self.committees.newest.place(replica) is not None or replica in configuration.learners

    def knows_committee(self, height: int) -> bool:
        """Whether it is certain here who agrees on a height: a block tells of the next one's once it is applied, and
        committees that came long before a state from which this replica went on are forgotten.
        """
        return self.committees.first <= height <= self.height + self.ready

    def follows(self, block: Block) -> bool:
        """Whether a block is on top of the tip and carries a certificate of it, whosever signatures are in it."""
        embedded = block.commit_certificate
        if block.height != self.height + 1 or block.previous != self.tip_digest:
            return False
        if embedded is None:
            return self.tip is None
        committee = self.committees.at(embedded.height)
        of_tip = (embedded.height, embedded.digest) == (self.height, self.tip_digest)
        return of_tip and self.tip is not None and checks_of(embedded, committee, self._seals) is not None

    def is_later(self, proposal: Proposal) -> bool:
        """Whether its time is strictly above the tip's."""
        return self.tip is None or proposal.time_ms > self.tip.time_ms

    def _outlined_digest(self, payload: bytes) -> bytes | None:
        told = self._outline(payload)
        return None if told is None else told.digest

    def digest(self, block: Block) -> bytes | None:
        """What members would have signed of a block, to be known before anything in its payload is looked at.

        None where its payload is none at all.
        """
        payload = self._payload_digest(block.payload)
        return None if payload is None else block_digest(self.id, block, payload)

    def proposal(self, block: Block) -> Proposal | None:
        """A block with what follows from it; None where its payload cannot be read."""
        return proposal_of(self.id, block, self._outline)

    def extend(self, proposal: Proposal, certificate: CommitCertificate) -> None:
        """The block becomes the tip. Its certificate was found valid."""
        view = self._committed_in(certificate)
        if view is not None:
            self.commits[certificate.height] = view, certificate.digest
        self.commits.pop(certificate.height - COMMITS_KEPT, None)
        self.tip, self.certificate = proposal, certificate
        self._chained[certificate.height] = Chained(proposal.block, certificate)
        self._chained.pop(certificate.height - self._blocks_kept, None)
        self._decided.append(Committed(certificate.height, certificate.view, proposal.block.payload, ()))
        self.round = self._next_round()

    def _committed_in(self, certificate: CommitCertificate) -> int | None:
        """In which view this replica committed what is certified now, or would have if its primary had let it.

        A primary that shows a member no proposal keeps it from committing, and so from attending (B-5). It was there
        all the same if f+1 others, of whom one does not lie, told it that they commit. To sign what a quorum has
        certified decides nothing any more; it does not where it supported another block in that view, or found this
        one bad.
        """
        round_, view, digest = self.round, certificate.view, certificate.digest
        if round_.prepared is not None and round_.prepared.digest == digest:
            return round_.prepared.view
        accepted = round_.accepted.get(view)
        refused = round_.verdicts.get(digest) is False or (accepted is not None and accepted.digest != digest)
        if refused or round_.committee.place(self.me) is None:
            return None
        return view if round_.votes.count((view, Phase.COMMIT), digest) > round_.committee.faults else None

    def install(self, found: Installed) -> None:
        """A new committee agrees from the next height on."""
        self.committees.add(found)
        self.round = self._next_round()

    def take_over(self, chained: Chained, committees: Sequence[Installed], state: bytes, view: int) -> Base:
        """Goes on from a later block that others have proven, and the driver's state after it; what has to be kept.

        `committees` are those of the block and of the next one. Refused("input_unexpected") for a block that is not
        above the tip, or that cannot be read.
        """
        height, proposal = chained.block.height, self.proposal(chained.block)
        if height <= self.height or proposal is None:
            raise Refused("input_unexpected", "index", height, f"The tip is {self.height}.")
        self.committees = Committees(committees)
        self.tip, self.certificate = proposal, chained.commit_certificate
        self._chained, self._decided, self.commits = {height: chained}, [], {}
        self._restore, self._base_index, self.applied = Restore(height, state), height, -1
        self.round = self._next_round()
        return Base(tuple(committees), Viewed(self.committee.epoch, view), chained, state, height, ())

    def base(self, index: int, state: bytes, view: int) -> Base:
        """All that has to be known once records before this one are forgotten; `state` is the driver's after `index`.

        Refused("input_unexpected") for an index that is not applied or lies below the last one.
        """
        chained = self._chained.get(index)
        if not self._base_index < index <= self.applied or chained is None:
            raise Refused("input_unexpected", "index", index, f"Applied up to {self.applied}.")
        self._base_index = index
        above: list[BftRecord] = []
        for height in range(index + 1, self.height + 1):
            above += [Held(self._chained[height].block), Certified(self._chained[height].commit_certificate)]
        above += self.round.records()
        records = tuple(encode(record) for record in above)
        return Base(self.committees.since(index), Viewed(self.committee.epoch, view), chained, state, index, records)

    def drain(self) -> tuple[Restore | None, tuple[Committed, ...]]:
        """Hands out, once, what the driver has to take over and to apply."""
        restore, decided = self._restore, tuple(self._decided)
        self._restore, self._decided = None, []
        return restore, decided
