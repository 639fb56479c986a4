"""Files of a user's own: a mill, a farm that is a prosumer, and a town, with a strategy of the mill's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
MEMBERS = """
[[member]]
name = "mill"
owner = "mill"
strategy = "own:Half"
options = { share = 2 }
[[member.meters]]
meter_id = "mill-out"
direction = "injection"
feeder = "north"
limit = "400 kW"
technology = "hydro"

[[member]]
name = "farm"
owner = "farm"
[[member.meters]]
meter_id = "farm-out"
direction = "injection"
feeder = "north"
limit = "200 kW"
technology = "pv"
[[member.meters]]
meter_id = "farm-in"
direction = "withdrawal"
feeder = "north"
limit = "200 kW"
technology = "village"

[[member]]
name = "town"
owner = "town"
[[member.meters]]
meter_id = "town-in"
direction = "withdrawal"
feeder = "south"
limit = "900 kW"
technology = "village"
"""
STRATEGY = '''
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.transactions import Accept, Offer


class Half:
    """Offers a share of its forecast to everybody in the middle of the band, and takes what others answer."""

    name = "half"

    def __init__(self, *, share):
        self.share = share

    def decide(self, situation, random):
        answers = [seen.id for seen in situation.offers if seen.offer.partner == situation.address]
        if answers:
            return [Accept(situation.day, answers[0])]
        if situation.own_offers:
            return []
        energy = pack_energy((situation.forecast.mean // self.share).tolist())
        return [Offer(situation.day, situation.side, b"", energy, pack_prices([550_000]), situation.gate_ms)]
'''


def readings(path: Path) -> None:
    """Five local days from 24 March 2016 in kWh, with `;`, decimal commas and offsets; the 27th has 23 hours."""
    lines = ["meter_id;interval_start;interval_end;direction;energy_kwh;quality;source"]
    start = datetime(2016, 3, 24, tzinfo=BERLIN).astimezone(UTC)
    end = datetime(2016, 3, 29, tzinfo=BERLIN).astimezone(UTC)
    meters = (
        ("mill-out", "injection", 80),
        ("farm-out", "injection", 20),
        ("farm-in", "withdrawal", 35),
        ("town-in", "withdrawal", 50),
    )
    at, step = start, timedelta(minutes=15)
    while at < end:
        for meter, direction, base in meters:
            local = at.astimezone(BERLIN)
            factor = 1 + (local.hour * 7 + local.minute + local.day * 13 + base) % 20 / 100
            kwh = 0.0 if meter == "farm-out" and not 6 <= local.hour < 20 else base * factor
            stamps = [each.astimezone(BERLIN).isoformat() for each in (at, at + step)]
            lines.append(f"{meter};{stamps[0]};{stamps[1]};{direction};{f'{kwh:.3f}'.replace('.', ',')};measured;own")
        at += step
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
