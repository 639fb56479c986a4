"""Pace: latency and throughput where work takes time, as it was measured on this machine (`costs`).

Full blocks always wait, one height is agreed on at a time, and every machine has one processor. What is told is how
long the first block takes from its proposal until every member has executed it, and how many transactions a second
every member executes from then on. Links are either next to each other, where work decides, or far apart, where delays
do.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from wattquorum.foundation.refusals import Refused
from wattquorum.simulation.assembly import Assembly, Costs, Links, Load

END_NS: Final = 100_000 * 10**9
TRANSACTIONS: Final = (1, 100, 10_000)  # of a block
MEMBERS: Final = (4, 16, 100, 400)
TARGET_MEMBERS: Final = 16
TARGET: Final = 4.0  # times the throughput of PBFT with 16, a transaction a block


class World(StrEnum):
    """How far machines are from each other."""

    NEAR = "near"
    FAR = "far"


LINKS: Final = {World.NEAR: Links(50, 150), World.FAR: Links(5_000, 25_000)}  # one way [us]


class Pace(NamedTuple):
    """What came out."""

    members: int
    agents: int
    world: World
    transactions: int  # of a block
    certified_ns: int  # the first block at its primary, from the proposal on
    everywhere_ns: int  # at every member
    block_ns: int  # from one block to the next after the first: at the primary, or at every member if that is longer

    @property
    def throughput(self) -> float:
        """Transactions a second."""
        return self.transactions * 1e9 / self.block_ns


def paced(seed: int, members: int, agents: int, world: World, transactions: int, costs: Costs, blocks: int) -> Pace:
    """Lets so many blocks follow each other. Refused("input_unexpected") when they are not at every member."""
    assembly = Assembly(seed, members, agents, Load(transactions), links=LINKS[world], costs=costs, blocks=blocks)
    if not assembly.run(END_NS, lambda: assembly.reached[blocks] == members):
        there = f"{assembly.reached[blocks]} of {members}"
        raise Refused("input_unexpected", "blocks", blocks, f"Only {there} members have the last one.")
    first, last = ([machine.executed[height] for machine in assembly.machines] for height in (1, blocks))
    passed = max(last[0] - first[0], max(last) - max(first))
    return Pace(members, agents, world, transactions, first[0], max(first), passed // (blocks - 1))
