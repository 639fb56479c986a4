"""Majorities: how often two majorities need not meet when votes change at once, and what the joint step costs.

A round is decided by one vector of votes and the next by another. If some members hold more than half by the first, and
the others more than half by the second, two different things can be decided: that is what document A's rules admit,
read literally. The search for such members is exact: a quick try by the ratio of their votes, and where it fails all
subsets of either half of the members against each other. Every pair that is found is put to the product's own
predicate, under both vectors and under their joint configuration, in which it never decides.

The joint step costs two more entries for each change, and while it lasts a round ends when both vectors have decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np

from wattquorum.consensus.configuration import Configuration, Voter
from wattquorum.consensus.quorum import decides
from wattquorum.foundation.identities import ADDRESS_BYTES
from wattquorum.foundation.quantities import MILLION, VotingPower
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.beyond.saving import saved
from wattquorum.lab.beyond.scenario import SCENARIO, inputs_of, lasts_ms, misfit
from wattquorum.lab.beyond.tolerance import TOLERANCE, fits, powers_of
from wattquorum.lab.paper.replies import Order
from wattquorum.lab.paper.rounds import round_trips, rounds
from wattquorum.lab.sweeps.experiments import Experiment, Measure, Misfit, Number, Parameter, Values
from wattquorum.ledger.validators import distance

EXACT_MAX: Final = 32  # members of whom all subsets are looked at
HYSTERESIS: Final = Parameter("hysteresis", "", "change of votes below which they stay as they are", 0.0, 0, 1)


def apart(one: Sequence[int], other: Sequence[int]) -> list[int] | None:
    """Places of members that hold more than half by `one` while all others hold more than half by `other`, if any."""
    return _tried(one, other) or _searched(one, other)


def _is_apart(one: Sequence[int], other: Sequence[int], places: Sequence[int]) -> bool:
    held, left = sum(one[place] for place in places), sum(other) - sum(other[place] for place in places)
    return 2 * held > sum(one) and 2 * left > sum(other)


def _tried(one: Sequence[int], other: Sequence[int]) -> list[int] | None:
    """Those first that the one vector favours most; often they are enough."""
    order = sorted(range(len(one)), key=lambda place: (other[place] / one[place] if one[place] else np.inf, place))
    held, chosen = 0, []
    for place in order:
        if 2 * held > sum(one):
            break
        chosen.append(place)
        held += one[place]
    return chosen if _is_apart(one, other, chosen) else None


@cache
def _subsets(count: int) -> Int64s:
    """All subsets of so many, one in a row."""
    return (np.arange(1 << count)[:, None] >> np.arange(count)) & 1


def _searched(one: Sequence[int], other: Sequence[int]) -> list[int] | None:
    """All subsets of one half of the members, each with the best of the other half that makes it a majority."""
    half = len(one) // 2
    near, far = _subsets(half), _subsets(len(one) - half)
    first, second = np.array(one, dtype=np.int64), np.array(other, dtype=np.int64)
    near_one, near_other = (near * first[:half]).sum(axis=1), (near * second[:half]).sum(axis=1)
    far_one, far_other = (far * first[half:]).sum(axis=1), (far * second[half:]).sum(axis=1)
    order = np.argsort(far_one, kind="stable")
    cheapest = np.minimum.accumulate(far_other[order][::-1])[::-1]  # of all that have at least so much
    needed = sum(one) // 2 + 1 - near_one
    at = np.searchsorted(far_one[order], needed, side="left")
    possible = at < order.size
    taken = near_other + np.where(possible, cheapest[np.minimum(at, order.size - 1)], np.iinfo(np.int64).max // 2)
    best = int(taken.argmin())
    if not possible[best] or 2 * (sum(other) - int(taken[best])) <= sum(other):
        return None
    rest = order[at[best] :]
    partner = int(rest[far_other[rest].argmin()])
    return [place for place, own in enumerate([*near[best].tolist(), *far[partner].tolist()]) if own]


def vector_of(powers: Sequence[int]) -> tuple[Voter, ...]:
    """Votes as the engine has them."""
    return tuple(Voter(number.to_bytes(ADDRESS_BYTES, "big"), power) for number, power in enumerate(powers, 1))


def _of(voters: tuple[Voter, ...], old: tuple[Voter, ...] | None = None) -> Configuration:
    return Configuration(1, old, voters, (), 0, b"")


class _InForce:
    """The votes in force: they change when they differ enough from those before."""

    def __init__(self, tolerance: int, hysteresis_ppm: int) -> None:
        self.tolerance = tolerance
        self.hysteresis_ppm = hysteresis_ppm
        self.vectors: list[list[VotingPower]] = []  # round by round

    def __call__(self, weights: Int64s) -> Int64s:
        found = powers_of(weights[0].tolist(), self.tolerance)
        if self.vectors and not self._differs(self.vectors[-1], found):
            found = self.vectors[-1]
        self.vectors.append(found)
        return np.array([found], dtype=np.int64)

    def _differs(self, before: Sequence[int], found: Sequence[int]) -> bool:
        if found == before:
            return False
        if not self.hysteresis_ppm or not sum(before) or not sum(found):
            return True
        return distance(vector_of(found), vector_of(before)) >= self.hysteresis_ppm


def _play(values: Values, luck: int) -> Mapping[str, Number]:
    inputs, leader = inputs_of(values), values["leader"]
    in_force = _InForce(values["tolerance"], round(values["hysteresis"] * MILLION))
    plain = weighted = joint = alone = 0
    changes = parted = quick = joint_parted = 0
    order = Order(round_trips(inputs, [luck], [leader]), np.array([leader - 1]))
    for each in rounds(inputs, [luck], [leader], in_force):
        plain += int(each.decided.plain_us[0])
        weighted += int(each.decided.weighted_us[0])
        if each.number == 0 or in_force.vectors[-1] is in_force.vectors[-2]:
            continue
        before, now = in_force.vectors[-2:]
        changes += 1
        took = [int(order.decide(np.array([votes], dtype=np.int64)).weighted_us[0]) for votes in (before, now)]
        joint += max(took)
        alone += took[0]
        places = apart(before, now)
        quick += _tried(before, now) is not None
        if places is not None:
            some, others = _named(places, len(now))
            old, new = vector_of(before), vector_of(now)
            if not decides(_of(old), some) or not decides(_of(new), others):
                raise ValueError(f"{places} do not part {before} and {now}")
            parted += 1
            both = _of(new, old)
            joint_parted += decides(both, some) and decides(_of(new), others)
            joint_parted += decides(_of(old), some) and decides(both, others)
    pairs = max(inputs.rounds - 1, 1)
    return {
        "apart": parted / pairs,
        "apart_quick": quick / pairs,
        "apart_rounds": parted,
        "apart_joint": joint_parted,
        "changes": changes / pairs,
        "entries": 2 * changes / inputs.rounds,
        "longer": (joint - alone) / alone if alone else None,
        "saving": saved(plain, weighted),
    }


def _named(places: Sequence[int], count: int) -> tuple[list[bytes], list[bytes]]:
    some = [(place + 1).to_bytes(ADDRESS_BYTES, "big") for place in places]
    others = [(place + 1).to_bytes(ADDRESS_BYTES, "big") for place in range(count) if place not in places]
    return some, others


def _fits(values: Values) -> Misfit | None:
    if 2 * values["pairs"] > EXACT_MAX:
        return Misfit(
            "pairs", f"All subsets of at most {EXACT_MAX} members are looked at: choose {EXACT_MAX // 2} pairs."
        )
    return fits(values) or misfit(values)


MAJORITIES: Final = Experiment(
    "majorities",
    "How often two majorities of rounds that follow each other need not meet, and what the joint step costs.",
    (TOLERANCE, HYSTERESIS, *SCENARIO),
    (
        Measure("apart", "", "share of changes from round to round at which majorities need not meet"),
        Measure("apart_quick", "", "share at which the ratio of votes alone already shows it"),
        Measure("apart_rounds", "rounds", "rounds at whose change majorities need not meet", whole=True),
        Measure("apart_joint", "", "cases in which two parts decide although one counts jointly", whole=True),
        Measure("changes", "", "share of rounds after which votes change"),
        Measure("entries", "", "entries of changes for each of a payload"),
        Measure("longer", "", "by how much a round is longer while both vectors count"),
        Measure("saving", "", "share of consensus time saved, changes themselves not counted"),
    ),
    _play,
    lambda values: lasts_ms(values) * 1.5 + values["rounds"] * 4.5,
    _fits,
)
