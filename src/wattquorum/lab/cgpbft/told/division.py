"""Division, told: how even groups are, and how long forming them takes."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Final

from wattquorum.lab.cgpbft import division
from wattquorum.lab.cgpbft.told.pieces import NS_PER_MS
from wattquorum.lab.cgpbft.trials import Found
from wattquorum.lab.drawing import Panel, Picture, log_scale, values_scale
from wattquorum.lab.parts import Part, Sheet

WAY_COLOURS: Final = {"B-3": "c1", "snake": "c2", "random": "c3"}


def division_part(found: Found) -> Part:
    """Three ways of dividing, by how even they are."""
    rows = []
    for nodes in _nodes(found):
        for way in division.WAYS:
            own = [each for each in found.evens if (each.nodes, each.way) == (nodes, way)]
            rows.append(
                (
                    f"{nodes:,}",
                    f"{own[0].groups}",
                    way,
                    *(
                        f"{max(getattr(each, field) for each in own) / 10_000:.3f}"
                        for field in ("traded_ppm", "bound_ppm", "trust_ppm")
                    ),
                    f"{median(each.took_ns for each in own) / NS_PER_MS:,.1f}",
                )
            )
    headings = (*("nodes", "groups", "way", "N differs by [%]", "must by [%]", "T differs by [%]", "took [ms]"),)
    lead = (
        "By how much groups' sums differ at most, of their mean, in communities whose energy is skewed (a factor of "
        "2.2 for a standard deviation) and whose trust is 50 points, give or take 15; the worst of "
        f"{min(found.seeds, 5)} seeds. The rule B-3 allows 2 % in each. Beside it the snake deal, by falling energy "
        "back and forth, and a deal at random. Where one member trades more than a group's share, no groups of even "
        "size can be that even: by how much N must differ is told, too. Time is the processor's, in one thread."
    )
    sheet = Sheet("Groups", headings, tuple(rows), "rrlrrrr")
    return Part("division", "Groups", "How even groups are", lead, (_division_picture(found), sheet))


def _division_picture(found: Found) -> Picture:
    nodes_tried = _nodes(found)
    x = values_scale(nodes_tried, 80, max(nodes_tried) * 1.25)
    panels = []
    for title, field, scale, rule in (
        ("N differs by [%]", "traded_ppm", 10_000, 2.0),
        ("T differs by [%]", "trust_ppm", 10_000, 2.0),
        ("Processor time [ms]", "took_ns", NS_PER_MS, 0.0),
    ):
        every = [max(getattr(each, field) / scale, 0.001) for each in found.evens]
        panel = Panel(title, x, log_scale([*every, 2.5 if rule else 0.1]), "nodes", width=277)
        if rule:
            panel.rule(rule, "allowed")
        for way, colour in WAY_COLOURS.items():
            points = [
                (float(nodes), _worst((e for e in found.evens if (e.nodes, e.way) == (nodes, way)), field) / scale)
                for nodes in nodes_tried
            ]
            panel.line(points, colour, way)
            panel.dots(points, colour, tips=[f"{way}, {n:,.0f} nodes: {value:.3g}" for n, value in points], radius=3)
        panels.append(panel)
    return Picture("division", "How far groups differ in energy and trust, and how long it takes", tuple(panels))


def _nodes(found: Found) -> list[int]:
    return sorted({each.nodes for each in found.evens})


def _worst(evens: Iterable[division.Even], field: str) -> float:
    return max(float(getattr(each, field)) for each in evens)
