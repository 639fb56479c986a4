"""Claims: what the paper says its simulation shows, each as something that a run either bears out or does not.

A run is one seed: a day transacted and 200 rounds. Each claim has a measure, which is shown, and a test of it. Where
the paper speaks of three scenarios or of several nodes there are several measures, and a run bears the claim out where
all of them do: scenarios of a seed share its trade, and are no runs of their own. Words are the paper's as far as they
can be tested; the thresholds, which the paper does not give, are ours and named. Tests were written down before any run
was looked at, but for those of `LATER`, which were made stricter after that, and of `ADDED`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattquorum.foundation.quantities import MILLION, POINTS_MAX, cost
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper.inputs import LEADERS, PAPER, Inputs
from wattquorum.lab.paper.rounds import Played
from wattquorum.lab.paper.transacting import Account

FEW: Final = 20  # rounds at the beginning and at the end that are compared
TABLED: Final = tuple(range(25, 201, 25))  # after so many rounds tables 5 to 7 show totals
CHI_SQUARE_99: Final = 49.59  # 99 % of uniform draws stay below it (29 degrees of freedom)
STEADY: Final = 0.1  # means of successive quarters of the rounds differ by at most so much of themselves
FAR_BELOW: Final = 0.5  # of the others' credit
JUMP: Final = 50.0  # points
FAST: Final = 20  # rounds: a tenth of all
CENTRAL: Final = 2.0  # times an equal share of all weight
HEAVIEST: Final = 3  # nodes that are looked at together
# Which tests were made stricter, beside how the paper's numbers are compared (`verdicts`): the last two by node 17.
LATER: Final = ("rises", "no-centre", "no-three", "weight-rises", "weight-steadies")
ADDED: Final = ("pays", "wavers", "a-slows", "a-calms", "b-fast")  # claims that had been left out at first
ROUNDING: Final = 3  # millionths: three transfers, each rounded once
FIGURE_7: Final = (1, 11, 17, 27)
FIGURE_9: Final = (1, 3, 16, 25)
FIGURE_10: Final = (1, 11, 17, 27)
PERFORMING: Final = (1, 11, 27)
BROKE: Final = 17  # the one of figures 7 and 10 that defaults often
SCENARIOS: Final = tuple(f"scenario {number}" for number in range(1, 1 + len(LEADERS)))

Floats = npt.NDArray[np.float64]


class Pair(NamedTuple):
    """Figure 8: the credit of two nodes, [rounds] in millionths of a point, and what of its promise each delivered."""

    performs: Int64s  # begins with 0 and always performs
    defaults: Int64s  # begins with 100 and always defaults


class Course(NamedTuple):
    """One run, as claims see it: arrays of `rounds.Played` without the axis of seeds."""

    inputs: Inputs
    accounts: Sequence[Account]
    plain_elected: Int64s  # [rounds]
    elected: Int64s  # [rounds]
    plain_us: Int64s  # [leaders, rounds]
    weighted_us: Int64s
    delivered: Int64s  # [rounds, nodes]
    promised: Int64s
    credit: Int64s
    certificates: Int64s
    held: Int64s
    weights: Int64s  # scenario 1, [rounds, nodes]
    pair: Pair

    def saving(self, rounds: int | None = None) -> Floats:
        """Total time saved after so many rounds [share], one for each leader."""
        plain, weighted = (each[:, :rounds].sum(axis=1) for each in (self.plain_us, self.weighted_us))
        found: Floats = 1 - weighted / np.maximum(plain, 1)
        return found


def course(played: Played, at: int, accounts: Sequence[Account], plain_elected: Int64s, pair: Pair) -> Course:
    """The run of one of the seeds that were played."""
    return Course(
        played.inputs,
        accounts,
        plain_elected,
        played.elected[at],
        played.plain_us[:, at],
        played.weighted_us[:, at],
        played.delivered[at],
        played.promised[at],
        played.credit[at],
        played.certificates[at],
        played.held[at],
        played.weights[0, at],
        pair,
    )


Measure = Callable[[Course], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that the paper says."""

    key: str
    where: str  # in the paper
    says: str
    paper: str  # the number it gives, if any
    shown: str  # what our measure is, with its unit
    measure: Measure
    holds: Callable[[float], bool] | None  # None: the paper's number is compared with our band
    test: str  # `holds` in words
    text: Callable[[float], str] = lambda value: f"{value:g}"
    paper_value: float | None = None  # of the measure, where the paper gives it
    places: tuple[str, ...] = ()  # what the measures are of, where there are several: "scenario 1", "node 17"
    built_in: str = ""  # why the model can hardly contradict it, where that is so


def decimal(value: float) -> str:
    """With one decimal, and no minus before zero."""
    found = f"{value:.1f}"
    return "0.0" if found == "-0.0" else found


def _percent(value: float) -> str:
    return f"{decimal(value)} %"


def _times(value: float) -> str:
    return f"{value:.2f} times"


def _named(nodes: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"node {node}" for node in nodes)


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _points(value: float) -> str:
    return f"{decimal(value)} points"


# Tables 1 and 2 -----------------------------------------------------------------------------------------------------


def _credits_moved(run: Course) -> list[float]:
    """Nodes whose credit rose when they performed and fell when they defaulted."""
    return [sum(a.credit < a.credit_before if a.defaulted else a.credit > a.credit_before for a in run.accounts)]


def _better_than_the_grid(run: Course) -> list[float]:
    """Nodes of performing pairs that earn more, or pay less, than with the grid alone; all of them: 1."""
    inputs, broke = run.inputs, {a.node for a in run.accounts if a.defaulted}
    better, all_ = 0, 0
    for a in run.accounts:
        if a.defaulted or a.partner in broke:
            continue
        all_ += 1
        if a.node <= inputs.pairs:
            better += a.result > cost(a.delivered, inputs.feed_in)
        else:
            better += a.result < cost(a.delivered, inputs.grid_price)
    return [better / all_]


def _shares_out_of_order(run: Course) -> list[float]:
    """Neighbours by credit of which the one with more gets less; partners of defaulters get the other fine alone."""
    broke = {a.node for a in run.accounts if a.defaulted}
    own = sorted((a.credit, a.share) for a in run.accounts if not a.defaulted and a.partner not in broke)
    return [sum(more[1] < less[1] for less, more in pairwise(own))]


def _partners_losses(run: Course) -> list[float]:
    """The most that a partner of a defaulter is short of what full delivery had brought it [millionths]."""
    inputs, broke = run.inputs, {a.node for a in run.accounts if a.defaulted}
    worst = 0
    for a in run.accounts:
        if a.partner in broke and not a.defaulted:
            energy = cost(a.promised, a.price)
            if a.node <= inputs.pairs:
                worst = max(worst, energy - a.result - a.compensated)
            else:
                worst = max(worst, a.result - a.compensated - energy - cost(a.promised, inputs.over_grid_fee))
    return [worst]


def _wrong_payers(run: Course) -> list[float]:
    """Nodes that pay a penalty and were not to default, or the reverse."""
    return [sum((a.penalty > 0) != (a.node in run.inputs.defaulters) for a in run.accounts)]


# Tables 3 and 4 -----------------------------------------------------------------------------------------------------


def _times_elected(elected: Int64s, nodes: int) -> Int64s:
    return np.bincount(elected, minlength=nodes + 1)[1:].astype(np.int64)


def _plain_leaders(run: Course) -> list[float]:
    return [int(np.count_nonzero(_times_elected(run.plain_elected, run.inputs.nodes)))]


def _plain_unevenness(run: Course) -> list[float]:
    return [unevenness(_times_elected(run.plain_elected, run.inputs.nodes))]


def unevenness(counts: Int64s) -> float:
    """Pearson's statistic of counts against equal odds."""
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2).sum() / expected)


def _led_by_the_three(run: Course) -> list[float]:
    return [100 * float(np.isin(run.elected, LEADERS).mean())]


def _led_by(node: int) -> Measure:
    return lambda run: [int(np.count_nonzero(run.elected == node))]


def _most_often(run: Course) -> list[float]:
    return [int(_times_elected(run.elected, run.inputs.nodes).argmax()) + 1]


def _leaders_defaults(run: Course) -> list[float]:
    """How often those who were elected default, of how often everybody does."""
    broken = (run.delivered < run.promised).mean(axis=0)
    everybody = float(broken.mean())
    return [100 * float(broken[run.elected - 1].mean()) / everybody if everybody else 100.0]


# Figures 1 to 6, tables 5 to 7 --------------------------------------------------------------------------------------


def _plain_changes(run: Course) -> list[float]:
    return [int(each) for each in np.count_nonzero(np.diff(run.plain_us, axis=1), axis=1)]


def _weighted_changes(run: Course) -> list[float]:
    return [int(each) for each in np.count_nonzero(np.diff(run.weighted_us, axis=1), axis=1)]


def _time_falls(run: Course) -> list[float]:
    """The mean of the last rounds against that of the first [%]."""
    first, last = run.weighted_us[:, :FEW].mean(axis=1), run.weighted_us[:, -FEW:].mean(axis=1)
    return [100 * (b / a - 1) if a else 0.0 for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def _saving(run: Course) -> list[float]:
    return [100 * each for each in run.saving().tolist()]


def _saving_grows(run: Course) -> list[float]:
    """In how many of the tables' steps of 25 rounds the total time saved grows, the first from nothing."""
    saved = (run.plain_us - run.weighted_us).cumsum(axis=1)
    at = saved[:, [after - 1 for after in TABLED if after <= run.inputs.rounds]]
    return [int(each) for each in np.count_nonzero(np.diff(at, axis=1, prepend=0) > 0, axis=1)]


def _share_saved_grows(run: Course) -> list[float]:
    """The share saved of all rounds less that of the first 25 [percentage points]."""
    return [100 * each for each in (run.saving() - run.saving(TABLED[0])).tolist()]


# Figures 7 to 10 ----------------------------------------------------------------------------------------------------


def _of(nodes: Int64s, who: Sequence[int]) -> Int64s:
    """Some nodes of [rounds, nodes]."""
    found: Int64s = nodes[:, [node - 1 for node in who]]
    return found


def _defaulters_credit(run: Course) -> list[float]:
    """Credit of 17 and 29 over the second half, of the mean of all others [%]."""
    later = run.credit[run.inputs.rounds // 2 :].mean(axis=0)
    broke = [node - 1 for node in run.inputs.defaulters]
    others = float(np.delete(later, broke).mean())
    return [100 * float(later[at]) / others if others else 100.0 for at in broke]


def _steadiness(values: Int64s, who: Sequence[int]) -> list[float]:
    """How far the means of the last two quarters of the rounds lie apart, of the earlier one [%]."""
    quarters = np.array_split(_of(values, who), 4)
    third, fourth = quarters[2].mean(axis=0), quarters[3].mean(axis=0)
    return [100 * abs(b / a - 1) if a else 0.0 for a, b in zip(third.tolist(), fourth.tolist(), strict=True)]


def _credit_steadies(run: Course) -> list[float]:
    return _steadiness(run.credit, PERFORMING)


def _credit_rises(run: Course) -> list[float]:
    """How many times as long each quarter of credit's rise takes as the one before, at least; 0 where it does not rise.

    Of the rise from before the first round to the mean of the last quarter of the rounds, three quarters are looked at:
    the last one ends in the ripples of the decay. Times are those at which the most that was reached so far is so high,
    between two rounds in proportion. A line has 1; a curve that bends upwards or a step has a quarter that takes no
    longer than the one before it.
    """
    own = _of(run.credit, PERFORMING)
    ends = np.array_split(own, 4)[3].mean(axis=0)
    return [_slowing(int(run.inputs.initial_credit), *each) for each in zip(own.T, ends.tolist(), strict=True)]


def _slowing(start: int, credit: Int64s, end: float) -> float:
    if end <= start:
        return 0.0
    so_far = np.maximum.accumulate(np.concatenate(([start], credit))).astype(np.float64)
    levels = [start + (end - start) * part / 4 for part in (1, 2, 3)]
    times = [0.0]
    for level in levels:
        at = int(np.argmax(so_far >= level))
        times.append(at - float((so_far[at] - level) / (so_far[at] - so_far[at - 1])))
    took = np.diff(times).tolist()
    return float(min(later / before for before, later in pairwise(took)))


def _wavering(run: Course) -> list[float]:
    """How much credit of node 17 changes from round to round over the second half, of that of figure 7's others."""
    own = _of(run.credit, FIGURE_7)[run.inputs.rounds // 2 :]
    changes = np.abs(np.diff(own, axis=0)).mean(axis=0)
    broke = FIGURE_7.index(BROKE)
    others = float(np.delete(changes, broke).mean())
    return [float(changes[broke]) / others if others else 0.0]


def _a_slows(run: Course) -> list[float]:
    """As `_credit_rises`, of node A."""
    own = run.pair.performs
    return [_slowing(0, own, float(np.array_split(own, 4)[3].mean()))]


def _a_ripples(run: Course) -> list[float]:
    """The largest fall of node A's credit in the last quarter of the rounds, of that in the first."""
    falls = [-int(np.diff(each).min()) for each in np.array_split(run.pair.performs, 4)]
    return [falls[3] / falls[0] if falls[0] > 0 else 0.0]


def _b_halves(run: Course) -> list[float]:
    """After how many rounds node B has less than half of its 100 points; one more than there are where it never has."""
    below = np.flatnonzero(run.pair.defaults < POINTS_MAX // 2)
    return [int(below[0]) + 1 if below.size else run.inputs.rounds + 1]


def _always_performs(run: Course) -> list[float]:
    """Credit of node A in the last rounds [points]."""
    return [float(run.pair.performs[-FEW:].mean()) / MILLION]


def _always_defaults(run: Course) -> list[float]:
    return [float(run.pair.defaults[-1]) / MILLION]


def _first_holder(run: Course) -> list[float]:
    """Who has a whole certificate before the others do; the smallest number of those who have one first."""
    rounds, nodes = np.nonzero(run.held)
    return [int(nodes[rounds == rounds.min()].min()) + 1] if rounds.size else [0.0]


def _first_jump(run: Course) -> list[float]:
    """By how much node 1's certificate weight rises in the round in which it has its first one [points]."""
    own = run.held[:, 0]
    at = int(own.argmax()) if not own.any() else int(np.flatnonzero(own)[0])
    before = int(run.certificates[at - 1, 0]) if at else 0
    return [(int(run.certificates[at, 0]) - before) / MILLION]


def _sales(run: Course) -> list[int]:
    """Rounds, from 0, in which both sellers sold something, and that have a round before them."""
    every = run.inputs.sold_every
    sold = [number for number in range(every - 1, run.inputs.rounds, every) if number]
    buyers = [sale.buyer for sale in run.inputs.sales]
    return [number for number in sold if (_of(run.held, buyers)[number] > _of(run.held, buyers)[number - 1]).all()]


def _changes_at_sales(run: Course, who: Sequence[int], sign: int) -> list[float]:
    """In how many of the sales each node's certificate weight moves in a direction [%]."""
    at, own = np.array(_sales(run), dtype=np.int64), _of(run.certificates, who)
    if not at.size:
        return [0.0] * len(who)
    moved = sign * (own[at] - own[at - 1]) > 0
    return [100 * each for each in moved.mean(axis=0).tolist()]


def _falls_between(run: Course) -> list[float]:
    """How much of a buyer's certificate weight is left before the next sale of what it was after one [%]."""
    at, own = _sales(run), _of(run.certificates, [sale.buyer for sale in run.inputs.sales])
    left = [own[later - 1] / own[now] for now, later in pairwise(at)]
    return [100 * each for each in np.mean(left, axis=0).tolist()] if left else [100.0] * own.shape[1]


def _weight_rises(run: Course) -> list[float]:
    """The mean of the last quarter of rounds against the first round [points]."""
    own = _of(run.weights, FIGURE_10)
    rise = np.array_split(own, 4)[3].mean(axis=0) - own[0]
    return [each / MILLION for each in rise.tolist()]


def _weight_steadies(run: Course) -> list[float]:
    return _steadiness(run.weights, FIGURE_10)


def _heaviest(most: int) -> Measure:
    """The most weight that so many nodes have in a round of the last quarter, of as many equal shares [times]."""

    def measure(run: Course) -> list[float]:
        later = np.sort(np.array_split(run.weights, 4)[3], axis=1)
        total = np.maximum(later.sum(axis=1), 1)
        return [float((later[:, -most:].sum(axis=1) / total).max()) * run.inputs.nodes / most]

    return measure


CLAIMS: Final = (
    Claim(
        "credits",
        "Tables 1, 2",
        "Credit rises for who performs and falls for who defaults.",
        "",
        "nodes of 30",
        _credits_moved,
        lambda v: v == 30,
        "all 30",
        _whole,
        built_in="A-9 and A-10 say it of any inputs",
    ),
    Claim(
        "better",
        "Tables 1, 2",
        "Partners do better with each other than with the grid alone.",
        "",
        "share of nodes in pairs that perform",
        _better_than_the_grid,
        lambda v: v == 1,
        "all of them",
        lambda v: _percent(100 * v),
        built_in="it follows from prices within the grid's band",
    ),
    Claim(
        "shares",
        "Tables 1, 2",
        "The higher the credit, the more a node gets of the penalties.",
        "",
        "neighbours by credit in the wrong order",
        _shares_out_of_order,
        lambda v: v == 0,
        "none",
        _whole,
        built_in="A-19 shares by credit",
    ),
    Claim(
        "whole",
        "Tables 1, 2",
        "Penalties compensate the partner's loss.",
        "",
        "largest loss left [millionths of a CNY]",
        _partners_losses,
        lambda v: v <= ROUNDING,
        "no more than rounding",
        _whole,
        built_in="A-18 is defined so",
    ),
    Claim(
        "pays",
        "Tables 1, 2",
        "Nodes 17 and 29 pay penalties, all others none.",
        "17, 29",
        "nodes that pay and should not, or the reverse",
        _wrong_payers,
        lambda v: v == 0,
        "none",
        _whole,
        built_in="these two are set to default, and who performs pays nothing",
    ),
    Claim(
        "plain-all",
        "Table 3",
        "Plain Raft: every node can become leader.",
        "",
        "nodes elected in 200 elections",
        _plain_leaders,
        lambda v: v == 30,
        "all 30",
        _whole,
        built_in="the model draws plain leaders evenly; the real engine stands beside table 3",
    ),
    Claim(
        "plain-even",
        "Table 3",
        "Plain Raft: chances are about equal.",
        "",
        "chi-square, 29 degrees of freedom",
        _plain_unevenness,
        lambda v: v < CHI_SQUARE_99,
        "below the 99 % quantile of equal odds, 49.6",
        decimal,
        built_in="the model draws plain leaders evenly; the real engine stands beside table 3",
    ),
    Claim(
        "three",
        "Table 4",
        "Weighted Raft: only nodes 1, 2 and 5 lead.",
        "100 %",
        "elections won by 1, 2 and 5",
        _led_by_the_three,
        lambda v: v == 100,
        "all of them",
        _percent,
        100.0,
    ),
    Claim(
        "often",
        "Table 4",
        "Node 1 leads most often.",
        "node 1",
        "the node elected most often",
        _most_often,
        lambda v: v == 1,
        "it is node 1",
        lambda v: f"node {v:.0f}",
    ),
    *(
        Claim(
            f"led-{node}",
            "Table 4",
            f"Node {node} leads {count} of 200 times.",
            f"{count}",
            "elections",
            _led_by(node),
            None,
            "",
            _whole,
            float(count),
        )
        for node, count in zip(LEADERS, (146, 24, 30), strict=True)
    ),
    Claim(
        "reliable",
        "Section 6",
        "Who is elected is more reliable.",
        "",
        "defaults of the elected, of everybody's",
        _leaders_defaults,
        lambda v: v < 100,
        "fewer than everybody's",
        _percent,
    ),
    Claim(
        "constant",
        "Figures 1-3",
        "Plain Raft: the time of a consensus does not change.",
        "",
        "changes in 199 rounds",
        _plain_changes,
        lambda v: v == 0,
        "none",
        _whole,
        built_in="the model's votes are equal and its links do not change",
        places=SCENARIOS,
    ),
    Claim(
        "fluctuates",
        "Figures 1-3",
        "Weighted: the time of a consensus fluctuates.",
        "",
        "changes in 199 rounds",
        _weighted_changes,
        lambda v: v > 0,
        "at least one",
        _whole,
        places=SCENARIOS,
    ),
    Claim(
        "falls",
        "Figures 1-3",
        "Weighted: the time falls as consensus rounds go on.",
        "",
        f"last {FEW} rounds against the first {FEW}",
        _time_falls,
        lambda v: v < 0,
        "less than at first",
        _percent,
        places=SCENARIOS,
    ),
    Claim(
        "saves",
        "Figures 4-6",
        "Weighted Raft takes less time in total.",
        "",
        "saved after 200 rounds",
        _saving,
        lambda v: v > 0,
        "more than nothing",
        _percent,
        places=SCENARIOS,
    ),
    Claim(
        "nine",
        "Tables 5-7",
        "Efficiency improves by about 9 % after 200 rounds.",
        "9 %",
        "saved after 200 rounds",
        _saving,
        None,
        "",
        _percent,
        9.0,
        places=SCENARIOS,
    ),
    Claim(
        "grows",
        "Tables 5-7",
        "The time saved grows from 25 to 200 rounds.",
        "",
        "of 8 steps of 25 rounds that save",
        _saving_grows,
        lambda v: v == 8,
        "all of them",
        _whole,
        places=SCENARIOS,
    ),
    Claim(
        "share-grows",
        "Tables 5-7",
        "The more rounds, the more efficient.",
        "",
        "share saved of 200 rounds less that of 25 [percentage points]",
        _share_saved_grows,
        lambda v: v > 0,
        "more than after 25",
        decimal,
        places=SCENARIOS,
    ),
    Claim(
        "rises",
        "Figure 7",
        "Credit of nodes that perform grows ever more slowly.",
        "",
        "how many times as long a quarter of the rise takes as the one before, at least, of the first three",
        _credit_rises,
        lambda v: v > 1,
        "each takes longer than the one before; a default on the way may undo that",
        _times,
        places=_named(PERFORMING),
    ),
    Claim(
        "steadies",
        "Figure 7",
        "It stabilizes, with ripples of the decay.",
        "",
        "third quarter to fourth",
        _credit_steadies,
        lambda v: v <= 100 * STEADY,
        "at most 10 % apart",
        _percent,
        places=_named(PERFORMING),
    ),
    Claim(
        "far-below",
        "Figure 7",
        "Credit of nodes that default often is far lower.",
        "",
        "of all others' credit",
        _defaulters_credit,
        lambda v: v < 100 * FAR_BELOW,
        "less than half",
        _percent,
        places=_named(PAPER.defaulters),
    ),
    Claim(
        "wavers",
        "Figure 7",
        "Credit of nodes that default often fluctuates more.",
        "",
        f"changes of node {BROKE}'s credit from round to round, of those of nodes 1, 11 and 27",
        _wavering,
        lambda v: v > 1,
        "more than theirs",
        _times,
    ),
    Claim(
        "a-slows",
        "Figure 8",
        "A, always performing, grows ever more slowly.",
        "",
        "how many times as long a quarter of the rise takes as the one before, at least, of the first three",
        _a_slows,
        lambda v: v > 1,
        "each takes longer than the one before",
        _times,
    ),
    Claim(
        "a-calms",
        "Figure 8",
        "A's fluctuations decrease.",
        "",
        "its largest fall in the last quarter of rounds, of that in the first",
        _a_ripples,
        lambda v: v < 1,
        "smaller than at first",
        _times,
    ),
    Claim(
        "node-a",
        "Figure 8",
        "A, always performing, comes near a limit.",
        "",
        "credit at the end",
        _always_performs,
        lambda v: 50 < v < 100,
        "between 50 and 100 points",
        _points,
    ),
    Claim(
        "b-fast",
        "Figure 8",
        "B, always defaulting, falls rapidly.",
        "",
        "rounds until less than half is left",
        _b_halves,
        lambda v: v <= FAST,
        f"at most {FAST}",
        _whole,
    ),
    Claim(
        "node-b",
        "Figure 8",
        "B, always defaulting, tends to zero.",
        "0",
        "credit at the end",
        _always_defaults,
        lambda v: v < 1,
        "less than a point",
        lambda v: f"{v:.2f} points",
    ),
    Claim(
        "first",
        "Figure 9",
        "Node 1 is the first to get a certificate.",
        "node 1",
        "the first",
        _first_holder,
        lambda v: v == 1,
        "it is node 1",
        lambda v: f"node {v:.0f}" if v else "nobody",
    ),
    Claim(
        "jumps",
        "Figure 9",
        "Its certificate weight rises rapidly at first.",
        "",
        "rise with its first one",
        _first_jump,
        lambda v: v >= JUMP,
        "50 points or more",
        _points,
    ),
    Claim(
        "sells",
        "Figure 9",
        "It falls for 1 and 3 when they sell.",
        "",
        "sales at which it falls",
        lambda run: _changes_at_sales(run, [sale.seller for sale in run.inputs.sales], -1),
        lambda v: v == 100,
        "all of them",
        _percent,
        places=_named([sale.seller for sale in PAPER.sales]),
    ),
    Claim(
        "buys",
        "Figure 9",
        "It rises for 16 and 25 when they buy.",
        "",
        "purchases at which it rises",
        lambda run: _changes_at_sales(run, [sale.buyer for sale in run.inputs.sales], 1),
        lambda v: v == 100,
        "all of them",
        _percent,
        places=_named([sale.buyer for sale in PAPER.sales]),
    ),
    Claim(
        "between",
        "Figure 9",
        "Between purchases it slowly falls.",
        "",
        "left of it before the next purchase",
        _falls_between,
        lambda v: v < 100,
        "less than all",
        _percent,
        places=_named([sale.buyer for sale in PAPER.sales]),
    ),
    Claim(
        "weight-rises",
        "Figure 10",
        "Total weight grows from its first value.",
        "",
        "last quarter less first round",
        _weight_rises,
        lambda v: v > 0,
        "it is more",
        _points,
        places=_named(FIGURE_10),
    ),
    Claim(
        "weight-steadies",
        "Figure 10",
        "It comes to stay within a range.",
        "",
        "third quarter to fourth",
        _weight_steadies,
        lambda v: v <= 100 * STEADY,
        "at most 10 % apart",
        _percent,
        places=_named(FIGURE_10),
    ),
    Claim(
        "no-centre",
        "Figure 10",
        "Nobody's weight grows into over-centralization.",
        "",
        "the heaviest node's weight, of an equal share of all",
        _heaviest(1),
        lambda v: v < CENTRAL,
        "less than twice",
        _times,
    ),
    Claim(
        "no-three",
        "Figure 10",
        "Nor does that of a few.",
        "",
        f"weight of the {HEAVIEST} heaviest, of as many equal shares",
        _heaviest(HEAVIEST),
        lambda v: v < CENTRAL,
        "less than twice",
        _times,
    ),
)
