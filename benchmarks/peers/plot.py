"""The plot: throughput of each system by number of clients, and how long nobody could write after a kill.

Both axes are logarithmic: what is compared are ratios. Drawn from the results, as text.
"""

from __future__ import annotations

from html import escape
from math import floor, log10
from typing import Final

from benchmarks.peers.results import CLIENTS, ETCD, ETCD_QUICK, LOADED, OURS, PYSYNCOBJ, SKELETON, Results, middle

COLOURS: Final = {OURS: "#2f6f9f", ETCD: "#c0702a", PYSYNCOBJ: "#7a5c99", SKELETON: "#9aa5ae", ETCD_QUICK: "#e0a878"}
WIDTH, HEIGHT, TOP, BOTTOM, LEFT, MIDDLE = 880, 360, 56, 316, 62, 520
BAR: Final = 28
FACE: Final = 'aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="12"'


def _decades(values: list[float]) -> tuple[int, int]:
    """The powers of ten around values."""
    return floor(log10(min(values))), floor(log10(max(values))) + 1


def _place(value: float, decades: tuple[int, int], start: float, end: float) -> float:
    low, high = decades
    return start + (end - start) * (log10(value) - low) / (high - low)


def _text(x: float, y: float, said: str, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {more}>{escape(said)}</text>'


def drawn(results: Results) -> str:
    """The plot as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {FACE}>',
        '<title id="t">Throughput and failover beside etcd and PySyncObj</title>',
        '<desc id="d">Bars: decided entries a second at 1, 64 and 1,024 clients. Dots: outages after a kill.</desc>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fbfbf9"/>',
        *_bars(results),
        *_dots(results),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bars(results: Results) -> list[str]:
    rates = {
        (system, clients): rate
        for system in LOADED
        for clients in CLIENTS
        if (rate := middle(results, system, clients, "rate"))
    }
    if not rates:
        return []
    decades = _decades(list(rates.values()))
    parts = [_text(LEFT, 24, "Decided entries a second", 'font-weight="600" font-size="14"')]
    for power in range(decades[0], decades[1] + 1):
        y = _place(10.0**power, decades, BOTTOM, TOP)
        parts.append(f'<line x1="{LEFT}" y1="{y:.0f}" x2="{MIDDLE - 30}" y2="{y:.0f}" stroke="#dde1e5"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{10**power:,}", 'text-anchor="end" fill="#56636f"'))
    for group, clients in enumerate(CLIENTS):
        left = LEFT + 10 + group * 142
        parts.append(_text(left + 2 * BAR, BOTTOM + 18, f"{clients:,} clients", 'text-anchor="middle"'))
        for place, system in enumerate(LOADED):
            rate = rates.get((system, clients))
            if rate:
                y, x = _place(rate, decades, BOTTOM, TOP), left + place * (BAR + 2)
                parts.append(
                    f'<rect x="{x}" y="{y:.0f}" width="{BAR}" height="{BOTTOM - y:.0f}" fill="{COLOURS[system]}"/>'
                )
                short = f"{rate / 1000:.0f}k" if rate >= 10_000 else f"{rate / 1000:.1f}k"
                parts.append(_text(x + BAR / 2, y - 3, short, 'text-anchor="middle" font-size="10"'))
    for place, system in enumerate(LOADED):
        x = LEFT + 10 + place * 104
        parts.append(f'<rect x="{x}" y="{BOTTOM + 28}" width="10" height="10" fill="{COLOURS[system]}"/>')
        parts.append(_text(x + 15, BOTTOM + 37, system))
    return parts


def _dots(results: Results) -> list[str]:
    if not results.outages:
        return []
    systems = [each for each in (OURS, ETCD_QUICK, PYSYNCOBJ, ETCD) if any(o.system == each for o in results.outages)]
    decades = _decades([each.ms for each in results.outages])
    parts = [_text(MIDDLE, 24, "Nobody can write after a kill [ms]", 'font-weight="600" font-size="14"')]
    for power in range(decades[0], decades[1] + 1):
        x = _place(10.0**power, decades, MIDDLE, WIDTH - 30)
        parts.append(f'<line x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{BOTTOM}" stroke="#dde1e5"/>')
        parts.append(_text(x, BOTTOM + 18, f"{10**power:,}", 'text-anchor="middle" fill="#56636f"'))
    step = (BOTTOM - TOP) / len(systems)
    for row, system in enumerate(systems):
        y = TOP + step * (row + 0.6)
        parts.append(_text(MIDDLE, y - 14, system, f'fill="{COLOURS[system]}" font-weight="600"'))
        for each in results.outages:
            if each.system == system:
                x = _place(each.ms, decades, MIDDLE, WIDTH - 30)
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.0f}" r="4" fill="{COLOURS[system]}" fill-opacity="0.5"/>')
    return parts
