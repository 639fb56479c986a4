"""The schedule of faults: what goes wrong when, decided by a seed alone.

Faults overlap: each begins so long after the one before it, and lasts for a time of its own. Now and then there is a
calm: everything is healed, and the next fault waits until the cluster has come back to work, which it has to. Slots are
those that have a replica with a seat at the time; a schedule names them by their number among these, and the leader as
`LEADER`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

LEADER: Final = -1
CALM: Final = "calm"
HOUR_S: Final = 3_600.0
YEAR_S: Final = 365.25 * 86_400
CALM_AFTER: Final = 5  # faults, on average
CLOCKS_S: Final = (1.0, 5.0, HOUR_S, 24 * HOUR_S, YEAR_S, 10 * YEAR_S)


class Fault(NamedTuple):
    """Something that goes wrong."""

    number: int
    after_s: float  # the fault before it began
    kind: str
    victims: tuple[int, ...]  # by their number among the seated, or LEADER
    lasts_s: float
    amount: float  # what it means depends on the kind
    seed: int


# How likely each is against the others.
KINDS: Final[Mapping[str, int]] = {
    "kill": 5,  # one or two end, and are started again
    "kill-leader": 3,
    "kill-again": 2,  # ends, and again while it recovers
    "majority": 1,  # most of them end
    "blackout": 1,  # all of them end at once
    "pause": 2,  # SIGSTOP
    "stutter": 1,  # SIGSTOP, many times for a moment
    "cut": 2,  # nothing gets through between two halves
    "isolate": 2,  # nor to or from one or two
    "one-way": 2,  # nor from these to the others
    "ring": 1,  # nor between those that are not neighbours
    "hold": 2,  # what one or two send is held up, and delivered late
    "slow": 2,  # everything that they send is late
}
FULL: Final[Mapping[str, int]] = {"full": 2}  # the disks of one, two or all
CLOCKS: Final[Mapping[str, int]] = {"clock": 2}  # a clock jumps, of a process that runs or that is started again
AGENTS: Final[Mapping[str, int]] = {"kill-agents": 3}  # as many of a committee end as it may lose
SEATS: Final[Mapping[str, int]] = {"seat": 1}  # a replica loses its seat to another


def schedule(seed: int, seats: int, kinds: Mapping[str, int]) -> Iterator[Fault]:
    """Faults without end."""
    chance = random.Random(seed)
    names, weights = list(kinds), list(kinds.values())
    number = 0
    while True:
        if chance.randrange(CALM_AFTER) == 0:
            yield Fault(number, chance.uniform(0.2, 1.4), CALM, (), chance.uniform(0.3, 2.0), 0.0, 0)
            number += 1
        after = chance.uniform(0.2, 1.4)
        kind = chance.choices(names, weights)[0]
        victims = tuple(chance.sample(range(seats), chance.choice((1, 1, 2))))
        lasts, amount = chance.uniform(0.2, 2.5), chance.random()
        if kind == "kill-leader":
            victims = (LEADER,)
        elif kind == "kill-agents":
            victims = ()  # who agrees then, is not known now
        elif kind in ("kill-again", "seat"):
            victims = victims[:1]
        elif kind == "majority":
            victims = tuple(chance.sample(range(seats), seats // 2 + 1))
        elif kind == "blackout" or (kind == "full" and amount < 0.25):
            victims = tuple(range(seats))
        elif kind == "cut":
            victims = tuple(chance.sample(range(seats), seats // 2))
        elif kind == "ring":
            victims = tuple(chance.sample(range(seats), seats))
        elif kind == "clock":
            lasts = chance.uniform(2.0, 8.0)
        elif kind == "full":
            lasts = chance.uniform(1.0, 5.0)
        elif kind == "isolate" and chance.random() < 0.3:
            victims = (LEADER,)
        yield Fault(number, after, kind, victims, lasts, amount, chance.getrandbits(32))
        number += 1
