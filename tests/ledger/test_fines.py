"""Fines: the same however a promise was cut into contracts, and never back to the owner that pays (A-19, L-5, L-7)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import START
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.transfers import Kind
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.facts import FineCharged, Moved
from wattquorum.ledger.state import Table

KWH = 1_000
PROMISE = [100 * KWH, 300 * KWH, 300 * KWH, 300 * KWH]
BY_INTERVALS = [[PROMISE[i] if i == j else 0 for i in range(4)] for j in range(4)]
BY_ENERGY = [[each // 5 for each in PROMISE]] * 5
MIXED = [[100 * KWH, 0, 0, 0], [0, 100 * KWH, 300 * KWH, 100 * KWH], [0, 200 * KWH, 0, 200 * KWH]]


def defaulting(parts: Sequence[Sequence[int]], generated: Sequence[int], **parameters: int) -> WatchedWorld:
    """g promises 1 MWh to c, in parts; c uses all of it."""
    world = WatchedWorld(parameters={"fee": 0, **parameters})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    world.approve(*[world.contract("g", "c", part) for part in parts])
    world.read({"g-sell": generated, "c-buy": PROMISE})
    world.close()
    return world


def fines(world: WatchedWorld) -> list[int]:
    return [fact.amount for fact in world.facts(FineCharged) if isinstance(fact, FineCharged)]


@pytest.mark.parametrize("parts", [BY_INTERVALS, BY_ENERGY, MIXED], ids=["by intervals", "by energy", "mixed"])
def test_a_promise_that_is_cut_into_contracts_is_fined_like_a_whole_one(parts: list[list[int]]) -> None:
    # Nothing in the first interval: 100 of 1,000 kWh, 5 points, .005 * 5 * 1,000 = 25.00. The first interval's own
    # collateral leaves only 5.00 of fine, and by intervals the others must bear the rest.
    whole, cut = (defaulting(each, [0, *PROMISE[1:]]) for each in ([PROMISE], parts))
    assert sum(fines(whole)) == sum(fines(cut)) == 25 * MILLION
    assert whole.account("g").balance == cut.account("g").balance
    assert cut.debts_of("g") == []


@pytest.mark.parametrize("parts", [BY_INTERVALS, BY_ENERGY, MIXED], ids=["by intervals", "by energy", "mixed"])
def test_a_fine_that_exceeds_all_collateral_is_capped_alike_but_for_its_rounding(parts: list[list[int]]) -> None:
    # Nothing of 1 MWh: 50 points and 250.00, of which the collateral for 10 points holds 50.00. Every contract rounds
    # its collateral up by less than a unit, and has 4 units for each interval.
    whole, cut = (sum(fines(defaulting(each, [0] * 4))) for each in ([PROMISE], parts))
    assert whole == 50 * MILLION + 16
    assert 0 <= cut - whole <= 17 * len(parts)


def test_what_spills_over_goes_to_the_contracts_with_the_smallest_ids_and_is_paid_by_their_collateral() -> None:
    world = defaulting(BY_INTERVALS, [0, *PROMISE[1:]])
    charged = {f.contract: f.amount for f in world.facts(FineCharged) if isinstance(f, FineCharged)}
    state = world.ledger.state
    keys = state.of_day(Table.CONTRACT, START)
    short = next(key for key in keys if state.get(Table.SETTLED, key).seller_shortfall)
    # The short one's collateral holds 21.000004 of compensation, all of it due, and 5.00 + 4 units of fine.
    assert charged.pop(short[8:]) == 5_000_004
    others = [key[8:] for key in keys if key != short]
    # The others have lost nothing: 63.00 of compensation and 15.00 of fine each, more than enough for the first.
    assert charged == {others[0]: 20 * MILLION - 4}
    assert world.account("g").locked == 0


def test_accounts_of_an_owner_get_no_share_of_its_own_fine() -> None:
    # x1 defaults towards c; x2 and c2 belong to the same owners and perform as d and e do. With both accounts x
    # delivers 1,900 of 2,000 kWh and keeps its word: d earns 1,000 * 2,900 / (15 * (1,900^2 + 1,000^2)) of what it
    # lacks, e 1,000 * 3,000 / (15 * (2,000^2 + 1,000^2)): C = 52.096890 and 52.
    world = WatchedWorld(parameters={"fee": 0})
    for name, owner, side in (
        ("x1", "x", Side.SELL),
        ("x2", "x", Side.SELL),
        ("c", "c", Side.BUY),
        ("c2", "c", Side.BUY),
        ("d", "d", Side.SELL),
        ("e", "e", Side.BUY),
    ):
        world.member(name, side, owner=owner)
    world.publish()
    pairs = [("x1", "c"), ("x2", "e"), ("d", "c2")]
    world.approve(*[world.contract(seller, buyer, PROMISE) for seller, buyer in pairs])
    world.read(
        {
            **{f"{name}-sell": PROMISE for name in ("x2", "d")},
            **{f"{name}-buy": PROMISE for name in ("c", "c2", "e")},
            "x1-sell": [0, *PROMISE[1:]],
        }
    )
    world.close()
    shares = {f.payee: f.amount for f in world.facts(Moved) if isinstance(f, Moved) and f.kind is Kind.SHARE}
    assert shares == {world.address("d"): 12_511_635, world.address("e"): 12_488_365}
