"""What must not matter: names, how a promise is cut into contracts, and who stands by idle."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import FEED_IN, GRID_PRICE, OVER_GRID_FEE, START
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.entities import Settled
from wattquorum.ledger.state import Table, day_key
from wattquorum.market.terms import Policy

KWH = 1_000
MONEY = 10_000 * MILLION
INTERVALS = 3

energies = st.lists(st.integers(0, 40), min_size=INTERVALS, max_size=INTERVALS)


def gain(world: WatchedWorld, name: str) -> int:
    return world.account(name).balance - MONEY


# Names


def among_equals(
    salt: int, equals: int, promise: Sequence[int], delivered: Sequence[int], taken: Sequence[int], **parameters: int
) -> dict[str, list[tuple[int, int]]]:
    """d sells the same to equal buyers e, and equal pairs a and b trade beside them; what each class got, sorted.

    The salt goes into every name, so that all keys, addresses and contract ids change with it.
    """
    world = WatchedWorld(parameters={"fee": 0, **parameters}, intervals=INTERVALS)

    def named(role: str, i: int = 0) -> str:
        return f"{role}{i}-{salt}"

    everybody = {named("d"): Side.SELL}
    for i in range(equals):
        everybody |= {named("e", i): Side.BUY, named("a", i): Side.SELL, named("b", i): Side.BUY}
    for name, side in everybody.items():
        world.member(name, side)
    world.publish()
    for i in range(equals):
        world.contract(named("d"), named("e", i), promise)
        world.contract(named("a", i), named("b", i), promise)
    meters: dict[str, Sequence[int]] = {f"{named('d')}-sell": delivered}
    for i in range(equals):
        meters |= {f"{named('e', i)}-buy": taken, f"{named('a', i)}-sell": promise, f"{named('b', i)}-buy": promise}
    world.read(meters)
    world.close()
    return {
        role: sorted(
            (gain(world, name), world.side(name, side).credit)
            for name, side in everybody.items()
            if name.startswith(role)
        )
        for role in "deab"
    }


@settings(max_examples=25)
@given(st.integers(2, 4), energies.filter(any), energies, energies, st.integers(1, 50), st.sampled_from(Policy))
def test_other_names_change_only_who_among_equals_gets_the_last_watt_hour(
    equals: int, promise: list[int], delivered: list[int], taken: list[int], salt: int, policy: Policy
) -> None:
    one, other = (among_equals(each, equals, promise, delivered, taken, policy=int(policy), mu=0) for each in (0, salt))
    assert one == other


@settings(max_examples=20)
@given(st.integers(2, 4), energies.filter(any), energies, energies, st.integers(1, 50))
def test_other_names_change_only_who_among_equals_gets_the_last_unit_of_a_fine(
    equals: int, promise: list[int], delivered: list[int], taken: list[int], salt: int
) -> None:
    # Each of at most 2 * `equals` fines leaves a member one unit more or less; what is paid in all is the same.
    one, other = (among_equals(each, equals, promise, delivered, taken, mu=77_777) for each in (0, salt))
    for role in "deab":
        assert [credit for _, credit in one[role]] == [credit for _, credit in other[role]]
        for (money, _), (twin, _) in zip(one[role], other[role], strict=True):
            assert abs(money - twin) <= 2 * equals
    totals = [sum(money for role in "deab" for money, _ in found[role]) for found in (one, other)]
    assert totals[0] == totals[1]


def test_a_defaulters_equal_partners_are_equally_whole_whoever_got_the_last_watt_hour() -> None:
    # 10 Wh over promises of 7, 7 and 7 are 4, 3 and 3. Each buyer has 7 Wh for .54 in the end; d gets 10 * .50 and
    # compensates 11 * .21; a and b trade 7 Wh each.
    found = among_equals(0, 3, [7, 0, 0], [10, 0, 0], [7, 0, 0], mu=0)
    money = {role: [each for each, _ in found[role]] for role in "deab"}
    assert money == {"d": [5_000 - 2_310], "e": [-3_780] * 3, "a": [3_500] * 3, "b": [-3_780] * 3}


# Cutting

PARTS = 10


def settled_in(
    contracts: Sequence[Sequence[int]], delivered: Sequence[int], taken: Sequence[int], policy: Policy
) -> tuple[WatchedWorld, list[Settled]]:
    """g sells to c by these contracts, with a pair beside them; the contracts' settlements."""
    world = WatchedWorld(parameters={"fee": 0, "policy": int(policy)}, intervals=INTERVALS)
    for name, side in (("g", Side.SELL), ("c", Side.BUY), ("a", Side.SELL), ("b", Side.BUY)):
        world.member(name, side)
    world.publish()
    own = [world.contract("g", "c", each) for each in contracts]
    world.contract("a", "b", [100] * INTERVALS)
    world.read({"g-sell": delivered, "c-buy": taken, "a-sell": [100] * INTERVALS, "b-buy": [100] * INTERVALS})
    world.close()
    return world, [world.ledger.state.get(Table.SETTLED, day_key(START) + each) for each in own]


def total(parts: Sequence[Settled], name: str) -> int:
    return sum(getattr(part, name) for part in parts)


promises_in_parts = st.lists(
    st.lists(st.integers(0, 9), min_size=INTERVALS, max_size=INTERVALS).map(lambda each: [each[0] + 1, *each[1:]]),
    min_size=PARTS,
    max_size=PARTS,
)
meters = st.lists(st.integers(0, 110), min_size=INTERVALS, max_size=INTERVALS)
PRICE = 500_000
UNITS_PER_WH = {
    "energy": PRICE // KWH,
    "over_grid_fee": OVER_GRID_FEE // KWH,
    "grid_purchase": GRID_PRICE // KWH,
    "grid_sale": FEED_IN // KWH,
}


@settings(max_examples=30)
@given(promises_in_parts, meters, meters, st.sampled_from(Policy))
def test_ten_contracts_instead_of_one_gain_no_credit_and_move_at_most_a_watt_hour_each(
    contracts: list[list[int]], delivered: list[int], taken: list[int], policy: Policy
) -> None:
    whole = [[sum(column) for column in zip(*contracts, strict=True)]]
    (one, before), (ten, after) = (settled_in(each, delivered, taken, policy) for each in (whole, contracts))
    for name, side in (("g", Side.SELL), ("c", Side.BUY), ("a", Side.SELL), ("b", Side.BUY)):
        assert one.side(name, side) == ten.side(name, side)  # credit, trust and energy
    cells = PARTS * INTERVALS
    # Kinds of transfers: a Wh that is no longer exchanged, and a rounding.
    for name, price in UNITS_PER_WH.items():
        assert abs(total(before, name) - total(after, name)) <= cells * (price + 1)
    # Together that costs at most the spread between the grid's two prices: g loses p - ps, c loses pb - p - po.
    for name, spread in (("g", PRICE - FEED_IN), ("c", GRID_PRICE - PRICE - OVER_GRID_FEE)):
        signs = {"energy": 1, "grid_sale": 1} if name == "g" else {"energy": 1, "over_grid_fee": 1, "grid_purchase": 1}
        moved = sum(total(before, kind) - total(after, kind) for kind in signs)
        assert abs(moved) <= cells * (spread // KWH + len(signs))
    assert (PRICE - FEED_IN) + (GRID_PRICE - PRICE - OVER_GRID_FEE) <= GRID_PRICE - FEED_IN


@settings(max_examples=15)
@given(promises_in_parts, meters)
def test_cutting_a_promise_moves_nothing_but_roundings_where_one_side_alone_falls_short(
    contracts: list[list[int]], delivered: list[int]
) -> None:
    # The buyer takes all that was promised: every Wh that is delivered is exchanged, however the promise is cut.
    whole = [[sum(column) for column in zip(*contracts, strict=True)]]
    (_, before), (_, after) = (settled_in(each, delivered, whole[0], Policy.OFF) for each in (whole, contracts))
    for name in UNITS_PER_WH:
        assert 0 <= total(before, name) - total(after, name) < PARTS * INTERVALS


# Standing by


def beside(idle: int, readings: dict[str, Sequence[int]]) -> WatchedWorld:
    world = WatchedWorld(parameters={"fee": 0}, intervals=INTERVALS)
    pairs = (("g", "c"), ("a", "b"), ("x", "y"))
    for seller, buyer in pairs:
        world.member(seller, Side.SELL)
        world.member(buyer, Side.BUY)
    world.publish()
    for seller, buyer in pairs:
        world.contract(seller, buyer, [30, 20, 10])
    everything = dict(readings)
    for i in range(idle):
        world.member(f"idle{i}", Side.SELL, Side.BUY, money=0)
        everything |= {f"idle{i}-sell": [0] * INTERVALS, f"idle{i}-buy": [0] * INTERVALS}
    world.read(everything)
    world.close()
    return world


@settings(max_examples=15)
@given(st.lists(energies, min_size=6, max_size=6))
def test_twenty_idle_accounts_change_nobodys_share(energy: list[list[int]]) -> None:
    names = ("g-sell", "c-buy", "a-sell", "b-buy", "x-sell", "y-buy")
    readings: dict[str, Sequence[int]] = dict(zip(names, energy, strict=True))
    alone, watched = beside(0, readings), beside(20, readings)
    for meter in names:
        name, side = meter.split("-")[0], Side[meter.split("-")[1].upper()]
        assert gain(alone, name) == gain(watched, name)
        assert alone.side(name, side) == watched.side(name, side)
    assert all(watched.account(f"idle{i}").balance == 0 for i in range(20))
