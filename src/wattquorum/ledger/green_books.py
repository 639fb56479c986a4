"""The auditor's books of certificates and carbon, kept from facts alone (A-5, A-13, A-14, L-11, L-19, L-20, L-22).

Here stand readings and what was certified of them: a Wh of an interval is certified once and only where it was
measured, and what a device may still certify follows from its readings. Bundles and allowances have books of their own.
After a block whatever it touched is compared with the state, and of the rest how many entries there are, so that a
registry of a million bundles is never read again. The books share the state's records and no arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, NamedTuple

from wattquorum.foundation.intervals import MS_PER_DAY, Window
from wattquorum.foundation.transfers import Kind
from wattquorum.foundation.vectors import energy_list
from wattquorum.green.certificates import SOURCES
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.bundle_books import MWH, WH, BundleBooks
from wattquorum.ledger.carbon_books import CarbonBooks
from wattquorum.ledger.entities import DayStatus
from wattquorum.ledger.facts import (
    AllowancesMoved,
    BundleEnded,
    BundleMade,
    BundleMoved,
    CarbonChanged,
    CarbonSettled,
    CarryChanged,
    DayClosed,
    DayPublished,
    DaySealed,
    EnergyCertified,
    Fact,
    HoldingCounted,
    MeterAdded,
    Moved,
    ParametersChanged,
    ReadingTaken,
    RoleChanged,
    SaleEnded,
    SaleOffered,
)
from wattquorum.ledger.holdings import Device, Ending
from wattquorum.ledger.laws import fault, must
from wattquorum.ledger.readings import Shelf
from wattquorum.ledger.state import DAY_KEY_BYTES, State, Table, day_key
from wattquorum.ledger.transactions import MeterPoint

MEASURED: Final = 0  # the quality of a reading that earns certificates (L-11)


class Generator(NamedTuple):
    """A meter that earns certificates."""

    member: bytes
    source: str


class Reading(NamedTuple):
    """A meter's readings of a day, packed as they were told."""

    energy: bytes
    quality: bytes

    def measured(self) -> list[int]:
        """What was measured [Wh per interval]."""
        counted = zip(energy_list(self.energy), self.quality, strict=True)
        return [int(energy) if quality == MEASURED else 0 for energy, quality in counted]


class OpenDay(NamedTuple):
    """A day that is not sealed: its readings and what was certified of them, by meter."""

    window: Window
    certificate_days: int
    readings: dict[str, Reading]
    certified: dict[str, list[int]]


class Step:
    """What one transaction told and is looked at when it is over."""

    __slots__ = ("carries", "changes", "counted", "moves", "settled")

    def __init__(self) -> None:
        self.carries: dict[str, int] = {}  # by meter, as told last
        self.counted: list[HoldingCounted] = []
        self.moves: list[AllowancesMoved] = []
        self.changes: list[CarbonChanged] = []
        self.settled: list[CarbonSettled] = []


class GreenBooks:
    """Books of certificates and carbon; `check` compares what changed with a state."""

    __slots__ = (
        "_bundles",
        "_carbon",
        "_carry",
        "_certificate_days",
        "_closed",
        "_consumers",
        "_days",
        "_generators",
        "_step",
        "_touched_certified",
        "_touched_devices",
    )

    def __init__(self) -> None:
        self._bundles = BundleBooks()
        self._carbon = CarbonBooks()
        self._generators: dict[str, Generator] = {}
        self._consumers: dict[bytes, None] = {}
        self._certificate_days: dict[int, int] = {}  # by version of the parameters
        self._days: dict[int, OpenDay] = {}
        self._closed: dict[int, None] = {}
        self._carry: dict[str, int] = {}
        self._step = Step()
        self._touched_devices: dict[str, None] = {}
        self._touched_certified: dict[tuple[int, str], None] = {}

    def adopt(self, state: State, shelf: Shelf) -> None:
        """Starts from a state instead of from genesis, and from the rows that its open days rest on."""
        for _, meter in state.items(Table.METER):
            self._add_meter(meter.member, meter.point)
        self._consumers = {
            address: None for address, account in state.items(Table.ACCOUNT) if account.roles & Role.CONSUMER
        }
        self._certificate_days = {
            int.from_bytes(key, "big"): parameters.certificate_days for key, parameters in state.items(Table.PARAMETERS)
        }
        for _, day in state.items(Table.DAY):
            start = day.window.start_ms
            self._days[start] = OpenDay(day.window, self._certificate_days[day.parameters_version], {}, {})
            if day.status is DayStatus.CLOSED:
                self._closed[start] = None
        for key, taken in state.items(Table.READING):
            name = key[DAY_KEY_BYTES:].decode("ascii")
            if name in self._generators:
                row = shelf.get(taken.root)[taken.position]
                self._day(int.from_bytes(key[:DAY_KEY_BYTES], "big")).readings[name] = Reading(row.energy, row.quality)
        for key, certified in state.items(Table.CERTIFIED):
            of_day = self._day(int.from_bytes(key[:DAY_KEY_BYTES], "big")).certified
            of_day[key[DAY_KEY_BYTES:].decode("ascii")] = [int(each) for each in energy_list(certified.energy)]
        self._carry = {name.decode("ascii"): device.carry for name, device in state.items(Table.DEVICE)}
        self._bundles.adopt(state)
        self._carbon.adopt(state)

    def enter(self, facts: Iterable[Fact], moment_ms: int) -> None:
        """Takes over one transaction's facts, of a block of that moment."""
        told = [(handler, fact) for fact in facts if (handler := self._handlers.get(type(fact))) is not None]
        if not told:
            return
        self._step = Step()
        self._bundles.begin(moment_ms)
        for handler, fact in told:
            handler(self, fact)
        step = self._step
        for name, carry in step.carries.items():
            known = self._carry.get(name, 0)
            must(carry == known, "carry", name, f"The books say {known}, the ledger {carry}.")
        must(not step.counted, "holding", len(step.counted), "Holdings are counted when a day is closed.")
        self._bundles.finish()
        self._carbon.enter(step.moves, step.changes, step.settled, moment_ms)

    def check(self, state: State) -> None:
        """After a block: what was touched stands in the state as in the books, and nothing else came or went."""
        for name in self._touched_devices:
            numbers = self._bundles.number(name, WH), self._bundles.number(name, MWH)
            expected = Device(*numbers, self._carry[name])
            found = state.get(Table.DEVICE, name.encode("ascii"))
            must(found == expected, "device", name, "The books have another carry or another next certificate.")
        for start, name in self._touched_certified:
            kept = state.get(Table.CERTIFIED, day_key(start) + name.encode("ascii"))
            mine = self._days[start].certified.get(name) if start in self._days else None
            same = mine is None if kept is None else energy_list(kept.energy) == mine
            must(same, "certified", name, "The books say that something else was certified.")
        must(state.count(Table.DEVICE) == len(self._carry), "device", "all", f"The books have {len(self._carry)}.")
        days = sum(len(each.certified) for each in self._days.values())
        must(state.count(Table.CERTIFIED) == days, "certified", "all", f"The books have {days}.")
        self._touched_devices, self._touched_certified = {}, {}
        self._bundles.check(state)
        self._carbon.check(state)

    def _day(self, start: int) -> OpenDay:
        found = self._days.get(start)
        if found is None:
            raise fault("day", start, "It is not an open day.")
        return found

    # What a transaction told, by kind

    def _add_meter(self, member: bytes, point: MeterPoint) -> None:
        source = SOURCES.get(point.technology)
        if point.side is Side.SELL and source is not None:
            self._generators[point.meter] = Generator(member, source)

    def _meter_added(self, fact: MeterAdded) -> None:
        self._add_meter(fact.address, fact.point)

    def _role_changed(self, fact: RoleChanged) -> None:
        if fact.roles & Role.CONSUMER:
            self._consumers[fact.address] = None
        else:
            self._consumers.pop(fact.address, None)

    def _parameters_changed(self, fact: ParametersChanged) -> None:
        self._certificate_days[fact.version] = fact.parameters.certificate_days

    def _day_published(self, fact: DayPublished) -> None:
        self._days[fact.day] = OpenDay(fact.window, self._certificate_days[fact.parameters_version], {}, {})

    def _reading_taken(self, fact: ReadingTaken) -> None:
        if fact.meter not in self._generators:
            return
        readings, now = self._day(fact.day).readings, Reading(fact.energy, fact.quality)
        before = readings.get(fact.meter)
        known = sum(before.measured()) if before is not None else 0
        self._carry[fact.meter] = self._carry.get(fact.meter, 0) - known + sum(now.measured())
        readings[fact.meter] = now
        self._touched_devices[fact.meter] = None

    def _certify(self, fact: EnergyCertified) -> None:
        """No Wh twice, none that was not measured, none beyond the carry, and the earliest is what is withheld."""
        day, reading = self._day(fact.day), self._day(fact.day).readings.get(fact.meter)
        if reading is None or fact.day not in self._closed:
            raise fault("certified", fact.meter, "Only what was measured on a closed day is certified.")
        measured, added = reading.measured(), [int(each) for each in energy_list(fact.energy)]
        must(len(added) == len(measured), "certified", fact.meter, "The day has other intervals.")
        before = day.certified.get(fact.meter, [0] * len(measured))
        room = max(self._carry[fact.meter], 0)
        withheld = 0
        for i in reversed(range(len(measured))):
            open_wh = max(0, measured[i] - before[i])
            due = min(open_wh, room)
            must(added[i] == due, "certified", fact.meter, f"Of interval {i} it may be {due} Wh.")
            room -= added[i]
            withheld += open_wh - added[i]
        day.certified[fact.meter] = [b + a for b, a in zip(before, added, strict=True)]
        self._carry[fact.meter] -= sum(added)
        must(fact.withheld == withheld, "withheld", fact.meter, f"The books say {withheld}.")
        must(fact.carry == self._carry[fact.meter], "carry", fact.meter, f"The books say {self._carry[fact.meter]}.")
        self._touched_devices[fact.meter] = None
        self._touched_certified[fact.day, fact.meter] = None
        self._check_issued(fact.meter, day, added)

    def _check_issued(self, name: str, day: OpenDay, added: list[int]) -> None:
        """The bundles that were issued just before stand for the energy that is certified now, period by period."""
        window, last_ms = day.window, day.window.start_ms
        for owner, bundle in self._bundles.issued:
            first = (bundle.start_ms - window.start_ms) // window.length_ms
            end = (bundle.end_ms - window.start_ms) // window.length_ms
            follows = last_ms <= bundle.start_ms < bundle.end_ms <= window.end_ms
            mine = bundle.meter == name and owner == self._generators[name].member
            energy = sum(added[first:end])
            must(
                mine and follows and bundle.end - bundle.first == energy,
                "bundle",
                name,
                "It is not what was certified.",
            )
            expires_ms = bundle.end_ms + day.certificate_days * MS_PER_DAY
            must(bundle.expires_ms == expires_ms, "bundle", name, "It expires at another time.")
            last_ms = bundle.end_ms
        issued = sum(bundle.end - bundle.first for _, bundle in self._bundles.issued)
        must(issued == sum(added), "bundle", name, "More or less was issued than was certified.")
        self._bundles.issued = []

    def _carry_told(self, fact: CarryChanged) -> None:
        self._step.carries[fact.meter] = fact.carry

    def _day_closed(self, fact: DayClosed) -> None:
        window = self._day(fact.day).window
        self._closed[fact.day] = None
        self._bundles.day_closed(window.end_ms - window.start_ms, self._step.counted)
        self._step.counted = []

    def _day_sealed(self, fact: DaySealed) -> None:
        """What a final day leaves uncertified is lost: a device keeps no more than its other days have."""
        sealed = self._day(fact.day)
        del self._days[fact.day]
        self._closed.pop(fact.day, None)
        for name in sealed.readings:
            if self._carry[name] > 0:
                self._carry[name] = min(self._carry[name], self._uncertified(name))
            self._touched_devices[name] = None
            self._touched_certified[fact.day, name] = None

    def _uncertified(self, name: str) -> int:
        found = 0
        for day in self._days.values():
            reading = day.readings.get(name)
            if reading is not None:
                measured = reading.measured()
                certified = day.certified.get(name, [0] * len(measured))
                found += sum(m - c for m, c in zip(measured, certified, strict=True) if m > c)
        return found

    def _bundle_made(self, fact: BundleMade) -> None:
        generator = self._generators.get(fact.meter)
        if generator is None or generator.source != fact.source:
            raise fault("bundle", fact.bundle, "Its meter has no such renewable source.")
        self._bundles.made(fact)
        self._touched_devices[fact.meter] = None

    def _bundle_ended(self, fact: BundleEnded) -> None:
        bundle = self._bundles.ended(fact, consumer=fact.owner in self._consumers)
        lacking = -self._carry.get(bundle.meter, 0)
        if fact.ending is Ending.WITHDRAWN and lacking > 0:
            self._carry[bundle.meter] += min(lacking, bundle.unit * (bundle.end - bundle.first))
            self._touched_devices[bundle.meter] = None

    def _bundle_moved(self, fact: BundleMoved) -> None:
        self._bundles.moved(fact)

    def _sale_offered(self, fact: SaleOffered) -> None:
        self._bundles.offered(fact)

    def _sale_ended(self, fact: SaleEnded) -> None:
        self._bundles.sale_ended(fact)

    def _money_moved(self, fact: Moved) -> None:
        if fact.kind is Kind.CERTIFICATES:
            self._bundles.paid(fact.payer, fact.payee, fact.amount)

    def _holding_counted(self, fact: HoldingCounted) -> None:
        self._step.counted.append(fact)

    def _allowances_moved(self, fact: AllowancesMoved) -> None:
        self._step.moves.append(fact)

    def _carbon_changed(self, fact: CarbonChanged) -> None:
        self._step.changes.append(fact)

    def _carbon_settled(self, fact: CarbonSettled) -> None:
        self._step.settled.append(fact)

    _handlers: ClassVar[dict[type, Callable[[GreenBooks, Any], None]]] = {
        MeterAdded: _meter_added,
        RoleChanged: _role_changed,
        ParametersChanged: _parameters_changed,
        DayPublished: _day_published,
        ReadingTaken: _reading_taken,
        EnergyCertified: _certify,
        CarryChanged: _carry_told,
        DayClosed: _day_closed,
        DaySealed: _day_sealed,
        BundleMade: _bundle_made,
        BundleEnded: _bundle_ended,
        BundleMoved: _bundle_moved,
        SaleOffered: _sale_offered,
        SaleEnded: _sale_ended,
        Moved: _money_moved,
        HoldingCounted: _holding_counted,
        AllowancesMoved: _allowances_moved,
        CarbonChanged: _carbon_changed,
        CarbonSettled: _carbon_settled,
    }
