"""Checkers of what a committee promises although some of it lie (I8 to I12), by what its honest members say.

Whoever is known to lie is granted every signature that it could make: it is asked not only whether two blocks of one
height were certified, but whether they could have been.
"""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.bft.certificates import CommitCertificate
from wattquorum.consensus.bft.committee import Committee, Committees, installed
from wattquorum.consensus.bft.messages import BftMessage, NewView, PrePrepare, Vote
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.foundation.identities import Verifier
from wattquorum.ledger.agreed import agreed_digest, entry_digest
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.simulation.checkers import Checkers, must


class BftCheckers(Checkers):
    """Everything that must hold, over all honest hosts of a world whose committee agrees."""

    __slots__ = (
        "_bad",
        "_commits",
        "_committees",
        "_digests",
        "_possible",
        "_seals",
        "_statements",
        "_states",
        "_verify",
        "_views",
        "chain",
    )

    def __init__(self, ledger: Ledger, seals: Seals, verify: Verifier, bad: Sequence[bytes]) -> None:
        """`bad` are those that lie, or run twice; what they say is not looked at."""
        super().__init__(ledger)
        self.chain = ledger.chain_id
        self._bad = dict.fromkeys(bad)
        self._seals, self._verify = seals, verify
        self._committees = Committees([installed(ledger.configuration, ledger.key_of)])
        self._statements: dict[tuple[bytes, int, int, int], bytes] = {}
        self._commits: dict[tuple[int, int, bytes], dict[bytes, None]] = {}  # by height, view and digest: who
        self._possible: dict[int, bytes] = {}  # by height: the one digest that can be certified
        self._digests: dict[int, bytes] = {}  # by height, as computed from the header alone
        self._states: list[bytes] = [ledger.digest]  # by height
        self._views: dict[tuple[int, int], None] = {}  # (committee, view) in which a block was certified

    @property
    def changes(self) -> int:
        """How many committees there were after the first."""
        return len(self._committees.installed) - 1

    @property
    def elections(self) -> int:
        """In how many views something was certified."""
        return len(self._views)

    def committee_at(self, height: int) -> Committee:
        """Who agrees on a height, by what was executed."""
        return self._committees.at(height)

    # What honest members say ----------------------------------------------------------------------------------------

    def said(self, who: bytes, message: BftMessage, digest: bytes) -> None:
        """A message that an honest replica sends; `digest` of the block that it proposes, if it does."""
        if isinstance(message, PrePrepare):
            self._stated(who, message.block.height, message.view, 1, digest)
        elif isinstance(message, Vote):
            self._stated(who, message.height, message.view, message.phase, message.digest)
            if message.phase == 3:
                self._commits_to(who, message)
        elif isinstance(message, NewView):
            self._opens(message)

    def _stated(self, who: bytes, height: int, view: int, phase: int, digest: bytes) -> None:
        before = self._statements.setdefault((who, height, view, phase), digest)
        must(before == digest, "I9", f"{who.hex()[:8]} signs two digests at {height}, view {view}, phase {phase}")

    def _commits_to(self, who: bytes, vote: Vote) -> None:
        committee = self._committees.at(vote.height)
        signers = self._commits.setdefault((vote.height, vote.view, vote.digest), {})
        signers[who] = None
        lying = sum(member in self._bad for member in committee.members)
        if len(signers) + lying >= _quorum(len(committee.members)):
            self._can_be(vote.height, vote.digest)

    def _can_be(self, height: int, digest: bytes) -> None:
        must(
            self._possible.setdefault(height, digest) == digest, "I8", f"two blocks of height {height} can be certified"
        )

    def _opens(self, message: NewView) -> None:
        """I10: the highest tip, and above it what was prepared in the highest view."""
        changes = [each.view_change for each in message.changes]
        height = max(change.height for change in changes)
        prepared = [each.prepared for each in changes if each.prepared and each.prepared.height == height + 1]
        digest = max(prepared, key=lambda each: each.view).digest if prepared else b""
        must((message.height, message.digest) == (height, digest), "I10", f"view {message.view} is opened wrongly")

    # What honest replicas have --------------------------------------------------------------------------------------

    def certified(self, executed: Executed, entry: bytes, certificate: CommitCertificate) -> None:
        """I8: a block that an honest replica executed has its certificate, whose digest follows from headers alone."""
        header = executed.block.header
        digest = agreed_digest(self.chain, header, entry_digest(entry))
        height = header.height
        known = self._digests.setdefault(height, digest)
        must(known == digest, "I8", f"two blocks of height {height} were certified")
        self._can_be(height, digest)
        committee = self._committees.at(height)
        of_it = (certificate.height, certificate.digest) == (height, digest)
        seals = [
            self._seals.check(committee, each.member, height, certificate.view, Phase.COMMIT, digest, each.signature)
            for each in certificate.seals
            if each.member < len(committee.members)
        ]
        signers = dict.fromkeys(
            seal.member for seal, good in zip(certificate.seals, self._verify(seals), strict=True) if good
        )
        enough = len(signers) >= _quorum(len(committee.members))
        must(of_it and enough, "I8", f"block {height} was executed with a certificate of {len(signers)}")
        self._views[committee.epoch, certificate.view] = None

    def executed(self, executed: Executed, ledger: Ledger) -> None:
        """As in every world; and I11: who agrees next follows from the chain."""
        super().executed(executed, ledger)
        if executed.block.header.height == len(self._states):
            self._states.append(executed.block.header.state_digest)
        newest = ledger.configuration
        if newest.version > self._committees.installed[-1].configuration.version:
            self._committees.add(installed(newest, ledger.key_of))

    def untouched(self, ledger: Ledger) -> None:
        """I12: what was proposed, judged and not certified left nothing in a state."""
        must(not ledger.state.mark(), "I12", f"a state has changes that no block of {ledger.height} made")
        must(ledger.digest == self._states[ledger.height], "I11", f"two states of height {ledger.height}")

    def alike(self, ledgers: Sequence[Ledger], again: Ledger) -> None:
        """I11, I12: whole states are the same everywhere, and what executing the chain again gives."""
        root = again.state.root()
        for ledger in ledgers:
            must(ledger.state.root() == root, "I12", "a state is not what its chain leads to")


def _quorum(members: int) -> int:
    """Said here once more, so that the engine is not its own judge."""
    faults = (members - 1) // 3
    return -(-(members + faults + 1) // 2)
