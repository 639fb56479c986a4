"""Targets: what was aimed at, and whether it was met."""

from __future__ import annotations

from typing import NamedTuple

from wattquorum.foundation.quantities import MILLION
from wattquorum.lab.cgpbft import messages, outages, pace
from wattquorum.lab.cgpbft.told.messages import counts_of
from wattquorum.lab.cgpbft.told.pace import step_ratio
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.parts import Part, Sheet
from wattquorum.standing.groups import TAU


class Target(NamedTuple):
    """Something that was aimed at."""

    what: str
    target: str
    measured: str
    met: bool


def targets_of(found: Found) -> list[Target]:
    """What was aimed at and tried here, whether it was met or not."""
    told = []
    for members, times in messages.TARGETS.items():
        both = counts_of(found, members)
        if both is not None:
            ratio = both[0].per_block / both[1].per_block
            what = f"messages of a block, {members} members in {both[1].agents} groups: of PBFT's"
            told.append(Target(what, f"at most 1/{times}", f"1/{ratio:.1f}", ratio >= times))
    for step, costing in ((pace.Step.MESSAGES, "messages"), (pace.Step.SIGNATURES, "messages, bytes and signatures")):
        faster = step_ratio(found, step)
        what = f"throughput of blocks of one, {pace.TARGET_MEMBERS} members, where {costing} cost: of PBFT's"
        told.append(Target(what, f"at least {pace.TARGET:g} x", f"{faster:.2f} x", faster >= pace.TARGET))
    wrong = sum(trial.ending is not outages.expected(*trial[:3]) for trial in found.trials)
    told.append(Target("trials with bad agents that end otherwise than counted", "0", str(wrong), not wrong))
    largest = max(each.nodes for each in found.evens)
    own = [each for each in found.evens if each.way == "B-3" and each.nodes == largest]
    worst = max(max(each.traded_ppm, each.trust_ppm) for each in own)
    what = f"groups of {largest:,} nodes in {own[0].groups}: sums of N and of T differ"
    told.append(Target(what, f"at most {100 * TAU // MILLION} % of the mean", f"{worst / 10_000:.2f} %", worst <= TAU))
    slowest = max(each.took_ns for each in own)
    told.append(Target("the same groups: processor time", "below 1 s", f"{slowest / 1e6:.0f} ms", slowest < 10**9))
    return told


def targets_part(found: Found) -> Part:
    """What this is, and the targets."""
    rows = [(each.what, each.target, each.measured, "met" if each.met else "missed") for each in targets_of(found)]
    lead = (
        "In CGPBFT members are divided into groups, each group elects an agent by credit, and only the agents agree "
        "(document B). Here it stands beside plain PBFT, in which everybody does. Both are the same engine. Except "
        "where it says live, worlds are simulated, with seeds that decide everything, and signatures are keyed hashes "
        "in place of Ed25519, counted and charged as the real ones."
    )
    sheet = Sheet("Targets", ("what", "target", "found", ""), tuple(rows), "lrrl")
    return Part("targets", "Targets", "What was aimed at", lead, (sheet,))
