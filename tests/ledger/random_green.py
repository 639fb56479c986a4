"""A market of certificates and allowances that lives through days at random, sensible or not.

Devices are read, corrected, certified, sealed; bundles are split, given, rolled up, sold, retired and withdrawn, and
expire; allowances are granted, moved and settled. Every choice comes from one source of chance that is handed in. What
must hold is checked after every block by the world that watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.ledger.green_world import DAY, MWH, GreenWorld
from tests.ledger.watched import snapshot_of
from tests.ledger.world import HOUR, QUARTER, START, key_of
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import pack_energy
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome, Receipt
from wattquorum.ledger.holdings import Bundle, BundleStatus
from wattquorum.ledger.readings import Quality, Row, encode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    BuyCertificates,
    CloseCarbonPeriod,
    CloseDay,
    ClosePage,
    CommitReadings,
    Deposit,
    GrantQuota,
    IssueCertificates,
    Leave,
    MeterPoint,
    MoveAllowances,
    OfferCertificates,
    Payload,
    Register,
    ReportEmissions,
    RetireCertificates,
    RollUp,
    SealDay,
    SetStatus,
    SplitBundle,
    TransferCertificates,
    WithdrawCertificates,
    WithdrawMoney,
    WithdrawSale,
)

LIMIT_W = 40 * MWH  # 10 MWh in a quarter of an hour
# Name: owner, and its meters with side and technology.
MEMBERS: dict[str, tuple[str, tuple[tuple[str, Side, str], ...]]] = {
    "w": ("w", (("w-1", Side.SELL, "wind"), ("w-2", Side.SELL, "wind-offshore"), ("w-3", Side.SELL, "hydro"))),
    "p": ("p", (("p-1", Side.SELL, "pv"), ("p-2", Side.BUY, "load"))),
    "b": ("b", (("b-1", Side.BUY, "load"),)),
    "x": ("w", (("x-1", Side.BUY, "load"),)),  # of the same owner as w
}
METERS = {meter: side for _, own in MEMBERS.values() for meter, side, _ in own}
DEVICES = [meter for meter, side in METERS.items() if side is Side.SELL]
NAMES = [*MEMBERS, "operator"]


class RandomGreen:
    """Days in the life of a small market of certificates."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.intervals = chance.randint(1, 3)
        self.world = GreenWorld(
            intervals=self.intervals,
            parameters={
                "fee": 0,
                "certificate_days": chance.choice([1, 2, 3, 4, 365, 365]),
                "certificate_scale": chance.randint(1, 2),
                "offers_max": chance.choice([2, 1_000]),
            },
        )
        self.days: list[int] = []  # that are published and not sealed
        self.versions: dict[tuple[int, str], int] = {}
        for name, (owner, meters) in MEMBERS.items():
            points = tuple(MeterPoint(meter, side, "f1", LIMIT_W, source, MILLION) for meter, side, source in meters)
            self.world.done("operator", Register(key_of(name).public, name, owner, points))
            self.world.deposit(name, chance.choice([4 * MILLION, 1_000 * MILLION]))

    def live(self, days: int = 4, steps: int = 40) -> None:
        """Days are published together, then delivered, closed and lived on one after the other."""
        starts = [START + i * DAY for i in range(days)]
        for start in starts:
            self.world.publish(start, final_ms=start + self.intervals * QUARTER + self.chance.choice([25, 50]) * HOUR)
        for start in starts:
            self.deliver(start)
            self.days.append(start)
            late = start != starts[-1] and self.chance.random() < 0.3
            if not late:
                for day in self.days:
                    self.close(day)
                if self.chance.random() < 0.7:
                    every = self.chance.randint(1, self.intervals)
                    self.attempt("operator", IssueCertificates(start, ("w-1", "p-1"), every))
            for _ in range(self.chance.randint(steps // 2, steps)):
                self.step()

    # Trying things

    def attempt(self, name: str, payload: Payload, rows: Sequence[bytes] = ()) -> Receipt:
        """What may be refused; then nothing but the sender's account may differ."""
        before = snapshot_of(self.world.ledger.state)
        receipt = self.world.do(name, payload, rows=rows)
        assert receipt.outcome is not Outcome.INADMISSIBLE
        if receipt.outcome is Outcome.REFUSED:
            own: dict[tuple[int, bytes], bytes] = {
                (Table.ACCOUNT, self.world.address(name)): b"",
                (Table.CHAIN, b""): b"",
            }
            assert {**snapshot_of(self.world.ledger.state), **own} == {**before, **own}
        return receipt

    def some_energy(self) -> list[int]:
        scale = self.chance.choice([0, 3, 999_999, MWH, 3 * MWH, 10 * MWH])
        return [self.chance.choice([0, scale, self.chance.randint(0, scale)]) for _ in range(self.intervals)]

    def read(self, day: int, meters: Sequence[str]) -> None:
        rows = []
        for meter in sorted(meters):
            quality = [Quality.MEASURED if self.chance.random() < 0.8 else self.chance.choice(list(Quality))] * 3
            version = self.versions.get((day, meter), 0) + 1
            energy = self.some_energy() if METERS[meter] is Side.SELL else [self.chance.randint(0, 2_000)] * 3
            packed = pack_energy(energy[: self.intervals])
            rows.append(Row(meter, version, packed, bytes(quality[: self.intervals]), self.chance.randbytes(16)))
        payload = CommitReadings(day, "f1", root_of_rows(rows), len(rows))
        receipt = self.attempt("operator", payload, [encode_rows(rows)])
        assert receipt.outcome is Outcome.DONE or receipt.code == "day_final", receipt
        if receipt.outcome is Outcome.DONE:
            self.versions.update({(day, row.meter): row.version for row in rows})

    def deliver(self, day: int) -> None:
        self.world.block([], at=day + self.intervals * QUARTER)
        self.read(day, list(METERS))

    def close(self, day: int) -> None:
        state = self.world.ledger.state.get(Table.DAY, day.to_bytes(8, "big"))
        if not state.pages:
            self.world.done("operator", ClosePage(day, "f1"))
            self.world.done("operator", CloseDay(day))

    # One thing after the other

    def step(self) -> None:
        chance, world = self.chance, self.world
        what = chance.randint(0, 23)
        day = chance.choice(self.days) if self.days else START
        if what <= 3:
            meters = tuple(chance.sample(DEVICES, chance.choice([1, 1, 2])))
            self.attempt("operator", IssueCertificates(day, meters, chance.randint(1, self.intervals)))
        elif what <= 5 and self.days:
            self.read(day, chance.sample(DEVICES, chance.choice([1, 2])))
        elif what <= 7 or what >= 22:
            self.carbon()
        elif what == 8:
            self.seal()
        elif what == 9:
            world.block([], at=world.now + chance.choice([HOUR, 8 * HOUR, 17 * HOUR]))
        elif what == 10:
            self.accounts(chance.choice(list(MEMBERS)))
        else:
            self.trade(what)

    def some_bundle(self, granular: bool | None = None) -> tuple[str, bytes, Bundle] | None:
        """A bundle and its owner's name; nearly always one that can be used."""
        any_ = self.chance.random() < 0.1
        found = [
            (key, each)
            for key, each in self.world.ledger.state.items(Table.BUNDLE)
            if (granular is None or (each.unit == 1) is granular)
            and (any_ or (each.status is BundleStatus.ACTIVE and each.expires_ms > self.world.now + 1))
        ]
        if not found:
            return None
        key, bundle = self.chance.choice(found)
        return next(name for name in NAMES if self.world.address(name) == key[:20]), key[20:], bundle

    def trade(self, what: int) -> None:
        chance, world = self.chance, self.world
        found = self.some_bundle(chance.choice([None, False]))
        if found is None:
            found = self.some_bundle()
        if found is None:
            return
        name, bundle_id, bundle = found
        sender = name if chance.random() < 0.9 else chance.choice(NAMES)
        other = chance.choice(list(MEMBERS))
        count = chance.choice([1, bundle.size, bundle.size, chance.randint(0, bundle.size + 1)])
        sales = [key for key, _ in world.ledger.state.items(Table.SALE)]
        if what <= 12:
            self.attempt(sender, TransferCertificates(bundle_id, count, world.address(other)))
        elif what == 13:
            self.attempt(sender, SplitBundle(bundle_id, count))
        elif what <= 16:
            self.roll_up()
        elif what <= 18 or (what == 19 and not sales):
            to = world.address(other) if chance.random() < 0.2 else b""
            until = world.now + chance.choice([1, HOUR, HOUR, 3 * DAY])
            amount = chance.choice([0, 1, 1, MILLION, 500 * MILLION])
            receipt = self.attempt(sender, OfferCertificates(bundle_id, count, to, amount, until))
            if receipt.outcome is Outcome.DONE and chance.random() < 0.7:
                for buyer in chance.sample(list(MEMBERS), 2):
                    self.attempt(buyer, BuyCertificates(receipt.transaction[:16]))
        elif what == 19:
            chosen = chance.choice(sales)
            if chance.random() < 0.5:
                self.attempt(other, BuyCertificates(chosen))
            else:
                sale = world.ledger.state.get(Table.SALE, chosen)
                seller = next(each for each in MEMBERS if world.address(each) == sale.seller)
                self.attempt(seller, WithdrawSale(chosen))
        elif what == 20:
            self.attempt(sender, RetireCertificates(bundle_id, count, chance.choice(["", "", "a shop"]), "by chance"))
        else:
            owner = world.address(name if chance.random() < 0.9 else other)
            self.attempt("operator", WithdrawCertificates(owner, bundle_id, "by chance"))

    def roll_up(self) -> None:
        """Mostly granular bundles of one device in any order."""
        found = self.some_bundle(granular=True)
        if found is None:
            return
        name, bundle_id, bundle = found
        others = [
            key
            for key, each in self.world.bundles_of(name).items()
            if key != bundle_id and (each.meter, each.unit, each.status) == (bundle.meter, 1, BundleStatus.ACTIVE)
        ]
        chosen = [bundle_id, *self.chance.sample(others, self.chance.randint(0, len(others)))]
        if self.chance.random() < 0.05:
            chosen.append(bundle_id)
        self.chance.shuffle(chosen)
        self.attempt(name, RollUp(tuple(chosen)))

    def carbon(self) -> None:
        chance, world = self.chance, self.world
        one, other = (world.address(name) for name in chance.sample(["w", "p", "b"], 2))
        period, grams = world.green.period, chance.choice([1, 20, 50, chance.randint(0, 200)])
        what = chance.randint(0, 10)
        if what <= 2:
            for member in (one, other):
                self.attempt("operator", GrantQuota(member, 2 * grams))
        elif what <= 7:
            giver = chance.choice(["w", "p", "b", "w", "p", "b", "x"])
            if chance.random() < 0.8:  # before its emissions are verified it can give nothing
                self.attempt("operator", ReportEmissions(world.address(giver), period, chance.choice([0, 1, grams])))
            self.attempt(giver, MoveAllowances(other, grams))
        elif what <= 9:
            self.attempt("operator", ReportEmissions(one, chance.choice([period, period, 1]), grams))
        else:
            self.attempt("operator", CloseCarbonPeriod(chance.choice([period, period, 1])))

    def accounts(self, name: str) -> None:
        """Money, suspension and leaving, which certificates and carbon may depend on."""
        chance, world = self.chance, self.world
        what = chance.randint(0, 4)
        if what == 0:
            self.attempt("operator", Deposit(world.address(name), MILLION, f"d{world.ledger.height}"))
        elif what <= 2:
            self.attempt(name, WithdrawMoney(chance.choice([1, world.account(name).balance])))
        elif what == 3:
            for status in (Status.SUSPENDED, Status.ACTIVE)[: chance.randint(1, 2)]:
                self.attempt("operator", SetStatus(world.address(name), status, "by chance"))
                self.trade(chance.randint(11, 21))
        else:
            self.attempt("operator", SetStatus(world.address(name), Status.ACTIVE, "by chance"))
            if chance.random() < 0.2:
                self.attempt(name, Leave())

    def seal(self) -> None:
        """The oldest day, if its final moment is past or does not lie beyond the next day's end."""
        final_ms = self.world.ledger.state.get(Table.DAY, self.days[0].to_bytes(8, "big")).final_ms if self.days else 0
        if final_ms > self.world.now and self.chance.random() < 0.8:
            return
        if self.days and self.attempt("operator", SealDay(self.days[0])).outcome is Outcome.DONE:
            del self.days[0]
