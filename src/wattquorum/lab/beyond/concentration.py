"""Concentration: who leads over thousands of rounds, and whether a few lead nearly always.

The leader of a round is whoever the rule names then: the heaviest at every round, as the shortest timeout has it when
every round begins with an election (A-6); the heaviest when it has been so for three rounds and by a margin, as the
product hands leadership over; or anybody, as plain Raft has it. Who leads earns no participation (A-12), so that
leading takes weight away again. All members' links are one drawn matrix, and a round is decided on its leader's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from wattquorum.consensus.raft.settings import Settings
from wattquorum.foundation.chance import Chance
from wattquorum.foundation.quantities import MILLION
from wattquorum.lab.beyond.saving import saved
from wattquorum.lab.beyond.scenario import SCENARIO, inputs_of, lasts_ms
from wattquorum.lab.beyond.tolerance import OFF, TOLERANCE, fits, powers_of
from wattquorum.lab.paper import rules
from wattquorum.lab.paper.replies import Order
from wattquorum.lab.paper.rounds import round_trips
from wattquorum.lab.paper.trading import Market, participation_coefficients
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Number, Parameter, Values

HEAVIEST, STEADY, ANYBODY = "heaviest", "steady", "anybody"
RULE: Final = Parameter(
    "rule",
    "",
    "who leads: the heaviest, the heaviest when it is so steadily and clearly, or anybody",
    HEAVIEST,
    choices=(HEAVIEST, STEADY, ANYBODY),
)
FOR: Final = Settings().heaviest_for
MARGIN_PPM: Final = Settings().heaviest_margin_ppm


def gini(counts: Sequence[int]) -> float:
    """How unequal counts are: 0 where all are equal, towards 1 where one has everything; 0 for nothing at all."""
    ascending, total, number = sorted(counts), sum(counts), len(counts)
    if not total:
        return 0.0
    return sum((2 * place - number - 1) * each for place, each in enumerate(ascending, 1)) / (number * total)


def top(counts: Sequence[int], most: int) -> float:
    """The share that so many of the largest have."""
    return sum(sorted(counts)[-most:]) / max(sum(counts), 1)


class Leading:
    """Who leads: asked before every round with what votes are worth."""

    def __init__(self, rule: str, chance: Chance) -> None:
        self._rule = rule
        self._chance = chance
        self._leader: int | None = None
        self._heaviest: int | None = None
        self._times = 0

    def next(self, powers: Sequence[int]) -> int:
        """The place of the next round's leader; ties go to the smaller number."""
        heaviest = max(range(len(powers)), key=lambda place: (powers[place], -place))
        if self._rule == ANYBODY:
            return self._chance.below(len(powers))
        if self._rule == HEAVIEST or self._leader is None:
            self._leader = heaviest
            return heaviest
        self._times = self._times + 1 if heaviest == self._heaviest else 1
        self._heaviest = heaviest
        gap = powers[heaviest] - powers[self._leader]
        if self._times >= FOR and gap * len(powers) * MILLION > MARGIN_PPM * sum(powers):
            self._leader = heaviest
        return self._leader


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    inputs, tolerance = inputs_of(values), values["tolerance"]
    market = Market(inputs, [luck])
    links = round_trips(inputs, [luck], range(1, inputs.nodes + 1))
    orders = [Order(links[place : place + 1], np.array([place])) for place in range(inputs.nodes)]
    leading = Leading(values["rule"], Chance(luck).stream("who leads"))
    coefficients = participation_coefficients(inputs)
    participation = np.zeros((1, inputs.nodes), dtype=np.int64)
    led, changes, last = [0] * inputs.nodes, 0, -1
    plain = weighted = heavy = 0
    for number in range(inputs.rounds):
        market.trade(number)
        weights = rules.weight(market.weighed() + participation * coefficients)
        powers = weights[0].tolist() if tolerance == OFF else powers_of(weights[0].tolist(), tolerance)
        leader = leading.next(powers)
        decided = orders[leader].decide(np.array([powers], dtype=np.int64))
        led[leader] += 1
        changes += leader != last and last >= 0
        last = leader
        plain, weighted = plain + int(decided.plain_us[0]), weighted + int(decided.weighted_us[0])
        heavy += max(powers) * MILLION // max(sum(powers), 1)
        rules.participation_paper(participation, decided.valid, inputs.rho)
        if (number + 1) % inputs.decay_every == 0:
            market.decay()
            rules.decay(participation, inputs.eta)
    weights_last = weights[0].tolist()
    return {
        "gini": gini(led),
        "top": top(led, 3),
        "leaders": sum(count > 0 for count in led),
        "changes": changes / max(inputs.rounds - 1, 1),
        "weights_gini": gini(weights_last),
        "weights_top": top(weights_last, 3),
        "heaviest": heavy / inputs.rounds / MILLION,
        "saving": saved(plain, weighted),
    }


CONCENTRATION: Final = Experiment(
    "concentration",
    "Who leads over many rounds, by which rule, and how unequal leading and weights become.",
    (RULE, TOLERANCE, *(each for each in SCENARIO if each.name not in ("leader", "jitter"))),
    (
        Measure("gini", "", "Gini coefficient of how often members led"),
        Measure("top", "", "share of rounds that the three who led most often led"),
        Measure("leaders", "members", "members that ever led", whole=True),
        Measure("changes", "", "share of rounds with another leader than before"),
        Measure("weights_gini", "", "Gini coefficient of weights in the last round"),
        Measure("weights_top", "", "share of all weight that the three heaviest have in the last round"),
        Measure("heaviest", "", "the heaviest member's share of all votes, mean over rounds"),
        Measure("saving", "", "share of consensus time saved, over all rounds"),
    ),
    _play,
    lambda values: lasts_ms(values) + 2.0 * values["pairs"],
    fits,
)
