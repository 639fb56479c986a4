"""Certificates in their owners' hands: given, split, rolled up, sold and retired (A-5, A-13, L-22)."""

from __future__ import annotations

from wattquorum.foundation.codec import changed
from wattquorum.foundation.quantities import MONEY_MAX, Energy
from wattquorum.foundation.refusals import Refused
from wattquorum.foundation.transfers import Kind
from wattquorum.green.certificates import WHOLE, roll_up
from wattquorum.ledger.accounts import Role, Status, check_active
from wattquorum.ledger.bundles import GRANULAR, cut, described, hold, is_whole, make, move, new_ids, owned
from wattquorum.ledger.context import Context
from wattquorum.ledger.facts import BundleEnded, SaleEnded, SaleOffered
from wattquorum.ledger.holdings import Bundle, BundleStatus, Device, Ending, Sale, SaleEnding
from wattquorum.ledger.money import pay_debts, post
from wattquorum.ledger.state import Table
from wattquorum.ledger.transactions import (
    BuyCertificates,
    OfferCertificates,
    RetireCertificates,
    RollUp,
    SplitBundle,
    TransferCertificates,
    WithdrawSale,
    identifier,
)


def transfer_certificates(context: Context, payload: TransferCertificates) -> None:
    """The owner gives certificates to another account that has a key."""
    check_active(context.account(context.sender), "sender")
    taker = context.account(payload.to, "to")
    if payload.to == context.sender:
        raise Refused("self_trade", "to", payload.to, "Give them to another account.")
    if not taker.key:
        raise Refused("account_unknown", "to", payload.to, "Name an account that somebody holds a key of.")
    bundle = owned(context, context.sender, payload.bundle, payload.count)
    part = cut(context, new_ids(context), context.sender, payload.bundle, bundle, payload.count)
    move(context, context.sender, payload.to, *part)


def split_bundle(context: Context, payload: SplitBundle) -> None:
    """The owner splits a bundle in two (L-22)."""
    bundle = owned(context, context.sender, payload.bundle, payload.count)
    if payload.count == bundle.size:
        raise Refused("out_of_range", "count", payload.count, f"Choose from 1 to {bundle.size - 1}.")
    cut(context, new_ids(context), context.sender, payload.bundle, bundle, payload.count)


def roll_up_bundles(context: Context, payload: RollUp) -> None:
    """Granular bundles of one device become whole certificates; what is left of the last one stays granular (A-5)."""
    if len(dict.fromkeys(payload.bundles)) < len(payload.bundles):
        raise Refused("certificate_unit", "bundles", "one bundle twice", "Name each bundle once.")
    owner, ids = context.sender, new_ids(context)
    bundles = [owned(context, owner, each) for each in payload.bundles]
    for bundle in bundles:
        if bundle.unit != GRANULAR or bundle.meter != bundles[0].meter:
            raise Refused("certificate_unit", "bundles", f"{bundle.meter}, {bundle.unit} Wh")
    rolled = roll_up([Energy(bundle.size) for bundle in bundles])
    used = list(zip(payload.bundles[: rolled.used], bundles, strict=False))
    last_id, last = used[-1]
    used[-1] = cut(context, ids, owner, last_id, last, last.size - rolled.rest)
    for bundle_id, _ in used:
        context.state.drop(Table.BUNDLE, owner + bundle_id)
        context.tell(BundleEnded(bundle_id, owner, Ending.ROLLED_UP, "", ""))
    name = bundles[0].meter.encode("ascii")
    device: Device = context.state.get(Table.DEVICE, name)
    whole = Bundle(
        bundles[0].meter,
        WHOLE,
        device.whole,
        device.whole + rolled.certificates,
        min(each.start_ms for _, each in used),
        max(each.end_ms for _, each in used),
        min(each.expires_ms for _, each in used),
        BundleStatus.ACTIVE,
        True,
    )
    make(context, owner, next(ids), whole, tuple(bundle_id for bundle_id, _ in used))
    hold(context, owner, rolled.certificates)
    context.state.put(Table.DEVICE, name, changed(device, whole=whole.end))


def offer_certificates(context: Context, payload: OfferCertificates) -> None:
    """The owner names a price; the certificates stay in its hands until somebody buys them."""
    seller = context.account(context.sender)
    check_active(seller, "sender")
    owned(context, context.sender, payload.bundle, payload.count)
    if payload.buyer and context.account(payload.buyer, "buyer").legal_owner == seller.legal_owner:
        raise Refused("self_trade", "buyer", payload.buyer)
    if payload.amount >= MONEY_MAX:
        raise Refused("out_of_range", "amount", payload.amount, f"Below {MONEY_MAX} millionths.")
    if payload.valid_until_ms < context.now:
        raise Refused("window_past", "valid_until_ms", payload.valid_until_ms)
    most = context.parameters().offers_max
    if context.state.count_at(Table.SALE, context.sender) >= most:
        raise Refused("offers_too_many", "sender", seller.name, f"At most {most} sales are open at a time.")
    sale_id = identifier(context.hash)
    sale = Sale(context.sender, payload.bundle, payload.count, payload.buyer, payload.amount, payload.valid_until_ms)
    context.state.put(Table.SALE, sale_id, sale)
    context.tell(SaleOffered(sale_id, *_told(sale)))


def _told(sale: Sale) -> tuple[bytes, bytes, int, bytes, int, int]:
    return sale.seller, sale.bundle, sale.count, sale.buyer, sale.amount, sale.valid_until_ms


def buy_certificates(context: Context, payload: BuyCertificates) -> None:
    """Money and certificates change hands in one step, or neither does."""
    sale: Sale | None = context.state.get(Table.SALE, payload.sale)
    if sale is None or sale.valid_until_ms < context.now:
        raise Refused("sale_unknown", "sale", payload.sale)
    buyer = context.account(context.sender)
    check_active(buyer, "sender")
    if sale.buyer not in (b"", context.sender):
        raise Refused("offer_addressed", "sale", payload.sale)
    seller = context.account(sale.seller)
    if seller.legal_owner == buyer.legal_owner:
        raise Refused("self_trade", "sale", payload.sale)
    if seller.status is Status.SUSPENDED:
        # An indebted seller may still sell: what it is paid pays its debts.
        raise Refused("account_inactive", "seller", f"{seller.name} is suspended")
    bundle = owned(context, sale.seller, sale.bundle, sale.count)
    part = cut(context, new_ids(context), sale.seller, sale.bundle, bundle, sale.count)
    post(context, Kind.CERTIFICATES, context.sender, sale.seller, sale.amount)
    move(context, sale.seller, context.sender, *part, payload.sale, sale.amount)
    context.state.drop(Table.SALE, payload.sale)
    context.tell(SaleEnded(payload.sale, SaleEnding.BOUGHT))
    pay_debts(context, sale.seller)


def withdraw_sale(context: Context, payload: WithdrawSale) -> None:
    """The seller takes an offer of its own back."""
    sale: Sale | None = context.state.get(Table.SALE, payload.sale)
    if sale is None or sale.seller != context.sender:
        raise Refused("sale_unknown", "sale", payload.sale)
    context.state.drop(Table.SALE, payload.sale)
    context.tell(SaleEnded(payload.sale, SaleEnding.WITHDRAWN))


def retire_certificates(context: Context, payload: RetireCertificates) -> None:
    """The owner uses certificates up, for good. A consumer's own consumption still counts as held (A-13)."""
    owner = context.sender
    bundle = owned(context, owner, payload.bundle, payload.count)
    part_id, part = cut(context, new_ids(context), owner, payload.bundle, bundle, payload.count)
    own = not payload.beneficiary and context.account(owner).has(Role.CONSUMER)
    counted = is_whole(part) and own
    if part.counted and not counted:
        hold(context, owner, -part.size)
    context.state.put(Table.BUNDLE, owner + part_id, changed(part, status=BundleStatus.RETIRED, counted=counted))
    context.tell(BundleEnded(part_id, owner, Ending.RETIRED, payload.beneficiary, payload.purpose))
    # A proof of inclusion carries the receipt, and whoever checks one has no state in which to look the bundle up.
    context.done = ("retired", described(context, part))
