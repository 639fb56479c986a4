"""Outages: how long nobody decides after a primary's crash, and how many bad agents agreement survives (B-6, B-8).

The first is a matter of the timeout: a view ends when it has passed, and the next in order proposes. The second is
arithmetic that is tried here: with f = (g-1)//3 bad agents of g everything goes on; with more than n-q that are silent
it stops; and it forks only where 2q-n or more lie together, since only then two quorums can share nobody else. The
liars here do the worst that helps a fork: the primary proposes one block to every second member and another to the
rest, and all of them vote for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from wattquorum.consensus.bft.blocks import Block, proposal_of
from wattquorum.consensus.bft.committee import quorum_of, tolerated
from wattquorum.consensus.bft.messages import PrePrepare, Vote, from_frame, to_frame
from wattquorum.consensus.bft.settings import Settings
from wattquorum.consensus.bft.statements import Phase, Seals
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.codec import changed, encode
from wattquorum.foundation.refusals import Refused
from wattquorum.simulation.assembly import (
    CHAIN,
    NS_PER_MS,
    Assembly,
    Lie,
    Links,
    Load,
    Machine,
    outline,
    read_payload,
)

LINKS: Final = Links(5_000, 25_000)
EVERY_MS: Final = 200  # a transaction
TIMEOUTS_MS: Final = (250, 500, 1_000, 2_000)
CRASHES_MS: Final = (600, 1_200)  # between these the primary ends
AFTER_MS: Final = 60_000  # within which it has to go on
POLL_MS: Final = 500
AGENTS: Final = (4, 5, 6, 7, 8, 10, 13)
TRIED_MS: Final = 6_000  # how long one looks whether it goes on
TRIED_TIMEOUTS_MS: Final = (300, 600)  # the first, and the longest
BLOCKS: Final = 3  # that show that it does


class Recovery(NamedTuple):
    """What a primary's crash cost, from the crash on."""

    members: int
    agents: int
    timeout_ms: int
    agreed_ms: int  # until an agent executed a block of the next view
    everywhere_ms: int  # until every member that is left had
    timeouts_later: int  # blocks after that one that took as long as a timeout


def settings_of(timeout_ms: int, most_ms: int) -> Settings:
    """Timers of a network whose messages take up to 25 ms."""
    return Settings(timeout_ms=timeout_ms, timeout_max_ms=most_ms, resend_ms=200, fetch_ms=60, poll_ms=POLL_MS)


def recovered(seed: int, members: int, agents: int, timeout_ms: int) -> Recovery:
    """Ends the primary at a moment that the seed draws. Refused("input_unexpected") when it does not go on."""
    chance = Chance(seed).stream("recovery")
    load, settings = Load(1_000, EVERY_MS), settings_of(timeout_ms, 64 * timeout_ms)
    assembly = Assembly(seed, members, agents, load, links=LINKS, settings=settings)
    crash = chance.between(*CRASHES_MS) * NS_PER_MS
    assembly.run(crash)
    assembly.crash(0)
    end = crash + AFTER_MS * NS_PER_MS
    if not assembly.run(end, lambda: _is_everywhere(assembly, 3)):
        raise Refused("input_unexpected", "crash", crash // NS_PER_MS, "Members went on without each other.")
    heights = sorted({height for machine in assembly.alive for height, view in machine.views.items() if view})
    first = heights[0]
    agreed = min(machine.executed[first] for machine in assembly.alive if first in machine.executed)
    everywhere = max(machine.executed[first] for machine in assembly.alive)
    agent = assembly.machines[1].executed
    gaps = [agent[later] - agent[earlier] for earlier, later in pairwise(heights) if later in agent]
    return Recovery(
        members,
        agents,
        timeout_ms,
        (agreed - crash) // NS_PER_MS,
        (everywhere - crash) // NS_PER_MS,
        sum(gap >= max(timeout_ms, EVERY_MS + 100) * NS_PER_MS for gap in gaps),
    )


def _is_everywhere(assembly: Assembly, blocks: int) -> bool:
    """Whether every member that is left has executed so many blocks of a later view."""
    return all(sum(view > 0 for view in machine.views.values()) >= blocks for machine in assembly.alive)


# How many may be bad ------------------------------------------------------------------------------------------------


class Fault(StrEnum):
    """What bad agents do."""

    SILENT = "silent"
    COLLUDING = "colluding"


class Ending(StrEnum):
    """What came of it."""

    ON = "goes on"
    STOPS = "stops"
    FORKS = "forks"


class Trial(NamedTuple):
    """Agents of whom some were bad."""

    agents: int
    bad: int
    fault: Fault
    ending: Ending


def expected(agents: int, bad: int, fault: Fault) -> Ending:
    """What counting says: see the module."""
    quorum = quorum_of(agents)
    if fault is Fault.COLLUDING and bad >= 2 * quorum - agents and agents - bad >= 2:
        return Ending.FORKS
    return Ending.ON if agents - bad >= quorum else Ending.STOPS


def tried(seed: int, agents: int, bad: int, fault: Fault) -> Trial:
    """Lets agents agree for a while; the bad ones are the first in order, the primary among them."""
    load, settings = Load(1_000, EVERY_MS), settings_of(*TRIED_TIMEOUTS_MS)
    gone = range(bad) if fault is Fault.SILENT else ()
    lies = dict.fromkeys(range(bad), splits(range(bad))) if fault is Fault.COLLUDING else {}
    assembly = Assembly(seed, agents, agents, load, links=LINKS, settings=settings, gone=gone, lies=lies)
    good = assembly.machines[bad:]

    def done() -> bool:
        return is_forked(good) or all(len(machine.executed) >= BLOCKS for machine in good)

    assembly.run(TRIED_MS * NS_PER_MS, done)
    if is_forked(good):
        return Trial(agents, bad, fault, Ending.FORKS)
    went_on = all(len(machine.executed) >= BLOCKS for machine in good)
    return Trial(agents, bad, fault, Ending.ON if went_on else Ending.STOPS)


def trials(most: int) -> list[tuple[int, int, Fault]]:
    """Around each bound: one fewer, as many, and one more; and none."""
    found: dict[tuple[int, int, Fault], None] = {}
    for agents in AGENTS:
        if agents > most:
            continue
        quorum = quorum_of(agents)
        for fault in Fault:
            bounds = {0, tolerated(agents), tolerated(agents) + 1, agents - quorum, agents - quorum + 1}
            if fault is Fault.COLLUDING:
                bounds |= {2 * quorum - agents - 1, 2 * quorum - agents}
            for bad in sorted(bounds):
                if bad <= agents - 2:
                    found[agents, bad, fault] = None
    return list(found)


def is_forked(machines: Sequence[Machine]) -> bool:
    """Whether two of them executed different blocks at one height."""
    digests: dict[int, bytes] = {}
    return any(
        digests.setdefault(height, digest) != digest
        for machine in machines
        for height, digest in machine.digests.items()
    )


def splits(bad: Sequence[int]) -> Lie:
    """The first proposes one block to every second member and another to the rest; all vote for both, and only so."""

    def lie(assembly: Assembly, machine: Machine, to: bytes, frame: bytes) -> list[tuple[bytes, bytes]]:
        message = from_frame(frame)
        number = int.from_bytes(to, "big")
        if not isinstance(message, PrePrepare) or number in bad:
            return []
        block = _other(message.block) if number % 2 else message.block
        for each in bad:
            for vote in _votes(assembly, each, machine.number, message.view, block):
                assembly.send(assembly.machines[each], to, vote)
        return [(to, _pre_prepare(assembly, machine, message.view, block))]

    return lie


def _other(block: Block) -> Block:
    """Another good block in its place."""
    return changed(block, payload=encode(changed(read_payload(block.payload), salt=1)))


def _seals(assembly: Assembly, number: int) -> Seals:
    return Seals(CHAIN, assembly.seals.signer(assembly.secrets[number]), assembly.seals.verify)


def _digest(block: Block) -> bytes:
    proposal = proposal_of(CHAIN, block, outline)
    assert proposal is not None
    return proposal.digest


def _pre_prepare(assembly: Assembly, machine: Machine, view: int, block: Block) -> bytes:
    seals = _seals(assembly, machine.number)
    signature = seals.make(assembly.committee, block.height, view, Phase.PRE_PREPARE, _digest(block))
    return to_frame(PrePrepare(view, block, signature))


def _votes(assembly: Assembly, number: int, primary: int, view: int, block: Block) -> list[bytes]:
    seals, digest = _seals(assembly, number), _digest(block)
    said = []
    if number != primary:
        signature = seals.make(assembly.committee, block.height, view, Phase.PREPARE, digest)
        said.append(to_frame(Vote(2, block.height, view, digest, signature)))
    signature = seals.make(assembly.committee, block.height, view, Phase.COMMIT, digest)
    return [*said, to_frame(Vote(3, block.height, view, digest, signature))]
