"""Issuing certificates, and what corrections, sealing, withdrawal and time do to them (A-5, L-11, L-20, L-22).

Energy in Wh, worked by hand; every world is watched by an auditor's books and by the tests' own.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.green_world import DAY, KWH, MWH, GreenWorld, generating
from tests.ledger.world import QUARTER, START
from wattquorum.foundation.quantities import POINTS_MAX
from wattquorum.foundation.vectors import energy_list
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.facts import BundleEnded, BundleMade, CarryChanged, EnergyCertified, HoldingCounted, SideWeighed
from wattquorum.ledger.holdings import BundleStatus, Ending, Registry
from wattquorum.ledger.readings import Quality
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    AddMeter,
    CloseDay,
    ClosePage,
    IssueCertificates,
    MeterPoint,
    RetireCertificates,
    TransferCertificates,
    WithdrawCertificates,
)
from wattquorum.ledger.weighing import certificate_points
from wattquorum.standing.weight import Scale

POINT = 1_000_000
YEAR = 365 * DAY


def certified(world: GreenWorld) -> tuple[list[int], int, int]:
    """What was certified last, what of it was withheld, and the carry that was left."""
    told = world.facts(EnergyCertified)[-1]
    assert isinstance(told, EnergyCertified)
    return [int(each) for each in energy_list(told.energy)], told.withheld, told.carry


def corrected(world: GreenWorld, energy: list[int], version: int, day: int = START) -> None:
    assert world.read({"g-sell": energy}, version=version, day=day).outcome is Outcome.DONE


def next_day(world: GreenWorld, energy: list[int], number: int = 1, *, close: bool = True) -> int:
    """Another day of g's, some days later, read and closed."""
    day = world.publish(START + number * DAY)
    nothing = [0] * len(energy)
    world.read({"g-sell": energy, "c-buy": nothing, "d-buy": nothing}, day=day)
    if close:
        world.close(day=day)
    return day


# Good paths


def test_a_day_is_certified_in_bundles_by_period_and_numbered_in_a_row() -> None:
    world = generating([100, 0, 0, 0, 7])
    # Two intervals each, the last one alone; the second has nothing and makes no bundle.
    first, last = (world.bundle("g", each) for each in world.issue("g-sell", every=2))
    assert (first.first, first.end, first.start_ms, first.end_ms) == (0, 100, START, START + 2 * QUARTER)
    assert (last.first, last.end, last.start_ms, last.end_ms) == (100, 107, START + 4 * QUARTER, START + 5 * QUARTER)
    assert (last.unit, last.meter, last.status, last.counted) == (1, "g-sell", BundleStatus.ACTIVE, False)
    assert (first.expires_ms, last.expires_ms) == (first.end_ms + YEAR, last.end_ms + YEAR)
    assert certified(world) == ([100, 0, 0, 0, 7], 0, 0)
    told = world.last_made()
    assert (told.owner, told.source, told.parents) == (world.address("g"), "wind", ())
    assert (world.device("g-sell").granular, world.device("g-sell").carry) == (107, 0)


def test_several_devices_are_certified_at_once_and_each_has_numbers_of_its_own() -> None:
    world = GreenWorld(intervals=1)
    world.generator("g", "wind", "pv")
    world.publish()
    world.read({"g-sell": [5], "g-sell-2": [8]})
    world.close()
    one, two = (world.bundle("g", each) for each in world.issue("g-sell", "g-sell-2"))
    assert [(each.meter, each.first, each.end) for each in (one, two)] == [("g-sell", 0, 5), ("g-sell-2", 0, 8)]
    assert [fact.source for fact in world.facts(BundleMade) if isinstance(fact, BundleMade)] == ["wind", "sun"]


def test_the_next_day_goes_on_where_the_numbers_ended() -> None:
    world = generating([100])
    world.issue("g-sell")
    (made,) = world.issue("g-sell", day=next_day(world, [11]))
    assert (world.bundle("g", made).first, world.bundle("g", made).end) == (100, 111)


def test_estimated_and_substituted_readings_earn_nothing_until_they_are_measured() -> None:
    world = GreenWorld(intervals=3)
    world.generator("g")
    world.publish()
    quality: dict[str, Sequence[Quality]] = {"g-sell": [Quality.MEASURED, Quality.ESTIMATED, Quality.SUBSTITUTED]}
    world.read({"g-sell": [10, 20, 40]}, quality=quality)
    world.close()
    assert world.device("g-sell").carry == 10
    world.issue("g-sell")
    assert certified(world) == ([10, 0, 0], 0, 0)
    world.refused("operator", IssueCertificates(START, ("g-sell",), 1), "energy_certified", "meters", "g-sell")
    world.read({"g-sell": [10, 18, 40]}, version=2, quality={"g-sell": [Quality.MEASURED] * 2 + [Quality.SUBSTITUTED]})
    world.issue("g-sell")
    assert certified(world) == ([0, 18, 0], 0, 0)


def test_a_measured_value_that_turns_out_estimated_takes_its_energy_back() -> None:
    world = generating([10, 20])
    world.issue("g-sell")
    world.read({"g-sell": [10, 20]}, version=2, quality={"g-sell": [Quality.MEASURED, Quality.ESTIMATED]})
    assert world.device("g-sell").carry == -20


def test_hydro_earns_nothing_and_has_no_device() -> None:
    world = GreenWorld(intervals=1)
    world.generator("h", "hydro")
    world.publish()
    world.read({"h-sell": [5 * MWH]})
    world.close()
    assert world.device("h-sell") is None
    issue = IssueCertificates(START, ("h-sell",), 1)
    world.refused("operator", issue, "technology_ineligible", "technology", "hydro")


def test_a_device_that_generated_nothing_is_certified_once_and_has_no_bundle() -> None:
    world = generating([0, 0])
    assert world.issue("g-sell") == []
    assert certified(world) == ([0, 0], 0, 0)
    world.refused("operator", IssueCertificates(START, ("g-sell",), 1), "energy_certified", "meters", "g-sell")


# Corrections


def test_a_correction_upwards_adds_a_supplementary_issue_and_nothing_twice() -> None:
    world = generating([100, 100])
    world.issue("g-sell")
    corrected(world, [100, 130], 2)
    assert world.device("g-sell").carry == 30
    told = world.facts(CarryChanged)[-1]
    assert told == CarryChanged(START, "g-sell", 30)
    (extra,) = world.issue("g-sell")
    assert certified(world) == ([0, 30], 0, 0)
    assert (world.bundle("g", extra).first, world.bundle("g", extra).end) == (200, 230)


def test_a_correction_downwards_is_withheld_from_the_next_issue_earliest_first() -> None:
    # 1,000 certified, 400 measured in the end: -600. The next day's 700 + 300 fill that with 600 of the first 700.
    world = generating([600, 400])
    world.issue("g-sell")
    corrected(world, [0, 400], 2)
    assert world.device("g-sell").carry == -600
    tomorrow = next_day(world, [700, 300])
    assert world.device("g-sell").carry == 400
    world.issue("g-sell", day=tomorrow, every=1)
    assert certified(world) == ([100, 300], 600, 0)
    # Up again by 600: what was withheld of the next day can be certified now, and nothing of the first day.
    corrected(world, [600, 400], 3)
    world.refused("operator", IssueCertificates(START, ("g-sell",), 1), "energy_certified", "meters", "g-sell")
    world.issue("g-sell", day=tomorrow)
    assert certified(world) == ([600, 0], 0, 0)


def test_energy_that_a_correction_moves_between_intervals_is_not_certified_again() -> None:
    world = generating([100, 100])
    world.issue("g-sell")
    corrected(world, [50, 150], 2)
    assert world.device("g-sell").carry == 0
    world.refused("operator", IssueCertificates(START, ("g-sell",), 1), "energy_certified", "meters", "g-sell")


def test_the_worked_carry_of_the_rules() -> None:
    # Carry -300,000, then 1,250,000 are measured: 950,000 can be certified, no whole certificate, rest 950,000.
    world = generating([300_000])
    world.issue("g-sell")
    corrected(world, [0], 2)
    assert world.device("g-sell").carry == -300_000
    (made,) = world.issue("g-sell", day=next_day(world, [1_250_000]))
    assert certified(world) == ([950_000], 300_000, 0)
    assert world.bundle("g", made).size == 950_000


# Sealing


def test_what_is_not_certified_when_its_day_is_sealed_backs_no_certificate_any_more() -> None:
    world = generating([100])
    tomorrow = next_day(world, [40])
    assert world.device("g-sell").carry == 140
    world.seal()
    assert world.facts(CarryChanged)[-1] == CarryChanged(START, "g-sell", 40)
    world.refused("operator", IssueCertificates(START, ("g-sell",), 1), "day_unknown", "day", START)
    world.issue("g-sell", day=tomorrow)
    assert certified(world) == ([40], 0, 0)
    world.seal(tomorrow)
    assert world.device("g-sell").carry == 0
    assert world.ledger.state.count(Table.CERTIFIED) == 0


def test_a_day_that_was_certified_is_sealed_without_a_change() -> None:
    world = generating([100])
    world.issue("g-sell")
    told = len(world.facts(CarryChanged))
    world.seal()
    assert world.device("g-sell").carry == 0
    assert len(world.facts(CarryChanged)) == told


def test_a_deficit_outlives_its_day() -> None:
    world = generating([100])
    world.issue("g-sell")
    corrected(world, [30], 2)
    world.seal()
    assert world.device("g-sell").carry == -70
    world.issue("g-sell", day=next_day(world, [100], 4))
    assert certified(world) == ([30], 70, 0)


def test_what_was_withheld_for_a_deficit_is_not_lost_again_with_its_day() -> None:
    # 1,000 certified, 400 measured in the end. 600 of the second day's 1,000 make up for it; the third day has 1,000.
    # Sealing the first two days must leave these: 2,400 were measured in all, and 2,400 certified in the end.
    world = generating([1_000])
    world.issue("g-sell")
    corrected(world, [400], 2)
    second = next_day(world, [1_000], 1)
    world.issue("g-sell", day=second)
    assert certified(world) == ([400], 600, 0)
    third = next_day(world, [1_000], 2, close=False)
    world.seal()
    assert world.device("g-sell").carry == 1_000
    world.seal(second)
    assert world.device("g-sell").carry == 1_000
    world.close(day=third)
    world.issue("g-sell", day=third)
    assert certified(world) == ([1_000], 0, 0)
    assert world.device("g-sell").granular == 2_400


def test_a_surplus_that_no_open_day_has_is_lost_with_the_next_day() -> None:
    # Day one: 500, not certified. Day two: 1,000 certified, 400 measured: -100 in all. Day one is sealed. Then day two
    # turns out to be 1,000 after all: +500, and nothing left to certify. They may not stand in for a later deficit.
    world = generating([500])
    second = next_day(world, [1_000])
    world.issue("g-sell", day=second)
    corrected(world, [400], 2, day=second)
    assert world.device("g-sell").carry == -100
    world.seal()
    corrected(world, [1_000], 3, day=second)
    assert world.device("g-sell").carry == 500
    world.seal(second)
    assert world.device("g-sell").carry == 0


# Withdrawal


def test_a_withdrawn_bundle_is_final_and_its_energy_is_not_certified_again() -> None:
    world = generating([100])
    (made,) = world.issue("g-sell")
    world.done("operator", WithdrawCertificates(world.address("g"), made, "wrong meter"))
    assert world.bundle("g", made).status is BundleStatus.WITHDRAWN
    assert world.device("g-sell").carry == 0
    told = world.facts(BundleEnded)[-1]
    assert told == BundleEnded(made, world.address("g"), Ending.WITHDRAWN, "", "wrong meter")
    world.refused("operator", IssueCertificates(START, ("g-sell",), 1), "energy_certified", "meters", "g-sell")
    again = WithdrawCertificates(world.address("g"), made, "")
    world.refused("operator", again, "certificate_final", "bundle", "withdrawn")


def test_a_withdrawal_fills_a_negative_carry_and_no_more_than_that() -> None:
    world = generating([100, 50])
    one, two = world.issue("g-sell", every=1)
    corrected(world, [0, 30], 2)
    assert world.device("g-sell").carry == -120
    world.done("operator", WithdrawCertificates(world.address("g"), one, "corrected"))
    assert world.device("g-sell").carry == -20
    assert world.facts(CarryChanged)[-1] == CarryChanged(0, "g-sell", -20)
    world.done("operator", WithdrawCertificates(world.address("g"), two, "corrected"))
    assert world.device("g-sell").carry == 0
    world.issue("g-sell", day=next_day(world, [70, 0]))
    assert certified(world) == ([70, 0], 0, 0)


def test_a_whole_certificate_that_is_withdrawn_fills_a_million_wh_and_is_held_no_more() -> None:
    world = generating([1_500 * KWH])
    whole = world.rolled_up("g", *world.issue("g-sell"))
    corrected(world, [0], 2)
    world.done("g", TransferCertificates(whole, 1, world.address("c")))
    assert world.held("c") == 1
    world.done("operator", WithdrawCertificates(world.address("c"), whole, "corrected"))
    assert world.device("g-sell").carry == -500 * KWH
    assert world.held("c") == 0


# Expiry


def test_expired_bundles_leave_with_the_next_day_that_is_closed() -> None:
    world = generating([3 * MWH], parameters={"certificate_days": 2})
    granular = world.issue("g-sell")[0]
    whole = world.rolled_up("g", granular)
    world.done("g", TransferCertificates(whole, 1, world.address("c")))
    ((for_c, _),) = world.bundles_of("c").items()
    world.done("c", RetireCertificates(for_c, 1, "", "own use"))
    assert (world.held("g"), world.held("c")) == (2, 1)
    expires = START + QUARTER + 2 * DAY
    (for_g,) = world.bundles_of("g")
    world.block([], at=expires - 2)
    world.done("g", TransferCertificates(for_g, 1, world.address("d")))
    ((for_d, _),) = world.bundles_of("d").items()
    world.block([], at=expires - 1)
    give = TransferCertificates(for_d, 1, world.address("c"))
    world.refused("d", give, "certificate_expired", "bundle", for_d)
    # The day of expiry is swept once it is over: here 22:15 UTC of the 14th, with a close in the night after it.
    next_day(world, [0], 3)
    assert world.ledger.state.count(Table.BUNDLE) == 0
    assert (world.held("g"), world.held("c"), world.held("d")) == (0, 0, 0)
    ended = [fact for fact in world.facts(BundleEnded) if isinstance(fact, BundleEnded)]
    # The retired one was final before and expires without a word.
    assert sorted(fact.owner for fact in ended if fact.ending is Ending.EXPIRED) == sorted(
        [world.address("g"), world.address("d")]
    )


def test_a_rolled_up_certificate_expires_with_its_oldest_energy() -> None:
    world = generating([600 * KWH], parameters={"certificate_days": 3})
    first = world.issue("g-sell")
    second = world.issue("g-sell", day=next_day(world, [600 * KWH]))
    whole = world.bundle("g", world.rolled_up("g", *second, *first))
    assert (whole.start_ms, whole.end_ms) == (START, START + DAY + QUARTER)
    assert whole.expires_ms == START + QUARTER + 3 * DAY


def test_what_would_have_expired_already_is_not_issued() -> None:
    world = generating([100, 100], parameters={"certificate_days": 1})
    issue = IssueCertificates(START, ("g-sell",), 1)
    world.block([], at=START + QUARTER + DAY - 1)
    world.refused("operator", issue, "certificate_expired", "day", START)
    world.issue("g-sell", every=2)  # in one bundle, which expires a quarter of an hour later
    assert certified(world) == ([100, 100], 0, 0)


def test_a_late_issue_of_all_but_expired_energy_leaves_the_state_in_time() -> None:
    world = generating([100], parameters={"certificate_days": 1})
    world.block([], at=START + QUARTER + DAY - 3)
    (made,) = world.issue("g-sell")
    next_day(world, [0], 2)
    assert made not in world.bundles_of("g")


# Holdings by their time (A-13, L-20)


def weights_of(world: GreenWorld) -> dict[str, int]:
    points = certificate_points(world.ledger.state, Scale.SHARE)
    return {name: points.get(world.address(name), 0) for name in ("g", "c", "d")}


def held_ten() -> tuple[GreenWorld, bytes]:
    world = generating([10 * MWH])
    return world, world.rolled_up("g", *world.issue("g-sell"))


def test_shares_of_what_was_held_over_the_time_add_up_to_a_hundred() -> None:
    # g holds ten for 6 hours, then six while c holds four for the 18 hours to the close: 60 + 108 to 72, of 240.
    world, whole = held_ten()
    since = world.now
    world.block([], at=since + DAY // 4 - 1)
    world.done("g", TransferCertificates(whole, 4, world.address("c")))
    tomorrow = world.publish(START + DAY)
    world.read({"g-sell": [0], "c-buy": [0], "d-buy": [0]}, day=tomorrow)
    world.done("operator", ClosePage(tomorrow, "f1"), at=tomorrow + QUARTER)
    world.done("operator", CloseDay(tomorrow), at=since + DAY)
    told = [fact for fact in world.facts(HoldingCounted) if isinstance(fact, HoldingCounted)]
    quarter = DAY // 4
    assert {(fact.member, fact.weighted, fact.held) for fact in told} == {
        (world.address("g"), 10 * quarter + 6 * 3 * quarter, 6),
        (world.address("c"), 4 * 3 * quarter, 4),
    }
    assert weights_of(world) == {"g": 70 * POINT, "c": 30 * POINT, "d": 0}
    side = [fact for fact in world.facts(SideWeighed) if isinstance(fact, SideWeighed)][-3:]
    assert sorted(fact.certificates for fact in side) == [0, 30 * POINT, 70 * POINT]


def test_a_flash_transfer_right_before_the_close_gains_next_to_nothing() -> None:
    world, whole = held_ten()
    tomorrow = next_day(world, [0], 1, close=False)
    world.done("operator", ClosePage(tomorrow, "f1"))
    world.done("g", TransferCertificates(whole, 10, world.address("c")))
    world.done("operator", CloseDay(tomorrow))
    points = weights_of(world)
    assert points["g"] + points["c"] == POINTS_MAX
    assert points["c"] < POINT // 1_000
    # Nor does a second close soon after the first make anything of it.
    third = next_day(world, [0], 2, close=False)
    world.done("operator", ClosePage(third, "f1"))
    assert weights_of(world) == points


def test_days_that_are_closed_in_a_row_count_what_was_held_before_them() -> None:
    # Two days are closed at once: between the two closings nobody held anything for any time to speak of.
    world, whole = held_ten()
    days = [next_day(world, [0], number, close=False) for number in (1, 2)]
    for day in days:
        world.done("operator", ClosePage(day, "f1"))
    world.block([world.signed("operator", CloseDay(day), ahead=i) for i, day in enumerate(days)])
    assert weights_of(world) == {"g": POINTS_MAX, "c": 0, "d": 0}
    world, whole = held_ten()
    days = [next_day(world, [0], number, close=False) for number in (1, 2)]
    for day in days:
        world.done("operator", ClosePage(day, "f1"))
    world.done("operator", CloseDay(days[0]))
    world.done("g", TransferCertificates(whole, 10, world.address("c")))
    world.done("operator", CloseDay(days[1]))
    assert weights_of(world) == {"g": POINTS_MAX, "c": 0, "d": 0}
    registry: Registry = world.ledger.state.get(Table.REGISTRY, b"")
    assert registry.counted_ms < world.now
    # The time that was not counted is not lost: by the next close nearly all of it was c's.
    later = next_day(world, [0], 3)
    assert later
    assert weights_of(world)["c"] > 99 * POINT


@pytest.mark.parametrize(("after_ms", "counts"), [(-1, False), (0, True)])
def test_a_count_stands_until_half_a_days_length_has_passed(after_ms: int, counts: bool) -> None:
    # One interval long is a day here: a quarter of an hour. After half of it the second closing counts anew.
    world, _whole = held_ten()
    days = [next_day(world, [0], number, close=False) for number in (1, 2)]
    for day in days:
        world.done("operator", ClosePage(day, "f1"))
    world.done("operator", CloseDay(days[0]))
    counted = world.now
    world.done("operator", CloseDay(days[1]), at=counted + QUARTER // 2 + after_ms)
    registry: Registry = world.ledger.state.get(Table.REGISTRY, b"")
    assert registry.counted_ms == (world.now if counts else counted)


def test_by_the_most_held_who_holds_most_has_a_hundred() -> None:
    world, whole = held_ten()
    tomorrow = next_day(world, [0], 1, close=False)
    world.done("operator", ClosePage(tomorrow, "f1"))
    world.done("g", TransferCertificates(whole, 4, world.address("c")))
    world.block([], at=world.now + 365 * DAY // 2)
    world.done("operator", CloseDay(tomorrow))
    points = certificate_points(world.ledger.state, Scale.MAX)
    assert points[world.address("g")] == POINTS_MAX
    assert 66 * POINT < points[world.address("c")] < 67 * POINT


def test_a_retirement_for_own_consumption_still_counts_and_one_for_others_does_not() -> None:
    world, whole = held_ten()
    for name in ("c", "d"):
        world.done("g", TransferCertificates(whole, 2, world.address(name)))
        whole = next(key for key in world.bundles_of("g"))
    for name, beneficiary in (("c", ""), ("d", "somebody")):
        ((own, _),) = world.bundles_of(name).items()
        world.done(name, RetireCertificates(own, 2, beneficiary, "2016"))
    # g is no consumer: what it retires is gone.
    world.done("g", RetireCertificates(whole, 1, "", "2016"))
    assert (world.held("g"), world.held("c"), world.held("d")) == (5, 2, 0)


def test_a_device_that_was_added_later_is_certified_from_its_first_day_on() -> None:
    world = generating([100])
    world.done("operator", AddMeter(world.address("g"), MeterPoint("new", Side.SELL, "f1", 10 * MWH, "pv", 950_000)))
    tomorrow = world.publish(START + DAY)
    world.read({"g-sell": [1], "new": [2], "c-buy": [0], "d-buy": [0]}, day=tomorrow)
    world.close(day=tomorrow)
    world.issue("g-sell", "new", day=tomorrow)
    assert world.device("new").granular == 2


@pytest.mark.parametrize("energy", [[100], [0]])
def test_days_are_issued_in_any_order(energy: list[int]) -> None:
    world = generating(energy)
    tomorrow = next_day(world, [50])
    world.issue("g-sell", day=tomorrow)
    world.issue("g-sell")
    assert world.device("g-sell").granular == 50 + energy[0]
