"""Tables: the paper's tables 1 to 7, claims and inputs, as rows for files and as sheets for pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.paper.agreement import Elected
from wattquorum.lab.paper.claims import CLAIMS, TABLED, Claim, decimal
from wattquorum.lab.paper.figures import HIGH, LOW, MIDDLE
from wattquorum.lab.paper.inputs import LEADERS, PAPER, RANGED
from wattquorum.lab.paper.study import Run, middle_of
from wattquorum.lab.paper.transacting import Account
from wattquorum.lab.paper.verdicts import (
    Evidence,
    Finding,
    Spread,
    Verdict,
    interval_of_odds,
    percent,
    range_of,
    told,
)
from wattquorum.lab.parts import Sheet

TONES: Final = {Finding.HOLDS: "good", Finding.COMPATIBLE: "good", Finding.FAILS: "bad"}  # others are plain
KWH: Final = 1_000
COLUMNS: Final[tuple[tuple[str, Callable[[Account], int]], ...]] = (
    ("price", lambda a: a.price),
    ("promised_wh", lambda a: a.promised),
    ("delivered_wh", lambda a: a.delivered),
    ("with_partner", lambda a: a.energy),
    ("over_grid_fee", lambda a: a.grid_fee),
    ("with_grid", lambda a: a.grid),
    ("result", lambda a: a.result),
    ("compensation_paid", lambda a: a.compensation),
    ("fine_paid", lambda a: a.fine),
    ("compensation_got", lambda a: a.compensated),
    ("share_got", lambda a: a.share),
    ("credit_before", lambda a: a.credit_before),
    ("credit", lambda a: a.credit),
)


class File(NamedTuple):
    """A table as a file."""

    name: str
    headings: Sequence[str]
    rows: Iterable[Sequence[object]]


# Files --------------------------------------------------------------------------------------------------------------


def files_of(chosen: Sequence[Run], drawn: Sequence[Run]) -> list[File]:
    """Tables 1 to 7 with every seed, and every run's measures."""
    pairs = PAPER.pairs
    found = []
    for number, side in ((1, slice(0, pairs)), (2, slice(pairs, None))):
        rows = [
            (run.seed, a.node, a.partner, *(of(a) for _, of in COLUMNS)) for run in chosen for a in run.accounts[side]
        ]
        found.append(File(f"table-{number}.csv", ("seed", "node", "partner", *(name for name, _ in COLUMNS)), rows))
    nodes = tuple(f"node_{node}" for node in range(1, PAPER.nodes + 1))
    found += [
        File("table-3.csv", ("seed", *nodes), [(run.seed, *run.led_plain) for run in chosen]),
        File("table-4.csv", ("seed", *nodes), [(run.seed, *run.led) for run in chosen]),
    ]
    for scenario in range(len(LEADERS)):
        rows = [(run.seed, after, *_totals(run, scenario, after)) for run in chosen for after in TABLED]
        found.append(File(f"table-{5 + scenario}.csv", ("seed", "rounds", "plain_us", "weighted_us"), rows))
    measures = [
        (kind, run.seed, claim.key, place + 1, repr(value))
        for kind, runs in (("chosen", chosen), ("drawn", drawn))
        for run in runs
        for claim, values in zip(CLAIMS, run.values, strict=True)
        for place, value in enumerate(values)
    ]
    return [*found, File("measures.csv", ("inputs", "seed", "claim", "place", "value"), measures)]


def claim_file(verdicts: Sequence[Verdict]) -> File:
    """Every claim with all spreads, a row for each scenario or node that it speaks of."""
    heads = ("claim", "where", "says", "paper", "measure", "test", "by_construction", "place")
    kinds = ("chosen", "drawn")
    spreads = tuple(f"{kind}_{name}" for kind in kinds for name in ("p5", "median", "p95", "median_from", "median_to"))
    counts = tuple(f"{kind}_{name}" for kind in kinds for name in ("runs_held", "runs", "places_held", "places"))
    rows = []
    for v in verdicts:
        claim = v.claim
        said = (claim.key, claim.where, claim.says, claim.paper, claim.shown, claim.test, claim.built_in)
        tallies = (*v.chosen.runs, *v.chosen.places, *v.drawn.runs, *v.drawn.places)
        for place, chosen, drawn in zip(claim.places or ("",), v.chosen.spreads, v.drawn.spreads, strict=True):
            rows.append((*said, place, *chosen, *drawn, *tallies, v.words))
    return File("claims.csv", (*heads, *spreads, *counts, "verdict"), rows)


def _totals(run: Run, scenario: int, after: int) -> tuple[int, int]:
    traces = run.traces
    assert traces is not None
    return int(traces.plain_us[scenario, :after].sum()), int(traces.weighted_us[scenario, :after].sum())


# Sheets -------------------------------------------------------------------------------------------------------------


def claims_sheet(verdicts: Sequence[Verdict]) -> Sheet:
    """Claim, paper, ours, verdict."""
    heads = ("where", "claim", "paper", "measured", "chosen inputs", "drawn inputs", "verdict")
    rows = [
        (
            v.claim.where,
            v.claim.says,
            v.claim.paper or "-",
            v.claim.shown + (f" ({v.claim.test})" if v.claim.test else ""),
            _measured(v.claim, v.chosen),
            _measured(v.claim, v.drawn),
            v.finding.value + (f": {v.claim.built_in}" if v.finding is Finding.BUILT_IN else ""),
        )
        for v in verdicts
    ]
    tones = tuple(TONES.get(v.finding, "plain") for v in verdicts)
    return Sheet("Medians, 5-95 % bands, and in how many runs it holds", heads, tuple(rows), "ltltttt", tones)


def _measured(claim: Claim, evidence: Evidence) -> str:
    """A band for each place, and what it means for the claim."""
    of_number = claim.holds is None
    bands = [_band(claim.text, spread, of_number=of_number) for spread in evidence.spreads]
    if len(set(bands)) == 1:
        return f"{bands[0]}; {told(claim, evidence)}"
    shown = "; ".join(f"{place}: {band}" for place, band in zip(claim.places, bands, strict=True))
    return f"{shown}; {told(claim, evidence)}"


def _band(text: Callable[[float], str], spread: Spread, *, of_number: bool) -> str:
    low, median, high, from_, to = map(text, spread)
    if low == high:
        return median
    interval = f", interval of the median {range_of(from_, to)}" if of_number else ""
    return f"{median} ({range_of(low, high)}{interval})"


def transaction_sheets(runs: Sequence[Run]) -> list[Sheet]:
    """Tables 1 and 2 of the first seed, and what all seeds have."""
    pairs, first = PAPER.pairs, runs[0]
    heads = (
        *("node", "partner", "price [CNY/kWh]", "negotiated [kWh]", "actual [kWh]"),
        *("RESULT", "penalty [CNY]", "compensation got [CNY]", "share of fines [CNY]", "credit [points]"),
    )
    found = []
    for number, side, kind, result in (
        (1, slice(0, pairs), "generation", "income [CNY]"),
        (2, slice(pairs, None), "consumption", "expenditure [CNY]"),
    ):
        own = tuple(result if head == "RESULT" else head for head in heads)
        caption = f"Table {number}: results of {kind} node transactions, seed {first.seed}; credit was 50 before"
        found.append(Sheet(caption, own, tuple(_account(a) for a in first.accounts[side]), "r" * len(own)))
        nodes = zip(*(run.accounts[side] for run in runs), strict=True)
        caption = f"Table {number} over all {len(runs)} seeds: medians, with the 5-95 % band of result and credit"
        found.append(Sheet(caption, own, tuple(map(_accounts, nodes)), "r" * len(own), folded=True))
    return found


def _account(a: Account) -> tuple[str, ...]:
    return (
        f"{a.node}",
        f"{a.partner}",
        f"{a.price / MILLION:.3f}",
        f"{a.promised / KWH:.3f}",
        f"{a.delivered / KWH:.3f}",
        _money(a.result),
        _money(a.penalty),
        _money(a.compensated),
        _money(a.share),
        f"{a.credit / MILLION:.3f}",
    )


def _accounts(own: Sequence[Account]) -> tuple[str, ...]:
    def middle(of: Callable[[Account], int]) -> float:
        return float(np.median([of(a) for a in own]))

    def band(of: Callable[[Account], int]) -> str:
        low, median, high = (each / MILLION for each in np.percentile([of(a) for a in own], (LOW, MIDDLE, HIGH)))
        return f"{median:.2f} ({low:.2f} to {high:.2f})"

    return (
        f"{own[0].node}",
        f"{own[0].partner}",
        f"{middle(lambda a: a.price) / MILLION:.3f}",
        f"{middle(lambda a: a.promised) / KWH:.1f}",
        f"{middle(lambda a: a.delivered) / KWH:.1f}",
        band(lambda a: a.result),
        _money(middle(lambda a: a.penalty)),
        _money(middle(lambda a: a.compensated)),
        _money(middle(lambda a: a.share)),
        band(lambda a: a.credit),
    )


def _money(amount: float) -> str:
    return f"{amount / MILLION:.4f}" if amount else "-"


def plain_sheet(runs: Sequence[Run], elected: Sequence[Elected]) -> Sheet:
    """Table 3: how often each node leads in 200 elections of the model, and in those of the product's Raft."""
    led, times, all_ = np.array([run.led_plain for run in runs]), times_elected(elected), len(elected)
    middle = middle_of(runs)
    rows = [
        (*_led(f"{node}", led[:, node - 1], middle), f"{count}", range_of(*map(percent, interval_of_odds(count, all_))))
        for node, count in enumerate(times, start=1)
    ]
    heads = (*_led_heads(runs, middle, "model, "), f"product's Raft: of {all_:,}", "95 % interval of its odds")
    caption = f"Table 3: leaders of {led[0].sum()} elections, plain Raft; the model, and the product's Raft beside it"
    return Sheet(caption, heads, tuple(rows), "r" * len(heads))


def times_elected(elected: Sequence[Elected]) -> list[int]:
    """How often the product's Raft elected each node."""
    counts = Counter(each.leader for each in elected)
    return [counts[node] for node in range(1, PAPER.nodes + 1)]


def weighted_sheet(runs: Sequence[Run]) -> Sheet:
    """Table 4: how often each node leads in 200 elections of the model; who hardly ever does, together."""
    led, middle = np.array([run.led for run in runs]), middle_of(runs)
    often = np.flatnonzero(np.median(led, axis=0))
    rows = [_led(f"{node + 1}", led[:, node], middle) for node in often]
    if often.size < led.shape[1]:
        rows.append(_led("all others", np.delete(led, often, axis=1).sum(axis=1), middle))
    heads = _led_heads(runs, middle, "")
    return Sheet(f"Table 4: leaders of {led[0].sum()} elections, weighted Raft", heads, tuple(rows), "r" * len(heads))


def _led_heads(runs: Sequence[Run], middle: int, whose: str) -> tuple[str, ...]:
    return (
        "node",
        f"{whose}seed {runs[0].seed}",
        f"seed {runs[middle].seed}, the median one",
        *("median", "5-95 %", "mean", "seeds in which it leads at all"),
    )


def _led(name: str, times: Int64s, middle: int) -> tuple[str, ...]:
    low, median, high = np.percentile(times, (LOW, MIDDLE, HIGH))
    return (
        name,
        f"{times[0]}",
        f"{times[middle]}",
        f"{median:.0f}",
        f"{low:.0f} to {high:.0f}",
        f"{times.mean():.2f}",
        f"{100 * (times > 0).mean():.0f} %",
    )


def saving_sheet(runs: Sequence[Run], scenario: int) -> Sheet:
    """Tables 5 to 7: total time after 25, 50, ... rounds, and the saving."""
    rows = []
    for after in TABLED:
        totals = np.array([_totals(run, scenario, after) for run in runs], dtype=np.float64)
        saved = 100 * (1 - totals[:, 1] / totals[:, 0])
        low, median, high = np.percentile(saved, (LOW, MIDDLE, HIGH))
        plain, weighted = totals[0] / MILLION
        rows.append(
            (
                f"{after}",
                f"{plain:.3f}",
                f"{weighted:.3f}",
                f"{decimal(saved[0])} %",
                f"{np.median(totals[:, 0]) / MILLION:.3f}",
                f"{np.median(totals[:, 1]) / MILLION:.3f}",
                f"{decimal(median)} %",
                f"{decimal(low)} to {decimal(high)} %",
            )
        )
    seed = f"seed {runs[0].seed}"
    heads = (
        *("rounds", f"{seed}: plain [s]", "weighted [s]", "saved"),
        *("median: plain [s]", "weighted [s]", "saved", "5-95 %"),
    )
    caption = f"Table {5 + scenario}: total consensus time, scenario {1 + scenario} (node {LEADERS[scenario]} leads)"
    return Sheet(caption, heads, tuple(rows), "r" * len(heads))


def inputs_sheet() -> Sheet:
    """Every input that the paper does not state."""
    return Sheet(
        "Inputs that the paper does not state",
        ("input", "chosen", "drawn, for each seed, evenly"),
        tuple((each.name, each.chosen, each.drawn) for each in RANGED),
        "ttt",
    )
