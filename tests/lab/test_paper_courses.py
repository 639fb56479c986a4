"""Document A's claims on courses made by hand: each is borne out by one that shows it, and not by one that just fails.

Courses are as plain as can be: nothing changes but what a claim looks at, and where its test has a threshold they lie
just on either side of it. A test that lets everything through would let these through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from wattquorum.foundation.quantities import MILLION, Energy, Price, cost
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper.claims import CLAIMS, Course, Floats, Pair
from wattquorum.lab.paper.inputs import LEADERS, PAPER
from wattquorum.lab.paper.study import VARIANTS
from wattquorum.lab.paper.transacting import Account, accounts, transacted

ROUNDS, NODES = PAPER.rounds, PAPER.nodes
HALF_WAY, LAST_QUARTER = slice(ROUNDS // 2, None), slice(3 * ROUNDS // 4, None)
SALES = range(PAPER.sold_every - 1, ROUNDS, PAPER.sold_every)
SELLERS, BUYERS = (1, 3), (16, 25)
BY_CLAIM = {claim.key: claim for claim in CLAIMS}
SHARES = np.arange(1, ROUNDS + 1) / ROUNDS
Changes = dict[str, Any]


@cache
def day() -> tuple[Account, ...]:
    return tuple(transacted(PAPER, 0))


def nodes(value: int) -> Int64s:
    return np.full((ROUNDS, NODES), value, dtype=np.int64)


def course(**changes: Any) -> Course:
    """Nothing happens but what is said: all perform, node 1 leads, a tenth of the time is saved in every round."""
    calm: Changes = {
        "inputs": PAPER,
        "accounts": day(),
        "plain_elected": np.arange(ROUNDS) % NODES + 1,
        "elected": np.ones(ROUNDS, dtype=np.int64),
        "plain_us": np.full((3, ROUNDS), 1_000, dtype=np.int64),
        "weighted_us": np.full((3, ROUNDS), 900, dtype=np.int64),
        "delivered": nodes(100),
        "promised": nodes(100),
        "credit": nodes(50 * MILLION),
        "certificates": nodes(0),
        "held": nodes(0),
        "weights": nodes(50 * MILLION),
        "pair": Pair(np.full(ROUNDS, 80 * MILLION), np.zeros(ROUNDS, dtype=np.int64)),
    }
    return Course(**(calm | changes))


# What is changed ----------------------------------------------------------------------------------------------------


def rows(node: int, rows_: Sequence[Account] = (), **changes: Any) -> Changes:
    """A day of which one node's row is another."""
    own = [a._replace(**changes) if a.node == node else a for a in rows_ or day()]
    return {"accounts": own}


def account(node: int) -> Account:
    return day()[node - 1]


def result(node: int, amount: int) -> Changes:
    """A node that gets or pays so much in all."""
    return rows(node, energy=amount, grid_fee=0, grid=0)


@cache
def a_generator_defaults() -> tuple[Account, ...]:
    """Node 1 delivers 90 of 100 kWh, all others everything."""
    delivered = [Energy(100_000)] * NODES
    delivered[0] = Energy(90_000)
    return tuple(accounts(PAPER, [Price(500_000)] * PAPER.pairs, [Energy(100_000)] * NODES, delivered))


def short(node: int, by: int) -> Changes:
    """A partner of a defaulter that is so much worse off than with full delivery."""
    day_ = day() if node == 2 else a_generator_defaults()
    own = day_[node - 1]
    energy = cost(own.promised, own.price)
    if node == 2:
        return rows(node, day_, compensated=energy - own.result - by)
    return rows(node, day_, compensated=own.result - energy - cost(own.promised, PAPER.over_grid_fee) - by)


def shares_swapped() -> Changes:
    """Of nodes in pairs that perform, the one with most credit gets what the one with least should, and the reverse."""
    own = sorted((a for a in day() if not a.defaulted and a.partner not in PAPER.defaulters), key=lambda a: a.credit)
    least, most = own[0], own[-1]
    return rows(most.node, rows(least.node, share=most.share)["accounts"], share=least.share)


def won(*counts: tuple[int, int]) -> Int64s:
    """Elections: (node, how many)."""
    return np.concatenate([np.full(count, node) for node, count in counts]).astype(np.int64)


def plain(first: int) -> Changes:
    """Node 1 wins so many elections, the others the rest as evenly as can be."""
    rest = np.arange(ROUNDS - first) % (NODES - 1) + 2
    return {"plain_elected": np.concatenate((np.ones(first, dtype=np.int64), rest))}


def put(name: str, where: Any, value: int, start: int | None = None) -> Changes:
    """A field of the calm course with another value somewhere; `start` is everywhere else."""
    own = getattr(course(), name).copy()
    if start is not None:
        own[:] = start
    own[where] = value
    return {name: own}


def along(name: str, who: Sequence[int], values: Sequence[float] | Floats) -> Changes:
    """A field in which some nodes go through these points."""
    own = getattr(course(), name).copy()
    for node in who:
        own[:, node - 1] = np.round(np.asarray(values) * MILLION)
    return {name: own}


def quarters(name: str, who: Sequence[int], *points: float) -> Changes:
    return along(name, who, np.repeat(points, ROUNDS // 4))


def few(name: str, *parts: tuple[slice, int]) -> Changes:
    """Scenario 2's times, elsewhere those of the calm course."""
    own = getattr(course(), name).copy()
    for where, value in parts:
        own[1, where] = value
    return {name: own}


def falling(second: Int64s | int | None = None) -> Changes:
    """Weighted rounds take ever less time, and more and more of it is saved; `second` is what scenario 2 takes."""
    own = np.tile(falls_evenly(), (3, 1))
    if second is not None:
        own[1] = second
    return {"weighted_us": own}


def falls_evenly() -> Int64s:
    return np.linspace(950, 850, ROUNDS).astype(np.int64)


def rising(curve: Callable[[Floats], Floats], who: Sequence[int] = (1, 11, 27)) -> Changes:
    """Credit that begins near 0 and ends at 80 points; nodes that do not rise so do it in the shape of the paper."""
    share = SHARES
    saturating = 1 - np.exp(-12 * share)
    changes = along("credit", (1, 11, 27), 80 * saturating)
    own = changes["credit"]
    for node in who:
        own[:, node - 1] = np.round(80 * curve(share) * MILLION)
    return changes


def bent(share: Floats) -> Floats:
    found: Floats = 1 - np.exp(-12 * share)
    return found


def line(share: Floats) -> Floats:
    found: Floats = np.minimum(share * 2, 1)
    return found


def step(share: Floats) -> Floats:
    return (share > 0.1).astype(np.float64)


def stairs(share: Floats) -> Floats:
    """Over half of it in the first quarter, and then as much again at the same pace."""
    found: Floats = np.minimum(np.floor(share * 20) / 6, 1)
    return found


def upwards(share: Floats) -> Floats:
    found: Floats = np.minimum((share * 2) ** 2, 1)
    return found


def first_held(*holders: tuple[int, int]) -> Changes:
    """(node, round from 0) of everybody's first certificate."""
    own = nodes(0)
    for node, number in holders:
        own[number:, node - 1] = 1
    return {"held": own}


def jump(points: float, at: int, start: float = 0) -> Changes:
    """Node 1 has its first certificate in round 10; its certificate weight goes from `start` to so many points."""
    own = nodes(0)
    own[:, 0] = round(start * MILLION)
    own[at:, 0] = round(points * MILLION)
    return {"certificates": own, **first_held((1, 10))}


def sales(moves: dict[int, float], but: tuple[int, int] | None = None, drift: float = 0) -> Changes:
    """Nodes' certificate weight moves by so many points at each sale, drifting in between; `but` one, at one sale."""
    held, certificates = nodes(0), nodes(0)
    for place, number in enumerate(SALES, start=1):
        held[number:, [node - 1 for node in BUYERS]] = place
    for node in (*SELLERS, *BUYERS):
        own = 1_000.0 + drift * np.arange(ROUNDS)
        for number in SALES:
            if (node, number) != but:
                own[number:] += moves.get(node, 0)
        certificates[:, node - 1] = np.round(own * MILLION)
    return {"held": held, "certificates": certificates}


def heavy(who: Sequence[int], points: float, where: slice = LAST_QUARTER) -> Changes:
    """Some nodes weigh so much for some rounds, all others 10 points."""
    own = nodes(10 * MILLION)
    for node in who:
        own[where, node - 1] = round(points * MILLION)
    return {"weights": own}


def unreliable(node: int, elected: int) -> Changes:
    """A node defaults in every second round; who is elected."""
    own = nodes(100)
    own[::2, node - 1] = 50
    return {"delivered": own, "elected": won((elected, ROUNDS))}


def points(values: Sequence[float] | Floats) -> Int64s:
    return np.round(np.asarray(values) * MILLION).astype(np.int64)


def a(performs: Floats) -> Changes:
    """Node A goes through these points."""
    return {"pair": course().pair._replace(performs=points(performs))}


def b(begins: float, half_after: int) -> Changes:
    """Node B has so much, and less than half of all after so many rounds."""
    left = np.full(ROUNDS, begins)
    left[half_after - 1 :] = 49
    return {"pair": course().pair._replace(defaults=points(left))}


def ripples(first: float, last: float) -> Floats:
    """A course that falls by so much every tenth round, in the first and in the last quarter."""
    own = np.full(ROUNDS, 80.0)
    own[9 : ROUNDS // 4 : 10] -= first
    own[3 * ROUNDS // 4 + 9 :: 10] -= last
    return own


def zigzag(who: dict[int, float]) -> Changes:
    """Credit that goes up and down by so much from round to round."""
    own = nodes(50 * MILLION)
    for node, by in who.items():
        own[::2, node - 1] += round(by * MILLION)
    return {"credit": own}


# The table ----------------------------------------------------------------------------------------------------------


class Trial(NamedTuple):
    key: str
    what: str
    changes: Changes
    held: bool


FALLS, RISES = dict.fromkeys(SELLERS, -5.0), dict.fromkeys(BUYERS, 5.0)
TRIALS = (
    Trial("credits", "as the rules have it", {}, True),
    Trial("credits", "one that performs gains nothing", rows(5, credit=account(5).credit_before), False),
    Trial("credits", "one that defaults loses nothing", rows(17, credit=account(17).credit_before), False),
    Trial("better", "as the rules have it", {}, True),
    Trial("better", "a seller gets the grid's price", result(1, cost(account(1).delivered, PAPER.feed_in)), False),
    Trial("better", "a buyer pays the grid's price", result(16, cost(account(16).delivered, PAPER.grid_price)), False),
    Trial("better", "a defaulter's partner does worse", result(2, 0), True),
    Trial("shares", "as the rules have it", {}, True),
    Trial("shares", "most credit, least share", shares_swapped(), False),
    Trial("shares", "a defaulter's partner gets less", rows(2, share=0), True),
    Trial("whole", "a seller lacks what rounding takes", short(2, 3), True),
    Trial("whole", "a seller lacks a millionth more", short(2, 4), False),
    Trial("whole", "a buyer lacks what rounding takes", short(16, 3), True),
    Trial("whole", "a buyer lacks a millionth more", short(16, 4), False),
    Trial("pays", "as the rules have it", {}, True),
    Trial("pays", "one that performs pays a millionth", rows(5, fine=1), False),
    Trial("pays", "one that defaults pays nothing", rows(17, fine=0, compensation=0), False),
    Trial("plain-all", "all lead", {}, True),
    Trial("plain-all", "all but one lead", {"plain_elected": np.arange(ROUNDS) % 29 + 1}, False),
    Trial("plain-even", "one leads 24 times", plain(24), True),
    Trial("plain-even", "one leads 25 times", plain(25), False),
    Trial("three", "1, 2 and 5 alone", {"elected": won((1, 100), (2, 50), (5, 50))}, True),
    Trial("three", "once another one", {"elected": won((1, 199), (3, 1))}, False),
    Trial("often", "node 1", {"elected": won((1, 101), (2, 99))}, True),
    Trial("often", "node 2", {"elected": won((1, 99), (2, 101))}, False),
    Trial("reliable", "somebody else defaults", unreliable(7, 1), True),
    Trial("reliable", "the elected one defaults", unreliable(7, 7), False),
    Trial("reliable", "all default alike", {"delivered": nodes(50)}, False),
    Trial("constant", "nothing changes", {}, True),
    Trial("constant", "one scenario's last round", few("plain_us", (slice(-1, None), 999)), False),
    Trial("fluctuates", "all change", falling(), True),
    Trial("fluctuates", "one scenario does not", falling(900), False),
    Trial("falls", "all fall", falling(), True),
    Trial("falls", "one scenario rises", falling(falls_evenly()[::-1]), False),
    Trial("falls", "one scenario is as at first", few("weighted_us", (slice(50, 150), 500)), False),
    Trial("saves", "a tenth", {}, True),
    Trial("saves", "a microsecond in one scenario", few("weighted_us", (slice(None), 1_000), (slice(1), 999)), True),
    Trial("saves", "nothing in one scenario", few("weighted_us", (slice(None), 1_000)), False),
    Trial("grows", "every step saves", {}, True),
    Trial("grows", "the second step saves nothing", few("weighted_us", (slice(25, 50), 1_000)), False),
    Trial("grows", "the first step saves nothing", few("weighted_us", (slice(25), 1_000)), False),
    Trial("share-grows", "more is saved later", falling(), True),
    Trial("share-grows", "always a tenth in one scenario", falling(900), False),
    Trial("rises", "ever more slowly", rising(bent), True),
    Trial("rises", "evenly, to a limit", rising(line), False),
    Trial("rises", "in one step", rising(step), False),
    Trial("rises", "in stairs", rising(stairs), False),
    Trial("rises", "ever faster, to a limit", rising(upwards), False),
    Trial("rises", "one of three evenly", rising(line, (27,)), False),
    Trial("rises", "not at all", {"credit": nodes(0)}, False),
    Trial("steadies", "a tenth more at last", quarters("credit", (1, 11, 27), 0, 30, 50, 54.9), True),
    Trial("steadies", "more than a tenth more", quarters("credit", (27,), 0, 30, 50, 55.1), False),
    Trial("steadies", "more than a tenth less", quarters("credit", (1,), 0, 30, 50, 44.9), False),
    Trial("far-below", "a little less than half", put("credit", (HALF_WAY, [16, 28]), 24_900_000), True),
    Trial("far-below", "a little more than half", put("credit", (HALF_WAY, [16, 28]), 25_100_000), False),
    Trial("far-below", "one of them", put("credit", (HALF_WAY, [28]), 0), False),
    Trial("far-below", "only at first", put("credit", (slice(ROUNDS // 2), [16, 28]), 0), False),
    Trial("wavers", "a little more than the others", zigzag({1: 6, 11: 4, 27: 5, 17: 5.01}), True),
    Trial("wavers", "as much as the others", zigzag({1: 5, 11: 5, 27: 5, 17: 5}), False),
    Trial("wavers", "as little as the others", {}, False),
    Trial("a-slows", "ever more slowly", a(80 * bent(SHARES)), True),
    Trial("a-slows", "evenly, to a limit", a(80 * line(SHARES)), False),
    Trial("a-slows", "not at all", a(0 * SHARES), False),
    Trial("a-calms", "a little smaller at last", a(ripples(10, 9.9)), True),
    Trial("a-calms", "the same at last", a(ripples(10, 10)), False),
    Trial("a-calms", "a little larger at last", a(ripples(10, 10.1)), False),
    Trial("b-fast", "after a tenth of all rounds", b(100, 20), True),
    Trial("b-fast", "a round later", b(100, 21), False),
    Trial(
        "b-fast", "half is left, and no less", {"pair": course().pair._replace(defaults=points([50] * ROUNDS))}, False
    ),
    Trial("node-a", "near a limit", {}, True),
    Trial(
        "node-a", "no more than half", {"pair": course().pair._replace(performs=np.full(ROUNDS, 50 * MILLION))}, False
    ),
    Trial("node-a", "no limit", {"pair": course().pair._replace(performs=np.full(ROUNDS, 100 * MILLION))}, False),
    Trial("node-b", "less than a point", {"pair": course().pair._replace(defaults=np.full(ROUNDS, 990_000))}, True),
    Trial("node-b", "a point", {"pair": course().pair._replace(defaults=np.full(ROUNDS, MILLION))}, False),
    Trial("node-b", "only at first", {"pair": course().pair._replace(defaults=np.arange(ROUNDS) * MILLION)}, False),
    Trial("first", "node 1", first_held((1, 5), (3, 6)), True),
    Trial("first", "node 3", first_held((1, 5), (3, 4)), False),
    Trial("first", "nobody", {}, False),
    Trial("jumps", "by half", jump(50, 10), True),
    Trial("jumps", "by a little less", jump(49.9, 10), False),
    Trial("jumps", "not with its first one", jump(100, 12), False),
    Trial("jumps", "by a little less, to more", jump(59.9, 10, start=10), False),
    Trial("sells", "both fall", sales(FALLS), True),
    Trial("sells", "3 does not, once", sales(FALLS, but=(3, SALES[4])), False),
    Trial("sells", "neither moves", sales({}), False),
    Trial("sells", "both rise", sales(dict.fromkeys(SELLERS, 5.0)), False),
    Trial("buys", "both rise", sales(RISES), True),
    Trial("buys", "25 does not, once", sales(RISES, but=(25, SALES[4])), False),
    Trial("buys", "neither moves", sales({}), False),
    Trial("buys", "both fall", sales(dict.fromkeys(BUYERS, -5.0)), False),
    Trial("between", "it falls", sales(RISES, drift=-0.1), True),
    Trial("between", "it stays", sales(RISES), False),
    Trial("between", "it rises", sales(RISES, drift=0.1), False),
    Trial("weight-rises", "a little", quarters("weights", (1, 11, 17, 27), 50, 50, 50, 50.1), True),
    Trial("weight-rises", "one does not", quarters("weights", (1, 11, 17), 50, 50, 50, 50.1), False),
    Trial("weight-rises", "17 does not", quarters("weights", (1, 11, 27), 50, 50, 50, 50.1), False),
    Trial("weight-rises", "only in between", quarters("weights", (1, 11, 17, 27), 50, 60, 60, 50), False),
    Trial("weight-steadies", "a tenth more at last", quarters("weights", (1, 11, 17, 27), 0, 30, 50, 54.9), True),
    Trial("weight-steadies", "more than a tenth more", quarters("weights", (27,), 0, 30, 50, 55.1), False),
    Trial("no-centre", "a little less than twice an equal share", heavy((5,), 20.7), True),
    Trial("no-centre", "a little more", heavy((5,), 20.72), False),
    Trial("no-centre", "a little more in a single round", heavy((5,), 20.72, slice(160, 161)), False),
    Trial("no-centre", "only at first", heavy((5,), 90, slice(50)), True),
    Trial("no-three", "a little less than twice", heavy((5, 6, 7), 22.4), True),
    Trial("no-three", "a little more", heavy((5, 6, 7), 22.6), False),
)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.key}: {trial.what}")
def test_a_course_bears_a_claim_out_or_does_not(trial: Trial) -> None:
    claim = BY_CLAIM[trial.key]
    assert claim.holds is not None
    assert all(map(claim.holds, claim.measure(course(**trial.changes)))) is trial.held


def test_every_claim_with_a_test_has_courses_of_both_kinds() -> None:
    tested = {claim.key for claim in CLAIMS if claim.holds is not None}
    for held in (True, False):
        assert {trial.key for trial in TRIALS if trial.held is held} == tested


def test_what_is_compared_with_a_number_of_the_paper_is_counted() -> None:
    own = course(elected=won((1, 140), (2, 20), (5, 30), (9, 10)), **few("weighted_us", (slice(None), 750)))
    assert [list(BY_CLAIM[f"led-{node}"].measure(own)) for node in LEADERS] == [[140], [20], [30]]
    assert list(BY_CLAIM["nine"].measure(own)) == pytest.approx([10, 25, 10])
    assert [BY_CLAIM[key].paper_value for key in ("led-1", "led-2", "led-5", "nine")] == [146, 24, 30, 9]


def test_a_rise_is_measured_by_what_was_reached_so_far() -> None:
    """20, 40 and 60 of 80 points are reached after 1, 2 2/3 and 3 1/3 rounds: a fall on the way takes nothing back."""
    points = np.full(ROUNDS, 80.0)
    points[:3] = 20, 10, 50
    assert list(BY_CLAIM["rises"].measure(course(**along("credit", (1, 11, 27), points)))) == pytest.approx([0.4] * 3)


def test_a_claim_has_as_many_measures_as_places() -> None:
    for claim in CLAIMS:
        assert len(claim.measure(course())) == len(claim.places or ("",)), claim.key


# Favours


CHANGED = {
    "as chosen": set(),
    "1, 2, 5 trade no more than others": {"larger"},
    "1, 2, 5 are no cleaner": {"clean"},
    "1, 2, 5 default as often as others": {"reliable"},
    "2 and 5 earn no certificates": {"renewable"},
    "none of these favours": {"larger", "clean", "reliable", "renewable"},
    "participation earns nothing": {"rho"},
    "participation alone counts": {"carbon_g", "clean", "generator", "consumer"},
    "links of 20 to 40 ms": {"round_trip_us"},
    "links of 28 to 32 ms": {"round_trip_us"},
}


def test_a_variant_takes_away_what_it_says_and_nothing_else() -> None:
    found = {
        name: {field.name for field in fields(PAPER) if getattr(own, field.name) != getattr(PAPER, field.name)}
        for name, own in VARIANTS.items()
    }
    assert found == CHANGED


def test_without_favours_nothing_names_the_three_that_lead() -> None:
    own = VARIANTS["none of these favours"]
    assert (own.larger, own.clean, own.reliable) == ((), (), ())
    assert not set(LEADERS) & set(own.renewable)
    assert not {2, 5} & set(VARIANTS["2 and 5 earn no certificates"].renewable)
    assert VARIANTS["links of 20 to 40 ms"].round_trip_us == (20_000, 40_000)
    assert VARIANTS["links of 28 to 32 ms"].round_trip_us == (28_000, 32_000)
    assert VARIANTS["participation earns nothing"].rho == 0
