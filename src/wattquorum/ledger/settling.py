"""Settling contracts and positions: from readings to transfers (A-17, L-1 to L-3, L-7, L-11, L-14).

A page settles the contracts of one feeder (the seller's) and the grid positions of its members: metered energy is
allotted to contracts, each interval becomes transfers, and a contract's transfers are posted as sums, paid from its
collateral first. A correction settles the same contracts again and the difference is due, kind by kind. Penalties that
need the whole day are in `closing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Energy, Price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind
from wattquorum.foundation.vectors import EnergyVector, Int64s, energies
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.clearing import Due, due
from wattquorum.ledger.context import Context, expanded, promised_to
from wattquorum.ledger.facts import ContractSettled, PageClosed, PositionSettled
from wattquorum.ledger.metering import Mask, Meterage, counting, meterage
from wattquorum.ledger.money import pay, post
from wattquorum.ledger.negotiation import end_contract
from wattquorum.ledger.parameters import Silence
from wattquorum.ledger.state import (
    Contract,
    ContractStatus,
    Day,
    DayStatus,
    Position,
    Settled,
    Table,
    day_key,
    side_key,
)
from wattquorum.ledger.transactions import ClosePage
from wattquorum.market.allotment import allot_rows
from wattquorum.market.fees import handling_fee
from wattquorum.market.penalties import shortfall_rows
from wattquorum.market.settlement import MoneyRows, settle_rows
from wattquorum.market.terms import Policy, TermRows

DELIVERING = (ContractStatus.ACCEPTED, ContractStatus.APPROVED, ContractStatus.SETTLED)
CONTRACTS_PER_PAGE_MAX = 50_000

MemberKey = tuple[bytes, Side]


class Delivery(NamedTuple):
    """Contracts of a day with what their two sides delivered: arrays of [contracts, intervals] in Wh."""

    ids: list[bytes]
    contracts: list[Contract]
    promised: Int64s
    generated: Int64s
    consumed: Int64s
    seller_tested: Mask
    buyer_tested: Mask
    terms: TermRows


def close_page(context: Context, payload: ClosePage) -> None:
    """The grid operator settles one feeder's contracts and positions once the day is over (L-14)."""
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    if context.now < day.window.end_ms:
        raise Refused("readings_early", "day", payload.day)
    if payload.feeder not in day.feeders:
        raise Refused("feeder_unknown", "feeder", payload.feeder)
    if payload.feeder in day.pages:
        raise Refused("page_closed", "feeder", payload.feeder)
    if not day.pages:
        _lapse_unapproved(context, day)
    page = [
        contract_id
        for contract_id, contract in delivering(context, payload.day)
        if home_feeder(context, contract.seller, Side.SELL) == payload.feeder
    ]
    if len(page) > CONTRACTS_PER_PAGE_MAX:
        remedy = f"A page holds at most {CONTRACTS_PER_PAGE_MAX} contracts; use more feeders."
        raise Refused("out_of_range", "feeder", len(page), remedy)
    _settle_contracts(context, day, page)  # each for the first time: nothing is left to clear
    members = [
        (key[:-1], Side(key[-1])) for key, side in context.state.items(Table.SIDE) if side.feeder == payload.feeder
    ]
    _settle_positions(context, day, members)
    pages = tuple(sorted((*day.pages, payload.feeder)))
    context.state.put(Table.DAY, day_key(payload.day), changed(day, pages=pages))
    context.tell(PageClosed(payload.day, payload.feeder, len(page)))


def home_feeder(context: Context, address: bytes, side: Side) -> str:
    """The feeder on whose page a member's side is settled."""
    member = context.side(address, side)
    return member.feeder if member else ""


def delivering(context: Context, day: int) -> list[tuple[bytes, Contract]]:
    """(id, contract) of everything that is to be delivered on a day, by ascending id."""
    found = []
    for key in context.state.of_day(Table.CONTRACT, day):
        contract: Contract = context.state.get(Table.CONTRACT, key)
        if contract.status in DELIVERING:
            found.append((key[8:], contract))
    return found


def _lapse_unapproved(context: Context, day: Day) -> None:
    """Where silence lapses, contracts without approval end and both handling fees go back (L-8)."""
    parameters = context.parameters(day.parameters_version)
    if parameters.silence != Silence.LAPSE:
        return
    start = day.window.start_ms
    for contract_id, contract in delivering(context, start):
        if contract.status is ContractStatus.ACCEPTED:
            energy = Energy(int(energies(contract.energy).sum()))
            refund = handling_fee(energy, Price(parameters.fee))
            for address in (contract.seller, contract.buyer):
                community = context.reserved.community
                post(context, Kind.HANDLING_FEE_REFUND, community, address, refund, start, contract_id)
            end_contract(context, start, contract_id, contract, ContractStatus.LAPSED)


def deliveries(context: Context, day: Day, wanted: Iterable[bytes]) -> Delivery:
    """What both sides of the wanted contracts delivered.

    Allotment looks at all of a member's contracts of the day, so the members of the wanted contracts bring theirs.
    """
    everything = delivering(context, day.window.start_ms)
    chosen = dict.fromkeys(wanted)
    positions = [i for i, (contract_id, _) in enumerate(everything) if contract_id in chosen]
    ids = [everything[i][0] for i in positions]
    contracts = [everything[i][1] for i in positions]
    intervals = day.window.intervals
    generated, seller_tested = _allotted(context, day, everything, positions, Side.SELL)
    consumed, buyer_tested = _allotted(context, day, everything, positions, Side.BUY)
    if contracts:
        promised = energies(b"".join(contract.energy for contract in contracts)).reshape(len(contracts), intervals)
        price = np.stack([expanded(contract.price, intervals) for contract in contracts])
    else:
        promised = np.zeros((0, intervals), dtype=np.int64)
        price = promised
    terms = context.tariffs.of(day).terms(price)
    return Delivery(ids, contracts, promised, generated, consumed, seller_tested, buyer_tested, terms)


def _allotted(
    context: Context, day: Day, everything: Sequence[tuple[bytes, Contract]], positions: Sequence[int], side: Side
) -> tuple[Int64s, Mask]:
    """One side's allotted energies and tested intervals, [wanted contracts, intervals]."""
    intervals = day.window.intervals

    def member(contract: Contract) -> bytes:
        return contract.seller if side is Side.SELL else contract.buyer

    if not positions:
        empty = np.zeros((0, intervals), dtype=np.int64)
        return empty, empty.astype(np.bool_)
    order = sorted({member(everything[i][1]): None for i in positions})
    index = {address: i for i, address in enumerate(order)}
    rows = [i for i, (_, contract) in enumerate(everything) if member(contract) in index]
    node_of = np.array([index[member(everything[i][1])] for i in rows], dtype=np.int64)
    promised = energies(b"".join(everything[i][1].energy for i in rows)).reshape(len(rows), intervals)
    meters: list[Meterage] = [meterage(context, day, address, side) for address in order]
    metered = np.minimum(np.stack([each.metered for each in meters]), _promised_totals(promised, node_of, len(order)))
    allotted = allot_rows(metered, promised, node_of)
    place = {row: i for i, row in enumerate(rows)}
    chosen = [place[i] for i in positions]
    tested = np.stack([each.tested for each in meters])[node_of[chosen]]
    return allotted[chosen], tested


def _promised_totals(promised: Int64s, node_of: Int64s, nodes: int) -> Int64s:
    """A meter's energy beyond all promises is allotted to nobody; capping it keeps the bounds of allotment."""
    totals = np.zeros((nodes, promised.shape[1]), dtype=np.int64)
    np.add.at(totals, node_of, promised)
    return totals


def _settle_contracts(context: Context, day: Day, wanted: Sequence[bytes]) -> list[Due]:
    """Settles contracts and pays them; one that was settled before is settled again, and the difference is due."""
    dues: list[Due] = []
    if not wanted:
        return dues
    parameters = context.parameters(day.parameters_version)
    delivery = deliveries(context, day, wanted)
    policy = Policy(parameters.policy)
    money = settle_rows(delivery.promised, delivery.generated, delivery.consumed, delivery.terms, policy)
    results = _settled(delivery, money)
    start = day.window.start_ms
    for i, (contract_id, contract, result) in enumerate(zip(delivery.ids, delivery.contracts, results, strict=True)):
        key = day_key(start) + contract_id
        before: Settled | None = context.state.get(Table.SETTLED, key)
        if before is not None:
            result = changed(
                result,
                seller_compensation=before.seller_compensation
                if policy is Policy.PAPER
                else result.seller_compensation,
                buyer_compensation=before.buyer_compensation if policy is Policy.PAPER else result.buyer_compensation,
                seller_fine=before.seller_fine,
                buyer_fine=before.buyer_fine,
                revision=before.revision + 1,
            )
            dues += differences(context, contract_id, contract, before, result)
        else:
            _pay_contract(context, start, contract_id, contract, result)
        context.state.put(Table.SETTLED, key, result)
        tell_settled(context, start, delivery, i, result)
    return dues


def tell_settled(context: Context, day: int, delivery: Delivery, row: int, settled: Settled) -> None:
    """Tells readers how one contract of a delivery was settled."""
    generated, consumed = _packed_rows(np.stack([delivery.generated[row], delivery.consumed[row]]))
    context.tell(
        ContractSettled(
            delivery.ids[row],
            day,
            settled.revision,
            delivery.contracts[row].energy,
            generated,
            consumed,
            settled.energy,
            settled.over_grid_fee,
            settled.grid_purchase,
            settled.grid_sale,
            settled.seller_compensation,
            settled.buyer_compensation,
            settled.seller_shortfall,
            settled.buyer_shortfall,
        )
    )


def _settled(delivery: Delivery, money: MoneyRows) -> list[Settled]:
    """Each contract's sums over its intervals; fines follow when the day is closed."""
    promised = delivery.promised
    energy, fee, purchase, sale, by_seller, by_buyer = (column.sum(axis=1).tolist() for column in money)
    seller_tested = (promised * delivery.seller_tested).sum(axis=1).tolist()
    buyer_tested = (promised * delivery.buyer_tested).sum(axis=1).tolist()
    seller_short = shortfall_rows(promised, delivery.generated, delivery.seller_tested).tolist()
    buyer_short = shortfall_rows(promised, delivery.consumed, delivery.buyer_tested).tolist()
    return [
        Settled(
            energy[i],
            fee[i],
            purchase[i],
            sale[i],
            by_seller[i],
            by_buyer[i],
            seller_tested[i],
            buyer_tested[i],
            seller_short[i],
            buyer_short[i],
            seller_fine=0,
            buyer_fine=0,
            revision=1,
        )
        for i in range(len(delivery.ids))
    ]


def _packed_rows(rows: Int64s) -> list[EnergyVector]:
    packed = rows.astype("<u4")
    return [EnergyVector(row.tobytes()) for row in packed]


NOTHING = Settled(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def differences(context: Context, contract_id: bytes, contract: Contract, before: Settled, after: Settled) -> list[Due]:
    """What is due between two settlements of a contract, in the order of payment (L-7); fines are shared elsewhere."""
    seller, buyer, grid = contract.seller, contract.buyer, context.reserved.grid
    steps = (
        (Kind.ENERGY, buyer, seller, after.energy - before.energy),
        (Kind.GRID_PURCHASE, buyer, grid, after.grid_purchase - before.grid_purchase),
        (Kind.GRID_SALE, grid, seller, after.grid_sale - before.grid_sale),
        (Kind.COMPENSATION, seller, buyer, after.seller_compensation - before.seller_compensation),
        (Kind.COMPENSATION, buyer, seller, after.buyer_compensation - before.buyer_compensation),
        (Kind.OVER_GRID_FEE, buyer, grid, after.over_grid_fee - before.over_grid_fee),
    )
    return [each for kind, payer, payee, amount in steps for each in due(kind, payer, payee, amount, contract_id)]


def _pay_contract(context: Context, day: int, contract_id: bytes, contract: Contract, settled: Settled) -> None:
    """Pays a contract's first settlement, each side from its collateral first; the contract is settled then."""
    locks = {contract.seller: contract.seller_lock, contract.buyer: contract.buyer_lock}
    for each in differences(context, contract_id, contract, NOTHING, settled):
        lock = locks.get(each.payer, 0)
        used = pay(context, each.kind, each.payer, each.payee, each.amount, day, contract_id, lock)
        locks[each.payer] = lock - used
    left = changed(
        contract,
        status=ContractStatus.SETTLED,
        seller_lock=locks[contract.seller],
        buyer_lock=locks[contract.buyer],
    )
    context.state.put(Table.CONTRACT, day_key(day) + contract_id, left)


def _settle_positions(context: Context, day: Day, members: Sequence[MemberKey]) -> list[Due]:
    """What members generated or used beyond their promises is traded with the grid, interval by interval (L-2).

    The first settlement is paid at once; what a correction changes is due.
    """
    dues: list[Due] = []
    start, intervals = day.window.start_ms, day.window.intervals
    tariff = context.tariffs.of(day)
    nothing = np.zeros((1, intervals), dtype=np.int64)
    for address, side in members:
        if not counting(context, day, address, side):
            continue
        metered = meterage(context, day, address, side).metered
        promised = promised_to(context.state, start, address, side, intervals)
        residual = np.maximum(metered - promised, 0)
        terms = tariff.terms(tariff.feed_in)
        if side is Side.SELL:
            money = settle_rows(nothing, residual[None, :], nothing, terms, Policy.OFF).grid_sale
        else:
            money = settle_rows(nothing, nothing, residual[None, :], terms, Policy.OFF).grid_purchase
        amount = int(money.sum())
        key = day_key(start) + side_key(address, side)
        before: Position | None = context.state.get(Table.POSITION, key)
        revision = before.revision + 1 if before else 1
        kind = Kind.RESIDUAL_SALE if side is Side.SELL else Kind.RESIDUAL_PURCHASE
        payer, payee = (context.reserved.grid, address) if side is Side.SELL else (address, context.reserved.grid)
        if before:
            dues += due(kind, payer, payee, amount - before.money, b"")
        else:
            for each in due(kind, payer, payee, amount, b""):
                pay(context, each.kind, each.payer, each.payee, each.amount, start, b"")
        context.state.put(Table.POSITION, key, Position(int(metered.sum()), int(residual.sum()), amount, revision))
        packed = _packed_rows(np.stack([metered, residual]))
        context.tell(PositionSettled(start, address, side, revision, packed[0], packed[1], amount))
    return dues


def resettle(context: Context, day: Day, address: bytes, side: Side) -> tuple[list[bytes], list[Due]]:
    """Settles again what depends on a member's corrected readings: the contracts, and what is due now (L-11)."""
    start = day.window.start_ms
    affected = [
        contract_id
        for contract_id, contract in delivering(context, start)
        if contract.status is ContractStatus.SETTLED
        and address == (contract.seller if side is Side.SELL else contract.buyer)
    ]
    dues = _settle_contracts(context, day, affected)
    if context.state.get(Table.POSITION, day_key(start) + side_key(address, side)) is not None:
        dues += _settle_positions(context, day, [(address, side)])
    return affected, dues


def is_closed(day: Day) -> bool:
    """Whether a day's penalties were shared and its standing updated."""
    return day.status is DayStatus.CLOSED
