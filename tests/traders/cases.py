"""Situations for tests, made by hand: what a member knows, with everything that a test does not care about."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ledger.world import QUARTER, START
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import Int64s, pack_energy, pack_prices
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import OfferStatus, OpenOffer
from wattquorum.ledger.parameters import DEFAULTS
from wattquorum.traders.forecast import Forecast
from wattquorum.traders.situation import Known, Rounds, SeenOffer, Situation

OWN, PARTNER, OTHER = b"o" * 20, b"p" * 20, b"q" * 20
GATE = START - 12 * 4 * QUARTER


def flat(value: int, intervals: int = 4) -> Int64s:
    return np.full(intervals, value, dtype=np.int64)


def known(side: Side) -> dict[bytes, Known]:
    """This member, two of the other side."""
    other = Side.BUY if side is Side.SELL else Side.SELL
    return {
        OWN: Known("own", "own", (side,)),
        PARTNER: Known("partner", "partner", (other,)),
        OTHER: Known("other", "other", (other,)),
    }


def situation(side: Side = Side.SELL, *, mean: int = 10_000, sigma: int = 0, **fields: Any) -> Situation:
    """Four intervals with a flat forecast, the paper's tariffs and live parameters."""
    intervals = fields.pop("intervals", 4)
    forecast = Forecast(flat(mean, intervals), flat(sigma, intervals), 0.5)
    given: dict[str, Any] = {
        "address": OWN,
        "name": "own",
        "owner": "own",
        "side": side,
        "technology": "wind",
        "feeder": "f1",
        "limit_w": 200_000,
        "day": START,
        "window": Window(START, START + intervals * QUARTER, QUARTER),
        "now_ms": GATE - 4 * QUARTER,
        "gate_ms": GATE,
        "rounds": Rounds(8, 3, QUARTER),
        "feed_in": flat(400_000, intervals),
        "grid_price": flat(750_000, intervals),
        "over_grid_fee": flat(40_000, intervals),
        "parameters": DEFAULTS,
        "credit": 50 * MILLION,
        "balance": 1_000 * MILLION,
        "locked": 0,
        "history": np.zeros((0, intervals), dtype=np.int64),
        "forecast": forecast,
        "promised": flat(0, intervals),
        "offers": (),
        "own_offers": (),
        "directory": known(side),
        "outcomes": (),
    }
    return Situation(**{**given, **fields})


def seen(
    author: bytes,
    side: Side,
    energy: list[int],
    price: int,
    *,
    name: bytes = b"offer",
    partner: bytes = b"",
    answers: bytes = b"",
) -> SeenOffer:
    """An open offer."""
    packed = pack_energy(energy), pack_prices([price])
    return SeenOffer(name.ljust(16), OpenOffer(author, side, partner, *packed, GATE, answers, OfferStatus.OPEN))
