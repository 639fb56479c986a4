"""Members of a market as people write them down: members.toml, read whole and checked.

It stands between the file and everything that needs to know who trades: names, owners, meters with feeder, limit and
power factor (A-4, L-10, L-12), the strategy that trades for a member, and the rule that it leaves for its daily
offers (L-15). The file is checked in full, all faults are raised together, and what comes out is frozen. Decimals are
parsed exactly; keys that are not known are faults, so that a slip of the pen is not a silent default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from wattquorum.foundation.quantities import (
    MILLION,
    POWER_MAX,
    PRICE_MAX,
    Energy,
    Millis,
    Power,
    Ppm,
    Price,
    energy_of,
    parse_power,
    parse_price,
)
from wattquorum.foundation.refusals import Refused
from wattquorum.lab.offices import ROLES
from wattquorum.ledger.accounts import Reserved
from wattquorum.records.file_faults import FileFault, FileFaults, file_fault
from wattquorum.records.meter_table import DIRECTIONS

DEFAULT_STRATEGY: Final = "quantile"
DEFAULT_CURRENCY: Final = "CNY"
NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
NAME_REMEDY: Final = "Use 1 to 64 letters, digits and . _ : - only."
MEMBERS_MAX: Final = 100_000
TAKEN: Final = (*Reserved.__struct_fields__, *ROLES)
MEMBER_KEYS: Final = ("name", "owner", "meters", "strategy", "options", "recurring")
METER_KEYS: Final = ("meter_id", "direction", "feeder", "limit", "technology", "power_factor")
RECURRING_KEYS: Final = ("share_of_forecast", "price_min", "price_max", "partners")

Option = str | int | float | bool | tuple["Option", ...]


@dataclass(frozen=True, slots=True)
class MemberMeter:
    """One register of a member: what it may carry and where it hangs (A-4, L-10, L-12)."""

    meter_id: str
    direction: str  # injection or withdrawal
    feeder: str
    limit: Power  # P_max of a generator, connection limit of a consumer [W]
    technology: str
    power_factor: Ppm


@dataclass(frozen=True, slots=True)
class RecurringRule:
    """What a member leaves for its daily offers (L-15); no price limit or no partners means any."""

    share_of_forecast: Ppm
    price_min: Price | None = None
    price_max: Price | None = None
    partners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member: one register, or, for a prosumer, one for each direction."""

    name: str
    owner: str
    meters: tuple[MemberMeter, ...]
    strategy: str = DEFAULT_STRATEGY
    options: tuple[tuple[str, Option], ...] = ()  # the strategy's own settings, in the file's order
    recurring: RecurringRule | None = None

    def meter(self, direction: str) -> MemberMeter | None:
        """The member's register of a direction, if it has one."""
        return next((meter for meter in self.meters if meter.direction == direction), None)


def energy_limits(members: Iterable[Member], interval_ms: Millis) -> dict[str, Energy]:
    """What each meter's connection carries in an interval [Wh], by meter (L-10)."""
    return {meter.meter_id: energy_of(meter.limit, interval_ms) for member in members for meter in member.meters}


def read_members(path: str | Path, currency: str = DEFAULT_CURRENCY) -> tuple[Member, ...]:
    """Reads a members file; price limits are in `currency`.

    Raises FileFaults: file_unreadable for a file that is not there or not TOML, else one member_invalid for each thing
    that is wrong, with the path of the field, counted from 1, such as member[4].meters[1].limit.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        # Floats stay decimal until a field has said how exact it is.
        table = tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise FileFaults(path, [file_fault("file_unreadable", "file", error.strerror or error)]) from None
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        raise FileFaults(path, [file_fault("file_unreadable", "file", reason, "Save it as UTF-8.")]) from None
    except (tomllib.TOMLDecodeError, ValueError, ArithmeticError) as error:
        raise FileFaults(path, [file_fault("file_unreadable", "file", error, "Correct its TOML.")]) from None
    reading = _Reading(currency)
    members = reading.members(table)
    if reading.faults:
        raise FileFaults(path, reading.faults)
    return members


class _Reading:
    """One pass over a members file; every method gives a value, or notes a fault and gives a stand-in."""

    __slots__ = ("currency", "faults")

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.faults: list[FileFault] = []

    def wrong(self, place: str, value: object, remedy: str) -> None:
        self.faults.append(file_fault("member_invalid", place, value, remedy))

    def members(self, table: Mapping[str, Any]) -> tuple[Member, ...]:
        self.only(table, ("member",), "")
        rows = self.tables(table, "member", "", MEMBERS_MAX)
        members = tuple(self.member(row, f"member[{i}]") for i, row in enumerate(rows, 1))
        names = [(member.name, f"member[{i}].name") for i, member in enumerate(members, 1)]
        self.distinct([(name.lower(), place) for name, place in names], "name, in capital letters or small ones,")
        for name, place in names:
            if name.lower() in TAKEN:
                self.wrong(place, name, f"The ledger's own accounts and offices are called {', '.join(TAKEN)}.")
        meters = [
            (meter.meter_id, f"member[{i}].meters[{j}].meter_id")
            for i, member in enumerate(members, 1)
            for j, meter in enumerate(member.meters, 1)
        ]
        self.distinct(meters, "meter id")
        by_name = {member.name: member for member in members}
        for i, member in enumerate(members, 1):
            self.partners(member, by_name, f"member[{i}].recurring.partners")
        return members

    def member(self, row: Mapping[str, Any], place: str) -> Member:
        self.only(row, MEMBER_KEYS, f"{place}.")
        name = self.name(row, "name", place)
        meters = tuple(
            self.meter(meter, f"{place}.meters[{j}]")
            for j, meter in enumerate(self.tables(row, "meters", f"{place}.", len(DIRECTIONS)), 1)
        )
        if len({meter.direction for meter in meters}) < len(meters):
            directions = ", ".join(meter.direction for meter in meters)
            self.wrong(f"{place}.meters", directions, "Give at most one meter for each direction.")
        return Member(
            name=name,
            owner=self.name(row, "owner", place) if "owner" in row else name,
            meters=meters,
            strategy=self.name(row, "strategy", place) if "strategy" in row else DEFAULT_STRATEGY,
            options=self.options(row, f"{place}.options"),
            recurring=self.recurring(row, place) if "recurring" in row else None,
        )

    def options(self, row: Mapping[str, Any], place: str) -> tuple[tuple[str, Option], ...]:
        table = row.get("options", {})
        if not isinstance(table, dict):
            self.wrong(place, table, "Give a table.")
            return ()
        options: list[tuple[str, Option]] = []
        for key, value in table.items():
            option = _option(value)
            if option is None:
                self.wrong(f"{place}.{key}", value, "Give texts, numbers, true or false, or lists of them.")
            else:
                options.append((key, option))
        return tuple(options)

    def meter(self, row: Mapping[str, Any], place: str) -> MemberMeter:
        self.only(row, METER_KEYS, f"{place}.")
        direction = row.get("direction")
        if direction not in DIRECTIONS:
            self.wrong(f"{place}.direction", direction, "Use injection or withdrawal.")
            direction = ""
        return MemberMeter(
            meter_id=self.name(row, "meter_id", place),
            direction=direction,
            feeder=self.name(row, "feeder", place),
            limit=self.limit(row, place),
            technology=self.name(row, "technology", place),
            power_factor=self.share(row, "power_factor", place) if "power_factor" in row else Ppm(MILLION),
        )

    def limit(self, row: Mapping[str, Any], place: str) -> Power:
        text, remedy = row.get("limit"), "Write a power above zero, such as 2.5 MW or 160 kW."
        try:
            limit = parse_power(text) if isinstance(text, str) else Power(0)
        except Refused:
            limit = Power(0)
        if not 0 < limit <= POWER_MAX:
            self.wrong(f"{place}.limit", text, remedy)
        return limit

    def recurring(self, row: Mapping[str, Any], place: str) -> RecurringRule:
        rule, place = row["recurring"], f"{place}.recurring"
        if not isinstance(rule, dict):
            self.wrong(place, rule, "Give a table.")
            return RecurringRule(Ppm(MILLION))
        self.only(rule, RECURRING_KEYS, f"{place}.")
        low, high = self.price(rule, "price_min", place), self.price(rule, "price_max", place)
        if low is not None and high is not None and low > high:
            self.wrong(f"{place}.price_min", rule["price_min"], "Give a price_min that is not above price_max.")
        partners = rule.get("partners", [])
        if not isinstance(partners, list) or not all(isinstance(partner, str) for partner in partners):
            self.wrong(f"{place}.partners", partners, "Give a list of members' names.")
            partners = []
        return RecurringRule(self.share(rule, "share_of_forecast", place), low, high, tuple(partners))

    def partners(self, member: Member, by_name: Mapping[str, Member], place: str) -> None:
        for j, name in enumerate(member.recurring.partners if member.recurring else (), 1):
            partner = by_name.get(name)
            if partner is None:
                self.wrong(f"{place}[{j}]", name, "Name members of this file.")
            elif partner.owner == member.owner:
                self.wrong(f"{place}[{j}]", name, "Name members of another owner: nobody trades with itself.")

    def price(self, row: Mapping[str, Any], key: str, place: str) -> Price | None:
        text = row.get(key)
        if key not in row:
            return None
        try:
            price = parse_price(text, self.currency) if isinstance(text, str) else None
        except Refused:
            price = None
        if price is None or abs(price) > PRICE_MAX:
            self.wrong(f"{place}.{key}", text, f"Write a price such as 0.45 {self.currency}/kWh.")
        return price

    def share(self, row: Mapping[str, Any], key: str, place: str) -> Ppm:
        value, remedy = row.get(key), "Give a number above 0, at most 1, with at most six decimals, such as 0.93."
        number = value if isinstance(value, Decimal) else Decimal(value) if type(value) is int else Decimal(0)
        if not number.is_finite() or not 0 < number <= 1:
            self.wrong(f"{place}.{key}", value, remedy)
            return Ppm(MILLION)
        scaled = number * MILLION
        if scaled != int(scaled):
            self.wrong(f"{place}.{key}", value, remedy)
        return Ppm(int(scaled))

    def name(self, row: Mapping[str, Any], key: str, place: str) -> str:
        value = row.get(key)
        if not isinstance(value, str) or NAME.fullmatch(value) is None:
            self.wrong(f"{place}.{key}", "" if value is None else value, NAME_REMEDY)
            return ""
        return value

    def tables(self, row: Mapping[str, Any], key: str, prefix: str, count_max: int) -> list[Mapping[str, Any]]:
        value = row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.wrong(f"{prefix}{key}", value, f"Write each one as a table [[{key}]].")
            return []
        if not 0 < len(value) <= count_max:
            self.wrong(f"{prefix}{key}", len(value), f"Give 1 to {count_max:,}.")
        return value[:count_max]

    def only(self, row: Mapping[str, Any], known: Sequence[str], prefix: str) -> None:
        for key in row:
            if key not in known:
                self.wrong(f"{prefix}{key}", key, f"Known here: {', '.join(known)}.")

    def distinct(self, found: Sequence[tuple[str, str]], what: str) -> None:
        first: dict[str, str] = {}
        for value, place in found:
            if value and value in first:
                self.wrong(place, value, f"Give each {what} once; {first[value]} has it already.")
            first.setdefault(value, place)


def _option(value: object) -> Option | None:
    """A strategy's option, its decimals as floats (options never touch the ledger); none for tables and dates."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        items = [_option(item) for item in value]
        kept = tuple(item for item in items if item is not None)
        return kept if len(kept) == len(items) else None
    return value if isinstance(value, str | int) else None
