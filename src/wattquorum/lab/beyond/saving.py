"""Saving: by how much weights shorten agreement, against whatever the paper leaves open.

Both rounds are decided on the same links under the same leader, by equal votes and by weights; the saving is what is
missing of the time that equal votes take, over all rounds. Weights are the paper's, literally: this asks what weights
are worth, not whether they are safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from wattquorum.lab.beyond.scenario import SCENARIO, inputs_of, lasts_ms, misfit
from wattquorum.lab.paper.rounds import rounds
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Number, Values

EDGE: Final = 20  # rounds at the beginning and at the end that are looked at alone
US_PER_MS: Final = 1_000


def saved(plain: int, weighted: int) -> float | None:
    """The share of the time that equal votes take; none where they take none."""
    return (plain - weighted) / plain if plain else None


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    inputs = inputs_of(values)
    plain, weighted, replies = (np.zeros(inputs.rounds, dtype=np.int64) for _ in range(3))
    for each in rounds(inputs, [luck], [values["leader"]]):
        plain[each.number] = each.decided.plain_us[0]
        weighted[each.number] = each.decided.weighted_us[0]
        replies[each.number] = each.decided.replies[0]
    edge = min(EDGE, inputs.rounds)
    return {
        "saving": saved(int(plain.sum()), int(weighted.sum())),
        "first": saved(int(plain[:edge].sum()), int(weighted[:edge].sum())),
        "last": saved(int(plain[-edge:].sum()), int(weighted[-edge:].sum())),
        "plain": int(plain.sum()) / inputs.rounds / US_PER_MS,
        "weighted": int(weighted.sum()) / inputs.rounds / US_PER_MS,
        "replies": int(replies.sum()) / inputs.rounds,
    }


SAVING: Final = Experiment(
    "saving",
    "By how much document A's weights shorten agreement, against links, members, coefficients and decay.",
    SCENARIO,
    (
        Measure("saving", "", "share of consensus time saved, over all rounds"),
        Measure("first", "", f"share saved in the first {EDGE} rounds"),
        Measure("last", "", f"share saved in the last {EDGE} rounds"),
        Measure("plain", "ms", "a round with equal votes, mean"),
        Measure("weighted", "ms", "a round with weights, mean"),
        Measure("replies", "", "replies that complete a weighted round, mean"),
    ),
    _play,
    lasts_ms,
    misfit,
)
