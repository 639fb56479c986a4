"""Cabinet: standing's weights beside weights by latency, on the same links under the same leader.

Cabinet (Zhang et al., Cabinet: Dynamically Weighted Consensus Made Fast, 2025) gives votes by who answered first: after
every round the members' votes are dealt out anew from a geometric series, the leader's the largest, then those of
followers in the order of their replies. The series is chosen for a number t of members: the t largest votes are fewer
than half of all, and t+1 are more. So a round ends with the t-th reply when everybody answers as quickly as before, and
any t may be lost. It knows nothing of conduct; document A's weights come to be near ones only as far as participation
moves them. Beside both stands the product's projection of document A's weights at the same t.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np

from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.beyond.saving import US_PER_MS, saved
from wattquorum.lab.beyond.scenario import SCENARIO, inputs_of, lasts_ms
from wattquorum.lab.beyond.tolerance import TOLERANCE, fits, powers_of
from wattquorum.lab.paper.draws import Draws, below
from wattquorum.lab.paper.replies import Order
from wattquorum.lab.paper.rounds import round_trips, rounds
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Number, Parameter, Values

LARGEST: Final = 1 << 40  # vote of a series
STEP: Final = 10_000  # ratios are tried in ten-thousandths


@cache
def series(members: int, lost: int) -> tuple[int, ...]:
    """Votes in falling order, of which any `lost` are fewer than half of all and the `lost` + 1 largest are more.

    A geometric series, with the smallest ratio that does it; 1 <= lost <= (members - 1) // 2.
    """

    def votes(ratio: int) -> list[int]:
        powers = [ratio ** (members - 1 - place) * STEP**place for place in range(members)]
        return [power * LARGEST // powers[0] for power in powers]

    def decides(ratio: int) -> bool:
        return sum(votes(ratio)) < 2 * sum(votes(ratio)[: lost + 1])

    ratios = range(STEP + 1, 2 * STEP + 1)
    found = votes(ratios[min(bisect_left(ratios, True, key=decides), len(ratios) - 1)])  # more ratio, more to the first
    if not 2 * sum(found[:lost]) < sum(found) < 2 * sum(found[: lost + 1]):
        raise Refused("out_of_range", "tolerance", lost, f"Choose from 1 to {(members - 1) // 2}.")
    return tuple(found)


def dealt(replies: Sequence[int], votes: Sequence[int]) -> list[int]:
    """Votes by place: the largest to the leader, then in the order of replies; `replies` begins with the leader."""
    found = [0] * len(votes)
    for place, vote in zip(replies, votes, strict=True):
        found[place] = vote
    return found


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    inputs, leader, lost = inputs_of(values), values["leader"], values["tolerance"]
    links = round_trips(inputs, [luck], [leader])
    jitter = Draws([luck], "jitter", inputs.nodes)
    at = np.array([leader - 1])
    votes = series(inputs.nodes, lost)
    replies = [leader - 1, *(place for place in range(inputs.nodes) if place != leader - 1)]
    cabinet = 0
    for number in range(inputs.rounds):
        times = links + below(jitter.row(number), inputs.jitter_us + 1) if inputs.jitter_us else links
        own = np.array([dealt(replies, votes)], dtype=np.int64)
        cabinet += int(Order(times, at).decide(own).weighted_us[0])
        others = [place for place in np.argsort(times[0], kind="stable").tolist() if place != leader - 1]
        replies = [leader - 1, *others]

    def project(weights: Int64s) -> Int64s:
        return np.array([powers_of(weights[0].tolist(), lost)], dtype=np.int64)

    plain = literal = projected = 0
    for each in rounds(inputs, [luck], [leader]):
        plain += int(each.decided.plain_us[0])
        literal += int(each.decided.weighted_us[0])
    for each in rounds(inputs, [luck], [leader], project):
        projected += int(each.decided.weighted_us[0])
    return {
        "cabinet": saved(plain, cabinet),
        "literal": saved(plain, literal),
        "projected": saved(plain, projected),
        "plain_ms": plain / inputs.rounds / US_PER_MS,
        "cabinet_ms": cabinet / inputs.rounds / US_PER_MS,
        "literal_ms": literal / inputs.rounds / US_PER_MS,
        "projected_ms": projected / inputs.rounds / US_PER_MS,
    }


LOST: Final = Parameter("tolerance", "members", "members any of which may be lost", 9, 1, TOLERANCE.high)
CABINET: Final = Experiment(
    "cabinet",
    "Weights by standing beside Cabinet's weights by latency, on the same links, at the same number that may be lost.",
    (LOST, *SCENARIO),
    (
        Measure("cabinet", "", "share of consensus time saved by votes by latency (Cabinet)"),
        Measure("projected", "", "share saved by standing, projected to the same tolerance"),
        Measure("literal", "", "share saved by standing's weights as they are, which promise no tolerance"),
        Measure("plain_ms", "ms", "a round with equal votes, mean"),
        Measure("cabinet_ms", "ms", "a round with votes by latency, mean"),
        Measure("projected_ms", "ms", "a round with projected weights, mean"),
        Measure("literal_ms", "ms", "a round with weights as they are, mean"),
    ),
    _play,
    lambda values: lasts_ms(values) * 2,
    fits,
)
