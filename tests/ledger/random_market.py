"""A market that lives through days at random: members trade, deliver, fall short, are corrected, and run out of money.

Every choice comes from one source of chance that is handed in, so that what fails can be shrunk and told again. Much of
what members try is refused; what must hold is checked after every block by the watched world.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.ledger.watched import WatchedWorld, snapshot_of
from tests.ledger.world import HOUR, QUARTER, START, key_of
from wattquorum.foundation.intervals import Window
from wattquorum.foundation.quantities import MILLION
from wattquorum.foundation.vectors import energy_list, pack_energy, pack_prices
from wattquorum.ledger.accounts import Side, Status
from wattquorum.ledger.blocks import Outcome, Receipt
from wattquorum.ledger.entities import ContractStatus, OfferStatus
from wattquorum.ledger.readings import Quality, Row, encode_rows, root_of_rows
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    Accept,
    ApproveContracts,
    Cancel,
    CloseDay,
    ClosePage,
    CommitReadings,
    Counter,
    Curtail,
    Deposit,
    Dispute,
    Leave,
    MeterPoint,
    Offer,
    Payload,
    PayOut,
    Propose,
    PublishDay,
    Register,
    ReportFault,
    SealDay,
    SetStatus,
    SettleDebt,
    WithdrawMoney,
    WithdrawOffer,
)
from wattquorum.market.terms import Policy

DAY = 24 * HOUR
LIMIT_W = 12_000  # 3 kWh in a quarter of an hour
MOST_WH = 3_000
FEEDERS = ("f1", "f2")
# Name: owner, and its meters with side and feeder; the first of a side decides on which page it is settled.
MEMBERS: dict[str, tuple[str, tuple[tuple[str, Side, str], ...]]] = {
    "s1": ("s1", (("s1-sell", Side.SELL, "f1"),)),
    "s2": ("s2", (("s2-sell", Side.SELL, "f2"), ("s2-more", Side.SELL, "f1"))),
    "b1": ("b1", (("b1-buy", Side.BUY, "f1"),)),
    "b2": ("b2", (("b2-buy", Side.BUY, "f2"),)),
    "p": ("p", (("p-sell", Side.SELL, "f1"), ("p-buy", Side.BUY, "f2"), ("p-more", Side.BUY, "f2"))),
    "q": ("s2", (("q-sell", Side.SELL, "f2"), ("q-buy", Side.BUY, "f1"))),
}
METERS = {meter: (name, side, feeder) for name, (_, own) in MEMBERS.items() for meter, side, feeder in own}


class RandomMarket:
    """Days in the life of a small market."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.waived = chance.random() < 0.6
        self.intervals = chance.randint(1, 3)
        self.world = WatchedWorld(
            intervals=self.intervals,
            parameters={
                "fee": chance.choice([0, 1_000, 7]),
                "tolerance": chance.choice([0, 50_000, 500_000]),
                "policy": int(chance.choice(list(Policy))),
                "mu": chance.choice([0, 5_000, MILLION]),
                "minimum_credit_loss": chance.choice([0, MILLION]),
                "collateral_loss": chance.choice([0, 10 * MILLION]),
                "initial_credit": chance.choice([0, 50 * MILLION, 100 * MILLION]),
                "max_share": chance.choice([1, 66_667, MILLION]),
                "decay_days": chance.randint(1, 2),
                "band_waived": int(self.waived),
                "silence": chance.randint(1, 2),
                "grid_credit_limit": chance.choice([0, 500_000, MILLION * MILLION]),
            },
        )
        self.days: list[int] = []
        self.versions: dict[tuple[int, str], int] = {}
        self.references = 0
        for name, (owner, meters) in MEMBERS.items():
            points = tuple(MeterPoint(meter, side, feeder, LIMIT_W, "any", MILLION) for meter, side, feeder in meters)
            self.world.done("operator", Register(key_of(name).public, name, owner, points))
            self.deposit(name, chance.choice([4 * MILLION, *[1_000 * MILLION] * 4]))

    def live(self, days: int = 2) -> None:
        """All of it: days are published and traded, then delivered one after the other."""
        for i in range(days):
            self.publish(START + i * DAY)
        for _ in range(self.chance.randint(8, 20)):
            self.trade()
        for name in MEMBERS:
            if self.chance.random() < 0.4:
                left = self.chance.choice([0, 1, 100_000])
                self.attempt(name, WithdrawMoney(max(0, self.world.account(name).balance - left)))
        for day in self.days:
            self.decide(day)
            self.deliver(day)
            self.close(day)
            for _ in range(self.chance.randint(0, 3)):
                self.correct(day)
                self.live_on()
            if self.chance.random() < 0.5:
                self.seal(day)

    # Trying things

    def attempt(self, name: str, payload: Payload, rows: Sequence[bytes] = (), at: int | None = None) -> Receipt:
        """What may be refused; then nothing but the sender's account may differ."""
        self.world.block([], at=at)
        before = snapshot_of(self.world.ledger.state)
        receipt = self.world.do(name, payload, rows=rows)
        assert receipt.outcome is not Outcome.INADMISSIBLE
        if receipt.outcome is Outcome.REFUSED:
            place = (Table.ACCOUNT, self.world.address(name))
            after = snapshot_of(self.world.ledger.state)
            assert {**after, place: b""} == {**before, place: b""}
        return receipt

    def deposit(self, name: str, amount: int) -> None:
        if amount:
            self.references += 1
            self.world.done("operator", Deposit(self.world.address(name), amount, f"d{self.references}"))

    def energies(self, most: int = MOST_WH) -> list[int]:
        scale = self.chance.choice([1, 3, most // 2, most])
        return [self.chance.randint(0, scale) for _ in range(self.intervals)]

    def side_of(self, name: str) -> Side:
        """A side that the member has, nearly always."""
        own = [side for _, side, _ in MEMBERS[name][1]]
        return self.chance.choice(own if self.chance.random() < 0.95 else list(Side))

    def price(self) -> bytes:
        low, high = (-300_000, 1_500_000) if self.waived else (390_000, 720_000)
        count = self.chance.choice([1, self.intervals])
        return pack_prices([self.chance.randint(low, high) for _ in range(count)])

    # Days

    def publish(self, start: int) -> None:
        chance = self.chance
        tariff = [pack_prices([value]) for value in (400_000, 750_000, 40_000)]
        if self.waived:
            spans = ((-200_000, 600_000), (-200_000, 1_200_000), (-20_000, 100_000))
            tariff = [pack_prices([chance.randint(*span) for _ in range(self.intervals)]) for span in spans]
        window = Window(start, start + self.intervals * QUARTER, QUARTER)
        end = window.end_ms
        deadlines = (start - 6 * HOUR, end, end + HOUR, end + 2 * DAY)
        self.world.done("operator", Propose(PublishDay(window, FEEDERS, tariff[0], tariff[1], tariff[2], *deadlines)))
        self.days.append(start)

    def trade(self) -> None:
        """One step of negotiation, by anybody, sensible or not."""
        chance, world = self.chance, self.world
        day, name = chance.choice(self.days), chance.choice(list(MEMBERS))
        energy, price = pack_energy(self.energies()), self.price()
        offers = world.ledger.state.of_day(Table.OFFER, day)
        contracts = world.ledger.state.of_day(Table.CONTRACT, day)
        step = chance.randint(0, 9)
        if step <= 3 or not offers:
            partner = world.address(chance.choice(list(MEMBERS))) if chance.random() < 0.3 else b""
            self.attempt(name, Offer(day, self.side_of(name), partner, energy, price, day))
            if chance.random() < 0.8:
                self.accept_something(day)
        elif step == 4:
            self.attempt(name, Counter(day, chance.choice(offers)[8:], energy, price, day))
        elif step == 5:
            self.attempt(name, WithdrawOffer(day, chance.choice(offers)[8:]))
        elif step == 6 and contracts:
            key = chance.choice(contracts)
            contract = world.ledger.state.get(Table.CONTRACT, key)
            for side in chance.choice([(contract.seller,), (contract.seller, contract.buyer)]):
                self.attempt(self.name_of(side), Cancel(day, key[8:]))
        elif step == 7:
            self.move_money(name)
        else:
            self.accept_something(day)

    def accept_something(self, day: int) -> None:
        state = self.world.ledger.state
        keys = state.of_day(Table.OFFER, day)
        open_ones = [key for key in keys if state.get(Table.OFFER, key).status is OfferStatus.OPEN]
        if open_ones:
            key = self.chance.choice([open_ones[-1], *open_ones])
            for name in self.chance.sample(list(MEMBERS), 5):
                if self.attempt(name, Accept(day, key[8:])).outcome is Outcome.DONE:
                    break

    def name_of(self, address: bytes) -> str:
        return next(name for name in MEMBERS if self.world.address(name) == address)

    def move_money(self, name: str) -> None:
        chance, world = self.chance, self.world
        step = chance.randint(0, 4)
        if step == 0:
            self.deposit(name, chance.randint(1, 5 * MILLION))
        elif step == 1:
            self.attempt(name, WithdrawMoney(chance.choice([1, world.account(name).balance])))
        elif step == 2:
            payouts = [key for key, _ in world.ledger.state.items(Table.PAYOUT)]
            if payouts:
                self.attempt("operator", PayOut(chance.choice(payouts), chance.random() < 0.7))
        elif step == 3:
            for key, debt in world.debts_of(name):
                self.attempt(name, SettleDebt(key, chance.choice([1, debt.amount])))
        elif chance.random() < 0.2:
            self.attempt(name, Leave())
        else:
            status = chance.choice([Status.ACTIVE, Status.SUSPENDED])
            self.attempt("operator", SetStatus(world.address(name), status, "by chance"))

    def live_on(self) -> None:
        """Between two steps of closing somebody may move money, and the grid pays its debts when it can."""
        if self.chance.random() < 0.4:
            self.move_money(self.chance.choice(list(MEMBERS)))
        grid = self.world.ledger._reserved.grid
        for key, debt in list(self.world.ledger.state.items(Table.DEBT)):
            if debt.debtor == grid and self.chance.random() < 0.3:
                self.attempt("operator", SettleDebt(key, debt.amount))

    def live_contracts(self, day: int) -> list[bytes]:
        state = self.world.ledger.state
        live = (ContractStatus.ACCEPTED, ContractStatus.APPROVED)
        return [key[8:] for key in state.of_day(Table.CONTRACT, day) if state.get(Table.CONTRACT, key).status in live]

    def decide(self, day: int) -> None:
        """The grid operator approves, curtails and reports faults, before and after the fact."""
        chance = self.chance
        gate = day - 6 * HOUR
        chosen = tuple(each for each in self.live_contracts(day) if chance.random() < 0.7)
        self.attempt("operator", ApproveContracts(day, chosen), at=gate)
        for moment in (gate, day + chance.randint(0, self.intervals * QUARTER)):
            if chance.random() < 0.5:
                first = chance.randrange(self.intervals)
                meters = tuple(chance.sample(sorted(METERS), chance.randint(1, 3)))
                self.attempt("operator", ReportFault(day, meters, first, first + 1, "storm"), at=moment)
            for contract in self.live_contracts(day):
                if chance.random() < 0.3:
                    self.curtail(day, contract, moment)

    def curtail(self, day: int, contract: bytes, moment: int) -> None:
        key = day.to_bytes(8, "big") + contract
        promised = energy_list(self.world.ledger.state.get(Table.CONTRACT, key).energy)
        lower = [self.chance.choice([0, wh, self.chance.randint(0, wh)]) for wh in promised]
        self.attempt("operator", Curtail(day, contract, pack_energy(lower), "congestion"), at=moment)

    def row(self, day: int, meter: str) -> Row:
        """The next version of a meter's day: near its owner's promise, or anything."""
        chance = self.chance
        name, side, _ = METERS[meter]
        key = day.to_bytes(8, "big") + self.world.address(name) + bytes((side,))
        promise = self.world.ledger.state.get(Table.PROMISE, key)
        energy = self.energies(4_000)
        if promise is not None and chance.random() < 0.7:
            energy = [
                min(4_000, wh * chance.choice([0, 80, 95, 96, 100, 100, 103]) // 100)
                for wh in energy_list(promise.energy)
            ]
        quality = [Quality.MEASURED if chance.random() < 0.8 else chance.choice(list(Quality)) for _ in energy]
        version = self.versions.get((day, meter), 0) + 1
        return Row(meter, version, pack_energy(energy), bytes(quality), chance.randbytes(16))

    def read(self, day: int, feeder: str, meters: Sequence[str]) -> None:
        rows = [self.row(day, meter) for meter in sorted(meters)]
        if rows:
            payload = CommitReadings(day, feeder, root_of_rows(rows), len(rows))
            receipt = self.attempt("operator", payload, [encode_rows(rows)])
            assert receipt.outcome is Outcome.DONE, receipt
            self.versions.update({(day, row.meter): row.version for row in rows})
            if self.chance.random() < 0.2:
                assert self.attempt("operator", payload, [encode_rows(rows)]).code == "version_not_higher"

    def deliver(self, day: int) -> None:
        self.world.block([], at=day + self.intervals * QUARTER)
        for feeder in self.chance.sample(FEEDERS, 2):
            here = [meter for meter, (_, _, own) in METERS.items() if own == feeder]
            missing = self.chance.choice([0, 0, 1])
            self.read(day, feeder, self.chance.sample(here, len(here) - missing))

    def correct(self, day: int) -> None:
        feeder = self.chance.choice(FEEDERS)
        here = [meter for meter, (_, _, own) in METERS.items() if own == feeder]
        self.read(day, feeder, self.chance.sample(here, self.chance.randint(1, 2)))

    def close(self, day: int) -> None:
        chance = self.chance
        feeders = chance.sample(FEEDERS, 2)
        missing = any((day, meter) not in self.versions for meter in METERS)
        if chance.random() < 0.3:
            self.attempt("operator", ClosePage(day, feeders[0]))
        if missing:
            self.world.block([], at=day + self.intervals * QUARTER + HOUR)
        for feeder in feeders:
            # A page may take several parts, and readings may be corrected between them.
            while feeder not in self.world.ledger.state.get(Table.DAY, day.to_bytes(8, "big")).pages:
                receipt = self.attempt("operator", ClosePage(day, feeder))
                assert receipt.outcome is Outcome.DONE, receipt
                self.live_on()
                if chance.random() < 0.4:
                    self.correct(day)
            contracts = self.live_contracts(day)
            if contracts and chance.random() < 0.3:
                self.curtail(day, chance.choice(contracts), 0)
        self.world.done("operator", CloseDay(day))
        own = self.world.ledger.state.of_day(Table.CONTRACT, day)
        if own and chance.random() < 0.2:
            self.attempt(chance.choice(list(MEMBERS)), Dispute(day, chance.choice(own)[8:], "no"))

    def seal(self, day: int) -> None:
        later = [each for each in self.days if each > day]
        if later:
            # Sealing waits for the final day; the next day must still be decided on at its gate.
            return
        self.world.done("operator", SealDay(day), at=day + self.intervals * QUARTER + 2 * DAY)
