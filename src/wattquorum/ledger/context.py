"""The context of one transaction: what a rule may see and do while it is executed.

Rules read and write the state, post transfers and tell facts through it, and through nothing else; a rule that
refuses raises, and the executor takes everything back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from wattquorum.foundation.codec import changed
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.foundation.quantities import Millis, Price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Transfer
from wattquorum.foundation.vectors import Int64s, energies, highest, lowest, prices
from wattquorum.ledger.accounts import Account, Reserved, Role, Side, check_active
from wattquorum.ledger.facts import Fact
from wattquorum.ledger.genesis import version_key
from wattquorum.ledger.holdings import Registry
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.readings import Row, Shelf
from wattquorum.ledger.state import Chain, Contract, Day, MemberSide, State, Table, day_key, side_key, version_in_force
from wattquorum.market.terms import TermRows, check_band


class DayTariff(NamedTuple):
    """A day's tariffs as arrays, one entry per interval [millionths per kWh]."""

    day: Day
    feed_in: Int64s
    grid_price: Int64s
    over_grid_fee: Int64s
    feed_in_max: int  # the highest feed-in price of the day
    alternative_min: int  # the lowest that a consumer pays for not trading: grid price without the over-grid fee

    def terms(self, price: Int64s) -> TermRows:
        """The terms of a contract at this price under this tariff."""
        return TermRows(price, self.feed_in, self.grid_price, self.over_grid_fee)

    def check_band(self, price: Int64s, fee: Price) -> None:
        """Refuses a price outside the band (L-6); interval by interval only if it misses the day's narrowest band."""
        if lowest(price) - fee <= self.feed_in_max or highest(price) + fee >= self.alternative_min:
            check_band(self.terms(price), fee)


def expanded(vector: bytes, intervals: int) -> Int64s:
    """A packed price vector with one entry per interval."""
    array = prices(vector)
    return array if array.size == intervals else np.full(intervals, array[0], dtype=np.int64)


class Tariffs:
    """Tariffs of open days as arrays, decoded once. Derived from the state and checked against it at every use."""

    __slots__ = ("_days",)

    def __init__(self) -> None:
        self._days: dict[int, DayTariff] = {}

    def of(self, day: Day) -> DayTariff:
        """The tariff arrays of a day."""
        known = self._days.get(day.window.start_ms)
        if known is None or known.day.feed_in is not day.feed_in:
            count = day.window.intervals
            feed_in, grid_price, fee = (
                expanded(vector, count) for vector in (day.feed_in, day.grid_price, day.over_grid_fee)
            )
            known = DayTariff(day, feed_in, grid_price, fee, highest(feed_in), lowest(grid_price - fee))
            self._days[day.window.start_ms] = known
        return known

    def forget(self, day: int) -> None:
        """Drops a sealed day."""
        self._days.pop(day, None)


class Context:
    """One transaction's view of the ledger."""

    __slots__ = (
        "beside",
        "chain_id",
        "done",
        "facts",
        "hash",
        "height",
        "now",
        "owing",
        "reserved",
        "rows_read",
        "sender",
        "shelf",
        "state",
        "tariffs",
        "transfers",
    )

    def __init__(self, state: State, shelf: Shelf, tariffs: Tariffs, chain_id: bytes, special: Reserved) -> None:
        self.state = state
        self.shelf = shelf
        self.tariffs = tariffs
        self.chain_id = chain_id
        self.reserved = special
        self.now = Millis(0)
        self.height = 0
        self.sender = b""
        self.hash = b""
        self.facts: list[Fact] = []
        self.transfers: list[Transfer] = []
        self.done = ("", "")  # what the receipt says was done, where a proof must tell more than the transaction
        self.owing: dict[tuple[bytes, bytes], None] = {}  # debtor and creditor of debts that were recorded
        self.beside: dict[bytes, None] = {}  # roots of the rows that came with this block
        self.rows_read: dict[bytes, None] = {}  # those that a commitment asked for, whatever became of it

    def tell(self, fact: Fact) -> None:
        """Adds a fact for readers."""
        self.facts.append(fact)

    def account(self, address: bytes, field: str = "account") -> Account:
        """An account; Refused("account_unknown") when there is none."""
        found: Account | None = self.state.get(Table.ACCOUNT, address)
        if found is None:
            raise Refused("account_unknown", field, address)
        return found

    def put_account(self, address: bytes, account: Account) -> None:
        """Writes an account."""
        self.state.put(Table.ACCOUNT, address, account)

    def change_account(self, address: bytes, **fields: int | bytes) -> None:
        """Writes some fields of an account."""
        self.put_account(address, changed(self.account(address), **fields))

    def need(self, role: Role) -> Account:
        """The sender's account; Refused without the role (role_missing) or while not active (account_inactive)."""
        account = self.account(self.sender, "sender")
        if not account.has(role):
            raise Refused("role_missing", "sender", account.name, f"It needs the role {(role.name or '').lower()}.")
        check_active(account, "sender")
        return account

    def chain(self) -> Chain:
        """What the ledger remembers of itself."""
        found: Chain = self.state.get(Table.CHAIN, b"")
        return found

    def registry(self) -> Registry:
        """What the registries remember; the first carbon period is open from the beginning."""
        found: Registry | None = self.state.get(Table.REGISTRY, b"")
        return found or Registry(1, 0, self.now // MS_PER_DAY)

    def parameters(self, version: int | None = None) -> Parameters:
        """A version of the parameters; the one in force by default."""
        number = version_in_force(self.chain(), self.height) if version is None else version
        found: Parameters = self.state.get(Table.PARAMETERS, version_key(number))
        return found

    def day(self, start_ms: int) -> Day:
        """A published delivery day; Refused("day_unknown") when there is none."""
        found: Day | None = self.state.get(Table.DAY, day_key(start_ms)) if start_ms >= 0 else None
        if found is None:
            raise Refused("day_unknown", "day", start_ms)
        return found

    def contract(self, day: int, contract: bytes) -> Contract:
        """A contract of a day; Refused("contract_unknown") when there is none."""
        found: Contract | None = self.state.get(Table.CONTRACT, day_key(day) + contract)
        if found is None:
            raise Refused("contract_unknown", "contract", contract)
        return found

    def rows_beside(self, root: bytes) -> tuple[Row, ...]:
        """The rows that came with this block and have this root; Refused("rows_missing") when none do."""
        if root not in self.beside:
            raise Refused("rows_missing", "root", root)
        self.rows_read[root] = None
        return self.shelf.get(root)

    def side(self, address: bytes, side: Side) -> MemberSide | None:
        """What an account can inject or withdraw, if anything."""
        found: MemberSide | None = self.state.get(Table.SIDE, side_key(address, side))
        return found


def promised_to(state: State, day: int, address: bytes, side: Side, intervals: int) -> Int64s:
    """A member's promises of a day and side [Wh per interval], zero where there are none."""
    found = state.get(Table.PROMISE, promise_key(day, address, side))
    return np.zeros(intervals, dtype=np.int64) if found is None else energies(found.energy)


def promise_key(day: int, address: bytes, side: Side) -> bytes:
    """The key of a member's promises."""
    return day_key(day) + side_key(address, side)
