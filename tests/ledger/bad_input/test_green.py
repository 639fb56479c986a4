"""Bad transactions with certificates: refused, and nothing but a nonce changes (A-5, L-11, L-22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.ledger.bad_input.attempts import NOBODY, NOTHING, Attempt, check_refused, suspended
from tests.ledger.green_world import DAY, MWH, GreenWorld
from tests.ledger.world import QUARTER, START
from wattquorum.foundation.quantities import MILLION, MONEY_MAX
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.holdings import Bundle
from wattquorum.ledger.issuing import BUNDLES_MAX
from wattquorum.ledger.transactions import (
    BuyCertificates,
    GrantQuota,
    IssueCertificates,
    OfferCertificates,
    Payload,
    Propose,
    RetireCertificates,
    RevokeRole,
    RollUp,
    SplitBundle,
    TransferCertificates,
    WithdrawCertificates,
)

LATER = START + DAY
FAR = START + 400 * DAY


class Case(NamedTuple):
    code: str
    field: str
    make: Callable[[GreenWorld], Attempt]


CASES: list[Case] = []


def refusals(
    cases: list[Case],
) -> Callable[[str, str], Callable[[Callable[[GreenWorld], Attempt]], Callable[[GreenWorld], Attempt]]]:
    """A decorator that notes an attempt and how it must be refused: its code and its field."""

    def refused(code: str, field: str) -> Callable[[Callable[[GreenWorld], Attempt]], Callable[[GreenWorld], Attempt]]:
        def note(make: Callable[[GreenWorld], Attempt]) -> Callable[[GreenWorld], Attempt]:
            cases.append(Case(code, field, make))
            return make

        return note

    return refused


refused = refusals(CASES)


def market() -> GreenWorld:
    """A closed day: g has 2 bundles of 1.5 MWh by wind and can get another 1 MWh; h has hydro; c and d consume.

    c and d are obliged, with 100 g each; x has the same owner as g. LATER is open.
    """
    world = GreenWorld(intervals=2, parameters={"offers_max": 2})
    world.generator("g", "wind", "pv")
    world.generator("h", "hydro")
    for name, owner in (("c", "c"), ("d", "d"), ("x", "g")):
        world.member(name, Side.BUY, owner=owner)
    world.publish()
    world.publish(LATER)
    generated = {"g-sell": [1_500_000] * 2, "g-sell-2": [MWH, 0], "h-sell": [MWH] * 2}
    world.read({**generated, **{f"{name}-buy": [0, 0] for name in "cdx"}})
    world.close()
    world.issue("g-sell", every=1)
    for name in "cd":
        world.done("operator", GrantQuota(world.address(name), 100))
    return world


def granular(world: GreenWorld) -> tuple[bytes, bytes]:
    """g's two bundles, the earlier first."""
    first, second = sorted(world.bundles_of("g").items(), key=_first)
    return first[0], second[0]


def _first(item: tuple[bytes, Bundle]) -> int:
    return item[1].first


def whole(world: GreenWorld) -> bytes:
    """g's three whole certificates."""
    return world.rolled_up("g", *granular(world))


def on_sale(
    world: GreenWorld, *, buyer: str = "", count: int = 2, amount: int = 5, valid_until_ms: int = FAR
) -> tuple[bytes, bytes]:
    """g's whole certificates and an open sale of them."""
    bundle = whole(world)
    to = world.address(buyer) if buyer else b""
    return bundle, world.done("g", OfferCertificates(bundle, count, to, amount, valid_until_ms))


def retired(world: GreenWorld) -> bytes:
    bundle = whole(world)
    world.done("g", RetireCertificates(bundle, 3, "", ""))
    return bundle


def withdrawn(world: GreenWorld) -> bytes:
    bundle = whole(world)
    world.done("operator", WithdrawCertificates(world.address("g"), bundle, ""))
    return bundle


def without(world: GreenWorld, role: Role) -> None:
    world.done("operator", Propose(RevokeRole(world.address("operator"), int(role))))


# Issuing


def issuing(*meters: str, value: object, day: int = START, every: int = 1, at: int | None = None) -> Attempt:
    return Attempt("operator", IssueCertificates(day, meters, every), value, (), at)


@refused("role_missing", "sender")
def issuing_for_oneself(world: GreenWorld) -> Attempt:
    return Attempt("g", IssueCertificates(START, ("g-sell-2",), 1), "g")


@refused("role_missing", "sender")
def issuing_once_the_role_was_taken_back(world: GreenWorld) -> Attempt:
    without(world, Role.ISSUER)
    return issuing("g-sell-2", value="operator")


@refused("day_unknown", "day")
def issuing_of_a_day_that_was_never_published(world: GreenWorld) -> Attempt:
    return issuing("g-sell-2", value=START + 1, day=START + 1)


@refused("page_open", "day")
def issuing_before_the_day_is_closed(world: GreenWorld) -> Attempt:
    world.read({"g-sell": [5, 5]}, day=LATER)
    return issuing("g-sell", value=LATER, day=LATER)


@refused("day_unknown", "day")
def issuing_of_a_sealed_day(world: GreenWorld) -> Attempt:
    world.seal()
    return issuing("g-sell-2", value=START)


@refused("energy_certified", "meters")
def certifying_energy_twice(world: GreenWorld) -> Attempt:
    return issuing("g-sell", value="g-sell")


@refused("energy_certified", "meters")
def certifying_energy_twice_in_other_periods(world: GreenWorld) -> Attempt:
    return issuing("g-sell", value="g-sell", every=2)


@refused("energy_certified", "meters")
def certifying_a_meter_twice_at_once(world: GreenWorld) -> Attempt:
    return issuing("g-sell-2", "g-sell-2", value="g-sell-2")


@refused("energy_certified", "meters")
def certifying_beside_new_energy_what_is_certified(world: GreenWorld) -> Attempt:
    return issuing("g-sell-2", "g-sell", value="g-sell")


@refused("technology_ineligible", "technology")
def certifying_hydro(world: GreenWorld) -> Attempt:
    return issuing("h-sell", value="hydro")


@refused("technology_ineligible", "meters")
def certifying_consumption(world: GreenWorld) -> Attempt:
    return issuing("c-buy", value="c-buy")


@refused("meter_unknown", "meters")
def certifying_a_meter_that_nobody_registered(world: GreenWorld) -> Attempt:
    return issuing("g-sell-2", "ghost", value="ghost")


@refused("meter_unknown", "meters")
def certifying_nothing(world: GreenWorld) -> Attempt:
    return issuing(value="none")


@refused("readings_missing", "meters")
def certifying_a_meter_without_readings(world: GreenWorld) -> Attempt:
    world.read({"g-sell": [5, 5], **{f"{name}-buy": [0, 0] for name in "cdx"}}, day=LATER)
    world.now = LATER + 2 * QUARTER + DAY
    world.close(day=LATER)
    return issuing("g-sell-2", value="g-sell-2", day=LATER)


@refused("out_of_range", "every")
def issuing_in_periods_of_no_interval(world: GreenWorld) -> Attempt:
    return issuing("g-sell-2", value=0, every=0)


@refused("out_of_range", "every")
def issuing_in_periods_longer_than_the_day(world: GreenWorld) -> Attempt:
    return issuing("g-sell-2", value=3, every=3)


@refused("out_of_range", "meters")
def issuing_more_bundles_than_one_transaction_may(world: GreenWorld) -> Attempt:
    meters = ("m",) * (BUNDLES_MAX // 2 + 1)  # of two intervals each
    return issuing(*meters, value=BUNDLES_MAX + 2)


@refused("certificate_expired", "day")
def issuing_what_has_expired(world: GreenWorld) -> Attempt:
    return issuing("g-sell-2", value=START, at=START + QUARTER + 365 * DAY)


# Withdrawing


@refused("role_missing", "sender")
def withdrawing_as_the_owner(world: GreenWorld) -> Attempt:
    return Attempt("g", WithdrawCertificates(world.address("g"), granular(world)[0], ""), "g")


@refused("certificate_unknown", "bundle")
def withdrawing_from_another_owner(world: GreenWorld) -> Attempt:
    bundle = granular(world)[0]
    return Attempt("operator", WithdrawCertificates(world.address("c"), bundle, ""), bundle)


@refused("certificate_final", "bundle")
def withdrawing_what_was_retired(world: GreenWorld) -> Attempt:
    return Attempt("operator", WithdrawCertificates(world.address("g"), retired(world), ""), "retired")


@refused("certificate_expired", "bundle")
def withdrawing_what_has_expired(world: GreenWorld) -> Attempt:
    bundle = granular(world)[0]
    return Attempt("operator", WithdrawCertificates(world.address("g"), bundle, ""), bundle, (), FAR)


# Whatever an owner does with a bundle

USES: dict[str, Callable[[bytes, bytes], Payload]] = {
    "giving": lambda bundle, to: TransferCertificates(bundle, 1, to),
    "splitting": lambda bundle, _: SplitBundle(bundle, 1),
    "rolling_up": lambda bundle, _: RollUp((bundle,)),
    "offering": lambda bundle, to: OfferCertificates(bundle, 1, to, 5, FAR + DAY),
    "retiring": lambda bundle, _: RetireCertificates(bundle, 1, "", ""),
}
STATES: dict[str, tuple[str, str, Callable[[GreenWorld], bytes], int | None]] = {
    "that_is_not_ones_own": ("d", "certificate_unknown", lambda world: granular(world)[0], None),
    "that_does_not_exist": ("g", "certificate_unknown", lambda _: NOTHING, None),
    "that_was_retired": ("g", "certificate_final", retired, None),
    "that_was_withdrawn": ("g", "certificate_final", withdrawn, None),
    "that_has_expired": ("g", "certificate_expired", lambda world: granular(world)[0], FAR),
}


def using(how: str, state: str) -> Callable[[GreenWorld], Attempt]:
    sender, code, make, at = STATES[state]

    def attempt(world: GreenWorld) -> Attempt:
        bundle = make(world)
        value: object = state.rpartition("_")[2] if code == "certificate_final" else bundle
        return Attempt(sender, USES[how](bundle, world.address("c")), value, (), at)

    attempt.__name__ = f"{how}_a_bundle_{state}"
    return attempt


for _how in USES:
    for _state in STATES:
        refused(STATES[_state][1], "bundle")(using(_how, _state))


def counting(how: str, count: int) -> Callable[[GreenWorld], Attempt]:
    def attempt(world: GreenWorld) -> Attempt:
        bundle, to = whole(world), world.address("c")
        payloads: dict[str, Payload] = {
            "giving": TransferCertificates(bundle, count, to),
            "splitting": SplitBundle(bundle, count),
            "offering": OfferCertificates(bundle, count, to, 5, FAR),
            "retiring": RetireCertificates(bundle, count, "", ""),
        }
        return Attempt("g", payloads[how], count)

    attempt.__name__ = f"{how}_{count}_of_3"
    return attempt


for _how in USES:
    if _how != "rolling_up":
        refused("certificate_short", "count")(counting(_how, 4))
        refused("amount_not_positive", "count")(counting(_how, 0))
refused("out_of_range", "count")(counting("splitting", 3))


@refused("account_unknown", "to")
def giving_to_nobody(world: GreenWorld) -> Attempt:
    return Attempt("g", TransferCertificates(granular(world)[0], 1, NOBODY), NOBODY)


@refused("self_trade", "to")
def giving_to_oneself(world: GreenWorld) -> Attempt:
    return Attempt("g", TransferCertificates(granular(world)[0], 1, world.address("g")), world.address("g"))


@refused("account_unknown", "to")
def giving_to_an_account_without_a_key(world: GreenWorld) -> Attempt:
    grid = world.ledger._reserved.grid
    return Attempt("g", TransferCertificates(granular(world)[0], 1, grid), grid)


@refused("account_inactive", "sender")
def giving_while_suspended(world: GreenWorld) -> Attempt:
    suspended(world, "g")
    return Attempt("g", TransferCertificates(granular(world)[0], 1, world.address("c")), "g is suspended")


# Rolling up


@refused("certificate_short", "bundles")
def rolling_up_nothing(world: GreenWorld) -> Attempt:
    return Attempt("g", RollUp(()), 0)


@refused("certificate_short", "bundles")
def rolling_up_less_than_a_whole_certificate(world: GreenWorld) -> Attempt:
    world.done("g", TransferCertificates(granular(world)[0], MWH - 1, world.address("c")))
    return Attempt("c", RollUp(tuple(world.bundles_of("c"))), MWH - 1)


@refused("certificate_unit", "bundles")
def rolling_up_a_bundle_twice(world: GreenWorld) -> Attempt:
    first, _ = granular(world)
    return Attempt("g", RollUp((first, first)), "one bundle twice")


@refused("certificate_unit", "bundles")
def rolling_up_whole_certificates(world: GreenWorld) -> Attempt:
    return Attempt("g", RollUp((whole(world),)), "g-sell, 1000000 Wh")


@refused("certificate_unit", "bundles")
def rolling_up_two_devices_into_one(world: GreenWorld) -> Attempt:
    first, _ = granular(world)
    (other,) = world.issue("g-sell-2")
    return Attempt("g", RollUp((first, other)), "g-sell-2, 1 Wh")


# Selling


@refused("account_inactive", "sender")
def offering_while_suspended(world: GreenWorld) -> Attempt:
    suspended(world, "g")
    return Attempt("g", OfferCertificates(granular(world)[0], 1, b"", 5, FAR), "g is suspended")


@refused("self_trade", "buyer")
def offering_to_oneself(world: GreenWorld) -> Attempt:
    own = world.address("g")
    return Attempt("g", OfferCertificates(granular(world)[0], 1, own, 5, FAR), own)


@refused("self_trade", "buyer")
def offering_to_another_account_of_ones_own(world: GreenWorld) -> Attempt:
    own = world.address("x")
    return Attempt("g", OfferCertificates(granular(world)[0], 1, own, 5, FAR), own)


@refused("account_unknown", "buyer")
def offering_to_nobody(world: GreenWorld) -> Attempt:
    return Attempt("g", OfferCertificates(granular(world)[0], 1, NOBODY, 5, FAR), NOBODY)


@refused("account_unknown", "buyer")
def offering_to_half_an_address(world: GreenWorld) -> Attempt:
    half = world.address("c")[:10]
    return Attempt("g", OfferCertificates(granular(world)[0], 1, half, 5, FAR), half)


@refused("out_of_range", "amount")
def offering_for_more_money_than_there_can_be(world: GreenWorld) -> Attempt:
    return Attempt("g", OfferCertificates(granular(world)[0], 1, b"", MONEY_MAX, FAR), MONEY_MAX)


@refused("window_past", "valid_until_ms")
def offering_until_a_moment_ago(world: GreenWorld) -> Attempt:
    until = world.now
    return Attempt("g", OfferCertificates(granular(world)[0], 1, b"", 5, until), until, (), until + 1)


@refused("offers_too_many", "sender")
def offering_more_often_than_a_member_may(world: GreenWorld) -> Attempt:
    payload = OfferCertificates(granular(world)[0], 1, b"", 5, FAR)
    for _ in range(2):
        world.done("g", payload)
    return Attempt("g", payload, "g")


@refused("sale_unknown", "sale")
def buying_what_nobody_sells(world: GreenWorld) -> Attempt:
    return Attempt("c", BuyCertificates(NOTHING), NOTHING)


@refused("sale_unknown", "sale")
def buying_what_was_bought(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world)
    world.done("d", BuyCertificates(sale))
    return Attempt("c", BuyCertificates(sale), sale)


@refused("sale_unknown", "sale")
def buying_when_the_offer_is_over(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world, valid_until_ms=START + DAY)
    return Attempt("c", BuyCertificates(sale), sale, (), START + DAY + 1)


@refused("offer_addressed", "sale")
def buying_what_was_offered_to_another(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world, buyer="d")
    return Attempt("c", BuyCertificates(sale), sale)


@refused("self_trade", "sale")
def buying_from_oneself(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world)
    return Attempt("g", BuyCertificates(sale), sale)


@refused("self_trade", "sale")
def buying_with_another_account_of_ones_own(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world)
    return Attempt("x", BuyCertificates(sale), sale)


@refused("account_inactive", "sender")
def buying_while_suspended(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world)
    suspended(world, "c")
    return Attempt("c", BuyCertificates(sale), "c is suspended")


@refused("account_inactive", "seller")
def buying_from_somebody_who_is_suspended(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world)
    suspended(world, "g")
    return Attempt("c", BuyCertificates(sale), "g is suspended")


@refused("balance_short", "balance")
def buying_for_more_than_one_has(world: GreenWorld) -> Attempt:
    _, sale = on_sale(world, amount=10_000 * MILLION + 1)
    return Attempt("c", BuyCertificates(sale), 10_000 * MILLION)


@refused("certificate_unknown", "bundle")
def buying_what_the_seller_does_not_hold_any_more(world: GreenWorld) -> Attempt:
    bundle, sale = on_sale(world)
    world.done("g", TransferCertificates(bundle, 3, world.address("d")))
    return Attempt("c", BuyCertificates(sale), bundle)


@refused("certificate_unknown", "bundle")
def buying_more_than_was_left_over(world: GreenWorld) -> Attempt:
    bundle, sale = on_sale(world)
    world.done("g", RetireCertificates(bundle, 2, "", ""))
    return Attempt("c", BuyCertificates(sale), bundle)


@refused("certificate_final", "bundle")
def buying_what_was_withdrawn(world: GreenWorld) -> Attempt:
    bundle, sale = on_sale(world)
    world.done("operator", WithdrawCertificates(world.address("g"), bundle, ""))
    return Attempt("c", BuyCertificates(sale), "withdrawn")


@refused("certificate_expired", "bundle")
def buying_what_has_expired(world: GreenWorld) -> Attempt:
    bundle, sale = on_sale(world)
    return Attempt("c", BuyCertificates(sale), bundle, (), FAR)


def name_of(case: Case) -> str:
    return case.make.__name__


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_bad_input_is_refused_with_code_field_and_value_and_uses_a_nonce(case: Case) -> None:
    world = market()
    check_refused(world, case.make(world), case.code, case.field)
