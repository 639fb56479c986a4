"""Closing a day: credit, fines, shares, decay, policies, debts and sealing, with numbers worked by hand."""

from __future__ import annotations

from collections.abc import Sequence

from tests.ledger.watched import WatchedWorld
from tests.ledger.world import FEED_IN, HOUR, QUARTER, START, World
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, MILLION, POWER_MAX, PRICE_MAX
from wattquorum.foundation.transfers import Kind
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.entities import Chain, Settled
from wattquorum.ledger.facts import (
    ContractSettled,
    CreditDecayed,
    DebtRecorded,
    DisputeFiled,
    MemberJudged,
    Moved,
    StatusChanged,
)
from wattquorum.ledger.readings import Quality
from wattquorum.ledger.state import Table, day_key
from wattquorum.ledger.transactions import (
    CloseDay,
    ClosePage,
    Curtail,
    Dispute,
    Propose,
    PublishDay,
    SealDay,
    SetParameters,
    SettleDebt,
)
from wattquorum.market.terms import Policy

KWH, MWH, POINT = 1_000, 1_000_000, 1_000_000
FOUR = [KWH] * 4
MONEY = 10_000 * MILLION
END = START + 4 * QUARTER
DAY = 24 * HOUR
FINAL = END + 48 * HOUR


def market(
    promises: Sequence[tuple[str, str, int]],
    metered: dict[str, int],
    **parameters: int,
) -> tuple[WatchedWorld, list[bytes]]:
    """One interval: (seller, buyer, promise) at 0.50, settled; meters not named deliver what they promised."""
    world = WatchedWorld(parameters={"fee": 0, **parameters}, intervals=1)
    names: dict[str, int] = {}
    sides: dict[str, list[Side]] = {}
    for seller, buyer, promise in promises:
        for name, side in ((seller, Side.SELL), (buyer, Side.BUY)):
            meter = f"{name}-{side.name.lower()}"
            names[meter] = names.get(meter, 0) + promise
            if side not in sides.setdefault(name, []):
                sides[name].append(side)
    for name, own in sides.items():
        world.member(name, *own, limit_w=40 * MWH)
    world.publish()
    contracts = [world.contract(seller, buyer, [promise]) for seller, buyer, promise in promises]
    world.approve(*contracts)
    world.read({meter: [metered.get(meter, promise)] for meter, promise in names.items()})
    world.close()
    return world, contracts


def gain(world: WatchedWorld, name: str) -> int:
    return world.account(name).balance - MONEY


def community(world: WatchedWorld) -> int:
    return world.balance_of(world.ledger._reserved.community)


def settled_of(world: WatchedWorld, contract: bytes, day: int = START) -> Settled:
    found: Settled = world.ledger.state.get(Table.SETTLED, day_key(day) + contract)
    return found


def judged(world: WatchedWorld, name: str, side: Side) -> MemberJudged:
    facts = [fact for fact in world.facts(MemberJudged) if isinstance(fact, MemberJudged)]
    return next(fact for fact in facts if (fact.member, fact.side) == (world.address(name), side))


# Default and credit


def test_ten_contracts_each_ten_percent_short_take_credit_from_50_to_45() -> None:
    # One default of 1 of 10 MWh: C * .9 = 45.0, not 50 * .9**10 = 17.4. The fine is .005 * 5 * 10,000 = 250, 25 each;
    # each contract's lock of .21 * 1,000 + .005 * 10 * 1,000 = 260 leaves 239 for it after the compensation of 21.
    promises = [("g", f"c{i}", MWH) for i in range(10)]
    world, contracts = market(promises, {"g-sell": 9 * MWH})
    assert world.side("g", Side.SELL).credit == 45 * POINT
    assert [settled_of(world, each).seller_fine for each in contracts] == [25 * MILLION] * 10
    assert [settled_of(world, each).seller_compensation for each in contracts] == [21 * MILLION] * 10
    # 9 MWh at .50, less 10 * 21 and 250.
    assert gain(world, "g") == (4_500 - 210 - 250) * MILLION


def test_a_shortfall_inside_the_tolerance_is_compensated_and_costs_no_credit() -> None:
    # 1 MWh promised at 5 % tolerance, 950 kWh delivered: no default, but the partner's 50 * .21 = 10.50 are due.
    world, (contract,) = market([("g", "c", MWH)], {"g-sell": 950 * KWH})
    assert not judged(world, "g", Side.SELL).defaulted
    assert settled_of(world, contract).seller_compensation == 10_500_000
    assert settled_of(world, contract).seller_fine == 0
    assert gain(world, "g") == 475 * MILLION - 10_500_000
    # Alone on its side: 1/15 of the 50 missing points.
    assert world.side("g", Side.SELL).credit == 53_333_333


def test_a_watt_hour_beyond_the_tolerance_is_a_default() -> None:
    # 949.999 of 1,000 kWh: C * .949999 = 47.49995, loss 2.50005; fine .005 * 2.50005 * 1,000 = 12.50025.
    world, (contract,) = market([("g", "c", MWH)], {"g-sell": 950 * KWH - 1})
    assert world.side("g", Side.SELL).credit == 47_499_950
    assert settled_of(world, contract).seller_fine == 12_500_250


def test_a_default_is_never_free_for_who_has_no_credit() -> None:
    # C = 0 loses nothing, but the fine counts 1 point: .005 * 1 * 1,000 = 5.
    world, (contract,) = market([("g", "c", MWH)], {"g-sell": 0}, initial_credit=0)
    assert world.side("g", Side.SELL).credit == 0
    assert settled_of(world, contract).seller_fine == 5 * MILLION


def test_trust_falls_with_every_shortfall_and_energy_is_counted_as_delivered() -> None:
    # B-2: T - 5 * (1,000 - 960) / 1,000 = 49.8 though 4 % are no default; N grows by 960 kWh.
    world, _ = market([("g", "c", MWH)], {"g-sell": 960 * KWH})
    side = world.side("g", Side.SELL)
    assert (side.trust, side.traded) == (49_800_000, 960 * KWH)
    assert (world.side("c", Side.BUY).trust, world.side("c", Side.BUY).traded) == (50 * POINT, MWH)


def test_both_sides_may_default_and_compensation_nets_by_itself() -> None:
    # P = 1 MWh, g = .9, c = .8 at tolerance 5 %: m = .8, g sells .1 to the grid. c lost nothing by g's shortfall; g
    # would have sold .1 more at .50 instead of .40: 10.00. Credits 45 and 40, fines 25 and 50 to the community.
    world, (contract,) = market([("g", "c", MWH)], {"g-sell": 900 * KWH, "c-buy": 800 * KWH})
    found = settled_of(world, contract)
    assert (found.seller_compensation, found.buyer_compensation) == (0, 10 * MILLION)
    assert (found.seller_fine, found.buyer_fine) == (25 * MILLION, 50 * MILLION)
    assert gain(world, "g") == (400 + 40 + 10 - 25) * MILLION
    assert gain(world, "c") == (-400 - 32 - 10 - 50) * MILLION
    assert community(world) == 75 * MILLION


def test_a_partner_of_a_defaulter_is_made_whole_to_the_unit() -> None:
    whole, _ = market([("g", "c", 999_983)], {})
    short, _ = market([("g", "c", 999_983)], {"g-sell": 123_457})
    assert gain(short, "c") == gain(whole, "c")


# Fines and shares


def test_a_fine_is_shared_by_updated_credit() -> None:
    # From C = 0. Two sellers keep 1 and 2 MWh: a earns 100 * 1 * 3 / (15 * 5) = 4, b at most 6.6667. Three buyers keep
    # 1, 2 and 3 MWh: x earns 100 * 1 * 6 / (15 * 14) = 2.857142 and y 5.714285. d's fine of .005 * 1 * 3,000 = 15.00 is
    # shared by that, the two units that are left by remainder: a's, y's. e, d's partner, gets none of it.
    world, (contract, _, _) = market(
        [("d", "e", 3 * MWH), ("a", "x", MWH), ("b", "y", 2 * MWH)], {"d-sell": 0}, initial_credit=0
    )
    assert settled_of(world, contract).seller_fine == 15 * MILLION
    assert gain(world, "a") == 500 * MILLION + 3_118_807
    assert gain(world, "x") == -540 * MILLION + 2_227_718
    assert gain(world, "b") == 1_000 * MILLION + 5_198_037
    assert gain(world, "y") == -1_080 * MILLION + 4_455_438
    assert gain(world, "e") == -1_620 * MILLION
    assert gain(world, "d") == -3 * 210 * MILLION - 15 * MILLION
    assert community(world) == 0


def test_the_last_unit_of_a_fine_goes_to_the_smallest_address_among_equals() -> None:
    # 949.999 of 1,000 kWh: C * .949999, loss 2.50005, fine .005 * 2.50005 * 1,000 = 12.500250. Over four equals that
    # is 3.125062 each, and two units are left.
    world, _ = market([("d", "e", MWH), ("a", "x", MWH), ("b", "y", MWH)], {"d-sell": 949_999})
    names = sorted(("a", "b", "x", "y"), key=world.address)
    shares = [gain(world, name) - (500 if name in "ab" else -540) * MILLION for name in names]
    assert shares == [3_125_063, 3_125_063, 3_125_062, 3_125_062]


def test_a_fine_goes_to_the_community_when_nobody_else_performed() -> None:
    # d and f both deliver nothing: their buyers are partners of one and performers for the other.
    world, contracts = market([("d", "e", MWH), ("f", "e", MWH)], {"d-sell": 0, "f-sell": 0})
    # Loss 50, fine .005 * 50 * 1,000 = 250, capped by the 10 points that are locked: 50 and 4 units of slack.
    assert [settled_of(world, each).seller_fine for each in contracts] == [50_000_004] * 2
    assert community(world) == 2 * 50_000_004
    assert gain(world, "e") == -2 * 540 * MILLION


def test_who_defaults_on_one_side_has_no_share_with_the_other() -> None:
    # p sells nothing of what it promised and buys all that it promised: it is no performer.
    world, _ = market([("p", "c", MWH), ("d", "p", MWH)], {"p-sell": 0, "d-sell": 0})
    facts = [fact for fact in world.facts(Moved) if isinstance(fact, Moved) and fact.kind is Kind.SHARE]
    receivers = {fact.payee for fact in facts}
    assert world.address("p") not in receivers
    # c performed: it gets d's fine, and p's goes to the community because c is the partner there.
    assert receivers == {world.address("c"), world.ledger._reserved.community}


def test_a_fine_is_capped_by_what_collateral_left() -> None:
    # C = 100, nothing of 4 kWh delivered: compensation .84 of the lock of 1.040004; the fine of .005 * 100 * 4 = 2.00
    # comes down to the .200004 that are left.
    world, (contract,) = market([("g", "c", 4 * KWH)], {"g-sell": 0}, initial_credit=100 * POINT)
    assert settled_of(world, contract).seller_fine == 200_004
    assert gain(world, "g") == -1_040_004
    assert world.debts_of("g") == []
    assert world.side("g", Side.SELL).credit == 0


def test_a_buyers_fine_is_capped_by_what_energy_fee_and_compensation_left() -> None:
    # C = 100, mu = .05: the lock is 3.00 for energy, .40 for compensation, .05 * 10 * 4 = 2.00 for the fine, 4 units.
    # c takes 1 of 4 kWh and pays .50 + .04 + 3 * .10; of the fine of .05 * 75 * 4 = 15.00 only 4.560004 are covered.
    world, (contract,) = market([("g", "c", 4 * KWH)], {"c-buy": KWH}, initial_credit=100 * POINT, mu=50_000)
    assert settled_of(world, contract).buyer_fine == 4_560_004
    assert gain(world, "c") == -5_400_004
    assert world.debts_of("c") == []


def test_a_prosumer_takes_part_in_shares_with_the_mean_of_its_two_credits() -> None:
    # As above from C = 0: p earns 4 selling 1 of 3 MWh kept and 5.714285 buying 2 of 6, on average 4.857142; y sells
    # the other 2 and earns 6.6667; x 2.857142. d's fine of 15.00 is shared by that; one unit is left, for y.
    world, (contract, _, _) = market(
        [("d", "e", 3 * MWH), ("p", "x", MWH), ("y", "p", 2 * MWH)], {"d-sell": 0}, initial_credit=0
    )
    assert settled_of(world, contract).seller_fine == 15 * MILLION
    assert gain(world, "p") == 500 * MILLION - 1_080 * MILLION + 5_066_213
    assert gain(world, "y") == 1_000 * MILLION + 6_953_662
    assert gain(world, "x") == -540 * MILLION + 2_980_125


def test_a_contract_that_was_curtailed_to_nothing_bears_no_fine_of_another() -> None:
    # As above, with a second contract of the same size: its collateral went back when it was curtailed to nothing, so
    # that nothing of the 2.00 spills over to it.
    world = WatchedWorld(parameters={"fee": 0, "initial_credit": 100 * POINT}, intervals=1)
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    contract, other = world.contract("g", "c", [4 * KWH]), world.contract("g", "c", [4 * KWH])
    world.done("operator", Curtail(START, other, pack_energy([0]), "congestion"), at=START - HOUR)
    world.read({"g-sell": [0], "c-buy": [4 * KWH]})
    world.close()
    assert [settled_of(world, each).seller_fine for each in (contract, other)] == [200_004, 0]
    assert gain(world, "g") == -1_040_004


def test_a_fine_is_divided_among_contracts_by_shortfall() -> None:
    # 900 Wh over promises 1,000 and 500 allot 600 and 300: shortfalls 400 and 200 of a loss of 20 points,
    # .005 * 20 * 1.5 = .15; two thirds and one third of it.
    world, contracts = market([("g", "c", KWH), ("g", "e", 500)], {"g-sell": 900})
    assert [settled_of(world, each).seller_shortfall for each in contracts] == [400, 200]
    assert [settled_of(world, each).seller_fine for each in contracts] == [100_000, 50_000]


# Policies


def test_under_policy_paper_a_shortfall_inside_the_tolerance_costs_nothing() -> None:
    world, (contract,) = market([("g", "c", MWH)], {"g-sell": 950 * KWH}, policy=int(Policy.PAPER))
    assert settled_of(world, contract).seller_compensation == 0
    assert gain(world, "g") == 475 * MILLION


def test_under_policy_paper_a_defaulter_pays_for_all_it_fell_short_and_nobody_when_both_did() -> None:
    # g = .9, c = .96: A-18 pays .21 * 100 = 21 where the true loss is .21 * 60 = 12.60.
    readings = {"g-sell": 900 * KWH, "c-buy": 960 * KWH}
    world, (contract,) = market([("g", "c", MWH)], readings, policy=int(Policy.PAPER))
    assert settled_of(world, contract).seller_compensation == 21 * MILLION
    assert gain(world, "g") == (450 - 21 - 25) * MILLION
    told = world.facts(ContractSettled)[-1]
    assert isinstance(told, ContractSettled)
    assert (told.seller_compensation, told.revision) == (21 * MILLION, 2)
    true, (contract,) = market([("g", "c", MWH)], readings)
    assert settled_of(true, contract).seller_compensation == 12_600_000
    both, (contract,) = market([("g", "c", MWH)], {"g-sell": 900 * KWH, "c-buy": 900 * KWH}, policy=int(Policy.PAPER))
    assert settled_of(both, contract).seller_compensation == settled_of(both, contract).buyer_compensation == 0
    assert settled_of(both, contract).seller_fine == 25 * MILLION


def test_under_policy_off_a_default_costs_credit_and_no_money() -> None:
    world, (contract,) = market([("g", "c", MWH)], {"g-sell": 800 * KWH}, policy=int(Policy.OFF))
    found = settled_of(world, contract)
    assert (found.seller_compensation, found.seller_fine) == (0, 0)
    assert gain(world, "g") == 400 * MILLION
    assert gain(world, "c") == -(432 + 150) * MILLION
    assert world.side("g", Side.SELL).credit == 40 * POINT


# Days and decay


def empty_day(world: WatchedWorld, start: int) -> None:
    world.publish(start)
    world.read({f"{name}-buy": [0] * 4 for name in ("c",)}, day=start)
    world.close(day=start)


def test_a_day_without_contracts_closes_and_counts() -> None:
    world = WatchedWorld()
    world.member("c", Side.BUY)
    empty_day(world, START)
    chain: Chain = world.ledger.state.get(Table.CHAIN, b"")
    assert chain.days_closed == 1
    assert world.facts(MemberJudged) == []
    assert world.side("c", Side.BUY).credit == 50 * POINT
    world.done("operator", SealDay(START), at=FINAL)


def test_every_members_credit_decays_every_so_many_closed_days_and_trust_does_not() -> None:
    # eta = .9 every second day: 50, 45, 45, 40.5.
    world = WatchedWorld(parameters={"decay_days": 2})
    world.member("c", Side.BUY)
    found = []
    for i in range(4):
        empty_day(world, START + i * DAY)
        found.append(world.side("c", Side.BUY).credit)
    assert found == [50 * POINT, 45 * POINT, 45 * POINT, 40_500_000]
    assert world.side("c", Side.BUY).trust == 50 * POINT
    assert [fact.credit_after for fact in world.facts(CreditDecayed) if isinstance(fact, CreditDecayed)] == [
        45 * POINT,
        40_500_000,
    ]


def test_decay_comes_after_the_days_judgement() -> None:
    world, _ = market([("g", "c", MWH)], {"g-sell": 800 * KWH}, decay_days=1)
    # 50 -> 40 by default, then * .9.
    assert world.side("g", Side.SELL).credit == 36 * POINT


def test_estimated_readings_alone_change_no_standing() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish()
    world.approve(world.contract("g", "c", FOUR))
    world.read({"g-sell": [0] * 4, "c-buy": FOUR}, quality={"g-sell": [Quality.ESTIMATED] * 4})
    world.close()
    side = world.side("g", Side.SELL)
    assert (side.credit, side.trust, side.traded) == (50 * POINT, 50 * POINT, 0)
    # The money follows the estimate: 4 * .21 of compensation.
    assert gain(world, "g") == -840_000
    assert community(world) == 0


def test_a_member_that_was_not_tested_is_no_part_of_its_side() -> None:
    # g promises 1 MWh, h promises 3 and is only estimated. g is alone on its side: 1 * 1 / (15 * 1) of the 50 missing
    # points; were h counted as a second member, it would be twice as much.
    world = WatchedWorld(parameters={"fee": 0, "max_share": MILLION}, intervals=1)
    for name, side in (("g", Side.SELL), ("h", Side.SELL), ("c", Side.BUY)):
        world.member(name, side, limit_w=40 * MWH)
    world.publish()
    world.approve(world.contract("g", "c", [MWH]), world.contract("h", "c", [3 * MWH]))
    quality: dict[str, Sequence[Quality]] = {"h-sell": [Quality.ESTIMATED]}
    world.read({"g-sell": [MWH], "h-sell": [3 * MWH], "c-buy": [4 * MWH]}, quality=quality)
    world.close()
    assert world.side("g", Side.SELL).credit == 53_333_333
    assert world.side("h", Side.SELL).credit == 50 * POINT


# Debts


def test_what_a_member_lacks_becomes_a_debt_and_touches_nobody_elses_balance() -> None:
    # low used 4 kWh beyond any contract: 3.00, of which it has 1.00. The grid has 1.00 and a claim of 2.00.
    world = WatchedWorld(parameters={"fee": 0})
    world.member("low", Side.BUY, money=MILLION)
    world.member("g", Side.SELL)
    world.publish()
    world.read({"low-buy": FOUR, "g-sell": FOUR})
    world.close()
    assert world.account("low").balance == 0
    assert world.account("low").status is Status.INDEBTED
    assert world.balance_of(world.ledger._reserved.grid) == MILLION - 4 * FEED_IN
    assert gain(world, "g") == 4 * FEED_IN
    ((debt, owed),) = world.debts_of("low")
    assert (owed.amount, owed.kind, owed.creditor) == (2 * MILLION, Kind.RESIDUAL_PURCHASE, world.ledger._reserved.grid)
    # A deposit alone pays nothing; the member pays in parts, and the last part makes it active.
    world.deposit("low", 5 * MILLION)
    world.done("low", SettleDebt(debt, MILLION))
    assert world.account("low").status is Status.INDEBTED
    world.done("low", SettleDebt(debt, MILLION))
    assert world.account("low").status is Status.ACTIVE
    assert world.debts_of("low") == []
    told = [(fact.amount, fact.debt) for fact in world.facts(DebtRecorded) if isinstance(fact, DebtRecorded)]
    assert told == [(2 * MILLION, debt), (MILLION, debt), (0, debt)]
    statuses = [fact.status for fact in world.facts(StatusChanged) if isinstance(fact, StatusChanged)]
    assert statuses == [Status.INDEBTED, Status.ACTIVE]


def test_a_member_with_two_debts_is_active_only_when_both_are_paid() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("low", Side.BUY, money=0)
    for i in range(2):
        day = world.publish(START + i * DAY)
        world.read({"low-buy": FOUR}, day=day)
        world.close(day=day)
    (first, one), (second, other) = world.debts_of("low")
    assert one.amount == other.amount == 3 * MILLION
    world.deposit("low", 6 * MILLION)
    world.done("low", SettleDebt(first, 3 * MILLION))
    assert world.account("low").status is Status.INDEBTED
    world.done("low", SettleDebt(second, 3 * MILLION))
    assert world.account("low").status is Status.ACTIVE


def test_a_debt_outlives_the_day_that_caused_it() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("low", Side.BUY, money=0)
    world.publish()
    world.read({"low-buy": FOUR})
    world.close()
    world.done("operator", SealDay(START), at=FINAL)
    world.deposit("low", 3 * MILLION)
    ((debt, _),) = world.debts_of("low")
    world.done("low", SettleDebt(debt, 3 * MILLION))
    assert world.account("low").status is Status.ACTIVE


def test_collateral_pays_a_contract_even_when_no_free_money_is_left() -> None:
    # The buyer's whole money is locked; 3.600016 pay 4 * .54 and come back as 1.440016.
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY, money=3_600_016)
    world.publish()
    world.approve(world.contract("g", "c", FOUR))
    assert world.account("c").balance == 0
    world.read({"g-sell": FOUR, "c-buy": FOUR})
    world.close()
    assert world.account("c").balance == 3_600_016 - 4 * 540_000
    assert world.account("c").status is Status.ACTIVE


def test_the_grid_pays_until_its_credit_limit_and_owes_the_rest() -> None:
    # The limit of 1.00 pays 1.00 of 1.60 for surplus; the rest is the grid's debt, until the operator settles it.
    world = WatchedWorld(parameters={"grid_credit_limit": MILLION, "fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    world.publish(feeders=("f1",))
    world.read({"g-sell": FOUR, "c-buy": [0] * 4})
    world.close()
    grid = world.ledger._reserved.grid
    assert (gain(world, "g"), world.balance_of(grid)) == (MILLION, -MILLION)
    ((debt, owed),) = list(world.ledger.state.items(Table.DEBT))
    assert (owed.debtor, owed.creditor, owed.amount) == (grid, world.address("g"), 600_000)
    tomorrow = world.publish(START + DAY)
    world.read({"g-sell": [0] * 4, "c-buy": FOUR}, day=tomorrow)
    world.close(day=tomorrow)
    world.done("operator", SettleDebt(debt, 600_000))
    assert gain(world, "g") == 1_600_000
    assert world.ledger.state.count(Table.DEBT) == 0


def test_where_the_grid_cannot_pay_everybody_the_smaller_address_comes_first() -> None:
    world = WatchedWorld(parameters={"grid_credit_limit": 2 * MILLION, "fee": 0})
    for name in "ghi":
        world.member(name, Side.SELL)
    world.publish()
    world.read({f"{name}-sell": FOUR for name in "ghi"})
    world.close()
    # Three times 1.60 against 2.00.
    assert [gain(world, name) for name in sorted("ghi", key=world.address)] == [1_600_000, 400_000, 0]


def test_a_credit_limit_that_is_lowered_takes_nothing_back_and_pays_nothing_more() -> None:
    # The grid stands at -1.60 when its limit becomes 0: what it owes for the next day is recorded, and what comes in
    # then fills the hole first.
    world = World(parameters={"grid_credit_limit": 2 * MILLION, "fee": 0, "notice_blocks": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    days = [world.publish(START + i * DAY) for i in range(2)]
    world.read({"g-sell": FOUR, "c-buy": [0] * 4})
    world.close()
    grid = world.ledger._reserved.grid
    assert world.balance_of(grid) == -4 * FEED_IN
    world.done("operator", Propose(SetParameters((("grid_credit_limit", 0),), world.ledger.height + 1)))
    world.read({"g-sell": FOUR, "c-buy": [0] * 4}, day=days[1])
    world.close(day=days[1])
    assert world.balance_of(grid) == -4 * FEED_IN
    ((debt, owed),) = list(world.ledger.state.items(Table.DEBT))
    assert (owed.debtor, owed.amount) == (grid, 4 * FEED_IN)
    # A correction that brings the grid 1.50: it stays below its limit and still pays nothing.
    world.read({"c-buy": [KWH, KWH, 0, 0]}, day=days[1], version=2)
    assert world.balance_of(grid) == -100_000
    assert world.do("operator", SettleDebt(debt, 1)).code == "balance_short"
    assert world.money_in_all() == 0


def test_the_greatest_contract_at_the_greatest_price_stays_inside_64_bits() -> None:
    # 100 intervals of 1 GWh at 998 per kWh, between 0 and 1,000, and nothing is delivered: c buys 10**11 Wh at 1,000,
    # and compensation makes it whole: 10**8 kWh for 998 each. 100 points are lost, and fined with 1 each per kWh.
    world = WatchedWorld(parameters={"fee": 0, "mu": MILLION, "initial_credit": 100 * POINT}, intervals=100)
    for name, side in (("g", Side.SELL), ("c", Side.BUY)):
        world.member(name, side, limit_w=POWER_MAX, money=2 * 10**18)
    window = Window(START, START + 100 * QUARTER, QUARTER)
    prices = [pack_prices([value]) for value in (-PRICE_MAX, PRICE_MAX, 0)]
    end = window.end_ms
    deadlines = (START - 1, end, end, end + HOUR)
    world.done("operator", Propose(PublishDay(window, ("f1",), prices[0], prices[1], prices[2], *deadlines)))
    contract = world.contract("g", "c", [ENERGY_PER_INTERVAL_MAX] * 100, 998 * MILLION)
    lock = world.account("g").locked
    # A negative feed-in price is what g may have to pay for selling: 1,000 on every kWh, and 2 of compensation.
    assert lock == 10**8 * (1_000 + 2) * MILLION + 10 * 10**8 * MILLION + 400
    world.read({"g-sell": [0] * 100, "c-buy": [ENERGY_PER_INTERVAL_MAX] * 100})
    world.close()
    found = settled_of(world, contract)
    assert found.grid_purchase == 10**8 * 1_000 * MILLION
    assert found.seller_compensation == 10**8 * 2 * MILLION
    assert found.seller_fine == 10**8 * 100 * MILLION
    assert world.account("c").balance == 2 * 10**18 - 10**8 * 998 * MILLION


# Sealing


def test_a_sealed_day_leaves_the_state_and_its_money_where_it_is() -> None:
    world, _ = market([("g", "c", MWH), ("a", "b", MWH)], {"g-sell": 0})
    before = {name: world.account(name).balance for name in "gcab"}
    world.done("operator", SealDay(START), at=FINAL)
    tables = (
        Table.DAY,
        Table.OFFER,
        Table.CONTRACT,
        Table.PROMISE,
        Table.READING,
        Table.FAULT,
        Table.MEMBER_DAY,
        Table.SETTLED,
        Table.POSITION,
        Table.FLOW,
    )
    assert [world.ledger.state.count(table) for table in tables] == [0] * len(tables)
    assert {name: world.account(name).balance for name in "gcab"} == before
    assert world.side("g", Side.SELL).credit == 0


def test_a_day_can_be_disputed_from_its_close_on_also_when_it_is_sealed() -> None:
    world, (contract, other) = market([("g", "c", MWH), ("a", "b", MWH)], {"g-sell": 0})
    world.done("c", Dispute(START, contract, "the meter was changed that day"))
    assert world.do("c", Dispute(START, other, "not mine")).code == "role_missing"
    before = {name: world.account(name).balance for name in "gcab"}
    world.done("operator", SealDay(START), at=FINAL)
    world.done("c", Dispute(START, contract, "still"))
    assert world.do("operator", Dispute(START, b"", "no member")).code == "role_missing"
    assert world.do("c", Dispute(START + DAY, b"", "no day")).code == "day_unknown"
    told = [(fact.member, fact.contract) for fact in world.facts(DisputeFiled) if isinstance(fact, DisputeFiled)]
    assert told == [(world.address("c"), contract)] * 2
    assert {name: world.account(name).balance for name in "gcab"} == before


def test_a_day_is_published_closed_and_sealed_while_others_are_open() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY)
    first, second = world.publish(), world.publish(START + 4 * QUARTER)
    contracts = [world.contract("g", "c", FOUR, day=day) for day in (first, second)]
    for day in (second, first):  # the later day is closed first
        world.read({"g-sell": FOUR, "c-buy": FOUR}, day=day)
        world.close(day=day)
    world.done("operator", SealDay(first), at=FINAL)
    assert settled_of(world, contracts[1], second).energy == 2 * MILLION
    assert gain(world, "g") == 4 * MILLION


def test_a_day_is_judged_by_its_finalising_transaction_alone() -> None:
    world = WatchedWorld(parameters={"fee": 0})
    world.member("g", Side.SELL)
    world.member("c", Side.BUY, feeder="f2")
    world.publish(feeders=("f1", "f2"))
    world.approve(world.contract("g", "c", FOUR))
    world.read({"g-sell": [0] * 4})
    world.read({"c-buy": FOUR}, feeder="f2")
    for step in (ClosePage(START, "f1"), ClosePage(START, "f2"), CloseDay(START)):
        assert world.facts(MemberJudged) == []
        assert world.side("g", Side.SELL).credit == 50 * POINT
        assert world.account("g").locked > 0
        world.done("operator", step)
    assert world.side("g", Side.SELL).credit == 0
    assert world.account("g").locked == 0
