"""The literal rules: document A's votes as it words them, kept to show that they lose data.

There a vote is worth the weight that a node has, weights grow with every reply that helped a round to its quorum, and
they change at once when the round is over. So a candidate and a leader count by weights that others do not have yet,
or no longer: two majorities under two vectors need not meet. Everything else is the engine's own, so that nothing but
the rule is to blame. It lives in the simulation alone; nothing that a node runs can reach it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Millis, Points
from wattquorum.ledger.blocks import Block
from wattquorum.ledger.rounds import decode_evidence
from wattquorum.standing.participation import participation_paper

RHO: Final = Points(30)  # what one valid reply earns where everybody begins with 1; what matters is how fast it grows


class LiteralLog(Log):
    """A log whose effective configuration is whatever weights its replica has at hand, and stands in no entry."""

    __slots__ = ("at_hand",)

    def __init__(self, log: Log, at_hand: Configuration) -> None:
        super().__init__(log.first - 1, log.term_at(log.first - 1) or 0, log.configurations[0][1])
        self.append(log.entries(log.first))
        self.at_hand = at_hand

    @property
    def configuration(self) -> Configuration:
        """The weights at hand."""
        return self.at_hand


class LiteralRaft(Raft):
    """Raft by the literal rules. It takes no snapshots: weights follow from the whole history."""

    __slots__ = ()

    def __init__(
        self,
        me: bytes,
        founding: Configuration,
        records: Iterable[Durable],
        seed: int,
        now: Millis,
        applied: int = 0,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(me, founding, records, seed, now, applied, settings)
        self.weigh(founding.new)

    def reconfigure(self, _configuration: Configuration, _now: Millis, /) -> None:
        """Nothing: voting powers are not the literal rules'."""

    def snapshot(self, _index: int, _state: bytes, _now: Millis, /) -> None:
        """Nothing."""

    def weigh(self, weights: Sequence[Voter]) -> None:
        """From now on these weights count here; nobody else is told."""
        log = self._log
        at_hand = changed(log.configuration, new=tuple(weights))
        if isinstance(log, LiteralLog):
            log.at_hand = at_hand
        else:
            self._log = LiteralLog(log, at_hand)

    def executed(self, block: Block) -> None:
        """A block was executed here: whoever helped a round has more weight from now on, as far as this replica knows.

        The weights of document A also have slower parts; participation alone is enough to show what goes wrong.
        """
        helped = decode_evidence(block.header.evidence).followers if block.header.evidence else ()
        self.weigh(
            [
                Voter(each.replica, participation_paper(Points(each.power), RHO)) if each.replica in helped else each
                for each in self.configuration.new
            ]
        )
