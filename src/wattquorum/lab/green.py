"""The demo's green offices: the issuer of certificates, the carbon registry, and what members do with what they hold.

Certificates rest on the readings alone. What members do with them is a rule of the demo [chosen]: everybody rolls up
what makes a whole certificate, the first and the third generator sell two fifths of theirs, as in document A, to the
first and the tenth consumer, which retire half of what they buy for their own consumption.

The carbon of the demo is an illustration and says so: consumption of power is under no such scheme, here the
industrial customers are obliged [chosen]. Their quota follows the European rule for the year of the data, as far as it
goes: activity of a time before (use of the week before, at its daily mean) times a benchmark (the German mix of the
year before) times the part of it that was free in 2016. Their emissions are what the grid supplied to them, beyond
their promises and where their sellers fell short, at the mix of the year; what other members delivered counts nothing.
Who buys much from other members is long, who buys little is short, and the long give to the short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from wattquorum.foundation.quantities import Carbon, Energy
from wattquorum.foundation.vectors import energies
from wattquorum.green.carbon import settlement, transferable
from wattquorum.green.certificates import SOURCES, WHOLE
from wattquorum.lab.members import Member
from wattquorum.lab.offices import ISSUER, REGISTRY
from wattquorum.ledger.accounts import Side
from wattquorum.ledger.bundles import GRANULAR, is_whole
from wattquorum.ledger.carbon import period_of
from wattquorum.ledger.facts import ContractMade, ContractSettled, Fact, PositionSettled
from wattquorum.ledger.holdings import Bundle, BundleStatus, CarbonAccount, Registry, Sale
from wattquorum.ledger.state import State, Table, day_key
from wattquorum.ledger.transactions import (
    BuyCertificates,
    CloseCarbonPeriod,
    GrantQuota,
    IssueCertificates,
    MoveAllowances,
    OfferCertificates,
    Payload,
    ReportEmissions,
    RetireCertificates,
    RollUp,
)

OBLIGED: Final = "mv-customer"  # the technology of the grid's industrial customers
BENCHMARK_G_PER_KWH: Final = 534  # German mix of 2015, Umweltbundesamt, 30 May 2017
INTENSITY_G_PER_KWH: Final = 527  # German mix of 2016 (estimate), Umweltbundesamt, 30 May 2017
# Free were 80 % of the benchmark in 2013, by equal amounts each year down to 30 % in 2020: in 2016 (80 - 3 * 50/7) %.
# Directive 2003/87/EC as amended by 2009/29/EC, article 10a(11). The correction across sectors is left out.
FREE_PART: Final = (41, 70)
DAYS_BEFORE: Final = 7  # whose use the quota rests on
WH_PER_KWH: Final = 1_000
SOLD_PART: Final = (2, 5)
CERTIFICATE_PRICE: Final = 30_000_000  # millionths for a whole certificate
SELLERS, BUYERS = (0, 2), (0, 9)  # by their order among generators and consumers

Said = list[tuple[str, Payload]]


class GreenOffices:
    """Says what the issuer, the registry and the holders sign; looks at nothing but the ledger's state and facts."""

    __slots__ = ("_addresses", "_bought_by", "_devices", "_from_grid", "_generators", "_obliged", "_partners")

    def __init__(self, members: Sequence[Member], addresses: Mapping[str, bytes]) -> None:
        self._addresses = addresses
        self._devices = sorted(
            meter.meter_id
            for member in members
            for meter in member.meters
            if meter.direction == "injection" and meter.technology in SOURCES
        )
        self._generators = [member.name for member in members if member.meter("injection")]
        consumers = [member.name for member in members if member.meter("withdrawal")]
        self._partners = {
            self._generators[seller]: consumers[buyer]
            for seller, buyer in zip(SELLERS, BUYERS, strict=True)
            if seller < len(self._generators) and buyer < len(consumers)
        }
        self._obliged = [member.name for member in members for meter in member.meters if meter.technology == OBLIGED]
        self._bought_by: dict[bytes, bytes] = {}  # obliged buyers by contract
        self._from_grid: dict[bytes, dict[bytes, int]] = {addresses[name]: {} for name in self._obliged}

    # Certificates

    def issue(self, state: State, day: int, every: int) -> Said:
        """Hourly bundles of every device that has something left to certify of a day."""
        start = day_key(day)
        due = []
        for meter in self._devices:
            name = meter.encode("ascii")
            device = state.get(Table.DEVICE, name)
            read = state.get(Table.READING, start + name) is not None
            if read and (state.get(Table.CERTIFIED, start + name) is None or device.carry > 0):
                due.append(meter)
        return [(ISSUER, IssueCertificates(day, tuple(due), every))] if due else []

    def roll_up(self, state: State) -> Said:
        """Whole certificates of every device of which an owner holds a MWh in granular bundles."""
        said: Said = []
        for name in self._generators:
            by_meter: dict[str, list[tuple[bytes, Bundle]]] = {}
            for bundle_id, bundle in self._active(state, name):
                if bundle.unit == GRANULAR:
                    by_meter.setdefault(bundle.meter, []).append((bundle_id, bundle))
            for own in by_meter.values():
                own.sort(key=_by_number)
                if sum(bundle.size for _, bundle in own) >= WHOLE:
                    said.append((name, RollUp(tuple(bundle_id for bundle_id, _ in own))))
        return said

    def offer(self, state: State, valid_until_ms: int) -> Said:
        """What the sellers offer their buyers: two fifths of each whole bundle that is not for sale yet."""
        said: Said = []
        for seller, buyer in self._partners.items():
            for bundle_id, bundle in self._active(state, seller):
                count = bundle.size * SOLD_PART[0] // SOLD_PART[1]
                if is_whole(bundle) and count:
                    to, amount = self._addresses[buyer], count * CERTIFICATE_PRICE
                    said.append((seller, OfferCertificates(bundle_id, count, to, amount, valid_until_ms)))
        return said

    def buy(self, state: State, now_ms: int) -> Said:
        """What buyers take: as much as their free money pays for."""
        free = {each: state.get(Table.ACCOUNT, self._addresses[each]).balance for each in self._partners.values()}
        names = {self._addresses[each]: each for each in free}
        said: Said = []
        for sale_id, each in state.items(Table.SALE):
            sale: Sale = each
            buyer = names.get(sale.buyer)
            if buyer is not None and sale.valid_until_ms >= now_ms and free[buyer] >= sale.amount:
                free[buyer] -= sale.amount
                said.append((buyer, BuyCertificates(sale_id)))
        return said

    def retire(self, state: State, purpose: str) -> Said:
        """Buyers use half of every bundle of theirs up for what they consumed themselves."""
        return [
            (buyer, RetireCertificates(bundle_id, -(-bundle.size // 2), "", purpose))
            for buyer in self._partners.values()
            for bundle_id, bundle in self._active(state, buyer)
            if is_whole(bundle)
        ]

    def _active(self, state: State, name: str) -> list[tuple[bytes, Bundle]]:
        owner = self._addresses[name]
        found = [(key[len(owner) :], state.get(Table.BUNDLE, key)) for key in state.listed(Table.BUNDLE, owner)]
        return [(bundle_id, bundle) for bundle_id, bundle in found if bundle.status is BundleStatus.ACTIVE]

    # Carbon

    def grant(self, use: Mapping[str, Energy]) -> Said:
        """Every obliged member's quota, from its use over as long a time before."""
        part, whole = FREE_PART
        return [
            (REGISTRY, GrantQuota(self._addresses[name], grams))
            for name in self._obliged
            if (grams := use[name] * BENCHMARK_G_PER_KWH * part // (WH_PER_KWH * whole))
        ]

    def hear(self, fact: Fact) -> None:
        """Keeps what the grid supplied to obliged members; what is settled again takes the place of the earlier."""
        if isinstance(fact, ContractMade) and fact.buyer in self._from_grid:
            self._bought_by[fact.contract] = fact.buyer
        elif isinstance(fact, ContractSettled) and fact.contract in self._bought_by:
            short = np.maximum(energies(fact.consumed) - energies(fact.generated), 0)
            self._from_grid[self._bought_by[fact.contract]][fact.contract] = int(short.sum())
        elif isinstance(fact, PositionSettled) and fact.side is Side.BUY and fact.member in self._from_grid:
            self._from_grid[fact.member][day_key(fact.day)] = int(energies(fact.residual).sum())

    def report(self, state: State) -> Said:
        """Verified emissions so far: what the grid supplied to every obliged member."""
        period = _open_period(state)
        said: Said = []
        for name in self._obliged:
            address = self._addresses[name]
            if state.get(Table.CARBON, address) is not None:
                grams = sum(self._from_grid[address].values()) * INTENSITY_G_PER_KWH // WH_PER_KWH
                said.append((REGISTRY, ReportEmissions(address, period, grams)))
        return said

    def balance(self, state: State) -> Said:
        """Who has allowances left moves them to those that lack some, greatest need and greatest surplus first."""
        accounts: dict[str, CarbonAccount] = {
            name: account for name in self._obliged if (account := state.get(Table.CARBON, self._addresses[name]))
        }
        periods = {name: period_of(account) for name, account in accounts.items()}
        free = {name: transferable(period) for name, period in periods.items()}
        givers = sorted(periods, key=lambda name: (-free[name], name))
        said: Said = []
        for needy in sorted(periods, key=lambda name: (settlement(periods[name]), name)):
            missing = -settlement(periods[needy])
            for giver in givers:
                grams = min(missing, free[giver])
                if grams > 0:
                    said.append((giver, MoveAllowances(self._addresses[needy], grams)))
                    free[giver], missing = Carbon(free[giver] - grams), missing - grams
        return said

    def close(self, state: State) -> Said:
        """The period ends."""
        period = _open_period(state)
        return [(REGISTRY, CloseCarbonPeriod(period))] if self._obliged else []


def _open_period(state: State) -> int:
    registry: Registry | None = state.get(Table.REGISTRY, b"")
    return registry.carbon_period if registry else 1


def _by_number(entry: tuple[bytes, Bundle]) -> int:
    return entry[1].first
