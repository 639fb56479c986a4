"""Ambushes: trouble at the very moment at which it matters.

Trouble at random times seldom meets what view changes are for: a block that some have prepared, that perhaps one knows
to be certified, and that is left behind. So whoever has just accepted or prepared a block, left a view, or begun to
lead one is struck now and then at once: before its disk has what it promised, before anybody hears of it, or when one
has heard and no others.
"""

from __future__ import annotations

from typing import Final

from wattquorum.consensus.bft.engine import Bft
from wattquorum.foundation.chance import Chance
from wattquorum.simulation.course import Course
from wattquorum.simulation.host import Host

ROWS: Final = 3  # how many primaries in a row are kept from leading, at most


class Ambush:
    """Looks at every host after every input, and strikes. `timeout_ms` is how long a view takes at first."""

    def __init__(self, course: Course[Bft], chance: Chance, often_ppm: int, timeout_ms: int) -> None:
        self._course, self._chance = course, chance
        self._often_ppm, self._timeout_ms = often_ppm, timeout_ms
        self._seen: dict[tuple[str, int], tuple[int, ...]] = {}  # by what happened and host: where

    def look(self, host: Host[Bft]) -> str:
        """What has struck because of this host; empty: nothing."""
        engine = host.engine
        assert engine is not None
        view, prepared = engine.term, engine.round.prepared
        epoch = engine.committee_at(engine.height + 1).epoch
        if prepared is not None and self._is_new("prepared", host, prepared.height, prepared.view):
            return self._after_prepare(host, engine) if self._strikes(1) else ""
        if view and engine.leader == host.address and self._is_new("leads", host, epoch, view):
            return self._as_it_leads(host) if self._strikes(2) else ""
        left = view and not engine.established and self._is_new("left", host, epoch, view)
        accepted = view in engine.round.accepted and self._is_new("accepted", host, engine.round.height, view)
        return self._crash(host) if (left or accepted) and self._strikes(1) else ""

    def _strikes(self, times: int) -> bool:
        return self._chance.happens(self._often_ppm * times)

    def _is_new(self, what: str, host: Host[Bft], *where: int) -> bool:
        before = self._seen.get((what, host.number))
        self._seen[what, host.number] = where
        return before != where

    def _after_prepare(self, host: Host[Bft], engine: Bft) -> str:
        strike = self._chance.below(8)
        if strike == 0:
            return self._primaries(engine)
        if strike <= 2:
            return self._all_crash(host)
        return self._chance.pick((self._crash, self._crash, self._leave, self._one_learns, self._pause))(host)

    def _as_it_leads(self, host: Host[Bft]) -> str:
        return self._chance.pick((self._crash, self._all_crash, self._leave, self._pause))(host)

    def _long(self) -> int:
        return self._timeout_ms * self._chance.between(1, 5)

    def _crash(self, host: Host[Bft]) -> str:
        """It forgets what is not durable; its COMMIT may be out by then, or be lost with its records."""
        self._falls(host, self._chance.pick((0, 0, 5, 30)), self._timeout_ms * 2)
        return f"host {host.number} crashes with what it promised"

    def _all_crash(self, _: Host[Bft]) -> str:
        for each in self._course.hosts:
            self._falls(each, self._chance.below(40), self._timeout_ms // 2)
        return "all crash"

    def _falls(self, host: Host[Bft], wait: int, within: int) -> None:
        now = self._course.now + wait
        self._course.put(now, "crash", host.number)
        self._course.put(now + self._chance.between(5, max(6, within)), "start", host.number)

    def _leave(self, host: Host[Bft]) -> str:
        """It is left behind with what it prepared."""
        self._course.put(self._course.now + self._chance.pick((0, 0, 10, 60)), "alone", host.number, self._long())
        return f"host {host.number} is left alone"

    def _one_learns(self, host: Host[Bft]) -> str:
        """Everybody is heard by this host alone, which learns what is decided; then it is heard by nobody."""
        numbers = range(len(self._course.hosts))
        for one in numbers:
            for other in numbers:
                if other not in (one, host.number):
                    self._course.network.cut(one, other)
        self._course.put(self._course.now + self._chance.between(50, 300), "alone", host.number, self._long())
        return f"host {host.number} alone hears the others"

    def _pause(self, host: Host[Bft]) -> str:
        self._course.put(self._course.now, "pause", host.number, self._course.now + self._long())
        return f"host {host.number} stands still"

    def _primaries(self, engine: Bft) -> str:
        """The next primaries, and perhaps this one, are heard by nobody: views change several times in a row."""
        committee = engine.committee_at(engine.height + 1)
        first = engine.term + self._chance.below(2)
        count = self._chance.between(1, min(ROWS, len(committee.members) - 1))
        silent = [self._course.by_address[committee.primary(view)].number for view in range(first, first + count)]
        for one in silent:
            for other in range(len(self._course.hosts)):
                if other != one:
                    self._course.network.cut(one, other)
        self._course.put(self._course.now + self._timeout_ms * self._chance.between(2, 8), "heal")
        return f"the primaries of {count} views are heard by nobody"
