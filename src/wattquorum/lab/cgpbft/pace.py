"""Pace: latency and throughput where work takes time, as it was measured on this machine (`costs`).

Full blocks always wait, one height is agreed on at a time, and every machine has one processor. What is told is how
long the first block takes from its proposal until every member has executed it, and how many transactions a second
every member executes from then on. Machines are next to each other or far apart, where delays decide; or there are no
delays and no syncs of disks, so that work alone does. The steps from messages alone to that show what of the gain is
left when other things take time, too.
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
    """How far machines are from each other; with no delays disks take no time either, and work alone does."""

    NONE = "none"
    NEAR = "near"
    FAR = "far"


class Step(StrEnum):
    """What takes time; each step adds something to the one before it."""

    MESSAGES = "messages alone"
    SIGNATURES = "bytes and signatures, too"
    TRANSACTIONS = "checking and executing transactions, too"
    LINKS = "near links, too"
    SYNCS = "syncs of disks, too"


LINKS: Final = {World.NONE: Links(0, 0), World.NEAR: Links(50, 150), World.FAR: Links(5_000, 25_000)}  # one way [us]


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
    if world is World.NONE:
        costs = costs._replace(sync_ns=0)
    first, everywhere, block = _timed(seed, members, agents, LINKS[world], transactions, costs, blocks)
    return Pace(members, agents, world, transactions, first, everywhere, block)


class Stepped(NamedTuple):
    """How long a block of one transaction takes after another."""

    members: int
    agents: int
    step: Step
    block_ns: int


def stepped(seed: int, members: int, agents: int, step: Step, costs: Costs, blocks: int) -> Stepped:
    """The same with blocks of one transaction where some things take no time."""
    links = LINKS[World.NEAR if step in (Step.LINKS, Step.SYNCS) else World.NONE]
    return Stepped(members, agents, step, _timed(seed, members, agents, links, 1, reduced(costs, step), blocks)[2])


def reduced(costs: Costs, step: Step) -> Costs:
    """Costs of which some take no time."""
    if step is not Step.SYNCS:
        costs = costs._replace(sync_ns=0)
    if step in (Step.MESSAGES, Step.SIGNATURES):
        costs = costs._replace(transaction_ns=0)
    if step is Step.MESSAGES:
        costs = costs._replace(byte_sent_ps=0, byte_received_ps=0, sign_ns=0, check_ns=0)
    return costs


def _timed(
    seed: int, members: int, agents: int, links: Links, transactions: int, costs: Costs, blocks: int
) -> tuple[int, int, int]:
    """When the first block was certified and everywhere, and how long the others took each [ns]."""
    assembly = Assembly(seed, members, agents, Load(transactions), links=links, costs=costs, blocks=blocks)
    if not assembly.run(END_NS, lambda: assembly.reached[blocks] == members):
        there = f"{assembly.reached[blocks]} of {members}"
        raise Refused("input_unexpected", "blocks", blocks, f"Only {there} members have the last one.")
    first, last = ([machine.executed[height] for machine in assembly.machines] for height in (1, blocks))
    passed = max(last[0] - first[0], max(last) - max(first))
    return first[0], max(first), passed // (blocks - 1)
