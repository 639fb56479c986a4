"""Exact quantities: every rounding, every split, and reading and writing for people (L-1)."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, trunc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattquorum.foundation import quantities
from wattquorum.foundation.quantities import (
    INT64_MAX,
    Energy,
    Millis,
    Money,
    Points,
    Power,
    Ppm,
    Price,
    apportion,
    away_from_zero,
    cost,
    energy_of,
    format_energy,
    format_money,
    format_points,
    format_power,
    format_price,
    format_share,
    parse_energy,
    parse_money,
    parse_points,
    parse_power,
    parse_price,
    portion,
    toward_zero,
)
from wattquorum.foundation.refusals import Refused

integers = st.one_of(st.integers(-10, 10), st.integers(-(10**6), 10**6), st.integers(-(2**62), 2**62))
positive = st.one_of(st.integers(1, 10), st.integers(1, 2**62))
amounts = integers.map(abs)


# Rounding -----------------------------------------------------------------------------------------------------------


@given(integers, positive)
def test_toward_zero_drops_the_fraction_on_either_side_of_zero(numerator: int, denominator: int) -> None:
    assert toward_zero(numerator, denominator) == trunc(Fraction(numerator, denominator))


@given(integers, positive)
def test_away_from_zero_never_falls_short(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert away_from_zero(numerator, denominator) == (ceil(exact) if numerator >= 0 else floor(exact))


@pytest.mark.parametrize(
    ("energy", "price", "paid"),
    [
        (1_000, 450_000, 450_000),  # 1 kWh at .45
        (1, 999, 0),  # .999 of a unit is not paid
        (1_999, 1_000, 1_999),
        (1_001, -333, -333),  # -333.333
        (999, -1, 0),
    ],
)
def test_cost_by_hand(energy: int, price: int, paid: int) -> None:
    assert cost(Energy(energy), Price(price)) == paid


@given(integers, integers)
def test_a_price_of_the_other_sign_costs_the_same_the_other_way_round(energy: int, price: int) -> None:
    assert cost(Energy(energy), Price(-price)) == -cost(Energy(energy), Price(price))
    assert cost(Energy(energy), Price(price)) == trunc(Fraction(energy * price, 1_000))


def test_energy_is_power_times_duration() -> None:
    assert energy_of(Power(160_000), Millis(900_000)) == 40_000  # 160 kW in a quarter of an hour
    assert energy_of(Power(3), Millis(900_000)) == 0  # .75 Wh
    assert energy_of(Power(-5), Millis(900_000)) == -1  # -1.25 Wh


@given(integers, st.integers(0, 1_000_000).map(Ppm))
def test_a_portion_is_its_share_rounded_once(amount: int, share: Ppm) -> None:
    assert portion(amount, share) == trunc(Fraction(amount * share, 1_000_000))


# Splits -------------------------------------------------------------------------------------------------------------


weight_lists = st.lists(amounts, min_size=1, max_size=8)


def keys_of(weights: list[int]) -> list[bytes]:
    return [bytes([i]) for i in range(len(weights))]


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (50, [90, 60, 0], [30, 20, 0]),
        (7, [5, 3, 1], [4, 2, 1]),
        (100, [70, 50, 30], [47, 33, 20]),
        (10, [7, 7, 7], [4, 3, 3]),
        (5, [0, 0, 0], [2, 2, 1]),
        (0, [3, 4], [0, 0]),
        (9, [1], [9]),
    ],
)
def test_splits_by_hand(total: int, weights: list[int], parts: list[int]) -> None:
    assert apportion(total, weights, keys_of(weights)) == parts


@given(amounts, weight_lists)
def test_a_split_hands_out_every_unit_and_stays_within_one_of_the_proportion(total: int, weights: list[int]) -> None:
    parts = apportion(total, weights, keys_of(weights))
    assert sum(parts) == total
    effective = weights if any(weights) else [1] * len(weights)
    for part, weight in zip(parts, effective, strict=True):
        assert abs(part - Fraction(total * weight, sum(effective))) < 1


@given(amounts, weight_lists)
def test_the_units_left_over_go_to_the_largest_remainders_and_then_the_smaller_keys(
    total: int, weights: list[int]
) -> None:
    parts = apportion(total, weights, keys_of(weights))
    effective = weights if any(weights) else [1] * len(weights)
    exact = [Fraction(total * weight, sum(effective)) for weight in effective]
    lucky = [i for i, share in enumerate(exact) if parts[i] > floor(share)]
    unlucky = [i for i, share in enumerate(exact) if parts[i] == floor(share)]
    remainders = [share - floor(share) for share in exact]
    assert all((-remainders[i], i) < (-remainders[j], j) for i in lucky for j in unlucky)


@given(amounts, weight_lists, st.randoms(use_true_random=False))
def test_the_order_of_a_split_changes_nothing(total: int, weights: list[int], chance: Random) -> None:
    by_key = dict(zip(keys_of(weights), apportion(total, weights, keys_of(weights)), strict=True))
    listed = list(zip(weights, keys_of(weights), strict=True))
    chance.shuffle(listed)
    parts = apportion(total, [weight for weight, _ in listed], [key for _, key in listed])
    assert {key: part for (_, key), part in zip(listed, parts, strict=True)} == by_key


def test_nothing_can_be_split_among_nobody_and_something_cannot() -> None:
    assert apportion(0, [], []) == []
    with pytest.raises(Refused, match="weights"):
        apportion(1, [], [])


@pytest.mark.parametrize(("total", "weights"), [(-1, [1, 2]), (5, [3, -1])])
def test_negative_amounts_and_weights_cannot_be_split(total: int, weights: list[int]) -> None:
    with pytest.raises(Refused) as refusal:
        apportion(total, weights, keys_of(weights))
    assert (refusal.value.code, refusal.value.value) == ("out_of_range", "-1")


# Reading ------------------------------------------------------------------------------------------------------------


def test_people_write_quantities_with_their_units() -> None:
    assert parse_energy("1.5 MWh") == 1_500_000
    assert parse_energy("20kWh") == 20_000
    assert parse_energy(" 750 Wh ") == 750
    assert parse_energy("0.000000001 GWh") == 1
    assert parse_power("2.5 MW") == 2_500_000
    assert parse_power("160 kW") == 160_000
    assert parse_money("12.50 CNY", "CNY") == 12_500_000
    assert parse_money("-0.000001 EUR", "EUR") == -1
    assert parse_price("0.45 CNY/kWh", "CNY") == 450_000
    assert parse_price("450 CNY/MWh", "CNY") == 450_000
    assert parse_price("-0.05 CNY/kWh", "CNY") == -50_000
    assert parse_points("12.5 points") == 12_500_000
    assert parse_points("1 point") == parse_points("1") == 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kWh",
        "1.5",
        "1.5 kwh",
        "1.5 MW",
        "1,500 kWh",  # one and a half to half of the world
        "1 500 kWh",
        "1.5.2 kWh",
        ".5 kWh",
        "5. kWh",
        "1e3 kWh",
        "nan kWh",
        "--1 kWh",
        "0.5 Wh",  # finer than a Wh
        "0.0001 kWh",
        "1.0000000000 kWh",
        "٣ kWh",  # a digit elsewhere
        "1 kWh 2",
    ],
)
def test_what_is_not_a_quantity_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_energy(text, "promise")
    assert (refusal.value.code, refusal.value.field, refusal.value.value) == ("quantity_unreadable", "promise", text)
    assert "1.5 MWh" in refusal.value.remedy


def test_another_currency_is_not_a_unit_of_the_ledger() -> None:
    with pytest.raises(Refused, match="quantity_unreadable"):
        parse_money("5 EUR", "CNY")
    with pytest.raises(Refused, match="quantity_unreadable"):
        parse_price("0.45 EUR/kWh", "CNY")


@pytest.mark.parametrize("text", ["9223372036854775808 Wh", "9300000000 GWh", f"-{'9' * 25} kWh"])
def test_what_exceeds_64_bits_is_refused_and_does_not_wrap(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_energy(text)
    assert refusal.value.code == "overflow"


def test_the_largest_quantity_is_read() -> None:
    assert parse_energy(f"{INT64_MAX} Wh") == INT64_MAX


# Writing ------------------------------------------------------------------------------------------------------------


def test_people_read_quantities_in_the_largest_unit_that_holds_one() -> None:
    assert format_energy(Energy(750)) == "750 Wh"
    assert format_energy(Energy(20_000)) == "20 kWh"
    assert format_energy(Energy(-1_500_001)) == "-1.500001 MWh"
    assert format_energy(Energy(0)) == "0 Wh"
    assert format_power(Power(2_500_000)) == "2.5 MW"
    assert format_power(Power(999)) == "999 W"
    assert format_money(Money(1_234_567_500_000), "CNY") == "1,234,567.50 CNY"
    assert format_money(Money(-1), "CNY") == "-0.000001 CNY"
    assert format_price(Price(450_000), "CNY") == "0.45 CNY/kWh"
    assert format_points(Points(53_333_333)) == "53.333333"
    assert format_points(Points(50_000_000)) == "50.0"
    assert format_share(Ppm(50_000)) == "5.0 %"
    assert format_share(Ppm(66_667)) == "6.6667 %"


def unseparated(text: str) -> str:
    return text.replace(",", "")


@given(integers)
def test_what_is_written_reads_back_exactly(value: int) -> None:
    assert parse_energy(unseparated(format_energy(Energy(value)))) == value
    assert parse_power(unseparated(format_power(Power(value)))) == value
    assert parse_money(unseparated(format_money(Money(value), "CNY")), "CNY") == value
    assert parse_price(unseparated(format_price(Price(value), "CNY")), "CNY") == value
    assert parse_points(unseparated(format_points(Points(value)))) == value


@given(st.integers(0, 10**6), st.one_of(st.integers(0, 999).map(lambda wh: wh * 1_000), st.integers(0, 999_999)))
def test_a_decimal_of_kwh_is_its_number_of_wh(whole: int, fraction: int) -> None:
    text = f"{whole}.{fraction:06d} kWh"
    exact = Fraction(whole * 10**6 + fraction, 10**3)
    if exact.denominator == 1:
        assert parse_energy(text) == exact
    else:
        with pytest.raises(Refused, match="finer than the smallest unit"):
            parse_energy(text)


def test_products_at_the_bounds_fit_into_64_bits() -> None:
    three_prices = 3 * quantities.PRICE_MAX
    assert quantities.ENERGY_PER_INTERVAL_MAX * (three_prices + quantities.PRICE_MAX) <= INT64_MAX
