"""Chaos: many seeds, each with a world of its own whose nature the seed draws too.

Not every world has every trouble: which kinds exist, how bad the network is and how tight the engine's limits are is
drawn first (swarm testing, Groce and others 2012), because a fault that is always there hides what happens without it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

from wattquorum.consensus.bft.settings import Settings as BftSettings
from wattquorum.consensus.raft.engine import Raft
from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.parameters import Consensus, Voting
from wattquorum.ledger.protocols import Protocol
from wattquorum.simulation.bft_world import BftNature, BftWorld
from wattquorum.simulation.literal import LiteralRaft
from wattquorum.simulation.network import Weather
from wattquorum.simulation.raft_world import RaftNature, RaftWorld
from wattquorum.simulation.twins import TwinsWorld
from wattquorum.simulation.world import Outcome, World

TROUBLES: Final = (
    "crash",
    "blackout",
    "pause",
    "split",
    "isolation",
    "broken_link",
    "slow_disk",
    "clock_jump",
    "transfer",
)
BFT_TROUBLES: Final = (
    "crash",
    "blackout",
    "pause",
    "split",
    "isolation",
    "broken_link",
    "slow_disk",
)  # clocks are within skew
HALF: Final = MILLION // 2
QUARTER: Final = MILLION // 4
EIGHTH: Final = MILLION // 8
WIDE_MS: Final = 2_000  # how far clocks may be apart where disks are slow
LEASED: Final = MILLION // 4
EQUALS: Final = MILLION // 16
ONLY_PARTICIPATION: Final = {
    f"{side}_{name}": MILLION if name == "participation" else 0
    for side, names in (
        ("a", ("credit", "volume", "participation", "certificates", "carbon", "line")),
        ("b", ("credit", "volume", "participation", "certificates", "carbon")),
    )
    for name in names
}


class Rules(NamedTuple):
    """What a chaos is about: how many hosts its worlds have (0: drawn), by which rules it votes, and how it agrees."""

    hosts: int = 0
    literal: bool = False
    protocol: Protocol = Protocol.WEIGHTED_RAFT
    twins: bool = False  # instead of a world that the seed draws, the case of that number (`simulation.twins`)


def nature_of(seed: int, rules: Rules) -> RaftNature:
    """The world that a seed draws."""
    chance = Chance(seed).stream("nature")
    settings = Settings(
        election_ms=chance.pick((200, 300, 600)),
        slot_ms=chance.pick((10, 20, 60)),
        heartbeat_ms=chance.pick((40, 80, 100)),
        append_bytes_max=chance.pick((500, 5_000, 1 << 20)),
        inflight_max=chance.pick((1, 4, 64)),
        proposals_max=chance.pick((1, 3, 8)),
        chunk_bytes=chance.pick((1_000, 10_000, 1 << 18)),
        trailing_max=chance.pick((0, 3, 50)),
        heaviest_for=chance.pick((1, 3)),
        cooldown_ms=chance.pick((500, 3_000)),
    )
    weather = weather_of(chance)
    drawn = tuple(kind for kind in TROUBLES if chance.happens(HALF))
    voters = rules.hosts or chance.between(3, 9)
    spares, removals = (0, 0) if rules.literal else _membership(Chance(seed).stream("membership"), voters)
    wrong_clocks = not rules.literal and Chance(seed).stream("wrong clocks").happens(HALF)
    if wrong_clocks:
        drawn = (*drawn, "wrong_clock")
    steady = "clock_jump" not in drawn and not wrong_clocks
    if steady and Chance(seed).stream("lease").happens(LEASED):  # a lease trusts clocks to go on
        settings = replace(settings, lease_ms=settings.election_ms // 2)
    return RaftNature(
        hosts=voters + spares,
        engine=LiteralRaft if rules.literal else Raft,
        joint=not rules.literal,
        settings=settings,
        weather=weather,
        parameters={
            **ONLY_PARTICIPATION,
            "epoch_ms": chance.pick((1_000, 2_000)),
            "rho": 40_000_000,
            "probation_days": 0,
            **_voting(Chance(seed).stream("voting")),
        },
        spares=spares,
        removals=removals,
        clients=chance.between(1, 4),
        clock_ahead_ms=chance.pick((0, 50, 2_000)),
        clock_drift_ppm=chance.pick((0, 100, 10_000)),
        wrong_clocks=wrong_clocks,
        sync_ms=(0, chance.pick((0, 3, 20))),
        trouble_ms=(50, chance.pick((300, 1_000, 3_000))),
        troubles=drawn,
        linger_ms=0 if rules.literal else Chance(seed).stream("linger").pick((0, 0, 2, 10)),
        amnesia_ppm=0 if rules.literal else Chance(seed).stream("amnesia").pick((0, 0, 100_000, 300_000)),
    )


def weather_of(chance: Chance) -> Weather:
    """How bad a world's network is."""
    return Weather(
        delay_ms=(1, chance.pick((2, 10, 50))),
        jitter_ms=chance.pick((0, 3, 30)),
        lost_ppm=chance.pick((0, 0, 20_000, 100_000)),
        twice_ppm=chance.pick((0, 0, 20_000, 100_000)),
        late_ppm=chance.pick((0, 0, 20_000)),
        ordered=chance.happens(HALF),
    )


def bft_nature_of(seed: int, hosts: int) -> BftNature:
    """The world that a seed draws where a committee agrees: how many of it lie, and how, beside everything else."""
    chance = Chance(seed).stream("nature")
    hosts = hosts or chance.pick((4, 4, 4, 5, 6, 7))
    faults = (hosts - 1) // 3
    timeout_ms = chance.pick((200, 400, 800))
    settings = BftSettings(
        timeout_ms=timeout_ms,
        timeout_max_ms=timeout_ms * chance.pick((8, 16)),
        resend_ms=chance.pick((40, 100, 250)),
        fetch_ms=chance.pick((20, 50)),
        poll_ms=chance.pick((200, 500)),
        skew_ms=chance.pick((400, 2_000)),
        censor_ms=chance.pick((1_500, 4_000)),
        chunk_bytes=chance.pick((1_000, 10_000, 1 << 20)),
        blocks_kept=chance.pick((2, 5, 64)),
    )
    liars = chance.between(0, faults)
    drawn = tuple(kind for kind in BFT_TROUBLES if chance.happens(HALF))
    wrong_clocks = liars < faults and chance.happens(HALF)
    return BftNature(
        hosts=hosts,
        weather=weather_of(chance),
        settings=settings,
        liars=liars,
        twins=liars if chance.happens(HALF // 2) else 0,
        hostile=chance.happens(HALF // 2),
        parameters={
            "consensus": int(Consensus.PBFT),
            "epoch_ms": chance.pick((1_000, 2_000, 10_000)),
            "drift_ms": settings.skew_ms,
            "probation_days": 0,
        },
        tick_ms=chance.pick((0, 0, 500)),
        clients=chance.between(1, 4),
        clock_ahead_ms=chance.pick((0, 50, 150)),
        clock_drift_ppm=chance.pick((0, 100)),
        wrong_clocks=wrong_clocks,
        sync_ms=(0, chance.pick((0, 3, 20))),
        trouble_ms=(50, chance.pick((300, 1_000, 3_000))),
        troubles=(*drawn, *(["wrong_clock"] if wrong_clocks else [])),
        linger_ms=chance.pick((0, 0, 2)),
        safety_ms=10_000,
    )


def elected(seed: int, nature: BftNature) -> BftNature:
    """The same world, where agents agree whom four groups or more elect; the other replicas follow them."""
    chance = Chance(seed).stream("elections")
    hosts = max(nature.hosts, 4) + chance.between(0, 4)
    groups = chance.pick((4, 4, 5)) if hosts > 4 else 4
    parameters = {
        **nature.parameters,
        "consensus": int(Consensus.CGPBFT),
        "groups": groups,
        "stand_blocks": chance.pick((3, 6)),
        "epoch_ms": chance.pick((1_000, 2_000)),
    }
    agents = min(groups, hosts)
    liars = min(nature.liars, (agents - 1) // 3)
    wrong_clocks = nature.wrong_clocks and liars < (agents - 1) // 3
    troubles = tuple(kind for kind in nature.troubles if wrong_clocks or kind != "wrong_clock")
    return replace(
        nature,
        hosts=hosts,
        liars=liars,
        twins=min(nature.twins, liars),
        parameters=parameters,
        tick_ms=chance.pick((200, 500)),
        agents=agents,
        wrong_clocks=wrong_clocks,
        troubles=troubles,
    )


def among_liars(seed: int, nature: BftNature, *, more: bool = True) -> BftNature:
    """The same world, where in most seeds most of those who do not agree lie, often all but one, sometimes all.

    `more`: there may be more hosts than before, so that there is somebody who does not agree.
    """
    chance = Chance(seed).stream("bystanders")
    if chance.happens(EIGHTH):
        return nature
    hosts = nature.agents + chance.between(2, 6) if more else nature.hosts
    following = hosts - nature.agents
    honest = chance.pick((0, 1, 1, 1, 2))
    bystanders = min(following, max(1, following - honest))
    behind_max = chance.pick((nature.settings.behind_max, nature.settings.behind_max, 4))
    return replace(nature, hosts=hosts, bystanders=bystanders, settings=replace(nature.settings, behind_max=behind_max))


def harder(seed: int, nature: BftNature) -> BftNature:
    """The same world, in most seeds with trouble that comes when it hurts most, and with what lasts."""
    chance = Chance(seed).stream("harder")
    if chance.happens(QUARTER):
        return nature
    settings, slow, slow_ms = nature.settings, 0, 0
    if chance.happens(QUARTER):  # two syncs for each of two promises, in a view's longest time
        slow_ms = settings.timeout_max_ms // 8
        settings = replace(settings, skew_ms=WIDE_MS)
        slow = chance.pick((1, 1, nature.hosts))
    return replace(
        nature,
        settings=settings,
        parameters={**nature.parameters, "drift_ms": settings.skew_ms},
        ambush_ppm=chance.pick((0, 30_000, 100_000, 300_000)),
        wander_ms=chance.pick((0, settings.skew_ms // 5)) if nature.clock_ahead_ms < settings.skew_ms // 5 else 0,
        slow_disks=slow,
        slow_sync_ms=(slow_ms // 4, slow_ms),
        cunning=chance.happens(HALF),
    )


def _voting(chance: Chance) -> dict[str, int]:
    """By which rules standing becomes power: now and then all are equal, more or fewer may be lost, or powers cling."""
    return {
        "voting": int(Voting.EQUAL if chance.happens(EQUALS) else Voting.WEIGHTED),
        "voters_lost": chance.pick((0, 0, 1, 2, 3)),
        "hysteresis": chance.pick((0, 10_000, 10_000, 50_000)),
    }


def _membership(chance: Chance, voters: int) -> tuple[int, int]:
    """How many hosts learn first and then vote, and how many lose their vote; three or more are left in any case."""
    if not chance.happens(HALF):
        return 0, 0
    return chance.between(0, 2), chance.between(0, min(2, voters - 3))


def world_of(seed: int, rules: Rules) -> World[Any]:
    """One seed's world."""
    if rules.twins:
        return TwinsWorld(seed)
    if not rules.protocol.by_committee:
        return RaftWorld(seed, nature_of(seed, rules))
    nature = bft_nature_of(seed, rules.hosts)
    if rules.protocol is Protocol.CGPBFT:
        nature = among_liars(seed, elected(seed, nature), more=not rules.hosts)
    return BftWorld(seed, harder(seed, nature))


def outcome_of(seed: int, rules: Rules) -> Outcome:
    """What became of one seed's world."""
    return world_of(seed, rules).run()
