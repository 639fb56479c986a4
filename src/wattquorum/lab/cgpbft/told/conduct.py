"""Conduct, told: who comes to be an agent, with both stakes."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from wattquorum.foundation.quantities import MILLION
from wattquorum.lab.cgpbft import conduct
from wattquorum.lab.cgpbft.trials import DRAWN_FAILS, FAILS, Found
from wattquorum.lab.drawing import Panel, Picture, even_scale
from wattquorum.lab.parts import Part, Sheet

LAST: Final = 10  # epochs whose mean is the end of a course
RECONSTRUCTED: Final = {"asymmetric": (0.22, 0.01), "symmetric": (0.24, 0.03)}
FORMS: Final = {
    "asymmetric": ("c1", "misconduct costs more (B-5)"),
    "symmetric": ("c3", "misconduct costs as much"),
}


def _shares(found: Found, stakes: str, fails: int) -> list[list[float]]:
    """By seed: the share of faulty agents in every epoch."""
    own = sorted((each for each in found.courses if (each.stakes, each.fails) == (stakes, fails)), key=lambda c: c.seed)
    return [[epoch.faulty_agents / epoch.agents for epoch in each.epochs] for each in own]


def _end(shares: Sequence[float]) -> float:
    return sum(shares[-LAST:]) / LAST


def conduct_part(found: Found) -> Part:
    """Shares of faulty agents over epochs."""
    setting, manners = conduct.Setting(), conduct.Manners()
    rows = [_conduct_row(found, stakes, fails) for fails in FAILS for stakes in conduct.STAKES]
    rows += [
        (f"reconstruction, {stakes}", "", f"{first:.2f}", f"{last:.2f}", "", "", "")
        for stakes, (first, last) in RECONSTRUCTED.items()
    ]
    headings = (
        *(
            "stakes",
            "a faulty agent fails in",
            "faulty agents at first",
            f"mean of the last {LAST} epochs",
            "95 % of means",
        ),
        *("more than f failed [epochs]", "a faulty primary [epochs]"),
    )
    lead = (
        f"{setting.members} members in {setting.groups} groups, {setting.epochs} epochs, {found.seeds} seeds; "
        f"{manners.faulty * 100 // MILLION} % of members are faulty. They vote for the most trusted of their kind in "
        "their group, everybody else for the most trusted of all, by the product's own rules of grouping, ballots and "
        f"credit. Of other agents {manners.slips / 10_000:g} % fail in an epoch, and {manners.idle / 10_000:g} % of "
        "members do not vote. The stakes of the ledger are +1 and -5 points for an agent, +0.5 and -2 for its voters; "
        "the symmetric ones, for comparison and refused by the ledger, are +1 and -1, +0.5 and -0.5. An independent "
        "reconstruction, whose manners are not known, stands beside; nothing here was fitted to it."
    )
    sheet = Sheet("Faulty agents", headings, tuple(rows), "lrrrrrr")
    return Part(
        "conduct",
        "Conduct",
        "Who comes to be an agent",
        lead,
        (_conduct_picture(found), _judged(found), sheet, _primaries(found)),
    )


def _judged(found: Found) -> str:
    """What the paired difference over seeds says."""
    said = []
    for fails in FAILS:
        pairs = zip(_shares(found, "symmetric", fails), _shares(found, "asymmetric", fails), strict=True)
        gains = [_end(without) - _end(with_) for without, with_ in pairs]
        mean = sum(gains) / len(gains)
        if len(gains) < 2:
            said.append(f"{mean:+.3f} at {fails // 10_000} %")
            continue
        spread = (sum((each - mean) ** 2 for each in gains) / (len(gains) - 1) / len(gains)) ** 0.5
        said.append(f"{mean:+.3f} ({mean - 1.96 * spread:+.3f} to {mean + 1.96 * spread:+.3f}) at {fails // 10_000} %")
    return (
        "By so much the share of faulty agents at the end is larger where misconduct costs no more than conduct "
        f"brings, seed by seed, with the 95 % interval of the mean: {'; '.join(said)} of epochs in which a faulty "
        "agent fails."
    )


def _primaries(found: Found) -> str:
    """Why faulty primaries are more frequent than faulty agents."""
    fails = FAILS[0]
    epochs = [
        epoch for each in found.courses if (each.stakes, each.fails) == ("asymmetric", fails) for epoch in each.epochs
    ]
    agents = sum(epoch.faulty_agents for epoch in epochs) / sum(epoch.agents for epoch in epochs)
    primaries = sum(epoch.faulty_primary for epoch in epochs) / len(epochs)
    return (
        "A faulty agent has the votes of its whole group, while any other one lacks those of the faulty, who vote for "
        "their kind; and the agent with most votes is the primary. With the ledger's stakes and faulty agents that "
        f"fail in {fails // 10_000} % of epochs, {100 * agents:.0f} % of all agents are faulty over a course, and "
        f"{100 * primaries:.0f} % of all primaries."
    )


def _conduct_row(found: Found, stakes: str, fails: int) -> tuple[str, ...]:
    shares = _shares(found, stakes, fails)
    ends = conduct.band([_end(each) for each in shares])
    epochs = [epoch for each in found.courses if (each.stakes, each.fails) == (stakes, fails) for epoch in each.epochs]
    return (
        stakes,
        f"{fails // 10_000} %",
        f"{sum(each[0] for each in shares) / len(shares):.2f}",
        f"{ends.mean:.3f}",
        f"{ends.low:.3f} to {ends.high:.3f}",
        f"{100 * sum(epoch.beyond for epoch in epochs) / len(epochs):.2f} %",
        f"{100 * sum(epoch.faulty_primary for epoch in epochs) / len(epochs):.1f} %",
    )


def _conduct_picture(found: Found) -> Picture:
    epochs = len(found.courses[0].epochs)
    bands = {
        (stakes, fails): [conduct.band(values) for values in zip(*_shares(found, stakes, fails), strict=True)]
        for fails in DRAWN_FAILS
        for stakes in conduct.STAKES
    }
    banded = found.seeds > 1
    most = max(each.high if banded else each.mean for own in bands.values() for each in own)
    x, y = even_scale(0, epochs, 10), even_scale(0, 0.1 * ceil(10 * most), 0.1, lambda value: f"{value:.1f}")
    panels = []
    for fails in DRAWN_FAILS:
        panel = Panel(f"Share of faulty agents, failing in {fails // 10_000} %", x, y, "epoch", width=430)
        panel.rule(conduct.Manners().faulty / MILLION, "of all members: faulty")
        for stakes, (colour, name) in FORMS.items():
            own = bands[stakes, fails]
            if banded:
                low, high = (
                    [(float(at), getattr(each, end)) for at, each in enumerate(own)] for end in ("low", "high")
                )
                panel.band(low, high, colour)
            panel.line([(float(at), each.mean) for at, each in enumerate(own)], colour, name)
        panels.append(panel)
    label = "Share of faulty agents over epochs with both stakes; bands are 95 % intervals of the mean over seeds"
    return Picture("conduct", label, tuple(panels))
