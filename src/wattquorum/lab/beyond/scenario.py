"""The scenario: the paper's, with what is varied here in units that people think in.

Links lie evenly around a mean, the cast is the paper's or one in which nobody is larger, cleaner or more reliable, and
participation counts so many times what it does in the paper, the other coefficients in their proportions. With its
defaults it is the paper's scenario to the unit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from wattquorum.foundation.quantities import MILLION, Points, Ppm, apportion
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.paper.inputs import PAPER, Inputs, Sale
from wattquorum.lab.sweeps.experiments import Misfit, Parameter, Values
from wattquorum.standing.weight import Coefficients

CHOSEN, EVEN = "paper", "even"
US_PER_MS: Final = 1_000
PAIRS_MAX: Final = 500
PAIRS: Final = Parameter("pairs", "", "pairs of a generator and a consumer", PAPER.pairs, 2, PAIRS_MAX)
ROUNDS: Final = Parameter("rounds", "", "rounds, each a day's trade and an agreement", PAPER.rounds, 1, 10_000)
LEADER: Final = Parameter("leader", "", "the node that leads", 1, 1, 2 * PAIRS_MAX)
CAST: Final = Parameter(
    "cast", "", "who is larger, cleaner and more reliable: the paper's, or nobody", CHOSEN, choices=(CHOSEN, EVEN)
)
LINK: Final = Parameter("link", "ms", "mean round-trip time of links", 30.0, 0, 1_000)
SPREAD: Final = Parameter("spread", "ms", "how far links lie from the mean, either way", 20.0, 0, 1_000)
JITTER: Final = Parameter("jitter", "ms", "by how much an answer may come later, each time", 0.0, 0, 1_000)
PARTICIPATION: Final = Parameter(
    "participation", "times", "coefficient of participation, in times the paper's", 1.0, 0, 5
)
RHO: Final = Parameter("rho", "points", "participation that a valid reply earns", 1.0, 0, 100)
ETA: Final = Parameter("eta", "", "what a decay leaves of credit and participation", 0.9, 0.000001, 1)
EVERY: Final = Parameter("every", "rounds", "from one decay to the next", PAPER.decay_every, 1, 10_000)
DEFAULTS: Final = Parameter("defaults", "", "share of days on which a node of the even cast defaults", 0.03, 0, 1)
SCENARIO: Final = (
    *(PAIRS, ROUNDS, LEADER, CAST, LINK, SPREAD, JITTER),
    *(PARTICIPATION, RHO, ETA, EVERY, DEFAULTS),
)
NAMES: Final = tuple(each.name for each in SCENARIO)


def inputs_of(values: Values) -> Inputs:
    """The paper's inputs with these parameters in their place; those that are missing have their defaults."""
    given = {each.name: values.get(each.name, each.default) for each in SCENARIO}
    link, spread = (round(given[name] * US_PER_MS) for name in ("link", "spread"))
    inputs = replace(
        PAPER,
        **_cast(given["pairs"], given["cast"]),
        rounds=given["rounds"],
        default_ppm=Ppm(round(given["defaults"] * MILLION)),
        generator=_times(PAPER.generator, given["participation"]),
        consumer=_times(PAPER.consumer, given["participation"]),
        rho=Points(round(given["rho"] * MILLION)),
        eta=Ppm(round(given["eta"] * MILLION)),
        decay_every=given["every"],
        round_trip_us=PAPER.round_trip_us._replace(low=link - spread, high=link + spread),
        jitter_us=round(given["jitter"] * US_PER_MS),
    )
    if given["leader"] > inputs.nodes:
        raise Refused("out_of_range", "leader", given["leader"], f"There are {inputs.nodes} nodes.")
    return inputs


def misfit(values: Values) -> Misfit | None:
    """What does not go together."""
    if values.get("spread", SPREAD.default) > values.get("link", LINK.default):
        return Misfit("spread", "Links take no time below zero: choose a spread that is at most the mean.")
    try:
        inputs_of(values)
    except Refused as refused:
        return Misfit(refused.field if refused.field in NAMES else "pairs", refused.remedy)
    return None


def _cast(pairs: int, cast: str) -> dict[str, Any]:
    """Who is who, in a market of so many pairs; consumers keep their partners, and who is not there is left out."""

    def moved(node: int) -> int:
        return node if node <= PAPER.pairs else node - PAPER.pairs + pairs

    def there(node: int) -> bool:
        return (node if node <= PAPER.pairs else node - PAPER.pairs) <= pairs

    found: dict[str, Any] = {
        name: tuple(moved(node) for node in getattr(PAPER, name) if there(node))
        for name in ("reliable", "defaulters", "renewable", "clean")
    }
    found["larger"] = tuple(each for each in PAPER.larger if there(each[0]))
    found["sales"] = tuple(Sale(*map(moved, each)) for each in PAPER.sales if all(map(there, each)))
    found["pairs"] = pairs
    if cast == EVEN:
        found |= {"larger": (), "reliable": (), "clean": (), "defaulters": ()}
    return found


def _times(coefficients: Coefficients, times: float) -> Coefficients:
    """Participation counts so many times as much; what is left goes to the others in their proportions."""
    own = min(round(coefficients.participation * times), MILLION)
    others = [value for name, value in coefficients._asdict().items() if name != "participation"]
    shares = iter(apportion(MILLION - own, others, [bytes([place]) for place in range(len(others))]))
    return Coefficients(*(Ppm(own if name == "participation" else next(shares)) for name in Coefficients._fields))


def lasts_ms(values: Values) -> float:
    """About what the rounds take of a processor."""
    rounds, pairs = values.get("rounds", ROUNDS.default), values.get("pairs", PAIRS.default)
    return float(rounds * (0.3 + 0.001 * pairs))
