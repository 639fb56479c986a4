"""Weights after a closed day, with numbers worked by hand (A-7, A-8, A-11, A-15, L-17, L-18)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.test_closing import DAY, FOUR, KWH, MWH, market
from tests.ledger.watched import WatchedWorld
from tests.ledger.world import START
from wattquorum.foundation.quantities import MILLION, POINTS_MAX
from wattquorum.foundation.refusals import Refused
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.facts import SideWeighed
from wattquorum.ledger.parameters import DEFAULTS, with_changes
from wattquorum.ledger.transactions import ReportFault
from wattquorum.ledger.weighing import weights

POINT = 1_000_000


def weighed(world: WatchedWorld, name: str, side: Side) -> SideWeighed:
    """How a side was weighed last."""
    found = [fact for fact in world.facts(SideWeighed) if isinstance(fact, SideWeighed)]
    return [fact for fact in found if (fact.member, fact.side) == (world.address(name), side)][-1]


def test_a_days_weights_by_hand() -> None:
    # Sellers promise 1, 2 and 3 MWh; d delivers 2.4 of 3 and defaults, C = 50 * .8 = 40. So 1 and 2 are kept, and
    # volume runs from 1 to 2.
    world, _ = market([("a", "x", MWH), ("b", "y", 2 * MWH), ("d", "z", 3 * MWH)], {"d-sell": 2_400_000})
    # a: 50 + 50 * (1 * 3) / (15 * (1 + 4)) = 52 of credit; .3 * that + .15 * 50 of carbon + .1 * 100 of line.
    a = weighed(world, "a", Side.SELL)
    assert (a.credit, a.volume, a.line, a.weight) == (52 * POINT, 0, 100 * POINT, 33_100_000)
    assert (a.participation, a.certificates, a.carbon) == (0, 0, 50 * POINT)
    # d: 2.4 lie above 2, so volume is 100; .3 * 40 + .15 * 100 + 7.5 + 10 = 44.5.
    d = weighed(world, "d", Side.SELL)
    assert (d.credit, d.volume, d.weight) == (40 * POINT, 100 * POINT, 44_500_000)
    # z bought all that it promised, 3 of 1..3: volume 100; C = 50 + 50 * 18 / 210 at most 1/15 (66,667 ppm).
    z = weighed(world, "z", Side.BUY)
    assert (z.credit, z.volume, z.line) == (53_333_350, 100 * POINT, 0)
    assert z.weight == (35 * 53_333_350 + 15 * 100 * POINT + 15 * 50 * POINT) // 100


def test_intervals_under_a_fault_count_as_failed_transmissions() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    world.approve(world.contract("g", "c", [KWH, KWH, KWH, 0]))
    # Under a fault in the intervals 2 and 3; in 3 nothing was promised.
    world.done("operator", ReportFault(START, ("g-sell",), 2, 4, "storm"))
    world.read({"g-sell": [KWH, KWH, KWH, 0], "c-buy": [KWH, KWH, KWH, 0]})
    world.close()
    g = weighed(world, "g", Side.SELL)
    assert (g.transmissions, g.failed, g.line) == (3, 1, 66_666_666)


def test_who_trades_nothing_has_no_volume_and_who_never_delivered_no_line() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    for name, side in (("g", Side.SELL), ("h", Side.SELL), ("i", Side.SELL), ("c", Side.BUY), ("e", Side.BUY)):
        world.member(name, side)
    world.publish()
    world.approve(world.contract("g", "c", FOUR), world.contract("h", "e", [2 * KWH] * 4))
    kept: dict[str, Sequence[int]] = {
        "g-sell": FOUR,
        "h-sell": [2 * KWH] * 4,
        "c-buy": FOUR,
        "e-buy": [2 * KWH] * 4,
        "i-sell": FOUR,
    }
    world.read(kept)
    world.close()
    assert weighed(world, "h", Side.SELL).volume == POINTS_MAX
    assert weighed(world, "i", Side.SELL).line == 0
    tomorrow = world.publish(START + DAY)
    world.approve(world.contract("g", "c", FOUR, day=tomorrow), day=tomorrow)
    world.read({**dict.fromkeys(kept, [0] * 4), "g-sell": FOUR, "c-buy": FOUR}, day=tomorrow)
    world.close(day=tomorrow)
    assert weighed(world, "h", Side.SELL).volume == 0
    assert weighed(world, "h", Side.SELL).line == POINTS_MAX


def test_what_is_told_is_what_the_state_says() -> None:
    world, _ = market([("a", "x", MWH), ("b", "y", 2 * MWH)], {"a-sell": 0})
    found = {(each.member, each.side): each.weight for each in weights(world.ledger.state, world.ledger.parameters)}
    told = [fact for fact in world.facts(SideWeighed) if isinstance(fact, SideWeighed)]
    assert {(fact.member, fact.side): fact.weight for fact in told} == found
    assert len(told) == 4


def test_a_correction_moves_credit_at_once_and_weights_with_the_next_day() -> None:
    world, _ = market([("a", "x", MWH), ("b", "y", 2 * MWH), ("d", "z", 3 * MWH)], {"d-sell": 2_400_000})
    before = weighed(world, "d", Side.SELL)
    world.read({"d-sell": [3 * MWH]}, version=2)
    assert weighed(world, "d", Side.SELL) == before
    assert world.side("d", Side.SELL).credit > before.credit
    assert world.side("d", Side.SELL).volume == before.volume


@pytest.mark.parametrize("name", ["a_credit", "b_carbon", "a_line"])
def test_coefficients_that_do_not_add_up_to_one_are_no_parameters(name: str) -> None:
    with pytest.raises(Refused) as refused:
        with_changes(DEFAULTS, [(name, getattr(DEFAULTS, name) + 1)])
    assert (refused.value.code, refused.value.field) == ("parameter_out_of_range", "coefficients")
    moved = with_changes(DEFAULTS, [("a_credit", 250_000), ("a_line", 150_000)])
    assert sum(moved.generator_coefficients) == MILLION
