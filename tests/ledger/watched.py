"""A world that is watched: after every block, money, collateral, promises, energy and bills must add up.

The watcher keeps its own books from facts and readings alone, in plain integers and dictionaries, and shares no
arithmetic with what it watches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tests.ledger.world import World
from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.transfers import Kind, Transfer
from wattquorum.foundation.vectors import energy_list
from wattquorum.ledger.accounts import Account, Side
from wattquorum.ledger.blocks import Outcome
from wattquorum.ledger.entities import Contract, ContractStatus, Day, DayStatus, Debt, Settled
from wattquorum.ledger.execution import Executed, Ledger
from wattquorum.ledger.facts import (
    ContractMade,
    ContractSettled,
    DebtRecorded,
    FineCharged,
    Moved,
    PositionSettled,
    ReadingTaken,
)
from wattquorum.ledger.state import State, Table, day_key

OPEN = (ContractStatus.ACCEPTED, ContractStatus.APPROVED, ContractStatus.SETTLED)


def worths(ledger: Ledger) -> dict[bytes, int]:
    """Every account's money, collateral included."""
    return {address: each.balance + each.locked for address, each in ledger.state.items(Table.ACCOUNT)}


def claims(ledger: Ledger) -> dict[bytes, int]:
    """Every account's money with what it is owed and less what it owes: what a correction must get right."""
    found = worths(ledger)
    for _, debt in ledger.state.items(Table.DEBT):
        found[debt.debtor] -= debt.amount
        found[debt.creditor] += debt.amount
    return found


def snapshot_of(state: State) -> dict[tuple[int, bytes], bytes]:
    """All entries of a state, by place: what must stay the same when nothing may change."""
    return {(entry.table, entry.key): entry.value for entry in state.entries()}


class Watcher:
    """Books kept from facts."""

    def __init__(self) -> None:
        self.sides: dict[bytes, tuple[bytes, bytes]] = {}
        self.due: dict[tuple[bytes, Kind, bytes], int] = defaultdict(int)  # (contract or day and member, kind, payer)
        self.debts: dict[bytes, int] = {}
        self.paid_off: dict[bytes, int] = defaultdict(int)
        self.settled: dict[bytes, ContractSettled] = {}
        self.positions: dict[tuple[int, bytes, Side], PositionSettled] = {}
        self.readings: dict[tuple[int, str], list[int]] = {}
        self.fines: dict[tuple[bytes, bytes], int] = {}

    def see(self, executed: Executed) -> dict[bytes, int]:
        """Takes over a block's facts; what each account gained in it."""
        gained: dict[bytes, int] = defaultdict(int)
        for receipt, facts in zip(executed.block.receipts, executed.facts, strict=True):
            assert receipt.outcome is Outcome.DONE or facts == ()
            moved = [fact for fact in facts if isinstance(fact, Moved)]
            transfers = [Transfer(each.kind, each.payer, each.payee, each.amount) for each in moved]
            digest = tagged_hash("transfers", encode(transfers)) if transfers else b""
            assert receipt.transfers == digest
            for each in moved:
                assert each.amount > 0
                assert each.payer != each.payee
                gained[each.payer] -= each.amount
                gained[each.payee] += each.amount
            for fact in facts:
                self._see(fact)
        return gained

    def _see(self, fact: object) -> None:
        match fact:
            case ContractMade():
                self.sides[fact.contract] = fact.seller, fact.buyer
            case Moved():
                self._flow(fact.kind, fact.payer, fact.payee, fact.amount, fact.day, fact.contract)
            case DebtRecorded():
                if fact.debt not in self.debts:
                    self.debts[fact.debt] = fact.amount
                    self._flow(fact.kind, fact.debtor, fact.creditor, fact.amount, fact.day, fact.contract)
            case ContractSettled():
                before = self.settled.get(fact.contract)
                assert fact.revision == (before.revision + 1 if before else 1)
                self.settled[fact.contract] = fact
            case PositionSettled():
                self.positions[fact.day, fact.member, fact.side] = fact
            case ReadingTaken():
                self.readings[fact.day, fact.meter] = list(energy_list(fact.energy))
            case FineCharged():
                self.fines[fact.contract, fact.payer] = fact.amount
            case _:
                pass

    def _flow(self, kind: Kind, payer: bytes, payee: bytes, amount: int, day: int, contract: bytes) -> None:
        """Notes what flows for a contract or position, with the sign of its first-named direction."""
        place = contract or day_key(day)
        self.due[place, kind, payer] += amount
        self.due[place, kind, payee] -= amount

    def check(self, world: World) -> None:
        state, pool = world.ledger.state, world.ledger._reserved.fines
        assert world.balance_of(pool) == 0
        for _, day in state.items(Table.DAY):
            self._check_day(state, day)
            start = day.window.start_ms
            settled: list[Settled] = [state.get(Table.SETTLED, key) for key in state.of_day(Table.SETTLED, start)]
            fined = sum(each.seller_fine + each.buyer_fine for each in settled)
            assert self.due[day_key(start), Kind.SHARE, pool] == fined
        owing = {(debt.debtor, debt.creditor, debt.day) for _, debt in state.items(Table.DEBT)}
        for key, debt in state.items(Table.DEBT):
            assert 0 < debt.amount <= self.debts[key]
            assert (debt.creditor, debt.debtor, debt.day) not in owing

    def _check_day(self, state: State, day: Day) -> None:
        start = day.window.start_ms
        allotted: dict[tuple[bytes, Side], list[int]] = {}
        for key in state.of_day(Table.SETTLED, start):
            contract_id, settled = key[8:], state.get(Table.SETTLED, key)
            contract: Contract = state.get(Table.CONTRACT, key)
            self._check_bill(contract_id, contract, settled)
            told = self.settled[contract_id]
            assert told.revision == settled.revision
            assert told.promised == contract.energy
            for member, side, energy in (
                (contract.seller, Side.SELL, told.generated),
                (contract.buyer, Side.BUY, told.consumed),
            ):
                own = allotted.setdefault((member, side), [0] * day.window.intervals)
                allotted[member, side] = [a + b for a, b in zip(own, energy_list(energy), strict=True)]
        if len(day.pages) == len(day.feeders):
            self._check_energy(state, day, allotted)

    def _check_bill(self, contract_id: bytes, contract: Contract, settled: Settled) -> None:
        """What was paid and is still owed for a contract is what its settlement says."""
        seller, buyer = contract.seller, contract.buyer
        assert self.due[contract_id, Kind.ENERGY, buyer] == settled.energy
        assert self.due[contract_id, Kind.OVER_GRID_FEE, buyer] == settled.over_grid_fee
        assert self.due[contract_id, Kind.GRID_PURCHASE, buyer] == settled.grid_purchase
        assert self.due[contract_id, Kind.GRID_SALE, seller] == -settled.grid_sale
        compensation = settled.seller_compensation - settled.buyer_compensation
        assert self.due[contract_id, Kind.COMPENSATION, seller] == compensation
        assert self.due[contract_id, Kind.FINE, seller] == settled.seller_fine
        assert self.due[contract_id, Kind.FINE, buyer] == settled.buyer_fine
        assert self.fines.get((contract_id, seller), 0) == settled.seller_fine
        assert self.fines.get((contract_id, buyer), 0) == settled.buyer_fine
        assert settled.seller_fine <= contract.seller_stake
        assert settled.buyer_fine <= contract.buyer_stake
        told = self.settled[contract_id]
        for name in ("energy", "over_grid_fee", "grid_purchase", "grid_sale", "seller_compensation"):
            assert getattr(told, name) == getattr(settled, name)

    def _check_energy(self, state: State, day: Day, allotted: dict[tuple[bytes, Side], list[int]]) -> None:
        """Once all pages are closed: every metered Wh is traded or goes to or comes from the grid (A-3, L-2)."""
        start, intervals = day.window.start_ms, day.window.intervals
        metered = dict.fromkeys(Side, 0)
        grid = dict.fromkeys(Side, 0)
        money: dict[bytes, int] = defaultdict(int)
        for key in state.of_day(Table.POSITION, start):
            member, side = key[8:-1], Side(key[-1])
            told = self.positions[start, member, side]
            counted, residual = energy_list(told.metered), energy_list(told.residual)
            own = allotted.get((member, side), [0] * intervals)
            assert [a + b for a, b in zip(own, residual, strict=True)] == counted
            self._check_readings(state, day, member, side, counted)
            metered[side] += sum(counted)
            grid[side] += sum(residual)
            money[member] += told.money if side is Side.SELL else -told.money
        for member, gained in money.items():
            sale = -self.due[day_key(start), Kind.RESIDUAL_SALE, member]
            purchase = self.due[day_key(start), Kind.RESIDUAL_PURCHASE, member]
            assert sale - purchase == gained
        traded = 0
        for key in state.of_day(Table.SETTLED, start):
            told_contract = self.settled[key[8:]]
            vectors = (told_contract.promised, told_contract.generated, told_contract.consumed)
            exchanged = [min(each) for each in zip(*(energy_list(vector) for vector in vectors), strict=True)]
            traded += sum(exchanged)
            grid[Side.SELL] += sum(energy_list(told_contract.generated)) - sum(exchanged)
            grid[Side.BUY] += sum(energy_list(told_contract.consumed)) - sum(exchanged)
        assert {side: traded + grid[side] for side in Side} == metered

    def _check_readings(self, state: State, day: Day, member: bytes, side: Side, counted: Sequence[int]) -> None:
        """What counts for a member is what its meters said; where one is silent a buyer used no less than promised."""
        start = day.window.start_ms
        own = [
            meter.point.meter
            for _, meter in state.items(Table.METER)
            if meter.member == member
            and meter.point.side is side
            and meter.since_ms <= start
            and meter.point.feeder in day.feeders
        ]
        rows = [self.readings.get((start, name)) for name in own]
        nothing = [0] * day.window.intervals
        expected = [sum(column) for column in zip(nothing, *(row for row in rows if row is not None), strict=True)]
        promise = state.get(Table.PROMISE, day_key(start) + member + bytes((side,)))
        if None in rows and side is Side.BUY and promise:
            expected = [max(each) for each in zip(expected, energy_list(promise.energy), strict=True)]
        assert counted == expected


def check_money(world: World) -> None:
    """Balances add up to zero, nobody but grid and outside is overdrawn, and locks are those of open contracts."""
    ledger = world.ledger
    special = ledger._reserved
    parameters = ledger.state.get(Table.PARAMETERS, (world.parameters_version()).to_bytes(4, "big"))
    locks: dict[bytes, int] = defaultdict(int)
    promises: dict[bytes, list[int]] = {}
    for _, day in ledger.state.items(Table.DAY):
        start = day.window.start_ms
        for key in ledger.state.of_day(Table.CONTRACT, start):
            contract: Contract = ledger.state.get(Table.CONTRACT, key)
            locks[contract.seller] += contract.seller_lock
            locks[contract.buyer] += contract.buyer_lock
            if day.status is DayStatus.CLOSED or contract.status not in OPEN:
                assert contract.seller_lock == contract.buyer_lock == 0
            if contract.status in OPEN:
                energy = energy_list(contract.energy)
                for member, side in ((contract.seller, Side.SELL), (contract.buyer, Side.BUY)):
                    place = day_key(start) + member + bytes((side,))
                    own = promises.get(place, [0] * len(energy))
                    promises[place] = [a + b for a, b in zip(own, energy, strict=True)]
        for key in ledger.state.of_day(Table.PROMISE, start):
            kept = energy_list(ledger.state.get(Table.PROMISE, key).energy)
            assert kept == promises.pop(key, [0] * len(kept))
    assert promises == {}
    everything = 0
    accounts: list[tuple[bytes, Account]] = list(ledger.state.items(Table.ACCOUNT))
    for address, account in accounts:
        everything += account.balance + account.locked
        assert account.locked == locks[address]
        if address == special.grid:
            assert account.balance >= -parameters.grid_credit_limit
        elif address != special.outside:
            assert account.balance >= 0
    assert everything == 0


class WatchedWorld(World):
    """A world whose every block is checked."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.watcher = Watcher()

    def block(self, transactions: Sequence[bytes], rows: Sequence[bytes] = (), *, at: int | None = None) -> Executed:
        before = worths(self.ledger)
        executed = super().block(transactions, rows, at=at)
        gained = self.watcher.see(executed)
        after = worths(self.ledger)
        for address, money in after.items():
            assert money - before.get(address, 0) == gained[address]
        check_money(self)
        self.watcher.check(self)
        return executed

    def debts_of(self, name: str) -> list[tuple[bytes, Debt]]:
        """What a member owes, by id."""
        found = self.ledger.state.items(Table.DEBT)
        return [(key, debt) for key, debt in found if debt.debtor == self.address(name)]
