"""Drawing: pictures as SVG text, for reports, pages and files alike.

A picture is a row of panels; a panel has two scales and what is drawn between them. Colours and type are those of the
report's style sheet, in light and in dark; what a mark says when pointed at is in its title. No script, no library, and
the same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10
from typing import Final, NamedTuple

GAP: Final = 30  # between panels
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 80, 48  # of a panel, around what is drawn
LETTER: Final = 6.3  # about what a letter of the legend is wide
STYLE: Final = """
svg.plot{--card:#ffffff;--ink:#1c2630;--soft:#56636f;--line:#dfe3e6;--plain:#8994a0;--good:#12806a;--bad:#c2460f;
--c1:#2a78b8;--c2:#d9a400;--c3:#dd6b20;--c4:#2f8f5b;--c5:#57b3d9;--c6:#b85f9b;--c7:#6f63b5;
font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
@media (prefers-color-scheme:dark){svg.plot{--card:#181f26;--ink:#e7ecf0;--soft:#a3b0bb;--line:#2b343d;--plain:#7c8894;
--good:#3cb89b;--bad:#f0834e;--c1:#549fdb;--c2:#e5bb33;--c3:#ee8a4a;--c4:#57b583;--c5:#84cbe8;--c6:#d386b9;--c7:#988dd8}}
svg.plot text{fill:var(--soft)}svg.plot .head{fill:var(--ink);font-weight:600;font-size:14px}
svg.plot .grid{stroke:var(--line)}svg.plot .rule{stroke:var(--plain);stroke-dasharray:4 3}
""".replace("\n", "")


class Scale(NamedTuple):
    """From a value to a place; `ticks` are (value, what is written there)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high one; what lies beyond is put at the end."""
        if self.log:
            held = max(value, self.low)
            found = (log10(held) - log10(self.low)) / (log10(self.high) - log10(self.low))
        else:
            found = (value - self.low) / (self.high - self.low)
        return min(max(found, 0.0), 1.0)


def short(value: float) -> str:
    """A number of a tick."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def log_scale(values: Sequence[float], text: Callable[[float], str] = short) -> Scale:
    """The powers of ten around values, or, within two of them, 1, 2 and 5 too."""
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    high = max(high, low + 1)
    steps = (1, 2, 5) if high - low <= 2 else (1,)
    ticks = [step * 10.0**power for power in range(low, high) for step in steps] + [10.0**high]
    return Scale(10.0**low, 10.0**high, tuple((each, text(each)) for each in ticks), log=True)


def even_scale(low: float, high: float, step: float, text: Callable[[float], str] = short) -> Scale:
    """Ticks at even steps."""
    count = round((high - low) / step)
    ticks = [low + step * place for place in range(count + 1)]
    return Scale(low, high, tuple((each, text(each)) for each in ticks))


def named_scale(names: Sequence[str]) -> Scale:
    """Places 0, 1, 2 ... for things that have names."""
    return Scale(-0.5, len(names) - 0.5, tuple((float(place), name) for place, name in enumerate(names)))


def values_scale(values: Sequence[float], low: float, high: float, text: Callable[[float], str] = short) -> Scale:
    """A logarithmic scale that names these values alone."""
    return Scale(low, high, tuple((each, text(each)) for each in values), log=True)


Point = tuple[float, float]


@dataclass
class Panel:
    """One pair of scales with what is drawn between them."""

    title: str
    x: Scale
    y: Scale
    x_title: str
    width: int = 400
    height: int = 364
    left: int = LEFT
    _marks: list[str] = field(default_factory=list)
    _legend: list[tuple[str, str, str]] = field(default_factory=list)  # how, colour, name

    @property
    def _inner(self) -> tuple[float, float, float, float]:
        return self.left, self.width - RIGHT, TOP, self.height - BOTTOM

    def place(self, point: Point) -> Point:
        """Where a point lies in the panel."""
        left, right, top, bottom = self._inner
        return left + self.x.share(point[0]) * (right - left), bottom - self.y.share(point[1]) * (bottom - top)

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.place, points))

    def line(self, points: Sequence[Point], colour: str, name: str = "", *, dashed: bool = False) -> None:
        """A line through points."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._marks.append(
            f'<polyline points="{self._path(points)}" fill="none" stroke="var(--{colour})" stroke-width="2"{dash}/>'
        )
        self.named("dash" if dashed else "line", colour, name)

    def band(self, low: Sequence[Point], high: Sequence[Point], colour: str) -> None:
        """What lies between two lines."""
        points = self._path([*low, *reversed(high)])
        self._marks.append(f'<polygon points="{points}" fill="var(--{colour})" fill-opacity="0.18"/>')

    def dots(
        self,
        points: Sequence[Point],
        colour: str,
        name: str = "",
        *,
        tips: Sequence[str] = (),
        hollow: bool = False,
        radius: float = 4,
        opacity: float = 1,
    ) -> None:
        """A dot at each point; `tips` are what they say when pointed at."""
        fill = "var(--card)" if hollow else f"var(--{colour})"
        for place, point in enumerate(points):
            x, y = self.place(point)
            tip = f"<title>{escape(tips[place])}</title>" if tips else ""
            self._marks.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}" stroke="var(--{colour})" '
                f'stroke-width="1.5" opacity="{opacity:g}">{tip}</circle>'
            )
        self.named("ring" if hollow else "dot", colour, name)

    def crosses(self, points: Sequence[Point], colour: str, name: str = "", *, tips: Sequence[str] = ()) -> None:
        """A cross at each point."""
        for place, point in enumerate(points):
            x, y = self.place(point)
            tip = f"<title>{escape(tips[place])}</title>" if tips else ""
            path = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
            self._marks.append(f'<path d="{path}" stroke="var(--{colour})" stroke-width="2.5" fill="none">{tip}</path>')
        self.named("cross", colour, name)

    def says(self, point: Point, text: str, colour: str = "soft", *, anchor: str = "middle", up: float = 9) -> None:
        """A word at a point."""
        x, y = self.place(point)
        look = f'text-anchor="{anchor}" style="fill:var(--{colour})"'
        self._marks.append(f'<text x="{x:.1f}" y="{y - up:.1f}" {look}>{escape(text)}</text>')

    def rule(self, value: float, text: str, *, leftmost: bool = False) -> None:
        """A level to be compared with; what it is stands at its right end, or at its left."""
        left, right, _, _ = self._inner
        y = self.place((self.x.low, value))[1]
        x, anchor = (left + 4, "start") if leftmost else (right, "end")
        self._marks.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="rule"/>')
        self._marks.append(f'<text x="{x}" y="{y - 5:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def named(self, how: str, colour: str, name: str) -> None:
        """What marks of a kind (line, dash, dot, ring, cross) and colour are; nothing for no name."""
        if name:
            self._legend.append((how, colour, name))

    def drawn(self, shift: int) -> str:
        """The panel, so far to the right."""
        left, right, _, bottom = self._inner
        parts = [
            f'<g transform="translate({shift} 0)">',
            f'<text x="{left}" y="22" class="head">{escape(self.title)}</text>',
        ]
        for value, text in self.y.ticks:
            y = self.place((self.x.low, value))[1]
            parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
        for value, text in self.x.ticks:
            x = self.place((value, self.y.low))[0]
            parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{escape(text)}</text>')
        parts.append(
            f'<text x="{(left + right) / 2:.0f}" y="{bottom + 38}" text-anchor="middle">{escape(self.x_title)}</text>'
        )
        parts += [*self._marks, *self._key(left), "</g>"]
        return "".join(parts)

    def _key(self, left: float) -> list[str]:
        parts, x, y = [], float(left), 44
        for how, colour, name in self._legend:
            wide = 22 + LETTER * len(name) + 12
            if x + wide - 12 > self.width and x > left:
                x, y = float(left), y + 16
            parts.append(_sample(how, colour, x, y - 4))
            parts.append(f'<text x="{x + 22:.0f}" y="{y}">{escape(name)}</text>')
            x += wide
        return parts


def _sample(how: str, colour: str, x: float, y: float) -> str:
    paint = f'stroke="var(--{colour})" stroke-width="2"'
    if how in ("line", "dash"):
        dash = ' stroke-dasharray="5 4"' if how == "dash" else ""
        return f'<line x1="{x:.0f}" x2="{x + 17:.0f}" y1="{y}" y2="{y}" {paint}{dash}/>'
    if how == "cross":
        return f'<path d="M{x + 5:.0f} {y - 4}l8 8m0 -8l-8 8" {paint} fill="none"/>'
    fill = "var(--card)" if how == "ring" else f"var(--{colour})"
    return f'<circle cx="{x + 9:.0f}" cy="{y}" r="4" fill="{fill}" {paint}/>'


class Picture(NamedTuple):
    """A row of panels. `label` is what is to be seen, for those who do not see it."""

    name: str
    label: str
    panels: tuple[Panel, ...]

    @property
    def svg(self) -> str:
        """The picture as text."""
        width = sum(panel.width for panel in self.panels) + GAP * (len(self.panels) - 1)
        height = max(panel.height for panel in self.panels)
        parts, shift = [], 0
        for panel in self.panels:
            parts.append(panel.drawn(shift))
            shift += panel.width + GAP
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{escape(self.label)}"><style>{STYLE}</style>'
            f'<rect width="{width}" height="{height}" fill="var(--card)"/>{"".join(parts)}</svg>\n'
        )
