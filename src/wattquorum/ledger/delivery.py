"""Delivery: the grid operator's decisions, line faults, and the meter operator's readings (A-15, L-8, L-11, L-23).

Curtailment lowers a promise for both sides before any default test and only before the interval begins, unless a line
fault is on record. Readings come as rows beside a commitment; a later version is a correction, and where the day was
settled already the difference is posted at once.
"""

from __future__ import annotations

import numpy as np

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, MILLION, MS_PER_HOUR, Energy, Price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind
from wattquorum.foundation.vectors import check_energies, energies, highest
from wattquorum.ledger.accounts import MEMBER, Role, Side
from wattquorum.ledger.closing import correct
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Contract, ContractStatus, Day, DayStatus, Fault, Meter, ReadingSet
from wattquorum.ledger.facts import ContractApproved, ContractCurtailed, DisputeFiled, FaultReported, ReadingTaken
from wattquorum.ledger.issuing import carry_reading
from wattquorum.ledger.metering import MemberKey, counting, faults_at
from wattquorum.ledger.money import post, unlock
from wattquorum.ledger.negotiation import lower_promise
from wattquorum.ledger.readings import Quality, Row
from wattquorum.ledger.state import Table, day_key
from wattquorum.ledger.transactions import ApproveContracts, CommitReadings, Curtail, Dispute, ReportFault
from wattquorum.market.fees import handling_fee

DELIVERABLE = (ContractStatus.ACCEPTED, ContractStatus.APPROVED)


def approve_contracts(context: Context, payload: ApproveContracts) -> None:
    """The grid operator approves contracts after the gate and before delivery begins (L-8)."""
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    if context.now < day.gate_ms:
        raise Refused("gate_open", "day", payload.day)
    if context.now >= day.window.start_ms:
        raise Refused("started", "day", payload.day)
    for contract_id in payload.contracts:
        contract = context.contract(payload.day, contract_id)
        if contract.status is not ContractStatus.ACCEPTED:
            raise Refused("contract_state", "contract", contract.status.name.lower())
        approved = changed(contract, status=ContractStatus.APPROVED)
        context.state.put(Table.CONTRACT, day_key(payload.day) + contract_id, approved)
        context.tell(ContractApproved(contract_id, payload.day))


def curtail(context: Context, payload: Curtail) -> None:
    """The grid operator lowers promises; both sides get the handling fee of the difference back (A-20, L-8)."""
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    contract = context.contract(payload.day, payload.contract)
    if context.now < day.gate_ms:
        raise Refused("gate_open", "day", payload.day)
    if contract.status not in DELIVERABLE:
        raise Refused("contract_state", "contract", contract.status.name.lower())
    if day.status is not DayStatus.OPEN:
        # The other side's position may be settled already, and it rests on the promise as it was.
        raise Refused("page_closed", "day", payload.day, "Curtail before the day's first page is settled.")
    now = energies(contract.energy)
    lower = check_energies(payload.energy, day.window.intervals, "energy")
    lowered = now - lower
    if int(lowered.min()) < 0 or not lowered.any():
        worst = int(lowered.argmin())
        remedy = f"Promise at most {int(now[worst])} Wh in interval {worst} and less somewhere."
        raise Refused("out_of_range", "energy", int(lower[worst]), remedy)
    begun = day.window.index_from(context.now + 1)
    for interval in range(begun):
        if lowered[interval] and not _faulted(context, payload.day, contract, interval):
            remedy = f"Report the line fault of interval {interval} first."
            raise Refused("fault_unrecorded", "energy", interval, remedy)
    fee = Price(context.parameters(day.parameters_version).fee)
    refund = handling_fee(Energy(int(now.sum())), fee) - handling_fee(Energy(int(lower.sum())), fee)
    for address, side in ((contract.seller, Side.SELL), (contract.buyer, Side.BUY)):
        lower_promise(context, payload.day, address, side, lowered)
        community = context.reserved.community
        post(context, Kind.HANDLING_FEE_REFUND, community, address, refund, payload.day, payload.contract)
    # Once delivery has begun it is too late to approve: what silence lapses is not saved by a curtailment.
    status = ContractStatus.APPROVED if context.now < day.window.start_ms else contract.status
    if status is not contract.status:
        context.tell(ContractApproved(payload.contract, payload.day))
    left = changed(contract, energy=payload.energy, status=status)
    if not lower.any():
        unlock(context, contract.seller, contract.seller_lock)
        unlock(context, contract.buyer, contract.buyer_lock)
        left = changed(left, seller_lock=0, buyer_lock=0, seller_stake=0, buyer_stake=0)
    context.state.put(Table.CONTRACT, day_key(payload.day) + payload.contract, left)
    context.tell(ContractCurtailed(payload.contract, payload.day, payload.energy, payload.reason, refund))


def _faulted(context: Context, day: int, contract: Contract, interval: int) -> bool:
    """Whether an interval is under a recorded fault at a meter of either side."""
    for address, side in ((contract.seller, Side.SELL), (contract.buyer, Side.BUY)):
        member = context.side(address, side)
        for meter in member.meters if member else ():
            if any(fault.first <= interval < fault.end for fault in faults_at(context, day, meter)):
                return True
    return False


def report_fault(context: Context, payload: ReportFault) -> None:
    """The grid operator records a line fault at meters, before the day's first page is settled (A-15, L-8)."""
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    if day.status is not DayStatus.OPEN:
        raise Refused("page_closed", "day", payload.day, "Report faults before the day's first page is settled.")
    if not 0 <= payload.first < payload.end <= day.window.intervals:
        remedy = f"Give intervals inside 0..{day.window.intervals}."
        raise Refused("out_of_range", "first", f"{payload.first}..{payload.end}", remedy)
    if not payload.meters:
        raise Refused("meter_unknown", "meters", "none", "Name at least one meter.")
    for meter in payload.meters:
        name = meter.encode("ascii")
        if context.state.get(Table.METER, name) is None:
            raise Refused("meter_unknown", "meters", meter)
        key = day_key(payload.day) + name + payload.first.to_bytes(2, "big") + payload.end.to_bytes(2, "big")
        if context.state.get(Table.FAULT, key) is not None:
            raise Refused("fault_known", "meters", meter)
        context.state.put(Table.FAULT, key, Fault(payload.first, payload.end, payload.reason))
    context.tell(FaultReported(payload.day, payload.meters, payload.first, payload.end, payload.reason))


def commit_readings(context: Context, payload: CommitReadings) -> None:
    """The meter operator commits to rows; they are checked against the root and the meters before they count."""
    context.need(Role.METER_OPERATOR)
    # Before anything else, so that a receipt tells whether a replay needs the rows: it does unless its code is
    # one of WITHOUT_ROWS.
    rows = context.rows_beside(payload.root)
    day = context.day(payload.day)
    if context.now < day.window.end_ms:
        raise Refused("readings_early", "day", payload.day)
    if context.now >= day.final_ms:
        raise Refused("day_final", "day", payload.day)
    if payload.feeder not in day.feeders:
        raise Refused("feeder_unknown", "feeder", payload.feeder)
    if len(rows) != payload.rows or not rows:
        raise Refused("commitment_wrong", "rows", len(rows), f"The transaction names {payload.rows} rows.")
    names = [row.meter for row in rows]
    if names != sorted(dict.fromkeys(names)):
        raise Refused(
            "intervals_overlap", "rows", "meters repeat or are not sorted", "Give each meter once, ascending."
        )
    corrected: dict[MemberKey, None] = {}
    for position, row in enumerate(rows):
        meter = _check_row(context, day, payload, row)
        key = day_key(payload.day) + row.meter.encode("ascii")
        before: ReadingSet | None = context.state.get(Table.READING, key)
        replaced = context.shelf.get(before.root)[before.position] if before else None
        carry_reading(context, payload.day, meter, replaced, row)
        context.state.put(Table.READING, key, ReadingSet(payload.root, position, row.version))
        context.tell(
            ReadingTaken(
                payload.day,
                payload.feeder,
                row.meter,
                meter.member,
                meter.point.side,
                payload.root,
                position,
                row.version,
                row.energy,
                row.quality,
            )
        )
        corrected[meter.member, meter.point.side] = None
    for member, side in corrected:
        _check_sum(context, day, member, side)
    if day.status is not DayStatus.OPEN:
        correct(context, payload.day, tuple(corrected))


def _check_row(context: Context, day: Day, payload: CommitReadings, row: Row) -> Meter:
    meter: Meter | None = context.state.get(Table.METER, row.meter.encode("ascii"))
    here = meter is not None and meter.point.feeder == payload.feeder
    if meter is None or not here or not meter.counts_on(day, context.account(meter.member)):
        remedy = f"Name meters of feeder {payload.feeder} that count on the day."
        raise Refused("meter_unknown", "meter", row.meter, remedy)
    intervals = day.window.intervals
    if len(row.energy) != 4 * intervals or len(row.quality) != intervals:
        raise Refused("intervals_missing", row.meter, f"{len(row.energy) // 4} of {intervals} intervals")
    if max(row.quality) > Quality.SUBSTITUTED:
        raise Refused("quality_unknown", row.meter, max(row.quality))
    metered = energies(row.energy)
    parameters = context.parameters(day.parameters_version)
    limit = meter.point.limit_w * day.window.length_ms // MS_PER_HOUR
    absurd = min(limit * parameters.plausibility // MILLION, ENERGY_PER_INTERVAL_MAX)
    if highest(metered) > absurd:
        remedy = f"At most {absurd} Wh are plausible in interval {int(metered.argmax())}."
        # Receipts are public and readings are not (L-23): the value shown is the limit.
        raise Refused("energy_absurd", row.meter, absurd, remedy)
    before: ReadingSet | None = context.state.get(Table.READING, day_key(payload.day) + row.meter.encode("ascii"))
    expected = before.version + 1 if before else 1
    if row.version != expected:
        raise Refused("version_not_higher", row.meter, row.version, f"The next version is {expected}.")
    return meter


def _check_sum(context: Context, day: Day, address: bytes, side: Side) -> None:
    """Several meters of one side may not add up to more than one interval can hold."""
    start, meters = day.window.start_ms, counting(context, day, address, side)
    if len(meters) < 2:
        return
    total = np.zeros(day.window.intervals, dtype=np.int64)
    for name in meters:
        reading: ReadingSet | None = context.state.get(Table.READING, day_key(start) + name.encode("ascii"))
        if reading is not None:
            total += energies(context.shelf.get(reading.root)[reading.position].energy)
    if int(total.max()) > ENERGY_PER_INTERVAL_MAX:
        remedy = "All meters of a side together count at most 1 GWh."
        raise Refused("energy_absurd", "meters", ENERGY_PER_INTERVAL_MAX, remedy)


def dispute(context: Context, payload: Dispute) -> None:
    """A member puts on record that it contests a settled day; nothing else happens on the ledger (L-11).

    A sealed day's contracts have left the state, so that whose they were is not checked any more.
    """
    account = context.account(context.sender)
    if not account.roles & MEMBER:
        raise Refused("role_missing", "sender", account.name, "Only members dispute.")
    sealed = context.state.get(Table.SEALED, day_key(payload.day)) is not None
    if not sealed and context.day(payload.day).status is not DayStatus.CLOSED:
        raise Refused("contract_state", "day", "open", "Wait until the day is closed.")
    if payload.contract and not sealed:
        contract = context.contract(payload.day, payload.contract)
        if context.sender not in (contract.seller, contract.buyer):
            raise Refused("role_missing", "sender", context.sender, "Dispute contracts of your own.")
    context.tell(DisputeFiled(payload.day, context.sender, payload.contract, payload.statement))
