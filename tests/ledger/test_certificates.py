"""Certificates in their owners' hands: given, split, rolled up, sold and retired, with numbers worked by hand.

Rules: A-5, A-13, L-22. Every world is watched by an auditor's books and by the tests' own.
"""

from __future__ import annotations

import pytest

from tests.ledger.green_world import DAY, KWH, MWH, GreenWorld, generating
from tests.ledger.world import QUARTER, START
from wattquorum.foundation.identities import verify_each
from wattquorum.foundation.quantities import MILLION, Millis
from wattquorum.foundation.transfers import Kind
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.execution import Ledger
from wattquorum.ledger.facts import BundleEnded, BundleMade, BundleMoved, Moved, SaleEnded, SaleOffered
from wattquorum.ledger.holdings import BundleStatus, Ending, SaleEnding
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    BuyCertificates,
    CloseDay,
    ClosePage,
    Leave,
    OfferCertificates,
    RetireCertificates,
    RollUp,
    SetStatus,
    SplitBundle,
    TransferCertificates,
    WithdrawCertificates,
    WithdrawMoney,
    WithdrawSale,
)

MONEY = 10_000 * MILLION


def issued(energy: int = 5 * MWH, every: int = 1, intervals: int = 1) -> tuple[GreenWorld, list[bytes]]:
    """g generated this in each interval and has it in bundles."""
    world = generating([energy] * intervals)
    return world, world.issue("g-sell", every=every)


def wholes(count: int = 5) -> tuple[GreenWorld, bytes]:
    """g has whole certificates."""
    world, bundles = issued(count * MWH)
    return world, world.rolled_up("g", *bundles)


def ranges(world: GreenWorld, name: str) -> list[tuple[int, int, int]]:
    """What a member's active bundles are: what a certificate is worth, first and end."""
    return sorted(
        (bundle.unit, bundle.first, bundle.end)
        for bundle in world.bundles_of(name).values()
        if bundle.status is BundleStatus.ACTIVE
    )


def part_of(world: GreenWorld, name: str, first: int) -> bytes:
    """The active bundle of a member that begins with a certificate."""
    (found,) = [
        key
        for key, each in world.bundles_of(name).items()
        if each.first == first and each.status is BundleStatus.ACTIVE
    ]
    return found


# Given and split


def test_a_whole_bundle_keeps_its_id_when_it_is_given() -> None:
    world, (bundle,) = issued()
    world.done("g", TransferCertificates(bundle, 5 * MWH, world.address("c")))
    assert (ranges(world, "g"), ranges(world, "c")) == ([], [(1, 0, 5 * MWH)])
    assert list(world.bundles_of("c")) == [bundle]
    told = world.facts(BundleMoved)
    assert told == [BundleMoved(bundle, world.address("g"), world.address("c"), b"", 0)]


def test_a_part_is_split_off_with_lineage_before_it_is_given() -> None:
    world, (bundle,) = issued()
    world.done("g", TransferCertificates(bundle, MWH, world.address("c")))
    assert (ranges(world, "g"), ranges(world, "c")) == ([(1, MWH, 5 * MWH)], [(1, 0, MWH)])
    ended = world.facts(BundleEnded)
    assert ended == [BundleEnded(bundle, world.address("g"), Ending.SPLIT, "", "")]
    children = [fact for fact in world.facts(BundleMade) if isinstance(fact, BundleMade) and fact.parents]
    assert [(fact.parents, fact.first, fact.end) for fact in children] == [
        ((bundle,), 0, MWH),
        ((bundle,), MWH, 5 * MWH),
    ]
    assert {fact.bundle for fact in children} == {*world.bundles_of("g"), *world.bundles_of("c")}
    world.refused("g", SplitBundle(bundle, 1), "certificate_unknown", "bundle", bundle)


def test_a_bundle_splits_into_whole_certificates_down_to_one() -> None:
    world, bundle = wholes(3)
    world.done("g", SplitBundle(bundle, 1))
    world.done("g", SplitBundle(part_of(world, "g", 1), 1))
    assert ranges(world, "g") == [(MWH, 0, 1), (MWH, 1, 2), (MWH, 2, 3)]
    assert world.held("g") == 3
    one = part_of(world, "g", 1)
    world.refused("g", SplitBundle(one, 1), "out_of_range", "count", 1)


def test_certificates_can_be_given_to_somebody_who_left_the_market_or_never_was_in_it() -> None:
    world, bundle = wholes(2)
    world.done("g", TransferCertificates(bundle, 1, world.address("operator")))
    world.done("c", Leave())
    world.done("g", TransferCertificates(part_of(world, "g", 1), 1, world.address("c")))
    assert (world.held("operator"), world.held("c"), world.held("g")) == (1, 1, 0)


def test_who_gives_something_back_has_as_many_as_before() -> None:
    world, bundle = wholes(2)
    world.done("g", TransferCertificates(bundle, 2, world.address("c")))
    world.done("c", TransferCertificates(bundle, 2, world.address("g")))
    assert (world.held("g"), world.held("c")) == (2, 0)
    assert list(world.bundles_of("g")) == [bundle]


# Rolled up


def test_the_worked_roll_up_of_the_rules() -> None:
    # 999,999 Wh and 1 Wh more: one certificate, rest 0.
    world = generating([999_999, 1])
    two = world.issue("g-sell", every=1)
    world.refused("g", RollUp((two[0],)), "certificate_short", "bundles", 999_999)
    world.rolled_up("g", *two)
    assert ranges(world, "g") == [(MWH, 0, 1)]
    assert (world.held("g"), world.device("g-sell").whole) == (1, 1)


def test_a_rest_stays_granular_and_is_what_the_next_roll_up_begins_with() -> None:
    world, bundles = issued(700 * KWH, intervals=3)  # 2,100,000: two, and 100,000 of the last one
    world.rolled_up("g", *bundles)
    assert ranges(world, "g") == [(1, 2_000_000, 2_100_000), (MWH, 0, 2)]
    made = world.last_made()
    assert made.parents[:2] == tuple(bundles[:2])
    assert (made.start_ms, made.end_ms) == (START, START + 3 * QUARTER)


def test_bundles_that_are_not_needed_stay_as_they_are() -> None:
    world, bundles = issued(600 * KWH, intervals=3)  # 1,800,000: one, out of the third and the first
    world.rolled_up("g", bundles[2], bundles[0], bundles[1])
    assert ranges(world, "g") == [(1, 400_000, 600_000), (1, 600_000, 1_200_000), (MWH, 0, 1)]
    assert bundles[1] in world.bundles_of("g")


def test_whole_certificates_of_a_device_are_numbered_on_whoever_rolls_them_up() -> None:
    world, (bundle,) = issued(5 * MWH)
    world.done("g", TransferCertificates(bundle, 2_500 * KWH, world.address("c")))
    world.rolled_up("c", *world.bundles_of("c"))
    world.rolled_up("g", *world.bundles_of("g"))
    assert ranges(world, "c") == [(1, 2_000_000, 2_500_000), (MWH, 0, 2)]
    assert ranges(world, "g") == [(1, 4_500_000, 5_000_000), (MWH, 2, 4)]
    assert (world.held("c"), world.held("g")) == (2, 2)


def test_energy_that_was_rolled_up_is_not_rolled_up_again() -> None:
    world, bundles = issued(MWH)
    world.rolled_up("g", *bundles)
    again = RollUp(tuple(bundles))
    world.refused("g", again, "certificate_unknown", "bundle", bundles[0])


# Sold


def test_money_and_certificates_change_hands_in_one_step() -> None:
    world, bundle = wholes(5)
    sale = world.done("g", OfferCertificates(bundle, 5, b"", 7 * MILLION, world.now + DAY))
    told = world.facts(SaleOffered)
    assert told == [SaleOffered(sale, world.address("g"), bundle, 5, b"", 7 * MILLION, world.now + DAY - 1)]
    assert ranges(world, "g") == [(MWH, 0, 5)]  # in the seller's hands until somebody buys
    before = world.account("g").balance
    world.done("c", BuyCertificates(sale))
    assert (world.account("g").balance, world.account("c").balance) == (before + 7 * MILLION, MONEY - 7 * MILLION)
    assert (world.held("g"), world.held("c")) == (0, 5)
    moved = world.facts(Moved)[-1]
    assert moved == Moved(Kind.CERTIFICATES, world.address("c"), world.address("g"), 7 * MILLION, 0, b"")
    assert world.facts(BundleMoved)[-1] == BundleMoved(
        bundle, world.address("g"), world.address("c"), sale, 7 * MILLION
    )
    world.refused("d", BuyCertificates(sale), "sale_unknown", "sale", sale)


def test_an_offer_can_be_taken_back_by_its_seller_alone() -> None:
    world, bundle = wholes(5)
    sale = world.done("g", OfferCertificates(bundle, 5, b"", MILLION, world.now + DAY))
    world.refused("c", WithdrawSale(sale), "sale_unknown", "sale", sale)
    world.done("g", WithdrawSale(sale))
    assert world.facts(SaleEnded) == [SaleEnded(sale, SaleEnding.WITHDRAWN)]
    world.refused("c", BuyCertificates(sale), "sale_unknown", "sale", sale)
    world.refused("g", WithdrawSale(sale), "sale_unknown", "sale", sale)


def test_a_sale_of_a_part_splits_it_off_first() -> None:
    world, bundle = wholes(5)
    sale = world.done("g", OfferCertificates(bundle, 2, world.address("c"), MILLION, world.now + DAY))
    world.done("c", BuyCertificates(sale))
    assert (ranges(world, "c"), ranges(world, "g")) == ([(MWH, 0, 2)], [(MWH, 2, 5)])


def test_who_cannot_pay_gets_nothing_and_the_sale_stays_open() -> None:
    world, bundle = wholes(5)
    sale = world.done("g", OfferCertificates(bundle, 2, b"", MONEY + 1, world.now + DAY))
    world.refused("c", BuyCertificates(sale), "balance_short", "balance", MONEY)
    assert ranges(world, "g") == [(MWH, 0, 5)]
    world.deposit("c", 1)
    world.done("c", BuyCertificates(sale))
    assert world.account("c").balance == 0


def test_the_first_of_two_sales_of_a_bundle_that_is_bought_ends_the_other() -> None:
    world, bundle = wholes(5)
    first, second = (world.done("g", OfferCertificates(bundle, 3, b"", 5, world.now + DAY)) for _ in range(2))
    world.done("c", BuyCertificates(first))
    world.refused("d", BuyCertificates(second), "certificate_unknown", "bundle", bundle)


def test_a_sale_of_what_was_given_away_retired_or_withdrawn_in_between_is_none() -> None:
    world, bundle = wholes(5)
    sale = world.done("g", OfferCertificates(bundle, 5, b"", 5, world.now + DAY))
    world.done("g", TransferCertificates(bundle, 5, world.address("d")))
    world.refused("c", BuyCertificates(sale), "certificate_unknown", "bundle", bundle)
    sale = world.done("d", OfferCertificates(bundle, 5, b"", 5, world.now + DAY))
    world.done("d", RetireCertificates(bundle, 5, "", ""))
    world.refused("c", BuyCertificates(sale), "certificate_final", "bundle", "retired")


def test_two_buyers_in_one_block_and_the_first_gets_it() -> None:
    world, bundle = wholes(5)
    sale = world.done("g", OfferCertificates(bundle, 5, b"", 5, world.now + DAY))
    executed = world.block([world.signed(name, BuyCertificates(sale)) for name in ("d", "c")])
    assert [each.outcome for each in executed.block.receipts] == [Outcome.DONE, Outcome.REFUSED]
    assert (world.held("d"), world.held("c")) == (5, 0)


def test_what_a_debtor_is_paid_pays_its_debts_at_once() -> None:
    # p has 1.00 and buys 4 kWh from the grid for 3.00: it owes 2.00. Its certificates bring 5.00.
    world = GreenWorld(intervals=1)
    world.member("p", Side.SELL, Side.BUY, money=MILLION)
    world.member("c", Side.BUY)
    world.publish()
    tomorrow = world.publish(START + DAY)
    world.read({"p-sell": [MWH], "p-buy": [0], "c-buy": [0]})
    world.close()
    bundle = world.rolled_up("p", *world.issue("p-sell"))
    sale = world.done("p", OfferCertificates(bundle, 1, b"", 5 * MILLION, world.now + 3 * DAY))
    world.done("p", WithdrawMoney(world.account("p").balance - MILLION))
    world.read({"p-sell": [0], "p-buy": [4 * KWH], "c-buy": [0]}, day=tomorrow)
    world.close(day=tomorrow)
    assert world.account("p").status is Status.INDEBTED
    offer = OfferCertificates(bundle, 1, b"", 5 * MILLION, world.now + DAY)
    world.refused("p", offer, "account_inactive", "sender", "p is indebted")
    world.done("c", BuyCertificates(sale))
    assert world.account("p").balance == 3 * MILLION
    assert world.account("p").status is Status.ACTIVE
    assert world.debts_of("p") == []


def test_what_a_suspended_account_offered_is_not_bought_until_it_is_reinstated() -> None:
    world, bundle = wholes(1)
    sale = world.done("g", OfferCertificates(bundle, 1, b"", 5, world.now + DAY))
    world.done("operator", SetStatus(world.address("g"), Status.SUSPENDED, "fraud"))
    world.refused("c", BuyCertificates(sale), "account_inactive", "seller", "g is suspended")
    world.done("operator", SetStatus(world.address("g"), Status.ACTIVE, ""))
    world.done("c", BuyCertificates(sale))
    assert world.held("c") == 1


def test_sales_that_are_over_leave_the_state_with_the_next_day_that_is_closed() -> None:
    world, bundle = wholes(5)
    world.done("g", SplitBundle(bundle, 2))
    kept, gone = part_of(world, "g", 0), part_of(world, "g", 2)
    open_sale = world.done("g", OfferCertificates(kept, 1, b"", 5, world.now + 9 * DAY))
    world.done("g", OfferCertificates(kept, 1, b"", 5, world.now + QUARTER))  # past
    world.done("g", OfferCertificates(gone, 1, b"", 5, world.now + 9 * DAY))  # of what was retired
    world.done("g", RetireCertificates(gone, 3, "", ""))
    tomorrow = world.publish(START + DAY)
    world.read({"g-sell": [0], "c-buy": [0], "d-buy": [0]}, day=tomorrow)
    assert world.ledger.state.count(Table.SALE) == 3
    world.done("operator", ClosePage(tomorrow, "f1"))
    world.done("operator", CloseDay(tomorrow))
    assert [key for key, _ in world.ledger.state.items(Table.SALE)] == [open_sale]


def test_a_sale_for_nothing_moves_certificates_and_no_money() -> None:
    world, bundle = wholes(1)
    sale = world.done("g", OfferCertificates(bundle, 1, world.address("c"), 0, world.now + DAY))
    world.done("c", BuyCertificates(sale))
    assert (world.held("c"), world.account("c").balance) == (1, MONEY)


# Retired


def test_a_part_is_retired_for_a_beneficiary_and_the_rest_stays() -> None:
    world, bundle = wholes(5)
    world.done("g", RetireCertificates(bundle, 2, "mill in Hamm", "flour of 2016"))
    assert ranges(world, "g") == [(MWH, 2, 5)]
    (retired,) = [each for each in world.bundles_of("g").values() if each.status is BundleStatus.RETIRED]
    assert (retired.first, retired.end, retired.counted) == (0, 2, False)
    told = world.facts(BundleEnded)[-1]
    assert isinstance(told, BundleEnded)
    assert (told.ending, told.beneficiary, told.said) == (Ending.RETIRED, "mill in Hamm", "flour of 2016")
    assert world.held("g") == 3


@pytest.mark.parametrize(("beneficiary", "held"), [("", 2), ("a shop", 0)])
def test_what_a_consumer_retires_counts_for_itself_alone(beneficiary: str, held: int) -> None:
    world, bundle = wholes(2)
    world.done("g", TransferCertificates(bundle, 2, world.address("c")))
    world.done("c", RetireCertificates(bundle, 2, beneficiary, ""))
    assert world.held("c") == held
    for payload in (
        TransferCertificates(bundle, 1, world.address("d")),
        RetireCertificates(bundle, 1, "", ""),
        SplitBundle(bundle, 1),
        OfferCertificates(bundle, 1, b"", 5, world.now + DAY),
    ):
        world.refused("c", payload, "certificate_final", "bundle", "retired")


def test_granular_certificates_are_retired_and_never_counted() -> None:
    world, (bundle,) = issued()
    world.done("g", TransferCertificates(bundle, 10, world.address("c")))
    world.done("c", RetireCertificates(part_of(world, "c", 0), 10, "", ""))
    assert world.held("c") == 0
    assert ranges(world, "c") == []


# Leaving


def test_who_leaves_with_more_certified_than_measured_gets_no_money_until_that_is_made_up() -> None:
    world = generating([100])
    (bundle,) = world.issue("g-sell")
    world.read({"g-sell": [30]}, version=2)
    world.done("g", Leave())
    world.seal()
    world.refused("g", WithdrawMoney(1), "obligations_open", "sender", "g")
    world.refused(
        "g", TransferCertificates(bundle, 1, world.address("c")), "account_inactive", "sender", "g is leaving"
    )
    world.done("operator", WithdrawCertificates(world.address("g"), bundle, "corrected"))
    assert world.device("g-sell").carry == 0
    world.done("g", WithdrawMoney(1))


def test_what_would_become_of_a_transaction_is_foreseen_and_nothing_changes() -> None:
    world, bundle = wholes(5)
    digest, height, nonce = world.ledger.digest, world.ledger.height, world.account("g").nonce
    to_itself = world.signed("g", TransferCertificates(bundle, 1, world.address("g")))
    foreseen = world.ledger.foresee(to_itself, Millis(world.now + 1))
    assert (foreseen.outcome, foreseen.code, foreseen.field) == (Outcome.REFUSED, "self_trade", "to")
    given = world.signed("g", TransferCertificates(bundle, 1, world.address("c")))
    foreseen = world.ledger.foresee(given, Millis(world.now + 1))
    assert foreseen.outcome is Outcome.DONE
    again = world.signed("g", TransferCertificates(bundle, 1, world.address("c")), nonce=nonce + 1)
    assert world.ledger.foresee(again, Millis(world.now + 1)).code == "nonce_wrong"
    assert (world.ledger.digest, world.ledger.height, world.account("g").nonce) == (digest, height, nonce)
    assert not world.ledger.state.changes()
    twin = Ledger(world.genesis_bytes)
    for entry in world.entries:
        twin.execute(entry, verify_each)
    executed = world.block([given])
    assert executed.block.receipts == (foreseen,)
    twin.execute(world.entries[-1], verify_each)
    assert twin.digest == world.ledger.digest
