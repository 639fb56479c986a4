"""Standing of a large community: weights of a round, voting power, and groups balanced by energy and trust.

The floor of weights is the same weighted sum over six columns of bare Python integers, without records or roles; the
floor of groups is dealing members out in turn without looking at any balance.
"""

from __future__ import annotations

from random import Random
from typing import Final

from benchmarks.measuring import Line, Section, beside, seconds
from wattquorum.foundation.quantities import MILLION, Energy, Points
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import MemberSide
from wattquorum.ledger.holdings import CarbonAccount, Holding
from wattquorum.ledger.parameters import DEFAULTS
from wattquorum.ledger.state import State, Table, side_key
from wattquorum.ledger.weighing import weights
from wattquorum.standing.groups import TAU, Candidate, grouped, spread
from wattquorum.standing.power import project

MEMBERS: Final = 10_000
GROUPS: Final = 40
WEIGHTS_TARGET_MS: Final = 50
GROUPS_TARGET_S: Final = 1
VOTERS: Final = 50


def measured(members: int = MEMBERS) -> Section:
    """Milliseconds and seconds of each step, and what it is in times its floor."""
    chance = Random(1)
    state = State()
    rows = []
    for i in range(members):
        side = MemberSide(("m",), "f", 1, chance.randint(0, 100 * MILLION), 50 * MILLION, 0, i, 96, i % 7)
        state.put(Table.SIDE, side_key(i.to_bytes(20, "big"), Side(1 + i % 2)), side)
        state.put(Table.HOLDING, i.to_bytes(20, "big"), Holding(i % 50, 0, 0, i % 50 * 86_400_000))
        if i % 10 == 0:
            grams = chance.randint(-(10**9), 10**9)
            state.put(Table.CARBON, i.to_bytes(20, "big"), CarbonAccount(0, 0, 0, 0, 0, False, grams, 10**9, True, 1))
        rows.append((side.credit, side.volume, 0, 0, 50 * MILLION, 100 * MILLION))
    a = tuple(DEFAULTS.generator_coefficients)

    def bare() -> list[int]:
        return [
            (a[0] * c + a[1] * v + a[2] * r + a[3] * g + a[4] * e + a[5] * n) // MILLION for c, v, r, g, e, n in rows
        ]

    weighing = beside(lambda: weights(state, DEFAULTS), bare, rounds=5)
    candidates = [
        Candidate(
            Energy(int(300_000 * chance.lognormvariate(0, 1))),
            Points(chance.randint(0, 100 * MILLION)),
            i.to_bytes(32, "big"),
        )
        for i in range(members)
    ]
    dealt = [list(range(number, members, GROUPS)) for number in range(GROUPS)]
    grouping = beside(lambda: grouped(candidates, GROUPS, TAU, TAU), lambda: spread(candidates, dealt), rounds=3)
    found = spread(candidates, grouped(candidates, GROUPS, TAU, TAU))
    mean = sum(each.traded for each in candidates) // GROUPS, sum(each.trust for each in candidates) // GROUPS
    of_mean = f"spreads {found.traded * 100 / mean[0]:.1f} % of energy, {found.trust * 100 / mean[1]:.1f} % of trust"
    voters = [Points(chance.randint(0, 100 * MILLION)) for _ in range(VOTERS)]
    names = [i.to_bytes(20, "big") for i in range(VOTERS)]
    projecting = min(seconds(lambda: project(voters, names, VOTERS // 3)) for _ in range(5))
    return Section(
        f"Standing of {members:,} members",
        [
            Line("weights of a round", weighing.ours * 1_000, "ms", f"target: under {WEIGHTS_TARGET_MS}"),
            Line("   against the bare sums", weighing.times, "x"),
            Line(f"{GROUPS} groups balanced", grouping.ours, "s", f"target: under {GROUPS_TARGET_S}; {of_mean}"),
            Line("   against adding up groups dealt in turn", grouping.times, "x"),
            Line(f"voting power of {VOTERS} voters", projecting * MILLION, "us"),
        ],
    )
