"""Issuing: metered energy becomes certificates, once; and what corrections and time do to them (A-5, L-11, L-20, L-22).

An issuer certifies what a device was measured to generate on a closed day. How much of each interval was certified
stays in the state until the day is sealed, so that a second issue of the day covers only what a later version of the
readings added. A correction that takes energy away after it was certified makes the device's carry negative.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from wattquorum.foundation.codec import changed
from wattquorum.foundation.intervals import MS_PER_DAY
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.vectors import Int64s, energies, packed
from wattquorum.green.certificates import SOURCES, by_period, issuable, sealed_carry, source_of
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.bundles import GRANULAR, hold, make, new_ids, owned
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Day, Meter, ReadingSet
from wattquorum.ledger.facts import BundleEnded, CarryChanged, EnergyCertified, HoldingCounted, SaleEnded
from wattquorum.ledger.holdings import Bundle, BundleStatus, Certified, Device, Ending, Holding, Sale, SaleEnding
from wattquorum.ledger.readings import Quality, Row
from wattquorum.ledger.settling import is_closed
from wattquorum.ledger.state import Table, day_key, expiry_place
from wattquorum.ledger.transactions import IssueCertificates, WithdrawCertificates

BUNDLES_MAX: Final = 10_000  # of one transaction, so that none holds up a block
NO_DEVICE: Final = Device(0, 0, 0)


def issue_certificates(context: Context, payload: IssueCertificates) -> None:
    """The issuer certifies devices' energy of a closed day in bundles of `every` intervals."""
    context.need(Role.ISSUER)
    day = context.day(payload.day)
    if not is_closed(day):
        raise Refused("page_open", "day", payload.day, "Close the day first.")
    intervals = day.window.intervals
    if not 1 <= payload.every <= intervals:
        raise Refused("out_of_range", "every", payload.every, f"Choose from 1 to {intervals} intervals.")
    bundles = len(payload.meters) * -(-intervals // payload.every)
    if bundles > BUNDLES_MAX:
        raise Refused("out_of_range", "meters", bundles, f"Issue at most {BUNDLES_MAX} bundles at once.")
    if not payload.meters:
        raise Refused("meter_unknown", "meters", "none", "Name at least one meter.")
    if context.now >= _expiry(context, day, min(day.window.start_of(payload.every), day.window.end_ms)):
        raise Refused("certificate_expired", "day", payload.day, "Its first certificates would have expired already.")
    ids = new_ids(context)
    for name in payload.meters:
        _issue(context, day, name, payload.every, ids)


def _issue(context: Context, day: Day, name: str, every: int, ids: Iterator[bytes]) -> None:
    """Certifies what one device may certify of a day."""
    meter, start = _device_meter(context, name), day.window.start_ms
    key = day_key(start) + name.encode("ascii")
    reading: ReadingSet | None = context.state.get(Table.READING, key)
    if reading is None:
        raise Refused("readings_missing", "meters", name)
    device: Device = context.state.get(Table.DEVICE, name.encode("ascii")) or NO_DEVICE
    before: Certified | None = context.state.get(Table.CERTIFIED, key)
    measured = measured_energy(context.shelf.get(reading.root)[reading.position])
    certified = energies(before.energy) if before else np.zeros_like(measured)
    added = issuable(measured, certified, device.carry)
    total = int(added.sum())
    if before and not total:
        raise Refused("energy_certified", "meters", name)
    number = device.granular
    for place, energy in enumerate(by_period(added, every)):
        if energy:
            make(context, meter.member, next(ids), _bundle(context, day, name, place, every, number, energy))
            number += energy
    after = changed(device, granular=number, carry=device.carry - total)
    context.state.put(Table.DEVICE, name.encode("ascii"), after)
    context.state.put(Table.CERTIFIED, key, Certified(packed(certified + added)))
    withheld = int(np.maximum(measured - certified, 0).sum()) - total
    context.tell(EnergyCertified(start, name, packed(added), withheld, after.carry))


def _device_meter(context: Context, name: str) -> Meter:
    meter: Meter | None = context.state.get(Table.METER, name.encode("ascii"))
    if meter is None:
        raise Refused("meter_unknown", "meters", name)
    if meter.point.side is not Side.SELL:
        raise Refused("technology_ineligible", "meters", name, "Name meters for injection.")
    source_of(meter.point.technology)
    return meter


def _bundle(context: Context, day: Day, meter: str, place: int, every: int, first: int, energy: int) -> Bundle:
    window = day.window
    start = window.start_ms + place * every * window.length_ms
    end = min(start + every * window.length_ms, window.end_ms)
    expires = _expiry(context, day, end)
    return Bundle(meter, GRANULAR, first, first + energy, start, end, expires, BundleStatus.ACTIVE, False)


def _expiry(context: Context, day: Day, end_ms: int) -> int:
    """When certificates expire of what was generated until a moment of a day (L-20)."""
    return end_ms + context.parameters(day.parameters_version).certificate_days * MS_PER_DAY


def measured_energy(row: Row) -> Int64s:
    """What a row measured [Wh per interval]: estimated and substituted values earn no certificates (L-11)."""
    measured = np.frombuffer(row.quality, dtype=np.uint8) == Quality.MEASURED
    found: Int64s = np.where(measured, energies(row.energy), 0)
    return found


def carry_reading(context: Context, day: int, meter: Meter, before: Row | None, now: Row) -> None:
    """A reading that comes in or is corrected changes what its device may still certify (L-22)."""
    if meter.point.side is not Side.SELL or meter.point.technology not in SOURCES:
        return
    change = int(measured_energy(now).sum())
    if before is not None:
        change -= int(measured_energy(before).sum())
    key = now.meter.encode("ascii")
    device: Device = context.state.get(Table.DEVICE, key) or NO_DEVICE
    context.state.put(Table.DEVICE, key, changed(device, carry=device.carry + change))
    if before is not None and change:
        context.tell(CarryChanged(day, now.meter, device.carry + change))


def carry_sealed(context: Context, day: int) -> None:
    """When a day is sealed, what was not certified of it backs no certificate any more."""
    others = [key for key, _ in context.state.items(Table.DAY) if key != day_key(day)]
    for key in context.state.of_day(Table.READING, day):
        name = key[len(day_key(day)) :]
        device: Device | None = context.state.get(Table.DEVICE, name)
        if device is None or device.carry <= 0:
            continue
        carry = sealed_carry(device.carry, sum(_uncertified(context, other + name) for other in others))
        if carry != device.carry:
            context.state.put(Table.DEVICE, name, changed(device, carry=carry))
            context.tell(CarryChanged(day, name.decode("ascii"), carry))


def _uncertified(context: Context, key: bytes) -> int:
    """What was measured of a device's day and is not certified [Wh]."""
    reading: ReadingSet | None = context.state.get(Table.READING, key)
    if reading is None:
        return 0
    measured = measured_energy(context.shelf.get(reading.root)[reading.position])
    certified: Certified | None = context.state.get(Table.CERTIFIED, key)
    gap = np.maximum(measured - energies(certified.energy), 0) if certified else measured
    return int(gap.sum())


def withdraw_certificates(context: Context, payload: WithdrawCertificates) -> None:
    """The issuer takes an active bundle back, for good. Its Wh fill what the device's carry lacks, and no more."""
    context.need(Role.ISSUER)
    bundle = owned(context, payload.owner, payload.bundle)
    place = payload.owner + payload.bundle
    context.state.put(Table.BUNDLE, place, changed(bundle, status=BundleStatus.WITHDRAWN, counted=False))
    if bundle.counted:
        hold(context, payload.owner, -bundle.size)
    context.tell(BundleEnded(payload.bundle, payload.owner, Ending.WITHDRAWN, "", payload.reason))
    name = bundle.meter.encode("ascii")
    device: Device = context.state.get(Table.DEVICE, name)
    if device.carry < 0:
        carry = min(device.carry + bundle.size * bundle.unit, 0)
        context.state.put(Table.DEVICE, name, changed(device, carry=carry))
        context.tell(CarryChanged(0, bundle.meter, carry))


def count_holdings(context: Context, day: Day) -> None:
    """With a day's close, expired bundles leave the state and everybody's holdings are counted by their time (L-20).

    Where days are closed soon after each other, the count of the first one stands until half a day's length has passed
    since (chosen): or who held certificates between two closings alone, for a moment, would have held all that counts.
    """
    state, today = context.state, context.now // MS_PER_DAY
    before = context.registry()
    for expired_day in range(before.swept_day, today):
        for key in state.listed(Table.BUNDLE, expiry_place(expired_day)):
            _expire(context, key)
    for key, each in list(state.items(Table.SALE)):
        sale: Sale = each
        bundle: Bundle | None = state.get(Table.BUNDLE, sale.seller + sale.bundle)
        if sale.valid_until_ms < context.now or bundle is None or bundle.status is not BundleStatus.ACTIVE:
            state.drop(Table.SALE, key)
            context.tell(SaleEnded(key, SaleEnding.LAPSED))
    counted_ms = before.counted_ms
    if 2 * (context.now - counted_ms) >= day.window.end_ms - day.window.start_ms:
        counted_ms = context.now
        _count_all(context, day.window.start_ms)
    state.put(Table.REGISTRY, b"", changed(before, counted_ms=counted_ms, swept_day=today))


def _count_all(context: Context, day: int) -> None:
    state = context.state
    for key, holding in list(state.items(Table.HOLDING)):
        counted = holding.weighted + holding.held * (context.now - holding.since_ms)
        if counted or holding.counted:
            context.tell(HoldingCounted(day, key, counted, holding.held))
        if counted or holding.held:
            state.put(Table.HOLDING, key, Holding(holding.held, context.now, 0, counted))
        else:
            state.drop(Table.HOLDING, key)


def _expire(context: Context, key: bytes) -> None:
    bundle: Bundle = context.state.get(Table.BUNDLE, key)
    owner, bundle_id = key[:-16], key[-16:]
    if bundle.counted:
        hold(context, owner, -bundle.size)
    context.state.drop(Table.BUNDLE, key)
    if bundle.status is BundleStatus.ACTIVE:
        context.tell(BundleEnded(bundle_id, owner, Ending.EXPIRED, "", ""))
