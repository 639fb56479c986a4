"""The quantile strategy: the critical ratio by hand, and the promise that brute force finds best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traders.cases import flat, situation
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.parameters import DEFAULTS
from wattquorum.traders.forecast import Forecast
from wattquorum.traders.quantile import Quantile, critical_ratio

PRICE = 550_000


def test_the_critical_ratio_of_a_seller_by_hand() -> None:
    # p .55, ps .40, pb .75, po .04, fee .001, mu .005, C 50. For money alone the gain per kWh is .149, the whole
    # .75 - .40 - .04 + 50*.005 = .56: .149/.56. With standing 1 a kept day earns 50*.066667 = 3.33335 points, so that
    # credit adds 50*.149/3.33335 = 2.23499.
    ratio = critical_ratio(situation(Side.SELL), flat(PRICE), standing=0.0)
    assert ratio.tolist() == pytest.approx([0.149 / 0.56] * 4)
    ratio = critical_ratio(situation(Side.SELL), flat(PRICE), standing=1.0)
    assert ratio[0] == pytest.approx(0.149 / (0.56 + 50 * 0.149 / 3.33335))


def test_the_critical_ratio_of_a_buyer_by_hand() -> None:
    # The buyer keeps .75 - .04 - .55 = .16 a kWh, .159 after the fee; the whole is the same .56.
    ratio = critical_ratio(situation(Side.BUY), flat(PRICE), standing=0.0)
    assert ratio[0] == pytest.approx(0.159 / 0.56)


def test_without_penalties_only_credit_holds_a_member_back() -> None:
    off = situation(parameters=changed(DEFAULTS, policy=3))
    assert critical_ratio(off, flat(PRICE), standing=0.0)[0] == pytest.approx(0.149 / 0.150)
    assert critical_ratio(off, flat(PRICE), standing=1.0)[0] == pytest.approx(0.149 / (0.150 + 50 * 0.149 / 3.33335))


def test_who_has_more_credit_promises_less_and_below_entry_one_acts_like_a_newcomer() -> None:
    promised = [
        int(Quantile().promise(situation(mean=10_000, sigma=3_000, credit=credit * MILLION), flat(PRICE))[0])
        for credit in (0, 30, 50, 70, 90, 100)
    ]
    assert promised[0] == promised[1] == promised[2] > promised[3] > promised[4] > promised[5] > 0


def test_a_price_that_gains_nothing_promises_nothing() -> None:
    assert not Quantile().promise(situation(Side.SELL), flat(400_500)).any()
    assert not Quantile().promise(situation(Side.BUY), flat(709_500)).any()


def test_a_certain_forecast_is_promised_whole() -> None:
    assert Quantile().promise(situation(mean=7_777), flat(PRICE)).tolist() == [7_777] * 4


@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
@pytest.mark.parametrize("shape", [0.0, 0.5, 2 / 3, 1.0])
@pytest.mark.parametrize("standing", [0.0, 1.25])
@pytest.mark.parametrize("price", [450_000, 550_000, 650_000])
def test_no_other_promise_is_worth_more(side: Side, shape: float, standing: float, price: int) -> None:
    # Brute force over promises of one interval and 20,000 equally likely outcomes. Every number but the forecast's is
    # worked out here again: what is kept, what is missed, the fine per missed kWh (mu*C = .25) and the credit's worth.
    forecast = Forecast(flat(100_000, 1), flat(30_000, 1), shape)
    levels = (np.arange(20_000) + 0.5) / 20_000
    outcomes = Forecast(flat(100_000, 20_000), flat(30_000, 20_000), shape).quantile(levels)
    promises = np.arange(0, 150_001, 250)
    p, ps, pb, po, fee = price / MILLION, 0.40, 0.75, 0.04, 0.001
    own, partner = (p - ps, pb - po - p) if side is Side.SELL else (pb - po - p, p - ps)
    loss = 50 * (0.005 + standing * (own - fee) / (50 * 0.066667))
    worth = [
        own * np.minimum(promise, outcomes).mean()
        - fee * promise
        - (partner + loss) * np.maximum(promise - outcomes, 0).mean()
        for promise in promises
    ]
    best = int(promises[int(np.argmax(worth))])
    chosen = Quantile(standing=standing).promise(situation(side, intervals=1, forecast=forecast), flat(price, 1))
    assert abs(int(chosen[0]) - best) <= 500


@given(st.integers(401_001, 708_999), st.integers(1, 100), st.floats(0.0, 5.0))
def test_the_ratio_is_a_probability(price: int, credit: int, standing: float) -> None:
    for side in Side:
        ratio = critical_ratio(situation(side, credit=credit * MILLION), flat(price), standing)
        assert bool(((ratio >= 0.0) & (ratio < 1.0)).all())


def test_negative_standing_is_refused() -> None:
    with pytest.raises(ValueError, match="standing"):
        Quantile(standing=-1.0)
