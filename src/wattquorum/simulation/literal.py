"""The literal rules: document A's votes as it words them, kept to show that they lose data.

There a vote is weighed by the weights that a node has at hand, and weights change at once when a block is executed. A
candidate and a leader therefore count by a vector that others do not have yet, or no longer: two majorities under two
vectors need not meet. Everything else is the engine's own, so that nothing but the rule is to blame. It lives in the
simulation alone; nothing that a node runs can reach it.
"""

from __future__ import annotations

from collections.abc import Iterable

from wattquorum.consensus.configuration import Configuration, check
from wattquorum.consensus.engine import Durable
from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.log import Log
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.quantities import Millis


class LiteralLog(Log):
    """A log whose effective configuration is whatever its replica computed last, and stands in no entry."""

    __slots__ = ("at_hand",)

    def __init__(self, log: Log, founding: Configuration) -> None:
        super().__init__(log.first - 1, log.term_at(log.first - 1) or 0, founding)
        self.append(log.entries(log.first))
        self.at_hand = founding

    @property
    def configuration(self) -> Configuration:
        """The weights that the replica has at hand."""
        return self.at_hand


class LiteralRaft(Raft):
    """Raft by the literal rules."""

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
        self._log = LiteralLog(self._log, founding)

    def reconfigure(self, configuration: Configuration, now: Millis, /) -> None:
        """The weights that this replica computed last count from now on, here."""
        self._now = int(now)
        check(configuration)
        assert isinstance(self._log, LiteralLog)
        self._log.at_hand = configuration
        self._advance()
