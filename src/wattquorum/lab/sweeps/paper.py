"""The paper's simulation as an experiment over everything that it starts from: each field of `lab.paper.inputs`.

Values are in the units of the ledger, whole numbers; ranges that are drawn from have a low and a high end. Who is
larger, cleaner, more reliable, defaults, is renewable or trades certificates is the paper's choice, or nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

import numpy as np

from wattquorum.foundation.refusals import Refused
from wattquorum.lab.paper.inputs import LEADERS, PAPER, RANGES, Inputs, Span
from wattquorum.lab.paper.rounds import play
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Misfit, Number, Parameter, Values
from wattquorum.standing.weight import Coefficients

CHOSEN, NOBODY = "paper", "nobody"
SIDES: Final = ("generator", "consumer")
UNITS: Final = {"_wh": "Wh", "_ppm": "ppm", "_us": "us", "_g": "g"}
OWN_UNITS: Final = {
    **dict.fromkeys(("feed_in", "grid_price", "over_grid_fee"), "millionths per kWh"),
    **dict.fromkeys(("rho", "initial_credit", "first_credit", "minimum_credit_loss"), "millionths of a point"),
    **dict.fromkeys(("eta", "factor"), "ppm"),
    **dict.fromkeys(("sold_every", "decay_every"), "rounds"),
    "mu": "millionths per kWh and point",
}
MOST: Final = {"pairs": 1_000, "rounds": 10_000}  # of a cell, which holds every round of every node
MILLION: Final = 1_000_000


def _parameters() -> Iterator[Parameter]:
    ranges = {name: (low, high) for name, low, high in RANGES}
    for field in fields(Inputs):
        name, value = field.name, getattr(PAPER, field.name)
        if isinstance(value, Coefficients):
            for part, share in value._asdict().items():
                if name == SIDES[0] or part != "line":
                    yield Parameter(f"{name}_{part}", "ppm", f"coefficient of {part} of a {name}", share, 0, MILLION)
            continue
        words = name.replace("_", " ")
        if isinstance(value, tuple) and not isinstance(value, Span):
            yield Parameter(name, "", f"{words}: who the paper's are, or nobody", CHOSEN, choices=(CHOSEN, NOBODY))
            continue
        low, high = ranges[name]
        high = MOST.get(name, high)
        unit = OWN_UNITS.get(name) or next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
        if isinstance(value, Span):
            for end, own in value._asdict().items():
                yield Parameter(f"{name}_{end}", unit, f"{words}, {end} end", own, low, high)
        else:
            yield Parameter(name, unit, words, value, low, high)


PARAMETERS: Final = tuple(_parameters())


def inputs_of(values: Values) -> Inputs:
    """The inputs that a cell names; Refused for what cannot be played."""
    given: dict[str, Any] = {}
    for field in fields(Inputs):
        name, value = field.name, getattr(PAPER, field.name)
        if isinstance(value, Coefficients):
            given[name] = Coefficients(*(values.get(f"{name}_{part}", 0) for part in Coefficients._fields))
        elif isinstance(value, Span):
            given[name] = Span(values[f"{name}_low"], values[f"{name}_high"])
        elif isinstance(value, tuple):
            given[name] = value if values[name] == CHOSEN else ()
        else:
            given[name] = values[name]
    return Inputs(**given)


def _misfit(values: Values) -> Misfit | None:
    known = [each.name for each in PARAMETERS]
    try:
        inputs = inputs_of(values)
    except Refused as refused:
        field = refused.field
        near = (field, f"{field}_low", f"{SIDES[0]}_{field}", f"{SIDES[0]}_credit")
        return Misfit(next(name for name in near if name in known), refused.remedy)
    if inputs.nodes < max(LEADERS):
        return Misfit("pairs", f"Nodes {', '.join(map(str, LEADERS))} lead: choose at least {(max(LEADERS) + 1) // 2}.")
    return None


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    inputs = inputs_of(values)
    played = play(inputs, [luck])
    plain, weighted = (each[:, 0].sum(axis=1).tolist() for each in (played.plain_us, played.weighted_us))
    led = np.bincount(played.elected[0], minlength=inputs.nodes + 1)[1:].tolist()
    last = played.weights[0, 0, -1].tolist()
    credit = played.credit[0, -1].tolist()
    broke = [node - 1 for node in PAPER.defaulters if node <= inputs.nodes]
    kept = [own for place, own in enumerate(credit) if place not in broke]
    saved = {
        f"saved_{leader}": (plain[place] - weighted[place]) / plain[place] if plain[place] else None
        for place, leader in enumerate(LEADERS)
    }
    return {
        **saved,
        "led": sum(led[leader - 1] for leader in LEADERS) / inputs.rounds,
        "led_most": max(led) / inputs.rounds,
        "leaders": sum(count > 0 for count in led),
        "heaviest": max(last) / max(sum(last), 1),
        "credit": sum(kept) / len(kept) / MILLION,
        "credit_broke": sum(credit[place] for place in broke) / len(broke) / MILLION if broke else None,
    }


_SHARE: Final = "share of total consensus time saved with node"
PAPERS: Final = Experiment(
    "paper",
    "Section 5 of document A: trade, weights, elections and consensus of its scenario, over everything it starts from.",
    PARAMETERS,
    (
        *(Measure(f"saved_{leader}", "", f"{_SHARE} {leader} as leader (tables 5 to 7)") for leader in LEADERS),
        Measure("led", "", "share of elections that nodes 1, 2 and 5 win (table 4)"),
        Measure("led_most", "", "share of elections that whoever wins most of them wins"),
        Measure("leaders", "nodes", "nodes that win any election", whole=True),
        Measure("heaviest", "", "the heaviest node's share of all weight in the last round, with node 1 as leader"),
        Measure("credit", "points", "credit in the last round, mean of all but nodes 17 and 29"),
        Measure("credit_broke", "points", "credit in the last round, mean of nodes 17 and 29"),
    ),
    _play,
    lambda values: float(values["rounds"]) * (0.5 + 0.003 * values["pairs"]),
    _misfit,
)
