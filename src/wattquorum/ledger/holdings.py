"""What the state keeps of certificates and carbon: bundles, devices, sales, holdings and allowance accounts."""

from __future__ import annotations

from enum import IntEnum

from wattquorum.foundation.codec import Address, Record, Signed, Unsigned
from wattquorum.ledger.transactions import Energies


class BundleStatus(IntEnum):
    """Where a bundle stands; all but the first are final (L-22)."""

    ACTIVE = 1
    RETIRED = 2
    WITHDRAWN = 3  # by the issuer


class Ending(IntEnum):
    """Why a bundle is not active any more."""

    SPLIT = 1
    ROLLED_UP = 2
    RETIRED = 3
    WITHDRAWN = 4
    EXPIRED = 5


class SaleEnding(IntEnum):
    """Why certificates are not for sale any more."""

    BOUGHT = 1
    WITHDRAWN = 2
    LAPSED = 3  # past its time, or its bundle is not the seller's to sell any more


class Bundle(Record, frozen=True):
    """Certificates `first` to `end` (exclusive) of a device, each worth `unit` Wh: 1, or 1,000,000 of a whole one.

    Granular and whole certificates of a device are numbered apart from each other. The owner is part of the key.
    """

    meter: str
    unit: Unsigned
    first: Unsigned
    end: Unsigned
    start_ms: Unsigned  # of production
    end_ms: Unsigned
    expires_ms: Unsigned
    status: BundleStatus
    counted: bool  # among its owner's holdings

    @property
    def size(self) -> int:
        """How many certificates it has."""
        return self.end - self.first


class Device(Record, frozen=True):
    """What was certified of a meter that generates from a renewable source."""

    granular: Unsigned  # certificates of 1 Wh issued so far: the next one's number
    whole: Unsigned  # certificates of 1 MWh rolled up so far: the next one's number
    carry: Signed  # measured less certified over days that are not final [Wh]; below zero after a correction


class Certified(Record, frozen=True):
    """What was certified of a device's day, by interval [Wh]."""

    energy: Energies


class Sale(Record, frozen=True):
    """Certificates that are for sale, to one buyer or, if empty, to anybody."""

    seller: Address
    bundle: bytes
    count: Unsigned
    buyer: bytes
    amount: Unsigned  # for all of them [millionths]
    valid_until_ms: Unsigned


class Holding(Record, frozen=True):
    """An account's whole certificates for A-13, with the time that each was held (L-20)."""

    held: Unsigned  # certificates
    since_ms: Unsigned  # up to when `weighted` counts
    weighted: Unsigned  # certificates x ms since the last day was closed
    counted: Unsigned  # certificates x ms between the two closings before: what weights rest on


class CarbonAccount(Record, frozen=True):
    """An obliged member's allowances in the open period, and how the last one was settled [g]."""

    carried: Signed
    quota: Unsigned
    bought: Unsigned
    sold: Unsigned
    emitted: Unsigned
    reported: bool
    settled: Signed  # S of the last closed period
    settled_quota: Unsigned
    settled_reported: bool
    closed_ms: Unsigned  # when it was settled last; 0 if never


class Registry(Record, frozen=True):
    """What the registries remember of themselves."""

    carbon_period: Unsigned  # the open one's number, from 1
    counted_ms: Unsigned  # when holdings were counted last; 0 if never
    swept_day: Unsigned  # bundles that expire before this day have left the state
