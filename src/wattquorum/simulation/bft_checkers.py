"""Checkers of what a committee promises although some of it lie (I8 to I12): what its honest members say, as
`testimony` takes it down, and what they have."""

from __future__ import annotations

from collections.abc import Sequence

from wattquorum.consensus.bft.blocks import Chained
from wattquorum.consensus.bft.committee import Committee, Committees, installed
from wattquorum.consensus.bft.statements import Seals
from wattquorum.foundation.identities import Verifier
from wattquorum.ledger.agreed import agreed_digest, entry_digest
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.simulation.checkers import Checkers, must
from wattquorum.simulation.testimony import Testimony, quorum


class BftCheckers(Checkers):
    """Everything that must hold, over all honest hosts of a world whose committee agrees."""

    __slots__ = ("_committees", "_digests", "_states", "_views", "chain", "testimony")

    def __init__(self, ledger: Ledger, seals: Seals, verify: Verifier, bad: Sequence[bytes]) -> None:
        """`bad` are those that lie, or run twice; what they say is not looked at."""
        super().__init__(ledger)
        self.chain = ledger.chain_id
        self._committees = Committees([installed(ledger.configuration, ledger.key_of)])
        self.testimony = Testimony(seals, verify, bad, self._committees)
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

    @property
    def committees(self) -> list[tuple[bytes, ...]]:
        """Who agreed, one committee after another, by what was executed."""
        return [tuple(voter.replica for voter in each.configuration.new) for each in self._committees.installed]

    def committee_at(self, height: int) -> Committee:
        """Who agrees on a height, by what was executed."""
        return self._committees.at(height)

    # What honest replicas have --------------------------------------------------------------------------------------

    def certified(self, executed: Executed, entry: bytes, chained: Chained) -> None:
        """I8: a block that an honest replica executed has its certificate, whose digest follows from headers alone, and
        carries one of the block before it."""
        header, certificate = executed.block.header, chained.commit_certificate
        embedded = chained.block.commit_certificate
        proven = embedded is None or self.testimony.is_signed(embedded)
        must(proven, "I8", f"block {header.height} carries a certificate that is none")
        digest = agreed_digest(self.chain, header, entry_digest(entry))
        height = header.height
        known = self._digests.setdefault(height, digest)
        must(known == digest, "I8", f"two blocks of height {height} were certified")
        self.testimony.can_be(height, certificate.view, digest)
        committee = self._committees.at(height)
        of_it = (certificate.height, certificate.digest) == (height, digest)
        signers = self.testimony.signers(certificate)
        enough = signers >= quorum(len(committee.members))
        must(of_it and enough, "I8", f"block {height} was executed with a certificate of {signers}")
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
