"""Conservation: an auditor's own books, kept from facts alone and compared with the state (L-1, L-2, A-3, L-27).

The books add up every transfer on their own, check that no account's money differs from them, that every Wh that a
meter counted went to a contract or to the grid and to nothing else, and that a contract's money follows from its
allotted energies by the one-interval rule of A-17 rather than by the batch code that settled it. They share no
arithmetic with the executor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from wattquorum.foundation.codec import encode
from wattquorum.foundation.identities import tagged_hash
from wattquorum.foundation.quantities import Price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Transfer
from wattquorum.foundation.vectors import Int64s, energies, energy_list, price_list
from wattquorum.ledger.accounts import Account, Reserved, Side
from wattquorum.ledger.facts import (
    ContractCurtailed,
    ContractEnded,
    ContractMade,
    ContractSettled,
    DayClosed,
    DayPublished,
    DaySealed,
    Fact,
    MeterAdded,
    Moved,
    ParametersChanged,
    PositionSettled,
    ReadingTaken,
)
from wattquorum.ledger.state import Contract, ContractStatus, State, Table, day_key, side_key
from wattquorum.market.settlement import settle_interval
from wattquorum.market.terms import Policy, Terms

OF_CONTRACTS = (ContractMade, ContractEnded, ContractCurtailed, ContractSettled, DayClosed, DaySealed)
LIVE = (ContractStatus.ACCEPTED, ContractStatus.APPROVED, ContractStatus.SETTLED)


class Sides(NamedTuple):
    """Who is on which side of a contract, and at which packed prices."""

    seller: bytes
    buyer: bytes
    price: bytes


def fault(field: str, value: object, reason: str) -> Refused:
    """A broken law, as an auditor names it."""
    return Refused("conservation_broken", field, value, reason)


class Books:
    """Running totals from facts; `check` compares them with a state."""

    __slots__ = (
        "_closed",
        "_contracts",
        "_contracts_changed",
        "_day_facts",
        "_meters",
        "_money",
        "_policies",
        "_positions",
        "_readings",
        "_settled",
        "_touched",
    )

    def __init__(self) -> None:
        self._money: dict[bytes, int] = {}
        self._contracts: dict[bytes, Sides] = {}
        self._settled: dict[int, dict[bytes, ContractSettled]] = {}
        self._positions: dict[int, dict[tuple[bytes, Side], PositionSettled]] = {}
        self._readings: dict[int, dict[tuple[bytes, Side], dict[str, bytes]]] = {}
        self._day_facts: dict[int, DayPublished] = {}
        self._policies: dict[int, Policy] = {}
        self._touched: dict[int, None] = {}
        self._contracts_changed = True
        self._closed: dict[int, None] = {}
        self._meters: dict[tuple[bytes, Side], int] = {}

    def adopt(self, state: State) -> None:
        """Starts from a state instead of from genesis: its balances and parameters are taken as they are."""
        self._money = {address: total(account) for address, account in state.items(Table.ACCOUNT)}
        self._meters = {(key[:-1], Side(key[-1])): len(side.meters) for key, side in state.items(Table.SIDE)}
        versions = enumerate(each for _, each in state.items(Table.PARAMETERS))  # every version stays in the state
        self._policies = {version: Policy(each.policy) for version, each in versions}

    def enter(self, facts: Iterable[Fact], transfers_digest: bytes) -> None:
        """Takes over one transaction's facts; its transfers must have the digest that its receipt names."""
        moved: list[Transfer] = []
        for fact in facts:
            if isinstance(fact, OF_CONTRACTS):
                self._contracts_changed = True
            match fact:
                case Moved():
                    if fact.amount <= 0:
                        raise fault_of_amount(fact)
                    moved.append(Transfer(fact.kind, fact.payer, fact.payee, fact.amount))
                    self._money[fact.payer] = self._money.get(fact.payer, 0) - fact.amount
                    self._money[fact.payee] = self._money.get(fact.payee, 0) + fact.amount
                case ParametersChanged():
                    self._policies[fact.version] = Policy(fact.parameters.policy)
                case DayPublished():
                    self._day_facts[fact.day] = fact
                case ContractMade():
                    self._contracts[fact.contract] = Sides(fact.seller, fact.buyer, fact.price)
                case ContractSettled():
                    self._settled.setdefault(fact.day, {})[fact.contract] = fact
                    self._touched[fact.day] = None
                    self._check_contract(fact)
                case PositionSettled():
                    self._positions.setdefault(fact.day, {})[fact.member, fact.side] = fact
                    self._touched[fact.day] = None
                case ReadingTaken():
                    of_day = self._readings.setdefault(fact.day, {})
                    of_day.setdefault((fact.member, fact.side), {})[fact.meter] = fact.energy
                case MeterAdded():
                    place = (fact.address, fact.point.side)
                    self._meters[place] = self._meters.get(place, 0) + 1
                case DayClosed():
                    self._closed[fact.day] = None
                    self._touched[fact.day] = None
                case DaySealed():
                    self._forget(fact.day)
                case _:
                    pass
        digest = tagged_hash("transfers", encode(moved)) if moved else b""
        if digest != transfers_digest:
            raise fault("transfers", transfers_digest, "The receipt names other transfers than were posted.")

    def _forget(self, day: int) -> None:
        for contract in self._settled.pop(day, {}):
            self._contracts.pop(contract, None)
        self._positions.pop(day, None)
        self._readings.pop(day, None)
        self._day_facts.pop(day, None)
        self._touched.pop(day, None)
        self._closed.pop(day, None)

    def _check_contract(self, settled: ContractSettled) -> None:
        """The contract's sums follow from its allotted energies, interval by interval."""
        sides, day = self._contracts.get(settled.contract), self._day_facts.get(settled.day)
        if sides is None or day is None:
            return  # made before the snapshot that the audit started from
        policy = self._policies[day.parameters_version]
        count = day.window.intervals
        rows = [
            _spread(price_list(each), count) for each in (sides.price, day.feed_in, day.grid_price, day.over_grid_fee)
        ]
        sums = [0] * 6
        promised, generated, consumed = (
            energy_list(each) for each in (settled.promised, settled.generated, settled.consumed)
        )
        for i in range(count):
            money = settle_interval(
                Terms(rows[0][i], rows[1][i], rows[2][i], rows[3][i]), promised[i], generated[i], consumed[i], policy
            )
            sums = [before + amount for before, amount in zip(sums, money, strict=True)]
        told = [settled.energy, settled.over_grid_fee, settled.grid_purchase, settled.grid_sale]
        if policy is not Policy.PAPER:
            told += [settled.seller_compensation, settled.buyer_compensation]
        if told != sums[: len(told)]:
            raise fault("contract", settled.contract, "Its money does not follow from its energy and prices.")

    def check(self, state: State, special: Reserved) -> None:
        """After a block: every account's money is what the books say, and energy is conserved on touched days."""
        everything = 0
        for address, account in state.items(Table.ACCOUNT):
            money = total(account)
            everything += money
            if money != self._money.get(address, 0):
                raise fault("account", account.name, f"The books say {self._money.get(address, 0)}, the state {money}.")
            overdrawn = account.balance < 0 and address not in (special.grid, special.outside)
            if overdrawn or account.locked < 0:
                raise fault("account", account.name, "Its balance or its collateral lies below zero.")
        if everything:
            raise fault("balances", everything, "All balances must add up to zero.")
        kept = self._money.get(special.fines, 0)
        if kept:
            raise fault("fines", kept, "Fines that were paid in must have been paid out as shares.")
        if self._contracts_changed:  # else they were compared when they changed last
            _check_locks_and_promises(state)
            self._contracts_changed = False
        for day in sorted(self._touched):
            self._check_energy(day)
        self._touched.clear()

    def _check_energy(self, day: int) -> None:
        """Metered = allotted to contracts + traded with the grid, for each member, side and interval (A-3, L-2)."""
        allotted: dict[tuple[bytes, Side], list[int]] = {}
        for contract, settled in self._settled.get(day, {}).items():
            sides = self._contracts.get(contract)
            if sides is None:
                return
            for member, side, vector in (
                (sides.seller, Side.SELL, settled.generated),
                (sides.buyer, Side.BUY, settled.consumed),
            ):
                energy = energy_list(vector)
                before = allotted.get((member, side), [0] * len(energy))
                allotted[member, side] = [a + b for a, b in zip(before, energy, strict=True)]
        for (member, side), position in self._positions.get(day, {}).items():
            metered, residual = energy_list(position.metered), energy_list(position.residual)
            own = allotted.get((member, side), [0] * len(metered))
            readings = self._readings.get(day, {}).get((member, side), {})
            if len(readings) == self._meters.get((member, side)):
                counted = [
                    sum(column) for column in zip(*(energy_list(each) for each in readings.values()), strict=True)
                ]
                if counted != metered:
                    raise fault("position", member, "It does not add up to what the member's meters counted.")
            settled_energy = [a + b for a, b in zip(own, residual, strict=True)]
            if any(used > counted for used, counted in zip(settled_energy, metered, strict=True)):
                raise fault("position", member, "More energy was settled than its meters counted.")
            if day in self._closed and settled_energy != metered:
                raise fault("position", member, "Some of its metered energy was settled nowhere.")


def _spread(prices: list[Price], count: int) -> list[Price]:
    return prices if len(prices) == count else prices * count


def _check_locks_and_promises(state: State) -> None:
    """Locked collateral and promises are the sums over live contracts, for every account."""
    locks: dict[bytes, int] = {}
    promises: dict[bytes, Int64s] = {}
    for _, day in state.items(Table.DAY):
        start = day.window.start_ms
        for key in state.of_day(Table.CONTRACT, start):
            contract: Contract = state.get(Table.CONTRACT, key)
            locks[contract.seller] = locks.get(contract.seller, 0) + contract.seller_lock
            locks[contract.buyer] = locks.get(contract.buyer, 0) + contract.buyer_lock
            if contract.status in LIVE:
                energy = energies(contract.energy)
                for address, side in ((contract.seller, Side.SELL), (contract.buyer, Side.BUY)):
                    place = day_key(start) + side_key(address, side)
                    promises[place] = promises[place] + energy if place in promises else energy
        for key in state.of_day(Table.PROMISE, start):
            told, summed = energies(state.get(Table.PROMISE, key).energy), promises.get(key)
            if (told != summed).any() if summed is not None else told.any():
                raise fault("promises", key, "A member's promises are not the sum over its contracts.")
    for address, account in state.items(Table.ACCOUNT):
        if account.locked != locks.get(address, 0):
            raise fault("account", account.name, "Its collateral is not the sum over its contracts.")


def fault_of_amount(moved: Moved) -> Refused:
    """A transfer that moves nothing, or backwards."""
    return fault("transfer", moved.amount, "A transfer's amount lies above zero.")


def total(account: Account) -> int:
    """All of an account's money, collateral included."""
    return account.balance + account.locked
