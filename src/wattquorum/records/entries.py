"""Entries: which rows a fact becomes.

One function per kind of fact. They only translate: what they need from earlier blocks they take from `Known`, and
where a fact holds vectors, its sums are taken here and its intervals in `wattquorum.records.interval_rows`.
"""

from __future__ import annotations

import numpy as np

from wattquorum.foundation.intervals import MS_PER_DAY, format_moment
from wattquorum.foundation.quantities import toward_zero
from wattquorum.foundation.vectors import Int64s, energies, prices
from wattquorum.ledger import facts as told
from wattquorum.ledger.accounts import Reserved, Status
from wattquorum.ledger.parameters import RANGES
from wattquorum.ledger.readings import Quality
from wattquorum.records import tables
from wattquorum.records.batch import Row
from wattquorum.records.block_entries import BlockEntries, day_or_none, enter, roles_in_words, side_word
from wattquorum.records.flow_rows import add_flow
from wattquorum.records.known import KnownContract, KnownCredit, KnownDay, KnownOffer


def mean_price(energy: Int64s, price: Int64s) -> int:
    """The mean price weighted by energy, rounded toward zero [millionths per kWh]; 0 without energy."""
    total = int(energy.sum())
    # Exact: at most 1,500 products of 30 bits by 31 bits would leave int64, hence Python's integers.
    return toward_zero(sum(e * p for e, p in zip(energy.tolist(), price.tolist(), strict=True)), total) if total else 0


# Who takes part ---------------------------------------------------------------------------------------------------


@enter.register
def _(fact: told.AccountOpened, block: BlockEntries) -> None:
    reserved = int(fact.name in Reserved.__struct_fields__ and block.height == 0)
    row: Row = (fact.address.hex(), fact.name, fact.owner, "", "active", "", reserved, block.height)
    block.batch.add(tables.accounts, row)


def _change_account(block: BlockEntries, address: bytes, change: str, value: str, reason: str) -> None:
    row = (block.height, block.sequence, address.hex(), change, value, reason)
    block.batch.add(tables.account_changes, row)


@enter.register
def _(fact: told.RoleChanged, block: BlockEntries) -> None:
    roles = roles_in_words(fact.roles)
    block.batch.change(tables.accounts, {"account": fact.address.hex()}, roles=roles)
    _change_account(block, fact.address, "roles", roles, "")


@enter.register
def _(fact: told.StatusChanged, block: BlockEntries) -> None:
    status = Status(fact.status).name.lower()
    block.batch.change(tables.accounts, {"account": fact.address.hex()}, status=status, reason=fact.reason)
    _change_account(block, fact.address, "status", status, fact.reason)


@enter.register
def _(fact: told.KeyChanged, block: BlockEntries) -> None:
    _change_account(block, fact.address, "key_recovered" if fact.recovered else "key", fact.key.hex(), "")


@enter.register
def _(fact: told.MeterAdded, block: BlockEntries) -> None:
    point, member, side = fact.point, fact.address.hex(), side_word(fact.point.side)
    row: Row = (
        point.meter,
        member,
        side,
        point.feeder,
        point.limit_w,
        point.technology,
        point.power_factor,
        block.height,
    )
    block.batch.add(tables.meters, row)
    if block.known.credit(member, side) is None:
        entry = block.known.initial(block.height)
        points = (entry.credit, entry.credit, entry.trust, entry.trust)
        row = credit_row(block, None, member, side, "entry", NO_JUDGEMENT, points, entry)
        block.batch.add(tables.credit, row)


@enter.register
def _(fact: told.ParametersChanged, block: BlockEntries) -> None:
    for each in RANGES:
        value = getattr(fact.parameters, each.name)
        row = (fact.version, each.name, value, each.unit, each.meaning, fact.from_height, block.height)
        block.batch.add(tables.parameters, row)
    block.known.put_parameters(fact.version, fact.from_height, fact.parameters)


@enter.register
def _(fact: told.ActionProposed, block: BlockEntries) -> None:
    row = (fact.proposal.hex(), fact.governor.hex(), fact.action, block.height, None)
    block.batch.add(tables.proposals, row)


@enter.register
def _(fact: told.ActionDecided, block: BlockEntries) -> None:
    block.batch.change(tables.proposals, {"proposal": fact.proposal.hex()}, decided_height=block.height)


# Days -------------------------------------------------------------------------------------------------------------


@enter.register
def _(fact: told.DayPublished, block: BlockEntries) -> None:
    window, count = fact.window, fact.window.intervals
    middle = (window.start_ms + window.end_ms) // 2
    row: Row = (
        fact.day,
        format_moment(middle - middle % MS_PER_DAY)[:10],
        window.end_ms,
        window.length_ms,
        count,
        " ".join(fact.feeders),
        fact.gate_ms,
        fact.readings_due_ms,
        fact.final_ms,
        fact.parameters_version,
        block.height,
        None,
        None,
    )
    block.batch.add(tables.days, row)
    feed_in, grid_price, over_grid_fee = (
        _expanded(vector, count) for vector in (fact.feed_in, fact.grid_price, fact.over_grid_fee)
    )
    rows = zip(feed_in.tolist(), grid_price.tolist(), over_grid_fee.tolist(), strict=True)
    block.batch.extend(tables.tariffs, [(fact.day, i, window.start_of(i), *three) for i, three in enumerate(rows)])
    policy = block.known.policy(fact.parameters_version)
    known = KnownDay(count, feed_in, grid_price, over_grid_fee, policy, fact.readings_due_ms)
    block.known.put_day(fact.day, known)


def _expanded(vector: bytes, intervals: int) -> Int64s:
    """A packed price vector with one entry per interval."""
    array = prices(vector)
    return array if array.size == intervals else np.full(intervals, array[0], dtype=np.int64)


@enter.register
def _(fact: told.PageClosed, block: BlockEntries) -> None:
    row = (block.height, block.sequence, fact.day, fact.feeder, fact.contracts)
    block.batch.add(tables.pages, row)


@enter.register
def _(fact: told.DayClosed, block: BlockEntries) -> None:
    block.batch.change(tables.days, {"day_start_ms": fact.day}, closed_height=block.height)


@enter.register
def _(fact: told.DaySealed, block: BlockEntries) -> None:
    block.batch.change(tables.days, {"day_start_ms": fact.day}, sealed_height=block.height)


# Negotiation ------------------------------------------------------------------------------------------------------


@enter.register
def _(fact: told.OfferMade, block: BlockEntries) -> None:
    offer, answers = fact.offer.hex(), fact.answers.hex()
    thread, turn = offer, 0
    if answers:
        answered = block.known.offer(fact.day, answers)
        thread, turn = answered.thread, answered.round + 1
        if answered.partner:  # a public offer stays open for others
            block.batch.change(tables.offers, {"offer": answers}, status="countered", closed_height=block.height)
    partner = fact.partner.hex()
    block.known.put_offer(fact.day, offer, KnownOffer(thread, turn, partner))
    energy = energies(fact.energy)
    row: Row = (
        offer,
        fact.day,
        fact.author.hex(),
        side_word(fact.side),
        partner,
        int(energy.sum()),
        *_price_columns(energy, _expanded(fact.price, energy.size)),
        fact.valid_until_ms,
        answers,
        thread,
        turn,
        "open",
        block.height,
        block.place,
        None,
    )
    block.batch.add(tables.offers, row)


def _price_columns(energy: Int64s, price: Int64s) -> tuple[int, int, int]:
    """Mean, lowest and highest price over intervals in which something is promised; 0 if nothing is."""
    asked = price[energy > 0]
    return (mean_price(energy, price), int(asked.min()), int(asked.max())) if asked.size else (0, 0, 0)


@enter.register
def _(fact: told.OfferWithdrawn, block: BlockEntries) -> None:
    key = fact.offer.hex()
    block.batch.change(tables.offers, {"offer": key}, status="withdrawn", closed_height=block.height)


@enter.register
def _(fact: told.ContractMade, block: BlockEntries) -> None:
    contract, energy = fact.contract.hex(), energies(fact.energy)
    price = _expanded(fact.price, energy.size)
    block.batch.change(tables.offers, {"offer": contract}, status="accepted", closed_height=block.height)
    row: Row = (
        contract,
        fact.day,
        fact.seller.hex(),
        fact.buyer.hex(),
        int(energy.sum()),
        *_price_columns(energy, price),
        fact.seller_lock,
        fact.buyer_lock,
        fact.fee,
        1,
        "accepted",
        block.height,
        None,
    )
    block.batch.add(tables.contracts, row)
    block.known.put_contract(fact.day, contract, KnownContract(price, 1))
    _add_version(block, fact.day, contract, 1, energy, 0, "")


def _add_version(
    block: BlockEntries, day: int, contract: str, version: int, energy: Int64s, refund: int, reason: str
) -> None:
    row: Row = (contract, version, day, int(energy.sum()), refund, reason, block.height)
    block.batch.add(tables.contract_versions, row)
    price = block.known.contract(day, contract).price
    promised = np.flatnonzero(energy)
    rows = zip(promised.tolist(), energy[promised].tolist(), price[promised].tolist(), strict=True)
    block.batch.extend(tables.promises, [(contract, version, *each) for each in rows])


@enter.register
def _(fact: told.ContractCurtailed, block: BlockEntries) -> None:
    contract, energy = fact.contract.hex(), energies(fact.energy)
    before = block.known.contract(fact.day, contract)
    version = before.version + 1
    block.known.put_contract(fact.day, contract, KnownContract(before.price, version))
    block.batch.change(
        tables.contracts,
        {"contract": contract},
        energy_wh=int(energy.sum()),
        versions=version,
    )
    _add_version(block, fact.day, contract, version, energy, fact.refund, fact.reason)


@enter.register
def _(fact: told.ContractEnded, block: BlockEntries) -> None:
    key = fact.contract.hex()
    block.batch.change(tables.contracts, {"contract": key}, status=fact.how, ended_height=block.height)


@enter.register
def _(fact: told.ContractApproved, block: BlockEntries) -> None:
    block.batch.change(tables.contracts, {"contract": fact.contract.hex()}, status="approved")


# Delivery and settlement ------------------------------------------------------------------------------------------


@enter.register
def _(fact: told.FaultReported, block: BlockEntries) -> None:
    for meter in fact.meters:
        row = (block.height, block.sequence, meter, fact.day, fact.first, fact.end, fact.reason)
        block.batch.add(tables.faults, row)


@enter.register
def _(fact: told.FlowReported, block: BlockEntries) -> None:
    add_flow(block.batch, block.place, fact.report)


_QUALITY = {int(quality): quality.name.lower() for quality in Quality}


@enter.register
def _(fact: told.ReadingTaken, block: BlockEntries) -> None:
    energy = energies(fact.energy).tolist()
    late = int(block.time_ms > block.known.day(fact.day).readings_due_ms)
    row: Row = (
        fact.day,
        fact.meter,
        fact.version,
        fact.member.hex(),
        side_word(fact.side),
        fact.feeder,
        sum(energy),
        len(fact.quality) - fact.quality.count(Quality.MEASURED),
        fact.root.hex(),
        fact.position,
        late,
        block.height,
        block.place,
        None,
    )
    block.batch.revise(tables.reading_sets, ("day_start_ms", "meter"), row)
    rows = [
        (fact.day, fact.meter, fact.version, interval, wh, _QUALITY[quality])
        for interval, (wh, quality) in enumerate(zip(energy, fact.quality, strict=True))
    ]
    block.batch.extend(tables.readings, rows)


@enter.register
def _(fact: told.ContractSettled, block: BlockEntries) -> None:
    contract = fact.contract.hex()
    matched = int(_least(fact.promised, fact.generated, fact.consumed).sum())
    row: Row = (
        contract,
        fact.revision,
        fact.day,
        *(int(energies(vector).sum()) for vector in (fact.promised, fact.generated, fact.consumed)),
        matched,
        fact.energy,
        fact.over_grid_fee,
        fact.grid_purchase,
        fact.grid_sale,
        fact.seller_compensation,
        fact.buyer_compensation,
        fact.seller_shortfall,
        fact.buyer_shortfall,
        block.height,
        block.place,
        None,
    )
    block.batch.revise(tables.settlements, ("contract",), row)
    block.batch.change(tables.contracts, {"contract": contract}, status="settled")
    block.settlements.append(fact)


def _least(promised: bytes, generated: bytes, consumed: bytes) -> Int64s:
    least: Int64s = np.minimum(np.minimum(energies(promised), energies(generated)), energies(consumed))
    return least


@enter.register
def _(fact: told.PositionSettled, block: BlockEntries) -> None:
    block.positions.append((block.place, fact))


@enter.register
def _(fact: told.MemberJudged, block: BlockEntries) -> None:
    member, side = fact.member.hex(), side_word(fact.side)
    standing = KnownCredit(fact.credit_now, fact.trust_now, fact.traded)
    points = (fact.credit_before, fact.credit_after, fact.trust_before, fact.trust_after)
    judgement = (int(fact.corrected), fact.promised, fact.delivered, int(fact.defaulted))
    row = credit_row(block, fact.day, member, side, "day", judgement, points, standing)
    block.batch.revise(tables.credit, ("day_start_ms", "member", "side", "event"), row)


@enter.register
def _(fact: told.CreditDecayed, block: BlockEntries) -> None:
    member, side = fact.member.hex(), side_word(fact.side)
    before = block.known.credit(member, side) or block.known.initial(block.height)
    after = KnownCredit(fact.credit_after, before.trust, before.traded)
    points = (before.credit, after.credit, before.trust, after.trust)
    row = credit_row(block, fact.day, member, side, "decay", NO_JUDGEMENT, points, after)
    block.batch.add(tables.credit, row)


@enter.register
def _(fact: told.SideWeighed, block: BlockEntries) -> None:
    row: Row = (
        block.height,
        block.sequence,
        fact.day,
        fact.member.hex(),
        side_word(fact.side),
        fact.credit,
        fact.volume,
        fact.participation,
        fact.certificates,
        fact.carbon,
        fact.line,
        fact.weight,
        fact.transmissions,
        fact.failed,
    )
    block.batch.add(tables.weights, row)


Judgement = tuple[int, int, int, int]  # corrected, promised, delivered, defaulted
NO_JUDGEMENT: Judgement = (0, 0, 0, 0)


def credit_row(
    block: BlockEntries,
    day: int | None,
    member: str,
    side: str,
    event: str,
    judgement: Judgement,
    points: tuple[int, int, int, int],
    now: KnownCredit,
) -> Row:
    """A row of `credit`, and the standing remembered."""
    block.known.put_credit(member, side, now)
    return (block.height, block.sequence, day, member, side, event, *judgement, *points, *now, None)


@enter.register
def _(fact: told.FineCharged, block: BlockEntries) -> None:
    row: Row = (
        block.height,
        block.sequence,
        fact.day,
        fact.contract.hex(),
        fact.payer.hex(),
        fact.amount,
        None,
    )
    block.batch.revise(tables.fines, ("contract", "payer"), row)


# Money ------------------------------------------------------------------------------------------------------------


@enter.register
def _(fact: told.Moved, block: BlockEntries) -> None:
    row: Row = (
        block.height,
        block.sequence,
        block.place,
        fact.kind.name.lower(),
        fact.payer.hex(),
        fact.payee.hex(),
        fact.amount,
        day_or_none(fact.day),
        fact.contract.hex(),
    )
    block.batch.add(tables.transfers, row)


@enter.register
def _(fact: told.DebtRecorded, block: BlockEntries) -> None:
    debt = fact.debt.hex()
    if block.known.has_debt(debt):
        changes = {"open_millionths": fact.amount, "changed_height": block.height}
        block.batch.change(tables.debts, {"debt": debt}, **changes)
        return
    row: Row = (
        debt,
        fact.debtor.hex(),
        fact.creditor.hex(),
        fact.amount,
        fact.amount,
        fact.kind.name.lower(),
        day_or_none(fact.day),
        fact.contract.hex(),
        block.height,
        block.height,
    )
    block.batch.add(tables.debts, row)
    block.known.put_debt(debt)


@enter.register
def _(fact: told.DisputeFiled, block: BlockEntries) -> None:
    row: Row = (
        block.height,
        block.sequence,
        fact.day,
        fact.member.hex(),
        fact.contract.hex(),
        fact.statement,
    )
    block.batch.add(tables.disputes, row)
