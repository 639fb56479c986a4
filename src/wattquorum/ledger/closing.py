"""Closing a day: default, credit, fines and shares, and what a correction changes of them (A-9, A-10, A-18, A-19, B-2).

A day is judged on each member's sums per side: once all pages are closed it is known what everybody promised and
delivered, credit C and trust T are updated first. Then every fine goes into one account, and out of it each member that
performed gets its share of them all in one transfer, in proportion to the updated credit: so a day takes time linear in
its members and contracts. A correction judges the corrected member again, changes its standing by the difference from
now on, and posts the difference of every fine and share (L-5, L-11). Sealing removes a final day from the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import Energy, Money, Points, Ppm
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind
from wattquorum.ledger.accounts import Role, Side
from wattquorum.ledger.clearing import Due, clear, due
from wattquorum.ledger.context import Context
from wattquorum.ledger.entities import Contract, Day, DayStatus, MemberDay, MemberSide, Sealed, Settled
from wattquorum.ledger.facts import CreditDecayed, DayClosed, DaySealed, FineCharged, MemberJudged
from wattquorum.ledger.issuing import carry_sealed, count_holdings
from wattquorum.ledger.metering import MemberKey
from wattquorum.ledger.money import pay_debts, unlock
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.settling import (
    deliveries,
    delivering,
    differences,
    is_closed,
    resettle,
    tell_settled,
)
from wattquorum.ledger.state import Table, day_key, side_key
from wattquorum.ledger.transactions import CloseDay, SealDay
from wattquorum.ledger.weighing import count_day, tell_weights
from wattquorum.market.penalties import Fine, apportion_fine, defaults, fine, fine_points, share_fines
from wattquorum.market.settlement import paper_compensation
from wattquorum.market.terms import Policy
from wattquorum.standing.credit import (
    Kept,
    correct_points,
    credit_after_default,
    credit_after_performance,
    decay,
    kept_of,
    traded_after,
    trust_after,
)


class Sums(NamedTuple):
    """What a member promised and fell short of on one side of a day, over its tested intervals [Wh]."""

    promised: int
    shortfall: int
    contracts: list[bytes]


class Whole(NamedTuple):
    """What a legal owner promised and fell short of on one side of a day, with all of its accounts [Wh] (L-17)."""

    promised: int
    shortfall: int

    @property
    def delivered(self) -> int:
        """Of what was promised."""
        return self.promised - self.shortfall


class Judging(NamedTuple):
    """What one day's members are judged by: their owners' sums, and what was kept on either side (L-5)."""

    wholes: dict[MemberKey, Whole]
    kept: dict[Side, Kept]


def close_day(context: Context, payload: CloseDay) -> None:
    """The grid operator closes a day whose pages are all closed (L-14)."""
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    if is_closed(day):
        raise Refused("day_closed", "day", payload.day)
    missing = [feeder for feeder in day.feeders if feeder not in day.pages]
    if missing:
        raise Refused("page_open", "feeder", missing[0])
    parameters = context.parameters(day.parameters_version)
    contracts = delivering(context, payload.day)
    sums = _day_sums(context, payload.day, contracts)
    judging = _judging(context, sums, Ppm(parameters.tolerance))
    defaulters = [key for key in sorted(sums) if _judge(context, payload.day, parameters, key, sums[key], judging)]
    dues: list[Due] = []
    if parameters.policy == Policy.PAPER:
        dues += _compensate_as_published(context, day, [each for each, _ in contracts])
    for key in defaulters:
        _charge(context, payload.day, parameters, key, sums[key])
    dues += _penalty_dues(context, payload.day, NONE, _penalties(context, payload.day))
    clear(context, payload.day, dues)
    _release(context, payload.day)
    chain = context.chain()
    context.state.put(Table.CHAIN, b"", changed(chain, days_closed=chain.days_closed + 1))
    context.state.put(Table.DAY, day_key(payload.day), changed(day, status=DayStatus.CLOSED))
    if (chain.days_closed + 1) % parameters.decay_days == 0:
        _decay_all(context, payload.day, Ppm(parameters.eta))
    count_day(context, day, parameters)
    count_holdings(context, day)
    tell_weights(context, payload.day, parameters)
    context.tell(DayClosed(payload.day))


def _day_sums(context: Context, day: int, contracts: Sequence[tuple[bytes, Contract]]) -> dict[MemberKey, Sums]:
    """Every member's sums per side, over a day's settled contracts."""
    by_member: dict[MemberKey, list[tuple[bytes, int, int]]] = {}
    of_day = day_key(day)
    for contract_id, contract in contracts:
        settled: Settled | None = context.state.get(Table.SETTLED, of_day + contract_id)
        if settled is None:
            raise Refused("page_open", "contract", contract_id)
        sold = contract_id, settled.seller_tested, settled.seller_shortfall
        by_member.setdefault((contract.seller, Side.SELL), []).append(sold)
        bought = contract_id, settled.buyer_tested, settled.buyer_shortfall
        by_member.setdefault((contract.buyer, Side.BUY), []).append(bought)
    return {
        key: Sums(sum(promised for _, promised, _ in own), sum(short for _, _, short in own), [each[0] for each in own])
        for key, own in by_member.items()
    }


def _judging(context: Context, sums: dict[MemberKey, Sums], tolerance: Ppm) -> Judging:
    """Every owner's sums, and what those who kept their promises delivered (L-4, L-5)."""
    by_owner: dict[tuple[str, Side], Whole] = {}
    for (address, side), own in sums.items():
        place = context.account(address).legal_owner, side
        before = by_owner.get(place, Whole(0, 0))
        by_owner[place] = Whole(before.promised + own.promised, before.shortfall + own.shortfall)
    kept: dict[Side, list[Energy]] = {side: [] for side in Side}
    for (_, side), whole in by_owner.items():
        if whole.promised and not defaults(Energy(whole.promised), Energy(whole.shortfall), tolerance):
            kept[side].append(Energy(whole.delivered))
    wholes = {(address, side): by_owner[context.account(address).legal_owner, side] for address, side in sums}
    return Judging(wholes, {side: kept_of(each) for side, each in kept.items()})


def _judge(context: Context, day: int, parameters: Parameters, key: MemberKey, own: Sums, judging: Judging) -> bool:
    """One member's side: default or not, then C, T and N; the first judgement or a corrected one (L-4, L-5).

    Money follows from what this account promised, standing from what its legal owner did with all of its accounts on
    this side [chosen]: or an owner would break its promises with one account and vote with the other. Tells whether
    this account defaulted.
    """
    address, side = key
    member = context.side(address, side)
    if member is None:
        raise Refused("side_impossible", "member", address)
    before: MemberDay | None = context.state.get(Table.MEMBER_DAY, day_key(day) + side_key(address, side))
    credit = before.credit_before if before else member.credit
    trust = before.trust_before if before else member.trust
    delivered, whole = own.promised - own.shortfall, judging.wholes[key]
    tolerance, minimum = Ppm(parameters.tolerance), Points(parameters.minimum_credit_loss)
    defaulted = defaults(Energy(own.promised), Energy(own.shortfall), tolerance)
    points = 0
    if defaulted:
        alone = credit_after_default(Points(credit), Energy(delivered), Energy(own.promised), minimum)
        points = fine_points(alone.loss, minimum)
    if defaults(Energy(whole.promised), Energy(whole.shortfall), tolerance):
        credit_after = credit_after_default(
            Points(credit), Energy(whole.delivered), Energy(whole.promised), minimum
        ).credit
    else:
        credit_after = credit_after_performance(
            Points(credit),
            Energy(whole.delivered),
            judging.kept[side],
            parameters.reference_side,
            Ppm(parameters.max_share),
        )
    trust_after_day = trust_after(
        Points(trust), Energy(whole.delivered), Energy(whole.promised), Points(parameters.trust_loss)
    )
    judged = MemberDay(
        own.promised, delivered, int(defaulted), credit, credit_after, trust, trust_after_day, points, 0, 0
    )
    old = before or MemberDay(0, 0, 0, credit, credit, trust, trust, 0, 0, 0)
    judged = _change_standing(context, address, side, member, old, judged)
    context.state.put(Table.MEMBER_DAY, day_key(day) + side_key(address, side), judged)
    now = context.side(address, side) or member
    context.tell(
        MemberJudged(
            day,
            address,
            side,
            own.promised,
            delivered,
            defaulted,
            credit,
            credit_after,
            trust,
            trust_after_day,
            now.credit,
            now.trust,
            now.traded,
            before is not None,
        )
    )
    return defaulted


def _change_standing(
    context: Context, address: bytes, side: Side, member: MemberSide, old: MemberDay, new: MemberDay
) -> MemberDay:
    """Adds what the day is worth, less what it counted for before, to the standing of now (L-11).

    Gives the judgement with what would have led beyond 0..100 points.
    """
    credit, credit_beyond = correct_points(
        Points(member.credit),
        (new.credit_after - new.credit_before) - (old.credit_after - old.credit_before),
        old.credit_beyond,
    )
    trust, trust_beyond = correct_points(
        Points(member.trust),
        (new.trust_after - new.trust_before) - (old.trust_after - old.trust_before),
        old.trust_beyond,
    )
    traded = traded_after(Energy(member.traded - old.delivered), Energy(new.delivered), Energy(new.promised))
    standing = changed(member, credit=credit, trust=trust, traded=max(traded, 0))
    context.state.put(Table.SIDE, side_key(address, side), standing)
    return changed(new, credit_beyond=credit_beyond, trust_beyond=trust_beyond)


def _compensate_as_published(context: Context, day: Day, contracts: list[bytes]) -> list[Due]:
    """Policy `paper`: A-18's k-term, once it is known who defaulted; what is due for it."""
    dues: list[Due] = []
    delivery = deliveries(context, day, contracts)
    start = day.window.start_ms
    flags = [
        np.array([_defaulted(context, start, contract, side) for contract in delivery.contracts], dtype=np.bool_)
        for side in (Side.SELL, Side.BUY)
    ]
    by_seller, by_buyer = paper_compensation(
        delivery.promised, delivery.generated, delivery.consumed, delivery.terms, flags[0], flags[1]
    )
    for i, contract_id in enumerate(delivery.ids):
        key = day_key(start) + contract_id
        before: Settled = context.state.get(Table.SETTLED, key)
        after = changed(before, seller_compensation=int(by_seller[i].sum()), buyer_compensation=int(by_buyer[i].sum()))
        if after != before:
            after = changed(after, revision=before.revision + 1)
            dues += differences(context, contract_id, delivery.contracts[i], before, after)
            context.state.put(Table.SETTLED, key, after)
            tell_settled(context, start, delivery, i, after)
    return dues


def _defaulted(context: Context, day: int, contract: Contract, side: Side) -> bool:
    address = contract.seller if side is Side.SELL else contract.buyer
    judged: MemberDay | None = context.state.get(Table.MEMBER_DAY, day_key(day) + side_key(address, side))
    return judged is not None and bool(judged.defaulted)


def _charge(context: Context, day: int, parameters: Parameters, key: MemberKey, own: Sums) -> None:
    """Writes a member's fine onto its contracts, by shortfall, capped by what all their collateral left (L-5, L-7)."""
    address, side = key
    judged: MemberDay = context.state.get(Table.MEMBER_DAY, day_key(day) + side_key(address, side))
    settled = {each: context.state.get(Table.SETTLED, day_key(day) + each) for each in own.contracts}
    total = Money(0)
    if judged.defaulted and parameters.policy != Policy.OFF:
        total = fine(parameters.mu, Points(judged.fine_points), Energy(judged.promised))
    elif not any(each.seller_fine if side is Side.SELL else each.buyer_fine for each in settled.values()):
        return  # nothing to charge and nothing to take back
    shortfalls = [
        Energy(each.seller_shortfall if side is Side.SELL else each.buyer_shortfall) for each in settled.values()
    ]
    caps = [Money(fine_cap(context.contract(day, each), settled[each], side)) for each in own.contracts]
    parts = apportion_fine(total, shortfalls, caps, own.contracts)
    for contract_id, part in zip(own.contracts, parts, strict=True):
        before: Settled = settled[contract_id]
        amount = int(part)
        old = before.seller_fine if side is Side.SELL else before.buyer_fine
        if amount != old:
            field = "seller_fine" if side is Side.SELL else "buyer_fine"
            context.state.put(Table.SETTLED, day_key(day) + contract_id, changed(before, **{field: amount}))
            context.tell(FineCharged(day, contract_id, address, amount))


def fine_cap(contract: Contract, settled: Settled, side: Side) -> int:
    """What a side's collateral leaves for the fine after everything else it pays on the contract (L-7)."""
    if side is Side.SELL:
        paid = max(0, -settled.energy) + max(0, -settled.grid_sale) + settled.seller_compensation
        return max(0, contract.seller_stake - paid)
    paid = max(0, settled.energy) + max(0, settled.grid_purchase) + max(0, settled.over_grid_fee)
    return max(0, contract.buyer_stake - paid - settled.buyer_compensation)


class Penalties(NamedTuple):
    """A day's fines by contract and side that pays, and its shares by recipient [millionths], without zeros."""

    fines: dict[tuple[bytes, Side], int]
    shares: dict[bytes, int]


NONE = Penalties({}, {})


def _penalties(context: Context, day: int) -> Penalties:
    """Who pays which fine and who gets how much of them all (A-19): a pure function of the day's judgements and fines.

    Performing members are those that promised something on the day and defaulted on neither side; with two sides the
    mean of their credits counts [chosen]. A contract's fine goes to none of its two sides' owners [chosen], or who has
    two accounts would pay itself.
    """
    fines: dict[tuple[bytes, Side], int] = {}
    owners: list[tuple[str, str]] = []  # of both sides of a fine's contract
    for contract_id, contract in delivering(context, day):
        settled: Settled | None = context.state.get(Table.SETTLED, day_key(day) + contract_id)
        if settled is None or not (settled.seller_fine or settled.buyer_fine):
            continue
        for side, amount in ((Side.SELL, settled.seller_fine), (Side.BUY, settled.buyer_fine)):
            if amount:
                fines[contract_id, side] = amount
                seller, buyer = context.account(contract.seller), context.account(contract.buyer)
                owners.append((seller.legal_owner, buyer.legal_owner))
    if not fines:
        return NONE
    performers = _performers(context, day)
    places: dict[str, list[int]] = {}
    for place, (address, _) in enumerate(performers):
        places.setdefault(context.account(address).legal_owner, []).append(place)
    shared = share_fines(
        [
            Fine(Money(amount), (*places.get(seller, ()), *places.get(buyer, ())))
            for amount, (seller, buyer) in zip(fines.values(), owners, strict=True)
        ],
        performers,
    )
    shares = {address: int(share) for (address, _), share in zip(performers, shared.shares, strict=True) if share}
    if shared.rest:
        shares[context.reserved.community] = shared.rest
    return Penalties(fines, shares)


def _performers(context: Context, day: int) -> list[tuple[bytes, Points]]:
    """(address, credit) of who promised something on the day and defaulted on neither side, by ascending address."""
    earned: dict[bytes, list[int]] = {}
    defaulted: dict[bytes, None] = {}
    for key in context.state.of_day(Table.MEMBER_DAY, day):
        judged: MemberDay = context.state.get(Table.MEMBER_DAY, key)
        if judged.promised:
            earned.setdefault(key[8:-1], []).append(judged.credit_after)
        if judged.defaulted:
            defaulted[key[8:-1]] = None
    return [
        (address, Points(sum(points) // len(points))) for address, points in earned.items() if address not in defaulted
    ]


def _penalty_dues(context: Context, day: int, before: Penalties, after: Penalties) -> list[Due]:
    """What is due between two distributions: into the day's fines, then out of them; a correction turns some round."""
    dues: list[Due] = []
    pool = context.reserved.fines
    for place in sorted({**before.fines, **after.fines}):
        contract_id, side = place
        contract = context.contract(day, contract_id)
        payer = contract.seller if side is Side.SELL else contract.buyer
        dues += due(Kind.FINE, payer, pool, after.fines.get(place, 0) - before.fines.get(place, 0), contract_id)
    for recipient in sorted({**before.shares, **after.shares}):
        change = after.shares.get(recipient, 0) - before.shares.get(recipient, 0)
        dues += due(Kind.SHARE, pool, recipient, change, b"")
    return dues


def _release(context: Context, day: int) -> None:
    """What is left of the day's collateral is free again, and pays its owners' debts (L-7)."""
    free: dict[bytes, int] = {}
    for contract_id, contract in delivering(context, day):
        free[contract.seller] = free.get(contract.seller, 0) + contract.seller_lock
        free[contract.buyer] = free.get(contract.buyer, 0) + contract.buyer_lock
        context.state.put(Table.CONTRACT, day_key(day) + contract_id, changed(contract, seller_lock=0, buyer_lock=0))
    for address, amount in free.items():
        unlock(context, address, amount)
    for address in sorted(free):
        pay_debts(context, address)


def _decay_all(context: Context, day: int, eta: Ppm) -> None:
    """A-16 on the clock of delivery days (L-16): every member's credit, traded or not."""
    for key, member in list(context.state.items(Table.SIDE)):
        credit = decay(Points(member.credit), eta)
        context.state.put(Table.SIDE, key, changed(member, credit=credit))
        context.tell(CreditDecayed(day, key[:-1], Side(key[-1]), credit))


def correct(context: Context, start_ms: int, corrected: Sequence[MemberKey]) -> None:
    """Settles again what depends on members' corrected readings and posts the differences (L-11)."""
    day = context.day(start_ms)
    dues = _correct_closed(context, day, corrected) if is_closed(day) else resettle(context, day, corrected)[1]
    clear(context, start_ms, dues)


def _correct_closed(context: Context, day: Day, corrected: Sequence[MemberKey]) -> list[Due]:
    """Judges corrected members again; what is due then.

    Their partners' judgements stand; their fines may not, which are capped by what collateral left on the same
    contracts.
    """
    start = day.window.start_ms
    parameters = context.parameters(day.parameters_version)
    before = _penalties(context, start)
    affected, dues = resettle(context, day, corrected)
    sums = _day_sums(context, start, delivering(context, start))
    judging = _judging(context, sums, Ppm(parameters.tolerance))
    again = {(context.account(address).legal_owner, side): None for address, side in corrected}
    for key in sums:
        if (context.account(key[0]).legal_owner, key[1]) in again:
            _judge(context, start, parameters, key, sums[key], judging)
    if parameters.policy == Policy.PAPER:
        dues += _compensate_as_published(context, day, affected)
    contracts = [context.contract(start, contract_id) for contract_id in affected]
    for side in dict.fromkeys(each for c in contracts for each in ((c.seller, Side.SELL), (c.buyer, Side.BUY))):
        _charge(context, start, parameters, side, sums[side])
    return dues + _penalty_dues(context, start, before, _penalties(context, start))


def seal_day(context: Context, payload: SealDay) -> None:
    """The grid operator seals a closed day after its final day: nothing can change it, and it leaves the state."""
    context.need(Role.GRID_OPERATOR)
    day = context.day(payload.day)
    if not is_closed(day):
        raise Refused("page_open", "day", payload.day, "Close the day first.")
    if context.now < day.final_ms:
        raise Refused("day_not_final", "day", payload.day)
    carry_sealed(context, payload.day)
    for table in SEALED_TABLES:
        for key in context.state.of_day(table, payload.day):
            context.state.drop(table, key)
    context.state.drop(Table.DAY, day_key(payload.day))
    context.state.put(Table.SEALED, day_key(payload.day), Sealed(context.now))
    context.tariffs.forget(payload.day)
    context.tell(DaySealed(payload.day))


SEALED_TABLES = (
    Table.OFFER,
    Table.CONTRACT,
    Table.PROMISE,
    Table.READING,
    Table.CERTIFIED,
    Table.FAULT,
    Table.MEMBER_DAY,
    Table.SETTLED,
    Table.POSITION,
    Table.FLOW,
)
