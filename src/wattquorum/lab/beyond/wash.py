"""Wash trading, as an experiment: what each attempt of `lab.washing` gains in votes on a real ledger, and costs.

Nothing is drawn: an attempt is a market of fifteen pairs for a fortnight, every trade of it signed, metered and settled
by the live rules. Money is that of the owners who try it, against what the same owners earn when all are honest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wattquorum.foundation.quantities import MILLION
from wattquorum.lab import washing
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Misfit, Number, Parameter, Values
from wattquorum.standing.power import tolerance_max

ATTEMPTS: Final = {
    "promise-all": "two members promise each other all they can",
    "ten-accounts": "one member splits itself into ten accounts",
    "nine-more": "one member adds nine accounts that sell a Wh each",
    "absurd": "one member promises a thousand times as much, once",
    "keep-back": "the largest generator keeps back all it promised",
    "sink": "one member breaks what it promises too much with a second account",
    "a-wh": "the largest pair promises a Wh a day and keeps it",
    "a-wh-last": "the largest pair promises a Wh on the last day and keeps it",
    "shade": "a pair promises a twentieth more than it has",
}
OWNERS: Final = 2 * washing.PAIRS


def _play(values: Values, _luck: int) -> Mapping[str, Number]:
    name, tolerance = ATTEMPTS[values["attempt"]], values["tolerance"]
    attempt = next(each for each in washing.attempts() if each.name == name)
    honest_market = washing.honest_players(), washing.honest_days()
    honest, tried = washing.powers(*honest_market, tolerance), washing.powers(attempt.players, attempt.days, tolerance)
    own_honest = sum(honest[owner] for owner in attempt.owners)
    own_tried = sum(tried[owner] for owner in attempt.owners)
    earned, instead = washing.earned(*honest_market), washing.earned(attempt.players, attempt.days)
    rest = [owner for owner in honest if owner not in attempt.owners]
    return {
        "honest": own_honest / MILLION,
        "tried": own_tried / MILLION,
        "gain": (own_tried - own_honest) / own_honest,
        "others": max((tried[owner] - honest[owner]) / honest[owner] for owner in rest),
        "cost": sum(earned[owner] - instead[owner] for owner in attempt.owners) / MILLION,
        "others_cost": sum(earned[owner] - instead[owner] for owner in rest) / MILLION,
    }


def _fits(values: Values) -> Misfit | None:
    most = tolerance_max(OWNERS)
    return (
        Misfit("tolerance", f"Of {OWNERS} owners at most {most} may be lost.") if values["tolerance"] > most else None
    )


WASH: Final = Experiment(
    "wash",
    "What wash trading and its kin gain in votes on a ledger by the live rules, and what they cost.",
    (
        Parameter("attempt", "", "what is tried", "promise-all", choices=tuple(ATTEMPTS)),
        Parameter("tolerance", "members", "members any of which may be lost", 9, 0, (OWNERS - 1) // 2),
    ),
    (
        Measure("honest", "", "share of all votes that the owners have when all are honest"),
        Measure("tried", "", "share that they have when they try it"),
        Measure("gain", "", "what they gain, of their honest share"),
        Measure("others", "", "the most that any other owner gains, of its honest share"),
        Measure("cost", "CNY", "what it costs the owners in a fortnight"),
        Measure("others_cost", "CNY", "what it costs all others together in a fortnight"),
    ),
    _play,
    lambda _values: 800.0,
    _fits,
)
