"""Networks: when a frame arrives, if it does.

Every ordered pair of hosts is a link of its own with its own delay. Frames may be lost, come twice, come late, or
overtake each other; a link may be cut in one direction alone. A stream of TCP would lose and reorder less: whatever
holds here holds there.
"""

from __future__ import annotations

from dataclasses import dataclass

from wattquorum.foundation.chance import Chance


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad a network is."""

    delay_ms: tuple[int, int] = (1, 10)  # each link draws its own, from the first to the last
    jitter_ms: int = 2  # on top, each time
    lost_ppm: int = 0
    twice_ppm: int = 0
    late_ppm: int = 0  # frames that take `late_ms` more
    late_ms: int = 500
    ordered: bool = False  # frames of a link never overtake each other


class Network:
    """All links between `hosts` hosts, by their numbers."""

    __slots__ = ("_arrives", "_chance", "_cut", "_delays", "weather")

    def __init__(self, hosts: int, weather: Weather, chance: Chance) -> None:
        self.weather = weather
        self._chance = chance
        low, high = weather.delay_ms
        self._delays = [[chance.between(low, high) for _ in range(hosts)] for _ in range(hosts)]
        self._cut: dict[tuple[int, int], None] = {}
        self._arrives: dict[tuple[int, int], int] = {}  # on ordered links, when the last frame does

    def set_delay(self, sender: int, receiver: int, delay_ms: int) -> None:
        """Gives a link a delay of its own."""
        self._delays[sender][receiver] = delay_ms

    def arrivals(self, sender: int, receiver: int, now: int) -> list[int]:
        """When a frame that is sent now arrives: never, once or twice."""
        weather, chance = self.weather, self._chance
        if (sender, receiver) in self._cut or chance.happens(weather.lost_ppm):
            return []
        copies = 2 if chance.happens(weather.twice_ppm) else 1
        return [self._arrival(sender, receiver, now) for _ in range(copies)]

    def _arrival(self, sender: int, receiver: int, now: int) -> int:
        weather, chance = self.weather, self._chance
        at = now + self._delays[sender][receiver] + chance.below(weather.jitter_ms + 1)
        if chance.happens(weather.late_ppm):
            at += chance.below(weather.late_ms + 1)
        if weather.ordered:
            at = self._arrives[sender, receiver] = max(at, self._arrives.get((sender, receiver), 0))
        return at

    def reaches(self, sender: int, receiver: int) -> bool:
        """Whether the link is not cut."""
        return (sender, receiver) not in self._cut

    def cut(self, sender: int, receiver: int) -> None:
        """Nothing passes from one to the other from now on."""
        self._cut[sender, receiver] = None

    def heal(self) -> None:
        """All links pass again."""
        self._cut.clear()
