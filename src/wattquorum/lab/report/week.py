"""The week as the report reads it: people, days and contracts, numbered, so that scripts can name them shortly.

Everything comes from the records' database; nothing here knows of ledgers or runs.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine, func, select

from wattquorum.foundation.quantities import Money, format_money
from wattquorum.foundation.refusals import Refused
from wattquorum.records import tables as t
from wattquorum.records.annotations import day_dates, time_zone
from wattquorum.records.database import AnyRow, rows_of

COLOURS: Final = {
    "wind": 1,
    "pv": 2,
    "lv-feeder-pv": 3,
    "biomass": 4,
    "hydro": 5,
    "mv-customer": 6,
    "village": 7,
}
COLOUR_SLOTS: Final = 8
SIDES: Final = {"sell": 0, "buy": 1}  # as scripts number them


class Member(NamedTuple):
    """A member: its number, and what is known of it."""

    number: int
    address: str
    name: str
    owner: str
    technology: str
    strategy: str
    forecast: str
    sides: tuple[str, ...]
    status: str


class Day(NamedTuple):
    """A delivery day: its number, and how people call it and its intervals."""

    number: int
    start_ms: int
    date: date  # in the records' time zone
    label: str
    stamps: tuple[str, ...]  # local start of each interval, such as 2016-06-13 00:15
    row: AnyRow


class Week:
    """What every section needs, read once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.chain = self._chain()
        self.currency: str = self.chain.currency
        self.run = {row.name: row.value for row in self.rows(select(t.run_info).order_by(t.run_info.c.name))}
        self.zone = time_zone(engine)
        accounts = self.rows(select(t.accounts).order_by(t.accounts.c.account))
        self.members = self._members(accounts)
        others = [row for row in accounts if row.account not in {member.address for member in self.members}]
        self.names = [member.name for member in self.members] + [row.name for row in others]
        addresses = [member.address for member in self.members] + [row.account for row in others]
        self.number_of = {address: number for number, address in enumerate(addresses)}
        self.name_of = dict(zip(addresses, self.names, strict=True))
        self.days = self._days()
        self.day_number = {day.start_ms: day.number for day in self.days}
        self.contracts = self._contracts()
        self.contract_number = {row.contract: number for number, row in enumerate(self.contracts)}
        self.meters = self.rows(select(t.meters).order_by(t.meters.c.meter))
        self.meter_number = {row.meter: number for number, row in enumerate(self.meters)}

    def rows(self, query: Any) -> list[AnyRow]:
        """All rows of a query."""
        return rows_of(self.engine, query)

    def _chain(self) -> AnyRow:
        found = self.rows(select(t.chain))
        if not found:
            raise Refused("file_unreadable", "records", "no chain", "Record a chain first.")
        return found[0]

    def _members(self, accounts: list[AnyRow]) -> list[Member]:
        known = {row.member: row for row in self.rows(select(t.members_info))}
        points: dict[str, list[AnyRow]] = {}
        for row in self.rows(select(t.meters).order_by(t.meters.c.side.desc(), t.meters.c.meter)):
            points.setdefault(row.member, []).append(row)
        found = []
        for account in accounts:
            own, info = points.get(account.account, []), known.get(account.account)
            if own:
                technology = info.technology if info else "+".join(dict.fromkeys(row.technology for row in own))
                sides = tuple(dict.fromkeys(row.side for row in own))
                strategy, forecast = (info.strategy, info.forecast) if info else ("", "")
                found.append(
                    Member(
                        0,
                        account.account,
                        account.name,
                        account.owner,
                        technology,
                        strategy,
                        forecast,
                        sides,
                        account.status,
                    )
                )
        found.sort(key=_by_side_and_name)
        return [member._replace(number=number) for number, member in enumerate(found)]

    def _days(self) -> list[Day]:
        found = []
        dates = day_dates(self.engine)
        for number, row in enumerate(self.rows(select(t.days).order_by(t.days.c.day_start_ms))):
            day = dates[row.day_start_ms]
            stamps = tuple(
                datetime.fromtimestamp((row.day_start_ms + i * row.interval_ms) / 1000, UTC)
                .astimezone(self.zone)
                .strftime("%Y-%m-%d %H:%M")
                for i in range(row.intervals)
            )
            found.append(Day(number, row.day_start_ms, day, f"{day:%a} {day.day} {day:%b}", stamps, row))
        return found

    def _contracts(self) -> list[AnyRow]:
        query = (
            select(t.contracts, t.offers.c.round, t.offers.c.thread)
            .join_from(t.contracts, t.offers, t.offers.c.offer == t.contracts.c.contract)
            .order_by(t.contracts.c.day_start_ms, t.contracts.c.accepted_height, t.contracts.c.contract)
        )
        return self.rows(query)

    @property
    def technologies(self) -> list[str]:
        """The technologies in the order of the members."""
        return list(dict.fromkeys(member.technology for member in self.members))

    def colours(self) -> dict[str, int]:
        """A slot of the palette for every technology: its own where it has one, else the next that is free."""
        taken = {technology: COLOURS[technology] for technology in self.technologies if technology in COLOURS}
        free = [slot for slot in range(1, COLOUR_SLOTS + 1) if slot not in taken.values()] or [COLOUR_SLOTS]
        for i, technology in enumerate(each for each in self.technologies if each not in taken):
            taken[technology] = free[i % len(free)]
        return taken

    def amount(self, millionths: int) -> str:
        """An exact amount without its currency, for columns that name it."""
        return format_money(Money(millionths), "").rstrip()

    def moment(self, time_ms: int) -> str:
        """A moment as people there read it."""
        return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(self.zone).strftime("%d %b %Y %H:%M")

    def block_times(self) -> dict[int, int]:
        """The time of every block; of the genesis at height 0."""
        times = {0: self.chain.created_ms}
        times.update((row.height, row.time_ms) for row in self.rows(select(t.blocks.c.height, t.blocks.c.time_ms)))
        return times

    def count(self, table: Any, *conditions: Any) -> int:
        """How many rows a table has."""
        return int(self.rows(select(func.count()).select_from(table).where(*conditions))[0][0])

    def for_scripts(self) -> dict[str, Any]:
        """People, days and contracts as scripts need them; lists in place of names keep the page small."""
        return {
            "currency": self.currency,
            "zone": str(self.zone),
            "names": self.names,
            "colours": self.colours(),
            "members": [
                {
                    "name": member.name,
                    "technology": member.technology,
                    "strategy": member.strategy,
                    "sides": member.sides,
                    "address": member.address,
                }
                for member in self.members
            ],
            "days": [{"label": day.label, "stamps": day.stamps} for day in self.days],
            "contracts": [
                [
                    self.day_number[row.day_start_ms],
                    self.number_of[row.seller],
                    self.number_of[row.buyer],
                    row.energy_wh,
                    row.price_millionths_per_kwh,
                    row.lowest_price_millionths_per_kwh,
                    row.highest_price_millionths_per_kwh,
                    row.status,
                    row.round,
                    row.versions,
                    row.contract,
                    row.accepted_height,
                ]
                for row in self.contracts
            ],
            "meters": [row.meter for row in self.meters],
        }


def _by_side_and_name(member: Member) -> tuple[Any, ...]:
    """Generators before consumers, known technologies first, names in the order in which people count."""
    parts = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", member.name)]
    rank = COLOURS.get(member.technology, COLOUR_SLOTS)
    return (member.sides[0] != "sell", rank, member.technology, [(isinstance(part, str), part) for part in parts])
