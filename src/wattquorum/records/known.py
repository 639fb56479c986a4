"""What earlier blocks told and later rows need: tariffs, negotiated prices, chains of answers, credit.

A cache of the records themselves, by delivery day, so that a sealed day can be forgotten. It is filled as facts come
in, and from the database when the records were opened again in the middle of a day.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from wattquorum.foundation.vectors import Int64s
from wattquorum.ledger.parameters import Parameters
from wattquorum.market.terms import Policy
from wattquorum.records.tables import contracts, credit, days, debts, offers, parameters, promises, tariffs


class KnownDay(NamedTuple):
    """A delivery day's tariffs [millionths per kWh, one per interval] and rules."""

    intervals: int
    feed_in: Int64s
    grid_price: Int64s
    over_grid_fee: Int64s
    policy: Policy
    readings_due_ms: int


class KnownOffer(NamedTuple):
    """An offer's place in its chain of answers."""

    thread: str
    round: int
    partner: str


class KnownContract(NamedTuple):
    """A contract's negotiated prices [millionths per kWh, one per interval] and its latest version."""

    price: Int64s
    version: int


class KnownCredit(NamedTuple):
    """A member's side as it stands now [millionths of a point; Wh]."""

    credit: int
    trust: int
    traded: int


class Known:
    """One projection's memory."""

    __slots__ = (
        "_connection",
        "_contracts",
        "_credit",
        "_days",
        "_debts",
        "_offers",
        "_policies",
        "_versions",
    )

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._versions: list[tuple[int, KnownCredit]] | None = None
        self._policies: dict[int, Policy] = {}
        self._days: dict[int, KnownDay] = {}
        self._debts: dict[str, None] = {}
        self._offers: dict[int, dict[str, KnownOffer]] = {}
        self._contracts: dict[int, dict[str, KnownContract]] = {}
        self._credit: dict[tuple[str, str], KnownCredit] = {}

    def read_from(self, connection: Connection) -> None:
        """Where to look for what is not remembered."""
        self._connection = connection

    def _reading(self) -> Connection:
        if self._connection is None:
            raise AssertionError("read_from comes first")
        return self._connection

    def policy(self, version: int) -> Policy:
        """The penalty policy of a version of the parameters."""
        if version not in self._policies:
            query = select(parameters.c.value).where(parameters.c.version == version, parameters.c.name == "policy")
            self._policies[version] = Policy(self._reading().execute(query).scalar_one())
        return self._policies[version]

    def day(self, start_ms: int) -> KnownDay:
        """A published day."""
        if start_ms not in self._days:
            query = select(days.c.intervals, days.c.parameters_version, days.c.readings_due_ms)
            row = self._reading().execute(query.where(days.c.day_start_ms == start_ms)).one()
            prices = select(
                tariffs.c.feed_in_millionths_per_kwh,
                tariffs.c.grid_price_millionths_per_kwh,
                tariffs.c.over_grid_fee_millionths_per_kwh,
            )
            prices = prices.where(tariffs.c.day_start_ms == start_ms).order_by(tariffs.c.interval)
            table = np.array(self._reading().execute(prices).all(), dtype=np.int64)
            policy = self.policy(row.parameters_version)
            self._days[start_ms] = KnownDay(
                row.intervals, table[:, 0], table[:, 1], table[:, 2], policy, row.readings_due_ms
            )
        return self._days[start_ms]

    def put_day(self, start_ms: int, day: KnownDay) -> None:
        """Remembers a day."""
        self._days[start_ms] = day

    def offer(self, day: int, offer: str) -> KnownOffer:
        """An offer's place in its chain of answers."""
        known = self._offers.setdefault(day, {})
        if offer not in known:
            query = select(offers.c.thread, offers.c.round, offers.c.partner).where(offers.c.offer == offer)
            known[offer] = KnownOffer(*self._reading().execute(query).one())
        return known[offer]

    def put_offer(self, day: int, offer: str, known: KnownOffer) -> None:
        """Remembers an offer."""
        self._offers.setdefault(day, {})[offer] = known

    def contract(self, day: int, contract: str) -> KnownContract:
        """A contract's prices; 0 in intervals in which nothing was ever promised."""
        known = self._contracts.setdefault(day, {})
        if contract not in known:
            version = self._reading().execute(select(contracts.c.versions).where(contracts.c.contract == contract))
            query = select(promises.c.interval, promises.c.price_millionths_per_kwh)
            query = query.where(promises.c.contract == contract, promises.c.version == 1)
            price = np.zeros(self.day(day).intervals, dtype=np.int64)
            for interval, value in self._reading().execute(query):
                price[interval] = value
            known[contract] = KnownContract(price, version.scalar_one())
        return known[contract]

    def put_contract(self, day: int, contract: str, known: KnownContract) -> None:
        """Remembers a contract."""
        self._contracts.setdefault(day, {})[contract] = known

    def initial(self, height: int) -> KnownCredit:
        """A side that enters in a block, by the latest version of the parameters that is in force there."""
        return next(entry for start, entry in reversed(self._entries()) if start <= height)

    def put_parameters(self, version: int, from_height: int, latest: Parameters) -> None:
        """Remembers a version of the parameters, the latest so far."""
        self._policies[version] = Policy(latest.policy)
        self._entries().append((from_height, KnownCredit(latest.initial_credit, latest.initial_trust, 0)))

    def _entries(self) -> list[tuple[int, KnownCredit]]:
        """(first height, a new member's side) of every version of the parameters."""
        if self._versions is None:
            named = parameters.c.name.in_(("initial_credit", "initial_trust"))
            query = select(parameters).where(named).order_by(parameters.c.version, parameters.c.name)
            rows = self._reading().execute(query).all()
            self._versions = [
                (points.from_height, KnownCredit(points.value, trust.value, 0))
                for points, trust in zip(rows[::2], rows[1::2], strict=True)
            ]
        return self._versions

    def credit(self, member: str, side: str) -> KnownCredit | None:
        """A member's side after its last row of `credit`; None before the first."""
        if (member, side) not in self._credit:
            query = select(
                credit.c.credit_now_points_millionths, credit.c.trust_now_points_millionths, credit.c.traded_wh
            )
            query = query.where(credit.c.member == member, credit.c.side == side)
            query = query.order_by(credit.c.height.desc(), credit.c.sequence.desc()).limit(1)
            found = self._reading().execute(query).one_or_none()
            if found is None:
                return None
            self._credit[member, side] = KnownCredit(*found)
        return self._credit[member, side]

    def put_credit(self, member: str, side: str, known: KnownCredit) -> None:
        """Remembers a member's side."""
        self._credit[member, side] = known

    def has_debt(self, debt: str) -> bool:
        """Whether a debt was recorded before."""
        if debt in self._debts:
            return True
        return self._reading().execute(select(debts.c.debt).where(debts.c.debt == debt)).first() is not None

    def put_debt(self, debt: str) -> None:
        """Remembers that a debt was recorded."""
        self._debts[debt] = None

    def forget_day(self, day: int) -> None:
        """Drops what belongs to a sealed day."""
        self._days.pop(day, None)
        self._offers.pop(day, None)
        self._contracts.pop(day, None)
