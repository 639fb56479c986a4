"""Studies: the questions that the paper leaves open, each with its sweeps and what was found, in words and numbers.

A study's sweeps are files in `sweeps`, which anybody can copy, change and run. What a study says is made from their
results, so that a page never says what its tables do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Final, NamedTuple

from wattquorum.lab.sweeps.plan import Plan, plan_of
from wattquorum.lab.sweeps.registry import EXPERIMENTS
from wattquorum.lab.sweeps.results import Band, Results
from wattquorum.lab.sweeps.telling import nice

Found = Mapping[str, Results]  # by the names of sweeps


class Study(NamedTuple):
    """A question: `asks` says what is tried, `finds` what came out."""

    name: str
    title: str
    asks: str
    shows: Mapping[str, tuple[str, ...]]  # measures, by the sweep's name; no more than three are drawn
    finds: Callable[[Found], str]  # paragraphs, an empty line between them


def text_of(sweep: str) -> str:
    """The file of a sweep."""
    return (files("wattquorum.lab.beyond") / "sweeps" / f"{sweep}.toml").read_text(encoding="utf-8")


def plan_named(sweep: str, seeds: int | None = None) -> Plan:
    """A sweep of this folder; with so many seeds, unless nothing in it is drawn."""
    plan = plan_of(text_of(sweep), EXPERIMENTS, f"{sweep}.toml")
    if seeds is None or plan.seeds == (0,):
        return plan
    return Plan(plan.experiment, dict(plan.axes), range(seeds), plan.draws, plan.title, plan.drawn)


def percent(band: Band, digits: int = 1) -> str:
    """A share for people, with its band where it has one."""
    if band.middle is None or band.low is None or band.high is None:
        return "nothing"
    if band.low == band.high:
        return f"{100 * band.middle:.{digits}f} %"
    return f"{100 * band.middle:.{digits}f} % ({100 * band.low:.{digits}f} to {100 * band.high:.{digits}f})"


def number(band: Band) -> str:
    """A number for people, with its band where it has one."""
    if band.middle is None or band.low is None or band.high is None:
        return "none"
    return (
        nice(band.middle) if band.low == band.high else f"{nice(band.middle)} ({nice(band.low)} to {nice(band.high)})"
    )


def _majorities(found: Found) -> str:
    results = found["majorities"]

    def of(measure: str, tolerance: int, hysteresis: float) -> Band:
        return results.where(measure, tolerance=tolerance, hysteresis=hysteresis)

    def share(measure: str, tolerance: int = 9, hysteresis: float = 0.0) -> str:
        return percent(of(measure, tolerance, hysteresis))

    rounds = dict(results.plan.axes)["rounds"][0]
    assert isinstance(rounds, int)
    joint, steps = sum(results.column("apart_joint")), found["steps"]
    waited = max(abs(one - other) for one, other in zip(steps.column("before"), steps.column("during"), strict=True))
    return (
        "Read literally, with weights as they are, majorities need not meet at "
        f"{number(of('apart_rounds', -1, 0.0))} of {rounds - 1} changes; the ratio of votes alone, without a search, "
        f"shows it at {share('apart_quick', -1)} of them. Projection alone does not help: "
        f"{number(of('apart_rounds', 9, 0.0))}. Nor does the ledger's hysteresis of a hundredth, where votes move by "
        f"more than that nearly every day: {number(of('apart_rounds', 9, 0.01))}; with three hundredths it is "
        f"{number(of('apart_rounds', 9, 0.03))}, since votes change no more often. Whenever votes change at once, "
        "some members can decide by the old ones while the others decide by the new. With joint entries never: of "
        f"all parts that were found, {joint} could decide while one of them counts jointly. What that costs: two "
        f"entries for each change, {number(of('entries', 9, 0.01))} for each payload at a hundredth and "
        f"{number(of('entries', 9, 0.03))} at three; while both vectors count, a round takes "
        f"{share('longer', 9, 0.01)} longer. On the product's own engines a change takes "
        f"{number(steps.where('whole', tolerance=9))} ms until the new votes count alone, where a payload takes "
        f"{number(steps.where('before', tolerance=9))} ms; a payload that is proposed with the joint entry takes "
        f"{number(steps.where('during', tolerance=9))} ms, at most {waited:.1f} more or less than one before: nobody "
        f"waits. Saved is {share('saving')} with votes of every round, {share('saving', 9, 0.03)} with a hysteresis "
        f"of three hundredths and {share('saving', 9, 0.1)} with one of a tenth: votes that follow slowly still save."
    )


def _tolerance(found: Found) -> str:
    results = found["tolerance"]

    def share(lost: int, cast: str = "paper") -> str:
        return percent(results.where("saving", tolerance=lost, cast=cast))

    steps = (0, 6, 9, 11, 12, 13, 14)
    told = ", ".join(f"{share(lost)} at {lost}" for lost in steps)
    return (
        f"Weights as they are save {share(-1)} of consensus time and promise nothing; in the worst round any "
        f"{number(results.where('borne_least', tolerance=-1, cast='paper'))} of 30 members could still be lost. "
        f"Projected powers save {told}. At 9, a third and the ledger's default, that is {share(9)} with the paper's "
        f"cast and {share(9, 'even')} with one in which nobody is favoured. Weights in this scenario lie so near "
        "each other that a promise binds only beyond the number that they would bear anyway; from there it takes the "
        "saving step by step. What is left at 14 needs no weight to speak of: with equal votes 16 of 30 decide, with "
        f"votes that differ ever so little {number(results.where('fewest', tolerance=14, cast='paper'))} may."
    )


def _saving(found: Found) -> str:
    links, members, coefficients, decay = (found[name] for name in ("links", "members", "coefficients", "decay"))

    def linked(spread: float, jitter: float = 0.0) -> str:
        return percent(links.where("saving", spread=spread, jitter=jitter))

    def counted(times: float, eta: float = 0.9) -> str:
        return percent(coefficients.where("saving", participation=times, eta=eta))

    def peopled(pairs: int, cast: str = "paper") -> str:
        return percent(members.where("saving", pairs=pairs, cast=cast))

    def decayed(every: int) -> str:
        return percent(decay.where("saving", every=every, rho=1.0))

    def earned(rho: float, every: int = 10) -> str:
        return percent(decay.where("saving", every=every, rho=rho))

    return (
        f"Links: where all take the same time weights save {linked(0.0)}, where they lie 5 ms around 30 "
        f"{linked(5.0)}, with the paper's 10 to 50 ms {linked(20.0)}, from 0 to 60 ms {linked(30.0)}. Jitter: with "
        f"answers up to 10 ms late by chance it is {linked(20.0, 10.0)}, up to 40 ms {linked(20.0, 40.0)}. Members: "
        f"{peopled(3)} with 3 pairs, {peopled(15)} with 15, {peopled(120)} with 120; where nobody is favoured "
        f"{peopled(15, 'even')} with 15. What participation counts: {counted(0.0)} where it counts nothing, "
        f"{counted(1.0)} as in the paper, {counted(2.0)} at twice that, {counted(5.0)} at five times, where a "
        f"consumer's weight is participation alone. What a decay leaves: {counted(1.0, 0.8)} at 0.8, "
        f"{counted(1.0, 0.98)} at 0.98; a decay every 2 rounds {decayed(2)}, every 50 {decayed(50)}; where a reply "
        f"earns 0.2 points {earned(0.2)}, where it earns 3 {earned(3.0)}. So it is participation: weight goes to "
        "those who answer first, and saves the more, the more it counts, the faster it is earned and the longer it "
        "is remembered, until they are full of it: where a reply earns 3 points, a decay every 5 rounds leaves "
        f"{earned(3.0, 5)} and one every 50 no more, {earned(3.0, 50)}. Links have to differ, and to stay mostly as "
        "they are. Weights of trade alone favour those who trade, be they near or far."
    )


def _attacks(found: Found) -> str:
    wash, late, buying = found["wash"], found["late"], found["buying"]
    attempts = [str(each) for each in dict(wash.plan.axes)["attempt"]]
    gains = {each: wash.where("gain", attempt=each, tolerance=9).middle or 0.0 for each in attempts}
    costs = {each: wash.where("cost", attempt=each, tolerance=9).middle or 0.0 for each in attempts}
    gaining = [each for each in attempts if gains[each] > 0]
    losing = min(attempts, key=lambda each: gains[each])
    dear = max(attempts, key=lambda each: costs[each])
    others = max(value for value in wash.column("others") if value is not None)
    first = (
        f"Wash trades: of {len(attempts)} attempts {f'{len(gaining)} gain' if gaining else 'none gains'} the owners "
        f"anything in votes; the worst ({losing}) changes their share by {100 * gains[losing]:+.1f} %, and the "
        f"dearest ({dear}) costs them {costs[dear]:,.0f} CNY in a fortnight. Nobody else gains more than "
        f"{100 * others:.1f} % of its own share by any of them."
    )

    def lateness(measure: str, days: float) -> Band:
        return late.where(measure, days=days, depth=0.3)

    second = (
        "Late deliveries: a generator that is late on one day of twenty with three tenths of its promise pays and "
        f"misses {number(lateness('cost', 0.05))} CNY a day, and its share of weight changes by "
        f"{percent(lateness('weight', 0.05))}; on four days of five it is {number(lateness('cost', 0.8))} CNY and "
        f"{percent(lateness('weight', 0.8))}. Its partner has {number(lateness('partner', 0.8))} CNY a day more than "
        f"if it were punctual: it is made whole, and no more. Who performs gets {number(lateness('fines', 0.8))} CNY "
        "a day of fines."
    )

    def bought(measure: str, share: float) -> Band:
        return buying.where(measure, share=share, interval=15)

    (rounds,) = dict(buying.plan.axes)["rounds"]
    third = (
        "Certificates: a consumer that buys two fifths of what a generator holds every 15 rounds has "
        f"{percent(bought('power', 0.4))} more voting power than without, four fifths "
        f"{percent(bought('power', 0.8))}; the seller's changes by {percent(bought('seller', 0.4))} and "
        f"{percent(bought('seller', 0.8))}. At 30 CNY a certificate a percent of all votes, held over the second half "
        f"of {rounds} rounds, costs {number(bought('price_of_power', 0.4))} CNY in all of them. Of the three it is the "
        "one by which money buys votes; its bound is what certificates count."
    )
    return f"{first}\n\n{second}\n\n{third}"


def _concentration(found: Found) -> str:
    results = found["concentration"]

    def of(measure: str, rule: str, cast: str = "paper", tolerance: int = -1) -> Band:
        return results.where(measure, rule=rule, cast=cast, tolerance=tolerance)

    return (
        "With the paper's cast and the heaviest leading each round, three members lead "
        f"{percent(of('top', 'heaviest'))} of 2,000 rounds (Gini {number(of('gini', 'heaviest'))}), where by plain "
        f"Raft they would lead {percent(of('top', 'anybody'))} (Gini {number(of('gini', 'anybody'))}). Where nobody "
        f"is favoured it is {percent(of('top', 'heaviest', 'even'))} (Gini "
        f"{number(of('gini', 'heaviest', 'even'))}): the rule concentrates leadership without any favour, because "
        "carbon accounts and usual volumes are drawn once and stay. It changes after "
        f"{percent(of('changes', 'heaviest'))} of rounds; handed over as the product does it, from projected powers, "
        f"after {percent(of('changes', 'steady', 'paper', 9), 2)} (Gini {number(of('gini', 'steady', 'paper', 9))}). "
        f"Weights stay far more even than leadership: Gini {number(of('weights_gini', 'heaviest'))} in the last "
        f"round, and the heaviest has {percent(of('heaviest', 'heaviest'))} of all, where an equal share is 3.3 %."
    )


def _cabinet(found: Found) -> str:
    results = found["cabinet"]

    def of(measure: str, lost: int, jitter: float = 0.0) -> str:
        return percent(results.where(measure, tolerance=lost, jitter=jitter))

    return (
        f"Votes by latency save {of('cabinet', 1)} where one member may be lost, {of('cabinet', 4)} at 4, "
        f"{of('cabinet', 9)} at 9, {of('cabinet', 12)} at 12 and {of('cabinet', 14)} at 14. Standing, projected to "
        f"the same promise, saves {of('projected', 1)}, {of('projected', 4)}, {of('projected', 9)}, "
        f"{of('projected', 12)} and {of('projected', 14)}; without a promise {of('literal', 9)}. With answers up to "
        f"20 ms late by chance latency saves {of('cabinet', 9, 20.0)} at 9 and standing {of('projected', 9, 20.0)}. "
        "For speed alone standing is a poor substitute, but where so many may be lost that no votes save much: what it "
        "saves is the part of a quorum by latency that participation happens to bring about. What it is for, that who "
        "delivers decides, latency does not know."
    )


def _week(found: Found) -> str:
    results = found["week"]

    def of(measure: str, ordered: str) -> Band:
        return results.where(measure, ordered=ordered)

    return (
        f"With thirty replicas weights as they are save {percent(of('literal', 'replicas'))}, projected to 9 that "
        f"may be lost {percent(of('projected', 'replicas'))}, where votes by latency save "
        f"{percent(of('cabinet', 'replicas'))}; ordered by one sequencer {percent(of('literal', 'sequencer'))} and "
        f"{percent(of('projected', 'sequencer'))}. Participation does not show: a week brings at most seven points "
        "of it, and these links are others than those on which it was earned; what saves is that weights are not "
        f"equal. Majorities of days that follow each other need not meet at {percent(of('apart', 'replicas'))} of "
        f"changes. {number(of('leaders', 'replicas'))} members are heaviest on any of seven days; weights have a "
        f"Gini coefficient of {number(of('gini', 'replicas'))}, three members hold {percent(of('top', 'replicas'))} "
        f"of all weight, and nobody more than {number(of('largest', 'replicas'))} times the mean."
    )


STUDIES: Final = (
    Study(
        "majorities",
        "Do majorities meet?",
        "The literal rules let votes change after every round. For each change in 200 rounds of the paper's scenario "
        "all subsets of the 30 members are searched for two parts without a common member, of which one has more "
        "than half before and the other after it; each pair is put to the engine's own predicate, literally and "
        "jointly.",
        {
            "majorities": ("apart_rounds", "apart_quick", "changes", "entries", "longer", "saving"),
            "steps": ("before", "during", "whole"),
        },
        _majorities,
    ),
    Study(
        "tolerance",
        "What is weight worth at each promise?",
        "Voting powers are weights projected so that any t members may be lost, for every t from 0 to (n-1)//2; "
        "beside them weights as they are.",
        {"tolerance": ("saving", "borne_least", "fewest")},
        _tolerance,
    ),
    Study(
        "saving",
        "What does the saving depend on?",
        "The paper's scenario with one thing or two varied at a time: how far links lie apart and how much answers "
        "vary, how many members there are, what participation counts, and how standing decays. Leader 1; weights as "
        "they are.",
        dict.fromkeys(("links", "members", "coefficients", "decay"), ("saving", "last")),
        _saving,
    ),
    Study(
        "attacks",
        "Who gains, and what does it cost?",
        "Wash trading on a real ledger by the live rules; a generator that is late, and a consumer that buys "
        "certificates, by document A's rules, each beside the same luck without.",
        {
            "wash": ("gain", "others", "cost", "others_cost"),
            "late": ("weight", "power", "cost"),
            "buying": ("weight", "power", "seller", "price_of_power"),
        },
        _attacks,
    ),
    Study(
        "concentration",
        "Do a few lead for ever?",
        "2,000 rounds in which whoever the rule names leads, earns no participation for it, and is named anew.",
        {"concentration": ("gini", "top", "changes")},
        _concentration,
    ),
    Study(
        "cabinet",
        "Standing or latency?",
        "Cabinet (Zhang et al. 2025) deals votes out by who answered first. The same links, the same leader, the "
        "same number of members that may be lost.",
        {"cabinet": ("cabinet", "projected", "literal")},
        _cabinet,
    ),
    Study(
        "week",
        "And a real week?",
        "The shipped SimBench week, traded by the live rules on a ledger that a sequencer orders, and on thirty "
        "replicas. Each day's weights are put on links of 10 to 50 ms, drawn twenty times, with the heaviest "
        "leading.",
        {"week": ("literal", "projected", "cabinet", "apart", "leaders", "gini", "largest")},
        _week,
    ),
)
