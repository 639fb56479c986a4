"""What each strategy's promises are worth on the shipped week, without a market: defaults, energy and money.

    python -m benchmarks.promises [--seeds N] [--credit POINTS] [--standing X]

Every member promises its whole day at the middle of the band, as if partners took all of it and needed it; what it
delivers are the readings. Money is what the promise gains over the grid alone, after compensation, fine and fee
(A-17, A-18, A-20, L-3, L-4), per MWh that the member generated or used. It says how good promises are, not what a
market makes of them: `wattquorum week` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.intervals import QUARTER_HOUR, Window
from wattquorum.foundation.quantities import MILLION, MS_PER_HOUR, Energy, Millis, Points, Power, Ppm, energy_of
from wattquorum.foundation.vectors import Int64s
from wattquorum.lab.members import Member
from wattquorum.lab.shipped import END, HISTORY_START, TRADED_START, shipped_members, shipped_week
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.parameters import DEFAULTS
from wattquorum.market.collateral import at_stake, collateral
from wattquorum.market.penalties import defaults
from wattquorum.market.terms import Policy, TermRows
from wattquorum.standing.credit import credit_after_default
from wattquorum.traders.forecast import ForecastService, Kind, Metered
from wattquorum.traders.naive import AsForecast, History
from wattquorum.traders.prices import band_of
from wattquorum.traders.quantile import STANDING, Quantile
from wattquorum.traders.situation import Rounds, Situation, past_days

DAY_MS = 24 * MS_PER_HOUR
FEED_IN, GRID_PRICE, OVER_GRID_FEE = 400_000, 750_000, 40_000
Promiser = Quantile | AsForecast | History


class Day(NamedTuple):
    """One member's day as it turned out."""

    technology: str
    promised: int
    delivered: int
    metered: int
    defaulted: bool
    gain: float  # against the grid alone, in the currency
    squared_error: float  # of the forecast, mean over intervals, as a share of capacity squared
    below: float  # share of intervals with output that fell short of the promise


def main() -> None:
    """Prints one table for each forecast and strategy."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--credit", type=int, default=50, help="points")
    options.add_argument("--standing", type=float, default=STANDING)
    chosen = options.parse_args()
    week = Week()
    quantile = Quantile(standing=chosen.standing)
    print(f"{chosen.seeds} seeds, credit {chosen.credit} points, standing {chosen.standing}, price at mid-band")
    for kind, strategy, label, seeds in (
        (Kind.WEATHER, quantile, "quantile", chosen.seeds),
        (Kind.WEATHER, AsForecast(), "forecast as it is", chosen.seeds),
        (Kind.HISTORY, quantile, "quantile of own history", 1),
        (Kind.HISTORY, History(of="last"), "last known day", 1),
        (Kind.HISTORY, History(of="mean"), "mean of known days", 1),
        (Kind.PERFECT, quantile, "quantile, perfect forecast", 1),
    ):
        days = [day for seed in range(seeds) for day in week.promise(kind, strategy, seed, chosen.credit * MILLION)]
        print(f"\n{kind}: {label}")
        print(
            f"{'technology':14}{'days':>7}{'default':>9}{'promised':>10}{'short':>8}{'gain/MWh':>10}{'RMSE':>8}{'below':>8}"
        )
        for technology in (*sorted({day.technology for day in days}), "all"):
            print(row(technology, [day for day in days if technology in (day.technology, "all")]))


def row(technology: str, days: list[Day]) -> str:
    """One line: defaults in % of days, energy promised in % of metered, error in % of capacity."""
    promised, delivered = sum(day.promised for day in days), sum(day.delivered for day in days)
    metered = sum(day.metered for day in days)
    return (
        f"{technology:14}{len(days):7}{np.mean([day.defaulted for day in days]):9.1%}{promised / metered:10.1%}"
        f"{1 - delivered / promised if promised else 0:8.1%}{sum(day.gain for day in days) / metered * MILLION:10.2f}"
        f"{np.sqrt(np.mean([day.squared_error for day in days])):8.1%}{np.mean([day.below for day in days]):8.1%}"
    )


class Week:
    """The shipped week: profiles by meter, and members that look at them as they could."""

    def __init__(self) -> None:
        table = shipped_week()
        self.members = shipped_members()
        self.profiles = {
            meter.meter_id: table.energy(meter.meter_id, meter.direction, HISTORY_START, END).reshape(-1, 96)
            for member in self.members
            for meter in member.meters
        }

    def actual(self, meter: str, window: Window) -> Int64s:
        """What will be metered; for the forecast service alone."""
        profile: Int64s = self.profiles[meter][(window.start_ms - HISTORY_START) // DAY_MS]
        return profile

    def promise(self, kind: Kind, strategy: Promiser, seed: int, credit: int) -> Iterator[Day]:
        """Every member's promise for every traded day, and what came of it."""
        meters = {m.meters[0].meter_id: Metered(m.meters[0].technology, m.meters[0].limit) for m in self.members}
        service = ForecastService(kind, meters, self.actual, seed)
        for start in range(TRADED_START, END, DAY_MS):
            window = Window(start, start + DAY_MS, QUARTER_HOUR)
            for member in self.members:
                yield self._day(member, window, service, strategy, credit)

    def _day(self, member: Member, window: Window, service: ForecastService, strategy: Promiser, credit: int) -> Day:
        meter = member.meters[0]
        gate = window.start_ms - DAY_MS // 2
        readings = {HISTORY_START + n * DAY_MS: row for n, row in enumerate(self.profiles[meter.meter_id])}
        history = past_days(readings, window, gate - 6 * MS_PER_HOUR - QUARTER_HOUR)
        flat = np.ones(window.intervals, dtype=np.int64)
        situation = Situation(
            address=b"", name=member.name, owner=member.owner,
            side=Side.SELL if meter.direction == "injection" else Side.BUY,
            technology=meter.technology, feeder=meter.feeder, limit_w=meter.limit,
            day=window.start_ms, window=window, now_ms=gate - QUARTER_HOUR, gate_ms=gate,
            rounds=Rounds(0, 0, QUARTER_HOUR),
            feed_in=flat * FEED_IN, grid_price=flat * GRID_PRICE, over_grid_fee=flat * OVER_GRID_FEE,
            parameters=DEFAULTS, credit=credit, balance=0, locked=0, history=history,
            forecast=service.day_ahead(meter.meter_id, window, history),
            promised=flat * 0, offers=(), own_offers=(), directory={}, outcomes=(),
        )  # fmt: skip
        price = band_of(situation).keeping(0.5, situation.side)
        promised = np.minimum(strategy.promise(situation, price), situation.limit_wh)
        return judged(situation, price, promised, self.actual(meter.meter_id, window))


def judged(situation: Situation, price: Int64s, promised: Int64s, actual: Int64s) -> Day:
    """The day's gain over the grid and whether it was a default."""
    kept = np.minimum(promised, actual)
    whole, short = int(promised.sum()), int((promised - kept).sum())
    seller, buyer = price - situation.feed_in, situation.grid_price - situation.over_grid_fee - price
    margin, partner = (seller, buyer) if situation.side is Side.SELL else (buyer, seller)
    gain = int((kept * margin).sum() - ((promised - kept) * partner).sum()) - whole * situation.parameters.fee
    defaulted = whole > 0 and defaults(Energy(whole), Energy(short), Ppm(situation.parameters.tolerance))
    if defaulted:
        gain -= fine(situation, price, promised, short) * 1_000
    capacity = energy_of(Power(situation.limit_w), Millis(situation.window.length_ms))
    error = (situation.forecast.mean - actual) / capacity
    active = actual > 0
    return Day(
        situation.technology,
        whole,
        whole - short,
        int(actual.sum()),
        defaulted,
        gain / 1_000 / MILLION,
        float((error**2).mean()),
        float((promised > actual)[active].mean()) if active.any() else 0.0,
    )


def fine(situation: Situation, price: Int64s, promised: Int64s, short: int) -> int:
    """The fine of a default, as far as the contract's lock covers it [millionths]."""
    parameters, whole = situation.parameters, int(promised.sum())
    least = Points(parameters.minimum_credit_loss)
    lost = credit_after_default(Points(situation.credit), Energy(whole - short), Energy(whole), least).loss
    points = at_stake(Points(situation.credit), Points(parameters.collateral_loss), least)
    terms = TermRows(price, situation.feed_in, situation.grid_price, situation.over_grid_fee)
    locks = collateral(promised, terms, parameters.mu, points, points, Policy(parameters.policy))
    lock = locks.seller if situation.side is Side.SELL else locks.buyer
    due = parameters.mu * max(lost, least) * whole // (MILLION * 1_000)
    return min(due, lock)


if __name__ == "__main__":
    main()
