"""The week: the same questions asked of weights that come from a real market, the shipped SimBench week.

Thirty members trade the shipped readings by the live rules, day after day, as `wattquorum week` has it, on a ledger
that one sequencer orders, or thirty replicas of theirs in a simulated world; only then is there participation. After
each closed day everybody's weight is what the ledger says it is. These vectors are then put on links, drawn many times
over, with the heaviest leading: what they save as they are, projected at a promise, and what votes by latency would
save; whether majorities of days that follow each other meet; and how unequal weights are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from wattquorum.foundation.chance import Chance
from wattquorum.foundation.identities import verify_each
from wattquorum.lab.beyond.cabinet import dealt, series
from wattquorum.lab.beyond.concentration import gini, top
from wattquorum.lab.beyond.majorities import apart
from wattquorum.lab.beyond.saving import saved
from wattquorum.lab.beyond.scenario import LINK, SPREAD, US_PER_MS
from wattquorum.lab.beyond.tolerance import powers_of
from wattquorum.lab.cluster import Cluster, Replicas
from wattquorum.lab.offices import PROPOSER
from wattquorum.lab.paper.replies import Order
from wattquorum.lab.run import RunOptions, plan_of
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Misfit, Number, Parameter, Values
from wattquorum.lab.week import Week
from wattquorum.ledger.execution import Executed
from wattquorum.ledger.facts import SideWeighed
from wattquorum.node.lone import LoneNode

MEMBERS: Final = 30
WEEKS: Final = 1_000_000  # different ones: forecasts, manners and the replicas' world are drawn
DRAWS: Final = 20  # of links, for each week
ALONE, REPLICAS = "sequencer", "replicas"


@cache
def weighed(days: int, week: int, ordered: str) -> tuple[tuple[int, ...], ...]:
    """Everybody's weight after each closed day [millionths of a point], in the order of members."""
    found: dict[int, dict[bytes, int]] = {}

    def told(executed: Executed) -> None:
        for fact in chain.from_iterable(executed.facts):
            if isinstance(fact, SideWeighed):
                found.setdefault(fact.day, {})[fact.member] = fact.weight

    with TemporaryDirectory() as folder:
        path, replicas = Path(folder) / "chain", Replicas(MEMBERS) if ordered == REPLICAS else None
        plan = plan_of(RunOptions(out=Path(folder), days=days, seed=week, replicas=replicas))
        genesis = plan.genesis()
        if replicas is None:
            node: LoneNode | Cluster = LoneNode.create(path, genesis, plan.secrets.key(PROPOSER), verify_each)
        else:
            node = Cluster(path, genesis, plan.replica_keys(), replicas, plan.seed)
        with node:
            market = Week(plan, node, told)
            for _ in market.run():
                pass
            node.close()
        addresses = [market.address(member.name) for member in plan.members]
    return tuple(tuple(found[day].get(address, 0) for address in addresses) for day in sorted(found))


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    chance = Chance(luck)
    lost = values["tolerance"]
    days = weighed(values["days"], chance.stream("week").between(1, WEEKS), values["ordered"])
    votes = series(MEMBERS, lost)
    low, high = (round((values["link"] + side * values["spread"]) * US_PER_MS) for side in (-1, 1))
    plain = literal = projected = cabinet = 0
    heaviest = []
    for weights in days:
        leader = max(range(MEMBERS), key=lambda place: (weights[place], -place))
        heaviest.append(leader)
        powers = powers_of(weights, lost)
        for _ in range(DRAWS):
            times = np.array([[chance.between(low, high) for _ in range(MEMBERS)]], dtype=np.int64)
            order = Order(times, np.array([leader]))
            replies = [place for place in np.argsort(times[0], kind="stable").tolist() if place != leader]
            told = [
                order.decide(np.array([own], dtype=np.int64))
                for own in (weights, powers, dealt([leader, *replies], votes))
            ]
            plain += int(told[0].plain_us[0])
            literal, projected, cabinet = (
                so_far + int(each.weighted_us[0])
                for so_far, each in zip((literal, projected, cabinet), told, strict=True)
            )
    parted = sum(apart(one, other) is not None for one, other in pairwise(days))
    return {
        "literal": saved(plain, literal),
        "projected": saved(plain, projected),
        "cabinet": saved(plain, cabinet),
        "apart": parted / (len(days) - 1) if len(days) > 1 else None,
        "leaders": len(set(heaviest)),
        "gini": sum(map(gini, days)) / len(days),
        "top": sum(top(each, 3) for each in days) / len(days),
        "largest": max(max(each) / (sum(each) / MEMBERS) for each in days),
    }


def _fits(values: Values) -> Misfit | None:
    if values["spread"] > values["link"]:
        return Misfit("spread", "Links take no time below zero: choose a spread that is at most the mean.")
    return None


WEEK: Final = Experiment(
    "week",
    "The shipped SimBench week, traded by the live rules: what its weights save, promise and concentrate.",
    (
        Parameter("days", "", "days that are traded", 7, 1, 7),
        Parameter("ordered", "", "who orders: one sequencer, or thirty replicas", ALONE, choices=(ALONE, REPLICAS)),
        Parameter("tolerance", "members", "members any of which may be lost", 9, 1, (MEMBERS - 1) // 2),
        LINK,
        SPREAD,
    ),
    (
        Measure("literal", "", "share of consensus time saved by weights as they are"),
        Measure("projected", "", "share saved by weights projected to the tolerance"),
        Measure("cabinet", "", "share saved by votes by latency, at the same tolerance"),
        Measure("apart", "", "share of changes from day to day at which majorities need not meet"),
        Measure("leaders", "members", "members that are heaviest on any day", whole=True),
        Measure("gini", "", "Gini coefficient of weights, mean over days"),
        Measure("top", "", "share of all weight that the three heaviest have, mean over days"),
        Measure("largest", "times", "the heaviest member's weight on any day, in times the mean"),
    ),
    _play,
    lambda values: values["days"] * (800.0 if values["ordered"] == ALONE else 3_500.0),
    _fits,
)
