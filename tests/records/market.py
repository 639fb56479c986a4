"""An eventful little market for tests of records and report: everything that can be told is told at least once.

Two days of eight quarter-hours among three generators, three consumers and a prosumer, on a real ledger: long
negotiations, a withdrawal, a cancellation, a curtailment, a line fault, reports of the power flow, estimated, late,
missing and corrected readings, defaults on both sides, a debt that is paid in parts, a dispute, withdrawals that are
paid and returned, changed keys, roles and parameters, and transactions that were refused or were no transactions.
A wind park that sells to the grid alone gets certificates, which are split, rolled up, given away, sold, retired and
withdrawn, and two obliged members move carbon allowances.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.ledger.flow_reports import flow_report
from tests.ledger.world import FEED_IN, HOUR, START, World, key_of
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import pack_energy, pack_prices
from wattquorum.ledger.accounts import Role, Side, Status
from wattquorum.ledger.facts import BundleMade, ContractMade, DebtRecorded
from wattquorum.ledger.membership import ROTATION_PURPOSE
from wattquorum.ledger.readings import Quality
from wattquorum.ledger.transactions import (
    Accept,
    AddMeter,
    BuyCertificates,
    Cancel,
    CloseCarbonPeriod,
    Counter,
    Curtail,
    Dispute,
    FlowKind,
    GrantQuota,
    GrantRole,
    IssueCertificates,
    Leave,
    MeterPoint,
    MoveAllowances,
    OfferCertificates,
    PayOut,
    Propose,
    RecoverKey,
    ReportEmissions,
    ReportFault,
    RetireCertificates,
    RollUp,
    RotateKey,
    SealDay,
    SetParameters,
    SetStatus,
    SettleDebt,
    SplitBundle,
    TransferCertificates,
    WithdrawCertificates,
    WithdrawMoney,
    WithdrawOffer,
    WithdrawSale,
    rotation_message,
)
from wattquorum.records.projection import Projection

INTERVALS = 8
DAY = 24 * HOUR
FIRST, SECOND = START, START + DAY
MEMBERS = ("mill", "farm", "dam", "bakery", "forge", "school", "yard", "ridge")
STATEMENT = "</script><script>alert('the register seems high')</script>"


@cache
def eventful() -> World:
    """The market, played once; do not change it."""
    world = World(intervals=INTERVALS, parameters={"decay_days": 2, "notice_blocks": 1})
    _found(world)
    _trade_first_day(world)
    _deliver_first_day(world)
    _trade_and_deliver_second_day(world)
    _after(world)
    return world


def _found(world: World) -> None:
    for name in ("mill", "farm", "dam", "ridge"):
        world.member(name, Side.SELL)
    for name in ("bakery", "forge"):
        world.member(name, Side.BUY, feeder="f2")
    world.member("school", Side.BUY, feeder="f2", money=6 * MILLION)
    world.member("yard", Side.SELL, Side.BUY)
    world.member("clerk", money=0)
    operator = "operator"
    world.done(operator, SetStatus(world.address("clerk"), Status.SUSPENDED, "on leave"))
    world.done(operator, Propose(GrantRole(world.address("clerk"), int(Role.AUDITOR))))
    spare = MeterPoint("mill-2", Side.SELL, "f1", 5 * MILLION, "hydro", 1_000_000)
    world.done(operator, AddMeter(world.address("mill"), spare))
    new = key_of("farm, second key")
    proof = new.sign(ROTATION_PURPOSE, rotation_message(world.ledger.chain_id, world.address("farm")))
    world.done("farm", RotateKey(new.public, proof))
    world.keys["farm"] = new
    world.done(operator, Propose(RecoverKey(world.address("clerk"), key_of("clerk, found again").public)))
    world.publish(FIRST, feeders=("f1", "f2"))
    world.done(
        operator, Propose(SetParameters((("fee", 2_000), ("initial_credit", 60 * MILLION)), world.ledger.height + 3))
    )


def _trade_first_day(world: World) -> None:
    public = world.offer("mill", Side.SELL, [1_000] * INTERVALS, 600_000)
    terms = pack_energy([900] * INTERVALS), pack_prices([560_000])
    counter = world.done("bakery", Counter(FIRST, public, *terms, FIRST))
    terms = pack_energy([900] * INTERVALS), pack_prices([570_000 + 1_000 * i for i in range(INTERVALS)])
    again = world.done("mill", Counter(FIRST, counter, *terms, FIRST))
    world.done("bakery", Accept(FIRST, again))
    world.contract("farm", "forge", [0, 700, 701, 702, 0, 0, 300, 300], 520_000)
    world.contract("yard", "school", [100] * INTERVALS, 500_001)
    world.contract("dam", "forge", [250] * INTERVALS, 480_000)
    dropped = world.contract("dam", "bakery", [50] * INTERVALS, 490_000)
    for side in ("dam", "bakery"):
        world.done(side, Cancel(FIRST, dropped))
    back = world.offer("dam", Side.SELL, [10] * INTERVALS, 500_000)
    world.done("dam", WithdrawOffer(FIRST, back))
    world.offer("forge", Side.BUY, [10] * INTERVALS, 500_000, partner="dam")
    world.do("dam", world.offer_payload(Side.SELL, [10] * INTERVALS, FEED_IN))  # outside the band
    world.block([b"no transaction", world.signed("mill", Leave(), nonce=99)])


def _contracts(world: World, day: int) -> list[bytes]:
    made = [fact for fact in world.facts(ContractMade) if isinstance(fact, ContractMade)]
    return [fact.contract for fact in made if fact.day == day]


def _deliver_first_day(world: World) -> None:
    first, second, third, _fourth, _ = _contracts(world, FIRST)
    world.approve(first, second, third)
    lower = pack_energy([0, 700, 701, 400, 0, 0, 300, 300])
    world.done("operator", Curtail(FIRST, second, lower, "transformer T2 near its limit"), at=FIRST - 10 * HOUR)
    world.done("operator", flow_report(FIRST, times=2))
    world.done("operator", ReportFault(FIRST, ("dam-sell",), 2, 4, "cable cut"), at=FIRST + HOUR)
    measured, estimated = Quality.MEASURED, Quality.ESTIMATED
    world.read(
        {
            "mill-sell": [700, 800, 900, 1_000, 333, 900, 900, 901],
            "mill-2": [0, 0, 0, 0, 100, 0, 0, 7],
            "farm-sell": [5, 690, 720, 333, 0, 9, 100, 299],
            "dam-sell": [250, 260, 0, 0, 250, 251, 250, 250],
            "ridge-sell": [600_000] * INTERVALS,
            "yard-sell": [100] * INTERVALS,
            "yard-buy": [31, 0, 0, 5, 0, 0, 0, 1],
        },
        quality={"farm-sell": [measured, estimated, measured, measured, measured, measured, measured, measured]},
    )
    world.read(
        {
            "bakery-buy": [900, 1_100, 500, 850, 900, 900, 77, 900],
            "forge-buy": [300, 940, 960, 700, 250, 0, 520, 555],
            "school-buy": [100, 90, 130, 100, 80_000, 100, 60, 100],
        },
        feeder="f2",
    )
    world.done("operator", flow_report(FIRST, FlowKind.METERED, times=2))
    world.close(feeders=("f1", "f2"))
    _certify(world)
    # The mill's first register was read wrongly: the day is settled again. So was the park's, after it was certified.
    world.read({"ridge-sell": [600_000] * 7 + [500_000]}, version=2)
    world.read({"mill-sell": [900, 900, 900, 1_000, 800, 900, 900, 901]}, version=2)
    more: dict[str, Any] = {"losses": [51, 60, 20, 70] * 2, "supply": [2_051, 0, 0, 4_070] * 2}
    world.done("operator", flow_report(FIRST, FlowKind.METERED, 2, times=2, **more))
    world.done("bakery", Dispute(FIRST, first, STATEMENT))


def _certify(world: World) -> None:
    """The park's 4.8 MWh of the first day: four bundles of 1.2 MWh, of which whole certificates are made."""
    world.done("operator", IssueCertificates(FIRST, ("ridge-sell",), 2))
    first, second, third, fourth = _bundles(world)
    world.done("ridge", SplitBundle(fourth, 200_000))
    rest = _bundles(world)[-1]
    world.done("ridge", TransferCertificates(rest, 1_000_000, world.address("forge")))
    world.done("ridge", RollUp((first, second, third)))
    whole = _bundles(world)[-1]
    sale = world.done("ridge", OfferCertificates(whole, 2, world.address("bakery"), 60 * MILLION, FIRST + 3 * DAY))
    world.done("bakery", BuyCertificates(sale))
    kept = _bundles(world)[-1]
    back = world.done("ridge", OfferCertificates(kept, 1, b"", MILLION, FIRST + 3 * DAY))
    world.done("ridge", WithdrawSale(back))
    bought, kept = _bundles(world)[-2:]
    world.done("bakery", RetireCertificates(bought, 1, "", "bread of June"))
    world.done("operator", WithdrawCertificates(world.address("ridge"), kept, "issued by mistake"))


def _bundles(world: World) -> list[bytes]:
    return [fact.bundle for fact in world.facts(BundleMade) if isinstance(fact, BundleMade)]


def _settle_carbon(world: World) -> None:
    bakery, forge = world.address("bakery"), world.address("forge")
    world.done("operator", GrantQuota(bakery, 5_000_000))
    world.done("operator", GrantQuota(forge, 2_000_000))
    world.done("operator", ReportEmissions(bakery, 1, 3_000_000))
    world.done("bakery", MoveAllowances(forge, 1_500_000))
    world.done("operator", ReportEmissions(forge, 1, 4_000_000))
    world.done("operator", CloseCarbonPeriod(1))


def _trade_and_deliver_second_day(world: World) -> None:
    world.publish(SECOND, feeders=("f1", "f2"), gate_ms=SECOND - HOUR)
    world.contract("mill", "bakery", [400] * INTERVALS, 550_000, day=SECOND)
    world.contract("yard", "forge", [90, 0, 90, 0, 90, 0, 90, 0], 600_000, day=SECOND)
    # The dam's meter is silent, so that it counts as nothing; the readings of f2 are late.
    world.contract("dam", "forge", [120] * INTERVALS, 470_000, day=SECOND)
    world.read(
        {
            "mill-sell": [350] * INTERVALS,
            "mill-2": [20] * INTERVALS,
            "farm-sell": [10] * INTERVALS,
            "ridge-sell": [50_000] * INTERVALS,
            "yard-sell": [90] * INTERVALS,
            "yard-buy": [5] * INTERVALS,
        },
        day=SECOND,
    )
    world.now = SECOND + DAY + 7 * HOUR
    rows: dict[str, Sequence[int]] = {
        "bakery-buy": [410] * INTERVALS,
        "forge-buy": [200, 100] * 4,
        "school-buy": [1] * INTERVALS,
    }
    world.read(rows, day=SECOND, feeder="f2")
    world.now = SECOND + DAY + 26 * HOUR
    _settle_carbon(world)
    world.close(day=SECOND, feeders=("f1", "f2"))


def _after(world: World) -> None:
    debt = next(fact for fact in world.facts(DebtRecorded) if isinstance(fact, DebtRecorded))
    world.deposit("school", 5 * MILLION)
    world.done("school", SettleDebt(debt.debt, 1 * MILLION))
    paid = world.done("mill", WithdrawMoney(7 * MILLION))
    world.done("operator", PayOut(paid, True))
    returned = world.done("mill", WithdrawMoney(3 * MILLION))
    world.done("operator", PayOut(returned, False))
    world.done("mill", WithdrawMoney(MILLION))
    world.done("farm", Leave())
    world.done("operator", SealDay(FIRST), at=FIRST + 4 * DAY)


def record(world: World, place: Path, *, blocks: Sequence[int] | None = None) -> Path:
    """The records of a world in a file; only its first blocks if their numbers are given."""
    with Projection(place) as projection:
        projection.begin(world.ledger.genesis, world.ledger.founding_facts)
        for i, executed in enumerate(world.executed):
            if blocks is None or i in blocks:
                projection.apply(executed.block, executed.facts, executed.told)
    return place
