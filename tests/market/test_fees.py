"""The handling fee of acceptance (A-20)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import MWH, energies
from wattquorum.foundation.quantities import Energy, Price
from wattquorum.market.fees import handling_fee

fees = st.integers(0, 100_000).map(Price)


def test_each_side_pays_a_thousandth_a_kwh_and_gets_back_what_curtailment_took() -> None:
    # .001 * 1500 = 1.50; curtailed to 900 kWh, .90 stays paid and .60 comes back.
    paid, kept = handling_fee(Energy(1_500_000), Price(1_000)), handling_fee(Energy(900_000), Price(1_000))
    assert (paid, kept, paid - kept) == (1_500_000, 900_000, 600_000)


def test_a_fee_below_one_unit_is_not_charged() -> None:
    assert handling_fee(Energy(999), Price(1)) == 0
    assert handling_fee(Energy(1 * MWH), Price(0)) == 0


@given(energies, energies, fees)
def test_a_refund_is_never_negative_and_never_more_than_was_paid(contracted: Energy, cut: Energy, fee: Price) -> None:
    left = Energy(max(0, contracted - cut))
    refund = handling_fee(contracted, fee) - handling_fee(left, fee)
    assert 0 <= refund <= handling_fee(contracted, fee)


@given(energies, energies, energies, fees)
def test_curtailing_twice_leaves_paid_what_curtailing_once_does(
    contracted: Energy, cut: Energy, again: Energy, fee: Price
) -> None:
    between = Energy(max(0, contracted - cut))
    last = Energy(max(0, between - again))
    refunds = [handling_fee(contracted, fee) - handling_fee(between, fee)]
    refunds.append(handling_fee(between, fee) - handling_fee(last, fee))
    assert handling_fee(contracted, fee) - sum(refunds) == handling_fee(last, fee)
