"""Arrivals: connections to a node whose other end has not said who it is, and which of them has to go.

Whoever reaches a node's port can open connections and say nothing, without any identity, so there is a bound on how
many wait. Were newcomers refused above it, whoever fills it would keep the peers out. So a newcomer always comes in,
and the one that has waited longest goes, of the host that has most of them: a peer is through in two round trips, and
whoever holds many has to open them again and again. Two things keep a peer further apart from strangers. Those who
have begun the handshake and those who have said nothing never make room for each other, so silence, which costs
nothing, displaces only silence. And hosts where peers are have a room of their own, in which strangers elsewhere
count for nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

W = TypeVar("W", bound=Hashable)


class Room(NamedTuple):
    """Those of one room compete for its places."""

    known: bool  # they come from hosts where peers are
    begun: bool  # they have begun the handshake


class Arrivals(Generic[W]):
    """Who waits, by room and host, the longest first."""

    __slots__ = ("_per_host_max", "_places", "_rooms", "_waiting_max")

    def __init__(self, waiting_max: int, per_host_max: int) -> None:
        """So many, one or more, wait in each room, and so many of them from one host."""
        self._waiting_max, self._per_host_max = waiting_max, per_host_max
        self._rooms: dict[Room, dict[str, dict[W, None]]] = {}
        self._places: dict[W, tuple[Room, str]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def come(self, who: W, host: str, *, known: bool) -> W | None:
        """Somebody has come; who has to go for it, if anybody."""
        return self._enter(who, Room(known, begun=False), host)

    def begin(self, who: W) -> W | None:
        """Somebody that waits has begun the handshake; who has to go for it, if anybody."""
        if who not in self._places:
            return None
        room, host = self._places[who]
        self.leave(who)
        return self._enter(who, room._replace(begun=True), host)

    def leave(self, who: W) -> None:
        """Somebody waits no more, or did not wait."""
        if who in self._places:
            room, host = self._places.pop(who)
            hosts = self._rooms[room]
            del hosts[host][who]
            if not hosts[host]:
                del hosts[host]

    def _enter(self, who: W, room: Room, host: str) -> W | None:
        hosts = self._rooms.setdefault(room, {})
        waiting = hosts.setdefault(host, {})
        waiting[who] = None
        self._places[who] = (room, host)
        if sum(map(len, hosts.values())) > self._waiting_max:
            waiting = max(hosts.values(), key=len)
        elif len(waiting) <= self._per_host_max:
            return None
        gone = next(iter(waiting))
        self.leave(gone)
        return gone
