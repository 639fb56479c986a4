"""What the sweeps of bad input share: a market of four members, attempts on it, and how a refusal is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.ledger.watched import WatchedWorld, snapshot_of
from tests.ledger.world import HOUR, QUARTER, START
from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.refusals import shown
from wattquorum.foundation.vectors import pack_energy
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.readings import Row
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    Cancel,
    ClosePage,
    GrantRole,
    Leave,
    MeterPoint,
    Payload,
    Propose,
    PublishDay,
    RecoverKey,
    RevokeRole,
    SetParameters,
    SetStatus,
)

KWH = 1_000
END = START + 4 * QUARTER
GATE = START - 12 * HOUR
FINAL = END + 48 * HOUR
NOBODY = bytes(20)
NOTHING = bytes(16)
FOUR = [KWH] * 4
ALL: dict[str, Sequence[int]] = {"g-sell": FOUR, "c-buy": FOUR, "x-buy": FOUR}

# The buyer of 4 kWh at 0.50 locks in each interval, for 1 kWh: 0.75 for all of it from the grid and 0.10 compensation,
# that is 0.85, and 4 units of slack; and a fine of .005 * 10 points * 4 kWh = 0.20 in all: 3.600016. The fee is 0.004.
LOCK, FEE = 3_600_016, 4_000


class Attempt(NamedTuple):
    """A transaction that must be refused, and the value that its receipt must show."""

    sender: str
    payload: Payload
    value: object
    rows: tuple[bytes, ...] = ()
    at: int | None = None


Make = Callable[[WatchedWorld], Attempt]


class Case(NamedTuple):
    code: str
    field: str
    make: Make


def refusals(cases: list[Case]) -> Callable[[str, str], Callable[[Make], Make]]:
    """A decorator that notes an attempt and how it must be refused: its code and its field."""

    def refused(code: str, field: str) -> Callable[[Make], Make]:
        def note(make: Make) -> Make:
            cases.append(Case(code, field, make))
            return make

        return note

    return refused


def name_of(case: Case) -> str:
    return case.make.__name__


def check_case(case: Case) -> None:
    world = fresh()
    check_refused(world, case.make(world), case.code, case.field)


def fresh() -> WatchedWorld:
    """g sells, c buys, p does both on another feeder, x is of the same owner as g; one day with both feeders."""
    made = WatchedWorld(parameters={"notice_blocks": 5})
    made.member("g", Side.SELL, limit_w=40 * KWH)
    made.member("c", Side.BUY, limit_w=40 * KWH)
    made.member("p", Side.SELL, Side.BUY, limit_w=40 * KWH, feeder="f2")
    made.member("x", Side.BUY, owner="g")
    made.publish(feeders=("f1", "f2"))
    return made


def check_refused(world: WatchedWorld, attempt: Attempt, code: str, field: str) -> None:
    if attempt.at is not None:
        world.block([], at=attempt.at - 1)  # what time alone changes, such as an epoch's end, has happened then
    before = snapshot_of(world.ledger.state)
    account = world.account(attempt.sender)
    receipt = world.do(attempt.sender, attempt.payload, rows=attempt.rows)
    found = (receipt.outcome, receipt.code, receipt.field, receipt.value)
    wanted = (Outcome.REFUSED, code, field, shown(attempt.value))
    assert found == wanted, (found, wanted)
    assert world.account(attempt.sender) == changed(account, nonce=account.nonce + 1)
    after = snapshot_of(world.ledger.state)
    place = (Table.ACCOUNT, world.address(attempt.sender))
    assert {**after, place: b""} == {**before, place: b""}


def suspended(world: WatchedWorld, name: str) -> None:
    world.done("operator", SetStatus(world.address(name), Status.SUSPENDED, "late papers"))


def cancelled(world: WatchedWorld) -> bytes:
    contract = world.contract("g", "c", FOUR)
    world.done("g", Cancel(START, contract))
    world.done("c", Cancel(START, contract))
    return contract


def indebted(world: WatchedWorld, *, leaving: bool = False) -> bytes:
    """`low` used 4 kWh that it did not contract: it owes 3.00 and has 1.00."""
    world.member("low", Side.BUY, money=MILLION)
    if leaving:
        world.done("low", Leave())
    world.read({**ALL, "low-buy": FOUR})
    world.done("operator", ClosePage(START, "f1"))
    ((debt, owed),) = world.debts_of("low")
    assert owed.amount == 2 * MILLION
    world.deposit("low", 5 * MILLION)
    return debt


def read_all(world: WatchedWorld) -> None:
    world.read(ALL)
    world.read({"p-sell": FOUR, "p-buy": FOUR}, feeder="f2")


def closed(world: WatchedWorld) -> None:
    read_all(world)
    world.close(feeders=("f1", "f2"))


def point(meter: str, side: Side = Side.SELL, limit_w: int = KWH, feeder: str = "f1") -> MeterPoint:
    return MeterPoint(meter, side, feeder, limit_w, "pv", MILLION)


def row(
    meter: str = "g-sell", energy: Sequence[int] = FOUR, quality: Sequence[int] = (0,) * 4, version: int = 1
) -> Row:
    return Row(meter, version, pack_energy(energy), bytes(quality), bytes(16))


def governed(action: SetParameters | PublishDay | GrantRole | RevokeRole | RecoverKey, value: object) -> Attempt:
    return Attempt("operator", Propose(action), value)


def parameters(world: WatchedWorld, *changes: tuple[str, int], ahead: int = 6) -> SetParameters:
    return SetParameters(changes, world.ledger.height + ahead)
