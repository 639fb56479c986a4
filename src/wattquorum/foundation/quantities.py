"""Exact quantities: integers with a unit in their type, and the only arithmetic that crosses units.

Energy is in Wh, power in W, money in millionths of the ledger's one currency, prices in millionths per kWh, credit
and weights in millionths of a point, shares and voting power in parts per million, carbon in grams, time in
milliseconds UTC. Products and quotients go through the named functions below, each of which rounds once and toward
zero; rounding away from zero serves collateral alone. Splits hand out every unit: largest remainder first, ties by key.
The single rounding of each transfer is L-1; the order of splits is that of A-19.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NewType

from wattquorum.foundation.refusals import Refused

Energy = NewType("Energy", int)
Power = NewType("Power", int)
Money = NewType("Money", int)
Price = NewType("Price", int)
Points = NewType("Points", int)
Ppm = NewType("Ppm", int)
Millis = NewType("Millis", int)
Carbon = NewType("Carbon", int)
VotingPower = NewType("VotingPower", int)

MILLION: Final = 1_000_000
INT64_MAX: Final = 2**63 - 1
ENERGY_PER_INTERVAL_MAX: Final = Energy(1_000_000_000)  # 1 GWh; ENERGY x PRICE stays inside 64 bits
PRICE_MAX: Final = Price(1_000_000_000)  # 1,000 units of the currency per kWh
MONEY_MAX: Final = Money(2**62)
POWER_MAX: Final = Power(4_000_000_000)  # 4 GW
POINTS_MAX: Final = Points(100 * MILLION)  # W_max = 100 points
WH_PER_KWH: Final = 1_000
MS_PER_HOUR: Final = 3_600_000


def toward_zero(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded toward zero. The denominator is above zero."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def away_from_zero(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded away from zero. The denominator is above zero."""
    quotient = -(-abs(numerator) // denominator)
    return quotient if numerator >= 0 else -quotient


def cost(energy: Energy, price: Price) -> Money:
    """What `energy` [Wh] costs at `price` [millionths per kWh], rounded once toward zero (L-1)."""
    return Money(toward_zero(energy * price, WH_PER_KWH))


def energy_of(power: Power, duration: Millis) -> Energy:
    """What `power` [W] carries in `duration` [ms], rounded toward zero [Wh]."""
    return Energy(toward_zero(power * duration, MS_PER_HOUR))


def portion(amount: int, share: Ppm) -> int:
    """`share` [ppm] of an amount in any unit, rounded toward zero."""
    return toward_zero(amount * share, MILLION)


def apportion(total: int, weights: Sequence[int], keys: Sequence[bytes]) -> list[int]:
    """Split `total` >= 0 in proportion to `weights` >= 0: largest remainder first, ties by the smaller key.

    The parts add up to `total` exactly. If all weights are zero, everybody has the same weight; no weights at all
    and a total above zero cannot be split.
    """
    if total < 0:
        raise Refused("out_of_range", "total", total, "Split amounts of zero or more.")
    if weights and min(weights) < 0:
        raise Refused("out_of_range", "weights", min(weights), "Give weights of zero or more.")
    if not weights:
        if total:
            raise Refused("out_of_range", "weights", "none", "Give at least one weight.")
        return []
    whole = sum(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    parts = [total * weight // whole for weight in weights]
    left = total - sum(parts)
    if left:
        order = sorted(zip([-(total * weight % whole) for weight in weights], keys, range(len(weights)), strict=True))
        for _, _, i in order[:left]:
            parts[i] += 1
    return parts


# Reading and writing for people -------------------------------------------------------------------------------------

_ENERGY_UNITS: Final = {"Wh": 1, "kWh": 1_000, "MWh": 1_000_000, "GWh": 1_000_000_000}
_POWER_UNITS: Final = {"W": 1, "kW": 1_000, "MW": 1_000_000, "GW": 1_000_000_000}
_QUANTITY: Final = re.compile(r"([+-]?)(\d{1,30})(?:\.(\d{1,9}))?\s*(.*)", re.ASCII)


def _parse(text: str, field: str, units: dict[str, int], example: str) -> int:
    """A decimal number times its unit as a whole number of smallest units; never through a float.

    Separators of thousands are written but not read: to half of the world 1,500 is one and a half.
    """
    remedy = f"Write it like {example}."
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[4] not in units:
        raise Refused("quantity_unreadable", field, text, remedy)
    sign, whole, fraction, unit = found[1], found[2], found[3] or "", found[4]
    scaled = int(whole + fraction) * units[unit]
    scale: int = 10 ** len(fraction)
    value, rest = divmod(scaled, scale)
    if rest:
        raise Refused("quantity_unreadable", field, text, f"It is finer than the smallest unit. {remedy}")
    if value > INT64_MAX:
        raise Refused("overflow", field, text)
    return -value if sign == "-" else value


def parse_energy(text: str, field: str = "energy") -> Energy:
    """`1.5 MWh` as 1,500,000 Wh."""
    return Energy(_parse(text, field, _ENERGY_UNITS, "1.5 MWh, 20 kWh or 750 Wh"))


def parse_power(text: str, field: str = "power") -> Power:
    """`2.5 MW` as 2,500,000 W."""
    return Power(_parse(text, field, _POWER_UNITS, "2.5 MW, 160 kW or 750 W"))


def parse_money(text: str, currency: str, field: str = "money") -> Money:
    """`12.50 CNY` as 12,500,000 millionths."""
    return Money(_parse(text, field, {currency: MILLION}, f"12.50 {currency}"))


def parse_price(text: str, currency: str, field: str = "price") -> Price:
    """`0.45 CNY/kWh` as 450,000 millionths per kWh; `450 CNY/MWh` is the same."""
    units = {f"{currency}/kWh": MILLION, f"{currency}/MWh": 1_000}
    return Price(_parse(text, field, units, f"0.45 {currency}/kWh"))


def parse_points(text: str, field: str = "points") -> Points:
    """`12.5 points` as 12,500,000 millionths of a point."""
    return Points(_parse(text, field, {"points": MILLION, "point": MILLION, "": MILLION}, "12.5 points"))


def _decimal(value: int, scale: int, digits_min: int) -> str:
    """value / scale (a power of ten), exactly, with at least `digits_min` decimals and thousands separated."""
    whole, rest = divmod(abs(value), scale)
    fraction = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0") if rest else ""
    fraction = fraction.ljust(digits_min, "0")
    return f"{'-' if value < 0 else ''}{whole:,}{'.' + fraction if fraction else ''}"


def format_energy(energy: Energy) -> str:
    """The exact energy in the largest unit in which it is at least one."""
    for unit, scale in (("GWh", 1_000_000_000), ("MWh", 1_000_000), ("kWh", 1_000)):
        if abs(energy) >= scale:
            return f"{_decimal(energy, scale, 0)} {unit}"
    return f"{energy} Wh"


def format_carbon(carbon: Carbon) -> str:
    """The exact mass of CO2 in the largest unit in which it is at least one."""
    for unit, scale in (("t", 1_000_000), ("kg", 1_000)):
        if abs(carbon) >= scale:
            return f"{_decimal(carbon, scale, 0)} {unit}"
    return f"{carbon} g"


def format_power(power: Power) -> str:
    """The exact power in the largest unit in which it is at least one."""
    for unit, scale in (("GW", 1_000_000_000), ("MW", 1_000_000), ("kW", 1_000)):
        if abs(power) >= scale:
            return f"{_decimal(power, scale, 0)} {unit}"
    return f"{power} W"


def format_money(money: Money, currency: str) -> str:
    """The exact amount with at least two decimals."""
    return f"{_decimal(money, MILLION, 2)} {currency}"


def format_price(price: Price, currency: str) -> str:
    """The exact price per kWh with at least two decimals."""
    return f"{_decimal(price, MILLION, 2)} {currency}/kWh"


def format_points(points: Points) -> str:
    """The exact points with at least one decimal."""
    return _decimal(points, MILLION, 1)


def format_share(share: Ppm) -> str:
    """Parts per million as an exact percentage."""
    return f"{_decimal(share, 10_000, 1)} %"
