"""Direct changes: configurations that follow each other in one step, kept to show what joint entries are for.

A direct change is safe where every quorum of the one configuration meets every quorum of the other, as when one server
of equal power comes or goes, and only after the leader has committed an entry of its own term (Ongaro 2015 on changes
of one server at a time). Powers that change at will have no such property. Everything else is the engine's own. It
lives in the simulation alone; nothing that a node runs can reach it.
"""

from __future__ import annotations

from wattquorum.consensus.configuration import Configuration
from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.entries import configuration_entry
from wattquorum.consensus.raft.leadership import Leadership


class DirectLeadership(Leadership):
    """A leader that appends the next configuration itself."""

    __slots__ = ()

    def change(self, wanted: Configuration | None, _now: int) -> bool:
        """Appends what is wanted, when a change may begin at all."""
        if not self._may_change or wanted is None or wanted.version <= self._log.configuration.version:
            return False
        self.append([configuration_entry(self._term, wanted)])
        return True


class DirectRaft(Raft):
    """Raft with direct changes."""

    __slots__ = ()

    leadership_of = DirectLeadership
