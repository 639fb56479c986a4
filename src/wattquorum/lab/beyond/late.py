"""Late deliveries: who gains when a member does not deliver on the day that it promised, and what it costs.

A generator falls short on some days, by a part of its promise, and sells the rest to the grid when it comes; all others
are the even cast. The same luck is played once without. By document A's rules: credit (A-9, A-10), compensation and
fine (A-18), each by the product's own functions at the middle of the price band.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from wattquorum.foundation.quantities import MILLION, Energy, Points, Ppm, Price, cost
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.beyond.scenario import EVEN, SCENARIO, inputs_of, lasts_ms, misfit
from wattquorum.lab.beyond.tolerance import powers_of
from wattquorum.lab.paper import rules
from wattquorum.lab.paper.inputs import Inputs, Span
from wattquorum.lab.paper.rounds import rounds
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Misfit, Number, Parameter, Values
from wattquorum.market.penalties import fine, fine_points
from wattquorum.market.settlement import paper_compensation
from wattquorum.market.terms import TermRows
from wattquorum.standing.power import tolerance_default

WHO: Final = 8  # a generator without certificates, in the middle of everything
TAKEN: Final = ("leader", "cast")


class _Course:
    """One course of all rounds, as seen by the generator that is late."""

    def __init__(self, inputs: Inputs, luck: int, leader: int) -> None:
        self.inputs = inputs
        self.price = Price((inputs.feed_in + inputs.grid_price - inputs.over_grid_fee) // 2)
        tariffs = (self.price, inputs.feed_in, inputs.grid_price, inputs.over_grid_fee)
        self.terms = TermRows(*(np.full((1, 1), tariff, dtype=np.int64) for tariff in tariffs))
        self.weight = self.power = self.days = 0
        self.penalty = self.missed = self.lost = self.compensated = 0  # [millionths]
        before = np.full((1, inputs.nodes), inputs.initial_credit, dtype=np.int64)
        for each in rounds(inputs, [luck], [leader]):
            promised, delivered, _ = each.day
            if delivered[0, WHO - 1] < promised[0, WHO - 1]:
                self._short(promised[0], delivered[0], int(before[0, WHO - 1] - each.market.credit[0, WHO - 1]))
            before = each.market.credit.copy()
            if (each.number + 1) % inputs.decay_every == 0:
                rules.decay(before, inputs.eta)
            if each.number >= inputs.rounds // 2:
                self._weigh(each.weights[0])

    def _short(self, promised: Int64s, delivered: Int64s, loss: int) -> None:
        own, partner = WHO - 1, WHO - 1 + self.inputs.pairs
        short = int(promised[own] - delivered[own])
        own_wh, delivered_wh, partner_wh = (
            np.array([[int(each)]], dtype=np.int64) for each in (promised[own], delivered[own], delivered[partner])
        )
        alone = np.array([True]), np.array([bool(delivered[partner] < promised[partner])])
        compensation = int(paper_compensation(own_wh, delivered_wh, partner_wh, self.terms, *alone)[0].sum())
        points = fine_points(Points(loss), self.inputs.minimum_credit_loss)
        self.penalty += compensation + fine(self.inputs.mu, points, Energy(int(promised[own])))
        self.compensated += compensation
        missed = min(short, max(int(delivered[partner] - delivered[own]), 0))  # what the partner would have taken
        self.missed += cost(Energy(missed), Price(self.price - self.inputs.feed_in))
        self.lost += cost(Energy(missed), Price(self.inputs.grid_price - self.price - self.inputs.over_grid_fee))
        self.days += 1

    def _weigh(self, weights: Int64s) -> None:
        own = weights.tolist()
        self.weight += own[WHO - 1] * MILLION // max(sum(own), 1)
        powers = powers_of(own, tolerance_default(len(own)))
        self.power += powers[WHO - 1] * MILLION // sum(powers)


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    given = {**values, "cast": EVEN, "leader": 1}
    depth = Ppm(round(values["depth"] * MILLION))
    base = inputs_of(given)
    late = replace(
        base, reliable=(WHO,), reliable_ppm=Ppm(round(values["days"] * MILLION)), depth_ppm=Span(depth, depth)
    )
    punctual = replace(late, reliable_ppm=Ppm(0))
    tried, honest = (_Course(inputs, luck, 1) for inputs in (late, punctual))
    return {
        "weight": (tried.weight - honest.weight) / honest.weight,
        "power": (tried.power - honest.power) / honest.power,
        "cost": (tried.penalty + tried.missed) / MILLION / base.rounds,
        "fines": (tried.penalty - tried.compensated) / MILLION / base.rounds,
        "partner": (tried.compensated - tried.lost) / MILLION / base.rounds,
        "late": tried.days / base.rounds,
    }


def _fits(values: Values) -> Misfit | None:
    if values["pairs"] < WHO:
        return Misfit("pairs", f"Generator {WHO} is the one that is late: choose at least {WHO} pairs.")
    return misfit(values)


LATE: Final = Experiment(
    "late",
    "Who gains when a generator is late with what it promised, and what it costs, by document A's rules.",
    (
        Parameter("days", "", "share of days on which it is late", 0.2, 0, 1),
        Parameter("depth", "", "what is late then, of its promise and of whoever else defaults", 0.3, 0.000001, 1),
        *(each for each in SCENARIO if each.name not in TAKEN),
    ),
    (
        Measure("weight", "", "change of its share of all weight, of the share that it has when it is punctual"),
        Measure("power", "", "the same of its voting power, projected to the default tolerance"),
        Measure("cost", "CNY", "what it pays and misses, a day"),
        Measure("fines", "CNY", "what performing members get of it, a day"),
        Measure("partner", "CNY", "what its partner has more than if it were punctual, a day"),
        Measure("late", "", "share of days on which it was late"),
    ),
    _play,
    lambda values: lasts_ms(values) * 3,
    _fits,
)
