"""From an offer to a bill: money on the ledger, with numbers worked by hand (A-17 to A-20, L-1 to L-7)."""

from __future__ import annotations

from tests.ledger.world import World
from wattquorum.foundation.quantities import MILLION
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.state import Table

KWH = 1_000


def traded(generated: list[int], consumed: list[int], promised: list[int], **parameters: int) -> World:
    """g sells to c at 0.50; both meters as given; no handling fee unless asked for."""
    world = World(parameters={"fee": 0, **parameters}, intervals=len(promised))
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    contract = world.contract("g", "c", promised)
    world.approve(contract)
    world.read({"g-sell": generated, "c-buy": consumed})
    world.close()
    return world


def gains(world: World) -> tuple[int, int, int]:
    """What generator, consumer and grid gained [millionths]."""
    grid = world.ledger.state.get(Table.ACCOUNT, world.ledger._reserved.grid)
    start = 10_000 * MILLION
    return world.account("g").balance - start, world.account("c").balance - start, grid.balance


def test_both_deliver_more_than_promised() -> None:
    # 100 kWh promised, both meters 120, p = 0.50: generator 50 + 20*0.40 = 58, consumer -(50 + 4 + 20*0.75) = -69,
    # grid 4 + 15 - 8 = 11 (L-2).
    world = traded([120 * KWH], [120 * KWH], [100 * KWH])
    assert gains(world) == (58 * MILLION, -69 * MILLION, 11 * MILLION)


def test_a_generator_that_delivers_80_percent_pays_compensation_and_fine() -> None:
    # 1 MWh promised, 0.8 delivered: before penalties 400 / -582 / 182; compensation 200*0.21 = 42; credit 50 -> 40,
    # fine .005*10*1000 = 50. Nobody else performed, so the consumer's fine share goes to the community.
    world = traded([800 * KWH], [1_000 * KWH], [1_000 * KWH])
    assert gains(world) == ((400 - 42 - 50) * MILLION, (-582 + 42) * MILLION, 182 * MILLION)
    assert world.side("g", Side.SELL).credit == 40 * MILLION
    community = world.ledger.state.get(Table.ACCOUNT, world.ledger._reserved.community)
    assert community.balance == 50 * MILLION
    assert world.money_in_all() == 0
    assert world.account("g").locked == world.account("c").locked == 0


def test_a_consumer_that_takes_80_percent_pays_compensation_and_fine() -> None:
    # 1 delivered, 0.8 taken: 480 / -432 / -48; compensation 200*(0.50-0.40) = 20; fine 50.
    world = traded([1_000 * KWH], [800 * KWH], [1_000 * KWH])
    assert gains(world) == ((480 + 20) * MILLION, (-432 - 20 - 50) * MILLION, -48 * MILLION)


def test_surplus_in_one_interval_does_not_offset_shortfall_in_another() -> None:
    # Four intervals of 1 kWh; delivered 0, 2, 2, 0 against 1 each: the consumer pays 2*0.54 + 2*0.75 = 2.58, is
    # compensated with 2*0.21 = 0.42, and the generator's two surplus kWh earn 0.40 each.
    world = traded([0, 2 * KWH, 2 * KWH, 0], [KWH] * 4, [KWH] * 4)
    generator, consumer, _ = gains(world)
    assert consumer == -2_580_000 + 420_000
    fine = 50 * MILLION // 2 * 5_000 * 4 // MILLION // 1  # mu * dC * P = .005 * 25 * 4
    assert fine == 500_000
    # The lock covered 10 points: .005*10*4 = 0.20 and 4*0.21 = 0.84 of compensation, of which 0.42 was used, with 16
    # units of slack for rounding; the fine of 0.50 fits into the 0.62 that are left.
    assert generator == 1_000_000 + 2 * 400_000 - 420_000 - fine
