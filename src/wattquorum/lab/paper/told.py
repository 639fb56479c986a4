"""Told: what came out, as the parts of a page; every number in a sentence is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from wattquorum.lab.drawing import Panel, Picture, log_scale, values_scale
from wattquorum.lab.paper.agreement import SITUATIONS, Case
from wattquorum.lab.paper.claims import ADDED, CHI_SQUARE_99, CLAIMS, LATER, decimal, unevenness
from wattquorum.lab.paper.figures import Figure, picture_of
from wattquorum.lab.paper.inputs import LEADERS, PAPER
from wattquorum.lab.paper.scale import Took
from wattquorum.lab.paper.study import VARIANTS, Found, Variant, middle_of
from wattquorum.lab.paper.tables import (
    claims_sheet,
    inputs_sheet,
    plain_sheet,
    saving_sheet,
    times_elected,
    transaction_sheets,
    weighted_sheet,
)
from wattquorum.lab.paper.verdicts import Finding, Verdict, interval_of_odds, percent, range_of
from wattquorum.lab.parts import Part, Sheet

TITLE: Final = "Document A, reproduced"
PAPER_NAME: Final = (
    "Xiong, Liu, Qu and Cai: Power trading Raft consensus mechanism considering green certificate and carbon emission "
    "weights. Frontiers in Energy Research 2023, doi 10.3389/fenrg.2023.1298318"
)
IN_DOCS: Final = ("figure-01", "figure-04", "figure-07", "figure-09", "figure-10")
SAID: Final = {
    "apart": "ranks wait longer than a vote takes",
    "equal": "the same, and votes are equal: plain Raft",
    "crash": "weighted; the leader crashes",
    "behind": "weighted; the leader crashes, the heaviest of the rest missed the last entry",
    "paper": f"ranks wait {PAPER.step_us // 1_000} ms each, as in the paper",
}


def parts_of(
    found: Found, verdicts: Sequence[Verdict], figures: Sequence[Figure], took: Sequence[Took]
) -> tuple[Part, ...]:
    """The page."""
    return (
        _claims(found, verdicts),
        _trade(found),
        _elections(found),
        _consensus(found, figures[:3], "single", "Time of each consensus", "Figures 1 to 3", ()),
        _consensus(
            found,
            figures[3:6],
            "total",
            "Total consensus time",
            "Figures 4 to 6, tables 5 to 7",
            tuple(saving_sheet(found.chosen, scenario) for scenario in range(len(LEADERS))),
        ),
        _weights(figures[6:]),
        _hangs(found),
        _engines(found.cases),
        _scale(took),
        _method(),
    )


def page_of(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The page of the documentation: what was found and how, with some of the pictures; the report has all."""
    pictures = {item.name: item for part in parts for item in part.items if isinstance(item, Picture)}
    lead = (
        "The first seed's course, dashed the median seed's, and the median and 5-95 % band of all seeds; the report "
        "has all ten."
    )
    figures = Part("figures", "Figures", "Some figures", lead, tuple(pictures[name] for name in IN_DOCS))
    named = {part.name: part for part in parts}
    total = named["total"]._replace(title="The saving", items=())
    return (
        named["claims"],
        named["elections"],
        total,
        figures,
        named["hangs"],
        named["engines"],
        named["scale"],
        named["method"],
    )


def _claims(found: Found, verdicts: Sequence[Verdict]) -> Part:
    counts = {finding: sum(v.finding is finding for v in verdicts) for finding in Finding}
    said = "; ".join(f"{count}: {finding.value}" for finding, count in counts.items() if count)
    lead = (
        f"What the paper says that its simulation shows, beside {found.seeds} seeds with inputs that were chosen to "
        f"show it and {found.seeds} with inputs drawn from ranges. Of {len(verdicts)} claims - {said}."
    )
    later, added = (", ".join(f'"{each.says}"' for each in CLAIMS if each.key in keys) for keys in (LATER, ADDED))
    how = (
        "A run is one seed, and bears a claim out where it does in every scenario, or for every node, that the claim "
        "speaks of; in brackets is the 95 % interval of the odds (Clopper and Pearson). How many single scenarios or "
        "nodes pass is told beside it: they share a seed's trade, and are no runs of their own. A claim holds where at "
        "least 95 % of the runs bear it out, with chosen and with drawn inputs; the test is in brackets. What holds by "
        "construction was put into the model, and says that the model is as it should be and nothing of the world."
    )
    number = (
        "A number of the paper is compared with our median, whose 95 % interval is exact (order statistics): it is "
        "compatible where it lies within that in every scenario. In the band of 90 % of our runs, and not there, one "
        "run may well show it and most do not."
    )
    when = (
        "Thresholds were set before the runs and not moved, with these exceptions: the tests of "
        f"{later} and the comparison of numbers were made stricter after all runs had been seen, and so was the rule "
        f"that every scenario and node has to pass. {added} were added then, when figures had been seen as well. No "
        "seed was picked."
    )
    return Part("claims", "Claims", "Claims and verdicts", lead, (claims_sheet(verdicts), how, number, when))


def _trade(found: Found) -> Part:
    lead = (
        "One day of 15 pairs at a feed-in tariff of 0.40, a grid price of 0.75 and an over-the-grid fee of 0.04 "
        "CNY/kWh. Nodes 17 and 29 default. Settlement, credit, penalty and shares are the ledger's own code, exact to "
        "a millionth."
    )
    return Part(
        "trade", "Tables 1, 2", "Simulation of distributed power trading", lead, tuple(transaction_sheets(found.chosen))
    )


def _elections(found: Found) -> Part:
    counts = np.array([[run.led[leader - 1] for leader in LEADERS] for run in found.chosen])
    paper = np.array([146, 24, 30])
    nearest = counts[np.abs(counts - paper).sum(axis=1).argmin()]
    lead = (
        "200 elections, before and after weights are introduced; participation is left out of the weight, as the paper "
        "does. The paper calls its tables 3 and 4 results (A) and (B), and our source does not show what each holds: "
        "here one has plain Raft, the other weighted. In the model, plain Raft elects whoever draws the shortest "
        "timeout, and weighted Raft whom a ranking puts first: its tables hold no election with messages. What the "
        "real engine does stands beside table 3, and of weighted elections below."
    )
    said = (
        f"The paper has 146, 24 and 30 elections won by nodes 1, 2 and 5. The seed that comes nearest has "
        f"{nearest[0]}, {nearest[1]} and {nearest[2]}; it is named to say that such counts are within reach, and "
        "nothing else uses it."
    )
    first, middle = found.chosen[0], found.chosen[middle_of(found.chosen)]
    own, same = first.led[LEADERS[0] - 1], int(np.count_nonzero(counts[:, 0] == paper[0]))
    chance = ", the paper's very number," if own == paper[0] else ""
    seeds = (
        f"Seed {first.seed} is shown for being the first. That it has {own} elections won by node 1{chance} says "
        f"nothing: {same} of {len(counts)} seeds have {paper[0]}. Seed {middle.seed} beside it, which figures draw as "
        "well, is the one with node 1's median, and of those the nearest to the median saving."
    )
    sheets = (plain_sheet(found.chosen, found.plain), weighted_sheet(found.chosen))
    items = (*sheets, _plain_said(found), seeds, said)
    return Part("elections", "Tables 3, 4", "Comparison of election of leading node", lead, items)


def _plain_said(found: Found) -> str:
    """What the real engine does with equal votes."""
    counts = times_elected(found.plain)
    uneven = unevenness(np.array(counts))
    calm = [case.leader for case in found.cases if case.situation == "equal"]
    first = sum(leader == 1 for leader in calm)
    low, high = interval_of_odds(first, len(calm))
    is_even = "below" if uneven < CHI_SQUARE_99 else "not below"
    return (
        f"Table 3 beside the product's own Raft with equal votes on the same links. From a calm start it elects node 1 "
        f"in {first} of {len(calm)} elections ({range_of(percent(low), percent(high))} with 95 % confidence), for it "
        f"ranks equal votes by address: chances are not equal there, and are not meant to be. Where an election "
        f"failed it draws, as the paper's plain Raft does at once: of {len(found.plain):,} such elections, "
        f"{len(found.plain) // found.seeds} for each seed, nodes won {min(counts)} to {max(counts)}, chi-square "
        f"{uneven:.1f}, {is_even} the 99 % quantile of equal odds, {CHI_SQUARE_99:.1f}."
    )


def _consensus(
    found: Found, figures: Sequence[Figure], name: str, title: str, short: str, sheets: Sequence[Sheet]
) -> Part:
    leads = {
        "single": (
            "A round is decided by the reply of the intermediate node: the follower that gives the leader more than "
            "half of all votes, or of all weight. Links differ and do not change."
        ),
        "total": _saving_said(found),
    }
    items: list[str | Sheet | Picture] = []
    for place, figure in enumerate(figures):
        items += [picture_of(figure), f"Figure {figure.number}. {figure.title}. {figure.caption}"]
        items += sheets[place : place + 1]
    return Part(name, short, title, leads[name], tuple(items))


def _variant(found: Found, name: str) -> list[Variant]:
    return [each for each in found.variants if each.name == name]


def _saved(variants: Sequence[Variant]) -> float:
    """The mean share saved, over seeds and leaders [%]."""
    return 100 * float(np.mean([share for each in variants for share in each.saved]))


def _saving_said(found: Found) -> str:
    own = 100 * np.array([each.saved for each in _variant(found, "as chosen")])
    means = own.mean(axis=1)  # of each seed: its scenarios are no draws of their own
    error = 1.96 * means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else 0.0
    medians = np.median(own, axis=0)
    unequal = _saved(_variant(found, "participation earns nothing"))
    narrow = _saved(_variant(found, "links of 20 to 40 ms"))
    return (
        f"After {PAPER.rounds} rounds {means.mean():.1f} % of the time is saved, in the mean over all seeds and "
        f"leaders, give or take {error:.1f} (95 %, by the spread of seeds); in the median {medians.min():.1f} to "
        f"{medians.max():.1f} %, by the scenario, for a few seeds save much more than most. In substance that is a "
        f"quorum weighted by latency: {unequal:.1f} % come from unequal weights alone, the rest from participation, "
        f"which moves weight to whoever answers early. With links of 20 to 40 ms it is {narrow:.1f} %."
    )


def _weights(figures: Sequence[Figure]) -> Part:
    lead = "Credit, certificate weight and total weight of some nodes in scenario 1, in which node 1 leads."
    items: list[str | Sheet | Picture] = []
    for figure in figures:
        items += [picture_of(figure), f"Figure {figure.number}. {figure.title}. {figure.caption}"]
    return Part("weights", "Figures 7 to 10", "Changes in node weights", lead, tuple(items))


def _hangs(found: Found) -> Part:
    rows = []
    for name in VARIANTS:
        own = _variant(found, name)
        led = np.array([each.led for each in own])
        only = float((led.sum(axis=1) == PAPER.rounds).mean())
        saved = 100 * np.array([each.saved for each in own])
        low, high = np.percentile(saved, (5, 95))
        rows.append(
            (
                name,
                *(f"{count:.0f}" for count in np.median(led, axis=0)),
                f"{100 * only:.0f} %",
                f"{saved.mean():.1f} %",
                f"{decimal(low)} to {decimal(high)} %",
            )
        )
    heads = ("inputs", "node 1 leads", "node 2", "node 5", "seeds in which only these lead", "saved, mean", "5-95 %")
    sheet = Sheet("One favour less at a time", heads, tuple(rows), "trrrrrr")
    lead = (
        "The paper does not say why nodes 1, 2 and 5 lead, but for their having more transactions and fewer defaults, "
        "and more certificates and carbon rights. The chosen inputs favour them so; here the favours are taken away "
        "one by one, and then what the saving lives on."
    )
    return Part("hangs", "What it hangs on", "What leaders and saving hang on", lead, (sheet, inputs_sheet()))


def _engines(cases: Sequence[Case]) -> Part:
    rows = []
    for situation in SITUATIONS:
        own = [case for case in cases if case.situation == situation]
        same = sum(case.leader == case.ranked for case in own)
        times = sum(case.fast_us == case.real_us and case.same_replies for case in own)
        took = np.percentile([case.election_us / 1_000 for case in own], (50, 95))
        rows.append(
            (
                SAID[situation],
                f"{len(own)}",
                f"{same}",
                f"{times}",
                f"{took[0]:.0f} ({took[1]:.0f})",
                f"{np.mean([case.terms for case in own]):.2f}",
                f"{np.mean([case.stood for case in own]):.1f}",
            )
        )
    heads = (
        *("situation", "elections", "the ranking's first is elected", "entry: same time and replies"),
        *("election takes [ms], median (95 %)", "terms", "nodes that stand"),
    )
    sheet = Sheet("The product's Raft beside the fast path", heads, tuple(rows), "trrrrrr")
    lead = (
        "The fast path has no messages. Here thirty of the product's Raft engines exchange frames over links of the "
        "same lengths, with the weights of rounds 1, 50 and 200 as their configuration, and an entry is decided. Times "
        "are compared to the microsecond, valid replies in their order."
    )
    orderly = [case for case in cases if case.situation in ("apart", "equal", "crash")]
    near = sum(case.leader != case.ranked for case in orderly)
    replies = sum(not case.same_replies for case in cases)
    late = sum(case.fast_us != case.real_us for case in cases)
    said = (
        "A real election is not a ranking where frames take longer than a rank's step: whoever hears nobody in time "
        "stands too, pre-votes go to all of them, and votes to whoever asks first from nearby. And it must not be one "
        "where the heaviest lacks an entry that others may have decided: Raft elects somebody who has it, and a "
        "ranking would lose it. With equal votes the engine ranks by address at first and draws only when that "
        "elected nobody, where the paper's plain Raft draws at once."
    )
    weightless = sum(case.same_weighty for case in cases if not case.same_replies)
    where = "there" if weightless == replies else f"in {weightless} of them"
    why = f"; {where} somebody without any weight answered early, whose reply the paper counts and the ledger does not"
    differs = (
        f"Where ranks wait, the engine still draws a little on top of each one's time: in {near} of {len(orderly)} "
        f"elections two turns came so near each other that both stood and the second won. Times of entries differ in "
        f"{late} of {len(cases)} cases, valid replies in {replies}{why if replies else ''}."
    )
    return Part("engines", "Two engines", "Two engines for one question", lead, (sheet, said, differs))


def _scale(took: Sequence[Took]) -> Part:
    last = took[-1]
    rows = tuple(
        (
            f"{each.nodes:,}",
            f"{each.course_ns / 1e9:.3f}",
            f"{each.course_ns / each.nodes / each.rounds:.1f}",
            f"{each.partial_sorts_ns / 1e9:.3f}",
            f"{each.course_ns / each.partial_sorts_ns:.1f}",
        )
        for each in took
    )
    heads = ("nodes", "course [s]", "per node and round [ns]", "partial sorts alone [s]", "times these")
    sheet = Sheet(f"{last.rounds} rounds of one seed, one leader", heads, rows, "rrrrr")
    nodes = [each.nodes for each in took]
    seconds = [each.course_ns / 1e9 for each in took], [each.partial_sorts_ns / 1e9 for each in took]
    panel = Panel(
        f"{last.rounds} rounds [s]",
        values_scale(nodes, nodes[0] * 0.8, nodes[-1] * 1.25, lambda n: f"{n:,.0f}"),
        log_scale([value for own in seconds for value in own]),
        "nodes",
        width=560,
    )
    for own, colour, name in zip(
        seconds, ("c1", "plain"), ("the round model", "one partial sort a round"), strict=True
    ):
        points = list(zip(map(float, nodes), own, strict=True))
        panel.line(points, colour, name)
        panel.dots(points, colour)
    lead = (
        f"The same rules for {last.nodes:,} nodes, with times that differ in every round, so that each needs its own "
        "search for the intermediate node: at the least one partial sort. Everything else a round takes is in the "
        "model's time: draws, credit, volume, certificates, weights, participation. These are processor times of this "
        "machine, and the only results that are not the same for the same seeds."
    )
    return Part(
        "scale", "Scale", "A hundred thousand nodes", lead, (Picture("scale", "Time against nodes", (panel,)), sheet)
    )


def _method() -> Part:
    lead = f"{PAPER_NAME}. Its formulas and tables are pictures in our source; shapes are reconstructed from its words."
    rules = (
        "The literal rules: each round's weights vote as they are and change at once, in one network without faults. "
        "So read, they are unsafe with real messages, and nothing that a node runs can reach them; the ledger changes "
        "powers by joint entries, and what that costs is another question."
    )
    code = (
        "Trade, standing, penalties, certificates and carbon are the product's own rules. Tables 1 and 2 call them; "
        "the rounds do the same sums on whole numbers for many seeds at once, and a property test holds both to each "
        "other, to the unit. Draws come from streams of their own for each purpose and seed, so that a seed's course "
        "depends neither on how many are played nor on how many processes share the work."
    )
    return Part("method", "Method", "How it was done", lead, (rules, code))
