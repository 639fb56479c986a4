"""Outages, told: what a crash costs, and how many bad agents it takes."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import median

from wattquorum.consensus.bft.committee import quorum_of, tolerated
from wattquorum.lab.cgpbft import outages
from wattquorum.lab.cgpbft.told.pieces import AMONG, COLOURS, PBFT
from wattquorum.lab.cgpbft.trials import RECOVERING, Found
from wattquorum.lab.drawing import Panel, Picture, even_scale, named_scale
from wattquorum.lab.parts import Part, Sheet


def outages_part(found: Found) -> Part:
    """Crashes of primaries, and bad agents."""
    rows = []
    for agents in RECOVERING:
        for timeout in outages.TIMEOUTS_MS:
            own = [each for each in found.recoveries if (each.agents, each.timeout_ms) == (agents, timeout)]
            rows.append(
                (
                    PBFT if agents == RECOVERING[0] else AMONG,
                    f"{timeout:,}",
                    *_middle_and_most([each.agreed_ms for each in own]),
                    *_middle_and_most([each.everywhere_ms for each in own]),
                    f"{sum(each.timeouts_later for each in own)}",
                )
            )
    headings = (
        *("", "timeout [ms]", "agreed again, median [ms]", "at most", "at every member, median [ms]", "at most"),
        "later blocks that took a timeout",
    )
    lead = (
        f"{RECOVERING[0]} members, all agreeing or {RECOVERING[1]} of them for their groups; a transaction every "
        f"{outages.EVERY_MS} ms; links of 5 to 25 ms. The primary ends for good at a moment that the seed draws "
        f"({found.seeds} seeds). Its backup takes over when the view's timer has run out, once and not at every "
        "height. Members whose own agent is gone find the block by asking other agents, every "
        f"{outages.POLL_MS} ms."
    )
    bad = (
        "And how many bad agents it takes: the most with which it goes on, the fewest with which it stops or forks. "
        "Silent ones say nothing; colluding ones, the primary among them, propose one block to half of the others and "
        "another one to the rest, and vote for both. With q = ceil((g+f+1)/2) and f = (g-1)//3, agreement stops when "
        "fewer than q are left, and forks where 2q-g or more collude, which is always more than f. In between it "
        "stops and forks nothing."
    )
    trial_headings = (
        *("agents", "f", "quorum", "silent: goes on with", "stops with", "colluding: goes on with", "stops with"),
        *("forks with", "as counted"),
    )
    groups = sorted({trial.agents for trial in found.trials})
    sheet = Sheet("Bad agents", trial_headings, tuple(_trial_row(found, each) for each in groups), "rrrrrrrrl")
    return Part(
        "outages",
        "Outages",
        "When agents fail",
        lead,
        (
            _outages_picture(found),
            Sheet("After a primary's crash", headings, tuple(rows), "l" + "r" * (len(headings) - 1)),
            bad,
            sheet,
        ),
    )


def _middle_and_most(values: Sequence[int]) -> tuple[str, str]:
    return f"{median(values):,.0f}", f"{max(values):,}"


def _trial_row(found: Found, agents: int) -> tuple[str, ...]:
    own = [trial for trial in found.trials if trial.agents == agents]

    def those(fault: outages.Fault, ending: outages.Ending) -> str:
        bad = [trial.bad for trial in own if (trial.fault, trial.ending) == (fault, ending)]
        if not bad:
            return "none"
        shown = bad[-1] if ending is outages.Ending.ON else bad[0]
        return f"{shown} ({100 * shown / agents:.0f} %)"

    silent, colluding = outages.Fault
    on, stops, forks = outages.Ending
    return (
        f"{agents}",
        f"{tolerated(agents)}",
        f"{quorum_of(agents)}",
        those(silent, on),
        those(silent, stops),
        those(colluding, on),
        those(colluding, stops),
        those(colluding, forks),
        "yes" if all(trial.ending is outages.expected(*trial[:3]) for trial in own) else "no",
    )


def _outages_picture(found: Found) -> Picture:
    timeouts = outages.TIMEOUTS_MS
    x = named_scale([f"{each:,}" for each in timeouts])
    values = [each.everywhere_ms for each in found.recoveries]
    top = ceil(max(values) / 500) * 500
    y = even_scale(0, top, 500, lambda value: f"{value:,.0f}")
    after = Panel("From the crash on [ms]", x, y, "timeout [ms]", width=430)
    looks = (
        (RECOVERING[0], "agreed_ms", -0.24, False, f"{PBFT}, agreed again"),
        (RECOVERING[0], "everywhere_ms", -0.08, True, "at every member"),
        (RECOVERING[1], "agreed_ms", 0.08, False, f"{AMONG}, agreed again"),
        (RECOVERING[1], "everywhere_ms", 0.24, True, "at every member"),
    )
    for agents, field, shift, hollow, name in looks:
        own = [each for each in found.recoveries if each.agents == agents]
        points = [(timeouts.index(each.timeout_ms) + shift, float(getattr(each, field))) for each in own]
        colour = COLOURS[PBFT if agents == RECOVERING[0] else AMONG]
        after.dots(points, colour, name, radius=3, opacity=0.55, hollow=hollow)
    groups = sorted({each.agents for each in found.trials})
    most = max(each.bad for each in found.trials)
    panels = [after]
    counts = named_scale([str(bad) for bad in range(most + 1)])
    places = named_scale([str(each) for each in groups])
    endings = Panel("Bad agents: left silent, right colluding", places, counts, "agents", width=430)
    endings.line([(at, float(tolerated(g))) for at, g in enumerate(groups)], "plain", "f", dashed=True)
    kinds = (
        (outages.Ending.ON, "good", False),
        (outages.Ending.STOPS, "c2", False),
        (outages.Ending.FORKS, "bad", True),
    )
    for ending, colour, cross in kinds:
        for fault, shift in ((outages.Fault.SILENT, -0.15), (outages.Fault.COLLUDING, 0.15)):
            own_trials = [each for each in found.trials if (each.ending, each.fault) == (ending, fault)]
            points = [(groups.index(each.agents) + shift, float(each.bad)) for each in own_trials]
            tips = [f"{each.bad} of {each.agents} {each.fault}: {each.ending}" for each in own_trials]
            named = ending.value if fault is outages.Fault.COLLUDING else ""
            if cross:
                endings.crosses(points, colour, named, tips=tips)
            else:
                endings.dots(points, colour, named, tips=tips)
    panels.append(endings)
    label = "Time to agree again after a primary's crash, and what bad agents lead to (left silent, right colluding)"
    return Picture("outages", label, tuple(panels))
