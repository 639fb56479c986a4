"""Prices: what was agreed, inside the band that leaves both sides better off than the grid alone (L-6)."""

from __future__ import annotations

from sqlalchemy import func, select

from wattquorum.foundation.quantities import Energy, Price, format_energy, format_price
from wattquorum.lab.report.markup import Section, behind, chart, chooser, table
from wattquorum.lab.report.week import Week
from wattquorum.records import tables as t


def prices(week: Week) -> Section:
    """Every contract's price against the narrowest band of its day."""
    body = (
        '<div class="choosers">'
        + chooser("prices-by", "Colour by", [("seller", "generator's technology"), ("buyer", "kind of consumer")])
        + "</div>"
        + chart("prices-chart", "Contract prices day by day inside the admissible band", height=440)
        + behind("The table behind it", _table(week))
    )
    lead = (
        "Each dot is a contract: its mean price, sized by its energy, with a line where its price changes over the "
        "day. The band is what the tariff leaves: above what the grid pays plus the fee, below what the grid takes "
        "less transport and fee."
    )
    return Section("prices", "Prices", "What was agreed", lead, body, {"bands": _bands(week)})


def _bands(week: Week) -> list[list[int]]:
    """[lowest, highest] admissible price of each day: the band of its narrowest interval."""
    fees = {
        row.version: row.value
        for row in week.rows(select(t.parameters.c.version, t.parameters.c.value).where(t.parameters.c.name == "fee"))
    }
    query = select(
        t.tariffs.c.day_start_ms,
        func.max(t.tariffs.c.feed_in_millionths_per_kwh).label("low"),
        func.min(t.tariffs.c.grid_price_millionths_per_kwh - t.tariffs.c.over_grid_fee_millionths_per_kwh).label(
            "high"
        ),
    ).group_by(t.tariffs.c.day_start_ms)
    edges = {row.day_start_ms: (row.low, row.high) for row in week.rows(query)}
    bands = []
    for day in week.days:
        fee = fees[day.row.parameters_version]
        low, high = edges[day.start_ms]
        bands.append([low + fee, high - fee])
    return bands


def _table(week: Week) -> str:
    rows: list[list[str | int]] = []
    for day, (low, high) in zip(week.days, _bands(week), strict=True):
        own = [row for row in week.contracts if row.day_start_ms == day.start_ms]
        energy = sum(row.energy_wh for row in own)
        agreed = [row.price_millionths_per_kwh for row in own]
        worth = sum(row.energy_wh * row.price_millionths_per_kwh for row in own)
        rows.append(
            [
                day.label,
                format_price(Price(low), week.currency),
                format_price(Price(high), week.currency),
                len(own),
                format_energy(Energy(energy)),
                format_price(Price(min(agreed)), week.currency) if agreed else "",
                format_price(Price(worth // energy), week.currency) if energy else "",
                format_price(Price(max(agreed)), week.currency) if agreed else "",
            ]
        )
    headings = ["day", "above", "below", "contracts", "promised", "lowest", "mean by energy", "highest"]
    return table("Band and prices, day by day", headings, rows, sides="lrrrrrrr")
