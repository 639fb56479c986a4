"""Carbon allowances on the ledger: granted, moved, reported, settled and carried over (A-14, L-19). In tonnes by hand.

Every world is watched by an auditor's books and by the tests' own.
"""

from __future__ import annotations

from tests.ledger.green_world import DAY, GreenWorld
from tests.ledger.world import QUARTER, START
from wattquorum.foundation.quantities import POINTS_MAX
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.facts import AllowancesMoved, CarbonChanged, CarbonSettled, SideWeighed
from wattquorum.ledger.holdings import Registry
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    CloseCarbonPeriod,
    GrantQuota,
    Leave,
    MoveAllowances,
    ReportEmissions,
    SetStatus,
    WithdrawMoney,
)
from wattquorum.ledger.weighing import carbon_points
from wattquorum.standing.weight import NEUTRAL

T = 1_000_000


def obliged(**quotas: int) -> GreenWorld:
    """Consumers with these quotas [t]; zero: without an account."""
    world = GreenWorld(intervals=1)
    for name, quota in quotas.items():
        world.member(name, Side.BUY)
        if quota:
            world.done("operator", GrantQuota(world.address(name), quota * T))
    return world


def report(world: GreenWorld, name: str, tonnes: int, period: int = 1) -> None:
    world.done("operator", ReportEmissions(world.address(name), period, tonnes * T))


def left(world: GreenWorld, name: str) -> tuple[int, int, int, int, int]:
    """An open account in tonnes: carried, quota, bought, sold, emitted."""
    own = world.carbon(name)
    return own.carried // T, own.quota // T, own.bought // T, own.sold // T, own.emitted // T


def close(world: GreenWorld, period: int = 1) -> None:
    world.done("operator", CloseCarbonPeriod(period))


def test_quotas_add_up_and_the_first_one_obliges() -> None:
    world = obliged(c=0)
    assert world.carbon("c") is None
    world.done("operator", GrantQuota(world.address("c"), 30 * T))
    world.done("operator", GrantQuota(world.address("c"), 12 * T))
    assert left(world, "c") == (0, 42, 0, 0, 0)
    told = world.facts(CarbonChanged)[-1]
    assert told == CarbonChanged(world.address("c"), 1, 0, 42 * T, 0, 0, 0, False)


def test_what_one_sells_another_buys() -> None:
    world = obliged(c=100, d=50)
    report(world, "c", 0)
    report(world, "d", 0)
    world.done("c", MoveAllowances(world.address("d"), 30 * T))
    assert (left(world, "c"), left(world, "d")) == ((0, 100, 0, 30, 0), (0, 50, 30, 0, 0))
    assert world.facts(AllowancesMoved) == [AllowancesMoved(1, world.address("c"), world.address("d"), 30 * T)]
    world.done("d", MoveAllowances(world.address("c"), 80 * T))  # what was bought can be sold again
    assert (left(world, "c"), left(world, "d")) == ((0, 100, 80, 30, 0), (0, 50, 30, 80, 0))


def test_nobody_gives_away_what_its_own_emissions_need_nor_anything_before_they_are_verified() -> None:
    world = obliged(c=100, d=50)
    world.refused("c", MoveAllowances(world.address("d"), 1), "allowance_short", "grams", 0)
    report(world, "c", 60)
    over = MoveAllowances(world.address("d"), 40 * T + 1)
    world.refused("c", over, "allowance_short", "grams", 40 * T)
    world.done("c", MoveAllowances(world.address("d"), 40 * T))
    world.refused("c", MoveAllowances(world.address("d"), 1), "allowance_short", "grams", 0)


def test_a_later_report_takes_the_place_of_an_earlier_one() -> None:
    world = obliged(c=100)
    report(world, "c", 60)
    report(world, "c", 45)
    assert left(world, "c") == (0, 100, 0, 0, 45)
    assert world.carbon("c").reported


def test_the_worked_settlements_of_the_rules() -> None:
    # -50, 0 and 80 t are left: 0, 38.461538 and 100 points.
    world = obliged(c=100, d=100, e=100, free=0)
    for name, emitted in (("c", 150), ("d", 100), ("e", 20)):
        report(world, name, emitted)
    assert carbon_points(world.ledger.state) == {}  # neutral until the first close
    close(world)
    points = carbon_points(world.ledger.state)
    assert {name: points.get(world.address(name), NEUTRAL) for name in ("c", "d", "e", "free")} == {
        "c": 0,
        "d": 38_461_538,
        "e": POINTS_MAX,
        "free": NEUTRAL,
    }
    told = [fact for fact in world.facts(CarbonSettled) if isinstance(fact, CarbonSettled)]
    assert {fact.member: fact.settled // T for fact in told} == {
        world.address("c"): -50,
        world.address("d"): 0,
        world.address("e"): 80,
    }
    # The weights of the next closed day rest on it.
    world.publish()
    world.read({f"{name}-buy": [0] for name in ("c", "d", "e", "free")})
    world.close()
    weighed = {fact.member: fact.carbon for fact in world.facts(SideWeighed) if isinstance(fact, SideWeighed)}
    assert weighed == {**points, world.address("free"): NEUTRAL}


def test_a_surplus_lapses_and_a_deficit_is_carried_until_it_is_made_up() -> None:
    world = obliged(c=100, d=100)
    report(world, "c", 130)
    report(world, "d", 20)
    close(world)
    assert (left(world, "c"), left(world, "d")) == ((-30, 0, 0, 0, 0), (0, 0, 0, 0, 0))
    assert not world.carbon("c").reported
    for name in ("c", "d"):
        world.done("operator", GrantQuota(world.address(name), 100 * T))
    # 70 are left of c's quota: the deficit comes off first.
    report(world, "c", 0, period=2)
    report(world, "d", 0, period=2)
    world.refused("c", MoveAllowances(world.address("d"), 70 * T + 1), "allowance_short", "grams", 70 * T)
    report(world, "c", 90, period=2)
    world.done("d", MoveAllowances(world.address("c"), 5 * T))
    close(world, 2)
    assert world.carbon("c").settled == -15 * T  # -30 + 100 + 5 - 90
    assert left(world, "c") == (-15, 0, 0, 0, 0)
    close(world, 3)
    assert left(world, "c") == (-15, 0, 0, 0, 0)  # it does not grow by itself


def test_who_has_no_report_at_the_close_counts_nothing_and_is_no_extreme() -> None:
    world = obliged(c=100, d=100, e=100)
    report(world, "c", 90)
    report(world, "d", 70)
    close(world)
    points = carbon_points(world.ledger.state)
    assert {name: points[world.address(name)] for name in ("c", "d", "e")} == {"c": 0, "d": POINTS_MAX, "e": 0}
    assert world.carbon("e").settled == 100 * T


def test_surplus_that_was_bought_beyond_the_quota_earns_nothing() -> None:
    world = obliged(c=100, d=100, e=100)
    for name, emitted in (("c", 0), ("d", 0), ("e", 150)):
        report(world, name, emitted)
    world.done("c", MoveAllowances(world.address("d"), 50 * T))
    close(world)
    # d has 150 left on a quota of 100, c 50, e -50: of the 150 between -50 and 100, c is at 100.
    points = carbon_points(world.ledger.state)
    assert {name: points[world.address(name)] for name in ("c", "d", "e")} == {
        "c": 66_666_666,
        "d": POINTS_MAX,
        "e": 0,
    }


def test_emissions_of_a_closed_or_a_coming_period_are_not_reported() -> None:
    world = obliged(c=100)
    close(world)
    for period in (1, 3, 0):
        payload = ReportEmissions(world.address("c"), period, T)
        world.refused("operator", payload, "carbon_period", "period", period)
        world.refused("operator", CloseCarbonPeriod(period), "carbon_period", "period", period)
    report(world, "c", 1, period=2)


def test_periods_without_accounts_are_closed_too() -> None:
    world = obliged(c=0)
    close(world)
    close(world, 2)
    world.done("operator", GrantQuota(world.address("c"), T))
    told = world.facts(CarbonChanged)[-1]
    assert isinstance(told, CarbonChanged)
    assert told.period == 3
    registry: Registry = world.ledger.state.get(Table.REGISTRY, b"")
    assert registry.carbon_period == 3


def test_who_may_not_trade_moves_no_allowances_and_still_gets_them() -> None:
    world = obliged(c=100, d=50)
    world.done("operator", SetStatus(world.address("c"), Status.SUSPENDED, "late papers"))
    move = MoveAllowances(world.address("d"), T)
    world.refused("c", move, "account_inactive", "sender", "c is suspended")
    report(world, "d", 0)
    world.done("d", MoveAllowances(world.address("c"), T))
    assert left(world, "c") == (0, 100, 1, 0, 0)


# Leaving


def test_who_leaves_gets_its_money_when_a_period_has_been_settled_since_without_a_deficit() -> None:
    world = obliged(c=100, d=100)
    report(world, "c", 120)
    world.done("c", Leave())
    world.refused("c", WithdrawMoney(1), "obligations_open", "sender", "c")
    close(world)
    world.refused("c", WithdrawMoney(1), "obligations_open", "sender", "c")  # 20 t are missing
    world.done("operator", GrantQuota(world.address("d"), 100 * T))
    report(world, "d", 0, period=2)
    world.done("d", MoveAllowances(world.address("c"), 20 * T))
    world.refused("c", WithdrawMoney(1), "obligations_open", "sender", "c")  # not settled yet
    close(world, 2)
    world.done("c", WithdrawMoney(1))


def test_a_period_that_was_closed_before_somebody_left_settles_nothing_of_the_time_after() -> None:
    world = obliged(c=100, d=0)
    report(world, "c", 10)
    close(world)
    world.done("c", Leave())
    world.refused("c", WithdrawMoney(1), "obligations_open", "sender", "c")
    close(world, 2)
    world.done("c", WithdrawMoney(1))
    world.done("d", Leave())
    world.done("d", WithdrawMoney(1))  # never obliged


def test_days_and_periods_have_clocks_of_their_own() -> None:
    world = obliged(c=100)
    close(world)
    for number in (0, 1):
        day = world.publish(START + number * DAY)
        world.read({"c-buy": [0]}, day=day)
        world.close(day=day)
        assert world.now >= day + QUARTER
    registry: Registry = world.ledger.state.get(Table.REGISTRY, b"")
    assert (registry.carbon_period, registry.counted_ms) == (2, world.now)
