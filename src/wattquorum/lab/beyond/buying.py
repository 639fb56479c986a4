"""Buying certificates: what a consumer's votes gain by certificates that it buys, and what a share of votes costs.

A consumer buys a part of what a generator holds, every so many rounds; the same luck is played once without. What it
gains the seller loses, and everybody else hardly moves, since the component is a share of all certificates (A-13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from wattquorum.foundation.quantities import MILLION, Ppm
from wattquorum.lab.beyond.scenario import EVEN, SCENARIO, inputs_of, lasts_ms, misfit
from wattquorum.lab.beyond.tolerance import powers_of
from wattquorum.lab.paper.inputs import Inputs, Sale
from wattquorum.lab.paper.rounds import rounds
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Number, Parameter, Values
from wattquorum.standing.power import tolerance_default

SELLER: Final = 1
TAKEN: Final = ("leader", "cast")
PERCENT: Final = 100


class _Course:
    """One course: shares of buyer and seller over the second half of all rounds, and what was bought."""

    def __init__(self, inputs: Inputs, luck: int, buyer: int) -> None:
        self.weight = self.power = self.seller = 0
        self.bought = 0
        for each in rounds(inputs, [luck], [1]):
            self.bought = int(each.market.held[0, buyer - 1])  # it earns none, and keeps what it bought
            if each.number < inputs.rounds // 2:
                continue
            weights = each.weights[0].tolist()
            powers = powers_of(weights, tolerance_default(len(weights)))
            self.weight += weights[buyer - 1] * MILLION // max(sum(weights), 1)
            self.power += powers[buyer - 1] * MILLION // sum(powers)
            self.seller += powers[SELLER - 1] * MILLION // sum(powers)


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    base = inputs_of({**values, "cast": EVEN, "leader": 1})
    buyer = base.pairs + 1
    buys = replace(
        base,
        sales=(Sale(SELLER, buyer),),
        sold_ppm=Ppm(round(values["share"] * MILLION)),
        sold_every=values["interval"],
    )
    tried, honest = (_Course(inputs, luck, buyer) for inputs in (buys, replace(base, sales=())))
    paid = tried.bought * values["price"]
    counted = base.rounds - base.rounds // 2
    more = (tried.power - honest.power) / counted / MILLION * PERCENT
    return {
        "weight": (tried.weight - honest.weight) / honest.weight,
        "power": (tried.power - honest.power) / honest.power,
        "seller": (tried.seller - honest.seller) / honest.seller,
        "bought": tried.bought,
        "paid": paid,
        "price_of_power": paid / more if more > 0 else None,
    }


BUYING: Final = Experiment(
    "buying",
    "What a consumer gains in votes by buying certificates, and what a percent of all votes costs that way.",
    (
        Parameter("share", "", "what it buys each time, of what the seller holds", 0.4, 0, 1),
        Parameter("interval", "rounds", "from one purchase to the next", 15, 1, 10_000),
        Parameter("price", "CNY", "price of a certificate", 30.0, 0, 10_000),
        *(each for each in SCENARIO if each.name not in TAKEN),
    ),
    (
        Measure("weight", "", "change of its share of all weight, of the share without"),
        Measure("power", "", "the same of its voting power, projected to the default tolerance"),
        Measure("seller", "", "change of the seller's voting power"),
        Measure("bought", "certificates", "what it bought in all rounds", whole=True),
        Measure("paid", "CNY", "what it paid in all rounds"),
        Measure("price_of_power", "CNY", "what it paid for each percent of all votes that it has more"),
    ),
    _play,
    lambda values: lasts_ms(values) * 3,
    misfit,
)
