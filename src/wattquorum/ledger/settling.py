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
from wattquorum.foundation.vectors import Int64s, energies, packed, prices
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.clearing import Due, due
from wattquorum.ledger.context import Context, promised_to
from wattquorum.ledger.entities import Contract, ContractStatus, Day, DayStatus, Position, Settled
from wattquorum.ledger.facts import ContractSettled, PageClosed, PositionSettled
from wattquorum.ledger.metering import Mask, MemberKey, counting, meterage
from wattquorum.ledger.money import pay, post, strike
from wattquorum.ledger.negotiation import end_contract
from wattquorum.ledger.parameters import Silence
from wattquorum.ledger.state import DAY_KEY_BYTES, Table, day_key, side_key
from wattquorum.ledger.transactions import ClosePage
from wattquorum.market.allotment import allot_rows
from wattquorum.market.fees import handling_fee
from wattquorum.market.penalties import shortfall_rows
from wattquorum.market.settlement import MoneyRows, cost_rows, settle_rows
from wattquorum.market.terms import Policy, TermRows

DELIVERING = (ContractStatus.ACCEPTED, ContractStatus.APPROVED, ContractStatus.SETTLED)
SETTLED_AT_ONCE_MAX = 10_000  # contracts in one transaction


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
    """The grid operator settles one feeder's contracts and positions once the day is over (L-14).

    A page of many contracts takes several such transactions; positions come with the last one, which closes it.
    """
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    if context.now < day.window.end_ms:
        raise Refused("readings_early", "day", payload.day)
    if payload.feeder not in day.feeders:
        raise Refused("feeder_unknown", "feeder", payload.feeder)
    if payload.feeder in day.pages:
        raise Refused("page_closed", "feeder", payload.feeder)
    if day.status is DayStatus.OPEN:
        _lapse_unapproved(context, day)
    members = _members_on(context, payload.feeder)
    page = [
        found
        for address, side in members
        if side is Side.SELL
        for found in delivering_by(context, payload.day, address, side)
    ]
    unsettled = sorted(each for each, contract in page if contract.status is not ContractStatus.SETTLED)
    # Each for the first time: nothing is left to clear.
    _settle_contracts(context, day, unsettled[:SETTLED_AT_ONCE_MAX])
    pages = day.pages
    if len(unsettled) <= SETTLED_AT_ONCE_MAX:
        _settle_positions(context, day, members)
        pages = tuple(sorted((*pages, payload.feeder)))
        context.tell(PageClosed(payload.day, payload.feeder, len(page)))
    strike(context)
    context.state.put(Table.DAY, day_key(payload.day), changed(day, status=DayStatus.SETTLING, pages=pages))


def _members_on(context: Context, feeder: str) -> list[MemberKey]:
    """The members' sides that are settled on a feeder's page, ascending."""
    return [(key[:-1], Side(key[-1])) for key in context.state.listed(Table.SIDE, feeder.encode("ascii"))]


def delivering(context: Context, day: int) -> list[tuple[bytes, Contract]]:
    """(id, contract) of everything that is to be delivered on a day, by ascending id."""
    return _delivering_at(context, day_key(day))


def delivering_by(context: Context, day: int, address: bytes, side: Side) -> list[tuple[bytes, Contract]]:
    """(id, contract) of everything that one side of a member is to deliver on a day, by ascending id."""
    return _delivering_at(context, day_key(day) + side_key(address, side))


def _delivering_at(context: Context, place: bytes) -> list[tuple[bytes, Contract]]:
    found = []
    for key in context.state.listed(Table.CONTRACT, place):
        contract: Contract = context.state.get(Table.CONTRACT, key)
        if contract.status in DELIVERING:
            found.append((key[DAY_KEY_BYTES:], contract))
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
    """What both sides of the wanted contracts delivered, by ascending id.

    Allotment looks at all of a member's contracts of the day, so the members of the wanted contracts bring theirs.
    """
    ids, intervals = sorted(wanted), day.window.intervals
    contracts = [context.contract(day.window.start_ms, contract_id) for contract_id in ids]
    promised = energies(b"".join([contract.energy for contract in contracts])).reshape(len(ids), intervals)
    price = np.empty((len(ids), intervals), dtype=np.int64)
    for i, contract in enumerate(contracts):
        price[i] = prices(contract.price)
    generated, seller_tested = _allotted(context, day, ids, [contract.seller for contract in contracts], Side.SELL)
    consumed, buyer_tested = _allotted(context, day, ids, [contract.buyer for contract in contracts], Side.BUY)
    terms = context.tariffs.of(day).terms(price)
    return Delivery(ids, contracts, promised, generated, consumed, seller_tested, buyer_tested, terms)


def _allotted(
    context: Context, day: Day, wanted: Sequence[bytes], parties: Sequence[bytes], side: Side
) -> tuple[Int64s, Mask]:
    """One side's allotted energies and tested intervals, [wanted contracts, intervals].

    `parties` are the members on this side of the wanted contracts.
    """
    start, intervals = day.window.start_ms, day.window.intervals
    members = [(address, side) for address in sorted(dict.fromkeys(parties))]
    row_of: dict[bytes, int] = {}
    vectors: list[bytes] = []
    node_of: list[int] = []
    for node, (address, _) in enumerate(members):
        for contract_id, contract in delivering_by(context, start, address, side):
            row_of[contract_id] = len(vectors)
            vectors.append(contract.energy)
            node_of.append(node)
    meters = meterage(context, day, members)
    promised = energies(b"".join(vectors)).reshape(len(vectors), intervals)
    nodes = np.array(node_of, dtype=np.int64)
    rows = [row_of[contract_id] for contract_id in wanted]
    return allot_rows(meters.metered, promised, nodes)[rows], meters.tested[nodes[rows]]


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
    context.tell(
        ContractSettled(
            delivery.ids[row],
            day,
            settled.revision,
            delivery.contracts[row].energy,
            packed(delivery.generated[row]),
            packed(delivery.consumed[row]),
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
    members = [member for member in members if counting(context, day, *member)]
    metered = meterage(context, day, members).metered
    promised = np.empty_like(metered)
    for i, (address, side) in enumerate(members):
        promised[i] = promised_to(context.state, start, address, side, intervals)
    residual = np.maximum(metered - promised, 0)
    money = _residual_money(context, day, [side for _, side in members], residual)
    for i, (address, side) in enumerate(members):
        amount = money[i]
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
        position = Position(int(metered[i].sum()), int(residual[i].sum()), amount, revision)
        context.state.put(Table.POSITION, key, position)
        context.tell(PositionSettled(start, address, side, revision, packed(metered[i]), packed(residual[i]), amount))
    return dues


def _residual_money(context: Context, day: Day, sides: Sequence[Side], residual: Int64s) -> list[int]:
    """What residual energies are worth in sum: at the grid's feed-in price when sold, at its own when bought."""
    tariff = context.tariffs.of(day)
    sells = np.array([side is Side.SELL for side in sides], dtype=np.bool_)[:, None]
    amounts: list[int] = cost_rows(residual, np.where(sells, tariff.feed_in, tariff.grid_price)).sum(axis=1).tolist()
    return amounts


def resettle(context: Context, day: Day, corrected: Sequence[MemberKey]) -> tuple[list[bytes], list[Due]]:
    """Settles again what depends on members' corrected readings: the contracts, and what is due now (L-11)."""
    start = day.window.start_ms
    affected = {
        contract_id: None
        for address, side in corrected
        for contract_id, contract in delivering_by(context, start, address, side)
        if contract.status is ContractStatus.SETTLED
    }
    contracts = sorted(affected)
    settled_before = [
        (address, side)
        for address, side in corrected
        if context.state.get(Table.POSITION, day_key(start) + side_key(address, side)) is not None
    ]
    dues = _settle_contracts(context, day, contracts) + _settle_positions(context, day, settled_before)
    return contracts, dues


def is_closed(day: Day) -> bool:
    """Whether a day's penalties were shared and its standing updated."""
    return day.status is DayStatus.CLOSED
