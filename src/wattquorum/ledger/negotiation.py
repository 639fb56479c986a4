"""Negotiation: offers, counter-offers, acceptance, withdrawal and cancellation (A-4, A-20, L-6, L-7, L-10, L-12).

A contract exists when both sides have signed: one signed the offer, the other its acceptance, and it keeps the
offer's id. Acceptance is where everything is checked again and money moves: the limit of either connection over all
of a member's contracts, collateral, and the handling fee.
"""

from __future__ import annotations

import numpy as np

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import ENERGY_PER_INTERVAL_MAX, MS_PER_HOUR, Energy, Points, Price
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind
from wattquorum.foundation.vectors import Int64s, check_energies, check_prices, energies, highest, packed, prices
from wattquorum.ledger.accounts import Side, check_active
from wattquorum.ledger.context import Context, promise_key, promised_to
from wattquorum.ledger.facts import ContractEnded, ContractMade, OfferMade, OfferWithdrawn
from wattquorum.ledger.metering import limit_on
from wattquorum.ledger.money import lock, post, unlock
from wattquorum.ledger.parameters import Parameters
from wattquorum.ledger.state import (
    Contract,
    ContractStatus,
    Day,
    MemberSide,
    OfferStatus,
    OpenOffer,
    Promise,
    Table,
    day_key,
)
from wattquorum.ledger.transactions import Accept, Cancel, Counter, Offer, WithdrawOffer, identifier
from wattquorum.market.collateral import at_stake, collateral
from wattquorum.market.fees import handling_fee
from wattquorum.market.terms import Policy


def offer(context: Context, payload: Offer) -> None:
    """A member offers to sell or buy, to one partner or to everybody."""
    day = _open_day(context, payload.day)
    author = context.account(context.sender)
    check_active(author, "sender")
    if payload.partner:
        partner = context.account(payload.partner, "partner")
        if partner.legal_owner == author.legal_owner:
            raise Refused("self_trade", "partner", partner.name)
        _side(context, day, payload.partner, opposite(payload.side), "partner")
    _make_offer(context, day, payload.side, payload.partner, payload.energy, payload.price, payload.valid_until_ms, b"")


def counter(context: Context, payload: Counter) -> None:
    """The addressee of an offer, or anybody if it is public, answers with other terms.

    A counter-offer replaces an offer that was addressed to one partner; a public one stays open for others.
    """
    day = _open_day(context, payload.day)
    original = _open_offer(context, payload.day, payload.offer)
    check_active(context.account(context.sender), "sender")
    _check_answer(context, day, original)
    if original.partner:
        context.state.put(
            Table.OFFER, day_key(payload.day) + payload.offer, changed(original, status=OfferStatus.COUNTERED)
        )
    side = opposite(original.side)
    _make_offer(
        context, day, side, original.author, payload.energy, payload.price, payload.valid_until_ms, payload.offer
    )


def withdraw_offer(context: Context, payload: WithdrawOffer) -> None:
    """The author takes back an offer that nobody has accepted."""
    context.day(payload.day)
    found = _open_offer(context, payload.day, payload.offer)
    if found.author != context.sender:
        raise Refused("offer_addressed", "offer", payload.offer, "Only its author can withdraw an offer.")
    context.state.put(Table.OFFER, day_key(payload.day) + payload.offer, changed(found, status=OfferStatus.WITHDRAWN))
    context.tell(OfferWithdrawn(payload.offer, payload.day))


def accept(context: Context, payload: Accept) -> None:
    """The second signature: limits, collateral and fee are checked and taken, and the contract exists (A-20, L-7)."""
    day = _open_day(context, payload.day)
    found = _open_offer(context, payload.day, payload.offer)
    _check_answer(context, day, found)
    seller, buyer = (found.author, context.sender) if found.side is Side.SELL else (context.sender, found.author)
    for address, field in ((context.sender, "sender"), (found.author, "author")):
        check_active(context.account(address, field), field)
    parameters = context.parameters(day.parameters_version)
    energy = energies(found.energy)
    sides = (_side(context, day, seller, Side.SELL, "seller"), _side(context, day, buyer, Side.BUY, "buyer"))
    _promise(context, day, seller, Side.SELL, energy)
    _promise(context, day, buyer, Side.BUY, energy)

    stakes = [
        at_stake(Points(side.credit), Points(parameters.collateral_loss), Points(parameters.minimum_credit_loss))
        for side in sides
    ]
    terms = context.tariffs.of(day).terms(prices(found.price))
    locks = collateral(energy, terms, parameters.mu, stakes[0], stakes[1], Policy(parameters.policy))
    fee = handling_fee(Energy(int(energy.sum())), Price(parameters.fee))
    lock(context, seller, locks.seller)
    lock(context, buyer, locks.buyer)
    for address in (seller, buyer):
        post(context, Kind.HANDLING_FEE, address, context.reserved.community, fee, payload.day, payload.offer)
    contract = Contract(
        seller,
        buyer,
        found.energy,
        found.price,
        ContractStatus.ACCEPTED,
        b"",
        locks.seller,
        locks.buyer,
        locks.seller,
        locks.buyer,
    )
    key = day_key(payload.day) + payload.offer
    context.state.put(Table.OFFER, key, changed(found, status=OfferStatus.ACCEPTED))
    context.state.put(Table.CONTRACT, key, contract)
    context.tell(
        ContractMade(
            payload.offer, payload.day, seller, buyer, found.energy, found.price, locks.seller, locks.buyer, fee
        )
    )


def cancel(context: Context, payload: Cancel) -> None:
    """Both sides cancel before the gate; the second request cancels. The handling fee stays paid (L-24, A-20)."""
    _open_day(context, payload.day)
    contract = context.contract(payload.day, payload.contract)
    if contract.status is not ContractStatus.ACCEPTED:
        raise Refused("contract_state", "contract", contract.status.name.lower())
    if context.sender not in (contract.seller, contract.buyer):
        raise Refused("role_missing", "sender", context.sender, "Only the two sides can cancel a contract.")
    if contract.cancelled_by in (b"", context.sender):
        key = day_key(payload.day) + payload.contract
        context.state.put(Table.CONTRACT, key, changed(contract, cancelled_by=context.sender))
        return
    end_contract(context, payload.day, payload.contract, contract, ContractStatus.CANCELLED)


def end_contract(context: Context, day: int, contract_id: bytes, contract: Contract, status: ContractStatus) -> None:
    """Releases what a contract held: both locks, and its part of both sides' promises."""
    unlock(context, contract.seller, contract.seller_lock)
    unlock(context, contract.buyer, contract.buyer_lock)
    energy = energies(contract.energy)
    for address, side in ((contract.seller, Side.SELL), (contract.buyer, Side.BUY)):
        lower_promise(context, day, address, side, energy)
    ended = changed(contract, status=status, seller_lock=0, buyer_lock=0)
    context.state.put(Table.CONTRACT, day_key(day) + contract_id, ended)
    context.tell(ContractEnded(contract_id, day, status.name.lower()))


def lower_promise(context: Context, day: int, address: bytes, side: Side, by: Int64s) -> None:
    """Takes energy [Wh per interval] off a member's promises."""
    left = promised_to(context.state, day, address, side, by.size) - by
    context.state.put(Table.PROMISE, promise_key(day, address, side), Promise(packed(left)))


def opposite(side: Side) -> Side:
    """The other side."""
    return Side.BUY if side is Side.SELL else Side.SELL


def _open_day(context: Context, start_ms: int) -> Day:
    """A day that can still be traded: its gate is open."""
    day = context.day(start_ms)
    if context.now >= day.gate_ms:
        code = "window_past" if context.now >= day.window.start_ms else "gate_closed"
        raise Refused(code, "day", start_ms)
    return day


def _open_offer(context: Context, day: int, offer_id: bytes) -> OpenOffer:
    found: OpenOffer | None = context.state.get(Table.OFFER, day_key(day) + offer_id)
    if found is None:
        raise Refused("offer_unknown", "offer", offer_id)
    if found.status is not OfferStatus.OPEN:
        raise Refused("offer_closed", "offer", found.status.name.lower())
    return found


def _check_answer(context: Context, day: Day, found: OpenOffer) -> None:
    """Refuses answers that come too late, or from the author, its owner's other accounts, or who is not addressed."""
    if found.valid_until_ms < context.now:
        raise Refused("offer_closed", "valid_until_ms", found.valid_until_ms)
    author, sender = context.account(found.author), context.account(context.sender)
    if author.legal_owner == sender.legal_owner:
        raise Refused("self_trade", "sender", sender.name)
    if found.partner and found.partner != context.sender:
        raise Refused("offer_addressed", "offer", found.partner)
    _side(context, day, context.sender, opposite(found.side), "sender")


def _side(context: Context, day: Day, address: bytes, side: Side, field: str) -> MemberSide:
    """What a member can trade on a day; it must hang on one of the day's feeders, or no page would settle it."""
    found = context.side(address, side)
    if found is None:
        register = "injection" if side is Side.SELL else "withdrawal"
        raise Refused("side_impossible", field, address, f"Register a meter for {register} first.")
    if found.feeder not in day.feeders:
        raise Refused("feeder_unknown", field, found.feeder, "Trade on days that are published for this feeder.")
    return found


def _make_offer(
    context: Context,
    day: Day,
    side: Side,
    partner: bytes,
    energy: bytes,
    price: bytes,
    valid_until_ms: int,
    answers: bytes,
) -> None:
    window = day.window
    parameters: Parameters = context.parameters(day.parameters_version)
    _side(context, day, context.sender, side, "sender")
    promised = check_energies(energy, window.intervals, "energy")
    if not np.count_nonzero(promised):
        raise Refused("promise_empty", "energy", 0)
    asked = check_prices(price, window.intervals, "price")
    if not parameters.band_waived:
        context.tariffs.of(day).check_band(asked, Price(parameters.fee))
    if valid_until_ms < context.now:
        raise Refused("window_past", "valid_until_ms", valid_until_ms)
    # Offers stay in the state until the day is sealed, whatever became of them: all of them count.
    if context.state.count_at(Table.OFFER, day_key(window.start_ms) + context.sender) >= parameters.offers_max:
        remedy = f"At most {parameters.offers_max} offers and counter-offers for one day."
        raise Refused("offers_too_many", "day", window.start_ms, remedy)
    before = promised_to(context.state, window.start_ms, context.sender, side, window.intervals)
    _check_limit(context, day, context.sender, side, before + promised)
    made = OpenOffer(context.sender, side, partner, energy, price, valid_until_ms, answers, OfferStatus.OPEN)
    offer_id = identifier(context.hash)
    context.state.put(Table.OFFER, day_key(window.start_ms) + offer_id, made)
    context.tell(
        OfferMade(offer_id, window.start_ms, context.sender, side, partner, energy, price, valid_until_ms, answers)
    )


def _check_limit(context: Context, day: Day, address: bytes, side: Side, promised: Int64s) -> None:
    """P_max over all of a member's contracts: sum of promises <= limit x length in every interval (A-4, L-10).

    The limit is that of the meters that count on the day: others cannot show that a promise was kept.
    """
    limit_w = limit_on(context, day, address, side)
    limit = min(limit_w * day.window.length_ms // MS_PER_HOUR, ENERGY_PER_INTERVAL_MAX)
    most = highest(promised)
    if most > limit:
        interval = int(promised.argmax())
        remedy = f"Promise at most {limit} Wh in interval {interval}, over all contracts."
        raise Refused("promise_exceeds_limit", "energy", most, remedy)


def _promise(context: Context, day: Day, address: bytes, side: Side, energy: Int64s) -> None:
    start = day.window.start_ms
    promised = promised_to(context.state, start, address, side, energy.size) + energy
    _check_limit(context, day, address, side, promised)
    context.state.put(Table.PROMISE, promise_key(start, address, side), Promise(packed(promised)))
